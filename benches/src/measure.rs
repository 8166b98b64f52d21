//! Carrying out a plan: one set of conditions after the other, and under each the systems in alternation.

use anyhow::{Context as _, Result};
use baton_tests::lab::{Echo, Fault, Host, Lab, Pair, Process, System, check_interrupted, leftovers, vips};
use serde::Serialize;

use crate::cost::{self, Cost};
use crate::pace::Pace;
use crate::plan::{COST, Plan};
use crate::rounds::{self, Event, Round};
use crate::row::{FALSE_ALARM, Row};
use crate::series::{Conditions, Series, Stress};
use crate::stats::Distribution;
use crate::watch::watch;

/// What came of a plan.
#[derive(Debug, Default)]
pub struct Measured {
    /// One for each kind of fault, system and set of conditions.
    pub series: Vec<Series>,
    /// The watches for false alarms.
    pub alarms: Vec<Row>,
    /// What the systems cost while nothing happens.
    pub costs: Vec<Cost>,
    /// Which systems could not do what.
    pub absences: Vec<Absence>,
    /// What went wrong otherwise; the rounds of that turn are missing.
    pub failures: Vec<String>,
}

/// A system that has no rows under some conditions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Absence {
    /// The system's name.
    pub system: &'static str,
    /// Under which conditions.
    #[serde(flatten)]
    pub conditions: Conditions,
    /// Why it did not start.
    pub reason: String,
}

/// A lab with the services that are probed, and the load.
struct Site {
    _services: [Echo; 2],
    _load: Vec<Process>,
    lab: Lab,
}

/// Carries out `plan` and puts what comes of it into `measured`, also when it is interrupted.
pub fn measure(plan: &Plan, measured: &mut Measured) -> Result<()> {
    let mut pace = Pace::begin(plan.estimate());
    for conditions in plan.conditions() {
        let mut site = Site::build(conditions)?;
        for turn in 0..plan.turns() {
            for system in &plan.systems {
                let estimate = plan.turn_estimate(*system, conditions.vips, turn);
                if !measured.can(*system, conditions) || plan.share(*system, turn).is_empty() {
                    pace.done(estimate);
                    continue;
                }
                let told = match measured.turn(plan, &site.lab, *system, conditions, turn) {
                    Ok(told) => told,
                    Err(error) => {
                        check_interrupted()?;
                        site = Site::build(conditions)?;
                        measured.note_failure(*system, conditions, &error)
                    }
                };
                eprintln!("{} {conditions}: {told}", pace.done(estimate));
            }
        }
        measured.failures.extend(site.end());
    }
    if let Some(span) = plan.false_alarm {
        for system in &plan.systems {
            let vips = plan.vips[0];
            let site = Site::build(Conditions { vips, stress: Stress::BusyAndFlood })?;
            let told = match false_alarm(&site.lab, *system, vips, span) {
                Ok(row) => {
                    let told = format!("{} role changes", row.role_changes);
                    measured.alarms.push(row);
                    told
                }
                Err(error) => {
                    check_interrupted()?;
                    measured.failures.push(format!("{}, {FALSE_ALARM}: {error:#}", system.name()));
                    format!("{error:#}")
                }
            };
            eprintln!("{} {FALSE_ALARM}: {}: {told}", pace.done(plan.watch_estimate()), system.name());
            measured.failures.extend(site.end());
        }
    }
    Ok(())
}

fn false_alarm(lab: &Lab, system: System, vips: u16, span: std::time::Duration) -> Result<Row> {
    let pair = Pair::start(lab, system, vips)?;
    let row = watch(lab, &pair, vips, span)?;
    pair.stop()?;
    Ok(row)
}

impl Site {
    /// The flood is the watch's.
    fn build(conditions: Conditions) -> Result<Self> {
        let lab = Lab::up()?;
        let probed = vips(conditions.vips).pop().context("at least one address")?;
        let services = [Echo::start(&lab, Host::A, probed)?, Echo::start(&lab, Host::B, probed)?];
        let load = match conditions.stress {
            Stress::Idle => Vec::new(),
            Stress::Busy | Stress::BusyAndFlood => rounds::busy_loops(&lab)?,
        };
        Ok(Self { _services: services, _load: load, lab })
    }

    /// Removes it, and tells what is left nevertheless.
    fn end(self) -> Option<String> {
        let id = self.lab.id().to_owned();
        drop(self);
        let left = leftovers(&id);
        (!left.is_empty()).then(|| format!("left behind: {}", left.join(", ")))
    }
}

impl Measured {
    /// Whether nothing is known against `system` under `conditions`.
    fn can(&self, system: System, conditions: Conditions) -> bool {
        let same = |absence: &Absence| (absence.system, absence.conditions) == (system.name(), conditions);
        !self.absences.iter().any(same)
    }

    /// The turn of one system; tells the medians of its outages.
    fn turn(
        &mut self,
        plan: &Plan,
        lab: &Lab,
        system: System,
        conditions: Conditions,
        turn: usize,
    ) -> Result<String> {
        let share = plan.share(system, turn);
        let mut pair = Pair::start(lab, system, conditions.vips)?;
        if conditions.stress == Stress::Idle && !self.costs.iter().any(|cost| cost.system == system.name()) {
            self.costs.push(cost::measure(&pair, COST)?);
        }
        let mut told = format!("{}, rounds {} to {}, p50 in us:", system.name(), share.start + 1, share.end);
        for fault in &plan.faults {
            let rounds = self.series_of(system, *fault, conditions);
            let first = rounds.len();
            for number in share.clone() {
                let event = Event::Fault(*fault);
                rounds::prepare(&mut pair, event)?;
                rounds.push(rounds::run(lab, &mut pair, event, number).context(fault.name())?);
            }
            let outages = rounds[first..].iter().map(|round| round.outcome.outage_us);
            told += &format!(" {} {}", fault.name(), Distribution::of(outages)?.quantiles().p50);
        }
        pair.stop()?;
        Ok(told)
    }

    fn series_of(&mut self, system: System, fault: Fault, conditions: Conditions) -> &mut Vec<Round> {
        let (system, event) = (system.name(), Event::Fault(fault));
        let found = self.series.iter().position(|series| {
            (series.system, series.event, series.conditions) == (system, event, conditions)
        });
        let at = found.unwrap_or_else(|| {
            self.series.push(Series { system, event, conditions, rounds: Vec::new() });
            self.series.len() - 1
        });
        &mut self.series[at].rounds
    }

    /// Notes what went wrong. A system without any round under these conditions is taken for one that cannot meet them.
    fn note_failure(&mut self, system: System, conditions: Conditions, error: &anyhow::Error) -> String {
        let system = system.name();
        let reason = format!("{error:#}");
        let told = format!("{system}: {reason}");
        let has_rounds = |series: &Series| {
            (series.system, series.conditions) == (system, conditions) && !series.rounds.is_empty()
        };
        if self.series.iter().any(has_rounds) {
            self.failures.push(format!("{system}, {conditions}: {reason}"));
        } else {
            self.series.retain(|series| (series.system, series.conditions) != (system, conditions));
            self.absences.push(Absence { system, conditions, reason });
        }
        told
    }
}
