//! Events: off unless asked for, one per frame that concerns the host.

use aya::maps::RingBuf;
use baton_common::verdict::Verdict::{ArpNotOwner, EgressArp, Other, VipNotOwner, VrrpUnknownRouter};
use baton_tests::datapath::{Datapath, XDP_DROP, XDP_PASS};
use baton_tests::frames;

use super::setup::{SLOT, outcome};

fn host(level: u8) -> Datapath {
    let mut host = Datapath::load_with_log_level(level);
    host.add_vip(0, [192, 0, 2, 100], SLOT);
    host
}

/// Puts the same frames in, of which `Other` is not worth an event, and counts what is in the ring.
fn events(host: &mut Datapath) -> usize {
    for (name, action, verdict) in [
        ("arp-request-other", XDP_PASS, Other),
        ("arp-request-vip", XDP_DROP, ArpNotOwner),
        ("lb-tcp-syn-vip", XDP_DROP, VipNotOwner),
        ("vrrp3-v4-std-p100", XDP_PASS, VrrpUnknownRouter),
    ] {
        let frame = frames::octets(name);
        assert_eq!(host.receive(&frame), outcome(action, verdict, &frame), "{name}");
    }
    assert_eq!(
        host.egress(&frames::octets("arp-garp-request-rfc9568")).counted.into_keys().next(),
        Some(EgressArp)
    );
    let mut ring = RingBuf::try_from(host.bpf_mut().map_mut("AYA_LOGS").expect("the ring")).expect("a ring");
    let mut events = 0;
    while ring.next().is_some() {
        events += 1;
    }
    events
}

#[test]
fn below_debug_level_no_frame_makes_an_event() {
    assert_eq!(events(&mut host(0)), 0);
    // 3 is info; all of them are debug.
    assert_eq!(events(&mut host(3)), 0);
}

#[test]
fn at_debug_level_every_frame_that_concerns_the_host_makes_one_event() {
    assert_eq!(events(&mut host(4)), 4);
}

/// The verifier has removed the code, so that what is off costs nothing.
#[test]
fn a_program_with_events_off_is_smaller_than_one_with_them_on() {
    let size = |level: u8| {
        let host = host(level);
        let program = host.bpf().program(baton_common::maps::XDP_PROGRAM).expect("the program");
        program.info().expect("information").size_translated().expect("a size")
    };
    let (off, on) = (size(0), size(4));
    assert!(off + 200 < on, "{off} octets without events, {on} with");
}
