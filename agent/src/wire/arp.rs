//! ARP (RFC 826, RFC 9568 6.4): how the neighbours' caches learn where an address lives.

use std::net::Ipv4Addr;

use baton_common::maps::VlanId;

use super::link::{self, ARP, BuildError, MAX_HEADER, Mac};

/// Octets of an ARP packet for Ethernet and IPv4.
const PACKET: usize = 28;
/// Hardware type Ethernet, protocol type IPv4, and their address lengths (RFC 826).
const PREAMBLE: [u8; 6] = [0, 1, 0x08, 0x00, 6, 4];
/// The Ethernet broadcast address.
const BROADCAST: Mac = [0xff; 6];
/// What stands for a hardware address that is asked for.
const UNKNOWN: Mac = [0; 6];

/// The largest ARP frame that is built here.
pub const MAX_ARP_FRAME: usize = MAX_HEADER + PACKET;

/// The operation field. Some stacks learn from requests only, some from replies only, so both are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Operation 1.
    Request,
    /// Operation 2.
    Reply,
}

/// An announcement that `address` lives at `mac`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GratuitousArp {
    /// Request or reply.
    pub operation: Operation,
    /// Where the address lives, and the Ethernet source: switches learn the port of the virtual MAC from it.
    pub mac: Mac,
    /// The link.
    pub vlan: VlanId,
    /// The virtual address.
    pub address: Ipv4Addr,
}

impl GratuitousArp {
    /// Writes the frame into the beginning of `buffer` and answers with its length.
    pub fn build(&self, buffer: &mut [u8]) -> Result<usize, BuildError> {
        let Self { operation, mac, vlan, address } = *self;
        // RFC 9568 6.4.1: the target hardware address is the virtual MAC too, not the broadcast address.
        build(buffer, vlan, operation, (mac, address), (mac, address))
    }
}

/// A question where `target` lives, which tells it that `sender` lives at `mac`: whoever is asked learns the asker, for it is
/// about to answer (RFC 826).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArpRequest {
    /// Where the sender lives, and the Ethernet source.
    pub mac: Mac,
    /// The link.
    pub vlan: VlanId,
    /// The virtual address.
    pub sender: Ipv4Addr,
    /// Who is asked.
    pub target: Ipv4Addr,
}

impl ArpRequest {
    /// Writes the frame into the beginning of `buffer` and answers with its length.
    pub fn build(&self, buffer: &mut [u8]) -> Result<usize, BuildError> {
        let Self { mac, vlan, sender, target } = *self;
        build(buffer, vlan, Operation::Request, (mac, sender), (UNKNOWN, target))
    }
}

/// Writes a frame from `sender` about `target` to everybody.
fn build(
    buffer: &mut [u8],
    vlan: VlanId,
    operation: Operation,
    sender: (Mac, Ipv4Addr),
    target: (Mac, Ipv4Addr),
) -> Result<usize, BuildError> {
    let (packet, len) = link::start(buffer, BROADCAST, sender.0, vlan, ARP, PACKET)?;
    packet[..6].copy_from_slice(&PREAMBLE);
    packet[6..8].copy_from_slice(match operation {
        Operation::Request => &[0, 1],
        Operation::Reply => &[0, 2],
    });
    for ((mac, address), into) in [sender, target].into_iter().zip(packet[8..].chunks_exact_mut(10)) {
        into[..6].copy_from_slice(&mac);
        into[6..].copy_from_slice(&address.octets());
    }
    Ok(len)
}
