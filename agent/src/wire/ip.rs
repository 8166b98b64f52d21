//! The IP headers of both families.

use std::net::IpAddr;

use baton_common::maps::VlanId;
use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};

use super::checksum::Sum;
use super::link::{self, BuildError, IPV4, IPV6, Mac};

/// Octets of a header without options and extensions.
pub(super) const IPV4_HEADER: usize = 20;
pub(super) const IPV6_HEADER: usize = 40;
/// The only TTL, or Hop Limit, that cannot have crossed a router.
pub const HOPS: u8 = 255;

/// A packet with a sound header.
pub(super) struct Packet<'a> {
    pub(super) source: IpAddr,
    /// TTL, or Hop Limit.
    pub(super) hops: u8,
    /// Without the padding of a short frame.
    pub(super) payload: &'a [u8],
}

/// The protocol and the destination of a packet, which stand at fixed places, so that a broken header is not mistaken for
/// foreign traffic; `None` if it is too short for them.
pub(super) fn peek(ether_type: u16, packet: &[u8]) -> Option<(u8, IpAddr)> {
    match ether_type {
        IPV4 => {
            let header = packet.first_chunk::<IPV4_HEADER>()?;
            Some((header[9], IpAddr::from(*header.last_chunk::<4>()?)))
        }
        IPV6 => {
            let header = packet.first_chunk::<IPV6_HEADER>()?;
            Some((header[6], IpAddr::from(*header.last_chunk::<16>()?)))
        }
        _ => None,
    }
}

/// The packet, if nothing is wrong with its header, it is no fragment, and a host can have sent it.
pub(super) fn parse(ether_type: u16, packet: &[u8]) -> Option<Packet<'_>> {
    match ether_type {
        IPV4 => parse_ipv4(packet),
        IPV6 => parse_ipv6(packet),
        _ => None,
    }
}

fn parse_ipv4(packet: &[u8]) -> Option<Packet<'_>> {
    let header = Ipv4HeaderSlice::from_slice(packet).ok()?;
    let payload = packet.get(header.slice().len()..usize::from(header.total_len()))?;
    let source = header.source_addr();
    let is_sound = !header.is_fragmenting_payload()
        && Sum::default().add(header.slice()).is_good()
        && !(source.is_unspecified() || source.is_multicast() || source.is_broadcast());
    is_sound.then_some(Packet { source: IpAddr::V4(source), hops: header.ttl(), payload })
}

fn parse_ipv6(packet: &[u8]) -> Option<Packet<'_>> {
    let header = Ipv6HeaderSlice::from_slice(packet).ok()?;
    let end = IPV6_HEADER + usize::from(header.payload_length());
    let payload = packet.get(IPV6_HEADER..end)?;
    let source = header.source_addr();
    let hops = header.hop_limit();
    (!source.is_multicast()).then_some(Packet { source: IpAddr::V6(source), hops, payload })
}

/// Where a frame that is built goes and what packet it has.
pub(super) struct Outline {
    /// Ethernet destination and source.
    pub(super) to: Mac,
    pub(super) from: Mac,
    pub(super) vlan: VlanId,
    pub(super) header: Header,
}

/// What the header of a packet that is built says. Source and destination are of one family.
#[derive(Clone, Copy)]
pub(super) struct Header {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
    /// Type of service, or traffic class.
    pub(super) class: u8,
}

/// Class selector 6, as keepalived and FRR send; the RFC says nothing.
pub(super) const CS6: u8 = 0xc0;

/// Writes the headers of a frame into `buffer`, and answers with the `len` octets behind them and the frame's length.
pub(super) fn start<'a>(
    buffer: &'a mut [u8],
    outline: &Outline,
    len: usize,
) -> Result<(&'a mut [u8], usize), BuildError> {
    let Outline { to, from, vlan, header } = outline;
    let (ether_type, octets) = match header.source {
        IpAddr::V4(_) => (IPV4, IPV4_HEADER),
        IpAddr::V6(_) => (IPV6, IPV6_HEADER),
    };
    let (packet, length) = link::start(buffer, *to, *from, *vlan, ether_type, octets + len)?;
    let (payload, _) = start_packet(packet, header, len)?;
    Ok((payload, length))
}

/// Writes the header of a packet into `buffer`, and answers with the `len` octets behind it and the packet's length.
pub(super) fn start_packet<'a>(
    buffer: &'a mut [u8],
    header: &Header,
    len: usize,
) -> Result<(&'a mut [u8], usize), BuildError> {
    let Header { source, destination, protocol, class } = *header;
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let (ip, payload) = split(buffer, IPV4_HEADER, len)?;
            let [.., high, low] = (IPV4_HEADER + len).to_be_bytes();
            // Identification means nothing in a packet that is never fragmented (RFC 6864 4.1); the value is keepalived's
            // first, DF clear as there.
            ip[..12].copy_from_slice(&[0x45, class, high, low, 0, 1, 0, 0, HOPS, protocol, 0, 0]);
            ip[12..16].copy_from_slice(&source.octets());
            ip[16..].copy_from_slice(&destination.octets());
            let sum = Sum::default().add(ip);
            ip[10..12].copy_from_slice(&sum.field());
            Ok((payload, IPV4_HEADER + len))
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let (ip, payload) = split(buffer, IPV6_HEADER, len)?;
            let [.., high, low] = len.to_be_bytes();
            ip[..8].copy_from_slice(&[0x60 | class >> 4, class << 4, 0, 0, high, low, protocol, HOPS]);
            ip[8..24].copy_from_slice(&source.octets());
            ip[24..].copy_from_slice(&destination.octets());
            Ok((payload, IPV6_HEADER + len))
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Err(BuildError::MixedFamilies),
    }
}

/// The first `header` octets of `buffer`, and the `len` behind them.
fn split(buffer: &mut [u8], header: usize, len: usize) -> Result<(&mut [u8], &mut [u8]), BuildError> {
    let (needed, available) = (header + len, buffer.len());
    let packet = buffer.get_mut(..needed).ok_or(BuildError::BufferTooSmall { needed, available })?;
    Ok(packet.split_at_mut(header))
}
