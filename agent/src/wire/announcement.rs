//! How the neighbours are told where an address lives: by ARP or by neighbour discovery.

use std::net::IpAddr;

use baton_common::maps::VlanId;

use super::arp::{GratuitousArp, Operation};
use super::link::{BuildError, Mac};
use super::neighbour::UnsolicitedNa;

/// A frame that says where an address lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// For IPv4.
    Arp(GratuitousArp),
    /// For IPv6.
    Na(UnsolicitedNa),
}

/// The frames that say that `address` lives at `mac`. Some IPv4 stacks learn from requests only, some from replies only.
#[must_use]
pub fn announcements(mac: Mac, vlan: VlanId, address: IpAddr) -> [Option<Announcement>; 2] {
    match address {
        IpAddr::V4(address) => [Operation::Request, Operation::Reply]
            .map(|operation| Some(Announcement::Arp(GratuitousArp { operation, mac, vlan, address }))),
        IpAddr::V6(address) => [Some(Announcement::Na(UnsolicitedNa { mac, vlan, address })), None],
    }
}

impl Announcement {
    /// Writes the frame into the beginning of `buffer` and answers with its length.
    pub fn build(&self, buffer: &mut [u8]) -> Result<usize, BuildError> {
        match self {
            Self::Arp(arp) => arp.build(buffer),
            Self::Na(na) => na.build(buffer),
        }
    }
}
