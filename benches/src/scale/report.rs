//! What was measured, as a table and as JSON.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;

use super::cost::{NodeCost, ScaleCost};
use super::measure::{Measured, Series};
use super::plan::{Conditions, SYSTEMS};
use super::round::{EVERY, Round};
use crate::report::span;
use crate::row::Row;
use crate::series::{self, Stress};
use crate::stats::{Distribution, Quantiles};
use crate::systems::SystemRow;

/// Everything that there is to say.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The moves of all.
    pub rows: Vec<ScaleRow>,
    /// What they cost.
    pub costs: Vec<ScaleCost>,
    /// Which systems, in which version, configured how.
    pub systems: Vec<SystemRow>,
    /// What went wrong: the rounds that it cost are missing.
    pub failures: Vec<String>,
    /// What the figures mean.
    pub method: [&'static str; 5],
}

/// The moves of all virtual routers of a node in one kind of event, in the form of the failover benchmark's rows, which tell
/// of each address, and with when the first, the median and the last of them had moved.
#[derive(Clone, Debug, Serialize)]
pub struct ScaleRow {
    /// The distributions over all addresses of all rounds; `moved` counts addresses.
    #[serde(flatten)]
    pub row: Row,
    /// Under which conditions.
    #[serde(flatten)]
    pub conditions: Conditions,
    /// Distance of the probes to the same address, which no figure of it is better than.
    pub probe_interval_us: u64,
    /// Addresses that the other node did not serve before the end of the watch, of all rounds.
    pub unserved: u64,
    /// From the event to the first frame that the other node served.
    pub served_us: Course,
    /// From the event to its lease, where it says so.
    pub leases_us: Option<Course>,
    /// From its first decision to the first frame of any, where it says so.
    pub switch_us: Option<Quantiles>,
}

/// When something had happened to the first, to the median and to the last; over all rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Course {
    /// To the first.
    pub first: Quantiles,
    /// To half of them.
    pub median: Quantiles,
    /// To all.
    pub last: Quantiles,
}

const METHOD: [&str; 5] = [
    "Two nodes, a client and a switch (a bridge) for each link in network namespaces of one machine. Systems take turns; each \
     turn has a lab of its own. A link has at most 255 virtual routers, IPv4, one address each, priority 254/253.",
    "A client sends a UDP probe every 200 us, to all addresses by turns, so that one is asked each 200 us times their number: no \
     figure of an address is better than that. It knows their hardware addresses before. The service that answers listens on \
     all addresses; prober and service run with real-time priority (SCHED_FIFO 60), above every system under test.",
    "Moved, from the event: when the other node had the first probe to the first, the median and the last address. Leases: \
     when Baton's election had stored them, by its own account. Switch: from its first decision to the first frame of any. \
     An address without a frame from the other node before the end of the watch is unserved.",
    "Planned: `baton handover`, SIGTERM for keepalived. Agent death: SIGKILL; Baton's guardian is not hit, keepalived is hit \
     whole, and its node goes on answering for the addresses. Silent death: all switch ports of the node forward nothing.",
    "Cost: CPU time over 5 s without probes, in parts of one core, of the process that runs the elections and of its parent \
     (Baton's guardian, keepalived's main process); RSS and PSS at the end of that. Lateness: of Baton's election timers by \
     its own account, since its start. Start: from the first agent's start until one node owned all and the other watched.",
];

impl Report {
    /// What `measured` says.
    pub fn of(measured: &Measured) -> Result<Self> {
        Ok(Self {
            rows: measured
                .series
                .iter()
                .filter_map(|series| ScaleRow::of(series).transpose())
                .collect::<Result<_>>()?,
            costs: measured.costs.clone(),
            systems: SYSTEMS.map(system_row).to_vec(),
            failures: measured.failures.clone(),
            method: METHOD,
        })
    }

    /// The report as JSON.
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// The report for a terminal.
    pub fn text(&self) -> String {
        let mut text = String::from("\n== Moves of all virtual routers of a node, p50 / max of the rounds\n");
        let _ = writeln!(
            text,
            "{:<13} {:<11} {:<22} {:>2} | {:>17} {:>17} {:>17} | {:>8} | {:>8} | {:>17} | {:>8} | {:>7}",
            "kind",
            "system",
            "conditions",
            "n",
            "first",
            "median",
            "last",
            "unserved",
            "probes",
            "last lease",
            "switch",
            "steal"
        );
        self.rows.iter().for_each(|row| text += &line(row));
        text += "\n== Cost while nothing happens\n";
        let _ = writeln!(
            text,
            "{:<11} {:<22} {:>8} {:<7} | {:>7} {:>8} {:>8} | {:>7} {:>8} {:>8} | {:>9} {:>9} {:>9}",
            "system",
            "conditions",
            "start ms",
            "node",
            "CPU %",
            "RSS KiB",
            "PSS KiB",
            "parent",
            "RSS",
            "PSS",
            "late p50",
            "p99",
            "max us"
        );
        self.costs.iter().for_each(|cost| text += &cost_lines(cost));
        text += "\n== Method and systems\n";
        for line in self.method {
            let _ = writeln!(text, "{line}");
        }
        for row in &self.systems {
            let _ = writeln!(text, "{}: {}\n  {}", row.system, row.version, row.configuration);
        }
        if !self.failures.is_empty() {
            let _ = writeln!(text, "\n== WRONG, rounds are missing\n{}", self.failures.join("\n"));
        }
        text
    }
}

impl ScaleRow {
    /// The row of `series`, if it has rounds.
    fn of(series: &Series) -> Result<Option<Self>> {
        let Series { system, fault, conditions, rounds } = series;
        if rounds.is_empty() {
            return Ok(None);
        }
        let seen: Vec<_> = rounds
            .iter()
            .flat_map(|round| round.outcomes.iter().map(|outcome| (*outcome, round.steal_us)))
            .collect();
        let known = series::Conditions { vips: conditions.routers, stress: Stress::Idle };
        let leases: Vec<&[u64]> = rounds.iter().map(|round| &round.leases_us[..]).collect();
        let has_leases = leases.iter().any(|leases| !leases.is_empty());
        let switches: Vec<u64> = rounds.iter().filter_map(|round| round.switch_us).collect();
        Ok(Some(Self {
            row: Row::of_crowd(system, fault.name(), known, rounds.len() as u64, &seen)?,
            conditions: *conditions,
            probe_interval_us: u64::try_from(EVERY.as_micros())? * u64::from(conditions.routers),
            unserved: rounds
                .iter()
                .map(|round: &Round| (round.outcomes.len() - round.served_us.len()) as u64)
                .sum(),
            served_us: Course::of(rounds.iter().map(|round| &round.served_us[..]))?,
            leases_us: if has_leases { Some(Course::of(leases.into_iter())?) } else { None },
            switch_us: if switches.is_empty() { None } else { Some(Distribution::of(switches)?.quantiles()) },
        }))
    }
}

impl Course {
    fn of<'a>(rounds: impl Iterator<Item = &'a [u64]>) -> Result<Self> {
        let (mut first, mut median, mut last) = (Vec::new(), Vec::new(), Vec::new());
        for round in rounds.filter(|round| !round.is_empty()) {
            let mut sorted = round.to_vec();
            sorted.sort_unstable();
            first.push(sorted[0]);
            median.push(sorted[(sorted.len() - 1) / 2]);
            last.push(sorted[sorted.len() - 1]);
        }
        Ok(Self {
            first: Distribution::of(first)?.quantiles(),
            median: Distribution::of(median)?.quantiles(),
            last: Distribution::of(last)?.quantiles(),
        })
    }
}

fn line(row: &ScaleRow) -> String {
    let pair = |quantiles: Quantiles| format!("{} / {}", span(quantiles.p50), span(quantiles.max));
    let Course { first, median, last } = row.served_us;
    format!(
        "{:<13} {:<11} {:<22} {:>2} | {:>17} {:>17} {:>17} | {:>8} | {:>8} | {:>17} | {:>8} | {:>7}\n",
        row.row.kind,
        row.row.system,
        row.conditions,
        row.row.rounds,
        pair(first),
        pair(median),
        pair(last),
        row.unserved,
        span(row.probe_interval_us),
        row.leases_us.map_or_else(|| "-".to_owned(), |leases| pair(leases.last)),
        row.switch_us.map_or_else(|| "-".to_owned(), |switch| span(switch.p50)),
        span(row.row.steal_us.max),
    )
}

fn cost_lines(cost: &ScaleCost) -> String {
    let line = |name: &str, node: &NodeCost| {
        let percent = |permille: u64| format!("{}.{}", permille / 10, permille % 10);
        let late = node.lateness.map_or(["-".to_owned(), "-".to_owned(), "-".to_owned()], |lateness| {
            [lateness.p50_us, lateness.p99_us, lateness.max_us].map(|us| us.to_string())
        });
        format!(
            "{:<11} {:<22} {:>8} {name:<7} | {:>7} {:>8} {:>8} | {:>7} {:>8} {:>8} | {:>9} {:>9} {:>9}\n",
            cost.system,
            cost.conditions,
            cost.start_ms,
            percent(node.agent.cpu_permille),
            node.agent.rss_bytes / 1024,
            node.agent.pss_bytes / 1024,
            percent(node.parent.cpu_permille),
            node.parent.rss_bytes / 1024,
            node.parent.pss_bytes / 1024,
            late[0],
            late[1],
            late[2],
        )
    };
    line("Active", &cost.active) + &line("Backup", &cost.backup)
}

fn system_row(system: baton_tests::lab::System) -> SystemRow {
    let configuration = if system.is_baton() {
        "VRRPv3, priority 254/253, no preemption, S-BFD auto (fast), real-time priority 50, virtual MAC"
    } else {
        "VRRPv3, advert_int as said, priority 254/253, nopreempt, vrrp_rt_priority 50, vrrp_rlimit_rttime 10 s, -G (no syslog); \
         one vrrp_instance for each virtual router"
    };
    SystemRow { configuration, ..SystemRow::of(system) }
}

#[cfg(test)]
mod tests {
    use baton_tests::lab::{Fault, Outcome};

    use super::*;

    fn round(served_us: &[u64], leases_us: &[u64]) -> Round {
        Round {
            outcomes: vec![Outcome::default(); 3],
            served_us: served_us.to_vec(),
            leases_us: leases_us.to_vec(),
            switch_us: leases_us.first().copied(),
            steal_us: 10_000,
        }
    }

    fn report() -> Report {
        let conditions = Conditions { routers: 3, interval_ms: 100 };
        let series = |system, rounds| Series { system, fault: Fault::SilentDeath, conditions, rounds };
        let measured = Measured {
            series: vec![
                series("baton", vec![round(&[900, 700, 800], &[300, 200]), round(&[500, 600, 1700], &[400])]),
                series("keepalived", vec![round(&[500_000, 400_000], &[])]),
                series("frr", Vec::new()),
            ],
            ..Measured::default()
        };
        Report::of(&measured).expect("values")
    }

    #[test]
    fn a_course_is_told_by_its_first_its_median_and_its_last() {
        let rows = report().rows;
        assert_eq!(rows.len(), 2);
        let Course { first, median, last } = rows[0].served_us;
        assert_eq!([first.p50, median.p50, last.p50], [500, 600, 900]);
        assert_eq!([first.max, median.max, last.max], [700, 800, 1700]);
        assert_eq!([rows[0].unserved, rows[1].unserved], [0, 1]);
        assert_eq!(rows[0].leases_us.map(|leases| leases.last.max), Some(400));
        assert_eq!((rows[1].leases_us, rows[1].switch_us), (None, None));
    }

    #[test]
    fn a_row_has_what_those_of_the_failover_benchmark_have() {
        let value: serde_json::Value = serde_json::from_str(&report().json().expect("JSON")).expect("JSON");
        let row = &value["rows"][0];
        for field in ["outage_us", "lost_probes", "overlap_us", "prober_stall_us", "steal_us"] {
            assert!(row[field]["p99"].is_u64(), "{row}");
        }
        assert_eq!(
            (&row["kind"], &row["vips"], &row["routers"], &row["rounds"]),
            (&"silent-death".into(), &3.into(), &3.into(), &2.into())
        );
    }
}
