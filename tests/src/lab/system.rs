//! The systems under test, and what each of them needs on a node.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use baton::config::MacMode;

use super::keepalived::{Keepalived, Tuning};
use super::{Frr, Host, Lab, Process, Router, Settings, output, pause, wait_until};

/// What runs on the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// Baton.
    Baton(Variant),
    /// Debian's keepalived.
    Keepalived(Tuning),
    /// Debian's FRR: zebra and vrrpd.
    Frr,
}

/// A node of a pair, with what its agent shall do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a> {
    pub(super) lab: &'a Lab,
    pub(super) host: Host,
    pub(super) settings: &'a Settings,
    pub(super) vips: &'a [Ipv4Addr],
}

/// How Baton is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// With a virtual MAC.
    Usual,
    /// With the interfaces' MACs.
    InterfaceMac,
    /// With a virtual MAC and `sbfd = "fastest"`.
    Fastest,
}

impl Variant {
    const fn mac(self) -> MacMode {
        match self {
            Self::Usual | Self::Fastest => MacMode::Virtual,
            Self::InterfaceMac => MacMode::Interface,
        }
    }
}

impl From<MacMode> for System {
    fn from(mac: MacMode) -> Self {
        Self::Baton(match mac {
            MacMode::Virtual => Variant::Usual,
            MacMode::Interface => Variant::InterfaceMac,
        })
    }
}

impl System {
    /// All systems.
    pub const ALL: [Self; 7] = [
        Self::Baton(Variant::Usual),
        Self::Baton(Variant::InterfaceMac),
        Self::Baton(Variant::Fastest),
        Self::Keepalived(Tuning::Fast),
        Self::Keepalived(Tuning::Hasty),
        Self::Keepalived(Tuning::Defaults),
        Self::Frr,
    ];

    /// The name in reports and on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Baton(Variant::Usual) => "baton",
            Self::Baton(Variant::InterfaceMac) => "baton-interface-mac",
            Self::Baton(Variant::Fastest) => "baton-fastest",
            Self::Keepalived(Tuning::Fast) => "keepalived",
            Self::Keepalived(Tuning::Hasty) => "keepalived-hasty",
            Self::Keepalived(Tuning::Defaults) => "keepalived-defaults",
            Self::Frr => "frr",
        }
    }

    /// The system with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|system| system.name() == name)
    }

    /// What an operator decides about it: the usual, unless nothing is decided.
    pub const fn settings(self) -> Settings {
        match self {
            Self::Keepalived(Tuning::Defaults) => Settings::DEFAULTS,
            Self::Baton(Variant::Fastest) => Settings { sbfd: "fastest", ..Settings::USUAL },
            Self::Baton(Variant::Usual | Variant::InterfaceMac)
            | Self::Keepalived(Tuning::Fast | Tuning::Hasty)
            | Self::Frr => Settings::USUAL,
        }
    }

    /// Whether it is ours.
    pub const fn is_baton(self) -> bool {
        matches!(self, Self::Baton(_))
    }

    /// Makes a node ready for its agent. What has to run beside the agent is given back.
    pub(super) fn prepare(self, node: Node<'_>) -> Result<Option<Process>> {
        let Node { lab, host, settings, vips } = node;
        match self {
            Self::Baton(variant) => {
                lab.configure_routers(host, variant.mac(), settings, &[Router::usual(host, vips)])?;
                Ok(None)
            }
            Self::Keepalived(_) => {
                // The VIP lives on eth0; no other interface may answer for it.
                lab.namespace(host).set("net/ipv4/conf/all/arp_ignore", "1")?;
                Ok(None)
            }
            Self::Frr => Frr::prepare(lab, host, &any_family(vips)).map(Some),
        }
    }

    /// Starts the agent.
    pub(super) fn start(self, node: Node<'_>) -> Result<Process> {
        let Node { lab, host, settings, vips } = node;
        match self {
            Self::Baton(_) => lab.start_baton(host),
            Self::Keepalived(tuning) => Keepalived::with(host, vips, settings, tuning).start(lab, host),
            Self::Frr => Frr::start(lab, host, 3, settings, &any_family(vips)),
        }
    }

    /// Starts an agent again after its end, and waits until it takes part.
    pub(super) fn start_again(self, node: Node<'_>) -> Result<Process> {
        let Node { lab, host, vips, .. } = node;
        if let Self::Keepalived(_) = self {
            Keepalived::remove_addresses(lab, host, vips)?;
        }
        let mut agent = self.start(node)?;
        match self {
            Self::Baton(_) => wait_until("the restarted agent", Duration::from_secs(10), || {
                self.ensure_running(lab, host, &mut agent)?;
                Ok(lab.baton_status(host).is_ok())
            })?,
            // Starting takes it some 50 ms; it says nothing about when it is done.
            Self::Keepalived(_) => pause(Duration::from_millis(300))?,
            // It takes its addresses one by one, and may take over and give up again meanwhile.
            Self::Frr => pause(Duration::from_millis(500))?,
        }
        Ok(agent)
    }

    /// Whether a second agent takes part in the election.
    pub(super) fn takes_part(self, lab: &Lab, host: Host) -> bool {
        match self {
            Self::Baton(_) => lab
                .baton_status(host)
                .is_ok_and(|status| status.routers.first().is_some_and(|router| router.role != "Initialize")),
            Self::Keepalived(_) => true,
            // It comes up with its addresses served, until vrrpd takes them down.
            Self::Frr => !Frr::owns(lab, host).unwrap_or(true),
        }
    }

    /// Whether `host` holds the addresses by its own account.
    pub(super) fn owns(self, lab: &Lab, host: Host, vips: &[Ipv4Addr]) -> Result<bool> {
        match self {
            Self::Baton(_) => Ok(lab.baton_status(host).is_ok_and(|status| {
                status
                    .routers
                    .first()
                    .is_some_and(|router| router.role == "Active" && router.lease_left_us > 0)
            })),
            Self::Keepalived(_) => Keepalived::owns(lab, host, vips[vips.len() - 1]),
            Self::Frr => Frr::owns(lab, host),
        }
    }

    /// Takes away what an agent that has ended leaves on its node.
    pub(super) fn clean(self, lab: &Lab, host: Host) -> Result<()> {
        match self {
            Self::Baton(_) => output(&mut lab.baton(host, "detach")?).map(drop),
            Self::Keepalived(_) => lab.namespace(host).set("net/ipv4/conf/all/arp_ignore", "0"),
            Self::Frr => Frr::clean(lab, host),
        }
    }

    /// What the agent on `host` logs to.
    pub(super) fn log(self, lab: &Lab, host: Host) -> PathBuf {
        match self {
            Self::Baton(_) => lab.baton_log(host),
            Self::Keepalived(_) => Keepalived::log_file(lab, host),
            Self::Frr => Frr::log_file(lab, host),
        }
    }

    /// Fails with the end of the log when `agent` has ended.
    pub(super) fn ensure_running(self, lab: &Lab, host: Host, agent: &mut Process) -> Result<()> {
        let ended = || {
            let text = std::fs::read_to_string(self.log(lab, host)).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(5)..].join(" | ")
        };
        ensure!(agent.is_running(), "{} on node {} ended: {}", self.name(), host.name(), ended());
        Ok(())
    }
}

fn any_family(vips: &[Ipv4Addr]) -> Vec<IpAddr> {
    vips.iter().copied().map(IpAddr::from).collect()
}
