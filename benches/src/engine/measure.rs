//! Carrying out a plan: rounds, and in each every system once, so that all meet the same weather on the machine.

use std::time::Duration;

use anyhow::{Context as _, Result};
use baton_tests::lab::{check_interrupted, leftovers};

use super::baton::Setup;
use super::connections::{self, Requests};
use super::plan::{Conditions, Plan, USUAL, room};
use super::programs::Traffic;
use super::sample::{self, Sample};
use super::site::Site;
use super::system::{Running, System};
use crate::machine;
use crate::pace::Pace;

/// Latency is measured at this part of what the system forwarded of as much as could be made.
const LOAD: f64 = 0.5;
/// Flows while it is.
pub(super) const TIMED_FLOWS: u32 = 1_000;

/// What came of a plan.
#[derive(Debug, Default)]
pub struct Measured {
    pub(super) series: Vec<Series>,
    pub(super) times: Vec<Times>,
    pub(super) requests: Vec<Requests>,
    /// What went wrong; the rest of that turn is missing.
    pub failures: Vec<String>,
    /// What the hypervisor took from the machine meanwhile.
    pub(super) steal_us: u64,
}

/// All samples of a system under the same conditions.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) system: System,
    pub(super) conditions: Conditions,
    /// Each with the number of its round.
    pub(super) samples: Vec<(u32, Sample)>,
}

/// How long the frames of a system were on their way.
#[derive(Debug)]
pub(super) struct Times {
    pub(super) system: System,
    /// Frames per second, of each round.
    pub(super) load: Vec<f64>,
    /// Nanoseconds, and how many frames took so long.
    pub(super) counts: Vec<(u64, u64)>,
}

/// Carries out `plan` and puts what comes of it into `measured`, also when it is interrupted.
pub fn measure(plan: &Plan, measured: &mut Measured) -> Result<()> {
    let steal = machine::steal_us()?;
    let mut pace = Pace::begin(plan.estimate());
    let result = (1..=plan.rounds).try_for_each(|round| {
        measured.frames(plan, round)?;
        eprintln!("{} round {round}: frames", pace.done(plan.round_estimate()));
        if let Some(span) = plan.connections {
            measured.connections(span)?;
            eprintln!("{} round {round}: connections", pace.done(plan.connections_estimate()));
        }
        Ok(())
    });
    measured.steal_us = machine::steal_us()? - steal;
    result
}

impl Measured {
    /// One round of frames, on a site of its own.
    fn frames(&mut self, plan: &Plan, round: u32) -> Result<()> {
        let site = Site::build()?;
        let id = site.lab.id().to_owned();
        for &system in &plan.systems {
            for all in plan.turns(system) {
                let told = self.turn(&site, round, system, &all, plan.span);
                self.note(system, told)?;
            }
        }
        for (system, conditions) in plan.setups() {
            let told = self.turn(&site, round, system, &[conditions], plan.span);
            self.note(system, told)?;
        }
        drop(site);
        let left = leftovers(&id);
        if !left.is_empty() {
            self.failures.push(format!("left behind: {}", left.join(", ")));
        }
        Ok(())
    }

    /// Says what came of a turn, and fails if somebody has interrupted it.
    fn note(&mut self, system: System, told: Result<String>) -> Result<()> {
        let told = told.unwrap_or_else(|error| {
            self.failures.push(format!("{}: {error:#}", system.name()));
            format!("{error:#}")
        });
        eprintln!("  {}: {told}", system.name());
        check_interrupted()
    }

    /// One system under some conditions, which differ in frames and flows only.
    fn turn(
        &mut self,
        site: &Site,
        round: u32,
        system: System,
        all: &[Conditions],
        span: Duration,
    ) -> Result<String> {
        let Conditions { services, backends, forward, .. } = all.first().copied().unwrap_or(USUAL);
        let flows = room(all.iter().map(|conditions| conditions.flows).max().unwrap_or(1));
        let setup = Setup { services, backends, forward, flows };
        let running = Running::start(site, system, setup).context("start")?;
        let mut told = Vec::new();
        for conditions in all {
            let Conditions { frame, flows, services, .. } = *conditions;
            let traffic = Traffic { frame, flows, services, interval_ns: 0 };
            let rate = sample::warm(site, system, &running, traffic)?;
            // Nobody makes as many in a minute.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "below 2^32, as said"
            )]
            let frames = (rate * span.as_secs_f64()) as u32;
            let sample = sample::take(site, &running, traffic, frames)?;
            told.push(format!("{flows} flows {:.0} ns", sample.cost_ns()));
            self.series_of(system, *conditions).push((round, sample));
            if *conditions == USUAL {
                self.take_times(site, system, &running, sample.forwarded * LOAD)?;
            }
        }
        running.stop(site).context("stop")?;
        Ok(told.join(", "))
    }

    /// How long frames are on their way when so many are sent in a second.
    fn take_times(&mut self, site: &Site, system: System, running: &Running, load: f64) -> Result<()> {
        let interval_ns = (1e9 / load.max(1.0)).round();
        // At least a frame in two seconds, so it is a small number.
        #[expect(clippy::cast_possible_truncation, reason = "below 2^31, as said")]
        let traffic =
            Traffic { flows: TIMED_FLOWS, frame: USUAL.frame, services: 1, interval_ns: interval_ns as i32 };
        sample::warm(site, system, running, Traffic { interval_ns: 0, ..traffic })?;
        let (counts, rate) = sample::times(site, traffic)?;
        let found = self.times.iter().position(|times| times.system == system);
        let at = found.unwrap_or_else(|| {
            self.times.push(Times { system, load: Vec::new(), counts: Vec::new() });
            self.times.len() - 1
        });
        let times = &mut self.times[at];
        times.load.push(rate);
        times.counts.extend(counts);
        Ok(())
    }

    /// One round of connections.
    fn connections(&mut self, span: Duration) -> Result<()> {
        match connections::measure(span, &mut self.requests) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.failures.push(format!("connections: {error:#}"));
                check_interrupted()
            }
        }
    }

    fn series_of(&mut self, system: System, conditions: Conditions) -> &mut Vec<(u32, Sample)> {
        let same = |series: &Series| (series.system, series.conditions) == (system, conditions);
        let found = self.series.iter().position(same);
        let at = found.unwrap_or_else(|| {
            self.series.push(Series { system, conditions, samples: Vec::new() });
            self.series.len() - 1
        });
        &mut self.series[at].samples
    }
}
