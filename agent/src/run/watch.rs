//! What the kernel tells about the interfaces, passed on to the election thread, and about the VIPs.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::vips::Vips;
use crate::datapath::{DatapathError, Hook};
use crate::driver::{Command, Remote};
use crate::engine::Health;
use crate::host::gateways::Gateways;
use crate::host::netlink::{Interface, KernelWatch};

/// The longest that the watch goes without looking at the interfaces by itself: the loss of a program is announced by no
/// notice.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long the kernel may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// An interface as it must stay for its virtual routers to work.
pub(super) struct Watched {
    pub(super) name: String,
    /// Its own MAC, to which XDP readdresses what it delivers.
    pub(super) mac: [u8; 6],
    /// The addresses that adverts come from.
    pub(super) primaries: Vec<IpAddr>,
    /// Our programs, each with the place where it must run.
    pub(super) programs: [(Hook, u32); 3],
    /// Of the engine that has backends behind this interface and its services on another one.
    pub(super) engine: Option<Arc<Health>>,
}

/// Tells the election thread when an interface loses or regains what it needs, and keeps the VIPs where they belong, which may
/// be elsewhere after each of `moves`.
pub(super) async fn watch(
    mut watch: KernelWatch,
    watched: Vec<Watched>,
    mut vips: Vips,
    moves: Arc<Notify>,
    remote: Remote,
) {
    let mut lost = vec![false; watched.len()];
    let mut gateways: Vec<Option<Gateways>> = vec![None; watched.len()];
    loop {
        for (port, expected) in watched.iter().enumerate() {
            // What is not known has not changed.
            let Ok(Ok(now)) = timeout(PATIENCE, watch.interface(&expected.name)).await else {
                tracing::warn!(interface = expected.name, "the kernel does not tell the interface's state");
                continue;
            };
            if !lost[port] {
                match loss(expected, now.as_ref()) {
                    Ok(None) => {}
                    Ok(Some(what)) => {
                        lost[port] = true;
                        tracing::error!(
                            interface = expected.name,
                            "{what}; its virtual routers and services with backends behind it are given up; stop baton and start it again"
                        );
                        if let Some(engine) = &expected.engine {
                            engine.refuse(format!("{}: {what}", expected.name));
                        }
                        let _ = remote.send(Command::DatapathLost { port });
                    }
                    Err(error) => tracing::warn!(%error, "not known whether the data plane works"),
                }
            }
            if let Some(interface) = &now
                && let Ok(Ok(found)) = timeout(PATIENCE, watch.gateways(interface)).await
                && gateways[port].as_ref() != Some(&found)
                && remote.send(Command::Gateways { port, gateways: found.clone() }).is_ok()
            {
                gateways[port] = Some(found);
            }
            let usable = now.filter(|interface| interface.carrier && !lost[port]);
            let has = |primary: &&IpAddr| usable.as_ref().is_some_and(|it| it.addresses.contains(primary));
            let sources = expected.primaries.iter().filter(has).copied().collect();
            let _ = remote.send(Command::Link { port, sources });
        }
        match timeout(PATIENCE, vips.keep(&watch)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the VIPs are not kept on lo"),
            Err(_) => tracing::warn!("the kernel does not tell the addresses"),
        }
        // Whatever it was, it is time to look again.
        tokio::select! {
            () = watch.changed() => {}
            () = moves.notified() => {}
            () = sleep(INTERVAL) => {}
        }
    }
}

/// What has become of the interface so that its data plane does not work any more.
fn loss(expected: &Watched, now: Option<&Interface>) -> Result<Option<String>, DatapathError> {
    let Some(interface) = now else {
        return Ok(Some("the interface is gone".to_owned()));
    };
    for (hook, program) in expected.programs {
        if !hook.running(interface)?.contains(&program) {
            return Ok(Some(format!("our {hook} program was taken off the interface")));
        }
    }
    let moved = interface.mac != expected.mac;
    Ok(moved.then(|| "the interface has another MAC address".to_owned()))
}
