//! Seamless BFD: what the reflector answers, and what becomes of the answers to this host's own probes.

use std::net::IpAddr;
use std::time::Duration;

use baton::clock;
use baton::wire::SbfdProbe;
use baton_common::maps::mapped;
use baton_common::sbfd::{Answer, FIRST_SOURCE_PORT, STATE_MASK, STATE_UP, Standby};
use baton_common::verdict::Verdict::{Other, SbfdAdminDown, SbfdAnswer, SbfdDiscarded, SbfdUnknown, SbfdUp};
use baton_common::vrid::Family;
use baton_tests::datapath::{Datapath, FOREVER, Outcome, XDP_DROP, XDP_PASS, XDP_TX};
use baton_tests::frames::{self, ip_checksummed, tagged, with};

use super::setup::{BOTH, SLOT, VIRTUAL_MAC, outcome};

/// The host of the vectors: 192.0.2.1, its MAC, and the discriminator that they ask for.
const ADDRESS: [u8; 4] = [192, 0, 2, 1];
const MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
const DISCRIMINATOR: u32 = 0x5bfd_0033;
/// Its peer, whose probes and answers are made up here.
const PEER: [u8; 4] = [192, 0, 2, 2];
const PEER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];
const PEER_DISCRIMINATOR: u32 = 0x0b00_0001;

/// Offsets in an untagged frame.
const IP_TTL: usize = 22;
const UDP: usize = 34;
const CONTROL: usize = UDP + 8;
const TRAILER: usize = CONTROL + 24;

fn host(lease_until_ns: u64) -> Datapath {
    let mut host = Datapath::load();
    host.set_device(MAC, ADDRESS, [0; 16]);
    host.add_router(0, 51, SLOT, BOTH, ADDRESS);
    host.add_discriminator(0, Family::Ipv4, DISCRIMINATOR, SLOT);
    host.set_ownership(SLOT, lease_until_ns, VIRTUAL_MAC);
    host
}

/// A probe of Baton's, with its trailer.
fn probe() -> SbfdProbe {
    SbfdProbe {
        mac: PEER_MAC,
        peer_mac: MAC,
        vlan: 0,
        source: IpAddr::from(PEER),
        peer: IpAddr::from(ADDRESS),
        port: FIRST_SOURCE_PORT,
        up: true,
        poll: false,
        multiplier: 3,
        my_discriminator: PEER_DISCRIMINATOR,
        your_discriminator: DISCRIMINATOR,
        interval: Duration::from_micros(100),
        sequence: 0x0102_0304,
        priority: 150,
    }
}

fn built(probe: SbfdProbe) -> Vec<u8> {
    let mut buffer = [0; 128];
    let length = probe.build(&mut buffer).expect("room for a probe");
    buffer[..length].to_vec()
}

/// The answer of the peer's reflector to this host's probe: what its own reflector makes of it, with the roles changed.
fn answer(change: impl FnOnce(&mut SbfdProbe)) -> Vec<u8> {
    let mut asked = SbfdProbe {
        mac: MAC,
        peer_mac: PEER_MAC,
        source: IpAddr::from(ADDRESS),
        peer: IpAddr::from(PEER),
        port: FIRST_SOURCE_PORT + u16::try_from(SLOT).expect("small"),
        my_discriminator: DISCRIMINATOR,
        your_discriminator: PEER_DISCRIMINATOR,
        ..probe()
    };
    change(&mut asked);
    let mut peer = Datapath::load();
    peer.set_device(PEER_MAC, PEER, [0; 16]);
    peer.add_discriminator(0, Family::Ipv4, asked.your_discriminator, 0);
    peer.set_ownership(0, FOREVER, VIRTUAL_MAC);
    let reflected = peer.receive(&built(asked));
    assert_eq!(reflected.action, XDP_TX);
    reflected.frame
}

/// Sets octets of the UDP datagram and leaves out its checksum, which IPv4 allows.
fn changed(frame: &[u8], at: usize, octets: &[u8]) -> Vec<u8> {
    with(&with(frame, at, octets), UDP + 6, &[0, 0])
}

/// The sum that a correct checksum makes 0xffff, over pseudo-header and datagram.
fn sum(frame: &[u8]) -> u16 {
    let length = frame.len() - UDP;
    let pseudo = [&frame[26..34], &[0, 17], &u16::try_from(length).expect("short").to_be_bytes()].concat();
    let words = pseudo.chunks(2).chain(frame[UDP..].chunks(2));
    let sum: u32 = words.map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    u16::try_from((sum & 0xffff) + (sum >> 16)).expect("carries folded")
}

/// T-098, T-099, T-100, T-107.
#[test]
fn a_probe_is_answered_as_recorded() {
    for (name, lease, verdict, answer) in [
        ("sbfd-init-up", FOREVER, SbfdUp, "sbfd-reply-up"),
        ("sbfd-init-poll", FOREVER, SbfdUp, "sbfd-reply-up-final"),
        ("sbfd-init-up", 0, SbfdAdminDown, "sbfd-reply-admindown"),
        ("sbfd-init-up", 1, SbfdAdminDown, "sbfd-reply-admindown"),
    ] {
        let reflected = host(lease).receive(&frames::octets(name));
        assert_eq!(reflected, outcome(XDP_TX, verdict, &frames::octets(answer)), "{name}");
    }
}

/// T-099: a router that is about to leave serves on, but its successor is welcome.
#[test]
fn a_leaving_router_says_admin_down() {
    let mut host = host(0);
    host.set_leaving(SLOT, FOREVER, VIRTUAL_MAC);
    let reflected = host.receive(&frames::octets("sbfd-init-up"));
    assert_eq!(reflected, outcome(XDP_TX, SbfdAdminDown, &frames::octets("sbfd-reply-admindown")));
}

/// A router that is offered to one serves on for all others, though they may be better.
#[test]
fn a_router_that_is_offered_says_so_to_its_successor_alone() {
    /// Whether the answer says that this host serves, and that the prober is next in line.
    fn told(outcome: &Outcome) -> (bool, bool) {
        (outcome.frame[CONTROL + 1] & STATE_MASK == STATE_UP, outcome.frame[TRAILER + 5] == 1)
    }
    let better = SbfdProbe { source: IpAddr::from([192, 0, 2, 3]), priority: 200, ..probe() };
    let begun = SbfdProbe { up: false, ..probe() };
    let mut host = host(FOREVER);
    assert_eq!(told(&host.receive(&built(better))), (true, true));
    assert_eq!(told(&host.receive(&built(probe()))), (true, false));
    host.set_offered(SLOT, FOREVER, VIRTUAL_MAC, PEER);
    assert_eq!(told(&host.receive(&built(better))), (true, true));
    assert_eq!(told(&host.receive(&built(probe()))), (false, true));
    assert_eq!(told(&host.receive(&built(begun))), (false, false), "a session that is not up");
    host.set_offered(SLOT, 1, VIRTUAL_MAC, PEER);
    assert_eq!(told(&host.receive(&built(better))), (false, true), "the lease has lapsed");
    assert_eq!(told(&host.receive(&built(probe()))), (false, false), "the lease has lapsed");
}

/// T-102: without a checksum it is answered with a right one. A session that has only begun is answered likewise.
#[test]
fn a_probe_without_checksum_and_a_first_probe_are_answered() {
    let host = host(FOREVER);
    for name in ["sbfd-init-udpsum0", "sbfd-init-down"] {
        let reflected = host.receive(&frames::octets(name));
        assert_eq!(reflected.action, XDP_TX, "{name}");
        assert_eq!(sum(&reflected.frame), 0xffff, "{name}");
    }
}

/// T-101: neither answered nor passed on, for the kernel would say that the port is unreachable.
#[test]
fn a_bad_probe_is_dropped() {
    let host = host(FOREVER);
    for (name, vector) in frames::all() {
        let bad = name.starts_with("bad-sbfd-") && !name.starts_with("bad-sbfd-reply");
        if !bad {
            continue;
        }
        let frame = vector.octets();
        let judged = host.receive(&frame);
        assert_eq!((judged.action, judged.frame), (XDP_DROP, frame), "{name}");
        let discarded =
            judged.counted.contains_key(&SbfdDiscarded) || judged.counted.contains_key(&SbfdUnknown);
        assert!(discarded, "{name}: {:?}", judged.counted);
    }
    let unknown = built(SbfdProbe { your_discriminator: DISCRIMINATOR + 1, ..probe() });
    assert_eq!(host.receive(&unknown), outcome(XDP_DROP, SbfdUnknown, &unknown));
    // RFC 7881 6, and an initiator that claims our own address.
    let reflector = built(SbfdProbe { port: 7784, ..probe() });
    assert_eq!(host.receive(&reflector), outcome(XDP_DROP, SbfdDiscarded, &reflector));
    // Nobody has a group address; such a probe stands by for nothing either.
    let group = built(SbfdProbe { mac: [0x03, 0, 0, 0, 0, 0x02], ..probe() });
    assert_eq!(host.receive(&group), outcome(XDP_DROP, SbfdDiscarded, &group));
    assert_eq!(host.standby(SLOT), Standby::default());
    let ours = built(SbfdProbe { source: IpAddr::from(ADDRESS), ..probe() });
    assert_eq!(host.receive(&ours), outcome(XDP_DROP, SbfdDiscarded, &ours));
}

#[test]
fn what_is_not_for_this_host_is_passed() {
    let host = host(FOREVER);
    let elsewhere = built(SbfdProbe { peer: IpAddr::from([192, 0, 2, 77]), ..probe() });
    assert_eq!(host.receive(&elsewhere), outcome(XDP_PASS, Other, &elsewhere));
    let fragment = ip_checksummed(&with(&built(probe()), 20, &[0x20, 0x00]));
    assert_eq!(host.receive(&fragment), outcome(XDP_PASS, Other, &fragment));
    let other_port = changed(&built(probe()), UDP + 2, &7785_u16.to_be_bytes());
    assert_eq!(host.receive(&other_port), outcome(XDP_PASS, Other, &other_port));
}

#[test]
fn a_probe_to_any_address_that_adverts_come_from_is_answered() {
    let (second, discriminator) = ([192, 0, 2, 77], DISCRIMINATOR + 1);
    let mut host = host(FOREVER);
    host.add_discriminator(0, Family::Ipv4, discriminator, SLOT + 1);
    host.set_ownership(SLOT + 1, FOREVER, VIRTUAL_MAC);
    let asked = built(SbfdProbe { peer: IpAddr::from(second), your_discriminator: discriminator, ..probe() });
    assert_eq!(host.receive(&asked), outcome(XDP_PASS, Other, &asked));
    host.add_source(0, second);
    let answer = host.receive(&asked);
    assert_eq!((answer.action, answer.counted.keys().next()), (XDP_TX, Some(&SbfdUp)));
    assert_eq!(answer.frame[26..34], [second, PEER].concat());
    assert_eq!(host.receive(&built(probe())).action, XDP_TX, "and to the first");
}

/// T-104: in place, so the tags stay; and a VLAN is a link of its own.
#[test]
fn a_tagged_probe_is_answered_with_its_tags_on_its_own_link() {
    let mut host = host(FOREVER);
    let frame = tagged(&frames::octets("sbfd-init-up"), &[(0x8100, 100)]);
    assert_eq!(host.receive(&frame), outcome(XDP_PASS, Other, &frame));
    host.add_source(100, ADDRESS);
    assert_eq!(host.receive(&frame), outcome(XDP_DROP, SbfdUnknown, &frame));
    host.add_discriminator(100, Family::Ipv4, DISCRIMINATOR, SLOT);
    let answer = tagged(&frames::octets("sbfd-reply-up"), &[(0x8100, 100)]);
    assert_eq!(host.receive(&frame), outcome(XDP_TX, SbfdUp, &answer));
}

/// The virtual MAC is not used by a host that does not own it, and need not be by one that does.
#[test]
fn an_answer_never_leaves_from_the_virtual_mac() {
    for lease in [0, FOREVER] {
        let reflected = host(lease).receive(&built(SbfdProbe { peer_mac: VIRTUAL_MAC, ..probe() }));
        assert_eq!(reflected.frame[..12], [PEER_MAC, MAC].concat());
    }
}

#[test]
fn the_trailer_tells_what_is_left_of_the_lease() {
    let until = clock::now().as_nanos() + 5_000_000_000;
    let reflected = host(until).receive(&built(probe()));
    assert_eq!(sum(&reflected.frame), 0xffff);
    let trailer = &reflected.frame[TRAILER..];
    assert_eq!(trailer[..8], [1, 2, 3, 4, 0, 1, 0, 0]);
    let left = u32::from_be_bytes(trailer[8..].try_into().expect("four octets"));
    assert!((1..=5_000_000).contains(&left), "{left} us");
    let reflected = host(0).receive(&built(probe()));
    assert_eq!(reflected.frame[TRAILER..], [1, 2, 3, 4, 0, 1, 0, 0, 0, 0, 0, 0]);
}

/// T-122: only one of several is told that it is next.
#[test]
fn of_several_probers_the_best_is_next_in_line() {
    let host = host(FOREVER);
    let is_next = |priority: u8, last: u8, up: bool| {
        let source = IpAddr::from([192, 0, 2, last]);
        let reflected = host.receive(&built(SbfdProbe { priority, source, up, ..probe() }));
        reflected.frame[TRAILER + 5] == 1
    };
    assert!(is_next(100, 2, true), "alone");
    assert!(is_next(150, 3, true), "better");
    assert!(!is_next(100, 2, true), "worse");
    assert!(!is_next(150, 2, true), "equal, but of a lower address");
    assert!(is_next(150, 4, true), "equal, and of a higher address");
    assert!(!is_next(200, 9, false), "only begun");
    assert!(!is_next(150, 3, true), "no longer the best");
    let standby = host.standby(SLOT);
    let address = mapped([192, 0, 2, 4]);
    assert_eq!(standby, Standby { seen_ns: standby.seen_ns, address, priority: 150, _pad: [0; 7] });
    assert!(is_next(50, 4, true), "the best, whose trackers have failed, until a better one asks");
    assert!(is_next(100, 2, true), "that one");
    assert!(!is_next(50, 4, true), "not the best any more");
    // The best has gone.
    std::thread::sleep(Duration::from_millis(210));
    assert!(is_next(100, 2, true), "the only one left");
}

/// T-103: a reflector's answer never makes another answer.
#[test]
fn two_reflectors_cannot_answer_each_other() {
    let host = host(FOREVER);
    let answer = host.receive(&frames::octets("sbfd-init-up")).frame;
    let mut other = Datapath::load();
    other.set_device(PEER_MAC, PEER, [0; 16]);
    other.add_discriminator(0, Family::Ipv4, PEER_DISCRIMINATOR, SLOT);
    other.set_ownership(SLOT, FOREVER, VIRTUAL_MAC);
    // With both ports the reflectors', and with the destination a reflector's.
    for ports in [[0x1e, 0x68, 0x1e, 0x68], [0xc0, 0x30, 0x1e, 0x68]] {
        let forged = changed(&answer, UDP, &ports);
        assert_eq!(other.receive(&forged), outcome(XDP_DROP, SbfdDiscarded, &forged));
    }
}

#[test]
fn an_answer_is_stamped_into_its_cell_and_dropped() {
    let host = host(0);
    let frame = answer(|_| ());
    let before = clock::now().as_nanos();
    assert_eq!(host.receive(&frame), outcome(XDP_DROP, SbfdAnswer, &frame));
    let after = clock::now().as_nanos();
    let read = host.answer(SLOT);
    assert!((before..=after).contains(&read.arrived_ns));
    let expected = Answer {
        arrived_ns: read.arrived_ns,
        sequence: 0x0102_0304,
        discriminator: PEER_DISCRIMINATOR,
        lease_left_us: read.lease_left_us,
        required_min_rx_us: 50,
        state: 0xc0,
        next_in_line: 1,
        _pad: [0; 6],
    };
    assert_eq!(read, expected);
    assert!(read.lease_left_us > 0);
}

/// T-118, T-119.
#[test]
fn a_bad_answer_leaves_no_trace() {
    let host = host(0);
    let good = answer(|_| ());
    let unknown = answer(|asked| asked.my_discriminator += 1);
    assert_eq!(host.receive(&unknown), outcome(XDP_DROP, SbfdUnknown, &unknown));
    for (what, bad) in [
        ("D = 1", changed(&good, CONTROL + 1, &[0xc2])),
        ("Down", changed(&good, CONTROL + 1, &[0x40])),
        ("Init", changed(&good, CONTROL + 1, &[0x80])),
        ("multipoint", changed(&good, CONTROL + 1, &[0xc1])),
        ("authentication", changed(&good, CONTROL + 1, &[0xc4])),
        ("version 2", changed(&good, CONTROL, &[0x40])),
        ("multiplier 0", changed(&good, CONTROL + 2, &[0])),
        ("length 23", changed(&good, CONTROL + 3, &[23])),
        ("no discriminator", changed(&good, CONTROL + 4, &[0; 4])),
        ("TTL 254", ip_checksummed(&with(&good, IP_TTL, &[254]))),
        ("checksum", with(&good, UDP + 6, &[0x12, 0x34])),
        ("no trailer", {
            let short = changed(&with(&good, 16, &52_u16.to_be_bytes()), UDP + 4, &32_u16.to_be_bytes());
            ip_checksummed(&short)
        }),
    ] {
        assert_eq!(host.receive(&bad), outcome(XDP_DROP, SbfdDiscarded, &bad), "{what}");
    }
    assert_eq!(host.answer(SLOT), Answer::default());
    // Not to a port of ours: it may be another program's.
    let foreign = changed(&good, UDP + 2, &50_000_u16.to_be_bytes());
    assert_eq!(host.receive(&foreign), outcome(XDP_PASS, Other, &foreign));
}

/// T-105, by sample: the checksum of every answer is right, whatever its fields are.
#[test]
fn the_checksum_of_an_answer_is_right() {
    let mut random = baton_tests::random::Random::new(7);
    let mut host = host(FOREVER);
    for round in 0..2000_u32 {
        let draw = random.draw();
        let [a, b, c, d, e, f, g, h] = draw.to_be_bytes();
        host.set_ownership(SLOT, if round % 2 == 0 { FOREVER } else { 0 }, VIRTUAL_MAC);
        let probe = SbfdProbe {
            my_discriminator: u32::from_be_bytes([a, b, c, d]) | 1,
            sequence: u32::from_be_bytes([e, f, g, h]),
            priority: a,
            multiplier: b | 1,
            up: c & 1 == 0,
            poll: c & 2 == 0,
            interval: Duration::from_micros(u64::from(d)),
            ..probe()
        };
        let Outcome { action, frame, .. } = host.receive(&built(probe));
        assert_eq!((action, sum(&frame)), (XDP_TX, 0xffff), "{probe:?}");
    }
}
