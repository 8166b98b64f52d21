//! The flow table of a worker: which backend each flow has, so that it keeps it when the pool changes. Bounded: a new flow takes the
//! place of the one that is missed least, and nothing is ever refused.

use std::hint::black_box;
use std::ops::Range;
use std::time::Duration;

use baton_common::flow::{CachedFlow, Flow};

use super::marks::Marks;
use super::packet::{Signal, UDP};
use crate::vrrp::Instant;

/// Flows whose hash leads to the same place.
pub(super) const WAYS: usize = 8;

/// How long a flow is remembered of which one packet has come: a client asks again for a minute.
const NEW: Duration = Duration::from_secs(60);
/// How long a TCP connection since its last packet: as IPVS does.
const CONNECTION: Duration = Duration::from_secs(15 * 60);
/// How long a UDP flow since its last packet: as IPVS does.
const DATAGRAMS: Duration = Duration::from_secs(5 * 60);
/// How long a TCP connection that the client has ended.
const CLOSING: Duration = Duration::from_secs(30);

/// How long a flow is young of which one packet has come: soon there may be another one.
const YOUNG: Duration = Duration::from_secs(1);

/// How long nothing may have come before somebody else is asked, who may have seen it.
const QUIET: Duration = Duration::from_secs(10);

/// How far a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// One packet has come, or several that ask for a connection.
    New,
    /// More have come.
    Established,
    /// The client has ended it.
    Closing,
}

impl State {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Established => "established",
            Self::Closing => "closing",
        }
    }
}

/// Where a flow belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The number of its backend.
    pub backend: u16,
    /// The number of its service.
    pub service: u16,
    /// The port that its packets come from at the backend, if they are translated; else 0.
    pub port: u16,
}

impl From<CachedFlow> for Target {
    fn from(CachedFlow { backend, service, port, client_mac: _ }: CachedFlow) -> Self {
        Self { backend, service, port }
    }
}

/// A flow as somebody sees it who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// The flow.
    pub flow: Flow,
    /// Where it goes.
    pub target: Target,
    /// How far it is.
    pub state: State,
    /// When its last packet came here.
    pub seen: Instant,
}

/// Whether an established `flow` that was last `seen` then is over.
pub(super) fn is_over(flow: &Flow, seen: Instant, now: Instant) -> bool {
    Entry { flow: *flow, target: Target::default(), state: State::Established, seen }.is_over(now)
}

/// A flow and its backend, in a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Entry {
    flow: Flow,
    target: Target,
    state: State,
    /// When its last packet came.
    seen: Instant,
}

impl Entry {
    fn is_over(&self, now: Instant) -> bool {
        let patience = match self.state {
            State::New => NEW,
            State::Established if self.flow.protocol == UDP => DATAGRAMS,
            State::Established => CONNECTION,
            State::Closing => CLOSING,
        };
        now > self.seen + patience
    }

    /// Learns when somebody else has seen it, if it is quiet here.
    fn learn(&mut self, now: Instant, seen_elsewhere: impl Fn(&Flow, Target) -> Option<Instant>) {
        if self.state == State::Established && now > self.seen + QUIET {
            self.seen = self.seen.max(seen_elsewhere(&self.flow, self.target).unwrap_or_default());
        }
    }

    /// Who goes first to make room: a flow that is not established, and of those the one that was not seen for longest. So a flood
    /// of flows of one packet each pushes out nothing but itself.
    fn worth(&self) -> (bool, Instant) {
        (self.state == State::Established, self.seen)
    }
}

/// What is known of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) target: Target,
    /// Whether both ends have agreed on it, as far as the client's packets tell.
    pub(super) is_established: bool,
}

/// The table.
#[derive(Debug)]
pub(super) struct Flows {
    sets: Vec<[Option<Entry>; WAYS]>,
    marks: Marks,
    /// The set that was swept last.
    swept: usize,
    live: usize,
    /// Of the live, those of each backend.
    of: Vec<u32>,
    evicted: u64,
    /// Those that are over, or that nobody goes on with, until somebody takes note.
    gone: Vec<(Flow, Target)>,
}

impl Flows {
    /// A table with room for about so many flows, which are spread over sets of eight.
    pub(super) fn new(capacity: usize) -> Self {
        let sets = capacity.div_ceil(WAYS).next_power_of_two();
        let (marks, sets) = (Marks::new(sets), vec![[None; WAYS]; sets]);
        Self { sets, marks, swept: 0, live: 0, of: Vec::new(), evicted: 0, gone: Vec::new() }
    }

    /// Has the processor fetch what is known of flows with these `hashes`, which will be asked for.
    pub(super) fn fetch(&self, hashes: impl Iterator<Item = u64> + Clone) {
        let first = |hash: u64| self.marks.places(self.index(hash), hash).next();
        for hash in hashes.clone() {
            black_box(first(hash));
        }
        for hash in hashes {
            let place = first(hash).and_then(|place| self.sets[self.index(hash)][place].as_ref());
            black_box(place.map(|entry| entry.seen));
        }
    }

    /// What is known of `flow`, with this hash, of which a packet has come that says `signal`.
    pub(super) fn find(&mut self, flow: &Flow, hash: u64, signal: Signal, now: Instant) -> Option<Found> {
        let (set, place) = self.place(flow, hash)?;
        let entry = self.sets[set][place].as_mut()?;
        let is_reused = signal == Signal::Begin && entry.state == State::Closing;
        if entry.is_over(now) || is_reused {
            self.let_go(set, place);
            return None;
        }
        // Anybody may send an error.
        if signal != Signal::Error {
            entry.seen = now;
        }
        entry.state = match (entry.state, signal) {
            (before, Signal::Error) => before,
            (_, Signal::End) | (State::Closing, _) => State::Closing,
            (State::New, Signal::Begin) => State::New,
            (State::New, Signal::Continue | Signal::Datagram) | (State::Established, _) => State::Established,
        };
        Some(Found { target: entry.target, is_established: entry.state == State::Established })
    }

    /// Remembers that `flow`, which is not there, has this `target`. Another one may have to go for it: of quiet flows
    /// `seen_elsewhere` has last seen them.
    pub(super) fn put(
        &mut self,
        flow: Flow,
        hash: u64,
        signal: Signal,
        target: Target,
        now: Instant,
        seen_elsewhere: impl Fn(&Flow, Target) -> Option<Instant>,
    ) {
        let state = match signal {
            Signal::Begin | Signal::Continue | Signal::Datagram | Signal::Error => State::New,
            Signal::End => State::Closing,
        };
        self.enter(Entry { flow, target, state, seen: now }, hash, now, seen_elsewhere);
    }

    /// Remembers a flow that is not there, and that others have last `seen` when it was established; as [`put`](Self::put).
    pub(super) fn adopt(
        &mut self,
        flow: Flow,
        hash: u64,
        target: Target,
        seen: Instant,
        now: Instant,
        seen_elsewhere: impl Fn(&Flow, Target) -> Option<Instant>,
    ) {
        // This table may have taken it for over.
        self.gone.retain(|gone| *gone != (flow, target));
        self.enter(Entry { flow, target, state: State::Established, seen }, hash, now, seen_elsewhere);
    }

    fn enter(
        &mut self,
        entry: Entry,
        hash: u64,
        now: Instant,
        seen_elsewhere: impl Fn(&Flow, Target) -> Option<Instant>,
    ) {
        let index = self.index(hash);
        if let Some(free) = self.marks.free(index) {
            self.fill(index, free, hash, entry);
            return;
        }
        let set = &mut self.sets[index];
        set.iter_mut().flatten().for_each(|entry| entry.learn(now, &seen_elsewhere));
        let Some(place) = least(set, now, &seen_elsewhere) else { return };
        if let Some(before) = self.clear(index, place) {
            let is_over = before.is_over(now);
            self.evicted += u64::from(!is_over);
            // Others go on with one that is not translated.
            if is_over || before.target.port != 0 {
                self.gone.push((before.flow, before.target));
            }
        }
        self.fill(index, place, hash, entry);
    }

    fn fill(&mut self, set: usize, place: usize, hash: u64, entry: Entry) {
        self.count_in(entry.target.backend);
        self.marks.put(set, place, hash);
        self.sets[set][place] = Some(entry);
    }

    /// Frees `place`. Answers with what was there.
    fn clear(&mut self, set: usize, place: usize) -> Option<Entry> {
        let before = self.sets[set][place].take()?;
        self.marks.clear(set, place);
        self.count_out(before.target.backend);
        Some(before)
    }

    /// Frees `place`, whose flow is gone.
    fn let_go(&mut self, set: usize, place: usize) {
        let gone = self.clear(set, place).map(|before| (before.flow, before.target));
        self.gone.extend(gone);
    }

    /// Where `flow`, with this hash, is: its set, and the place there.
    fn place(&self, flow: &Flow, hash: u64) -> Option<(usize, usize)> {
        let set = self.index(hash);
        let is_it = |place: &usize| self.sets[set][*place].as_ref().is_some_and(|entry| entry.flow == *flow);
        self.marks.places(set, hash).find(is_it).map(|place| (set, place))
    }

    /// Looks after the next `count` sets: learns of quiet flows when `seen_elsewhere` has last seen them, and forgets those that
    /// are over.
    pub(super) fn sweep(
        &mut self,
        count: usize,
        now: Instant,
        seen_elsewhere: impl Fn(&Flow, Target) -> Option<Instant>,
    ) {
        for _ in 0..count {
            self.swept = (self.swept + 1) % self.sets.len();
            for place in 0..WAYS {
                let Some(entry) = &mut self.sets[self.swept][place] else { continue };
                entry.learn(now, &seen_elsewhere);
                if entry.is_over(now) {
                    self.let_go(self.swept, place);
                }
            }
        }
    }

    /// What is known of `flow`, with this hash, which changes nothing.
    pub(super) fn peek(&self, flow: &Flow, hash: u64, now: Instant) -> Option<Remembered> {
        let set = self.index(hash);
        self.of_sets(set..set + 1, now).find(|remembered| remembered.flow == *flow)
    }

    /// The flows in these sets that are not over.
    pub(super) fn of_sets(&self, sets: Range<usize>, now: Instant) -> impl Iterator<Item = Remembered> {
        self.sets[sets]
            .iter()
            .flatten()
            .flatten()
            .filter(move |entry| !entry.is_over(now))
            .map(|&Entry { flow, target, state, seen }| Remembered { flow, target, state, seen })
    }

    /// How many sets there are to sweep.
    pub(super) fn sets(&self) -> usize {
        self.sets.len()
    }

    /// Forgets `flow`, whose backend takes no packets any more.
    pub(super) fn forget(&mut self, flow: &Flow, hash: u64) {
        if let Some((set, place)) = self.place(flow, hash) {
            self.let_go(set, place);
        }
    }

    /// One of the flows that are over, or that nobody goes on with, since this was asked last.
    pub(super) fn gone(&mut self) -> Option<(Flow, Target)> {
        self.gone.pop()
    }

    /// How many flows it holds, some of which may be over.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    /// How many of them have `backend`.
    pub(super) fn of(&self, backend: u16) -> u32 {
        self.of.get(usize::from(backend)).copied().unwrap_or(0)
    }

    /// How many flows had to go before they were over.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    fn count_in(&mut self, backend: u16) {
        let backend = usize::from(backend);
        if self.of.len() <= backend {
            self.of.resize(backend + 1, 0);
        }
        self.of[backend] += 1;
        self.live += 1;
    }

    fn count_out(&mut self, backend: u16) {
        self.of[usize::from(backend)] -= 1;
        self.live -= 1;
    }

    fn index(&self, hash: u64) -> usize {
        usize::try_from(hash >> 32).unwrap_or_default() & (self.sets.len() - 1)
    }
}

/// The place in a full `set` that is missed least. New flows that are young and would push each other out by turns, so that none
/// would ever be established, go after an established one that somebody else remembers, too.
fn least(
    set: &[Option<Entry>],
    now: Instant,
    seen_elsewhere: impl Fn(&Flow, Target) -> Option<Instant>,
) -> Option<usize> {
    let worth = |place: &Option<Entry>| place.map(|entry| (!entry.is_over(now), entry.worth()));
    let is_young = |entry: &Entry| entry.state == State::New && now <= entry.seen + YOUNG;
    let is_known = |entry: &Entry| {
        // A translated one is nowhere without this.
        entry.state == State::Established
            && entry.target.port == 0
            && seen_elsewhere(&entry.flow, entry.target).is_some()
    };
    let mut least = (0..set.len()).min_by_key(|place| worth(&set[*place]))?;
    if set[least].as_ref().is_some_and(is_young) {
        let known = (0..set.len()).filter(|place| set[*place].as_ref().is_some_and(is_known));
        least = known.min_by_key(|place| worth(&set[*place])).unwrap_or(least);
    }
    Some(least)
}

#[cfg(test)]
mod tests;
