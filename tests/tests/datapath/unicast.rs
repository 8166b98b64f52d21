//! Advertisements of unicast peers.

use std::net::IpAddr;

use baton::address;
use baton_common::maps::{ACCEPT_V3, NO_AUTHENTICATION, Router, mapped};
use baton_common::verdict::Verdict::{
    self, Other, VrrpChecksum, VrrpDestination, VrrpNotPeer, VrrpReceived, VrrpTtl, VrrpUnknownRouter,
};
use baton_common::vrid::Family;
use baton_tests::datapath::{Datapath, XDP_DROP, XDP_PASS};
use baton_tests::frames;

use super::setup::{BOTH, DEVICE_MAC, SLOT, SLOT6, outcome};

/// Who sends the frames, and to whom.
const SENDER: [u8; 4] = [192, 0, 2, 1];
const US: [u8; 4] = [192, 0, 2, 2];
/// Another address of ours.
const OTHER: [u8; 4] = [192, 0, 2, 9];
const SENDER6: [u16; 8] = [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1];
const US6: [u16; 8] = [0x2001, 0xdb8, 0, 0, 0, 0, 0, 2];
/// Offset in an untagged frame.
const DESTINATION: usize = 30;

/// A host with a virtual router of each family that has `peers`, and takes adverts with that TTL or more.
fn host(peers: &[IpAddr], least_hops: u8) -> Datapath {
    let mut host = Datapath::load();
    let us6: std::net::Ipv6Addr = US6.into();
    host.set_device(DEVICE_MAC, US, us6.octets());
    for (slot, family, primary) in
        [(SLOT, Family::Ipv4, IpAddr::from(US)), (SLOT6, Family::Ipv6, IpAddr::from(US6))]
    {
        host.set_router(0, 51, family, router(slot, primary, peers, least_hops));
        peers.iter().for_each(|peer| host.add_peer(slot, *peer));
    }
    host
}

fn router(slot: u32, primary: IpAddr, peers: &[IpAddr], least_hops: u8) -> Router {
    Router {
        slot,
        checksums: BOTH,
        primary: address::to_map(primary),
        multicast: if peers.is_empty() { address::family(primary).vrrp_group() } else { [0; 16] },
        versions: ACCEPT_V3,
        authentication: NO_AUTHENTICATION,
        _pad: 0,
        least_hops,
        interval_s: 1,
        password: [0; 8],
    }
}

fn assert_verdict(host: &Datapath, name: &str, verdict: Verdict) {
    let frame = frames::octets(name);
    let action = if matches!(verdict, VrrpReceived | VrrpUnknownRouter) { XDP_PASS } else { XDP_DROP };
    assert_eq!(host.receive(&frame), outcome(action, verdict, &frame), "{name}");
}

/// T-012.
#[test]
fn adverts_of_a_peer_are_heard_with_their_own_destination_in_the_checksum() {
    let host = host(&[SENDER.into(), SENDER6.into()], 255);
    for name in ["vrrp3-v4-ph-unicast-p100", "vrrp3-v4-std-unicast-p100", "real-ka227-v3-uni-advert"] {
        assert_verdict(&host, name, VrrpReceived);
        assert_eq!(host.mailbox(SLOT).priority, 100, "{name}");
    }
    assert_verdict(&host, "vrrp3-v4-ph-unicast-p0", VrrpReceived);
    assert_eq!(host.mailbox(SLOT).priority, 0);
    assert_verdict(&host, "vrrp3-v6-unicast-p100", VrrpReceived);
    assert_eq!(host.mailbox(SLOT6).priority, 100);
    // As keepalived did up to 1.3.6.
    assert_verdict(&host, "vrrp3-v4-ph-unicast-oldcsum-p100", VrrpChecksum);
}

/// T-089.
#[test]
fn adverts_of_strangers_are_discarded() {
    let host = host(&[[192, 0, 2, 9].into(), SENDER6.into()], 255);
    assert_verdict(&host, "vrrp3-v4-ph-unicast-p100", VrrpNotPeer);
    assert_eq!(host.mailbox(SLOT).arrived_ns, 0);
    // That address is a peer's, but of the other virtual router.
    assert_verdict(&host, "vrrp3-v6-unicast-p100", VrrpReceived);
}

/// T-090.
#[test]
fn the_group_and_unicast_are_two_elections() {
    let unicast = host(&[SENDER.into()], 255);
    for name in ["vrrp3-v4-ph-p100", "vrrp3-v6-p100"] {
        assert_verdict(&unicast, name, VrrpDestination);
    }
    let multicast = host(&[], 255);
    for name in ["vrrp3-v4-ph-unicast-p100", "vrrp3-v6-unicast-p100"] {
        assert_verdict(&multicast, name, VrrpDestination);
    }
}

/// Another group is another virtual router, perhaps of another implementation on this host.
#[test]
fn adverts_to_another_group_are_those_of_another_router() {
    let mut host = host(&[], 255);
    let at_home = frames::octets("vrrp3-v4-std-p100");
    let mut elsewhere = at_home.clone();
    // 224.0.0.118, and what that takes from the sum of the header (RFC 1624).
    elsewhere[33] += 100;
    let sum = u16::from_be_bytes([elsewhere[24], elsewhere[25]]) - 100;
    elsewhere[24..26].copy_from_slice(&sum.to_be_bytes());
    let unknown = |frame: &[u8]| outcome(XDP_PASS, VrrpUnknownRouter, frame);
    assert_eq!(host.receive(&at_home), outcome(XDP_PASS, VrrpReceived, &at_home));
    assert_eq!(host.receive(&elsewhere), unknown(&elsewhere));
    let router = Router { multicast: mapped([224, 0, 0, 118]), ..router(SLOT, US.into(), &[], 255) };
    host.set_router(0, 51, Family::Ipv4, router);
    assert_eq!(host.receive(&at_home), unknown(&at_home));
    assert_eq!(host.receive(&elsewhere), outcome(XDP_PASS, VrrpReceived, &elsewhere));
}

/// What is for an address that another virtual router advertises from is no word to this one, whoever says it.
#[test]
fn an_advert_is_for_the_router_whose_address_it_goes_to() {
    let mut host = host(&[SENDER.into()], 255);
    let frame = frames::octets("vrrp3-v4-ph-unicast-p100");
    let other = frames::ip_checksummed(&frames::with(&frame, DESTINATION, &OTHER));
    assert_eq!(host.receive(&other), outcome(XDP_PASS, Other, &other));
    host.add_source(0, OTHER);
    assert_eq!(host.receive(&other), outcome(XDP_DROP, VrrpDestination, &other));
    assert_eq!(host.receive(&frame), outcome(XDP_PASS, VrrpReceived, &frame));
}

/// T-091.
#[test]
fn a_peer_may_be_further_away_if_it_is_configured() {
    let peers = [SENDER.into()];
    for (least_hops, verdict) in [(255, VrrpTtl), (65, VrrpTtl), (64, VrrpReceived), (1, VrrpReceived)] {
        assert_verdict(&host(&peers, least_hops), "vrrp3-v4-ph-unicast-ttl64", verdict);
    }
}

/// T-095: what is not for us may be for another implementation, and the agent's socket keeps the kernel from objecting.
#[test]
fn unicast_for_another_virtual_router_passes() {
    let mut host = Datapath::load();
    host.set_device(DEVICE_MAC, US, [0; 16]);
    assert_verdict(&host, "vrrp3-v4-ph-unicast-p100", VrrpUnknownRouter);
}
