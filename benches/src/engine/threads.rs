//! Where threads run and how much CPU time they take.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use baton_tests::lab::output;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// The CPU where frames are made, received and taken off, and the one of the workers.
pub(super) const WIRE_CPU: usize = 0;
pub(super) const NODE_CPU: usize = 1;

/// SCHED_FIFO priorities: other processes of the machine take no time from what is measured, and what has frames to take goes
/// before what makes them.
pub(super) const GENERATOR: u8 = 10;
pub(super) const WORKER: u8 = 40;
pub(super) const POLLER: u8 = 45;

/// A thread whose time is measured.
#[derive(Clone, Debug)]
pub(super) struct Thread(PathBuf);

impl Thread {
    /// That thread of that process.
    pub(super) fn of(process: Pid, thread: Pid) -> Self {
        Self(PathBuf::from(format!("/proc/{process}/task/{thread}")))
    }

    /// All threads of a process.
    pub(super) fn all_of(process: Pid) -> Result<Vec<Self>> {
        let tasks = fs::read_dir(format!("/proc/{process}/task")).context("the process has ended")?;
        tasks.map(|task| Ok(Self(task?.path()))).collect()
    }

    /// Its name.
    pub(super) fn name(&self) -> Result<String> {
        Ok(fs::read_to_string(self.0.join("comm"))?.trim().to_owned())
    }

    /// How long it has been on a CPU, in ns, proc(5).
    pub(super) fn cpu_ns(&self) -> Result<u64> {
        let text = fs::read_to_string(self.0.join("schedstat")).context("a thread has ended")?;
        text.split_ascii_whitespace()
            .next()
            .and_then(|word| word.parse().ok())
            .context("a thread has CPU time")
    }

    /// Gives it a real-time priority.
    pub(super) fn prioritize(&self, priority: u8) -> Result<()> {
        let number = self.0.file_name().unwrap_or_default();
        let mut command = Command::new("chrt");
        output(command.args(["--fifo", "--pid", &priority.to_string()]).arg(number)).map(drop)
    }
}

/// Keeps a thread on one CPU; 0 is the calling one.
pub(super) fn pin(thread: Pid, cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(thread, &set).with_context(|| format!("keep a thread on CPU {cpu}"))
}
