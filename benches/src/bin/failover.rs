//! The failover benchmark: the same faults on the same lab for Baton and for its rivals, in alternation, so that all meet
//! the same weather on the machine.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use baton_benches::cli::{check_names, conclude, is_wanted, write};
use baton_benches::measure::{Measured, measure};
use baton_benches::pace::in_words;
use baton_benches::plan::Plan;
use baton_benches::report::{Report, page, text};
use baton_benches::row::FALSE_ALARM;
use baton_benches::series::Stress;
use baton_benches::systems::SystemRow;
use baton_tests::lab::{Fault, System, catch_signals};
use clap::Parser;

/// The most addresses that a virtual router of any system is asked to move.
const MOST_VIPS: u16 = 4000;

/// Measures how long clients miss the VIP, by kind of failure and system.
#[derive(Debug, Parser)]
struct Arguments {
    /// Rounds of each kind for Baton; 0.25 of them for its variants, 0.15 for a rival, 0.05 for one at its defaults
    /// [default: 200, quick: 8].
    #[arg(long)]
    rounds: Option<usize>,
    /// Less of everything, in less than five minutes: 8 rounds, one address, an idle machine.
    #[arg(long)]
    quick: bool,
    /// Which kinds: planned, agent-hang, agent-death, silent-death, false-alarm.
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<String>,
    /// Which systems: baton, baton-interface-mac, baton-fastest, keepalived, keepalived-hasty, keepalived-defaults, frr.
    #[arg(long, value_delimiter = ',')]
    systems: Vec<String>,
    /// How many addresses move; the last one is probed [default: 1,100,4000, quick: 1].
    #[arg(long, value_delimiter = ',')]
    vips: Vec<u16>,
    /// What else the machine has to do: idle, busy [default: both, quick: idle].
    #[arg(long, value_delimiter = ',')]
    stress: Vec<String>,
    /// How long to watch for false alarms [default: 600, quick: 8].
    #[arg(long)]
    seconds: Option<u64>,
    /// Where to write the rows.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where to write the page.
    #[arg(long)]
    html: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let plan = plan(&arguments)?;
    catch_signals()?;
    announce(&plan);
    let mut measured = Measured::default();
    let result = measure(&plan, &mut measured);
    let report = Report::of(&plan, &measured)?;
    println!("{}", text(&report));
    write(arguments.json.as_deref(), &report.json()?)?;
    write(arguments.html.as_deref(), &page(&report)?)?;
    conclude(result, &measured.failures)
}

/// Says what will be done, and how long that will take.
fn announce(plan: &Plan) {
    for system in &plan.systems {
        let row = SystemRow::of(*system);
        println!("{}: {}, {} rounds of each kind", row.system, row.version, plan.rounds_of(*system));
    }
    let conditions = plan.conditions().len();
    println!("{conditions} set(s) of conditions; this takes about {}", in_words(plan.estimate()));
}

fn plan(arguments: &Arguments) -> Result<Plan> {
    let Arguments { rounds, quick, kinds, systems, vips, stress, seconds, .. } = arguments;
    check_names(kinds, |name| {
        name == FALSE_ALARM || Fault::MEASURED.iter().any(|fault| fault.name() == name)
    })?;
    check_names(systems, |name| System::from_name(name).is_some())?;
    check_names(stress, |name| Stress::MEASURED.iter().any(|stress| stress.name() == name))?;
    let (usual_rounds, usual_seconds) = if *quick { (8, 8) } else { (200, 600) };
    let seconds = seconds.unwrap_or(usual_seconds);
    let plan = Plan {
        rounds: rounds.unwrap_or(usual_rounds),
        faults: Fault::MEASURED.into_iter().filter(|fault| is_wanted(fault.name(), kinds)).collect(),
        systems: System::ALL.into_iter().filter(|system| is_wanted(system.name(), systems)).collect(),
        vips: match (&vips[..], quick) {
            ([], true) => vec![1],
            ([], false) => vec![1, 100, MOST_VIPS],
            (given, _) => given.to_vec(),
        },
        stress: match (&stress[..], quick) {
            ([], true) => vec![Stress::Idle],
            (given, _) => {
                Stress::MEASURED.into_iter().filter(|stress| is_wanted(stress.name(), given)).collect()
            }
        },
        false_alarm: is_wanted(FALSE_ALARM, kinds).then_some(Duration::from_secs(seconds)),
    };
    ensure!(plan.rounds > 0, "--rounds wants at least 1");
    ensure!((1..=3000).contains(&seconds), "--seconds wants 1 to 3000");
    ensure!(plan.vips.iter().all(|vips| (1..=MOST_VIPS).contains(vips)), "--vips wants 1 to {MOST_VIPS}");
    Ok(plan)
}
