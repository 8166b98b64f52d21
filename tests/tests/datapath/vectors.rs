//! Every frame of `frames.json`: what a Backup makes of it, and what an Active Router.

use std::collections::BTreeMap;

use baton_common::maps::{ACCEPT_PSEUDO, ACCEPT_RFC9568};
use baton_common::verdict::Verdict::{self, *};
use baton_tests::datapath::{Outcome, XDP_DROP, XDP_PASS, XDP_REDIRECT, XDP_TX};
use baton_tests::frames::{self, Vector};

use super::setup::{self, Role};

struct Row {
    backup: Verdict,
    active: Verdict,
    /// Names, or how names begin if it ends in a star.
    vectors: &'static [&'static str],
}

/// For VRID 51 with the VIPs 192.0.2.100 to .102, and fe80::100 and 2001:db8::100, on the untagged link, of a host that has none of the vectors' primary
/// addresses and accepts both checksums.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    Row { backup: VrrpReceived, active: VrrpReceived, vectors: &[
        "real-frr844-v6-advert",
        "real-ka227-v6-advert",
        "real-ka227-v6-vmac-advert",
        "real-ka227-v6-vmac-p0",
        "vrrp3-v6-p1",
        "vrrp3-v6-p100",
        "vrrp3-v6-p100-2ip",
        "vrrp3-v6-p100-3ip",
        "vrrp3-v6-p100-90ip",
        "vrrp3-v6-p100-physmac",
        "vrrp3-v6-p100-rsv15-adv10cs",
        "vrrp3-v6-p254",
        "vrrp3-v6-p255",
        "real-frr844-v3-advert",
        "real-frr844-v3-p0",
        "real-ka227-lowprio-response",
        "real-ka227-lowprio-trigger",
        "real-ka227-v3-10cs-3ip-advert",
        "real-ka227-v3-10cs-3ip-p0",
        "real-ka227-v3-advert",
        "real-ka227-v3-advert2",
        "real-ka227-v3-owner-advert",
        "real-ka227-v3-owner-p0",
        "real-ka227-v3-p0",
        "real-ka227-v3-strict-advert",
        "real-ka227-v3-strict-p0",
        "vrrp3-v4-ph-p0",
        "vrrp3-v4-ph-p1",
        "vrrp3-v4-ph-p100",
        "vrrp3-v4-ph-p100-255ip",
        "vrrp3-v4-ph-p100-3ip",
        "vrrp3-v4-ph-p100-adv1cs",
        "vrrp3-v4-ph-p100-from-b",
        "vrrp3-v4-ph-p100-pad60",
        "vrrp3-v4-ph-p100-padff",
        "vrrp3-v4-ph-p100-physmac",
        "vrrp3-v4-ph-p100-rsv15",
        "vrrp3-v4-ph-p100-vlan0",
        "vrrp3-v4-ph-p254",
        "vrrp3-v4-ph-p255",
        "vrrp3-v4-std-p1",
        "vrrp3-v4-std-p100",
        "vrrp3-v4-std-p100-255ip",
        "vrrp3-v4-std-p100-adv1cs",
        "vrrp3-v4-std-p100-adv4095cs",
        "vrrp3-v4-std-p100-from-b",
        "vrrp3-v4-std-p100-ipopt",
        "vrrp3-v4-std-p100-pad60",
        "vrrp3-v4-std-p100-padff",
        "vrrp3-v4-std-p100-physmac",
        "vrrp3-v4-std-p100-src10",
        "vrrp3-v4-std-p100-v6vmac",
        "vrrp3-v4-std-p100-vlan0",
        "vrrp3-v4-std-p254",
    ] },
    Row { backup: VrrpUnknownRouter, active: VrrpUnknownRouter, vectors: &[
        "bad-vrrp3-dst-224.0.0.19",
        "vrrp3-v6-p100-vlan100",
        "bad-vrrp3-vrid0",
        "bad-vrrp3-vrid52",
        "vrrp2-v4-noauth-p100-vlan100",
        "vrrp3-v4-ph-p100-q8100q8100",
        "vrrp3-v4-ph-p100-qinq",
        "vrrp3-v4-ph-p100-vlan100",
        "vrrp3-v4-std-p100-q8100q8100",
        "vrrp3-v4-std-p100-qinq",
    ] },
    Row { backup: VrrpIpHeader, active: VrrpIpHeader, vectors: &[
        "bad-vrrp3-frag-mf",
        "bad-vrrp3-frag-off",
        "bad-vrrp3-ihl15",
        "bad-vrrp3-ihl4",
        "bad-vrrp3-ipsum",
        "bad-vrrp3-ipversion6",
        "bad-vrrp3-src-mcast",
        "bad-vrrp3-src-zero",
        "bad-vrrp3-totlen-long",
        "bad-vrrp3-totlen-short",
    ] },
    Row { backup: VrrpTtl, active: VrrpTtl, vectors: &[
        "bad-vrrp3-v6-hl254",
        "bad-vrrp3-ph-ttl0",
        "bad-vrrp3-ph-ttl1",
        "bad-vrrp3-std-ttl0",
        "bad-vrrp3-std-ttl1",
        "bad-vrrp3-std-ttl254",
    ] },
    Row { backup: VrrpVersion, active: VrrpVersion, vectors: &[
        "bad-vrrp3-v6-version2",
        "real-ka227-v6-v2-advert",
        "bad-vrrp2-authtype3",
        "bad-vrrp2-checksum",
        "bad-vrrp2-count0",
        "bad-vrrp2-count5-of-1",
        "bad-vrrp2-noauthdata",
        "bad-vrrp3-ph-version1",
        "bad-vrrp3-ph-version4",
        "bad-vrrp3-std-version0",
        "bad-vrrp3-std-version1",
        "bad-vrrp3-std-version15",
        "real-frr844-v2-advert",
        "real-frr844-v2-p0",
        "real-ka227-v2-2s-advert",
        "real-ka227-v2-2s-p0",
        "real-ka227-v2-advert",
        "real-ka227-v2-advert2",
        "real-ka227-v2-p0",
        "real-ka227-v2-pass-advert",
        "real-ka227-v2-pass-p0",
        "real-ka227-v2-vmac-advert",
        "real-ka227-v2-vmac-p0",
        "short-vrrp2-pay008",
        "short-vrrp2-pay009",
        "short-vrrp2-pay010",
        "short-vrrp2-pay011",
        "short-vrrp2-pay012",
        "short-vrrp2-pay016",
        "short-vrrp2-pay018",
        "vrrp2-v4-auth1-p0",
        "vrrp2-v4-auth1-p100",
        "vrrp2-v4-noauth-p0",
        "vrrp2-v4-noauth-p1",
        "vrrp2-v4-noauth-p100-3ip",
        "vrrp2-v4-noauth-p254",
        "vrrp2-v4-noauth-p255",
    ] },
    Row { backup: VrrpType, active: VrrpType, vectors: &[
        "bad-vrrp3-v6-type2",
        "bad-vrrp3-ph-type0",
        "bad-vrrp3-std-type0",
    ] },
    Row { backup: VrrpLength, active: VrrpLength, vectors: &[
        "bad-vrrp3-v6-count0",
        "bad-vrrp3-v6-count3-of-1",
        "bad-vrrp3-v6-plen-short",
        "short-vrrp3v6-*",
        "bad-vrrp3-ph-count0",
        "bad-vrrp3-ph-count1-of-3",
        "bad-vrrp3-ph-count5-of-1",
        "bad-vrrp3-ph-trailing4",
        "bad-vrrp3-std-count0",
        "bad-vrrp3-std-trailing4",
        "short-vrrp2-pay000",
        "short-vrrp2-pay001",
        "short-vrrp2-pay002",
        "short-vrrp2-pay004",
        "short-vrrp2-pay005",
        "short-vrrp2-pay006",
        "short-vrrp3v4-pay000",
        "short-vrrp3v4-pay001",
        "short-vrrp3v4-pay002",
        "short-vrrp3v4-pay003",
        "short-vrrp3v4-pay004",
        "short-vrrp3v4-pay005",
        "short-vrrp3v4-pay006",
        "short-vrrp3v4-pay007",
        "short-vrrp3v4-pay010",
        "short-vrrp3v4-pay011",
    ] },
    Row { backup: VrrpInterval, active: VrrpInterval, vectors: &[
        "bad-vrrp3-v6-adv0",
        "bad-vrrp3-ph-adv0",
        "bad-vrrp3-std-adv0",
    ] },
    Row { backup: VrrpChecksum, active: VrrpChecksum, vectors: &[
        "bad-vrrp3-v6-checksum",
        "bad-vrrp3-std-checksum",
    ] },
    Row { backup: ArpNotOwner, active: ArpNotOwner, vectors: &[
        "arp-garp-request-physmac",
    ] },
    Row { backup: ArpNotOwner, active: ArpAnswered, vectors: &[
        "arp-request-vip",
        "arp-request-vip-unicast",
        "real-linux-arp-request-vip",
        "real-linux-arp-request-vip-unicast",
    ] },
    Row { backup: VipAnnounced, active: VipAnnounced, vectors: &[
        "bad-nd-na-mcast-solicited",
        "nd-na-*",
        "real-frr844-una-ll",
        "real-ka227-una-*",
        "real-linux-na-vip",
        "arp-conflict-reply",
        "arp-conflict-request",
        "arp-garp-reply",
        "arp-garp-reply-tha-bcast",
        "arp-garp-request-rfc9568",
        "arp-garp-request-tha-bcast",
        "arp-garp-request-tha-zero",
        "arp-reply-to-probe",
        "arp-reply-vip-rfc9568",
        "arp-reply-vip-vmacsrc",
        "real-frr844-garp",
        "real-linux-arp-reply-vip-physmac",
        "real-linux-arp-reply-vip-vmac",
    ] },
    Row { backup: VrrpAddress, active: VrrpAddress, vectors: &[
        "bad-vrrp3-v6-first-global",
        "real-ka227-v6-nolla-advert",
    ] },
    Row { backup: NdNotOwner, active: NdAnswered, vectors: &[
        "nd-ns-vip",
        "nd-ns-vip-dad",
    ] },
    Row { backup: NdNotOwner, active: NdNotOwner, vectors: &[
        "bad-nd-ns-checksum",
        "bad-nd-ns-code1",
        "bad-nd-ns-dad-slla",
        "bad-nd-ns-dad-unicast",
        "bad-nd-ns-optlen0",
    ] },
    Row { backup: VipNotOwner, active: VipDelivered, vectors: &[
        "icmp6-echo-vip",
        "icmp6-ptb-vip",
        "icmp-fragneeded-vip",
        "lb-tcp-syn-vip",
    ] },
    Row { backup: VipNotOwner, active: Other, vectors: &[
        "lb-dsr-l2",
    ] },
    Row { backup: Other, active: Other, vectors: &[
        "bad-nd-ns-target-mcast",
        "bad-vrrp3-v6-hopopts",
        "nd-ra-active",
        "trunc-nd-*",
        "vrrp3-v6-unicast-p100",
        "arp-request-other",
        "arp-request-vip-vlan100",
        "bad-arp-htype6",
        "bad-arp-op3",
        "bad-arp-plen16",
        "bad-sbfd-*",
        "bad-sbfd6-*",
        "bad-vrrp3-3tags",
        "bad-vrrp3-proto111",
        "bfd-ctrl-*",
        "lb-gue",
        "lb-ipip",
        "real-frr844-ra*",
        "real-ka227-bfd-*",
        "real-ka227-igmp-join",
        "real-ka227-mld-join",
        "real-ka227-v2-ah-advert",
        "real-ka227-v2-ah-advert2",
        "real-ka227-v2-uni-p0",
        "real-ka227-v3-uni-advert",
        "real-ka227-v3-uni-old-advert",
        "real-ka227-v3-uni-p0",
        "real-ka227-v3-uni-ttl64-advert",
        "real-ka227-v3-uni-ttl64-p0",
        "real-linux-echo-reply-vmac",
        "real-linux-icmp-proto-unreach",
        "sbfd-*",
        "sbfd6-*",
        "vrrp3-v4-ph-unicast-oldcsum-p100",
        "vrrp3-v4-ph-unicast-p0",
        "vrrp3-v4-ph-unicast-p100",
        "vrrp3-v4-ph-unicast-ttl64",
        "vrrp3-v4-std-unicast-p0",
        "vrrp3-v4-std-unicast-p100",
        "trunc-sbfd-*",
        "trunc-arp-*",
    ] },
];

/// Captured adverts that end inside the message, or inside the header from this length on: the IP header is there to
/// be judged. Shorter ones are no IP.
const CUT_SHORT: [(&str, usize); 3] = [
    ("trunc-vrrp2-v4-noauth-p100-at", 34),
    ("trunc-vrrp3-v4-std-p100-vlan100-at", 38),
    ("trunc-vrrp3-v6-p100-2ip-at", 54),
];

/// Frames that BPF_PROG_TEST_RUN does not take: no interface delivers less than an Ethernet header.
const SHORTEST: usize = 14;

fn expected(name: &str, length: usize) -> &'static Row {
    const CUT: Row = Row { backup: VrrpIpHeader, active: VrrpIpHeader, vectors: &[] };
    const REST: Row = Row { backup: Other, active: Other, vectors: &[] };
    if let Some((_, least)) = CUT_SHORT.iter().find(|(prefix, _)| name.starts_with(prefix)) {
        return if length >= *least { &CUT } else { &REST };
    }
    let matches = |pattern: &str| match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == pattern,
    };
    let rows: Vec<&Row> =
        TABLE.iter().filter(|row| row.vectors.iter().any(|pattern| matches(pattern))).collect();
    let [row] = rows[..] else { panic!("{name} is in {} rows of the table", rows.len()) };
    row
}

/// What each verdict means for the frame. Redirection has no socket to go to: the kernel gets the advert.
fn action(verdict: Verdict) -> u32 {
    match verdict {
        Other | LinkControl | HeadersApart | VipDelivered | GatewayDelivered | VrrpReceived
        | VrrpUnknownRouter => XDP_PASS,
        ArpAnswered | NdAnswered | SbfdUp | SbfdAdminDown | VipForwarded => XDP_TX,
        VipCrossed => XDP_REDIRECT,
        ArpNotOwner | NdNotOwner | VrrpAuthentication | VrrpAddress | VipAnnounced | VrrpOwn
        | VrrpIpHeader | VrrpDestination | VrrpNotPeer | VrrpTtl | VrrpVersion | VrrpType | VrrpLength
        | VrrpInterval | VrrpChecksum | VipHeadersApart | SbfdAnswer | SbfdUnknown | SbfdDiscarded
        | VipNotOwner | VipBalanced | VipFragment | VipNotAccepted | VirtualMacNotOwner
        | VirtualMacNotVip => XDP_DROP,
        EgressArp | EgressNd | EgressVirtualMac => panic!("{verdict:?} is not for received frames"),
    }
}

/// Octets of the IP header without options.
fn headers(frame: &[u8]) -> usize {
    if frame[12..14] == [0x86, 0xdd] { 40 } else { 20 }
}

fn frames() -> impl Iterator<Item = (String, Vector)> {
    frames::all().into_iter().filter(|(_, vector)| vector.octets().len() >= SHORTEST)
}

#[test]
fn every_frame_meets_its_verdict_and_action() {
    let (backup, active) = (setup::host(Role::Backup), setup::host(Role::Active));
    let mut seen = 0;
    for (name, vector) in frames() {
        let frame = vector.octets();
        let row = expected(&name, frame.len());
        for (role, host, verdict) in [("Backup", &backup, row.backup), ("Active", &active, row.active)] {
            let Outcome { action: got, counted, frame: out } = host.receive(&frame);
            assert_eq!(counted, BTreeMap::from([(verdict, 1)]), "{name} at the {role}");
            assert_eq!(got, action(verdict), "{name} at the {role}");
            // What the rewriting verdicts make of a frame has tests of its own.
            if !matches!(verdict, ArpAnswered | NdAnswered | VipDelivered) {
                assert_eq!(out, frame, "{name} at the {role} is left as it is");
            }
        }
        seen += 1;
    }
    assert_eq!(seen, 529, "frames of at least an Ethernet header in frames.json");
}

#[test]
fn every_row_of_the_table_is_about_some_frame() {
    let names: Vec<String> = frames::all().into_keys().collect();
    for pattern in TABLE.iter().flat_map(|row| row.vectors) {
        let found = match pattern.strip_suffix('*') {
            Some(prefix) => names.iter().any(|name| name.starts_with(prefix)),
            None => names.iter().any(|name| name == pattern),
        };
        assert!(found, "{pattern}");
    }
}

/// Where nothing is configured, no frame is touched but broken adverts, which the kernel would drop too.
#[test]
fn an_unconfigured_host_lets_everything_pass() {
    let host = baton_tests::datapath::Datapath::load();
    for (name, vector) in frames() {
        let frame = vector.octets();
        let verdict = match expected(&name, frame.len()).backup {
            VrrpIpHeader => VrrpIpHeader,
            // Without a whole header of VRRP there is no VRID to ask for.
            VrrpLength if frame.len() < SHORTEST + headers(&frame) + 8 => VrrpLength,
            VrrpReceived | VrrpUnknownRouter | VrrpDestination | VrrpNotPeer | VrrpTtl | VrrpVersion
            | VrrpType | VrrpLength | VrrpInterval | VrrpChecksum | VrrpAddress | VrrpAuthentication => {
                VrrpUnknownRouter
            }
            LinkControl => LinkControl,
            Other | HeadersApart | ArpAnswered | ArpNotOwner | NdAnswered | NdNotOwner | VipAnnounced
            | VrrpOwn | SbfdUp | SbfdAdminDown | SbfdAnswer | SbfdUnknown | SbfdDiscarded | VipDelivered
            | VipNotOwner | VipForwarded | VipCrossed | VipHeadersApart | VipBalanced | VipFragment
            | VipNotAccepted | VirtualMacNotOwner | VirtualMacNotVip | GatewayDelivered | EgressArp
            | EgressNd | EgressVirtualMac => Other,
        };
        assert_eq!(host.receive(&frame), setup::outcome(action(verdict), verdict, &frame), "{name}");
    }
}

/// T-009: each mode takes its own flavour and no other; `auto` takes both.
#[test]
fn the_checksum_decides_by_mode() {
    let hosts = [ACCEPT_RFC9568, ACCEPT_PSEUDO, ACCEPT_RFC9568 | ACCEPT_PSEUDO]
        .map(|accepted| (accepted, setup::host_accepting(Role::Backup, accepted)));
    let mut tried = BTreeMap::new();
    for (name, vector) in frames() {
        let frame = vector.octets();
        if expected(&name, frame.len()).backup != VrrpReceived {
            continue;
        }
        // IPv6 has but one.
        if headers(&frame) == 40 {
            continue;
        }
        let flavour = match vector.csum.as_deref() {
            Some("rfc9568") => ACCEPT_RFC9568,
            Some("pseudo") => ACCEPT_PSEUDO,
            other => panic!("{name} has checksum {other:?}"),
        };
        *tried.entry(flavour).or_insert(0) += 1;
        for (accepted, host) in &hosts {
            let verdict = if accepted & flavour != 0 { VrrpReceived } else { VrrpChecksum };
            assert_eq!(
                host.receive(&frame),
                setup::outcome(action(verdict), verdict, &frame),
                "{name}, {accepted}"
            );
            if verdict == VrrpReceived {
                assert_eq!(u32::from(host.mailbox(setup::SLOT).checksum), flavour, "{name}");
            }
        }
    }
    assert_eq!(tried, BTreeMap::from([(ACCEPT_RFC9568, 14), (ACCEPT_PSEUDO, 27)]));
}
