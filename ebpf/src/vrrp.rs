//! Advertisements of VRRPv3 over both families, and of VRRPv2: the checks of RFC 9568 7.1, with errata 8299, 8300 and 8301,
//! and of RFC 3768 7.1.

use aya_ebpf::programs::XdpContext;
use baton_common::maps::{ACCEPT_PSEUDO, ACCEPT_RFC9568, ACCEPT_V2, ACCEPT_V3, NO_AUTHENTICATION, Router};
use baton_common::verdict::Verdict;
use baton_common::vrid::Family;

use crate::checksum::Sum;
use crate::classify::{ETH_SOURCE, Link};
use crate::ip::{Ip, Packet};
use crate::maps::{self, Advert};
use crate::packet::Frame;

/// The IP protocol number (RFC 9568 5.1.1.4).
pub(crate) const PROTOCOL: u8 = 112;

const VERSION_2: u8 = 2;
const VERSION_3: u8 = 3;
const ADVERTISEMENT: u8 = 1;
/// The longest interval that VRRPv3 knows, which is shorter than VRRPv2's (RFC 9568 5.2.7).
const LONGEST_CS: u16 = 4095;
/// The message without addresses (RFC 9568 5.1).
const HEADER: usize = 8;
/// What follows the addresses in VRRPv2 (RFC 3768 5.1).
const PASSWORD: usize = 8;
/// The longest messages, 255 addresses, in 32-bit words; over IPv6 no Ethernet frame holds so many.
const MAX_WORDS4: usize = (HEADER + 255 * 4 + PASSWORD) / 4;
const MAX_WORDS6: usize = (HEADER + 90 * 16) / 4;

/// The verdict about a packet of protocol 112 to a multicast group, or to this host's own address.
#[inline(never)]
pub(crate) fn received<const FAMILY: u8>(ctx: &XdpContext, link: &Link) -> Verdict {
    judge::<FAMILY>(&Frame::received(ctx), link).unwrap_or_else(|broken| broken)
}

/// `Err` for every check that fails.
///
/// The checks go from cheap to costly, except that the VRID comes before all that depends on the version of VRRP: the
/// message may be for another implementation on this host. The address list is the agent's business.
#[inline(always)]
fn judge<const FAMILY: u8>(frame: &Frame<'_>, link: &Link) -> Result<Verdict, Verdict> {
    let packet = Packet::parse::<FAMILY>(frame, link).ok_or(Verdict::VrrpIpHeader)?;
    if packet.length < HEADER {
        return Err(Verdict::VrrpLength);
    }
    let message = frame.get::<HEADER>(packet.at).ok_or(Verdict::VrrpLength)?;
    let router = maps::router(link.vlan, packet.family, message[1]).ok_or(Verdict::VrrpUnknownRouter)?;
    if packet.source == Ip::of(router.primary) {
        return Err(Verdict::VrrpOwn);
    }
    let is_unicast = !packet.destination.is_group();
    let multicast = Ip::of(router.multicast);
    let is_astray = is_unicast && packet.destination != Ip::of(router.primary);
    if is_astray || is_unicast == multicast.is_group() {
        return Err(Verdict::VrrpDestination);
    }
    if !is_unicast && packet.destination != multicast {
        // Those who advertise to another group are another virtual router.
        return Err(Verdict::VrrpUnknownRouter);
    }
    if is_unicast && !maps::is_peer(router.slot, packet.source) {
        return Err(Verdict::VrrpNotPeer);
    }
    if packet.hops < router.least_hops {
        return Err(Verdict::VrrpTtl);
    }
    let version = message[0] >> 4;
    let flag = match version {
        VERSION_2 => ACCEPT_V2,
        VERSION_3 => ACCEPT_V3,
        _ => 0,
    };
    if router.versions & flag == 0 {
        return Err(Verdict::VrrpVersion);
    }
    let is_v2 = version == VERSION_2;
    if message[0] & 0x0f != ADVERTISEMENT {
        return Err(Verdict::VrrpType);
    }
    let rest = if is_v2 { PASSWORD } else { 0 };
    let of_one = if FAMILY == Family::Ipv6 as u8 { 16 } else { 4 };
    // RFC 9568 5.2.5 and erratum 8299: no address, no advertisement. The RFC asks for the complete packet;
    // octets beyond it are no part of any advertisement.
    let addresses = usize::from(message[3]);
    if addresses == 0 || packet.length != HEADER + of_one * addresses + rest {
        return Err(Verdict::VrrpLength);
    }
    // keepalived wants no such address of unicast peers.
    if packet.family == Family::Ipv6 && !is_unicast {
        let first = Ip::read(frame, packet.at + HEADER).ok_or(Verdict::VrrpLength)?;
        if !first.is_link_local() {
            return Err(Verdict::VrrpAddress);
        }
    }
    let interval_cs = interval(router, is_v2, message)?;
    if is_v2 {
        authentic(frame, &packet, router, message)?;
    }
    let priority = message[2];
    let accepted = if is_v2 { ACCEPT_RFC9568 } else { router.checksums };
    let checksum = match packet.family {
        Family::Ipv4 => checksum::<MAX_WORDS4>(frame, &packet, accepted)?,
        Family::Ipv6 => checksum::<MAX_WORDS6>(frame, &packet, accepted)?,
    };
    let checksum = if is_v2 { 0 } else { checksum };

    let mac = *frame.get::<6>(ETH_SOURCE).ok_or(Verdict::VrrpIpHeader)?;
    let advert = Advert { source: packet.source, mac, interval_cs, priority, version, checksum };
    // A router without a mailbox is one that the agent has not set up.
    maps::deliver(router.slot, &advert).ok_or(Verdict::VrrpUnknownRouter)?;
    Ok(Verdict::VrrpReceived)
}

/// The interval that the message names, in centiseconds.
#[inline(always)]
fn interval(router: &Router, is_v2: bool, message: &[u8; HEADER]) -> Result<u16, Verdict> {
    if is_v2 {
        // RFC 3768 7.1: one that is not ours is an error. RFC 9568 8.4.2: where version 3 is spoken too, it is learned.
        let seconds = message[5];
        let is_ours = router.interval_s == 0 || u32::from(seconds) == router.interval_s;
        let interval_cs = (u16::from(seconds) * 100).min(LONGEST_CS);
        return (seconds != 0 && is_ours).then_some(interval_cs).ok_or(Verdict::VrrpInterval);
    }
    // Erratum 8301. The upper four bits are reserved and ignored (RFC 9568 5.2.6).
    let interval_cs = u16::from_be_bytes([message[4], message[5]]) & 0x0fff;
    if interval_cs == 0 { Err(Verdict::VrrpInterval) } else { Ok(interval_cs) }
}

/// Which of the `accepted` checksums the message has: over the message alone (RFC 9568 5.2.8, RFC 3768 5.3.8), or with a
/// pseudo-header before it, as keepalived and FRR read RFC 5798. Over IPv6 that is the only one, and the RFC's.
#[inline(always)]
fn checksum<const MAX: usize>(frame: &Frame<'_>, packet: &Packet, accepted: u32) -> Result<u32, Verdict> {
    // First, so that nothing depends on the length afterwards, of which the verifier knows what the loop has found.
    let pseudo_header = packet.covered(Sum::new(), PROTOCOL, packet.length);
    let sum = Sum::of::<MAX>(frame, packet.at, packet.length / 4).ok_or(Verdict::VrrpLength)?;
    let is_covered = sum.plus(pseudo_header).is_correct();
    let found = match packet.family {
        Family::Ipv6 => is_covered.then_some(ACCEPT_RFC9568),
        Family::Ipv4 if accepted & ACCEPT_RFC9568 != 0 && sum.is_correct() => Some(ACCEPT_RFC9568),
        Family::Ipv4 => (accepted & ACCEPT_PSEUDO != 0 && is_covered).then_some(ACCEPT_PSEUDO),
    };
    found.ok_or(Verdict::VrrpChecksum)
}

/// RFC 3768 7.1: the authentication must be ours. The password is compared as a whole, whatever its first octets are.
#[inline(always)]
fn authentic(
    frame: &Frame<'_>,
    packet: &Packet,
    router: &Router,
    message: &[u8; HEADER],
) -> Result<(), Verdict> {
    let at = frame.blur::<2048>(packet.at + packet.length - PASSWORD);
    let password = *frame.get::<PASSWORD>(at).ok_or(Verdict::VrrpLength)?;
    let is_ours = router.authentication == NO_AUTHENTICATION
        || u64::from_ne_bytes(password) == u64::from_ne_bytes(router.password);
    (message[4] == router.authentication && is_ours).then_some(()).ok_or(Verdict::VrrpAuthentication)
}
