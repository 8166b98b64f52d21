//! VRRPv2 (RFC 3768), with the password of RFC 2338.

use super::*;

/// The password of the vectors.
const PASSWORD: [u8; 8] = *b"s3cret12";
const OPEN: Version = Version::V2 { password: None };
const CLOSED: Version = Version::V2 { password: Some(PASSWORD) };

fn heard(name: &str, version: Version) -> Result<u8, Discard> {
    let find = |_, _, _| Some(expected(IpAddr::from([192, 0, 2, 99]), version, AUTO));
    let frame = frames::octets(name);
    parse_frame(&frame, find).map(|received| received.advertisement.standing.octet())
}

/// T-074 to T-080, T-088.
#[test]
fn advertisements_are_accepted_with_the_authentication_that_is_configured() {
    for (name, version, expected) in [
        ("vrrp2-v4-noauth-p254", OPEN, Ok(254)),
        ("vrrp2-v4-noauth-p0", OPEN, Ok(0)),
        ("vrrp2-v4-noauth-p100-3ip", OPEN, Ok(100)),
        ("real-ka227-v2-advert", OPEN, Ok(100)),
        ("real-frr844-v2-advert", OPEN, Ok(100)),
        ("vrrp2-v4-auth1-p100", CLOSED, Ok(100)),
        ("vrrp2-v4-noauth-p254", CLOSED, Err(Discard::Authentication)),
        ("vrrp2-v4-auth1-p100", OPEN, Err(Discard::Authentication)),
        ("bad-vrrp2-authtype3", OPEN, Err(Discard::Authentication)),
        ("bad-vrrp2-noauthdata", OPEN, Err(Discard::Length)),
        ("bad-vrrp2-count0", OPEN, Err(Discard::Length)),
        ("bad-vrrp2-count5-of-1", OPEN, Err(Discard::Length)),
        ("bad-vrrp2-checksum", OPEN, Err(Discard::Checksum)),
        ("real-ka227-v2-2s-advert", OPEN, Err(Discard::Interval)),
        ("vrrp3-v4-std-p100", OPEN, Err(Discard::Version(3))),
        ("vrrp2-v4-noauth-p254", Version::V3, Err(Discard::Version(2))),
    ] {
        assert_eq!(heard(name, version), expected, "{name} {version:?}");
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
