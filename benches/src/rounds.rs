//! One event, watched by the prober: the unit that the demo tells of and the failover benchmark counts.

use std::process::Command;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context as _, Result};
use baton::clock;
use baton::control::protocol::TransitionStatus;
use baton_tests::lab::{
    Fault, Host, Lab, Outcome, Pair, Probe, Prober, Process, Recording, analyse, pause, wait_until,
};
use nix::sys::signal::Signal;

use crate::machine;

/// How long an event is watched, and again after a move that took longer: ten times keepalived's usual takeover.
const WATCH: Duration = Duration::from_millis(300);

/// How long a move is waited for: longer than the 3.6 s that VRRP takes at its defaults.
const LONG_WATCH: Duration = Duration::from_secs(6);

/// The longest recording of one round.
const LIMIT: Duration = Duration::from_secs(15);

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

    /// How long both nodes may answer. Where the old owner can be told it serves until it hears the new one and lingers
    /// then, which takes one advertisement interval and the linger, and longer if it is held up; never longer than its
    /// lease. A cut node is out of reach, where nobody acts the lease must have lapsed.
    pub const fn allowed_overlap_us(self) -> u64 {
        match self {
            Self::Fault(Fault::Planned | Fault::AgentDeath) | Self::Failback => 30_000,
            Self::Fault(Fault::DeathOfAll | Fault::AgentHang | Fault::SilentDeath) => 0,
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
    /// What the hypervisor took from the machine meanwhile.
    pub steal_us: u64,
}

impl Round {
    /// Whether the VIP had left its owner before anything befell it: a false alarm, which the rest of the round comes after.
    pub fn moved_early(&self) -> bool {
        self.outcome.before.is_some_and(|before| before != self.victim)
    }
}

/// The stages of a takeover, as distances in nanoseconds, and what it cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stages {
    /// From the last advertisement heard to the decision.
    pub heard_ns: u64,
    /// From the last frame that the old owner served before the decision to the decision.
    pub silent_ns: u64,
    /// Whether a probe was lost between the last frame that the old owner served and the first of the new one.
    pub has_gap: bool,
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

/// Lets `event` happen to a [prepared](prepare) pair, watches, and puts everything back in order. `number` is the round's:
/// one number after the other, events are spread evenly over the time between two adverts.
pub fn run(lab: &Lab, pair: &mut Pair<'_>, event: Event, number: usize) -> Result<Round> {
    pair.settle()?;
    let steal_before_us = machine::steal_us()?;
    let prober = Prober::start(lab, pair.probed(), LIMIT)?;
    pause(phase(number, pair.interval()))?;
    let event_ns = clock::now().as_nanos();
    let victim = match event {
        Event::Fault(fault) => pair.inject(fault)?,
        Event::Failback => fail_back(pair)?,
    };
    pause(WATCH)?;
    if lab.ask(pair.probed())? != Some(victim.other()) {
        // It takes longer than usual: at its defaults, with thousands of addresses, or for ever.
        // A VIP that does not move is a result too.
        let _ = wait_until("the move", LONG_WATCH, || Ok(lab.ask(pair.probed())? == Some(victim.other())));
        pause(WATCH)?;
    }
    let recording = prober.finish()?;
    let steal_us = machine::steal_us()? - steal_before_us;
    let is_baton = pair.system().is_baton();
    let stages = if is_baton { stages(lab, victim, event_ns, &recording)? } else { None };
    pair.restore().with_context(|| format!("put things in order after {}", event.name()))?;
    Ok(Round { event, victim, outcome: analyse(&recording, event_ns), stages, steal_us })
}

/// When event `number` happens between two adverts: the golden ratio spreads any run of numbers evenly.
fn phase(number: usize, interval: Duration) -> Duration {
    let turn = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let nanos = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(((nanos >> 8) * turn) >> 24)
}

/// Starts node a again and waits until it has the VIP; gives the node that had it meanwhile.
fn fail_back(pair: &mut Pair<'_>) -> Result<Host> {
    pair.restart(Host::A)?;
    wait_until("node a to take the VIP again", LIMIT / 2, || Ok(pair.owners()? == [Host::A]))?;
    Ok(Host::B)
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

fn stages(lab: &Lab, victim: Host, event_ns: u64, recording: &Recording) -> Result<Option<Stages>> {
    let owner = victim.other();
    let status = lab.baton_status(owner)?;
    let transition = status.routers.first().and_then(|router| {
        router.transitions.iter().rfind(|change| change.to == "Active" && change.decided_ns >= event_ns)
    });
    Ok(transition.and_then(|change| stages_of(change, victim, recording)))
}

/// The stages of `change`; `None` if not all of them were reached.
fn stages_of(change: &TransitionStatus, victim: Host, recording: &Recording) -> Option<Stages> {
    let decided_ns = change.decided_ns;
    let served = |host: Host| {
        let probes = recording.probes.iter().filter(move |probe| probe.node == Some(host));
        probes.map(|probe| probe.server_ns)
    };
    let last_served_ns = served(victim).filter(|at| *at < decided_ns).max()?;
    let accepted_ns = served(victim.other()).filter(|at| *at >= decided_ns).min()?;
    let last_ns = served(victim).max()?;
    let is_in_gap = |probe: &Probe| (last_ns..accepted_ns).contains(&probe.sent_ns) && !probe.is_answered();
    let lost = |probe: &&Probe| (decided_ns..accepted_ns).contains(&probe.sent_ns) && !probe.is_answered();
    Some(Stages {
        heard_ns: decided_ns.saturating_sub(change.heard_ns?),
        silent_ns: decided_ns - last_served_ns,
        has_gap: recording.probes.iter().any(is_in_gap),
        stored_ns: change.stored_ns?.saturating_sub(decided_ns),
        transmitted_ns: change.transmitted_ns?.saturating_sub(decided_ns),
        announced_ns: change.announced_ns?.saturating_sub(decided_ns),
        accepted_ns: accepted_ns - decided_ns,
        lost_probes: recording.probes.iter().filter(lost).count() as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_spread_over_the_interval() {
        let interval = Duration::from_millis(10);
        let mut phases: Vec<u128> = (0..8).map(|number| phase(number, interval).as_micros()).collect();
        assert_eq!(phases[..3], [0, 6180, 2360]);
        phases.sort_unstable();
        assert!(phases.windows(2).all(|pair| pair[1] - pair[0] > 800), "{phases:?}");
        assert!(phase(1, Duration::from_secs(1)) < Duration::from_secs(1));
    }

    #[test]
    fn the_stages_of_a_takeover_are_counted_from_the_decision() {
        let probe = |sent_ns, node: Option<Host>| {
            let at = if node.is_some() { sent_ns + 10 } else { 0 };
            Probe { sent_ns, answered_ns: at, server_ns: at, node }
        };
        let (a, b) = (Some(Host::A), Some(Host::B));
        let probes = vec![probe(100, a), probe(200, None), probe(300, None), probe(400, None), probe(500, b)];
        let recording = Recording { probes, ..Recording::default() };
        let change = TransitionStatus {
            from: "Backup".to_owned(),
            to: "Active".to_owned(),
            reason: String::new(),
            age_ms: 0,
            heard_ns: Some(50),
            answered_ns: None,
            decided_ns: 250,
            stored_ns: Some(251),
            transmitted_ns: Some(260),
            announced_ns: Some(280),
        };
        let stages = stages_of(&change, Host::A, &recording);
        let expected = Stages {
            heard_ns: 200,
            silent_ns: 140,
            has_gap: true,
            stored_ns: 1,
            transmitted_ns: 10,
            announced_ns: 30,
            accepted_ns: 260,
            lost_probes: 2,
        };
        assert_eq!(stages, Some(expected));
        assert_eq!(stages_of(&TransitionStatus { announced_ns: None, ..change }, Host::A, &recording), None);
    }
}
