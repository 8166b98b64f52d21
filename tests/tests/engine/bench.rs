//! The engine without IO: frames in, frames out.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::sync::Arc;

use baton::config::{self, BackendConfig, Protocol, ServiceConfig};
use baton::datapath::Cached;
use baton::engine::{
    Bypass, Condition, Forwarder, Loss, Plan, Pools, Ports, Traffic, Translations, Translator, Way,
};
use baton::vrrp::Instant;
use baton::wire::Mac;
use baton_common::flow::Flow;
use baton_common::maps::ACCEPT_RFC9568;
use baton_common::ownership::BALANCED;
use baton_tests::datapath::{Datapath, FOREVER};
use baton_tests::frames::{octets, with};
use baton_tests::pool::pool;
use baton_tests::translations::Table;

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
pub(super) struct Bypassed(pub(super) Rc<RefCell<HashMap<Flow, Cached>>>);

impl Bypass for Bypassed {
    fn put(&mut self, cached: Cached) {
        self.0.borrow_mut().insert(cached.flow, cached);
    }

    fn remove(&mut self, flow: &Flow) {
        self.0.borrow_mut().remove(flow);
    }

    fn find(&self, flow: &Flow) -> Option<Cached> {
        self.0.borrow().get(flow).copied()
    }

    fn sweep(&mut self, _: usize, is_over: impl Fn(&Cached) -> bool) {
        self.0.borrow_mut().retain(|_, cached| !is_over(cached));
    }
}

/// What forwards to `backends` what is for port 443 of the VIP.
pub(super) struct Bench {
    pub(super) plan: Arc<Plan>,
    pub(super) traffic: Arc<Traffic>,
    pub(super) bypassed: Bypassed,
    pub(super) translated: Arc<Table>,
    pub(super) forwarder: Forwarder<Bypassed>,
    pub(super) pools: Pools,
}

pub(super) fn mac(backend: u8) -> Mac {
    [0x02, 0, 0, 0, 0xbe, backend]
}

/// What is for port 443 of `vip`.
pub(super) fn service(vip: IpAddr, protocol: Protocol) -> ServiceConfig {
    ServiceConfig { vip, protocol, ports: config::Ports::These(443..=443), pool: 0 }
}

impl Bench {
    pub(super) fn new(addresses: &[IpAddr], device_mac: Mac) -> Self {
        Self::by(Way::Direct, addresses, device_mac)
    }

    /// The same with every backend reached in this way.
    pub(super) fn by(way: Way, addresses: &[IpAddr], device_mac: Mac) -> Self {
        let services = [VIP, VIP6].map(|vip| service(vip, Protocol::Tcp)).to_vec();
        Self::serving(services, way, addresses, device_mac)
    }

    /// The same with these services.
    pub(super) fn serving(
        services: Vec<ServiceConfig>,
        way: Way,
        addresses: &[IpAddr],
        device_mac: Mac,
    ) -> Self {
        Self::between(services, way, addresses, None, vec![device_mac])
    }

    /// The same with the backends behind `interface`, if that is another than the services', and these addresses of all interfaces.
    pub(super) fn between(
        services: Vec<ServiceConfig>,
        way: Way,
        addresses: &[IpAddr],
        interface: Option<String>,
        macs: Vec<Mac>,
    ) -> Self {
        let backend =
            |address: &IpAddr| BackendConfig { address: *address, weight: 1, is_backup: false, port: None };
        let mut pool = pool(addresses.iter().map(backend).collect());
        pool.interface = interface;
        let mut plan = Plan::new(&[pool], services);
        plan.backends.iter_mut().for_each(|backend| backend.way = way);
        let plan = Arc::new(plan);
        let traffic = Arc::new(Traffic::new(addresses.len(), plan.services.len()));
        let (bypassed, translated) = (Bypassed::default(), Arc::<Table>::default());
        // The kernel has given 32768 to 60999 to the host's own connections.
        let ports = Ports::beside(&(32_768..=60_999));
        let translations: Arc<dyn Translations> = Arc::clone(&translated) as _;
        let translator = matches!(way, Way::Nat(_)).then_some(Translator { translations, ports, worker: 0 });
        let bypass = Some(bypassed.clone());
        let forwarder =
            Forwarder::new(Arc::clone(&plan), 1024, bypass, translator, macs, Arc::clone(&traffic));
        let pools = Pools::unknown(&plan);
        let mut bench = Self { plan, traffic, bypassed, translated, forwarder, pools };
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
        self.forwarder.forward(&mut frame, &self.pools, at(seconds)).map(|_| frame)
    }

    /// What is sent for `frame`, and the number of the interface by which.
    pub(super) fn forward_across(&mut self, frame: &[u8]) -> Option<(usize, Vec<u8>)> {
        let mut frame = frame.to_vec();
        self.forwarder.forward(&mut frame, &self.pools, at(1)).map(|arm| (arm, frame))
    }

    /// The backends of the flows that are bypassed.
    pub(super) fn bypassed(&self) -> Vec<u16> {
        self.bypassed.0.borrow().values().map(|cached| cached.value.backend).collect()
    }

    /// Takes up what is bypassed at `before`, whose backends may have other numbers. How many flows that were.
    pub(super) fn inherit(&mut self, before: &Self, seconds: u64) -> usize {
        let flows = before.bypassed.0.borrow();
        let taken_up = flows.values().filter(|cached| {
            let name =
                before.plan.names().nth(usize::from(cached.value.backend)).expect("it has the backend");
            self.forwarder.inherit(cached, &name, at(seconds))
        });
        taken_up.count()
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
