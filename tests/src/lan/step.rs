//! What the agents and their data planes do when an event reaches them.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

use baton::vrrp::{Action, Checksum, Input, Instant, Ownership, Reason, Role, Standing, Transition};

use super::{Agent, Lan, Sabotage, Violation, text};

/// What is going to happen of itself.
#[derive(Debug)]
pub(super) enum Event {
    /// A frame reaches a host.
    Arrive { from: usize, to: usize, frame: Vec<u8> },
    /// A transmission is complete.
    Sent { who: usize, begun: Instant, life: u32 },
    /// A deadline has come.
    Wake { who: usize, wake: u64 },
    /// A stalled agent goes on.
    Resume { who: usize, life: u32 },
}

impl Lan {
    /// Lets one event happen.
    pub(super) fn dispatch(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Arrive { from, to, frame } => {
                if !self.hosts[to].carrier {
                    self.judge.lose(from, to, self.now);
                    return Ok(());
                }
                self.judge.arrive(from, to);
                let input = self.hosts[to].read(&frame);
                self.offer(to, input)
            }
            Event::Sent { who, begun, life } if life == self.hosts[who].life => {
                self.offer(who, Input::Transmitted(begun))
            }
            Event::Wake { who, wake } if wake == self.hosts[who].wake => {
                self.hosts[who].alarm = None;
                if self.hosts[who].agent == Agent::Running && self.sabotage != Some(Sabotage::NoTimers) {
                    self.feed(who, Input::Timer)?;
                }
                Ok(())
            }
            Event::Resume { who, life } if life == self.hosts[who].life => self.resume(who),
            Event::Sent { .. } | Event::Wake { .. } | Event::Resume { .. } => Ok(()),
        }
    }

    /// A stalled agent goes on: as the driver does, it reads what has arrived before it looks at the time.
    fn resume(&mut self, who: usize) -> Result<(), Violation> {
        self.write_down(|| format!("-- Resume({who})"));
        self.hosts[who].agent = Agent::Running;
        self.judge.disturb(self.now);
        self.judge.stir(who, self.now);
        while let Some(input) = self.hosts[who].inbox.pop_front() {
            self.feed(who, input)?;
        }
        self.feed(who, Input::Timer)
    }

    /// One input, then all actions until none is left.
    pub(super) fn feed(&mut self, who: usize, input: Input<Ipv4Addr>) -> Result<(), Violation> {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let actions = self.hosts[who].router.handle(input, self.now);
            if actions.into_iter().next().is_some() {
                self.write_down(|| {
                    let name = char::from(b'a' + u8::try_from(who).unwrap_or(25));
                    format!("{name}  {}: {}", text::input(&input), text::actions(actions))
                });
            }
            let claims = actions.into_iter().any(claims);
            for action in actions {
                match action {
                    Action::SetOwnership(ownership) => {
                        if ownership != Ownership::Released && !claims {
                            self.judge.renewal(&self.hosts[who], self.now)?;
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
                        if transition.to == Role::Active && !self.hosts[who].router.leaving() {
                            self.hosts[who].proof = self.now;
                        }
                        self.judge.transition(&self.hosts, &self.network, who, transition, self.now)?;
                        if transition.to == Role::Initialize && transition.reason != Reason::LinkDown {
                            self.hosts[who].die();
                        }
                    }
                }
            }
            if let Some(until) = self.hosts[who].router.lease_until() {
                self.judge.lease(&self.hosts[who], until, self.now)?;
            }
        }
        self.set_alarm(who);
        Ok(())
    }

    /// Writes the ownership cell.
    fn write(&mut self, who: usize, ownership: Ownership) {
        let host = &mut self.hosts[who];
        let interval = host.router.parameters().interval.duration();
        match (ownership, self.sabotage) {
            (Ownership::Lingering(_), Some(Sabotage::NoLinger)) => host.lease_until = Instant::default(),
            (Ownership::Held(until), Some(Sabotage::LongLease)) => host.lease_until = until + interval * 2,
            (Ownership::Held(until) | Ownership::Lingering(until), _) => host.lease_until = until,
            (Ownership::Released, Some(Sabotage::KeepsServing)) => {}
            (Ownership::Released, _) => host.lease_until = Instant::default(),
        }
        host.lingers = matches!(ownership, Ownership::Lingering(_));
    }

    /// Sends a frame to all others; false without a carrier.
    fn transmit(&mut self, who: usize, standing: Standing, checksum: Checksum) -> bool {
        if !self.hosts[who].carrier {
            return false;
        }
        self.hosts[who].proof = self.now;
        let frame = self.hosts[who].frame(standing, checksum);
        for to in (0..self.hosts.len()).filter(|to| *to != who) {
            let arrivals = if self.hosts[to].carrier {
                self.network.carry(who, to, self.now.as_nanos(), &mut self.random)
            } else {
                Vec::new()
            };
            if arrivals.is_empty() {
                self.judge.lose(who, to, self.now);
            }
            for at in arrivals {
                let event = Event::Arrive { from: who, to, frame: frame.clone() };
                self.push(Instant::from_nanos(at), event);
            }
        }
        if standing != Standing::Leaving {
            let latency = self.random.between(0, self.network.conditions.latency);
            let event = Event::Sent { who, begun: self.now, life: self.hosts[who].life };
            self.push(self.now + Duration::from_nanos(latency), event);
        }
        true
    }

    /// Arranges for the agent to be woken at its deadline.
    fn set_alarm(&mut self, who: usize) {
        let host = &mut self.hosts[who];
        let deadline = host.router.deadline();
        if deadline == host.alarm {
            return;
        }
        host.alarm = deadline;
        host.wake += 1;
        let wake = host.wake;
        let latency = Duration::from_nanos(self.random.between(0, self.network.conditions.latency));
        if let Some(deadline) = deadline {
            self.push(deadline.max(self.now) + latency, Event::Wake { who, wake });
        }
    }
}

/// Whether an action tells of a router that has just claimed the role, or a handover taken back.
fn claims(action: Action) -> bool {
    match action {
        Action::Report(Transition { from, to, reason }) => {
            to == Role::Active && (from != Role::Active || reason == Reason::HandoverRefused)
        }
        Action::SetOwnership(_) | Action::Transmit { .. } | Action::Concede { .. } | Action::Announce => {
            false
        }
    }
}
