//! What is balanced and among whom.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU8;
use std::ops::RangeInclusive;
use std::time::Duration;

use baton_common::maps::ANY_PORT;

use super::{Check, HttpAnswer, HttpTarget, TrackerConfig};

/// A `[[pool]]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// What services call it.
    pub name: String,
    /// The backends, of one family.
    pub backends: Vec<BackendConfig>,
    /// How packets reach a backend.
    pub forwarding: Forwarding,
    /// The interface that the backends are behind, if that was said; else it is that of the service.
    pub interface: Option<String>,
    /// What must all be in order for a backend to be given flows, beside that the kernel finds it.
    pub checks: Vec<BackendCheck>,
    /// How flows are spread over the backends.
    pub schedule: Schedule,
    /// The least number of backends in order with which the pool is.
    pub quorum: usize,
    /// What becomes of flows when no backend is in order.
    pub all_failed: AllFailed,
    /// From one look at a backend to the next.
    pub interval: Duration,
    /// How long a look may take.
    pub patience: Duration,
    /// Good looks in a row after which a failing backend is in order.
    pub rise: NonZeroU8,
    /// Bad looks in a row after which a backend is failing.
    pub fall: NonZeroU8,
}

/// How packets reach a backend, and how its answers reach the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarding {
    /// By its Ethernet address: it is on a segment of this host, has the virtual address, and answers the client itself.
    Direct,
    /// Wrapped (RFC 2003, RFC 2473): it may be anywhere, has the virtual address, and answers the client itself.
    Tunnel,
    /// With its own address in the place of the virtual one (RFC 3022): its way to the clients leads through this host.
    Nat,
    /// As [`Nat`](Self::Nat), and with an address of this host in the place of the client's: it answers this host.
    FullNat,
}

impl Forwarding {
    /// Whether packets get other addresses and ports, and answers come by this host.
    pub const fn translates(self) -> bool {
        match self {
            Self::Direct | Self::Tunnel => false,
            Self::Nat | Self::FullNat => true,
        }
    }
}

/// How flows are spread over the backends of a pool, by their weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// By the hash of a flow, alike on all nodes.
    Maglev,
    /// By the hash of the client's address, alike on all nodes.
    Source,
    /// One after the other.
    RoundRobin,
    /// To whom the fewest flows have gone that are remembered.
    LeastConnections,
}

/// What becomes of flows when no backend of their pool is in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllFailed {
    /// Their frames are dropped.
    Drop,
    /// They are spread as if all backends that are found were in order: it may be the check that fails.
    UseAll,
}

/// What a backend must be good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendCheck {
    /// It answers ICMP echo requests.
    Ping,
    /// It takes connections to this port.
    Tcp(u16),
    /// It does not refuse datagrams to this port.
    Udp(u16),
    /// It answers a request at this port.
    Http {
        /// Whether it is asked through TLS.
        is_tls: bool,
        /// The port.
        port: u16,
        /// Path and query.
        path: String,
        /// How.
        answer: HttpAnswer,
    },
    /// A program ends with exit code 0 that is told its address, too.
    Exec {
        /// The program, and what it is told before the address.
        words: Vec<String>,
        /// Whose rights it has, if not the agent's.
        user: Option<String>,
    },
}

impl BackendCheck {
    /// The same of `backend`.
    fn of(&self, backend: IpAddr) -> Check {
        match self.clone() {
            Self::Ping => Check::Ping(backend),
            Self::Tcp(port) => Check::Tcp(SocketAddr::new(backend, port)),
            Self::Udp(port) => Check::Udp(SocketAddr::new(backend, port)),
            Self::Http { is_tls, port, path, answer } => {
                let address = SocketAddr::new(backend, port);
                Check::Http(HttpTarget { is_tls, address, authority: address.to_string(), path, answer })
            }
            Self::Exec { mut words, user } => {
                words.push(backend.to_string());
                Check::Exec { words, user }
            }
        }
    }
}

impl PoolConfig {
    /// What looks whether `backend` is in order, if anything does.
    pub fn tracker(&self, backend: IpAddr) -> Option<TrackerConfig> {
        let checks: Vec<Check> = self.checks.iter().map(|check| check.of(backend)).collect();
        let &Self { interval, patience, rise, fall, .. } = self;
        let name = format!("{} {backend}", self.name);
        let config = TrackerConfig { name, checks, interval, patience, rise, fall, weight: None };
        (!config.checks.is_empty()).then_some(config)
    }
}

/// A `[[pool.backend]]` table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendConfig {
    /// Its own address.
    pub address: IpAddr,
    /// Its share of new flows, 0 to 1000, beside those of the others.
    pub weight: u16,
    /// Whether it gets flows only when no backend that is none is in order.
    pub is_backup: bool,
    /// The port that it serves at, if that is not the service's: with NAT it may be another.
    pub port: Option<u16>,
}

/// A `[[service]]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceConfig {
    /// The virtual address.
    pub vip: IpAddr,
    /// The protocol.
    pub protocol: Protocol,
    /// The ports.
    pub ports: Ports,
    /// The index of the pool that its flows are spread among.
    pub pool: usize,
}

/// What the engine balances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Its number in an IP header.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

/// The ports of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ports {
    /// All that no other service has.
    Any,
    /// These, without 0.
    These(RangeInclusive<u16>),
}

impl Ports {
    /// As they stand in the data plane: each, or [`ANY_PORT`].
    pub fn numbers(&self) -> RangeInclusive<u16> {
        match self {
            Self::Any => ANY_PORT..=ANY_PORT,
            Self::These(ports) => ports.clone(),
        }
    }
}
