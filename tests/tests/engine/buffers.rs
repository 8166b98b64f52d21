//! Frames in several buffers (jumbo), without IO: what is done to one is what would be done to it in one.

use std::ops::{Deref, DerefMut};

use baton::engine::{Buffer, Carriage, Loss, Nat, Tunnel, Way};
use baton_tests::datapath::{Outcome, XDP_DROP, XDP_TX};
use etherparse::{Icmpv4Type, Icmpv6Type, SlicedPacket, TransportSlice, icmpv4::DestUnreachableHeader};

use super::bench::{ACK, Bench, SYN, at, host, mac};
use super::nat::{DEVICE_MAC, Kind, Places, frame, ip, places, teach};

/// Where a driver may end the first buffer: behind the headers.
const ENDS: [usize; 4] = [74, 1500, 3520, 3840];

/// A frame in two buffers.
#[derive(Clone, Debug)]
struct Split {
    first: Vec<u8>,
    rest: Vec<u8>,
}

impl Split {
    fn at(end: usize, frame: &[u8]) -> Self {
        let (first, rest) = frame.split_at(end);
        Self { first: first.to_vec(), rest: rest.to_vec() }
    }

    fn whole(&self) -> Vec<u8> {
        [&self.first[..], &self.rest].concat()
    }
}

impl Deref for Split {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.first
    }
}

impl DerefMut for Split {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.first
    }
}

impl Buffer for Split {
    fn behind(&self) -> usize {
        self.rest.len()
    }

    fn replace(&mut self, octets: &[u8]) -> bool {
        self.rest.clear();
        self.first.replace(octets)
    }

    fn replace_head(&mut self, before: usize, head: &[u8]) -> bool {
        self.first.replace_head(before, head)
    }
}

/// Each way to a backend, over links of MTU 9000.
fn ways(places: Places) -> Vec<Way> {
    let tunnel = |source, destination| {
        Way::Tunnel(Tunnel::new(ip(source), ip(destination), 9000).expect("one family"))
    };
    let nat = |source| Way::Nat(Nat { source, port: Some(8443) });
    vec![
        Way::Direct,
        tunnel("192.0.2.9", "192.0.2.1"),
        tunnel("2001:db8::9", "2001:db8::1"),
        nat(Some(places.host)),
        nat(None),
    ]
}

/// A segment of the client with so many octets of payload.
fn segment(places: Places, flags: u8, payload: usize) -> Vec<u8> {
    frame(Kind::Tcp(flags), places.client, places.vip, &vec![7; payload])
}

/// What is sent for a frame that is given in two buffers, of which the first ends at `end`.
fn forward(bench: &mut Bench, end: usize, frame: &[u8]) -> Option<Vec<u8>> {
    let mut split = Split::at(end, frame);
    bench.forwarder.forward(&mut split, &bench.pools, at(1)).map(|_| split.whole())
}

/// The engine, and the flow cache, whose first buffer ends where the kernel has it end in a test.
#[test]
fn a_frame_in_several_buffers_becomes_what_it_would_in_one() {
    for is_ipv6 in [false, true] {
        let places = places(is_ipv6);
        for way in ways(places) {
            let mut bench = Bench::by(way, &[places.backend], DEVICE_MAC);
            let mut host = host(DEVICE_MAC);
            match way {
                Way::Direct => host.set_backend(0, Some(mac(0))),
                Way::Tunnel(tunnel) => host.set_tunnel(0, mac(0), tunnel.to_map()),
                Way::Nat(nat) => host.set_nat(0, mac(0), nat.to_map(places.backend)),
            }
            assert!(bench.forward(&segment(places, SYN, 0)).is_some());
            let large = segment(places, ACK, 8800);
            let sent = bench.forward(&large).expect("it is for the service");
            assert!(sent.ends_with(&large[74..]) && sent.len() >= large.len(), "{way:?}");
            for end in ENDS {
                assert_eq!(forward(&mut bench, end, &large).as_ref(), Some(&sent), "{way:?}, {end}");
            }
            let Carriage { frames, octets, .. } = bench.traffic.per_backend().next().expect("a backend");
            let small = segment(places, SYN, 0).len();
            assert_eq!((frames, octets), (6, (small + 5 * large.len()) as u64), "{way:?}");
            teach(&mut host, &bench);
            let Outcome { action, frame: by_program, .. } = host.receive(&large);
            assert_eq!((action, by_program), (XDP_TX, sent), "{way:?}");
            assert_eq!(host.carried(0), (1, large.len() as u64), "{way:?}");
        }
    }
}

#[test]
fn a_frame_that_ends_before_its_packet_does_goes_nowhere() {
    for is_ipv6 in [false, true] {
        let places = places(is_ipv6);
        let mut bench = Bench::by(Way::Direct, &[places.backend], DEVICE_MAC);
        let large = segment(places, SYN, 8800);
        for end in ENDS {
            assert_eq!(forward(&mut bench, end, &large[..large.len() - 1]), None);
            assert!(forward(&mut bench, end, &large).is_some());
        }
        assert_eq!(bench.lost(), [(Loss::NoFlow, ENDS.len() as u64)]);
    }
}

#[test]
fn the_sender_of_a_packet_that_is_too_long_is_told_so_in_one_buffer() {
    for is_ipv6 in [false, true] {
        let places = places(is_ipv6);
        let tunnel = Tunnel::new(ip("192.0.2.9"), ip("192.0.2.1"), 9000).expect("one family");
        let mut bench = Bench::by(Way::Tunnel(tunnel), &[places.backend], DEVICE_MAC);
        let mut host = host(DEVICE_MAC);
        host.set_tunnel(0, mac(0), tunnel.to_map());
        let headers = if is_ipv6 { 60 } else { 40 };
        let longest = segment(places, ACK, 8980 - headers);
        assert!(bench.forward(&segment(places, SYN, 0)).is_some());
        assert!(forward(&mut bench, 3840, &longest).is_some());
        let mut too_long = segment(places, ACK, 8981 - headers);
        if !is_ipv6 {
            // It must not be fragmented.
            too_long[20] |= 0x40;
        }
        let mut split = Split::at(3840, &too_long);
        assert!(bench.forwarder.forward(&mut split, &bench.pools, at(1)).is_some());
        assert!(split.rest.is_empty());
        let slice = SlicedPacket::from_ethernet(&split.first).expect("a sound frame");
        match slice.transport.expect("ICMP") {
            TransportSlice::Icmpv4(icmp) => {
                let needed = DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: 8980 };
                assert_eq!(icmp.icmp_type(), Icmpv4Type::DestinationUnreachable(needed));
            }
            TransportSlice::Icmpv6(icmp) => {
                assert_eq!(icmp.icmp_type(), Icmpv6Type::PacketTooBig { mtu: 8980 });
            }
            TransportSlice::Tcp(_) | TransportSlice::Udp(_) | TransportSlice::Igmp(_) => panic!("no ICMP"),
        }
        assert_eq!(bench.lost(), [(Loss::TooLong, 1)]);
        teach(&mut host, &bench);
        assert_eq!(host.receive(&longest).action, XDP_TX);
        // In a test the engine has no socket.
        let Outcome { action, frame, .. } = host.receive(&too_long);
        assert_eq!((action, frame), (XDP_DROP, too_long), "what is the engine's is as it was");
    }
}
