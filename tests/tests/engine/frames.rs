//! What becomes of single frames.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use baton::config::{BackendConfig, PoolConfig, Ports, Protocol, ServiceConfig};
use baton::engine::{Condition, Forwarder, Loss, Plan, Pools, Traffic};
use baton::vrrp::Instant;
use baton::wire::Mac;
use baton_tests::frames::{octets, tagged, with};
use proptest::prelude::*;

/// Of the vectors: the VIP, and where its backend is.
const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 100));
/// Where the source port of a frame of the vectors is: Ethernet, IPv4.
const SOURCE_PORT: usize = 34;

/// What forwards to `backends` what is for port 443 of the VIP.
struct Bench {
    plan: Arc<Plan>,
    traffic: Arc<Traffic>,
    forwarder: Forwarder,
    pools: Pools,
}

fn mac(backend: u8) -> Mac {
    [0x02, 0, 0, 0, 0xbe, backend]
}

impl Bench {
    fn new(addresses: &[IpAddr], device_mac: Mac) -> Self {
        let backends = addresses.iter().map(|address| BackendConfig { address: *address, weight: 1 });
        let pool = PoolConfig {
            name: "web".to_owned(),
            backends: backends.collect(),
            check: None,
            interval: Duration::ZERO,
            patience: Duration::ZERO,
            rise: NonZeroU8::MIN,
            fall: NonZeroU8::MIN,
        };
        let service =
            ServiceConfig { vip: VIP, protocol: Protocol::Tcp, ports: Ports::These(443..=443), pool: 0 };
        let plan = Arc::new(Plan::new(vec![pool], vec![service]));
        let traffic = Arc::new(Traffic::new(addresses.len()));
        let forwarder = Forwarder::new(Arc::clone(&plan), 1024, device_mac, Arc::clone(&traffic));
        let mut bench = Self { plan, traffic, forwarder, pools: Pools::default() };
        bench.lose(&[]);
        bench
    }

    /// All backends are there but `lost`.
    fn lose(&mut self, lost: &[u8]) {
        let condition = |backend: u8| match lost.contains(&backend) {
            true => Condition::Unreachable,
            false => Condition::Up(mac(backend)),
        };
        let backends = self.plan.backends.len();
        self.pools = Pools::new(&self.plan, (0..).map(condition).take(backends).collect());
    }

    /// What is sent for `frame`.
    fn forward(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let mut frame = frame.to_vec();
        self.forwarder.forward(&mut frame, &self.pools, Instant::from_nanos(1)).then_some(frame)
    }

    /// Where the flow goes that comes from `port`.
    fn backend(&mut self, port: u16) -> Option<Mac> {
        let frame = with(&octets("lb-tcp-syn-vip"), SOURCE_PORT, &port.to_be_bytes());
        self.forward(&frame).map(|frame| frame[..6].try_into().expect("a frame"))
    }

    fn lost(&self) -> Vec<(Loss, u64)> {
        self.traffic.losses().filter(|(_, count)| *count > 0).collect()
    }
}

fn addresses(count: u8) -> Vec<IpAddr> {
    (1..=count).map(|last| IpAddr::from([192, 0, 2, last])).collect()
}

#[test]
fn a_frame_is_readdressed_and_nothing_else_of_it_changes() {
    // T-143.
    let expected = octets("lb-dsr-l2");
    let device_mac: Mac = expected[6..12].try_into().expect("a frame");
    let mut bench = Bench::new(&addresses(1), device_mac);
    let sent = bench.forward(&octets("lb-tcp-syn-vip")).expect("it is for the service");
    assert_eq!(sent, with(&expected, 0, &mac(0)));
    assert_eq!(bench.traffic.per_backend().collect::<Vec<_>>(), [(1, expected.len() as u64)]);
    let tag = [(0x8100, 7)];
    let sent = bench.forward(&tagged(&octets("lb-tcp-syn-vip"), &tag)).expect("tagged or not");
    assert_eq!(sent, tagged(&with(&expected, 0, &mac(0)), &tag));
}

#[test]
fn two_nodes_send_a_flow_to_the_same_backend_in_whatever_order_they_have_them() {
    // T-149.
    let (one, mut other) = (addresses(5), addresses(5));
    other.reverse();
    let (mut here, mut there) = (Bench::new(&one, [2; 6]), Bench::new(&other, [4; 6]));
    let mut met = BTreeSet::new();
    for port in 1000..1200 {
        let [_, _, _, _, _, backend] = here.backend(port).expect("a backend");
        let [_, _, _, _, _, same] = there.backend(port).expect("a backend");
        assert_eq!(one[usize::from(backend)], other[usize::from(same)], "port {port}");
        met.insert(backend);
    }
    assert_eq!(met.len(), 5);
}

#[test]
fn a_flow_keeps_its_backend_while_that_can_be_had() {
    let mut bench = Bench::new(&addresses(3), [2; 6]);
    bench.lose(&[2]);
    let ports = 1000..1200;
    let before: Vec<_> = ports.clone().map(|port| bench.backend(port)).collect();
    assert!(!before.contains(&Some(mac(2))));
    bench.lose(&[]);
    assert_eq!(ports.clone().map(|port| bench.backend(port)).collect::<Vec<_>>(), before);
    assert!((2000..2200).any(|port| bench.backend(port) == Some(mac(2))), "new flows go there");
    bench.lose(&[0]);
    for (port, before) in ports.zip(before) {
        let now = bench.backend(port);
        assert!(now.is_some() && now != Some(mac(0)));
        assert!(before == Some(mac(0)) || now == before, "port {port}");
    }
}

#[test]
fn a_frame_that_nobody_can_be_given_is_counted() {
    let mut bench = Bench::new(&addresses(2), [2; 6]);
    let syn = octets("lb-tcp-syn-vip");
    assert_eq!(bench.forward(&with(&syn, SOURCE_PORT + 2, &444_u16.to_be_bytes())), None);
    assert_eq!(bench.lost(), [(Loss::NoService, 1)]);
    bench.lose(&[0, 1]);
    assert_eq!(bench.forward(&syn), None);
    assert_eq!(bench.lost(), [(Loss::NoService, 1), (Loss::NoBackend, 1)]);
    assert_eq!(bench.forward(&octets("icmp-fragneeded-vip")), None);
    assert_eq!(bench.lost(), [(Loss::NoFlow, 1), (Loss::NoService, 1), (Loss::NoBackend, 1)]);
}

proptest! {
    /// Whatever arrives is sent with other Ethernet addresses and no other change, or counted.
    #[test]
    fn a_frame_is_forwarded_as_it_is_or_counted(
        at in 0..54_usize,
        octet: u8,
        length in 0..80_usize,
        is_cut: bool,
    ) {
        let mut bench = Bench::new(&addresses(3), [2; 6]);
        let mut frame = octets("lb-tcp-syn-vip");
        frame.resize(if is_cut { length } else { frame.len() }, 0);
        if let Some(place) = frame.get_mut(at) {
            *place = octet;
        }
        let sent = bench.forward(&frame);
        let forwarded: u64 = bench.traffic.per_backend().map(|(frames, _)| frames).sum();
        let lost: u64 = bench.traffic.losses().map(|(_, count)| count).sum();
        prop_assert_eq!((forwarded, lost), if sent.is_some() { (1, 0) } else { (0, 1) });
        if let Some(sent) = sent {
            prop_assert_eq!(&sent[12..], &frame[12..]);
            prop_assert_eq!(&sent[6..12], [2; 6]);
        }
    }
}
