//! Traffic to the VIPs and to the virtual MAC.

use std::collections::BTreeMap;

use baton::clock;
use baton_common::ownership::Service;
use baton_common::verdict::Verdict::{
    HeadersApart, LinkControl, Other, VipDelivered, VipHeadersApart, VipNotOwner, VirtualMacNotOwner,
    VirtualMacNotVip,
};
use baton_tests::datapath::{FOREVER, Outcome, XDP_DROP, XDP_PASS};
use baton_tests::frames::{self, with};

use super::setup::{BOTH, DEVICE_MAC, PRIMARY, Role, SLOT, VIRTUAL_MAC, host, outcome};

const DESTINATION_MAC: usize = 0;
const ETHERTYPE: usize = 12;
const FRAGMENT: usize = 20;
const PROTOCOL: usize = 23;
const DESTINATION: usize = 30;

/// TCP to a VIP, sent to the virtual MAC.
fn traffic() -> Vec<u8> {
    frames::octets("lb-tcp-syn-vip")
}

fn delivered(frame: &[u8]) -> Outcome {
    Outcome {
        action: XDP_PASS,
        counted: BTreeMap::from([(VipDelivered, 1)]),
        frame: with(frame, DESTINATION_MAC, &DEVICE_MAC),
    }
}

#[test]
fn what_a_switch_port_itself_sends_is_told_apart_and_passed() {
    let host = host(Role::Backup);
    let frame =
        |destination: [u8; 6]| with(&frames::octets("arp-request-other"), DESTINATION_MAC, &destination);
    for (destination, verdict) in [
        ([0x01, 0x80, 0xc2, 0, 0, 0x00], LinkControl),
        ([0x01, 0x80, 0xc2, 0, 0, 0x0e], LinkControl),
        ([0x01, 0x80, 0xc2, 0, 0, 0x0f], LinkControl),
        ([0x01, 0x80, 0xc2, 0, 0, 0x10], Other),
        ([0x01, 0x80, 0xc2, 0, 1, 0x00], Other),
        ([0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xcc], LinkControl),
        ([0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xcd], LinkControl),
        ([0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xce], Other),
        ([0xff; 6], Other),
    ] {
        let frame = frame(destination);
        assert_eq!(host.receive(&frame), outcome(XDP_PASS, verdict, &frame), "{destination:02x?}");
    }
}

/// T-062: nothing but the destination MAC changes.
#[test]
fn an_active_router_delivers_to_its_kernel() {
    let host = host(Role::Active);
    for frame in [traffic(), frames::octets("icmp-fragneeded-vip")] {
        assert_eq!(host.receive(&frame), delivered(&frame));
    }
    let to_device = with(&traffic(), DESTINATION_MAC, &DEVICE_MAC);
    assert_eq!(host.receive(&to_device), delivered(&to_device));
}

#[test]
fn a_group_address_in_ethernet_is_left_as_it_is() {
    let host = host(Role::Active);
    for mac in [[0xff; 6], [0x01, 0, 0x5e, 0, 0, 1]] {
        let frame = with(&traffic(), DESTINATION_MAC, &mac);
        assert_eq!(host.receive(&frame), outcome(XDP_PASS, VipDelivered, &frame));
    }
}

#[test]
fn a_frame_for_another_host_stays_one() {
    let host = host(Role::Active);
    for frame in [frames::octets("lb-dsr-l2"), with(&traffic(), DESTINATION_MAC, &[0x00, 0, 0x5e, 0, 1, 52])]
    {
        assert_eq!(host.receive(&frame), outcome(XDP_PASS, Other, &frame));
    }
}

/// T-057: a reset from this kernel would kill the connection that the owner serves.
#[test]
fn a_backup_router_hides_the_vips_from_its_kernel() {
    let host = host(Role::Backup);
    for mac in [VIRTUAL_MAC, DEVICE_MAC, [0xff; 6], [2, 0, 0, 0, 0, 0x0a]] {
        let frame = with(&traffic(), DESTINATION_MAC, &mac);
        assert_eq!(host.receive(&frame), outcome(XDP_DROP, VipNotOwner, &frame), "{mac:02x?}");
    }
}

/// The transport is never read: fragments without a header of it are gated like the first one.
#[test]
fn fragments_and_protocols_make_no_difference() {
    let (active, backup) = (host(Role::Active), host(Role::Backup));
    let fragments =
        [[0x20, 0x00], [0x20, 0xb9], [0x00, 0xb9]].map(|flags| with(&traffic(), FRAGMENT, &flags));
    let protocols = (0..=255).map(|protocol| with(&traffic(), PROTOCOL, &[protocol]));
    let header_only = traffic()[..34].to_vec();
    let options = [&with(&traffic(), 14, &[0x4f])[..34], &[1; 40], &traffic()[34..]].concat();
    for frame in fragments.into_iter().chain(protocols).chain([header_only, options]) {
        assert_eq!(active.receive(&frame), delivered(&frame));
        assert_eq!(backup.receive(&frame), outcome(XDP_DROP, VipNotOwner, &frame));
    }
}

/// Frames that the kernel keeps in several buffers, which a driver hands over for an MTU above a page.
#[test]
fn jumbo_frames_are_gated_like_others() {
    let frame = [traffic(), vec![0xa5; 9000]].concat();
    assert_eq!(host(Role::Active).receive(&frame), delivered(&frame));
    assert_eq!(host(Role::Backup).receive(&frame), outcome(XDP_DROP, VipNotOwner, &frame));
}

/// What some drivers do.
#[test]
fn a_frame_whose_headers_are_not_in_its_first_buffer_is_dropped_if_it_is_for_a_vip_and_else_passed() {
    let large = |name: &str| {
        let frame = [frames::octets(name), vec![0xa5; 9000]].concat();
        [DEVICE_MAC, VIRTUAL_MAC].map(|mac| with(&frame, DESTINATION_MAC, &mac))
    };
    let tagged = |frame: &[u8]| [&frame[..12], &[0x81, 0, 0, 0], &frame[12..]].concat();
    let ipv6 = large("icmp6-echo-vip");
    let frame = with(&[traffic(), vec![0xa5; 9000]].concat(), DESTINATION_MAC, &DEVICE_MAC);
    for host in [host(Role::Active), host(Role::Backup)] {
        for first in [14, 33] {
            let other = with(&frame, DESTINATION, &[192, 0, 2, 99]);
            assert_eq!(host.receive_split(&other, first), outcome(XDP_PASS, HeadersApart, &other));
            for frame in [frame.clone(), tagged(&frame), ipv6[0].clone(), ipv6[1].clone(), tagged(&ipv6[0])] {
                let dropped = outcome(XDP_DROP, VipHeadersApart, &frame);
                assert_eq!(host.receive_split(&frame, first), dropped, "{first}");
            }
        }
        let small = traffic()[..33].to_vec();
        let small = with(&small, DESTINATION_MAC, &DEVICE_MAC);
        assert_eq!(host.receive(&small), outcome(XDP_PASS, Other, &small), "all of it is there");
    }
    assert_eq!(host(Role::Active).receive_split(&frame, 54), delivered(&frame));
    assert_eq!(host(Role::Backup).receive_split(&frame, 54), outcome(XDP_DROP, VipNotOwner, &frame));
}

/// T-056, and what an Active Router makes of it: it is no gateway.
#[test]
fn a_virtual_mac_draws_nothing_but_vip_traffic() {
    let (active, backup) = (host(Role::Active), host(Role::Backup));
    let not_vip = with(&traffic(), DESTINATION, &[192, 0, 2, 99]);
    let group = with(&traffic(), DESTINATION, &[224, 0, 0, 18]);
    let arp = with(&frames::octets("arp-request-other"), DESTINATION_MAC, &VIRTUAL_MAC);
    let ipv6 = with(&frames::octets("icmp6-echo-vip"), DESTINATION_MAC, &VIRTUAL_MAC);
    let ipv6 = with(&ipv6, 38, &[0x20, 0x01, 0x0d, 0xb9]);
    let unknown = with(&traffic(), ETHERTYPE, &[0x12, 0x34]);
    let llc = with(&traffic(), ETHERTYPE, &[0x00, 0x26]);
    let bare = traffic()[..14].to_vec();
    for frame in [not_vip, group, arp, ipv6, unknown, llc, bare] {
        assert_eq!(backup.receive(&frame), outcome(XDP_DROP, VirtualMacNotOwner, &frame));
        assert_eq!(active.receive(&frame), outcome(XDP_DROP, VirtualMacNotVip, &frame));
    }
}

#[test]
fn the_virtual_macs_of_others_are_not_ours() {
    for host in [host(Role::Active), host(Role::Backup)] {
        // Another VRID, of either family; almost a virtual MAC.
        for mac in
            [[0, 0, 0x5e, 0, 1, 52], [0, 0, 0x5e, 0, 2, 52], [2, 0, 0x5e, 0, 1, 51], [0, 0, 0x5e, 0, 1, 0]]
        {
            let frame = with(&with(&traffic(), DESTINATION, &[192, 0, 2, 99]), DESTINATION_MAC, &mac);
            assert_eq!(host.receive(&frame), outcome(XDP_PASS, Other, &frame), "{mac:02x?}");
        }
    }
}

#[test]
fn two_virtual_routers_are_owned_apart() {
    let mut host = host(Role::Active);
    host.add_router(0, 52, 7, BOTH, PRIMARY);
    host.add_vip(0, [198, 51, 100, 1], 7);
    let mac_52 = [0, 0, 0x5e, 0, 1, 52];
    let (first, second) = (traffic(), with(&traffic(), DESTINATION, &[198, 51, 100, 1]));
    let second = with(&second, DESTINATION_MAC, &mac_52);
    assert_eq!(host.receive(&first), delivered(&first));
    assert_eq!(host.receive(&second), outcome(XDP_DROP, VipNotOwner, &second));

    host.set_ownership(SLOT, 0, VIRTUAL_MAC);
    host.set_ownership(7, FOREVER, mac_52);
    assert_eq!(host.receive(&first), outcome(XDP_DROP, VipNotOwner, &first));
    assert_eq!(host.receive(&second), delivered(&second));
    // The right address behind the wrong virtual MAC: what another host's frame looks like.
    let crossed = with(&second, DESTINATION_MAC, &VIRTUAL_MAC);
    assert_eq!(host.receive(&crossed), outcome(XDP_PASS, Other, &crossed));
}

/// The first of a tenure is stamped, and no later one.
#[test]
fn the_first_frame_that_is_served_after_a_takeover_is_stamped() {
    let mut host = host(Role::Active);
    let frame = frames::octets("lb-tcp-syn-vip");
    assert_eq!(host.service(SLOT), Service::default());
    let before = clock::now().as_nanos();
    host.receive(&frame);
    let first = host.service(SLOT);
    assert!(first.first_ns >= before);
    assert_eq!(first, Service { first_ns: first.first_ns, epoch: 1, _pad: [0; 4] });
    host.receive(&frame);
    assert_eq!(host.service(SLOT), first);
    // What is not served does not count.
    host.set_ownership(SLOT, 0, VIRTUAL_MAC);
    host.receive(&frame);
    assert_eq!(host.service(SLOT), first);
}
