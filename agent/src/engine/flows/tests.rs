//! The flow table.

use std::iter;

use super::*;

fn flow(number: u16) -> Flow {
    Flow { source_port: number, destination_port: 443, protocol: 6, ..Flow::default() }
}

fn at(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * 1_000_000_000)
}

/// What has seen a flow that nobody else sees.
fn nobody(_: &Flow, _: Target) -> Option<Instant> {
    None
}

fn to(backend: u16) -> Target {
    Target { backend, ..Target::default() }
}

/// The flows that went, the last first.
fn gone(flows: &mut Flows) -> Vec<Flow> {
    iter::from_fn(|| flows.gone()).map(|(flow, _)| flow).collect()
}

/// All in one set.
const HASH: u64 = 7;

/// A table for one set, with a flow in it that is established since `seconds`.
fn established(flow: Flow, seconds: u64) -> Flows {
    let mut flows = Flows::new(8);
    establish(&mut flows, flow, 3, seconds);
    flows
}

fn establish(flows: &mut Flows, flow: Flow, number: u16, seconds: u64) {
    flows.put(flow, HASH, Signal::Begin, to(number), at(seconds), nobody);
    assert_eq!(backend(flows, flow, Signal::Continue, seconds), Some(number));
}

fn backend(flows: &mut Flows, flow: Flow, signal: Signal, seconds: u64) -> Option<u16> {
    flows.find(&flow, HASH, signal, at(seconds)).map(|found| found.target.backend)
}

#[test]
fn a_flow_keeps_its_backend_until_it_is_over() {
    let datagrams = Flow { protocol: UDP, ..flow(1) };
    for (flow, signals, seconds) in [
        (flow(1), [Signal::Begin, Signal::Begin], 60),
        (flow(1), [Signal::Begin, Signal::Continue], 900),
        (flow(1), [Signal::Continue, Signal::Continue], 900),
        (flow(1), [Signal::Begin, Signal::End], 30),
        (datagrams, [Signal::Datagram, Signal::Datagram], 300),
    ] {
        for (later, found) in [(seconds, Some(3)), (seconds + 1, None)] {
            let mut flows = Flows::new(100);
            flows.put(flow, HASH, signals[0], to(3), at(10), nobody);
            assert_eq!(backend(&mut flows, flow, signals[1], 10), Some(3));
            assert_eq!(backend(&mut flows, flow, Signal::Continue, 10 + later), found, "{signals:?}");
            assert_eq!(flows.live(), usize::from(found.is_some()));
        }
    }
}

#[test]
fn a_connection_that_the_client_has_ended_is_there_for_its_last_packets() {
    let mut flows = established(flow(1), 0);
    assert_eq!(backend(&mut flows, flow(1), Signal::Begin, 800), Some(3), "an old SYN changes nothing");
    assert_eq!(backend(&mut flows, flow(1), Signal::End, 1000), Some(3));
    assert_eq!(backend(&mut flows, flow(1), Signal::Continue, 1030), Some(3));
    assert_eq!(backend(&mut flows, flow(1), Signal::Continue, 1061), None);
}

#[test]
fn a_new_connection_from_the_same_port_is_another_flow() {
    let mut flows = established(flow(1), 0);
    assert_eq!(backend(&mut flows, flow(1), Signal::End, 0), Some(3));
    assert_eq!(backend(&mut flows, flow(1), Signal::Begin, 1), None);
    assert_eq!(flows.live(), 0);
}

#[test]
fn a_flood_of_flows_of_one_packet_pushes_out_only_itself() {
    for signal in [Signal::Begin, Signal::Continue, Signal::Datagram] {
        let mut flows = Flows::new(8);
        for number in 0..7 {
            establish(&mut flows, flow(number), number, u64::from(number));
        }
        for number in 100..2000 {
            flows.put(flow(number), HASH, signal, to(9), at(20), nobody);
        }
        for number in 0..7 {
            assert_eq!(backend(&mut flows, flow(number), Signal::Continue, 21), Some(number));
        }
        assert_eq!((flows.live(), flows.evicted()), (8, 1899));
    }
}

#[test]
fn new_flows_become_established_in_a_set_of_flows_that_others_remember() {
    let everybody = |_: &Flow, _: Target| Some(at(20));
    let mut flows = Flows::new(8);
    for number in 0..8 {
        establish(&mut flows, flow(number), number, u64::from(number));
    }
    for signal in [Signal::Begin, Signal::Continue] {
        for number in 100..104 {
            if backend(&mut flows, flow(number), signal, 20).is_none() {
                flows.put(flow(number), HASH, signal, to(9), at(20), everybody);
            }
        }
    }
    assert_eq!(numbers(&flows, 20), [4, 5, 6, 7, 100, 101, 102, 103]);
}

#[test]
fn a_full_table_gives_up_what_is_over_and_then_what_was_not_seen_for_longest() {
    let mut flows = Flows::new(8);
    for number in 0..8 {
        establish(&mut flows, flow(number), number, 10 + u64::from(number));
    }
    let is_there =
        |flows: &mut Flows, number, signal, seconds| backend(flows, flow(number), signal, seconds).is_some();
    assert!(is_there(&mut flows, 0, Signal::End, 30) && is_there(&mut flows, 1, Signal::Continue, 30));
    flows.put(flow(100), HASH, Signal::Begin, to(9), at(61), nobody);
    assert!(!is_there(&mut flows, 0, Signal::Continue, 61) && flows.evicted() == 0);
    establish(&mut flows, flow(101), 9, 61);
    assert!(is_there(&mut flows, 1, Signal::Continue, 61) && is_there(&mut flows, 2, Signal::Continue, 61));
    assert!(!is_there(&mut flows, 100, Signal::Continue, 61) && flows.evicted() == 1);
}

#[test]
fn a_flow_is_established_from_its_second_packet_until_its_last() {
    let mut flows = Flows::new(8);
    flows.put(flow(1), HASH, Signal::Begin, to(3), at(0), nobody);
    for (signal, is_established) in
        [(Signal::Begin, false), (Signal::Continue, true), (Signal::Begin, true), (Signal::End, false)]
    {
        let found = flows.find(&flow(1), HASH, signal, at(1)).expect("it is there");
        assert_eq!(found.is_established, is_established, "{signal:?}");
    }
}

#[test]
fn whoever_looks_at_a_flow_changes_nothing() {
    let mut flows = established(flow(1), 0);
    let remembered = Remembered { flow: flow(1), target: to(3), state: State::Established, seen: at(0) };
    assert_eq!(flows.peek(&flow(1), HASH, at(900)), Some(remembered));
    assert_eq!(flows.of_sets(0..flows.sets(), at(900)).collect::<Vec<_>>(), [remembered]);
    assert_eq!(flows.peek(&flow(1), HASH, at(901)), None);
    assert_eq!(flows.peek(&flow(2), HASH, at(1)), None);
    assert_eq!(backend(&mut flows, flow(1), Signal::Continue, 901), None, "it was not seen meanwhile");
}

#[test]
fn a_flow_lives_on_while_somebody_else_sees_it() {
    let mut flows = established(flow(1), 0);
    let sets = flows.sets();
    for (now, seen, is_there) in [(890, 880, true), (1700, 880, true), (1781, 880, false)] {
        flows.sweep(sets, at(now), |_, _| Some(at(seen)));
        assert_eq!(
            (flows.live(), gone(&mut flows).is_empty()),
            (usize::from(is_there), is_there),
            "after {now} s"
        );
    }
}

/// The numbers of the flows that are there.
fn numbers(flows: &Flows, seconds: u64) -> Vec<u16> {
    let all = flows.of_sets(0..flows.sets(), at(seconds));
    let mut numbers: Vec<u16> = all.map(|remembered| remembered.flow.source_port).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn the_oldest_have_to_go_and_who_is_over_is_told() {
    let mut flows = Flows::new(8);
    for number in 0..10 {
        flows.put(flow(number), HASH, Signal::Begin, to(3), at(u64::from(number)), nobody);
    }
    assert_eq!((numbers(&flows, 9), gone(&mut flows)), (vec![2, 3, 4, 5, 6, 7, 8, 9], vec![]));
    let sets = flows.sets();
    flows.sweep(sets, at(65), nobody);
    assert_eq!(
        (gone(&mut flows).len(), numbers(&flows, 65)),
        (3, vec![5, 6, 7, 8, 9]),
        "those of 2, 3 and 4 s"
    );
    flows.forget(&flow(9), HASH);
    assert_eq!(gone(&mut flows), [flow(9)]);
}

#[test]
fn a_flow_that_somebody_else_sees_is_not_the_first_to_go() {
    let mut flows = Flows::new(8);
    for number in 0..8 {
        establish(&mut flows, flow(number), number, u64::from(number));
    }
    let seen = |other: &Flow, _: Target| (*other == flow(0)).then(|| at(90));
    flows.put(flow(100), HASH, Signal::Begin, to(9), at(100), seen);
    assert_eq!(numbers(&flows, 100), [0, 2, 3, 4, 5, 6, 7, 100]);
}

#[test]
fn flows_with_other_hashes_are_in_other_sets() {
    let mut flows = Flows::new(64);
    assert_eq!(flows.sets(), 8);
    for number in 0..64 {
        flows.put(flow(number), u64::from(number) << 32, Signal::Begin, to(3), at(0), nobody);
    }
    assert_eq!(gone(&mut flows), []);
    assert_eq!((flows.live(), flows.evicted()), (64, 0));
    assert_eq!(flows.find(&flow(1), 2 << 32, Signal::Begin, at(0)), None, "not where it is");
}

#[test]
fn a_flow_that_was_taken_for_over_and_is_not_does_not_go() {
    let mut flows = established(flow(1), 0);
    assert_eq!(backend(&mut flows, flow(1), Signal::Continue, 901), None);
    flows.adopt(flow(1), HASH, to(3), at(900), at(901), nobody);
    assert_eq!(gone(&mut flows), []);
    assert_eq!(backend(&mut flows, flow(1), Signal::Continue, 902), Some(3));
}

#[test]
fn a_forgotten_flow_is_gone() {
    let mut flows = Flows::new(8);
    flows.put(flow(1), HASH, Signal::Begin, to(3), at(0), nobody);
    flows.forget(&flow(2), HASH);
    flows.forget(&flow(1), HASH);
    assert_eq!((backend(&mut flows, flow(1), Signal::Begin, 0), flows.live()), (None, 0));
}

#[test]
fn flows_are_counted_by_their_backends() {
    let mut flows = Flows::new(8);
    for number in 0..8 {
        flows.put(flow(number), HASH, Signal::Begin, to(number % 2), at(0), nobody);
    }
    assert_eq!([0, 1, 2].map(|backend| flows.of(backend)), [4, 4, 0]);
    flows.put(flow(8), HASH, Signal::Begin, to(2), at(1), nobody);
    assert_eq!([0, 1, 2].map(|backend| flows.of(backend)), [3, 4, 1], "one of 0 had to go");
    flows.forget(&flow(1), HASH);
    flows.forget(&flow(99), HASH);
    assert_eq!([0, 1, 2].map(|backend| flows.of(backend)), [3, 3, 1]);
    assert_eq!(backend(&mut flows, flow(2), Signal::Continue, 61), None);
    assert_eq!([0, 1, 2].map(|backend| flows.of(backend)), [2, 3, 1], "it was over");
    let sets = flows.sets();
    flows.sweep(sets, at(61), nobody);
    assert_eq!([0, 1, 2].map(|backend| flows.of(backend)), [0, 0, 1]);
}
