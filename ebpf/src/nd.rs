//! Neighbour discovery for the VIPs (RFC 4861, RFC 4862 5.4, RFC 9568 8.2).

use aya_ebpf::programs::XdpContext;
use baton_common::verdict::Verdict;
use baton_common::vrid::Family;

use crate::checksum::Sum;
use crate::classify::{ETH_DESTINATION, ETH_SOURCE, Link, is_group};
use crate::ip::{DESTINATION, HOPS, IPV6, Ip, Packet, SOURCE, pseudo_header};
use crate::maps;
use crate::packet::Frame;

/// The protocol number of ICMPv6.
pub(crate) const PROTOCOL: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Either message without its options: type, code, checksum, flags, target.
const MESSAGE: usize = 24;
const TARGET: usize = 8;
/// An option with a link-layer address.
const OPTION: usize = 8;
pub(crate) const ANSWER: usize = MESSAGE + OPTION;
const SOURCE_MAC: u8 = 1;
const TARGET_MAC: u8 = 2;
/// Options of a solicitation that are looked at; nobody sends more than two.
const MAX_OPTIONS: usize = 4;

/// Router: what leads to the VIP is one (RFC 9568 8.2.2). Override: it is here, whatever was known before.
const ROUTER_OVERRIDE: u8 = 0xa0;
const SOLICITED: u8 = 0x40;

/// All nodes of the link, and their MAC.
const ALL_NODES: Ip = Ip::of([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];

/// Who claims an address by a message: the sender of a solicitation, or the target of an advertisement.
pub(crate) struct Claim {
    pub(crate) address: Ip,
    /// The MAC that the message's first option names, if it is such an option.
    pub(crate) mac: Option<[u8; 6]>,
}

impl Claim {
    /// The claim in an ICMPv6 packet, however sound it is.
    #[inline(always)]
    pub(crate) fn parse(frame: &Frame<'_>, link: &Link) -> Option<Self> {
        let at = link.payload + IPV6;
        let [kind, ..] = *frame.get::<MESSAGE>(at)?;
        let (from, option) = match kind {
            SOLICITATION => (link.payload + SOURCE, SOURCE_MAC),
            ADVERTISEMENT => (at + TARGET, TARGET_MAC),
            _ => return None,
        };
        let mac = frame.get::<OPTION>(at + MESSAGE).and_then(|[kind, length, a, b, c, d, e, f]| {
            (*kind == option && *length == 1).then_some([*a, *b, *c, *d, *e, *f])
        });
        Some(Self { address: Ip::read(frame, from)?, mac })
    }
}

/// Whether an ICMPv6 packet solicits or advertises a neighbour.
#[inline(always)]
pub(crate) fn is_discovery(frame: &Frame<'_>, link: &Link) -> bool {
    frame.get::<1>(link.payload + IPV6).is_some_and(|[kind]| matches!(*kind, SOLICITATION | ADVERTISEMENT))
}

/// The verdict about a received ICMPv6 packet; `None` if it is no neighbour discovery about a VIP. A solicitation for an owned
/// VIP is turned into its answer.
#[inline(never)]
pub(crate) fn received(ctx: &XdpContext, link: &Link) -> Option<Verdict> {
    let frame = &Frame::received(ctx);
    let claim = Claim::parse(frame, link)?;
    // The announcement of another owner, or a conflict: neither is the kernel's to learn.
    if maps::slot_of_vip(link.vlan, claim.address).is_some() {
        return Some(Verdict::VipAnnounced);
    }
    let at = link.payload + IPV6;
    let [kind, code] = *frame.get::<2>(at)?;
    if kind != SOLICITATION {
        return None;
    }
    let slot = maps::slot_of_vip(link.vlan, Ip::read(frame, at + TARGET)?)?;
    let packet = Packet::parse::<{ Family::Ipv6 as u8 }>(frame, link)?;
    // What is not sound is not answered by anybody.
    let is_sound = code == 0
        && packet.hops == HOPS
        && !is_group(frame.get::<6>(ETH_SOURCE)?)
        && are_options_sound(frame, &packet);
    if !is_sound || maps::owner_mac(slot).is_none() {
        return Some(Verdict::NdNotOwner);
    }
    let pseudo_header = packet.covered(Sum::new(), PROTOCOL, packet.length);
    let sum = Sum::of::<{ (MESSAGE + MAX_OPTIONS * OPTION) / 4 }>(frame, at, packet.length / 4);
    if !sum.is_some_and(|sum| sum.plus(pseudo_header).is_correct()) {
        return Some(Verdict::NdNotOwner);
    }
    // Where the frame cannot be given room for the answer, there is none, and the asker asks again.
    Some(answer(ctx, link, packet.length, slot).unwrap_or(Verdict::NdNotOwner))
}

/// Whether the options of a solicitation are as RFC 4861 7.1.1 wants them. Who has no address yet asks the group of the
/// target, and cannot say where he is.
#[inline(always)]
fn are_options_sound(frame: &Frame<'_>, packet: &Packet) -> bool {
    let from_nobody = packet.source == Ip::NONE;
    if from_nobody && !packet.destination.is_group() {
        return false;
    }
    let mut left = packet.length.wrapping_sub(MESSAGE);
    if left > MAX_OPTIONS * OPTION || left % OPTION != 0 {
        return false;
    }
    let mut at = packet.at + MESSAGE;
    for _ in 0..MAX_OPTIONS {
        if left == 0 {
            return true;
        }
        let Some([kind, length]) = frame.get::<2>(at) else { return false };
        let octets = usize::from(*length) * OPTION;
        if octets == 0 || octets > left || (from_nobody && *kind == SOURCE_MAC) {
            return false;
        }
        left -= octets;
        at = frame.blur::<256>(at + octets);
    }
    left == 0
}

/// Makes the answer of the frame, whose message has `length` octets. As with ARP the Ethernet source is the device's own MAC,
/// and the message has the one that stands for the VIP.
#[inline(always)]
fn answer(ctx: &XdpContext, link: &Link, length: usize, slot: u32) -> Option<Verdict> {
    let at = link.payload + IPV6;
    let frame = &mut Frame::resized(ctx, at + length, at + ANSWER)?;
    let (mut to, target) = (Ip::read(frame, link.payload + SOURCE)?, Ip::read(frame, at + TARGET)?);
    let mut flags = ROUTER_OVERRIDE | SOLICITED;
    let mut to_mac = *frame.get::<6>(ETH_SOURCE)?;
    // RFC 4861 7.2.4: who asks whether an address is free has none to be answered at.
    if to == Ip::NONE {
        (to, to_mac, flags) = (ALL_NODES, ALL_NODES_MAC, ROUTER_OVERRIDE);
    }
    frame.set(ETH_DESTINATION, &to_mac)?;
    frame.set(ETH_SOURCE, &maps::device_mac()?)?;
    frame.set(link.payload, &[0x60, 0, 0, 0, 0, ANSWER as u8, PROTOCOL, HOPS])?;
    target.write(frame, link.payload + SOURCE)?;
    to.write(frame, link.payload + DESTINATION)?;
    frame.set(at, &[ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0])?;
    let [a, b, c, d, e, f] = maps::owner_mac(slot)?;
    frame.set(at + MESSAGE, &[TARGET_MAC, 1, a, b, c, d, e, f])?;
    let sum = Sum::new().add_all(frame.get::<ANSWER>(at)?);
    let checksum = pseudo_header(sum, [target, to], PROTOCOL, ANSWER).field();
    frame.set(at + 2, &checksum.to_be_bytes())?;
    Some(Verdict::NdAnswered)
}
