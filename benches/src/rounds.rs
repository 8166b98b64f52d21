//! One fault, watched by the prober: the unit that the demo tells of and the failover benchmark counts.

use std::process::Command;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context as _, Result};
use baton::clock;
use baton_tests::lab::{Fault, Host, Lab, Outcome, Pair, Prober, Process, Recording, System, analyse, pause};

/// How long a fault is watched: ten times keepalived's usual takeover.
const WATCH: Duration = Duration::from_millis(300);

/// The longest recording of one round.
const LIMIT: Duration = Duration::from_secs(10);

/// One fault and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// What befell the owner.
    pub fault: Fault,
    /// The owner that it befell.
    pub victim: Host,
    /// How the client fared.
    pub outcome: Outcome,
    /// The stages inside the new owner, where the system tells them.
    pub stages: Option<Stages>,
}

/// The stages of a takeover, as distances in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stages {
    /// From the decision to the lease in the map.
    pub stored_ns: u64,
    /// From the decision to the advertisement on its way.
    pub transmitted_ns: u64,
    /// From the decision to the first gratuitous ARP on its way.
    pub announced_ns: u64,
    /// From the decision to the first VIP frame at the service behind.
    pub accepted_ns: u64,
}

/// Lets `fault` befall the owner, watches, and puts everything back in order.
pub fn run(lab: &Lab, pair: &mut Pair<'_>, fault: Fault) -> Result<Round> {
    pair.settle()?;
    let prober = Prober::start(lab, pair.probed(), LIMIT)?;
    let event_ns = clock::now().as_nanos();
    let victim = pair.inject(fault)?;
    pause(WATCH)?;
    let recording = prober.finish()?;
    let stages = match pair.system() {
        System::Baton(_) => stages(lab, victim.other(), event_ns, &recording)?,
        System::Keepalived => None,
    };
    pair.restore().with_context(|| format!("put things in order after {}", fault.name()))?;
    Ok(Round { fault, victim, outcome: analyse(&recording, event_ns), stages })
}

/// Watches a quiet pair for `span`: nothing should happen.
pub fn watch(lab: &Lab, pair: &Pair<'_>, span: Duration) -> Result<Outcome> {
    pair.settle()?;
    let prober = Prober::start(lab, pair.probed(), span + LIMIT)?;
    let event_ns = clock::now().as_nanos();
    pause(span)?;
    Ok(analyse(&prober.finish()?, event_ns))
}

/// Busy loops at ordinary priority, one per CPU.
pub fn busy_loops(lab: &Lab) -> Result<Vec<Process>> {
    let start = |_| {
        let mut command: Command = lab.command(Host::Client, "sh");
        command.args(["-c", "while :; do :; done"]);
        Process::start(&mut command, &lab.directory().join("busy.log"))
    };
    (0..available_parallelism()?.get()).map(start).collect()
}

/// How long both nodes may answer after `fault`: on planned moves the old owner serves until it hears the new one, one
/// advertisement interval and the linger at most. A cut node is out of reach, a dead agent's lease must have lapsed.
pub fn allowed_overlap_us(fault: Fault) -> u64 {
    match fault {
        Fault::Planned => 12_000,
        Fault::AgentDeath | Fault::AgentHang | Fault::SilentDeath => 0,
    }
}

/// What is wrong with a round, if anything.
pub fn complaint(round: &Round) -> Option<String> {
    let Round { fault, outcome, victim, .. } = round;
    let allowed = allowed_overlap_us(*fault);
    if outcome.after != Some(victim.other()) {
        let after = outcome.after.map_or("nobody", Host::name);
        return Some(format!(
            "{}: the VIP did not move from node {}, {after} answers",
            fault.name(),
            victim.name()
        ));
    }
    (outcome.overlap_us > allowed).then(|| {
        format!(
            "{}: two nodes answered for {} us, {allowed} us are allowed",
            fault.name(),
            outcome.overlap_us
        )
    })
}

fn stages(lab: &Lab, owner: Host, event_ns: u64, recording: &Recording) -> Result<Option<Stages>> {
    let status = lab.baton_status(owner)?;
    let transition = status.routers.first().and_then(|router| {
        router.transitions.iter().rfind(|change| change.to == "Active" && change.decided_ns >= event_ns)
    });
    let Some(change) = transition else { return Ok(None) };
    let served =
        recording.probes.iter().filter(|probe| probe.node == Some(owner)).map(|probe| probe.server_ns);
    let accepted = served.filter(|server_ns| *server_ns >= change.decided_ns).min();
    let since = |at: Option<u64>| at.map(|at| at.saturating_sub(change.decided_ns));
    Ok(match [change.stored_ns, change.transmitted_ns, change.announced_ns, accepted].map(since) {
        [Some(stored_ns), Some(transmitted_ns), Some(announced_ns), Some(accepted_ns)] => {
            Some(Stages { stored_ns, transmitted_ns, announced_ns, accepted_ns })
        }
        _ => None,
    })
}
