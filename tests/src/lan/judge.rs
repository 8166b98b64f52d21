//! The invariants of the simulation. `README.md` states them in full; the names here are the ones used there.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use baton::vrrp::{Instant, Ownership, Reason, Role, Transition};

use super::delays::Delays;
use super::gasp::DeadLease;
use super::host::{Agent, Host};
use super::network::Network;
use super::succession::Succession;

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub rule: Rule,
    /// When.
    pub at: Instant,
    /// Who and how.
    pub details: String,
}

/// The invariants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A lease is no longer than the intervals that it may be from the last proof of life, and is not renewed once it has lapsed.
    Lease,
    /// Nobody takes over from a silent router before its lease has run out.
    Takeover,
    /// Watched by S-BFD, a router that serves is left alone, and one that does not is succeeded soon by the best.
    Succession,
    /// Two owners that hear each other settle it at once.
    Settle,
    /// Nobody preempts before its delay is over, or takes silence for an end before its hold is.
    Delay,
    /// Somebody owns within a stated time.
    Liveness,
    /// A planned move, or the death of an agent with a guardian, leaves no gap.
    NoGap,
    /// What a dead agent has owned is left to its successors in time, by a guardian that touches no other lease.
    Guardian,
    /// In the end there is one owner, and the right one.
    Outcome,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} violated at {}: {}", self.rule, super::text::time(self.at), self.details)
    }
}

/// What all hosts have to agree on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Advertisement_Interval.
    pub(super) interval: Duration,
    /// Advertisements that may be missed.
    pub(super) adverts: u32,
}

/// What the judge has to remember.
#[derive(Debug)]
pub(super) struct Judge {
    /// Every disturbance has died down before the next: nothing but a planned move or preemption excuses two owners.
    pub(super) strict: bool,
    /// What all hosts have agreed on.
    pub(super) terms: Terms,
    /// How long a contest may take.
    pub(super) settling: Duration,
    /// How late a host may be.
    pub(super) latency: Duration,
    /// When each host last claimed the role, was resumed, or came back to the others.
    pub(super) stirred: Vec<Instant>,
    /// Per sender and receiver: advertisements lost since the last that arrived, and when the last was lost.
    pub(super) lost: Vec<Vec<(u32, Option<Instant>)>>,
    /// The end of the time that somebody owned.
    pub(super) covered: Instant,
    /// The last disturbance from outside.
    pub(super) disturbed: Instant,
    /// Until when a planned move must leave no gap.
    planned: Instant,
    /// Per host, what its dead agent has left to its guardian.
    pub(super) dead_leases: Vec<Option<DeadLease>>,
    /// What it knows of S-BFD.
    pub(super) succession: Succession,
    /// What it knows of delays and holds.
    pub(super) delays: Delays,
}

impl Judge {
    /// A judge over `hosts` that have agreed on `terms`.
    pub(super) fn new(
        strict: bool,
        terms: Terms,
        settling: Duration,
        latency: Duration,
        hosts: usize,
    ) -> Self {
        let zero = Instant::default();
        Self {
            strict,
            terms,
            settling,
            latency,
            stirred: vec![zero; hosts],
            lost: vec![vec![(0, None); hosts]; hosts],
            covered: zero,
            disturbed: zero,
            planned: zero,
            dead_leases: vec![None; hosts],
            succession: Succession::new(hosts),
            delays: Delays::new(hosts),
        }
    }

    /// The world was disturbed at `now`; a planned move stops being one.
    pub(super) fn disturb(&mut self, now: Instant) {
        self.disturbed = now;
        self.planned = Instant::default();
        self.succession.promised = None;
    }

    /// A planned move away from an owner begins, and others are there to take over. They can only do so without a gap
    /// when they hear of it.
    pub(super) fn plan(&mut self, now: Instant) {
        if self.strict {
            self.planned = now + self.patience();
        }
    }

    /// `host` has had no chance to hear the others until `now`.
    pub(super) fn stir(&mut self, host: usize, now: Instant) {
        self.stirred[host] = now;
    }

    /// An advertisement got lost.
    pub(super) fn lose(&mut self, from: usize, to: usize, now: Instant) {
        let (count, at) = &mut self.lost[from][to];
        (*count, *at) = (*count + 1, Some(now));
    }

    /// An advertisement arrived.
    pub(super) fn arrive(&mut self, from: usize, to: usize) {
        self.delays.deaf_since[to] = None;
        self.lost[from][to].0 = 0;
    }

    /// How long nobody may own although somebody could: a Backup waits for the adverts that it may miss and its Skew_Time, at
    /// most an interval, and may have been told to begin anew by a frame that was still under way.
    fn patience(&self) -> Duration {
        self.terms.interval * (self.terms.adverts + 2) + self.settling
    }

    /// Rule Lease: judges what the core of `host` asks for.
    pub(super) fn lease(&self, host: &Host, until: Instant, now: Instant) -> Result<(), Violation> {
        if until > host.proof + self.terms.interval * self.terms.adverts {
            let details = format!("asks for {} on proof of {}", text(until), text(host.proof));
            return Err(Violation { rule: Rule::Lease, at: now, details });
        }
        Ok(())
    }

    /// Rule Lease: judges a write to the cell of `host` that comes without a claim. What is said of an advertisement that was
    /// read late may be over when it is written, and then does no harm.
    pub(super) fn renewal(&self, host: &Host, asked: Ownership, now: Instant) -> Result<(), Violation> {
        let until = match asked {
            Ownership::Held(until) | Ownership::Lingering(until) | Ownership::Offered(until) => until,
            Ownership::Released => return Ok(()),
        };
        if until > now && !host.owns(now) {
            let details = format!("renews a lease that lapsed at {}", text(host.lease_until));
            return Err(Violation { rule: Rule::Lease, at: now, details });
        }
        Ok(())
    }

    /// Rules Takeover and Succession: judges a transition of `who`, which listened to that router, while the cells still
    /// are what the others left.
    pub(super) fn transition(
        &mut self,
        hosts: &[Host],
        network: &Network,
        (who, listened): (usize, Option<Ipv4Addr>),
        transition: Transition,
        now: Instant,
    ) -> Result<(), Violation> {
        self.judge_delay(hosts, who, transition, now)?;
        if transition.to != Role::Active
            || (transition.from == Role::Active && transition.reason != Reason::HandoverRefused)
        {
            return Ok(());
        }
        for (other, host) in hosts.iter().enumerate() {
            if other == who || !host.owns(now) || host.lingers || !hears(hosts, network, who, other) {
                continue;
            }
            let silent = host.agent != Agent::Running;
            // A router that has been Active for long has sent as many advertisements in the time that a Backup waits as may
            // be missed, and the last may still be under way. One that stopped or began within that time has sent fewer.
            let began = now <= self.stirred[other] + self.terms.interval * self.terms.adverts + self.settling;
            if matches!(transition.reason, Reason::ActiveUnreachable | Reason::ActiveOutOfService) {
                self.is_no_mistake(hosts, (who, other), listened, transition.reason, now)?;
                continue;
            }
            let excused = if transition.reason == Reason::ActiveDown {
                self.lost[other][who].0 >= if silent || began { 1 } else { self.terms.adverts - 1 }
            } else {
                // Against a router that runs, these are contests, which rule Settle watches.
                !silent || !self.strict
            };
            if !excused && now > self.stirred[other] + self.settling {
                let details = format!(
                    "{who} takes over ({}) while {other} ({:?}) owns until {}",
                    transition.reason,
                    host.agent,
                    text(host.lease_until)
                );
                return Err(Violation { rule: Rule::Takeover, at: now, details });
            }
        }
        self.stirred[who] = now;
        Ok(())
    }

    /// Rules Settle, Liveness and NoGap: judges the time from `since` to `until`, in which no cell is written.
    pub(super) fn span(
        &mut self,
        hosts: &[Host],
        network: &Network,
        since: Instant,
        until: Instant,
    ) -> Result<(), Violation> {
        if hosts.iter().filter(|host| host.owns(since)).count() > 1 {
            for one in 0..hosts.len() {
                for other in one + 1..hosts.len() {
                    self.overlap(hosts, network, (one, other), since, until)?;
                }
            }
        }
        self.judge_dead_leases(hosts, since, until)?;
        let last = hosts.iter().max_by_key(|host| host.lease_until);
        if let Some(last) = last.filter(|host| host.owns(since)) {
            self.covered = last.lease_until.min(until);
            self.succession.owner = Some(last.address());
        }
        self.is_succeeded(hosts, until)?;
        if self.covered < until && self.covered < self.planned {
            let details = format!("nobody serves from {} to {}", text(self.covered), text(until));
            return Err(Violation { rule: Rule::NoGap, at: until, details });
        }
        let electable = hosts.iter().enumerate().any(|(who, host)| {
            host.is_present() && !host.router.drained() && !self.is_held(who, host, until)
        });
        // A ring that has been deaf shows old news, which postpones a takeover once more.
        let deaf_until = hosts.iter().map(|host| host.deaf_until).max().unwrap_or_default();
        let from = self.covered.max(self.disturbed).max(deaf_until);
        if electable && network.is_whole() && until > from + self.patience() {
            let details = format!("nobody serves from {} to {}", text(from), text(until));
            return Err(Violation { rule: Rule::Liveness, at: until, details });
        }
        Ok(())
    }

    fn overlap(
        &self,
        hosts: &[Host],
        network: &Network,
        (one, other): (usize, usize),
        since: Instant,
        until: Instant,
    ) -> Result<(), Violation> {
        let (a, b) = (&hosts[one], &hosts[other]);
        let end = until.min(a.lease_until).min(b.lease_until);
        let runs = a.agent == Agent::Running && b.agent == Agent::Running;
        if end <= since || !runs || a.lingers || b.lingers || !hears(hosts, network, one, other) {
            return Ok(());
        }
        let mut limit = self.stirred[one].max(self.stirred[other]) + self.settling;
        // The next advertisement of either comes within an interval.
        let losses = [self.lost[one][other].1, self.lost[other][one].1];
        for lost in losses.into_iter().flatten() {
            limit = limit.max(lost + self.terms.interval + self.settling);
        }
        // Who is deaf finds the other in the mailbox when its next advertisement is due.
        let deaf_until = a.deaf_until.max(b.deaf_until);
        limit = limit.max(deaf_until.min(limit + self.terms.interval) + self.settling);
        if end > limit {
            let details =
                format!("{one} and {other} both own until {}, allowed until {}", text(end), text(limit));
            return Err(Violation { rule: Rule::Settle, at: end, details });
        }
        Ok(())
    }

    /// Rule Outcome: judges a LAN that has been whole and undisturbed for long.
    pub(super) fn outcome(&self, hosts: &[Host], now: Instant) -> Result<(), Violation> {
        let wrong = |details: String| Err(Violation { rule: Rule::Outcome, at: now, details });
        let owners: Vec<usize> = (0..hosts.len()).filter(|host| hosts[*host].owns(now)).collect();
        let [owner] = owners[..] else {
            return wrong(format!("owners {owners:?}"));
        };
        for (who, host) in hosts.iter().enumerate() {
            let expected = if who == owner { Role::Active } else { Role::Backup };
            if host.router.role() != expected {
                return wrong(format!("{who} is {}, {owner} owns", host.router.role()));
            }
            // A preemption may be under way since its delay is over.
            let long_ago = Instant::from_nanos(
                now.as_nanos().saturating_sub(u64::try_from(self.patience().as_nanos()).expect("minutes")),
            );
            if who != owner && host.preempts(&hosts[owner], long_ago) {
                return wrong(format!("{who} does not preempt {owner}"));
            }
        }
        Ok(())
    }
}

/// Whether frames can pass between two hosts.
fn hears(hosts: &[Host], network: &Network, one: usize, other: usize) -> bool {
    network.connects(one, other) && hosts[one].carrier && hosts[other].carrier
}

pub(super) fn text(at: Instant) -> String {
    super::text::time(at)
}
