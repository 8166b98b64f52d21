//! The other end of the tunnels to a backend: packets for VIPs come out of those that a node has wrapped (RFC 2003, RFC 2473).

use aya_ebpf::programs::XdpContext;

use crate::checksum::Sum;
use crate::classify::{ETH_DESTINATION, ETH_TYPE, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Link};
use crate::ip::{DESTINATION, FRAGMENT, IPV4, IPV6, Ip, SOURCE};
use crate::maps;
use crate::packet::Frame;
use crate::tunnel::{ETHERNET, IPIP, IPV6_IN_IP};

/// What has become of a frame.
pub(crate) enum Outcome {
    /// It is nothing of ours.
    Other,
    /// It has the packet that was wrapped.
    Unwrapped,
    /// Its packet met congestion and cannot say so (RFC 6040 4.2).
    Congested,
}

/// ECN: what a sender marks that knows it, and what a router does of those that is congested (RFC 3168 5).
const ECN: u8 = 0x03;
const CONGESTED: u8 = 0x03;
const TRAFFIC_CLASS: usize = 1;

/// What an outer header says.
struct Outer {
    length: usize,
    source: Ip,
    protocol: u8,
    is_congested: bool,
}

/// Takes the outer header off a frame that has one.
#[inline(always)]
pub(crate) fn received(ctx: &XdpContext) -> Outcome {
    unwrap(ctx).unwrap_or(Outcome::Other)
}

#[inline(always)]
fn unwrap(ctx: &XdpContext) -> Option<Outcome> {
    let frame = &Frame::received(ctx);
    let link = Link::parse(frame, None)?;
    if link.payload != ETHERNET {
        return None;
    }
    let outer = match link.ethertype {
        ETHERTYPE_IPV4 => ipv4(frame)?,
        ETHERTYPE_IPV6 => ipv6(frame)?,
        _ => return None,
    };
    let at = ETHERNET + outer.length;
    let (ethertype, destination) = match outer.protocol {
        IPIP => {
            let header = frame.get::<IPV4>(at)?;
            (ETHERTYPE_IPV4, Ip::mapped([header[16], header[17], header[18], header[19]]))
        }
        IPV6_IN_IP => (ETHERTYPE_IPV6, Ip::read(frame, at + DESTINATION)?),
        _ => return None,
    };
    if !maps::is_node(outer.source) || !maps::is_unwrapped(destination) {
        return None;
    }
    let addresses = *frame.get::<ETH_TYPE>(ETH_DESTINATION)?;
    let mut frame = Frame::shortened(ctx, outer.length)?;
    frame.set(ETH_DESTINATION, &addresses)?;
    frame.set(ETH_TYPE, &ethertype.to_be_bytes())?;
    if outer.is_congested && pass_on_congestion(&mut frame, ethertype).is_none() {
        return Some(Outcome::Congested);
    }
    maps::count_unwrapped();
    Some(Outcome::Unwrapped)
}

#[inline(always)]
fn ipv4(frame: &Frame<'_>) -> Option<Outer> {
    let header = frame.get::<IPV4>(ETHERNET)?;
    let is_whole = u16::from_be_bytes([header[6], header[7]]) & FRAGMENT == 0;
    if header[0] != 0x45 || !is_whole || !Sum::new().add_all(header).is_correct() {
        return None;
    }
    Some(Outer {
        length: IPV4,
        source: Ip::mapped([header[12], header[13], header[14], header[15]]),
        protocol: header[9],
        is_congested: header[TRAFFIC_CLASS] & ECN == CONGESTED,
    })
}

#[inline(always)]
fn ipv6(frame: &Frame<'_>) -> Option<Outer> {
    let header = frame.get::<IPV6>(ETHERNET)?;
    Some(Outer {
        length: IPV6,
        source: Ip::read(frame, ETHERNET + SOURCE)?,
        protocol: header[6],
        is_congested: header[1] >> 4 & ECN == CONGESTED,
    })
}

/// Marks the packet as one that met congestion; `None` if its sender does not know what that means.
#[inline(always)]
fn pass_on_congestion(frame: &mut Frame<'_>, ethertype: u16) -> Option<()> {
    if ethertype == ETHERTYPE_IPV6 {
        let [class] = *frame.get(ETHERNET + TRAFFIC_CLASS)?;
        return (class >> 4 & ECN != 0)
            .then(|| frame.set(ETHERNET + TRAFFIC_CLASS, &[class | CONGESTED << 4]))?;
    }
    let header = frame.get::<IPV4>(ETHERNET)?;
    let class = header[TRAFFIC_CLASS];
    if class & ECN == 0 {
        return None;
    }
    // RFC 1624: one word of the sum grows by what is added to the class, and its complement shrinks.
    let added = u16::from(CONGESTED - (class & ECN));
    let (checksum, has_borrowed) = u16::from_be_bytes([header[10], header[11]]).overflowing_sub(added);
    let checksum = checksum.wrapping_sub(u16::from(has_borrowed));
    frame.set(ETHERNET + TRAFFIC_CLASS, &[class | CONGESTED])?;
    frame.set(ETHERNET + 10, &checksum.to_be_bytes())
}
