//! The rounds of one event on one system under one set of conditions.

use std::fmt::{self, Display, Formatter};

use anyhow::Result;
use serde::Serialize;

use crate::rounds::{Event, Round};
use crate::stats::Distribution;

/// What else the machine has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Stress {
    /// Nothing.
    #[serde(rename = "idle")]
    Idle,
    /// An ordinary busy loop for each CPU.
    #[serde(rename = "busy")]
    Busy,
    /// The same, and the owner of the VIP is flooded with datagrams: the watch for false alarms.
    #[serde(rename = "busy+flood")]
    BusyAndFlood,
}

impl Stress {
    /// Those under which failures are measured.
    pub const MEASURED: [Self; 2] = [Self::Idle, Self::Busy];

    /// The name in reports and on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::BusyAndFlood => "busy+flood",
        }
    }
}

/// Under which conditions it was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Conditions {
    /// How many addresses could move.
    pub vips: u16,
    /// What else the machine had to do.
    pub stress: Stress,
}

impl Display for Conditions {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.pad(&format!("{} VIP, {}", self.vips, self.stress.name()))
    }
}

/// All rounds of one event on one system.
#[derive(Clone, Debug)]
pub struct Series {
    /// The system's name.
    pub system: &'static str,
    /// What happened in each round.
    pub event: Event,
    /// Under which conditions.
    pub conditions: Conditions,
    /// What came of it.
    pub rounds: Vec<Round>,
}

/// One round for the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RoundRow {
    /// The system's name.
    pub system: &'static str,
    /// What happened.
    pub event: &'static str,
    /// Under which conditions.
    #[serde(flatten)]
    pub conditions: Conditions,
    /// Its number, from 1.
    pub round: usize,
    /// The client's outage.
    pub outage_us: u64,
    /// Probes without an answer.
    pub lost_probes: u64,
    /// How long both nodes answered.
    pub overlap_us: u64,
    /// The longest time that the prober itself could not look.
    pub prober_stall_us: u64,
    /// What the hypervisor took from the machine meanwhile.
    pub steal_us: u64,
    /// Whether the VIP moved before anything had happened: a false alarm, after which the other figures mean little.
    pub moved_early: bool,
    /// Whether it did, or the outage is above the p99 of its series, or above twice the p50.
    pub outlier: bool,
}

impl Series {
    /// The outages of all rounds.
    pub fn outages_us(&self) -> impl Iterator<Item = u64> {
        self.rounds.iter().map(|round| round.outcome.outage_us)
    }

    /// A row for each round.
    pub fn round_rows(&self) -> Result<Vec<RoundRow>> {
        let quantiles = Distribution::of(self.outages_us())?.quantiles();
        let row = |(round, number): (&Round, usize)| RoundRow {
            system: self.system,
            event: self.event.name(),
            conditions: self.conditions,
            round: number,
            outage_us: round.outcome.outage_us,
            lost_probes: round.outcome.lost_probes,
            overlap_us: round.outcome.overlap_us,
            prober_stall_us: round.outcome.stall_us,
            steal_us: round.steal_us,
            moved_early: round.moved_early(),
            outlier: round.moved_early() || round.outcome.outage_us > quantiles.p99.min(2 * quantiles.p50),
        };
        Ok(self.rounds.iter().zip(1..).map(row).collect())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use baton_tests::lab::{Fault, Host, Outcome};

    use super::*;
    use crate::rounds::Stages;

    pub(crate) const CONDITIONS: Conditions = Conditions { vips: 3, stress: Stress::Busy };

    pub(crate) fn outcome(outage_us: u64, lost_probes: u64) -> Outcome {
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
    pub(crate) fn round(event: Event, outage_us: u64) -> Round {
        let stages = Stages {
            heard_ns: 4_000_000,
            silent_ns: 350_000,
            has_gap: event == Event::Fault(Fault::SilentDeath),
            stored_ns: 3_000,
            transmitted_ns: 40_000,
            announced_ns: 70_000,
            accepted_ns: 120_500,
            lost_probes: 2,
        };
        Round {
            event,
            victim: Host::A,
            outcome: outcome(outage_us, 9),
            stages: Some(stages),
            steal_us: 10_000,
        }
    }

    pub(crate) fn series(system: &'static str, event: Event, outages_us: &[u64]) -> Series {
        let rounds = outages_us.iter().map(|outage_us| round(event, *outage_us)).collect();
        Series { system, event, conditions: CONDITIONS, rounds }
    }

    #[test]
    fn a_round_above_twice_the_median_is_an_outlier() {
        let series = series("baton", Event::Fault(Fault::SilentDeath), &[500, 500, 510, 1000, 1100]);
        let rows = series.round_rows().expect("values");
        let outliers: Vec<_> = rows.iter().filter(|row| row.outlier).collect();
        assert_eq!(outliers.len(), 1);
        assert_eq!(
            (outliers[0].round, outliers[0].outage_us, outliers[0].steal_us, outliers[0].prober_stall_us),
            (5, 1100, 10_000, 60)
        );
    }

    #[test]
    fn a_round_that_a_false_alarm_came_before_is_an_outlier() {
        let mut series = series("baton", Event::Fault(Fault::SilentDeath), &[500, 500]);
        series.rounds[1].victim = Host::B;
        let told: Vec<_> = series.round_rows().expect("values").iter().map(|row| row.outlier).collect();
        assert_eq!(told, [false, true]);
    }

    #[test]
    fn a_round_above_the_p99_is_an_outlier() {
        let mut outages = vec![500; 199];
        outages.push(501);
        let rows = series("baton", Event::Fault(Fault::SilentDeath), &outages).round_rows().expect("values");
        assert_eq!(rows.iter().filter(|row| row.outlier).map(|row| row.round).collect::<Vec<_>>(), [200]);
    }
}
