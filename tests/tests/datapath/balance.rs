//! What is given to the engine, a service's port at an owned VIP and nothing else, and what is forwarded past it. In a test there
//! is no socket for the engine.

use std::collections::BTreeMap;

use baton::clock;
use baton_common::flow::Flow;
use baton_common::line::WAYS;
use baton_common::maps::{ANY_PORT, mapped};
use baton_common::ownership::{BALANCED, NOT_ACCEPTED};
use baton_common::verdict::Verdict::{
    Other, VipBalanced, VipDelivered, VipForwarded, VipFragment, VipNotAccepted, VipNotOwner,
};
use baton_tests::datapath::{Datapath, FOREVER, XDP_DROP, XDP_PASS, XDP_TX};
use baton_tests::frames::{self, tagged, with};

use super::setup::{DEVICE_MAC, Role, SLOT, SLOT6, VIRTUAL_MAC, VIRTUAL_MAC6, host, outcome};

const VIP: [u8; 4] = [192, 0, 2, 100];
const VIP6: [u16; 8] = [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x100];
const TCP: u8 = 6;
const UDP: u8 = 17;

const BACKEND_MAC: [u8; 6] = [2, 0, 0, 0, 0xbe, 7];

const DESTINATION_MAC: usize = 0;
const SOURCE_MAC: usize = 6;
const SOURCE_PORT: usize = 34;
const TCP_FLAGS: usize = 47;
/// In an ICMP error: behind the header, the packet that it quotes.
const ICMP_TYPE: usize = 34;
const QUOTED_PROTOCOL: usize = 42 + 9;
const QUOTED_SOURCE: usize = 42 + 12;
const QUOTED_PORT: usize = 42 + 20;
const LENGTH_OF_HEADER: usize = 14;
const FRAGMENT: usize = 20;
const PROTOCOL: usize = 23;
const DESTINATION: usize = 30;
const PORT: usize = 36;

/// The host with services at port 443 of both families.
fn balancer(lease_until_ns: u64, delivery: u8) -> Datapath {
    let mut host = host(Role::Active);
    host.set_delivery(SLOT, lease_until_ns, VIRTUAL_MAC, delivery);
    host.set_delivery(SLOT6, lease_until_ns, VIRTUAL_MAC6, delivery);
    host.add_frontend(0, VIP, TCP, 443);
    host.add_frontend(0, VIP6, TCP, 443);
    host
}

/// TCP to port 443 of the VIP.
fn traffic() -> Vec<u8> {
    frames::octets("lb-tcp-syn-vip")
}

/// What a router says about an answer of the service that is too long for its next link.
fn error() -> Vec<u8> {
    frames::octets("icmp-fragneeded-vip")
}

/// The same over IPv6, whose next header is `next` with `payload`.
fn traffic6(next: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("short").to_be_bytes();
    let source = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    let destination = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
    let header = [&[0x60, 0, 0, 0][..], &length, &[next, 64], &source, &destination].concat();
    [&VIRTUAL_MAC6[..], &[2, 0, 0, 0, 0, 9], &[0x86, 0xdd], &header, payload].concat()
}

/// A TCP header from port 51515 to `port`.
fn tcp(port: u16) -> Vec<u8> {
    let ports = [51_515_u16.to_be_bytes(), port.to_be_bytes()].concat();
    [&ports[..], &[0; 8], &[0x50, 2, 0xff, 0xff, 0, 0, 0, 0]].concat()
}

#[track_caller]
fn assert_balanced(host: &Datapath, frame: &[u8], name: &str) {
    assert_eq!(host.receive(frame), outcome(XDP_DROP, VipBalanced, frame), "{name}");
}

#[track_caller]
fn assert_delivered(host: &Datapath, frame: &[u8], name: &str) {
    let delivered = outcome(XDP_PASS, VipDelivered, &with(frame, DESTINATION_MAC, &DEVICE_MAC));
    assert_eq!(host.receive(frame), delivered, "{name}");
}

#[test]
fn what_is_for_a_service_is_the_engines_as_it_is() {
    let host = balancer(FOREVER, BALANCED);
    assert_balanced(&host, &traffic(), "to the virtual MAC");
    assert_balanced(&host, &with(&traffic(), DESTINATION_MAC, &DEVICE_MAC), "to the device");
    assert_balanced(&host, &traffic6(TCP, &tcp(443)), "IPv6");
    // T-144.
    assert_balanced(&host, &error(), "an ICMP error about an answer");
    assert_balanced(&host, &with(&error(), ICMP_TYPE, &[11]), "another one");
    assert_balanced(&host, &frames::octets("icmp6-ptb-vip"), "an ICMPv6 error about an answer");
    let options = [&[0x46], &traffic()[15..34], &[1, 1, 1, 0], &traffic()[34..]].concat();
    assert_balanced(&host, &[&traffic()[..14], &options].concat(), "IPv4 options");
}

#[test]
fn what_is_for_no_service_goes_on_as_before() {
    let host = balancer(FOREVER, BALANCED);
    for (name, frame) in [
        ("another port", with(&traffic(), PORT, &444_u16.to_be_bytes())),
        ("another protocol", with(&traffic(), PROTOCOL, &[UDP])),
        ("one without ports", with(&traffic(), PROTOCOL, &[47])),
        ("another VIP", with(&traffic(), DESTINATION, &[192, 0, 2, 101])),
        ("a broken header", with(&traffic(), LENGTH_OF_HEADER, &[0x44])),
        ("a frame that ends before the ports", traffic()[..36].to_vec()),
        ("IPv6, another port", traffic6(TCP, &tcp(80))),
        ("IPv6, options", traffic6(60, &[&[TCP, 0, 1, 4, 0, 0, 0, 0], &tcp(443)[..]].concat())),
        ("a fragment of another protocol", with(&with(&traffic(), FRAGMENT, &[0x20, 0]), PROTOCOL, &[UDP])),
        (
            "a fragment to another VIP",
            with(&with(&traffic(), FRAGMENT, &[0x20, 0]), DESTINATION, &[192, 0, 2, 101]),
        ),
        ("an ICMP error about another port", with(&error(), QUOTED_PORT, &444_u16.to_be_bytes())),
        ("an ICMP error about another protocol", with(&error(), QUOTED_PROTOCOL, &[1])),
        ("an ICMP error about a packet of another host", with(&error(), QUOTED_SOURCE, &[198, 51, 100, 1])),
        ("an echo request", with(&error(), ICMP_TYPE, &[8])),
    ] {
        assert_delivered(&host, &frame, name);
    }
    let foreign = with(&traffic(), DESTINATION_MAC, &[2, 0, 0, 0, 0, 7]);
    assert_eq!(host.receive(&foreign), outcome(XDP_PASS, Other, &foreign), "another host's frame");
    let mut host = host;
    host.add_vip(7, VIP, SLOT);
    assert_delivered(&host, &tagged(&traffic(), &[(0x8100, 7)]), "the same address on another link");
}

/// Whatever port they may be for: the kernel would put them together and refuse what it gets.
#[test]
fn fragments_of_a_protocol_that_an_address_has_services_of_are_dropped() {
    let host = balancer(FOREVER, BALANCED);
    let six = |offset| traffic6(44, &[&[TCP, 0, 0, offset, 0, 0, 0, 1], &tcp(443)[..]].concat());
    let four = |fragment: u16| with(&traffic(), FRAGMENT, &fragment.to_be_bytes());
    for frame in [four(0x2000), four(0x0001), four(0x20b9), six(1), six(8)] {
        assert_eq!(host.receive(&frame), outcome(XDP_DROP, VipFragment, &frame));
    }
}

#[test]
fn a_service_at_any_port_takes_what_no_other_has() {
    let mut host = balancer(FOREVER, BALANCED);
    host.add_frontend(0, VIP, UDP, ANY_PORT);
    for port in [1, 443, 65_535_u16] {
        let frame = with(&with(&traffic(), PROTOCOL, &[UDP]), PORT, &port.to_be_bytes());
        assert_balanced(&host, &frame, &format!("UDP port {port}"));
    }
    assert_delivered(&host, &with(&traffic(), PORT, &444_u16.to_be_bytes()), "TCP");
}

/// The flow of [`traffic`].
fn flow() -> Flow {
    Flow {
        source: mapped([203, 0, 113, 7]),
        destination: mapped(VIP),
        source_port: 51_515,
        destination_port: 443,
        protocol: TCP,
        _pad: [0; 3],
    }
}

/// The host, which knows the flows of [`traffic`] in both families and that its backend is up.
fn forwarder() -> Datapath {
    let mut host = balancer(FOREVER, BALANCED);
    host.set_backend(7, Some(BACKEND_MAC));
    host.cache_flow(flow(), 7);
    let mut source = [0; 16];
    source[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
    source[15] = 9;
    let destination = VIP6.map(u16::to_be_bytes).concat().try_into().expect("an address");
    host.cache_flow(Flow { source, destination, ..flow() }, 7);
    host
}

/// [`traffic`] with other TCP flags.
fn flagged(flags: u8) -> Vec<u8> {
    with(&traffic(), TCP_FLAGS, &[flags])
}

const ACK: u8 = 0x10;

#[test]
fn a_known_flow_goes_to_its_backend_by_other_ethernet_addresses_and_no_other_change() {
    let host = forwarder();
    let mut octets = 0;
    let six = traffic6(TCP, &with(&tcp(443), 13, &[ACK]));
    for frame in [flagged(ACK), flagged(ACK | 0x08), with(&flagged(ACK), DESTINATION_MAC, &DEVICE_MAC), six] {
        let sent = with(&with(&frame, DESTINATION_MAC, &BACKEND_MAC), SOURCE_MAC, &DEVICE_MAC);
        assert_eq!(host.receive(&frame), outcome(XDP_TX, VipForwarded, &sent));
        octets += frame.len() as u64;
    }
    assert_eq!(host.carried(7), (4, octets));
    assert_eq!(host.served(Datapath::SERVICE), (4, octets));
    let seen = host.seen_ns(flow()).expect("it is known");
    assert!((1..=clock::now().as_nanos()).contains(&seen), "{seen}");
    host.receive(&flagged(ACK));
    assert_eq!(host.seen_ns(flow()), Some(seen), "that was a moment ago");
}

#[test]
fn what_begins_or_ends_a_connection_is_the_engines() {
    let host = forwarder();
    for flags in [0x02, 0x12, 0x11, 0x04, 0x14, 0x01] {
        assert_balanced(&host, &flagged(flags), &format!("flags {flags:02x}"));
    }
    assert_eq!(host.carried(7), (0, 0));
    assert_eq!(host.seen_ns(flow()), Some(0));
}

#[test]
fn a_flow_that_is_not_known_or_whose_backend_is_not_up_is_the_engines() {
    let mut host = forwarder();
    let other = with(&flagged(ACK), SOURCE_PORT, &51_516_u16.to_be_bytes());
    assert_balanced(&host, &other, "another port of the client");
    host.set_backend(7, None);
    assert_balanced(&host, &flagged(ACK), "a backend that is down");
    host.cache_flow(flow(), 16_384);
    assert_balanced(&host, &flagged(ACK), "a backend that there is not");
}

#[test]
fn a_flow_is_known_in_whichever_of_its_lines_it_is_and_by_all_of_its_parts() {
    for way in 0..WAYS {
        let mut host = balancer(FOREVER, BALANCED);
        host.set_backend(7, Some(BACKEND_MAC));
        for other in [
            Flow { source: mapped([203, 0, 113, 8]), ..flow() },
            Flow { destination: mapped([192, 0, 2, 101]), ..flow() },
            Flow { source_port: 51_516, ..flow() },
            Flow { destination_port: 444, ..flow() },
            Flow { protocol: UDP, ..flow() },
        ] {
            host.write_line_of(flow(), other, way, 2, 7);
            assert_balanced(&host, &flagged(ACK), &format!("{other:?}"));
        }
        host.write_line(flow(), way, 2, 7);
        assert_eq!(host.receive(&flagged(ACK)).counted, BTreeMap::from([(VipForwarded, 1)]), "line {way}");
    }
}

#[test]
fn a_line_that_is_being_written_says_nothing() {
    let mut host = forwarder();
    for version in [1, 3, u32::MAX] {
        host.write_line(flow(), 0, version, 7);
        assert_balanced(&host, &flagged(ACK), &format!("version {version}"));
        assert_eq!(host.seen_ns(flow()), Some(0));
    }
    for version in [0, 4, u32::MAX - 1] {
        host.write_line(flow(), 0, version, 7);
        assert_eq!(
            host.receive(&flagged(ACK)).counted,
            BTreeMap::from([(VipForwarded, 1)]),
            "version {version}"
        );
    }
}

#[test]
fn a_known_flow_is_forwarded_only_while_the_lease_lasts() {
    let mut host = forwarder();
    for lease_until_ns in [0, 1] {
        host.set_delivery(SLOT, lease_until_ns, VIRTUAL_MAC, BALANCED);
        let frame = flagged(ACK);
        assert_eq!(host.receive(&frame), outcome(XDP_DROP, VipNotOwner, &frame));
    }
    assert_eq!(host.carried(7), (0, 0));
}

#[test]
fn only_an_owner_that_accepts_and_balances_gives_it_to_the_engine() {
    for (lease_until_ns, delivery, verdict) in [
        (0, BALANCED, VipNotOwner),
        (1, BALANCED, VipNotOwner),
        (FOREVER, BALANCED | NOT_ACCEPTED, VipNotAccepted),
    ] {
        let host = balancer(lease_until_ns, delivery);
        let frame = traffic();
        assert_eq!(host.receive(&frame), outcome(XDP_DROP, verdict, &frame));
    }
    assert_delivered(&balancer(FOREVER, 0), &traffic(), "nothing is said of services");
}
