//! A host with a second network card in the clients' subnet. The VIP is bound on `lo` of every node, and Linux answers for
//! every address of a host on whatever card the question comes in, unless it is told otherwise.

use std::net::{Ipv4Addr, UdpSocket};

use anyhow::{Result, ensure};
use baton::config::MacMode;
use baton_tests::lab::{Host, Lab, VIP, mac_text, wait_until};
use baton_tests::network::{Hears, Listener};

use super::{SOON, watch, with_pair};

const SECOND_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 3);
/// Nobody has it, so a packet to it is preceded by an ARP request.
const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 200);
/// Offsets in an untagged ARP frame.
const OPERATION: usize = 20;
const SENDER: usize = 28;
const TARGET: usize = 38;

#[test]
fn a_second_network_card_does_not_answer_for_the_vip() -> Result<()> {
    with_pair(MacMode::Interface, |lab, _| {
        lab.add_second_card(Host::B, SECOND_ADDRESS)?;
        let (_, recording) = watch(lab, || Ok(()))?;
        let answers = recording.arps.iter().filter(|arp| arp.answers > 0);
        let mut sources: Vec<String> =
            answers.flat_map(|arp| [arp.first.source, arp.last.source]).map(mac_text).collect();
        sources.sort_unstable();
        sources.dedup();
        assert_eq!(sources, [mac_text(Host::A.mac())], "who answers for the VIP");
        Ok(())
    })
}

#[test]
fn a_second_network_card_does_not_ask_in_the_name_of_the_vip() -> Result<()> {
    with_pair(MacMode::Interface, |lab, _| {
        lab.add_second_card(Host::B, SECOND_ADDRESS)?;
        let senders = senders_on_second_card(lab)?;
        ensure!(!senders.contains(&VIP), "node b asked for {NOBODY} as {VIP}");
        assert_eq!(senders, [SECOND_ADDRESS]);
        Ok(())
    })
}

/// As whom node b asks for the hardware address of a host that a service on the VIP sends to through the second card.
fn senders_on_second_card(lab: &Lab) -> Result<Vec<Ipv4Addr>> {
    lab.run(Host::B, "ip", &["route", "add", &format!("{NOBODY}/32"), "dev", "eth1"])?;
    let client = lab.namespace(Host::Client).within(|| Ok(Listener::open("eth0", Hears::Arp)?))?;
    lab.namespace(Host::B).within(|| {
        let service = UdpSocket::bind((VIP, 0))?;
        service.send_to(&[0], (NOBODY, 9))?;
        Ok(())
    })?;
    let mut senders = Vec::new();
    wait_until("an ARP request of node b", SOON, || {
        let mut buffer = [0; 128];
        while let Some(frame) = client.next(&mut buffer) {
            if let Some(sender) = sender_of_request(frame, NOBODY) {
                senders.push(sender);
            }
        }
        Ok(!senders.is_empty())
    })?;
    Ok(senders)
}

/// Who asks for `target` in `frame`, if it is such an ARP request.
fn sender_of_request(frame: &[u8], target: Ipv4Addr) -> Option<Ipv4Addr> {
    let frame: &[u8; 42] = frame.first_chunk()?;
    let address = |at: usize| Ipv4Addr::new(frame[at], frame[at + 1], frame[at + 2], frame[at + 3]);
    let is_request = frame[OPERATION..OPERATION + 2] == [0, 1];
    (is_request && address(TARGET) == target).then(|| address(SENDER))
}
