//! How often a test repeats itself. `cargo xtask test --deep` sets the variables.

use std::env;
use std::io::{Write as _, stderr};

use anyhow::{Context as _, Result};

/// How often a test of the lab repeats what it does.
const REPETITIONS: &str = "BATON_REPETITIONS";
/// How often it is said how far a run has come that takes long.
const PARTS: u64 = 10;

/// Does `round` `usual` times, or as often as this run asks for, and counts aloud then. It is given its number.
pub fn repeat(what: &str, usual: u64, mut round: impl FnMut(u64) -> Result<()>) -> Result<()> {
    let asked = number(REPETITIONS);
    let rounds = asked.unwrap_or(usual);
    for number in 1..=rounds {
        round(number).with_context(|| format!("{what}, round {number} of {rounds}"))?;
        if asked.is_some() {
            tell_progress(what, number, rounds);
        }
    }
    Ok(())
}

/// Says that `done` of `all` rounds are done, ten times in all.
pub fn tell_progress(what: &str, done: u64, all: u64) {
    if done * PARTS / all > (done - 1) * PARTS / all {
        // Past the test harness, which keeps the output of tests that pass to itself.
        let _ = writeln!(stderr(), "    {what}: {done} of {all}");
    }
}

/// The number in an environment variable, if that is set.
///
/// # Panics
///
/// It is no number.
pub fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}
