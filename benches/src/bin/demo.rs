//! The demo: a virtual IP moves between two nodes in five ways while a client watches. Told for people, judged for
//! machines: the exit code says whether every move was made, and with one owner at a time.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use baton_benches::hints;
use baton_benches::report::{bars, table};
use baton_benches::rounds::{self, Event, complaint};
use baton_benches::row::Row;
use baton_benches::series::{Conditions, Series, Stress};
use baton_tests::lab::{
    Echo, Fault, Host, Lab, Nginx, Pair, Settings, System, Tuning, VIP, Variant, catch_signals, leftovers,
    mac_text,
};
use clap::Parser;
use serde::Serialize;

/// Shows how fast a virtual IP moves, in a network of its own inside this machine.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often each kind of move is shown.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Where to write the figures.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Leave the network up at the end.
    #[arg(long)]
    keep: bool,
    /// What to show: baton, baton-interface-mac, baton-fastest, keepalived, keepalived-hasty, keepalived-defaults, frr.
    #[arg(long, value_delimiter = ',', default_values_t = ["baton".to_owned(), "baton-interface-mac".to_owned()])]
    systems: Vec<String>,
}

#[derive(Serialize)]
struct Report<'a> {
    rows: &'a [Row],
    complaints: &'a [String],
}

/// One way in which the VIP moves.
struct Scene {
    title: &'static str,
    event: Event,
}

/// With a pair that does not preempt, so that the owner is the last one to take over.
const SCENES: [Scene; 4] = [
    Scene { title: "a planned handover", event: Event::Fault(Fault::Planned) },
    Scene { title: "a stopped agent (SIGSTOP)", event: Event::Fault(Fault::AgentHang) },
    Scene { title: "a killed agent (SIGKILL)", event: Event::Fault(Fault::AgentDeath) },
    Scene {
        title: "a cut cable (the switch forwards nothing, the carrier stays)",
        event: Event::Fault(Fault::SilentDeath),
    },
];
/// With a pair that preempts, as an agent does unless it is told otherwise.
const FAILBACK: Scene = Scene {
    title: "the failback (preempt = true): node a, stopped before, comes back and takes its VIP again from b",
    event: Event::Failback,
};
const PREEMPT: Settings = Settings { preempt: true, ..Settings::USUAL };

/// What was seen and what was wrong.
#[derive(Default)]
struct Story {
    series: Vec<Series>,
    complaints: Vec<String>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!((1..=1000).contains(&arguments.rounds), "--rounds wants 1 to 1000");
    let known =
        |name: &String| System::from_name(name).with_context(|| format!("no system is called `{name}`"));
    let systems = arguments.systems.iter().map(known).collect::<Result<Vec<System>>>()?;
    catch_signals()?;

    let mut story = Story::default();
    let lab = Lab::up()?;
    let id = lab.id().to_owned();
    tell(lab, &systems, &arguments, &mut story)?;
    if !arguments.keep {
        let left = leftovers(&id);
        if left.is_empty() {
            println!("\nCleaned up: no namespace, process, mount or file is left.");
        } else {
            story.complaints.push(format!("left behind: {}", left.join(", ")));
        }
    }
    finish(&arguments, &story)
}

fn finish(arguments: &Arguments, story: &Story) -> Result<()> {
    let rows = story.series.iter().map(Row::of).collect::<Result<Vec<Row>>>()?;
    println!("\n{}", table(&rows));
    if let Some(file) = &arguments.json {
        let report = Report { rows: &rows, complaints: &story.complaints };
        let text = serde_json::to_string_pretty(&report)? + "\n";
        fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
    }
    for complaint in &story.complaints {
        println!("WRONG: {complaint}");
    }
    if !story.complaints.is_empty() {
        bail!("{} thing(s) went wrong", story.complaints.len());
    }
    println!("Every move was made, and never did two nodes answer longer than stated.");
    Ok(())
}

fn tell(mut lab: Lab, systems: &[System], arguments: &Arguments, story: &mut Story) -> Result<()> {
    heading("A network: switch, node a, node b, a client");
    for host in Host::ALL {
        println!("  {:<2} {:<10} {}", host.name(), host.address(), mac_text(host.mac()));
    }
    println!("  the virtual IP {VIP} belongs to one of the nodes; the client probes it every 50 us");
    let echoes = [Echo::start(&lab, Host::A, VIP)?, Echo::start(&lab, Host::B, VIP)?];
    for (number, system) in systems.iter().enumerate() {
        let mut pair = Pair::start(&lab, *system, 1)?;
        if !system.is_baton() {
            // The others bring the VIP only when they own it, nginx has to listen before.
            for host in Host::NODES {
                lab.namespace(host).set("net/ipv4/ip_nonlocal_bind", "1")?;
            }
        }
        let servers = [Nginx::start(&lab, Host::A, VIP)?, Nginx::start(&lab, Host::B, VIP)?];
        act(&lab, &mut pair, arguments.rounds, story)?;
        pair.stop()?;
        let mut pair = Pair::start_with(&lab, *system, PREEMPT, 1)?;
        play(&lab, &mut pair, &FAILBACK, arguments.rounds, story)?;
        if arguments.keep && number + 1 == systems.len() {
            pair.detach();
            servers.into_iter().for_each(Nginx::detach);
            echoes.into_iter().for_each(Echo::detach);
            lab.keep()?;
            println!("\nThe network stays up:");
            print!("{}", hints(&lab));
            return Ok(());
        }
        drop(servers);
        pair.stop()?;
    }
    Ok(())
}

/// Everything with one system.
fn act(lab: &Lab, pair: &mut Pair<'_>, count: usize, story: &mut Story) -> Result<()> {
    let system = pair.system();
    heading(match system {
        System::Baton(Variant::Usual) => {
            "Baton with a virtual MAC: clients keep their neighbour entry, the switch learns"
        }
        System::Baton(Variant::InterfaceMac) => {
            "Baton with the interfaces' MACs: clients learn the new owner's"
        }
        System::Baton(Variant::Fastest) => "Baton with its fastest probes",
        System::Keepalived(Tuning::Fast) => "keepalived: clients learn the new owner's MAC",
        System::Keepalived(Tuning::Hasty) => "keepalived, with one missing advert enough",
        System::Keepalived(Tuning::Defaults) => "keepalived as it comes",
        System::Frr => "FRR: a virtual MAC on a macvlan, the switch learns",
    });
    pair.settle()?;
    show(lab, pair)?;
    println!("  neighbours of the client:");
    for line in lab.neighbours()?.lines() {
        println!("    {}", line.trim());
    }
    for scene in SCENES {
        play(lab, pair, &scene, count, story)?;
    }
    Ok(())
}

/// `count` rounds of one kind, with what the client and the switch know before and after.
fn play(lab: &Lab, pair: &mut Pair<'_>, scene: &Scene, count: usize, story: &mut Story) -> Result<()> {
    println!("\n  * {}", scene.title);
    let mut rounds = Vec::new();
    for number in 1..=count {
        print!("    round {number}/{count} ...");
        io::stdout().flush()?;
        rounds::prepare(pair, scene.event)?;
        let before = whereabouts(lab)?;
        let round = rounds::run(lab, pair, scene.event, number).context(scene.title)?;
        let (from, to) = (round.victim.name(), round.outcome.after.map_or("nobody", Host::name));
        println!(
            "\r    round {number}/{count}: {from} -> {to}, outage {} us, {} probes lost, two answered for {} us",
            round.outcome.outage_us, round.outcome.lost_probes, round.outcome.overlap_us
        );
        println!("      the client's entry, and where the switch has it: {before} -> {}", whereabouts(lab)?);
        if let Some(complaint) = complaint(&round) {
            println!("      WRONG: {complaint}");
            story.complaints.push(format!("{}: round {number}: {complaint}", pair.system().name()));
        }
        rounds.push(round);
    }
    print!("{}", bars(&rounds.iter().map(|round| round.outcome.outage_us).collect::<Vec<_>>())?);
    pair.settle()?;
    show(lab, pair)?;
    let conditions = Conditions { vips: 1, stress: Stress::Idle };
    story.series.push(Series { system: pair.system().name(), event: scene.event, conditions, rounds });
    Ok(())
}

/// Where the VIP is: who owns it, who answers the client, and what client and switch have learned.
fn show(lab: &Lab, pair: &Pair<'_>) -> Result<()> {
    let owners: Vec<&str> = pair.owners()?.into_iter().map(Host::name).collect();
    let owners = if owners.is_empty() { "nobody".to_owned() } else { owners.join(" and ") };
    let body = lab.fetch(VIP).unwrap_or_else(|error| format!("{error:#}"));
    println!(
        "    {VIP} is on {owners} now: curl says \"{body}\", the client has it as {}",
        whereabouts(lab)?
    );
    Ok(())
}

/// The client's neighbour entry for the VIP and the switch port behind which that address was learned.
fn whereabouts(lab: &Lab) -> Result<String> {
    let Some(mac) = lab.neighbour(VIP)? else {
        return Ok("no entry".to_owned());
    };
    Ok(format!("{mac} at {}", lab.learned_at(&mac)?.map_or("nowhere", Host::name)))
}

fn heading(text: &str) {
    println!("\n== {text}");
}
