//! A host with a second network card in the clients' subnet. The VIP is bound on `lo` of every node, and Linux answers for
//! every address of a host on whatever card the question comes in, unless it is told otherwise.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};

use anyhow::{Result, ensure};
use baton::config::MacMode;
use baton_tests::lab::{Echo, Host, Lab, Pair, VIP, mac_text, wait_until};
use baton_tests::network::{Hears, Listener};

use super::support::{SOON, watch, with_pair};

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
        assert_only_the_owner_answers(lab)
    })
}

#[test]
fn arp_ignore_3_for_all_interfaces_does_not_make_a_second_card_answer() -> Result<()> {
    with_sysctl(Card::BeforeTheStart, "all/arp_ignore", "3", assert_only_the_owner_answers)
}

#[test]
fn arp_ignore_3_on_a_second_card_does_not_make_it_answer() -> Result<()> {
    with_sysctl(Card::BeforeTheStart, "eth1/arp_ignore", "3", assert_only_the_owner_answers)
}

#[test]
fn arp_ignore_3_for_later_interfaces_does_not_make_a_second_card_answer() -> Result<()> {
    with_sysctl(Card::AfterTheStart, "default/arp_ignore", "3", assert_only_the_owner_answers)
}

#[test]
fn arp_announce_3_on_a_second_card_does_not_make_it_ask_in_the_name_of_the_vip() -> Result<()> {
    with_sysctl(Card::BeforeTheStart, "eth1/arp_announce", "3", |lab| {
        assert_eq!(senders_on_second_card(lab)?, [SECOND_ADDRESS]);
        Ok(())
    })
}

/// When node b gets its second card.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Card {
    BeforeTheStart,
    AfterTheStart,
}

/// Runs `test` with Baton on both nodes, where the operator of node b has set a sysctl below `net/ipv4/conf`, and checks
/// that detach restores it.
fn with_sysctl(card: Card, key: &str, value: &str, test: impl FnOnce(&Lab) -> Result<()>) -> Result<()> {
    let lab = Lab::up()?;
    if card == Card::BeforeTheStart {
        lab.add_second_card(Host::B, SECOND_ADDRESS)?;
    }
    let path = format!("net/ipv4/conf/{key}");
    lab.namespace(Host::B).set(&path, value)?;
    let pair = Pair::start(&lab, MacMode::Interface.into(), 1)?;
    let echoes = [Echo::start(&lab, Host::A, VIP)?, Echo::start(&lab, Host::B, VIP)?];
    assert_eq!(pair.settle()?, Host::A);
    if card == Card::AfterTheStart {
        lab.add_second_card(Host::B, SECOND_ADDRESS)?;
    }
    test(&lab)?;
    drop(echoes);
    pair.stop()?;
    let after = lab.namespace(Host::B).within(|| Ok(fs::read_to_string(format!("/proc/sys/{path}"))?))?;
    assert_eq!(after.trim(), value, "{path} after detach");
    Ok(())
}

fn assert_only_the_owner_answers(lab: &Lab) -> Result<()> {
    let (_, recording) = watch(lab, || Ok(()))?;
    let answers = recording.arps.iter().filter(|arp| arp.answers > 0);
    let mut sources: Vec<String> =
        answers.flat_map(|arp| [arp.first.source, arp.last.source]).map(mac_text).collect();
    sources.sort_unstable();
    sources.dedup();
    assert_eq!(sources, [mac_text(Host::A.mac())], "who answers for the VIP");
    Ok(())
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
