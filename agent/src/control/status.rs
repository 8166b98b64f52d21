//! What `baton status` shows: a snapshot of the election thread with what else the agent knows of itself.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::protocol::{
    InterfaceStatus, LatenessStatus, PeerStatus, RouterStatus, Status, TrackerStatus, TransitionStatus,
    WatchStatus,
};
use super::server::{ServedRouter, Server};
use crate::clock;
use crate::config::TrackerConfig;
use crate::driver::{LatenessSummary, PeerSnapshot, RouterSnapshot, Snapshot};
use crate::recorder::Record;
use crate::track::State;
use crate::vrrp::{Instant, Reason};

/// The status of an agent whose election thread was seen like that.
pub(super) fn status(server: &Server, snapshot: &Snapshot) -> Status {
    let now = clock::now();
    let LatenessSummary { wakes, p50_us, p99_us, max_us } = snapshot.load.lateness;
    let mut status = Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        guardian: Some(server.guardian.load(Ordering::Relaxed)).filter(|process| *process != 0),
        election_cpu_ms: millis(snapshot.load.cpu),
        election_running_ms: millis(snapshot.load.running),
        election_lateness: LatenessStatus { wakes, p50_us, p99_us, max_us },
        interfaces: Vec::new(),
        routers: Vec::new(),
    };
    for (port, seen) in server.ports.iter().zip(&snapshot.ports) {
        let verdicts: BTreeMap<String, u64> = port
            .counters
            .read()
            .into_iter()
            .map(|(verdict, count)| (verdict.name().to_owned(), count))
            .collect();
        status.interfaces.push(InterfaceStatus {
            interface: port.interface.clone(),
            xdp_mode: port.xdp_mode.clone(),
            queues: port.queues,
            receive_path: if seen.rings { "af-xdp" } else { "raw-socket" }.to_owned(),
            verdicts,
            discarded: seen.discarded,
        });
        for (served, router) in port.routers.iter().zip(&seen.routers) {
            status.routers.push(router_status(server, &port.interface, served, router, now));
        }
    }
    status
}

fn router_status(
    server: &Server,
    interface: &str,
    served: &ServedRouter,
    seen: &RouterSnapshot,
    now: Instant,
) -> RouterStatus {
    let ServedRouter { config, mac } = served;
    let since = |then| millis_since(then, now);
    RouterStatus {
        interface: interface.to_owned(),
        vrid: config.vrid.get(),
        family: config.family().name().to_owned(),
        role: seen.role.to_string(),
        since_ns: seen.since.map(Instant::as_nanos),
        since_ms: seen.since.map(since),
        reason: seen.reason.as_ref().map(Reason::to_string),
        priority: config.priority.get(),
        effective_priority: seen.priority.get(),
        fitness: seen.fitness.to_string(),
        trackers: tracker_statuses(server, served),
        version: config.versions.to_string(),
        interval_cs: config.interval.centiseconds(),
        down_timer_adverts: config.down_adverts.get(),
        leaving: seen.leaving,
        yielded: seen.yielded,
        preempt_delay_left_ms: seen.preempts_from.map_or(0, |from| millis(from.saturating_since(now))),
        deaf: seen.deaf,
        ready: seen.ready,
        drained: seen.drained,
        lease_left_us: u64::try_from(seen.lease.saturating_since(now).as_micros()).unwrap_or(u64::MAX),
        vips: config.vips.clone(),
        mac: mac.map(|octet| format!("{octet:02x}")).join(":"),
        epoch: seen.epoch,
        served_ns: seen.served.map(Instant::as_nanos),
        peers: seen.peers.iter().flatten().map(|peer| peer_status(peer, now)).collect(),
        watch: seen.watch.map(|watch| WatchStatus {
            peer: watch.peer,
            up: watch.up,
            next_in_line: watch.next_in_line,
            missed: watch.missed,
            vetoed: watch.vetoed,
        }),
        transitions: seen.recorder.iter().map(|record| transition_status(record, now)).collect(),
    }
}

/// A peer as it was heard.
pub(super) fn peer_status(peer: &PeerSnapshot, now: Instant) -> PeerStatus {
    PeerStatus {
        address: peer.address,
        priority: peer.standing.octet(),
        interval_cs: peer.interval.centiseconds(),
        last_heard_ms: millis_since(peer.heard, now),
        same_vips: peer.same_vips,
    }
}

fn tracker_statuses(server: &Server, served: &ServedRouter) -> Vec<TrackerStatus> {
    let opinions = server.opinions.borrow();
    let status =
        |&index: &usize| Some(tracker_status(server.config.trackers.get(index)?, opinions.get(index)?));
    served.config.trackers.iter().filter_map(status).collect()
}

/// A tracker and what it thinks.
pub(super) fn tracker_status(tracker: &TrackerConfig, state: &State) -> TrackerStatus {
    let (state, detail) = match state {
        State::Unknown => ("unknown", None),
        State::Good => ("good", None),
        State::Failing(how) => ("failing", Some(how.clone())),
    };
    TrackerStatus { name: tracker.name.clone(), state: state.to_owned(), detail, weight: tracker.weight }
}

fn millis_since(then: Instant, now: Instant) -> u64 {
    millis(now.saturating_since(then))
}

pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A role change and when its stages were reached.
pub(super) fn transition_status(record: &Record, now: Instant) -> TransitionStatus {
    TransitionStatus {
        from: record.transition.from.to_string(),
        to: record.transition.to.to_string(),
        reason: record.transition.reason.to_string(),
        age_ms: millis_since(record.stages.decided, now),
        heard_ns: record.stages.heard.map(Instant::as_nanos),
        answered_ns: record.stages.answered.map(Instant::as_nanos),
        decided_ns: record.stages.decided.as_nanos(),
        stored_ns: record.stages.stored.map(Instant::as_nanos),
        transmitted_ns: record.stages.transmitted.map(Instant::as_nanos),
        announced_ns: record.stages.announced.map(Instant::as_nanos),
    }
}
