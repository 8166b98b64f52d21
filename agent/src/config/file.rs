//! The text of `baton.toml`: which tables and keys it has, and what each may be.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use baton_common::vrid::Vrid;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::draft::{self, Draft};
use super::hook::{self, HOOK};
use super::problem::Problem;
use super::section::{Findings, Key, Section};
use super::track::{self, TRACK};
use super::{Config, DatapathLog, HookConfig, MacMode, Runtime, SbfdChoice, TrackerConfig, XdpChoice, value};
use crate::vrrp::{Checksum, ChecksumMode, Interval, Priority};

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
const RUNTIME_KEYS: [Key; 6] = [DIRECTORY, PINS, REALTIME_PRIORITY, SBFD, XDP, DATAPATH_LOG];

const INTERFACE: Key =
    Key { name: "interface", remedy: "write the name that `ip link` shows, such as interface = \"eth0\"" };
const VRID: Key = Key { name: "vrid", remedy: "RFC 9568 allows 1 to 255, the same on all nodes" };
const PRIORITY: Key = Key {
    name: "priority",
    remedy: "write 2 to 254, or 255 for the router that owns the addresses; 1 is what a failing router says",
};
const INTERVAL_MS: Key =
    Key { name: "interval_ms", remedy: "VRRP counts centiseconds: write 10 to 40950, a multiple of 10" };
const PREEMPT: Key = Key { name: "preempt", remedy: "write true or false" };
const MAC: Key = Key { name: "mac", remedy: "write \"virtual\" or \"interface\"" };
const CHECKSUM: Key = Key { name: "checksum", remedy: "write \"auto\", \"pseudo\" or \"rfc9568\"" };
const VIPS: Key = Key {
    name: "vips",
    remedy: "write 1 to 4000 addresses, such as vips = [\"192.0.2.100\"]; for more, use a further [[router]] with another vrid",
};
/// One of them.
const VIP: Key = Key { name: "vip", remedy: "write it without a prefix length, such as \"192.0.2.100\"" };
const TRACKERS: Key =
    Key { name: "track", remedy: "write the names of [[track]] tables, such as track = [\"nginx\"]" };
const ROUTER_KEYS: [Key; 9] =
    [INTERFACE, VRID, PRIORITY, INTERVAL_MS, PREEMPT, MAC, CHECKSUM, VIPS, TRACKERS];

const DEFAULT_DIRECTORY: &str = "/run/baton";
const DEFAULT_PINS: &str = "/sys/fs/bpf/baton";
const DEFAULT_REALTIME_PRIORITY: u8 = 50;
/// RFC 9568 5.2.4.
const DEFAULT_PRIORITY: Option<Priority> = Priority::new(100);
/// RFC 9568 6.1: 100 centiseconds.
const DEFAULT_INTERVAL: Option<Interval> = Interval::from_centiseconds(100);
/// keepalived and FRR refuse the other flavour unless told otherwise, and a Backup never says which it wants; other
/// Baton nodes accept both.
const AUTO: ChecksumMode = ChecksumMode::Auto(Checksum::Pseudo);
/// Two virtual routers can fill what the maps of an interface have room for. An advertisement names the first 255; the others
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
    Some(Runtime {
        directory: directory?,
        pins: pins?,
        realtime_priority: realtime_priority?,
        sbfd: sbfd?,
        xdp: xdp?,
        datapath_log: datapath_log?,
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
    Some(Draft {
        at,
        interface: section.required(INTERFACE, value::interface),
        vrid_at: section.place(VRID),
        vrid: section.required(VRID, |value| value::octet(value, 1..=255)).and_then(Vrid::new),
        priority: section
            .optional(PRIORITY, DEFAULT_PRIORITY, |value| value::octet(value, 2..=255).map(Priority::new))
            .flatten(),
        interval: section.optional(INTERVAL_MS, DEFAULT_INTERVAL, interval).flatten(),
        preempt: section.optional(PREEMPT, true, value::boolean),
        mac: section.optional(MAC, MacMode::Virtual, |value| value::choice(value, &macs)),
        checksum: section.optional(CHECKSUM, AUTO, |value| value::choice(value, &checksums)),
        vips: vips(&mut section),
        trackers: trackers(&mut section),
    })
}

fn interval(value: &DeValue<'_>) -> Result<Option<Interval>, String> {
    match value::number(value, 10..=40950)? {
        millis if millis % 10 == 0 => Ok(Interval::from_centiseconds(millis / 10)),
        millis => Err(format!("{millis} is no multiple of 10")),
    }
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
fn vips(section: &mut Section<'_, '_>) -> Vec<(usize, Ipv4Addr)> {
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
    vips
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Check, HttpTarget};
    use super::*;
    use crate::vrrp::Role;

    const MINIMAL: &str = "[[router]]\ninterface = \"eth0\"\nvrid = 51\nvips = [\"192.0.2.100\"]\n";

    #[test]
    fn the_minimal_file_gets_the_defaults_of_the_rfc() {
        let config = parse(MINIMAL).expect("valid");
        let router = &config.routers[0];
        assert_eq!(router.priority.get(), 100);
        assert_eq!(router.interval.centiseconds(), 100);
        assert!(router.preempt);
        assert_eq!(router.mac, MacMode::Virtual);
        assert_eq!(router.checksum, ChecksumMode::Auto(Checksum::Pseudo));
        assert_eq!(config.runtime.directory, PathBuf::from("/run/baton"));
        assert_eq!(config.runtime.realtime_priority, 50);
    }

    /// (text, line and column of the mistake, words in what, words in the remedy)
    #[test]
    fn every_mistake_is_named_with_its_place_and_remedy() {
        let replaced = |from: &str, to: &str| MINIMAL.replace(from, to);
        let added = |line: &str| format!("{MINIMAL}{line}\n");
        let runtime = |line: &str| format!("[runtime]\n{line}\n{MINIMAL}");
        let hook = |lines: &str| format!("{MINIMAL}[[hook]]\n{lines}\n");
        let track = |lines: &str| format!("{MINIMAL}[[track]]\n{lines}\n");
        let rows: Vec<(String, (usize, usize), &str, &str)> = vec![
            (String::new(), (1, 1), "no virtual router", "[[router]]"),
            ("router = 1".to_owned(), (1, 10), "router is of type integer", "[[router]], with two brackets"),
            (
                replaced("[[router]]", "[router]"),
                (1, 1),
                "router is of type table",
                "[[router]], with two brackets",
            ),
            (format!("runtime = 1\n{MINIMAL}"), (1, 11), "runtime is of type integer", "[runtime]"),
            (format!("routers = 1\n{MINIMAL}"), (1, 1), "the file has no key `routers`", "write `router`"),
            ("router = [1]".to_owned(), (1, 11), "a router is of type integer", "[[router]]"),
            ("router = []".to_owned(), (1, 10), "no virtual router", "[[router]]"),
            ("[[router]\n".to_owned(), (1, 10), "", "TOML"),
            (added("vrid = 52"), (5, 1), "duplicate key", "TOML"),
            (replaced("vrid = 51", "vrid = 0"), (3, 8), "vrid 0 is out of range", "1 to 255"),
            (replaced("vrid = 51", "vrid = 256"), (3, 8), "vrid 256", "1 to 255"),
            (
                replaced("vrid = 51", "vrid = \"51\""),
                (3, 8),
                "vrid is of type string, not an integer",
                "1 to 255",
            ),
            (replaced("vrid = 51\n", ""), (1, 1), "`vrid` is missing", "1 to 255"),
            (replaced("interface = \"eth0\"\n", ""), (1, 1), "`interface` is missing", "eth0"),
            (replaced("vips = [\"192.0.2.100\"]\n", ""), (1, 1), "`vips` is missing", "192.0.2.100"),
            (replaced("eth0", "eth0/1"), (2, 13), "\"eth0/1\" is not an interface name", "ip link"),
            (replaced("eth0", ""), (2, 13), "not an interface", "ip link"),
            (replaced("192.0.2.100", "192.0.2.300"), (4, 9), "192.0.2.300", "192.0.2.100"),
            (replaced("192.0.2.100", "224.0.0.18"), (4, 9), "224.0.0.18", "192.0.2.100"),
            (replaced("192.0.2.100", "192.0.2.100/32"), (4, 9), "192.0.2.100/32", "without a prefix"),
            (replaced("\"192.0.2.100\"", "5"), (4, 9), "vip is of type integer", "192.0.2.100"),
            (replaced("[\"192.0.2.100\"]", "[]"), (4, 8), "vips has 0 addresses", "1 to 4000"),
            (added("priority = 0"), (5, 12), "priority 0", "2 to 254"),
            (added("priority = 1"), (5, 12), "priority 1 is out of range", "1 is what a failing router says"),
            (added("priority = 99999999999999999999"), (5, 12), "priority 99999999999999999999", "2 to 254"),
            (added("interval_ms = 5"), (5, 15), "interval_ms 5", "multiple of 10"),
            (added("interval_ms = 15"), (5, 15), "interval_ms 15 is no multiple", "multiple of 10"),
            (added("interval_ms = 50000"), (5, 15), "interval_ms 50000", "40950"),
            (added("preempt = \"no\""), (5, 11), "preempt is of type string", "true or false"),
            (added("checksum = \"none\""), (5, 12), "checksum \"none\" is unknown", "pseudo"),
            (added("mac = \"Virtual\""), (5, 7), "mac \"Virtual\" is unknown", "\"virtual\""),
            (added("prio = 1"), (5, 1), "[[router]] has no key `prio`", "write `priority`"),
            (added("weight = 1"), (5, 1), "no key `weight`", "the keys are interface, vrid, priority"),
            (track("name = \"a\""), (5, 1), "nothing to look at", "process, tcp, http, file or exec"),
            (track("file = \"/a\""), (5, 1), "`name` is missing", "nginx"),
            (track("name = \"a b\"\nfile = \"/a\""), (6, 8), "name \"a b\" is not a name", "nginx"),
            (track("name = \"a\"\nfile = \"a\""), (7, 8), "file \"a\" is no absolute path", "/run"),
            (track("name = \"a\"\ntcp = \"localhost:1\""), (7, 7), "localhost:1", "127.0.0.1:3306"),
            (
                track("name = \"a\"\nhttp = \"127.0.0.1:80\""),
                (7, 8),
                "is not an http:// URL",
                "http://127.0.0.1",
            ),
            (
                track("name = \"a\"\nhttp = \"https://127.0.0.1/\""),
                (7, 8),
                "is not an http:// URL",
                "http://",
            ),
            (track("name = \"a\"\nhttp = \"http://127.0.0.1:80800/\""), (7, 8), "80800", "http://127.0.0.1"),
            (track("name = \"a\"\nhttp = \"http://me@127.0.0.1/\""), (7, 8), "me@", "http://127.0.0.1"),
            (track("name = \"a\"\nfile = \"/a\"\nuser = \"b\""), (8, 8), "user without exec", "no shell"),
            (track("name = \"a\"\nhttp = \"http://localhost/\""), (7, 8), "localhost", "http://127.0.0.1"),
            (track("name = \"a\"\nfile = \"/a\"\nweight = 0"), (8, 10), "weight 0", "1 to 254"),
            (track("name = \"a\"\nfile = \"/a\"\nrise = 0"), (8, 8), "rise 0", "1 to 255"),
            (track("name = \"a\"\nfile = \"/a\"\ntimeout_ms = 1"), (8, 14), "timeout_ms 1", "10 to"),
            (track("name = \"a\"\nfile = \"/a\"\ninterval = 20"), (8, 1), "no key `interval`", "interval_ms"),
            (
                track("name = \"a\"\nexec = [\"true\"]"),
                (7, 8),
                "exec \"true\" is no absolute path",
                "no shell",
            ),
            (track("name = \"a\"\nexec = []"), (7, 8), "exec is empty", "no shell"),
            (track("name = \"a\"\nexec = [1]"), (7, 8), "exec is of type integer", "no shell"),
            (hook("on = [\"active\"]"), (5, 1), "`exec` is missing", "no shell"),
            (hook("exec = [\"/a\"]\non = [\"master\"]"), (7, 6), "on \"master\" is unknown", "active"),
            (hook("exec = [\"/a\"]\nuser = \"\""), (7, 8), "user \"\" is not a name", "nobody"),
            (hook("exec = \"/a\""), (6, 8), "exec is of type string", "[\"/usr/local"),
            (format!("hook = 1\n{MINIMAL}"), (1, 8), "hook is of type integer", "[[hook]]"),
            (format!("track = 1\n{MINIMAL}"), (1, 9), "track is of type integer", "[[track]]"),
            (added("track = \"a\""), (5, 9), "track is of type string", "[\"nginx\"]"),
            (added("track = [\"a\"]"), (5, 10), "there is no tracker \"a\"", "[[track]]"),
            (
                format!("{}[[track]]\nname = \"a\"\nfile = \"/a\"\n", added("track = [\"a\", \"a\"]")),
                (5, 15),
                "tracker a is named twice",
                "remove one",
            ),
            (
                track("name = \"a\"\nfile = \"/a\"\n[[track]]\nname = \"a\"\nfile = \"/b\""),
                (8, 1),
                "tracker a stands on line 5, too",
                "its own name",
            ),
            (runtime("realtime_priority = 100"), (2, 21), "realtime_priority 100", "1 to 99"),
            (runtime("directory = \"\""), (2, 13), "directory \"\" is no absolute path", "/run/baton"),
            (runtime("directory = \"run\""), (2, 13), "directory \"run\"", "/run/baton"),
            (runtime("pins = \"bpf/baton\""), (2, 8), "pins \"bpf/baton\"", "/sys/fs/bpf/baton"),
            (runtime("xdp = \"skb\""), (2, 7), "xdp \"skb\"", "generic"),
            (runtime("datapath_log = true"), (2, 16), "datapath_log is of type boolean", "debug"),
            (runtime("pin = \"/\""), (2, 1), "[runtime] has no key `pin`", "write `pins`"),
        ];
        for (text, place, what, remedy) in rows {
            let problems = parse(&text).expect_err(&text);
            let problem = &problems[0];
            assert_eq!((problem.line, problem.column), place, "{text}\n{problem}");
            assert!(problem.what.contains(what), "{text}\n{problem}");
            assert!(problem.remedy.contains(remedy), "{text}\n{problem}");
        }
    }

    #[test]
    fn a_tracker_is_read_with_its_defaults_and_found_by_its_name() {
        let text = "[[track]]\nname = \"web\"\nhttp = \"http://[::1]:8080/ok?a=b\"\nprocess = \"/run/nginx.pid\"\n[[track]]\nname = \"uplink\"\n\
                    tcp = \"192.0.2.1:179\"\nweight = 20\nrise = 3\nfall = 1\ninterval_ms = 50\ntimeout_ms = 40\n";
        let config = parse(&format!("{MINIMAL}track = [\"uplink\", \"web\"]\n{text}")).expect("valid");
        assert_eq!(config.routers[0].trackers, [1, 0]);
        let [web, uplink] = &config.trackers[..] else { panic!("two") };
        let target = HttpTarget {
            address: "[::1]:8080".parse().expect("an address"),
            authority: "[::1]:8080".to_owned(),
            path: "/ok?a=b".to_owned(),
        };
        let checks = [Check::Process("/run/nginx.pid".into()), Check::Http(target)];
        assert_eq!((&web.checks[..], web.weight), (&checks[..], None));
        assert_eq!((web.interval.as_millis(), web.patience.as_millis()), (200, 500));
        assert_eq!((web.rise.get(), web.fall.get()), (2, 2));
        assert_eq!(uplink.checks, [Check::Tcp("192.0.2.1:179".parse().expect("an address"))]);
        assert_eq!((uplink.interval.as_millis(), uplink.patience.as_millis()), (50, 40));
        assert_eq!((uplink.rise.get(), uplink.fall.get(), uplink.weight), (3, 1, Some(20)));
    }

    #[test]
    fn a_hook_is_read_with_its_defaults() {
        let text = "[[hook]]\nexec = [\"/bin/a\", \"b\"]\n[[hook]]\nexec = [\"/c\"]\non = [\"active\", \"backup\"]\n\
                    user = \"nobody\"\ntimeout_ms = 50\n";
        let config = parse(&format!("{MINIMAL}{text}")).expect("valid");
        let plain = HookConfig {
            exec: vec!["/bin/a".to_owned(), "b".to_owned()],
            on: vec![],
            user: None,
            patience: Duration::from_secs(10),
        };
        let full = HookConfig {
            exec: vec!["/c".to_owned()],
            on: vec![Role::Active, Role::Backup],
            user: Some("nobody".to_owned()),
            patience: Duration::from_millis(50),
        };
        assert_eq!(config.hooks, [plain, full]);
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let text = "[runtime]\ndirectory = \"\"\n[[router]]\ninterface = \"eth0\"\nvrid = 0\nmac = \"Virtual\"\n\
                    vips = [\n\"nonsense\",\n\"192.0.2.1\",\n\"192.0.2.1\",\n]\n[[router]]\ninterface = \"eth0\"\n\
                    vips = [\"192.0.2.1\"]\nprio = 1\n";
        let problems = parse(text).expect_err("many mistakes");
        let said: Vec<(usize, &str)> = problems.iter().map(|p| (p.line, p.what.as_str())).collect();
        let expected = [
            (2, "directory \"\" is no absolute path"),
            (5, "vrid 0 is out of range"),
            (6, "mac \"Virtual\" is unknown"),
            (8, "vip \"nonsense\" is not a unicast IPv4 address"),
            (10, "vip 192.0.2.1 stands on line 9, too"),
            (12, "`vrid` is missing"),
            (14, "vip 192.0.2.1 stands on line 10, too"),
            (15, "[[router]] has no key `prio`"),
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn a_link_has_every_vrid_once() {
        let second =
            |interface: &str| MINIMAL.replace("eth0", interface).replace("192.0.2.100", "192.0.2.101");
        let problems = parse(&format!("{MINIMAL}{}", second("eth0"))).expect_err("twice on a link");
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let expected = "line 7, column 8: vrid 51 stands on line 3 for eth0, too; give every virtual router on a link its \
                        own vrid";
        assert_eq!(said, [expected]);
        assert_eq!(parse(&format!("{MINIMAL}{}", second("eth1"))).expect("two links").routers.len(), 2);
    }

    #[test]
    fn more_vips_than_an_interface_holds_are_refused() {
        let router = |index: usize| {
            let vips: Vec<String> = (1..=255).map(|host| format!("\"10.0.{index}.{host}\"")).collect();
            format!("[[router]]\ninterface = \"eth0\"\nvrid = {}\nvips = [{}]\n", index + 1, vips.join(", "))
        };
        let text = |routers: usize| (0..routers).map(router).collect::<String>();
        assert_eq!(parse(&text(32)).expect("8160 vips").routers.len(), 32);
        let problems = parse(&text(34)).expect_err("8670 vips");
        assert_eq!(problems.len(), 1);
        assert!(problems[0].what.contains("more than 8192"), "{}", problems[0]);
    }

    #[test]
    fn a_vip_belongs_to_one_router_on_any_interface() {
        let second = MINIMAL.replace("51", "52").replace("eth0", "eth1");
        let problems = parse(&format!("{MINIMAL}{second}")).expect_err("twice the same vip");
        assert_eq!(problems.len(), 1);
        assert_eq!((problems[0].line, problems[0].column), (8, 9));
        assert_eq!(problems[0].what, "vip 192.0.2.100 stands on line 4, too");
    }
}
