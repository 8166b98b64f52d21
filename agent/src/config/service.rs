//! A `[[service]]` table: what clients send to, and the pool that the engine spreads it among.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::ops::RangeInclusive;
use std::time::Duration;

use baton_common::maps::MAX_FRONTENDS;
use serde_json::{Value as Json, json};

use super::document::{Map, Node};
use super::draft::Draft;
use super::findings::{Findings, Spot};
use super::key::{Key, Table};
use super::pool::PoolDraft;
use super::section::Section;
use super::shape::{Called, List, Number, Shape, Tabular, Text, Word};
use super::text;
use super::{Check, Ports, Protocol, RouterConfig, ServiceConfig, TrackerConfig};

pub(super) static SERVICE: Key<List<Tabular>> = Key {
    name: "service",
    meaning: "What the engine balances instead of giving it to this host.",
    remedy: "write [[service]], with two brackets, above its keys",
    default: Some("[]"),
    shape: List { least: 0, most: usize::MAX, item: "a service", remedy: None, shape: Tabular(&TABLE) },
};

static TABLE: Table = Table {
    name: "[[service]]",
    kind: "service",
    identity: &[("", "protocol"), (" ", "vip"), (" port ", "port")],
    keys: &[&VIP, &PROTOCOL, &PORT, &POOL],
};

static VIP: Key<Text<IpAddr>> = Key {
    name: "vip",
    meaning: "The virtual address, one of a [[router]].",
    remedy: "write one of the vips of a [[router]], such as vip = \"192.0.2.100\"",
    default: None,
    shape: text::ADDRESS,
};
static PROTOCOL: Key<Word<Protocol>> = Key {
    name: "protocol",
    meaning: "The protocol.",
    remedy: "write \"tcp\" or \"udp\"; a service for both takes two tables",
    default: Some("\"tcp\""),
    shape: Word(&[("tcp", Protocol::Tcp), ("udp", Protocol::Udp)]),
};
static PORT: Key<PortShape> = Key {
    name: "port",
    meaning: "The port, a range of ports, or any that has no service of its own.",
    remedy: "write 1 to 65535, a range of at most 1000 such as \"8000-8099\", or \"any\"",
    default: None,
    shape: PortShape,
};
static POOL: Key<Text<String>> = Key {
    name: "pool",
    meaning: "The name of the [[pool]] that its flows are spread among.",
    remedy: "write the name of a [[pool]] table, such as pool = \"web\"",
    default: None,
    shape: text::NAME,
};

/// Each port of a range takes an entry of the map.
const MAX_RANGE: usize = 1000;

/// Ports of all services. The map has an entry for each, and one for each protocol of an address.
const MAX_PORTS: usize = MAX_FRONTENDS as usize / 2;

/// A port, a range, or any.
struct PortShape;

impl Shape for PortShape {
    type Meaning = Ports;

    fn read(&self, node: &Node, called: Called, findings: &mut Findings) -> Option<Ports> {
        match node.value.text() {
            Ok("any") => Some(Ports::Any),
            Ok(text) if text.contains('-') => {
                let wrong = || format!("\"{text}\" is no range of 2 to {MAX_RANGE} ports");
                called.noted(range(text).map(Ports::These).ok_or_else(wrong), node, findings)
            }
            Ok(_) | Err(_) => ONE.read(node, called, findings),
        }
    }

    fn schema(&self) -> Json {
        let several = json!({ "type": "string", "pattern": r"^(any|[0-9]+-[0-9]+)$" });
        json!({ "anyOf": [ONE.schema(), several] })
    }
}

const ONE: Number<Ports> = Number {
    least: 1,
    most: 65_535,
    step: 1,
    meaning: |port| u16::try_from(port).ok().map(|port| Ports::These(port..=port)),
};

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-')?;
    let range = first.parse().ok()?..=last.parse().ok()?;
    (*range.start() > 0 && (2..=MAX_RANGE).contains(&range.len())).then_some(range)
}

/// A `[[service]]` as far as it is without mistakes.
pub(super) struct ServiceDraft {
    pub(super) spot: Spot,
    vip: Option<(Spot, IpAddr)>,
    protocol: Option<Protocol>,
    ports: Option<Ports>,
    pool: Option<(Spot, String)>,
}

impl ServiceDraft {
    /// Its address.
    pub(super) fn vip(&self) -> Option<IpAddr> {
        self.vip.map(|(_, vip)| vip)
    }

    /// What it calls its pool, as far as that is known.
    pub(super) fn pool_name(&self) -> Option<&str> {
        self.pool.as_ref().map(|(_, name)| name.as_str())
    }

    /// What is wrong with it was noted if there is none.
    pub(super) fn finished(self, pools: &[PoolDraft]) -> Option<ServiceConfig> {
        let (_, name) = self.pool?;
        let pool = pools.iter().position(|pool| pool.name.as_ref() == Some(&name))?;
        let (_, vip) = self.vip?;
        Some(ServiceConfig { vip, protocol: self.protocol?, ports: self.ports?, pool })
    }
}

/// The service that a table spells, as far as it is without mistakes.
pub(super) fn service(table: (Spot, Map), findings: &mut Findings) -> ServiceDraft {
    let spot = table.0;
    let mut section = Section::open(&TABLE, table, findings);
    ServiceDraft {
        spot,
        vip: section.read(&VIP).map(|vip| (section.spot_of(&VIP), vip)),
        protocol: section.read(&PROTOCOL),
        ports: section.read(&PORT),
        pool: section.read(&POOL).map(|pool| (section.spot_of(&POOL), pool)),
    }
}

/// Notes services whose vip or pool is nowhere, or of another family than the other, that take the same frames, or that are
/// more than there is room for.
pub(super) fn check(
    services: &[ServiceDraft],
    pools: &[PoolDraft],
    routers: &[Draft],
    findings: &mut Findings,
) {
    let (mut taken, limit) = (BTreeMap::new(), MAX_PORTS);
    for service in services {
        if let Some((at, vip)) = service.vip {
            match routers.iter().find(|router| router.vips.iter().any(|(_, other)| *other == vip)) {
                None => findings.add(at, format!("{vip} is no vip of a router"), VIP.remedy),
                Some(router) if !router.accepts() => {
                    let remedy =
                        "remove accept = false: what is sent to the vips of such a router is dropped";
                    findings.add(at, format!("the router of {vip} accepts nothing"), remedy);
                }
                Some(_) => {}
            }
            if let (Some(protocol), Some(ports)) = (service.protocol, &service.ports) {
                let before = taken.len();
                let again =
                    ports.numbers().find_map(|port| taken.insert((vip, protocol, port), service.spot));
                if let Some(before) = again {
                    let line = findings.line_of(before, service.spot);
                    let what = format!("{protocol} {vip} port {ports} has a service {line}, too");
                    findings.add(service.spot, what, "a port belongs to one service; remove the other");
                }
                if before <= limit && taken.len() > limit {
                    let what = format!("more than {limit} ports with a service");
                    findings.add(service.spot, what, "write port = \"any\" where that is meant");
                }
            }
        }
        let Some((at, name)) = &service.pool else { continue };
        match pools.iter().find(|pool| pool.name.as_ref() == Some(name)) {
            // It may be one whose name has a mistake.
            None if pools.iter().any(|pool| pool.name.is_none()) => {}
            None => {
                let remedy = "add a [[pool]] table with this name, or mend the name";
                findings.add(*at, format!("there is no pool \"{name}\""), remedy);
            }
            Some(pool) => {
                if let (Some((_, vip)), Some(is_ipv4)) = (service.vip, pool.is_ipv4())
                    && vip.is_ipv4() != is_ipv4
                {
                    let what = format!("the backends of pool \"{name}\" are of another family than {vip}");
                    let remedy =
                        "write a pool with backends of the vip's family, or with forward = \"tunnel\"";
                    findings.add(*at, what, remedy);
                }
            }
        }
    }
}

/// How soon routers with services notice that the engine does not do its work: two looks.
const ENGINE_INTERVAL: Duration = Duration::from_millis(100);

/// Has the routers whose addresses have services depend on the engine of their interface.
pub(super) fn tie(routers: &mut [RouterConfig], trackers: &mut Vec<TrackerConfig>) {
    for router in routers.iter_mut().filter(|router| router.balanced) {
        let name = format!("engine {}", router.interface);
        let known = trackers.iter().position(|tracker| tracker.name == name);
        let index = known.unwrap_or_else(|| {
            let twice = NonZeroU8::MIN.saturating_add(1);
            trackers.push(TrackerConfig {
                name,
                checks: vec![Check::Engine(router.interface.clone())],
                interval: ENGINE_INTERVAL,
                patience: ENGINE_INTERVAL,
                rise: NonZeroU8::MIN,
                fall: twice,
                weight: None,
            });
            trackers.len() - 1
        });
        router.trackers.push(index);
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::These(ports) if ports.start() == ports.end() => write!(f, "{}", ports.start()),
            Self::These(ports) => write!(f, "{}-{}", ports.start(), ports.end()),
        }
    }
}
