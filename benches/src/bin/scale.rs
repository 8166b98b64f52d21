//! The scale benchmark: many virtual routers under one agent, beside keepalived with as many, in alternation.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use baton_benches::cli::{check_names, conclude, is_wanted, write};
use baton_benches::pace::in_words;
use baton_benches::scale::{FAULTS, Measured, Plan, Report, measure};
use baton_tests::lab::{Fault, catch_signals};
use clap::Parser;

/// The most that the links of a lab have identifiers for.
const MOST: u16 = 1020;

/// Measures what many virtual routers under one agent cost, and how long it takes until all of them have moved.
#[derive(Debug, Parser)]
struct Arguments {
    /// Less of everything, in less than four minutes: one turn, 100 ms, no agent death.
    #[arg(long)]
    quick: bool,
    /// How many virtual routers one agent has.
    #[arg(long, value_delimiter = ',', default_value = "1,16,255,1000")]
    routers: Vec<u16>,
    /// Advertisement intervals in milliseconds, multiples of 10 [default: 100,1000, quick: 100].
    #[arg(long, value_delimiter = ',')]
    intervals: Vec<u16>,
    /// Which kinds: planned, agent-death, silent-death [default: all, quick: planned,silent-death].
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<String>,
    /// Turns of each system, with a round of each kind [default: 2, quick: 1].
    #[arg(long)]
    turns: Option<usize>,
    /// Where to write the rows.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let plan = plan(&arguments)?;
    catch_signals()?;
    println!(
        "{} set(s) of conditions, baton and keepalived by turns; this takes about {}",
        plan.conditions().len(),
        in_words(plan.estimate())
    );
    let mut measured = Measured::default();
    let result = measure(&plan, &mut measured);
    let report = Report::of(&measured)?;
    println!("{}", report.text());
    write(arguments.json.as_deref(), &report.json()?)?;
    conclude(result, &measured.failures)
}

fn plan(arguments: &Arguments) -> Result<Plan> {
    let Arguments { quick, routers, intervals, kinds, turns, .. } = arguments;
    check_names(kinds, |name| FAULTS.iter().any(|fault| fault.name() == name))?;
    let wanted = |fault: &Fault| match (&kinds[..], quick) {
        ([], true) => *fault != Fault::AgentDeath,
        (given, _) => is_wanted(fault.name(), given),
    };
    let plan = Plan {
        counts: routers.clone(),
        intervals_ms: match (&intervals[..], quick) {
            ([], true) => vec![100],
            ([], false) => vec![100, 1000],
            (given, _) => given.to_vec(),
        },
        faults: FAULTS.into_iter().filter(wanted).collect(),
        turns: turns.unwrap_or(if *quick { 1 } else { 2 }),
    };
    ensure!(plan.turns > 0, "--turns wants at least 1");
    ensure!(plan.counts.iter().all(|count| (1..=MOST).contains(count)), "--routers wants 1 to {MOST}");
    let is_possible = |interval: &u16| (10..=40_950).contains(interval) && interval.is_multiple_of(10);
    ensure!(plan.intervals_ms.iter().all(is_possible), "--intervals wants multiples of 10, 10 to 40950");
    Ok(plan)
}
