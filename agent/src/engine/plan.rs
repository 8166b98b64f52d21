//! What the engine does on an interface, as configured: services, their pools, the backends. It does not change while the agent runs.

use std::collections::HashMap;
use std::iter;
use std::net::IpAddr;
use std::ops::Range;

use baton_common::flow::Flow;
use baton_common::maps::{ANY_PORT, Address, FrontendKey, SOME_PORT};

use super::flows::Target;
use super::nat::Nat;
use super::tunnel::Tunnel;
use crate::address;
use crate::config::{BackendConfig, Config, Forwarding, PoolConfig, ServiceConfig};
use crate::datapath::{self, BackendName, Cached};
use crate::host::HostError;
use crate::host::netlink::Interface;

/// What every link of IPv6 carries (RFC 8200 5).
const LEAST_IPV6_MTU: u16 = 1280;

/// A backend, numbered over all pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Its own address.
    pub address: IpAddr,
    /// Its share of new flows.
    pub weight: u16,
    /// Whether it gets flows only when no backend of its pool that is none is in order.
    pub is_backup: bool,
    /// The number of its pool.
    pub pool: usize,
    /// What becomes of packets that it gets.
    pub way: Way,
    /// The number of the interface that it is behind: 0 for that of the services, the others as in [`Plan::arms`].
    pub arm: usize,
}

/// How packets reach a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As they are.
    Direct,
    /// Wrapped.
    Tunnel(Tunnel),
    /// Translated.
    Nat(Nat),
}

impl Backend {
    /// What becomes of its packets as the XDP program needs to know it.
    pub fn way_to_map(&self) -> datapath::Way {
        match self.way {
            Way::Direct => datapath::Way::Direct,
            Way::Tunnel(tunnel) => datapath::Way::Tunnel(tunnel.to_map()),
            Way::Nat(nat) => datapath::Way::Nat(nat.to_map(self.address)),
        }
    }

    /// What it is to other agents.
    fn name(&self) -> BackendName {
        let nat = self.nat().map(|nat| nat.to_map(self.address)).unwrap_or_default();
        BackendName { address: address::to_map(self.address), nat }
    }

    /// How its packets are translated, if they are.
    pub const fn nat(&self) -> Option<Nat> {
        match self.way {
            Way::Nat(nat) => Some(nat),
            Way::Direct | Way::Tunnel(_) => None,
        }
    }
}

/// The configuration of the engine.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The pools, by their numbers.
    pub pools: Vec<PoolConfig>,
    /// The backends of all pools, by their numbers.
    pub backends: Vec<Backend>,
    /// The services at the addresses of an interface.
    pub services: Vec<ServiceConfig>,
    /// Other interfaces that backends are behind. The first is arm 1.
    pub arms: Vec<String>,
    /// The numbers of the services, by what clients send to.
    service_at: HashMap<(Address, u8, u16), u16>,
    /// The numbers of the backends, by their pools and addresses.
    number_at: HashMap<(usize, Address), u16>,
}

impl Plan {
    /// These services, each with the number of its pool. Pools that none of them has are left out. Those that name an interface are
    /// behind another one than the services.
    pub fn new(pools: &[PoolConfig], services: Vec<ServiceConfig>) -> Self {
        let used: Vec<usize> =
            (0..pools.len()).filter(|pool| services.iter().any(|service| service.pool == *pool)).collect();
        let number = |pool| used.iter().position(|used| *used == pool).unwrap_or_default();
        let services: Vec<ServiceConfig> = services
            .into_iter()
            .map(|service| ServiceConfig { pool: number(service.pool), ..service })
            .collect();
        let pools: Vec<PoolConfig> = used.iter().map(|pool| pools[*pool].clone()).collect();
        let mut arms: Vec<String> = Vec::new();
        for arm in pools.iter().filter_map(|pool| pool.interface.as_ref()) {
            if !arms.contains(arm) {
                arms.push(arm.clone());
            }
        }
        let of_pool = |(pool, config): (usize, &PoolConfig)| -> Vec<Backend> {
            let PoolConfig { backends, forwarding, interface, .. } = config;
            let arm =
                arms.iter().position(|arm| Some(arm) == interface.as_ref()).map_or(0, |place| place + 1);
            let backend = |it: &BackendConfig| {
                let &BackendConfig { address, weight, is_backup, port } = it;
                let nat = Nat { source: None, port };
                let way = if forwarding.translates() { Way::Nat(nat) } else { Way::Direct };
                Backend { address, weight, is_backup, pool, way, arm }
            };
            backends.iter().map(backend).collect()
        };
        let service_at = (0..).zip(&services).flat_map(|(number, service)| {
            let key = |port| (address::to_map(service.vip), service.protocol.number(), port);
            service.ports.numbers().map(move |port| (key(port), number))
        });
        let service_at = service_at.collect();
        let backends: Vec<Backend> = pools.iter().enumerate().flat_map(of_pool).collect();
        let place =
            |(number, backend): (u16, &Backend)| ((backend.pool, address::to_map(backend.address)), number);
        let number_at = (0..).zip(&backends).map(place).collect();
        Self { pools, backends, services, arms, service_at, number_at }
    }

    /// What `config` plans for the virtual routers on `home`, one of `interfaces`.
    ///
    /// # Errors
    ///
    /// An interface has no address for an end of a tunnel or for packets with full NAT to come from, or its packets are too short.
    pub fn of(config: &Config, home: &Interface, interfaces: &[Interface]) -> Result<Self, HostError> {
        let of_router = |router| config.services_of(router).cloned();
        let services = config.routers_on(&home.name).flat_map(of_router).collect();
        let is_vip = |address: &&IpAddr| config.routers.iter().any(|router| router.vips.contains(address));
        let mut pools = config.pools.clone();
        for pool in &mut pools {
            pool.interface = pool.interface.take().filter(|interface| *interface != home.name);
        }
        let plan = Self::new(&pools, services);
        let arm = |name: &String| interfaces.iter().find(|interface| interface.name == *name).unwrap_or(home);
        let arms: Vec<&Interface> = iter::once(home).chain(plan.arms.iter().map(arm)).collect();
        plan.from(&arms, |interface, address| {
            let mut own = interface.addresses.iter().filter(|address| !is_vip(address));
            own.find(|own| scope(**own) == scope(address)).copied()
        })
    }

    /// The same with tunnels and translations for the backends that have some, which come from what is this host's `own` address on
    /// an interface for another one.
    fn from(
        mut self,
        arms: &[&Interface],
        own: impl Fn(&Interface, IpAddr) -> Option<IpAddr>,
    ) -> Result<Self, HostError> {
        let ways = self.backends.iter().map(|backend| {
            let interface = arms[backend.arm];
            let source = own(interface, backend.address);
            match (self.pools[backend.pool].forwarding, backend.way) {
                (Forwarding::Tunnel, _) => self.tunnel(backend, source, interface).map(Way::Tunnel),
                (Forwarding::FullNat, Way::Nat(nat)) => {
                    let no_source = || HostError::NoNatSource {
                        interface: interface.name.clone(),
                        backend: backend.address,
                    };
                    let source = Some(source.ok_or_else(no_source)?);
                    Ok(Way::Nat(Nat { source, ..nat }))
                }
                (Forwarding::Direct | Forwarding::Nat | Forwarding::FullNat, way) => Ok(way),
            }
        });
        let ways: Vec<Way> = ways.collect::<Result<_, _>>()?;
        self.backends.iter_mut().zip(ways).for_each(|(backend, way)| backend.way = way);
        Ok(self)
    }

    /// The tunnel from `source` to `backend`.
    fn tunnel(
        &self,
        backend: &Backend,
        source: Option<IpAddr>,
        interface: &Interface,
    ) -> Result<Tunnel, HostError> {
        // A longer one was refused before.
        let mtu = u16::try_from(interface.mtu).unwrap_or(u16::MAX);
        let (interface, backend, pool) = (interface.name.clone(), backend.address, backend.pool);
        let Some(tunnel) = source.and_then(|source| Tunnel::new(source, backend, mtu)) else {
            return Err(HostError::NoTunnelEnd { interface, backend });
        };
        let mut served = self.services.iter().filter(|service| service.pool == pool);
        let longest = tunnel.longest();
        if longest < LEAST_IPV6_MTU && served.any(|service| service.vip.is_ipv6()) {
            return Err(HostError::NarrowTunnel { interface, backend, longest });
        }
        Ok(tunnel)
    }

    /// Whether packets to some backends are translated.
    pub fn translates(&self) -> bool {
        self.pools.iter().any(|pool| pool.forwarding.translates())
    }

    /// The numbers of the backends of `pool`.
    pub fn numbers_of(&self, pool: usize) -> Range<u16> {
        let backends = |pools: &[PoolConfig]| -> usize { pools.iter().map(|pool| pool.backends.len()).sum() };
        let (first, last) = (backends(&self.pools[..pool]), backends(&self.pools[..=pool]));
        // The configuration allows no more than there are numbers for.
        let [first, last] = [first, last].map(|number| u16::try_from(number).unwrap_or(u16::MAX));
        first..last
    }

    /// Where `flow` goes by the address of its backend, if its service has one with that.
    fn target(&self, flow: &Flow, address: Address) -> Option<Target> {
        let service = self.service(flow)?;
        let pool = self.services[usize::from(service)].pool;
        self.number_at.get(&(pool, address)).map(|backend| Target { backend: *backend, service, port: 0 })
    }

    /// What its backends are to other agents, in the order of their numbers.
    pub fn names(&self) -> impl Iterator<Item = BackendName> {
        self.backends.iter().map(Backend::name)
    }

    /// Where a flow goes on that the agent before has forwarded to the backend with this `name`, if its service has one that is
    /// reached as that was.
    pub fn resumed(&self, cached: &Cached, name: &BackendName) -> Option<Target> {
        let port = cached.value.port;
        let target = self.target(&cached.flow, name.address)?;
        let backend = &self.backends[usize::from(target.backend)];
        let is_translated = port != 0;
        let goes_on = backend.name() == *name && backend.nat().is_some() == is_translated;
        goes_on.then_some(Target { port, ..target })
    }

    /// What the data plane has to give to the engine, each with the number of its service. VLAN sub-interfaces carry untagged
    /// frames.
    pub fn frontends(&self) -> impl Iterator<Item = (FrontendKey, u32)> {
        (0..).zip(&self.services).flat_map(|(number, ServiceConfig { vip, protocol, ports, .. })| {
            let (address, protocol) = (address::to_map(*vip), protocol.number());
            let key = move |port, protocol| FrontendKey { vlan: 0, address, port, protocol, _pad: 0 };
            let of_ports = ports.numbers().map(move |port| (key(port, protocol), number));
            of_ports.chain([(key(ANY_PORT, protocol | SOME_PORT), number)])
        })
    }

    /// The number of the service that `flow` is for.
    pub fn service(&self, flow: &Flow) -> Option<u16> {
        let at = |port| self.service_at.get(&(flow.destination, flow.protocol, port));
        at(flow.destination_port).or_else(|| at(ANY_PORT)).copied()
    }

    /// The pool that `flow` is spread among.
    pub fn pool(&self, flow: &Flow) -> Option<usize> {
        self.service(flow).map(|service| self.services[usize::from(service)].pool)
    }
}

/// Addresses that can be the two ends of a tunnel, or of a packet, have the same: their family, and whether they are of the link alone.
fn scope(address: IpAddr) -> (bool, bool) {
    match address {
        IpAddr::V4(_) => (true, false),
        IpAddr::V6(address) => (false, address.is_unicast_link_local()),
    }
}
