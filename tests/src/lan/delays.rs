//! The rule about patience: who is told to leave the role to a weaker router for a while, or not to count silence before it
//! has heard anything, does so; and no longer.

use baton::vrrp::{Instant, Reason, Role, Transition};

use super::host::Host;
use super::judge::{Judge, Rule, Violation, text};

/// Intervals beyond a Backup's wait in which a word of the last resort may still be read: as long as a stall may take, and more.
const OLD_NEWS: u32 = 10;

/// What the judge has to remember for it.
#[derive(Debug)]
pub(super) struct Delays {
    /// When each host last became Backup or its trackers recovered.
    able_since: Vec<Instant>,
    /// Since when each host has heard nothing, if it has not since it started.
    pub(super) deaf_since: Vec<Option<Instant>>,
    /// When a host was last failing, whom anybody relieves at once.
    last_resort: Option<Instant>,
}

impl Delays {
    /// Nothing is known of so many hosts.
    pub(super) fn new(hosts: usize) -> Self {
        Self { able_since: vec![Instant::default(); hosts], deaf_since: vec![None; hosts], last_resort: None }
    }
}

impl Judge {
    /// The trackers of `host` have found more in order than before.
    pub(super) fn recover(&mut self, host: usize, now: Instant) {
        self.delays.able_since[host] = now;
        self.delays.last_resort = Some(now);
    }

    /// A frame of a client reaches `host`, which begins to wait for adverts now if it was deaf.
    pub(super) fn hear(&mut self, host: usize, now: Instant) {
        if self.delays.deaf_since[host].take().is_some() {
            self.disturbed = now;
        }
    }

    /// Whether `host` need not take over yet, although nobody serves: it may be held, and then waits like any Backup.
    pub(super) fn is_held(&self, who: usize, host: &Host, now: Instant) -> bool {
        let wait =
            host.configured.startup_hold + self.terms.interval * (self.terms.adverts + 1) + self.settling;
        self.delays.deaf_since[who].is_some_and(|since| now <= since + wait)
    }

    /// Rule Delay: judges a transition of `who`, and learns from it.
    pub(super) fn judge_delay(
        &mut self,
        hosts: &[Host],
        who: usize,
        transition: Transition,
        now: Instant,
    ) -> Result<(), Violation> {
        let Transition { from, to, reason } = transition;
        if hosts.iter().any(|host| host.is_failing) {
            self.delays.last_resort = Some(now);
        }
        let configured = &hosts[who].configured;
        let wrong = |until: Instant| {
            let details = format!("{who} takes over ({reason}), which it must not before {}", text(until));
            Err(Violation { rule: Rule::Delay, at: now, details })
        };
        if to == Role::Active && reason == Reason::Preempted {
            let until = self.delays.able_since[who] + configured.preempt_delay;
            let relief = self.terms.interval * (self.terms.adverts + OLD_NEWS) + self.settling;
            let relieves = self.delays.last_resort.is_some_and(|last| now <= last + relief);
            if now < until && !relieves {
                return wrong(until);
            }
        }
        if let (Role::Active, Reason::ActiveDown, Some(since)) = (to, reason, self.delays.deaf_since[who])
            && now < since + configured.startup_hold
        {
            return wrong(since + configured.startup_hold);
        }
        if to == Role::Backup && from != to {
            self.delays.able_since[who] = now;
        }
        if from != to {
            self.delays.deaf_since[who] = Some(now).filter(|_| reason == Reason::Startup);
        }
        Ok(())
    }
}
