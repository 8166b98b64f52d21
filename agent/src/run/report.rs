//! The log: what the election thread reports, and frames that are discarded again and again.

use std::sync::Arc;
use std::time::Duration;

use baton_common::verdict::Verdict;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::control::server::Server;
use crate::driver::Event;

/// How often the counters are looked at. A misconfigured peer is named that often, not with every frame.
const DISCARD_INTERVAL: Duration = Duration::from_secs(10);

/// Advertisements that no sound peer sends, each with what is usually behind it.
const DISCARDS: [(Verdict, &str); 7] = [
    (Verdict::VrrpIpHeader, "a broken IPv4 header"),
    (Verdict::VrrpTtl, "a TTL that is not 255: it was routed here, or forged"),
    (Verdict::VrrpVersion, "another version of VRRP: set `vrrp_version 3` in keepalived"),
    (Verdict::VrrpType, "an unknown VRRP type"),
    (Verdict::VrrpLength, "a length that does not fit the address count; authentication of VRRPv2 perhaps"),
    (Verdict::VrrpInterval, "the interval 0"),
    (Verdict::VrrpChecksum, "a checksum of another flavour, or a wrong one: set checksum = \"auto\""),
];

/// Writes what the election thread reports to the log.
pub(super) async fn log_events(mut events: mpsc::Receiver<Event>, server: Arc<Server>) {
    while let Some(event) = events.recv().await {
        let (Event::Transition { port, router, .. } | Event::Peer { port, router, .. }) = event;
        let Some(served) = server.ports.get(port) else {
            continue;
        };
        let Some((config, _)) = served.routers.get(router) else {
            continue;
        };
        let (interface, vrid) = (served.interface.as_str(), config.vrid.get());
        match event {
            Event::Transition { record, .. } => {
                let transition = record.transition;
                let (from, to, reason) = (transition.from, transition.to, transition.reason);
                tracing::info!(interface, vrid, %from, %to, %reason, "transition");
            }
            Event::Peer { peer, .. } => {
                let interval_cs = peer.interval.centiseconds();
                let priority = peer.standing.octet();
                tracing::info!(interface, vrid, address = %peer.address, priority, interval_cs, "peer");
                if !peer.same_vips {
                    tracing::warn!(interface, vrid, address = %peer.address, "peer has other vips; make the lists equal");
                }
                if interval_cs != config.interval.centiseconds() {
                    let ours = config.interval.centiseconds();
                    tracing::warn!(interface, vrid, address = %peer.address, interval_cs, ours, "peer has another interval");
                }
            }
        }
    }
}

/// Warns of advertisements for our virtual routers that the data plane discards.
pub(super) async fn warn_of_discards(server: Arc<Server>) {
    let count = || -> Vec<Vec<u64>> {
        let of_port = |counts: Vec<(Verdict, u64)>| -> Vec<u64> {
            let of =
                |wanted| counts.iter().find(|(verdict, _)| *verdict == wanted).map_or(0, |(_, count)| *count);
            DISCARDS.iter().map(|&(verdict, _)| of(verdict)).collect()
        };
        server.ports.iter().map(|port| of_port(port.counters.read())).collect()
    };
    let mut before = count();
    loop {
        sleep(DISCARD_INTERVAL).await;
        let now = count();
        for (port, (old, new)) in server.ports.iter().zip(before.iter().zip(&now)) {
            for ((old, new), (verdict, cause)) in old.iter().zip(new).zip(DISCARDS) {
                if new > old {
                    let (interface, frames, verdict) = (port.interface.as_str(), new - old, verdict.name());
                    tracing::warn!(interface, verdict, frames, "advertisements discarded; they have {cause}");
                }
            }
        }
        before = now;
    }
}
