//! Rows of results. A row of any kind has the same fields, so that what reads the JSON need not know the kinds.

use anyhow::Result;
use baton_tests::lab::Outcome;
use serde::Serialize;

use crate::flood::FloodRate;
use crate::rounds::Stages;
use crate::series::{Conditions, Series, Stress};
use crate::stats::{Distribution, Quantiles};

/// The kind of a watch in which nothing should move.
pub const FALSE_ALARM: &str = "false-alarm";
/// The kind of the takeovers as the new owner sees them.
const SWITCH: &str = "switch";

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The system's name.
    pub system: &'static str,
    /// `switch`, `planned`, `agent-death`, `agent-hang`, `silent-death` or `false-alarm`.
    pub kind: &'static str,
    /// The kind, or what it was more exactly: `failback` is planned too.
    pub event: &'static str,
    /// Under which conditions it was measured.
    #[serde(flatten)]
    pub conditions: Conditions,
    /// How often it was tried; a watch for false alarms is one round.
    pub rounds: u64,
    /// After how many of them another node served the client.
    pub moved: u64,
    /// The client's outage; for `switch` the time from the decision to the first frame served.
    pub outage_us: Quantiles,
    /// Probes without an answer; for `switch` those sent in that time.
    pub lost_probes: Quantiles,
    /// How long both nodes answered.
    pub overlap_us: Quantiles,
    /// How often the answering node changed in all; in a watch for false alarms of Baton, how often a router became Active if
    /// that is more.
    pub role_changes: u64,
    /// How long the prober itself could not look.
    pub prober_stall_us: Quantiles,
    /// What the hypervisor took from the machine in a round, in steps of 10 ms.
    pub steal_us: Quantiles,
    /// How long a watch for false alarms took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// The flood in a watch for false alarms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flood: Option<FloodRate>,
}

/// A round as rows see it.
type Seen = (Outcome, u64);

impl Row {
    /// The row of a series.
    pub fn of(series: &Series) -> Result<Self> {
        let Series { system, event, conditions, rounds } = series;
        let seen: Vec<Seen> = rounds.iter().map(|round| (round.outcome, round.steal_us)).collect();
        Ok(Self { event: event.name(), ..Self::new(system, event.kind(), *conditions, &seen)? })
    }

    /// The `switch` row of a system, over the takeovers of all its series under some conditions; `None` if the system tells
    /// no stages.
    pub fn of_switches(all: &[Series], system: &'static str, conditions: Conditions) -> Result<Option<Self>> {
        let series = all.iter().filter(|series| (series.system, series.conditions) == (system, conditions));
        let switches: Vec<Seen> = series
            .flat_map(|series| &series.rounds)
            .filter_map(|round| {
                let stages = round.stages?;
                let outage_us = stages.accepted_ns.div_ceil(1000);
                // Two own only after the decision: the overlap is the round's.
                let outcome = Outcome { outage_us, lost_probes: stages.lost_probes, ..round.outcome };
                Some((outcome, round.steal_us))
            })
            .collect();
        if switches.is_empty() {
            return Ok(None);
        }
        Self::new(system, SWITCH, conditions, &switches).map(Some)
    }

    /// The row of a quiet pair that was watched for some `seconds`: nothing befell it, so nothing should have moved.
    pub fn of_watch(
        system: &'static str,
        vips: u16,
        seconds: u64,
        (outcome, steal_us): (Outcome, u64),
        flood: FloodRate,
    ) -> Result<Self> {
        let conditions = Conditions { vips, stress: Stress::BusyAndFlood };
        let row = Self::new(system, FALSE_ALARM, conditions, &[(outcome, steal_us)])?;
        Ok(Self { seconds: Some(seconds), flood: Some(flood), ..row })
    }

    /// The row of many addresses that moved together in so many `rounds`: its distributions are over all of them in all rounds,
    /// and `moved` counts them.
    pub(crate) fn of_crowd(
        system: &'static str,
        kind: &'static str,
        conditions: Conditions,
        rounds: u64,
        seen: &[(Outcome, u64)],
    ) -> Result<Self> {
        Ok(Self { rounds, ..Self::new(system, kind, conditions, seen)? })
    }

    fn new(system: &'static str, kind: &'static str, conditions: Conditions, seen: &[Seen]) -> Result<Self> {
        let quantiles = |value: fn(&Seen) -> u64| -> Result<Quantiles> {
            Ok(Distribution::of(seen.iter().map(value))?.quantiles())
        };
        Ok(Self {
            system,
            kind,
            event: kind,
            conditions,
            rounds: seen.len() as u64,
            moved: seen.iter().filter(|(outcome, _)| outcome.moved()).count() as u64,
            outage_us: quantiles(|(outcome, _)| outcome.outage_us)?,
            lost_probes: quantiles(|(outcome, _)| outcome.lost_probes)?,
            overlap_us: quantiles(|(outcome, _)| outcome.overlap_us)?,
            role_changes: seen.iter().map(|(outcome, _)| outcome.flips).sum(),
            prober_stall_us: quantiles(|(outcome, _)| outcome.stall_us)?,
            steal_us: quantiles(|(_, steal_us)| *steal_us)?,
            seconds: None,
            flood: None,
        })
    }
}

/// The stages of the takeovers of a series: last advert and last frame of the old owner to decision; decision to lease,
/// advert, gratuitous ARP, first VIP frame.
#[derive(Clone, Debug, Serialize)]
pub struct StageRow {
    /// The system's name.
    pub system: &'static str,
    /// What the takeovers followed.
    pub event: &'static str,
    /// Under which conditions.
    #[serde(flatten)]
    pub conditions: Conditions,
    /// How many takeovers.
    pub takeovers: u64,
    /// In how many of them a probe was lost between the old owner's last frame and the new one's first.
    pub gaps: u64,
    /// Last advert heard to decision.
    pub heard_ns: Quantiles,
    /// Last frame that the old owner served before the decision to that decision.
    pub silent_ns: Quantiles,
    /// Decision to lease stored.
    pub stored_ns: Quantiles,
    /// Decision to advert on its way.
    pub transmitted_ns: Quantiles,
    /// Decision to gratuitous ARP on its way.
    pub announced_ns: Quantiles,
    /// Decision to first VIP frame at the service.
    pub accepted_ns: Quantiles,
}

impl StageRow {
    /// The stages of `series`, if its system tells them.
    pub fn of(series: &Series) -> Result<Option<Self>> {
        let stages: Vec<Stages> = series.rounds.iter().filter_map(|round| round.stages).collect();
        if stages.is_empty() {
            return Ok(None);
        }
        let quantiles = |value: fn(&Stages) -> u64| -> Result<Quantiles> {
            Ok(Distribution::of(stages.iter().map(value))?.quantiles())
        };
        Ok(Some(Self {
            system: series.system,
            event: series.event.name(),
            conditions: series.conditions,
            takeovers: stages.len() as u64,
            gaps: stages.iter().filter(|stages| stages.has_gap).count() as u64,
            heard_ns: quantiles(|stages| stages.heard_ns)?,
            silent_ns: quantiles(|stages| stages.silent_ns)?,
            stored_ns: quantiles(|stages| stages.stored_ns)?,
            transmitted_ns: quantiles(|stages| stages.transmitted_ns)?,
            announced_ns: quantiles(|stages| stages.announced_ns)?,
            accepted_ns: quantiles(|stages| stages.accepted_ns)?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use baton_tests::lab::Fault;
    use serde_json::{Value, json};

    use super::*;
    use crate::rounds::Event;
    use crate::series::tests::{CONDITIONS, outcome, series};

    const FLOOD: FloodRate = FloodRate { sent_per_second: 900_000, received_per_second: 800_000 };

    /// One row of every kind, as JSON.
    fn rows() -> Vec<Value> {
        let events = Fault::MEASURED.map(Event::Fault).into_iter().chain([Event::Failback]);
        let all: Vec<Series> = events.map(|event| series("baton", event, &[500])).collect();
        let mut rows: Vec<Row> = all.iter().map(|series| Row::of(series).expect("values")).collect();
        rows.extend(Row::of_switches(&all, "baton", CONDITIONS).expect("values"));
        rows.push(Row::of_watch("baton", CONDITIONS.vips, 20, (outcome(50, 0), 0), FLOOD).expect("values"));
        rows.iter().map(|row| serde_json::to_value(row).expect("a row is JSON")).collect()
    }

    #[test]
    fn a_row_of_every_kind_has_the_fields_of_the_schema() {
        let rows = rows();
        let kinds: Vec<&Value> = rows.iter().map(|row| &row["kind"]).collect();
        assert_eq!(
            kinds,
            ["planned", "agent-hang", "agent-death", "silent-death", "planned", "switch", "false-alarm"]
        );
        for row in &rows {
            assert_eq!([&row["system"], &row["vips"]], [&json!("baton"), &json!(3)]);
            assert!(row["rounds"].is_u64(), "{row}");
            for distribution in ["outage_us", "lost_probes", "overlap_us", "prober_stall_us", "steal_us"] {
                let fields = row[distribution].as_object().expect("a distribution");
                assert_eq!(fields.keys().collect::<Vec<_>>(), ["max", "p50", "p90", "p99"]);
                assert!(fields.values().all(Value::is_u64), "{row}");
            }
        }
        let stress: Vec<&Value> = rows.iter().map(|row| &row["stress"]).collect();
        assert_eq!(stress, ["busy", "busy", "busy", "busy", "busy", "busy", "busy+flood"]);
        assert_eq!(rows[6]["flood"], json!({"sent_per_second": 900_000, "received_per_second": 800_000}));
    }

    #[test]
    fn a_row_is_the_distribution_of_its_rounds() {
        let row =
            Row::of(&series("baton", Event::Fault(Fault::AgentHang), &[100, 300, 200])).expect("values");
        let expected = Quantiles { p50: 200, p90: 300, p99: 300, max: 300 };
        assert_eq!((row.rounds, row.moved, row.outage_us, row.role_changes), (3, 3, expected, 3));
    }

    #[test]
    fn a_switch_is_what_the_new_owner_needs_and_loses() {
        let all = [series("baton", Event::Fault(Fault::AgentHang), &[500])];
        let row = Row::of_switches(&all, "baton", CONDITIONS).expect("values").expect("stages");
        assert_eq!((row.rounds, row.outage_us.max, row.lost_probes.max, row.overlap_us.max), (1, 121, 2, 7));
        let elsewhere = Conditions { vips: 4, ..CONDITIONS };
        assert!(Row::of_switches(&all, "baton", elsewhere).expect("no values").is_none());
    }

    #[test]
    fn a_failback_is_a_planned_move_with_a_name_of_its_own() {
        let row = Row::of(&series("baton", Event::Failback, &[500])).expect("values");
        assert_eq!((row.kind, row.event), ("planned", "failback"));
    }
}
