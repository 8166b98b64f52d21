//! Tables of [`Line`]s, mapped into this process: several threads write them and the XDP program reads them, all without waiting for
//! anybody. What two threads want to write at once, one of them leaves to the next frame.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Duration;

use aya::Pod;
use aya::maps::MapData;
use baton_common::flow::Flow;
use baton_common::line::{self, Line, Seed, WAYS};

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

impl<V> From<Line<V>> for Entry<V> {
    fn from(Line { seen_ns, flow, value, .. }: Line<V>) -> Self {
        Self { flow, value, seen: Instant::from_nanos(seen_ns) }
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
    /// The table in `map`, which the program was loaded for with this `seed`.
    ///
    /// # Errors
    ///
    /// It cannot be mapped into memory.
    pub(super) fn map(map: &MapData, seed: Seed) -> Result<Self, DatapathError> {
        Ok(Self { lines: Lines::map(map)?, seed })
    }

    /// What is known of `flow`.
    pub(super) fn find(&self, flow: &Flow) -> Option<Entry<V>> {
        self.places(flow).find_map(|place| self.lines.of(place, flow)).map(|(_, entry)| entry)
    }

    /// Puts `entry` in, in place of what is known of its flow, unless all lines that it may have belong to flows that were seen
    /// lately, or are being written.
    pub(super) fn put(&self, entry: Entry<V>) {
        let candidates = self.places(&entry.flow).filter_map(|place| {
            let (head, line) = self.lines.read(place)?;
            Some((Claim::of(&line, &entry)?, place, head))
        });
        let Some((_, place, head)) = candidates.min_by_key(|(claim, ..)| *claim) else { return };
        if !self.lines.write(place, head, entry) {
            return;
        }
        // Another thread may have put the same flow elsewhere: each of them sees the other's line then, and the flow is in none
        // rather than in two.
        fence(Ordering::SeqCst);
        self.free(&entry.flow, self.places(&entry.flow).filter(|other| *other != place));
    }

    /// Puts `entry` into a free line, unless its flow is known or no line that it may have is free. Whether it did. Nobody else may
    /// write the table meanwhile.
    pub(super) fn insert(&self, entry: Entry<V>) -> bool {
        let mut free = None;
        for place in self.places(&entry.flow) {
            let Some((head, line)) = self.lines.read(place) else { continue };
            if line.flow == entry.flow {
                return false;
            }
            if line.flow == Flow::NONE {
                free = free.or(Some((place, head)));
            }
        }
        free.is_some_and(|(place, head)| self.lines.write(place, head, entry))
    }

    /// Notes when `flow` was seen, as the program does.
    pub(super) fn touch(&self, flow: &Flow, seen: Instant) {
        self.set_word(flow, Line::<V>::SEEN, seen.as_nanos());
    }

    /// Writes one word of the line of `flow`, which needs no other version. Nobody else may write the table meanwhile.
    pub(super) fn set_word(&self, flow: &Flow, number: usize, word: u64) {
        if let Some(place) = self.places(flow).find(|place| self.lines.of(*place, flow).is_some()) {
            self.lines.word(place, number).store(word, Ordering::Relaxed);
        }
    }

    /// How many lines there are.
    pub(super) fn lines(&self) -> u32 {
        self.lines.count()
    }

    /// Forgets the flow in the line with this number, if it `is_over`.
    pub(super) fn remove_if(&self, place: u32, is_over: impl Fn(&Entry<V>) -> bool) {
        if let Some((_, line)) = self.lines.read(place) {
            let entry = line.into();
            if line.flow != Flow::NONE && is_over(&entry) {
                self.free(&entry.flow, [place].into_iter());
            }
        }
    }

    /// Forgets `flow`.
    pub(super) fn remove(&self, flow: &Flow) {
        self.free(flow, self.places(flow));
    }

    fn free(&self, flow: &Flow, places: impl Iterator<Item = u32>) {
        for place in places {
            if let Some((head, _)) = self.lines.of(place, flow) {
                let nothing = Entry { flow: Flow::NONE, value: V::default(), seen: Instant::default() };
                self.lines.write(place, head, nothing);
            }
        }
    }

    /// The lines that `flow` may be in, that in which it is looked for first being the first.
    fn places(&self, flow: &Flow) -> impl Iterator<Item = u32> + use<V> {
        let first = line::place(flow.words(), |part| self.seed[part], self.lines.count());
        (0..WAYS).map(move |way| first ^ way)
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
    fn of<V>(line: &Line<V>, entry: &Entry<V>) -> Option<Self> {
        let seen = Instant::from_nanos(line.seen_ns);
        match line.flow {
            flow if flow == entry.flow => Some(Self::Own),
            Flow::NONE => Some(Self::Free),
            _ => (seen + KEPT <= entry.seen).then_some(Self::Older(seen)),
        }
    }
}

/// The lines of a table, by their numbers.
pub(super) struct Lines<V>(Mapping<Line<V>>);

impl<V: Copy> Lines<V>
where
    Plain<Line<V>>: Pod,
{
    /// All lines of `map`.
    ///
    /// # Errors
    ///
    /// They cannot be mapped into memory.
    pub(super) fn map(map: &MapData) -> Result<Self, DatapathError> {
        Mapping::of(map, map.info()?.max_entries()).map(Self)
    }

    /// The flows that are known. One that comes or goes meanwhile may be left out.
    pub(super) fn all(&self) -> impl Iterator<Item = Entry<V>> {
        let entry = |place| self.read(place).map(|(_, line)| Entry::from(line));
        (0..self.count()).filter_map(entry).filter(|entry| entry.flow != Flow::NONE)
    }

    fn count(&self) -> u32 {
        self.0.count()
    }

    /// What the line says of `flow`, and the head under which it does.
    fn of(&self, place: u32, flow: &Flow) -> Option<(u64, Entry<V>)> {
        self.read(place).filter(|(_, line)| line.flow == *flow).map(|(head, line)| (head, line.into()))
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

    /// Writes `entry` into the line, unless its head is another one than that or somebody else writes it. Whether it was written.
    fn write(&self, place: u32, before: u64, entry: Entry<V>) -> bool {
        let version = line::version(before).wrapping_add(1);
        let head = self.word(place, Line::<V>::HEAD);
        let locked = line::with_version(before, version);
        if head.compare_exchange(before, locked, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return false;
        }
        // Whoever sees a word of the new line sees the odd version as well.
        fence(Ordering::Release);
        let Entry { flow, value, seen } = entry;
        let line = Line { seen_ns: seen.as_nanos(), flow, version: version.wrapping_add(1), value };
        let words = (&raw const line).cast::<u64>();
        // SAFETY: a line has so many words, is aligned for them, and has no padding, for it is plain.
        let word = |number| unsafe { words.add(number).read() };
        for number in (0..Line::<V>::WORDS).filter(|number| *number != Line::<V>::HEAD) {
            self.word(place, number).store(word(number), Ordering::Relaxed);
        }
        head.store(word(Line::<V>::HEAD), Ordering::Release);
        true
    }

    /// A word of a line.
    fn word(&self, place: u32, number: usize) -> &AtomicU64 {
        assert!(number < Line::<V>::WORDS, "word {number} of a line");
        // SAFETY: the line is inside the mapping, and the word inside the line, as checked. Everybody reads and writes these words
        // as a whole, the program by single aligned accesses, which is how an atomic wants to be shared.
        unsafe { AtomicU64::from_ptr(self.0.cell(place).cast::<u64>().add(number)) }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use baton_common::flow::CachedFlow;
    use proptest::prelude::*;

    use super::*;

    impl<V> LineTable<V> {
        fn empty(lines: u32) -> Self {
            let seed = [0x9e37_79b9_7f4a_7c15; 6];
            Self { lines: Lines(Mapping::zeroes(lines).expect("memory")), seed }
        }
    }

    /// What is known of the flow with this number, in a table of one set.
    fn entry(number: u16, seconds: u64) -> Entry<CachedFlow> {
        let flow = Flow { source_port: number, destination_port: 443, protocol: 6, ..Flow::NONE };
        let value = CachedFlow { backend: number, service: !number, port: 0, client_mac: [0; 6] };
        Entry { flow, value, seen: Instant::from_nanos(seconds * 1_000_000_000) }
    }

    fn numbers(table: &LineTable<CachedFlow>) -> Vec<u16> {
        let mut numbers: Vec<u16> = table.lines.all().map(|entry| entry.flow.source_port).collect();
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn what_was_put_is_found_until_it_is_removed() {
        let table = LineTable::empty(64);
        for number in 1..20 {
            table.put(entry(number, 1));
        }
        table.put(entry(7, 5));
        assert_eq!(table.find(&entry(7, 0).flow), Some(entry(7, 5)));
        assert_eq!(table.find(&entry(8, 0).flow), Some(entry(8, 1)));
        assert_eq!(table.find(&entry(99, 0).flow), None);
        table.remove(&entry(7, 0).flow);
        table.remove(&entry(99, 0).flow);
        assert_eq!(table.find(&entry(7, 0).flow), None);
        assert_eq!(numbers(&table), (1..20).filter(|number| *number != 7).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_inserted_takes_nobodys_line() {
        let table = LineTable::empty(WAYS);
        let full = u16::try_from(WAYS).expect("few");
        for number in 0..full {
            assert!(table.insert(entry(number, 1)) && !table.insert(entry(number, 2)));
        }
        assert!(!table.insert(entry(100, 1000)));
        table.touch(&entry(3, 0).flow, entry(3, 7).seen);
        table.touch(&entry(100, 0).flow, entry(3, 9).seen);
        assert_eq!(table.find(&entry(3, 0).flow), Some(entry(3, 7)));
        table.remove(&entry(3, 0).flow);
        assert!(table.insert(entry(100, 1)));
        assert_eq!(numbers(&table), [0, 1, 2, 4, 5, 6, 7, 100]);
    }

    #[test]
    fn a_flow_takes_the_line_of_the_one_that_was_not_seen_for_longest_if_that_is_long_enough() {
        let table = LineTable::empty(WAYS);
        for number in 0..8 {
            table.put(entry(number, 10 + u64::from(number + 3) % 8));
        }
        // That of 10 s is the fifth.
        table.put(entry(100, 13));
        assert_eq!(numbers(&table), [0, 1, 2, 3, 4, 5, 6, 7], "all were seen within four seconds");
        table.put(entry(101, 20));
        assert_eq!(numbers(&table), [0, 1, 2, 3, 4, 6, 7, 101]);
        table.put(entry(0, 12));
        table.put(entry(102, 30));
        assert_eq!(numbers(&table), [0, 1, 2, 3, 4, 7, 101, 102]);
    }

    #[test]
    fn who_sweeps_removes_what_is_over_and_nothing_else() {
        let table = LineTable::empty(64);
        for number in 1..20 {
            table.put(entry(number, u64::from(number)));
        }
        (0..table.lines())
            .for_each(|place| table.remove_if(place, |entry| entry.seen.as_nanos() < 5_000_000_000));
        assert_eq!(numbers(&table), (5..20).collect::<Vec<_>>());
    }

    #[test]
    fn a_line_that_nobody_finished_says_nothing_and_is_nobodys() {
        let table = LineTable::empty(WAYS);
        table.put(entry(1, 1));
        let place = table.places(&entry(1, 1).flow).next().expect("eight");
        let head = table.lines.word(place, Line::<CachedFlow>::HEAD);
        let settled = head.load(Ordering::Relaxed);
        head.store(line::with_version(settled, line::version(settled) + 1), Ordering::Relaxed);
        assert_eq!((table.find(&entry(1, 1).flow), numbers(&table)), (None, vec![]));
        for number in 1..20 {
            table.put(entry(number, 5));
        }
        assert_eq!(numbers(&table), [1, 2, 3, 4, 5, 6, 7]);
        head.store(settled, Ordering::Relaxed);
        assert_eq!(numbers(&table), [1, 1, 2, 3, 4, 5, 6, 7]);
        table.remove(&entry(1, 1).flow);
        assert_eq!(numbers(&table), [2, 3, 4, 5, 6, 7], "wherever it is");
    }

    #[test]
    fn a_line_that_was_written_meanwhile_is_left_to_who_has_written_it() {
        let table = LineTable::empty(WAYS);
        let (head, _) = table.lines.read(0).expect("settled");
        assert!(table.lines.write(0, head, entry(1, 1)));
        assert!(!table.lines.write(0, head, entry(2, 1)));
        assert_eq!(numbers(&table), [1]);
    }

    #[test]
    fn writers_and_readers_at_once_never_see_a_mixed_line() {
        let table = LineTable::empty(2 * WAYS);
        // Of each flow all that is written belongs together.
        let check = |Entry { flow, value, seen }: Entry<CachedFlow>| {
            assert_eq!((value.backend, value.service), (flow.source_port, !flow.source_port));
            assert_eq!(value.client_mac, seen.as_nanos().to_ne_bytes()[..6]);
        };
        thread::scope(|scope| {
            for writer in 0..2_u16 {
                let table = &table;
                scope.spawn(move || {
                    for turn in 0..200_000_u32 {
                        let mut entry = entry(u16::try_from(turn % 40).expect("below 40"), 0);
                        // Each is seen so much later than the one before that all make room.
                        entry.seen = Instant::from_nanos(u64::from(turn) * 5_000_000_000 + u64::from(writer));
                        entry.value.client_mac.copy_from_slice(&entry.seen.as_nanos().to_ne_bytes()[..6]);
                        table.put(entry);
                        if turn % 7 == 0 {
                            table.remove(&entry.flow);
                        }
                    }
                });
            }
            for turn in 0..400_000_u32 {
                let number = u16::try_from(turn % 40).expect("below 40");
                if let Some(found) = table.find(&entry(number, 0).flow) {
                    check(found);
                }
            }
        });
        table.lines.all().for_each(check);
    }

    proptest! {
        /// Whatever is done, a flow has one line at most, what is found was put last, and there are no more flows than lines.
        #[test]
        fn a_table_tells_of_a_flow_what_was_put_last_or_nothing(
            deeds in proptest::collection::vec((0..60_u16, 0..3_u8, 0..4_u64), 0..400),
        ) {
            let table = LineTable::empty(4 * WAYS);
            let (mut last, mut now) = (std::collections::HashMap::new(), 0);
            for (number, deed, later) in deeds {
                now += later;
                let entry = entry(number, now);
                if deed == 0 {
                    table.remove(&entry.flow);
                    last.remove(&number);
                    prop_assert_eq!(table.find(&entry.flow), None);
                } else {
                    table.put(entry);
                    last.insert(number, entry);
                }
                let known = numbers(&table);
                prop_assert!(known.len() <= 32 && known.windows(2).all(|pair| pair[0] != pair[1]));
                for entry in table.lines.all() {
                    prop_assert_eq!(Some(&entry), last.get(&entry.flow.source_port));
                    prop_assert_eq!(table.find(&entry.flow), Some(entry));
                }
            }
        }
    }
}
