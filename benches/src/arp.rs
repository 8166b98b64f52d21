//! Broadcast ARP requests for the VIP, and who answers them.
//!
//! A unicast probe reaches whichever node the switch points to, so it never shows a second owner. A broadcast does:
//! every owner answers. The requests come from a phantom whose hardware address counts them, so each answer tells
//! which request it belongs to, and the client's own neighbour table learns nothing from them.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use baton::socket::PacketSocket;
use baton::wire::Mac;
use baton_tests::lab::{Announcement, ArpAnswer, ArpProbe};
use baton_tests::network::{Hears, Listener};
use nix::net::if_::if_nametoindex;

const LENGTH: usize = 60;
const PHANTOM: Mac = [0x02, 0xba, 0x70, 0xff, 0xff, 0xff];
const PHANTOM_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 8);
/// The counting addresses: this prefix, then the number in three octets.
const COUNTED: [u8; 3] = [0x02, 0xba, 0x71];

/// Asks for one address on one interface.
pub struct ArpSocket {
    mouth: PacketSocket,
    ear: Listener,
    vip: Ipv4Addr,
}

/// An ARP frame that concerns the VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// The answer to a request.
    Answer { request: usize, source: Mac },
    /// A gratuitous ARP.
    Announcement { source: Mac },
}

impl ArpSocket {
    /// Opens the socket on `interface`, to ask for `vip`.
    pub fn open(interface: &str, vip: Ipv4Addr) -> Result<Self> {
        let index = if_nametoindex(interface).with_context(|| format!("find interface {interface}"))?;
        let mouth = PacketSocket::open(index).context("open a packet socket")?;
        let ear = Listener::open(interface, Hears::Arp).context("listen for ARP")?;
        ear.hear_only(vip).context("filter what is heard")?;
        Ok(Self { mouth, ear, vip })
    }

    /// Sends request number `number`. One that the kernel refuses (the queue is full, the link is down) has no answer,
    /// which is what the recording then says.
    pub fn ask(&self, number: usize) {
        let _ = self.mouth.transmit(&request(self.vip, number));
    }

    /// Takes all frames that have arrived and notes them.
    pub fn listen(&self, now_ns: u64, arps: &mut [ArpProbe], announcements: &mut Vec<Announcement>) {
        let mut buffer = [0; 128];
        while let Some(frame) = self.ear.next(&mut buffer) {
            match parse(self.vip, frame) {
                Some(Heard::Answer { request, source }) => {
                    let Some(arp) = arps.get_mut(request) else {
                        continue;
                    };
                    arp.last = ArpAnswer { source, seen_ns: now_ns };
                    arp.first = if arp.answers == 0 { arp.last } else { arp.first };
                    arp.answers += 1;
                }
                Some(Heard::Announcement { source }) if announcements.len() < announcements.capacity() => {
                    announcements.push(Announcement { seen_ns: now_ns, source });
                }
                Some(Heard::Announcement { .. }) | None => {}
            }
        }
    }
}

fn request(vip: Ipv4Addr, number: usize) -> [u8; LENGTH] {
    let mut frame = [0; LENGTH];
    let count = (number as u64).to_be_bytes();
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&PHANTOM);
    frame[12..22].copy_from_slice(&[0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1]);
    frame[22..25].copy_from_slice(&COUNTED);
    frame[25..28].copy_from_slice(&count[5..]);
    frame[28..32].copy_from_slice(&PHANTOM_ADDRESS.octets());
    frame[38..42].copy_from_slice(&vip.octets());
    frame
}

fn parse(vip: Ipv4Addr, frame: &[u8]) -> Option<Heard> {
    let frame: &[u8; 42] = frame.first_chunk()?;
    let source: Mac = frame[6..12].try_into().ok()?;
    let (is_reply, sender, target_mac, target) =
        (frame[21] == 2, &frame[28..32], &frame[32..38], &frame[38..42]);
    if sender != vip.octets() {
        return None;
    }
    if target == vip.octets() {
        return Some(Heard::Announcement { source });
    }
    let number =
        target_mac.strip_prefix(&COUNTED)?.iter().fold(0, |number, octet| number << 8 | usize::from(*octet));
    is_reply.then_some(Heard::Answer { request: number, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
    const VIRTUAL_MAC: Mac = [0, 0, 0x5e, 0, 1, 0x33];

    #[test]
    fn an_answer_names_its_request_and_its_sender() {
        let mut frame = request(VIP, 0x01_0203);
        assert_eq!(parse(VIP, &frame), None, "our own request is no answer");
        frame.copy_within(22..32, 32);
        frame[6..12].copy_from_slice(&VIRTUAL_MAC);
        frame[21] = 2;
        frame[28..32].copy_from_slice(&VIP.octets());
        assert_eq!(parse(VIP, &frame), Some(Heard::Answer { request: 0x01_0203, source: VIRTUAL_MAC }));
        frame[38..42].copy_from_slice(&VIP.octets());
        assert_eq!(parse(VIP, &frame), Some(Heard::Announcement { source: VIRTUAL_MAC }));
        assert_eq!(parse(VIP, &frame[..41]), None);
    }
}
