//! A simulated LAN of election cores under one virtual clock.
//!
//! Hosts exchange real frames, made by the builder and read by the parser, over a network that delays, loses, repeats,
//! reorders and partitions. Agents can be killed, stalled and restarted; each host's ownership cell is judged by its
//! lease, as the XDP program would, whatever its agent does. A judge checks the invariants between any two events.
//! Nothing but the seed decides what happens.

mod delays;
mod gasp;
mod guardian;
mod host;
mod judge;
mod network;
mod round;
mod sbfd;
mod step;
mod succession;
pub mod text;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use baton::vrrp::{Fitness, Input, Instant, Parameters, Priority, Role};

pub use judge::{Rule, Violation};
pub use network::Conditions;

use crate::random::Random;
use host::{Agent, Host};
use judge::{Judge, Terms};
use network::Network;
use sbfd::Watching;
use step::Event;

/// What can happen to a LAN from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disturbance {
    /// The agent of a host starts with a guardian, if it does not run.
    Start(usize),
    /// The agent of a host and its guardian die; the data plane goes on until the lease ends.
    Kill(usize),
    /// The agent of a host dies, and its guardian, if it has one, acts.
    KillAgent(usize),
    /// The guardian of a host dies, whatever it does at that time.
    KillGuardian(usize),
    /// The whole host dies.
    CutPower(usize),
    /// The agent of a host is stopped for a while.
    Stall(usize, Duration),
    /// The ring of a host shows nothing for a while: it is full, or nobody reads it yet.
    Deafen(usize, Duration),
    /// The operator hands the role over.
    Handover(usize),
    /// The operator hands the role over to that host.
    HandoverTo(usize, usize),
    /// The operator takes a host out of the election.
    Drain(usize),
    /// The operator lets it in again.
    Undrain(usize),
    /// What a host leads to falls out of order, as its trackers see it.
    Fail(usize),
    /// It is in order again.
    Recover(usize),
    /// Weights of trackers leave another priority.
    Weigh(usize, Priority),
    /// The agent goes over to another configuration: it ends without a word, and the next one begins at once.
    Restart(usize, Parameters<Ipv4Addr>),
    /// A client asks all for an address: who hears that is not deaf.
    Broadcast,
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
    /// No frame comes late or twice.
    Order,
}

/// A fault built into the simulation itself, to show that the judge notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Leases last two intervals too long.
    LongLease,
    /// Cells are not cleared when a router gives up.
    KeepsServing,
    /// A planned move clears the cell at once.
    NoLinger,
    /// Nobody is as patient as he was told to be.
    Impatience,
    /// Deadlines are missed.
    NoTimers,
    /// Every standby is told that it is the next in line.
    EverybodyNext,
    /// The data plane answers Up whether it serves or not.
    AlwaysUp,
    /// Answers are not waited for as long as they need.
    Haste,
    /// Guardians do nothing.
    IdleGuardian,
    /// Guardians release what they are to leave.
    HastyGuardian,
    /// Guardians do not look whose lease they shorten.
    BlindGuardian,
}

/// The LAN.
#[derive(Debug)]
pub struct Lan {
    hosts: Vec<Host>,
    network: Network,
    judge: Judge,
    random: Random,
    watching: Option<Watching>,
    /// Whether agents do not know at their start that all is in order.
    tracking: bool,
    now: Instant,
    /// Until when the judge has looked.
    judged: Instant,
    queue: BTreeMap<(Instant, u64), Event>,
    serial: u64,
    sabotage: Option<Sabotage>,
    log: Option<Vec<String>>,
}

impl Lan {
    /// A LAN of hosts with these parameters, none started. In a `strict` one the caller leaves time for every
    /// disturbance to die down before the next, and loses no frames.
    pub fn new(members: &[Parameters<Ipv4Addr>], conditions: Conditions, strict: bool, seed: u64) -> Self {
        let first = members.first().expect("a LAN has hosts");
        let terms = Terms { interval: first.interval.duration(), adverts: first.down_adverts.get().into() };
        let settling = Duration::from_nanos(conditions.settling_time());
        let latency = Duration::from_nanos(conditions.latency);
        Self {
            hosts: members.iter().map(|parameters| Host::new(*parameters)).collect(),
            judge: Judge::new(strict, terms, settling, latency, members.len()),
            network: Network::new(conditions, members.len()),
            random: Random::new(seed),
            watching: None,
            tracking: false,
            now: Instant::default(),
            judged: Instant::default(),
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

    /// Active routers are watched by S-BFD, by agents that start from now on. So many answers may be missing.
    pub fn watch(&mut self, multiplier: u8) {
        let Some(host) = self.hosts.first() else { return };
        let interval = host.router.parameters().interval.duration();
        let conditions = &self.network.conditions;
        let watching = Watching::new(conditions, interval, multiplier);
        self.judge.watch(watching);
        let hasty = self.sabotage == Some(Sabotage::Haste);
        self.watching = Some(if hasty { watching.hasty(conditions) } else { watching });
    }

    /// Agents that start from now on have to look first whether all is in order.
    pub fn track(&mut self) {
        self.tracking = true;
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
            if event.is_quiet() {
                self.now = at;
            } else {
                self.advance(at)?;
            }
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
        self.write_down(|| format!("-- {}", text::disturbance(disturbance)));
        if *disturbance != Disturbance::Broadcast {
            self.judge.disturb(self.now);
        }
        match *disturbance {
            Disturbance::Broadcast => self.broadcast(),
            Disturbance::Start(who) => self.start(who),
            Disturbance::Kill(who) => {
                self.hosts[who].die();
                self.lose_guardian(who);
                Ok(())
            }
            Disturbance::KillAgent(who) => {
                self.kill_agent(who);
                Ok(())
            }
            Disturbance::KillGuardian(who) => {
                self.lose_guardian(who);
                Ok(())
            }
            Disturbance::CutPower(who) => {
                self.hosts[who].go_dark();
                self.judge.forget_dead_lease(who);
                Ok(())
            }
            Disturbance::Stall(who, span) => {
                if self.hosts[who].agent == Agent::Running {
                    self.hosts[who].agent = Agent::Stalled;
                    let life = self.hosts[who].life;
                    self.push(self.now + span, Event::StallOver { who, life });
                }
                Ok(())
            }
            Disturbance::Deafen(who, span) => {
                let host = &mut self.hosts[who];
                host.deaf_until = host.deaf_until.max(self.now + span);
                Ok(())
            }
            Disturbance::Handover(who) => self.planned(who, Input::Handover { to: None }),
            Disturbance::HandoverTo(who, to) => {
                self.planned(who, Input::Handover { to: Some(self.hosts[to].address()) })
            }
            Disturbance::Drain(who) => self.planned(who, Input::Drain),
            Disturbance::Undrain(who) => {
                self.offer(who, Input::Undrain)?;
                if self.hosts[who].carrier { self.offer(who, Input::Startup) } else { Ok(()) }
            }
            Disturbance::Fail(who) => {
                self.hosts[who].is_failing = true;
                self.planned(who, self.hosts[who].tracked())
            }
            Disturbance::Recover(who) => {
                if std::mem::replace(&mut self.hosts[who].is_failing, false) {
                    self.judge.recover(who, self.now);
                }
                self.judge.stir(who, self.now);
                self.offer(who, self.hosts[who].tracked())
            }
            Disturbance::Weigh(who, priority) => {
                if priority > self.hosts[who].configured.priority {
                    self.judge.recover(who, self.now);
                }
                self.hosts[who].configured.priority = priority;
                self.judge.stir(who, self.now);
                self.offer(who, self.hosts[who].tracked())
            }
            Disturbance::Restart(who, parameters) => {
                self.hosts[who].configured = parameters;
                if self.hosts[who].agent == Agent::Dead {
                    return Ok(());
                }
                self.hosts[who].die();
                self.start(who)
            }
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
            Disturbance::Order => {
                (self.network.conditions.stragglers, self.network.conditions.duplicates) = (0, 0);
                Ok(())
            }
        }
    }

    fn start(&mut self, who: usize) -> Result<(), Violation> {
        if self.hosts[who].agent != Agent::Dead {
            return Ok(());
        }
        // A guardian notices a death sooner than a process starts.
        self.gasp(who)?;
        self.judge.forget_dead_lease(who);
        let host = &mut self.hosts[who];
        let sabotaged = self.sabotage == Some(Sabotage::Impatience);
        let obeyed = |told: Parameters<Ipv4Addr>| match sabotaged {
            true => Parameters { preempt_delay: Duration::ZERO, startup_hold: Duration::ZERO, ..told },
            false => told,
        };
        let input = host.start(self.tracking, obeyed, self.now);
        host.peers.set_profile(self.watching.map(|watching| watching.profile));
        for from in 0..self.hosts.len() {
            self.judge.arrive(from, who);
        }
        if self.hosts[who].carrier {
            self.offer(who, input)?;
        }
        self.offer(who, self.hosts[who].tracked())
    }

    /// A client on the first side of a partition speaks. Who hears it is not deaf from then on.
    fn broadcast(&mut self) -> Result<(), Violation> {
        for who in 0..self.hosts.len() {
            if self.network.sides[who] == 0 && self.hosts[who].carrier && self.hosts[who].datapath {
                self.judge.hear(who, self.now);
                self.offer(who, Input::FrameHeard)?;
            }
        }
        Ok(())
    }

    /// An operator's wish.
    fn planned(&mut self, who: usize, input: Input<Ipv4Addr>) -> Result<(), Violation> {
        self.expect_successor(who);
        self.offer(who, input)
    }

    /// A host is going to leave what it owns: when somebody is there to take over, nothing may be lost.
    fn expect_successor(&mut self, who: usize) {
        let ready = |(other, host): (usize, &Host)| {
            let takes_part = host.agent == Agent::Running && host.carrier;
            let wants = host.router.role() == Role::Backup && host.router.fitness() == Fitness::Fit;
            other != who && takes_part && wants
        };
        let owns = self.hosts[who].owns(self.now) && self.hosts[who].agent == Agent::Running;
        if owns && self.hosts.iter().enumerate().any(ready) {
            self.judge.plan(self.now);
        }
    }

    /// Gives a command to an agent, which it finds in its next round.
    fn offer(&mut self, who: usize, input: Input<Ipv4Addr>) -> Result<(), Violation> {
        match self.hosts[who].agent {
            Agent::Running => {
                self.hosts[who].waiting.commands.push_back(input);
                self.round(who)
            }
            Agent::Stalled => {
                self.hosts[who].waiting.commands.push_back(input);
                Ok(())
            }
            Agent::Dead => Ok(()),
        }
    }

    fn advance(&mut self, at: Instant) -> Result<(), Violation> {
        self.now = at;
        let since = std::mem::replace(&mut self.judged, at);
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
