//! What becomes of single frames.

use std::collections::BTreeSet;

use baton::engine::{Carriage, Condition, Heads, Loss};
use baton::wire::Mac;
use baton_tests::datapath::{Outcome, XDP_TX};
use baton_tests::frames::{octets, tagged, with};
use proptest::prelude::*;

use super::bench::{ACK, Bench, FIN, SOURCE_PORT, SYN, addresses, at, flagged, host, mac};

#[test]
fn a_frame_is_readdressed_and_nothing_else_of_it_changes() {
    // T-143.
    let expected = octets("lb-dsr-l2");
    let device_mac: Mac = expected[6..12].try_into().expect("a frame");
    let mut bench = Bench::new(&addresses(1), device_mac);
    let sent = bench.forward(&octets("lb-tcp-syn-vip")).expect("it is for the service");
    assert_eq!(sent, with(&expected, 0, &mac(0)));
    let carried = Carriage { frames: 1, octets: expected.len() as u64, begun: 1, ..Carriage::default() };
    assert_eq!(bench.traffic.per_backend().collect::<Vec<_>>(), [carried]);
    assert_eq!(bench.traffic.per_service().collect::<Vec<_>>(), [carried, Carriage::default()]);
    let tag = [(0x8100, 7)];
    let sent = bench.forward(&tagged(&octets("lb-tcp-syn-vip"), &tag)).expect("tagged or not");
    assert_eq!(sent, tagged(&with(&expected, 0, &mac(0)), &tag));
}

#[test]
fn a_batch_goes_where_its_frames_would_go_one_by_one() {
    let from = |frame: &[u8], port: u16| with(frame, SOURCE_PORT, &port.to_be_bytes());
    let mut frames: Vec<Vec<u8>> = (1000..1100).map(|port| from(&flagged(SYN), port)).collect();
    frames.push(vec![0; 3]);
    for flags in [ACK, FIN, SYN] {
        frames.extend((1000..1100).step_by(7).map(|port| from(&flagged(flags), port)));
    }
    let (mut batch, mut single) = (Bench::new(&addresses(5), [2; 6]), Bench::new(&addresses(5), [2; 6]));
    let mut heads = Heads::default();
    // The second batch meets the flows of the first.
    for _ in 0..2 {
        batch.forwarder.look_ahead(frames.iter().map(|frame| (frame.as_slice(), 0)), &mut heads);
        for (frame, head) in frames.iter().zip(heads.iter()) {
            let mut sent = frame.clone();
            let arm = batch.forwarder.forward_head(&mut sent, head, &batch.pools, at(1));
            assert_eq!(arm.map(|_| sent), single.forward(frame), "{frame:?}");
        }
        assert_eq!(heads.iter().count(), frames.len());
    }
    assert_eq!(*batch.bypassed.0.borrow(), *single.bypassed.0.borrow());
    assert_eq!((batch.lost(), single.lost()), (vec![(Loss::NoFlow, 2)], vec![(Loss::NoFlow, 2)]));
}

#[test]
fn two_nodes_send_a_flow_to_the_same_backend_in_whatever_order_they_have_them() {
    // T-149.
    let (one, mut other) = (addresses(5), addresses(5));
    other.reverse();
    let (mut here, mut there) = (Bench::new(&one, [2; 6]), Bench::new(&other, [4; 6]));
    let mut met = BTreeSet::new();
    for port in 1000..1200 {
        let [_, _, _, _, _, backend] = here.backend(port).expect("a backend");
        let [_, _, _, _, _, same] = there.backend(port).expect("a backend");
        assert_eq!(one[usize::from(backend)], other[usize::from(same)], "port {port}");
        met.insert(backend);
    }
    assert_eq!(met.len(), 5);
}

#[test]
fn a_flow_keeps_its_backend_while_that_can_be_had() {
    let mut bench = Bench::new(&addresses(3), [2; 6]);
    bench.lose(&[2]);
    let ports = 1000..1200;
    let before: Vec<_> = ports.clone().map(|port| bench.backend(port)).collect();
    assert!(!before.contains(&Some(mac(2))));
    bench.lose(&[]);
    assert_eq!(ports.clone().map(|port| bench.backend(port)).collect::<Vec<_>>(), before);
    assert!((2000..2200).any(|port| bench.backend(port) == Some(mac(2))), "new flows go there");
    bench.lose(&[0]);
    for (port, before) in ports.zip(before) {
        let now = bench.backend(port);
        assert!(now.is_some() && now != Some(mac(0)));
        assert!(before == Some(mac(0)) || now == before, "port {port}");
    }
}

#[test]
fn an_error_about_an_answer_goes_to_the_backend_of_its_flow_and_changes_nothing() {
    // T-144.
    let error = octets("icmp-fragneeded-vip");
    let mut bench = Bench::new(&addresses(5), [2; 6]);
    let to = |sent: Option<Vec<u8>>| sent.expect("forwarded")[..6].to_vec();
    let unknown = to(bench.forward(&error));
    assert_eq!((bench.bypassed(), bench.traffic.flows()), (vec![], (0, 0)));
    let backend = to(bench.forward(&flagged(SYN)));
    assert_eq!(unknown, backend, "where the flow would go that is not known yet");
    assert!(bench.forward(&flagged(ACK)).is_some());
    let bypassed = bench.bypassed();
    let sent = bench.forward(&error).expect("forwarded");
    assert_eq!((&sent[..6], &sent[12..]), (&backend[..], &error[12..]));
    assert_eq!(bench.bypassed(), bypassed);
    let [.., number] = backend[..] else { panic!("a MAC address") };
    bench.lose(&[number]);
    assert_ne!(to(bench.forward(&error)), backend);
    bench.lose(&[]);
    assert_eq!(to(bench.forward(&flagged(ACK))), backend, "the flow was not forgotten");
}

#[test]
fn a_flow_is_bypassed_while_it_is_established() {
    let mut bench = Bench::new(&addresses(1), [2; 6]);
    for (flags, is_bypassed) in [
        (SYN, false),
        (SYN, false),
        (ACK, true),
        (ACK, true),
        (FIN | ACK, false),
        (ACK, false),
        (SYN, false),
        (ACK, true),
    ] {
        assert!(bench.forward(&flagged(flags)).is_some());
        assert_eq!(bench.bypassed(), if is_bypassed { vec![0] } else { vec![] }, "{flags:02x}");
    }
}

#[test]
fn a_flow_whose_backend_is_lost_is_bypassed_to_no_other_before_that_has_it() {
    let mut bench = Bench::new(&addresses(2), [2; 6]);
    for flags in [SYN, ACK] {
        assert!(bench.forward(&flagged(flags)).is_some());
    }
    let [before] = bench.bypassed()[..] else { panic!("{:?}", bench.bypassed()) };
    bench.lose(&[u8::try_from(before).expect("one of two")]);
    assert!(bench.forward(&flagged(ACK)).is_some());
    assert!(bench.bypassed().is_empty());
    assert!(bench.forward(&flagged(ACK)).is_some());
    assert_eq!(bench.bypassed(), [1 - before]);
}

#[test]
fn a_bypassed_flow_is_forgotten_when_nobody_sees_it_any_more() {
    let mut bench = Bench::new(&addresses(1), [2; 6]);
    for flags in [SYN, ACK] {
        assert!(bench.forward(&flagged(flags)).is_some());
    }
    bench.bypassed.0.borrow_mut().values_mut().for_each(|cached| cached.seen = at(800));
    bench.tend(1000);
    assert_eq!((bench.bypassed(), bench.traffic.flows()), (vec![0], (1, 0)));
    bench.tend(1701);
    assert_eq!((bench.bypassed(), bench.traffic.flows()), (vec![], (0, 0)));
}

#[test]
fn a_flow_that_no_worker_has_room_to_remember_is_bypassed_until_it_is_over() {
    let mut bench = Bench::new(&addresses(1), [2; 6]);
    for port in 1000..4000_u16 {
        for flags in [SYN, ACK] {
            let frame = with(&flagged(flags), SOURCE_PORT, &port.to_be_bytes());
            assert!(bench.forward(&frame).is_some());
        }
    }
    let (remembered, forgotten) = bench.traffic.flows();
    assert_eq!((remembered + forgotten, bench.bypassed().len()), (0, 3000));
    bench.tend(600);
    assert!(bench.traffic.flows().0 <= 1024 && bench.bypassed().len() == 3000);
    bench.tend(902);
    assert_eq!((bench.bypassed().len(), bench.traffic.flows().0), (0, 0));
}

#[test]
fn a_bypassed_flow_whose_ports_are_used_again_after_long_is_bypassed_no_more() {
    let mut bench = Bench::new(&addresses(1), [2; 6]);
    for (seconds, flags) in [(1, SYN), (1, ACK), (1000, SYN)] {
        assert!(bench.forward_at(seconds, &flagged(flags)).is_some());
    }
    assert!(bench.bypassed().is_empty());
}

/// Another worker's flow.
#[test]
fn a_flow_that_the_cache_knows_keeps_its_backend() {
    let mut before = Bench::new(&addresses(3), [2; 6]);
    let to = |bench: &mut Bench, seconds, flags| {
        bench.forward_at(seconds, &flagged(flags)).expect("sent")[..6].to_vec()
    };
    for flags in [SYN, ACK] {
        to(&mut before, 1, flags);
    }
    let [number] = before.bypassed()[..] else { panic!("{:?}", before.bypassed()) };
    let keeper = mac(u8::try_from(number).expect("one of three"));
    for (flags, seconds, is_kept, is_bypassed) in [
        (ACK, 2, true, true),
        (FIN | ACK, 2, true, false),
        (SYN, 2, false, false),
        // It is over.
        (ACK, 902, false, false),
    ] {
        let mut bench = Bench::new(&addresses(3), [2; 6]);
        bench.drain(usize::from(number));
        *bench.bypassed.0.borrow_mut() = before.bypassed.0.borrow().clone();
        let sent = to(&mut bench, seconds, flags);
        assert_eq!(
            (sent == keeper, !bench.bypassed().is_empty()),
            (is_kept, is_bypassed),
            "{flags:02x} after {seconds} s"
        );
    }
}

#[test]
fn a_flow_of_the_agent_before_keeps_its_backend_whatever_number_that_has() {
    let mut before = Bench::new(&addresses(3), [2; 6]);
    for flags in [SYN, ACK] {
        assert!(before.forward(&flagged(flags)).is_some());
    }
    let [number] = before.bypassed()[..] else { panic!("{:?}", before.bypassed()) };
    let mut turned = addresses(3);
    turned.reverse();
    for (addresses, numbers) in [
        (turned, vec![2 - number]),
        (addresses(3)[..2].to_vec(), vec![number]),
        (vec![[192, 0, 2, 9].into()], vec![]),
    ] {
        let numbers: Vec<u16> =
            numbers.into_iter().filter(|number| usize::from(*number) < addresses.len()).collect();
        let mut bench = Bench::new(&addresses, [2; 6]);
        assert_eq!(bench.inherit(&before, 2), numbers.len());
        assert_eq!(bench.bypassed(), numbers);
        numbers.iter().for_each(|number| bench.drain(usize::from(*number)));
        let sent = bench.forward_at(2, &flagged(ACK)).expect("sent");
        assert!(numbers.iter().all(|number| u16::from(sent[5]) == *number), "{sent:02x?}");
    }
}

#[test]
fn a_flow_of_the_agent_before_waits_for_its_backend_while_that_is_being_found_out() {
    let mut before = Bench::new(&addresses(2), [2; 6]);
    for flags in [SYN, ACK] {
        assert!(before.forward(&flagged(flags)).is_some());
    }
    let [number] = before.bypassed()[..] else { panic!("{:?}", before.bypassed()) };
    let mut bench = Bench::new(&addresses(2), [2; 6]);
    assert_eq!(bench.inherit(&before, 2), 1);
    assert_eq!(bench.bypassed(), [number]);
    bench.drain(usize::from(number));
    let mut conditions = [0, 1].map(|backend| Condition::Up(mac(backend)));
    conditions[usize::from(number)] = Condition::Unknown;
    bench.pools = bench.pools.then(&bench.plan, conditions.to_vec());
    assert_eq!(bench.forward(&flagged(ACK)), None);
    bench.lose(&[]);
    let sent = bench.forward(&flagged(ACK)).expect("forwarded");
    assert_eq!(sent[..6], mac(u8::try_from(number).expect("one of two")));
}

/// Both make the same of a frame.
#[test]
fn the_engine_and_the_flow_cache_send_the_same_frames() {
    let device_mac = [2, 0, 0, 0, 0, 1];
    let (mut bench, mut host) = (Bench::new(&addresses(1), device_mac), host(device_mac));
    host.set_backend(0, Some(mac(0)));
    let plain = flagged(ACK);
    let options = [&plain[..14], &[0x46], &plain[15..34], &[1, 1, 1, 0], &plain[34..]].concat();
    let padded = [&plain[..], &[0; 9]].concat();
    for frame in [plain, with(&options, 16, &44_u16.to_be_bytes()), padded] {
        let by_engine = bench.forward(&frame).expect("forwarded");
        assert!(bench.forward(&frame).is_some());
        for (flow, cached) in bench.bypassed.0.borrow().iter() {
            host.cache_flow(*flow, cached.value.backend);
        }
        let Outcome { action, frame: by_program, .. } = host.receive(&frame);
        assert_eq!((action, by_program), (XDP_TX, by_engine));
    }
}

#[test]
fn a_flow_that_is_inherited_twice_is_remembered_once_and_one_that_is_over_not_at_all() {
    let mut before = Bench::new(&addresses(1), [2; 6]);
    for flags in [SYN, ACK] {
        assert!(before.forward(&flagged(flags)).is_some());
    }
    for (seconds, taken_up, flows, bypassed) in [(2, [1, 0], 1, vec![0]), (2000, [0, 0], 0, vec![])] {
        let mut next = Bench::new(&addresses(1), [2; 6]);
        assert_eq!([(); 2].map(|()| next.inherit(&before, seconds)), taken_up);
        next.tend(seconds);
        assert_eq!((next.traffic.flows(), next.bypassed()), ((flows, 0), bypassed), "after {seconds} s");
    }
}

#[test]
fn a_frame_that_nobody_can_be_given_is_counted() {
    let mut bench = Bench::new(&addresses(2), [2; 6]);
    let syn = octets("lb-tcp-syn-vip");
    assert_eq!(bench.forward(&with(&syn, SOURCE_PORT + 2, &444_u16.to_be_bytes())), None);
    assert_eq!(bench.lost(), [(Loss::NoService, 1)]);
    bench.lose(&[0, 1]);
    assert_eq!(bench.forward(&syn), None);
    assert_eq!(bench.lost(), [(Loss::NoService, 1), (Loss::NoBackend, 1)]);
    assert_eq!(bench.forward(&octets("arp-request-vip")), None);
    assert_eq!(bench.lost(), [(Loss::NoFlow, 1), (Loss::NoService, 1), (Loss::NoBackend, 1)]);
}

proptest! {
    /// Whatever arrives is sent with other Ethernet addresses and no other change, or counted.
    #[test]
    fn a_frame_is_forwarded_as_it_is_or_counted(
        at in 0..54_usize,
        octet: u8,
        length in 0..80_usize,
        is_cut: bool,
    ) {
        let mut bench = Bench::new(&addresses(3), [2; 6]);
        let mut frame = octets("lb-tcp-syn-vip");
        frame.resize(if is_cut { length } else { frame.len() }, 0);
        if let Some(place) = frame.get_mut(at) {
            *place = octet;
        }
        let sent = bench.forward(&frame);
        let forwarded: u64 = bench.traffic.per_backend().map(|carried| carried.frames).sum();
        let lost: u64 = bench.traffic.losses().map(|(_, count)| count).sum();
        prop_assert_eq!((forwarded, lost), if sent.is_some() { (1, 0) } else { (0, 1) });
        if let Some(sent) = sent {
            prop_assert_eq!(&sent[12..], &frame[12..]);
            prop_assert_eq!(&sent[6..12], [2; 6]);
        }
    }
}
