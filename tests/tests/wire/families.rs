//! VRRPv3 over IPv6, and neighbour advertisements.

use std::net::Ipv6Addr;

use baton::wire::UnsolicitedNa;

use super::*;

pub(super) const SOURCE: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 1));

/// Whether a vector is a valid advertisement over IPv6 to the group, for VRID 51.
fn is_ours(name: &str, vector: &Vector) -> bool {
    let kinds = ["vrrp3-v6-", "real-ka227-v6-", "real-frr844-v6-"];
    vector.valid == Some(true) && vector.mode.is_none() && kinds.iter().any(|kind| name.starts_with(kind))
}

/// T-011.
#[test]
fn every_valid_advertisement_over_ipv6_is_accepted_with_its_fields() {
    let mut accepted = 0;
    for (name, vector) in frames::all().iter().filter(|(name, vector)| is_ours(name, vector)) {
        let frame = vector.octets();
        let received = parse_frame(&frame, configured(AUTO)).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!((received.vrid.get(), received.family), (51, Family::Ipv6), "{name}");
        assert_eq!(received.advertisement.checksum, Checksum::Rfc9568, "{name}");
        // The fields of the vectors do not have them all.
        let vrrp = &frame[if name.ends_with("vlan100") { 58 } else { 54 }..];
        assert_eq!(received.advertisement.standing.octet(), vrrp[2], "{name}");
        let interval = u16::from_be_bytes([vrrp[4] & 0xf, vrrp[5]]);
        assert_eq!(received.advertisement.interval.centiseconds(), interval, "{name}");
        let addresses: Vec<IpAddr> =
            vrrp[8..].as_chunks::<16>().0.iter().map(|octets| IpAddr::from(*octets)).collect();
        assert_eq!(received.addresses().collect::<Vec<_>>(), addresses, "{name}");
        assert_eq!(received.addresses().len(), usize::from(vrrp[3]), "{name}");
        accepted += 1;
    }
    assert_eq!(accepted, 14);
}

/// The checksum covers the group.
#[test]
fn what_is_built_for_another_group_is_heard_by_those_who_are_in_it_alone() {
    let addresses = [IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 0x100])];
    let outgoing = Outgoing { source: SOURCE, ..advertisement(&addresses) };
    let other = IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 0x118]);
    let mut buffer = [0; MAX_ADVERTISEMENT_FRAME];
    let length = outgoing.build(other, &mut buffer).expect("large enough");
    assert_eq!(buffer[..6], [0x33, 0x33, 0, 0, 0x01, 0x18]);
    let heard = |multicast| {
        let us = expected(IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 0x99]), VERSION_3, AUTO);
        let find = |_, _, _| Some(Expected { multicast: Some(multicast), ..us });
        parse_frame(&buffer[..length], find).map(|received| received.advertisement.standing.octet())
    };
    assert_eq!(heard(other), Ok(100));
    assert_eq!(heard(group(&outgoing)), Err(Discard::UnknownRouter(51)));
}

/// T-011, T-016, T-018, T-021.
#[test]
fn every_bad_ipv6_advertisement_is_refused_for_its_own_reason() {
    for (name, expected) in [
        ("bad-vrrp3-v6-adv0", Discard::Interval),
        ("bad-vrrp3-v6-checksum", Discard::Checksum),
        ("bad-vrrp3-v6-count0", Discard::Length),
        ("bad-vrrp3-v6-count3-of-1", Discard::Length),
        ("bad-vrrp3-v6-first-global", Discard::Address),
        ("bad-vrrp3-v6-hl254", Discard::Ttl(254)),
        ("bad-vrrp3-v6-hopopts", Discard::NotVrrp),
        ("bad-vrrp3-v6-plen-short", Discard::Length),
        ("bad-vrrp3-v6-type2", Discard::Type(2)),
        ("bad-vrrp3-v6-version2", Discard::Version(2)),
        ("real-ka227-v6-nolla-advert", Discard::Address),
        ("real-ka227-v6-v2-advert", Discard::Version(2)),
    ] {
        let heard = parse_frame(&frames::octets(name), configured(AUTO)).map(|_| ());
        assert_eq!(heard, Err(expected), "{name}");
    }
}

/// T-002.
#[test]
fn the_builder_makes_the_recorded_advertisements_over_ipv6() {
    for (name, priority, count) in [
        ("vrrp3-v6-p100", 100, 1),
        ("vrrp3-v6-p100-2ip", 100, 2),
        ("vrrp3-v6-p254", 254, 1),
        ("vrrp3-v6-p1", 1, 1),
    ] {
        let all = [
            IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 0x100]),
            IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x100]),
        ];
        let outgoing = Outgoing {
            mac: Vrid::new(51).expect("not 0").virtual_mac(Family::Ipv6),
            source: SOURCE,
            standing: Standing::from_octet(priority),
            ..advertisement(&all[..count])
        };
        let mut buffer = [0xa5; MAX_ADVERTISEMENT_FRAME];
        let length = outgoing.build(group(&outgoing), &mut buffer).expect("large enough");
        assert_eq!(hex(&buffer[..length]), hex(&frames::octets(name)), "{name}");
    }
}

#[test]
fn addresses_of_the_other_family_make_no_advertisement() {
    let mixed = [IpAddr::from([192, 0, 2, 100])];
    let outgoing = Outgoing { source: SOURCE, ..advertisement(&mixed) };
    assert_eq!(
        outgoing.build(group(&outgoing), &mut [0; MAX_ADVERTISEMENT_FRAME]),
        Err(BuildError::MixedFamilies)
    );
    let many = [IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 1]); 91];
    let outgoing = Outgoing { source: SOURCE, ..advertisement(&many) };
    assert_eq!(
        outgoing.build(group(&outgoing), &mut [0; MAX_ADVERTISEMENT_FRAME]),
        Err(BuildError::AddressCount(91))
    );
}

/// T-067.
#[test]
fn neighbours_are_told_as_recorded() {
    for (name, address) in [("nd-na-unsolicited-vip", "2001:db8::100"), ("nd-na-unsolicited-ll", "fe80::100")]
    {
        let announcement = UnsolicitedNa {
            mac: Vrid::new(51).expect("not 0").virtual_mac(Family::Ipv6),
            vlan: 0,
            address: address.parse().expect("an address"),
        };
        let mut buffer = [0xa5; 128];
        let length = announcement.build(&mut buffer).expect("large enough");
        assert_eq!(hex(&buffer[..length]), hex(&frames::octets(name)), "{name}");
    }
}
