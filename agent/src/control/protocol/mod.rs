//! What is said over the control socket. Times that end in `_ns` are CLOCK_BOOTTIME of the host.

mod engine;
mod flow;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use engine::{
    Adjusted, BackendChange, BackendStatus, EngineLoad, EngineStatus, PeerTableStatus, PoolStatus,
    ServiceStatus,
};
pub use flow::{FlowList, FlowName, FlowStatus, Trace};

use crate::config::Difference;

/// A question or an order. Each has braces, or serde would let it have keys that it does not know: an order to drain one
/// virtual router would drain all.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Describe yourself.
    Status {},
    /// Describe what the engines do.
    Engine {},
    /// Describe what the engines do, with the flows that they remember.
    Load {},
    /// Tell some of the flows that the engines know.
    Flows {
        /// Only those to this virtual address.
        vip: Option<IpAddr>,
        /// Only those to this port.
        port: Option<u16>,
        /// Only those of this backend.
        backend: Option<IpAddr>,
        /// So many of each interface at most, up to 10 000.
        limit: u32,
    },
    /// Tell what would become of a frame that goes on with this flow.
    Trace {
        /// The flow.
        flow: FlowName,
    },
    /// Set something for a backend, above its configuration.
    Adjust {
        /// The name of its pool.
        pool: String,
        /// Its own address.
        address: IpAddr,
        /// What is set.
        change: BackendChange,
    },
    /// Tell what is, and then whatever happens, an [`Event`] on each line, until the connection ends.
    Events {},
    /// Give virtual routers to a Backup and go on as Backup.
    Handover {
        /// Only this VRID; without it, every virtual router that this host is Active for.
        vrid: Option<u8>,
        /// Only on this interface.
        interface: Option<String>,
        /// Only to the router with this primary address.
        to: Option<IpAddr>,
    },
    /// Give everything to Backups and take no part until [`Resume`](Self::Resume).
    Drain {},
    /// Take part again.
    Resume {},
    /// Go over to the program and the configuration that are on the disk.
    Restart {},
    /// Go over to the configuration that is on the disk, if it is another than that of the agent.
    Reload {},
}

/// The answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// To `status`.
    Status(Status),
    /// To `engine`: one for each interface that has services.
    Engine(Vec<EngineStatus>),
    /// To `load`: one for each interface that has services.
    Load(Vec<EngineLoad>),
    /// To `flows`: one list for each interface that has services.
    Flows(Vec<FlowList>),
    /// To `trace`.
    Trace(Box<Trace>),
    /// To `adjust`.
    Adjusted(Adjusted),
    /// To an order.
    Outcomes(Vec<Outcome>),
    /// To `restart`, which has succeeded.
    Restarted(Restarted),
    /// To `reload`, which has succeeded.
    Reloaded(Reloaded),
    /// The request could not be served; what is wrong and what to do.
    Error(String),
}

/// Something that an agent tells of itself, a line of `baton events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// What a virtual router is now. The first lines, one for each; what happens later changes it.
    State {
        /// The interface.
        interface: String,
        /// The virtual router.
        vrid: u8,
        /// `ipv4` or `ipv6`: each has virtual routers of its own.
        family: String,
        /// `Initialize`, `Backup` or `Active`.
        role: String,
        /// Takeovers since the maps were made.
        epoch: u32,
    },
    /// A role changed, or, where `from` is `to`, a handover began or was refused.
    Transition {
        /// The interface.
        interface: String,
        /// The virtual router.
        vrid: u8,
        /// `ipv4` or `ipv6`: each has virtual routers of its own.
        family: String,
        /// Takeovers since the maps were made, this one included.
        epoch: u32,
        /// What changed.
        #[serde(flatten)]
        change: TransitionStatus,
    },
    /// What a tracker thinks: at first, and whenever that changes.
    Tracker(TrackerStatus),
    /// A peer was heard for the first time, or with other settings than before.
    Peer {
        /// The interface.
        interface: String,
        /// The virtual router.
        vrid: u8,
        /// `ipv4` or `ipv6`: each has virtual routers of its own.
        family: String,
        /// The peer.
        #[serde(flatten)]
        peer: PeerStatus,
    },
    /// The Active Router has advertised when its Backups were about to take over.
    LongSilence {
        /// The interface.
        interface: String,
        /// The virtual router.
        vrid: u8,
        /// `ipv4` or `ipv6`: each has virtual routers of its own.
        family: String,
        /// The Active Router.
        peer: IpAddr,
        /// How long it was silent, in ms.
        gap_ms: u64,
    },
    /// An Active Router that was thought dead was not.
    FalseAlarm {
        /// The interface.
        interface: String,
        /// The virtual router.
        vrid: u8,
        /// `ipv4` or `ipv6`: each has virtual routers of its own.
        family: String,
        /// The Active Router.
        peer: IpAddr,
        /// How long it is left to the timers of VRRP.
        wait_ms: u64,
    },
    /// The reader was too slow: so many events are not told.
    Lost {
        /// How many.
        events: u64,
    },
}

/// What came of an order for one virtual router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The interface.
    pub interface: String,
    /// The virtual router.
    pub vrid: u8,
    /// `ipv4` or `ipv6`: each has virtual routers of its own.
    pub family: String,
    /// Whether it was carried out.
    pub done: bool,
    /// What has happened, or why it has not.
    pub detail: String,
}

/// What has come of a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restarted {
    /// The process of the agent that has taken over.
    pub pid: u32,
}

/// What has come of a reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// In what the configuration differs from the one before. Nothing was done where that is nothing.
    pub differences: Vec<Difference>,
    /// The process of the agent that has taken over, if one has.
    pub pid: Option<u32>,
}

/// The whole agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Version of the agent.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// The process that acts when the agent dies; none when there is none any more, or none that could.
    pub guardian: Option<u32>,
    /// How long the election thread was on a CPU, S-BFD included.
    pub election_cpu_ms: u64,
    /// How long it has been running.
    pub election_running_ms: u64,
    /// How late it has woken for its deadlines.
    pub election_lateness: LatenessStatus,
    /// Its interfaces.
    pub interfaces: Vec<InterfaceStatus>,
    /// Its virtual routers.
    pub routers: Vec<RouterStatus>,
}

/// How late the election thread wakes for its deadlines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatenessStatus {
    /// How often it has woken for one.
    pub wakes: u64,
    /// Half of the wake-ups were no later, in us.
    pub p50_us: u64,
    /// All but a hundredth were no later.
    pub p99_us: u64,
    /// None was later.
    pub max_us: u64,
}

/// An interface.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InterfaceStatus {
    /// Its name.
    pub interface: String,
    /// `native` or `generic`.
    pub xdp_mode: String,
    /// Receive queues.
    pub queues: u32,
    /// `af-xdp`, or `raw-socket` where AF_XDP is refused, or not to be had yet.
    pub receive_path: String,
    /// Frames by verdict since the maps were made.
    pub verdicts: BTreeMap<String, u64>,
    /// Frames that XDP let through and the agent's own parser refused.
    pub discarded: u64,
}

/// A virtual router.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RouterStatus {
    /// The interface.
    pub interface: String,
    /// The virtual router.
    pub vrid: u8,
    /// `ipv4` or `ipv6`: each has virtual routers of its own.
    pub family: String,
    /// `Initialize`, `Backup` or `Active`.
    pub role: String,
    /// When the role was taken.
    pub since_ns: Option<u64>,
    /// How long ago that was.
    pub since_ms: Option<u64>,
    /// Why the role was taken.
    pub reason: Option<String>,
    /// Configured priority.
    pub priority: u8,
    /// What failing trackers leave of it, which is advertised.
    pub effective_priority: u8,
    /// Whether it is to serve, as its trackers see it: `unknown`, `fit` or `failing`.
    pub fitness: String,
    /// Its trackers.
    pub trackers: Vec<TrackerStatus>,
    /// The VRRP that it speaks: `3`, `2`, or `2+3`.
    pub version: String,
    /// Advertisement_Interval.
    pub interval_cs: u16,
    /// Advertisements that may be missed.
    pub down_timer_adverts: u8,
    /// Whether it has asked for a successor and serves until one speaks.
    pub leaving: bool,
    /// Whether it has handed over and does not preempt.
    pub yielded: bool,
    /// How long a Backup leaves the role to a weaker Active router yet.
    pub preempt_delay_left_ms: u64,
    /// Whether it has heard nothing since it came up, and is held back for it.
    pub deaf: bool,
    /// Whether it would be Active but for others of its group.
    pub ready: bool,
    /// Whether the operator has taken it out of the election.
    pub drained: bool,
    /// What is left of the lease; 0 when this host does not own the addresses.
    pub lease_left_us: u64,
    /// The virtual addresses.
    pub vips: Vec<IpAddr>,
    /// The MAC that stands for them.
    pub mac: String,
    /// Takeovers since the maps were made.
    pub epoch: u32,
    /// When the first frame to one of the addresses was accepted since the last takeover.
    pub served_ns: Option<u64>,
    /// Who was heard.
    pub peers: Vec<PeerStatus>,
    /// The S-BFD session with the Active router that this host is Backup to.
    pub watch: Option<WatchStatus>,
    /// The last role changes, oldest first.
    pub transitions: Vec<TransitionStatus>,
}

/// A tracker of a virtual router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackerStatus {
    /// Its name.
    pub name: String,
    /// `unknown`, `good` or `failing`.
    pub state: String,
    /// What was found when it failed.
    pub detail: Option<String>,
    /// What a failure takes from the priority; none if it hands the virtual router over.
    pub weight: Option<u8>,
}

/// Another router of the same VRID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its primary address.
    pub address: IpAddr,
    /// The priority it last said; 0 when it left.
    pub priority: u8,
    /// Its Max Advertise Interval.
    pub interval_cs: u16,
    /// How long ago it was heard.
    pub last_heard_ms: u64,
    /// Whether its list of addresses is ours.
    pub same_vips: bool,
}

/// An S-BFD session with an Active router.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WatchStatus {
    /// Its primary address.
    pub peer: IpAddr,
    /// Whether it answers that it serves. A router that is not Baton's never does.
    pub up: bool,
    /// Whether this host takes over at once when it does not.
    pub next_in_line: bool,
    /// Probes that it has not answered.
    pub missed: u64,
    /// Those that did not count because this host was stalled.
    pub vetoed: u64,
}

/// A role change and when its stages were reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitionStatus {
    /// The role before.
    pub from: String,
    /// The role after.
    pub to: String,
    /// Why.
    pub reason: String,
    /// How long ago.
    pub age_ms: u64,
    /// The last advertisement of another router before it had arrived.
    pub heard_ns: Option<u64>,
    /// The last S-BFD answer of the Active router had arrived, which has failed.
    pub answered_ns: Option<u64>,
    /// The core was asked.
    pub decided_ns: u64,
    /// The lease was in the map.
    pub stored_ns: Option<u64>,
    /// The first advertisement was handed to the wire.
    pub transmitted_ns: Option<u64>,
    /// The first gratuitous ARP or neighbour advertisement was handed to the wire.
    pub announced_ns: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_about_a_backend_says_what_is_to_change_and_nothing_else() {
        let request = |change: &str, more: &str| {
            let text = format!(
                "{{\"command\":\"adjust\",\"pool\":\"web\",\"address\":\"192.0.2.11\",\"change\":{change}{more}}}"
            );
            serde_json::from_str::<Request>(&text)
        };
        for change in ["\"drain\"", "\"undrain\"", "\"configured-weight\"", "{\"weight\":5}"] {
            assert!(request(change, "").is_ok(), "{change}");
            assert!(request(change, ",\"now\":true").is_err(), "{change}");
        }
        for change in ["\"up\"", "{\"weight\":-1}", "{\"weight\":\"5\"}", "\"weight\"", "null"] {
            assert!(request(change, "").is_err(), "{change}");
        }
    }

    #[test]
    fn an_order_with_a_key_that_it_does_not_have_is_refused() {
        for command in ["status", "events", "handover", "drain", "resume", "restart", "reload"] {
            let plain = format!("{{\"command\":\"{command}\"}}");
            assert!(serde_json::from_str::<Request>(&plain).is_ok(), "{plain}");
            let more = format!("{{\"command\":\"{command}\",\"router\":51}}");
            assert!(serde_json::from_str::<Request>(&more).is_err(), "{more}");
        }
    }
}
