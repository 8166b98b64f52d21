//! Rows of results. A row of any kind has the same fields, so that what reads the JSON need not know the kinds.

use anyhow::Result;
use baton_tests::lab::Outcome;
use serde::Serialize;

use crate::rounds::{Event, Round};
use crate::stats::{Distribution, Quantiles};

/// The kind of a watch in which nothing should move.
pub const FALSE_ALARM: &str = "false-alarm";
/// The kind of the takeovers as the new owner sees them.
const SWITCH: &str = "switch";

/// All rounds of one event on one system.
#[derive(Clone, Debug)]
pub struct Series {
    /// The system's name.
    pub system: &'static str,
    /// What happened in each round.
    pub event: Event,
    /// What came of it.
    pub rounds: Vec<Round>,
}

/// Under which conditions it was measured.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// How many addresses could move.
    pub vips: u16,
    /// `none`, or what kept the machine busy.
    pub stress: &'static str,
}

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The system's name.
    pub system: &'static str,
    /// `switch`, `planned`, `agent-death`, `agent-hang`, `silent-death` or `false-alarm`.
    pub kind: &'static str,
    /// The kind, or what it was more exactly: `failback` is planned too.
    pub event: &'static str,
    /// How many addresses could move.
    pub vips: u16,
    /// `none`, or what kept the machine busy.
    pub stress: &'static str,
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
    /// How often the answering node changed in all.
    pub role_changes: u64,
    /// How long the prober itself could not look.
    pub prober_stall_us: Quantiles,
    /// How long a watch for false alarms took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
}

impl Row {
    /// The row of a series.
    pub fn of(series: &Series, conditions: Conditions) -> Result<Self> {
        let Series { system, event, rounds } = series;
        let outcomes: Vec<Outcome> = rounds.iter().map(|round| round.outcome).collect();
        Ok(Self { event: event.name(), ..Self::new(system, event.kind(), conditions, &outcomes)? })
    }

    /// The `switch` row of a system, over the takeovers of all its series; `None` if the system tells no stages.
    pub fn of_switches(all: &[Series], system: &'static str, conditions: Conditions) -> Result<Option<Self>> {
        let rounds = all.iter().filter(|series| series.system == system).flat_map(|series| &series.rounds);
        let switches: Vec<Outcome> = rounds
            .filter_map(|round| {
                let stages = round.stages?;
                let outage_us = stages.accepted_ns.div_ceil(1000);
                // Two own only after the decision: the overlap is the round's.
                Some(Outcome { outage_us, lost_probes: stages.lost_probes, ..round.outcome })
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
        conditions: Conditions,
        seconds: u64,
        outcome: Outcome,
    ) -> Result<Self> {
        Ok(Self { seconds: Some(seconds), ..Self::new(system, FALSE_ALARM, conditions, &[outcome])? })
    }

    fn new(
        system: &'static str,
        kind: &'static str,
        conditions: Conditions,
        outcomes: &[Outcome],
    ) -> Result<Self> {
        let quantiles = |value: fn(&Outcome) -> u64| -> Result<Quantiles> {
            Ok(Distribution::of(outcomes.iter().map(value))?.quantiles())
        };
        Ok(Self {
            system,
            kind,
            event: kind,
            vips: conditions.vips,
            stress: conditions.stress,
            rounds: outcomes.len() as u64,
            moved: outcomes.iter().filter(|outcome| outcome.moved()).count() as u64,
            outage_us: quantiles(|outcome| outcome.outage_us)?,
            lost_probes: quantiles(|outcome| outcome.lost_probes)?,
            overlap_us: quantiles(|outcome| outcome.overlap_us)?,
            role_changes: outcomes.iter().map(|outcome| outcome.flips).sum(),
            prober_stall_us: quantiles(|outcome| outcome.stall_us)?,
            seconds: None,
        })
    }
}

/// The stages of all takeovers of one system: decision to lease, advert, gratuitous ARP, first VIP frame.
#[derive(Clone, Debug, Serialize)]
pub struct StageRow {
    /// The system's name.
    pub system: &'static str,
    /// The event that the takeovers followed.
    pub kind: &'static str,
    /// How many takeovers.
    pub takeovers: u64,
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
        let stages: Vec<_> = series.rounds.iter().filter_map(|round| round.stages).collect();
        if stages.is_empty() {
            return Ok(None);
        }
        let quantiles = |values: Vec<u64>| -> Result<Quantiles> { Ok(Distribution::of(values)?.quantiles()) };
        Ok(Some(Self {
            system: series.system,
            kind: series.event.name(),
            takeovers: stages.len() as u64,
            stored_ns: quantiles(stages.iter().map(|stages| stages.stored_ns).collect())?,
            transmitted_ns: quantiles(stages.iter().map(|stages| stages.transmitted_ns).collect())?,
            announced_ns: quantiles(stages.iter().map(|stages| stages.announced_ns).collect())?,
            accepted_ns: quantiles(stages.iter().map(|stages| stages.accepted_ns).collect())?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use baton_tests::lab::{Fault, Host};
    use serde_json::{Value, json};

    use super::*;
    use crate::rounds::Stages;

    const CONDITIONS: Conditions = Conditions { vips: 3, stress: "busy-loops" };

    fn outcome(outage_us: u64, lost_probes: u64) -> Outcome {
        Outcome {
            outage_us,
            lost_probes,
            overlap_us: 7,
            flips: 1,
            before: Some(Host::A),
            after: Some(Host::B),
            stall_us: 60,
        }
    }

    /// A round whose new owner served 120.5 us after its decision, with two probes lost meanwhile.
    fn series(event: Event) -> Series {
        let stages = Stages {
            stored_ns: 3_000,
            transmitted_ns: 40_000,
            announced_ns: 70_000,
            accepted_ns: 120_500,
            lost_probes: 2,
        };
        let round = Round { event, victim: Host::A, outcome: outcome(500, 9), stages: Some(stages) };
        Series { system: "baton", event, rounds: vec![round] }
    }

    /// One row of every kind, as JSON.
    fn rows() -> Vec<Value> {
        let events = Fault::MEASURED.map(Event::Fault).into_iter().chain([Event::Failback]);
        let all: Vec<Series> = events.map(series).collect();
        let mut rows: Vec<Row> =
            all.iter().map(|series| Row::of(series, CONDITIONS).expect("values")).collect();
        rows.extend(Row::of_switches(&all, "baton", CONDITIONS).expect("values"));
        rows.push(Row::of_watch("baton", CONDITIONS, 20, outcome(50, 0)).expect("values"));
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
            assert_eq!(
                [&row["system"], &row["vips"], &row["stress"]],
                [&json!("baton"), &json!(3), &json!("busy-loops")]
            );
            assert!(row["rounds"].is_u64(), "{row}");
            for distribution in ["outage_us", "lost_probes", "overlap_us"] {
                let fields = row[distribution].as_object().expect("a distribution");
                assert_eq!(fields.keys().collect::<Vec<_>>(), ["max", "p50", "p90", "p99"]);
                assert!(fields.values().all(Value::is_u64), "{row}");
            }
        }
    }

    #[test]
    fn a_switch_is_what_the_new_owner_needs_and_loses() {
        let row = Row::of_switches(&[series(Event::Fault(Fault::AgentHang))], "baton", CONDITIONS);
        let row = row.expect("values").expect("stages");
        assert_eq!((row.rounds, row.outage_us.max, row.lost_probes.max, row.overlap_us.max), (1, 121, 2, 7));
    }

    #[test]
    fn a_failback_is_a_planned_move_with_a_name_of_its_own() {
        let row = Row::of(&series(Event::Failback), CONDITIONS).expect("values");
        assert_eq!((row.kind, row.event), ("planned", "failback"));
    }
}
