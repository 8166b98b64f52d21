//! A pair of agents under test, whichever system it is, and the faults that befall its owner.

use std::net::Ipv4Addr;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use baton::config::MacMode;
use nix::sys::signal::Signal;

use super::keepalived::Keepalived;
use super::{Host, Lab, Process, Router, Settings, output, vips, wait_until};

/// What runs on the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// Baton, answering with the given hardware address.
    Baton(MacMode),
    /// Debian's keepalived.
    Keepalived,
}

impl System {
    /// All systems.
    pub const ALL: [Self; 3] =
        [Self::Baton(MacMode::Virtual), Self::Baton(MacMode::Interface), Self::Keepalived];

    /// The name in reports and on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Baton(MacMode::Virtual) => "baton",
            Self::Baton(MacMode::Interface) => "baton-interface-mac",
            Self::Keepalived => "keepalived",
        }
    }

    /// The system with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|system| system.name() == name)
    }
}

/// What befalls the owner of the VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is told to give the VIP away: `baton handover`, or SIGTERM for keepalived.
    Planned,
    /// The agent is killed, without its guardian if it has one.
    AgentDeath,
    /// All its processes are killed at once, so that nobody is left to act.
    DeathOfAll,
    /// The agent is stopped, without its guardian if it has one.
    AgentHang,
    /// Its cable is cut without loss of carrier.
    SilentDeath,
}

impl Fault {
    /// All faults that are measured.
    pub const MEASURED: [Self; 4] = [Self::Planned, Self::AgentHang, Self::AgentDeath, Self::SilentDeath];

    /// The name in reports and on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::AgentDeath => "agent-death",
            Self::DeathOfAll => "death-of-all",
            Self::AgentHang => "agent-hang",
            Self::SilentDeath => "silent-death",
        }
    }
}

/// Agents of one system on both nodes.
#[derive(Debug)]
pub struct Pair<'lab> {
    lab: &'lab Lab,
    system: System,
    settings: Settings,
    vips: Vec<Ipv4Addr>,
    agents: [Option<Process>; 2],
    fault: Option<(Fault, Host)>,
}

impl<'lab> Pair<'lab> {
    /// Starts the system on both nodes with the usual settings and waits until a owns the addresses.
    pub fn start(lab: &'lab Lab, system: System, vip_count: u16) -> Result<Self> {
        Self::start_with(lab, system, Settings::USUAL, vip_count)
    }

    /// Like [`Pair::start`], with `settings`.
    pub fn start_with(lab: &'lab Lab, system: System, settings: Settings, vip_count: u16) -> Result<Self> {
        let mut pair =
            Self { lab, system, settings, vips: vips(vip_count), agents: [None, None], fault: None };
        match system {
            System::Baton(mac) => {
                for host in Host::NODES {
                    lab.configure_routers(host, mac, &settings, &[Router::usual(host, &pair.vips)])?;
                }
            }
            System::Keepalived => {
                for host in Host::NODES {
                    // The VIP lives on eth0; no other interface may answer for it.
                    lab.namespace(host).set("net/ipv4/conf/all/arp_ignore", "1")?;
                }
            }
        }
        pair.start_agent(Host::A)?;
        wait_until(&format!("{} on node a to own the VIP", system.name()), Duration::from_secs(10), || {
            pair.ensure_running(Host::A)?;
            pair.owns(Host::A)
        })?;
        pair.start_agent(Host::B)?;
        let log = pair.log_of(Host::B);
        wait_until(&format!("{} on node b (see {log})", system.name()), Duration::from_secs(10), || {
            pair.ensure_running(Host::B)?;
            Ok(match system {
                System::Baton(_) => pair.lab.baton_status(Host::B).is_ok_and(|status| {
                    status.routers.first().is_some_and(|router| router.role != "Initialize")
                }),
                System::Keepalived => true,
            })
        })?;
        Ok(pair)
    }

    /// The system.
    pub const fn system(&self) -> System {
        self.system
    }

    /// The address that is probed: the last one, for the worst case.
    pub fn probed(&self) -> Ipv4Addr {
        self.vips[self.vips.len() - 1]
    }

    /// The agent's process on `host`; Baton's is the guardian's.
    pub fn agent(&self, host: Host) -> Result<&Process> {
        self.agents[index(host)].as_ref().with_context(|| format!("no agent runs on node {}", host.name()))
    }

    /// The nodes that hold the VIP by their own account.
    pub fn owners(&self) -> Result<Vec<Host>> {
        let mut owners = Vec::new();
        for host in Host::NODES {
            if self.owns(host)? {
                owners.push(host);
            }
        }
        Ok(owners)
    }

    /// Waits until exactly one node owns the VIP and serves the client, and gives that node.
    pub fn settle(&self) -> Result<Host> {
        let end = Instant::now() + Duration::from_secs(15);
        let mut refresh = Instant::now() + Duration::from_secs(1);
        loop {
            let owners = self.owners()?;
            if let [owner] = owners[..]
                && self.lab.ask(self.probed())? == Some(owner)
            {
                return Ok(owner);
            }
            if Instant::now() > refresh {
                // After two owners the client may have believed the wrong one last. That is no part of the next round.
                self.lab.forget_neighbours()?;
                refresh += Duration::from_secs(1);
            }
            ensure!(
                Instant::now() < end,
                "{}: no single owner that serves, but {owners:?}",
                self.system.name()
            );
            super::pause(Duration::from_millis(10))?;
        }
    }

    /// Lets `fault` befall the owner and gives that node. Returns as soon as it has happened.
    pub fn inject(&mut self, fault: Fault) -> Result<Host> {
        ensure!(self.fault.is_none(), "one fault at a time");
        let victim = self.settle()?;
        self.fault = Some((fault, victim));
        match fault {
            Fault::Planned => match self.system {
                System::Baton(_) => drop(output(&mut self.lab.baton(victim, "handover")?)?),
                System::Keepalived => self.agent(victim)?.signal(Signal::SIGTERM)?,
            },
            Fault::AgentDeath => match self.system {
                System::Baton(_) => self.lab.signal_agent(victim, Signal::SIGKILL)?,
                System::Keepalived => self.agent(victim)?.kill_tree()?,
            },
            Fault::DeathOfAll => self.agent(victim)?.kill_tree()?,
            Fault::AgentHang => match self.system {
                System::Baton(_) => self.lab.signal_agent(victim, Signal::SIGSTOP)?,
                System::Keepalived => self.agent(victim)?.signal_tree(Signal::SIGSTOP)?,
            },
            Fault::SilentDeath => self.lab.cut(victim)?,
        }
        Ok(victim)
    }

    /// Undoes the fault: everything runs and is connected again. Who owns the VIP is left to the election.
    pub fn restore(&mut self) -> Result<()> {
        let Some((fault, victim)) = self.fault.take() else {
            return Ok(());
        };
        match (fault, self.system) {
            (Fault::Planned, System::Baton(_)) => {}
            (Fault::Planned, System::Keepalived) | (Fault::AgentDeath | Fault::DeathOfAll, _) => {
                self.restart(victim)?;
            }
            (Fault::AgentHang, _) => self.agent(victim)?.signal_tree(Signal::SIGCONT)?,
            (Fault::SilentDeath, _) => self.lab.heal(victim)?,
        }
        Ok(())
    }

    /// Waits for the end of the agent on `host`, which was told to stop or killed, and gives its status; `None` if none was
    /// started since the last one has ended.
    pub fn end_of(&mut self, host: Host) -> Result<Option<ExitStatus>> {
        let agent = self.agents[index(host)].take();
        agent.map(|mut agent| agent.wait(Duration::from_secs(5))).transpose()
    }

    /// Starts the agent of `host` again if it has ended.
    pub fn restart_if_ended(&mut self, host: Host) -> Result<()> {
        let running = self.agents[index(host)].as_mut().is_some_and(Process::is_running);
        if running { Ok(()) } else { self.restart(host) }
    }

    /// Starts the agent of `host` again after its end.
    pub fn restart(&mut self, host: Host) -> Result<()> {
        self.end_of(host)?;
        if self.system == System::Keepalived {
            Keepalived::remove_addresses(self.lab, host, &self.vips)?;
        }
        self.start_agent(host)?;
        match self.system {
            System::Baton(_) => wait_until("the restarted agent", Duration::from_secs(10), || {
                self.ensure_running(host)?;
                Ok(self.lab.baton_status(host).is_ok())
            }),
            // Starting takes it some 50 ms; it says nothing about when it is done.
            System::Keepalived => super::pause(Duration::from_millis(300)),
        }
    }

    /// Ends both agents and takes away what they leave on the nodes.
    pub fn stop(mut self) -> Result<()> {
        self.restore()?;
        for host in [Host::B, Host::A] {
            if let Some(mut agent) = self.agents[index(host)].take() {
                agent.stop(Duration::from_secs(5))?;
            }
            match self.system {
                System::Baton(_) => drop(output(&mut self.lab.baton(host, "detach")?)?),
                System::Keepalived => self.lab.namespace(host).set("net/ipv4/conf/all/arp_ignore", "0")?,
            }
        }
        Ok(())
    }

    /// Leaves the agents running after this process.
    pub fn detach(self) {
        for agent in self.agents.into_iter().flatten() {
            agent.detach();
        }
    }

    fn start_agent(&mut self, host: Host) -> Result<()> {
        self.agents[index(host)] = Some(match self.system {
            System::Baton(_) => self.lab.start_baton(host)?,
            System::Keepalived => Keepalived::with(host, &self.vips, &self.settings).start(self.lab, host)?,
        });
        Ok(())
    }

    fn ensure_running(&mut self, host: Host) -> Result<()> {
        let log = self.log_of(host);
        let running = self.agents[index(host)].as_mut().is_some_and(Process::is_running);
        ensure!(running, "{} on node {} ended: {}", self.system.name(), host.name(), tail(&log));
        Ok(())
    }

    fn owns(&self, host: Host) -> Result<bool> {
        match self.system {
            System::Baton(_) => Ok(self.lab.baton_status(host).is_ok_and(|status| {
                status
                    .routers
                    .first()
                    .is_some_and(|router| router.role == "Active" && router.lease_left_us > 0)
            })),
            System::Keepalived => Keepalived::owns(self.lab, host, self.probed()),
        }
    }

    fn log_of(&self, host: Host) -> String {
        match self.system {
            System::Baton(_) => self.lab.baton_log(host),
            System::Keepalived => Keepalived::log_file(self.lab, host),
        }
        .to_string_lossy()
        .into_owned()
    }
}

/// The end of a log, for an error message: the file goes with the lab.
fn tail(log: &str) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" | ")
}

const fn index(host: Host) -> usize {
    match host {
        Host::A => 0,
        Host::B | Host::Client => 1,
    }
}
