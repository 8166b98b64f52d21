//! Tables of lines, in which the XDP program looks flows up: memory-mapped arrays, so that what it needs to know of a flow is mostly in
//! one cache line, and that it waits for nobody. The agent writes them by its mapping; of a line in use the program writes one word
//! only, when it was last seen.
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

/// What the places of flows depend on: random numbers that each agent draws, so that no client knows which flows get into each
/// other's way. The last one is odd.
pub type Seed = [u64; FLOW_WORDS + 1];

/// What is known of a flow: a `value` whose parts are no longer than 4 octets, and that fills up the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Line<V> {
    /// When its last frame was seen, to [`SEEN_STEP_NS`], or before that, when it was put here, in ns of CLOCK_BOOTTIME.
    pub seen_ns: u64,
    /// The flow; [`Flow::NONE`] if the line is free.
    pub flow: Flow,
    /// Odd while the line is written.
    pub version: u32,
    /// What the program does with its frames.
    pub value: V,
}

impl<V> Line<V> {
    /// The word, of 64 bits, that says when the flow was seen.
    pub const SEEN: usize = offset_of!(Self, seen_ns) / 8;
    /// The word that the flow begins with.
    pub const FLOW: usize = offset_of!(Self, flow) / 8;
    /// The word that has the version, and the first 4 octets of the value.
    pub const HEAD: usize = offset_of!(Self, version) / 8;
    /// Words of a line. To be named by whoever reads or writes them: it does not compile for a value that leaves a gap.
    pub const WORDS: usize = {
        assert!(size_of::<Self>() == offset_of!(Self, value) + size_of::<V>(), "the value fills up the line");
        assert!(offset_of!(Self, version).is_multiple_of(8), "the version begins a word");
        size_of::<Self>() / 8
    };
}

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
/// chance. Both are known to work with any flows, and neither wants more of BPF than it has.
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
    let [_, high] = halves((sum ^ sum >> 32).wrapping_mul(seed(FLOW_WORDS)));
    let [_, place] = halves(u64::from(high) * u64::from(lines));
    place
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

    const SEED: Seed = [
        0x9e37_79b9_7f4a_7c15,
        0xbf58_476d_1ce4_e5b9,
        0x94d0_49bb_1331_11eb,
        0x2545_f491_4f6c_dd1d,
        0xd6e8_feb8_6659_fd93,
        0xa076_1d64_78bd_642f,
    ];

    /// Flows of clients and ports in a row, as a benchmark or a proxy makes them.
    #[test]
    fn flows_that_are_much_alike_spread_as_if_by_chance() {
        const LINES: u32 = 1 << 16;
        for step in [1, 256, 65_536] {
            let mut sets = [0_u8; (LINES / WAYS) as usize];
            for number in 0..LINES / 2 {
                let mut flow = Flow { destination_port: 443, protocol: 6, ..Flow::NONE };
                flow.source[8..].copy_from_slice(&(u64::from(number) * step).to_be_bytes());
                let place = place(flow.words(), |at| SEED[at], LINES);
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
        const LINES: u32 = 1 << 31;
        let flow = Flow {
            source: [1; 16],
            destination: [2; 16],
            source_port: 3,
            destination_port: 4,
            protocol: 6,
            ..Flow::NONE
        };
        let here = place(flow.words(), |at| SEED[at], LINES);
        for other in [
            Flow { source: [9; 16], ..flow },
            Flow { destination: [9; 16], ..flow },
            Flow { source_port: 9, ..flow },
            Flow { destination_port: 9, ..flow },
            Flow { protocol: 17, ..flow },
        ] {
            assert_ne!(place(other.words(), |at| SEED[at], LINES), here, "{other:?}");
        }
        for part in 0..SEED.len() {
            assert_ne!(place(flow.words(), |at| SEED[at] ^ u64::from(at == part) << 40, LINES), here);
        }
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
