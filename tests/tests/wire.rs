//! The frame parser and builder against every recorded and made-up frame, and against arbitrary octets.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use baton::address;
use baton::vrrp::{Checksum, ChecksumMode, Interval, Priority, Standing, Version, Versions};
use baton::wire::{
    BuildError, Discard, Expected, GratuitousArp, MAX_ADVERTISEMENT_FRAME, MAX_ARP_FRAME, Operation,
    Outgoing, Received, parse_datagram, parse_frame, question,
};
use baton_common::maps::VlanId;
use baton_common::verdict::Verdict;
use baton_common::vrid::{Family, Vrid};
use baton_tests::frames::{self, Vector};
use proptest::prelude::*;

const RFC9568: ChecksumMode = ChecksumMode::Only(Checksum::Rfc9568);
const PSEUDO: ChecksumMode = ChecksumMode::Only(Checksum::Pseudo);
const AUTO: ChecksumMode = ChecksumMode::Auto(Checksum::Pseudo);
const VERSION_3: Versions = Versions::Only(Version::V3);
/// Every frame, read once for all the cases of a property.
static FRAMES: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| frames::all().values().map(Vector::octets).collect());
/// Advertisements to be damaged in one octet, whose checksums have to notice.
static DAMAGED: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| {
    ["vrrp3-v4-std-p100", "vrrp3-v4-ph-p100", "real-ka227-v3-owner-advert"].map(frames::octets)
});
const VIRTUAL_MAC: [u8; 6] = [0x00, 0x00, 0x5e, 0x00, 0x01, 0x33];

#[path = "wire/families.rs"]
mod families;
#[path = "wire/unicast.rs"]
mod unicast;
#[path = "wire/version2.rs"]
mod version2;

#[test]
fn every_valid_advertisement_to_the_group_is_accepted_with_its_fields() {
    let mut accepted = 0;
    for (name, vector) in frames::all() {
        if !is_ours(&vector) {
            continue;
        }
        let frame = vector.octets();
        let received = parse_frame(&frame, configured(AUTO)).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(u64::from(received.vrid.get()), number(&vector, "vrid"), "{name}");
        assert_eq!(received.vlan, vlan(&vector), "{name}");
        assert_eq!(received.advertisement.source, address(&vector.fields["ip_src"]), "{name}");
        assert_eq!(u64::from(received.advertisement.standing.octet()), number(&vector, "priority"), "{name}");
        assert_eq!(
            u64::from(received.advertisement.interval.centiseconds()),
            number(&vector, "max_adver_int_cs"),
            "{name}"
        );
        assert_eq!(received.addresses().collect::<Vec<_>>(), addresses(&vector), "{name}");
        accepted += 1;
    }
    assert_eq!(accepted, 46);
}

/// T-009.
#[test]
fn an_advertisement_is_accepted_under_its_own_checksum_and_refused_under_the_other() {
    for (name, vector) in frames::all() {
        if !is_ours(&vector) {
            continue;
        }
        let frame = vector.octets();
        let (own, other, flavour) = match vector.csum.as_deref() {
            Some("rfc9568") => (RFC9568, PSEUDO, Checksum::Rfc9568),
            Some("pseudo") => (PSEUDO, RFC9568, Checksum::Pseudo),
            unexpected => panic!("{name}: checksum {unexpected:?}"),
        };
        let heard = |mode| parse_frame(&frame, configured(mode)).map(|it| it.advertisement.checksum);
        assert_eq!(heard(own), Ok(flavour), "{name}");
        assert_eq!(heard(other), Err(Discard::Checksum), "{name}");
        assert_eq!(heard(ChecksumMode::Auto(Checksum::Rfc9568)), Ok(flavour), "{name}");
        assert_eq!(heard(ChecksumMode::Auto(Checksum::Pseudo)), Ok(flavour), "{name}");
    }
}

/// T-007, T-010, T-015 to T-020, T-023, T-028.
#[test]
fn every_bad_ipv4_advertisement_is_refused_for_its_own_reason() {
    let reason = |name| parse_frame(&frames::octets(name), configured(AUTO)).map(|_| ());
    let table = [
        ("bad-vrrp3-3tags", Discard::NotVrrp),
        ("bad-vrrp3-dst-224.0.0.19", Discard::UnknownRouter(51)),
        ("bad-vrrp3-proto111", Discard::NotVrrp),
        ("bad-vrrp3-frag-mf", Discard::IpHeader),
        ("bad-vrrp3-frag-off", Discard::IpHeader),
        ("bad-vrrp3-ihl15", Discard::IpHeader),
        ("bad-vrrp3-ihl4", Discard::IpHeader),
        ("bad-vrrp3-ipsum", Discard::IpHeader),
        ("bad-vrrp3-ipversion6", Discard::IpHeader),
        ("bad-vrrp3-src-mcast", Discard::IpHeader),
        ("bad-vrrp3-src-zero", Discard::IpHeader),
        ("bad-vrrp3-totlen-long", Discard::IpHeader),
        ("bad-vrrp3-totlen-short", Discard::IpHeader),
        ("bad-vrrp3-ph-adv0", Discard::Interval),
        ("bad-vrrp3-std-adv0", Discard::Interval),
        ("bad-vrrp3-ph-count0", Discard::Length),
        ("bad-vrrp3-ph-count1-of-3", Discard::Length),
        ("bad-vrrp3-ph-count5-of-1", Discard::Length),
        ("bad-vrrp3-ph-trailing4", Discard::Length),
        ("bad-vrrp3-std-count0", Discard::Length),
        ("bad-vrrp3-std-trailing4", Discard::Length),
        ("bad-vrrp3-ph-ttl0", Discard::Ttl(0)),
        ("bad-vrrp3-ph-ttl1", Discard::Ttl(1)),
        ("bad-vrrp3-std-ttl0", Discard::Ttl(0)),
        ("bad-vrrp3-std-ttl1", Discard::Ttl(1)),
        ("bad-vrrp3-std-ttl254", Discard::Ttl(254)),
        ("bad-vrrp3-ph-type0", Discard::Type(0)),
        ("bad-vrrp3-std-type0", Discard::Type(0)),
        ("bad-vrrp3-ph-version1", Discard::Version(1)),
        ("bad-vrrp3-ph-version4", Discard::Version(4)),
        ("bad-vrrp3-std-version0", Discard::Version(0)),
        ("bad-vrrp3-std-version1", Discard::Version(1)),
        ("bad-vrrp3-std-version15", Discard::Version(15)),
        ("bad-vrrp3-std-checksum", Discard::Checksum),
        ("bad-vrrp3-vrid0", Discard::UnknownRouter(0)),
        ("bad-vrrp3-vrid52", Discard::UnknownRouter(52)),
    ];
    for (name, expected) in table {
        assert_eq!(reason(name), Err(expected), "{name}");
    }
    let all = frames::all();
    let covered = |name: &str| table.iter().any(|(row, _)| *row == name);
    let forgotten: Vec<_> = all
        .iter()
        .filter(|(name, _)| name.starts_with("bad-vrrp3-") && !name.starts_with("bad-vrrp3-v6-"))
        .filter(|(name, vector)| vector.valid == Some(false) && !covered(name))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(forgotten, Vec::<&String>::new());
}

/// T-023.
#[test]
fn every_cut_frame_is_refused() {
    let mut refused = 0;
    for (name, vector) in frames::all() {
        if !name.starts_with("trunc-") && !name.starts_with("short-") {
            continue;
        }
        let frame = vector.octets();
        assert!(parse_frame(&frame, configured(AUTO)).is_err(), "{name}");
        if name.starts_with("short-vrrp3v4-") {
            assert_eq!(parse_frame(&frame, configured(AUTO)).err(), Some(Discard::Length), "{name}");
        }
        refused += 1;
    }
    assert_eq!(refused, 329);
}

#[test]
fn an_advertisement_of_version_2_is_told_from_a_broken_one() {
    let heard = |name: &str| parse_frame(&frames::octets(name), configured(AUTO)).map(|_| ());
    for (name, vector) in frames::all() {
        let recorded = name.starts_with("vrrp2-") || name.starts_with("real-frr844-v2-");
        if recorded && vector.mode.is_none() {
            assert_eq!(heard(&name), Err(Discard::Version(2)), "{name}");
        }
    }
    assert_eq!(heard("real-ka227-v2-advert"), Err(Discard::Version(2)));
    // Authentication Header (RFC 2402): protocol 51 as far as the IPv4 header says.
    assert_eq!(heard("real-ka227-v2-ah-advert"), Err(Discard::NotVrrp));
}

#[test]
fn frames_of_other_protocols_are_none_of_the_parser_s_business() {
    let mut foreign = 0;
    for (name, vector) in frames::all() {
        let prefixes = ["arp-", "bad-arp-", "nd-", "bad-nd-", "sbfd", "bad-sbfd", "bfd-", "icmp", "lb-"];
        if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
            let heard = parse_frame(&vector.octets(), configured(AUTO)).map(|_| ());
            assert_eq!(heard, Err(Discard::NotVrrp), "{name}");
            foreign += 1;
        }
    }
    assert_eq!(foreign, 68);
}

#[test]
fn unicast_advertisements_to_another_host_are_none_of_the_parser_s_business() {
    for name in ["vrrp3-v4-std-unicast-p100", "vrrp3-v4-ph-unicast-ttl64", "real-ka227-v3-uni-advert"] {
        let heard = parse_frame(&frames::octets(name), configured(AUTO)).map(|_| ());
        assert_eq!(heard, Err(Discard::NotVrrp), "{name}");
    }
}

/// T-029.
#[test]
fn an_advertisement_from_our_own_address_is_an_echo() {
    let own = |_, _, _| Some(expected(IpAddr::from([192, 0, 2, 1]), VERSION_3, AUTO));
    let frame = frames::octets("vrrp3-v4-std-p100");
    assert_eq!(parse_frame(&frame, own).map(|_| ()), Err(Discard::Own));
}

/// The link and the VRID that the parser looks up for `frame`.
fn looked_up(frame: &[u8]) -> Option<(VlanId, u8)> {
    let mut asked = None;
    let heard = parse_frame(frame, |vlan, _, vrid| {
        asked = Some((vlan, vrid.get()));
        None
    });
    assert!(matches!(heard, Err(Discard::UnknownRouter(51) | Discard::NotVrrp)), "{heard:?}");
    asked
}

/// T-022.
#[test]
fn a_virtual_router_is_looked_up_by_link_and_vrid() {
    let asked = |name| looked_up(&frames::octets(name));
    assert_eq!(asked("vrrp3-v4-std-p100"), Some((0, 51)));
    assert_eq!(asked("vrrp3-v4-std-p100-vlan0"), Some((0, 51)));
    assert_eq!(asked("vrrp3-v4-ph-p100-vlan100"), Some((100, 51)));
    assert_eq!(asked("vrrp3-v4-std-p100-qinq"), Some(((200 << 12) | 100, 51)));
}

/// T-140. The XDP program's suite has the same table.
#[test]
fn a_tag_with_vid_0_names_no_link() {
    let untagged = frames::octets("vrrp3-v4-std-p100");
    for (tags, link) in [
        (&[0][..], Some(0)),
        (&[0; 8], Some(0)),
        (&[0, 100], Some(100)),
        (&[100, 0], Some(100)),
        (&[0, 200, 0, 100, 0], Some((200 << 12) | 100)),
        (&[300, 200, 100], None),
        (&[0; 9], None),
    ] {
        let mut frame = untagged[..12].to_vec();
        for &vid in tags {
            frame.extend([0x81, 0x00]);
            frame.extend(u16::to_be_bytes(vid));
        }
        frame.extend(&untagged[12..]);
        assert_eq!(looked_up(&frame), link.map(|link| (link, 51)), "{tags:?}");
    }
}

#[test]
fn what_a_raw_socket_delivers_is_parsed_like_the_frame() {
    for name in
        ["vrrp3-v4-std-p100", "vrrp3-v4-std-p100-ipopt", "vrrp3-v4-ph-p100-255ip", "vrrp3-v4-std-p100-padff"]
    {
        let frame = frames::octets(name);
        let from_socket = parse_datagram(&frame[14..], Family::Ipv4, 0, configured(AUTO));
        assert!(from_socket.is_ok(), "{name}");
        assert_eq!(from_socket, parse_frame(&frame, configured(AUTO)), "{name}");
    }
}

#[test]
fn a_discarded_frame_is_counted_as_the_data_plane_counts_it() {
    let table = [
        (Discard::NotVrrp, Verdict::Other),
        (Discard::UnknownRouter(52), Verdict::VrrpUnknownRouter),
        (Discard::Own, Verdict::VrrpOwn),
        (Discard::IpHeader, Verdict::VrrpIpHeader),
        (Discard::Destination, Verdict::VrrpDestination),
        (Discard::NotPeer, Verdict::VrrpNotPeer),
        (Discard::Ttl(254), Verdict::VrrpTtl),
        (Discard::Version(2), Verdict::VrrpVersion),
        (Discard::Authentication, Verdict::VrrpAuthentication),
        (Discard::Address, Verdict::VrrpAddress),
        (Discard::Type(2), Verdict::VrrpType),
        (Discard::Length, Verdict::VrrpLength),
        (Discard::Interval, Verdict::VrrpInterval),
        (Discard::Checksum, Verdict::VrrpChecksum),
    ];
    for (discard, verdict) in table {
        assert_eq!(discard.verdict(), verdict);
    }
}

/// T-001, T-005.
#[test]
fn the_builder_makes_the_recorded_advertisements_octet_for_octet() {
    let mut built = 0;
    for (name, vector) in frames::all() {
        // What a sender of Baton's kind does not do: options, padding, reserved bits, other tags, the IPv6 MAC.
        let odd = ["ipopt", "pad60", "padff", "rsv15", "vlan0", "q8100q8100"];
        if !is_ours(&vector) || odd.iter().any(|suffix| name.ends_with(suffix)) {
            continue;
        }
        let addresses = addresses(&vector);
        let advertisement = Outgoing {
            mac: mac(&vector.fields["eth_src"]),
            vlan: vlan(&vector),
            source: address(&vector.fields["ip_src"]),
            version: Version::V3,
            vrid: Vrid::new(octet(&vector, "vrid")).expect("valid"),
            standing: Standing::from_octet(octet(&vector, "priority")),
            interval: interval(number(&vector, "max_adver_int_cs")),
            checksum: match vector.csum.as_deref() {
                Some("rfc9568") => Checksum::Rfc9568,
                _ => Checksum::Pseudo,
            },
            addresses: &addresses,
        };
        let mut frame = frames::octets(&name);
        if name.starts_with("real-") {
            // The sender's kernel numbers the packets, or sets DF.
            renumber(&mut frame);
        }
        let mut buffer = [0xa5; MAX_ADVERTISEMENT_FRAME];
        let len = advertisement
            .build(group(&advertisement), &mut buffer)
            .unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(hex(&buffer[..len]), hex(&frame), "{name}");
        built += 1;
    }
    assert_eq!(built, 36);
}

#[test]
fn the_builder_makes_the_recorded_gratuitous_arps_octet_for_octet() {
    let table = [
        ("arp-garp-request-rfc9568", Operation::Request, 0, ""),
        ("arp-garp-reply", Operation::Reply, 0, ""),
        ("arp-garp-request-rfc9568", Operation::Request, 100, "81000064"),
        ("arp-garp-reply", Operation::Reply, (200 << 12) | 100, "88a800c881000064"),
    ];
    for (name, operation, vlan, tags) in table {
        let arp = GratuitousArp { operation, mac: VIRTUAL_MAC, vlan, address: Ipv4Addr::new(192, 0, 2, 100) };
        let mut buffer = [0xa5; MAX_ARP_FRAME];
        let len = arp.build(&mut buffer).expect("the buffer is large enough");
        let untagged = hex(&frames::octets(name));
        assert_eq!(
            hex(&buffer[..len]),
            format!("{}{tags}{}", &untagged[..24], &untagged[24..]),
            "{name} {vlan}"
        );
    }
}

/// RFC 826, RFC 4861 7.2.3: from an address, and with the MAC, that the neighbour is to learn.
#[test]
fn a_neighbour_is_asked_in_the_name_of_the_address() {
    let address = |text: &str| text.parse::<IpAddr>().expect("an address");
    let virtual_mac6 = Vrid::new(51).expect("not 0").virtual_mac(Family::Ipv6);
    for (mac, vip, gateway, expected) in [
        (
            VIRTUAL_MAC,
            "192.0.2.100",
            "192.0.2.1",
            "ffffffffffff00005e0001330806\
             000108000604000100005e000133c0000264000000000000c0000201",
        ),
        (
            virtual_mac6,
            "2001:db8::100",
            "fe80::1",
            "3333ff00000100005e00023386dd\
             6000000000203aff20010db8000000000000000000000100ff0200000000000000000001ff000001\
             8700ec2f00000000fe800000000000000000000000000001010100005e000233",
        ),
    ] {
        let asked = question(mac, 0, address(vip), address(gateway)).expect("of one family");
        let mut buffer = [0xa5; 128];
        let length = asked.build(&mut buffer).expect("large enough");
        assert_eq!(hex(&buffer[..length]), expected);
    }
    assert_eq!(question(VIRTUAL_MAC, 0, address("192.0.2.100"), address("fe80::1")), None);
}

#[test]
fn what_cannot_be_built_leaves_the_buffer_alone() {
    let address = Ipv4Addr::new(192, 0, 2, 100);
    let one = [IpAddr::V4(address)];
    let many = [IpAddr::V4(address); 256];
    let mut small = [0xa5; 45];
    assert_eq!(
        advertisement(&one).build(GROUP, &mut small),
        Err(BuildError::BufferTooSmall { needed: 46, available: 45 })
    );
    assert_eq!(advertisement(&[]).build(GROUP, &mut small), Err(BuildError::AddressCount(0)));
    assert_eq!(advertisement(&many).build(GROUP, &mut small), Err(BuildError::AddressCount(256)));
    let arp = GratuitousArp { operation: Operation::Request, mac: VIRTUAL_MAC, vlan: 7, address };
    assert_eq!(arp.build(&mut small), Err(BuildError::BufferTooSmall { needed: 46, available: 45 }));
    assert_eq!(small, [0xa5; 45]);
}

#[test]
fn the_largest_advertisement_fills_the_largest_frame() {
    let many = [IpAddr::from([192, 0, 2, 100]); 255];
    let mut buffer = [0; MAX_ADVERTISEMENT_FRAME];
    assert_eq!(advertisement(&many).build(GROUP, &mut buffer), Ok(1062));
    assert_eq!(Outgoing { vlan: 100, ..advertisement(&many) }.build(GROUP, &mut buffer), Ok(1066));
    assert_eq!(
        Outgoing { vlan: (200 << 12) | 100, ..advertisement(&many) }.build(GROUP, &mut buffer),
        Ok(1070)
    );
    let many = [IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 0x100]); 90];
    let over_ipv6 = Outgoing { source: families::SOURCE, vlan: (200 << 12) | 100, ..advertisement(&many) };
    assert_eq!(over_ipv6.build(group(&over_ipv6), &mut buffer), Ok(MAX_ADVERTISEMENT_FRAME));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_octets_make_the_parser_panic(octets in proptest::collection::vec(any::<u8>(), 0..1600)) {
        let _ = parse_frame(&octets, configured(AUTO));
        let _ = parse_datagram(&octets, Family::Ipv4, 0, configured(AUTO));
        let _ = parse_datagram(&octets, Family::Ipv6, 0, configured(AUTO));
    }

    #[test]
    fn a_damaged_advertisement_is_refused(
        which in 0_usize..3,
        at in 12_usize..46,
        flip in 1_u8..=255,
    ) {
        // The octets before are the Ethernet addresses, which are not the parser's business.
        let mut frame = DAMAGED[which].clone();
        frame[at] ^= flip;
        prop_assert!(parse_frame(&frame, configured(AUTO)).is_err());
    }

    #[test]
    fn a_mangled_frame_never_panics(
        which in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut frame = which.get(&FRAMES).clone();
        for (at, value) in changes {
            if !frame.is_empty() {
                let at = at.index(frame.len());
                frame[at] = value;
            }
        }
        frame.truncate(cut.index(frame.len() + 1));
        let _ = parse_frame(&frame, configured(AUTO));
    }

    #[test]
    fn what_is_built_is_parsed_back(
        source in any::<u32>().prop_map(Ipv4Addr::from).prop_filter("a host's address", is_host),
        vrid in 1_u8..=255,
        priority in any::<u8>(),
        centiseconds in 1_u16..=4095,
        pseudo in any::<bool>(),
        vlan in prop_oneof![Just(0), 1_u32..0xfff, 0x1000_u32..0xff_ffff],
        addresses in proptest::collection::vec(any::<u32>().prop_map(Ipv4Addr::from), 1..=255),
    ) {
        let flavour = if pseudo { Checksum::Pseudo } else { Checksum::Rfc9568 };
        let addresses: Vec<IpAddr> = addresses.into_iter().map(IpAddr::V4).collect();
        let source = IpAddr::V4(source);
        let outgoing = Outgoing {
            mac: VIRTUAL_MAC,
            vlan,
            source,
            version: Version::V3,
            vrid: Vrid::new(vrid).expect("not 0"),
            standing: Standing::from_octet(priority),
            interval: interval(u64::from(centiseconds)),
            checksum: flavour,
            addresses: &addresses,
        };
        let mut buffer = [0xa5; MAX_ADVERTISEMENT_FRAME];
        let len = outgoing.build(GROUP, &mut buffer).expect("large enough");
        let primary = IpAddr::V4(Ipv4Addr::BROADCAST);
        let find = |_, _, _| Some(expected(primary, VERSION_3, ChecksumMode::Only(flavour)));
        let received: Received<'_> = parse_frame(&buffer[..len], find).expect("valid");
        prop_assert_eq!(received.vlan, vlan);
        prop_assert_eq!(received.vrid, outgoing.vrid);
        prop_assert_eq!(received.advertisement.source, source);
        prop_assert_eq!(received.advertisement.standing, outgoing.standing);
        prop_assert_eq!(received.advertisement.interval, outgoing.interval);
        prop_assert_eq!(received.advertisement.checksum, flavour);
        prop_assert_eq!(received.addresses().collect::<Vec<_>>(), addresses);
    }
}

/// VRID 51 is configured on every link, as in the frames.
fn configured(checksum: ChecksumMode) -> impl Fn(VlanId, Family, Vrid) -> Option<Expected<'static>> {
    move |_, family, vrid| {
        let primary = match family {
            Family::Ipv4 => IpAddr::from([192, 0, 2, 99]),
            Family::Ipv6 => IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 0x99]),
        };
        (vrid.get() == 51).then(|| expected(primary, VERSION_3, checksum))
    }
}

fn expected(primary: IpAddr, versions: Versions, checksum: ChecksumMode) -> Expected<'static> {
    Expected::multicast(primary, versions, interval(100), checksum)
}

/// Whether a vector is a valid VRRPv3 advertisement over IPv4 to the group, for VRID 51.
fn is_ours(vector: &Vector) -> bool {
    let field = |name: &str| vector.fields.get(name).map(ToString::to_string);
    vector.valid == Some(true)
        && vector.csum.is_some()
        && field("version").as_deref() == Some("3")
        && field("ip_dst").as_deref() == Some("\"224.0.0.18\"")
}

fn number(vector: &Vector, field: &str) -> u64 {
    vector.fields[field].as_u64().unwrap_or_else(|| panic!("{field} is a number"))
}

fn octet(vector: &Vector, field: &str) -> u8 {
    u8::try_from(number(vector, field)).expect("an octet")
}

fn address(field: &serde_json::Value) -> IpAddr {
    field.as_str().and_then(|text| text.parse().ok()).expect("an address")
}

fn addresses(vector: &Vector) -> Vec<IpAddr> {
    vector.fields["addresses"].as_array().expect("a list").iter().map(address).collect()
}

fn mac(field: &serde_json::Value) -> [u8; 6] {
    let digits = field.as_str().expect("text").replace(':', "");
    frames::hex(&digits).try_into().expect("six octets")
}

fn vlan(vector: &Vector) -> VlanId {
    match vector.fields.get("vlan").and_then(|tags| tags.as_array()).map(Vec::as_slice) {
        None => 0,
        Some(tags) => tags.iter().fold(0, |folded, tag| {
            (folded << 12) | u32::try_from(tag.as_u64().expect("a number")).expect("12 bits")
        }),
    }
}

/// VRRP's own group over IPv4.
const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18));

/// VRRP's own group of the family that it is of.
fn group(outgoing: &Outgoing<'_>) -> IpAddr {
    address::vrrp_group(address::family(outgoing.source))
}

fn interval(centiseconds: u64) -> Interval {
    u16::try_from(centiseconds).ok().and_then(Interval::from_centiseconds).expect("1 to 4095")
}

fn is_host(address: &Ipv4Addr) -> bool {
    !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast()
}

fn advertisement(addresses: &[IpAddr]) -> Outgoing<'_> {
    Outgoing {
        mac: VIRTUAL_MAC,
        vlan: 0,
        source: IpAddr::from([192, 0, 2, 1]),
        version: Version::V3,
        vrid: Vrid::new(51).expect("not 0"),
        standing: Standing::Active(Priority::new(100).expect("not 0")),
        interval: interval(100),
        checksum: Checksum::Rfc9568,
        addresses,
    }
}

/// Sets identification 1 and no flags in an untagged IPv4 packet, with the checksum that goes with it.
fn renumber(frame: &mut [u8]) {
    let inverse = |at: usize| 0xffff - u32::from(u16::from_be_bytes([frame[at], frame[at + 1]]));
    // RFC 1624: HC' = ~(~HC + ~m + m'), for two words m and their m' of 1 and 0.
    let mut sum = inverse(24) + inverse(18) + inverse(20) + 1;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    frame[18..22].copy_from_slice(&[0, 1, 0, 0]);
    frame[24..26].copy_from_slice(&u16::try_from(0xffff - sum).expect("16 bits").to_be_bytes());
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
