//! Every VLAN is a link of its own.

use std::collections::BTreeMap;

use baton_common::ownership::Mailbox;
use baton_common::verdict::Verdict::{
    ArpAnswered, ArpNotOwner, Other, VipDelivered, VipNotOwner, VrrpReceived, VrrpUnknownRouter,
};
use baton_tests::datapath::{Datapath, FOREVER, Outcome, XDP_DROP, XDP_PASS, XDP_TX};
use baton_tests::frames::{self, tagged, with};

use super::setup::{BOTH, DEVICE_MAC, PRIMARY, VIRTUAL_MAC, outcome};

/// 802.1ad and 802.1Q, both with VID 200 outside and 100 inside.
const QINQ: u32 = 200 << 12 | 100;

/// VRID 51 and its VIP 192.0.2.100 on every one of `links`, each with a slot of its own.
fn host(links: &[(u32, u32)]) -> Datapath {
    let mut host = Datapath::load();
    host.set_device(DEVICE_MAC, PRIMARY, [0; 16]);
    for &(vlan, slot) in links {
        host.add_router(vlan, 51, slot, BOTH, PRIMARY);
        host.add_vip(vlan, [192, 0, 2, 100], slot);
    }
    host
}

/// Which of the slots 1 to 3 have heard something.
fn heard(host: &Datapath) -> Vec<u32> {
    (1..=3).filter(|slot| host.mailbox(*slot) != Mailbox::default()).collect()
}

/// T-139.
#[test]
fn adverts_reach_the_router_of_their_own_link() {
    for (name, slot) in [
        ("vrrp3-v4-std-p100", 1),
        ("vrrp3-v4-ph-p100-vlan100", 2),
        ("vrrp3-v4-std-p100-qinq", 3),
        ("vrrp3-v4-ph-p100-q8100q8100", 3),
    ] {
        let frame = frames::octets(name);
        let all = host(&[(0, 1), (100, 2), (QINQ, 3)]);
        assert_eq!(all.receive(&frame), outcome(XDP_PASS, VrrpReceived, &frame), "{name}");
        assert_eq!(heard(&all), [slot], "{name}");

        let others: Vec<_> =
            [(0, 1), (100, 2), (QINQ, 3)].into_iter().filter(|link| link.1 != slot).collect();
        let others = host(&others);
        assert_eq!(others.receive(&frame), outcome(XDP_PASS, VrrpUnknownRouter, &frame), "{name}");
        assert!(heard(&others).is_empty(), "{name}");
    }
}

/// T-140, and what the kernel does with such tags: it looks through them wherever they stand.
#[test]
fn a_tag_with_vid_0_names_no_link() {
    let advert = frames::octets("vrrp3-v4-std-p100");
    for (tags, slot) in [
        (&[(0x8100, 0)][..], 1),
        (&[(0x8100, 0), (0x8100, 0)], 1),
        (&[(0x8100, 0), (0x8100, 0), (0x8100, 0)], 1),
        (&[(0x8100, 0); 8], 1),
        (&[(0x8100, 0), (0x88a8, 200), (0x8100, 0), (0x8100, 100), (0x8100, 0)], 3),
        (&[(0x8100, 0), (0x8100, 100)], 2),
        (&[(0x8100, 100), (0x8100, 0)], 2),
        // Priority and drop eligibility are no part of the VID.
        (&[(0x8100, 0xf000)], 1),
        (&[(0x8100, 0xf000 | 100)], 2),
        (&[(0x88a8, 100)], 2),
        (&[(0x9100, 0xe000 | 200), (0x8100, 0x7000 | 100)], 3),
    ] {
        let host = host(&[(0, 1), (100, 2), (QINQ, 3)]);
        let frame = tagged(&advert, tags);
        assert_eq!(host.receive(&frame), outcome(XDP_PASS, VrrpReceived, &frame), "{tags:x?}");
        assert_eq!(heard(&host), [slot], "{tags:x?}");
    }
    let host = host(&[(0, 1)]);
    for name in ["vrrp3-v4-std-p100-vlan0", "vrrp3-v4-ph-p100-vlan0"] {
        let frame = frames::octets(name);
        assert_eq!(host.receive(&frame), outcome(XDP_PASS, VrrpReceived, &frame), "{name}");
    }
}

/// T-140.
#[test]
fn three_vlans_are_not_parsed() {
    let host = host(&[(0, 1), (100, 2), (QINQ, 3)]);
    let frame = frames::octets("bad-vrrp3-3tags");
    assert_eq!(host.receive(&frame), outcome(XDP_PASS, Other, &frame));
    let arp = tagged(&frames::octets("arp-request-vip"), &[(0x8100, 200), (0x8100, 100), (0x8100, 7)]);
    assert_eq!(host.receive(&arp), outcome(XDP_PASS, Other, &arp));
}

#[test]
fn a_tag_that_is_cut_off_is_no_tag() {
    let host = host(&[(0, 1), (100, 2), (QINQ, 3)]);
    let frame = frames::octets("vrrp3-v4-std-p100-qinq");
    for length in 14..22 {
        assert_eq!(
            host.receive(&frame[..length]),
            outcome(XDP_PASS, Other, &frame[..length]),
            "{length} octets"
        );
    }
}

/// T-139: one link is owned, the other is not, and the VIPs are the same.
#[test]
fn links_are_owned_apart() {
    let (vlan_0, vlan_100, qinq) = (&[][..], &[(0x8100, 100)][..], &[(0x88a8, 200), (0x8100, 100)][..]);
    for owned in 1..=3 {
        let mut host = host(&[(0, 1), (100, 2), (QINQ, 3)]);
        host.set_ownership(owned, FOREVER, VIRTUAL_MAC);
        for (tags, slot) in [(vlan_0, 1), (vlan_100, 2), (qinq, 3)] {
            let arp = tagged(&frames::octets("arp-request-vip"), tags);
            let traffic = tagged(&frames::octets("lb-tcp-syn-vip"), tags);
            let (to_arp, to_traffic) = (host.receive(&arp), host.receive(&traffic));
            if slot == owned {
                assert_eq!((to_arp.action, to_arp.counted), (XDP_TX, BTreeMap::from([(ArpAnswered, 1)])));
                let delivered = with(&traffic, 0, &DEVICE_MAC);
                assert_eq!(to_traffic, outcome(XDP_PASS, VipDelivered, &delivered));
            } else {
                assert_eq!(to_arp, outcome(XDP_DROP, ArpNotOwner, &arp));
                assert_eq!(to_traffic, outcome(XDP_DROP, VipNotOwner, &traffic));
            }
        }
    }
}

#[test]
fn an_answer_keeps_the_tags_of_the_request() {
    let mut host = host(&[(100, 2), (QINQ, 3)]);
    host.set_ownership(2, FOREVER, VIRTUAL_MAC);
    host.set_ownership(3, FOREVER, VIRTUAL_MAC);
    let reply = frames::octets("arp-reply-vip-rfc9568");
    for tags in [&[(0x8100, 0xa000 | 100)][..], &[(0x88a8, 0x6000 | 200), (0x8100, 0xe000 | 100)]] {
        let request = tagged(&frames::octets("arp-request-vip"), tags);
        let expected = Outcome {
            action: XDP_TX,
            counted: BTreeMap::from([(ArpAnswered, 1)]),
            frame: tagged(&reply, tags),
        };
        assert_eq!(host.receive(&request), expected);
    }
    let request = frames::octets("arp-request-vip-vlan100");
    assert_eq!(host.receive(&request).frame, tagged(&reply, &[(0x8100, 100)]));
}
