//! From a frame to its verdict: Ethernet, VLAN tags, and which protocol looks closer.

use aya_ebpf::programs::XdpContext;
use baton_common::maps::{SOURCE, VlanId};
use baton_common::verdict::Verdict;
use baton_common::vrid::{Family, Vrid};

use crate::ip::{DESTINATION, IPV4, IPV4_DESTINATION, IPV6, Ip};
use crate::packet::{Frame, Octets, Scattered};
use crate::{arp, maps, nat, nd, sbfd, vip, vrrp};

pub(crate) const ETHERTYPE_IPV4: u16 = 0x0800;
pub(crate) const ETHERTYPE_ARP: u16 = 0x0806;
pub(crate) const ETHERTYPE_IPV6: u16 = 0x86dd;

/// Where the destination address is in the Ethernet header, and where the source.
pub(crate) const ETH_DESTINATION: usize = 0;
pub(crate) const ETH_SOURCE: usize = 6;
pub(crate) const ETH_TYPE: usize = 12;

/// Tags that name a VLAN: QinQ has two. What is behind a third is nothing of ours.
const MAX_VIDS: usize = 2;
/// Tags that are looked behind at all. The kernel looks behind any number of tags without a VID; nobody sends that many.
pub(crate) const MAX_TAGS: usize = 8;

/// What the first buffer of a frame in several has to hold for it to be judged: Ethernet, tags, IPv6 and TCP.
pub(crate) const HEADERS: usize = ETH_TYPE + 2 + MAX_VIDS * 4 + IPV6 + 20;

/// What the Ethernet header and the VLAN tags say.
pub(crate) struct Link {
    /// The link that the frame is on.
    pub(crate) vlan: VlanId,
    /// The protocol behind the tags, of which there may be still more.
    pub(crate) ethertype: u16,
    /// Where that protocol's header starts.
    pub(crate) payload: usize,
}

impl Link {
    /// Parses the Ethernet header and the tags, behind those that the kernel has already taken out of the frame.
    ///
    /// A tag with VID 0 carries a priority and names no VLAN (802.1Q 9.6). The kernel looks through it wherever it
    /// stands, and so does this: what it would take for traffic of a link must be judged as traffic of that link.
    #[inline(always)]
    pub(crate) fn parse(frame: &impl Octets, beside: Option<u16>) -> Option<Self> {
        let mut vlan = beside.map_or(0, vid);
        let mut vids = usize::from(vlan != 0);
        let mut ethertype = u16::from_be_bytes(frame.read(ETH_TYPE)?);
        let mut payload = ETH_TYPE + 2;
        for _ in 0..MAX_TAGS {
            if !is_tag(ethertype) {
                break;
            }
            let [tci_high, tci_low, type_high, type_low] = frame.read(payload)?;
            let vid = vid(u16::from_be_bytes([tci_high, tci_low]));
            if vid != 0 {
                if vids == MAX_VIDS {
                    break;
                }
                vids += 1;
                vlan = vlan << 12 | vid;
            }
            ethertype = u16::from_be_bytes([type_high, type_low]);
            payload += 4;
        }
        Some(Self { vlan, ethertype, payload: frame.blur::<64>(payload) })
    }
}

/// 802.1Q, 802.1ad, and what QinQ was before 802.1ad.
#[inline(always)]
fn is_tag(ethertype: u16) -> bool {
    matches!(ethertype, 0x8100 | 0x88a8 | 0x9100)
}

#[inline(always)]
fn vid(tci: u16) -> VlanId {
    VlanId::from(tci & 0x0fff)
}

/// Whether `mac` is a multicast or the broadcast address.
#[inline(always)]
pub(crate) fn is_group(mac: &[u8; 6]) -> bool {
    mac[0] & 1 != 0
}

/// The verdict about a received frame, which is rewritten where the verdict implies it.
#[inline(always)]
pub(crate) fn received(ctx: &XdpContext) -> Verdict {
    let Some(link) = Link::parse(&Frame::received(ctx), None) else {
        return of_no_protocol(ctx);
    };
    let verdict = match link.ethertype {
        ETHERTYPE_IPV4 => ipv4(ctx, &link),
        ETHERTYPE_IPV6 => ipv6(ctx, &link),
        ETHERTYPE_ARP => arp::received(ctx, &link),
        _ => None,
    };
    if let Some(verdict) = verdict {
        return verdict;
    }
    match of_no_protocol(ctx) {
        Verdict::Other => to_virtual_mac(&mut Frame::received(ctx), &link).unwrap_or(Verdict::Other),
        verdict => verdict,
    }
}

/// What is nothing of ours by its protocol. Frames for the bridge itself, which no bridge forwards (802.1Q 8.6.3), and Cisco's like
/// them, are told apart; and what has its headers in other buffers than the first, of which all that is decided is whether it is for a
/// VIP. A function of its own, for the stack.
#[inline(never)]
fn of_no_protocol(ctx: &XdpContext) -> Verdict {
    let frame = &Frame::received(ctx);
    let is_link_control = matches!(
        frame.get(ETH_DESTINATION),
        Some([0x01, 0x80, 0xc2, 0, 0, 0..=0x0f] | [0x01, 0, 0x0c, 0xcc, 0xcc, 0xcc | 0xcd])
    );
    if is_link_control {
        return Verdict::LinkControl;
    }
    if !frame.is_cut(ctx, HEADERS) {
        return Verdict::Other;
    }
    if slot_of_vip(&Scattered(ctx)).is_some() { Verdict::VipHeadersApart } else { Verdict::HeadersApart }
}

#[inline(always)]
fn slot_of_vip(frame: &Scattered<'_>) -> Option<u32> {
    let link = Link::parse(frame, None)?;
    let destination = match link.ethertype {
        ETHERTYPE_IPV4 => Ip::mapped(frame.read(link.payload + IPV4_DESTINATION)?),
        ETHERTYPE_IPV6 => Ip::of(frame.read(link.payload + DESTINATION)?),
        _ => return None,
    };
    maps::slot_of_vip(link.vlan, destination)
}

/// The fixed part of an IPv4 header. Fragments and options make no difference to what is decided by it.
#[inline(always)]
fn ipv4(ctx: &XdpContext, link: &Link) -> Option<Verdict> {
    let frame = &mut Frame::received(ctx);
    let header = frame.get::<IPV4>(link.payload)?;
    let protocol = header[9];
    let destination = Ip::mapped([header[16], header[17], header[18], header[19]]);
    if protocol == vrrp::PROTOCOL && destination.is_group() {
        return Some(vrrp::received::<{ Family::Ipv4 as u8 }>(ctx, link));
    }
    match maps::slot_or_source(link.vlan, destination) {
        Some(SOURCE) => from_peer::<{ Family::Ipv4 as u8 }>(ctx, link, protocol),
        Some(slot) => Some(vip::received::<{ Family::Ipv4 as u8 }>(ctx, link, slot, false)),
        None => answer::<{ Family::Ipv4 as u8 }>(ctx, link),
    }
}

/// The fixed header of IPv6. What is behind extension headers is of no interest: neither neighbour discovery nor VRRP uses
/// any, and a VIP's traffic is known by its destination.
#[inline(always)]
fn ipv6(ctx: &XdpContext, link: &Link) -> Option<Verdict> {
    let frame = &mut Frame::received(ctx);
    let protocol = frame.get::<IPV6>(link.payload)?[6];
    let destination = Ip::read(frame, link.payload + DESTINATION)?;
    if protocol == nd::PROTOCOL
        && let Some(verdict) = nd::received(ctx, link)
    {
        return Some(verdict);
    }
    if protocol == vrrp::PROTOCOL && destination.is_group() {
        return Some(vrrp::received::<{ Family::Ipv6 as u8 }>(ctx, link));
    }
    match maps::slot_or_source(link.vlan, destination) {
        Some(SOURCE) => from_peer::<{ Family::Ipv6 as u8 }>(ctx, link, protocol),
        Some(slot) => {
            // RFC 9568 6.1: whatever Accept_Mode is.
            let is_discovery = protocol == nd::PROTOCOL && nd::is_discovery(frame, link);
            Some(vip::received::<{ Family::Ipv6 as u8 }>(ctx, link, slot, is_discovery))
        }
        None => answer::<{ Family::Ipv6 as u8 }>(ctx, link),
    }
}

/// What is for an address that this host advertises from, perhaps by a peer.
#[inline(always)]
fn from_peer<const FAMILY: u8>(ctx: &XdpContext, link: &Link, protocol: u8) -> Option<Verdict> {
    let verdict = match protocol {
        vrrp::PROTOCOL => Some(vrrp::received::<FAMILY>(ctx, link)),
        sbfd::PROTOCOL => sbfd::received::<FAMILY>(ctx, link),
        _ => None,
    };
    verdict.or_else(|| answer::<FAMILY>(ctx, link))
}

/// What may be the answer to a packet that was translated.
#[inline(always)]
fn answer<const FAMILY: u8>(ctx: &XdpContext, link: &Link) -> Option<Verdict> {
    maps::translates().then(|| nat::received::<FAMILY>(ctx, link, maps::HOME))?
}

/// The verdict about a frame that came in by an arm without services, and the arm; `None` if it answers nothing that was translated.
#[inline(always)]
pub(crate) fn answered(ctx: &XdpContext) -> Option<(Verdict, u32)> {
    let link = &Link::parse(&Frame::received(ctx), None)?;
    #[expect(clippy::cast_possible_truncation, reason = "indices of interfaces have 32 bits")]
    let arm = maps::arm_at(ctx.ingress_ifindex() as u32)?;
    let verdict = match link.ethertype {
        ETHERTYPE_IPV4 => nat::received::<{ Family::Ipv4 as u8 }>(ctx, link, arm),
        ETHERTYPE_IPV6 => nat::received::<{ Family::Ipv6 as u8 }>(ctx, link, arm),
        _ => None,
    };
    Some((verdict?, arm))
}

/// Frames that a virtual router's MAC address drew here and that are not for its VIPs. A gateway has packets of either family
/// routed (RFC 9568 6.4.3): neighbours may know it by the address of one and use it for both.
#[inline(always)]
fn to_virtual_mac(frame: &mut Frame<'_>, link: &Link) -> Option<Verdict> {
    let (family, vrid) = Vrid::of_virtual_mac(*frame.get(ETH_DESTINATION)?)?;
    let slot = maps::router(link.vlan, family, vrid.get())?.slot;
    let Some(owner) = maps::owner(slot) else {
        return Some(Verdict::VirtualMacNotOwner);
    };
    if !owner.is_gateway() || !matches!(link.ethertype, ETHERTYPE_IPV4 | ETHERTYPE_IPV6) {
        return Some(Verdict::VirtualMacNotVip);
    }
    frame.set(ETH_DESTINATION, &maps::device_mac()?)?;
    maps::note_service(slot);
    Some(Verdict::GatewayDelivered)
}
