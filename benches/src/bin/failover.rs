//! The failover benchmark: the same faults on the same lab for Baton and for keepalived, in alternation, so that both
//! meet the same weather on the machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use baton_benches::cost::{self, Cost};
use baton_benches::report::{comparison, false_alarms, stage_table, table};
use baton_benches::rounds::{self, Event, Round};
use baton_benches::row::{Conditions, FALSE_ALARM, Row, Series, StageRow};
use baton_benches::svg;
use baton_tests::lab::{
    Echo, Fault, Host, Lab, Pair, System, binary, catch_signals, leftovers, output, vips,
};
use clap::Parser;
use serde::Serialize;

/// Rounds on one system before it is the next one's turn.
const TURN: usize = 5;
const QUICK_ROUNDS: usize = 8;
/// What keeps the machine busy under stress, and always in a watch for false alarms.
const BUSY_LOOPS: &str = "busy-loops";

/// Measures how long clients miss the VIP, by kind of failure and system.
#[derive(Debug, Parser)]
struct Arguments {
    /// Rounds of each kind on each system.
    #[arg(long, default_value_t = 50)]
    rounds: usize,
    /// 8 rounds, in less than three minutes.
    #[arg(long)]
    quick: bool,
    /// Which kinds: planned, agent-hang, agent-death, silent-death, false-alarm.
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<String>,
    /// Which systems: baton, baton-interface-mac, keepalived.
    #[arg(long, value_delimiter = ',')]
    systems: Vec<String>,
    /// How many addresses move; the last one is probed.
    #[arg(long, default_value_t = 1)]
    vips: u16,
    /// Keep every core busy with ordinary processes meanwhile.
    #[arg(long)]
    stress: bool,
    /// Where to write the rows.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where to draw the histograms.
    #[arg(long)]
    svg_dir: Option<PathBuf>,
}

/// What to do, checked.
struct Plan {
    rounds: usize,
    faults: Vec<Fault>,
    false_alarm: Option<Duration>,
    systems: Vec<System>,
    vips: u16,
    stress: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    rows: &'a [Row],
    stages: &'a [StageRow],
    costs: &'a [Cost],
    meta: Meta,
}

/// How it was measured.
#[derive(Serialize)]
struct Meta {
    method: &'static str,
    probe_interval_us: u32,
    arp_interval_us: u32,
    kernel: String,
    cpus: usize,
    baton: String,
    keepalived: String,
    configuration: &'static str,
    false_alarm_seconds: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let plan = plan(&arguments)?;
    catch_signals()?;
    let lab = Lab::up()?;
    let id = lab.id().to_owned();
    let result = measure(&lab, &plan);
    drop(lab);
    let left = leftovers(&id);
    let measured = result?;
    ensure!(left.is_empty(), "left behind: {}", left.join(", "));
    report(&arguments, &plan, measured)
}

/// Prints, draws and writes what was measured.
fn report(arguments: &Arguments, plan: &Plan, measured: Measured) -> Result<()> {
    let Measured { series, alarms, costs } = measured;
    let conditions = Conditions { vips: plan.vips, stress: if plan.stress { BUSY_LOOPS } else { "none" } };
    let mut rows = series.iter().map(|series| Row::of(series, conditions)).collect::<Result<Vec<Row>>>()?;
    for system in &plan.systems {
        rows.extend(Row::of_switches(&series, system.name(), conditions)?);
    }
    rows.extend(alarms);
    let mut stages = Vec::new();
    for series in &series {
        stages.extend(StageRow::of(series)?);
    }
    println!("\n{}\n{}\n{}", table(&rows), comparison(&rows), false_alarms(&rows));
    if !stages.is_empty() {
        println!("{}", stage_table(&stages));
    }
    for cost in &costs {
        println!("{}", cost::describe(cost));
    }
    if let Some(directory) = &arguments.svg_dir {
        draw(directory, &series)?;
    }
    if let Some(file) = &arguments.json {
        let report = Report { rows: &rows, stages: &stages, costs: &costs, meta: meta(plan)? };
        let text = serde_json::to_string_pretty(&report)? + "\n";
        fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
}

fn plan(arguments: &Arguments) -> Result<Plan> {
    let wanted = |name: &str, list: &[String]| list.is_empty() || list.iter().any(|item| item == name);
    let faults: Vec<Fault> =
        Fault::MEASURED.into_iter().filter(|fault| wanted(fault.name(), &arguments.kinds)).collect();
    let systems: Vec<System> =
        System::ALL.into_iter().filter(|system| wanted(system.name(), &arguments.systems)).collect();
    let known =
        |name: &String| name == FALSE_ALARM || Fault::MEASURED.iter().any(|fault| fault.name() == name);
    for name in &arguments.kinds {
        ensure!(known(name), "no kind is called `{name}`");
    }
    for name in &arguments.systems {
        ensure!(System::from_name(name).is_some(), "no system is called `{name}`");
    }
    ensure!(arguments.rounds > 0, "--rounds wants at least 1");
    ensure!((1..=255).contains(&arguments.vips), "--vips wants 1 to 255, what one virtual router can have");
    let seconds = if arguments.quick { 4 } else { 20 };
    Ok(Plan {
        rounds: if arguments.quick { QUICK_ROUNDS } else { arguments.rounds },
        faults,
        false_alarm: wanted(FALSE_ALARM, &arguments.kinds).then_some(Duration::from_secs(seconds)),
        systems,
        vips: arguments.vips,
        stress: arguments.stress,
    })
}

/// What came of a plan.
struct Measured {
    /// One for each kind of fault and system.
    series: Vec<Series>,
    alarms: Vec<Row>,
    costs: Vec<Cost>,
}

fn measure(lab: &Lab, plan: &Plan) -> Result<Measured> {
    let probed = vips(plan.vips).pop().context("at least one address")?;
    let _echoes = [Echo::start(lab, Host::A, probed)?, Echo::start(lab, Host::B, probed)?];
    let _busy = if plan.stress { rounds::busy_loops(lab)? } else { Vec::new() };
    let mut series: Vec<Series> = Vec::new();
    for fault in &plan.faults {
        for system in &plan.systems {
            let event = Event::Fault(*fault);
            series.push(Series { system: system.name(), event, rounds: Vec::new() });
        }
    }
    let (mut alarms, mut costs) = (Vec::new(), Vec::new());
    let mut done = 0;
    while done < plan.rounds {
        let turn = TURN.min(plan.rounds - done);
        for system in &plan.systems {
            let mut pair = Pair::start(lab, *system, plan.vips)?;
            if done == 0 {
                costs.push(cost::measure(&pair, Duration::from_secs(5))?);
                if let Some(span) = plan.false_alarm {
                    alarms.push(false_alarm(lab, &pair, span, plan.vips)?);
                }
            }
            for fault in &plan.faults {
                let event = Event::Fault(*fault);
                let rounds = run_turn(lab, &mut pair, event, done, turn)?;
                let found = series.iter_mut().find(|s| (s.system, s.event) == (system.name(), event));
                found.context("every kind and system has its series")?.rounds.extend(rounds);
            }
            pair.stop()?;
        }
        done += turn;
    }
    Ok(Measured { series, alarms, costs })
}

fn run_turn(lab: &Lab, pair: &mut Pair<'_>, event: Event, done: usize, turn: usize) -> Result<Vec<Round>> {
    let mut rounds = Vec::new();
    for number in done..done + turn {
        let name = pair.system().name();
        rounds::prepare(pair, event)?;
        let round = rounds::run(lab, pair, event).with_context(|| format!("{name}, {}", event.name()))?;
        eprintln!(
            "{name:<20} {:<13} round {:>3}: outage {:>6} us, {:>4} lost, overlap {:>6} us{}",
            event.name(),
            number + 1,
            round.outcome.outage_us,
            round.outcome.lost_probes,
            round.outcome.overlap_us,
            if round.outcome.moved() { "" } else { ", did not move" }
        );
        rounds.push(round);
    }
    Ok(rounds)
}

/// Watches a quiet pair for `span` while every core is busy.
fn false_alarm(lab: &Lab, pair: &Pair<'_>, span: Duration, vips: u16) -> Result<Row> {
    pair.settle()?;
    let _busy = rounds::busy_loops(lab)?;
    let outcome = rounds::watch(lab, pair, span)?;
    let system = pair.system().name();
    eprintln!("{system:<20} {FALSE_ALARM:<13} {span:?} under load: {} role changes", outcome.flips);
    Row::of_watch(system, Conditions { vips, stress: BUSY_LOOPS }, span.as_secs(), outcome)
}

fn draw(directory: &Path, all: &[Series]) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
    for fault in Fault::MEASURED {
        let of_kind = all.iter().filter(|series| series.event == Event::Fault(fault));
        let systems: Vec<(&str, Vec<u64>)> = of_kind
            .map(|series| {
                (series.system, series.rounds.iter().map(|round| round.outcome.outage_us).collect())
            })
            .collect();
        if !systems.is_empty() {
            let file = directory.join(format!("{}.svg", fault.name()));
            fs::write(&file, svg::histogram(fault.name(), &systems)?)
                .with_context(|| format!("write {}", file.display()))?;
        }
    }
    Ok(())
}

fn meta(plan: &Plan) -> Result<Meta> {
    let version = |command: &mut std::process::Command| {
        let output = command.output().ok();
        let text = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().next().unwrap_or("not installed").to_owned()
    };
    let baton = binary("baton").map(|program| version(std::process::Command::new(program).arg("--version")));
    Ok(Meta {
        method: "outage: largest distance in send time between two answered UDP probes with a lost one between, the \
                 probe interval if none was lost; overlap (a proven lower bound): from the new owner's first \
                 answer, to UDP or to broadcast ARP, to the sending of the last question that the old owner answered; switch: \
                 outage from decision to first VIP frame at the new owner's service, the probes lost in that time, \
                 and the overlap of the same rounds; false-alarm: one round of false_alarm_seconds",
        probe_interval_us: 50,
        arp_interval_us: 250,
        kernel: output(std::process::Command::new("uname").arg("-r"))?.trim().to_owned(),
        cpus: std::thread::available_parallelism()?.get(),
        baton: baton.unwrap_or_else(|_| "not built".to_owned()),
        keepalived: version(std::process::Command::new("keepalived").arg("--version")),
        configuration: "both: VRRPv3, 10 ms adverts, priorities 254/253, no preemption, real-time priority 50; \
                        keepalived: -G, no down_timer_adverts",
        false_alarm_seconds: plan.false_alarm.map_or(0, |span| span.as_secs()),
    })
}
