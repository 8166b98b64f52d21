//! Advertisements of VRRPv2 (RFC 3768 7.1), and routers that hear VRRPv3 beside it (RFC 9568 8.4).

use baton_common::maps::{
    ACCEPT_PSEUDO, ACCEPT_RFC9568, ACCEPT_V2, ACCEPT_V3, NO_AUTHENTICATION, PASSWORD, Router, mapped,
};
use baton_common::ownership::Mailbox;
use baton_common::verdict::Verdict::{
    self, VrrpAuthentication, VrrpChecksum, VrrpInterval, VrrpLength, VrrpReceived, VrrpVersion,
};
use baton_common::vrid::Family;
use baton_tests::datapath::{Datapath, Outcome, XDP_DROP, XDP_PASS};
use baton_tests::frames;

use super::setup::{BOTH, PRIMARY, Role, SLOT, host, outcome};

const SECRET: [u8; 8] = *b"s3cret12";

/// A router of VRRPv2 and no password, whose interval is a second.
const OF_VERSION_2: Router = Router {
    slot: SLOT,
    checksums: BOTH,
    primary: mapped(PRIMARY),
    multicast: Family::Ipv4.vrrp_group(),
    versions: ACCEPT_V2,
    authentication: NO_AUTHENTICATION,
    _pad: 0,
    least_hops: 255,
    interval_s: 1,
    password: [0; 8],
};
/// Of both versions.
const OF_BOTH: Router = Router { versions: ACCEPT_V2 | ACCEPT_V3, interval_s: 0, ..OF_VERSION_2 };

/// A Backup with `router` as VRID 51.
fn with(router: Router) -> Datapath {
    let mut host = host(Role::Backup);
    host.set_router(0, 51, Family::Ipv4, router);
    host
}

fn verdict(name: &str, password: Option<[u8; 8]>, interval_s: u32) -> Verdict {
    let authentication = if password.is_some() { PASSWORD } else { NO_AUTHENTICATION };
    let password = password.unwrap_or_default();
    let host = with(Router { authentication, interval_s, password, ..OF_VERSION_2 });
    let frame = frames::octets(name);
    let seen = host.receive(&frame);
    let verdict = *seen.counted.keys().next().expect("a verdict");
    let action = if verdict == VrrpReceived { XDP_PASS } else { XDP_DROP };
    assert_eq!(seen, outcome(action, verdict, &frame), "{name}");
    if verdict == VrrpReceived {
        let mailbox = host.mailbox(SLOT);
        assert_eq!((mailbox.version, u32::from(mailbox.interval_cs)), (2, 100 * interval_s), "{name}");
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

/// T-080: `checksum` is about VRRPv3.
#[test]
fn version_2_has_one_checksum_whichever_is_configured() {
    let frame = frames::octets("vrrp2-v4-noauth-p254");
    let covered = with_pseudo_header(&frame);
    for checksums in [ACCEPT_RFC9568, ACCEPT_PSEUDO, BOTH] {
        let host = with(Router { checksums, ..OF_VERSION_2 });
        assert_eq!(host.receive(&frame), outcome(XDP_PASS, VrrpReceived, &frame), "{checksums}");
        assert_eq!(host.receive(&covered), outcome(XDP_DROP, VrrpChecksum, &covered), "{checksums}");
    }
}

/// T-088 the other way round: whatever frame comes, a router of both versions makes of it what a router of its version makes
/// of it.
#[test]
fn a_router_of_both_versions_judges_every_frame_as_a_router_of_its_version_does() {
    let any_interval = Router { interval_s: 0, ..OF_VERSION_2 };
    let old = with(any_interval);
    let new = with(Router { versions: ACCEPT_V3, ..any_interval });
    let both = with(OF_BOTH);
    let mut heard = [0; 2];
    for (name, vector) in frames::all() {
        let frame = vector.octets();
        // No interface delivers less than an Ethernet header.
        if frame.len() < 14 {
            continue;
        }
        let [of_old, of_new] = [&old, &new].map(|host| host.receive(&frame));
        let expected = if is(&of_new, VrrpVersion) { &of_old } else { &of_new };
        assert_eq!(both.receive(&frame), *expected, "{name}");
        for (version, (alone, outcome)) in [(&old, of_old), (&new, of_new)].into_iter().enumerate() {
            if is(&outcome, VrrpReceived) && frame[12..14] == [8, 0] {
                let [seen, expected] = [&both, alone].map(|host| told(&host.mailbox(SLOT)));
                assert_eq!(seen, expected, "{name}");
                heard[version] += 1;
            }
        }
    }
    assert_eq!(heard, [14, 39], "untagged frames of VRRPv2 and of VRRPv3 over IPv4");
}

/// T-086: what the agent and the guardian send in VRRPv3 goes by what was heard in it.
#[test]
fn an_advert_of_version_2_tells_its_version_and_nothing_of_the_checksum() {
    let host = with(OF_BOTH);
    for (name, version, interval_cs, checksum) in [
        ("real-ka227-v2-2s-advert", 2, 200, 0),
        ("vrrp3-v4-ph-p100", 3, 100, ACCEPT_PSEUDO),
        ("vrrp2-v4-noauth-p254", 2, 100, ACCEPT_PSEUDO),
        ("vrrp3-v4-std-p100", 3, 100, ACCEPT_RFC9568),
        ("vrrp2-v4-noauth-p254", 2, 100, ACCEPT_RFC9568),
    ] {
        let frame = frames::octets(name);
        assert_eq!(host.receive(&frame), outcome(XDP_PASS, VrrpReceived, &frame), "{name}");
        let mailbox = host.mailbox(SLOT);
        let told = (mailbox.version, mailbox.interval_cs, u32::from(mailbox.checksum));
        assert_eq!(told, (version, interval_cs, checksum), "{name}");
    }
}

/// T-087: an interval that VRRPv3 has no number for is told as the longest that it has one for, and none is an error.
#[test]
fn a_router_of_both_versions_hears_any_interval_of_version_2() {
    let host = with(OF_BOTH);
    for (seconds, told) in [(1, Some(100)), (40, Some(4000)), (41, Some(4095)), (255, Some(4095)), (0, None)]
    {
        let frame = with_seconds(&frames::octets("vrrp2-v4-noauth-p254"), seconds);
        let (action, verdict) = match told {
            Some(_) => (XDP_PASS, VrrpReceived),
            None => (XDP_DROP, VrrpInterval),
        };
        assert_eq!(host.receive(&frame), outcome(action, verdict, &frame), "{seconds} s");
        let expected = told.unwrap_or(4095);
        assert_eq!(host.mailbox(SLOT).interval_cs, expected, "{seconds} s");
    }
}

/// What a mailbox has of the last advertisement, but its time and number.
fn told(mailbox: &Mailbox) -> (u8, [u8; 16], u16, u8, [u8; 6]) {
    let Mailbox { version, source, interval_cs, priority, mac, .. } = *mailbox;
    (version, source, interval_cs, priority, mac)
}

fn is(outcome: &Outcome, verdict: Verdict) -> bool {
    outcome.counted.contains_key(&verdict)
}

/// Where the interval and the checksum of a message are, behind an IPv4 header without options.
const SECONDS: usize = 39;
const CHECKSUM: usize = 40;

/// `frame` with another Adver Int, and the checksum that goes with it.
fn with_seconds(frame: &[u8], seconds: u8) -> Vec<u8> {
    let [before, after] = [frame[SECONDS], seconds].map(u32::from);
    summed(&frames::with(frame, SECONDS, &[seconds]), 0xffff - before + after)
}

/// `frame` with a checksum that covers an IPv4 pseudo-header too.
fn with_pseudo_header(frame: &[u8]) -> Vec<u8> {
    let message = &frame[34..];
    let addresses = frame[26..34].chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let length = u32::try_from(message.len()).expect("a short message");
    summed(frame, addresses.sum::<u32>() + 112 + length)
}

/// `frame` with so much more in what its checksum is the complement of (RFC 1624).
fn summed(frame: &[u8], more: u32) -> Vec<u8> {
    let field = u32::from(frame[CHECKSUM]) << 8 | u32::from(frame[CHECKSUM + 1]);
    let mut sum = 0xffff - field + more;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    frames::with(frame, CHECKSUM, &u16::try_from(0xffff - sum).expect("16 bits").to_be_bytes())
}
