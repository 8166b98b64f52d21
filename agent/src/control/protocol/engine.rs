//! What an engine says of itself.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The engine of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineStatus {
    /// The interface.
    pub interface: String,
    /// What is balanced.
    pub services: Vec<ServiceStatus>,
    /// Among whom.
    pub pools: Vec<PoolStatus>,
    /// Flows that are remembered, some of which may be over.
    pub flows: u64,
    /// Flows that were forgotten before they were over, for want of room.
    pub evicted: u64,
    /// Frames that went nowhere, by reason.
    pub lost: BTreeMap<String, u64>,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// The virtual address.
    pub vip: IpAddr,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// As it is configured: a port, a range, or `any`.
    pub port: String,
    /// The name of its pool.
    pub pool: String,
    /// Frames of its flows that were sent on.
    pub frames: u64,
    /// Octets of these.
    pub octets: u64,
    /// Flows that have begun.
    pub begun: u64,
    /// Frames of answers that came back through this host, as they do with NAT.
    pub answers: u64,
    /// Octets of these.
    pub answer_octets: u64,
}

/// The backends of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// In hexadecimal, the same on nodes that send every flow to the same backend; zero without any backend.
    pub digest: String,
    /// The same of other nodes, by what they say.
    pub peers: Vec<PeerTableStatus>,
    /// The backends, in the order of the configuration.
    pub backends: Vec<BackendStatus>,
}

/// The table of a pool on another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerTableStatus {
    /// The address that this node advertises from.
    pub address: IpAddr,
    /// As that of this node; `None` if the other one has no such pool.
    pub digest: Option<String>,
    /// `agrees`, `changing` (differs, and not for long yet) or `differs`.
    pub accord: String,
}

/// What the operator sets for a backend, above its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackendChange {
    /// This weight.
    Weight(u16),
    /// The weight that it has in the configuration.
    ConfiguredWeight,
    /// No new flows.
    Drain,
    /// New flows by its weight.
    Undrain,
}

/// What is set for a backend after a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjusted {
    /// The name of its pool.
    pub pool: String,
    /// Its own address.
    pub address: IpAddr,
    /// Its weight, which counts unless it is drained.
    pub weight: u16,
    /// The weight that it has in the configuration.
    pub configured_weight: u16,
    /// Whether it gets no new flows.
    pub drained: bool,
    /// Interfaces on which the pool has services and no backend that takes new flows.
    pub without_backend: Vec<String>,
}

/// A backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendStatus {
    /// Its own address.
    pub address: IpAddr,
    /// Its weight, which is 0 for one that is drained.
    pub weight: u16,
    /// Whether it gets flows only while no other is in order.
    pub backup: bool,
    /// The weight that it has in the configuration.
    pub configured_weight: u16,
    /// Whether the operator has drained it.
    pub drained: bool,
    /// `up`, `draining` (without weight: flows that it has go on), `unreachable`, `unknown` or `failing`.
    pub condition: String,
    /// How it fails.
    pub why: Option<String>,
    /// Its slots in the table, of 65 537 of the whole pool.
    pub slots: u32,
    /// Frames that were sent to it.
    pub frames: u64,
    /// Octets of these.
    pub octets: u64,
    /// Flows that have begun to go to it.
    pub begun: u64,
    /// Frames of its answers that came back through this host, as they do with NAT.
    pub answers: u64,
    /// Octets of these.
    pub answer_octets: u64,
}

/// What an engine has done until a moment; the difference of two is its load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineLoad {
    /// What it has done.
    pub engine: EngineStatus,
    /// When that was.
    pub at_ns: u64,
    /// The flows that are remembered of each service, in their order.
    pub service_flows: Vec<u64>,
    /// The flows that are remembered of each backend of each pool, in their order.
    pub backend_flows: Vec<u64>,
}
