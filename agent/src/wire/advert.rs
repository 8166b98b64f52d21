//! VRRPv3 advertisements over IPv4 (RFC 9568 5 and 7).

use std::net::Ipv4Addr;

use baton_common::maps::VlanId;
use baton_common::vrid::Vrid;
use etherparse::Ipv4HeaderSlice;

use super::checksum::{PROTOCOL, Sum, matching, message_sum};
use super::discard::Discard;
use super::link::{self, BuildError, IPV4, Mac};
use crate::vrrp::{Advertisement, Checksum, ChecksumMode, Interval, Standing};

/// The VRRP group (RFC 9568 5.1.1.2).
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// The group's Ethernet address.
const GROUP_MAC: Mac = [0x01, 0x00, 0x5e, 0x00, 0x00, 0x12];
/// Version 3, type ADVERTISEMENT (RFC 9568 5.2.1 and 5.2.2).
const VERSION: u8 = 3;
const ADVERTISEMENT: u8 = 1;
/// Octets of the message before its addresses.
const MESSAGE_HEADER: usize = 8;
/// Octets of an IPv4 header without options.
const IP_HEADER: usize = 20;
/// The only TTL that cannot have crossed a router (RFC 9568 5.1.1.3).
const TTL: u8 = 255;
/// Type of service CS6, as keepalived and FRR send; the RFC says nothing.
const TOS: u8 = 0xc0;
/// The most addresses that an advertisement can name (RFC 9568 5.2.5).
pub const MAX_ADDRESSES: usize = 255;
/// Octets of an IP packet with all of them.
pub(super) const MAX_DATAGRAM: usize = IP_HEADER + MESSAGE_HEADER + MAX_ADDRESSES * 4;

/// What the parser has to know of a configured virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// This host's primary address: what comes from it is our own.
    pub primary: Ipv4Addr,
    /// Which checksums are accepted.
    pub checksum: ChecksumMode,
}

/// A checked advertisement and where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// The link it came over.
    pub vlan: VlanId,
    /// The virtual router.
    pub vrid: Vrid,
    /// What the election needs.
    pub advertisement: Advertisement<Ipv4Addr>,
    addresses: &'a [[u8; 4]],
}

impl Received<'_> {
    /// The virtual addresses that the sender has configured. A difference to our own is worth a log line, no more (RFC
    /// 9568 7.1).
    pub fn addresses(&self) -> impl ExactSizeIterator<Item = Ipv4Addr> + '_ {
        self.addresses.iter().map(|octets| Ipv4Addr::from(*octets))
    }
}

/// Parses an Ethernet frame without FCS. `find` answers what is configured for a virtual router.
pub fn parse_frame(
    frame: &[u8],
    find: impl FnOnce(VlanId, Vrid) -> Option<Expected>,
) -> Result<Received<'_>, Discard> {
    match link::split(frame) {
        Some((vlan, IPV4, packet)) => parse_datagram(packet, vlan, find),
        Some(_) | None => Err(Discard::NotVrrp),
    }
}

/// Parses an IPv4 packet, header included, that came over `vlan`: what a raw socket delivers.
pub fn parse_datagram(
    packet: &[u8],
    vlan: VlanId,
    find: impl FnOnce(VlanId, Vrid) -> Option<Expected>,
) -> Result<Received<'_>, Discard> {
    let (source, message) = parse_ip(packet)?;
    let (header, rest) = message.split_first_chunk::<MESSAGE_HEADER>().ok_or(Discard::Length)?;
    let [version_type, vrid, priority, count, interval_high, interval_low, _, _] = *header;
    if version_type >> 4 != VERSION {
        return Err(Discard::Version(version_type >> 4));
    }
    if version_type & 0xf != ADVERTISEMENT {
        return Err(Discard::Type(version_type & 0xf));
    }
    // 7.1 asks for a complete message; keepalived, FRR and Baton for one of exactly that length.
    let (addresses, odd) = rest.as_chunks::<4>();
    if count == 0 || addresses.len() != usize::from(count) || !odd.is_empty() {
        return Err(Discard::Length);
    }
    // The RFC names the checksum before the VRID, but which checksum is right depends on the virtual router.
    let unknown = Discard::UnknownRouter(vrid);
    let vrid = Vrid::new(vrid).ok_or(unknown)?;
    let expected = find(vlan, vrid).ok_or(unknown)?;
    if source == expected.primary {
        return Err(Discard::Own);
    }
    let checksum = matching(expected.checksum, source, GROUP, message).ok_or(Discard::Checksum)?;
    // 5.2.6: the four bits before the interval are reserved, ignored on reception.
    let interval = Interval::from_centiseconds(u16::from_be_bytes([interval_high & 0x0f, interval_low]))
        .ok_or(Discard::Interval)?;
    let standing = Standing::from_octet(priority);
    Ok(Received {
        vlan,
        vrid,
        advertisement: Advertisement { source, standing, interval, checksum },
        addresses,
    })
}

/// Checks the IPv4 header and answers with the source and the payload, without the padding of a short frame.
fn parse_ip(packet: &[u8]) -> Result<(Ipv4Addr, &[u8]), Discard> {
    // Protocol and destination stand at fixed places, so that a broken header is not mistaken for foreign traffic.
    let fixed = packet.first_chunk::<IP_HEADER>().ok_or(Discard::NotVrrp)?;
    if fixed[9] != PROTOCOL || fixed[16..] != GROUP.octets() {
        return Err(Discard::NotVrrp);
    }
    let header = Ipv4HeaderSlice::from_slice(packet).map_err(|_| Discard::IpHeader)?;
    let payload =
        packet.get(header.slice().len()..usize::from(header.total_len())).ok_or(Discard::IpHeader)?;
    let source = header.source_addr();
    if header.is_fragmenting_payload()
        || !Sum::default().add(header.slice()).is_good()
        || source.is_unspecified()
        || source.is_multicast()
        || source.is_broadcast()
    {
        return Err(Discard::IpHeader);
    }
    if header.ttl() != TTL {
        return Err(Discard::Ttl(header.ttl()));
    }
    Ok((source, payload))
}

/// An advertisement to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing<'a> {
    /// Ethernet source: the virtual MAC, or the device's own for `mac = "interface"` (RFC 9568 7.2).
    pub mac: Mac,
    /// The link.
    pub vlan: VlanId,
    /// Primary address of the interface.
    pub source: Ipv4Addr,
    /// The virtual router.
    pub vrid: Vrid,
    /// The priority octet.
    pub standing: Standing,
    /// Max Advertise Interval.
    pub interval: Interval,
    /// The checksum to make.
    pub checksum: Checksum,
    /// The virtual addresses, 1 to 255.
    pub addresses: &'a [Ipv4Addr],
}

impl Outgoing<'_> {
    /// Writes the frame into the beginning of `buffer` and answers with its length.
    pub fn build(&self, buffer: &mut [u8]) -> Result<usize, BuildError> {
        let count = match u8::try_from(self.addresses.len()) {
            Ok(count @ 1..) => count,
            Ok(0) | Err(_) => return Err(BuildError::AddressCount(self.addresses.len())),
        };
        let total = IP_HEADER + MESSAGE_HEADER + 4 * usize::from(count);
        let (packet, len) = link::start(buffer, GROUP_MAC, self.mac, self.vlan, IPV4, total)?;
        let (ip, message) = packet.split_at_mut(IP_HEADER);

        let (header, addresses) = message.split_at_mut(MESSAGE_HEADER);
        let [interval_high, interval_low] = self.interval.centiseconds().to_be_bytes();
        header.copy_from_slice(&[
            VERSION << 4 | ADVERTISEMENT,
            self.vrid.get(),
            self.standing.octet(),
            count,
            interval_high,
            interval_low,
            0,
            0,
        ]);
        for (place, address) in addresses.as_chunks_mut::<4>().0.iter_mut().zip(self.addresses) {
            *place = address.octets();
        }
        let sum = message_sum(self.checksum, self.source, GROUP, message);
        message[6..8].copy_from_slice(&sum.field());

        // Identification means nothing in a packet that is never fragmented (RFC 6864 4.1); the value is keepalived's
        // first, DF clear as there.
        let [.., total_high, total_low] = total.to_be_bytes();
        ip[..12].copy_from_slice(&[0x45, TOS, total_high, total_low, 0, 1, 0, 0, TTL, PROTOCOL, 0, 0]);
        ip[12..16].copy_from_slice(&self.source.octets());
        ip[16..].copy_from_slice(&GROUP.octets());
        let sum = Sum::default().add(ip);
        ip[10..12].copy_from_slice(&sum.field());
        Ok(len)
    }
}
