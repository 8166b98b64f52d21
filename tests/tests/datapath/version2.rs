//! Advertisements of VRRPv2 (RFC 3768 7.1).

use baton_common::maps::{NO_AUTHENTICATION, PASSWORD, Router, mapped};
use baton_common::verdict::Verdict::{
    self, VrrpAuthentication, VrrpChecksum, VrrpInterval, VrrpLength, VrrpReceived, VrrpVersion,
};
use baton_common::vrid::Family;
use baton_tests::datapath::{XDP_DROP, XDP_PASS};
use baton_tests::frames;

use super::setup::{BOTH, PRIMARY, Role, SLOT, host, outcome};

const SECRET: [u8; 8] = *b"s3cret12";

fn verdict(name: &str, password: Option<[u8; 8]>, interval_s: u32) -> Verdict {
    let mut host = host(Role::Backup);
    let authentication = if password.is_some() { PASSWORD } else { NO_AUTHENTICATION };
    let router = Router {
        slot: SLOT,
        checksums: BOTH,
        primary: mapped(PRIMARY),
        group: Family::Ipv4.vrrp_group(),
        version: 2,
        authentication,
        _pad: 0,
        least_hops: 255,
        interval_s,
        password: password.unwrap_or_default(),
    };
    host.set_router(0, 51, Family::Ipv4, router);
    let frame = frames::octets(name);
    let seen = host.receive(&frame);
    let verdict = *seen.counted.keys().next().expect("a verdict");
    let action = if verdict == VrrpReceived { XDP_PASS } else { XDP_DROP };
    assert_eq!(seen, outcome(action, verdict, &frame), "{name}");
    if verdict == VrrpReceived {
        assert_eq!(u32::from(host.mailbox(SLOT).interval_cs), 100 * interval_s, "{name}");
    }
    verdict
}

/// T-074 to T-080, T-088.
#[test]
fn a_router_of_version_2_hears_what_is_authentic_and_in_step() {
    for (name, password, interval_s, expected) in [
        ("vrrp2-v4-noauth-p254", None, 1, VrrpReceived),
        ("vrrp2-v4-noauth-p100-3ip", None, 1, VrrpReceived),
        ("real-ka227-v2-advert", None, 1, VrrpReceived),
        ("real-frr844-v2-advert", None, 1, VrrpReceived),
        ("real-ka227-v2-2s-advert", None, 2, VrrpReceived),
        ("vrrp2-v4-auth1-p100", Some(SECRET), 1, VrrpReceived),
        ("vrrp2-v4-auth1-p100", None, 1, VrrpAuthentication),
        ("vrrp2-v4-noauth-p254", Some(SECRET), 1, VrrpAuthentication),
        ("vrrp2-v4-auth1-p100", Some(*b"s3cret13"), 1, VrrpAuthentication),
        ("bad-vrrp2-authtype3", None, 1, VrrpAuthentication),
        ("bad-vrrp2-noauthdata", None, 1, VrrpLength),
        ("bad-vrrp2-count0", None, 1, VrrpLength),
        ("bad-vrrp2-checksum", None, 1, VrrpChecksum),
        ("real-ka227-v2-2s-advert", None, 1, VrrpInterval),
        ("real-ka227-v2-advert", None, 2, VrrpInterval),
        ("vrrp3-v4-std-p100", None, 1, VrrpVersion),
    ] {
        assert_eq!(verdict(name, password, interval_s), expected, "{name}");
    }
}
