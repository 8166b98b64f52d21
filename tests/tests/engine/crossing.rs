//! Backends behind another interface than the services: single frames, and that XDP does to them what the engine does.

use baton::config::Protocol;
use baton::engine::{Nat, Way};
use baton::wire::Mac;
use baton_common::flow::Arm;
use baton_common::ownership::BALANCED;
use baton_common::verdict::Verdict::{self, VipBalanced, VipCrossed, VipNotOwner};
use baton_tests::datapath::{Datapath, Outcome, XDP_DROP, XDP_PASS, XDP_REDIRECT};
use baton_tests::frames::with;

use super::bench::{ACK, Bench, FIN, SYN, flagged, host, mac, service};
use super::nat::{CLIENT_MAC, DEVICE_MAC, Kind, Places, ends, frame, places};

/// The address of the second interface.
const ARM_MAC: Mac = [2, 0, 0, 0, 1, 1];

/// Both services of the family, to one backend behind the second interface.
fn bench(places: Places, way: Way) -> Bench {
    let services = [Protocol::Tcp, Protocol::Udp].map(|protocol| service(places.vip.0, protocol));
    let macs = vec![DEVICE_MAC, ARM_MAC];
    Bench::between(services.to_vec(), way, &[places.backend], Some("eth1".to_owned()), macs)
}

/// The data plane of the Active Router, which knows what `bench` has told it, with the backend behind the second interface, which is
/// the one that frames of tests come in by.
fn taught(bench: &Bench, takes_redirected: [u8; 2]) -> Datapath {
    let mut host = host(DEVICE_MAC);
    let backend = &bench.plan.backends[0];
    match backend.way {
        Way::Direct => host.set_backend(0, Some(mac(0))),
        Way::Nat(nat) => host.set_nat(0, mac(0), nat.to_map(backend.address)),
        Way::Tunnel(_) => panic!("not tried here"),
    }
    host.move_backend(0, 1);
    let arms = [(7, DEVICE_MAC), (Datapath::TEST_INTERFACE, ARM_MAC)];
    for (number, ((interface, mac), takes_redirected)) in (0..).zip(arms.into_iter().zip(takes_redirected)) {
        host.set_arm(number, Arm { interface, mac, takes_redirected, _pad: 0 });
    }
    bench.bypassed.0.borrow().values().for_each(|cached| host.cache(cached.flow, cached.value));
    bench.translated.all().values().for_each(|translated| host.translate(translated.flow, translated.value));
    host
}

fn counted(verdict: Verdict) -> std::collections::BTreeMap<Verdict, u64> {
    [(verdict, 1)].into()
}

#[test]
fn requests_leave_by_the_interface_of_the_backend_and_answers_by_that_of_the_client() {
    for (is_ipv6, is_full, kind) in [
        (false, false, Kind::Tcp(ACK)),
        (false, true, Kind::Udp),
        (true, false, Kind::Udp),
        (true, true, Kind::Tcp(ACK)),
    ] {
        let places = places(is_ipv6);
        let source = is_full.then_some(places.host);
        let mut bench = bench(places, Way::Nat(Nat { source, port: Some(8443) }));
        let asked = frame(kind, places.client, places.vip, &[1; 9]);
        let (first, _) = bench.forward_across(&asked).expect("sent");
        let (arm, to_backend) = bench.forward_across(&asked).expect("sent");
        assert_eq!((first, arm), (1, 1));
        assert_eq!((&to_backend[..6], &to_backend[6..12]), (&mac(0)[..], &ARM_MAC[..]));
        let (source, destination) = ends(&to_backend);
        assert_eq!(destination, (places.backend, 8443));
        let answer = with(&frame(kind, destination, source, &[2; 5]), 0, &ARM_MAC);
        let (arm, to_client) = bench.forward_across(&answer).expect("sent");
        assert_eq!((arm, &to_client[..6], &to_client[6..12]), (0, &CLIENT_MAC[..], &DEVICE_MAC[..]));
        assert_eq!(ends(&to_client), (places.vip, places.client));

        let host = taught(&bench, [1, 1]);
        for (outcome, sent) in [(host.receive(&asked), to_backend), (host.answer_to(&answer), to_client)] {
            assert_eq!(outcome, Outcome { action: XDP_REDIRECT, counted: counted(VipCrossed), frame: sent });
        }
        assert_eq!((host.carried(0).0, host.answers(0)), (1, 1));
    }
}

/// The backend answers the client itself.
#[test]
fn direct_server_return_has_another_interface_too() {
    let places = places(false);
    let mut bench = bench(places, Way::Direct);
    let asked = flagged(ACK);
    let sent = [(); 2].map(|()| bench.forward_across(&asked).expect("sent"));
    let expected = [&mac(0)[..], &ARM_MAC, &asked[12..]].concat();
    assert_eq!(sent, [(1, expected.clone()), (1, expected.clone())]);
    let outcome = taught(&bench, [1, 1]).receive(&asked);
    assert_eq!(outcome, Outcome { action: XDP_REDIRECT, counted: counted(VipCrossed), frame: expected });
}

#[test]
fn what_xdp_cannot_send_by_an_interface_is_the_engines_and_is_left_as_it_was() {
    let places = places(false);
    let mut bench = bench(places, Way::Nat(Nat { source: Some(places.host), port: None }));
    let asked = frame(Kind::Udp, places.client, places.vip, &[]);
    let sent = [(); 2].map(|()| bench.forward_across(&asked).expect("sent").1);
    let (source, destination) = ends(&sent[1]);
    let answer = with(&frame(Kind::Udp, destination, source, &[]), 0, &ARM_MAC);
    // In a test the engine has no socket, and what is for it is dropped.
    let left =
        |frame: &[u8]| Outcome { action: XDP_DROP, counted: counted(VipBalanced), frame: frame.to_vec() };
    let host = taught(&bench, [1, 0]);
    assert_eq!(host.receive(&asked), left(&asked));
    assert_eq!(host.answer_to(&answer).action, XDP_REDIRECT);
    let host = taught(&bench, [0, 1]);
    assert_eq!(host.receive(&asked).action, XDP_REDIRECT);
    assert_eq!(host.answer_to(&answer), left(&answer));
}

#[test]
fn nothing_is_answered_for_a_vip_that_is_not_owned_and_what_answers_nothing_is_the_kernels() {
    for is_ipv6 in [false, true] {
        let places = places(is_ipv6);
        let mut bench = bench(places, Way::Nat(Nat { source: Some(places.host), port: None }));
        let asked = frame(Kind::Tcp(ACK), places.client, places.vip, &[]);
        let sent = [(); 2].map(|()| bench.forward_across(&asked).expect("sent").1);
        let (source, destination) = ends(&sent[1]);
        let answer = |kind, source| with(&frame(kind, destination, source, &[]), 0, &ARM_MAC);
        let mut host = taught(&bench, [1, 1]);
        for kind in [Kind::Tcp(SYN | ACK), Kind::Tcp(FIN | ACK)] {
            let Outcome { action, counted: verdicts, .. } = host.answer_to(&answer(kind, source));
            assert_eq!((action, verdicts), (XDP_DROP, counted(VipBalanced)), "the engine is to see it");
        }
        let answered = answer(Kind::Tcp(ACK), source);
        for (what, arrived) in [
            ("another port", answer(Kind::Tcp(ACK), (source.0, source.1 ^ 1))),
            ("a flooded one", with(&answered, 0, &[2, 0, 0, 0, 0, 7])),
            ("for the other interface", with(&answered, 0, &DEVICE_MAC)),
        ] {
            let outcome = Outcome { action: XDP_PASS, counted: [].into(), frame: arrived.clone() };
            assert_eq!(host.answer_to(&arrived), outcome, "{what}");
        }
        host.set_arm(1, Arm::default());
        assert_eq!(host.answer_to(&answered).action, XDP_PASS, "an interface that is none of the engine's");
        let mut host = taught(&bench, [1, 1]);
        host.set_delivery(0, 0, [0, 0, 0x5e, 0, 1, 51], BALANCED);
        let outcome = Outcome { action: XDP_DROP, counted: counted(VipNotOwner), frame: answered.clone() };
        assert_eq!(host.answer_to(&answered), outcome);
    }
}
