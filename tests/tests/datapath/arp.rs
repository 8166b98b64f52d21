//! ARP for the VIPs.

use std::collections::BTreeMap;

use baton_common::verdict::Verdict::{ArpAnswered, ArpNotOwner, Other, VipAnnounced};
use baton_tests::datapath::{Datapath, FOREVER, Outcome, XDP_DROP, XDP_PASS, XDP_TX};
use baton_tests::frames::{self, with};

use super::setup::{DEVICE_MAC, Role, SLOT, host, outcome};

/// Offsets in an untagged frame.
const OPERATION: usize = 20;
const SENDER_MAC: usize = 22;
const SENDER: usize = 28;
const TARGET: usize = 38;

/// What a client probes with before it takes an address (RFC 5227 2.1.1): a request without a sender's address.
fn probe() -> Vec<u8> {
    with(&frames::octets("arp-request-vip"), SENDER, &[0; 4])
}

fn answered(host: &Datapath, request: &[u8]) -> Vec<u8> {
    let Outcome { action, counted, frame } = host.receive(request);
    assert_eq!((action, counted), (XDP_TX, BTreeMap::from([(ArpAnswered, 1)])));
    frame
}

/// T-059.
#[test]
fn an_active_router_answers_with_the_virtual_mac() {
    let host = host(Role::Active);
    let reply = frames::octets("arp-reply-vip-rfc9568");
    for request in [
        "arp-request-vip",
        "arp-request-vip-unicast",
        "real-linux-arp-request-vip",
        "real-linux-arp-request-vip-unicast",
    ] {
        assert_eq!(answered(&host, &frames::octets(request)), reply, "{request}");
    }
}

/// T-127.
#[test]
fn an_active_router_answers_probes() {
    assert_eq!(answered(&host(Role::Active), &probe()), frames::octets("arp-reply-to-probe"));
}

#[test]
fn every_vip_is_answered_for() {
    let host = host(Role::Active);
    for last in 100..=102 {
        let request = with(&frames::octets("arp-request-vip"), TARGET, &[192, 0, 2, last]);
        let reply = with(&frames::octets("arp-reply-vip-rfc9568"), SENDER, &[192, 0, 2, last]);
        assert_eq!(answered(&host, &request), reply, "192.0.2.{last}");
    }
}

#[test]
fn the_mac_of_the_ownership_cell_is_what_an_answer_has() {
    let mut host = host(Role::Active);
    host.set_ownership(SLOT, FOREVER, DEVICE_MAC);
    let reply = with(&frames::octets("arp-reply-vip-rfc9568"), SENDER_MAC, &DEVICE_MAC);
    assert_eq!(answered(&host, &frames::octets("arp-request-vip")), reply);
}

#[test]
fn padding_stays_behind_the_answer() {
    let padding = [0xa5; 18];
    let request = [frames::octets("arp-request-vip"), padding.to_vec()].concat();
    let reply = [frames::octets("arp-reply-vip-rfc9568"), padding.to_vec()].concat();
    assert_eq!(answered(&host(Role::Active), &request), reply);
}

/// T-053.
#[test]
fn a_backup_router_keeps_requests_from_the_kernel() {
    let host = host(Role::Backup);
    for request in [frames::octets("arp-request-vip"), frames::octets("arp-request-vip-unicast"), probe()] {
        assert_eq!(host.receive(&request), outcome(XDP_DROP, ArpNotOwner, &request));
    }
}

/// T-128, T-129: whoever it is, the kernel must not learn from it, and the agent gets a count.
#[test]
fn announcements_of_a_vip_are_dropped() {
    for host in [host(Role::Active), host(Role::Backup)] {
        for name in [
            "arp-conflict-reply",
            "arp-conflict-request",
            "arp-garp-reply",
            "arp-garp-reply-tha-bcast",
            "arp-garp-request-rfc9568",
            "arp-garp-request-tha-bcast",
            "arp-garp-request-tha-zero",
            "real-frr844-garp",
            "real-linux-arp-reply-vip-physmac",
        ] {
            let frame = frames::octets(name);
            assert_eq!(host.receive(&frame), outcome(XDP_DROP, VipAnnounced, &frame), "{name}");
        }
        // A request for another address announces too: a receiver merges the sender before it looks at the rest.
        let asking = with(&frames::octets("arp-conflict-request"), TARGET, &[192, 0, 2, 1]);
        assert_eq!(host.receive(&asking), outcome(XDP_DROP, VipAnnounced, &asking));
    }
}

#[test]
fn what_the_interface_itself_announced_is_no_announcement_of_another() {
    for host in [host(Role::Active), host(Role::Backup)] {
        let request = frames::octets("arp-garp-request-physmac");
        assert_eq!(host.receive(&request), outcome(XDP_DROP, ArpNotOwner, &request));
        let reply = with(&request, OPERATION, &[0, 2]);
        assert_eq!(host.receive(&reply), outcome(XDP_PASS, Other, &reply));
    }
}

/// T-130.
#[test]
fn arp_for_other_addresses_passes() {
    for host in [host(Role::Active), host(Role::Backup)] {
        let request = frames::octets("arp-request-other");
        let reply = with(&request, OPERATION, &[0, 2]);
        // An answer to something that the host has asked for with a VIP as its own address.
        let reply_to_vip = with(&reply, TARGET, &[192, 0, 2, 100]);
        for frame in [request, reply, reply_to_vip] {
            assert_eq!(host.receive(&frame), outcome(XDP_PASS, Other, &frame));
        }
    }
}

/// T-131.
#[test]
fn damaged_arp_is_not_answered() {
    let host = host(Role::Active);
    let request = frames::octets("arp-request-vip");
    for length in 14..request.len() {
        let cut = &request[..length];
        assert_eq!(host.receive(cut), outcome(XDP_PASS, Other, cut), "{length} octets");
    }
    for name in ["bad-arp-htype6", "bad-arp-op3", "bad-arp-plen16"] {
        let frame = frames::octets(name);
        assert_eq!(host.receive(&frame), outcome(XDP_PASS, Other, &frame), "{name}");
    }
}

/// T-132: an address that no host can have gets no answer, from whomever.
#[test]
fn nobody_with_a_group_address_is_answered() {
    let request = frames::octets("arp-request-vip");
    for host in [host(Role::Active), host(Role::Backup)] {
        for frame in [
            with(&request, 6, &[0x01, 0, 0x5e, 0, 0, 1]),
            with(&request, 6, &[0xff; 6]),
            with(&request, SENDER_MAC, &[0xff; 6]),
            with(&request, SENDER, &[224, 0, 0, 1]),
            with(&request, SENDER, &[255; 4]),
        ] {
            assert_eq!(host.receive(&frame), outcome(XDP_DROP, ArpNotOwner, &frame));
        }
    }
}

/// T-132: the data plane knows no subnets; whoever shares the link may ask.
#[test]
fn somebody_from_another_subnet_is_answered() {
    let request = with(&frames::octets("arp-request-vip"), SENDER, &[10, 0, 0, 9]);
    let reply = with(&frames::octets("arp-reply-vip-rfc9568"), TARGET, &[10, 0, 0, 9]);
    assert_eq!(answered(&host(Role::Active), &request), reply);
}
