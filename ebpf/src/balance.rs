//! What is for a service of the engine: TCP and UDP to a port that the agent has configured.

use aya_ebpf::programs::XdpContext;
use baton_common::vrid::Family;

use crate::classify::Link;
use crate::ip::{DESTINATION, FRAGMENT, IPV4, IPV6, Ip};
use crate::maps;
use crate::packet::Frame;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// What decides: the protocol, the destination, and where the ports are.
struct Datagram {
    protocol: u8,
    destination: Ip,
    ports: usize,
}

/// Whether the packet behind `link`, to a VIP of an owned virtual router, is for a service. Fragments are not, which have no
/// ports but in the first of them, nor what has IPv6 extension headers: the kernel gets them.
#[inline(never)]
pub(crate) fn is_for_service<const FAMILY: u8>(ctx: &XdpContext, link: &Link) -> bool {
    let frame = &Frame::received(ctx);
    let found = if FAMILY == Family::Ipv6 as u8 { ipv6(frame, link) } else { ipv4(frame, link) };
    let Some(Datagram { protocol, destination, ports }) = found else { return false };
    let Some(&[_, _, high, low]) = frame.get::<4>(ports) else { return false };
    matches!(protocol, TCP | UDP)
        && maps::is_frontend(link.vlan, destination, protocol, u16::from_be_bytes([high, low]))
}

#[inline(always)]
fn ipv4(frame: &Frame<'_>, link: &Link) -> Option<Datagram> {
    let header = frame.get::<IPV4>(link.payload)?;
    let is_fragment = u16::from_be_bytes([header[6], header[7]]) & FRAGMENT != 0;
    let length = usize::from(header[0] & 0x0f) * 4;
    if is_fragment || length < IPV4 {
        return None;
    }
    let destination = Ip::mapped([header[16], header[17], header[18], header[19]]);
    let ports = frame.blur::<128>(link.payload + length);
    Some(Datagram { protocol: header[9], destination, ports })
}

#[inline(always)]
fn ipv6(frame: &Frame<'_>, link: &Link) -> Option<Datagram> {
    let protocol = frame.get::<IPV6>(link.payload)?[6];
    let destination = Ip::read(frame, link.payload + DESTINATION)?;
    Some(Datagram { protocol, destination, ports: link.payload + IPV6 })
}
