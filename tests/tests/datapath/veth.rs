//! What needs a socket buffer as an interface makes them: the kernel's opinion about whom a frame is for, and the tag
//! that it keeps beside the frame. Every test has a network namespace of its own.
//!
//! ```text
//! near === far          left === left-port  bridge  right-port === right
//! AF_PACKET   XDP, tcx  AF_PACKET                   tcx egress
//! ```

use std::net::UdpSocket;
use std::time::Duration;

use aya::programs::tc::{SchedClassifier, TcAttachType};
use aya::programs::xdp::{Xdp, XdpMode};
use baton::socket::PacketSocket;
use baton_common::maps::{TCX_EGRESS_PROGRAM, TCX_INGRESS_PROGRAM, XDP_PROGRAM};
use baton_common::verdict::Verdict::{EgressArp, EgressVirtualMac, VipDelivered};
use baton_tests::datapath::{Datapath, FOREVER};
use baton_tests::frames::{self, ip_checksummed, tagged, with};
use baton_tests::lab::wait_until;
use baton_tests::network::enter_empty_network;
use nix::net::if_::if_nametoindex;

use super::setup::{BOTH, DEVICE_MAC, PRIMARY, Role, SLOT, VIRTUAL_MAC, host};

fn attach_tcx(host: &mut Datapath, program: &str, interface: &str, hook: TcAttachType) {
    let program = host.bpf_mut().program_mut(program).expect("the object has the program");
    let program: &mut SchedClassifier = program.try_into().expect("a tc program");
    program.attach(interface, hook).expect("kernel 6.6 or newer");
}

/// Sends `frame` out of `interface` as it is.
fn send(interface: &str, frame: &[u8]) {
    let index = if_nametoindex(interface).expect("the interface");
    let socket = PacketSocket::open(index).expect("a packet socket");
    socket.transmit(frame).expect("the interface is up");
}

/// UDP to 192.0.2.100, port 7, sent to the virtual MAC. No checksum, as IPv4 allows.
fn datagram() -> Vec<u8> {
    let traffic = frames::octets("lb-tcp-syn-vip");
    let ip = with(&with(&traffic[..34], 16, &[0, 32]), 23, &[17]);
    [&ip_checksummed(&with(&ip, 26, &[192, 0, 2, 3]))[..], &[0x30, 0x39, 0, 7, 0, 12, 0, 0], b"ping"].concat()
}

/// The kernel has looked at the virtual MAC before XDP rewrites it, and takes the frame for another host's.
#[test]
fn a_delivered_frame_reaches_its_socket_with_the_ingress_program_and_not_without() {
    enter_empty_network(
        "link set lo up
        address add 192.0.2.100/32 dev lo
        link add near type veth peer name far address 02:00:00:00:00:01
        address add 192.0.2.9/24 dev far
        link set near up
        link set far up",
    );
    let mut host = host(Role::Active);
    let xdp: &mut Xdp =
        host.bpf_mut().program_mut(XDP_PROGRAM).expect("the program").try_into().expect("XDP");
    xdp.attach("far", XdpMode::Driver).expect("veth has native XDP");
    let service = UdpSocket::bind("192.0.2.100:7").expect("the VIP is bound on lo");
    service.set_read_timeout(Some(Duration::from_secs(1))).expect("not zero");
    let mut received = [0; 16];

    send("near", &datagram());
    assert!(service.recv(&mut received).is_err(), "the kernel decides by itself: {received:?}");
    assert_eq!(host.counters()[&VipDelivered], 1);

    attach_tcx(&mut host, TCX_INGRESS_PROGRAM, "far", TcAttachType::Ingress);
    send("near", &datagram());
    let length = service.recv(&mut received).expect("the datagram");
    assert_eq!(&received[..length], b"ping");
    assert_eq!(host.counters()[&VipDelivered], 2);
}

/// A frame that a bridge forwards has its tag beside it, not in it, when it comes to the egress hook.
#[test]
fn a_tag_beside_the_frame_counts() {
    enter_empty_network(
        "link add bridge type bridge
        link add left type veth peer name left-port
        link add right type veth peer name right-port
        link set left-port master bridge
        link set right-port master bridge
        link set bridge up
        link set left up
        link set left-port up
        link set right up
        link set right-port up",
    );
    let mut host = Datapath::load();
    host.set_device(DEVICE_MAC, PRIMARY, [0; 16]);
    host.add_router(100, 51, SLOT, BOTH, PRIMARY);
    host.add_vip(100, [192, 0, 2, 100], SLOT);
    host.set_ownership(SLOT, 0, VIRTUAL_MAC);
    attach_tcx(&mut host, TCX_EGRESS_PROGRAM, "right-port", TcAttachType::Egress);

    let (garp, advert) = (frames::octets("arp-garp-request-rfc9568"), frames::octets("vrrp3-v4-std-p100"));
    // The bridge forwards when a softirq runs; a frame that is counted late shows in the next count.
    let expect = |host: &Datapath, expected: [u64; 2]| {
        let counted = || [EgressArp, EgressVirtualMac].map(|verdict| host.counters()[&verdict]);
        let waited = wait_until("the frames", Duration::from_secs(1), || Ok(counted() == expected));
        assert_eq!(counted(), expected, "{waited:?}");
    };
    for tags in [&[][..], &[(0x8100, 200)], &[(0x8100, 100), (0x8100, 7)]] {
        send("left", &tagged(&garp, tags));
        send("left", &tagged(&advert, tags));
        expect(&host, [0, 0]);
    }
    send("left", &tagged(&garp, &[(0x8100, 100)]));
    expect(&host, [1, 0]);
    send("left", &tagged(&advert, &[(0x8100, 100)]));
    expect(&host, [1, 1]);
    host.set_ownership(SLOT, FOREVER, VIRTUAL_MAC);
    send("left", &tagged(&garp, &[(0x8100, 100)]));
    send("left", &tagged(&advert, &[(0x8100, 100)]));
    expect(&host, [1, 1]);
}
