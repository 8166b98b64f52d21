//! `baton detach`: the host as it was before Baton came.

use std::collections::BTreeSet;

use anyhow::Context;

use crate::config::Config;
use crate::control::{server, socket_path};
use crate::datapath::{Pins, refuse_foreign_pins};
use crate::engine::Adjustments;
use crate::host::changes::HostChanges;
use crate::host::drained::Drained;
use crate::host::lock::{DirectoryLock, HostLock};
use crate::host::netlink::Netlink;
use crate::host::rights;

/// Removes addresses, sysctls, programs and pins, in the order in which the kernel never speaks for a VIP: the fence
/// falls last.
///
/// # Errors
///
/// An agent runs on this host, or the pins are those of another network namespace, and nothing is changed; or something
/// cannot be removed: what was removed before stays removed, and the call can be repeated.
pub fn detach(config: &Config) -> anyhow::Result<()> {
    rights::check()?;
    let _host = HostLock::take()?;
    let netlink = Netlink::open().context("opening a netlink socket")?;
    let directory = &config.runtime.directory;
    let _directory = directory.exists().then(|| DirectoryLock::take(directory)).transpose()?;
    let mut changes = HostChanges::open(&netlink, directory)?;
    // Those of an earlier configuration, too.
    let interfaces: BTreeSet<&str> = config.interfaces().into_iter().chain(changes.interfaces()).collect();
    let mut all_pins = Vec::new();
    for interface in interfaces {
        let pins = Pins::new(&config.runtime.pins, interface);
        refuse_foreign_pins(&netlink, interface, &pins)?;
        all_pins.push(pins);
    }
    changes.revert()?;
    for pins in all_pins {
        pins.remove()?;
    }
    changes.forget()?;
    let _ = Drained::of(directory).clear();
    let _ = Adjustments::forget(directory);
    // An agent that was killed has left it; that nobody listens there is shown by the lock on the directory.
    let _ = server::remove(&socket_path(directory));
    // Another agent's files, or the operator's, keep it.
    let _ = std::fs::remove_dir(directory);
    Ok(())
}
