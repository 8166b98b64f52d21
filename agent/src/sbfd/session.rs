//! A session: one virtual router and the peer that is Active for it.

use std::time::Duration;

use baton_common::sbfd::{Answer, FINAL, STATE_MASK, STATE_UP};

use crate::vrrp::{Failure, Instant};

/// While a session is not Up, a probe each second at the most (RFC 5880 6.8.3, RFC 7880 7.3.3).
pub(super) const SLOW: Duration = Duration::from_secs(1);
/// Before the first probe. The peer may have become Active this moment, and the switches between must have heard it from its
/// new place: a first probe that is lost means blindness until the second.
const SETTLING: Duration = Duration::from_millis(20);
/// A peer that never answers is none of Baton's, and is asked ever more rarely.
const SLOWEST: Duration = Duration::from_secs(64);

/// One virtual router's session.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// Index of the virtual router.
    pub router: usize,
    /// The peer's discriminator for it.
    pub discriminator: u32,
    /// Where the peer's advertisements for it come from: probing that address tests the way that its clients use.
    pub mac: [u8; 6],
    /// Whether this host is the best of those that probe the peer.
    pub next_in_line: bool,
    pub(super) state: State,
    /// The last probe and when it left, and the last one whose answer has come.
    pub(super) sequence: u32,
    pub(super) sent_at: Instant,
    accepted: u32,
    /// What arrived earlier answers probes of another session.
    since: Instant,
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

/// What an answer tells beside the state of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trip {
    /// It came before the next probe left, after this time.
    InTime(Duration),
    /// Later probes had left meanwhile.
    Late,
}

impl Session {
    /// A session whose first probe is due when the way to the peer has settled.
    pub(super) fn new(router: usize, discriminator: u32, mac: [u8; 6], now: Instant) -> Self {
        Self {
            router,
            discriminator,
            mac,
            next_in_line: false,
            state: State::Down(now + SETTLING),
            sequence: 0,
            sent_at: now,
            accepted: 0,
            since: now,
            polling: true,
            required_min_rx: Duration::ZERO,
            patience: SLOW,
        }
    }

    /// Whether an answer to its last probe is waited for.
    pub fn is_waiting(&self) -> bool {
        self.accepted != self.sequence
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
        self.accepted = self.sequence;
    }

    /// Takes in what the answer cell holds; `None` if that answers no probe since the last one that was answered. A late
    /// answer is an answer: the way may be longer than the patience. `claimed` is when the peer last advertised that it is
    /// Active.
    pub(super) fn hear(
        &mut self,
        answer: &Answer,
        claimed: Instant,
        now: Instant,
    ) -> Option<(Trip, Option<Failure>)> {
        let arrived = Instant::from_nanos(answer.arrived_ns);
        let (ahead, open) =
            (answer.sequence.wrapping_sub(self.accepted), self.sequence.wrapping_sub(self.accepted));
        if ahead == 0 || ahead > open || answer.discriminator != self.discriminator || arrived < self.since {
            return None;
        }
        let trip = match answer.sequence == self.sequence {
            true => Trip::InTime(arrived.saturating_since(self.sent_at)),
            false => Trip::Late,
        };
        self.accepted = answer.sequence;
        // The caller was stalled, and the peer has come back meanwhile.
        if self.is_up() && arrived < claimed {
            return Some((trip, None));
        }
        self.next_in_line = answer.next_in_line != 0;
        self.patience = SLOW;
        if answer.state & STATE_MASK == STATE_UP {
            self.state = State::Up;
            self.polling &= answer.state & FINAL == 0;
            self.required_min_rx = SLOW.min(Duration::from_micros(answer.required_min_rx_us.into()));
            return Some((trip, None));
        }
        let served = self.is_up();
        self.go_down(now);
        Some((trip, served.then_some(Failure::OutOfService)))
    }
}
