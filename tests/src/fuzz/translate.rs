//! What clients and backends send to a node between them that translates.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use baton::config::{BackendConfig, PoolConfig, Ports, Protocol, ServiceConfig};
use baton::datapath::FlowCache;
use baton::engine::{self, Condition, Forwarder, Nat, Plan, Pools, Traffic, Translator, Way};
use baton::vrrp::Instant;

use super::packet::{End, Packet, UDP, sum};
use crate::pool::pool;
use crate::translations::Table;

/// What frames are sent from, to clients and to backends; and where those of the opening come from, and the backends are.
const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 1, 1]];
const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 3];
const BACKEND_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

const BACKEND_PORT: u16 = 8443;
/// The last port of this host's that a flow can have; there are two, and the corpus has answers to both.
const LAST_PORT: u16 = 1025;

/// The ends of a flow that is known, the backend's address and this host's, of one family.
struct Places {
    client: End,
    vip: End,
    backend: IpAddr,
    host: IpAddr,
}

const fn v6(last: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last))
}

const FOUR: Places = Places {
    client: (IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)), 51_515),
    vip: (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 100)), 443),
    backend: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 11)),
    host: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9)),
};
const SIX: Places =
    Places { client: (v6(0x7), 51_515), vip: (v6(0x100), 443), backend: v6(0x11), host: v6(0x9) };

/// A segment of each flow that is known.
const OPENINGS: [&[u8]; 2] =
    [include_bytes!("../../fuzz/corpus/translate/ask"), include_bytes!("../../fuzz/corpus/translate/ask6")];

/// A frame for a node whose clients and backends are on two interfaces: it is sent by the other one, translated as it is to be and with
/// no other change, or counted. With the clients' addresses, and with the node's.
pub fn translate(octets: &[u8]) -> bool {
    let sent = SETUPS.each_ref().map(|setup| Node::new(setup).try_frame(octets));
    sent.contains(&true)
}

/// How a node is set up: with full NAT, or with the clients' addresses.
struct Setup {
    is_full: bool,
    plan: Arc<Plan>,
    pools: Pools,
}

/// Both, which take long to make.
static SETUPS: LazyLock<[Setup; 2]> = LazyLock::new(|| [false, true].map(Setup::new));

impl Setup {
    fn new(is_full: bool) -> Self {
        let backend =
            |address| BackendConfig { address, weight: 1, is_backup: false, port: Some(BACKEND_PORT) };
        let pools = [FOUR, SIX].map(|places| {
            let interface = Some("eth1".to_owned());
            PoolConfig { interface, ..pool(vec![backend(places.backend)]) }
        });
        let services = [(0, FOUR), (1, SIX)].into_iter().flat_map(|(pool, Places { vip: (vip, _), .. })| {
            let ports = Ports::Any;
            [Protocol::Tcp, Protocol::Udp].map(|protocol| ServiceConfig {
                vip,
                protocol,
                ports: ports.clone(),
                pool,
            })
        });
        let mut plan = Plan::new(&pools, services.collect());
        for (backend, places) in plan.backends.iter_mut().zip([FOUR, SIX]) {
            let source = is_full.then_some(places.host);
            backend.way = Way::Nat(Nat { source, port: Some(BACKEND_PORT) });
        }
        let up = vec![Condition::Up(BACKEND_MAC); plan.backends.len()];
        let pools = Pools::unknown(&plan).then(&plan, up);
        Self { is_full, plan: Arc::new(plan), pools }
    }
}

/// A node that knows a flow of each family.
struct Node<'a> {
    setup: &'a Setup,
    traffic: Arc<Traffic>,
    forwarder: Forwarder<FlowCache>,
    /// The ports that packets of those flows come from at the backends.
    ports: [u16; 2],
}

impl<'a> Node<'a> {
    fn new(setup: &'a Setup) -> Self {
        let plan = Arc::clone(&setup.plan);
        let traffic = Arc::new(Traffic::new(plan.backends.len(), plan.services.len()));
        let ports = engine::Ports::beside(&(LAST_PORT + 1..=u16::MAX));
        let translator = Translator { translations: Arc::new(Table::default()), ports, worker: 0 };
        let forwarder = Forwarder::new(plan, 8, None, Some(translator), MACS, Arc::clone(&traffic));
        let mut node = Self { setup, traffic, forwarder, ports: [0; 2] };
        node.ports = OPENINGS.map(|opening| {
            let mut frame = opening.to_vec();
            let arm = node.forwarder.forward(&mut frame, &setup.pools, Instant::from_nanos(1));
            assert_eq!(arm, Some(1), "the flow is begun");
            let [(_, port), _] = Packet::of_frame(&frame).expect("a packet").ends(&frame);
            port
        });
        node
    }

    fn try_frame(&mut self, octets: &[u8]) -> bool {
        let (before, mut frame) = (self.counted(), octets.to_vec());
        let arm = self.forwarder.forward(&mut frame, &self.setup.pools, Instant::from_nanos(2));
        let after = self.counted();
        let counted = [after[0] - before[0], after[1] - before[1], after[2] - before[2]];
        let Some(arm) = arm else {
            assert_eq!((counted, &*frame), ([0, 0, 1], octets), "a loss, and nothing else");
            return false;
        };
        assert_eq!(counted, if arm == 1 { [1, 0, 0] } else { [0, 1, 0] }, "by {arm}");
        self.check(octets, &frame, arm);
        true
    }

    /// Frames to backends, answers, and losses.
    fn counted(&self) -> [u64; 3] {
        let carried = |of: fn(engine::Carriage) -> u64| self.traffic.per_backend().map(of).sum();
        let lost = self.traffic.losses().map(|(_, count)| count).sum();
        [carried(|it| it.frames), carried(|it| it.answers), lost]
    }

    /// Whether `sent`, by `arm`, is what `arrived` is to become.
    fn check(&self, arrived: &[u8], sent: &[u8], arm: usize) {
        let (before, after) = (Packet::of_frame(arrived), Packet::of_frame(sent));
        let (before, after) = (before.expect("a packet"), after.expect("a packet"));
        let (places, port) = if before.is_ipv6 { (SIX, self.ports[1]) } else { (FOUR, self.ports[0]) };
        // An error is about what the one has sent who is to get it; XDP gives the engine none that is for another.
        let about = if before.is_transport() { None } else { before.quoted(arrived) };
        let is_request = match about {
            None => before.address(arrived, 1) == places.vip.0,
            Some(quoted) => quoted.address(arrived, 0) == places.vip.0,
        };
        assert_eq!(arm, usize::from(is_request));
        let mac = if is_request { BACKEND_MAC } else { CLIENT_MAC };
        assert_eq!((&sent[..6], &sent[6..12]), (&mac[..], &MACS[arm][..]));
        assert_eq!(sent[after.hops] + 1, arrived[before.hops], "one hop less");
        assert!(sent[after.hops] > 0);

        let mut may_change = vec![0..12, after.hops..after.hops + 1];
        may_change.extend(changes(&after));
        assert_eq!(after.header_sum(sent), before.header_sum(arrived), "checksum of the header");
        let known = [
            (if self.setup.is_full { places.host } else { places.client.0 }, port),
            (places.backend, BACKEND_PORT),
        ];
        if before.is_transport() {
            may_change.push(after.payload.start..after.payload.start + 4);
            may_change.extend(after.checksum());
            assert_sum(&before, arrived, &after, sent);
            let (asked, ends) = (before.ends(arrived), after.ends(sent));
            if is_request {
                assert_eq!(ends[1], known[1]);
                self.check_source(asked[0], ends[0], &places);
            } else {
                assert_eq!((asked, ends), ([known[1], known[0]], [places.vip, places.client]));
            }
        } else {
            may_change.push(after.payload.start + 2..after.payload.start + 4);
            assert_eq!(icmp_sum(&after, sent), icmp_sum(&before, arrived), "checksum of the error");
            let (was, is) = (before.quoted(arrived), after.quoted(sent));
            let (was, is) = (was.expect("it quotes one"), is.expect("it quotes one"));
            may_change.extend(changes(&is));
            may_change.push(is.payload.start..is.payload.start + 4);
            may_change.extend(is.checksum());
            assert_eq!(is.header_sum(sent), was.header_sum(arrived), "checksum of the quoted header");
            if is.checksum().is_some() {
                assert_sum(&was, arrived, &is, sent);
            }
            let outer = [0, 1].map(|number| after.address(sent, number));
            let (asked, ends) = (was.ends(arrived), is.ends(sent));
            if is_request {
                let source = if self.setup.is_full { places.host } else { before.address(arrived, 0) };
                assert_eq!(outer, [source, places.backend]);
                assert_eq!((asked, ends), ([places.vip, places.client], [known[1], known[0]]));
            } else {
                assert_eq!(outer, [places.vip.0, places.client.0]);
                assert_eq!((asked, ends), (known, [places.client, places.vip]));
            }
        }
        let mut expected = arrived.to_vec();
        may_change.into_iter().for_each(|place| expected[place.clone()].copy_from_slice(&sent[place]));
        assert_eq!(sent, expected, "nothing else");
    }

    fn check_source(&self, client: End, source: End, places: &Places) {
        let ports = 1024..=LAST_PORT;
        if self.setup.is_full {
            assert!(source.0 == places.host && ports.contains(&source.1), "{source:?}");
        } else {
            assert!(source == client || source.0 == client.0 && ports.contains(&source.1), "{source:?}");
        }
    }
}

/// The addresses of a packet, and the checksum of its header.
fn changes(packet: &Packet) -> impl Iterator<Item = Range<usize>> + use<> {
    let header = packet.header.clone().map(|header| header.start + 10..header.start + 12);
    packet.addresses.clone().into_iter().chain(header)
}

/// A checksum that was right is right, and one that was wrong is as wrong as it was; no datagram gets one, or loses its own.
fn assert_sum(before: &Packet, arrived: &[u8], after: &Packet, sent: &[u8]) {
    let checksum =
        |packet: &Packet, frame: &[u8]| packet.checksum().map(|at| [frame[at.start], frame[at.start + 1]]);
    let (was, is) = (checksum(before, arrived), checksum(after, sent));
    if before.protocol == UDP && (was == Some([0, 0]) || is == Some([0, 0])) {
        assert_eq!(is, was);
    } else {
        assert_eq!(after.payload_sum(sent), before.payload_sum(arrived), "checksum of the payload");
    }
}

/// What the checksum of an ICMP error covers: over IPv6 a pseudo-header, too.
fn icmp_sum(packet: &Packet, frame: &[u8]) -> u16 {
    if packet.is_ipv6 { packet.payload_sum(frame) } else { sum(&[&frame[packet.payload.clone()]]) }
}
