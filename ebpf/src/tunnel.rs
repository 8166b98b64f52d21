//! Tunnels to backends: a packet becomes the payload of another (RFC 2003, RFC 2473, RFC 4213).

use aya_ebpf::programs::XdpContext;
use baton_common::vrid::Family;

use crate::checksum::Sum;
use crate::classify::{ETH_DESTINATION, ETH_SOURCE, ETH_TYPE, ETHERTYPE_IPV4, ETHERTYPE_IPV6};
use crate::ip::{DESTINATION, IPV4, IPV6, Ip, SOURCE};
use crate::maps;
use crate::packet::Frame;

/// Octets of an Ethernet header without tags.
pub(crate) const ETHERNET: usize = 14;
/// What the payload of an IP packet is called that is itself one, of IPv4 or of IPv6.
pub(crate) const IPIP: u8 = 4;
pub(crate) const IPV6_IN_IP: u8 = 41;

/// TTL and Hop Limit of what goes through a tunnel.
const HOPS: u8 = 64;
const DONT_FRAGMENT: [u8; 2] = [0x40, 0];

/// What the outer header has of the packet, or says about it.
struct Packet {
    protocol: u8,
    length: usize,
    /// DSCP and ECN (RFC 6040 4.1, normal mode).
    traffic_class: u8,
    /// Identification and flags as they stand in the header. What may be fragmented may be so on the way as well.
    identification: [u8; 2],
    fragment: [u8; 2],
}

impl Packet {
    #[inline(always)]
    fn read<const FAMILY: u8>(frame: &Frame<'_>) -> Option<Self> {
        if FAMILY == Family::Ipv6 as u8 {
            let header = frame.get::<IPV6>(ETHERNET)?;
            return Some(Self {
                protocol: IPV6_IN_IP,
                length: IPV6 + usize::from(u16::from_be_bytes([header[4], header[5]])),
                traffic_class: header[0] << 4 | header[1] >> 4,
                identification: [0; 2],
                fragment: DONT_FRAGMENT,
            });
        }
        let header = frame.get::<IPV4>(ETHERNET)?;
        Some(Self {
            protocol: IPIP,
            length: usize::from(u16::from_be_bytes([header[2], header[3]])),
            traffic_class: header[1],
            identification: [header[4], header[5]],
            fragment: [header[6] & DONT_FRAGMENT[0], 0],
        })
    }
}

/// Wraps the packet of an untagged frame for the backend with this number, which is behind `hop`. `None`, and the frame is as it
/// was, if the packet is too long.
#[inline(always)]
pub(crate) fn wrap<const FAMILY: u8>(
    ctx: &XdpContext,
    number: u32,
    hop: &[u8; 6],
    device_mac: &[u8; 6],
) -> Option<()> {
    let packet = Packet::read::<FAMILY>(&Frame::received(ctx))?;
    let tunnel = maps::tunnel(number)?;
    if packet.length > tunnel.longest as usize {
        return None;
    }
    let (source, destination) = (Ip::of(tunnel.source), Ip::of(tunnel.destination));
    let mut frame = if destination.is_ipv4() {
        in_ipv4(ctx, &packet, source.ipv4(), destination.ipv4())?
    } else {
        in_ipv6(ctx, &packet, source, destination)?
    };
    frame.set(ETH_DESTINATION, hop)?;
    frame.set(ETH_SOURCE, device_mac)
}

/// The frame with an outer header and its EtherType, whose Ethernet addresses are missing.
#[inline(always)]
fn in_ipv4<'a>(
    ctx: &'a XdpContext,
    packet: &Packet,
    source: [u8; 4],
    destination: [u8; 4],
) -> Option<Frame<'a>> {
    let Packet { protocol, traffic_class, identification: [a, b], fragment: [c, d], .. } = *packet;
    let [.., high, low] = (packet.length + IPV4).to_be_bytes();
    let (first, second) = ([0x45, traffic_class, high, low], [a, b, c, d]);
    let sum = Sum::new().add(&first).add(&second).add(&[HOPS, protocol, 0, 0]).add(&source).add(&destination);
    let [high, low] = sum.field().to_be_bytes();
    let mut frame = Frame::extended(ctx, IPV4)?;
    frame.set(ETH_TYPE, &ETHERTYPE_IPV4.to_be_bytes())?;
    frame.set(ETHERNET, &first)?;
    frame.set(ETHERNET + 4, &second)?;
    frame.set(ETHERNET + 8, &[HOPS, protocol, high, low])?;
    frame.set(ETHERNET + 12, &source)?;
    frame.set(ETHERNET + 16, &destination)?;
    Some(frame)
}

/// As [`in_ipv4`].
#[inline(always)]
fn in_ipv6<'a>(ctx: &'a XdpContext, packet: &Packet, source: Ip, destination: Ip) -> Option<Frame<'a>> {
    let class = packet.traffic_class;
    let [.., high, low] = packet.length.to_be_bytes();
    let mut frame = Frame::extended(ctx, IPV6)?;
    frame.set(ETH_TYPE, &ETHERTYPE_IPV6.to_be_bytes())?;
    frame.set(ETHERNET, &[0x60 | class >> 4, class << 4, 0, 0, high, low, packet.protocol, HOPS])?;
    source.write(&mut frame, ETHERNET + SOURCE)?;
    destination.write(&mut frame, ETHERNET + DESTINATION)?;
    Some(frame)
}
