//! Advertisements: which are believed, and what is left of them in the mailbox.

use baton::clock;
use baton_common::maps::{ACCEPT_PSEUDO, ACCEPT_RFC9568, mapped};
use baton_common::ownership::Mailbox;
use baton_common::verdict::Verdict::{
    Other, VrrpIpHeader, VrrpLength, VrrpOwn, VrrpReceived, VrrpTtl, VrrpUnknownRouter,
};
use baton_tests::datapath::{Datapath, XDP_DROP, XDP_PASS};
use baton_tests::frames::{self, ip_checksummed, with};

use super::setup::{BOTH, PRIMARY, Role, SLOT, host, outcome};

const TOTAL_LENGTH: usize = 16;
const FRAGMENT: usize = 20;
const TTL: usize = 22;
const PROTOCOL: usize = 23;
const SOURCE: usize = 26;
const DESTINATION: usize = 30;
const MESSAGE: usize = 34;

fn mailbox(
    count: u64,
    arrived_ns: u64,
    from: [u8; 4],
    mac: [u8; 6],
    interval_cs: u16,
    priority: u8,
    checksum: u32,
) -> Mailbox {
    let source = mapped(from);
    let checksum = u8::try_from(checksum).expect("a flag");
    Mailbox { arrived_ns, count, source, interval_cs, priority, checksum, mac, version: 3, _pad: [0; 21] }
}

#[test]
fn an_advert_is_stamped_into_the_mailbox() {
    let (a, b) = ([192, 0, 2, 1], [192, 0, 2, 2]);
    let host = host(Role::Backup);
    for (count, (name, from, interval_cs, priority, checksum)) in (1..).zip([
        ("vrrp3-v4-std-p100", a, 100, 100, ACCEPT_RFC9568),
        ("vrrp3-v4-ph-p100", a, 100, 100, ACCEPT_PSEUDO),
        ("vrrp3-v4-ph-p0", a, 100, 0, ACCEPT_PSEUDO),
        ("vrrp3-v4-std-p254", a, 100, 254, ACCEPT_RFC9568),
        ("vrrp3-v4-ph-p255", a, 100, 255, ACCEPT_PSEUDO),
        ("vrrp3-v4-std-p100-from-b", b, 100, 100, ACCEPT_RFC9568),
        ("vrrp3-v4-std-p100-src10", [10, 0, 0, 9], 100, 100, ACCEPT_RFC9568),
        // T-004: the reserved bits are not part of the interval.
        ("vrrp3-v4-ph-p100-rsv15", a, 100, 100, ACCEPT_PSEUDO),
        ("vrrp3-v4-std-p100-adv1cs", a, 1, 100, ACCEPT_RFC9568),
        ("vrrp3-v4-std-p100-adv4095cs", a, 4095, 100, ACCEPT_RFC9568),
        // T-005, T-007, T-008.
        ("vrrp3-v4-ph-p100-255ip", a, 100, 100, ACCEPT_PSEUDO),
        ("vrrp3-v4-std-p100-padff", a, 100, 100, ACCEPT_RFC9568),
        ("vrrp3-v4-std-p100-ipopt", a, 100, 100, ACCEPT_RFC9568),
        ("real-ka227-v3-10cs-3ip-advert", a, 10, 254, ACCEPT_PSEUDO),
    ]) {
        let frame = frames::octets(name);
        let before = clock::now().as_nanos();
        assert_eq!(host.receive(&frame), outcome(XDP_PASS, VrrpReceived, &frame), "{name}");
        let after = clock::now().as_nanos();
        let read = host.mailbox(SLOT);
        assert!(
            (before..=after).contains(&read.arrived_ns),
            "{name}: {before} <= {} <= {after}",
            read.arrived_ns
        );
        let mac = frame[6..12].try_into().expect("six octets");
        assert_eq!(
            read,
            mailbox(count, read.arrived_ns, from, mac, interval_cs, priority, checksum),
            "{name}"
        );
    }
    for slot in (0..10).filter(|slot| *slot != SLOT) {
        assert_eq!(host.mailbox(slot), Mailbox::default(), "slot {slot} belongs to nobody");
    }
}

/// T-010, T-015 to T-023, T-028: every frame that is not a good advert of VRID 51.
#[test]
fn a_discarded_frame_leaves_no_trace_in_the_mailbox() {
    let host = host(Role::Backup);
    let mut discarded = 0;
    for (name, vector) in frames::all() {
        let frame = vector.octets();
        if frame.len() < 14 || host.receive(&frame).counted.contains_key(&VrrpReceived) {
            continue;
        }
        let before = host.mailbox(SLOT);
        host.receive(&frame);
        assert_eq!(host.mailbox(SLOT), before, "{name}");
        discarded += 1;
    }
    assert_eq!(discarded, 529 - 41 - 13);
}

/// T-029. That it is our own comes before anything else that may be wrong with it.
#[test]
fn our_own_advert_is_dropped() {
    let mut host = Datapath::load();
    host.add_router(0, 51, SLOT, BOTH, [192, 0, 2, 1]);
    let advert = frames::octets("vrrp3-v4-std-p100");
    let with_ttl_1 = ip_checksummed(&with(&advert, TTL, &[1]));
    for frame in [advert, with_ttl_1, frames::octets("bad-vrrp3-std-checksum")] {
        assert_eq!(host.receive(&frame), outcome(XDP_DROP, VrrpOwn, &frame));
    }
    assert_eq!(host.mailbox(SLOT), Mailbox::default());
}

/// T-028. Fragments of other traffic to the group are not looked at.
#[test]
fn a_fragment_is_no_advert() {
    let host = host(Role::Backup);
    let advert = frames::octets("vrrp3-v4-std-p100");
    // More fragments; the first offset; the last one. DF and the reserved bit are no fragments.
    for flags in [[0x20, 0x00], [0x00, 0x01], [0x1f, 0xff]] {
        let frame = ip_checksummed(&with(&advert, FRAGMENT, &flags));
        assert_eq!(host.receive(&frame), outcome(XDP_DROP, VrrpIpHeader, &frame), "{flags:02x?}");
        let other = ip_checksummed(&with(&frame, PROTOCOL, &[17]));
        assert_eq!(host.receive(&other), outcome(XDP_PASS, Other, &other), "{flags:02x?}");
    }
    let frame = ip_checksummed(&with(&advert, FRAGMENT, &[0x40, 0x00]));
    assert_eq!(host.receive(&frame), outcome(XDP_PASS, VrrpReceived, &frame));
}

#[test]
fn options_of_any_length_are_skipped() {
    let host = host(Role::Backup);
    let advert = frames::octets("vrrp3-v4-std-p100");
    for words in 5..=15_u8 {
        let options = vec![1; usize::from(words - 5) * 4];
        let longer = [&advert[..MESSAGE], &options, &advert[MESSAGE..]].concat();
        let longer = with(&longer, 14, &[0x40 | words]);
        let total_length = u16::from(words) * 4 + 12;
        let frame = ip_checksummed(&with(&longer, TOTAL_LENGTH, &total_length.to_be_bytes()));
        assert_eq!(host.receive(&frame), outcome(XDP_PASS, VrrpReceived, &frame), "IHL {words}");
    }
}

#[test]
fn nobody_has_these_source_addresses() {
    let host = host(Role::Backup);
    let advert = frames::octets("vrrp3-v4-std-p100");
    for source in [[0; 4], [224, 0, 0, 18], [239, 255, 255, 255], [255; 4]] {
        let frame = ip_checksummed(&with(&advert, SOURCE, &source));
        assert_eq!(host.receive(&frame), outcome(XDP_DROP, VrrpIpHeader, &frame), "{source:?}");
    }
    // The ends of what a host may have; the checksum of RFC 9568 does not cover the addresses.
    for source in [[1, 0, 0, 1], [223, 255, 255, 254], PRIMARY] {
        let frame = ip_checksummed(&with(&advert, SOURCE, &source));
        let expected = if source == PRIMARY {
            outcome(XDP_DROP, VrrpOwn, &frame)
        } else {
            outcome(XDP_PASS, VrrpReceived, &frame)
        };
        assert_eq!(host.receive(&frame), expected, "{source:?}");
    }
}

/// The length of the message is what the IP header says, wherever the frame ends.
#[test]
fn the_message_is_as_long_as_the_address_count_says() {
    let host = host(Role::Backup);
    let longest = frames::octets("vrrp3-v4-std-p100-255ip");
    for (total_length, verdict) in [(20, VrrpLength), (27, VrrpLength), (28, VrrpLength), (1044, VrrpLength)]
    {
        let length = u16::to_be_bytes(total_length);
        let frame = ip_checksummed(&with(&longest, TOTAL_LENGTH, &length));
        assert_eq!(host.receive(&frame), outcome(XDP_DROP, verdict, &frame), "total length {total_length}");
    }
    for total_length in [0, 19, 1049, 65535] {
        let frame = ip_checksummed(&with(&longest, TOTAL_LENGTH, &u16::to_be_bytes(total_length)));
        assert_eq!(
            host.receive(&frame),
            outcome(XDP_DROP, VrrpIpHeader, &frame),
            "total length {total_length}"
        );
    }
}

/// A packet that goes on in further buffers than the first is longer than any advert, whatever the rest of it says.
#[test]
fn a_jumbo_frame_is_no_advert() {
    let host = host(Role::Backup);
    let jumbo = [frames::octets("vrrp3-v4-std-p100-255ip"), vec![0; 8000]].concat();
    let frame = ip_checksummed(&with(&jumbo, TOTAL_LENGTH, &9048_u16.to_be_bytes()));
    assert_eq!(host.receive(&frame), outcome(XDP_DROP, VrrpIpHeader, &frame));
    // Padding, however much, is not part of the packet.
    assert_eq!(host.receive(&jumbo), outcome(XDP_PASS, VrrpReceived, &jumbo));
}

/// Every single flipped bit is noticed, and none makes an advert something that concerns nobody: but where the bit
/// says that it is VRRP to a group at all.
#[test]
fn a_flipped_bit_never_goes_unnoticed() {
    let host = host(Role::Backup);
    for name in ["vrrp3-v4-std-p100", "vrrp3-v4-ph-p100-3ip", "vrrp3-v4-std-p100-ipopt"] {
        let advert = frames::octets(name);
        for bit in 14 * 8..advert.len() * 8 {
            let octet = bit / 8;
            let frame = with(&advert, octet, &[advert[octet] ^ 1 << (bit % 8)]);
            let counted = host.receive(&frame).counted;
            // The last three octets of the destination: a broken header whatever group they name.
            let foreign = octet == PROTOCOL || (octet == DESTINATION && bit % 8 >= 4);
            assert_eq!(counted.contains_key(&Other), foreign, "{name} with bit {bit} flipped: {counted:?}");
            assert!(!counted.contains_key(&VrrpReceived), "{name} with bit {bit} flipped");
        }
    }
}

#[test]
fn another_routers_adverts_are_left_to_others_whatever_is_wrong_with_them() {
    let host = host(Role::Backup);
    let advert = frames::octets("bad-vrrp3-vrid52");
    let with_ttl_1 = ip_checksummed(&with(&advert, TTL, &[1]));
    let version_2 = with(&advert, MESSAGE, &[0x21]);
    for frame in [advert, with_ttl_1, version_2] {
        assert_eq!(host.receive(&frame), outcome(XDP_PASS, VrrpUnknownRouter, &frame));
    }
}

#[test]
fn the_ttl_comes_before_what_the_message_says() {
    let host = host(Role::Backup);
    let frame = with(&frames::octets("bad-vrrp3-std-ttl254"), MESSAGE, &[0x21]);
    assert_eq!(host.receive(&frame), outcome(XDP_DROP, VrrpTtl, &frame));
}
