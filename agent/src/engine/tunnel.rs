//! Tunnels to backends: a packet becomes the payload of another (RFC 2003, RFC 2473, RFC 4213). The XDP program does the same to
//! the frames of cached flows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use baton_common::flow;
use etherparse::{IpFragOffset, IpNumber, Ipv4Header, Ipv4HeaderSlice, Ipv6Header, Ipv6HeaderSlice};

use super::buffer::Buffer;
use super::traffic::Loss;
use crate::address;
use crate::wire::{IPV4, IPV6, split};

/// TTL and Hop Limit of what goes through a tunnel.
const HOPS: u8 = 64;

/// The way to a backend that need not be on the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    ends: Ends,
    /// The longest packet that goes through it, in octets.
    longest: u16,
}

/// This host's address and the backend's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Ipv4([Ipv4Addr; 2]),
    Ipv6([Ipv6Addr; 2]),
}

impl Ends {
    /// Octets of the outer header.
    const fn header(self) -> u16 {
        match self {
            Self::Ipv4(_) => 20,
            Self::Ipv6(_) => 40,
        }
    }
}

/// What the outer header has of a packet, or says about it.
struct Packet {
    protocol: IpNumber,
    length: u16,
    /// DSCP and ECN (RFC 6040 4.1, normal mode).
    traffic_class: u8,
    identification: u16,
    /// What may be fragmented may be so on the way as well.
    dont_fragment: bool,
}

impl Packet {
    fn read(ether_type: u16, packet: &[u8]) -> Option<Self> {
        if ether_type == IPV4 {
            let header = Ipv4HeaderSlice::from_slice(packet).ok()?;
            return Some(Self {
                protocol: IpNumber::IPV4,
                length: header.total_len(),
                traffic_class: header.dcp().value() << 2 | header.ecn().value(),
                identification: header.identification(),
                dont_fragment: header.dont_fragment(),
            });
        }
        let header = Ipv6HeaderSlice::from_slice(packet).ok()?;
        Some(Self {
            protocol: IpNumber::IPV6,
            length: header.payload_length().checked_add(40)?,
            traffic_class: header.traffic_class(),
            identification: 0,
            dont_fragment: true,
        })
    }
}

impl Tunnel {
    /// One from `source` to `destination` over a link whose packets have up to `mtu` octets; `None` if they are of two families.
    pub fn new(source: IpAddr, destination: IpAddr, mtu: u16) -> Option<Self> {
        let ends = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Ends::Ipv4([source, destination]),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Ends::Ipv6([source, destination]),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
        };
        Some(Self { ends, longest: mtu.saturating_sub(ends.header()) })
    }

    /// The longest packet that goes through it, in octets.
    pub const fn longest(&self) -> u16 {
        self.longest
    }

    /// As the XDP program needs to know it.
    pub fn to_map(&self) -> flow::Tunnel {
        let [source, destination] = match self.ends {
            Ends::Ipv4(ends) => ends.map(|end| address::to_map(end.into())),
            Ends::Ipv6(ends) => ends.map(|end| address::to_map(end.into())),
        };
        flow::Tunnel { source, destination, longest: self.longest.into(), _pad: [0; 4] }
    }

    /// Wraps the packet in `frame`.
    ///
    /// # Errors
    ///
    /// It is no packet, it is too long, or there is no buffer for what does not fit into the first one any more. The frame is as it
    /// was.
    pub(super) fn wrap(&self, frame: &mut impl Buffer) -> Result<(), Loss> {
        let before = frame.len();
        let (_, ether_type, packet) = split(frame).ok_or(Loss::NoFlow)?;
        let at = before - packet.len();
        let packet = Packet::read(ether_type, packet).ok_or(Loss::NoFlow)?;
        if packet.length > self.longest {
            return Err(Loss::TooLong);
        }
        let inserted = match self.ends {
            Ends::Ipv4(ends) => {
                let header = in_ipv4(&packet, ends).ok_or(Loss::TooLong)?.to_bytes();
                insert(frame, at, IPV4, &header)
            }
            Ends::Ipv6(ends) => insert(frame, at, IPV6, &in_ipv6(&packet, ends).to_bytes()),
        };
        inserted.ok_or(Loss::NoBuffer)
    }
}

/// Octets of the Ethernet addresses, and of an Ethernet header without tags.
const ETHERNET_ADDRESSES: usize = 12;
const ETHERNET: usize = 14;
/// Those of the longest outer header.
const LONGEST_HEADER: usize = 40;

/// Puts `header` before what is at `at` of `frame`, which is of this type from then on, and without tags: those that a frame for a
/// service has name no VLAN, and what unwraps it would have to look behind them.
fn insert(frame: &mut impl Buffer, at: usize, ether_type: u16, header: &[u8]) -> Option<()> {
    let mut head = [0; ETHERNET + LONGEST_HEADER];
    let head = head.get_mut(..ETHERNET + header.len())?;
    head[..ETHERNET_ADDRESSES].copy_from_slice(frame.get(..ETHERNET_ADDRESSES)?);
    head[ETHERNET_ADDRESSES..ETHERNET].copy_from_slice(&ether_type.to_be_bytes());
    head[ETHERNET..].copy_from_slice(header);
    frame.replace_head(at, head).then_some(())
}

fn in_ipv4(packet: &Packet, [source, destination]: [Ipv4Addr; 2]) -> Option<Ipv4Header> {
    let [source, destination] = [source, destination].map(|end| end.octets());
    let mut header = Ipv4Header::new(packet.length, HOPS, packet.protocol, source, destination).ok()?;
    header.dscp = (packet.traffic_class >> 2).try_into().ok()?;
    header.ecn = (packet.traffic_class & 3).try_into().ok()?;
    header.identification = packet.identification;
    header.dont_fragment = packet.dont_fragment;
    header.fragment_offset = IpFragOffset::ZERO;
    header.header_checksum = header.calc_header_checksum();
    Some(header)
}

fn in_ipv6(packet: &Packet, [source, destination]: [Ipv6Addr; 2]) -> Ipv6Header {
    Ipv6Header {
        traffic_class: packet.traffic_class,
        payload_length: packet.length,
        next_header: packet.protocol,
        hop_limit: HOPS,
        source: source.octets(),
        destination: destination.octets(),
        ..Ipv6Header::default()
    }
}
