//! The sessions with one peer. They share one rhythm, so that many virtual routers cost no more probes than one: each probe
//! asks about the next of them, and a dead peer is noticed by its not answering any.

use std::time::Duration;

use baton_common::sbfd::Answer;

use super::Profile;
use super::session::{SLOW, Session, State, Trip};
use crate::vrrp::{Failure, Instant};

/// What a way may be that is still watched: a longer one would be noticed no sooner than adverts that stop.
const LONGEST_TRIP: Duration = Duration::from_millis(10);

/// A peer and the sessions with it. `A` is the address type of the family.
#[derive(Clone, Debug)]
pub struct Watch<A> {
    /// Its primary address.
    pub peer: A,
    profile: Profile,
    sessions: Vec<Session>,
    /// Of all probes to the peer.
    sequence: u32,
    /// The session that the last fast probe was about, and when it left.
    probed: Option<usize>,
    probed_at: Instant,
    /// Whether the peer has answered anything since the last look.
    alive: bool,
    /// How long its answers take, as a slowly sinking maximum.
    trip: Duration,
    /// When its answer counts as missing, and when the next probe follows if it has come.
    patience_until: Instant,
    tick: Instant,
    /// Fast probes in a row without an answer, and when the first of them left.
    misses: u8,
    doubt_since: Instant,
    /// Whether the question is still to be asked.
    is_unasked: bool,
    /// The question whether this host's CPUs run that was asked when the doubt began, see [`crate::stall`].
    pub stall_question: Option<u32>,
    /// Misses that did not count because this host was stalled.
    pub vetoed: u64,
    /// Probes without an answer.
    pub missed: u64,
    /// When its last answer arrived.
    pub answered: Option<Instant>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send a probe.
    Probe(Probe),
    /// The peer does not answer: tell all its virtual routers, see [`Watch::fail`].
    Unreachable,
}

/// A probe to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Index of the virtual router that it asks about.
    pub router: usize,
    /// The peer's discriminator.
    pub discriminator: u32,
    /// Where to send it.
    pub mac: [u8; 6],
    /// Its number.
    pub sequence: u32,
    /// Whether the session is Up.
    pub up: bool,
    /// Whether an answer with Final is wanted.
    pub poll: bool,
    /// Desired Min TX Interval.
    pub interval: Duration,
    /// Detection multiplier.
    pub multiplier: u8,
}

impl<A: Copy + Eq> Watch<A> {
    /// A watch without sessions yet, with room for `capacity`.
    pub fn new(peer: A, profile: Profile, capacity: usize) -> Self {
        Self {
            peer,
            profile,
            sessions: Vec::with_capacity(capacity),
            sequence: 0,
            probed: None,
            probed_at: Instant::default(),
            alive: false,
            trip: Duration::ZERO,
            patience_until: Instant::default(),
            tick: Instant::default(),
            misses: 0,
            doubt_since: Instant::default(),
            is_unasked: false,
            stall_question: None,
            vetoed: 0,
            missed: 0,
            answered: None,
        }
    }

    /// The sessions.
    pub fn sessions(&self) -> &[Session] {
        &self.sessions
    }

    /// Begins a session about `router`, which the peer knows by `discriminator` and advertises from `mac`.
    pub fn begin_session(&mut self, router: usize, discriminator: u32, mac: [u8; 6], now: Instant) {
        self.sessions.push(Session::new(router, discriminator, mac, now));
    }

    /// The peer advertises `router` from `mac`. What was sent elsewhere proves nothing.
    pub fn move_to(&mut self, router: usize, mac: [u8; 6]) {
        let moved = self.sessions.iter_mut().find(|session| session.router == router && session.mac != mac);
        if let Some(session) = moved {
            session.mac = mac;
            self.misses = 0;
            self.probed = None;
        }
    }

    /// Ends the session about `router`.
    pub fn end_session(&mut self, router: usize) {
        self.sessions.retain(|session| session.router != router);
        self.probed = None;
    }

    /// When [`Self::poll`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        let due = |session: &Session| match session.state {
            State::Up => self.next_look(),
            State::Down(next) => next,
        };
        self.sessions.iter().map(due).min()
    }

    /// Whether a doubt has begun since the last call: the CPUs of this host should show that they run.
    pub fn take_doubt(&mut self) -> bool {
        std::mem::take(&mut self.is_unasked)
    }

    /// Takes in what the answer cell of `router` holds, and says what is wrong with the peer as far as it is concerned.
    /// `claimed` is when the peer last advertised that it is Active for it: an answer from before says nothing any more.
    pub fn hear(
        &mut self,
        router: usize,
        answer: &Answer,
        claimed: Instant,
        now: Instant,
    ) -> Option<Failure> {
        let session = self.sessions.iter_mut().find(|session| session.router == router)?;
        let was_up = session.is_up();
        let (trip, failure) = session.hear(answer, claimed, now)?;
        if !was_up && session.is_up() {
            // At once, if no other session sets the rhythm.
            self.tick = self.tick.max(now);
        }
        self.alive = true;
        self.answered = Some(Instant::from_nanos(answer.arrived_ns));
        self.trip = match trip {
            Trip::InTime(trip) => trip.max(self.trip - self.trip / 8),
            // The next patience is twice this one.
            Trip::Late => self.trip.max(self.patience()),
        }
        .min(LONGEST_TRIP);
        failure
    }

    /// What is to be done at `now`, until it says `None`. `heard` tells when the peer last advertised; `sound` whether all
    /// CPUs of this host have run since a question was asked.
    pub fn poll(
        &mut self,
        now: Instant,
        heard: impl FnOnce() -> Instant,
        sound: impl FnOnce(u32) -> bool,
    ) -> Option<Step> {
        let waiting = |session: &Session| matches!(session.state, State::Down(next) if next <= now);
        if let Some(index) = self.sessions.iter().position(waiting) {
            let sequence = self.sequence;
            self.sessions[index].wait(now, |span| jittered(span, sequence));
            return Some(self.probe(index, now));
        }
        if now < self.next_look() || !self.sessions.iter().any(Session::is_up) {
            return None;
        }
        if self.is_lost(now, heard, sound) {
            return Some(Step::Unreachable);
        }
        let index = self.next_up()?;
        (self.probed, self.probed_at) = (Some(index), now);
        self.patience_until = now + jittered(self.patience(), self.sequence);
        self.tick = now + jittered(self.spacing(self.profile.interval), self.sequence);
        Some(self.probe(index, now))
    }

    /// When the last fast probe is to be judged, or the next one to be sent.
    fn next_look(&self) -> Instant {
        match self.probed {
            Some(_) if !self.alive => self.patience_until,
            Some(_) | None => self.tick,
        }
    }

    /// Ends all sessions that are Up, and answers with each of their virtual routers and whether this host is next in
    /// line for it; until it says `None`.
    pub fn fail(&mut self, now: Instant) -> Option<(usize, bool)> {
        self.misses = 0;
        self.probed = None;
        let session = self.sessions.iter_mut().find(|session| session.is_up())?;
        session.go_down(now);
        Some((session.router, session.next_in_line))
    }

    /// Judges the last fast probe, whose time is over. Called once per probe, however late: so a caller that was stalled
    /// finds one miss, not as many as would fit into the stall.
    fn is_lost(
        &mut self,
        now: Instant,
        heard: impl FnOnce() -> Instant,
        sound: impl FnOnce(u32) -> bool,
    ) -> bool {
        let answered = self.probed.take().is_none() || self.alive;
        self.alive = false;
        if answered || (self.misses > 0 && heard() > self.doubt_since) {
            self.misses = 0;
            return false;
        }
        self.missed += 1;
        if self.misses == 0 {
            (self.misses, self.doubt_since) = (1, self.probed_at);
            (self.is_unasked, self.stall_question) = (true, None);
            return self.profile.multiplier == 1;
        }
        // Answers may wait where a CPU stood still: this one, or one that has not run since the doubt began. A CPU that has
        // would have brought the first of them. The doubt stays, and takes a fresh miss.
        let is_last = self.misses + 1 >= self.profile.multiplier;
        let was_held_up = now > self.patience_until + self.patience();
        if was_held_up {
            (self.is_unasked, self.stall_question) = (true, None);
        }
        if was_held_up || is_last && !self.stall_question.is_none_or(sound) {
            self.vetoed += 1;
            return false;
        }
        self.misses += 1;
        is_last
    }

    /// How long an answer is waited for: what the profile says, but no less than twice what answers take.
    fn patience(&self) -> Duration {
        self.spacing(self.profile.patience.max(self.trip * 2))
    }

    /// The session whose turn it is.
    fn next_up(&self) -> Option<usize> {
        let count = self.sessions.len();
        let first = self.sequence as usize % count;
        (0..count).map(|step| (first + step) % count).find(|index| self.sessions[*index].is_up())
    }

    /// At least `wanted` between two probes, and no less than the peer can take (RFC 7880 7.3.2).
    fn spacing(&self, wanted: Duration) -> Duration {
        let up = self.sessions.iter().filter(|session| session.is_up());
        up.map(|session| session.required_min_rx).fold(wanted, Duration::max)
    }

    fn probe(&mut self, index: usize, now: Instant) -> Step {
        self.sequence = self.sequence.wrapping_add(1);
        let interval = self.spacing(self.profile.patience);
        let session = &mut self.sessions[index];
        (session.sequence, session.sent_at) = (self.sequence, now);
        Step::Probe(Probe {
            router: session.router,
            discriminator: session.discriminator,
            mac: session.mac,
            sequence: session.sequence,
            up: session.is_up(),
            poll: session.is_up() && session.polling,
            interval: if session.is_up() { interval } else { SLOW },
            multiplier: self.profile.multiplier,
        })
    }
}

/// RFC 5880 6.8.7: 75 to 100 % of the interval, so that initiators do not fall into step. The number of a probe is as good
/// as chance.
fn jittered(interval: Duration, sequence: u32) -> Duration {
    let fraction = sequence.wrapping_mul(0x9e37_79b1) >> 24;
    interval - interval * fraction / 1024
}
