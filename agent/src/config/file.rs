//! The text of `baton.toml`: which tables and keys it has, and what each may be.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use baton_common::vrid::Vrid;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::draft::{self, Draft};
use super::problem::Problem;
use super::section::{Findings, Key, Section};
use super::{Config, DatapathLog, MacMode, Runtime, SbfdChoice, XdpChoice, value};
use crate::vrrp::{Checksum, ChecksumMode, Interval, Priority};

const RUNTIME: Key = Key { name: "runtime", remedy: "write [runtime] above its keys" };
const ROUTER: Key = Key { name: "router", remedy: "write [[router]], with two brackets, above its keys" };
const FILE: [Key; 2] = [RUNTIME, ROUTER];

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
    remedy: "RFC 9568 allows 1 to 254, and 255 for the router that owns the addresses",
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
const ROUTER_KEYS: [Key; 8] = [INTERFACE, VRID, PRIORITY, INTERVAL_MS, PREEMPT, MAC, CHECKSUM, VIPS];

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
    let runtime = runtime.and_then(|table| self::runtime(table, runtime_at, &mut findings));
    if routers.is_some_and(<[_]>::is_empty) {
        findings.add(routers_at, "no virtual router".to_owned(), "add a [[router]] table");
    }
    let drafts: Vec<Draft> =
        routers.into_iter().flatten().filter_map(|table| router(table, &mut findings)).collect();
    draft::check(&drafts, &mut findings);
    let routers = drafts.into_iter().map(Draft::finished).collect::<Option<Vec<_>>>();
    match (runtime, routers) {
        (Some(runtime), Some(routers)) if findings.problems.is_empty() => Ok(Config { runtime, routers }),
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
            .optional(PRIORITY, DEFAULT_PRIORITY, |value| value::octet(value, 1..=255).map(Priority::new))
            .flatten(),
        interval: section.optional(INTERVAL_MS, DEFAULT_INTERVAL, interval).flatten(),
        preempt: section.optional(PREEMPT, true, value::boolean),
        mac: section.optional(MAC, MacMode::Virtual, |value| value::choice(value, &macs)),
        checksum: section.optional(CHECKSUM, AUTO, |value| value::choice(value, &checksums)),
        vips: vips(&mut section),
    })
}

fn interval(value: &DeValue<'_>) -> Result<Option<Interval>, String> {
    match value::number(value, 10..=40950)? {
        millis if millis % 10 == 0 => Ok(Interval::from_centiseconds(millis / 10)),
        millis => Err(format!("{millis} is no multiple of 10")),
    }
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
    use super::*;

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
            (added("priority = 0"), (5, 12), "priority 0", "1 to 254"),
            (added("priority = 99999999999999999999"), (5, 12), "priority 99999999999999999999", "1 to 254"),
            (added("interval_ms = 5"), (5, 15), "interval_ms 5", "multiple of 10"),
            (added("interval_ms = 15"), (5, 15), "interval_ms 15 is no multiple", "multiple of 10"),
            (added("interval_ms = 50000"), (5, 15), "interval_ms 50000", "40950"),
            (added("preempt = \"no\""), (5, 11), "preempt is of type string", "true or false"),
            (added("checksum = \"none\""), (5, 12), "checksum \"none\" is unknown", "pseudo"),
            (added("mac = \"Virtual\""), (5, 7), "mac \"Virtual\" is unknown", "\"virtual\""),
            (added("prio = 1"), (5, 1), "[[router]] has no key `prio`", "write `priority`"),
            (added("weight = 1"), (5, 1), "no key `weight`", "the keys are interface, vrid, priority"),
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
