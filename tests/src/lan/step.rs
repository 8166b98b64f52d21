//! What the agents and their data planes do when an event reaches them.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

use baton::guardian::Linger;
use baton::sbfd::Probe;
use baton::vrrp::{Action, Checksum, Input, Instant, Ownership, Reason, Role, Standing, Transition};
use baton_common::sbfd::Answer;

use super::{Agent, Lan, Sabotage, Violation, text};

/// What is going to happen of itself.
#[derive(Debug)]
pub(super) enum Event {
    /// A frame reaches a host.
    Arrive { from: usize, to: usize, frame: Vec<u8> },
    /// The ring shows a frame to the agent.
    Show { who: usize, life: u32 },
    /// A transmission is complete.
    Sent { who: usize, begun: Instant, life: u32 },
    /// A deadline has come.
    Wake { who: usize, wake: u64 },
    /// A stalled agent goes on.
    StallOver { who: usize, life: u32 },
    /// A guardian notices that its agent has died.
    Notice { who: usize, life: u32 },
    /// A guardian looks whether its dead agent has a successor.
    Watch { who: usize, killed: u32, linger: Linger },
    /// An S-BFD probe reaches a host.
    Probe { from: usize, to: usize, probe: Probe },
    /// An answer reaches the host that asked.
    Answer { from: usize, to: usize, answer: Answer },
}

impl Event {
    /// Whether only data planes see it, which write no cell that the judge looks at.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self, Self::Probe { .. } | Self::Answer { .. })
    }
}

impl Lan {
    /// Lets one event happen.
    pub(super) fn dispatch(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Arrive { from, to, frame } => {
                self.deliver(from, to, &frame);
                Ok(())
            }
            Event::Sent { who, begun, life } if life == self.hosts[who].life => {
                self.hosts[who].waiting.sent.push_back(begun);
                self.wake_up(who)
            }
            Event::Show { who, life } if life == self.hosts[who].life => self.wake_up(who),
            Event::Wake { who, wake } if wake == self.hosts[who].wake => {
                self.hosts[who].alarm = None;
                self.wake_up(who)
            }
            Event::StallOver { who, life } if life == self.hosts[who].life => self.go_on(who),
            Event::Notice { who, life } if life == self.hosts[who].life => self.gasp(who),
            Event::Watch { who, killed, linger } if killed == self.hosts[who].guardian.killed => {
                self.watch_successor(who, linger)
            }
            Event::Probe { from, to, probe } => {
                self.reflect(from, to, probe);
                Ok(())
            }
            Event::Answer { from, to, answer } => {
                self.keep_answer(from, to, &answer);
                Ok(())
            }
            Event::Show { .. }
            | Event::Sent { .. }
            | Event::Wake { .. }
            | Event::StallOver { .. }
            | Event::Notice { .. }
            | Event::Watch { .. } => Ok(()),
        }
    }

    /// A frame arrives: the XDP program stamps it, and the ring shows it to the agent soon.
    fn deliver(&mut self, from: usize, to: usize, frame: &[u8]) {
        let (now, late) = (self.now, self.lateness());
        let host = &mut self.hosts[to];
        if !host.carrier {
            return self.judge.lose(from, to, now);
        }
        self.judge.arrive(from, to);
        if !host.datapath {
            return;
        }
        let advertisement = host.read(frame).expect("it is sent to those that speak its version");
        host.mailbox = Some((now, advertisement));
        if advertisement.standing != Standing::Leaving {
            self.judge.inherit(to, now);
        }
        let host = &mut self.hosts[to];
        if host.agent != Agent::Dead {
            let soonest = host.deaf_until.max(now + late);
            let shown = host.waiting.ring.back().map_or(soonest, |(last, _)| soonest.max(*last));
            host.waiting.ring.push_back((shown, advertisement));
            let life = host.life;
            self.push(shown, Event::Show { who: to, life });
        }
    }

    fn wake_up(&mut self, who: usize) -> Result<(), Violation> {
        if self.runs(who) { self.round(who) } else { Ok(()) }
    }

    /// A stalled agent goes on: as the driver does, it reads what has arrived before it looks at the time.
    fn go_on(&mut self, who: usize) -> Result<(), Violation> {
        self.write_down(|| format!("-- StallOver({who})"));
        self.hosts[who].agent = Agent::Running;
        self.judge.disturb(self.now);
        self.judge.stir(who, self.now);
        self.round(who)
    }

    /// How late a host is, this time.
    pub(super) fn lateness(&mut self) -> Duration {
        Duration::from_nanos(self.random.between(0, self.network.conditions.latency))
    }

    /// One input of the time `at`, then all actions until none is left.
    pub(super) fn feed(&mut self, who: usize, input: Input<Ipv4Addr>, at: Instant) -> Result<(), Violation> {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let listened = self.hosts[who].router.active_router();
            let actions = self.hosts[who].router.handle(input, at);
            if actions.into_iter().next().is_some() {
                self.write_down(|| {
                    format!("{}  {}: {}", text::name(who), text::input(&input), text::actions(actions))
                });
            }
            let claims = actions.into_iter().any(claims);
            for action in actions {
                match action {
                    Action::SetOwnership(ownership) => {
                        if !claims {
                            self.judge.renewal(&self.hosts[who], ownership, self.now)?;
                        }
                        self.write(who, ownership);
                    }
                    Action::Transmit { standing, checksum } => {
                        if !self.transmit(who, standing, checksum) {
                            inputs.push_back(Input::TransmitFailed);
                        }
                    }
                    Action::Concede { checksum } => {
                        let standing = Standing::Active(self.hosts[who].router.parameters().priority);
                        self.transmit(who, standing, checksum);
                    }
                    Action::Announce => {}
                    Action::Report(transition) => {
                        let resumed = transition.reason == Reason::Resumed;
                        if transition.to == Role::Active && !resumed && !self.hosts[who].router.leaving() {
                            self.hosts[who].proof = self.now;
                        }
                        let peer = (who, listened);
                        self.judge.transition(&self.hosts, &self.network, peer, transition, self.now)?;
                        let lost = transition.reason == Reason::DatapathLost;
                        let waits = transition.reason == Reason::LinkDown || self.hosts[who].router.drained();
                        if transition.to == Role::Initialize && (lost || !waits) {
                            self.hosts[who].die();
                            self.hosts[who].datapath = !lost;
                        }
                    }
                }
            }
            if let Some(until) = self.hosts[who].router.lease_until() {
                self.judge.lease(&self.hosts[who], until, self.now)?;
            }
        }
        Ok(())
    }

    /// Writes the ownership cell.
    fn write(&mut self, who: usize, ownership: Ownership) {
        let host = &mut self.hosts[who];
        let interval = host.router.parameters().interval.duration();
        match (ownership, self.sabotage) {
            (Ownership::Lingering(_), Some(Sabotage::NoLinger)) => host.lease_until = Instant::default(),
            (Ownership::Held(until), Some(Sabotage::LongLease)) => host.lease_until = until + interval * 2,
            (Ownership::Held(until) | Ownership::Lingering(until) | Ownership::Offered(until), _) => {
                host.lease_until = until;
            }
            (Ownership::Released, Some(Sabotage::KeepsServing)) => {}
            (Ownership::Released, _) => host.lease_until = Instant::default(),
        }
        host.lingers = matches!(ownership, Ownership::Lingering(_) | Ownership::Offered(_));
        host.named = host.router.successor().or(host.named);
        host.offered = host.named.filter(|_| matches!(ownership, Ownership::Offered(_)));
    }

    /// Sends a frame to all others; false without a carrier.
    pub(super) fn transmit(&mut self, who: usize, standing: Standing, checksum: Checksum) -> bool {
        if !self.hosts[who].carrier {
            return false;
        }
        self.hosts[who].proof = self.now;
        let frames = self.hosts[who].frames(standing, checksum);
        for to in (0..self.hosts.len()).filter(|to| *to != who) {
            let mut is_lost = true;
            for frame in &frames {
                // In a version that is not spoken there.
                if self.hosts[to].read(frame).is_none() {
                    continue;
                }
                let arrivals = if self.hosts[to].carrier {
                    self.network.carry(who, to, self.now.as_nanos(), &mut self.random)
                } else {
                    Vec::new()
                };
                is_lost &= arrivals.is_empty();
                if self.is_late(&arrivals) {
                    self.judge.stray(who, to, self.now);
                }
                for at in arrivals {
                    let event = Event::Arrive { from: who, to, frame: frame.clone() };
                    self.push(Instant::from_nanos(at), event);
                }
            }
            if is_lost {
                self.judge.lose(who, to, self.now);
            }
        }
        if standing != Standing::Leaving {
            let late = self.lateness();
            let event = Event::Sent { who, begun: self.now, life: self.hosts[who].life };
            self.push(self.now + late, event);
        }
        true
    }
}

/// Whether an action tells of a router that has just claimed the role, or a handover taken back.
fn claims(action: Action) -> bool {
    match action {
        Action::Report(Transition { from, to, reason }) => {
            let begins = from != Role::Active && reason != Reason::Resumed;
            to == Role::Active && (begins || reason == Reason::HandoverRefused)
        }
        Action::SetOwnership(_) | Action::Transmit { .. } | Action::Concede { .. } | Action::Announce => {
            false
        }
    }
}
