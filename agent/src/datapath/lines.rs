//! Tables of [`Line`]s, mapped into this process: several threads write them and the XDP program reads them, all without waiting for
//! anybody. What two threads want to write at once, one of them leaves to the next frame.

#[cfg(test)]
mod tests;

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Duration;

use aya::Pod;
use aya::maps::MapData;
use baton_common::flow::Flow;
use baton_common::line::{self, FLOW_WORDS, FREE, Line, Seed, WAYS};

use super::DatapathError;
use super::mapping::Mapping;
use super::plain::Plain;
use crate::vrrp::Instant;

/// How long a flow must not have been seen before another one takes its line. Flows that are too many for their lines would push
/// each other out by turns otherwise, and each would cost more than if it had none. Twice as long as it takes the program to say
/// that it sees one.
const KEPT: Duration = Duration::from_nanos(2 * line::SEEN_STEP_NS);

/// What a table knows of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<V> {
    /// The flow.
    pub flow: Flow,
    /// What is done with its frames.
    pub value: V,
    /// When it was last seen.
    pub seen: Instant,
}

impl<V: Default> Entry<V> {
    /// What a free line has.
    fn nothing() -> Self {
        Self { flow: Flow::NONE, value: V::default(), seen: Instant::default() }
    }
}

/// A table, and how flows find their places in it.
pub(super) struct LineTable<V> {
    lines: Lines<V>,
    seed: Seed,
}

impl<V: Copy + Default> LineTable<V>
where
    Plain<Line<V>>: Pod,
{
    /// The table of these `lines`, which the program was loaded for with this `seed`.
    pub(super) fn new(lines: Lines<V>, seed: Seed) -> Self {
        Self { lines, seed }
    }

    /// What is known of `flow`.
    pub(super) fn find(&self, flow: &Flow) -> Option<Entry<V>> {
        let tag = self.tag(flow);
        self.places(flow).find_map(|place| self.lines.of(place, tag)).map(|(_, entry)| entry)
    }

    /// Puts `entry` in, in place of what is known of its flow, unless all lines that it may have belong to flows that were seen
    /// lately, or are being written.
    pub(super) fn put(&self, entry: Entry<V>) {
        let tag = self.tag(&entry.flow);
        let candidates = self.places(&entry.flow).filter_map(|place| {
            let (head, line) = self.lines.read(place)?;
            Some((Claim::of(&line, tag, entry.seen)?, place, head))
        });
        let Some((_, place, head)) = candidates.min_by_key(|(claim, ..)| *claim) else { return };
        if !self.lines.write(place, head, tag, entry) {
            return;
        }
        // Another thread may have put the same flow elsewhere: each of them sees the other's line then, and the flow is in none
        // rather than in two.
        fence(Ordering::SeqCst);
        self.free(tag, self.places(&entry.flow).filter(|other| *other != place));
    }

    /// Puts `entry` into a free line, unless its flow is known or no line that it may have is free. Whether it did. Nobody else may
    /// write the table meanwhile.
    pub(super) fn insert(&self, entry: Entry<V>) -> bool {
        let (tag, mut free) = (self.tag(&entry.flow), None);
        for place in self.places(&entry.flow) {
            let Some((head, line)) = self.lines.read(place) else { continue };
            if line.tag == tag {
                return false;
            }
            if line.tag == FREE {
                free = free.or(Some((place, head)));
            }
        }
        free.is_some_and(|(place, head)| self.lines.write(place, head, tag, entry))
    }

    /// Notes when `flow` was seen, as the program does: if its line is another flow's by then, that one was.
    pub(super) fn touch(&self, flow: &Flow, seen: Instant) {
        self.set_word(flow, Line::<V>::SEEN, seen.as_nanos());
    }

    /// Writes one word of the line of `flow`, which needs no other version. Whoever calls it sees to it that the line stays the
    /// flow's, or that it does not matter.
    pub(super) fn set_word(&self, flow: &Flow, number: usize, word: u64) {
        let tag = self.tag(flow);
        if let Some(place) = self.places(flow).find(|place| self.lines.of(*place, tag).is_some()) {
            self.lines.word(place, number).store(word, Ordering::Relaxed);
        }
    }

    /// How many lines there are.
    pub(super) fn lines(&self) -> u32 {
        self.lines.count()
    }

    /// Forgets the flow in the line with this number, if it `is_over`.
    pub(super) fn remove_if(&self, place: u32, is_over: impl Fn(&Entry<V>) -> bool) {
        if let Some((head, _, entry)) = self.lines.entry(place)
            && is_over(&entry)
        {
            self.lines.write(place, head, FREE, Entry::nothing());
        }
    }

    /// Forgets `flow`.
    pub(super) fn remove(&self, flow: &Flow) {
        self.free(self.tag(flow), self.places(flow));
    }

    fn free(&self, tag: u64, places: impl Iterator<Item = u32>) {
        for place in places {
            if let Some((head, _)) = self.lines.of(place, tag) {
                self.lines.write(place, head, FREE, Entry::nothing());
            }
        }
    }

    /// The lines that `flow` may be in, that in which it is looked for first being the first.
    fn places(&self, flow: &Flow) -> impl Iterator<Item = u32> + use<V> {
        let first = line::place(flow.words(), |part| self.seed[part], self.lines.count());
        (0..WAYS).map(move |way| first ^ way)
    }

    fn tag(&self, flow: &Flow) -> u64 {
        line::tag(flow.words(), |part| self.seed[part])
    }
}

/// What somebody who wants to put a flow finds in a line, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    /// The flow itself.
    Own,
    /// Nothing.
    Free,
    /// A flow that was last seen then, some time ago.
    Older(Instant),
}

impl Claim {
    /// What `line` is to the flow with this `tag`, which was last seen then.
    fn of<V>(line: &Line<V>, tag: u64, last: Instant) -> Option<Self> {
        let seen = Instant::from_nanos(line.seen_ns);
        match line.tag {
            known if known == tag => Some(Self::Own),
            FREE => Some(Self::Free),
            _ => (seen + KEPT <= last).then_some(Self::Older(seen)),
        }
    }
}

/// The lines of a table, by their numbers, and the flows in them.
pub(super) struct Lines<V> {
    lines: Mapping<Line<V>>,
    flows: Mapping<Flow>,
}

impl<V: Copy> Lines<V>
where
    Plain<Line<V>>: Pod,
{
    /// All lines of the map `lines`, with the flows in the map `flows`, or in memory of this agent's own.
    ///
    /// # Errors
    ///
    /// They cannot be mapped into memory.
    pub(super) fn map(lines: &MapData, flows: Option<&MapData>) -> Result<Self, DatapathError> {
        let count = lines.info()?.max_entries();
        let flows = flows.map_or_else(|| Mapping::zeroes(count), |flows| Mapping::of(flows, count))?;
        Ok(Self { lines: Mapping::of(lines, count)?, flows })
    }

    /// The flows that are known. One that comes or goes meanwhile may be left out.
    pub(super) fn all(&self) -> impl Iterator<Item = Entry<V>> {
        (0..self.count()).filter_map(|place| self.entry(place)).map(|(.., entry)| entry)
    }

    fn count(&self) -> u32 {
        self.lines.count()
    }

    /// What the line says of the flow with this `tag`, and the head under which it does.
    fn of(&self, place: u32, tag: u64) -> Option<(u64, Entry<V>)> {
        // Most lines are another flow's, and where that is in memory need not be known.
        let is_there = self.word(place, Line::<V>::TAG).load(Ordering::Relaxed) == tag;
        let found = is_there.then(|| self.entry(place))?;
        found.filter(|(_, known, _)| *known == tag).map(|(head, _, entry)| (head, entry))
    }

    /// The head of the line and the tag and flow in it, if there is one and it is not being written.
    fn entry(&self, place: u32) -> Option<(u64, u64, Entry<V>)> {
        let (head, Line { seen_ns, tag, value, .. }) = self.read(place)?;
        if tag == FREE {
            return None;
        }
        let mut flow = MaybeUninit::<Flow>::uninit();
        for number in 0..FLOW_WORDS {
            let word = self.flow_word(place, number).load(Ordering::Relaxed);
            // SAFETY: a flow has so many words, written unaligned.
            unsafe { flow.as_mut_ptr().cast::<u64>().add(number).write_unaligned(word) };
        }
        fence(Ordering::Acquire);
        let is_settled = self.word(place, Line::<V>::HEAD).load(Ordering::Relaxed) == head;
        // SAFETY: all words were written, and any octets are a valid `Flow`, which is plain.
        let flow = is_settled.then(|| unsafe { flow.assume_init() })?;
        Some((head, tag, Entry { flow, value, seen: Instant::from_nanos(seen_ns) }))
    }

    /// The line and its head, unless it is being written.
    fn read(&self, place: u32) -> Option<(u64, Line<V>)> {
        let head = self.word(place, Line::<V>::HEAD).load(Ordering::Acquire);
        if line::is_written(line::version(head)) {
            return None;
        }
        let mut line = MaybeUninit::<Line<V>>::uninit();
        for number in 0..Line::<V>::WORDS {
            let word = self.word(place, number).load(Ordering::Relaxed);
            // SAFETY: a line has so many words, and begins as aligned as a word.
            unsafe { line.as_mut_ptr().cast::<u64>().add(number).write(word) };
        }
        fence(Ordering::Acquire);
        let is_settled = self.word(place, Line::<V>::HEAD).load(Ordering::Relaxed) == head;
        // SAFETY: all words were written, and any octets are a valid `Line`, which is plain.
        is_settled.then(|| (head, unsafe { line.assume_init() }))
    }

    /// Writes `entry`, whose flow has this `tag`, into the line, unless its head is another one than that or somebody else writes it.
    /// Whether it was written.
    fn write(&self, place: u32, before: u64, tag: u64, entry: Entry<V>) -> bool {
        let version = line::version(before).wrapping_add(1);
        let head = self.word(place, Line::<V>::HEAD);
        let locked = line::with_version(before, version);
        if head.compare_exchange(before, locked, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return false;
        }
        // Whoever sees a word of the new line sees the odd version as well.
        fence(Ordering::Release);
        let Entry { flow, value, seen } = entry;
        let line = Line { seen_ns: seen.as_nanos(), tag, version: version.wrapping_add(1), value };
        let words = (&raw const line).cast::<u64>();
        // SAFETY: a line has so many words, is aligned for them, and has no padding, for it is plain.
        let word = |number| unsafe { words.add(number).read() };
        for number in (0..Line::<V>::WORDS).filter(|number| *number != Line::<V>::HEAD) {
            self.word(place, number).store(word(number), Ordering::Relaxed);
        }
        for (number, word) in flow.words().into_iter().enumerate() {
            self.flow_word(place, number).store(word, Ordering::Relaxed);
        }
        head.store(word(Line::<V>::HEAD), Ordering::Release);
        true
    }

    /// A word of a line.
    fn word(&self, place: u32, number: usize) -> &AtomicU64 {
        assert!(number < Line::<V>::WORDS, "word {number} of a line");
        // SAFETY: the line is inside the mapping, and the word inside the line, as checked. Everybody reads and writes these words
        // as a whole, the program by single aligned accesses, which is how an atomic wants to be shared.
        unsafe { AtomicU64::from_ptr(self.lines.cell(place).cast::<u64>().add(number)) }
    }

    /// A word of the flow in a line.
    fn flow_word(&self, place: u32, number: usize) -> &AtomicU64 {
        assert!(number < FLOW_WORDS, "word {number} of a flow");
        // SAFETY: as in `word`; flows lie 40 octets apart from the start of a page on, and so their words are aligned.
        unsafe { AtomicU64::from_ptr(self.flows.cell(place).cast::<u64>().add(number)) }
    }
}
