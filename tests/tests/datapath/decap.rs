//! What a backend takes out of the packets that it gets: those that a node has wrapped, for a VIP. All else is as it was.

use baton_tests::datapath::{Datapath, Outcome, XDP_DROP, XDP_PASS};
use baton_tests::frames::{octets, tagged, with};

const VIP: [u8; 4] = [192, 0, 2, 100];
const VIP6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
const NODE: [u8; 4] = [192, 0, 2, 1];
const NODE6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const BACKEND6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10];

/// In a frame with an IPv4 packet.
const TRAFFIC_CLASS: usize = 15;
const FRAGMENT: usize = 20;
const PROTOCOL: usize = 23;
const CHECKSUM: usize = 24;
const SOURCE: usize = 26;
/// Behind an outer header of IPv4.
const INNER: usize = 34;

fn backend() -> Datapath {
    let mut backend = Datapath::load();
    backend.unwrap_for(VIP, NODE);
    backend.unwrap_for(VIP6, NODE6);
    backend
}

/// A packet for the VIP in one from a node to this backend.
fn wrapped() -> Vec<u8> {
    octets("lb-ipip")
}

/// The same with other octets in the outer header, whose checksum is right.
fn other(at: usize, octets: &[u8]) -> Vec<u8> {
    summed(&with(&wrapped(), at, octets), 14)
}

/// `frame` with a right checksum in the IPv4 header at `at`.
fn summed(frame: &[u8], at: usize) -> Vec<u8> {
    let frame = with(frame, at + 10, &[0, 0]);
    let words = frame[at..at + 20].chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let folded = u16::try_from((sum & 0xffff) + (sum >> 16)).expect("16 bits");
    with(&frame, at + 10, &(!folded).to_be_bytes())
}

/// An IPv6 packet of protocol `next`.
fn ipv6(class: u8, next: u8, source: [u8; 16], destination: [u8; 16], payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("short").to_be_bytes();
    let fixed = [0x60 | class >> 4, class << 4, 0, 0, length[0], length[1], next, 64];
    [&fixed[..], &source, &destination, payload].concat()
}

/// A frame to this backend with `packet`.
fn framed(ether_type: u16, packet: &[u8]) -> Vec<u8> {
    [&wrapped()[..12], &ether_type.to_be_bytes(), packet].concat()
}

#[track_caller]
fn assert_unwrapped(frame: &[u8], expected: &[u8], name: &str) {
    let Outcome { action, frame, .. } = backend().unwrap(frame);
    assert_eq!((action, &frame[..]), (XDP_PASS, expected), "{name}");
}

#[test]
fn a_packet_for_a_vip_comes_out_of_one_that_a_node_has_wrapped() {
    let packet = octets("lb-tcp-syn-vip")[14..].to_vec();
    let packet6 = ipv6(0, 6, NODE6, VIP6, &[0; 20]);
    let outer4 = |protocol: u8| summed(&with(&wrapped()[..INNER], PROTOCOL, &[protocol]), 14)[14..].to_vec();
    let outer6 = |next, inner: &[u8]| framed(0x86dd, &ipv6(0, next, NODE6, BACKEND6, inner));
    let expected = framed(0x0800, &packet);
    assert_unwrapped(&wrapped(), &expected, "IPv4 in IPv4");
    assert_unwrapped(&outer6(4, &packet), &expected, "IPv4 in IPv6");
    let expected = framed(0x86dd, &packet6);
    assert_unwrapped(&framed(0x0800, &[outer4(41), packet6.clone()].concat()), &expected, "IPv6 in IPv4");
    assert_unwrapped(&outer6(41, &packet6), &expected, "IPv6 in IPv6");
    let padded = [&wrapped()[..], &[0; 7]].concat();
    assert_unwrapped(&padded, &[&framed(0x0800, &packet)[..], &[0; 7]].concat(), "padded");
}

#[test]
fn all_else_is_left_as_it_is() {
    for (name, frame) in [
        ("not wrapped", octets("lb-tcp-syn-vip")),
        ("from somebody else", other(SOURCE, &[192, 0, 2, 9])),
        ("another protocol", other(PROTOCOL, &[47])),
        ("a fragment", other(FRAGMENT, &[0x20, 0])),
        ("a later fragment", other(FRAGMENT, &[0, 7])),
        ("options", other(14, &[0x46])),
        ("a wrong checksum", with(&wrapped(), CHECKSUM, &[1, 2])),
        ("for another address", with(&wrapped(), INNER + 16, &[192, 0, 2, 101])),
        ("cut", wrapped()[..INNER + 19].to_vec()),
        ("of a VLAN", tagged(&wrapped(), &[(0x8100, 7)])),
        ("UDP", octets("lb-gue")),
    ] {
        let Outcome { action, frame: after, .. } = backend().unwrap(&frame);
        assert_eq!((action, after), (XDP_PASS, frame), "{name}");
    }
}

/// RFC 6040 4.2.
#[test]
fn congestion_on_the_way_is_passed_on_or_dropped() {
    const CONGESTED: u8 = 3;
    for (outer, inner, expected) in [
        (0xb8, 0xb8, Some(0xb8)),
        (0xb9, 0xb9, Some(0xb9)),
        (0xb8 | CONGESTED, 0xb9, Some(0xb8 | CONGESTED)),
        (CONGESTED, 0x02, Some(CONGESTED)),
        (CONGESTED, CONGESTED, Some(CONGESTED)),
        (CONGESTED, 0, None),
    ] {
        let four =
            |class: u8| summed(&with(&octets("lb-tcp-syn-vip"), TRAFFIC_CLASS, &[class]), 14)[14..].to_vec();
        let six = |class| ipv6(class, 6, NODE6, VIP6, &[0; 20]);
        let wrapped4 = [&other(TRAFFIC_CLASS, &[outer])[..INNER], &four(inner)].concat();
        let wrapped6 = framed(0x86dd, &ipv6(outer, 41, NODE6, BACKEND6, &six(inner)));
        for (name, frame, expected) in [
            ("IPv4", wrapped4, expected.map(|class| framed(0x0800, &four(class)))),
            ("IPv6", wrapped6, expected.map(|class| framed(0x86dd, &six(class)))),
        ] {
            let Outcome { action, frame, .. } = backend().unwrap(&frame);
            match expected {
                Some(expected) => {
                    assert_eq!((action, frame), (XDP_PASS, expected), "{name} {outer:x} {inner:x}")
                }
                None => assert_eq!(action, XDP_DROP, "{name} {outer:x} {inner:x}"),
            }
        }
    }
}
