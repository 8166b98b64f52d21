//! What clients send to a service, or to what they take for one.

use std::net::IpAddr;
use std::sync::Arc;

use baton::config::{BackendConfig, Ports, Protocol, ServiceConfig};
use baton::datapath::FlowCache;
use baton::engine::{Condition, Forwarder, Plan, Pools, Traffic};
use baton::vrrp::Instant;

use crate::pool::pool;

/// What frames are sent from.
const DEVICE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Where the backends are.
const BACKEND_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// A frame on a receive queue of the engine: it is sent to a backend with other Ethernet addresses and no other change, or counted.
pub fn forward(octets: &[u8]) -> bool {
    let addresses = [[192, 0, 2, 11], [192, 0, 2, 12]].map(IpAddr::from);
    let pool = pool(
        addresses.map(|address| BackendConfig { address, weight: 1, is_backup: false, port: None }).to_vec(),
    );
    let service = |vip: &str, protocol| ServiceConfig {
        vip: vip.parse().expect("an address"),
        protocol,
        ports: Ports::Any,
        pool: 0,
    };
    let services = [
        service("192.0.2.100", Protocol::Tcp),
        service("192.0.2.100", Protocol::Udp),
        service("2001:db8::100", Protocol::Tcp),
    ];
    let plan = Arc::new(Plan::new(&[pool], services.to_vec()));
    let pools = Pools::unknown(&plan).then(&plan, vec![Condition::Up(BACKEND_MAC); addresses.len()]);
    let traffic = Arc::new(Traffic::new(addresses.len(), plan.services.len()));
    let mut forwarder = Forwarder::<FlowCache>::new(plan, 8, None, None, [DEVICE_MAC], Arc::clone(&traffic));

    let mut frame = octets.to_vec();
    let is_sent = forwarder.forward(&mut frame, &pools, Instant::from_nanos(1)).is_some();
    let forwarded: u64 = traffic.per_backend().map(|carried| carried.frames).sum();
    let lost: u64 = traffic.losses().map(|(_, count)| count).sum();
    assert_eq!((forwarded, lost), if is_sent { (1, 0) } else { (0, 1) });
    if is_sent {
        assert_eq!((&frame[..6], &frame[6..12]), (&BACKEND_MAC[..], &DEVICE_MAC[..]));
        assert_eq!(frame[12..], octets[12..]);
    } else {
        assert_eq!(frame, octets);
    }
    is_sent
}
