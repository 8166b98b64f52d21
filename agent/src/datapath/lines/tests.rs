//! What a table says of flows, whoever writes it meanwhile.

use std::thread;

use baton_common::flow::CachedFlow;
use proptest::prelude::*;

use super::*;

impl<V> LineTable<V> {
    fn empty(count: u32) -> Self {
        let memory = "there is memory";
        let lines = Lines {
            lines: Mapping::zeroes(count).expect(memory),
            flows: Mapping::zeroes(count).expect(memory),
        };
        Self { lines, seed: [0x9e37_79b9_7f4a_7c15; line::SEED_WORDS] }
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
    assert!(table.lines.write(0, head, 1, entry(1, 1)));
    assert!(!table.lines.write(0, head, 2, entry(2, 1)));
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
