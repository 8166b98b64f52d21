//! `baton detach`: the host as it was before Baton came.

use anyhow::Context;

use crate::config::Config;
use crate::datapath::Pins;
use crate::host::changes::HostChanges;
use crate::host::lock::InterfaceLock;
use crate::host::netlink::Netlink;
use crate::host::rights;

/// Removes addresses, sysctls, programs and pins, in the order in which the kernel never speaks for a VIP: the fence
/// falls last.
///
/// # Errors
///
/// An agent runs on one of the interfaces, or something cannot be removed; what was removed before stays removed, and
/// the call can be repeated.
pub fn detach(config: &Config) -> anyhow::Result<()> {
    rights::check()?;
    let _locks: Vec<InterfaceLock> =
        config.interfaces().into_iter().map(InterfaceLock::take).collect::<Result<_, _>>()?;
    let netlink = Netlink::open().context("opening a netlink socket")?;
    let directory = &config.runtime.directory;
    HostChanges::open(&netlink, directory)?.revert()?;
    for interface in config.interfaces() {
        Pins::new(&config.runtime.pins, interface).remove()?;
    }
    // Another agent's files, or the operator's, keep it.
    let _ = std::fs::remove_dir(directory);
    Ok(())
}
