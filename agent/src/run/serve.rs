//! The running agent: the election on a thread of its own, and beside it, in tokio, all that may wait: the control
//! socket, the log, the kernel's notices, signals.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use anyhow::Context;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::prepare::Ready;
use super::vips::Vips;
use super::{report, stop, watch};
use crate::config::SbfdChoice;
use crate::control::server::{self, Server};
use crate::control::socket_path;
use crate::driver::{self, Driver, Port};
use crate::guardian::{Line, Notice};
use crate::host::drained::Drained;
use crate::host::rights;
use crate::stall::StallWatch;

/// The running agent.
pub(super) struct Serving {
    runtime: Runtime,
    server: Arc<Server>,
    begin: SyncSender<()>,
    ended: oneshot::Receiver<()>,
    socket: PathBuf,
}

/// Starts the election's thread, which holds `notice` and waits for [`Serving::begin`], and what serves it.
pub(super) fn start(ready: Ready<'_>, notice: Notice) -> anyhow::Result<Serving> {
    let Ready { config, runtime, listener, watch, watched, parts, served, events } = ready;
    let (remote, commands) = driver::channel().context("making the command channel")?;
    if let Err(error) = rights::lock_memory() {
        tracing::warn!(%error, "memory is not locked; grant CAP_IPC_LOCK or raise RLIMIT_MEMLOCK");
    }
    for (port, _) in served.iter().zip(&parts).filter(|(_, parts)| !parts.usable) {
        report::warn_of_no_link(&port.interface);
    }
    let ports = parts.into_iter().map(Port::new).collect();
    let runtime_config = &config.runtime;
    let driver = Driver::new(ports, commands);
    let (begin, ended) = start_driver(driver, runtime_config.realtime_priority, runtime_config.sbfd, notice)?;
    let drained = Drained::of(&runtime_config.directory);
    let guardian = AtomicU32::new(0);
    let server = Arc::new(Server { ports: served, remote: remote.clone(), guardian, drained });
    runtime.spawn(report::log_events(events, Arc::clone(&server)));
    runtime.spawn(report::warn_of_discards(Arc::clone(&server)));
    let vips = Vips::new(super::vips(config));
    runtime.spawn(watch::watch(watch, watched, vips, remote));
    runtime.spawn(server::serve(listener, Arc::clone(&server)));
    Ok(Serving { runtime, server, begin, ended, socket: socket_path(&config.runtime.directory) })
}

/// Runs `driver` on a thread of its own once the sender has said so, or not at all when it is dropped; the receiver hears
/// when it has ended, and gets an error when it panicked. The thread holds `notice` when this returns.
fn start_driver(
    mut driver: Driver,
    priority: u8,
    sbfd: SbfdChoice,
    notice: Notice,
) -> anyhow::Result<(SyncSender<()>, oneshot::Receiver<()>)> {
    let (begin, begun) = sync_channel(1);
    let (sender, ended) = oneshot::channel();
    let (holding, held) = sync_channel(1);
    let election = move || {
        // In a panic it goes before the driver, whose sockets take tens of milliseconds to close.
        let tenure = match notice.hold() {
            Ok(tenure) => tenure,
            Err(error) => {
                let _ = holding.send(Err(error));
                return;
            }
        };
        let _ = holding.send(Ok(()));
        if begun.recv().is_err() {
            tenure.end();
            return;
        }
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
        driver.run(profile, stall.as_ref());
        tenure.end();
        let _ = sender.send(());
    };
    thread::Builder::new()
        .name("election".to_owned())
        .spawn(election)
        .context("starting the election thread")?;
    held.recv().context("the election thread has died at once")?.context("holding the guardian's notice")?;
    Ok((begin, ended))
}

impl Serving {
    /// Begins the election.
    pub(super) fn begin(&self) {
        // A thread that is not there to hear it is noticed as one that has died.
        let _ = self.begin.try_send(());
    }

    /// Serves until the agent is told to stop and the election has ended in order.
    pub(super) fn until_stopped(self, line: Line) -> anyhow::Result<()> {
        let result = self.runtime.block_on(stop::until_stopped(&self.server, self.ended, line));
        let _ = std::fs::remove_file(self.socket);
        result
    }
}
