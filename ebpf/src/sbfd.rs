//! Seamless BFD (RFC 7880, RFC 7881): the reflector, which tells probes whether this host owns a virtual router, and the
//! cells for the answers to this host's own probes.

use aya_ebpf::programs::XdpContext;
use baton_common::maps::MAX_ROUTERS;
use baton_common::sbfd::{
    AUTHENTICATION, Answer, CONTROL, DEMAND, DIAGNOSTIC_ADMIN_DOWN, FINAL, FIRST_SOURCE_PORT, MULTIPOINT,
    POLL, PORT, STATE_MASK, STATE_UP, TRAILER, VERSION_1,
};
use baton_common::verdict::Verdict;
use baton_common::vrid::Family;

use crate::checksum::Sum;
use crate::classify::{ETH_DESTINATION, ETH_SOURCE, Link, is_group};
use crate::ip::{DESTINATION, FRAGMENT, HOPS, IPV4, IPV6, Ip, Packet, SOURCE};
use crate::maps::{self, Availability};
use crate::packet::Frame;

/// The IP protocol number of UDP.
pub(crate) const PROTOCOL: u8 = 17;

const UDP: usize = 8;
/// IPv4, five words of header.
const VERSION_AND_LENGTH: u8 = 0x45;
/// The bits of a Control packet's first octet that are its version.
const VERSION_MASK: u8 = 0xe0;

/// The shortest interval that this host takes probes in, in us (RFC 7880 7.2.2): a probe costs some 50 ns.
const REQUIRED_MIN_RX_US: u32 = 50;

/// Where the fields are in the UDP datagram.
const CONTROL_AT: usize = UDP;
const MY_DISCRIMINATOR_AT: usize = CONTROL_AT + 4;
const TRAILER_AT: usize = UDP + CONTROL;

/// An S-BFD packet that is sound as far as IP, UDP and RFC 5880 6.8.6 go.
struct Sbfd {
    ip: Packet,
    ports: [u8; 4],
    /// Whether Baton's trailer follows.
    has_trailer: bool,
    /// State and flags.
    flags: u8,
    my_discriminator: [u8; 4],
    your_discriminator: [u8; 4],
}

/// The verdict about a UDP datagram to an address that this host advertises from; `None` if it is not about S-BFD.
#[inline(never)]
pub(crate) fn received<const FAMILY: u8>(ctx: &XdpContext, link: &Link) -> Option<Verdict> {
    let frame = &mut Frame::received(ctx);
    let header = header::<FAMILY>(frame, link)?;
    let [s0, s1, d0, d1] = *frame.get::<4>(link.payload + header)?;
    let (source_port, destination_port) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
    let slot = u32::from(destination_port.wrapping_sub(FIRST_SOURCE_PORT));
    let is_probe = destination_port == PORT;
    if !is_probe && (source_port != PORT || slot >= MAX_ROUTERS) {
        return None;
    }
    let judged = Sbfd::parse::<FAMILY>(frame, link).and_then(|packet| match is_probe {
        // RFC 7881 6: a probe from the reflectors' port could make two of them answer each other for ever.
        true if source_port == PORT => None,
        true => probed(frame, link, &packet),
        false => answered(frame, link, &packet, slot),
    });
    Some(judged.unwrap_or(Verdict::SbfdDiscarded))
}

/// Octets of the IP header. What has options or comes in fragments is none of Baton's, and without looking on it cannot be
/// told what it is.
#[inline(always)]
fn header<const FAMILY: u8>(frame: &Frame<'_>, link: &Link) -> Option<usize> {
    if FAMILY == Family::Ipv6 as u8 {
        return Some(IPV6);
    }
    let ip = frame.get::<IPV4>(link.payload)?;
    (ip[0] == VERSION_AND_LENGTH && u16::from_be_bytes([ip[6], ip[7]]) & FRAGMENT == 0).then_some(IPV4)
}

impl Sbfd {
    /// Parses and checks what probes and answers have in common.
    #[inline(always)]
    fn parse<const FAMILY: u8>(frame: &Frame<'_>, link: &Link) -> Option<Self> {
        let mut ip = Packet::parse::<FAMILY>(frame, link)?;
        // Where it is for certain: there are no options.
        ip.at = link.payload + header::<FAMILY>(frame, link)?;
        // 0/8 and 127/8 are on no wire.
        let is_nobody = FAMILY == Family::Ipv4 as u8 && matches!(ip.source.ipv4()[0], 0 | 127);
        // RFC 5881 5, which RFC 7881 leaves open.
        if ip.hops != HOPS || ip.source == ip.destination || is_nobody || ip.source == Ip::NONE {
            return None;
        }
        let udp = frame.get::<{ UDP + CONTROL }>(ip.at)?;
        let length = usize::from(u16::from_be_bytes([udp[4], udp[5]]));
        // With Baton's trailer or without. There is no authentication to be had, which would be longer.
        let has_trailer = length == UDP + CONTROL + TRAILER;
        if (!has_trailer && length != UDP + CONTROL) || ip.length != length {
            return None;
        }
        let [version, flags, multiplier, control_length] = [udp[8], udp[9], udp[10], udp[11]];
        let my_discriminator = [udp[12], udp[13], udp[14], udp[15]];
        if version & VERSION_MASK != VERSION_1
            || usize::from(control_length) != CONTROL
            || multiplier == 0
            || flags & (AUTHENTICATION | MULTIPOINT) != 0
            || my_discriminator == [0; 4]
        {
            return None;
        }
        // RFC 768: over IPv4 a sender need not make a checksum. RFC 8200 8.1: over IPv6 he must.
        let checksum = [udp[6], udp[7]];
        let needs_one = FAMILY == Family::Ipv6 as u8;
        let packet = Self {
            ip,
            ports: [udp[0], udp[1], udp[2], udp[3]],
            has_trailer,
            flags,
            my_discriminator,
            your_discriminator: [udp[16], udp[17], udp[18], udp[19]],
        };
        let is_sound = if checksum == [0, 0] { !needs_one } else { packet.sum(frame)?.is_correct() };
        is_sound.then_some(packet)
    }

    /// The sum over the datagram and its pseudo-header.
    #[inline(always)]
    fn sum(&self, frame: &Frame<'_>) -> Option<Sum> {
        let sum = Sum::new().add_all(frame.get::<{ UDP + CONTROL }>(self.ip.at)?);
        if !self.has_trailer {
            return Some(self.ip.covered(sum, PROTOCOL, UDP + CONTROL));
        }
        let trailer = frame.get::<TRAILER>(self.ip.at + TRAILER_AT)?;
        Some(self.ip.covered(sum.add_all(trailer), PROTOCOL, UDP + CONTROL + TRAILER))
    }
}

/// Turns a probe into its answer (RFC 7880 7.2.2, RFC 7881 6.1).
///
/// The answer leaves from the device's own MAC, even if the probe came to a virtual MAC: switches must not learn that
/// from a host that says it does not own it.
#[inline(always)]
fn probed(frame: &mut Frame<'_>, link: &Link, packet: &Sbfd) -> Option<Verdict> {
    let asker = *frame.get::<6>(ETH_SOURCE)?;
    // RFC 7880 7.2.3: what is not a probe must not be answered. Nor has anybody a group address.
    if packet.flags & DEMAND == 0 || is_group(&asker) {
        return None;
    }
    let Some(slot) = maps::slot_of_discriminator(link.vlan, packet.ip.family, packet.your_discriminator)
    else {
        return Some(Verdict::SbfdUnknown);
    };
    let availability = maps::availability(slot, packet.ip.source);
    let (diagnostic, state, lease_left) = match availability {
        Availability::Up(left) => (0, STATE_UP, left),
        Availability::Down | Availability::Offered => (DIAGNOSTIC_ADMIN_DOWN, 0, 0),
    };
    let last = if packet.flags & POLL == 0 { 0 } else { FINAL };
    let at = packet.ip.at;
    if packet.has_trailer {
        let [priority, ..] = *frame.get::<8>(at + TRAILER_AT + 4)?;
        // Only a session that is up stands by; one that has only begun may belong to anybody.
        let next = packet.flags & STATE_MASK == STATE_UP
            && (maps::is_next_in_line(slot, priority, packet.ip.source)?
                || matches!(availability, Availability::Offered));
        let [a, b, c, d] = lease_left.to_be_bytes();
        frame.set(at + TRAILER_AT + 4, &[0, u8::from(next), 0, 0, a, b, c, d])?;
    }

    frame.set(ETH_DESTINATION, &asker)?;
    frame.set(ETH_SOURCE, &maps::device_mac()?)?;
    // Swapped addresses and ports leave the checksums as they are.
    let (source, destination) = (packet.ip.source, packet.ip.destination);
    match packet.ip.family {
        Family::Ipv4 => {
            let ([s0, s1, s2, s3], [d0, d1, d2, d3]) = (source.ipv4(), destination.ipv4());
            frame.set(link.payload + 12, &[d0, d1, d2, d3, s0, s1, s2, s3])?;
        }
        Family::Ipv6 => {
            destination.write(frame, link.payload + SOURCE)?;
            source.write(frame, link.payload + DESTINATION)?;
        }
    }
    let [p0, p1, p2, p3] = packet.ports;
    frame.set(at, &[p2, p3, p0, p1])?;
    frame.set(at + CONTROL_AT, &[VERSION_1 | diagnostic, state | last])?;
    let ([m0, m1, m2, m3], [y0, y1, y2, y3]) = (packet.my_discriminator, packet.your_discriminator);
    frame.set(at + MY_DISCRIMINATOR_AT, &[y0, y1, y2, y3, m0, m1, m2, m3])?;
    let [r0, r1, r2, r3] = REQUIRED_MIN_RX_US.to_be_bytes();
    // Required Min RX, and a Required Min Echo RX of 0: there is no echo function.
    frame.set(at + CONTROL_AT + 16, &[r0, r1, r2, r3, 0, 0, 0, 0])?;
    frame.set(at + 6, &[0, 0])?;
    let checksum = match packet.sum(frame)?.field() {
        // RFC 768: 0 would say that there is none.
        0 => 0xffff_u16,
        checksum => checksum,
    };
    frame.set(at + 6, &checksum.to_be_bytes())?;
    Some(if state == STATE_UP { Verdict::SbfdUp } else { Verdict::SbfdAdminDown })
}

/// Keeps the answer to a probe about the virtual router at `slot` (RFC 7880 7.3.3).
#[inline(always)]
fn answered(frame: &Frame<'_>, link: &Link, packet: &Sbfd, slot: u32) -> Option<Verdict> {
    if packet.flags & DEMAND != 0 || !matches!(packet.flags & STATE_MASK, 0 | STATE_UP) {
        return None;
    }
    // An answer without the trailer comes from a reflector that is not Baton's, and says nothing of any lease.
    if !packet.has_trailer {
        return None;
    }
    if maps::slot_of_discriminator(link.vlan, packet.ip.family, packet.your_discriminator) != Some(slot) {
        return Some(Verdict::SbfdUnknown);
    }
    let at = packet.ip.at;
    let required_min_rx_us = u32::from_be_bytes(*frame.get::<4>(at + CONTROL_AT + 16)?);
    let [q0, q1, q2, q3, _, next_in_line, _, _, l0, l1, l2, l3] = *frame.get::<TRAILER>(at + TRAILER_AT)?;
    let answer = Answer {
        arrived_ns: 0,
        sequence: u32::from_be_bytes([q0, q1, q2, q3]),
        discriminator: u32::from_be_bytes(packet.my_discriminator),
        lease_left_us: u32::from_be_bytes([l0, l1, l2, l3]),
        required_min_rx_us,
        state: packet.flags,
        next_in_line,
        _pad: [0; 6],
    };
    maps::keep_answer(slot, &answer)?;
    Some(Verdict::SbfdAnswer)
}
