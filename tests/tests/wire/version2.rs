//! VRRPv2 (RFC 3768), with the password of RFC 2338.

use super::*;

/// The password of the vectors.
const PASSWORD: [u8; 8] = *b"s3cret12";
const OPEN: Version = Version::V2 { password: None };
const CLOSED: Version = Version::V2 { password: Some(PASSWORD) };

fn heard(name: &str, versions: Versions) -> Result<u8, Discard> {
    let find = |_, _, _| Some(expected(IpAddr::from([192, 0, 2, 99]), versions, AUTO));
    let frame = frames::octets(name);
    parse_frame(&frame, find).map(|received| received.advertisement.standing.octet())
}

/// T-074 to T-080, T-088.
#[test]
fn advertisements_are_accepted_with_the_authentication_that_is_configured() {
    for (name, versions, expected) in [
        ("vrrp2-v4-noauth-p254", Versions::Only(OPEN), Ok(254)),
        ("vrrp2-v4-noauth-p0", Versions::Only(OPEN), Ok(0)),
        ("vrrp2-v4-noauth-p100-3ip", Versions::Only(OPEN), Ok(100)),
        ("real-ka227-v2-advert", Versions::Only(OPEN), Ok(100)),
        ("real-frr844-v2-advert", Versions::Only(OPEN), Ok(100)),
        ("vrrp2-v4-auth1-p100", Versions::Only(CLOSED), Ok(100)),
        ("vrrp2-v4-noauth-p254", Versions::Only(CLOSED), Err(Discard::Authentication)),
        ("vrrp2-v4-auth1-p100", Versions::Only(OPEN), Err(Discard::Authentication)),
        ("bad-vrrp2-authtype3", Versions::Only(OPEN), Err(Discard::Authentication)),
        ("bad-vrrp2-noauthdata", Versions::Only(OPEN), Err(Discard::Length)),
        ("bad-vrrp2-count0", Versions::Only(OPEN), Err(Discard::Length)),
        ("bad-vrrp2-count5-of-1", Versions::Only(OPEN), Err(Discard::Length)),
        ("bad-vrrp2-checksum", Versions::Only(OPEN), Err(Discard::Checksum)),
        ("real-ka227-v2-2s-advert", Versions::Only(OPEN), Err(Discard::Interval)),
        ("vrrp3-v4-std-p100", Versions::Only(OPEN), Err(Discard::Version(3))),
        ("vrrp2-v4-noauth-p254", Versions::Only(Version::V3), Err(Discard::Version(2))),
    ] {
        assert_eq!(heard(name, versions), expected, "{name} {versions:?}");
    }
}

/// T-074, T-075.
#[test]
fn the_builder_makes_the_recorded_advertisements_of_version_2() {
    for (name, version, priority) in
        [("vrrp2-v4-noauth-p254", OPEN, 254), ("vrrp2-v4-auth1-p100", CLOSED, 100)]
    {
        let addresses = [IpAddr::from([192, 0, 2, 100])];
        let standing = Standing::from_octet(priority);
        let outgoing = Outgoing { version, standing, ..advertisement(&addresses) };
        let mut buffer = [0xa5; MAX_ADVERTISEMENT_FRAME];
        let length = outgoing.build(group(&outgoing), &mut buffer).expect("large enough");
        let recorded = frames::octets(name);
        assert_eq!(hex(&buffer[12..length]), hex(&recorded[12..]), "{name}");
    }
}

/// A router of both versions hears either as a router of that version alone would, but for the interval of VRRPv2.
#[test]
fn advertisements_of_either_version_are_accepted_by_a_router_of_both() {
    let [open, closed] = [None, Some(PASSWORD)].map(|password| Versions::Both { password });
    for (name, versions, expected) in [
        ("vrrp2-v4-noauth-p254", open, Ok(254)),
        ("vrrp3-v4-std-p254", open, Ok(254)),
        ("vrrp3-v4-ph-p100", open, Ok(100)),
        ("vrrp2-v4-noauth-p0", open, Ok(0)),
        ("real-ka227-v2-2s-advert", open, Ok(100)),
        ("vrrp2-v4-auth1-p100", closed, Ok(100)),
        ("vrrp3-v4-ph-p100", closed, Ok(100)),
        ("vrrp2-v4-noauth-p254", closed, Err(Discard::Authentication)),
        ("vrrp2-v4-auth1-p100", open, Err(Discard::Authentication)),
        ("bad-vrrp2-noauthdata", open, Err(Discard::Length)),
        ("bad-vrrp2-checksum", open, Err(Discard::Checksum)),
        ("bad-vrrp3-std-adv0", open, Err(Discard::Interval)),
        ("bad-vrrp3-std-version1", open, Err(Discard::Version(1))),
        ("bad-vrrp3-ph-version4", open, Err(Discard::Version(4))),
    ] {
        assert_eq!(heard(name, versions), expected, "{name} {versions:?}");
    }
}

/// T-087, and a VRRPv2 interval that VRRPv3 has no number for.
#[test]
fn a_router_of_both_versions_learns_the_interval_of_version_2() {
    for (seconds, expected) in
        [(0, None), (1, Some(100)), (2, Some(200)), (41, Some(4095)), (255, Some(4095))]
    {
        assert_eq!(Interval::from_seconds(seconds).map(Interval::centiseconds), expected, "{seconds} s");
    }
    let both = Versions::Both { password: None };
    let find = |_, _, _| Some(expected(IpAddr::from([192, 0, 2, 99]), both, AUTO));
    let frame = frames::octets("real-ka227-v2-2s-advert");
    let advertisement = parse_frame(&frame, find).expect("valid").advertisement;
    assert_eq!((advertisement.interval, advertisement.version), (interval(200), OPEN));
}

/// T-085: the same word in both versions, VRRPv3 last.
#[test]
fn a_router_of_both_versions_sends_one_advertisement_of_each() {
    let both = Versions::Both { password: Some(PASSWORD) };
    assert_eq!(both.sent(), (Some(CLOSED), Version::V3));
    assert_eq!(Versions::Only(OPEN).sent(), (None, OPEN));
    assert_eq!([both, Versions::Only(OPEN)].map(|versions| versions.to_string()), ["2+3", "2"]);
}
