//! Unsolicited neighbour advertisements (RFC 4861 7.2.6, RFC 9568 6.4): how the neighbours' caches learn where an IPv6
//! address lives.

use std::net::{IpAddr, Ipv6Addr};

use baton_common::maps::VlanId;

use super::checksum::Sum;
use super::ip::{self, Header, Outline};
use super::link::{BuildError, Mac};

const ICMPV6: u8 = 58;
/// Octets of the message with the option that has the MAC.
const MESSAGE: usize = 32;
const ADVERTISEMENT: u8 = 136;
/// Router and Override: the virtual router is a router, and the address is here, whatever was known before.
const FLAGS: u8 = 0xa0;
const TARGET_MAC: u8 = 2;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: Mac = [0x33, 0x33, 0, 0, 0, 1];

/// An announcement that `address` lives at `mac`.
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
        let (source, destination) = (IpAddr::V6(self.address), IpAddr::V6(ALL_NODES));
        let header = Header { source, destination, protocol: ICMPV6, class: 0 };
        let outline = Outline { to: ALL_NODES_MAC, from: self.mac, vlan: self.vlan, header };
        let (message, length) = ip::start(buffer, &outline, MESSAGE)?;
        message.fill(0);
        message[0] = ADVERTISEMENT;
        message[4] = FLAGS;
        message[8..24].copy_from_slice(&self.address.octets());
        message[24..26].copy_from_slice(&[TARGET_MAC, 1]);
        message[26..].copy_from_slice(&self.mac);
        let sum = Sum::pseudo_header(source, destination, ICMPV6, MESSAGE).add(message);
        message[2..4].copy_from_slice(&sum.field());
        Ok(length)
    }
}
