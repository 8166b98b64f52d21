//! Advertisements of VRRPv3 over both families, and of VRRPv2: the checks of RFC 9568 7.1, with errata 8299, 8300 and 8301,
//! and of RFC 3768 7.1.

use aya_ebpf::programs::XdpContext;
use baton_common::maps::{ACCEPT_PSEUDO, ACCEPT_RFC9568, NO_AUTHENTICATION, Router};
use baton_common::verdict::Verdict;
use baton_common::vrid::Family;

use crate::checksum::Sum;
use crate::classify::{ETH_SOURCE, Link};
use crate::ip::{Ip, Packet};
use crate::maps::{self, Advert};
use crate::packet::Frame;

/// Where adverts are sent to (RFC 9568 5.1.1.2, 5.1.2.2).
pub(crate) const GROUP4: Ip = Ip::mapped([224, 0, 0, 18]);
pub(crate) const GROUP6: Ip = Ip::of([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12]);
/// The IP protocol number (RFC 9568 5.1.1.4).
pub(crate) const PROTOCOL: u8 = 112;

const VERSION_2: u8 = 2;
const ADVERTISEMENT: u8 = 1;
/// The message without addresses (RFC 9568 5.1).
const HEADER: usize = 8;
/// What follows the addresses in VRRPv2 (RFC 3768 5.1).
const PASSWORD: usize = 8;
/// The longest messages, 255 addresses, in 32-bit words; over IPv6 no Ethernet frame holds so many.
const MAX_WORDS4: usize = (HEADER + 255 * 4 + PASSWORD) / 4;
const MAX_WORDS6: usize = (HEADER + 90 * 16) / 4;

/// The verdict about a packet of protocol 112 to the group of its family, or to this host's own address.
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
    let is_unicast = packet.destination != if FAMILY == Family::Ipv6 as u8 { GROUP6 } else { GROUP4 };
    let is_astray = is_unicast && packet.destination != Ip::of(router.primary);
    if is_astray || is_unicast != (router.is_unicast != 0) {
        return Err(Verdict::VrrpDestination);
    }
    if is_unicast && !maps::is_peer(router.slot, packet.source) {
        return Err(Verdict::VrrpNotPeer);
    }
    if packet.hops < router.least_hops {
        return Err(Verdict::VrrpTtl);
    }
    if message[0] >> 4 != router.version {
        return Err(Verdict::VrrpVersion);
    }
    if message[0] & 0x0f != ADVERTISEMENT {
        return Err(Verdict::VrrpType);
    }
    let rest = if router.version == VERSION_2 { PASSWORD } else { 0 };
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
    let interval_cs = interval(router, message)?;
    if router.version == VERSION_2 {
        authentic(frame, &packet, router, message)?;
    }
    let priority = message[2];
    let checksum = match packet.family {
        Family::Ipv4 => checksum::<MAX_WORDS4>(frame, &packet, router)?,
        Family::Ipv6 => checksum::<MAX_WORDS6>(frame, &packet, router)?,
    };

    let mac = *frame.get::<6>(ETH_SOURCE).ok_or(Verdict::VrrpIpHeader)?;
    let advert = Advert { source: packet.source, mac, interval_cs, priority, checksum };
    // A router without a mailbox is one that the agent has not set up.
    maps::deliver(router.slot, &advert).ok_or(Verdict::VrrpUnknownRouter)?;
    Ok(Verdict::VrrpReceived)
}

/// The interval that the message names, in centiseconds.
#[inline(always)]
fn interval(router: &Router, message: &[u8; HEADER]) -> Result<u16, Verdict> {
    if router.version == VERSION_2 {
        // RFC 3768 7.1: one that is not ours is an error.
        let seconds = message[5];
        let is_ours = seconds != 0 && u32::from(seconds) == router.interval_s;
        return is_ours.then(|| u16::from(seconds) * 100).ok_or(Verdict::VrrpInterval);
    }
    // Erratum 8301. The upper four bits are reserved and ignored (RFC 9568 5.2.6).
    let interval_cs = u16::from_be_bytes([message[4], message[5]]) & 0x0fff;
    if interval_cs == 0 { Err(Verdict::VrrpInterval) } else { Ok(interval_cs) }
}

/// Which of the accepted checksums the message has: over the message alone (RFC 9568 5.2.8, RFC 3768 5.3.8), or with a
/// pseudo-header before it, as keepalived and FRR read RFC 5798. Over IPv6 that is the only one, and the RFC's.
#[inline(always)]
fn checksum<const MAX: usize>(frame: &Frame<'_>, packet: &Packet, router: &Router) -> Result<u32, Verdict> {
    // First, so that nothing depends on the length afterwards, of which the verifier knows what the loop has found.
    let pseudo_header = packet.covered(Sum::new(), PROTOCOL, packet.length);
    let sum = Sum::of::<MAX>(frame, packet.at, packet.length / 4).ok_or(Verdict::VrrpLength)?;
    let is_covered = sum.plus(pseudo_header).is_correct();
    let found = match packet.family {
        Family::Ipv6 => is_covered.then_some(ACCEPT_RFC9568),
        Family::Ipv4 if router.checksums & ACCEPT_RFC9568 != 0 && sum.is_correct() => Some(ACCEPT_RFC9568),
        Family::Ipv4 => (router.checksums & ACCEPT_PSEUDO != 0 && is_covered).then_some(ACCEPT_PSEUDO),
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
