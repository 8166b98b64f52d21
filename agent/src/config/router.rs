//! A `[[router]]` table.

use std::net::IpAddr;
use std::time::Duration;

use baton_common::maps::MAX_PEERS;
use baton_common::vrid::Vrid;

use super::addresses::{check_peers, multicast, source, vips};
use super::document::Map;
use super::draft::Draft;
use super::findings::{Findings, Spot};
use super::key::{Key, Table};
use super::section::Section;
use super::shape::{Boolean, List, Maybe, Number, NumberOrWord, Tabular, Text, Word};
use super::{Bind, Delivery, MacMode, text};
use crate::vrrp::{Checksum, ChecksumMode, DownAdverts, Interval, Priority, Version, Versions};
use crate::wire::HOPS;

pub(super) static ROUTER: Key<List<Tabular>> = Key {
    name: "router",
    meaning: "The virtual routers.",
    remedy: "write [[router]], with two brackets, above its keys",
    default: None,
    shape: List { least: 1, most: usize::MAX, item: "a router", remedy: None, shape: Tabular(&TABLE) },
};

static TABLE: Table = Table {
    name: "[[router]]",
    kind: "router",
    identity: &[("", "interface"), (" vrid ", "vrid")],
    keys: &[
        &INTERFACE,
        &VRID,
        &VERSION,
        &PRIORITY,
        &INTERVAL_MS,
        &DOWN_TIMER_ADVERTS,
        &PREEMPT,
        &PREEMPT_DELAY_MS,
        &STARTUP_HOLD_MS,
        &MAC,
        &DELIVERY,
        &ACCEPT,
        &BIND,
        &CHECKSUM,
        &PASSWORD,
        &VIPS,
        &MULTICAST,
        &SOURCE,
        &PEERS,
        &LEAST_HOPS,
        &GROUP,
        &TRACK,
    ],
};

static INTERFACE: Key<Text<String>> = Key {
    name: "interface",
    meaning: "The Ethernet interface that the clients are behind.",
    remedy: "write the name that `ip link` shows, such as interface = \"eth0\"",
    default: None,
    shape: text::INTERFACE,
};
static VRID: Key<Number<Vrid>> = Key {
    name: "vrid",
    meaning: "The virtual router identifier: the same on all nodes, unique on the segment.",
    remedy: "RFC 9568 allows 1 to 255, the same on all nodes",
    default: None,
    shape: Number { least: 1, most: 255, step: 1, meaning: |vrid| Vrid::new(u8::try_from(vrid).ok()?) },
};
static PRIORITY: Key<Number<Priority>> = Key {
    name: "priority",
    meaning: "The highest that is alive becomes Active; 255 for the owner of the addresses.",
    remedy: "write 2 to 254, or 255 for the router that owns the addresses; 1 is what a failing router says",
    // RFC 9568 5.2.4.
    default: Some("100"),
    shape: Number {
        least: 2,
        most: 255,
        step: 1,
        meaning: |priority| Priority::new(u8::try_from(priority).ok()?),
    },
};
static INTERVAL_MS: Key<Number<Interval>> = Key {
    name: "interval_ms",
    meaning: "Advertisement_Interval, the same on all nodes.",
    remedy: "VRRP counts centiseconds: write 10 to 40950, a multiple of 10",
    // RFC 9568 6.1: 100 centiseconds.
    default: Some("1000"),
    shape: Number {
        least: 10,
        most: 40950,
        step: 10,
        meaning: |millis| Interval::from_centiseconds(u16::try_from(millis / 10).ok()?),
    },
};
static DOWN_TIMER_ADVERTS: Key<Number<DownAdverts>> = Key {
    name: "down_timer_adverts",
    meaning: "How many adverts may be missed before a silent Active Router is replaced.",
    remedy: "write 3 to 100, the same on all nodes; fewer leave a planned move no time, so shorten interval_ms instead",
    // RFC 9568 6.1.
    default: Some("3"),
    shape: Number {
        least: DownAdverts::FEWEST as u32,
        most: DownAdverts::MOST as u32,
        step: 1,
        meaning: |adverts| DownAdverts::new(u8::try_from(adverts).ok()?),
    },
};
static PREEMPT: Key<Boolean> = Key {
    name: "preempt",
    meaning: "Whether a node that comes back with a higher priority takes the addresses again.",
    remedy: "write true or false",
    default: Some("true"),
    shape: Boolean,
};
static PREEMPT_DELAY_MS: Key<Number<Duration>> = Key {
    name: "preempt_delay_ms",
    meaning: "How long a node that has come back leaves the addresses to a weaker one.",
    remedy: "write 0 to 3600000, for a router that preempts and is not the owner of the addresses",
    default: Some("0"),
    shape: Number { least: 0, most: 3_600_000, step: 1, meaning: millis },
};
static STARTUP_HOLD_MS: Key<Number<Duration>> = Key {
    name: "startup_hold_ms",
    meaning: "How long a node that has heard nothing since it came up takes its silence for a network that lets nothing through yet.",
    remedy: "write 0 to 600000",
    // A port under spanning tree lets nothing through for 30 s, 15 of them listening and 15 learning (802.1D), and sees the
    // carrier when this host does or a little later.
    default: Some("35000"),
    shape: Number { least: 0, most: 600_000, step: 1, meaning: millis },
};
static VERSION: Key<NumberOrWord<Wanted>> = Key {
    name: "version",
    meaning: "The version of VRRP; 2 for routers that know no other, both while a segment goes over from 2 to 3.",
    remedy: "write 3, or 2 for routers that know no other, or \"2+3\" to speak with either",
    default: Some("3"),
    shape: NumberOrWord(
        Number {
            least: 2,
            most: 3,
            step: 1,
            meaning: |number| Some(if number == 2 { Wanted::V2 } else { Wanted::V3 }),
        },
        Word(&[("2+3", Wanted::Both)]),
    ),
};
static PASSWORD: Key<Maybe<Text<[u8; 8]>>> = Key {
    name: "password",
    meaning: "The password of VRRPv2.",
    remedy: "write 1 to 8 octets, with version = 2 or \"2+3\"; everybody on the link can read them",
    default: None,
    shape: Maybe(text::PASSWORD),
};
static MAC: Key<Word<MacMode>> = Key {
    name: "mac",
    meaning: "The MAC that stands for the addresses: that of the virtual router, or the interface's own.",
    remedy: "write \"virtual\" or \"interface\"",
    default: Some("\"virtual\""),
    shape: Word(&[("virtual", MacMode::Virtual), ("interface", MacMode::Interface)]),
};
static DELIVERY: Key<Word<Delivery>> = Key {
    name: "delivery",
    meaning: "Where packets to the virtual router go: those to its addresses to this host; of a gateway those to its MAC for others, too.",
    remedy: "write \"host\", or \"gateway\" for the default gateway of the segment",
    default: Some("\"host\""),
    shape: Word(&[("host", Delivery::Host), ("gateway", Delivery::Gateway)]),
};
static ACCEPT: Key<Boolean> = Key {
    name: "accept",
    meaning: "Accept_Mode: whether the Active Router can be reached at the addresses. The router that owns them always can.",
    remedy: "write true, or false for a gateway that only routes",
    // RFC 9568 6.1 has False; services listen on most addresses of ours.
    default: Some("true"),
    shape: Boolean,
};
static BIND: Key<Word<Bind>> = Key {
    name: "bind",
    meaning: "When the addresses are on lo: always, so that services can listen before they are needed, or while this node is Active. They are never with accept = false.",
    remedy: "write \"always\", or \"while-active\" for services that must not see the addresses elsewhere",
    default: Some("\"always\""),
    shape: Word(&[("always", Bind::Always), ("while-active", Bind::WhileActive)]),
};
static CHECKSUM: Key<Word<ChecksumMode>> = Key {
    name: "checksum",
    meaning: "Which checksums of VRRPv3 over IPv4 are sent and accepted; auto accepts both and sends what a peer uses.",
    remedy: "write \"auto\", \"pseudo\" or \"rfc9568\"",
    default: Some("\"auto\""),
    shape: Word(&[
        // keepalived and FRR refuse the other flavour unless told otherwise, and a Backup never says which it wants; other
        // Baton nodes accept both.
        ("auto", ChecksumMode::Auto(Checksum::Pseudo)),
        ("pseudo", ChecksumMode::Only(Checksum::Pseudo)),
        ("rfc9568", ChecksumMode::Only(Checksum::Rfc9568)),
    ]),
};
pub(super) static VIPS: Key<List<Text<IpAddr>>> = Key {
    name: "vips",
    meaning: "The virtual addresses, of one family and the same on all nodes; over IPv6 the first is link-local.",
    remedy: "write 1 to 4000 addresses, such as vips = [\"192.0.2.100\"]; for more, use a further [[router]] with another vrid",
    default: None,
    shape: List {
        least: 1,
        // Two virtual routers can fill what the maps of an interface have room for. An advertisement names the first 255,
        // or 90 of IPv6; the others move with them.
        most: 4000,
        item: "vip",
        remedy: Some("write it without a prefix length, such as \"192.0.2.100\" or \"2001:db8::100\""),
        shape: text::ADDRESS,
    },
};
pub(super) static MULTICAST: Key<Maybe<Text<IpAddr>>> = Key {
    name: "multicast",
    meaning: "The multicast group that adverts go to and come from, instead of VRRP's own, 224.0.0.18 or ff02::12.",
    remedy: "write a group of the family of the vips, such as \"224.0.0.118\" or \"ff02::118\", and no peers; the same on all nodes",
    default: None,
    shape: Maybe(text::MULTICAST),
};
pub(super) static SOURCE: Key<Maybe<Text<IpAddr>>> = Key {
    name: "source",
    meaning: "The address of the interface that adverts come from, where it has several; its first, or its link-local one, if nothing is written.",
    remedy: "write an address that `ip address show` shows for the interface, such as source = \"192.0.2.1\", or leave it out",
    default: None,
    shape: Maybe(text::ADDRESS),
};
static PEERS: Key<List<Text<IpAddr>>> = Key {
    name: "peers",
    meaning: "The nodes that are advertised to, and heard, by unicast instead of the multicast group; this one may be among them.",
    remedy: "write the addresses of up to 8 nodes, such as peers = [\"192.0.2.2\", \"192.0.2.3\"], or leave it out for multicast",
    default: Some("[]"),
    shape: List { least: 0, most: MAX_PEERS as usize, item: "peer", remedy: None, shape: text::ADDRESS },
};
static LEAST_HOPS: Key<Number<u8>> = Key {
    name: "least_hops",
    meaning: "The lowest TTL, or Hop Limit, with which adverts of unicast peers are accepted.",
    remedy: "write 1 to 255, with `peers` only: 255 is what has crossed no router",
    // RFC 9568 5.1.1.3, 5.1.2.3.
    default: Some("255"),
    shape: Number { least: 1, most: 255, step: 1, meaning: |hops| u8::try_from(hops).ok() },
};
static GROUP: Key<Maybe<Text<String>>> = Key {
    name: "group",
    meaning: "The name of the routers that this one moves with, such as those on both sides of a gateway.",
    remedy: "write a name of letters, digits, - _ ., the same for all routers of the group",
    default: None,
    shape: Maybe(text::NAME),
};
static TRACK: Key<List<Text<String>>> = Key {
    name: "track",
    meaning: "The names of [[track]] tables: what must be in order for this node to serve.",
    remedy: "write the names of [[track]] tables, such as track = [\"nginx\"]",
    default: Some("[]"),
    shape: List { least: 0, most: usize::MAX, item: "tracker", remedy: None, shape: text::NAME },
};

/// What `version` says.
#[derive(Clone, Copy)]
enum Wanted {
    V3,
    V2,
    Both,
}

/// The virtual router that a table spells, as far as it is without mistakes.
pub(super) fn router(table: (Spot, Map), findings: &mut Findings) -> Draft {
    let spot = table.0;
    let mut section = Section::open(&TABLE, table, findings);
    let peers = section.read(&PEERS).unwrap_or_default();
    let vips = vips(&mut section, !peers.is_empty());
    let source = source(&mut section, &vips, !peers.is_empty());
    check_peers(&mut section, &peers, &vips, source);
    let (priority, preempt) = (section.read(&PRIORITY), section.read(&PREEMPT));
    let interval = section.read(&INTERVAL_MS);
    Draft {
        spot,
        versions: versions(&mut section, interval, &vips),
        interface: section.read(&INTERFACE),
        vrid_spot: section.spot_of(&VRID),
        vrid: section.read(&VRID),
        priority,
        interval,
        down_adverts: section.read(&DOWN_TIMER_ADVERTS),
        preempt,
        preempt_delay: preempt_delay(&mut section, priority, preempt),
        startup_hold: section.read(&STARTUP_HOLD_MS),
        mac: section.read(&MAC),
        delivery: section.read(&DELIVERY),
        accept: section.read(&ACCEPT),
        bind: section.read(&BIND),
        checksum: section.read(&CHECKSUM),
        multicast: multicast(&mut section, &vips, !peers.is_empty()),
        vips,
        source,
        least_hops: least_hops(&mut section, !peers.is_empty()),
        peers,
        group: section.read(&GROUP).flatten().map(|group| (section.spot_of(&GROUP), group)),
        trackers: section.read(&TRACK).unwrap_or_default(),
    }
}

fn millis(millis: u32) -> Option<Duration> {
    Some(Duration::from_millis(millis.into()))
}

/// Multicast crosses no router.
fn least_hops(section: &mut Section<'_>, is_unicast: bool) -> Option<u8> {
    let hops = section.read(&LEAST_HOPS)?;
    if hops != HOPS && !is_unicast {
        section.add(section.spot_of(&LEAST_HOPS), "least_hops without peers", &LEAST_HOPS);
    }
    Some(hops)
}

/// The version, or both, which must go with the rest.
fn versions(
    section: &mut Section<'_>,
    interval: Option<Interval>,
    vips: &[(Spot, IpAddr)],
) -> Option<Versions> {
    let wanted = section.read(&VERSION)?;
    let password = section.read(&PASSWORD)?;
    let versions = match wanted {
        Wanted::V3 => {
            if password.is_some() {
                section.add(section.spot_of(&PASSWORD), "password without version = 2 or \"2+3\"", &PASSWORD);
            }
            return Some(Versions::Only(Version::V3));
        }
        Wanted::V2 => Versions::Only(Version::V2 { password }),
        Wanted::Both => Versions::Both { password },
    };
    if let Some((at, _)) = vips.iter().find(|(_, vip)| vip.is_ipv6()) {
        section.add(*at, "version 2 has no IPv6", &VERSION);
    }
    if interval.is_some_and(|interval| interval.seconds().is_none()) {
        let remedy = "VRRPv2 counts seconds: write 1000 to 40000, a multiple of 1000";
        section.note(section.spot_of(&INTERVAL_MS), "interval_ms is no number of seconds".to_owned(), remedy);
    }
    Some(versions)
}

/// Who never preempts, or never waits, has no use for it.
fn preempt_delay(
    section: &mut Section<'_>,
    priority: Option<Priority>,
    preempt: Option<bool>,
) -> Option<Duration> {
    let delay = section.read(&PREEMPT_DELAY_MS)?;
    let at = section.spot_of(&PREEMPT_DELAY_MS);
    if delay.is_zero() {
        return Some(delay);
    }
    if preempt == Some(false) {
        section.add(at, "preempt_delay_ms without preempt", &PREEMPT_DELAY_MS);
    }
    if priority == Some(Priority::ADDRESS_OWNER) {
        section.add(at, "preempt_delay_ms for priority 255, which never waits", &PREEMPT_DELAY_MS);
    }
    Some(delay)
}
