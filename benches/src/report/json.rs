//! The report itself, which is also its JSON.

use std::cmp::Reverse;
use std::process::Command;

use anyhow::Result;
use baton_tests::lab::{Prober, output};
use serde::Serialize;

use crate::cost::Cost;
use crate::measure::{Absence, Measured};
use crate::plan::Plan;
use crate::row::{Row, StageRow};
use crate::series::{RoundRow, Series};
use crate::systems::SystemRow;
use crate::watch;

/// Everything that there is to say.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The distributions.
    pub rows: Vec<Row>,
    /// The stages of the takeovers.
    pub stages: Vec<StageRow>,
    /// Which systems, in which version, configured how.
    pub systems: Vec<SystemRow>,
    /// Systems without rows.
    pub absences: Vec<Absence>,
    /// What went wrong: the rounds that it cost are missing.
    pub failures: Vec<String>,
    /// What the systems cost while nothing happens.
    pub costs: Vec<Cost>,
    /// How it was measured.
    pub meta: Meta,
    /// Every round.
    pub rounds: Vec<RoundRow>,
}

/// How it was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Meta {
    /// What the figures mean.
    pub method: [&'static str; 8],
    /// Distance of the probes.
    pub probe_interval_us: u128,
    /// Distance of the probes in a watch for false alarms.
    pub false_alarm_probe_interval_us: u128,
    /// The kernel's release.
    pub kernel: String,
    /// How many CPUs.
    pub cpus: usize,
    /// Baton's rounds of each kind.
    pub rounds: usize,
    /// The span of a watch for false alarms.
    pub false_alarm_seconds: u64,
}

const METHOD: [&str; 8] = [
    "Two nodes, a client and a switch (a bridge) in network namespaces of one machine. Systems take turns, so that all meet \
     the same weather; within a turn, events are spread evenly over the time between two adverts.",
    "A client sends a UDP probe every 50 us to the last VIP of the list, and a broadcast ARP request every 250 us. Prober and \
     the service that answers run with real-time priority (SCHED_FIFO 60), above every system under test.",
    "Outage: the largest distance in send time between two answered probes with a lost one between; 50 us, the distance of \
     the probes, if none was lost.",
    "Overlap, a proven lower bound: from the new owner's first answer, to UDP or to broadcast ARP, to the sending of the last \
     question that the old owner answered. Where it goes on to the end of the watch, the failure was not dealt with. Where the \
     VIP went to and fro meanwhile (more role changes than rounds) it proves nothing.",
    "Switch: the takeovers of all other kinds as the new owner sees them, from its decision to the first VIP frame at the \
     service; lost are the probes of that time, the overlap is the round's.",
    "Planned: `baton handover`, SIGTERM for the others. Agent hang and death: SIGSTOP and SIGKILL; Baton's guardian is not \
     hit, keepalived and vrrpd are hit whole. Silent death: the switch's port forwards nothing, the carrier stays.",
    "Steal: what the hypervisor took from all CPUs during a round, from /proc/stat in steps of 10 ms. Stall: the longest time \
     that the prober itself could not look. Outliers are rounds above the p99 of their series or above twice the p50, and those that a false alarm came before.",
    "Busy: an ordinary busy loop for each CPU. False alarm: the same and a flood of datagrams to the VIP, let in at the \
     switch's port of the client as fast as one CPU can, for one round of so many seconds.",
];

impl Report {
    /// What `measured` says, in the order of `plan`.
    pub fn of(plan: &Plan, measured: &Measured) -> Result<Self> {
        let Measured { series: all, alarms, costs, absences, failures } = measured;
        let (mut rows, mut stages, mut rounds) = (Vec::new(), Vec::new(), Vec::new());
        for conditions in plan.conditions() {
            for series in in_order(plan, all).filter(|series| series.conditions == conditions) {
                rows.push(Row::of(series)?);
                stages.extend(StageRow::of(series)?);
                rounds.extend(series.round_rows()?);
            }
            for system in &plan.systems {
                rows.extend(Row::of_switches(all, system.name(), conditions)?);
            }
        }
        rows.extend(alarms.iter().cloned());
        Ok(Self {
            rows,
            stages,
            systems: plan.systems.iter().map(|system| SystemRow::of(*system)).collect(),
            absences: absences.clone(),
            failures: failures.clone(),
            costs: costs.clone(),
            meta: meta(plan)?,
            rounds,
        })
    }

    /// The rounds that stand out, the longest outage first.
    pub(super) fn outliers(&self) -> Vec<&RoundRow> {
        let mut found: Vec<&RoundRow> = self.rounds.iter().filter(|round| round.outlier).collect();
        found.sort_by_key(|round| Reverse(round.outage_us));
        found
    }

    /// The report as JSON.
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

/// The series that have rounds: by kind of fault, then by system.
fn in_order<'a>(plan: &'a Plan, all: &'a [Series]) -> impl Iterator<Item = &'a Series> {
    let names =
        plan.faults.iter().flat_map(|fault| plan.systems.iter().map(|system| (fault.name(), system.name())));
    names.flat_map(|name| {
        all.iter()
            .filter(move |series| (series.event.name(), series.system) == name && !series.rounds.is_empty())
    })
}

/// The kernel's release.
pub(crate) fn kernel() -> Result<String> {
    Ok(output(Command::new("uname").arg("-r"))?.trim().to_owned())
}

fn meta(plan: &Plan) -> Result<Meta> {
    Ok(Meta {
        method: METHOD,
        probe_interval_us: Prober::EVERY.as_micros(),
        false_alarm_probe_interval_us: watch::EVERY.as_micros(),
        kernel: kernel()?,
        cpus: std::thread::available_parallelism()?.get(),
        rounds: plan.rounds,
        false_alarm_seconds: plan.false_alarm.map_or(0, |span| span.as_secs()),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use baton_tests::lab::{Fault, System};

    use super::*;
    use crate::flood::FloodRate;
    use crate::rounds::Event;
    use crate::series::Stress;
    use crate::series::tests::{CONDITIONS, outcome, series};

    /// A report of a silent death: Baton in 0.5 ms, keepalived in 25 ms, and a hang that keepalived does not deal with.
    pub(in crate::report) fn report() -> Report {
        let plan = Plan {
            rounds: 3,
            faults: vec![Fault::AgentHang, Fault::SilentDeath],
            systems: System::ALL.to_vec(),
            vips: vec![3],
            stress: vec![Stress::Busy],
            false_alarm: Some(Duration::from_secs(20)),
        };
        let (hang, silent) = (Event::Fault(Fault::AgentHang), Event::Fault(Fault::SilentDeath));
        let mut unfenced = series("keepalived", hang, &[50]);
        unfenced.rounds[0].outcome.overlap_us = 274_000;
        unfenced.rounds[0].stages = None;
        let mut slow = series("keepalived", silent, &[25_000]);
        slow.rounds[0].stages = None;
        let flood = FloodRate { sent_per_second: 900_000, received_per_second: 800_000 };
        let measured = Measured {
            series: vec![
                slow,
                series("baton", silent, &[490, 500, 2000]),
                unfenced,
                series("baton", hang, &[100]),
            ],
            alarms: vec![Row::of_watch("baton", 3, 20, (outcome(200, 0), 0), flood).expect("values")],
            costs: Vec::new(),
            absences: vec![Absence {
                system: "frr",
                conditions: CONDITIONS,
                reason: "no <macvlan> & no \"zebra\"".to_owned(),
            }],
            failures: vec!["keepalived: it broke".to_owned()],
        };
        Report::of(&plan, &measured).expect("values")
    }

    #[test]
    fn rows_stand_in_the_order_of_the_plan() {
        let told: Vec<_> = report().rows.iter().map(|row| (row.kind, row.system)).collect();
        assert_eq!(
            told,
            [
                ("agent-hang", "baton"),
                ("agent-hang", "keepalived"),
                ("silent-death", "baton"),
                ("silent-death", "keepalived"),
                ("switch", "baton"),
                ("false-alarm", "baton")
            ]
        );
    }

    #[test]
    fn every_round_is_in_the_json() {
        let value: serde_json::Value = serde_json::from_str(&report().json().expect("JSON")).expect("JSON");
        let rounds = value["rounds"].as_array().expect("rounds");
        assert_eq!(rounds.len(), 6);
        assert_eq!(rounds.iter().filter(|round| round["outlier"] == true).count(), 1);
        assert_eq!(value["systems"].as_array().expect("systems").len(), System::ALL.len());
    }
}
