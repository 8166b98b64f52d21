//! Packets get other ends. One that cannot is left as it was.

use std::net::IpAddr;

use etherparse::IpNumber;

use super::change::{Change, mend, mend_udp, put};
use crate::engine::traffic::Loss;
use crate::wire::{IPV4, IPV6, split};

/// One end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// The host's address.
    pub(super) address: IpAddr,
    /// The port there.
    pub(super) port: u16,
}

/// Where a packet comes from and where it goes, both of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    /// From where.
    pub(super) source: End,
    /// Where to.
    pub(super) destination: End,
}

impl Ends {
    /// Those of an answer.
    pub(super) const fn reversed(self) -> Self {
        Self { source: self.destination, destination: self.source }
    }

    fn are_ipv4(&self) -> Option<bool> {
        let [source, destination] = [self.source, self.destination].map(|end| end.address.is_ipv4());
        (source == destination).then_some(source)
    }
}

/// What ICMP has before the packet that it is about, and where its checksum is.
const ICMP_HEADER: usize = 8;
const ICMP_CHECKSUM: usize = 2;

/// Gives the TCP or UDP packet in `frame` these `ends`, and takes one off its TTL.
///
/// # Errors
///
/// It has passed too many routers, or is none.
pub(super) fn translate(frame: &mut [u8], ends: &Ends) -> Result<(), Loss> {
    let packet = Layout::of_frame(frame, ends).ok_or(Loss::NoFlow)?;
    packet.take_hop(frame)?;
    packet.readdress(frame, ends);
    Ok(())
}

/// Gives the ICMP error in `frame` another `destination`, and, if there is one, another `source`; and the packet that it quotes
/// these ends, which its sender knows it by (RFC 5508 4.2).
///
/// # Errors
///
/// As [`translate`].
pub(super) fn translate_error(
    frame: &mut [u8],
    source: Option<IpAddr>,
    destination: IpAddr,
    quoted: &Ends,
) -> Result<(), Loss> {
    let end = Layout::end(frame).ok_or(Loss::NoFlow)?;
    // What is behind the packet is no part of what it quotes.
    let frame = &mut frame[..end];
    let packet = Layout::of_frame(frame, quoted).ok_or(Loss::NoFlow)?;
    let ether_type = if packet.header_checksum.is_some() { IPV4 } else { IPV6 };
    let inner = Layout::of(frame, packet.payload + ICMP_HEADER, ether_type).ok_or(Loss::NoFlow)?;
    packet.take_hop(frame)?;
    let addresses = packet.set_addresses(frame, source, destination);
    packet.mend_header(frame, addresses);
    // Only that of ICMPv6 covers a pseudo-header (RFC 4443 2.3).
    let covered = if packet.header_checksum.is_some() { Change::default() } else { addresses };
    let change = covered + inner.readdress(frame, quoted);
    mend(frame, packet.payload + ICMP_CHECKSUM, change);
    Ok(())
}

/// Where the fields of a packet are in its frame.
#[derive(Clone, Copy)]
struct Layout {
    addresses: usize,
    hops: usize,
    /// IPv6 has none.
    header_checksum: Option<usize>,
    /// Behind the header; the ports are there.
    payload: usize,
    /// That of TCP or UDP, as far as there is one: an ICMP error may quote eight octets only.
    checksum: Option<(IpNumber, usize)>,
}

impl Layout {
    /// That of the packet in `frame`, if it is of the family of `ends`.
    fn of_frame(frame: &[u8], ends: &Ends) -> Option<Self> {
        let (_, ether_type, packet) = split(frame)?;
        let is_of_family = ether_type == if ends.are_ipv4()? { IPV4 } else { IPV6 };
        is_of_family.then(|| Self::of(frame, frame.len() - packet.len(), ether_type))?
    }

    /// The octets of `frame` up to the end of the packet, or of the buffer: Ethernet pads to 60.
    fn end(frame: &[u8]) -> Option<usize> {
        let (_, ether_type, packet) = split(frame)?;
        let (at, header) = if ether_type == IPV4 { (2, 0) } else { (4, 40) };
        let length = u16::from_be_bytes(*packet.get(at..)?.first_chunk()?);
        Some((frame.len() - packet.len() + header + usize::from(length)).min(frame.len()))
    }

    /// That of a packet at `at` of `frame`, if it reaches up to the ports.
    fn of(frame: &[u8], at: usize, ether_type: u16) -> Option<Self> {
        let header = frame.get(at..)?;
        let (addresses, hops, header_checksum, payload, protocol) = if ether_type == IPV4 {
            let length = usize::from(header.first()? & 0x0f) * 4;
            (at + 12, at + 8, Some(at + 10), at + length.max(20), *header.get(9)?)
        } else {
            (at + 8, at + 7, None, at + 40, *header.get(6)?)
        };
        let checksum = match IpNumber(protocol) {
            IpNumber::TCP => Some(payload + 16),
            IpNumber::UDP => Some(payload + 6),
            _ => None,
        };
        let checksum = checksum.filter(|checksum| checksum + 2 <= frame.len());
        let checksum = checksum.map(|at| (IpNumber(protocol), at));
        (payload + 4 <= frame.len()).then_some(Self { addresses, hops, header_checksum, payload, checksum })
    }

    /// Takes one off the TTL or Hop Limit, of which one must be left.
    fn take_hop(&self, frame: &mut [u8]) -> Result<(), Loss> {
        let [hops, next] = *frame.get(self.hops..).and_then(<[u8]>::first_chunk).ok_or(Loss::NoFlow)?;
        let left = hops.checked_sub(1).filter(|left| *left > 0).ok_or(Loss::Expired)?;
        match self.header_checksum {
            Some(_) => {
                let change = put(frame, self.hops, &[left, next]).unwrap_or_default();
                self.mend_header(frame, change);
            }
            None => frame[self.hops] = left,
        }
        Ok(())
    }

    /// Gives the packet these `ends`. What all that it changes, checksums too, is to a sum that covers the packet.
    fn readdress(&self, frame: &mut [u8], ends: &Ends) -> Change {
        let addresses = self.set_addresses(frame, Some(ends.source.address), ends.destination.address);
        let ports = [ends.source.port, ends.destination.port].map(u16::to_be_bytes);
        let ports = put(frame, self.payload, ports.as_flattened()).unwrap_or_default();
        let checksum = match self.checksum {
            Some((IpNumber::UDP, at)) => mend_udp(frame, at, addresses + ports),
            Some((_, at)) => mend(frame, at, addresses + ports),
            None => None,
        };
        addresses + self.mend_header(frame, addresses) + ports + checksum.unwrap_or_default()
    }

    fn set_addresses(&self, frame: &mut [u8], source: Option<IpAddr>, destination: IpAddr) -> Change {
        let mut set = |at, address| {
            let change = match address {
                IpAddr::V4(address) => put(frame, at, &address.octets()),
                IpAddr::V6(address) => put(frame, at, &address.octets()),
            };
            change.unwrap_or_default()
        };
        let octets = if destination.is_ipv4() { 4 } else { 16 };
        let change = source.map(|source| set(self.addresses, source)).unwrap_or_default();
        change + set(self.addresses + octets, destination)
    }

    fn mend_header(&self, frame: &mut [u8], change: Change) -> Change {
        self.header_checksum.and_then(|at| mend(frame, at, change)).unwrap_or_default()
    }
}
