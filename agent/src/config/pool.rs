//! A `[[pool]]` table: the backends among which the engine spreads the flows of services.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::Duration;

use baton_common::maps;

use super::check::{CHECK, EXEC, checks};
use super::document::Map;
use super::findings::{Findings, Spot};
use super::hook::{MILLIS, USER};
use super::http::{BODY, STATUS};
use super::key::{Key, Table};
use super::section::Section;
use super::shape::{Boolean, List, Maybe, Number, Tabular, Text, Word};
use super::text;
use super::track::LOOKS;
use super::{AllFailed, BackendCheck, BackendConfig, Forwarding, PoolConfig, Schedule};

/// Backends of a pool: each is to have a hundred slots of its table at the least (Maglev, 5.3).
const MAX_BACKENDS: usize = 655;
/// The largest weight of a backend.
pub const MAX_WEIGHT: u16 = 1000;
/// Pools: each has a table of 128 KiB, in locked memory.
const MAX_POOLS: usize = 256;
/// Backends of all pools.
const MAX_ALL_BACKENDS: usize = maps::MAX_BACKENDS as usize;

pub(super) static POOL: Key<List<Tabular>> = Key {
    name: "pool",
    meaning: "Backends that the engine spreads flows among.",
    remedy: "write [[pool]], with two brackets, above its keys",
    default: Some("[]"),
    shape: List { least: 0, most: MAX_POOLS, item: "a pool", remedy: None, shape: Tabular(&TABLE) },
};

static TABLE: Table = Table {
    name: "[[pool]]",
    kind: "pool",
    identity: &[("", "name")],
    keys: &[
        &NAME,
        &BACKEND,
        &FORWARD,
        &INTERFACE,
        &CHECK,
        &STATUS,
        &BODY,
        &EXEC,
        &USER,
        &SCHEDULE,
        &QUORUM,
        &ALL_FAILED,
        &INTERVAL_MS,
        &TIMEOUT_MS,
        &RISE,
        &FALL,
    ],
};

static NAME: Key<Text<String>> = Key {
    name: "name",
    meaning: "What [[service]] tables call it.",
    remedy: "write a name for services to refer to, such as name = \"web\"",
    default: None,
    shape: text::NAME,
};
static BACKEND: Key<List<Tabular>> = Key {
    name: "backend",
    meaning: "The backends. Without NAT they have the VIP on `lo` and answer clients themselves.",
    remedy: "write 1 to 655 backends, such as backend = [{ address = \"192.0.2.11\" }]",
    default: None,
    shape: List {
        least: 1,
        most: MAX_BACKENDS,
        item: "a backend",
        remedy: None,
        shape: Tabular(&BACKEND_TABLE),
    },
};

static FORWARD: Key<Word<Forwarding>> = Key {
    name: "forward",
    meaning: "How packets reach the backends: by their Ethernet addresses; wrapped (IPIP); with the backends' addresses in the place of the VIP; with an address of this host in the place of the client's, too.",
    remedy: "write \"direct\" for backends on the segment, \"tunnel\" for such anywhere, \"nat\" for such whose way to clients leads through this host, or \"full-nat\" for all others",
    default: Some("\"direct\""),
    shape: Word(&[
        ("direct", Forwarding::Direct),
        ("tunnel", Forwarding::Tunnel),
        ("nat", Forwarding::Nat),
        ("full-nat", Forwarding::FullNat),
    ]),
};
static INTERFACE: Key<Maybe<Text<String>>> = Key {
    name: "interface",
    meaning: "The Ethernet interface that the backends are behind, if that is another than the clients'.",
    remedy: "write the name that `ip link` shows, such as interface = \"eth1\", or remove it where clients and backends are behind the same",
    default: None,
    shape: Maybe(text::INTERFACE),
};
static SCHEDULE: Key<Word<Schedule>> = Key {
    name: "schedule",
    meaning: "Which backend a new flow gets: by the hash of the flow or of the client's address, the same on all nodes; one after the other; the one with the fewest flows.",
    remedy: "write \"maglev\", \"source\", \"round-robin\" or \"least-connections\"",
    default: Some("\"maglev\""),
    shape: Word(&[
        ("maglev", Schedule::Maglev),
        ("source", Schedule::Source),
        ("round-robin", Schedule::RoundRobin),
        ("least-connections", Schedule::LeastConnections),
    ]),
};
static QUORUM: Key<Number<usize>> = Key {
    name: "quorum",
    meaning: "The least number of backends in order with which the pool is; with fewer this node hands its VIPs over.",
    remedy: "write how many backends must be in order at the least, 1 to as many as it has without backup",
    default: Some("1"),
    shape: Number { least: 1, most: 655, step: 1, meaning: |count| usize::try_from(count).ok() },
};
static ALL_FAILED: Key<Word<AllFailed>> = Key {
    name: "all_failed",
    meaning: "What becomes of flows when no backend passes its check: they are dropped, or spread over all backends that are found.",
    remedy: "write \"drop\" or \"use-all\"",
    default: Some("\"drop\""),
    shape: Word(&[("drop", AllFailed::Drop), ("use-all", AllFailed::UseAll)]),
};
static INTERVAL_MS: Key<Number<Duration>> = Key {
    name: "interval_ms",
    meaning: "From one look at a backend to the next.",
    remedy: "write 10 to 60000",
    default: Some("1000"),
    shape: MILLIS,
};
static TIMEOUT_MS: Key<Number<Duration>> = Key {
    name: "timeout_ms",
    meaning: "How long a look may take.",
    remedy: "write 10 to 60000",
    default: Some("1000"),
    shape: MILLIS,
};
static RISE: Key<Number<NonZeroU8>> = Key {
    name: "rise",
    meaning: "Good looks in a row after which a backend is given flows again.",
    remedy: "write how many good looks in a row it takes, 1 to 255",
    default: Some("2"),
    shape: LOOKS,
};
static FALL: Key<Number<NonZeroU8>> = Key {
    name: "fall",
    meaning: "Bad looks in a row after which a backend is given none.",
    remedy: "write how many bad looks in a row it takes, 1 to 255",
    default: Some("2"),
    shape: LOOKS,
};

static BACKEND_TABLE: Table = Table {
    name: "[[pool.backend]]",
    kind: "backend",
    identity: &[("", "address")],
    keys: &[&ADDRESS, &WEIGHT, &BACKUP, &PORT],
};

static ADDRESS: Key<Text<IpAddr>> = Key {
    name: "address",
    meaning: "The backend's own address: its MAC address is found by it, or its tunnel ends there.",
    remedy: "write an address that the backend has of its own, such as address = \"192.0.2.11\"",
    default: None,
    shape: text::ADDRESS,
};
static WEIGHT: Key<Number<u16>> = Key {
    name: "weight",
    meaning: "Its share of new flows, beside those of the others; 0 for none.",
    remedy: "write 0 to 1000",
    default: Some("1"),
    shape: Number {
        least: 0,
        most: MAX_WEIGHT as u32,
        step: 1,
        meaning: |weight| u16::try_from(weight).ok(),
    },
};

static BACKUP: Key<Boolean> = Key {
    name: "backup",
    meaning: "Whether it gets flows only when no backend without this is in order.",
    remedy: "write true or false",
    default: Some("false"),
    shape: Boolean,
};

static PORT: Key<Maybe<Number<u16>>> = Key {
    name: "port",
    meaning: "The port that it serves at, with NAT, if that is not the service's.",
    remedy: "write 1 to 65535, or remove it",
    default: None,
    shape: Maybe(Number { least: 1, most: 65_535, step: 1, meaning: |port| u16::try_from(port).ok() }),
};

/// A `[[pool]]` as far as it is without mistakes.
pub(super) struct PoolDraft {
    pub(super) spot: Spot,
    pub(super) name: Option<String>,
    /// Each with its place.
    pub(super) backends: Vec<(Spot, BackendConfig)>,
    forwarding: Option<Forwarding>,
    /// With its place, if it is said.
    pub(super) interface: Option<(Spot, String)>,
    checks: Option<Vec<BackendCheck>>,
    schedule: Option<Schedule>,
    quorum: Option<usize>,
    all_failed: Option<AllFailed>,
    interval: Option<Duration>,
    patience: Option<Duration>,
    rise: Option<NonZeroU8>,
    fall: Option<NonZeroU8>,
}

impl PoolDraft {
    /// What is wrong with it was noted if there is none.
    pub(super) fn finished(self) -> Option<PoolConfig> {
        let backends = self.backends.into_iter().map(|(_, backend)| backend).collect();
        Some(PoolConfig {
            name: self.name?,
            backends,
            forwarding: self.forwarding?,
            interface: self.interface.map(|(_, interface)| interface),
            checks: self.checks?,
            schedule: self.schedule?,
            quorum: self.quorum?,
            all_failed: self.all_failed?,
            interval: self.interval?,
            patience: self.patience?,
            rise: self.rise?,
            fall: self.fall?,
        })
    }

    /// The family of its services: that of its backends, unless they get packets wrapped.
    pub(super) fn is_ipv4(&self) -> Option<bool> {
        let is_wrapped = self.forwarding? == Forwarding::Tunnel;
        self.backends.first().filter(|_| !is_wrapped).map(|(_, backend)| backend.address.is_ipv4())
    }
}

/// The pool that a table spells, as far as it is without mistakes.
pub(super) fn pool(table: (Spot, Map), findings: &mut Findings) -> PoolDraft {
    let spot = table.0;
    let mut section = Section::open(&TABLE, table, findings);
    let tables = section.read(&BACKEND).unwrap_or_default();
    let draft = PoolDraft {
        spot,
        name: section.read(&NAME),
        backends: Vec::new(),
        forwarding: section.read(&FORWARD),
        interface: section.read(&INTERFACE).flatten().map(|name| (section.spot_of(&INTERFACE), name)),
        checks: checks(&mut section),
        schedule: section.read(&SCHEDULE),
        quorum: section.read(&QUORUM),
        all_failed: section.read(&ALL_FAILED),
        interval: section.read(&INTERVAL_MS),
        patience: section.read(&TIMEOUT_MS),
        rise: section.read(&RISE),
        fall: section.read(&FALL),
    };
    let (count, quorum_at) = (tables.len(), section.spot_of(&QUORUM));
    let read = |(at, table)| Some((at, backend(table, findings)?));
    let backends: Vec<(Spot, BackendConfig)> = tables.into_iter().filter_map(read).collect();
    check_backends(&backends, draft.forwarding, findings);
    // What one with a mistake is for is not known.
    if backends.len() == count && count > 0 {
        check_quorum(&backends, draft.quorum, spot, quorum_at, findings);
    }
    PoolDraft { backends, ..draft }
}

fn backend(table: (Spot, Map), findings: &mut Findings) -> Option<BackendConfig> {
    let mut section = Section::open(&BACKEND_TABLE, table, findings);
    let address = section.read(&ADDRESS);
    let weight = section.read(&WEIGHT);
    let is_backup = section.read(&BACKUP);
    let port = section.read(&PORT);
    Some(BackendConfig { address: address?, weight: weight?, is_backup: is_backup?, port: port? })
}

/// Notes backends that stand twice, are of two families, or cannot have a port of their own.
fn check_backends(
    backends: &[(Spot, BackendConfig)],
    forwarding: Option<Forwarding>,
    findings: &mut Findings,
) {
    let mut addresses = BTreeMap::new();
    let keeps_port = forwarding.is_some_and(|forwarding| !forwarding.translates());
    for (at, BackendConfig { address, port, .. }) in backends {
        if let (true, Some(port)) = (keeps_port, port) {
            let what = format!("packets to backend {address} keep their port, which may not be {port}");
            findings.add(*at, what, "remove port, or write a pool with forward = \"nat\" or \"full-nat\"");
        }
        if let Some(before) = addresses.insert(address, *at) {
            let what = format!("backend {address} stands {}, too", findings.line_of(before, *at));
            findings.add(*at, what, "remove one of the two, and give the other more weight");
        }
        let first = backends[0].1.address;
        if address.is_ipv4() != first.is_ipv4() {
            let what = format!("backend {address} is of another family than {first}");
            findings.add(*at, what, "give each family a [[pool]] of its own");
        }
    }
}

/// Notes that there is nobody to back up, or that the quorum is never reached.
fn check_quorum(
    backends: &[(Spot, BackendConfig)],
    quorum: Option<usize>,
    pool_at: Spot,
    quorum_at: Spot,
    findings: &mut Findings,
) {
    let regular = backends.iter().filter(|(_, backend)| !backend.is_backup);
    let counted = regular.clone().filter(|(_, backend)| backend.weight > 0).count();
    if regular.count() == 0 {
        findings.add(pool_at, "all backends have backup = true", "remove it from those that are to work");
    } else if let Some(quorum) = quorum.filter(|quorum| *quorum > counted.max(1)) {
        let what = format!("quorum {quorum} of {counted} backends with a weight and without backup");
        findings.add(quorum_at, what, QUORUM.remedy);
    }
}

/// Notes names that two pools have, backends that are virtual addresses, and more backends than there are numbers for.
pub(super) fn check(pools: &[PoolDraft], vips: &BTreeMap<IpAddr, Spot>, findings: &mut Findings) {
    let (mut names, mut count) = (BTreeMap::new(), 0);
    for pool in pools {
        if let Some(name) = &pool.name
            && let Some(before) = names.insert(name, pool.spot)
        {
            let what = format!("pool {name} stands {}, too", findings.line_of(before, pool.spot));
            findings.add(pool.spot, what, "give every pool its own name");
        }
        for (at, BackendConfig { address, .. }) in &pool.backends {
            if vips.contains_key(address) {
                findings.add(*at, format!("backend {address} is a vip"), ADDRESS.remedy);
            }
        }
        let before = count;
        count += pool.backends.len();
        if before <= MAX_ALL_BACKENDS && count > MAX_ALL_BACKENDS {
            let what = format!("more than {MAX_ALL_BACKENDS} backends in all");
            findings.add(pool.spot, what, "let services share pools");
        }
    }
}
