//! A session: one virtual router and the peer that is Active for it.

use std::time::Duration;

use baton_common::sbfd::{Answer, FINAL, STATE_MASK, STATE_UP};

use crate::vrrp::{Failure, Instant};

/// While a session is not Up, a probe each second at the most (RFC 5880 6.8.3, RFC 7880 7.3.3).
pub(super) const SLOW: Duration = Duration::from_secs(1);
/// A peer that never answers is none of Baton's, and is asked ever more rarely.
const SLOWEST: Duration = Duration::from_secs(64);

/// One virtual router's session.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// Index of the virtual router.
    pub router: usize,
    /// The peer's discriminator for it.
    pub discriminator: u32,
    /// Whether this host is the best of those that probe the peer.
    pub next_in_line: bool,
    pub(super) state: State,
    /// The last probe, and whether its answer has come.
    pub(super) sequence: u32,
    pub(super) answered: bool,
    /// Whether a Poll Sequence runs: the peer has not yet confirmed the interval (RFC 5880 6.8.3).
    pub(super) polling: bool,
    /// What the peer can take (Required Min RX).
    pub(super) required_min_rx: Duration,
    patience: Duration,
}

/// RFC 7880 7.3.1; an initiator has no Init.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Probed slowly; the next probe is due then.
    Down(Instant),
    /// Probed fast.
    Up,
}

impl Session {
    /// A session whose first probe is due at once: a second without would be a second of blindness.
    pub(super) fn new(router: usize, discriminator: u32, now: Instant) -> Self {
        Self {
            router,
            discriminator,
            next_in_line: false,
            state: State::Down(now),
            sequence: 0,
            answered: true,
            polling: true,
            required_min_rx: Duration::ZERO,
            patience: SLOW,
        }
    }

    /// Whether the peer has said that it serves.
    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// Notes that a slow probe leaves now.
    pub(super) fn wait(&mut self, now: Instant, jitter: impl Fn(Duration) -> Duration) {
        self.state = State::Down(now + jitter(self.patience));
        self.patience = SLOWEST.min(self.patience * 2);
    }

    /// The peer does not answer, or does not serve.
    pub(super) fn go_down(&mut self, now: Instant) {
        self.state = State::Down(now + SLOW);
        self.polling = true;
        self.answered = true;
    }

    /// Takes in what the answer cell holds; nothing if that is no answer to the last probe.
    pub(super) fn hear(&mut self, answer: &Answer, now: Instant) -> Option<Failure> {
        if self.answered || answer.sequence != self.sequence || answer.discriminator != self.discriminator {
            return None;
        }
        self.answered = true;
        self.next_in_line = answer.next_in_line != 0;
        self.patience = SLOW;
        if answer.state & STATE_MASK == STATE_UP {
            self.state = State::Up;
            self.polling &= answer.state & FINAL == 0;
            self.required_min_rx = Duration::from_micros(answer.required_min_rx_us.into());
            return None;
        }
        let served = self.is_up();
        self.go_down(now);
        served.then_some(Failure::OutOfService)
    }
}
