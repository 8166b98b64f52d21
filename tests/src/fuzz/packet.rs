//! Packets as RFC 791, 8200, 768, 9293, 792 and 4443 lay them out, read without the program's own parsers.

use std::net::IpAddr;
use std::ops::Range;

/// One end of a flow.
pub(super) type End = (IpAddr, u16);

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
/// What ICMP has before the packet that it is about.
const ICMP_HEADER: usize = 8;

/// Where the parts of a packet are in its frame.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) is_ipv6: bool,
    pub(super) protocol: u8,
    pub(super) hops: usize,
    /// Source and destination.
    pub(super) addresses: [Range<usize>; 2],
    /// The header, of IPv4, which has a checksum.
    pub(super) header: Option<Range<usize>>,
    /// Behind the header, up to the end of what there is of the packet.
    pub(super) payload: Range<usize>,
}

impl Packet {
    /// That of the frame, behind its VLAN tags.
    pub(super) fn of_frame(frame: &[u8]) -> Option<Self> {
        let mut at = 12;
        while matches!(frame.get(at..at + 2)?, [0x81, 0] | [0x88, 0xa8] | [0x91, 0]) {
            at += 4;
        }
        match frame.get(at..at + 2)? {
            [0x08, 0] => Self::read(frame, at + 2, false),
            [0x86, 0xdd] => Self::read(frame, at + 2, true),
            _ => None,
        }
    }

    /// That at `at`, of which the end may be missing.
    pub(super) fn read(frame: &[u8], at: usize, is_ipv6: bool) -> Option<Self> {
        let octet = |place: usize| frame.get(at + place).copied();
        let length = usize::from(u16::from_be_bytes(if is_ipv6 {
            [octet(4)?, octet(5)?]
        } else {
            [octet(2)?, octet(3)?]
        }));
        let (protocol, hops, first, octets, header) = if is_ipv6 {
            (octet(6)?, 7, 8, 16, 40)
        } else {
            (octet(9)?, 8, 12, 4, usize::from(octet(0)? & 0x0f) * 4)
        };
        let end = (at + if is_ipv6 { 40 + length } else { length }).min(frame.len());
        let address = |number: usize| at + first + number * octets..at + first + (number + 1) * octets;
        let payload = at + header..end.max(at + header);
        (payload.end <= frame.len()).then(|| Self {
            is_ipv6,
            protocol,
            hops: at + hops,
            addresses: [address(0), address(1)],
            header: (!is_ipv6).then_some(at..at + header),
            payload,
        })
    }

    /// The packet that this ICMP error is about.
    pub(super) fn quoted(&self, frame: &[u8]) -> Option<Self> {
        let packet = Self::read(&frame[..self.payload.end], self.payload.start + ICMP_HEADER, self.is_ipv6)?;
        // Of it there may be less than its length says; what is more is behind a length that is wrong.
        Some(Self { payload: packet.payload.start..self.payload.end, ..packet })
    }

    pub(super) fn is_transport(&self) -> bool {
        matches!(self.protocol, TCP | UDP)
    }

    pub(super) fn address(&self, frame: &[u8], number: usize) -> IpAddr {
        let octets = &frame[self.addresses[number].clone()];
        match <[u8; 4]>::try_from(octets) {
            Ok(octets) => octets.into(),
            Err(_) => <[u8; 16]>::try_from(octets).expect("an address").into(),
        }
    }

    /// From where to where.
    pub(super) fn ends(&self, frame: &[u8]) -> [End; 2] {
        let port = |number: usize| {
            let at = self.payload.start + 2 * number;
            u16::from_be_bytes([frame[at], frame[at + 1]])
        };
        [0, 1].map(|number| (self.address(frame, number), port(number)))
    }

    /// Where the checksum of TCP or UDP is, as far as there is one.
    pub(super) fn checksum(&self) -> Option<Range<usize>> {
        let at = self.payload.start + if self.protocol == TCP { 16 } else { 6 };
        (at + 2 <= self.payload.end).then_some(at..at + 2)
    }

    /// The sum of the header, which is zero of a right one.
    pub(super) fn header_sum(&self, frame: &[u8]) -> u16 {
        self.header.clone().map_or(0, |header| sum(&[&frame[header]]))
    }

    /// The sum of the addresses and of all behind the header. Whatever a checksum that covers them was wrong by, it is so still if this
    /// has not changed.
    pub(super) fn payload_sum(&self, frame: &[u8]) -> u16 {
        let [source, destination] = self.addresses.clone();
        sum(&[&frame[source], &frame[destination], &frame[self.payload.clone()]])
    }
}

/// The sum of RFC 1071 over parts of which all but the last have an even length; zero has one name.
pub(super) fn sum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2)).map(|word| match *word {
        [high, low] => u64::from(u16::from_be_bytes([high, low])),
        [high] => u64::from(u16::from_be_bytes([high, 0])),
        _ => 0,
    });
    u16::try_from(words.sum::<u64>() % 0xffff).expect("it is below 0xffff")
}
