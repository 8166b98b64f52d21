//! What the guardian has to know to act in the agent's place, as the agent tells it before the election begins: one line
//! of JSON.

use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::wire::Mac;

/// All that the guardian has to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Briefing {
    /// SCHED_FIFO priority of the election thread, which the guardian takes too; 0 for none.
    pub realtime_priority: u8,
    /// The directory of the pins of all interfaces.
    pub pins: PathBuf,
    /// The interfaces.
    pub interfaces: Vec<InterfaceBriefing>,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceBriefing {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Its virtual routers.
    pub routers: Vec<RouterBriefing>,
}

/// A virtual router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterBriefing {
    /// Its place in the maps.
    pub slot: u32,
    /// Advertisement_Interval.
    pub interval_cs: u16,
    /// Advertisements that may be missed.
    pub down_adverts: u8,
    /// The multicast group that adverts come to; `None` if they come by unicast.
    pub multicast: Option<IpAddr>,
    /// Its IPv6 addresses.
    pub solicited: Vec<Ipv6Addr>,
    /// The MAC that stands for its addresses, where that is not the interface's own.
    pub virtual_mac: Option<Mac>,
    /// Its advertisement with priority 0, for each checksum that it may have to make, the usual one first, each version that it
    /// speaks, and each peer.
    pub farewells: Vec<Farewell>,
}

/// What says priority 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Farewell {
    /// Its checksum flavour, as mailboxes name it ([`baton_common::ownership::Mailbox::checksum`]).
    pub checksum: u8,
    /// To whom: a unicast peer, or the group.
    pub peer: Option<IpAddr>,
    /// The packet to the peer, or the frame to the group.
    pub octets: Vec<u8>,
}
