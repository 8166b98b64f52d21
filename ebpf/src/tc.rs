//! What XDP cannot do: correct the kernel's opinion about a rewritten frame, and look at what the host sends.

use aya_ebpf::programs::TcContext;
use baton_common::verdict::Verdict;
use baton_common::vrid::Vrid;

use crate::arp::Message;
use crate::classify::{ETH_DESTINATION, ETH_SOURCE, ETHERTYPE_ARP, ETHERTYPE_IPV6, Link, MAX_TAGS};
use crate::ip::{IPV6, Ip};
use crate::maps;
use crate::nd::{self, Claim};
use crate::packet::{Frame, packet_type, tag_beside};

/// `PACKET_HOST` and `PACKET_OTHERHOST` of linux/if_packet.h.
const PACKET_HOST: u32 = 0;
const PACKET_OTHERHOST: u32 = 3;

/// Ethernet, tags and the longer of an ARP message and a neighbour advertisement.
const HEADERS: u32 = 14 + MAX_TAGS as u32 * 4 + (IPV6 + nd::ANSWER) as u32;

/// Tells the kernel that a frame to the device's own MAC is for this host.
///
/// veth, and generic XDP on old kernels, decide whom a frame is for before XDP rewrites the destination, and do not
/// decide again: the kernel would drop the frame as one for another host.
#[inline(always)]
pub(crate) fn ingress(ctx: &TcContext) {
    if packet_type(ctx) != PACKET_OTHERHOST {
        return;
    }
    let frame = Frame::of_buffer(ctx, 6);
    if let (Some(destination), Some(mac)) = (frame.get::<6>(ETH_DESTINATION), maps::device_mac())
        && *destination == mac
    {
        // It fails for types that the kernel does not let a program set, and PACKET_HOST is not one of them.
        let _ = ctx.change_type(PACKET_HOST);
    }
}

/// The verdict about a frame that the host is about to send: `Other`, or why it must not.
#[inline(always)]
pub(crate) fn egress(ctx: &TcContext) -> Verdict {
    let frame = Frame::of_buffer(ctx, HEADERS);
    let Some(link) = Link::parse(&frame, tag_beside(ctx)) else {
        return Verdict::Other;
    };
    // Whatever the operation, a receiver may learn the sender's addresses from it (RFC 826).
    if link.ethertype == ETHERTYPE_ARP
        && let Some(message) = Message::parse(&frame, link.payload)
        && let Some(slot) = maps::slot_of_vip(link.vlan, Ip::mapped(message.sender))
        && maps::owner_mac(slot) != Some(message.sender_mac)
    {
        return Verdict::EgressArp;
    }
    if link.ethertype == ETHERTYPE_IPV6 && claims_vip(&frame, &link).is_some() {
        return Verdict::EgressNd;
    }
    if from_unowned_virtual_mac(&frame, &link).is_some() {
        return Verdict::EgressVirtualMac;
    }
    Verdict::Other
}

/// Whether it tells a neighbour where a VIP is, though it is not here or not at that MAC. One without a MAC says that it is here.
#[inline(always)]
fn claims_vip(frame: &Frame<'_>, link: &Link) -> Option<()> {
    let header = frame.get::<IPV6>(link.payload)?;
    if header[6] != nd::PROTOCOL {
        return None;
    }
    let claim = Claim::parse(frame, link)?;
    let slot = maps::slot_of_vip(link.vlan, claim.address)?;
    let is_false = match (maps::owner_mac(slot), claim.mac) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(owner), Some(mac)) => differ(&owner, &mac),
    };
    is_false.then_some(())
}

/// A function of its own: the compiler would compare what is there in place of a MAC, too, and the verifier does not let it.
#[inline(never)]
fn differ(one: &[u8; 6], other: &[u8; 6]) -> bool {
    one != other
}

/// Switches would send the owner's traffic here (RFC 9568 7.3: only the Active Router uses the virtual MAC).
#[inline(always)]
fn from_unowned_virtual_mac(frame: &Frame<'_>, link: &Link) -> Option<()> {
    let (family, vrid) = Vrid::of_virtual_mac(*frame.get(ETH_SOURCE)?)?;
    let router = maps::router(link.vlan, family, vrid.get())?;
    maps::owner_mac(router.slot).is_none().then_some(())
}
