//! The rule about guardians: what a dead agent has owned is left to its successors in time, and a new agent's lease is its
//! own.

use baton::vrrp::{Instant, LINGER_MARGIN};

use super::guardian::pause;
use super::host::{Agent, Host};
use super::judge::{Judge, Rule, Violation, text};

/// The lease that a dead agent has left to its guardian.
#[derive(Clone, Copy, Debug)]
pub(super) struct DeadLease {
    /// When it must be over.
    by: Instant,
    /// When the guardian has acted.
    noticed: Option<Instant>,
}

impl Judge {
    /// The agent of `host` has died, and its guardian must end its ownership.
    pub(super) fn leave(&mut self, host: usize, by: Instant) {
        self.dead_leases[host] = Some(DeadLease { by, noticed: None });
    }

    /// The guardian of `host` has acted.
    pub(super) fn notice(&mut self, host: usize, now: Instant) {
        if let Some(lease) = &mut self.dead_leases[host] {
            lease.noticed = Some(now);
        }
    }

    /// A router that serves has spoken to `host`: on a good LAN that is the successor, which the guardian hears with its next
    /// look. On a bad one another word may hide this one.
    pub(super) fn inherit(&mut self, host: usize, now: Instant) {
        let soon = now + LINGER_MARGIN + pause(self.terms.interval) + self.latency;
        if let Some(DeadLease { by, noticed: Some(noticed) }) = &mut self.dead_leases[host]
            && self.strict
            && *noticed < now
        {
            *by = soon.min(*by);
        }
    }

    /// `host` has a new agent, no guardian any more, or no power.
    pub(super) fn forget_dead_lease(&mut self, host: usize) {
        self.dead_leases[host] = None;
    }

    /// Rule Guardian: judges a guardian that writes the cell of `host`.
    pub(super) fn judge_gasp(&self, host: &Host, now: Instant) -> Result<(), Violation> {
        if host.agent != Agent::Dead && host.router.lease_until().is_some() {
            let details = format!("a guardian shortens the lease of the new agent of {}", host.address());
            return Err(Violation { rule: Rule::Guardian, at: now, details });
        }
        Ok(())
    }

    /// Rule Guardian: judges the time from `since` to `until`, in which no cell is written.
    pub(super) fn judge_dead_leases(
        &self,
        hosts: &[Host],
        since: Instant,
        until: Instant,
    ) -> Result<(), Violation> {
        for (who, (host, lease)) in hosts.iter().zip(&self.dead_leases).enumerate() {
            let Some(DeadLease { by, .. }) = *lease else { continue };
            let end = host.lease_until.min(until);
            if host.owns(since) && end > by {
                let details = format!("dead {who} owns until {}, allowed until {}", text(end), text(by));
                return Err(Violation { rule: Rule::Guardian, at: end, details });
            }
        }
        Ok(())
    }
}
