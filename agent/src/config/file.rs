//! The text of `baton.toml`: which tables and keys it has, and what each may be.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use baton_common::vrid::Vrid;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::draft::{self, Draft};
use super::hook::{self, HOOK};
use super::problem::Problem;
use super::section::{Findings, Key, Section};
use super::track::{self, TRACK};
use super::{Config, DatapathLog, HookConfig, MacMode, Runtime, SbfdChoice, TrackerConfig, XdpChoice, value};
use crate::vrrp::{Checksum, ChecksumMode, DownAdverts, Interval, Priority, Version};

const RUNTIME: Key = Key { name: "runtime", remedy: "write [runtime] above its keys" };
const ROUTER: Key = Key { name: "router", remedy: "write [[router]], with two brackets, above its keys" };
const FILE: [Key; 4] = [RUNTIME, ROUTER, TRACK, HOOK];

const DIRECTORY: Key = Key { name: "directory", remedy: "write an absolute path, such as \"/run/baton\"" };
const PINS: Key = Key { name: "pins", remedy: "write an absolute path, such as \"/sys/fs/bpf/baton\"" };
const REALTIME_PRIORITY: Key = Key {
    name: "realtime_priority",
    remedy: "write a SCHED_FIFO priority of 1 to 99, or 0 for an ordinary thread",
};
const SBFD: Key =
    Key { name: "sbfd", remedy: "write \"auto\", \"fastest\", \"fast\", \"steady\", \"relaxed\" or \"off\"" };
const XDP: Key = Key { name: "xdp", remedy: "write \"auto\", \"native\" or \"generic\"" };
const DATAPATH_LOG: Key = Key { name: "datapath_log", remedy: "write \"off\" or \"debug\"" };
const METRICS: Key = Key {
    name: "metrics",
    remedy: "write a loopback address and a port, such as \"127.0.0.1:9112\"; for other hosts put a proxy before it that asks who they are",
};
const RUNTIME_KEYS: [Key; 7] = [DIRECTORY, PINS, REALTIME_PRIORITY, SBFD, XDP, DATAPATH_LOG, METRICS];

const INTERFACE: Key =
    Key { name: "interface", remedy: "write the name that `ip link` shows, such as interface = \"eth0\"" };
const VRID: Key = Key { name: "vrid", remedy: "RFC 9568 allows 1 to 255, the same on all nodes" };
const PRIORITY: Key = Key {
    name: "priority",
    remedy: "write 2 to 254, or 255 for the router that owns the addresses; 1 is what a failing router says",
};
const INTERVAL_MS: Key =
    Key { name: "interval_ms", remedy: "VRRP counts centiseconds: write 10 to 40950, a multiple of 10" };
const DOWN_TIMER_ADVERTS: Key = Key {
    name: "down_timer_adverts",
    remedy: "write 3 to 100, the same on all nodes; fewer leave a planned move no time, so shorten interval_ms instead",
};
const PREEMPT: Key = Key { name: "preempt", remedy: "write true or false" };
const PREEMPT_DELAY_MS: Key = Key {
    name: "preempt_delay_ms",
    remedy: "write 0 to 3600000, for a router that preempts and is not the owner of the addresses",
};
const STARTUP_HOLD_MS: Key = Key { name: "startup_hold_ms", remedy: "write 0 to 600000" };
const MAC: Key = Key { name: "mac", remedy: "write \"virtual\" or \"interface\"" };
const CHECKSUM: Key = Key { name: "checksum", remedy: "write \"auto\", \"pseudo\" or \"rfc9568\"" };
const VIPS: Key = Key {
    name: "vips",
    remedy: "write 1 to 4000 addresses, such as vips = [\"192.0.2.100\"]; for more, use a further [[router]] with another vrid",
};
/// One of them.
const VIP: Key = Key {
    name: "vip",
    remedy: "write it without a prefix length, such as \"192.0.2.100\" or \"2001:db8::100\"",
};
/// All of them.
const FAMILY: Key =
    Key { name: "vips", remedy: "give each family a [[router]] of its own; both may have the same vrid" };
/// The first of an IPv6 router.
const LINK_LOCAL: Key = Key {
    name: "vips",
    remedy: "RFC 9568 5.2.9: put a link-local address of the virtual router first, such as \"fe80::51\", on all nodes the same",
};
const VERSION: Key = Key { name: "version", remedy: "write 3, or 2 for routers that know no other" };
const PASSWORD: Key = Key {
    name: "password",
    remedy: "write 1 to 8 octets, with version = 2; everybody on the link can read them",
};
/// The interval of a VRRPv2 router.
const SECONDS: Key =
    Key { name: "interval_ms", remedy: "VRRPv2 counts seconds: write 1000 to 40000, a multiple of 1000" };

const TRACKERS: Key =
    Key { name: "track", remedy: "write the names of [[track]] tables, such as track = [\"nginx\"]" };
const ROUTER_KEYS: [Key; 14] = [
    INTERFACE,
    VRID,
    VERSION,
    PRIORITY,
    INTERVAL_MS,
    DOWN_TIMER_ADVERTS,
    PREEMPT,
    PREEMPT_DELAY_MS,
    STARTUP_HOLD_MS,
    MAC,
    CHECKSUM,
    PASSWORD,
    VIPS,
    TRACKERS,
];

const DEFAULT_DIRECTORY: &str = "/run/baton";
const DEFAULT_PINS: &str = "/sys/fs/bpf/baton";
const DEFAULT_REALTIME_PRIORITY: u8 = 50;
/// RFC 9568 5.2.4.
const DEFAULT_PRIORITY: Option<Priority> = Priority::new(100);
/// A port under spanning tree lets nothing through for 30 s, 15 of them listening and 15 learning (802.1D), and sees the
/// carrier when this host does or a little later.
const DEFAULT_STARTUP_HOLD: Duration = Duration::from_secs(35);
/// keepalived and FRR refuse the other flavour unless told otherwise, and a Backup never says which it wants; other
/// Baton nodes accept both.
const AUTO: ChecksumMode = ChecksumMode::Auto(Checksum::Pseudo);
/// Two virtual routers can fill what the maps of an interface have room for. An advertisement names the first 255, or 90 of IPv6; the others
/// move with them.
const MAX_VIPS_PER_ROUTER: usize = 4000;

/// The configuration that `text` spells, or every mistake in it.
pub(super) fn parse(text: &str) -> Result<Config, Vec<Problem>> {
    let mut findings = Findings::new(text);
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        findings.add(at, error.message().replace('\n', " "), "write it as README.md does, in TOML");
    }
    if !findings.problems.is_empty() {
        // What was meant by the lines around these is not known.
        return Err(findings.problems);
    }
    let nothing = DeTable::new();
    let mut file = Section::open("the file", &FILE, root.get_ref(), 0, &mut findings);
    let (runtime_at, routers_at) = (file.place(RUNTIME), file.place(ROUTER));
    let runtime = file.optional(RUNTIME, &nothing, value::table);
    let routers = file.optional(ROUTER, &[][..], value::array);
    let tracks = file.optional(TRACK, &[][..], value::array);
    let hooks = file.optional(HOOK, &[][..], value::array);
    let runtime = runtime.and_then(|table| self::runtime(table, runtime_at, &mut findings));
    if routers.is_some_and(<[_]>::is_empty) {
        findings.add(routers_at, "no virtual router".to_owned(), "add a [[router]] table");
    }
    let drafts: Vec<Draft> =
        routers.into_iter().flatten().filter_map(|table| router(table, &mut findings)).collect();
    let tables = tracks.into_iter().flatten();
    let (places, trackers): (Vec<usize>, Vec<TrackerConfig>) =
        tables.filter_map(|table| Some((table.span().start, track::tracker(table, &mut findings)?))).unzip();
    let hooks: Vec<HookConfig> =
        hooks.into_iter().flatten().filter_map(|table| hook::hook(table, &mut findings)).collect();
    draft::check(&drafts, &mut findings);
    // What one with mistakes is called is not known.
    if tracks.is_some_and(|tables| tables.len() == trackers.len()) {
        draft::check_trackers(&drafts, &trackers, &places, &mut findings);
    }
    let routers = drafts.into_iter().map(|draft| draft.finished(&trackers)).collect::<Option<Vec<_>>>();
    match (runtime, routers) {
        (Some(runtime), Some(routers)) if findings.problems.is_empty() => {
            Ok(Config { runtime, routers, trackers, hooks })
        }
        _ => {
            findings.problems.sort_by_key(|problem| (problem.line, problem.column));
            Err(findings.problems)
        }
    }
}

fn runtime<'a>(table: &'a DeTable<'a>, at: usize, findings: &mut Findings<'a>) -> Option<Runtime> {
    let mut section = Section::open("[runtime]", &RUNTIME_KEYS, table, at, findings);
    let sbfd = [
        ("auto", SbfdChoice::Auto),
        ("fastest", SbfdChoice::Fastest),
        ("fast", SbfdChoice::Fast),
        ("steady", SbfdChoice::Steady),
        ("relaxed", SbfdChoice::Relaxed),
        ("off", SbfdChoice::Off),
    ];
    let xdp = [("auto", XdpChoice::Auto), ("native", XdpChoice::Native), ("generic", XdpChoice::Generic)];
    let log = [("off", DatapathLog::Off), ("debug", DatapathLog::Debug)];
    let directory = section.optional(DIRECTORY, PathBuf::from(DEFAULT_DIRECTORY), value::absolute);
    let pins = section.optional(PINS, PathBuf::from(DEFAULT_PINS), value::absolute);
    let realtime_priority =
        section.optional(REALTIME_PRIORITY, DEFAULT_REALTIME_PRIORITY, |value| value::octet(value, 0..=99));
    let sbfd = section.optional(SBFD, SbfdChoice::Auto, |value| value::choice(value, &sbfd));
    let xdp = section.optional(XDP, XdpChoice::Auto, |value| value::choice(value, &xdp));
    let datapath_log = section.optional(DATAPATH_LOG, DatapathLog::Off, |value| value::choice(value, &log));
    let metrics = section.optional(METRICS, None, |value| value::loopback(value).map(Some));
    Some(Runtime {
        directory: directory?,
        pins: pins?,
        realtime_priority: realtime_priority?,
        sbfd: sbfd?,
        xdp: xdp?,
        datapath_log: datapath_log?,
        metrics: metrics?,
    })
}

fn router<'a>(table: &'a Spanned<DeValue<'a>>, findings: &mut Findings<'a>) -> Option<Draft> {
    let at = table.span().start;
    let table = value::table(table.get_ref())
        .map_err(|wrong| findings.add(at, format!("a router {wrong}"), ROUTER.remedy))
        .ok()?;
    let mut section = Section::open("[[router]]", &ROUTER_KEYS, table, at, findings);
    let macs = [("virtual", MacMode::Virtual), ("interface", MacMode::Interface)];
    let checksums = [
        ("auto", AUTO),
        ("pseudo", ChecksumMode::Only(Checksum::Pseudo)),
        ("rfc9568", ChecksumMode::Only(Checksum::Rfc9568)),
    ];
    let vips = vips(&mut section);
    let interval = section.optional(INTERVAL_MS, Some(Interval::DEFAULT), interval).flatten();
    let priority = section
        .optional(PRIORITY, DEFAULT_PRIORITY, |value| value::octet(value, 2..=255).map(Priority::new))
        .flatten();
    let preempt = section.optional(PREEMPT, true, value::boolean);
    Some(Draft {
        at,
        version: version(&mut section, interval, &vips),
        interface: section.required(INTERFACE, value::interface),
        vrid_at: section.place(VRID),
        vrid: section.required(VRID, |value| value::octet(value, 1..=255)).and_then(Vrid::new),
        priority,
        interval,
        down_adverts: section
            .optional(DOWN_TIMER_ADVERTS, Some(DownAdverts::RFC), |value| {
                value::octet(value, DownAdverts::FEWEST..=DownAdverts::MOST).map(DownAdverts::new)
            })
            .flatten(),
        preempt,
        preempt_delay: preempt_delay(&mut section, priority, preempt),
        startup_hold: section
            .optional(STARTUP_HOLD_MS, DEFAULT_STARTUP_HOLD, |value| value::millis(value, 0..=600_000)),
        mac: section.optional(MAC, MacMode::Virtual, |value| value::choice(value, &macs)),
        checksum: section.optional(CHECKSUM, AUTO, |value| value::choice(value, &checksums)),
        vips,
        trackers: trackers(&mut section),
    })
}

/// The version, which must go with the rest.
fn version(
    section: &mut Section<'_, '_>,
    interval: Option<Interval>,
    vips: &[(usize, IpAddr)],
) -> Option<Version> {
    let number = section.optional(VERSION, 3, |value| value::octet(value, 2..=3))?;
    let password = section.optional(PASSWORD, None, |value| value::password(value).map(Some))?;
    if number == 3 {
        if password.is_some() {
            section.add(section.place(PASSWORD), "password without version = 2".to_owned(), PASSWORD);
        }
        return Some(Version::V3);
    }
    if let Some((at, _)) = vips.iter().find(|(_, vip)| vip.is_ipv6()) {
        section.add(*at, "version 2 has no IPv6".to_owned(), VERSION);
    }
    if interval.is_some_and(|interval| interval.seconds().is_none()) {
        section.add(section.place(INTERVAL_MS), "interval_ms is no number of seconds".to_owned(), SECONDS);
    }
    Some(Version::V2 { password })
}

fn interval(value: &DeValue<'_>) -> Result<Option<Interval>, String> {
    match value::number(value, 10..=40950)? {
        millis if millis % 10 == 0 => {
            Ok(u16::try_from(millis / 10).ok().and_then(Interval::from_centiseconds))
        }
        millis => Err(format!("{millis} is no multiple of 10")),
    }
}

/// Who never preempts, or never waits, has no use for it.
fn preempt_delay(
    section: &mut Section<'_, '_>,
    priority: Option<Priority>,
    preempt: Option<bool>,
) -> Option<Duration> {
    let delay =
        section.optional(PREEMPT_DELAY_MS, Duration::ZERO, |value| value::millis(value, 0..=3_600_000))?;
    let at = section.place(PREEMPT_DELAY_MS);
    if delay.is_zero() {
        return Some(delay);
    }
    if preempt == Some(false) {
        section.add(at, "preempt_delay_ms without preempt".to_owned(), PREEMPT_DELAY_MS);
    }
    if priority == Some(Priority::ADDRESS_OWNER) {
        section.add(at, "preempt_delay_ms for priority 255, which never waits".to_owned(), PREEMPT_DELAY_MS);
    }
    Some(delay)
}

/// The names of trackers that are right, each with its place; the others are noted.
fn trackers(section: &mut Section<'_, '_>) -> Vec<(usize, String)> {
    let mut names = Vec::new();
    for item in section.optional(TRACKERS, &[][..], value::array).into_iter().flatten() {
        let at = item.span().start;
        match value::name(item.get_ref()) {
            Ok(name) => names.push((at, name)),
            Err(wrong) => section.add(at, format!("tracker {wrong}"), TRACKERS),
        }
    }
    names
}

/// The addresses that are right, each with its place; the others are noted.
fn vips(section: &mut Section<'_, '_>) -> Vec<(usize, IpAddr)> {
    let list = section.required(VIPS, |value| match value::array(value)? {
        list if (1..=MAX_VIPS_PER_ROUTER).contains(&list.len()) => Ok(list),
        list => Err(format!("has {} addresses", list.len())),
    });
    let mut vips = Vec::new();
    for item in list.into_iter().flatten() {
        let at = item.span().start;
        match value::vip(item.get_ref()) {
            Ok(vip) => vips.push((at, vip)),
            Err(wrong) => section.add(at, format!("vip {wrong}"), VIP),
        }
    }
    if let Some((_, first)) = vips.first().copied() {
        if let Some((at, vip)) = vips.iter().find(|(_, vip)| vip.is_ipv4() != first.is_ipv4()) {
            section.add(*at, format!("vip {vip} is of another family than {first}"), FAMILY);
        }
        if let (IpAddr::V6(address), (at, _)) = (first, vips[0])
            && !address.is_unicast_link_local()
        {
            section.add(at, format!("the first vip, {address}, is not link-local"), LINK_LOCAL);
        }
    }
    vips
}
