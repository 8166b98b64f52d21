//! What stands at `/metrics`, in the OpenMetrics format. The words are those of `baton status`; README.md explains the names.

use std::fmt::{self, Display};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::Scrape;
use crate::control::protocol::{PeerStatus, RouterStatus, WatchStatus};
use crate::recorder::{Spans, Stage};
use crate::vrrp::{Fitness, Role};

/// Before every name.
const PREFIX: &str = "baton";
const SECONDS: Option<&Unit> = Some(&Unit::Seconds);

/// The whole page.
///
/// # Errors
///
/// None that would be known.
pub(super) fn text(scrape: Scrape) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(scrape));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        self.agent(&mut families)?;
        self.interfaces(&mut families)?;
        self.trackers(&mut families)?;
        self.routers(&mut families)?;
        self.changes(&mut families)?;
        self.peers(&mut families)?;
        self.watches(&mut families)?;
        self.engines(&mut families)
    }
}

impl Scrape {
    fn agent(&self, families: &mut Families<'_>) -> fmt::Result {
        let status = &self.status;
        families.info("build", "The agent", &[label("version", &status.version)])?;
        let has_guardian = u32::from(status.guardian.is_some());
        families.gauges(
            "guardian_ready",
            "Whether a guardian can act if the agent dies",
            None,
            agent(has_guardian),
        )?;
        let cpu = seconds(status.election_cpu_ms);
        families.counters("election_cpu", "Time of the election thread on a CPU", SECONDS, agent(cpu))?;
        let running = seconds(status.election_running_ms);
        families.gauges(
            "election_running",
            "Time since the election thread began",
            SECONDS,
            agent(running),
        )?;
        let help = "How late the election thread has woken for its deadlines";
        families.histograms("election_lateness", help, agent(&self.late))
    }

    fn interfaces(&self, families: &mut Families<'_>) -> fmt::Result {
        let interfaces = || self.status.interfaces.iter();
        let frames = interfaces().flat_map(|seen| {
            let of = |verdict| vec![label("interface", &seen.interface), label("verdict", verdict)];
            seen.verdicts.iter().map(move |(verdict, count)| (of(verdict), *count))
        });
        families.counters("frames", "Frames by verdict, since the maps were made", None, frames)?;
        let help = "Frames that XDP let through and the agent's own parser refused";
        let discarded = interfaces().map(|seen| (vec![label("interface", &seen.interface)], seen.discarded));
        families.counters("discarded_frames", help, None, discarded)
    }

    fn trackers(&self, families: &mut Families<'_>) -> fmt::Result {
        let states = self.trackers.iter().flat_map(|tracker| {
            let of = |state| vec![label("tracker", &tracker.name), label("state", state)];
            ["unknown", "good", "failing"].map(|state| (of(state), u32::from(tracker.state == state)))
        });
        families.gauges("tracker_state", "1 for what the tracker thinks, 0 for the rest", None, states)
    }

    fn routers(&self, families: &mut Families<'_>) -> fmt::Result {
        let routers = || self.status.routers.iter();
        let roles = routers()
            .flat_map(|router| one_of("role", Role::ALL.map(|role| role.to_string()), &router.role, router));
        families.gauges(
            "router_role",
            "1 for the role of the virtual router, 0 for the others",
            None,
            roles,
        )?;
        let fitness = routers().flat_map(|router| {
            one_of("fitness", Fitness::ALL.map(|fitness| fitness.to_string()), &router.fitness, router)
        });
        families.gauges(
            "router_fitness",
            "1 for what its trackers make of it, 0 for the rest",
            None,
            fitness,
        )?;
        let each = |of: fn(&RouterStatus) -> u32| routers().map(move |router| (labels(router), of(router)));
        let help = "What the election takes, out of 255, if all is in order";
        families.gauges("router_configured_priority", help, None, each(|router| router.priority.into()))?;
        let help = "What failing trackers leave of it, which is advertised";
        families.gauges(
            "router_effective_priority",
            help,
            None,
            each(|router| router.effective_priority.into()),
        )?;
        let help = "Whether the operator has taken it out of the election";
        families.gauges("router_drained", help, None, each(|router| router.drained.into()))?;
        let help = "Whether it would be Active but for others of its group";
        families.gauges("router_ready", help, None, each(|router| router.ready.into()))?;
        let help = "Takeovers of this host since the maps were made";
        families.gauges("router_epoch", help, None, each(|router| router.epoch))?;
        let lease = |router: &RouterStatus| Duration::from_micros(router.lease_left_us).as_secs_f64();
        let help = "What is left of the lease; 0 where this host does not own the addresses";
        families.gauges(
            "router_lease_remaining",
            help,
            SECONDS,
            routers().map(|router| (labels(router), lease(router))),
        )
    }

    fn changes(&self, families: &mut Families<'_>) -> fmt::Result {
        let routers = || self.status.routers.iter().zip(&self.tallies);
        let transitions = routers().flat_map(|(router, tally)| {
            tally.transitions().map(|(change, count)| {
                let reasons =
                    [label("from", change.from), label("to", change.to), label("reason", change.reason)];
                (with(router, reasons), count)
            })
        });
        let help = "Role changes, and handovers that began or were refused, since the agent started";
        families.counters("router_transitions", help, None, transitions)?;
        let stages = routers().flat_map(|(router, tally)| {
            Stage::ALL.map(|stage| (with(router, [label("stage", stage.name())]), tally.stage(stage)))
        });
        let help = "From the decision to take over to each stage, since the agent started";
        families.histograms("router_takeover_stage", help, stages)?;
        let gaps = routers().map(|(router, tally)| (labels(router), tally.gaps()));
        let help =
            "Between two adverts of the Active Router, as a Backup has heard them since the agent started";
        families.histograms("router_advert_gap", help, gaps)
    }

    fn peers(&self, families: &mut Families<'_>) -> fmt::Result {
        let peers = || {
            let routers = self.status.routers.iter();
            routers
                .flat_map(|router| router.peers.iter().map(move |peer| (of_peer(router, peer.address), peer)))
        };
        let each = |of: fn(&PeerStatus) -> u32| peers().map(move |(labels, peer)| (labels, of(peer)));
        let help = "The priority that it last said; 0 when it left";
        families.gauges("peer_priority", help, None, each(|peer| peer.priority.into()))?;
        let help = "Whether its list of addresses is ours";
        families.gauges("peer_same_vips", help, None, each(|peer| peer.same_vips.into()))?;
        let silence = peers().map(|(labels, peer)| (labels, seconds(peer.last_heard_ms)));
        families.gauges("peer_silence", "Time since it was heard", SECONDS, silence)
    }

    fn watches(&self, families: &mut Families<'_>) -> fmt::Result {
        let watches = || {
            let routers = self.status.routers.iter();
            routers
                .filter_map(|router| router.watch.as_ref().map(|watch| (of_peer(router, watch.peer), watch)))
        };
        let states = |of: fn(&WatchStatus) -> bool| {
            watches().map(move |(labels, watch)| (labels, u32::from(of(watch))))
        };
        let help = "Whether the Active Router answers that it serves";
        families.gauges("sbfd_up", help, None, states(|watch| watch.up))?;
        let help = "Whether this host takes over at once when it does not";
        families.gauges("sbfd_next_in_line", help, None, states(|watch| watch.next_in_line))?;
        let counts = |of: fn(&WatchStatus) -> u64| watches().map(move |(labels, watch)| (labels, of(watch)));
        let help = "Probes that it has not answered, since it is watched";
        families.counters("sbfd_missed", help, None, counts(|watch| watch.missed))?;
        let help = "Those that did not count because this host was stalled";
        families.counters("sbfd_vetoed", help, None, counts(|watch| watch.vetoed))
    }
}

/// The page while it is written, family by family.
pub(super) struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    fn info(&mut self, name: &str, help: &str, labels: &[Label]) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(&labels)
    }

    pub(super) fn gauges<V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: impl IntoIterator<Item = (Labels, V)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        samples.into_iter().try_for_each(|(labels, value)| {
            with_labels(&mut family, &labels, |sample| sample.encode_gauge(&value))
        })
    }

    pub(super) fn counters<V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: impl IntoIterator<Item = (Labels, V)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, unit, MetricType::Counter)?;
        samples.into_iter().try_for_each(|(labels, value)| {
            with_labels(&mut family, &labels, |sample| {
                sample.encode_counter::<NoLabelSet, _, f64>(&value, None)
            })
        })
    }

    fn histograms<'s>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, &'s Spans)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, SECONDS, MetricType::Histogram)?;
        samples.into_iter().try_for_each(|(labels, spans)| {
            // The encoder says +Inf for the largest number.
            let seconds = |bound: Option<Duration>| bound.map_or(f64::MAX, |bound| bound.as_secs_f64());
            let buckets: Vec<_> = spans.by_bound().map(|(bound, count)| (seconds(bound), count)).collect();
            let count = buckets.iter().map(|(_, count)| count).sum();
            let sum = spans.sum().as_secs_f64();
            with_labels(&mut family, &labels, |sample| {
                sample.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
            })
        })
    }
}

/// Writes a sample; one without labels has no brackets either.
fn with_labels(
    family: &mut MetricEncoder<'_>,
    labels: &Labels,
    write: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    if labels.is_empty() { write(family) } else { write(&mut family.encode_family(labels)?) }
}

pub(super) type Label = (&'static str, String);
pub(super) type Labels = Vec<Label>;

/// A label; what the format gives a meaning is escaped. Names of interfaces may have it.
pub(super) fn label(name: &'static str, value: impl Display) -> Label {
    (name, value.to_string().replace('\\', "\\\\").replace('"', "\\\""))
}

/// A sample of which an agent has one.
fn agent<V>(value: V) -> [(Labels, V); 1] {
    [(Labels::new(), value)]
}

/// The labels of a virtual router.
fn labels(router: &RouterStatus) -> Labels {
    vec![label("interface", &router.interface), label("vrid", router.vrid), label("family", &router.family)]
}

/// And `more`.
fn with(router: &RouterStatus, more: impl IntoIterator<Item = Label>) -> Labels {
    labels(router).into_iter().chain(more).collect()
}

/// The labels of a peer of it.
fn of_peer(router: &RouterStatus, peer: impl Display) -> Labels {
    with(router, [label("peer", peer)])
}

/// 1 for the one of `words` that is so, 0 for the others.
fn one_of<const N: usize>(
    name: &'static str,
    words: [String; N],
    so: &str,
    router: &RouterStatus,
) -> [(Labels, u32); N] {
    words.map(|word| {
        let is_so = u32::from(word == so);
        (with(router, [label(name, word)]), is_so)
    })
}

fn seconds(millis: u64) -> f64 {
    Duration::from_millis(millis).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::engine::tests as engine;
    use crate::control::render::tests::example;
    use crate::recorder::{Record, Stages, Tally};
    use crate::vrrp::{Instant, Reason, Transition};

    /// The agent of `baton status`'s example, which has taken over once.
    fn scrape() -> Scrape {
        let status = example();
        let change = &status.routers[0].transitions[0];
        let at = |nanos: Option<u64>| nanos.map(Instant::from_nanos);
        let stages = Stages {
            decided: Instant::from_nanos(change.decided_ns),
            stored: at(change.stored_ns),
            transmitted: at(change.transmitted_ns),
            ..Stages::default()
        };
        let transition = Transition { from: Role::Backup, to: Role::Active, reason: Reason::ActiveDown };
        let mut tally = Tally::default();
        tally.note(&Record { transition, stages });
        tally.note_service(Instant::from_nanos(1_071_000));
        [10, 31].map(Duration::from_millis).into_iter().for_each(|gap| tally.note_gap(gap));
        let mut late = Spans::default();
        [3, 4, 700].map(Duration::from_micros).into_iter().for_each(|span| late.note(span));
        let trackers = status.routers[0].trackers.clone();
        Scrape { trackers, late, tallies: vec![tally], engines: vec![engine::example()], status }
    }

    #[test]
    fn the_page_has_all_that_there_is_to_tell() {
        let page = text(scrape()).expect("a page");
        assert_eq!(page, include_str!("example.txt"), "compare with agent/src/control/metrics/example.txt");
    }

    #[test]
    fn quotes_in_a_name_do_not_end_it() {
        let mut scrape = scrape();
        scrape.status.interfaces[0].interface = "a\"b\\".to_owned();
        let page = text(scrape).expect("a page");
        assert!(page.contains("baton_discarded_frames_total{interface=\"a\\\"b\\\\\"} 2\n"), "{page}");
    }
}
