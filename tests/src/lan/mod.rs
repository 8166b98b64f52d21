//! A simulated LAN of election cores under one virtual clock.
//!
//! Hosts exchange real frames, made by the builder and read by the parser, over a network that delays, loses, repeats,
//! reorders and partitions. Agents can be killed, stalled and restarted; each host's ownership cell is judged by its
//! lease, as the XDP program would, whatever its agent does. A judge checks the invariants between any two events.
//! Nothing but the seed decides what happens.

mod host;
mod judge;
mod network;
mod step;
pub mod text;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use baton::vrrp::{Input, Instant, Parameters, Role, VirtualRouter};

pub use judge::{Rule, Violation};
pub use network::Conditions;

use crate::random::Random;
use host::{Agent, Host};
use judge::Judge;
use network::Network;
use step::Event;

/// What can happen to a LAN from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disturbance {
    /// The agent of a host starts, if it does not run.
    Start(usize),
    /// The agent of a host dies; its data plane goes on until the lease ends.
    Kill(usize),
    /// The whole host dies.
    CutPower(usize),
    /// The agent of a host is stopped for a while.
    Stall(usize, Duration),
    /// The operator hands the role over.
    Handover(usize),
    /// The operator stops the agent.
    Shutdown(usize),
    /// The interface of a host loses its carrier.
    Unplug(usize),
    /// The carrier comes back.
    Plug(usize),
    /// The agent of a host notices that somebody took the XDP program off its interface.
    LoseDatapath(usize),
    /// Only hosts on the same side hear each other.
    Partition(Vec<u8>),
    /// All hosts hear each other, and no frame is lost.
    Heal,
}

/// A fault built into the simulation itself, to show that the judge notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Leases last five intervals.
    LongLease,
    /// Cells are not cleared when a router gives up.
    KeepsServing,
    /// A planned move clears the cell at once.
    NoLinger,
    /// Deadlines are missed.
    NoTimers,
}

/// The LAN.
#[derive(Debug)]
pub struct Lan {
    hosts: Vec<Host>,
    network: Network,
    judge: Judge,
    random: Random,
    now: Instant,
    queue: BTreeMap<(Instant, u64), Event>,
    serial: u64,
    sabotage: Option<Sabotage>,
    log: Option<Vec<String>>,
}

impl Lan {
    /// A LAN of hosts with these parameters, none started. In a `strict` one the caller leaves time for every
    /// disturbance to die down before the next, and loses no frames.
    pub fn new(members: &[Parameters<Ipv4Addr>], conditions: Conditions, strict: bool, seed: u64) -> Self {
        let interval = members.first().map_or(Duration::ZERO, |member| member.interval.duration());
        let settling = Duration::from_nanos(conditions.settling_time());
        Self {
            hosts: members.iter().map(|parameters| Host::new(*parameters)).collect(),
            judge: Judge::new(strict, interval, settling, members.len()),
            network: Network::new(conditions, members.len()),
            random: Random::new(seed),
            now: Instant::default(),
            queue: BTreeMap::new(),
            serial: 0,
            sabotage: None,
            log: None,
        }
    }

    /// Builds a fault in.
    pub fn sabotage(&mut self, sabotage: Sabotage) {
        self.sabotage = Some(sabotage);
    }

    /// Writes down from now on what happens.
    pub fn record(&mut self) {
        self.log = Some(Vec::new());
    }

    /// What was written down.
    pub fn recorded(&self) -> String {
        self.log.iter().flatten().fold(String::new(), |text, line| text + line + "\n")
    }

    /// The hosts whose data plane serves the addresses.
    pub fn owners(&self) -> Vec<usize> {
        (0..self.hosts.len()).filter(|who| self.hosts[*who].owns(self.now)).collect()
    }

    /// Lets the time pass.
    pub fn run_for(&mut self, span: Duration) -> Result<(), Violation> {
        let end = self.now + span;
        while let Some(entry) = self.queue.first_entry()
            && entry.key().0 <= end
        {
            let ((at, _), event) = entry.remove_entry();
            self.advance(at)?;
            self.dispatch(event)?;
        }
        self.advance(end)
    }

    /// Judges the end of a run: the LAN has been whole and undisturbed for long.
    pub fn outcome(&self) -> Result<(), Violation> {
        self.judge.outcome(&self.hosts, self.now)
    }

    /// Makes something happen.
    pub fn disturb(&mut self, disturbance: &Disturbance) -> Result<(), Violation> {
        self.write_down(|| format!("-- {disturbance:?}"));
        self.judge.disturb(self.now);
        match *disturbance {
            Disturbance::Start(who) => self.start(who),
            Disturbance::Kill(who) => {
                self.hosts[who].die();
                Ok(())
            }
            Disturbance::CutPower(who) => {
                self.hosts[who].die();
                self.hosts[who].lease_until = Instant::default();
                Ok(())
            }
            Disturbance::Stall(who, span) => {
                if self.hosts[who].agent == Agent::Running {
                    self.hosts[who].agent = Agent::Stalled;
                    let life = self.hosts[who].life;
                    self.push(self.now + span, Event::Resume { who, life });
                }
                Ok(())
            }
            Disturbance::Handover(who) => self.planned(who, Input::Handover),
            Disturbance::Shutdown(who) => self.planned(who, Input::Shutdown),
            Disturbance::Unplug(who) => {
                self.hosts[who].carrier = false;
                self.offer(who, Input::LinkDown)
            }
            Disturbance::Plug(who) => {
                if self.hosts[who].carrier {
                    return Ok(());
                }
                self.hosts[who].carrier = true;
                self.judge.stir(who, self.now);
                self.offer(who, Input::Startup)
            }
            Disturbance::LoseDatapath(who) => self.offer(who, Input::DatapathLost),
            Disturbance::Partition(ref sides) => {
                self.network.sides.clone_from(sides);
                self.stir_all();
                Ok(())
            }
            Disturbance::Heal => {
                self.network.sides.fill(0);
                self.network.conditions.loss = 0;
                self.stir_all();
                Ok(())
            }
        }
    }

    /// A new agent starts from nothing but the checksum flavour that the old one remembered.
    fn start(&mut self, who: usize) -> Result<(), Violation> {
        let host = &mut self.hosts[who];
        if host.agent != Agent::Dead {
            return Ok(());
        }
        host.die();
        host.agent = Agent::Running;
        host.router = VirtualRouter::new(*host.router.parameters(), host.router.heard());
        host.lease_until = Instant::default();
        for from in 0..self.hosts.len() {
            self.judge.arrive(from, who);
        }
        if self.hosts[who].carrier { self.feed(who, Input::Startup) } else { Ok(()) }
    }

    /// An operator's wish. When somebody is there to take over, nothing may be lost.
    fn planned(&mut self, who: usize, input: Input<Ipv4Addr>) -> Result<(), Violation> {
        let ready = |(other, host): (usize, &Host)| {
            other != who && host.agent == Agent::Running && host.carrier && host.router.role() == Role::Backup
        };
        let owns = self.hosts[who].owns(self.now) && self.hosts[who].agent == Agent::Running;
        if owns && self.hosts.iter().enumerate().any(ready) {
            self.judge.plan(self.now);
        }
        self.offer(who, input)
    }

    /// Gives an input to an agent: now if it runs, later if it is stalled.
    fn offer(&mut self, who: usize, input: Input<Ipv4Addr>) -> Result<(), Violation> {
        match self.hosts[who].agent {
            Agent::Running => self.feed(who, input),
            Agent::Stalled => {
                self.hosts[who].inbox.push_back(input);
                Ok(())
            }
            Agent::Dead => Ok(()),
        }
    }

    fn advance(&mut self, at: Instant) -> Result<(), Violation> {
        let since = std::mem::replace(&mut self.now, at);
        self.judge.span(&self.hosts, &self.network, since, at)
    }

    fn push(&mut self, at: Instant, event: Event) {
        self.serial += 1;
        self.queue.insert((at, self.serial), event);
    }

    fn stir_all(&mut self) {
        for who in 0..self.hosts.len() {
            self.judge.stir(who, self.now);
        }
    }

    fn write_down(&mut self, line: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            log.push(format!("{:>16}  {}", text::time(self.now), line()));
        }
    }
}
