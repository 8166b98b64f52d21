//! The initiator of Seamless BFD (RFC 7880 7.3, RFC 7881 5): does the Active router that a Backup listens to serve?
//!
//! The peer answers from XDP, so its scheduling does not matter: Up while it owns the virtual router, AdminDown when its
//! lease has lapsed or it wants to be succeeded, nothing when it or the way to it is dead. Does no IO, like the election
//! core: time and answers are arguments, probes and findings are what comes out, and the rule is the same. Feed, carry
//! out, sleep to the deadline.
//!
//! ```text
//!              answer Up                                    answer AdminDown: OutOfService
//!   Down ------------------------> Up (all of a peer's sessions share one rhythm) --------> Down
//!   probe each second or less                | multiplier probes in a row without answer: Unreachable
//!                                            +-------------------------------------------> Down
//! ```
//!
//! What keeps it honest: misses are counted, one at most per call, so that a stalled caller convicts nobody; none is convicted
//! before every CPU of this host has run since the first of them, see [`crate::stall`]; an advertisement is as good as an
//! answer.

mod peers;
mod session;
#[cfg(test)]
mod tests;
mod watch;

use std::time::Duration;

pub use peers::{Peers, Spoken, has_given_way};
pub use session::Session;
pub use watch::{Probe, Step, Watch};

/// How often an Active router is probed, and how many answers may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Between two probes that are answered, less 0 to 25 % (RFC 5880 6.8.7).
    pub interval: Duration,
    /// How long an answer is waited for before the next probe follows, less as much. Desired Min TX Interval.
    pub patience: Duration,
    /// Detection multiplier.
    pub multiplier: u8,
}

impl Profile {
    /// Takes silence of some 150 us for death, at twice the cost: for networks where no frame is ever late by as much.
    pub const FASTEST: Self = Self::new(50, 50, 3);
    /// Of some 225 us. For hosts with real-time rights.
    pub const FAST: Self = Self::new(100, 75, 3);
    /// In about 1 ms, with more patience.
    pub const STEADY: Self = Self::new(200, 200, 5);
    /// In about 1.6 ms, at a fifth of the cost. For hosts without real-time rights.
    pub const RELAXED: Self = Self::new(500, 500, 3);

    /// What each of `links` can have of it, with one election thread for all: together they are probed no more often than one
    /// link by [`Self::FASTEST`], which takes half of a core. An answer that is missing is noticed as fast as ever.
    #[must_use]
    pub fn among(self, links: usize) -> Self {
        let links = u32::try_from(links).unwrap_or(u32::MAX);
        Self { interval: self.interval.max(Self::FASTEST.interval.saturating_mul(links)), ..self }
    }

    const fn new(interval_us: u64, patience_us: u64, multiplier: u8) -> Self {
        let (interval, patience) = (Duration::from_micros(interval_us), Duration::from_micros(patience_us));
        Self { interval, patience, multiplier }
    }
}
