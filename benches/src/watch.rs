//! The watch for false alarms: nothing befalls a pair but load, so nothing should move.

use std::time::Duration;

use anyhow::Result;
use baton::clock;
use baton_tests::lab::{Lab, Pair, Prober, analyse, pause};

use crate::flood::Flood;
use crate::machine;
use crate::row::Row;
use crate::series::Conditions;

/// The distance of the probes. Less often than elsewhere: the recording is kept in memory, and nothing is measured to the
/// microsecond.
pub const EVERY: Duration = Duration::from_micros(200);
/// What else the machine has to do.
pub const STRESS: &str = "busy+flood";
/// How much longer than the watch a recording may be.
const SPARE: Duration = Duration::from_secs(30);

/// Watches `pair` for `span` under a flood. The busy loops are the caller's.
pub fn watch(lab: &Lab, pair: &Pair<'_>, vips: u16, span: Duration) -> Result<Row> {
    let owner = pair.settle()?;
    let steal_before_us = machine::steal_us()?;
    let prober = Prober::start_every(lab, pair.probed(), EVERY, span + SPARE)?;
    let event_ns = clock::now().as_nanos();
    let flood = Flood::start(lab, pair.probed(), owner, span)?;
    pause(span)?;
    let rate = flood.finish(lab, owner)?;
    let outcome = analyse(&prober.finish()?, event_ns);
    let seen = (outcome, machine::steal_us()? - steal_before_us);
    Row::of_watch(pair.system().name(), Conditions { vips, stress: STRESS }, span.as_secs(), seen, rate)
}
