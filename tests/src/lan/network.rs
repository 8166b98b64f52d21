//! What happens to a frame between two hosts.

use crate::random::Random;

/// How well the LAN carries frames and how promptly its hosts run. Times in nanoseconds.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// Shortest and longest way between two hosts.
    pub delay: (u64, u64),
    /// How late a host may notice its deadline.
    pub latency: u64,
    /// Frames in 1000 that get lost, for each receiver on its own.
    pub loss: u64,
    /// Frames in 1000 that arrive twice.
    pub duplicates: u64,
    /// Frames in 1000 that take longer and are overtaken.
    pub stragglers: u64,
    /// How much longer, at most.
    pub straggle: u64,
}

impl Conditions {
    /// Every frame arrives after exactly 100 us and every timer is punctual.
    pub const EXACT: Self =
        Self { delay: (100_000, 100_000), latency: 0, loss: 0, duplicates: 0, stragglers: 0, straggle: 0 };

    /// The longest that a frame can be under way.
    const fn longest_delay(&self) -> u64 {
        self.delay.1 + if self.stragglers > 0 || self.duplicates > 0 { self.straggle } else { 0 }
    }

    /// How long two routers that hear each other may take to settle which one is Active: the challenge and the answer
    /// under way, and a timer or two noticed late.
    pub(super) const fn settling_time(&self) -> u64 {
        2 * (self.longest_delay() + self.latency) + 100_000
    }
}

/// The ways between all hosts.
#[derive(Clone, Debug)]
pub(super) struct Network {
    /// How well frames are carried.
    pub(super) conditions: Conditions,
    /// The partition that each host is in; all the same when the LAN is whole.
    pub(super) sides: Vec<u8>,
    /// Per sender and receiver, when the last frame arrives: a LAN keeps their order.
    last: Vec<Vec<u64>>,
}

impl Network {
    /// A whole LAN of `hosts`.
    pub(super) fn new(conditions: Conditions, hosts: usize) -> Self {
        Self { conditions, sides: vec![0; hosts], last: vec![vec![0; hosts]; hosts] }
    }

    /// Whether frames pass between two hosts.
    pub(super) fn connects(&self, one: usize, other: usize) -> bool {
        self.sides[one] == self.sides[other]
    }

    /// Whether the LAN is in one piece.
    pub(super) fn is_whole(&self) -> bool {
        self.sides.iter().all(|side| *side == self.sides[0])
    }

    /// When the copies of a frame arrive that is sent at `now`; none when it gets lost.
    pub(super) fn carry(&mut self, from: usize, to: usize, now: u64, random: &mut Random) -> Vec<u64> {
        let Conditions { delay, loss, duplicates, stragglers, straggle, .. } = self.conditions;
        if !self.connects(from, to) || random.chance(loss) {
            return Vec::new();
        }
        let at = now + random.between(delay.0, delay.1);
        let mut arrivals = Vec::with_capacity(2);
        if random.chance(stragglers) {
            arrivals.push(at + random.between(0, straggle));
        } else {
            let last = &mut self.last[from][to];
            *last = at.max(*last + 1);
            arrivals.push(*last);
        }
        if random.chance(duplicates) {
            arrivals.push(at + random.between(0, straggle));
        }
        arrivals
    }
}
