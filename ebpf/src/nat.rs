//! Packets for backends that know nothing of the virtual address get other ends, and their answers those of the service (RFC 3022), as
//! the engine has decided. The engine does the same to packets that are left to it.

use aya_ebpf::programs::XdpContext;
use baton_common::verdict::Verdict;
use baton_common::vrid::Family;

use crate::balance::{self, Quoted, TCP, UDP};
use crate::checksum::Sum;
use crate::classify::{ETH_DESTINATION, ETH_SOURCE, Link};
use crate::ip::{self, IPV4_SOURCE, Ip, SOURCE};
use crate::lines::FlowKey;
use crate::maps::{self, KnownAnswer, KnownFlow};
use crate::packet::Frame;

/// Where the TTL is in an IPv4 header, and its checksum; and the Hop Limit of IPv6.
const TTL: usize = 8;
const HEADER_CHECKSUM: usize = 10;
const HOP_LIMIT: usize = 7;

/// Where the checksum is in a TCP header, and in that of UDP.
const TCP_CHECKSUM: usize = 16;
const UDP_CHECKSUM: usize = 6;

/// Makes the packet of a known flow one for its backend, and sends it there. `None`, and the frame is as it was, if the engine has to
/// look at it: it comes from where the flow has not come from before, or has passed too many routers.
#[inline(never)]
pub(crate) fn to_backend<const FAMILY: u8>(
    ctx: &XdpContext,
    link: &Link,
    known: &KnownFlow,
    now: u64,
) -> Option<Verdict> {
    let frame = &mut Frame::received(ctx);
    let (nat, exit) = (maps::nat(known.backend())?, known.exit()?);
    let (port, client_mac) = known.translated_from()?;
    if *frame.get::<6>(ETH_SOURCE)? != client_mac {
        return None;
    }
    let (_, _, at) = balance::transport::<FAMILY>(frame, link)?;
    let [_, _, high, low] = *frame.get::<4>(at)?;
    let service_port = u16::from_be_bytes([high, low]);
    let [source, destination] =
        [nat.source, nat.destination].map(|address| Ip::of(address).halves().map(u64::from_ne_bytes));
    let ends = Ends {
        addresses: [source, destination],
        keeps_source: source == [0, 0],
        ports: [port, if nat.port == 0 { service_port } else { nat.port }],
    };
    let octets = ip::octets::<FAMILY>(ctx, link)?;
    translate::<FAMILY>(ctx, link, &ends)?;
    let frame = &mut Frame::received(ctx);
    frame.set(ETH_DESTINATION, &known.hop)?;
    frame.set(ETH_SOURCE, &exit.mac)?;
    known.note(octets, now);
    Some(exit.take())
}

/// The verdict about a packet that came in by this arm and is for none of the virtual addresses; `None` if it answers nothing that was
/// translated.
#[inline(never)]
pub(crate) fn received<const FAMILY: u8>(ctx: &XdpContext, link: &Link, arm: u32) -> Option<Verdict> {
    let mut known = None;
    let verdict = judge::<FAMILY>(ctx, link, arm, &mut known)?;
    let forwarded = known.and_then(|known| to_client::<FAMILY>(ctx, link, arm, &known));
    Some(forwarded.unwrap_or(verdict))
}

/// What is to become of the packet, unless what it answers turns out to be `known`.
#[inline(never)]
fn judge<const FAMILY: u8>(
    ctx: &XdpContext,
    link: &Link,
    arm: u32,
    known: &mut Option<KnownAnswer>,
) -> Option<Verdict> {
    let frame = &Frame::received(ctx);
    let (flow, is_plain) = answer::<FAMILY>(frame, link)?;
    let answer = maps::known_answer(&flow)?;
    let slot = maps::slot_of_vip(link.vlan, answer.vip()?)?;
    let Some(owner) = maps::owner(slot) else { return Some(Verdict::VipNotOwner) };
    let destination = *frame.get::<6>(ETH_DESTINATION)?;
    // On another arm a gateway has one of its own, and has the frame readdressed.
    let is_to_vip = arm == maps::HOME && destination == owner.mac;
    if destination != maps::arm_mac(arm)? && !is_to_vip {
        // Somebody else's frame, as in `vip`.
        return None;
    }
    if is_plain && maps::caches_flows() {
        *known = Some(answer);
    }
    Some(Verdict::VipBalanced)
}

/// The flow of the answer that the packet is, and that it begins and ends nothing; or of the answer to the packet that it is an ICMP
/// error about.
#[inline(always)]
fn answer<const FAMILY: u8>(frame: &Frame<'_>, link: &Link) -> Option<(FlowKey, bool)> {
    let (destination, protocol, at) = balance::transport::<FAMILY>(frame, link)?;
    if !matches!(protocol, TCP | UDP) {
        let Quoted { ends, ports, protocol } = balance::quoted::<FAMILY>(frame, protocol, at)?;
        let ([source, end], [source_port, destination_port]) = (ends, ports);
        // An error is for whoever has sent what it is about.
        let flow = FlowKey::new([end, source], [destination_port, source_port], protocol);
        return (source == destination).then_some((flow, false));
    }
    let is_plain = protocol == UDP || !balance::is_turning(frame, at)?;
    let [a, b, c, d] = *frame.get::<4>(at)?;
    let ports = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
    Some((FlowKey::new([ip::source::<FAMILY>(frame, link)?, destination], ports, protocol), is_plain))
}

/// Makes an answer one of the service, and sends it to the client. `None` as in [`to_backend`].
#[inline(never)]
fn to_client<const FAMILY: u8>(
    ctx: &XdpContext,
    link: &Link,
    arm: u32,
    known: &KnownAnswer,
) -> Option<Verdict> {
    let exit = maps::Exit::new(arm, maps::HOME)?;
    let (flow, client_mac) = known.flow()?;
    let [client_high, client_low, vip_high, vip_low, rest] = flow;
    let [a, b, c, d, ..] = rest.to_ne_bytes();
    let ends = Ends {
        addresses: [[vip_high, vip_low], [client_high, client_low]],
        keeps_source: false,
        ports: [[c, d], [a, b]].map(u16::from_ne_bytes),
    };
    let octets = ip::octets::<FAMILY>(ctx, link)?;
    translate::<FAMILY>(ctx, link, &ends)?;
    let frame = &mut Frame::received(ctx);
    frame.set(ETH_DESTINATION, &client_mac)?;
    frame.set(ETH_SOURCE, &exit.mac)?;
    known.note(octets);
    Some(exit.take())
}

/// Where a packet is to come from and to go to.
struct Ends {
    /// The words of both addresses, as they stand in memory.
    addresses: [[u64; 2]; 2],
    /// Whether it comes from where it has come from.
    keeps_source: bool,
    ports: [u16; 2],
}

/// Gives a TCP or UDP packet these ends, and takes one off its TTL. `None`, and the frame is as it was, if it would not be left any.
///
/// All words are as they stand in memory: their sum is, too, whatever the order of octets (RFC 1071 2).
#[inline(always)]
fn translate<const FAMILY: u8>(ctx: &XdpContext, link: &Link, ends: &Ends) -> Option<()> {
    let frame = &mut Frame::received(ctx);
    let (_, protocol, at) = balance::transport::<FAMILY>(frame, link)?;
    let place = at + if protocol == TCP { TCP_CHECKSUM } else { UDP_CHECKSUM };
    let checksum = u16::from_ne_bytes(*frame.get(place)?);
    let hops_at = link.payload + if FAMILY == Family::Ipv6 as u8 { HOP_LIMIT } else { TTL };
    let hops = frame.get::<1>(hops_at)?[0];
    if hops <= 1 {
        return None;
    }
    let addresses = readdress::<FAMILY>(ctx, link, ends)?;
    if FAMILY == Family::Ipv4 as u8 {
        let header = u16::from_ne_bytes(*frame.get(link.payload + HEADER_CHECKSUM)?);
        let [before, after] = [hops, hops - 1].map(|hops| u64::from(u16::from_ne_bytes([hops, protocol])));
        let mended = addresses.replaced(before, after).mended(header);
        frame.set(link.payload + HEADER_CHECKSUM, &mended.to_ne_bytes())?;
    }
    frame.set(hops_at, &[hops - 1])?;
    let ([a, b], [c, d]) = (ends.ports[0].to_be_bytes(), ends.ports[1].to_be_bytes());
    let before = u64::from(u32::from_ne_bytes(*frame.get(at)?));
    let change = addresses.replaced(before, u64::from(u32::from_ne_bytes([a, b, c, d])));
    frame.set(at, &[a, b, c, d])?;
    // Of a datagram 0 stands for no checksum (RFC 768).
    if protocol == UDP && checksum == 0 {
        return Some(());
    }
    let mended = match change.mended(checksum) {
        0 if protocol == UDP => u16::MAX,
        mended => mended,
    };
    frame.set(place, &mended.to_ne_bytes())
}

/// Gives a packet other addresses. What that is to a sum that covers them.
#[inline(always)]
fn readdress<const FAMILY: u8>(ctx: &XdpContext, link: &Link, ends: &Ends) -> Option<Sum> {
    let [source, destination] = &ends.addresses;
    let (first, octets) = if FAMILY == Family::Ipv6 as u8 { (SOURCE, 16) } else { (IPV4_SOURCE, 4) };
    let mut change = Sum::new();
    if !ends.keeps_source {
        change = replace::<FAMILY>(ctx, link.payload + first, source)?.plus(change);
    }
    Some(replace::<FAMILY>(ctx, link.payload + first + octets, destination)?.plus(change))
}

/// Puts an address to `at` of the frame. What that is to a sum that covers it. A function of its own, for the sake of the stack.
#[inline(always)]
fn replace<const FAMILY: u8>(ctx: &XdpContext, at: usize, address: &[u64; 2]) -> Option<Sum> {
    match replaced::<FAMILY>(ctx, at, address) {
        0 => None,
        sum => Some(Sum::of_nonzero(sum)),
    }
}

/// As [`replace`]; 0 for none.
#[inline(never)]
fn replaced<const FAMILY: u8>(ctx: &XdpContext, at: usize, address: &[u64; 2]) -> u32 {
    let frame = &mut Frame::received(ctx);
    let [high, low] = *address;
    let change = if FAMILY == Family::Ipv6 as u8 {
        let Some(before) = frame.get::<16>(at) else { return 0 };
        let before = Ip::of(*before).halves().map(u64::from_ne_bytes);
        let change = Sum::new().replaced(before[0], high).replaced(before[1], low);
        let after = Ip::of_halves([high, low].map(u64::to_ne_bytes));
        after.write(frame, at).map(|()| change)
    } else {
        let [.., a, b, c, d] = low.to_ne_bytes();
        let Some(before) = frame.get::<4>(at) else { return 0 };
        let [before, after] = [*before, [a, b, c, d]].map(|it| u64::from(u32::from_ne_bytes(it)));
        frame.set(at, &[a, b, c, d]).map(|()| Sum::new().replaced(before, after))
    };
    change.map_or(0, Sum::nonzero)
}
