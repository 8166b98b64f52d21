//! Many virtual routers under one agent on each node, whichever system it is, and what befalls all of them at once.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use baton::clock;
use baton::config::MacMode;
use baton::control::protocol::RouterStatus;
use baton::vrrp::Instant;
use nix::sys::signal::{Signal, kill};

use super::baton::router_table;
use super::keepalived::{crowd_configuration, priority};
use super::{Fault, Host, Keepalived, Lab, Link, Process, Router, Settings, System, pause, wait_until};

/// The longest time that an agent may take to start with all of them, and to end.
const START: Duration = Duration::from_secs(60);
/// The longest time that they may take to be owned by one node.
const SETTLE: Duration = Duration::from_secs(60);

/// One of many virtual routers.
#[derive(Clone, Debug)]
pub struct Member {
    /// Where it is.
    pub link: Link,
    /// Its identifier, unique among those of its family on the link.
    pub vrid: u8,
    /// Its addresses, of one family.
    pub vips: Vec<IpAddr>,
}

impl Member {
    /// One with an IPv4 address.
    pub fn ipv4(link: Link, vrid: u8) -> Self {
        Self { link, vrid, vips: vec![link.vip(vrid).into()] }
    }

    /// One on the first link with the link-local IPv6 address that it must have.
    pub fn ipv6(vrid: u8) -> Self {
        let address = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, vrid.into());
        Self { link: Link::FIRST, vrid, vips: vec![address.into()] }
    }

    /// `count` of them with an IPv4 address each, spread evenly over as few links as have identifiers for them.
    pub fn spread(count: u16) -> Result<Vec<Self>> {
        let needed = usize::from(count).div_ceil(usize::from(u8::MAX));
        let links = Link::ALL.get(..needed).with_context(|| format!("{count} need {needed} links"))?;
        let identifiers =
            (1..=u8::MAX).flat_map(|vrid| links.iter().map(move |link| Self::ipv4(*link, vrid)));
        Ok(identifiers.take(count.into()).collect())
    }
}

/// Agents of one system on both nodes, each with all of the virtual routers.
#[derive(Debug)]
pub struct Crowd<'lab> {
    lab: &'lab Lab,
    system: System,
    settings: Settings,
    members: Vec<Member>,
    agents: [Option<Process>; 2],
    fault: Option<(Fault, Host)>,
}

impl<'lab> Crowd<'lab> {
    /// Starts the system on both nodes and waits until a owns all addresses.
    pub fn start(lab: &'lab Lab, system: System, settings: Settings, members: Vec<Member>) -> Result<Self> {
        let mut crowd = Self { lab, system, settings, members, agents: [None, None], fault: None };
        for host in Host::NODES {
            crowd.prepare(host)?;
        }
        crowd.start_agent(Host::A)?;
        crowd.wait_owned(Host::A)?;
        crowd.start_agent(Host::B)?;
        ensure!(crowd.settle()? == Host::A, "node b took over from a better one");
        Ok(crowd)
    }

    /// The system.
    pub const fn system(&self) -> System {
        self.system
    }

    /// The virtual routers.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The agent's process on `host`; Baton's is the guardian's.
    pub fn agent(&self, host: Host) -> Result<&Process> {
        self.agents[index(host)].as_ref().with_context(|| format!("no agent runs on node {}", host.name()))
    }

    /// How many of them `host` owns by its own account.
    pub fn owned(&self, host: Host) -> Result<usize> {
        match self.system {
            System::Baton(_) => {
                let owns = |router: &&RouterStatus| router.role == "Active" && router.lease_left_us > 0;
                Ok(self.routers(host)?.iter().filter(owns).count())
            }
            System::Keepalived(_) | System::Frr => {
                let text = self.lab.run(host, "ip", &["-o", "address", "show"])?;
                let bound: BTreeSet<&str> =
                    text.lines().filter_map(|line| line.split_ascii_whitespace().nth(3)).collect();
                let vips = self.members.iter().filter_map(|member| member.vips.first());
                Ok(vips.filter(|vip| bound.contains(format!("{vip}/32").as_str())).count())
            }
        }
    }

    /// Waits until one node owns all of them and the other none but is there for all, and gives the owner.
    pub fn settle(&self) -> Result<Host> {
        let mut found = None;
        wait_until("one node to own all of them", SETTLE, || {
            let owned = [self.owned(Host::A)?, self.owned(Host::B)?];
            found = match owned {
                [all, 0] if all == self.members.len() => Some(Host::A),
                [0, all] if all == self.members.len() => Some(Host::B),
                [_, _] => None,
            };
            Ok(match found {
                Some(owner) => self.is_ready(owner)?,
                None => false,
            })
        })
        .with_context(|| self.told())?;
        found.context("an owner")
    }

    /// Lets `fault` befall all that `victim` has, the owner. Returns as soon as it has happened, with when it began.
    pub fn inject(&mut self, fault: Fault, victim: Host) -> Result<Instant> {
        ensure!(self.fault.is_none(), "one fault at a time");
        self.fault = Some((fault, victim));
        let agent = *self.agent(victim)?.tree().first().context("an agent has a process")?;
        let began = clock::now();
        match (fault, self.system) {
            (Fault::Planned, System::Baton(_)) => self.hand_over(victim)?,
            (Fault::Planned, System::Keepalived(_) | System::Frr) => {
                self.agent(victim)?.signal(Signal::SIGTERM)?;
            }
            (Fault::AgentDeath, System::Baton(_)) => kill(agent, Signal::SIGKILL)?,
            (Fault::AgentHang, System::Baton(_)) => kill(agent, Signal::SIGSTOP)?,
            (Fault::AgentDeath, System::Keepalived(_) | System::Frr) | (Fault::DeathOfAll, _) => {
                self.agent(victim)?.kill_tree()?;
            }
            (Fault::AgentHang, System::Keepalived(_) | System::Frr) => {
                self.agent(victim)?.signal_tree(Signal::SIGSTOP)?;
            }
            (Fault::SilentDeath, _) => self.lab.cut_links(victim, &self.links())?,
        }
        Ok(began)
    }

    /// Undoes the fault: everything runs and is connected again. Who owns them is left to the election.
    pub fn restore(&mut self) -> Result<()> {
        let Some((fault, victim)) = self.fault.take() else { return Ok(()) };
        match (fault, self.system) {
            (Fault::Planned, System::Baton(_)) => wait_until("the rest to be handed over", SETTLE, || {
                let rest = self.owned(victim)?;
                if rest > 0 {
                    self.hand_over(victim)?;
                }
                Ok(rest == 0)
            }),
            (Fault::Planned, System::Keepalived(_) | System::Frr)
            | (Fault::AgentDeath | Fault::DeathOfAll, _) => self.restart(victim),
            (Fault::AgentHang, _) => self.agent(victim)?.signal_tree(Signal::SIGCONT),
            (Fault::SilentDeath, _) => self.lab.heal_links(victim, &self.links()),
        }
    }

    /// Ends both agents and takes away what they leave on the nodes.
    pub fn stop(mut self) -> Result<()> {
        self.restore()?;
        for host in [Host::B, Host::A] {
            if let Some(mut agent) = self.agents[index(host)].take() {
                agent.stop(START)?;
            }
            self.system.clean(self.lab, host)?;
        }
        Ok(())
    }

    /// Hands over what `host` has. That some of it stays, for which the command has an exit code, is a result.
    fn hand_over(&self, host: Host) -> Result<()> {
        let output = self.lab.baton(host, "handover")?.output().context("start `baton handover`")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(said.is_empty(), "`baton handover`: {}", said.trim());
        Ok(())
    }

    /// The virtual routers of Baton on `host`; none where no agent answers.
    fn routers(&self, host: Host) -> Result<Vec<RouterStatus>> {
        Ok(self.lab.baton_status(host).map(|status| status.routers).unwrap_or_default())
    }

    /// Whether the agent of `owner` has a guardian, and the other node watches it for all of them.
    fn is_ready(&self, owner: Host) -> Result<bool> {
        if !self.system.is_baton() {
            // keepalived says nothing about when it takes part, but that is done by a child.
            return Ok(self.agent(owner.other())?.tree().len() > 1);
        }
        let is_watching = |router: &RouterStatus| router.watch.as_ref().is_some_and(|watch| watch.up);
        let watching = self.routers(owner.other())?.iter().filter(|router| is_watching(router)).count();
        Ok(watching == self.members.len() && self.lab.baton_status(owner)?.guardian.is_some())
    }

    fn wait_owned(&mut self, host: Host) -> Result<()> {
        let wanted = self.members.len();
        wait_until("the first agent to own all of them", START, || {
            let agent = self.agents[index(host)].as_mut().context("the agent was started")?;
            self.system.ensure_running(self.lab, host, agent)?;
            Ok(self.owned(host)? == wanted)
        })
        .with_context(|| self.told())
    }

    /// For errors: who owns how many of them.
    fn told(&self) -> String {
        let of = |host: Host| {
            self.owned(host).map_or_else(|_| "it does not say".to_owned(), |owned| owned.to_string())
        };
        let (all, a, b) = (self.members.len(), of(Host::A), of(Host::B));
        format!("{}, {all} virtual routers; owned by node a: {a}, by node b: {b}", self.system.name())
    }

    fn prepare(&self, host: Host) -> Result<()> {
        if !self.system.is_baton() {
            return self.lab.namespace(host).set("net/ipv4/conf/all/arp_ignore", "1");
        }
        let tables: String = self.members.iter().map(|member| self.table(host, member)).collect();
        self.lab.write_baton(host, &self.settings, &tables).map(drop)
    }

    fn table(&self, host: Host, member: &Member) -> String {
        let router = Router { vrid: member.vrid, priority: priority(host), vips: &member.vips };
        router_table(&member.link.interface(), &router, MacMode::Virtual, &self.settings)
    }

    fn start_agent(&mut self, host: Host) -> Result<()> {
        let agent = if self.system.is_baton() {
            self.lab.start_baton(host)?
        } else {
            let text = crowd_configuration(host, self.settings.interval_ms, &self.members);
            Keepalived::start_with(self.lab, host, &text, false)?
        };
        self.agents[index(host)] = Some(agent);
        Ok(())
    }

    fn restart(&mut self, host: Host) -> Result<()> {
        if let Some(mut agent) = self.agents[index(host)].take() {
            agent.wait(START)?;
        }
        if !self.system.is_baton() {
            self.remove_addresses(host)?;
        }
        self.start_agent(host)?;
        // keepalived says nothing about when it takes part.
        pause(Duration::from_millis(500))
    }

    /// Takes the addresses away that a killed keepalived leaves on its interfaces.
    fn remove_addresses(&self, host: Host) -> Result<()> {
        let file = self.lab.host_directory(host).join("remove-addresses");
        let mut lines = String::new();
        for Member { link, vips, .. } in &self.members {
            for vip in vips {
                let _ = writeln!(lines, "address del {vip}/32 dev {}", link.interface());
            }
        }
        fs::write(&file, lines)?;
        // It fails for those that are not there, which is as good; what is left after it is not.
        let _ = self.lab.run(host, "ip", &["-force", "-batch", &file.to_string_lossy()]);
        ensure!(self.owned(host)? == 0, "node {} keeps addresses", host.name());
        Ok(())
    }

    fn links(&self) -> Vec<Link> {
        Link::ALL.into_iter().filter(|link| self.members.iter().any(|member| member.link == *link)).collect()
    }
}

const fn index(host: Host) -> usize {
    match host {
        Host::A => 0,
        Host::B | Host::Client => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_no_more_than_its_identifiers() {
        for (count, links) in [(1, 1), (255, 1), (256, 2), (1000, 4), (1020, 4)] {
            let members = Member::spread(count).expect("enough links");
            let unique: BTreeSet<_> =
                members.iter().map(|member| (member.link.interface(), member.vrid)).collect();
            let used: BTreeSet<_> = members.iter().map(|member| member.link.interface()).collect();
            assert_eq!((unique.len(), used.len()), (usize::from(count), links));
        }
        assert!(Member::spread(1021).is_err());
    }
}
