//! What a frame costs in the data plane: ns for every verdict, by BPF_PROG_TEST_RUN on the object that the agent
//! carries, with 8 virtual routers and 4 000 VIPs in its maps.
//!
//! The kernel's figure includes the call and the reading of clocks. An empty program, measured in the same rounds, is
//! subtracted. The kernel repeats a run on one
//! buffer, so what rewrites a frame once and for all (an ARP request becomes its answer) is measured by single runs,
//! against single runs of the empty program. The caches are warm in all of them.
//!
//! ```text
//! cargo bench --package baton-benches --bench datapath -- [--json] [--rounds N]
//! ```

mod cases;

use std::cell::RefCell;
use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use aya::maps::{MapData, RingBuf};
use baton_common::verdict::Verdict;
use baton_tests::datapath::{Datapath, FOREVER};
use baton_tests::frames;
use baton_tests::program::{Kind, Program};
use clap::Parser;
use serde::Serialize;

use cases::{host, received, sent};

/// Runs in one measurement.
const REPEATED: u32 = 100_000;
/// Runs in one measurement of the events, few enough for their ring to hold them all.
const EVENTS: u32 = 500;
/// Measurements of one run each that make up a round of it.
const SINGLES: usize = 2_000;

#[derive(Parser)]
struct Options {
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Rounds; every figure is the median over them.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

/// One line of the result.
#[derive(Serialize)]
struct Figure {
    program: &'static str,
    frame: &'static str,
    verdict: &'static str,
    /// Median over the rounds.
    measured_ns: f64,
    /// What is left of it without the empty program.
    net_ns: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Hook {
    Xdp,
    Egress,
}

/// What a measurement runs.
enum Subject<'a> {
    Empty(&'a Program),
    Object(&'a Datapath),
    /// With events, which are taken from their ring after every measurement.
    Events(&'a Datapath, &'a RefCell<RingBuf<MapData>>),
}

struct Measurement<'a> {
    subject: Subject<'a>,
    hook: Hook,
    repeat: u32,
    frame: &'static str,
    verdict: &'static str,
    octets: Vec<u8>,
    rounds: Vec<f64>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    ensure!(options.rounds > 0, "a median needs at least one round");
    let (empty_xdp, empty_egress) = (Program::empty(Kind::Xdp)?, Program::empty(Kind::Tc)?);
    let (active, backup) = (host(0, FOREVER), host(0, 0));
    let (info, mut debug, full) = (host(3, 0), host(4, 0), host(4, 0));
    let ring = debug.bpf_mut().take_map("AYA_LOGS").context("the object has no ring for events")?;
    let ring = RefCell::new(RingBuf::try_from(ring)?);

    let mut measurements = Vec::new();
    let mut add = |subject, hook, repeat, frame, verdict, octets: &[u8]| {
        let octets = octets.to_vec();
        measurements.push(Measurement { subject, hook, repeat, frame, verdict, octets, rounds: Vec::new() });
    };
    let traffic = frames::octets("lb-tcp-syn-vip");
    for repeat in [REPEATED, EVENTS, 1] {
        add(Subject::Empty(&empty_xdp), Hook::Xdp, repeat, "any", "empty program", &traffic);
    }
    add(Subject::Empty(&empty_egress), Hook::Egress, REPEATED, "any", "empty program", &traffic);

    for (verdict, owner, frame, octets) in received() {
        let host = if owner { &active } else { &backup };
        expect(host, Hook::Xdp, Some(verdict), &octets, frame)?;
        let rewritten = matches!(verdict, Verdict::ArpAnswered | Verdict::SbfdUp | Verdict::SbfdAdminDown);
        let repeat = if rewritten { 1 } else { REPEATED };
        add(Subject::Object(host), Hook::Xdp, repeat, frame, verdict.name(), &octets);
    }
    for (verdict, owner, frame, octets) in sent() {
        let host = if owner { &active } else { &backup };
        expect(host, Hook::Egress, verdict, &octets, frame)?;
        let name = verdict.map_or("passed", Verdict::name);
        add(Subject::Object(host), Hook::Egress, REPEATED, frame, name, &octets);
    }
    let name = Verdict::VipNotOwner.name();
    add(Subject::Object(&backup), Hook::Xdp, EVENTS, "TCP, AYA_LOG_LEVEL 0", name, &traffic);
    add(Subject::Object(&info), Hook::Xdp, EVENTS, "TCP, AYA_LOG_LEVEL info", name, &traffic);
    add(Subject::Events(&debug, &ring), Hook::Xdp, EVENTS, "TCP, AYA_LOG_LEVEL debug", name, &traffic);
    // Nobody reads this ring: it is full after the first measurements.
    add(Subject::Object(&full), Hook::Xdp, EVENTS, "TCP, debug, ring full", name, &traffic);

    // Rounds over everything: what disturbs the machine for a while disturbs all of them.
    for _ in 0..options.rounds {
        for measurement in &mut measurements {
            let ns = measurement.run()?;
            measurement.rounds.push(ns);
        }
    }
    let figures = figures(measurements);
    if options.json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        print(&figures);
    }
    Ok(())
}

/// Makes sure that what will be measured is what the table says.
fn expect(host: &Datapath, hook: Hook, verdict: Option<Verdict>, octets: &[u8], frame: &str) -> Result<()> {
    let counted = match hook {
        Hook::Xdp => host.receive(octets).counted,
        Hook::Egress => host.egress(octets).counted,
    };
    let counted: Vec<Verdict> = counted.into_keys().collect();
    ensure!(counted == Vec::from_iter(verdict), "{frame}: {counted:?} instead of {verdict:?}");
    Ok(())
}

impl Measurement<'_> {
    /// ns for one run of the program: the mean of the repetitions, or the median of single runs.
    fn run(&self) -> Result<f64> {
        if self.repeat > 1 {
            return self.once();
        }
        let singles: Result<Vec<f64>> = (0..SINGLES).map(|_| self.once()).collect();
        Ok(median(&mut singles?))
    }

    fn once(&self) -> Result<f64> {
        let time = |host: &Datapath| match self.hook {
            Hook::Xdp => host.time_receive(&self.octets, self.repeat),
            Hook::Egress => host.time_egress(&self.octets, self.repeat),
        };
        let mean = match self.subject {
            Subject::Empty(program) => program.time(&self.octets, self.repeat)?,
            Subject::Object(host) => time(host),
            Subject::Events(host, ring) => {
                let mean = time(host);
                let mut ring = ring.borrow_mut();
                while ring.next().is_some() {}
                mean
            }
        };
        Ok(f64::from(mean.subsec_nanos()))
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn figures(mut measurements: Vec<Measurement<'_>>) -> Vec<Figure> {
    let medians: Vec<f64> =
        measurements.iter_mut().map(|measurement| median(&mut measurement.rounds)).collect();
    let empty: HashMap<(Hook, u32), f64> = measurements
        .iter()
        .zip(&medians)
        .filter(|(measurement, _)| matches!(measurement.subject, Subject::Empty(_)))
        .map(|(measurement, ns)| ((measurement.hook, measurement.repeat), *ns))
        .collect();
    let figure = |(measurement, measured_ns): (&Measurement<'_>, f64)| Figure {
        program: match measurement.hook {
            Hook::Xdp => "xdp",
            Hook::Egress => "tcx egress",
        },
        frame: measurement.frame,
        verdict: measurement.verdict,
        measured_ns,
        net_ns: measured_ns - empty[&(measurement.hook, measurement.repeat)],
    };
    measurements.iter().zip(medians).map(figure).collect()
}

fn print(figures: &[Figure]) {
    println!("{:<11} {:<22} {:<34} {:>8} {:>6}", "program", "verdict", "frame", "measured", "net ns");
    for Figure { program, frame, verdict, measured_ns, net_ns } in figures {
        println!("{program:<11} {verdict:<22} {frame:<34} {measured_ns:>8.0} {net_ns:>6.0}");
    }
}
