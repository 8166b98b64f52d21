//! Looking flows up in the tables of lines that `baton_common::line` describes, and safe access to those.

use core::ptr::{NonNull, addr_of, addr_of_mut, read_volatile, write_volatile};

use aya_ebpf::Global;
use aya_ebpf::maps::Array;
use baton_common::line::{self, FLOW_WORDS, Line, SEED_WORDS, SEEN_STEP_NS, WAYS};

use crate::ip::Ip;

/// What the hashes of flows depend on. The agent draws it before it loads the program.
#[unsafe(no_mangle)]
static LINES_SEED: [Global<u64>; SEED_WORDS] = [const { Global::new(1) }; SEED_WORDS];

/// A flow, in words.
#[derive(Clone, Copy)]
pub(crate) struct FlowKey([u64; FLOW_WORDS]);

impl FlowKey {
    /// The flow of `protocol` from and to these addresses and ports.
    #[inline(always)]
    pub(crate) fn new(ends: [Ip; 2], [source_port, destination_port]: [u16; 2], protocol: u8) -> Self {
        let [source, destination] = ends.map(Ip::halves);
        let ([a, b], [c, d]) = (source_port.to_ne_bytes(), destination_port.to_ne_bytes());
        let rest = [a, b, c, d, protocol, 0, 0, 0];
        let [a, b, c, d, e] = [source[0], source[1], destination[0], destination[1], rest];
        Self([a, b, c, d, e].map(u64::from_ne_bytes))
    }
}

/// The line that a flow was found in.
pub(crate) struct Place<V>(NonNull<Line<V>>);

/// The line of `flow` in `table`, which has so many `lines`, and the word [`Line::HEAD`] that was there together with its tag.
#[inline(always)]
pub(crate) fn find<V>(table: &Array<Line<V>>, lines: u32, flow: &FlowKey) -> Option<(Place<V>, u64)> {
    let seed = |part: usize| LINES_SEED[part].load();
    let (first, tag) = (line::place(flow.0, seed, lines), line::tag(flow.0, seed));
    for way in 0..WAYS {
        let line = NonNull::new(table.get_ptr_mut(first ^ way)?)?;
        let words = line.as_ptr().cast::<u64>().cast_const();
        // SAFETY: the map returned the line, which lives as long as the map. The agent stores into the same memory at any time, whole
        // words, and volatile keeps the compiler from splitting, repeating or reordering what reads them.
        let (head, tag_there, after) = unsafe {
            let head = read_volatile(words.add(Line::<V>::HEAD));
            let tag_there = read_volatile(later(words, head).add(Line::<V>::TAG));
            (head, tag_there, read_volatile(later(words, opaque(tag_there)).add(Line::<V>::HEAD)))
        };
        if tag_there == tag && head == after && !line::is_written(line::version(head)) {
            return Some((Place(line), head));
        }
    }
    None
}

impl<V> Place<V> {
    /// `N` words from this octet of the line on, which is a word's first; `None` if the line has another head by now than the one
    /// that was there together with the tag.
    #[inline(always)]
    pub(crate) fn read<const N: usize>(&self, octet: usize, head: u64) -> Option<[u64; N]> {
        let line = later(self.0.as_ptr().cast::<u64>().cast_const(), opaque(head));
        let mut words = [0; N];
        // SAFETY: as in `find`; the verifier proves that the words are in the line.
        let after = unsafe {
            let mut all = 0;
            for (at, word) in words.iter_mut().enumerate() {
                *word = read_volatile(line.add(octet / 8 + at));
                all |= *word;
            }
            read_volatile(later(line, all).add(Line::<V>::HEAD))
        };
        (after == head).then_some(words)
    }

    /// Notes that the flow is seen `now`, unless that was noted lately. If the agent has given the line to another one meanwhile,
    /// that one is.
    #[inline(always)]
    pub(crate) fn note(&self, now: u64) {
        let line = self.0.as_ptr();
        // SAFETY: as in `find`; an aligned word, which nothing else depends on.
        unsafe {
            if now.wrapping_sub(read_volatile(addr_of!((*line).seen_ns))) >= SEEN_STEP_NS {
                write_volatile(addr_of_mut!((*line).seen_ns), now);
            }
        }
    }
}

/// The same pointer, of which the processor does not know before it has read `word`: one that reads ahead (aarch64) reads what is
/// there afterwards.
#[inline(always)]
fn later(pointer: *const u64, word: u64) -> *const u64 {
    #[expect(clippy::cast_possible_truncation, reason = "it is zero")]
    let nothing = (word & opaque(0)) as usize;
    pointer.wrapping_byte_add(nothing)
}

/// The same number, of which the compiler knows nothing.
#[inline(always)]
fn opaque(number: u64) -> u64 {
    // SAFETY: a local variable is readable.
    unsafe { read_volatile(&number) }
}
