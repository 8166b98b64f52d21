//! What an owner that is the gateway of its segment lets through to its kernel, and one that accepts nothing for itself.

use baton::clock;
use baton_common::ownership::{GATEWAY, NOT_ACCEPTED};
use baton_common::verdict::Verdict::{
    self, ArpAnswered, GatewayDelivered, NdAnswered, Other, VipDelivered, VipNotAccepted, VipNotOwner,
    VirtualMacNotOwner, VirtualMacNotVip, VrrpReceived,
};
use baton_tests::datapath::{Datapath, FOREVER, Outcome, XDP_DROP, XDP_PASS, XDP_TX};
use baton_tests::frames::{self, tagged, with};
use std::collections::BTreeMap;

use super::setup::{BOTH, DEVICE_MAC, PRIMARY, Role, SLOT, SLOT6, VIRTUAL_MAC, VIRTUAL_MAC6, host, outcome};

const DESTINATION_MAC: usize = 0;
const ETHERTYPE: usize = 12;
const PROTOCOL: usize = 23;
const DESTINATION: usize = 30;
/// Of an IPv6 packet.
const DESTINATION6: usize = 38;
const ICMP6: usize = 54;

/// The host as owner of both virtual routers until `lease_until_ns`, with what its kernel gets.
fn owner(lease_until_ns: u64, delivery: u8) -> Datapath {
    let mut host = host(Role::Backup);
    host.set_delivery(SLOT, lease_until_ns, VIRTUAL_MAC, delivery);
    host.set_delivery(SLOT6, lease_until_ns, VIRTUAL_MAC6, delivery);
    host
}

/// TCP to a host that is nobody's VIP, sent to the virtual MAC.
fn ipv4() -> Vec<u8> {
    with(&frames::octets("lb-tcp-syn-vip"), DESTINATION, &[198, 51, 100, 7])
}

/// ICMPv6 to such a host.
fn ipv6() -> Vec<u8> {
    let echo = with(&frames::octets("icmp6-echo-vip"), DESTINATION_MAC, &VIRTUAL_MAC6);
    with(&echo, DESTINATION6, &[0x20, 0x01, 0x0d, 0xb9])
}

fn routed(frame: &[u8]) -> Outcome {
    outcome(XDP_PASS, GatewayDelivered, &with(frame, DESTINATION_MAC, &DEVICE_MAC))
}

/// T-062: nothing but the destination MAC changes. Either MAC draws packets of either family.
#[test]
fn an_owner_that_is_a_gateway_lets_packets_for_others_through_to_its_kernel() {
    let host = owner(FOREVER, GATEWAY);
    let (v4_to_v6, v6_to_v4) =
        (with(&ipv4(), DESTINATION_MAC, &VIRTUAL_MAC6), with(&ipv6(), DESTINATION_MAC, &VIRTUAL_MAC));
    let to_this_host = with(&ipv4(), DESTINATION, &PRIMARY);
    let fragment = with(&ipv4(), 20, &[0x00, 0xb9]);
    let jumbo = [ipv4(), vec![0xa5; 9000]].concat();
    for frame in [ipv4(), ipv6(), v4_to_v6, v6_to_v4, to_this_host, fragment, jumbo] {
        assert_eq!(host.receive(&frame), routed(&frame));
    }
}

/// T-056.
#[test]
fn a_backup_drops_what_it_would_route_as_owner() {
    let host = owner(0, GATEWAY);
    for frame in [ipv4(), ipv6()] {
        assert_eq!(host.receive(&frame), outcome(XDP_DROP, VirtualMacNotOwner, &frame));
    }
}

#[test]
fn a_gateway_routes_while_its_lease_lasts() {
    for (lease_until_ns, is_owned) in
        [(clock::now().as_nanos() + 60_000_000_000, true), (clock::now().as_nanos(), false)]
    {
        let host = owner(lease_until_ns, GATEWAY);
        for frame in [ipv4(), ipv6()] {
            let dropped = outcome(XDP_DROP, VirtualMacNotOwner, &frame);
            assert_eq!(host.receive(&frame), if is_owned { routed(&frame) } else { dropped });
        }
    }
}

#[test]
fn nothing_but_ip_is_routed() {
    let host = owner(FOREVER, GATEWAY);
    let arp = with(&frames::octets("arp-request-other"), DESTINATION_MAC, &VIRTUAL_MAC);
    let unknown = with(&ipv4(), ETHERTYPE, &[0x12, 0x34]);
    let llc = with(&ipv4(), ETHERTYPE, &[0x00, 0x26]);
    for frame in [arp, unknown, llc] {
        assert_eq!(host.receive(&frame), outcome(XDP_DROP, VirtualMacNotVip, &frame));
    }
}

/// Its own traffic is none of the gateway's: what is sent to the interface's MAC, which neighbours use with `mac = "interface"`.
#[test]
fn what_is_sent_to_other_macs_is_no_business_of_a_gateway() {
    for lease in [0, FOREVER] {
        let host = owner(lease, GATEWAY);
        for mac in [DEVICE_MAC, [0, 0, 0x5e, 0, 1, 52], [0xff; 6]] {
            let frame = with(&ipv4(), DESTINATION_MAC, &mac);
            assert_eq!(host.receive(&frame), outcome(XDP_PASS, Other, &frame), "{mac:02x?}");
        }
    }
}

#[test]
fn a_gateway_serves_and_answers_for_its_vips_as_any_owner() {
    let host = owner(FOREVER, GATEWAY);
    let traffic = frames::octets("lb-tcp-syn-vip");
    let delivered = with(&traffic, DESTINATION_MAC, &DEVICE_MAC);
    assert_eq!(host.receive(&traffic), outcome(XDP_PASS, VipDelivered, &delivered));
    assert_answers(&host);
}

fn assert_answers(host: &Datapath) {
    for (name, verdict) in [("arp-request-vip", ArpAnswered), ("nd-ns-vip", NdAnswered)] {
        let answer = host.receive(&frames::octets(name));
        assert_eq!((answer.action, answer.counted), (XDP_TX, BTreeMap::from([(verdict, 1)])), "{name}");
    }
    let advert = frames::octets("vrrp3-v4-ph-p100");
    assert_eq!(host.receive(&advert), outcome(XDP_PASS, VrrpReceived, &advert));
}

/// The links are owned apart, as everything about them is.
#[test]
fn a_gateway_of_a_vlan_routes_what_comes_from_there() {
    let mut host = Datapath::load();
    host.set_device(DEVICE_MAC, PRIMARY, [0; 16]);
    for (vlan, slot, lease) in [(100, 1, FOREVER), (200, 2, 0)] {
        host.add_router(vlan, 51, slot, BOTH, PRIMARY);
        host.set_delivery(slot, lease, VIRTUAL_MAC, GATEWAY);
    }
    let [owned, other, unknown] = [100, 200, 300].map(|vid| tagged(&ipv4(), &[(0x8100, vid)]));
    assert_eq!(host.receive(&owned), routed(&owned));
    assert_eq!(host.receive(&other), outcome(XDP_DROP, VirtualMacNotOwner, &other));
    assert_eq!(host.receive(&unknown), outcome(XDP_PASS, Other, &unknown));
}

/// The first frame that is routed shows as well that the takeover has reached the clients.
#[test]
fn the_first_frame_that_is_routed_after_a_takeover_is_stamped() {
    let host = owner(FOREVER, GATEWAY);
    assert_eq!(host.service(SLOT).epoch, 0);
    host.receive(&ipv4());
    let first = host.service(SLOT);
    assert_eq!(first.epoch, 1);
    host.receive(&ipv4());
    assert_eq!(host.service(SLOT), first);
}

/// T-063: whatever the protocol is, and to which MAC it is sent.
#[test]
fn an_owner_that_does_not_accept_drops_what_is_for_its_vips() {
    for delivery in [NOT_ACCEPTED, NOT_ACCEPTED | GATEWAY] {
        let host = owner(FOREVER, delivery);
        let traffic = frames::octets("lb-tcp-syn-vip");
        let echo = with(&traffic, PROTOCOL, &[1]);
        let echo6 = with(&frames::octets("icmp6-echo-vip"), DESTINATION_MAC, &VIRTUAL_MAC6);
        let to_device = with(&traffic, DESTINATION_MAC, &DEVICE_MAC);
        let to_all = with(&traffic, DESTINATION_MAC, &[0xff; 6]);
        for frame in [traffic, echo, echo6, to_device, to_all] {
            assert_eq!(host.receive(&frame), outcome(XDP_DROP, VipNotAccepted, &frame));
        }
        let to_another = with(&frames::octets("lb-tcp-syn-vip"), DESTINATION_MAC, &[2, 0, 0, 0, 0, 9]);
        assert_eq!(host.receive(&to_another), outcome(XDP_PASS, Other, &to_another));
    }
}

/// T-064, T-065: what neighbours need to find it, and what they say.
#[test]
fn an_owner_that_does_not_accept_answers_all_the_same() {
    let host = owner(FOREVER, NOT_ACCEPTED);
    assert_answers(&host);
    let solicitation = with(&frames::octets("icmp6-echo-vip"), DESTINATION_MAC, &VIRTUAL_MAC6);
    for kind in [135, 136] {
        let discovery = with(&solicitation, ICMP6, &[kind]);
        let delivered = with(&discovery, DESTINATION_MAC, &DEVICE_MAC);
        assert_eq!(host.receive(&discovery), outcome(XDP_PASS, VipDelivered, &delivered), "{kind}");
    }
    assert_eq!(host.service(SLOT6).epoch, 0, "that was nobody's traffic");
    for kind in [133, 134, 137] {
        let other = with(&solicitation, ICMP6, &[kind]);
        assert_eq!(host.receive(&other), outcome(XDP_DROP, VipNotAccepted, &other), "{kind}");
    }
}

#[test]
fn accepting_or_not_makes_no_difference_at_a_backup() {
    let traffic = frames::octets("lb-tcp-syn-vip");
    let verdict = |delivery: u8, expected: Verdict| {
        assert_eq!(owner(0, delivery).receive(&traffic), outcome(XDP_DROP, expected, &traffic));
    };
    verdict(0, VipNotOwner);
    verdict(NOT_ACCEPTED, VipNotOwner);
}
