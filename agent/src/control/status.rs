//! What `baton status` shows: a snapshot of the election thread with what else the agent knows of itself.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::protocol::{
    InterfaceStatus, LatenessStatus, PeerStatus, RouterStatus, Status, TransitionStatus, WatchStatus,
};
use super::server::{ServedRouter, Server};
use crate::clock;
use crate::driver::{LatenessSummary, RouterSnapshot, Snapshot};
use crate::recorder::Record;
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
            status.routers.push(router_status(&port.interface, served, router, now));
        }
    }
    status
}

fn router_status(
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
        role: seen.role.to_string(),
        since_ns: seen.since.map(Instant::as_nanos),
        since_ms: seen.since.map(since),
        reason: seen.reason.as_ref().map(Reason::to_string),
        priority: config.priority.get(),
        interval_cs: config.interval.centiseconds(),
        leaving: seen.leaving,
        yielded: seen.yielded,
        drained: seen.drained,
        lease_left_us: u64::try_from(seen.lease.saturating_since(now).as_micros()).unwrap_or(u64::MAX),
        vips: config.vips.clone(),
        mac: mac.map(|octet| format!("{octet:02x}")).join(":"),
        epoch: seen.epoch,
        served_ns: seen.served.map(Instant::as_nanos),
        peers: seen
            .peers
            .iter()
            .flatten()
            .map(|peer| PeerStatus {
                address: peer.address,
                priority: peer.standing.octet(),
                interval_cs: peer.interval.centiseconds(),
                last_heard_ms: since(peer.heard),
                same_vips: peer.same_vips,
            })
            .collect(),
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

fn millis_since(then: Instant, now: Instant) -> u64 {
    millis(now.saturating_since(then))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn transition_status(record: &Record, now: Instant) -> TransitionStatus {
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
