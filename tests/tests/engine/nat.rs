//! Packets for backends that know nothing of the VIP, and their answers (RFC 3022, RFC 5508).

use std::net::IpAddr;

use baton::config::Protocol;
use baton::datapath::Translated;
use baton::engine::{Loss, Nat, Way};
use baton::vrrp::Instant;
use baton::wire::Mac;
use baton_common::flow::{Flow, Translation};
use baton_common::ownership::BALANCED;
use baton_common::verdict::Verdict;
use baton_tests::datapath::{Datapath, Outcome, XDP_DROP, XDP_PASS, XDP_TX};
use baton_tests::frames::{octets, tagged, with};
use etherparse::{
    Icmpv4Type, NetHeaders, PacketBuilder, PacketHeaders, SlicedPacket, TransportHeader, TransportSlice,
};
use proptest::prelude::*;

use super::bench::{ACK, Bench, FIN, SYN, VIP, VIP6, addresses, at, host, mac, service};

pub(super) const DEVICE_MAC: Mac = [2, 0, 0, 0, 0, 1];
pub(super) const CLIENT_MAC: Mac = [2, 0, 0, 0, 0, 3];
const VIRTUAL_MAC: Mac = [0, 0, 0x5e, 0, 1, 51];
const HOPS: u8 = 60;

/// One end of a flow.
pub(super) type End = (IpAddr, u16);

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Client, VIP, this host and backend, of one family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub(super) client: End,
    pub(super) vip: End,
    pub(super) host: IpAddr,
    pub(super) backend: IpAddr,
}

pub(super) fn places(is_ipv6: bool) -> Places {
    match is_ipv6 {
        false => Places {
            client: (ip("203.0.113.7"), 51_515),
            vip: (VIP, 443),
            host: ip("192.0.2.9"),
            backend: ip("192.0.2.1"),
        },
        true => Places {
            client: (ip("2001:db8:ffff::7"), 51_515),
            vip: (VIP6, 443),
            host: ip("2001:db8::9"),
            backend: ip("2001:db8::1"),
        },
    }
}

/// Both services of the family, to one backend.
pub(super) fn bench(places: Places, source: Option<IpAddr>, port: Option<u16>) -> Bench {
    let services = [Protocol::Tcp, Protocol::Udp].map(|protocol| service(places.vip.0, protocol));
    Bench::serving(services.to_vec(), Way::Nat(Nat { source, port }), &[places.backend], DEVICE_MAC)
}

/// What a segment or datagram is made of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Tcp(u8),
    Udp,
}

pub(super) fn frame(kind: Kind, source: End, destination: End, payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(CLIENT_MAC, VIRTUAL_MAC);
    let builder = match (source.0, destination.0) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            builder.ipv4(source.octets(), destination.octets(), HOPS)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            builder.ipv6(source.octets(), destination.octets(), HOPS)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => panic!("two families"),
    };
    let mut frame = Vec::new();
    match kind {
        Kind::Tcp(flags) => {
            let mut builder = builder.tcp(source.1, destination.1, 1, 65_535);
            builder = if flags & SYN != 0 { builder.syn() } else { builder };
            builder = if flags & FIN != 0 { builder.fin() } else { builder };
            builder = if flags & ACK != 0 { builder.ack(1) } else { builder };
            builder.write(&mut frame, payload)
        }
        Kind::Udp => builder.udp(source.1, destination.1).write(&mut frame, payload),
    }
    .expect("it fits");
    frame
}

/// The ends of the packet in `frame`, all of whose checksums are right, as an independent library reads it.
pub(super) fn ends(frame: &[u8]) -> (End, End) {
    let headers = PacketHeaders::from_ethernet_slice(frame).expect("a sound frame");
    let payload = headers.payload.slice();
    let transport = headers.transport.expect("a transport header");
    let mut anew = transport.clone();
    let (source, destination): (IpAddr, IpAddr) = match headers.net.expect("a packet") {
        NetHeaders::Ipv4(ip, _) => {
            assert_eq!(ip.header_checksum, ip.calc_header_checksum());
            assert_eq!(ip.time_to_live, HOPS - 1);
            anew.update_checksum_ipv4(&ip, payload).expect("it has one");
            (ip.source.into(), ip.destination.into())
        }
        NetHeaders::Ipv6(ip, _) => {
            assert_eq!(ip.hop_limit, HOPS - 1);
            anew.update_checksum_ipv6(&ip, payload).expect("it has one");
            (ip.source.into(), ip.destination.into())
        }
        NetHeaders::Arp(_) => panic!("no IP"),
    };
    let ports = match &transport {
        TransportHeader::Tcp(tcp) => (tcp.source_port, tcp.destination_port),
        TransportHeader::Udp(udp) => (udp.source_port, udp.destination_port),
        TransportHeader::Icmpv4(_) | TransportHeader::Icmpv6(_) | TransportHeader::Igmp(_) => (0, 0),
    };
    let is_without = matches!(&transport, TransportHeader::Udp(udp) if udp.checksum == 0);
    assert!(is_without || anew == transport, "{transport:?} and not {anew:?}");
    ((source, ports.0), (destination, ports.1))
}

const KINDS: [Kind; 3] = [Kind::Tcp(SYN), Kind::Tcp(ACK), Kind::Udp];

#[test]
fn a_packet_gets_the_ends_that_the_backend_knows_and_its_answer_those_of_the_service() {
    for (is_ipv6, is_full, port) in
        [(false, false, None), (false, true, Some(8443)), (true, false, Some(8443)), (true, true, None)]
    {
        let places = places(is_ipv6);
        for kind in KINDS {
            let mut bench = bench(places, is_full.then_some(places.host), port);
            let payload = [7; 33];
            let sent = bench.forward(&frame(kind, places.client, places.vip, &payload)).expect("sent");
            assert_eq!((&sent[..6], &sent[6..12]), (&mac(0)[..], &DEVICE_MAC[..]));
            assert!(sent.ends_with(&payload));
            let (source, destination) = ends(&sent);
            assert_eq!(destination, (places.backend, port.unwrap_or(443)));
            match is_full {
                false => assert_eq!(source, places.client),
                true => {
                    assert_eq!(source.0, places.host);
                    assert!((1024..32_768).contains(&source.1), "{} may be the host's own", source.1);
                }
            }
            let answer = bench.forward(&frame(kind, destination, source, &payload)).expect("sent");
            assert_eq!((&answer[..6], &answer[6..12]), (&CLIENT_MAC[..], &DEVICE_MAC[..]));
            assert!(answer.ends_with(&payload));
            assert_eq!(ends(&answer), (places.vip, places.client));
            let carried: Vec<_> = bench.traffic.per_backend().collect();
            assert_eq!((carried[0].frames, carried[0].answers), (1, 1));
            assert_eq!(bench.lost(), []);
        }
    }
}

#[test]
fn a_datagram_without_a_checksum_gets_none() {
    let places = places(false);
    let mut bench = bench(places, Some(places.host), None);
    let datagram = with(&frame(Kind::Udp, places.client, places.vip, &[1]), 40, &[0, 0]);
    let sent = bench.forward(&datagram).expect("sent");
    assert_eq!(sent[40..42], [0, 0]);
}

#[test]
fn what_arrives_broken_stays_so() {
    let places = places(false);
    let mut bench = bench(places, Some(places.host), None);
    let mut wrong = frame(Kind::Tcp(SYN), places.client, places.vip, &[1, 2, 3, 4]);
    *wrong.last_mut().expect("payload") ^= 0xff;
    let sent = bench.forward(&wrong).expect("sent");
    *wrong.last_mut().expect("payload") ^= 0xff;
    let right = bench.forward(&wrong).expect("sent");
    assert_eq!(sent[..sent.len() - 1], right[..right.len() - 1], "the checksum is not made anew");
}

#[test]
fn a_client_without_a_port_gets_one() {
    let places = places(false);
    let mut bench = bench(places, None, None);
    let asked = frame(Kind::Udp, (places.client.0, 0), places.vip, &[]);
    let (source, destination) = ends(&bench.forward(&asked).expect("sent"));
    assert!(source.1 >= 1024, "{source:?}");
    let answer = bench.forward(&frame(Kind::Udp, destination, source, &[])).expect("sent");
    assert_eq!(ends(&answer), (places.vip, (places.client.0, 0)));
}

/// Two addresses of one service, and a client that uses one port for both.
#[test]
fn flows_that_the_backend_could_not_tell_apart_come_from_different_ports() {
    let places = places(false);
    let other = (ip("192.0.2.101"), 443);
    let services = [places.vip, other].map(|(vip, _)| service(vip, Protocol::Tcp)).to_vec();
    let way = Way::Nat(Nat { source: None, port: None });
    let mut bench = Bench::serving(services, way, &[places.backend], DEVICE_MAC);
    let mut sources = Vec::new();
    for vip in [places.vip, other] {
        let sent = bench.forward(&frame(Kind::Tcp(SYN), places.client, vip, &[])).expect("sent");
        let (source, destination) = ends(&sent);
        let answer = bench.forward(&frame(Kind::Tcp(SYN | ACK), destination, source, &[])).expect("sent");
        assert_eq!(ends(&answer), (vip, places.client));
        sources.push(source);
    }
    assert_eq!((sources[0], sources[1].0), (places.client, places.client.0));
    assert_ne!(sources[1].1, places.client.1);
}

#[test]
fn a_flow_keeps_its_port_and_one_that_is_over_frees_it() {
    let places = places(false);
    let mut bench = bench(places, Some(places.host), None);
    let of = |bench: &mut Bench, seconds, flags| {
        let sent = bench.forward_at(seconds, &frame(Kind::Tcp(flags), places.client, places.vip, &[]));
        ends(&sent.expect("sent")).0
    };
    let first = of(&mut bench, 1, SYN);
    for (seconds, flags) in [(2, SYN), (3, ACK), (800, ACK), (801, FIN | ACK), (802, ACK)] {
        assert_eq!(of(&mut bench, seconds, flags), first);
    }
    assert_eq!(of(&mut bench, 803, SYN), first, "a new connection, for which the same port is free");
    assert_eq!(bench.translated.all().len(), 1);
    bench.tend(900);
    assert_eq!((bench.translated.all().len(), bench.traffic.flows().0), (0, 0));
    let answer = frame(Kind::Tcp(ACK), (places.backend, 443), first, &[]);
    assert_eq!(bench.forward_at(901, &answer), None);
    assert_eq!(bench.lost(), [(Loss::NoService, 1)]);
}

/// A long download without a word of the client.
#[test]
fn a_flow_lives_on_by_its_answers() {
    let places = places(false);
    let mut bench = bench(places, Some(places.host), None);
    let (mut source, mut destination) = (places.client, places.vip);
    for flags in [SYN, ACK] {
        let sent = bench.forward(&frame(Kind::Tcp(flags), places.client, places.vip, &[])).expect("sent");
        (source, destination) = ends(&sent);
    }
    for seconds in [800, 1600, 2400] {
        assert!(bench.forward_at(seconds, &frame(Kind::Tcp(ACK), destination, source, &[])).is_some());
        bench.tend(seconds + 30);
        assert_eq!(bench.traffic.flows().0, 1, "after {seconds} s");
    }
    bench.tend(3400);
    assert_eq!((bench.traffic.flows().0, bench.translated.all().len()), (0, 0));
}

#[test]
fn answers_go_where_the_clients_packets_come_from() {
    let places = places(false);
    let mut bench = bench(places, None, None);
    let syn = frame(Kind::Tcp(SYN), places.client, places.vip, &[]);
    let another = [2, 0, 0, 0, 0, 4];
    for gateway in [CLIENT_MAC, another] {
        let (source, destination) = ends(&bench.forward(&with(&syn, 6, &gateway)).expect("sent"));
        let answer = bench.forward(&frame(Kind::Tcp(SYN | ACK), destination, source, &[])).expect("sent");
        assert_eq!(answer[..6], gateway);
    }
}

#[test]
fn a_packet_that_has_passed_too_many_routers_goes_no_further() {
    for is_ipv6 in [false, true] {
        let places = places(is_ipv6);
        let mut bench = bench(places, Some(places.host), None);
        let hops = if is_ipv6 { 21 } else { 22 };
        let syn = with(&frame(Kind::Tcp(SYN), places.client, places.vip, &[]), hops, &[1]);
        assert_eq!(bench.forward(&syn), None);
        assert_eq!(bench.lost(), [(Loss::Expired, 1)]);
    }
}

/// An ICMP error from `source` to `destination` that quotes the packet in `about`.
pub(super) fn error(source: IpAddr, destination: IpAddr, about: &[u8], quoted: usize) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(CLIENT_MAC, VIRTUAL_MAC);
    let mut frame = Vec::new();
    let quote = &about[14..about.len().min(14 + quoted)];
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let kind = Icmpv4Type::TimeExceeded(etherparse::icmpv4::TimeExceededCode::TtlExceededInTransit);
            builder.ipv4(source.octets(), destination.octets(), HOPS).icmpv4(kind).write(&mut frame, quote)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => builder
            .ipv6(source.octets(), destination.octets(), HOPS)
            .icmpv6(etherparse::Icmpv6Type::PacketTooBig { mtu: 1300 })
            .write(&mut frame, quote),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => panic!("two families"),
    }
    .expect("it fits");
    frame
}

/// What the ICMP error in `frame` quotes, with an Ethernet header before it.
fn quoted(frame: &[u8]) -> Vec<u8> {
    let sliced = SlicedPacket::from_ethernet(frame).expect("a sound frame");
    let payload = match sliced.transport.expect("ICMP") {
        TransportSlice::Icmpv4(icmp) => icmp.payload().to_vec(),
        TransportSlice::Icmpv6(icmp) => icmp.payload().to_vec(),
        TransportSlice::Tcp(_) | TransportSlice::Udp(_) | TransportSlice::Igmp(_) => panic!("no ICMP"),
    };
    [&frame[..14], &payload].concat()
}

#[test]
fn errors_are_about_what_those_have_sent_who_get_them() {
    for (is_ipv6, is_full, kind) in [
        (false, false, Kind::Tcp(ACK)),
        (false, true, Kind::Udp),
        (true, false, Kind::Udp),
        (true, true, Kind::Tcp(ACK)),
    ] {
        let places = places(is_ipv6);
        let mut bench = bench(places, is_full.then_some(places.host), Some(8443));
        let router = if is_ipv6 { ip("2001:db8:1::1") } else { ip("198.51.100.1") };
        let asked = frame(kind, places.client, places.vip, &[5; 40]);
        let to_backend = bench.forward(&asked).expect("sent");
        let (source, destination) = ends(&to_backend);
        let answered = frame(kind, destination, source, &[6; 40]);
        let to_client = bench.forward(&answered).expect("sent");

        // About the answer, by a router on the way to the client.
        let sent = bench.forward(&error(router, places.vip.0, &to_client, 2000)).expect("sent");
        let from = if is_full { places.host } else { router };
        assert_eq!(ends(&sent), ((from, 0), (places.backend, 0)));
        assert_eq!(sent[..6], mac(0));
        let quote = quoted(&sent);
        assert_eq!(ends(&quote), (destination, source));
        // Of what the backend has sent nothing but the hop count is another.
        assert_eq!(quote[40..], answered[40..], "{is_ipv6} {is_full}");

        // About the question, by a router on the way to the backend.
        let sent = bench.forward(&error(router, source.0, &to_backend, 2000)).expect("sent");
        assert_eq!(ends(&sent), (((places.vip.0), 0), (places.client.0, 0)));
        assert_eq!(sent[..6], CLIENT_MAC);
        let quote = quoted(&sent);
        assert_eq!(ends(&quote), (places.client, places.vip));
        assert_eq!(quote[40..], asked[40..]);

        // With no more of it than must be (RFC 792), where the checksum of TCP is not.
        let least = if is_ipv6 { 48 } else { 28 };
        let sent = bench.forward(&error(router, source.0, &to_backend, least)).expect("sent");
        assert_eq!(ends(&sent), (((places.vip.0), 0), (places.client.0, 0)));
        assert_eq!(quoted(&sent)[..], quote[..14 + least]);
    }
}

#[test]
fn an_error_about_nothing_that_is_known_goes_nowhere() {
    let places = places(false);
    let mut bench = bench(places, Some(places.host), None);
    let router = ip("198.51.100.1");
    let answer = frame(Kind::Tcp(ACK), places.vip, places.client, &[]);
    assert_eq!(bench.forward(&error(router, places.vip.0, &answer, 2000)), None);
    let question = frame(Kind::Tcp(ACK), (places.host, 4711), (places.backend, 443), &[]);
    assert_eq!(bench.forward(&error(router, places.host, &question, 2000)), None);
    assert_eq!(bench.lost(), [(Loss::NoFlow, 1), (Loss::NoService, 1)]);
    assert_eq!(bench.traffic.flows().0, 0);
}

/// What the bench has put where XDP finds it.
pub(super) fn teach(host: &mut Datapath, bench: &Bench) {
    bench.bypassed.0.borrow().values().for_each(|cached| host.cache(cached.flow, cached.value));
    bench.translated.all().values().for_each(|translated| host.translate(translated.flow, translated.value));
}

#[test]
fn the_engine_and_the_flow_cache_translate_alike() {
    for (is_ipv6, is_full, kind) in [
        (false, false, Kind::Tcp(ACK)),
        (false, true, Kind::Udp),
        (true, false, Kind::Udp),
        (true, true, Kind::Tcp(ACK)),
    ] {
        let (places, nat) = (places(is_ipv6), Nat { source: None, port: Some(8443) });
        let source = is_full.then_some(places.host);
        let (mut bench, mut host) = (bench(places, source, nat.port), host(DEVICE_MAC));
        host.set_nat(0, mac(0), Nat { source, ..nat }.to_map(places.backend));
        let asked = |payload: &[u8]| frame(kind, places.client, places.vip, payload);
        assert!(bench.forward(&asked(&[])).is_some());
        // The last one goes on in other buffers.
        for payload in [&[][..], &[1], &[2; 700], &[3; 8900]] {
            let to_backend = bench.forward(&asked(payload)).expect("sent");
            teach(&mut host, &bench);
            let Outcome { action, frame: by_program, .. } = host.receive(&asked(payload));
            assert_eq!((action, by_program), (XDP_TX, to_backend.clone()), "{is_ipv6} {is_full}");
            let (source, destination) = ends(&to_backend);
            let answer = with(&frame(kind, destination, source, payload), 0, &DEVICE_MAC);
            let to_client = bench.forward(&answer).expect("sent");
            let Outcome { action, frame: by_program, .. } = host.receive(&answer);
            assert_eq!((action, by_program), (XDP_TX, to_client), "{is_ipv6} {is_full}");
        }
        assert_eq!((host.carried(0).0, host.answers(0)), (4, 4));
    }
}

#[test]
fn what_is_not_plain_about_a_translated_flow_is_left_to_the_engine_and_what_is_none_to_the_kernel() {
    for is_ipv6 in [false, true] {
        let (places, kind) = (places(is_ipv6), Kind::Tcp);
        let (mut bench, mut host) = (bench(places, Some(places.host), None), host(DEVICE_MAC));
        let nat = Nat { source: Some(places.host), port: None };
        host.set_nat(0, mac(0), nat.to_map(places.backend));
        host.add_frontend(0, places.vip.0, 6, 443);
        let asked = frame(kind(ACK), places.client, places.vip, &[1]);
        bench.forward(&asked).expect("sent");
        let to_backend = bench.forward(&asked).expect("sent");
        teach(&mut host, &bench);
        let (source, destination) = ends(&to_backend);
        let answer = |flags, source| with(&frame(kind(flags), destination, source, &[1]), 0, &DEVICE_MAC);
        let hops = if is_ipv6 { 21 } else { 22 };
        let router = if is_ipv6 { ip("2001:db8:1::1") } else { ip("198.51.100.1") };
        // In a test the engine has no socket, and what is for it is dropped.
        for (what, arrived) in [
            ("an end", frame(kind(FIN | ACK), places.client, places.vip, &[])),
            ("from elsewhere", with(&asked, 6, &[2, 0, 0, 0, 0, 7])),
            ("its last hop", with(&asked, hops, &[1])),
            ("an answer that begins", answer(SYN | ACK, source)),
            ("an answer's last hop", with(&answer(ACK, source), hops, &[1])),
            ("an error", with(&error(router, source.0, &to_backend, 2000), 0, &DEVICE_MAC)),
        ] {
            let Outcome { action, frame: after, counted } = host.receive(&arrived);
            assert_eq!((action, after), (XDP_DROP, arrived), "{what}");
            assert_eq!(counted, [(Verdict::VipBalanced, 1)].into(), "{what}");
        }
        let elsewhere = (source.0, source.1 ^ 1);
        for (what, arrived) in [
            ("an answer to this host", answer(ACK, elsewhere)),
            ("a flooded one", with(&answer(ACK, source), 0, &[2, 0, 0, 0, 0, 7])),
            ("of another link", tagged(&answer(ACK, source), &[(0x8100, 7)])),
        ] {
            let Outcome { action, frame: after, .. } = host.receive(&arrived);
            assert_eq!((action, after), (XDP_PASS, arrived), "{what}");
        }
        // By whom the VIP is not owned any more, nothing is said for it.
        host.set_delivery(0, 0, VIRTUAL_MAC, BALANCED);
        let Outcome { action, counted, .. } = host.receive(&answer(ACK, source));
        assert_eq!((action, counted), (XDP_DROP, [(Verdict::VipNotOwner, 1)].into()));
    }
}

#[test]
fn a_translated_flow_of_the_agent_before_keeps_its_port() {
    let places = places(false);
    for is_full in [true, false] {
        let source = is_full.then_some(places.host);
        let mut before = bench(places, source, None);
        let asked = frame(Kind::Tcp(ACK), places.client, places.vip, &[]);
        let sent = [&asked, &asked].map(|frame| before.forward(frame).expect("sent"));
        let mut next = bench(places, source, None);
        assert_eq!((next.inherit(&before, 2), next.inherit(&before, 2)), (1, 0));
        let (source, destination) = ends(&sent[1]);
        let answer = next.forward(&frame(Kind::Tcp(ACK), destination, source, &[])).expect("sent");
        assert_eq!((ends(&answer), &answer[..6]), ((places.vip, places.client), &CLIENT_MAC[..]));
        assert_eq!(next.forward(&asked).expect("sent"), sent[1]);
        // Where its packets were translated otherwise, or not at all, it is another flow to the backend.
        let mut direct = Bench::by(Way::Direct, &[places.backend], DEVICE_MAC);
        assert_eq!(direct.inherit(&before, 2), 0);
        for frame in [&asked, &asked] {
            assert!(direct.forward(frame).is_some());
        }
        let mut other = bench(places, is_full.then_some(places.host), None);
        assert_eq!((other.inherit(&direct, 2), other.translated.all().len()), (0, 0));
        let mut other = bench(places, (!is_full).then_some(places.host), None);
        assert_eq!((other.inherit(&before, 2), other.translated.all().len()), (0, 0));
        let mut late = bench(places, is_full.then_some(places.host), None);
        assert_eq!((late.inherit(&before, 2000), late.translated.all().len()), (0, 0), "it is over");
    }
}

#[test]
fn a_backend_that_others_reach_directly_gets_its_packets_as_they_are() {
    let mut bench = Bench::new(&addresses(1), DEVICE_MAC);
    let syn = octets("lb-tcp-syn-vip");
    assert_eq!(bench.forward(&syn).expect("sent")[12..], syn[12..]);
    assert_eq!(bench.translated.all().len(), 0);
}

#[test]
fn every_flow_to_a_backend_has_a_port_of_its_own_until_there_are_no_more() {
    let places = places(false);
    let mut bench = bench(places, Some(places.host), None);
    let taken = |port| Flow {
        source: baton::address::to_map(places.backend),
        destination: baton::address::to_map(places.host),
        source_port: 443,
        destination_port: port,
        protocol: 6,
        _pad: [0; 3],
    };
    let translated = |flow| Translated { flow, value: Translation::default(), seen: Instant::default() };
    bench.translated.all().extend((1024..32_768).map(taken).map(|flow| (flow, translated(flow))));
    let syn = frame(Kind::Tcp(SYN), places.client, places.vip, &[]);
    assert_eq!(bench.forward(&syn), None);
    assert_eq!((bench.lost(), bench.traffic.flows().0), (vec![(Loss::NoPort, 1)], 0));
    bench.translated.all().retain(|answer, _| answer.destination_port % 16 != 0);
    let (source, _) = ends(&bench.forward(&syn).expect("sent"));
    assert_eq!(source.1 % 16, 0);
}

/// All ports but one in 128 or so are those of established flows.
fn nearly_full(bench: &Bench, places: Places) {
    let established = Translation { is_established: 1, ..Translation::default() };
    for port in 1024..32_768 {
        let ends = [places.backend, places.host].map(baton::address::to_map);
        let flow = Flow {
            source: ends[0],
            destination: ends[1],
            source_port: 443,
            destination_port: port,
            protocol: 6,
            _pad: [0; 3],
        };
        let value = if port % 64 == 0 { Translation::default() } else { established };
        bench.translated.all().insert(flow, Translated { flow, value, seen: at(100) });
    }
}

#[test]
fn a_flood_of_half_open_connections_keeps_ports_from_nobody_but_itself() {
    let places = places(false);
    let mut bench = bench(places, Some(places.host), None);
    nearly_full(&bench, places);
    let from = |port| frame(Kind::Tcp(SYN), (places.client.0, port), places.vip, &[]);
    assert_eq!(bench.forward_at(102, &from(1)), None, "a client may go on within a second or two");
    let (first, _) = ends(&bench.forward_at(103, &from(2)).expect("sent"));
    assert_eq!(first.1 % 64, 0, "that of a connection with which nobody went on");
    // What goes on is nobody else's to have, however long it is silent.
    let ack = frame(Kind::Tcp(ACK), (places.client.0, 2), places.vip, &[]);
    assert_eq!(ends(&bench.forward_at(103, &ack).expect("sent")).0, first);
    for port in 3..2000 {
        if let Some(sent) = bench.forward_at(110, &from(port)) {
            let (source, _) = ends(&sent);
            assert!(source.1 % 64 == 0 && source != first, "{source:?}");
        }
    }
    assert_eq!(ends(&bench.forward_at(111, &ack).expect("sent")).0, first);
}

#[test]
fn who_has_lost_its_port_gets_another_or_none_but_never_that_of_another_flow() {
    let places = places(false);
    let mut bench = bench(places, Some(places.host), None);
    let asked = |flags| frame(Kind::Tcp(flags), places.client, places.vip, &[]);
    let (source, destination) = ends(&bench.forward_at(1, &asked(SYN)).expect("sent"));
    let other = Flow { source_port: 9, ..bench.translated.all().values().next().expect("one").value.flow };
    bench.translated.all().values_mut().for_each(|translated| translated.value.flow = other);
    for _ in 0..2 {
        let (again, _) = ends(&bench.forward_at(2, &asked(ACK)).expect("sent"));
        assert_ne!(again, source);
    }
    let answer = bench.forward_at(2, &frame(Kind::Tcp(ACK), destination, source, &[])).expect("sent");
    assert_eq!(ends(&answer).1, (places.client.0, 9));
}

#[test]
fn a_connection_that_the_backend_has_ended_gives_its_port_to_who_needs_it() {
    let places = places(false);
    let mut bench = bench(places, Some(places.host), None);
    let asked = |flags| frame(Kind::Tcp(flags), places.client, places.vip, &[]);
    bench.forward_at(1, &asked(SYN)).expect("sent");
    let (source, destination) = ends(&bench.forward_at(1, &asked(ACK)).expect("sent"));
    let standing =
        |bench: &Bench| bench.translated.all().values().map(|it| it.value.is_established).sum::<u8>();
    assert_eq!((standing(&bench), bench.bypassed()), (1, vec![0]));
    assert!(bench.forward_at(2, &frame(Kind::Tcp(FIN | ACK), destination, source, &[])).is_some());
    assert_eq!(standing(&bench), 0);
    // It may have more to say.
    assert!(bench.forward_at(2, &asked(ACK)).is_some());
    assert_eq!(standing(&bench), 1);
}

proptest! {
    /// Whatever arrives becomes a sound packet with other ends, or is counted.
    #[test]
    fn a_frame_is_translated_as_it_is_or_counted(
        at in 0..60_usize,
        octet: u8,
        length in 0..120_usize,
        is_cut: bool,
        is_ipv6: bool,
        is_answer: bool,
        kind in 0..3_usize,
    ) {
        let places = places(is_ipv6);
        let mut bench = bench(places, Some(places.host), Some(8443));
        let asked = frame(KINDS[kind], places.client, places.vip, &[5; 21]);
        let (source, destination) = ends(&bench.forward(&asked).expect("sent"));
        let whole = if is_answer { frame(KINDS[kind], destination, source, &[6; 21]) } else { asked };
        let mut arrived = whole.clone();
        arrived.resize(if is_cut { length } else { whole.len() }, 0);
        if let Some(place) = arrived.get_mut(at) {
            *place = octet;
        }
        let sent = bench.forward(&arrived);
        let (forwarded, answers) =
            bench.traffic.per_backend().fold((0, 0), |(one, other), it| (one + it.frames, other + it.answers));
        let lost: u64 = bench.traffic.losses().map(|(_, count)| count).sum();
        prop_assert_eq!(forwarded - 1 + answers + lost, 1);
        prop_assert_eq!(sent.is_some(), lost == 0);
        if let Some(sent) = sent {
            prop_assert_eq!(sent.len(), arrived.len());
            prop_assert_eq!(&sent[6..12], DEVICE_MAC);
            // Behind the headers nothing is touched.
            let headers = 14 + if is_ipv6 { 40 } else { 20 } + 20;
            prop_assert_eq!(sent.get(headers..), arrived.get(headers..));
        }
    }
}
