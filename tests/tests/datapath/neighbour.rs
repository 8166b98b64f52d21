//! Neighbour discovery for IPv6 VIPs, at both ends of a host, and S-BFD over IPv6.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use baton::wire::{SbfdProbe, UnsolicitedNa};
use baton_common::maps::VlanId;
use baton_common::sbfd::{FIRST_SOURCE_PORT, discriminator};
use baton_common::verdict::Verdict::{
    EgressNd, NdAnswered, NdNotOwner, Other, SbfdAdminDown, SbfdAnswer, SbfdDiscarded, SbfdUp, VipAnnounced,
};
use baton_common::vrid::Family;
use baton_tests::datapath::{TC_ACT_SHOT, TCX_NEXT, XDP_DROP, XDP_PASS, XDP_TX};
use baton_tests::frames::{self, tagged, with};

use super::setup::{DEVICE_MAC, PRIMARY6, Role, SLOT6, VIRTUAL_MAC6, host, outcome};

/// Offsets in an untagged frame.
const SOURCE: usize = 22;
const ICMP: usize = 54;
const TARGET: usize = ICMP + 8;

/// `frame`, untagged, with its ICMPv6 checksum made right.
fn checksummed(frame: &[u8]) -> Vec<u8> {
    let frame = with(frame, ICMP + 2, &[0, 0]);
    let length = u8::try_from(frame.len() - ICMP).expect("short");
    let pseudo = [&frame[SOURCE..ICMP], &[0, 58, 0, length]].concat();
    let words = pseudo.chunks(2).chain(frame[ICMP..].chunks(2));
    let sum: u32 = words.map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let sum = !u16::try_from((folded & 0xffff) + (folded >> 16)).expect("carries folded");
    with(&frame, ICMP + 2, &sum.to_be_bytes())
}

/// T-060, T-133, T-134, T-138. The answer to the second is longer than the question.
#[test]
fn a_solicitation_is_answered_as_recorded() {
    let host = host(Role::Active);
    let question = frames::octets("nd-ns-vip");
    // The vectors are of a host with another MAC than this one, or with the same.
    let recorded = with(&frames::octets("nd-na-solicited-vip"), 6, &DEVICE_MAC);
    assert_eq!(host.receive(&question), outcome(XDP_TX, NdAnswered, &recorded));

    let defence = host.receive(&frames::octets("nd-ns-vip-dad"));
    let mut expected = frames::octets("nd-na-unsolicited-vip");
    expected[6..12].copy_from_slice(&DEVICE_MAC);
    assert_eq!(defence, outcome(XDP_TX, NdAnswered, &expected), "to all nodes, not solicited");
}

#[test]
fn a_solicitation_to_the_address_itself_is_answered_too() {
    let host = host(Role::Active);
    let mut question = frames::octets("nd-ns-vip");
    question[..6].copy_from_slice(&VIRTUAL_MAC6);
    let target = question[TARGET..TARGET + 16].to_vec();
    question[38..54].copy_from_slice(&target);
    let answer = host.receive(&checksummed(&question));
    assert_eq!(answer.action, XDP_TX);
    assert_eq!(answer.frame, with(&frames::octets("nd-na-solicited-vip"), 6, &DEVICE_MAC));
}

#[test]
fn whatever_options_a_question_has_the_answer_has_one() {
    let host = host(Role::Active);
    let recorded = with(&frames::octets("nd-na-solicited-vip"), 6, &DEVICE_MAC);
    // A nonce (RFC 3971 5.3.2) behind the MAC; nothing but padding of the frame; no option at all.
    let mut nonce = frames::octets("nd-ns-vip");
    nonce.extend([14, 1, 1, 2, 3, 4, 5, 6]);
    nonce[19] += 8;
    let mut padded = frames::octets("nd-ns-vip");
    let mut bare = padded[..ICMP + 24].to_vec();
    bare[19] -= 8;
    let (nonce, bare) = (checksummed(&nonce), checksummed(&bare));
    padded.extend([0xff; 11]);
    // Padding that goes on in other buffers.
    let jumbo = [&padded[..], &[0xff; 9000]].concat();
    for question in [nonce, padded, bare, jumbo] {
        assert_eq!(host.receive(&question), outcome(XDP_TX, NdAnswered, &recorded));
    }
}

#[test]
fn a_tagged_question_is_answered_with_its_tags_on_its_own_link() {
    let mut host = host(Role::Active);
    let question = tagged(&frames::octets("nd-ns-vip"), &[(0x8100, 100)]);
    assert_eq!(host.receive(&question), outcome(XDP_PASS, Other, &question));
    let vip: [u8; 16] = question[TARGET + 4..TARGET + 20].try_into().expect("an address");
    host.add_vip(100 as VlanId, vip, SLOT6);
    let answer = with(&frames::octets("nd-na-solicited-vip"), 6, &DEVICE_MAC);
    assert_eq!(host.receive(&question), outcome(XDP_TX, NdAnswered, &tagged(&answer, &[(0x8100, 100)])));
}

/// T-054.
#[test]
fn a_question_from_a_group_and_one_to_a_backup_are_not_answered() {
    let question = frames::octets("nd-ns-vip");
    let from_group = with(&question, 6, &[0x03, 0, 0, 0, 0, 3]);
    assert_eq!(host(Role::Active).receive(&from_group), outcome(XDP_DROP, NdNotOwner, &from_group));
    for name in ["nd-ns-vip", "nd-ns-vip-dad"] {
        let question = frames::octets(name);
        assert_eq!(host(Role::Backup).receive(&question), outcome(XDP_DROP, NdNotOwner, &question), "{name}");
    }
}

/// T-135: several addresses share a group.
#[test]
fn questions_for_others_and_from_a_vip_are_told_apart() {
    let host = host(Role::Active);
    let other = checksummed(&with(&frames::octets("nd-ns-vip"), TARGET + 4, &[1]));
    assert_eq!(host.receive(&other), outcome(XDP_PASS, Other, &other));
    // Another owner asks, with its own MAC beside the VIP.
    let vip: Vec<u8> = other[TARGET..TARGET + 16].to_vec();
    let claim = checksummed(&with(&with(&other, SOURCE, &vip), SOURCE + 4, &[0]));
    assert_eq!(host.receive(&claim), outcome(XDP_DROP, VipAnnounced, &claim));
}

/// The second lock: what the kernel might say of a VIP.
#[test]
fn the_kernel_tells_neighbours_of_no_vip_that_is_not_here() {
    let vip: Ipv6Addr = "2001:db8::100".parse().expect("an address");
    let told = |mac, address| {
        let mut buffer = [0; 128];
        let length = UnsolicitedNa { mac, vlan: 0, address }.build(&mut buffer).expect("room");
        with(&buffer[..length], 6, &DEVICE_MAC)
    };
    let (active, backup) = (host(Role::Active), host(Role::Backup));
    let (with_virtual, with_own) = (told(VIRTUAL_MAC6, vip), told(DEVICE_MAC, vip));
    let elsewhere = told(DEVICE_MAC, "2001:db8::7".parse().expect("an address"));
    assert_eq!(active.egress(&with_virtual).action, TCX_NEXT);
    assert_eq!(active.egress(&with_own), outcome(TC_ACT_SHOT, EgressNd, &with_own));
    assert_eq!(backup.egress(&with_virtual), outcome(TC_ACT_SHOT, EgressNd, &with_virtual));
    assert_eq!(backup.egress(&elsewhere).action, TCX_NEXT);
    // A question from a VIP tells where it is as well.
    let mut asks = frames::octets("nd-ns-vip");
    asks[SOURCE..SOURCE + 16].copy_from_slice(&vip.octets());
    assert_eq!(active.egress(&asks), outcome(TC_ACT_SHOT, EgressNd, &asks));
}

#[test]
fn s_bfd_is_spoken_over_ipv6() {
    let peer: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    let ours = discriminator(PRIMARY6, 51);
    let probe = |to: [u8; 16], from: [u8; 16], asked, port| {
        let probe = SbfdProbe {
            mac: [2, 0, 0, 0, 0, 7],
            peer_mac: VIRTUAL_MAC6,
            vlan: 0,
            source: IpAddr::from(from),
            peer: IpAddr::from(to),
            port,
            up: true,
            poll: false,
            multiplier: 3,
            my_discriminator: discriminator(from, 51),
            your_discriminator: asked,
            interval: Duration::from_micros(100),
            sequence: 7,
            priority: 150,
        };
        let mut buffer = [0; 128];
        let length = probe.build(&mut buffer).expect("room");
        buffer[..length].to_vec()
    };
    for (role, verdict) in [(Role::Active, SbfdUp), (Role::Backup, SbfdAdminDown)] {
        let mut host = host(role);
        host.add_discriminator(0, Family::Ipv6, ours, SLOT6);
        let question = probe(PRIMARY6, peer, ours, FIRST_SOURCE_PORT);
        let answer = host.receive(&question);
        assert_eq!((answer.action, answer.counted.keys().next()), (XDP_TX, Some(&verdict)));
        assert_eq!(answer.frame[SOURCE..ICMP], [PRIMARY6, peer].concat());
        assert_eq!(host.standby(SLOT6).address, peer);
        // RFC 8200 8.1: no checksum, no datagram.
        let bare = with(&question, ICMP + 6, &[0, 0]);
        assert_eq!(host.receive(&bare), outcome(XDP_DROP, SbfdDiscarded, &bare));
    }
    // And the other way round: what the peer's reflector makes of our probe.
    let mut reflector = host(Role::Active);
    reflector.set_device([2, 0, 0, 0, 0, 7], [192, 0, 2, 7], peer);
    reflector.add_discriminator(0, Family::Ipv6, discriminator(peer, 51), SLOT6);
    let port = FIRST_SOURCE_PORT + u16::try_from(SLOT6).expect("small");
    let answer = reflector.receive(&probe(peer, PRIMARY6, discriminator(peer, 51), port)).frame;
    let mut asker = host(Role::Backup);
    asker.add_discriminator(0, Family::Ipv6, ours, SLOT6);
    assert_eq!(asker.receive(&answer), outcome(XDP_DROP, SbfdAnswer, &answer));
    assert_eq!((asker.answer(SLOT6).sequence, asker.answer(SLOT6).next_in_line), (7, 1));
}

/// Who has lost the VIPs of one family has those of the other still, though the virtual routers have one VRID.
#[test]
fn ownership_is_a_family_s_own() {
    let mut host = host(Role::Active);
    host.set_ownership(SLOT6, 0, VIRTUAL_MAC6);
    let question = frames::octets("nd-ns-vip");
    assert_eq!(host.receive(&question).counted.keys().next(), Some(&NdNotOwner));
    assert_eq!(host.receive(&frames::octets("arp-request-vip")).action, XDP_TX, "IPv4 is owned still");
}
