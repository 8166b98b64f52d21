//! The watch for false alarms: nothing befalls a pair but load, so nothing should move.

use std::time::Duration;

use anyhow::Result;
use baton::clock;
use baton_tests::lab::{Host, Lab, Outcome, Pair, Prober, analyse, pause};

use crate::flood::Flood;
use crate::machine;
use crate::row::Row;

/// The distance of the probes. Less often than elsewhere: the recording is kept in memory, and nothing is measured to the
/// microsecond.
pub const EVERY: Duration = Duration::from_micros(200);
/// How much longer than the watch a recording may be.
const SPARE: Duration = Duration::from_secs(30);

/// Watches `pair` for `span` under a flood. The busy loops are the caller's.
pub fn watch(lab: &Lab, pair: &Pair<'_>, vips: u16, span: Duration) -> Result<Row> {
    let owner = pair.settle()?;
    let takeovers_before = takeovers(lab, pair)?;
    let steal_before_us = machine::steal_us()?;
    let prober = Prober::start_every(lab, pair.probed(), EVERY, span + SPARE)?;
    let event_ns = clock::now().as_nanos();
    let flood = Flood::start(lab, pair.probed(), owner, span)?;
    pause(span)?;
    let rate = flood.finish(lab, owner)?;
    let outcome = analyse(&prober.finish()?, event_ns);
    // One that is over before the next probe is answered is seen by the agents alone.
    let flips = outcome.flips.max(takeovers(lab, pair)? - takeovers_before);
    let outcome = Outcome { flips, ..outcome };
    let seen = (outcome, machine::steal_us()? - steal_before_us);
    Row::of_watch(pair.system().name(), vips, span.as_secs(), seen, rate)
}

/// How often the routers of `pair` have become Active, by their own account; nothing where a system gives none.
fn takeovers(lab: &Lab, pair: &Pair<'_>) -> Result<u64> {
    if !pair.system().is_baton() {
        return Ok(0);
    }
    let mut sum = 0;
    for host in Host::NODES {
        sum += lab.baton_status(host)?.routers.iter().map(|router| u64::from(router.epoch)).sum::<u64>();
    }
    Ok(sum)
}
