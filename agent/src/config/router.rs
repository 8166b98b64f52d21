//! A `[[router]]` table.

use std::net::Ipv4Addr;

use baton_common::vrid::Vrid;

use super::document::Map;
use super::draft::Draft;
use super::findings::{Findings, Spot};
use super::key::{Key, Table};
use super::section::Section;
use super::shape::{Boolean, List, Number, Tabular, Text, Word};
use super::{MacMode, text};
use crate::vrrp::{Checksum, ChecksumMode, Interval, Priority};

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
    keys: &[&INTERFACE, &VRID, &PRIORITY, &INTERVAL_MS, &PREEMPT, &MAC, &CHECKSUM, &VIPS, &TRACK],
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
        meaning: |millis| Interval::from_centiseconds(millis / 10),
    },
};
static PREEMPT: Key<Boolean> = Key {
    name: "preempt",
    meaning: "Whether a node that comes back with a higher priority takes the addresses again.",
    remedy: "write true or false",
    default: Some("true"),
    shape: Boolean,
};
static MAC: Key<Word<MacMode>> = Key {
    name: "mac",
    meaning: "The MAC that stands for the addresses: that of the virtual router, or the interface's own.",
    remedy: "write \"virtual\" or \"interface\"",
    default: Some("\"virtual\""),
    shape: Word(&[("virtual", MacMode::Virtual), ("interface", MacMode::Interface)]),
};
static CHECKSUM: Key<Word<ChecksumMode>> = Key {
    name: "checksum",
    meaning: "Which VRRPv3 checksums are sent and accepted; auto accepts both and sends what a peer uses.",
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
static VIPS: Key<List<Text<Ipv4Addr>>> = Key {
    name: "vips",
    meaning: "The virtual addresses, the same on all nodes.",
    remedy: "write 1 to 4000 addresses, such as vips = [\"192.0.2.100\"]; for more, use a further [[router]] with another vrid",
    default: None,
    shape: List {
        least: 1,
        // Two virtual routers can fill what the maps of an interface have room for. An advertisement names the first 255; the
        // others move with them.
        most: 4000,
        item: "vip",
        remedy: Some("write it without a prefix length, such as \"192.0.2.100\""),
        shape: text::VIP,
    },
};
static TRACK: Key<List<Text<String>>> = Key {
    name: "track",
    meaning: "The names of [[track]] tables: what must be in order for this node to serve.",
    remedy: "write the names of [[track]] tables, such as track = [\"nginx\"]",
    default: Some("[]"),
    shape: List { least: 0, most: usize::MAX, item: "tracker", remedy: None, shape: text::NAME },
};

/// The virtual router that a table spells, as far as it is without mistakes.
pub(super) fn router(table: (Spot, Map), findings: &mut Findings) -> Draft {
    let spot = table.0;
    let mut section = Section::open(&TABLE, table, findings);
    Draft {
        spot,
        interface: section.read(&INTERFACE),
        vrid_spot: section.spot_of(&VRID),
        vrid: section.read(&VRID),
        priority: section.read(&PRIORITY),
        interval: section.read(&INTERVAL_MS),
        preempt: section.read(&PREEMPT),
        mac: section.read(&MAC),
        checksum: section.read(&CHECKSUM),
        vips: section.read(&VIPS).unwrap_or_default(),
        trackers: section.read(&TRACK).unwrap_or_default(),
    }
}
