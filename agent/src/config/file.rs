//! The text of `baton.toml` and the rules that its values must keep.

use std::net::Ipv4Addr;
use std::ops::Range;
use std::path::PathBuf;

use baton_common::maps::MAX_VIPS;
use baton_common::vrid::Vrid;
use serde::Deserialize;
use toml::Spanned;

use super::problem::Problem;
use super::{Config, DatapathLog, MacMode, RouterConfig, Runtime, XdpChoice};
use crate::vrrp::{Checksum, ChecksumMode, Interval, Priority};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    runtime: RuntimeTable,
    #[serde(default)]
    router: Vec<Spanned<RouterTable>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RuntimeTable {
    directory: Option<PathBuf>,
    pins: Option<PathBuf>,
    realtime_priority: Option<Spanned<i64>>,
    xdp: Option<XdpChoice>,
    datapath_log: Option<DatapathLog>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RouterTable {
    interface: Spanned<String>,
    vrid: Spanned<i64>,
    priority: Option<Spanned<i64>>,
    interval_ms: Option<Spanned<i64>>,
    #[serde(default = "yes")]
    preempt: bool,
    mac: Option<MacMode>,
    checksum: Option<Spanned<String>>,
    vips: Spanned<Vec<Spanned<String>>>,
}

const DEFAULT_DIRECTORY: &str = "/run/baton";
const DEFAULT_PINS: &str = "/sys/fs/bpf/baton";
const DEFAULT_REALTIME_PRIORITY: i64 = 50;
/// RFC 9568 5.2.4.
const DEFAULT_PRIORITY: i64 = 100;
/// RFC 9568 6.1: 100 centiseconds.
const DEFAULT_INTERVAL_MS: i64 = 1000;
/// What an interface name may hold: IFNAMSIZ less the closing zero.
const MAX_INTERFACE_NAME: usize = 15;
/// The address count of an advertisement is one octet (RFC 9568 5.2.5).
const MAX_VIPS_PER_ROUTER: usize = 255;

fn yes() -> bool {
    true
}

/// The configuration that `text` spells, or every mistake in it.
pub(super) fn parse(text: &str) -> Result<Config, Vec<Problem>> {
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        let remedy = "README.md lists the keys of baton.toml".to_owned();
        vec![Problem { line, what: error.message().replace('\n', " "), remedy }]
    })?;
    let mut checker = Checker { text, problems: Vec::new() };
    let runtime = checker.runtime(file.runtime);
    if file.router.is_empty() {
        checker.add(0..0, "no virtual router".to_owned(), "add a [[router]] table");
    }
    let routers: Vec<(Range<usize>, RouterConfig)> = file
        .router
        .into_iter()
        .filter_map(|table| {
            let span = table.span();
            checker.router(table.into_inner()).map(|router| (span, router))
        })
        .collect();
    checker.collisions(&routers);
    checker.capacity(&routers);
    match (runtime, checker.problems.is_empty()) {
        (Some(runtime), true) => {
            Ok(Config { runtime, routers: routers.into_iter().map(|(_, router)| router).collect() })
        }
        _ => Err(checker.problems),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}

struct Checker<'a> {
    text: &'a str,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn add(&mut self, span: Range<usize>, what: String, remedy: &str) {
        let line = line_of(self.text, span.start);
        self.problems.push(Problem { line, what, remedy: remedy.to_owned() });
    }

    fn runtime(&mut self, table: RuntimeTable) -> Option<Runtime> {
        let priority = table.realtime_priority.unwrap_or(Spanned::new(0..0, DEFAULT_REALTIME_PRIORITY));
        let realtime_priority = match u8::try_from(*priority.get_ref()) {
            Ok(value @ 0..=99) => value,
            _ => {
                let what = format!("realtime_priority {} is not a SCHED_FIFO priority", priority.get_ref());
                self.add(priority.span(), what, "write 1 to 99, or 0 for an ordinary thread");
                return None;
            }
        };
        Some(Runtime {
            directory: table.directory.unwrap_or_else(|| DEFAULT_DIRECTORY.into()),
            pins: table.pins.unwrap_or_else(|| DEFAULT_PINS.into()),
            realtime_priority,
            xdp: table.xdp.unwrap_or(XdpChoice::Auto),
            datapath_log: table.datapath_log.unwrap_or(DatapathLog::Off),
        })
    }

    /// The router that `table` describes; `None` when something in it is wrong. All its mistakes are noted.
    fn router(&mut self, table: RouterTable) -> Option<RouterConfig> {
        let interface = self.interface(&table.interface);
        let vrid = self.number(&table.vrid, "vrid", 1..=255, "RFC 9568 allows 1 to 255");
        let vrid = vrid.and_then(|value| Vrid::new(u8::try_from(value).ok()?));
        let priority = self.priority(table.priority);
        let interval = self.interval(table.interval_ms);
        let checksum = self.checksum(table.checksum);
        let vips = self.vips(&table.vips);
        Some(RouterConfig {
            interface: interface?,
            vrid: vrid?,
            priority: priority?,
            interval: interval?,
            preempt: table.preempt,
            mac: table.mac.unwrap_or(MacMode::Virtual),
            checksum: checksum?,
            vips: vips?,
        })
    }

    fn interface(&mut self, name: &Spanned<String>) -> Option<String> {
        let text = name.get_ref();
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'/' && byte != b':';
        if (1..=MAX_INTERFACE_NAME).contains(&text.len()) && text.bytes().all(plain) {
            return Some(text.clone());
        }
        self.add(
            name.span(),
            format!("\"{text}\" is not an interface name"),
            "write the name that `ip link` shows, such as \"eth0\"",
        );
        None
    }

    fn number(
        &mut self,
        value: &Spanned<i64>,
        key: &str,
        range: std::ops::RangeInclusive<i64>,
        remedy: &str,
    ) -> Option<i64> {
        if range.contains(value.get_ref()) {
            return Some(*value.get_ref());
        }
        self.add(value.span(), format!("{key} {} is out of range", value.get_ref()), remedy);
        None
    }

    fn priority(&mut self, value: Option<Spanned<i64>>) -> Option<Priority> {
        let value = value.unwrap_or(Spanned::new(0..0, DEFAULT_PRIORITY));
        let remedy = "RFC 9568 allows 1 to 254, and 255 for the router that owns the addresses";
        let octet = self.number(&value, "priority", 1..=255, remedy)?;
        Priority::new(u8::try_from(octet).ok()?)
    }

    fn interval(&mut self, value: Option<Spanned<i64>>) -> Option<Interval> {
        let value = value.unwrap_or(Spanned::new(0..0, DEFAULT_INTERVAL_MS));
        let remedy = "VRRP counts centiseconds: write 10 to 40950, a multiple of 10";
        let millis = self.number(&value, "interval_ms", 10..=40950, remedy)?;
        if millis % 10 != 0 {
            self.add(value.span(), format!("interval_ms {millis} is no multiple of 10"), remedy);
            return None;
        }
        Interval::from_centiseconds(u16::try_from(millis / 10).ok()?)
    }

    fn checksum(&mut self, value: Option<Spanned<String>>) -> Option<ChecksumMode> {
        let value = value.unwrap_or(Spanned::new(0..0, "auto".to_owned()));
        match value.get_ref().as_str() {
            "rfc9568" => Some(ChecksumMode::Only(Checksum::Rfc9568)),
            "pseudo" => Some(ChecksumMode::Only(Checksum::Pseudo)),
            // keepalived and FRR refuse the other flavour unless told otherwise, and a Backup never says which it
            // wants; other Baton nodes accept both.
            "auto" => Some(ChecksumMode::Auto(Checksum::Pseudo)),
            other => {
                let what = format!("checksum \"{other}\" is unknown");
                self.add(value.span(), what, "write \"auto\", \"pseudo\" or \"rfc9568\"");
                None
            }
        }
    }

    fn vips(&mut self, list: &Spanned<Vec<Spanned<String>>>) -> Option<Vec<Ipv4Addr>> {
        if !(1..=MAX_VIPS_PER_ROUTER).contains(&list.get_ref().len()) {
            let what = format!("{} vips in one virtual router", list.get_ref().len());
            self.add(
                list.span(),
                what,
                "write 1 to 255; use a further [[router]] with another vrid for more",
            );
            return None;
        }
        let vips: Vec<Ipv4Addr> = list.get_ref().iter().filter_map(|text| self.vip(text)).collect();
        (vips.len() == list.get_ref().len()).then_some(vips)
    }

    fn vip(&mut self, text: &Spanned<String>) -> Option<Ipv4Addr> {
        let usable = |address: &Ipv4Addr| {
            !address.is_unspecified()
                && !address.is_loopback()
                && !address.is_multicast()
                && !address.is_broadcast()
        };
        let address = text.get_ref().parse::<Ipv4Addr>().ok().filter(usable);
        if address.is_none() {
            self.add(
                text.span(),
                format!("vip \"{}\" is not a unicast IPv4 address", text.get_ref()),
                "write it without a prefix length, such as \"192.0.2.100\"",
            );
        }
        address
    }

    /// What the maps of an interface hold.
    fn capacity(&mut self, routers: &[(Range<usize>, RouterConfig)]) {
        for (index, (span, router)) in routers.iter().enumerate() {
            let same_link = |(_, other): &&(Range<usize>, RouterConfig)| other.interface == router.interface;
            let before: usize =
                routers[..index].iter().filter(same_link).map(|(_, other)| other.vips.len()).sum();
            let limit = MAX_VIPS as usize;
            if before <= limit && before + router.vips.len() > limit {
                let what = format!("more than {limit} vips on {}", router.interface);
                self.add(span.clone(), what, "move some to another interface, such as a VLAN's");
            }
        }
    }

    fn collisions(&mut self, routers: &[(Range<usize>, RouterConfig)]) {
        for (index, (span, router)) in routers.iter().enumerate() {
            let same_link = |other: &&(Range<usize>, RouterConfig)| other.1.interface == router.interface;
            for (_, other) in routers[..index].iter().filter(same_link) {
                if other.vrid == router.vrid {
                    let what = format!("vrid {} stands twice on {}", router.vrid.get(), router.interface);
                    self.add(span.clone(), what, "give every virtual router on a link its own vrid");
                }
            }
            for (at, vip) in router.vips.iter().enumerate() {
                let elsewhere = routers[..index].iter().any(|(_, other)| other.vips.contains(vip));
                if elsewhere || router.vips[..at].contains(vip) {
                    let what = format!("vip {vip} stands twice");
                    self.add(
                        span.clone(),
                        what,
                        "an address belongs to one virtual router; remove the other",
                    );
                }
            }
        }
    }
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

    /// (text appended to or replacing the minimal file, line of the mistake, word in what, word in remedy)
    #[test]
    fn every_mistake_is_named_with_line_and_remedy() {
        let replaced = |from: &str, to: &str| MINIMAL.replace(from, to);
        let rows: Vec<(String, usize, &str, &str)> = vec![
            (String::new(), 1, "no virtual router", "[[router]]"),
            (replaced("vrid = 51", "vrid = 0"), 3, "vrid 0", "1 to 255"),
            (replaced("vrid = 51", "vrid = 256"), 3, "vrid 256", "1 to 255"),
            (replaced("eth0", "eth0/1"), 2, "eth0/1", "ip link"),
            (replaced("eth0", ""), 2, "not an interface", "ip link"),
            (replaced("192.0.2.100", "192.0.2.300"), 4, "192.0.2.300", "192.0.2.100"),
            (replaced("192.0.2.100", "224.0.0.18"), 4, "224.0.0.18", "192.0.2.100"),
            (replaced("192.0.2.100", "192.0.2.100/32"), 4, "192.0.2.100/32", "without a prefix"),
            (replaced("[\"192.0.2.100\"]", "[]"), 4, "0 vips", "1 to 255"),
            (format!("{MINIMAL}priority = 0\n"), 5, "priority 0", "1 to 254"),
            (format!("{MINIMAL}interval_ms = 5\n"), 5, "interval_ms 5", "multiple of 10"),
            (format!("{MINIMAL}interval_ms = 15\n"), 5, "interval_ms 15", "multiple of 10"),
            (format!("{MINIMAL}interval_ms = 50000\n"), 5, "interval_ms 50000", "40950"),
            (format!("{MINIMAL}checksum = \"none\"\n"), 5, "none", "pseudo"),
            (format!("{MINIMAL}mac = \"other\"\n"), 5, "other", "README"),
            (format!("{MINIMAL}prio = 1\n"), 5, "prio", "README"),
            (format!("{MINIMAL}{MINIMAL}"), 5, "vrid 51", "own vrid"),
            (format!("[runtime]\nrealtime_priority = 100\n{MINIMAL}"), 2, "100", "1 to 99"),
            ("[[router]\n".to_owned(), 1, "", "README"),
        ];
        for (text, line, what, remedy) in rows {
            let problems = parse(&text).expect_err(&text);
            let first = &problems[0];
            assert_eq!(first.line, line, "{text}\n{first}");
            assert!(first.what.contains(what), "{text}\n{first}");
            assert!(first.remedy.contains(remedy), "{text}\n{first}");
        }
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let text = "[[router]]\ninterface = \"eth0\"\nvrid = 0\npriority = 300\nvips = [\"nonsense\"]\n";
        let lines: Vec<usize> = parse(text).expect_err("three mistakes").iter().map(|p| p.line).collect();
        assert_eq!(lines, [3, 4, 5]);
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
        assert!(problems[0].what.contains("192.0.2.100"), "{}", problems[0]);
    }
}
