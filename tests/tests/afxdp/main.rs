//! The AF_XDP rings on a real interface. Every test has a network namespace of its own.
//!
//! ```text
//! near ======= far
//! AF_PACKET    baton_xdp, Ring or ForwardingRing on every queue
//! ```

mod forwarding;

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use aya::maps::XskMap;
use aya::programs::links::FdLink;
use aya::programs::{Xdp, XdpMode};
use baton::host::ethtool::Ethtool;
use baton::socket::PacketSocket;
use baton::xsk::{Ring, RingError};
use baton_common::maps::{ACCEPT_PSEUDO, ACCEPT_RFC9568, XDP_PROGRAM, XSKS};
use baton_common::ownership::BALANCED;
use baton_common::verdict::Verdict;
use baton_tests::datapath::{Datapath, FOREVER};
use baton_tests::frames;
use baton_tests::network::{Hears, Listener, enter_empty_network, ip};
use nix::net::if_::if_nametoindex;

const QUEUES: u32 = 2;
/// More frames than any ring or UMEM holds, so that every frame is used several times.
const FRAMES: usize = 500;

/// What forwarded frames come from.
const SENDER: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// A network of its own for this thread, with the veth pair.
fn network() {
    enter_empty_network(&format!(
        "link add near numrxqueues {QUEUES} numtxqueues {QUEUES} type veth peer name far numrxqueues {QUEUES} \
         numtxqueues {QUEUES}
        link set near up
        link set far up"
    ));
}

/// The data plane on `far`, for VRID 51 with a primary address that no vector has.
fn data_plane() -> Datapath {
    let mut host = Datapath::load();
    host.add_router(0, 51, 0, ACCEPT_RFC9568 | ACCEPT_PSEUDO, [192, 0, 2, 77]);
    // The owner of a VIP with a service.
    host.set_device(SENDER, [192, 0, 2, 77], [0; 16]);
    host.add_vip(0, [192, 0, 2, 100], 0);
    host.set_delivery(0, FOREVER, [0, 0, 0x5e, 0, 1, 51], BALANCED);
    host.add_frontend(0, [192, 0, 2, 100], 6, 443);
    let program: &mut Xdp =
        host.bpf_mut().program_mut(XDP_PROGRAM).expect("the program").try_into().expect("XDP");
    program.attach("far", XdpMode::Driver).expect("veth has native XDP");
    host
}

fn rings(host: &mut Datapath) -> Vec<Ring<usize>> {
    let mut map = XskMap::try_from(host.bpf_mut().map_mut(XSKS).expect("the map")).expect("an XSKMAP");
    (0..QUEUES)
        .map(|queue| {
            let ring = Ring::open("far", queue).expect("AF_XDP");
            map.set(queue, ring.raw_fd(), 0).expect("room in the map");
            ring
        })
        .collect()
}

/// The next frame with `mac` as its source.
fn next_from(listener: &Listener, mac: [u8; 6]) -> Option<Vec<u8>> {
    let mut buffer = [0; 16_384];
    while let Some(frame) = listener.next(&mut buffer) {
        if frame[6..12] == mac {
            return Some(frame.to_vec());
        }
    }
    None
}

/// Calls `attempt` until it answers, for a bounded time.
fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        if let Some(answer) = attempt() {
            return answer;
        }
        assert!(Instant::now() < end, "{what}");
        sleep(Duration::from_micros(200));
    }
}

#[test]
fn the_driver_tells_the_number_of_queues() {
    network();
    assert_eq!(Ethtool::open("far").expect("a socket").receive_queues(), QUEUES);
}

#[test]
fn an_interface_runs_until_its_peer_takes_the_carrier_away() {
    network();
    let far = Ethtool::open("far").expect("a socket");
    // The flags follow the carrier in their own time.
    eventually("not running", || far.is_running().then_some(()));
    ip("link set near down");
    eventually("still running", || (!far.is_running()).then_some(()));
}

#[test]
fn a_frame_without_a_carrier_is_not_sent_however_often_the_carrier_comes_and_goes() {
    network();
    let mut host = data_plane();
    let mut rings = rings(&mut host);
    let socket = PacketSocket::open(if_nametoindex("far").expect("the interface")).expect("a packet socket");
    let frame = frames::octets("vrrp3-v4-ph-p100");
    for round in 0..5 {
        rings[0].transmit(&frame, round).expect("a carrier");
        assert_eq!(eventually("no completion", || rings[0].completed()), round);
        socket.transmit(&frame).expect("a carrier");
        ip("link set near down");
        let refused = rings[0].transmit(&frame, 100 + round).expect_err("no carrier");
        assert!(matches!(refused, RingError::Dropped), "{refused}");
        assert_eq!(rings[0].completed(), None, "round {round}");
        assert!(!rings[0].is_sending(), "the frame was not given back");
        socket.transmit(&frame).expect_err("no carrier");
        ip("link set near up");
    }
}

#[test]
fn every_frame_leaves_as_it_was_given_however_often_its_memory_was_used() {
    network();
    let mut host = data_plane();
    let mut rings = rings(&mut host);
    let near = Listener::open("near", Hears::Everything).expect("a packet socket");
    let mac = [0x00, 0x00, 0x5e, 0x00, 0x01, 0x33];
    let long = frames::octets("vrrp3-v4-std-p100-255ip");
    let short = frames::octets("arp-garp-request-rfc9568");
    for number in 0..FRAMES {
        let frame = if number % 3 == 0 { &long } else { &short };
        rings[0].transmit(frame, number).expect("a free frame");
        assert_eq!(eventually("no completion", || rings[0].completed()), number);
        assert_eq!(&eventually("nothing arrived", || next_from(&near, mac)), frame, "frame {number}");
    }
    assert!(!rings[0].is_sending());
}

#[test]
fn every_advert_reaches_exactly_one_ring() {
    network();
    let mut host = data_plane();
    let mut rings = rings(&mut host);
    let near = PacketSocket::open(if_nametoindex("near").expect("the interface")).expect("a packet socket");
    let advert = frames::octets("vrrp3-v4-ph-p100");
    for number in 0..FRAMES {
        near.transmit(&advert).expect("near is up");
        let mut heard = Vec::new();
        eventually("no advert in any ring", || {
            rings.iter_mut().any(|ring| ring.receive(|frame| heard.push(frame.to_vec()))).then_some(())
        });
        assert_eq!(heard, [advert.as_slice()], "advert {number}");
    }
    assert_eq!(host.counters()[&Verdict::VrrpReceived], FRAMES as u64);
}

#[test]
fn opening_a_ring_puts_no_other_program_on_the_interface() {
    network();
    let mut host = Datapath::load();
    let program: &mut Xdp =
        host.bpf_mut().program_mut(XDP_PROGRAM).expect("the program").try_into().expect("XDP");
    let id = program.attach("far", XdpMode::Driver).expect("veth has native XDP");
    let ours = program.info().expect("loaded").id();
    let link: FdLink = program.take_link(id).expect("attached").try_into().expect("a BPF link");
    let _rings = rings(&mut host);
    assert_eq!(link.info().expect("a live link").program_id(), ours);
    let shown = Command::new("ip").args(["link", "show", "dev", "far"]).output().expect("iproute2");
    assert!(String::from_utf8_lossy(&shown.stdout).contains(&format!("prog/xdp id {ours} ")), "{shown:?}");
}

#[test]
fn a_queue_has_one_socket_and_a_second_one_is_told_that_it_is_busy() {
    network();
    let mut host = data_plane();
    let _rings = rings(&mut host);
    let second = Ring::<usize>::open("far", 0).map(|_| ()).expect_err("the queue is taken");
    assert!(second.is_busy(), "{second}");
    assert!(matches!(second, RingError::Open { queue: 0, .. }));
}
