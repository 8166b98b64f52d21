//! Advertisements of unicast peers, and to them.

use super::*;

const SENDER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const US: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

fn heard(name: &str, peers: &[IpAddr], least_hops: u8) -> Result<u8, Discard> {
    let multicast = peers.is_empty().then(|| address::vrrp_group(Family::Ipv4));
    let expected = Expected { multicast, peers, least_hops, ..expected(US, VERSION_3, AUTO) };
    let find = |_, _, vrid: Vrid| (vrid.get() == 51).then_some(expected);
    parse_frame(&frames::octets(name), find).map(|received| received.advertisement.standing.octet())
}

/// T-012, T-089, T-090, T-091.
#[test]
fn who_is_heard_by_unicast_is_a_peer_that_is_near_enough() {
    let stranger = IpAddr::from([192, 0, 2, 9]);
    for (name, peers, least_hops, result) in [
        ("vrrp3-v4-ph-unicast-p100", &[stranger, SENDER][..], 255, Ok(100)),
        ("vrrp3-v4-std-unicast-p0", &[SENDER], 255, Ok(0)),
        ("vrrp3-v4-ph-unicast-oldcsum-p100", &[SENDER], 255, Err(Discard::Checksum)),
        ("vrrp3-v4-ph-unicast-p100", &[stranger], 255, Err(Discard::NotPeer)),
        ("vrrp3-v4-ph-unicast-p100", &[], 255, Err(Discard::Destination)),
        ("vrrp3-v4-ph-p100", &[SENDER], 255, Err(Discard::Destination)),
        ("vrrp3-v4-ph-unicast-ttl64", &[SENDER], 255, Err(Discard::Ttl(64))),
        ("vrrp3-v4-ph-unicast-ttl64", &[SENDER], 64, Ok(100)),
    ] {
        assert_eq!(heard(name, peers, least_hops), result, "{name} from one of {peers:?}, {least_hops}");
    }
}

/// The checksum covers the peer's address (T-012).
#[test]
fn the_packet_to_a_peer_is_the_recorded_one() {
    let [vip] = [IpAddr::from([192, 0, 2, 100])];
    let advertisement = Outgoing {
        mac: [0; 6],
        vlan: 0,
        source: SENDER,
        version: Version::V3,
        vrid: Vrid::new(51).expect("not 0"),
        standing: Standing::from_octet(100),
        interval: interval(100),
        checksum: Checksum::Pseudo,
        addresses: &[vip],
    };
    let mut buffer = [0; MAX_ADVERTISEMENT_FRAME];
    let length = advertisement.build_packet(US, &mut buffer).expect("it fits");
    assert_eq!(buffer[..length], frames::octets("vrrp3-v4-ph-unicast-p100")[14..]);
}
