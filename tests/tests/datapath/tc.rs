//! The tcx programs: what they let pass, what they drop. The kernel's own opinion about a frame (`pkt_type`) and the
//! tag beside it exist on real interfaces only; the namespace suites see those.

use std::net::Ipv6Addr;

use baton::wire::question;
use baton_common::verdict::Verdict::{EgressArp, EgressNd, EgressVirtualMac};
use baton_tests::datapath::{FOREVER, Outcome, TC_ACT_SHOT, TCX_NEXT};
use baton_tests::frames::{self, tagged, with};

use super::setup::{BOTH, DEVICE_MAC, PRIMARY, Role, SLOT, VIRTUAL_MAC, VIRTUAL_MAC6, host, outcome};

const SOURCE_MAC: usize = 6;
const OPERATION: usize = 20;
const SENDER_MAC: usize = 22;

/// What a frame that may leave meets: it is not counted.
fn leaves(frame: &[u8]) -> Outcome {
    Outcome { action: TCX_NEXT, counted: Default::default(), frame: frame.to_vec() }
}

/// BPF_PROG_TEST_RUN does not make socket buffers that end inside the IP header.
fn is_whole(frame: &[u8]) -> bool {
    match frame.get(12..14) {
        Some([0x08, 0x00]) => frame.len() >= 14 + 20,
        Some([0x86, 0xdd]) => frame.len() >= 14 + 40,
        Some(_) => frame.len() > 14,
        None => false,
    }
}

#[test]
fn ingress_leaves_every_frame_as_it_is_to_the_next_program() {
    for host in [host(Role::Active), host(Role::Backup)] {
        for (name, vector) in frames::all() {
            let frame = vector.octets();
            if is_whole(&frame) {
                assert_eq!(host.ingress(&frame), leaves(&frame), "{name}");
                let to_device = with(&frame, 0, &DEVICE_MAC);
                assert_eq!(host.ingress(&to_device), leaves(&to_device), "{name}");
            }
        }
    }
}

/// What an owner asks a gateway in the name of a VIP is an owner's to say.
#[test]
fn an_owner_asks_as_the_vip_and_a_backup_does_not() {
    let (active, backup) = (host(Role::Active), host(Role::Backup));
    for (mac, vip, gateway, verdict) in [
        (VIRTUAL_MAC, "192.0.2.100", "192.0.2.1", EgressArp),
        (VIRTUAL_MAC6, "2001:db8::100", "fe80::1", EgressNd),
    ] {
        let [vip, gateway] = [vip, gateway].map(|text| text.parse().expect("an address"));
        let mut buffer = [0; 128];
        let length = question(mac, 0, vip, gateway).expect("of one family").build(&mut buffer).expect("room");
        let frame = &buffer[..length];
        assert_eq!(active.egress(frame), leaves(frame));
        assert_eq!(backup.egress(frame), outcome(TC_ACT_SHOT, verdict, frame));
    }
}

/// T-058.
#[test]
fn a_backup_router_says_nothing_as_the_virtual_router() {
    let host = host(Role::Backup);
    let mut from_virtual_mac = 0;
    for (name, vector) in frames::all() {
        let frame = vector.octets();
        // Vectors on a VLAN are of a link on which the VRID is somebody else's, if anybody's.
        if !is_whole(&frame) || frame[12] != 0x08 {
            continue;
        }
        // Ethernet, IPv4 addresses, from 192.0.2.100.
        let arp_for_vip = frame.len() >= 42
            && frame[12..20] == [8, 6, 0, 1, 8, 0, 6, 4]
            && frame[28..32] == [192, 0, 2, 100];
        let expected = if arp_for_vip {
            outcome(TC_ACT_SHOT, EgressArp, &frame)
        } else if tells_of_vip(&frame) {
            outcome(TC_ACT_SHOT, EgressNd, &frame)
        } else if [VIRTUAL_MAC, VIRTUAL_MAC6].contains(&frame[SOURCE_MAC..12].try_into().expect("a MAC")) {
            from_virtual_mac += 1;
            outcome(TC_ACT_SHOT, EgressVirtualMac, &frame)
        } else {
            leaves(&frame)
        };
        assert_eq!(host.egress(&frame), expected, "{name}");
    }
    assert!(from_virtual_mac > 50, "{from_virtual_mac}");
}

/// Whether a frame without tags is a neighbour advertisement of one of the VIPs, or a solicitation that comes from one.
fn tells_of_vip(frame: &[u8]) -> bool {
    let vips =
        [[0xfe80, 0], [0x2001, 0xdb8]].map(|[a, b]| Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0x100).octets());
    let at = match frame.get(54) {
        Some(135) => 22,
        Some(136) => 62,
        Some(_) | None => return false,
    };
    frame[12..14] == [0x86, 0xdd]
        && frame[20] == 58
        && frame.len() >= 78
        && vips.iter().any(|vip| frame[at..at + 16] == *vip)
}

#[test]
fn an_active_router_speaks_with_its_virtual_mac_only() {
    let host = host(Role::Active);
    for name in ["arp-garp-request-rfc9568", "arp-garp-reply", "arp-reply-vip-rfc9568", "vrrp3-v4-std-p100"] {
        let frame = frames::octets(name);
        assert_eq!(host.egress(&frame), leaves(&frame), "{name}");
    }
    // The kernel would use the device's own MAC, in whatever operation.
    let physical = frames::octets("arp-garp-request-physmac");
    for frame in [physical.clone(), with(&physical, OPERATION, &[0, 2]), with(&physical, OPERATION, &[0, 9])]
    {
        assert_eq!(host.egress(&frame), outcome(TC_ACT_SHOT, EgressArp, &frame));
    }
}

#[test]
fn the_mac_of_the_ownership_cell_is_the_one_to_speak_with() {
    let mut host = host(Role::Active);
    host.set_ownership(SLOT, FOREVER, DEVICE_MAC);
    let physical = frames::octets("arp-garp-request-physmac");
    assert_eq!(host.egress(&physical), leaves(&physical));
    let virtual_mac = with(&physical, SENDER_MAC, &VIRTUAL_MAC);
    assert_eq!(host.egress(&virtual_mac), outcome(TC_ACT_SHOT, EgressArp, &virtual_mac));
}

#[test]
fn another_virtual_routers_mac_is_not_guarded() {
    let host = host(Role::Backup);
    for mac in [[0, 0, 0x5e, 0, 1, 52], [0, 0, 0x5e, 0, 2, 52]] {
        let frame = with(&frames::octets("vrrp3-v4-std-p100"), SOURCE_MAC, &mac);
        assert_eq!(host.egress(&frame), leaves(&frame));
    }
}

#[test]
fn links_are_guarded_apart() {
    let mut host = host(Role::Active);
    host.add_router(100, 51, 5, BOTH, PRIMARY);
    host.add_vip(100, [192, 0, 2, 100], 5);
    let (garp, advert) = (frames::octets("arp-garp-request-rfc9568"), frames::octets("vrrp3-v4-std-p100"));
    for tags in [&[][..], &[(0x8100, 0)], &[(0x8100, 200)], &[(0x8100, 200), (0x8100, 100)]] {
        for frame in [tagged(&garp, tags), tagged(&advert, tags)] {
            assert_eq!(host.egress(&frame), leaves(&frame), "{tags:?}");
        }
    }
    for tags in [&[(0x8100, 100)][..], &[(0x88a8, 0), (0x8100, 100)]] {
        let (garp, advert) = (tagged(&garp, tags), tagged(&advert, tags));
        assert_eq!(host.egress(&garp), outcome(TC_ACT_SHOT, EgressArp, &garp), "{tags:?}");
        assert_eq!(host.egress(&advert), outcome(TC_ACT_SHOT, EgressVirtualMac, &advert), "{tags:?}");
    }
}
