//! What an agent costs while nothing happens.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use baton_tests::lab::{Pair, pause};
use nix::unistd::{Pid, SysconfVar, sysconf};
use serde::Serialize;

use crate::systems;

/// Size, memory and CPU time of one system's agents.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    /// The system's name.
    pub system: &'static str,
    /// Size of the file of the program that takes part in the election.
    pub binary_bytes: u64,
    /// Resident memory of the owner's agent, all processes; locked pages included.
    pub rss_bytes: u64,
    /// CPU time of the owner's agent in thousandths of one core.
    pub active_cpu_permille: u64,
    /// The same for the other node.
    pub backup_cpu_permille: u64,
}

/// Measures the agents of `pair` over `span`.
pub fn measure(pair: &Pair<'_>, span: Duration) -> Result<Cost> {
    let owner = pair.settle()?;
    let trees = [pair.processes(owner)?, pair.processes(owner.other())?];
    let before = [ticks(&trees[0])?, ticks(&trees[1])?];
    pause(span)?;
    let after = [ticks(&trees[0])?, ticks(&trees[1])?];
    let permille = |at: usize| permille(after[at] - before[at], span);
    Ok(Cost {
        system: pair.system().name(),
        binary_bytes: fs::metadata(systems::program(pair.system())?)?.len(),
        rss_bytes: trees[0].iter().map(|pid| resident(*pid)).sum::<Result<u64>>()?,
        active_cpu_permille: permille(0)?,
        backup_cpu_permille: permille(1)?,
    })
}

/// The line for people.
pub fn describe(cost: &Cost) -> String {
    let percent = |permille: u64| format!("{}.{} %", permille / 10, permille % 10);
    format!(
        "{:<20} program {:>6} KiB, resident {:>6} KiB, idle CPU: Active {}, Backup {} of one core",
        cost.system,
        cost.binary_bytes / 1024,
        cost.rss_bytes / 1024,
        percent(cost.active_cpu_permille),
        percent(cost.backup_cpu_permille)
    )
}

/// Clock ticks during `span`, in thousandths of one core.
pub(crate) fn permille(ticks: u64, span: Duration) -> Result<u64> {
    let hertz = u64::try_from(sysconf(SysconfVar::CLK_TCK)?.context("the kernel has a clock tick")?)?;
    let milliseconds = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
    Ok(ticks * 1_000_000 / hertz / milliseconds)
}

/// The CPU time of processes, in clock ticks.
pub(crate) fn ticks(tree: &[Pid]) -> Result<u64> {
    let of = |pid: &Pid| -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).context("an agent's process ended")?;
        let (_, fields) = text.rsplit_once(')').context("a stat file names the process")?;
        // utime and stime, fields 14 and 15 of proc(5); the state is field 3.
        fields.split_ascii_whitespace().skip(11).take(2).map(|field| Ok(field.parse::<u64>()?)).sum()
    };
    tree.iter().map(of).sum()
}

/// Resident memory of a process.
pub(crate) fn resident(pid: Pid) -> Result<u64> {
    kibibytes(&format!("/proc/{pid}/status"), "VmRSS:")
}

/// The same, with each page divided among the processes that share it.
pub(crate) fn proportional(pid: Pid) -> Result<u64> {
    kibibytes(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

/// The octets that a line of `file` tells in KiB.
fn kibibytes(file: &str, name: &str) -> Result<u64> {
    let text = fs::read_to_string(file).context("an agent's process ended")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).context("a process has memory")?;
    let kibibytes: u64 =
        line.trim().trim_end_matches(" kB").parse().with_context(|| format!("{name} is a number"))?;
    Ok(kibibytes * 1024)
}
