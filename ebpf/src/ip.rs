//! The IP header of a received packet, of either family, and the pseudo-header that checksums cover.

use aya_ebpf::programs::XdpContext;
use baton_common::maps::Address;
use baton_common::vrid::Family;

use crate::checksum::Sum;
use crate::classify::Link;
use crate::packet::{Frame, whole_length};

/// An IPv4 header without options.
pub(crate) const IPV4: usize = 20;
/// An IPv6 header; extension headers would follow.
pub(crate) const IPV6: usize = 40;
/// Where its addresses are.
pub(crate) const SOURCE: usize = 8;
pub(crate) const DESTINATION: usize = 24;

/// More fragments to come, or not the first of them. Don't Fragment is no such bit.
pub(crate) const FRAGMENT: u16 = 0x3fff;
/// TTL or Hop Limit of what comes from the same link: as sent, for a router would have taken one off.
pub(crate) const HOPS: u8 = 255;
/// The longest IPv4 header in 32-bit words.
const MAX_IPV4_WORDS: usize = 15;

/// What the header says.
pub(crate) struct Packet {
    pub(crate) family: Family,
    pub(crate) source: Ip,
    pub(crate) destination: Ip,
    /// TTL, or Hop Limit.
    pub(crate) hops: u8,
    /// Where in the frame the payload begins, and how many octets it has.
    pub(crate) at: usize,
    pub(crate) length: usize,
}

impl Packet {
    /// The packet behind `link`; `None` if it is broken, a fragment, or from an address that no host can have.
    ///
    /// The frame may be longer than the packet, Ethernet pads to 60 octets; the packet must not be longer.
    #[inline(always)]
    pub(crate) fn parse<const FAMILY: u8>(frame: &Frame<'_>, link: &Link) -> Option<Self> {
        if FAMILY == Family::Ipv6 as u8 { Self::ipv6(frame, link) } else { Self::ipv4(frame, link) }
    }

    #[inline(always)]
    fn ipv4(frame: &Frame<'_>, link: &Link) -> Option<Self> {
        let ip = frame.get::<IPV4>(link.payload)?;
        let words = usize::from(ip[0] & 0x0f);
        let header = 4 * words;
        let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
        let source = [ip[12], ip[13], ip[14], ip[15]];
        let sound = ip[0] >> 4 == 4
            && header >= IPV4
            && total >= header
            && frame.reaches(link.payload + total)
            && u16::from_be_bytes([ip[6], ip[7]]) & FRAGMENT == 0
            && source != [0; 4]
            && !is_no_host(source);
        if !sound || !Sum::of::<MAX_IPV4_WORDS>(frame, link.payload, words).is_some_and(Sum::is_correct) {
            return None;
        }
        Some(Self {
            family: Family::Ipv4,
            source: Ip::mapped(source),
            destination: Ip::mapped([ip[16], ip[17], ip[18], ip[19]]),
            hops: ip[8],
            at: link.payload + header,
            length: total - header,
        })
    }

    #[inline(always)]
    fn ipv6(frame: &Frame<'_>, link: &Link) -> Option<Self> {
        let ip = frame.get::<IPV6>(link.payload)?;
        let length = usize::from(u16::from_be_bytes([ip[4], ip[5]]));
        let at = link.payload + IPV6;
        let source = Ip::read(frame, link.payload + SOURCE)?;
        if ip[0] >> 4 != 6 || !frame.reaches(at + length) || source.is_group() {
            return None;
        }
        Some(Self {
            family: Family::Ipv6,
            source,
            destination: Ip::read(frame, link.payload + DESTINATION)?,
            hops: ip[7],
            at,
            length,
        })
    }

    /// `sum` with the pseudo-header of the packet before it (RFC 768, RFC 8200 8.1): the same for both families, see
    /// [`Address`].
    #[inline(always)]
    pub(crate) fn covered(&self, sum: Sum, protocol: u8, length: usize) -> Sum {
        pseudo_header(sum, [self.source, self.destination], protocol, length)
    }
}

/// `sum` with a pseudo-header with these two addresses.
#[inline(always)]
pub(crate) fn pseudo_header(sum: Sum, ends: [Ip; 2], protocol: u8, length: usize) -> Sum {
    let [.., high, low] = length.to_be_bytes();
    ends[1].covered(ends[0].covered(sum)).add(&[0, protocol, high, low])
}

/// An [`Address`] as two numbers, in whose order addresses are. The registers of BPF hold it; as octets it would take a
/// quarter of the stack.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ip {
    high: u64,
    low: u64,
}

impl Ip {
    /// Nobody's address.
    pub(crate) const NONE: Self = Self { high: 0, low: 0 };

    /// The IPv6 address at `at` of the frame.
    #[inline(always)]
    pub(crate) fn read(frame: &Frame<'_>, at: usize) -> Option<Self> {
        let (high, low) = (u64::from_be_bytes(*frame.get(at)?), u64::from_be_bytes(*frame.get(at + 8)?));
        Some(Self { high, low })
    }

    /// Writes it to `at` of the frame; in one piece, for of two the compiler may drop a comparison that the verifier wants to see.
    #[inline(always)]
    pub(crate) fn write(self, frame: &mut Frame<'_>, at: usize) -> Option<()> {
        frame.set(at, &self.address())
    }

    /// The IPv4 address `octets`.
    #[inline(always)]
    pub(crate) const fn mapped(octets: [u8; 4]) -> Self {
        Self { high: 0, low: 0xffff_0000_0000 | u32::from_be_bytes(octets) as u64 }
    }

    /// As it stands in the maps.
    #[inline(always)]
    pub(crate) const fn of(address: Address) -> Self {
        let [a, b, c, d, e, f, g, h, rest @ ..] = address;
        Self { high: u64::from_be_bytes([a, b, c, d, e, f, g, h]), low: u64::from_be_bytes(rest) }
    }

    /// Of the two halves as they stand in memory.
    #[inline(always)]
    pub(crate) const fn of_halves([high, low]: [[u8; 8]; 2]) -> Self {
        Self { high: u64::from_be_bytes(high), low: u64::from_be_bytes(low) }
    }

    /// The two halves as they stand in memory.
    #[inline(always)]
    pub(crate) const fn halves(self) -> [[u8; 8]; 2] {
        [self.high.to_be_bytes(), self.low.to_be_bytes()]
    }

    /// For keys of maps, which are hashed word by word: what was stored in octets a processor would have to wait for.
    #[inline(always)]
    pub(crate) const fn words(self) -> [u32; 4] {
        let [[a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]] = self.halves();
        [
            u32::from_ne_bytes([a, b, c, d]),
            u32::from_ne_bytes([e, f, g, h]),
            u32::from_ne_bytes([i, j, k, l]),
            u32::from_ne_bytes([m, n, o, p]),
        ]
    }

    /// For the maps.
    #[inline(always)]
    pub(crate) const fn address(self) -> Address {
        let [[a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]] = self.halves();
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }

    /// Whether it is an IPv4 address.
    #[inline(always)]
    pub(crate) const fn is_ipv4(self) -> bool {
        self.high == 0 && self.low >> 32 == 0xffff
    }

    /// The octets of the IPv4 address that it is.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half has it")]
    pub(crate) const fn ipv4(self) -> [u8; 4] {
        (self.low as u32).to_be_bytes()
    }

    /// Multicast: ff00::/8, or 224.0.0.0/4.
    #[inline(always)]
    pub(crate) const fn is_group(self) -> bool {
        self.high >> 56 == 0xff || (self.high == 0 && self.low >> 28 == 0xffff_e)
    }

    /// Link-local unicast, fe80::/10.
    #[inline(always)]
    pub(crate) const fn is_link_local(self) -> bool {
        self.high >> 54 == 0xfe80 >> 6
    }

    /// `sum` with its words.
    #[inline(always)]
    fn covered(self, sum: Sum) -> Sum {
        sum.add_words(self.high).add_words(self.low)
    }
}

/// Where the source is in an IPv4 header.
pub(crate) const IPV4_SOURCE: usize = 12;
pub(crate) const IPV4_DESTINATION: usize = 16;

/// The source of the packet behind `link`.
#[inline(always)]
pub(crate) fn source<const FAMILY: u8>(frame: &Frame<'_>, link: &Link) -> Option<Ip> {
    if FAMILY == Family::Ipv6 as u8 {
        Ip::read(frame, link.payload + SOURCE)
    } else {
        Some(Ip::mapped(*frame.get::<4>(link.payload + IPV4_SOURCE)?))
    }
}

/// Octets of the frame that the packet behind `link` is in. The kernel is asked only if the packet goes on in other buffers.
#[inline(always)]
pub(crate) fn octets<const FAMILY: u8>(ctx: &XdpContext, link: &Link) -> Option<usize> {
    let frame = &Frame::received(ctx);
    let (at, header) = if FAMILY == Family::Ipv6 as u8 { (4, IPV6) } else { (2, 0) };
    let packet = header + usize::from(u16::from_be_bytes(*frame.get(link.payload + at)?));
    let octets = frame.length();
    Some(if link.payload + packet > octets { whole_length(ctx) } else { octets })
}

/// Multicast and the limited broadcast address of IPv4.
#[inline(always)]
pub(crate) fn is_no_host(address: [u8; 4]) -> bool {
    address[0] & 0xf0 == 0xe0 || address == [255; 4]
}
