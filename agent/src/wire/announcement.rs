//! How the neighbours are told where an address lives: by ARP or by neighbour discovery.

use std::net::IpAddr;

use baton_common::maps::VlanId;

use super::arp::{ArpRequest, GratuitousArp, Operation};
use super::link::{BuildError, Mac};
use super::neighbour::{NeighbourSolicitation, UnsolicitedNa};

/// A frame that says where an address lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// For IPv4.
    Arp(GratuitousArp),
    /// For IPv6.
    Na(UnsolicitedNa),
    /// For a neighbour that learns from questions, over IPv4.
    Request(ArpRequest),
    /// The same over IPv6.
    Solicitation(NeighbourSolicitation),
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

/// The frame that asks `neighbour` where it lives, and tells it that `address` lives at `mac`; `None` if they are not of one
/// family.
#[must_use]
pub fn question(mac: Mac, vlan: VlanId, address: IpAddr, neighbour: IpAddr) -> Option<Announcement> {
    match (address, neighbour) {
        (IpAddr::V4(sender), IpAddr::V4(target)) => {
            Some(Announcement::Request(ArpRequest { mac, vlan, sender, target }))
        }
        (IpAddr::V6(source), IpAddr::V6(target)) => {
            Some(Announcement::Solicitation(NeighbourSolicitation { mac, vlan, source, target }))
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}

impl Announcement {
    /// Writes the frame into the beginning of `buffer` and answers with its length.
    pub fn build(&self, buffer: &mut [u8]) -> Result<usize, BuildError> {
        match self {
            Self::Arp(arp) => arp.build(buffer),
            Self::Na(na) => na.build(buffer),
            Self::Request(request) => request.build(buffer),
            Self::Solicitation(solicitation) => solicitation.build(buffer),
        }
    }
}
