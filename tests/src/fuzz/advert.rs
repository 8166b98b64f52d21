//! Frames from the link, as the election's parser gets them from AF_XDP and from the raw socket.

use std::net::IpAddr;

use baton::address;
use baton::vrrp::{Checksum, ChecksumMode, Interval, Version, Versions};
use baton::wire::{
    BuildError, Expected, MAX_ADVERTISEMENT_FRAME, Outgoing, Received, max_addresses, parse_datagram,
    parse_frame,
};
use baton_common::vrid::Family;

/// Octets of an Ethernet header without tags.
const ETHERNET: usize = 14;
const IPV4: [u8; 2] = [0x08, 0x00];
const VERSIONS: [Versions; 5] = [
    Versions::Only(Version::V3),
    Versions::Only(Version::V2 { password: None }),
    Versions::Only(Version::V2 { password: Some(*b"s3cret12") }),
    Versions::Both { password: None },
    Versions::Both { password: Some(*b"s3cret12") },
];

/// Parses `octets` as a frame and as a packet of each family, for a router of each version, and of both. What is accepted can be built
/// again, unless it has more addresses than a frame of ours, and means the same then.
pub fn advert(octets: &[u8]) -> bool {
    // No mutation finds a right checksum, and what comes behind that check would be left out.
    let frames = [octets.to_vec(), sealed(octets)];
    let judged = VERSIONS.map(|versions| frames.each_ref().map(|frame| judge(frame, versions)));
    judged.concat().contains(&true)
}

fn judge(frame: &[u8], versions: Versions) -> bool {
    let expected = |family| {
        let primary = match family {
            Family::Ipv4 => IpAddr::from([192, 0, 2, 99]),
            Family::Ipv6 => IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 0x99]),
        };
        let interval = Interval::from_centiseconds(100).expect("not 0");
        Expected::multicast(primary, versions, interval, ChecksumMode::Auto(Checksum::Pseudo))
    };
    for family in [Family::Ipv4, Family::Ipv6] {
        // Whatever is wrong, it is an error and no panic.
        let _ = parse_datagram(frame, family, 0, |_, _, _| Some(expected(family)));
    }
    let received = parse_frame(frame, |_, family, _| Some(expected(family)));
    if let Ok(received) = &received {
        means_the_same_when_it_is_built_again(received, expected(received.family));
    }
    received.is_ok()
}

fn means_the_same_when_it_is_built_again(received: &Received<'_>, expected: Expected<'_>) {
    let addresses: Vec<IpAddr> = received.addresses().collect();
    let advertisement = received.advertisement;
    if advertisement.version != Version::V3 && advertisement.interval.seconds().is_none() {
        // It was longer than VRRPv3 can tell.
        return;
    }
    let outgoing = Outgoing {
        mac: [2, 0, 0, 0, 0, 1],
        vlan: received.vlan,
        source: advertisement.source,
        version: advertisement.version,
        vrid: received.vrid,
        standing: advertisement.standing,
        interval: advertisement.interval,
        checksum: advertisement.checksum,
        addresses: &addresses,
    };
    let mut buffer = [0; MAX_ADVERTISEMENT_FRAME];
    let length = match outgoing.build(address::vrrp_group(received.family), &mut buffer) {
        Ok(length) => length,
        Err(BuildError::AddressCount(count)) if count > max_addresses(received.family) => return,
        Err(error) => panic!("{received:?} cannot be built: {error}"),
    };
    let again = parse_frame(&buffer[..length], |_, _, _| Some(expected)).expect("what is built is accepted");
    assert_eq!(
        (again.vlan, again.family, again.vrid, again.advertisement),
        (received.vlan, received.family, received.vrid, advertisement)
    );
    assert!(again.addresses().eq(addresses));
}

/// `octets` with the checksums made right of an untagged frame of IPv4 without options, which is where they are found easily.
fn sealed(octets: &[u8]) -> Vec<u8> {
    let mut frame = octets.to_vec();
    if frame.get(12..14) != Some(&IPV4[..]) || frame.get(ETHERNET) != Some(&0x45) {
        return frame;
    }
    if let Some(header) = frame.get_mut(ETHERNET..ETHERNET + 20) {
        seal(header, 10);
        let end = ETHERNET + usize::from(u16::from_be_bytes([header[2], header[3]]));
        if let Some(message) = frame.get_mut(ETHERNET + 20..end) {
            seal(message, 6);
        }
    }
    frame
}

/// Puts the Internet checksum of `octets` in at `at`, where there is room.
fn seal(octets: &mut [u8], at: usize) {
    let Some(place) = octets.get_mut(at..at + 2) else { return };
    place.fill(0);
    let words = octets
        .chunks(2)
        .map(|word| u32::from_be_bytes([0, 0, word[0], word.get(1).copied().unwrap_or_default()]));
    let sum: u32 = words.sum();
    let folded = (sum >> 16) + (sum & 0xffff);
    let [.., high, low] = (!(folded + (folded >> 16))).to_be_bytes();
    octets[at..at + 2].copy_from_slice(&[high, low]);
}
