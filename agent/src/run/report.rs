//! The log: what the election thread reports, and frames that are discarded again and again.

use std::sync::Arc;
use std::time::Duration;

use baton_common::verdict::Verdict;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep};

use super::holds::Holds;
use super::hooks::{Change, Queues};
use crate::config::RouterConfig;
use crate::control::server::{ServedRouter, Server};
use crate::driver::{Event, News};
use crate::host::forwarding;
use crate::recorder::Record;
use crate::vrrp::{Reason, learned_interval};

/// How often the counters are looked at. A misconfigured peer is named that often, not with every frame.
const DISCARD_INTERVAL: Duration = Duration::from_secs(10);

/// How often adverts of virtual routers are named that this host does not have. Where clusters share a segment they are the
/// rule, and elsewhere once is enough.
const FOREIGN_INTERVAL: Duration = Duration::from_hours(1);

/// Advertisements that no sound peer sends, each with what is usually behind it.
const DISCARDS: [(Verdict, &str); 12] = [
    // XDP sees what comes in: an advertisement of this host is not among it.
    (
        Verdict::VrrpOwn,
        "our own address as source: two hosts have the same primary address, or the network sends our frames back",
    ),
    (Verdict::VrrpIpHeader, "a broken IPv4 header"),
    (
        Verdict::VrrpDestination,
        "by unicast where there are no peers, to the group where there are, or to another address than the `source`: give both \
         sides `peers`",
    ),
    (Verdict::VrrpNotPeer, "by unicast from somebody who is not among the `peers`"),
    (
        Verdict::VrrpTtl,
        "a TTL that is too low: it was routed here, or forged; keepalived's IPv6 peers need `unicast_ttl 255`",
    ),
    (
        Verdict::VrrpVersion,
        "another version of VRRP: set `vrrp_version 3` in keepalived, or version = \"2+3\" here",
    ),
    (Verdict::VrrpType, "an unknown VRRP type"),
    (Verdict::VrrpAuthentication, "VRRPv2 with another authentication type or password"),
    (Verdict::VrrpLength, "a length that does not fit the address count; authentication of VRRPv2 perhaps"),
    (
        Verdict::VrrpAddress,
        "a first address that is not link-local, over IPv6: make the lists equal, the link-local VIP first (RFC 9568 5.2.9)",
    ),
    (Verdict::VrrpInterval, "the interval 0"),
    (Verdict::VrrpChecksum, "a checksum of another flavour, or a wrong one: set checksum = \"auto\""),
];

/// Lines about peers that may be written at once, and how soon there may be one more. A segment where peers change with
/// every advertisement must not fill the log (RFC 9568 7.1).
const PEER_LINES: u32 = 16;
const PEER_PAUSE: Duration = Duration::from_secs(1);

/// How many lines may be written: never more than `PEER_LINES`, one more every `PEER_PAUSE`.
struct Allowance {
    left: u32,
    since: Instant,
}

impl Allowance {
    fn take(&mut self, now: Instant) -> bool {
        let earned = now.duration_since(self.since).as_secs() / PEER_PAUSE.as_secs();
        if let Ok(earned @ 1..) = u32::try_from(earned) {
            self.left = PEER_LINES.min(self.left + earned);
            self.since = now;
        }
        let allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        allowed
    }
}

/// Writes what the election thread reports to the log, and tells it to hooks and listeners; role changes also to who waits for
/// `moves`.
pub(super) async fn log_events(
    mut events: mpsc::Receiver<Event>,
    server: Arc<Server>,
    hooks: Queues,
    holds: Holds,
    moves: Arc<Notify>,
) {
    let mut peers = Allowance { left: PEER_LINES, since: Instant::now() };
    while let Some(event) = events.recv().await {
        server.tell(&event);
        let Some((port, ServedRouter { config, .. })) = server.served(event.place) else {
            continue;
        };
        let (interface, vrid, family) = (port.interface.as_str(), config.vrid.get(), config.family());
        match event.news {
            News::Transition { record: Record { transition, .. }, epoch } => {
                moves.notify_one();
                hooks.tell(&Change { interface: interface.to_owned(), vrid, family, epoch, transition });
                let family = family.name();
                let (from, to, reason) = (transition.from, transition.to, transition.reason);
                tracing::info!(interface, vrid, family, %from, %to, %reason, "transition");
                if reason == Reason::LinkDown {
                    warn_of_no_link(interface);
                } else if reason == Reason::Startup {
                    holds.listen(event.place.port);
                }
            }
            News::LongSilence { .. } if !peers.take(Instant::now()) => {}
            News::LongSilence { peer, gap } => {
                tracing::warn!(
                    interface, vrid, %peer, ?gap,
                    "the Active router was silent for so long that this host was about to take over: look for lost frames, or a busy host"
                );
            }
            News::FalseAlarm { peer, wait } => {
                tracing::warn!(interface, vrid, %peer, ?wait, "the Active router was alive; left to the timers of VRRP");
            }
            News::Peer(_) if !peers.take(Instant::now()) => {}
            News::Peer(peer) => {
                let interval_cs = peer.interval.centiseconds();
                let priority = peer.standing.octet();
                tracing::info!(interface, vrid, address = %peer.address, priority, interval_cs, "peer");
                if config.group.is_some() && priority == config.priority.get() {
                    tracing::warn!(
                        interface, vrid, address = %peer.address,
                        "peer has our priority; of a group each address decides then, and after a partition both nodes may give way: \
                         give each node its own"
                    );
                }
                if !peer.same_vips {
                    tracing::warn!(interface, vrid, address = %peer.address, "peer has other vips; make the lists equal");
                }
                if interval_cs != config.interval.centiseconds() {
                    let ours = config.interval.centiseconds();
                    let learned_cs = learned_interval(config.interval, peer.interval).centiseconds();
                    tracing::warn!(interface, vrid, address = %peer.address, interval_cs, ours, learned_cs, "peer has another interval");
                }
            }
        }
    }
}

/// Says what an interface lacks whose virtual routers are in Initialize.
pub(super) fn warn_of_no_link(interface: &str) {
    tracing::warn!(
        interface,
        "no carrier, or its primary address is missing; its virtual routers wait: look at `ip address show dev {interface}`"
    );
}

/// Says what a gateway lacks that drops what it is to route.
pub(super) fn warn_of_no_forwarding(gateway: &RouterConfig) {
    let (interface, vrid) = (gateway.interface.as_str(), gateway.vrid.get());
    if let Some(sysctl) = forwarding::missing(interface, gateway.family()) {
        tracing::warn!(
            interface,
            vrid,
            "delivery = \"gateway\", but the kernel routes nothing from this interface: set {sysctl}=1, and in /etc/sysctl.d too"
        );
    }
}

/// Warns of advertisements for our virtual routers that the data plane discards, and mentions those for others.
pub(super) async fn warn_of_discards(server: Arc<Server>) {
    let count = || server.ports.iter().map(|port| port.counters.read()).collect::<Vec<_>>();
    let mut before = count();
    let mut foreign: Vec<Foreign> = before.iter().map(|counts| Foreign::since(counts)).collect();
    loop {
        sleep(DISCARD_INTERVAL).await;
        let now = count();
        for (port, (old, new)) in server.ports.iter().zip(before.iter().zip(&now)) {
            for (verdict, cause) in DISCARDS {
                let (old, new) = (of(old, verdict), of(new, verdict));
                if new > old {
                    let (interface, frames, verdict) = (port.interface.as_str(), new - old, verdict.name());
                    tracing::warn!(interface, verdict, frames, "advertisements discarded; they have {cause}");
                }
            }
        }
        for ((port, counts), foreign) in server.ports.iter().zip(&now).zip(&mut foreign) {
            if let Some(frames) = foreign.worth_saying(counts, Instant::now()) {
                let (interface, verdict) = (port.interface.as_str(), FOREIGN.name());
                tracing::info!(
                    interface,
                    verdict,
                    frames,
                    "advertisements of virtual routers that this host does not have: another cluster shares the segment, or the \
                     nodes of this one have different vrids, or another `multicast`"
                );
            }
        }
        before = now;
    }
}

/// How many frames met `wanted`.
fn of(counts: &[(Verdict, u64)], wanted: Verdict) -> u64 {
    counts.iter().find(|(verdict, _)| *verdict == wanted).map_or(0, |(_, count)| *count)
}

/// Advertisements of others.
const FOREIGN: Verdict = Verdict::VrrpUnknownRouter;

/// What was said of them on an interface.
struct Foreign {
    counted: u64,
    said: Option<Instant>,
}

impl Foreign {
    /// Nothing yet; those in `counts` were there before.
    fn since(counts: &[(Verdict, u64)]) -> Self {
        Self { counted: of(counts, FOREIGN), said: None }
    }

    /// How many have come since the last line about them, if it is time for one.
    fn worth_saying(&mut self, counts: &[(Verdict, u64)], now: Instant) -> Option<u64> {
        let frames = of(counts, FOREIGN).saturating_sub(self.counted);
        let is_time = self.said.is_none_or(|said| now.duration_since(said) >= FOREIGN_INTERVAL);
        if frames == 0 || !is_time {
            return None;
        }
        *self = Self { counted: of(counts, FOREIGN), said: Some(now) };
        Some(frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_adverts_of_others_are_mentioned_at_once_and_then_each_hour() {
        let start = Instant::now();
        let counts = |count| [(Verdict::VrrpOwn, 7), (FOREIGN, count)];
        let mut foreign = Foreign::since(&counts(3));
        let mut after =
            |seconds, count| foreign.worth_saying(&counts(count), start + Duration::from_secs(seconds));
        assert_eq!(after(10, 3), None);
        assert_eq!(after(20, 5), Some(2));
        assert_eq!(after(30, 6), None);
        assert_eq!(after(3610, 6), None);
        assert_eq!(after(3620, 9), Some(4));
        assert_eq!(after(9000, 9), None);
    }
}
