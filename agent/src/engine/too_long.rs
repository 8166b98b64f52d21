//! What the sender of a packet is told that is too long for a tunnel (RFC 1191, RFC 8201), so that it sends shorter ones.

use std::time::Duration;

use etherparse::icmpv4::DestUnreachableHeader;
use etherparse::{
    Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, IpNumber, Ipv4Header, Ipv4HeaderSlice, Ipv6Header,
    Ipv6HeaderSlice,
};

use super::buffer::Buffer;
use crate::vrrp::Instant;
use crate::wire::{IPV4, Mac, split};

/// TTL and Hop Limit of an answer.
const HOPS: u8 = 64;
/// What routers say is of this class (RFC 1812 5.3.2: internetwork control).
const DSCP: u8 = 48;

/// How much of a packet is quoted: an answer has up to 576 octets (RFC 1812 4.3.2.3), over IPv6 up to 1280 (RFC 4443 2.4).
const QUOTE: usize = 576 - 20 - 8;
const QUOTE_IPV6: usize = 1280 - 40 - 8;

/// Makes of `frame` what its sender is told: that packets to the address may have up to `longest` octets. `None`, and the frame is
/// as it was, if the sender is told nothing: it lets routers fragment the packet, or is no host, or the
/// packet is an ICMP error itself or came to many (RFC 1122 3.2.2, RFC 4443 2.4).
pub(super) fn answer(frame: &mut impl Buffer, longest: u16, device_mac: Mac) -> Option<()> {
    let (_, ether_type, packet) = split(frame)?;
    if frame[0] & 1 != 0 {
        return None;
    }
    let answer = if ether_type == IPV4 { ipv4(packet, longest)? } else { ipv6(packet, longest)? };
    // With its tags.
    let (addresses, types) = frame[..frame.len() - packet.len()].split_at_checked(12)?;
    let told = [&addresses[6..], &device_mac, types, &answer].concat();
    frame.replace(&told).then_some(())
}

fn ipv4(packet: &[u8], longest: u16) -> Option<Vec<u8>> {
    let header = Ipv4HeaderSlice::from_slice(packet).ok()?;
    let sender = header.source_addr();
    let is_no_host =
        sender.is_multicast() || sender.is_broadcast() || sender.is_loopback() || sender.octets()[0] == 0;
    if !header.dont_fragment() || header.protocol() == IpNumber::ICMP || is_no_host {
        return None;
    }
    let quote = packet.get(..usize::from(header.total_len()).min(QUOTE))?;
    let told = DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: longest };
    let icmp = Icmpv4Header::with_checksum(Icmpv4Type::DestinationUnreachable(told), quote).to_bytes();
    let length = u16::try_from(icmp.len() + quote.len()).ok()?;
    let mut outer =
        Ipv4Header::new(length, HOPS, IpNumber::ICMP, header.destination(), header.source()).ok()?;
    outer.dscp = DSCP.try_into().ok()?;
    outer.header_checksum = outer.calc_header_checksum();
    Some([&outer.to_bytes(), &icmp[..], quote].concat())
}

fn ipv6(packet: &[u8], longest: u16) -> Option<Vec<u8>> {
    let header = Ipv6HeaderSlice::from_slice(packet).ok()?;
    let sender = header.source_addr();
    let is_no_host = sender.is_multicast() || sender.is_unspecified() || sender.is_loopback();
    if header.next_header() == IpNumber::IPV6_ICMP || is_no_host {
        return None;
    }
    let length = usize::from(header.payload_length()) + header.slice().len();
    let quote = packet.get(..length.min(QUOTE_IPV6))?;
    let (source, destination) = (header.destination(), header.source());
    let told = Icmpv6Type::PacketTooBig { mtu: longest.into() };
    let icmp = Icmpv6Header::with_checksum(told, source, destination, quote).ok()?.to_bytes();
    let outer = Ipv6Header {
        traffic_class: DSCP << 2,
        payload_length: u16::try_from(icmp.len() + quote.len()).ok()?,
        next_header: IpNumber::IPV6_ICMP,
        hop_limit: HOPS,
        source,
        destination,
        ..Ipv6Header::default()
    };
    Some([&outer.to_bytes(), &icmp[..], quote].concat())
}

/// How many may be told at once, and how many every second: as Linux tells (icmp_msgs_burst, icmp_msgs_per_sec).
const BURST: u32 = 50;
const INTERVAL: Duration = Duration::from_millis(1);

/// How many may still be told.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u32,
    /// Up to when it was paid out.
    since: Instant,
}

impl Allowance {
    pub(super) const fn new() -> Self {
        Self { left: BURST, since: Instant::from_nanos(0) }
    }

    /// Takes one, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let due = now.saturating_since(self.since).as_nanos() / INTERVAL.as_nanos();
        if due > 0 {
            self.left = u32::try_from(due).unwrap_or(BURST).saturating_add(self.left).min(BURST);
            self.since = now;
        }
        let is_allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_at_a_bounded_rate_after_a_burst() {
        let mut allowance = Allowance::new();
        let mut taken = |ms: u64| {
            let now = Instant::from_nanos(ms * 1_000_000);
            (0..1000).filter(|_| allowance.take(now)).count()
        };
        assert_eq!([5000, 5000, 5001, 5002, 5012, 9000].map(&mut taken), [50, 0, 1, 1, 10, 50]);
    }
}
