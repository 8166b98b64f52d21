//! What many virtual routers cost while nothing happens.

use std::time::Duration;

use anyhow::{Context as _, Result};
use baton::control::protocol::LatenessStatus;
use baton_tests::lab::{Crowd, Host, Lab, pause};
use nix::unistd::Pid;
use serde::Serialize;

use super::plan::{COST, Conditions};
use crate::cost::{permille, proportional, resident, ticks};

/// What one system takes on both nodes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ScaleCost {
    /// The system's name.
    pub system: &'static str,
    /// Under which conditions.
    #[serde(flatten)]
    pub conditions: Conditions,
    /// From the start of the first agent until it owned all addresses, and the second was there for all.
    pub start_ms: u64,
    /// The owner of all.
    pub active: NodeCost,
    /// The other node.
    pub backup: NodeCost,
}

/// What it takes on one node.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct NodeCost {
    /// The process that runs the elections.
    pub agent: ProcessCost,
    /// Its parent: Baton's guardian, keepalived's main process.
    pub parent: ProcessCost,
    /// How late the election's timers are, since it began, where the system says so.
    pub lateness: Option<LatenessStatus>,
}

/// What a process takes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ProcessCost {
    /// CPU time in thousandths of one core.
    pub cpu_permille: u64,
    /// Resident memory, locked pages included.
    pub rss_bytes: u64,
    /// The same with each page divided among those that share it.
    pub pss_bytes: u64,
}

/// Measures what `crowd` costs, which took `start` to start.
pub(super) fn measure(
    lab: &Lab,
    crowd: &Crowd<'_>,
    conditions: Conditions,
    start: Duration,
) -> Result<ScaleCost> {
    let owner = crowd.settle()?;
    let pids = [processes(crowd, owner)?, processes(crowd, owner.other())?];
    let used = || pids.map(|pids| pids.map(|pid| ticks(&[pid])));
    let before = used();
    pause(COST)?;
    let after = used();
    let node = |at: usize, host: Host| -> Result<NodeCost> {
        let process = |which: usize| -> Result<ProcessCost> {
            let pid = pids[at][which];
            let [before, after] =
                [&before, &after].map(|all| all[at][which].as_ref().map(|ticks| *ticks).unwrap_or_default());
            Ok(ProcessCost {
                cpu_permille: permille(after.saturating_sub(before), COST)?,
                rss_bytes: resident(pid)?,
                pss_bytes: proportional(pid)?,
            })
        };
        let lateness =
            if crowd.system().is_baton() { Some(lab.baton_status(host)?.election_lateness) } else { None };
        Ok(NodeCost { agent: process(0)?, parent: process(1)?, lateness })
    };
    Ok(ScaleCost {
        system: crowd.system().name(),
        conditions,
        start_ms: u64::try_from(start.as_millis()).unwrap_or(u64::MAX),
        active: node(0, owner)?,
        backup: node(1, owner.other())?,
    })
}

/// The agent on `host`, and its parent.
fn processes(crowd: &Crowd<'_>, host: Host) -> Result<[Pid; 2]> {
    let tree = crowd.agent(host)?.tree();
    tree[..].try_into().ok().with_context(|| format!("an agent is two processes, not {}", tree.len()))
}
