//! The running agent: the election on a thread of its own, and beside it, in tokio, all that may wait: the control
//! socket, the log, the kernel's notices, signals.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::mpsc;
use std::thread;

use anyhow::Context;
use baton_common::vrid::Family;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::Receiver;
use tokio::sync::{Mutex, Notify, RwLock, oneshot, watch as channel};
use tokio::task::JoinSet;

use super::af_xdp::{self, PendingRings};
use super::attend::{Attention, until_ended};
use super::holds::Holds;
use super::hooks::{self, Hooks};
use super::locks::Locks;
use super::prepare::{PendingEngine, Ready};
use super::{report, restart, watch};
use crate::config::SbfdChoice;
use crate::control::events::Events;
use crate::control::metrics;
use crate::control::server::{self, RestartRequest, ServedPort, ServedRouter, Server};
use crate::driver::{self, Command, Driver, End, Place, Port};
use crate::guardian::{Briefing, Line, Notice, Predecessor, Progress, Tenure};
use crate::host::drained::Drained;
use crate::host::rights;
use crate::stall::StallWatch;
use crate::track::{self, Probe, State, Tracked, Tracker, no_engine};

/// What the thread of the election is called.
pub(super) const ELECTION: &str = "election";

/// The running agent.
pub(super) struct Serving {
    runtime: Runtime,
    hooks: hooks::Running,
    server: Arc<Server>,
    /// What one agent does at a time: looking after interfaces and VIPs, serving `/metrics`, and telling other nodes its tables.
    alone: JoinSet<()>,
    pending_rings: Vec<PendingRings>,
    pending_engines: Vec<PendingEngine>,
    briefing: Briefing,
    ended: oneshot::Receiver<End>,
    restarts: Receiver<RestartRequest>,
}

/// Starts the election's thread, which takes the notice and up what leases hold, from the `predecessor` if there is one, and
/// what serves it. The thread holds the notice when this returns.
pub(super) fn start(
    ready: Ready<'_>,
    briefing: Briefing,
    notice: Notice,
    predecessor: Option<&Predecessor>,
) -> anyhow::Result<Serving> {
    let Ready { config, runtime, listener, watch, watched, vips, parts, served, events, adjustments, .. } =
        ready;
    let (pending_rings, pending_engines) = (ready.pending_rings, ready.pending_engines);
    let (remote, commands) = driver::channel().context("making the command channel")?;
    if let Err(error) = rights::lock_memory() {
        tracing::warn!(%error, "memory is not locked; grant CAP_IPC_LOCK or raise RLIMIT_MEMLOCK");
    }
    for (port, _) in served.iter().zip(&parts).filter(|(_, parts)| !parts.usable) {
        report::warn_of_no_link(&port.interface);
    }
    config.gateways().for_each(report::warn_of_no_forwarding);
    let engine = |interface: &str| engine_probe(&served, interface);
    let trackers = config.trackers.iter().map(|tracker| Tracker::new(tracker, &engine));
    let trackers: Vec<_> = trackers.collect::<Result<_, _>>().context("making the trackers ready")?;
    let hooks = Hooks::new(&config.hooks).context("making the hooks ready")?;
    let ports = parts.into_iter().map(Port::new).collect();
    let election = Election {
        driver: Driver::new(ports, commands),
        priority: config.runtime.realtime_priority,
        sbfd: config.runtime.sbfd,
        notice,
        takes_over: predecessor.is_some(),
    };
    let (restart, restarts) = tokio::sync::mpsc::channel(1);
    let (opinions, seen) = channel::channel(vec![State::Unknown; config.trackers.len()]);
    let server = Arc::new(Server {
        ports: served,
        config: config.clone(),
        opinions: seen,
        events: Events::of(config.routers.len()),
        remote: remote.clone(),
        guardian: AtomicU32::new(0),
        restarts: restart,
        answering: RwLock::new(()),
        drained: Drained::of(&config.runtime.directory),
        adjustments: Mutex::new(adjustments),
        restarting: AtomicBool::new(false),
    });
    let (queues, hooks) = hooks.begin(&runtime);
    let holds = Holds::begin(&runtime, &server);
    let moves = Arc::new(Notify::new());
    runtime.spawn(report::log_events(events, Arc::clone(&server), queues, holds, Arc::clone(&moves)));
    runtime.spawn(report::warn_of_discards(Arc::clone(&server)));
    let telling = Arc::clone(&server);
    runtime.spawn(async move { telling.tell_of_trackers().await });
    let mut alone = JoinSet::new();
    alone.spawn_on(watch::watch(watch, watched, vips, moves, remote.clone()), runtime.handle());
    if let Some(address) = config.runtime.metrics {
        // At once: tasks run only when this agent serves, and the one before it may have left by then.
        let listening = {
            let _inside = runtime.enter();
            metrics::listen(address)
        };
        alone.spawn_on(metrics::serve(address, listening, Arc::clone(&server)), runtime.handle());
    }
    runtime.spawn(track::run(trackers, tracked(&server), opinions, remote));
    runtime.spawn(server::serve(listener, Arc::clone(&server)));

    let (held, ended) = election.start()?;
    held.recv()
        .context("the election thread has died at once")?
        .context("making the election thread ready")?;
    if let Some(predecessor) = predecessor {
        let routers = server.routers().map(|(_, port, router)| restart::name(port, router)).collect();
        predecessor.tell(&Progress::Ready { routers }).context("telling the running agent to pass on")?;
    }
    held.recv().context("the election thread has died at once")?.context("holding the guardian's notice")?;
    Ok(Serving { runtime, hooks, server, alone, pending_rings, pending_engines, briefing, ended, restarts })
}

/// What tells whether the engine of `interface` does its work.
fn engine_probe(served: &[ServedPort], interface: &str) -> Probe {
    let port = served.iter().find(|port| port.interface == interface);
    match port.and_then(|port| port.engine.as_ref()).map(|engine| Arc::clone(engine.health())) {
        Some(health) => Box::new(move || health.check()),
        None => no_engine(interface),
    }
}

/// The virtual routers that have trackers.
fn tracked(server: &Server) -> Vec<Tracked> {
    let tracked = |(place, _, ServedRouter { config, .. }): (Place, &ServedPort, &ServedRouter)| {
        let trackers = config.trackers.clone();
        (!trackers.is_empty()).then_some(Tracked { place, configured: config.priority, trackers })
    };
    server.routers().filter_map(tracked).collect()
}

/// The election's thread before it is started.
struct Election {
    driver: Driver,
    priority: u8,
    sbfd: SbfdChoice,
    notice: Notice,
    /// Whether an agent passes the notice on.
    takes_over: bool,
}

/// Says that the thread is ready for the notice; then that it holds it, or why it does not.
type Held = mpsc::Receiver<std::io::Result<()>>;

impl Election {
    /// The first receiver hears how far the thread is until it begins; the second when it has ended, and gets an error when
    /// it panicked.
    fn start(self) -> anyhow::Result<(Held, oneshot::Receiver<End>)> {
        let (holding, held) = mpsc::sync_channel(2);
        let (sender, ended) = oneshot::channel();
        let election = move || {
            let Self { mut driver, priority, sbfd, notice, takes_over } = self;
            let mut realtime = priority > 0;
            if realtime && let Err(error) = rights::become_realtime(priority) {
                tracing::warn!(%error, "no real-time priority; grant CAP_SYS_NICE, or set realtime_priority = 0");
                realtime = false;
            }
            let profile = sbfd.profile(realtime);
            // From this thread, so that the others have its scheduling.
            let stall = profile.and_then(|_| {
                let started = StallWatch::start();
                started.inspect_err(|error| tracing::warn!(%error, "no watch for stalls of this host")).ok()
            });
            let _ = holding.send(Ok(()));
            // In a panic it goes before the driver, whose sockets take tens of milliseconds to close.
            let taken = if takes_over { notice.take_over() } else { notice.hold() };
            let tenure: Tenure = match taken {
                Ok(tenure) => tenure,
                Err(error) => {
                    let _ = holding.send(Err(error));
                    return;
                }
            };
            let _ = holding.send(Ok(()));
            let end = driver.run(profile, stall.as_ref(), takes_over);
            match end {
                End::Stopped => tenure.end(),
                End::PassedOn => tenure.pass_on(),
            }
            let _ = sender.send(end);
        };
        thread::Builder::new()
            .name(ELECTION.to_owned())
            .spawn(election)
            .context("starting the election thread")?;
        Ok((held, ended))
    }
}

impl Serving {
    /// Begins the elections that have to wait until the host has gone over to the configuration.
    pub(super) fn begun(mut self) -> Self {
        // A thread that is not there to hear it is noticed as one that has died.
        let _ = self.server.remote.send(Command::Begin);
        af_xdp::open(std::mem::take(&mut self.pending_rings), self.server.remote.clone());
        for PendingEngine { engine, entries, index, circles } in self.pending_engines.drain(..) {
            for family in [Family::Ipv4, Family::Ipv6] {
                let of_family = circles.iter().filter(|circle| circle.family() == family).cloned();
                let circles: Vec<_> = of_family.collect();
                if !circles.is_empty() {
                    let comparing = Arc::clone(&engine).compare(family, index, circles);
                    self.alone.spawn_on(comparing, self.runtime.handle());
                }
            }
            if let Err(error) = engine.start(entries) {
                tracing::error!(%error, "no thread for the engine; services are down");
            }
        }
        self
    }

    /// Gives up what was taken up, and ends.
    pub(super) fn abandon(self) {
        let _ = self.server.remote.send(Command::Stop);
        // A thread that has died has ended as well.
        let _ = self.ended.blocking_recv();
    }

    /// Serves until the agent is told to stop, or another takes over, and the election has ended in order. `locks` and `pins`
    /// are for that other.
    pub(super) fn until_ended(self, line: Line, locks: &Locks, pins: &Path) -> anyhow::Result<End> {
        let Self { runtime, hooks, server, alone, briefing, ended, restarts, .. } = self;
        let shared = locks.shared_with_next(pins);
        let attention = Attention { server, alone, hooks, briefing, ended, restarts, shared };
        let end = runtime.block_on(until_ended(attention, line));
        // Somebody may wait for a file on a disk that does not answer.
        runtime.shutdown_background();
        end
    }
}
