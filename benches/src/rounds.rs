//! One event, watched by the prober: the unit that the demo tells of and the failover benchmark counts.

use std::process::Command;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context as _, Result};
use baton::clock;
use baton_tests::lab::{
    Fault, Host, Lab, Outcome, Pair, Probe, Prober, Process, Recording, System, analyse, pause, wait_until,
};
use nix::sys::signal::Signal;

/// How long an event is watched: ten times keepalived's usual takeover.
const WATCH: Duration = Duration::from_millis(300);

/// The longest recording of one round.
const LIMIT: Duration = Duration::from_secs(10);

/// What happens to a pair while a client watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The owner meets with a fault.
    Fault(Fault),
    /// Node a, which was stopped, comes back and takes the VIP by preemption. Needs a pair that preempts.
    Failback,
}

impl Event {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fault(fault) => fault.name(),
            Self::Failback => "failback",
        }
    }

    /// The kind that it counts as: an operator plans a failback as he plans a handover.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Fault(fault) => fault.name(),
            Self::Failback => Fault::Planned.name(),
        }
    }

    /// How long both nodes may answer. On planned moves the old owner serves until it hears the new one, one
    /// advertisement interval and the linger at most, and so it does when its agent dies and its guardian acts; one that
    /// is preempted releases when it hears the better one, and serves no longer than its lease if it is held up. A cut
    /// node is out of reach, where nobody acts the lease must have lapsed.
    pub const fn allowed_overlap_us(self) -> u64 {
        match self {
            Self::Fault(Fault::Planned | Fault::AgentDeath) => 12_000,
            Self::Fault(Fault::DeathOfAll | Fault::AgentHang | Fault::SilentDeath) => 0,
            Self::Failback => 30_000,
        }
    }
}

/// One event and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// What happened.
    pub event: Event,
    /// The owner that lost the VIP by it.
    pub victim: Host,
    /// How the client fared.
    pub outcome: Outcome,
    /// The stages inside the new owner, where the system tells them.
    pub stages: Option<Stages>,
}

/// The stages of a takeover, as distances in nanoseconds, and what it cost.
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
    /// Probes without an answer that were sent between the decision and that frame.
    pub lost_probes: u64,
}

/// Brings about what `event` starts from: a single owner, and for a failback that is node b, with node a stopped.
pub fn prepare(pair: &mut Pair<'_>, event: Event) -> Result<()> {
    if event == Event::Failback {
        pair.agent(Host::A)?.signal(Signal::SIGTERM)?;
        pair.end_of(Host::A)?;
    }
    pair.settle().map(drop)
}

/// Lets `event` happen to a [prepared](prepare) pair, watches, and puts everything back in order.
pub fn run(lab: &Lab, pair: &mut Pair<'_>, event: Event) -> Result<Round> {
    pair.settle()?;
    let prober = Prober::start(lab, pair.probed(), LIMIT)?;
    let event_ns = clock::now().as_nanos();
    let victim = match event {
        Event::Fault(fault) => pair.inject(fault)?,
        Event::Failback => fail_back(pair)?,
    };
    pause(WATCH)?;
    let recording = prober.finish()?;
    let stages = match pair.system() {
        System::Baton(_) => stages(lab, victim.other(), event_ns, &recording)?,
        System::Keepalived => None,
    };
    pair.restore().with_context(|| format!("put things in order after {}", event.name()))?;
    Ok(Round { event, victim, outcome: analyse(&recording, event_ns), stages })
}

/// Starts node a again and waits until it has the VIP; gives the node that had it meanwhile.
fn fail_back(pair: &mut Pair<'_>) -> Result<Host> {
    pair.restart(Host::A)?;
    wait_until("node a to take the VIP again", LIMIT / 2, || Ok(pair.owners()? == [Host::A]))?;
    Ok(Host::B)
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

/// What is wrong with a round, if anything.
pub fn complaint(round: &Round) -> Option<String> {
    let Round { event, outcome, victim, .. } = round;
    let (name, allowed) = (event.name(), event.allowed_overlap_us());
    if outcome.after != Some(victim.other()) {
        let after = outcome.after.map_or("nobody", Host::name);
        return Some(format!("{name}: the VIP did not move from node {}, {after} answers", victim.name()));
    }
    (outcome.overlap_us > allowed).then(|| {
        format!("{name}: two nodes answered for {} us, {allowed} us are allowed", outcome.overlap_us)
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
            let span = change.decided_ns..change.decided_ns + accepted_ns;
            let lost = |probe: &&Probe| span.contains(&probe.sent_ns) && !probe.is_answered();
            let lost_probes = recording.probes.iter().filter(lost).count() as u64;
            Some(Stages { stored_ns, transmitted_ns, announced_ns, accepted_ns, lost_probes })
        }
        _ => None,
    })
}
