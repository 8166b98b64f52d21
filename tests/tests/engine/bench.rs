//! The engine without IO: frames in, frames out.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::sync::Arc;

use baton::config::{BackendConfig, Ports, Protocol, ServiceConfig};
use baton::engine::{Bypass, Condition, Forwarder, Loss, Plan, Pools, Traffic, Tunnel};
use baton::vrrp::Instant;
use baton::wire::Mac;
use baton_common::flow::{CachedFlow, Flow};
use baton_common::maps::ACCEPT_RFC9568;
use baton_common::ownership::BALANCED;
use baton_tests::datapath::{Datapath, FOREVER};
use baton_tests::frames::{octets, with};
use baton_tests::pool::pool;

/// Of the vectors: the VIP.
pub(super) const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 100));
/// And over IPv6.
pub(super) const VIP6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x100));
/// Where the source port of a frame of the vectors is: Ethernet, IPv4.
pub(super) const SOURCE_PORT: usize = 34;
const TCP_FLAGS: usize = 47;

pub(super) const SYN: u8 = 0x02;
pub(super) const ACK: u8 = 0x10;
pub(super) const FIN: u8 = 0x01;

/// What takes the place of a flow cache.
#[derive(Clone, Default)]
pub(super) struct Bypassed(pub(super) Rc<RefCell<HashMap<Flow, CachedFlow>>>);

impl Bypass for Bypassed {
    fn put(&mut self, flow: Flow, cached: CachedFlow) {
        self.0.borrow_mut().insert(flow, cached);
    }

    fn remove(&mut self, flow: &Flow) {
        self.0.borrow_mut().remove(flow);
    }

    fn find(&self, flow: &Flow) -> Option<CachedFlow> {
        self.0.borrow().get(flow).copied()
    }
}

/// What forwards to `backends` what is for port 443 of the VIP.
pub(super) struct Bench {
    pub(super) plan: Arc<Plan>,
    pub(super) traffic: Arc<Traffic>,
    pub(super) bypassed: Bypassed,
    pub(super) forwarder: Forwarder<Bypassed>,
    pub(super) pools: Pools,
}

pub(super) fn mac(backend: u8) -> Mac {
    [0x02, 0, 0, 0, 0xbe, backend]
}

impl Bench {
    pub(super) fn new(addresses: &[IpAddr], device_mac: Mac) -> Self {
        Self::with_tunnel(addresses, device_mac, None)
    }

    /// The same with packets for every backend through `tunnel`.
    pub(super) fn with_tunnel(addresses: &[IpAddr], device_mac: Mac, tunnel: Option<Tunnel>) -> Self {
        let backends =
            addresses.iter().map(|address| BackendConfig { address: *address, weight: 1, is_backup: false });
        let pool = pool(backends.collect());
        let service =
            |vip| ServiceConfig { vip, protocol: Protocol::Tcp, ports: Ports::These(443..=443), pool: 0 };
        let mut plan = Plan::new(&[pool], [VIP, VIP6].map(service).to_vec());
        for backend in &mut plan.backends {
            backend.tunnel = tunnel;
        }
        let plan = Arc::new(plan);
        let traffic = Arc::new(Traffic::new(addresses.len(), 2));
        let bypassed = Bypassed::default();
        let bypass = Some(bypassed.clone());
        let forwarder = Forwarder::new(Arc::clone(&plan), 1024, bypass, device_mac, Arc::clone(&traffic));
        let pools = Pools::unknown(&plan);
        let mut bench = Self { plan, traffic, bypassed, forwarder, pools };
        bench.lose(&[]);
        bench
    }

    /// All backends are there but `lost`.
    pub(super) fn lose(&mut self, lost: &[u8]) {
        let condition = |backend: u8| match lost.contains(&backend) {
            true => Condition::Unreachable,
            false => Condition::Up(mac(backend)),
        };
        let backends = self.plan.backends.len();
        self.pools = self.pools.then(&self.plan, (0..).map(condition).take(backends).collect());
    }

    /// `backend` gets no new flows.
    pub(super) fn drain(&mut self, backend: usize) {
        let mut weights = self.pools.weights().to_vec();
        weights[backend] = 0;
        self.pools = self.pools.reweighted(&self.plan, weights);
    }

    /// What is sent for `frame`.
    pub(super) fn forward(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        self.forward_at(1, frame)
    }

    /// The same after so many seconds.
    pub(super) fn forward_at(&mut self, seconds: u64, frame: &[u8]) -> Option<Vec<u8>> {
        let mut frame = frame.to_vec();
        self.forwarder.forward(&mut frame, &self.pools, at(seconds)).then_some(frame)
    }

    /// The backends of the flows that are bypassed.
    pub(super) fn bypassed(&self) -> Vec<u32> {
        self.bypassed.0.borrow().values().map(|cached| cached.backend).collect()
    }

    /// Looks after all flows.
    pub(super) fn tend(&mut self, seconds: u64) {
        (0..1000).for_each(|turn| {
            self.forwarder.tend(Instant::from_nanos(at(seconds).as_nanos() + turn * 100_000_000))
        });
    }

    /// Where the flow goes that comes from `port`.
    pub(super) fn backend(&mut self, port: u16) -> Option<Mac> {
        let frame = with(&octets("lb-tcp-syn-vip"), SOURCE_PORT, &port.to_be_bytes());
        self.forward(&frame).map(|frame| frame[..6].try_into().expect("a frame"))
    }

    pub(super) fn lost(&self) -> Vec<(Loss, u64)> {
        self.traffic.losses().filter(|(_, count)| *count > 0).collect()
    }
}

pub(super) fn at(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * 1_000_000_000)
}

/// The first frame of a flow with other TCP flags.
pub(super) fn flagged(flags: u8) -> Vec<u8> {
    with(&octets("lb-tcp-syn-vip"), TCP_FLAGS, &[flags])
}

/// Addresses of backends.
pub(super) fn addresses(count: u8) -> Vec<IpAddr> {
    (1..=count).map(|last| IpAddr::from([192, 0, 2, last])).collect()
}

/// The data plane of the Active Router of both VIPs.
pub(super) fn host(device_mac: Mac) -> Datapath {
    let mut host = Datapath::load();
    let primary6 = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    host.set_device(device_mac, [192, 0, 2, 9], primary6);
    host.add_router(0, 51, 0, ACCEPT_RFC9568, [192, 0, 2, 9]);
    for vip in [VIP, VIP6] {
        host.add_vip(0, vip, 0);
    }
    host.set_delivery(0, FOREVER, [0, 0, 0x5e, 0, 1, 51], BALANCED);
    host
}
