//! ARP for the VIPs (RFC 826, RFC 5227, RFC 9568 8.1.2).

use aya_ebpf::programs::XdpContext;
use baton_common::verdict::Verdict;

use crate::classify::{ETH_DESTINATION, ETH_SOURCE, Link, is_group};
use crate::ip::{Ip, is_no_host};
use crate::maps;
use crate::packet::Frame;

/// Hardware type Ethernet, protocol type IPv4, and the lengths of their addresses.
const ETHERNET_IPV4: [u8; 6] = [0x00, 0x01, 0x08, 0x00, 6, 4];
const REQUEST: u16 = 1;
const REPLY: u16 = 2;
const OPERATION: usize = 6;
const SENDER_MAC: usize = 8;

/// An ARP message between Ethernet and IPv4 addresses.
pub(crate) struct Message {
    pub(crate) operation: u16,
    pub(crate) sender_mac: [u8; 6],
    pub(crate) sender: [u8; 4],
    target: [u8; 4],
}

impl Message {
    /// Parses the message at `at`; `None` if it is cut short or about addresses of another kind.
    #[inline(always)]
    pub(crate) fn parse(frame: &Frame<'_>, at: usize) -> Option<Self> {
        let octets = frame.get::<28>(at)?;
        if octets[..6] != ETHERNET_IPV4 {
            return None;
        }
        Some(Self {
            operation: u16::from_be_bytes([octets[6], octets[7]]),
            sender_mac: [octets[8], octets[9], octets[10], octets[11], octets[12], octets[13]],
            sender: [octets[14], octets[15], octets[16], octets[17]],
            target: [octets[24], octets[25], octets[26], octets[27]],
        })
    }
}

/// The verdict about a received ARP message. A request for an owned VIP is turned into its answer.
#[inline(never)]
pub(crate) fn received(ctx: &XdpContext, link: &Link) -> Option<Verdict> {
    // Afresh, as everywhere: however many tags were looked behind, what follows is verified once.
    let frame = &mut Frame::received(ctx);
    let message = Message::parse(frame, link.payload)?;
    if message.operation != REQUEST && message.operation != REPLY {
        return None;
    }
    let device_mac = maps::device_mac()?;
    // A receiver merges the sender's addresses before it looks at the operation (RFC 826), so both can claim a VIP:
    // the announcement of another owner, or a conflict (RFC 5227 2.4). What this interface itself has said and the
    // network sends back claims nothing.
    let own = message.sender_mac == device_mac;
    if !own && maps::slot_of_vip(link.vlan, Ip::mapped(message.sender)).is_some() {
        return Some(Verdict::VipAnnounced);
    }
    if message.operation != REQUEST {
        return None;
    }
    let slot = maps::slot_of_vip(link.vlan, Ip::mapped(message.target))?;
    let asker = *frame.get::<6>(ETH_SOURCE)?;
    // Nobody can have a group address, be it MAC or IPv4, and this host does not ask itself: such a request is not
    // answered, whoever owns the VIP, and the kernel must not do it either.
    if own || is_group(&asker) || is_group(&message.sender_mac) || is_no_host(message.sender) {
        return Some(Verdict::ArpNotOwner);
    }
    let Some(mac) = maps::owner_mac(slot) else {
        return Some(Verdict::ArpNotOwner);
    };

    // The Ethernet source is the device's own MAC, so that switches learn the virtual MAC from adverts and
    // announcements alone; the body has the virtual MAC (RFC 9568 8.1.2). Requests with sender address 0 are probes,
    // and must be answered too (RFC 5227 2.5).
    frame.set(ETH_DESTINATION, &asker)?;
    frame.set(ETH_SOURCE, &device_mac)?;
    frame.set(link.payload + OPERATION, &REPLY.to_be_bytes())?;
    let ([m0, m1, m2, m3, m4, m5], [v0, v1, v2, v3]) = (mac, message.target);
    let ([a0, a1, a2, a3, a4, a5], [s0, s1, s2, s3]) = (message.sender_mac, message.sender);
    frame.set(
        link.payload + SENDER_MAC,
        &[m0, m1, m2, m3, m4, m5, v0, v1, v2, v3, a0, a1, a2, a3, a4, a5, s0, s1, s2, s3],
    )?;
    Some(Verdict::ArpAnswered)
}
