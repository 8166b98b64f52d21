//! The rule about guardians: what a dead agent has owned is left to its successors in time, and a new agent's lease is its
//! own.

use baton::vrrp::{Instant, LINGER_MARGIN};

use super::guardian::pause;
use super::host::{Agent, Host};
use super::judge::{Judge, Rule, Violation, text};

/// What a dead agent has left to its guardian.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estate {
    /// When it must be over.
    by: Instant,
    /// When the guardian has acted.
    noticed: Option<Instant>,
}

impl Judge {
    /// The agent of `host` has died, and its guardian must end its ownership.
    pub(super) fn leave(&mut self, host: usize, by: Instant) {
        self.estates[host] = Some(Estate { by, noticed: None });
    }

    /// The guardian of `host` has acted.
    pub(super) fn notice(&mut self, host: usize, now: Instant) {
        if let Some(estate) = &mut self.estates[host] {
            estate.noticed = Some(now);
        }
    }

    /// A router that serves has spoken to `host`: on a good LAN that is the successor, which the guardian hears with its next
    /// look. On a bad one another word may hide this one.
    pub(super) fn inherit(&mut self, host: usize, now: Instant) {
        let soon = now + LINGER_MARGIN + pause(self.interval) + self.latency;
        if let Some(Estate { by, noticed: Some(noticed) }) = &mut self.estates[host]
            && self.strict
            && *noticed < now
        {
            *by = soon.min(*by);
        }
    }

    /// `host` has a new agent, no guardian any more, or no power.
    pub(super) fn forget_estate(&mut self, host: usize) {
        self.estates[host] = None;
    }

    /// Rule Estate: judges a guardian that writes the cell of `host`.
    pub(super) fn bequest(&self, host: &Host, now: Instant) -> Result<(), Violation> {
        if host.agent != Agent::Dead && host.router.lease_until().is_some() {
            let details = format!("a guardian shortens the lease of the new agent of {}", host.address());
            return Err(Violation { rule: Rule::Estate, at: now, details });
        }
        Ok(())
    }

    /// Rule Estate: judges the time from `since` to `until`, in which no cell is written.
    pub(super) fn estates(&self, hosts: &[Host], since: Instant, until: Instant) -> Result<(), Violation> {
        for (who, (host, estate)) in hosts.iter().zip(&self.estates).enumerate() {
            let Some(Estate { by, .. }) = *estate else { continue };
            let end = host.lease_until.min(until);
            if host.owns(since) && end > by {
                let details = format!("dead {who} owns until {}, allowed until {}", text(end), text(by));
                return Err(Violation { rule: Rule::Estate, at: end, details });
            }
        }
        Ok(())
    }
}
