//! The running agent: the election on a thread of its own, and beside it, in tokio, all that may wait: the control
//! socket, the log, the kernel's notices, signals.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::prepare::Ready;
use crate::control::server::{self, Server};
use crate::control::socket_path;
use crate::driver::{self, Command, Driver, Event, Port, Remote};
use crate::host::netlink::Watch;
use crate::host::rights;

/// The longest that the watch goes without looking at the interfaces by itself: the loss of an XDP link is announced by
/// no notice.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// An interface as it must stay for its virtual routers to work.
pub(super) struct Watched {
    pub(super) name: String,
    /// The address that adverts come from.
    pub(super) primary: Ipv4Addr,
    /// Our XDP program.
    pub(super) program: Option<u32>,
}

/// Runs the election until the agent is told to stop.
pub(super) fn serve(ready: Ready<'_>) -> anyhow::Result<()> {
    let Ready { config, runtime, listener, watch, watched, parts, served, events, datapaths } = ready;
    let (remote, commands) = driver::channel().context("making the command channel")?;
    let _inside = runtime.enter();
    for datapath in datapaths {
        runtime.spawn(datapath.take_events()?);
    }
    if let Err(error) = rights::lock_memory() {
        tracing::warn!(%error, "memory is not locked; grant CAP_IPC_LOCK or raise RLIMIT_MEMLOCK");
    }
    let ports = parts.into_iter().map(Port::new).collect();
    let ended = start_driver(Driver::new(ports, commands), config.runtime.realtime_priority)?;
    let server = Arc::new(Server { ports: served, remote: remote.clone() });
    runtime.spawn(log_events(events, Arc::clone(&server)));
    runtime.spawn(watch_interfaces(watch, watched, remote.clone()));
    runtime.spawn(server::serve(listener, server));
    let result = runtime.block_on(until_stopped(&remote, ended));
    let _ = std::fs::remove_file(socket_path(&config.runtime.directory));
    result
}

/// Runs `driver` on a thread of its own; the receiver hears when it has ended, and gets an error when it panicked.
fn start_driver(driver: Driver, priority: u8) -> anyhow::Result<oneshot::Receiver<()>> {
    let (sender, ended) = oneshot::channel();
    thread::Builder::new().name("election".to_owned()).spawn(move || {
        if priority > 0
            && let Err(error) = rights::become_realtime(priority)
        {
            tracing::warn!(%error, "no real-time priority; grant CAP_SYS_NICE, or set realtime_priority = 0");
        }
        driver.run();
        let _ = sender.send(());
    })?;
    Ok(ended)
}

/// Waits for a signal to stop, then for the election to end in order. A second signal does not wait.
async fn until_stopped(remote: &Remote, mut ended: oneshot::Receiver<()>) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut stopping = false;
    loop {
        tokio::select! {
            end = &mut ended => return end.context("the election thread has died; its leases lapse"),
            _ = hangup.recv() => {
                tracing::warn!("SIGHUP ignored: the configuration is read at the start only; restart to change it");
                continue;
            }
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if stopping {
            tracing::warn!("second signal: not waiting for a successor");
            return Ok(());
        }
        stopping = true;
        tracing::info!("stopping: handing over");
        remote.send(Command::Stop)?;
    }
}

/// Writes what the election thread reports to the log.
async fn log_events(mut events: mpsc::Receiver<Event>, server: Arc<Server>) {
    while let Some(event) = events.recv().await {
        let (Event::Transition { port, router, .. } | Event::Peer { port, router, .. }) = event;
        let Some(served) = server.ports.get(port) else {
            continue;
        };
        let Some((config, _)) = served.routers.get(router) else {
            continue;
        };
        let (interface, vrid) = (served.interface.as_str(), config.vrid.get());
        match event {
            Event::Transition { record, .. } => {
                let transition = record.transition;
                let (from, to, reason) = (transition.from, transition.to, transition.reason);
                tracing::info!(interface, vrid, %from, %to, %reason, "transition");
            }
            Event::Peer { peer, .. } => {
                let interval_cs = peer.interval.centiseconds();
                let priority = peer.standing.octet();
                tracing::info!(interface, vrid, address = %peer.address, priority, interval_cs, "peer");
                if !peer.same_vips {
                    tracing::warn!(interface, vrid, address = %peer.address, "peer has other vips; make the lists equal");
                }
                if interval_cs != config.interval.centiseconds() {
                    let ours = config.interval.centiseconds();
                    tracing::warn!(interface, vrid, address = %peer.address, interval_cs, ours, "peer has another interval");
                }
            }
        }
    }
}

/// Tells the election thread when an interface loses or regains what it needs.
async fn watch_interfaces(mut watch: Watch, watched: Vec<Watched>, remote: Remote) {
    let mut lost = vec![false; watched.len()];
    loop {
        for (port, expected) in watched.iter().enumerate() {
            let now = watch.interface(&expected.name).await;
            let usable = now.as_ref().is_some_and(|interface| {
                interface.carrier && interface.addresses.contains(&expected.primary)
            });
            let program = now.and_then(|interface| interface.xdp).map(|(id, _)| id);
            if program != expected.program && !lost[port] {
                lost[port] = true;
                tracing::error!(
                    interface = expected.name,
                    "our XDP program was taken off the interface; its virtual routers are given up, restart baton"
                );
                let _ = remote.send(Command::DatapathLost { port });
            }
            let _ = remote.send(Command::Link { port, usable: usable && !lost[port] });
        }
        // Either way it is time to look again.
        let _ = timeout(WATCH_INTERVAL, watch.changed()).await;
    }
}
