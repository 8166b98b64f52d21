//! Packets for backends that get them wrapped (RFC 2003, RFC 2473), and those that are too long for that.

use std::net::IpAddr;

use baton::engine::{Carriage, Loss, Tunnel, Way};
use baton::wire::Mac;
use baton_tests::datapath::{Datapath, Outcome, XDP_DROP, XDP_TX};
use baton_tests::frames::{octets, tagged, with};
use etherparse::{
    Icmpv4Type, Icmpv6Type, NetSlice, PacketBuilder, SlicedPacket, TransportSlice,
    icmpv4::DestUnreachableHeader,
};
use proptest::prelude::*;

use super::bench::{ACK, Bench, SYN, VIP6, addresses, host, mac};

const DEVICE_MAC: Mac = [2, 0, 0, 0, 0, 1];
const CLIENT_MAC: Mac = [2, 0, 0, 0, 0, 3];
const CLIENT6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];

/// In an Ethernet frame with an IPv4 packet.
const TRAFFIC_CLASS: usize = 15;
const LENGTH: usize = 16;
const IDENTIFICATION: usize = 18;
const FLAGS: usize = 20;
const DONT_FRAGMENT: [u8; 2] = [0x40, 0];

fn tunnel(source: &str, destination: &str) -> Tunnel {
    let [source, destination] = [source, destination].map(|end| end.parse::<IpAddr>().expect("an address"));
    Tunnel::new(source, destination, 1500).expect("one family")
}

fn over_ipv4() -> Tunnel {
    tunnel("192.0.2.1", "192.0.2.10")
}

fn over_ipv6() -> Tunnel {
    tunnel("2001:db8::1", "2001:db8::10")
}

fn bench(tunnel: Tunnel) -> Bench {
    Bench::by(Way::Tunnel(tunnel), &addresses(1), DEVICE_MAC)
}

/// A TCP segment to a VIP with so many octets of payload.
fn segment(is_ipv6: bool, flags: u8, payload: usize) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(CLIENT_MAC, [0, 0, 0x5e, 0, 1, 51]);
    let IpAddr::V6(vip6) = VIP6 else { panic!("of IPv6") };
    let builder = match is_ipv6 {
        true => builder.ipv6(CLIENT6, vip6.octets(), 60),
        false => builder.ipv4([203, 0, 113, 7], [192, 0, 2, 100], 60),
    };
    let mut tcp = builder.tcp(51_515, 443, 1, 65_535);
    tcp = if flags & SYN != 0 { tcp.syn() } else { tcp.ack(1) };
    let mut frame = Vec::new();
    tcp.write(&mut frame, &vec![7; payload]).expect("it fits");
    frame
}

/// The packet in the packet of `frame`, whose outer header is sound, behind this EtherType.
fn unwrapped(frame: &[u8], tunnel: Tunnel) -> Vec<u8> {
    let slice = SlicedPacket::from_ethernet(frame).expect("a sound frame");
    let ends = tunnel.to_map();
    let inner = match slice.net.expect("a packet") {
        NetSlice::Ipv4(outer) => {
            let header = outer.header();
            assert_eq!(header.to_header().calc_header_checksum(), header.header_checksum());
            assert_eq!(header.ttl(), 64);
            assert_eq!(
                (&header.source(), &header.destination()),
                (&ends.source[12..].try_into().expect("4"), &ends.destination[12..].try_into().expect("4"))
            );
            outer.payload().payload
        }
        NetSlice::Ipv6(outer) => {
            let header = outer.header();
            assert_eq!((header.source(), header.destination()), (ends.source, ends.destination));
            assert_eq!(header.hop_limit(), 64);
            outer.payload().payload
        }
        NetSlice::Arp(_) => panic!("no IP"),
    };
    inner.to_vec()
}

#[test]
fn a_packet_is_wrapped_and_nothing_of_it_changes() {
    // T-143.
    let expected = octets("lb-ipip");
    let sent = bench(over_ipv4()).forward(&octets("lb-tcp-syn-vip")).expect("it is for the service");
    // The packet must not be fragmented, so nor must the outer one (RFC 2003 3.1), which the vector's may; and so the checksum.
    let expected = with(&with(&expected, 0, &mac(0)), FLAGS, &DONT_FRAGMENT);
    assert_eq!(with(&expected, 24, &sent[24..26]), sent);
    assert_eq!(unwrapped(&sent, over_ipv4()), octets("lb-tcp-syn-vip")[14..]);
    let tag = [(0x8100, 0)];
    let sent_tagged = bench(over_ipv4()).forward(&tagged(&octets("lb-tcp-syn-vip"), &tag));
    assert_eq!(sent_tagged.as_ref(), Some(&sent), "without a tag that names no VLAN");
}

#[test]
fn the_outer_header_has_what_the_network_is_to_know_of_the_packet() {
    let frame = with(&segment(false, SYN, 0), TRAFFIC_CLASS, &[0xb9]);
    let sent = bench(over_ipv4()).forward(&with(&frame, FLAGS, &DONT_FRAGMENT)).expect("forwarded");
    assert_eq!((sent[TRAFFIC_CLASS], &sent[FLAGS..FLAGS + 2]), (0xb9, &DONT_FRAGMENT[..]));
    let sent = bench(over_ipv4()).forward(&with(&frame, FLAGS, &[0, 0])).expect("forwarded");
    assert_eq!(sent[FLAGS..FLAGS + 2], [0, 0]);
    assert_eq!(sent[IDENTIFICATION..FLAGS], frame[IDENTIFICATION..FLAGS]);
    let sent = bench(over_ipv6()).forward(&frame).expect("forwarded");
    assert_eq!(sent[14..16], [0x6b, 0x90]);
}

/// Every family through every other, by the engine and by the flow cache.
#[test]
fn the_engine_and_the_flow_cache_wrap_alike() {
    for (is_ipv6, tunnel, longest) in [
        (false, over_ipv4(), 1480),
        (true, over_ipv4(), 1480),
        (false, over_ipv6(), 1460),
        (true, over_ipv6(), 1460),
    ] {
        let (mut bench, mut host) = (bench(tunnel), host(DEVICE_MAC));
        host.set_tunnel(0, mac(0), tunnel.to_map());
        let headers = if is_ipv6 { 60 } else { 40 };
        assert!(bench.forward(&segment(is_ipv6, SYN, 0)).is_some());
        let padded = [segment(is_ipv6, ACK, 1), vec![0; 5]].concat();
        for frame in [segment(is_ipv6, ACK, 0), padded, segment(is_ipv6, ACK, longest - headers)] {
            let by_engine = bench.forward(&frame).expect("forwarded");
            assert!(unwrapped(&by_engine, tunnel).starts_with(&frame[14..54]));
            for (flow, cached) in bench.bypassed.0.borrow().iter() {
                host.cache_flow(*flow, cached.value.backend);
            }
            let Outcome { action, frame: by_program, .. } = host.receive(&frame);
            assert_eq!((action, by_program), (XDP_TX, by_engine));
        }
        let before = host.carried(0);
        let too_long = segment(is_ipv6, ACK, longest - headers + 1);
        assert_left_to_the_engine(&host, &too_long);
        assert_left_to_the_engine(&host, &tagged(&segment(is_ipv6, ACK, 0), &[(0x8100, 0)]));
        assert_eq!(host.carried(0), before);
    }
}

/// In a test the engine has no socket.
fn assert_left_to_the_engine(host: &Datapath, frame: &[u8]) {
    let Outcome { action, frame: after, .. } = host.receive(frame);
    assert_eq!((action, &after[..]), (XDP_DROP, frame), "a frame that is the engine's is as it was");
}

#[test]
fn the_sender_of_a_packet_that_is_too_long_is_told_how_long_it_may_be() {
    // T-145.
    let mut bench = bench(over_ipv4());
    let frame = with(&segment(false, SYN, 1441), FLAGS, &DONT_FRAGMENT);
    assert_eq!(frame[LENGTH..LENGTH + 2], 1481_u16.to_be_bytes());
    let told = bench.forward(&frame).expect("an answer");
    assert_eq!((&told[..6], &told[6..12]), (&CLIENT_MAC[..], &DEVICE_MAC[..]));
    let slice = SlicedPacket::from_ethernet(&told).expect("a sound frame");
    let Some(NetSlice::Ipv4(ip)) = &slice.net else { panic!("IPv4") };
    let header = ip.header();
    assert_eq!((header.source(), header.destination()), ([192, 0, 2, 100], [203, 0, 113, 7]));
    assert_eq!(header.to_header().calc_header_checksum(), header.header_checksum());
    assert_eq!(header.total_len(), 576);
    let Some(TransportSlice::Icmpv4(icmp)) = &slice.transport else { panic!("ICMP") };
    let needed = DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: 1480 };
    assert_eq!(icmp.icmp_type(), Icmpv4Type::DestinationUnreachable(needed));
    assert!(frame[14..].starts_with(icmp.payload()));
    assert_eq!(icmp.checksum(), icmp.header().icmp_type.calc_checksum(icmp.payload()));
    assert_eq!(
        (bench.lost(), bench.traffic.per_backend().collect()),
        (vec![(Loss::TooLong, 1)], vec![Carriage { begun: 1, ..Carriage::default() }])
    );
    assert!(bench.forward(&segment(false, SYN, 1440)).is_some(), "and what it sends then arrives");
}

#[test]
fn the_sender_is_told_over_ipv6_too() {
    let mut bench = bench(over_ipv6());
    let frame = segment(true, SYN, 1401);
    let told = bench.forward(&frame).expect("an answer");
    let slice = SlicedPacket::from_ethernet(&told).expect("a sound frame");
    let Some(NetSlice::Ipv6(ip)) = &slice.net else { panic!("IPv6") };
    let (source, destination) = (ip.header().source(), ip.header().destination());
    assert_eq!((IpAddr::from(source), destination), (VIP6, CLIENT6));
    assert_eq!(told.len(), 14 + 1280);
    let Some(TransportSlice::Icmpv6(icmp)) = &slice.transport else { panic!("ICMPv6") };
    assert_eq!(icmp.icmp_type(), Icmpv6Type::PacketTooBig { mtu: 1460 });
    assert!(icmp.is_checksum_valid(source, destination));
    assert!(frame[14..].starts_with(icmp.payload()));
}

#[test]
fn few_are_told_and_nobody_who_lets_routers_fragment() {
    let mut bench = bench(over_ipv4());
    let may_be_fragmented = with(&segment(false, SYN, 1441), FLAGS, &[0, 0]);
    assert_eq!(bench.forward(&may_be_fragmented), None);
    let frame = with(&may_be_fragmented, FLAGS, &DONT_FRAGMENT);
    let told = (0..1000).filter(|_| bench.forward_at(1, &frame).is_some()).count();
    assert!(told < 60, "{told} of 1000 at once");
    assert!(bench.forward_at(2, &frame).is_some());
    assert_eq!(bench.lost(), [(Loss::TooLong, 1002)]);
    // Nobody answers an error (RFC 1122 3.2.2).
    let error = octets("icmp-fragneeded-vip");
    let long =
        [&error[..LENGTH], &1500_u16.to_be_bytes(), &DONT_FRAGMENT, &DONT_FRAGMENT, &error[22..]].concat();
    let long = [long, vec![0; 1500]].concat();
    assert_eq!(bench.forward_at(3, &long[..1514]), None);
    assert_eq!(bench.lost(), [(Loss::TooLong, 1003)]);
}

proptest! {
    /// Whatever arrives is wrapped as it is, or answered and counted, or counted.
    #[test]
    fn a_frame_is_wrapped_as_it_is_or_counted(at in 0..54_usize, octet: u8, payload in 0..1600_usize, is_ipv6: bool) {
        let mut bench = bench(over_ipv4());
        let mut frame = segment(is_ipv6, SYN, payload);
        frame[at] = octet;
        let sent = bench.forward(&frame);
        let forwarded: u64 = bench.traffic.per_backend().map(|carriage| carriage.frames).sum();
        let lost: u64 = bench.traffic.losses().map(|(_, count)| count).sum();
        prop_assert_eq!(forwarded + lost, 1);
        if forwarded == 1 {
            let inner = unwrapped(&sent.expect("forwarded"), over_ipv4());
            prop_assert!(frame[14..].starts_with(&inner), "{inner:02x?} of {frame:02x?}");
        }
    }
}
