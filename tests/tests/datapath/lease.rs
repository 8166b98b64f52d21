//! Ownership is a lease: it ends by itself, for everything at once.

use std::thread::sleep;
use std::time::Duration;

use baton::clock;
use baton_common::verdict::Verdict::{
    self, ArpAnswered, ArpNotOwner, EgressArp, EgressVirtualMac, VipDelivered, VipNotOwner,
    VirtualMacNotOwner, VirtualMacNotVip,
};
use baton_tests::datapath::{Datapath, Outcome, XDP_DROP};
use baton_tests::frames::{self, with};

use super::setup::{Role, SLOT, VIRTUAL_MAC, host, outcome};

/// What the host makes of a request, of traffic, of something else to its virtual MAC, of its own announcement and of
/// its own advert.
fn verdicts(host: &Datapath) -> Vec<Verdict> {
    let traffic = frames::octets("lb-tcp-syn-vip");
    let outcomes: [Outcome; 5] = [
        host.receive(&frames::octets("arp-request-vip")),
        host.receive(&traffic),
        host.receive(&with(&traffic, 30, &[192, 0, 2, 99])),
        host.egress(&frames::octets("arp-garp-request-rfc9568")),
        host.egress(&frames::octets("vrrp3-v4-std-p100")),
    ];
    outcomes.into_iter().flat_map(|outcome| outcome.counted.into_keys()).collect()
}

/// The tcx program lets both egress frames of an owner pass, and does not count them.
const OWNED: [Verdict; 3] = [ArpAnswered, VipDelivered, VirtualMacNotVip];
const NOT_OWNED: [Verdict; 5] = [ArpNotOwner, VipNotOwner, VirtualMacNotOwner, EgressArp, EgressVirtualMac];

#[test]
fn a_host_owns_while_the_end_of_its_lease_lies_ahead_and_not_after() {
    let mut host = host(Role::Backup);
    for (lease_until_ns, expected) in [
        (0, &NOT_OWNED[..]),
        (1, &NOT_OWNED),
        (clock::now().as_nanos() - 1, &NOT_OWNED),
        (clock::now().as_nanos(), &NOT_OWNED),
        (clock::now().as_nanos() + 60_000_000_000, &OWNED),
        // As a signed number this one would lie in the past.
        (1 << 63, &OWNED),
        (u64::MAX, &OWNED),
    ] {
        host.set_ownership(SLOT, lease_until_ns, VIRTUAL_MAC);
        assert_eq!(verdicts(&host), expected, "lease until {lease_until_ns}");
    }
}

#[test]
fn a_lapsed_lease_ends_everything_and_a_renewed_one_brings_it_back() {
    let mut host = host(Role::Backup);
    for _ in 0..3 {
        host.set_ownership(SLOT, clock::now().as_nanos() + 300_000_000, VIRTUAL_MAC);
        assert_eq!(verdicts(&host), OWNED);
        sleep(Duration::from_millis(300));
        assert_eq!(verdicts(&host), NOT_OWNED);
    }
}

#[test]
fn a_slot_beyond_the_map_is_never_owned() {
    let mut host = host(Role::Active);
    host.add_vip(0, [192, 0, 2, 100], baton_common::maps::MAX_ROUTERS);
    for (name, verdict) in [("arp-request-vip", ArpNotOwner), ("lb-tcp-syn-vip", VipNotOwner)] {
        let frame = frames::octets(name);
        assert_eq!(host.receive(&frame), outcome(XDP_DROP, verdict, &frame), "{name}");
    }
}
