//! The engine benchmark: the same frames through Baton, through the limits of what it is made of, and through the kernel, in
//! alternation; and the same connections through Baton, nftables and proxies.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use baton_benches::cli::{check_names, conclude, is_wanted, write};
use baton_benches::engine::{Measured, Plan, Report, System, measure};
use baton_benches::pace::in_words;
use baton_tests::lab::catch_signals;
use clap::Parser;

/// The most flows, services and backends that are measured. Twice as many flows is what `flows` has room for then.
const MOST_FLOWS: u32 = 2_000_000;
const MOST_SERVICES: u16 = 4_000;
const MOST_BACKENDS: u16 = 4_000;

/// Measures what a frame costs in the load-balancing engine.
#[derive(Debug, Parser)]
struct Arguments {
    /// Less of everything, in less than five minutes: two rounds, 200 ms in each condition.
    #[arg(long)]
    quick: bool,
    /// Which systems: xdp-reflector, af-xdp-forwarder, baton-ring, baton-flow-cache, kernel-forwarding, nftables-dnat [default: all].
    #[arg(long, value_delimiter = ',')]
    systems: Vec<String>,
    /// How often each system has its turn [default: 7, quick: 2].
    #[arg(long)]
    rounds: Option<u32>,
    /// How long frames are counted in each condition of a turn, in ms [default: 500, quick: 200].
    #[arg(long)]
    span: Option<u64>,
    /// Counts of flows, of which 1 is needed for most targets.
    #[arg(long, value_delimiter = ',', default_value = "1,1000,100000,1000000")]
    flows: Vec<u32>,
    /// Counts of services.
    #[arg(long, value_delimiter = ',', default_value = "1,100,4000")]
    services: Vec<u16>,
    /// Counts of backends.
    #[arg(long, value_delimiter = ',', default_value = "1,100,1000")]
    backends: Vec<u16>,
    /// How long connections are made to each balancer in a round, in ms; 0 for none [default: 3000, quick: 1000].
    #[arg(long)]
    connections: Option<u64>,
    /// Where to write the rows.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let plan = plan(&arguments)?;
    catch_signals()?;
    eprintln!("{} round(s) of all systems; this takes about {}", plan.rounds, in_words(plan.estimate()));
    let mut measured = Measured::default();
    let result = measure(&plan, &mut measured);
    let report = Report::of(&plan, &measured)?;
    println!("{}", report.text());
    write(arguments.json.as_deref(), &report.json()?)?;
    conclude(result, &measured.failures)
}

fn plan(arguments: &Arguments) -> Result<Plan> {
    let Arguments { quick, systems, rounds, span, flows, services, backends, connections, .. } = arguments;
    let (usual_rounds, usual_span, usual_connections) = if *quick { (2, 200, 1000) } else { (7, 500, 3000) };
    let connections = Duration::from_millis(connections.unwrap_or(usual_connections));
    check_names(systems, |name| System::ALL.iter().any(|system| system.name() == name))?;
    let plan = Plan {
        rounds: rounds.unwrap_or(usual_rounds),
        systems: System::ALL.into_iter().filter(|system| is_wanted(system.name(), systems)).collect(),
        span: Duration::from_millis(span.unwrap_or(usual_span)),
        flows: flows.clone(),
        services: services.clone(),
        backends: backends.clone(),
        connections: (!connections.is_zero()).then_some(connections),
    };
    ensure!(plan.rounds > 0, "--rounds wants at least 1");
    ensure!((10..=60_000).contains(&plan.span.as_millis()), "--span wants 10 to 60000");
    ensure!(flows.iter().all(|count| (1..=MOST_FLOWS).contains(count)), "--flows wants 1 to {MOST_FLOWS}");
    let is_service = |count: &u16| (1..=MOST_SERVICES).contains(count);
    ensure!(services.iter().all(is_service), "--services wants 1 to {MOST_SERVICES}");
    let is_backend = |count: &u16| (1..=MOST_BACKENDS).contains(count);
    ensure!(backends.iter().all(is_backend), "--backends wants 1 to {MOST_BACKENDS}");
    Ok(plan)
}
