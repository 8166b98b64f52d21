//! What is for a service: TCP and UDP to a port that the agent has configured, and ICMP errors about its answers. The engine
//! decides about the first packets of a flow, and this program forwards the others as it has decided.

use aya_ebpf::programs::XdpContext;
use baton_common::flow::{TRANSLATED, TUNNELLED};
use baton_common::verdict::Verdict;
use baton_common::vrid::Family;

use crate::classify::{ETH_DESTINATION, ETH_SOURCE, Link};
use crate::ip::{self, DESTINATION, FRAGMENT, IPV4, IPV6, Ip, SOURCE};
use crate::lines::FlowKey;
use crate::maps::{self, KnownFlow};
use crate::nat;
use crate::packet::Frame;
use crate::tunnel::{self, ETHERNET};

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
/// The number of the IPv6 extension header that a fragment has, whose first octet is the protocol.
const FRAGMENTED: u8 = 44;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// What ICMP has before the packet that it is about, and the types that are about one: destination unreachable, time exceeded,
/// parameter problem; over IPv6 also packet too big.
const ICMP_HEADER: usize = 8;
const ICMP_ERRORS: [u8; 3] = [3, 11, 12];
const ICMPV6_ERRORS: [u8; 4] = [1, 2, 3, 4];

/// Where the flags are in a TCP header, and those that begin or end a connection: FIN, SYN, RST.
const FLAGS: usize = 13;
const TURNING: u8 = 0x07;

/// The verdict about the packet behind `link`, to a VIP of an owned virtual router; `None` if it is for no service, as what
/// has other IPv6 extension headers than that of a fragment.
#[inline(always)]
pub(crate) fn received<const FAMILY: u8>(ctx: &XdpContext, link: &Link, now: u64) -> Option<Verdict> {
    let mut known = None;
    let verdict = judge::<FAMILY>(ctx, link, &mut known)?;
    let forwarded = known.and_then(|known| match known.way {
        TRANSLATED => nat::to_backend::<FAMILY>(ctx, link, &known, now),
        _ => forward::<FAMILY>(ctx, link, &known, now),
    });
    Some(forwarded.unwrap_or(verdict))
}

/// What is to become of the packet, unless its flow turns out to be `known`. The stack has no room for this and what wraps packets.
#[inline(never)]
fn judge<const FAMILY: u8>(ctx: &XdpContext, link: &Link, known: &mut Option<KnownFlow>) -> Option<Verdict> {
    let frame = &Frame::received(ctx);
    let (destination, protocol, at) = transport::<FAMILY>(frame, link)?;
    let may_be_known = match protocol {
        TCP => !is_turning(frame, at)?,
        UDP => true,
        FRAGMENTED => return fragment(frame, link, destination, at),
        _ => return is_about_service::<FAMILY>(frame, link, destination, protocol, at),
    };
    let [a, b, c, d] = *frame.get::<4>(at)?;
    let ports = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
    let flow = FlowKey::new([ip::source::<FAMILY>(frame, link)?, destination], ports, protocol);
    if may_be_known && let Some(flow) = maps::known_flow(&flow) {
        *known = Some(flow);
        return Some(Verdict::VipBalanced);
    }
    let is_for_service = maps::is_frontend(link.vlan, destination, protocol, ports[1]);
    is_for_service.then_some(Verdict::VipBalanced)
}

/// Sends the frame to the backend of its flow. `None` if the engine has to: what is to be wrapped and is too long for that, or has
/// VLAN tags.
#[inline(never)]
fn forward<const FAMILY: u8>(ctx: &XdpContext, link: &Link, known: &KnownFlow, now: u64) -> Option<Verdict> {
    let exit = known.exit()?;
    let octets = ip::octets::<FAMILY>(ctx, link)?;
    let frame = &mut Frame::received(ctx);
    if known.way == TUNNELLED {
        if link.payload != ETHERNET {
            return None;
        }
        tunnel::wrap::<FAMILY>(ctx, known.backend(), &known.hop, &exit.mac)?;
    } else {
        frame.set(ETH_DESTINATION, &known.hop)?;
        frame.set(ETH_SOURCE, &exit.mac)?;
    }
    known.note(octets, now);
    Some(exit.take())
}

/// An ICMP error about what a service has sent is for the backend that has sent it, which the engine finds.
#[inline(always)]
fn is_about_service<const FAMILY: u8>(
    frame: &Frame<'_>,
    link: &Link,
    destination: Ip,
    protocol: u8,
    at: usize,
) -> Option<Verdict> {
    let Quoted { ends: [source, _], ports: [port, _], protocol } = quoted::<FAMILY>(frame, protocol, at)?;
    let is_ours = source == destination && maps::is_frontend(link.vlan, destination, protocol, port);
    is_ours.then_some(Verdict::VipBalanced)
}

/// A TCP or UDP packet that an ICMP error is about.
pub(crate) struct Quoted {
    /// Source and destination.
    pub(crate) ends: [Ip; 2],
    pub(crate) ports: [u16; 2],
    pub(crate) protocol: u8,
}

/// What the ICMP error at `at` is about, if the packet of this `protocol` is one.
#[inline(always)]
pub(crate) fn quoted<const FAMILY: u8>(frame: &Frame<'_>, protocol: u8, at: usize) -> Option<Quoted> {
    let kind = frame.get::<1>(at)?[0];
    let is_error = if FAMILY == Family::Ipv6 as u8 {
        protocol == ICMPV6 && ICMPV6_ERRORS.contains(&kind)
    } else {
        protocol == ICMP && ICMP_ERRORS.contains(&kind)
    };
    if !is_error {
        return None;
    }
    let quoted = at + ICMP_HEADER;
    let (ends, protocol, ports) = if FAMILY == Family::Ipv6 as u8 {
        let protocol = frame.get::<IPV6>(quoted)?[6];
        let ends = [Ip::read(frame, quoted + SOURCE)?, Ip::read(frame, quoted + DESTINATION)?];
        (ends, protocol, quoted + IPV6)
    } else {
        let header = frame.get::<IPV4>(quoted)?;
        let source = Ip::mapped([header[12], header[13], header[14], header[15]]);
        let destination = Ip::mapped([header[16], header[17], header[18], header[19]]);
        let length = usize::from(header[0] & 0x0f) * 4;
        ([source, destination], header[9], frame.blur::<256>(quoted + length))
    };
    let [a, b, c, d] = *frame.get::<4>(ports)?;
    let ports = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
    matches!(protocol, TCP | UDP).then_some(Quoted { ends, ports, protocol })
}

/// Whether a TCP segment begins or ends a connection.
#[inline(always)]
pub(crate) fn is_turning(frame: &Frame<'_>, at: usize) -> Option<bool> {
    Some(frame.get::<1>(at + FLAGS)?[0] & TURNING != 0)
}

/// Only the first fragment has ports, and which service the others are for is not known.
#[inline(always)]
fn fragment(frame: &Frame<'_>, link: &Link, destination: Ip, at: usize) -> Option<Verdict> {
    let protocol = frame.get::<1>(at)?[0];
    let is_ours = matches!(protocol, TCP | UDP) && maps::has_services(link.vlan, destination, protocol);
    is_ours.then_some(Verdict::VipFragment)
}

/// The destination of the packet behind `link`, the protocol, and where what that carries begins. Of a fragment the protocol is
/// [`FRAGMENTED`], and its own protocol stands there.
#[inline(always)]
pub(crate) fn transport<const FAMILY: u8>(frame: &Frame<'_>, link: &Link) -> Option<(Ip, u8, usize)> {
    if FAMILY == Family::Ipv6 as u8 { ipv6(frame, link) } else { ipv4(frame, link) }
}

#[inline(always)]
fn ipv4(frame: &Frame<'_>, link: &Link) -> Option<(Ip, u8, usize)> {
    let header = frame.get::<IPV4>(link.payload)?;
    let length = usize::from(header[0] & 0x0f) * 4;
    let destination = Ip::mapped([header[16], header[17], header[18], header[19]]);
    if u16::from_be_bytes([header[6], header[7]]) & FRAGMENT != 0 {
        return Some((destination, FRAGMENTED, link.payload + 9));
    }
    (length >= IPV4).then(|| (destination, header[9], frame.blur::<128>(link.payload + length)))
}

#[inline(always)]
fn ipv6(frame: &Frame<'_>, link: &Link) -> Option<(Ip, u8, usize)> {
    let protocol = frame.get::<IPV6>(link.payload)?[6];
    Some((Ip::read(frame, link.payload + DESTINATION)?, protocol, link.payload + IPV6))
}
