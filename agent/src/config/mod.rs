//! The agent's configuration: this module is what it means. Nothing of the host is looked at here; `check` and
//! `run` read the same types.
//!
//! ```text
//!  baton.toml -> include     the files, as if they were one, with `environment`
//!                -> document    values, each with its place
//!                -> file        the tables and what they mean together, with `draft`
//!                   -> runtime, router, track, hook, pool, service    each key described once, as a `Key` of a `Table`
//!                      -> section, key    a table, a key of it: missing, unknown, by default
//!                         -> shape, text     what a value may be; from all of these, schema
//!  findings: what is wrong on the way; object: what is spelled, for comparing two configurations
//! ```

mod addresses;
mod arms;
mod balance;
mod check;
mod document;
mod draft;
mod environment;
mod file;
mod findings;
mod group;
mod hook;
mod http;
mod include;
mod key;
mod object;
mod pool;
mod problem;
mod router;
mod runtime;
mod schema;
mod section;
mod service;
mod shape;
#[cfg(test)]
mod tests;
mod text;
mod track;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU8;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use baton_common::vrid::{Family, Vrid};

pub use balance::{
    AllFailed, BackendCheck, BackendConfig, Forwarding, PoolConfig, Ports, Protocol, Schedule, ServiceConfig,
};
pub use object::{Change, Difference, KeyDifference, Object, Setting};
pub use pool::MAX_WEIGHT;
pub use problem::{ConfigError, Place, Problem};
pub use schema::schema;

use file::Reading;

use crate::address;
use crate::sbfd::Profile;
use crate::vrrp::{ChecksumMode, DownAdverts, Interval, Priority, Role, Versions};

/// A checked configuration: every value is in range and no two virtual routers collide.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that it was read from.
    pub path: PathBuf,
    /// How the agent itself runs.
    pub runtime: Runtime,
    /// The virtual routers, in the order of the file.
    pub routers: Vec<RouterConfig>,
    /// The trackers, in the order of the file.
    pub trackers: Vec<TrackerConfig>,
    /// What is run when a role changes, in the order of the file.
    pub hooks: Vec<HookConfig>,
    /// The backends of the engine, in the order of the file.
    pub pools: Vec<PoolConfig>,
    /// What the engine balances, in the order of the file.
    pub services: Vec<ServiceConfig>,
    /// All of these as they are spelled.
    pub objects: Vec<Object>,
}

/// The `[runtime]` table.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// Control socket and the record of what was changed on the host.
    pub directory: PathBuf,
    /// Where links and maps are pinned; on a BPF file system, which is mounted there if it is missing.
    pub pins: PathBuf,
    /// SCHED_FIFO priority of the election thread, 1 to 99; 0 leaves it an ordinary thread.
    pub realtime_priority: u8,
    /// How Active routers are watched.
    pub sbfd: SbfdChoice,
    /// Which XDP modes to try.
    pub xdp: XdpChoice,
    /// Which events of the data plane are logged.
    pub datapath_log: DatapathLog,
    /// Where `/metrics` is served, on the loopback interface; `None` for nowhere.
    pub metrics: Option<SocketAddr>,
    /// Flows that are remembered on an interface with services, on each receive queue, and in the flow cache.
    pub flows: u32,
    /// Whether XDP itself forwards the frames of established flows.
    pub flow_cache: bool,
}

/// Which XDP modes to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpChoice {
    /// Native, and generic where the driver refuses it or a veth would lose the answers.
    Auto,
    /// Native only.
    Native,
    /// Generic only.
    Generic,
}

/// How Active routers are watched beside their advertisements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SbfdChoice {
    /// Fast where the election thread has real-time priority, else relaxed.
    Auto,
    /// [`Profile::FASTEST`].
    Fastest,
    /// [`Profile::FAST`].
    Fast,
    /// [`Profile::STEADY`].
    Steady,
    /// [`Profile::RELAXED`].
    Relaxed,
    /// Not at all.
    Off,
}

impl SbfdChoice {
    /// The profile for a thread with real-time priority or without; `None` for none.
    pub const fn profile(self, realtime: bool) -> Option<Profile> {
        match self {
            Self::Auto if realtime => Some(Profile::FAST),
            Self::Auto | Self::Relaxed => Some(Profile::RELAXED),
            Self::Fastest => Some(Profile::FASTEST),
            Self::Fast => Some(Profile::FAST),
            Self::Steady => Some(Profile::STEADY),
            Self::Off => None,
        }
    }
}

/// Which events of the data plane are logged. Below the level the program carries no logging code at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatapathLog {
    /// None; costs nothing.
    Off,
    /// Every frame with a verdict of ours, but for ordinary traffic and the pulse of S-BFD.
    Debug,
}

/// A `[[router]]` table.
#[derive(Clone, Debug)]
pub struct RouterConfig {
    /// Name of the interface that the clients are behind.
    pub interface: String,
    /// Virtual router identifier.
    pub vrid: Vrid,
    /// Priority in the election.
    pub priority: Priority,
    /// Advertisement_Interval.
    pub interval: Interval,
    /// Advertisements that may be missed.
    pub down_adverts: DownAdverts,
    /// Preempt_Mode.
    pub preempt: bool,
    /// How long the role is left to a weaker Active router after a start or a recovery.
    pub preempt_delay: Duration,
    /// How long a router that starts and hears nothing does not count the silence.
    pub startup_hold: Duration,
    /// Which MAC stands for the addresses.
    pub mac: MacMode,
    /// Where packets to the virtual router go.
    pub delivery: Delivery,
    /// Whether some of its addresses have services.
    pub balanced: bool,
    /// Accept_Mode, as it is written; see [`Self::accepts`].
    pub accept: bool,
    /// When the addresses are on `lo`, as it is written; see [`Self::is_bound`].
    pub bind: Bind,
    /// Which VRRPv3 checksums are sent and accepted.
    pub checksum: ChecksumMode,
    /// Which VRRP it speaks.
    pub versions: Versions,
    /// The virtual addresses, 1 to 4000, of one family. Over IPv6 the first is link-local.
    pub vips: Vec<IpAddr>,
    /// The multicast group that adverts go to, where there are no peers.
    pub multicast: IpAddr,
    /// The address of the interface that adverts come from, if it was chosen.
    pub source: Option<IpAddr>,
    /// Who is advertised to, and heard, by unicast, this host perhaps among them; nobody if adverts go to the group.
    pub peers: Vec<IpAddr>,
    /// The lowest TTL, or Hop Limit, that an advert may come with.
    pub least_hops: u8,
    /// The group that it moves with.
    pub group: Option<String>,
    /// The indices of its trackers, those of its group among them.
    pub trackers: Vec<usize>,
}

/// A `[[track]]` table.
#[derive(Clone, Debug)]
pub struct TrackerConfig {
    /// What virtual routers call it.
    pub name: String,
    /// What is looked at, one after the other; all must be in order.
    pub checks: Vec<Check>,
    /// From one look to the next.
    pub interval: Duration,
    /// How long a look may take.
    pub patience: Duration,
    /// Good looks in a row after which a failing object is in order.
    pub rise: NonZeroU8,
    /// Bad looks in a row after which an object is failing.
    pub fall: NonZeroU8,
    /// What a failure takes from the priority; `None` if the virtual router must not serve then.
    pub weight: Option<u8>,
}

/// A `[[hook]]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookConfig {
    /// The program, and what it is told.
    pub exec: Vec<String>,
    /// The roles that it is run for when they are taken; one that is empty means all.
    pub on: Vec<Role>,
    /// Whose rights it has, if not the agent's.
    pub user: Option<String>,
    /// How long it may take.
    pub patience: Duration,
}

/// What a tracker looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// The process whose number stands in this file.
    Process(PathBuf),
    /// Whether the interface of this name has a carrier.
    Carrier(String),
    /// Whether this host answers ICMP echo requests.
    Ping(IpAddr),
    /// Whether connections are taken there.
    Tcp(SocketAddr),
    /// Whether datagrams are not refused there; silence is as good as an answer.
    Udp(SocketAddr),
    /// Whether a web server answers as it is to.
    Http(HttpTarget),
    /// The number in this file, which is to be 0; no file is as good.
    File(PathBuf),
    /// Whether this program ends with exit code 0.
    Exec {
        /// The program, and what it is told.
        words: Vec<String>,
        /// Whose rights it has, if not the agent's.
        user: Option<String>,
    },
    /// Whether the engine on the interface of this name does its work. Nobody writes it: routers whose addresses have services
    /// depend on it.
    Engine(String),
}

/// A page of a web server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTarget {
    /// Whether it is asked through TLS, `https://`.
    pub is_tls: bool,
    /// Where the server listens.
    pub address: SocketAddr,
    /// The same as it stands in the URL.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// What it is to answer.
    pub answer: HttpAnswer,
}

/// What a web server is to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// Its status is in one of these.
    pub statuses: Vec<RangeInclusive<u16>>,
    /// Its body has this, not far from its beginning.
    pub body: Option<String>,
}

impl Default for HttpAnswer {
    /// A page, or one elsewhere: the server works.
    fn default() -> Self {
        Self { statuses: vec![200..=399], body: None }
    }
}

/// Which MAC stands for the virtual addresses in ARP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacMode {
    /// The virtual router MAC: neighbours keep their ARP entry, the switch learns the new port.
    Virtual,
    /// The interface's own MAC: neighbours' ARP entries move to the new host's.
    Interface,
}

/// When the addresses of a virtual router are on `lo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bind {
    /// On every node, whoever is Active.
    Always,
    /// While this host is Active.
    WhileActive,
}

/// Where packets to a virtual router go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Those to its addresses to this host, others nowhere.
    Host,
    /// Those to its addresses to this host, others to whom they are for: it is the default gateway of the segment.
    Gateway,
}

impl RouterConfig {
    /// Whether the Active Router can be reached at the addresses: their owner always can (RFC 9568 6.4.3).
    pub fn accepts(&self) -> bool {
        self.accept || self.priority == Priority::ADDRESS_OWNER
    }

    /// Whether its addresses are on `lo` at the times of `bind`. Nobody reaches those of a router that does not accept.
    pub fn is_bound(&self, bind: Bind) -> bool {
        self.accepts() && self.bind == bind
    }

    /// The family of its addresses.
    pub fn family(&self) -> Family {
        self.vips.first().map_or(Family::Ipv4, |vip| address::family(*vip))
    }
}

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or it holds mistakes: all of them, each with its place and a remedy.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        read(path)?.config.map_err(ConfigError::Invalid)
    }

    /// In what `new` differs from this one.
    pub fn differences(&self, new: &Self) -> Vec<Difference> {
        object::differences(&self.objects, &new.objects)
    }

    /// The interfaces in use, each once: those of the virtual routers in the order of the file, then others that backends are behind.
    pub fn interfaces(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        let of_routers = self.routers.iter().map(|router| router.interface.as_str());
        for name in of_routers.clone().chain(of_routers.flat_map(|name| self.arms_of(name))) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The flows that XDP is to know on `interface`.
    pub fn cached_flows(&self, interface: &str) -> u32 {
        let has_services = self.routers_on(interface).any(|router| router.balanced);
        if has_services && self.runtime.flow_cache { self.runtime.flows } else { 0 }
    }

    /// Whether packets for some backends of services on `interface` are translated.
    pub fn translates(&self, interface: &str) -> bool {
        let mut services = self.routers_on(interface).flat_map(|router| self.services_of(router));
        services.any(|service| self.pools[service.pool].forwarding.translates())
    }

    /// The services at addresses of `router`.
    pub fn services_of<'a>(&'a self, router: &'a RouterConfig) -> impl Iterator<Item = &'a ServiceConfig> {
        self.services.iter().filter(|service| router.vips.contains(&service.vip))
    }

    /// The virtual routers that are gateways.
    pub fn gateways(&self) -> impl Iterator<Item = &RouterConfig> {
        self.routers.iter().filter(|router| router.delivery == Delivery::Gateway)
    }

    /// The virtual routers on `interface`.
    pub fn routers_on<'a>(&'a self, interface: &'a str) -> impl Iterator<Item = &'a RouterConfig> {
        self.routers.iter().filter(move |router| router.interface == interface)
    }
}

impl Runtime {
    /// The same for whoever wants to know no more than how the agent runs: mistakes elsewhere in the file do not matter.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or there is a mistake in its `[runtime]` table or its syntax.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let Reading { runtime, config } = read(path)?;
        match runtime {
            Some(runtime) => Ok(runtime),
            None => config.map(|config| config.runtime).map_err(ConfigError::Invalid),
        }
    }
}

fn read(path: &Path) -> Result<Reading, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    Ok(file::parse(path, text, &|name| std::env::var(name)))
}
