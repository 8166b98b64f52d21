//! Neighbour discovery (RFC 4861, RFC 9568 6.4): how the neighbours' caches learn where an IPv6 address lives.

use std::net::{IpAddr, Ipv6Addr};

use baton_common::maps::VlanId;

use super::checksum::Sum;
use super::ip::{self, Header, Outline};
use super::link::{BuildError, Mac};
use crate::address::{multicast_mac, solicited_node};

const ICMPV6: u8 = 58;
/// Octets of either message with the option that has a MAC.
const MESSAGE: usize = 32;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Router and Override: the virtual router is a router, and the address is here, whatever was known before.
const FLAGS: u8 = 0xa0;
const SOURCE_MAC: u8 = 1;
const TARGET_MAC: u8 = 2;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// An announcement that `address` lives at `mac`: an unsolicited advertisement (RFC 4861 7.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsolicitedNa {
    /// Where the address lives, and the Ethernet source: switches learn the port of the virtual MAC from it.
    pub mac: Mac,
    /// The link.
    pub vlan: VlanId,
    /// The virtual address.
    pub address: Ipv6Addr,
}

impl UnsolicitedNa {
    /// Writes the frame into the beginning of `buffer` and answers with its length.
    pub fn build(&self, buffer: &mut [u8]) -> Result<usize, BuildError> {
        let Self { mac, vlan, address } = *self;
        let message = Message { kind: ADVERTISEMENT, flags: FLAGS, target: address, option: TARGET_MAC, mac };
        message.build(buffer, vlan, address, ALL_NODES)
    }
}

/// A question where `target` lives, which tells it that `source` lives at `mac` (RFC 4861 7.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighbourSolicitation {
    /// Where the source lives, and the Ethernet source.
    pub mac: Mac,
    /// The link.
    pub vlan: VlanId,
    /// The virtual address.
    pub source: Ipv6Addr,
    /// Who is asked.
    pub target: Ipv6Addr,
}

impl NeighbourSolicitation {
    /// Writes the frame into the beginning of `buffer` and answers with its length.
    pub fn build(&self, buffer: &mut [u8]) -> Result<usize, BuildError> {
        let Self { mac, vlan, source, target } = *self;
        let message = Message { kind: SOLICITATION, flags: 0, target, option: SOURCE_MAC, mac };
        message.build(buffer, vlan, source, solicited_node(target))
    }
}

/// A message about `target`, with an option that has `mac`.
struct Message {
    kind: u8,
    flags: u8,
    target: Ipv6Addr,
    option: u8,
    mac: Mac,
}

impl Message {
    /// Writes the frame from `source` to a group.
    fn build(
        &self,
        buffer: &mut [u8],
        vlan: VlanId,
        source: Ipv6Addr,
        group: Ipv6Addr,
    ) -> Result<usize, BuildError> {
        let (source, destination) = (IpAddr::V6(source), IpAddr::V6(group));
        let header = Header { source, destination, protocol: ICMPV6, class: 0 };
        let outline = Outline { to: multicast_mac(destination), from: self.mac, vlan, header };
        let (message, length) = ip::start(buffer, &outline, MESSAGE)?;
        message.fill(0);
        message[0] = self.kind;
        message[4] = self.flags;
        message[8..24].copy_from_slice(&self.target.octets());
        message[24..26].copy_from_slice(&[self.option, 1]);
        message[26..].copy_from_slice(&self.mac);
        let sum = Sum::pseudo_header(source, destination, ICMPV6, MESSAGE).add(message);
        message[2..4].copy_from_slice(&sum.field());
        Ok(length)
    }
}
