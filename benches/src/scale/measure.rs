//! Carrying out a plan: one lab for each set of conditions, and on it the systems in alternation.

use std::time::Instant;

use anyhow::{Context as _, Result};
use baton_tests::lab::{
    Crowd, Echo, Fault, Host, Lab, Link, Member, Settings, System, check_interrupted, leftovers,
};

use super::cost::{self, ScaleCost};
use super::plan::{Conditions, Plan, SYSTEMS};
use super::round::{self, Round};
use crate::pace::Pace;

/// What came of a plan.
#[derive(Debug, Default)]
pub struct Measured {
    /// The rounds of each kind, system and set of conditions.
    pub(super) series: Vec<Series>,
    /// What the systems cost, once for each set of conditions.
    pub(super) costs: Vec<ScaleCost>,
    /// What went wrong; the rest of that turn is missing.
    pub failures: Vec<String>,
}

/// All rounds of one kind on one system.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) system: &'static str,
    pub(super) fault: Fault,
    pub(super) conditions: Conditions,
    pub(super) rounds: Vec<Round>,
}

/// Carries out `plan` and puts what comes of it into `measured`, also when it is interrupted.
pub fn measure(plan: &Plan, measured: &mut Measured) -> Result<()> {
    let mut pace = Pace::begin(plan.estimate());
    for conditions in plan.conditions() {
        for turn in 1..=plan.turns {
            for system in SYSTEMS {
                let told = match measured.turn(plan, system, conditions) {
                    Ok(told) => told,
                    Err(error) => {
                        check_interrupted()?;
                        measured.failures.push(format!("{}, {conditions}: {error:#}", system.name()));
                        format!("{error:#}")
                    }
                };
                let far = pace.done(plan.turn_estimate(conditions));
                eprintln!("{far} {conditions}, turn {turn}: {}: {told}", system.name());
            }
        }
    }
    Ok(())
}

impl Measured {
    /// The turn of one system on a lab of its own; tells until when all were served.
    fn turn(&mut self, plan: &Plan, system: System, conditions: Conditions) -> Result<String> {
        let lab = Lab::up()?;
        let id = lab.id().to_owned();
        let told = self.turn_on(&lab, plan, system, conditions);
        drop(lab);
        let left = leftovers(&id);
        if !left.is_empty() {
            self.failures.push(format!("left behind: {}", left.join(", ")));
        }
        told
    }

    fn turn_on(&mut self, lab: &Lab, plan: &Plan, system: System, conditions: Conditions) -> Result<String> {
        let members = Member::spread(conditions.routers)?;
        let used = |link: &Link| members.iter().any(|member| member.link == *link);
        for link in Link::ALL.into_iter().filter(|link| *link != Link::FIRST && used(link)) {
            lab.add_link(link)?;
        }
        let anywhere = std::net::Ipv4Addr::UNSPECIFIED;
        let _services = [Echo::start(lab, Host::A, anywhere)?, Echo::start(lab, Host::B, anywhere)?];
        let begun = Instant::now();
        let settings = Settings { interval_ms: conditions.interval_ms, ..Settings::USUAL };
        let mut crowd = Crowd::start(lab, system, settings, members)?;
        let start = begun.elapsed();
        let mut told = format!("started in {} ms", start.as_millis());
        if !self.costs.iter().any(|cost| (cost.system, cost.conditions) == (system.name(), conditions)) {
            self.costs.push(cost::measure(lab, &crowd, conditions, start)?);
        }
        for fault in &plan.faults {
            let round = round::run(lab, &mut crowd, *fault).context(fault.name())?;
            let (served, all) = (round.served_us.len(), round.outcomes.len());
            let last = round.served_us.iter().max().map_or(0, |last| last / 1000);
            told += &format!("; {}: {served} of {all} moved, the last after {last} ms", fault.name());
            self.series_of(system, *fault, conditions).push(round);
        }
        crowd.stop()?;
        Ok(told)
    }

    fn series_of(&mut self, system: System, fault: Fault, conditions: Conditions) -> &mut Vec<Round> {
        let system = system.name();
        let found = self.series.iter().position(|series| {
            (series.system, series.fault, series.conditions) == (system, fault, conditions)
        });
        let at = found.unwrap_or_else(|| {
            self.series.push(Series { system, fault, conditions, rounds: Vec::new() });
            self.series.len() - 1
        });
        &mut self.series[at].rounds
    }
}
