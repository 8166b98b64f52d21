//! VRRPv3 advertisements over IPv4: the checks of RFC 9568 7.1, with errata 8299 and 8301.

use baton_common::maps::{ACCEPT_PSEUDO, ACCEPT_RFC9568};
use baton_common::verdict::Verdict;
use baton_common::vrid::Family;

use crate::arp::is_no_host;
use crate::checksum::Sum;
use crate::classify::{ETH_SOURCE, Link};
use crate::maps::{self, Advert};
use crate::packet::Frame;

/// Where adverts are sent to (RFC 9568 5.1.1.2).
pub(crate) const GROUP: [u8; 4] = [224, 0, 0, 18];
/// The IP protocol number (RFC 9568 5.1.1.4).
pub(crate) const PROTOCOL: u8 = 112;
/// An IPv4 header without options.
pub(crate) const IPV4_HEADER: usize = 20;

/// More fragments to come, or not the first of them.
const FRAGMENT: u16 = 0x3fff;
const TTL: u8 = 255;
const VERSION: u8 = 3;
const ADVERTISEMENT: u8 = 1;
/// The message without addresses (RFC 9568 5.1).
const HEADER: usize = 8;
/// The longest IPv4 header, and the longest message (255 addresses), in 32-bit words.
const MAX_IP_WORDS: usize = 15;
const MAX_WORDS: usize = (HEADER + 255 * 4) / 4;

/// The verdict about a packet of protocol 112 to 224.0.0.18; `Err` for every check that fails.
///
/// The checks go from cheap to costly, except that the VRID comes before all that depends on the version of VRRP: the
/// message may be for another implementation on this host. The address list is the agent's business.
#[inline(always)]
pub(crate) fn received(frame: &Frame<'_>, link: &Link) -> Result<Verdict, Verdict> {
    let ip = frame.get::<IPV4_HEADER>(link.payload).ok_or(Verdict::VrrpIpHeader)?;
    let ip_words = usize::from(ip[0] & 0x0f);
    let ip_length = 4 * ip_words;
    let total_length = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    let ttl = ip[8];
    let source = [ip[12], ip[13], ip[14], ip[15]];
    // The frame may be longer than the packet, Ethernet pads to 60 octets; the packet must not be longer.
    let sound = ip[0] >> 4 == 4
        && ip_length >= IPV4_HEADER
        && total_length >= ip_length
        && frame.reaches(link.payload + total_length)
        && u16::from_be_bytes([ip[6], ip[7]]) & FRAGMENT == 0
        && source != [0; 4]
        && !is_no_host(source);
    if !sound || !Sum::of::<MAX_IP_WORDS>(frame, link.payload, ip_words).is_some_and(Sum::is_correct) {
        return Err(Verdict::VrrpIpHeader);
    }

    let at = link.payload + ip_length;
    let length = total_length - ip_length;
    if length < HEADER {
        return Err(Verdict::VrrpLength);
    }
    let message = frame.get::<HEADER>(at).ok_or(Verdict::VrrpLength)?;
    let router = maps::router(link.vlan, Family::Ipv4, message[1]).ok_or(Verdict::VrrpUnknownRouter)?;
    let [p0, p1, p2, p3, ..] = router.primary;
    if source == [p0, p1, p2, p3] {
        return Err(Verdict::VrrpOwn);
    }
    if ttl != TTL {
        return Err(Verdict::VrrpTtl);
    }
    if message[0] >> 4 != VERSION {
        return Err(Verdict::VrrpVersion);
    }
    if message[0] & 0x0f != ADVERTISEMENT {
        return Err(Verdict::VrrpType);
    }
    // RFC 9568 5.2.5 and erratum 8299: no address, no advertisement. The RFC asks for the complete packet;
    // octets beyond it are no part of any advertisement.
    let addresses = usize::from(message[3]);
    if addresses == 0 || length != HEADER + 4 * addresses {
        return Err(Verdict::VrrpLength);
    }
    // Erratum 8301. The upper four bits are reserved and ignored (RFC 9568 5.2.6).
    let interval_cs = u16::from_be_bytes([message[4], message[5]]) & 0x0fff;
    if interval_cs == 0 {
        return Err(Verdict::VrrpInterval);
    }
    let sum = Sum::of::<MAX_WORDS>(frame, at, length / 4).ok_or(Verdict::VrrpLength)?;
    let checksum = flavour(sum, source, length, router.checksums).ok_or(Verdict::VrrpChecksum)?;

    let mac = *frame.get::<6>(ETH_SOURCE).ok_or(Verdict::VrrpIpHeader)?;
    let advert = Advert { source, mac, interval_cs, priority: message[2], checksum };
    // A router without a mailbox is one that the agent has not set up.
    maps::deliver(router.slot, &advert).ok_or(Verdict::VrrpUnknownRouter)?;
    Ok(Verdict::VrrpReceived)
}

/// Which of the `accepted` checksums the message with this sum has: over the message alone (RFC 9568 5.2.8), or
/// with a pseudo-header before it, as keepalived and FRR read RFC 5798.
#[inline(always)]
fn flavour(sum: Sum, source: [u8; 4], length: usize, accepted: u32) -> Option<u32> {
    if accepted & ACCEPT_RFC9568 != 0 && sum.is_correct() {
        return Some(ACCEPT_RFC9568);
    }
    let [.., high, low] = length.to_be_bytes();
    let with_pseudo_header = sum.add(&source).add(&GROUP).add(&[0, PROTOCOL, high, low]);
    (accepted & ACCEPT_PSEUDO != 0 && with_pseudo_header.is_correct()).then_some(ACCEPT_PSEUDO)
}
