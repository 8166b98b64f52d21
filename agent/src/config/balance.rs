//! What is balanced and among whom.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU8;
use std::ops::RangeInclusive;
use std::time::Duration;

use baton_common::maps::ANY_PORT;

use super::{Check, HttpTarget, TrackerConfig};

/// A `[[pool]]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// What services call it.
    pub name: String,
    /// The backends, of one family.
    pub backends: Vec<BackendConfig>,
    /// How packets reach a backend.
    pub forwarding: Forwarding,
    /// What a backend must answer to be given flows, beside the kernel's question where it is.
    pub check: Option<BackendCheck>,
    /// From one look at a backend to the next.
    pub interval: Duration,
    /// How long a look may take.
    pub patience: Duration,
    /// Good looks in a row after which a failing backend is in order.
    pub rise: NonZeroU8,
    /// Bad looks in a row after which a backend is failing.
    pub fall: NonZeroU8,
}

/// How packets reach a backend, which answers the client itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarding {
    /// By its Ethernet address: it is on the segment.
    Direct,
    /// Wrapped (RFC 2003, RFC 2473): it may be anywhere.
    Tunnel,
}

/// What a backend must answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendCheck {
    /// A connection to this port.
    Tcp(u16),
    /// A request at this port, with a status below 400.
    Http {
        /// Whether it is asked through TLS.
        is_tls: bool,
        /// The port.
        port: u16,
        /// Path and query.
        path: String,
    },
}

impl PoolConfig {
    /// What looks whether `backend` is in order, if anything does.
    pub fn tracker(&self, backend: IpAddr) -> Option<TrackerConfig> {
        let check = match self.check.clone()? {
            BackendCheck::Tcp(port) => Check::Tcp(SocketAddr::new(backend, port)),
            BackendCheck::Http { is_tls, port, path } => {
                let address = SocketAddr::new(backend, port);
                Check::Http(HttpTarget { is_tls, address, authority: address.to_string(), path })
            }
        };
        let &Self { interval, patience, rise, fall, .. } = self;
        let name = format!("{} {backend}", self.name);
        Some(TrackerConfig { name, checks: vec![check], interval, patience, rise, fall, weight: None })
    }
}

/// A `[[pool.backend]]` table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendConfig {
    /// Its own address.
    pub address: IpAddr,
    /// Its share of new flows, 0 to 1000, beside those of the others.
    pub weight: u16,
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
