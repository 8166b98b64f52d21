//! What was measured, as tables and as JSON.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use baton_tests::lab::binary;
use serde::Serialize;

use super::measure::Measured;
use super::plan::Plan;
use super::row::{ConnectionRow, FrameRow, LatencyRow, Spread};
use super::system::System;
use super::target::{Target, targets};
use crate::report::kernel;
use crate::systems::{SystemRow, on_path, said};

/// Everything that there is to say.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Frames, by system and conditions.
    pub rows: Vec<FrameRow>,
    /// How long frames were on their way at half load.
    pub latency: Vec<LatencyRow>,
    /// Connections through balancers.
    pub connections: Vec<ConnectionRow>,
    /// What is to be reached.
    pub targets: Vec<Target>,
    /// Which systems, in which version, configured how.
    pub systems: Vec<SystemRow>,
    /// What went wrong: the rounds that it cost are missing.
    pub failures: Vec<String>,
    /// How it was measured.
    pub meta: Meta,
}

/// How it was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Meta {
    /// What the figures mean.
    pub method: [&'static str; 6],
    /// The kernel's release.
    pub kernel: String,
    /// How many CPUs.
    pub cpus: usize,
    /// Turns of each system.
    pub rounds: u32,
    /// How long frames were counted in each condition of a turn.
    pub span_ms: u128,
    /// What the hypervisor took from the machine meanwhile.
    pub steal_us: u64,
}

const METHOD: [&str; 6] = [
    "One host with one veth, of one queue, in network namespaces of one machine. At the other end UDP frames are made by \
     BPF_PROG_TEST_RUN with live frames, and what comes back is dropped in XDP. All systems take turns in each round. Medians \
     over the rounds; (least to most). Targets compare what was measured in the same round.",
    "CPU 0 makes the frames, takes them in on the node (a threaded NAPI) and takes off what comes back (another); CPU 1 has the \
     workers and all else of Baton. These threads have real-time priority (SCHED_FIFO): the generator 10, workers 40, NAPI 45; \
     so receiving goes before making, and hardly a frame is lost. AF_XDP is in copy mode everywhere: veth has no other.",
    "CPU ns: what the scheduler has counted for the node's threads, by the frames that came back. `receive` is the node's NAPI \
     thread: the veth, XDP, and whatever the kernel does with a frame there; `work` are the threads of the system with their \
     system calls, which for AF_XDP is sending too. Making frames and taking them off is in neither.",
    "Frames per second are those of this arrangement, in which CPU 0 also makes the frames, which is most of what it does with \
     fast systems: they are no limits of a system. Compare CPU ns.",
    "Latency: each frame carries the time when it was made, and XDP at the other end counts how long it took, in steps of 64 \
     ns, at half of the frames per second of that system, one by one: the ways over both ends, wake-ups of threads included. \
     What the system adds is the difference to the reflector.",
    "Connections: on the lab with a switch, four clients on one thread each, three nginx; a TCP connection for each request. \
     CPU us: of the balancer's processes, without what the kernel does in softirqs.",
];

impl Report {
    /// What there is to say of what was `measured` by `plan`.
    pub fn of(plan: &Plan, measured: &Measured) -> Result<Self> {
        let rows: Vec<FrameRow> = measured.series.iter().map(FrameRow::of).collect();
        Ok(Self {
            targets: targets(&measured.series),
            rows,
            latency: measured.times.iter().map(LatencyRow::of).collect::<Result<_>>()?,
            connections: measured.requests.iter().map(ConnectionRow::of).collect::<Result<_>>()?,
            systems: systems()?,
            failures: measured.failures.clone(),
            meta: Meta {
                method: METHOD,
                kernel: kernel()?,
                cpus: std::thread::available_parallelism()?.get(),
                rounds: plan.rounds,
                span_ms: plan.span.as_millis(),
                steal_us: measured.steal_us,
            },
        })
    }

    /// For programs.
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::from("\n== Frames: CPU ns of the node for each, and what came through\n");
        let _ = writeln!(
            text,
            "{:<18} {:>5} {:>8} {:>8} {:>8} {:<7} {:>2} | {:>24} {:>8} {:>8} | {:>9} {:>9} {:>6}",
            "system",
            "frame",
            "flows",
            "services",
            "backends",
            "forward",
            "n",
            "CPU ns",
            "receive",
            "work",
            "frames/s",
            "offered",
            "lost"
        );
        self.rows.iter().for_each(|row| text += &frame_line(row));
        text += "\n== Latency at half load, us\n";
        let _ = writeln!(
            text,
            "{:<18} {:>9} {:>9} | {:>8} {:>8} {:>8} {:>8} | {:>9}",
            "system", "frames/s", "n", "p50", "p99", "p99.9", "max", "added p50"
        );
        let least = self.latency.first().map_or(0, |row| row.p50_ns);
        self.latency.iter().for_each(|row| text += &latency_line(row, least));
        if !self.connections.is_empty() {
            text += "\n== Connections, each with one request\n";
            let _ = writeln!(
                text,
                "{:<18} {:>2} | {:>24} | {:>20} | {:>7} {:>7} {:>7} us of {:>7}",
                "system", "n", "requests/s", "CPU us each", "p50", "p90", "p99", "n"
            );
            self.connections.iter().for_each(|row| text += &connection_line(row));
        }
        text += "\n== Targets\n";
        for Target { what, wanted, measured, is_met } in &self.targets {
            let word = if *is_met { "met" } else { "MISSED" };
            let Spread { median, min, max } = measured;
            let _ = writeln!(text, "{what:<75} {wanted:<13} {median:>7.2} ({min:.2} to {max:.2}) {word}");
        }
        let Meta { method, kernel, cpus, rounds, span_ms, steal_us } = &self.meta;
        text += "\n== Method and systems\n";
        method.iter().for_each(|line| text += &format!("{line}\n"));
        let _ = writeln!(
            text,
            "kernel {kernel}, {cpus} CPUs, {rounds} round(s), {span_ms} ms in each condition; the hypervisor took {} ms",
            steal_us / 1000
        );
        for SystemRow { system, version, configuration } in &self.systems {
            let _ = writeln!(text, "{system}: {version}\n  {configuration}");
        }
        if !self.failures.is_empty() {
            let _ = writeln!(text, "\n== WRONG, rounds are missing\n{}", self.failures.join("\n"));
        }
        text
    }
}

/// A figure for people.
fn spread(Spread { median, min, max }: Spread) -> String {
    let digits = usize::from(median < 10.0);
    format!("{median:.digits$} ({min:.digits$} to {max:.digits$})")
}

fn frame_line(row: &FrameRow) -> String {
    let conditions = row.conditions;
    let (through, offered) = (row.frames_per_second.median, row.offered_per_second.median);
    format!(
        "{:<18} {:>5} {:>8} {:>8} {:>8} {:<7} {:>2} | {:>24} {:>8.0} {:>8.0} | {through:>9.0} {offered:>9.0} {:>4.1} %\n",
        row.system,
        conditions.frame,
        conditions.flows,
        conditions.services,
        conditions.backends,
        conditions.forward.name(),
        row.rounds,
        spread(row.cpu_ns),
        row.receive_ns.median,
        row.work_ns.median,
        (1.0 - through / offered.max(1.0)).max(0.0) * 100.0
    )
}

fn latency_line(row: &LatencyRow, least: u64) -> String {
    let us = |ns: u64| ns as f64 / 1000.0;
    format!(
        "{:<18} {:>9.0} {:>9} | {:>8.1} {:>8.1} {:>8.1} {:>8.1} | {:>9.1}\n",
        row.system,
        row.frames_per_second,
        row.count,
        us(row.p50_ns),
        us(row.p99_ns),
        us(row.p999_ns),
        us(row.max_ns),
        us(row.p50_ns.saturating_sub(least))
    )
}

fn connection_line(row: &ConnectionRow) -> String {
    let request = row.request_us;
    format!(
        "{:<18} {:>2} | {:>24} | {:>20} | {:>7} {:>7} {:>7}    {:>7}\n",
        row.system,
        row.rounds,
        spread(row.requests_per_second),
        spread(row.cpu_us),
        request.p50,
        request.p90,
        request.p99,
        row.count
    )
}

/// The systems and the programs that they are of.
fn systems() -> Result<Vec<SystemRow>> {
    let kernel = kernel()?;
    let baton = || said(&binary("baton").unwrap_or_else(|_| PathBuf::from("baton")), "--version");
    let of = |system: System| SystemRow {
        system: system.name(),
        version: match system {
            System::Reflector | System::BareForwarder => "of this benchmark".to_owned(),
            System::Ring | System::FlowCache => baton(),
            System::Kernel => kernel.clone(),
            System::Nftables => said(&on_path("nft"), "--version"),
        },
        configuration: system.description(),
    };
    let proxies = [
        ("nginx-stream", "nginx", "one process, round robin over three servers"),
        ("haproxy", "haproxy", "mode tcp, one thread, round robin over three servers"),
    ];
    let proxy = |(system, program, configuration)| SystemRow {
        system,
        version: said(&on_path(program), "-v"),
        configuration,
    };
    Ok(System::ALL.map(of).into_iter().chain(proxies.map(proxy)).collect())
}
