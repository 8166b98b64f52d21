//! Tables of lines, in which the XDP program looks flows up: memory-mapped arrays, so that it waits for nobody. The agent writes them by
//! its mapping; of a line in use the program writes one word only, when it was last seen.
//!
//! With many flows all that counts is how much memory they are spread over: a line that no cache of the processor has costs more than
//! all else that is done for a frame. So a line has a [`tag`] in the place of its flow, half as long as a cache line with what
//! the program needs to know, and of a hundred thousand flows all lines are in the caches. The flows themselves are beside, for
//! the agent alone.
//!
//! A line is read under its version (a sequence lock): the version is odd while the line is written, and another one afterwards. Who
//! meets an odd version, or one that has changed when all is read, knows nothing of the flow. A line that an agent was
//! writing when it was killed keeps its odd version, and says nothing to anybody.

use core::mem::{offset_of, size_of};

use crate::flow::Flow;

/// The lines that a flow may be in. The capacity of a table is a multiple of it.
pub const WAYS: u32 = 8;

/// How much later than [`Line::seen_ns`] says a flow may have been seen, in ns: with each frame the program would make a cache line
/// dirty, which costs as much as to find it.
pub const SEEN_STEP_NS: u64 = 2_000_000_000;

/// 64-bit words of a flow, see [`Flow::words`].
pub const FLOW_WORDS: usize = size_of::<Flow>() / 8;

/// What a flow's hashes depend on: random numbers that each agent draws, so that no client knows which flows get into each other's way.
pub type Seed = [u64; SEED_WORDS];

/// How many numbers a [`Seed`] is: [`place`] takes the first ones, and each half of a [`tag`] some of the others.
pub const SEED_WORDS: usize = PLACE_WORDS + 2 * HASH_WORDS;
const PLACE_WORDS: usize = FLOW_WORDS + 1;
const HASH_WORDS: usize = 2 * FLOW_WORDS + 1;

/// What is known of a flow: a `value` whose parts are no longer than 4 octets, and that fills up the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(32))]
pub struct Line<V> {
    /// When its last frame was seen, to [`SEEN_STEP_NS`], or before that, when it was put here, in ns of CLOCK_BOOTTIME.
    pub seen_ns: u64,
    /// The [`tag`] of the flow; [`FREE`] if there is none.
    pub tag: u64,
    /// Odd while the line is written.
    pub version: u32,
    /// What the program does with its frames.
    pub value: V,
}

impl<V> Line<V> {
    /// The word, of 64 bits, that says when the flow was seen.
    pub const SEEN: usize = offset_of!(Self, seen_ns) / 8;
    /// The word that has the tag.
    pub const TAG: usize = offset_of!(Self, tag) / 8;
    /// The word that has the version, and the first 4 octets of the value.
    pub const HEAD: usize = offset_of!(Self, version) / 8;
    /// Words of a line. To be named by whoever reads or writes them: it does not compile for a value that leaves a gap.
    pub const WORDS: usize = {
        assert!(size_of::<Self>() == offset_of!(Self, value) + size_of::<V>(), "the value fills up the line");
        assert!(offset_of!(Self, version).is_multiple_of(8), "the version begins a word");
        size_of::<Self>() / 8
    };
}

/// The tag of a free line, which no flow has.
pub const FREE: u64 = 0;

/// The version that is in the word [`Line::HEAD`].
#[inline(always)]
pub const fn version(head: u64) -> u32 {
    let [a, b, c, d, ..] = head.to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d])
}

/// The word [`Line::HEAD`] with another `version`.
#[inline(always)]
pub const fn with_version(head: u64, version: u32) -> u64 {
    let ([.., e, f, g, h], [a, b, c, d]) = (head.to_ne_bytes(), version.to_ne_bytes());
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}

/// Whether a line with this version is being written.
#[inline(always)]
pub const fn is_written(version: u32) -> bool {
    version & 1 != 0
}

/// Where the flow with these `words` is looked for first, in a table of so many `lines`. Its other places are this one xor 1 to
/// [`WAYS`] - 1.
///
/// NH (RFC 4418 5.2) and a multiplication: of all flows, chosen without the seed, no two meet more often than twice as often as by
/// chance, and clients and ports in a row spread as if by chance, which is more than what makes tags would do.
#[inline(always)]
pub fn place(words: [u64; FLOW_WORDS], seed: impl Fn(usize) -> u64, lines: u32) -> u32 {
    let mut sum = 0_u64;
    let mut at = 0;
    while at < FLOW_WORDS {
        let ([low, high], [key_low, key_high]) = (halves(words[at]), halves(seed(at)));
        let product = u64::from(low.wrapping_add(key_low)) * u64::from(high.wrapping_add(key_high));
        sum = sum.wrapping_add(product);
        at += 1;
    }
    let [_, high] = halves((sum ^ sum >> 32).wrapping_mul(seed(FLOW_WORDS) | 1));
    let [_, place] = halves(u64::from(high) * u64::from(lines));
    place
}

/// What stands for the flow with these `words` in its line. Of two flows, chosen without the seed, one is taken for the other in one of
/// 2^64 cases if they have the same places, and seldom have they those.
#[inline(always)]
pub fn tag(words: [u64; FLOW_WORDS], seed: impl Fn(usize) -> u64) -> u64 {
    let high = hash(words, |part| seed(PLACE_WORDS + part));
    let low = hash(words, |part| seed(PLACE_WORDS + HASH_WORDS + part));
    let tag = u64::from(high) << 32 | u64::from(low);
    if tag == FREE { !FREE } else { tag }
}

/// Multilinear hashing, which is strongly universal (Lemire and Kaser, 2014).
#[inline(always)]
fn hash(words: [u64; FLOW_WORDS], seed: impl Fn(usize) -> u64) -> u32 {
    let mut sum = seed(0);
    let mut at = 0;
    while at < FLOW_WORDS {
        let [low, high] = halves(words[at]);
        sum = sum.wrapping_add(u64::from(low).wrapping_mul(seed(2 * at + 1)));
        sum = sum.wrapping_add(u64::from(high).wrapping_mul(seed(2 * at + 2)));
        at += 1;
    }
    let [_, hash] = halves(sum);
    hash
}

/// The lower and the upper half.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
fn halves(word: u64) -> [u32; 2] {
    [word as u32, (word >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of a small generator (xorshift64).
    fn some_seed() -> Seed {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut seed = [0; SEED_WORDS];
        for word in &mut seed {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *word = state;
        }
        seed
    }

    /// Flows of clients and ports in a row, as a benchmark or a proxy makes them.
    #[test]
    fn flows_that_are_much_alike_spread_as_if_by_chance() {
        const LINES: u32 = 1 << 16;
        let seed = some_seed();
        for step in [1, 256, 65_536] {
            let mut sets = [0_u8; (LINES / WAYS) as usize];
            for number in 0..LINES / 2 {
                let mut flow = Flow { destination_port: 443, protocol: 6, ..Flow::NONE };
                flow.source[8..].copy_from_slice(&(u64::from(number) * step).to_be_bytes());
                let place = place(flow.words(), |at| seed[at], LINES);
                assert!(place < LINES);
                sets[(place / WAYS) as usize] += 1;
            }
            // Four in the mean; of so many sets by chance 2 % have more than 8, and one in 100 000 more than 17.
            let full = sets.iter().filter(|count| **count > 8).count();
            let most = sets.iter().max();
            assert!(full < sets.len() / 30 && most < Some(&20), "{full} sets are full, one has {most:?}");
        }
    }

    #[test]
    fn every_part_of_a_flow_and_of_the_seed_counts() {
        let seed = some_seed();
        let keys = |flow: Flow, seed: Seed| {
            let words = flow.words();
            (place(words, |at| seed[at], 1 << 31), tag(words, |at| seed[at]))
        };
        let flow = Flow {
            source: [1; 16],
            destination: [2; 16],
            source_port: 3,
            destination_port: 4,
            protocol: 6,
            ..Flow::NONE
        };
        let (here, known) = keys(flow, seed);
        for other in [
            Flow { source: [9; 16], ..flow },
            Flow { destination: [9; 16], ..flow },
            Flow { source_port: 9, ..flow },
            Flow { destination_port: 9, ..flow },
            Flow { protocol: 17, ..flow },
        ] {
            let (place, tag) = keys(other, seed);
            assert!(place != here && tag != known, "{other:?}");
            assert!([tag ^ known, (tag ^ known) << 32].map(|half| half >> 32).iter().all(|half| *half != 0));
        }
        for part in 0..seed.len() {
            let mut other = seed;
            other[part] ^= 1 << 40;
            let (place, tag) = keys(flow, other);
            assert_eq!((place == here, tag == known), (part >= PLACE_WORDS, part < PLACE_WORDS), "{part}");
        }
    }

    #[test]
    fn no_flow_has_the_tag_of_a_free_line() {
        assert_eq!(tag(Flow::NONE.words(), |_| 0), !FREE);
    }

    #[test]
    fn the_version_is_the_first_half_of_its_word() {
        let [a, b, c, d] = 7_u32.to_ne_bytes();
        let head = u64::from_ne_bytes([a, b, c, d, 1, 2, 3, 4]);
        assert_eq!((version(head), version(with_version(head, 9))), (7, 9));
        assert_eq!(with_version(with_version(head, 9), 7), head);
        assert_eq!([6, 7].map(is_written), [false, true]);
    }
}
