//! `baton run`: everything is checked first, then the fence is raised, then addresses are bound, then the election
//! begins. What fails on the way is taken back, so that the host is as it was before.

mod prepare;
mod report;
mod serve;
mod watch;

use std::net::Ipv4Addr;

use anyhow::{Context, bail};

use crate::config::Config;
use crate::datapath::{Datapath, Pins, refuse_foreign_pins};
use crate::host::changes::HostChanges;
use crate::host::lock::{DirectoryLock, HostLock};
use crate::host::netlink::{Interface, Netlink};
use crate::host::{HostError, rights};

/// Runs the agent until it is told to stop. It leaves the fence in place: programs, addresses and sysctls stay, and the
/// leases lapse.
///
/// # Errors
///
/// The configuration, the rights or the host do not allow it, and nothing is left changed; or the election thread died.
pub fn run(config: &Config) -> anyhow::Result<()> {
    rights::check()?;
    let netlink = Netlink::open().context("opening a netlink socket")?;
    let interfaces = examine(config, &netlink)?;
    let _host = HostLock::take()?;
    let directory = &config.runtime.directory;
    std::fs::create_dir_all(directory)
        .with_context(|| format!("making the runtime directory {}", directory.display()))?;
    let _directory = DirectoryLock::take(directory)?;

    let mut changes = HostChanges::open(&netlink, directory)?;
    let recorded = changes.is_recorded();
    let mut datapaths = Vec::new();
    let started =
        prepare::prepare(config, &netlink, &interfaces, &mut changes, &mut datapaths).and_then(serve::start);
    match started {
        Ok(serving) => {
            retire(config, &netlink, &mut changes)?;
            serving.until_stopped()
        }
        Err(error) => {
            take_back(changes, recorded, datapaths)?;
            // Goes only if this run made it, for then there is nothing in it.
            let _ = std::fs::remove_dir(directory);
            Err(error)
        }
    }
}

/// Looks at every interface of the configuration and changes nothing.
fn examine(config: &Config, netlink: &Netlink) -> anyhow::Result<Vec<Interface>> {
    if let Some((interface, vip)) = netlink.holder(&vips(config))? {
        bail!(HostError::VipOnInterface { vip, interface });
    }
    let mut interfaces = Vec::new();
    for name in config.interfaces() {
        let interface = netlink.interface(name)?;
        if !interface.ethernet {
            bail!(HostError::NotEthernet(name.to_owned()));
        }
        if interface.addresses.is_empty() {
            bail!(HostError::NoAddress(name.to_owned()));
        }
        interfaces.push(interface);
    }
    Ok(interfaces)
}

/// All virtual addresses of the configuration.
fn vips(config: &Config) -> Vec<Ipv4Addr> {
    config.routers.iter().flat_map(|router| router.vips.iter().copied()).collect()
}

/// Takes the programs off interfaces that an earlier run had and this configuration has no more.
fn retire(config: &Config, netlink: &Netlink, changes: &mut HostChanges<'_>) -> anyhow::Result<()> {
    let kept = config.interfaces();
    let retired: Vec<String> =
        changes.interfaces().filter(|name| !kept.contains(name)).map(str::to_owned).collect();
    for interface in retired {
        let pins = Pins::new(&config.runtime.pins, &interface);
        refuse_foreign_pins(netlink, &interface, &pins)?;
        pins.remove()?;
        changes.forget_interface(&interface)?;
        tracing::info!(interface, "no virtual router on it any more; programs removed");
    }
    Ok(())
}

/// Leaves the host as it was: what this run has changed goes, what an earlier one has left stays.
fn take_back(mut changes: HostChanges<'_>, recorded: bool, datapaths: Vec<Datapath>) -> anyhow::Result<()> {
    if !recorded {
        changes.revert()?;
    }
    for datapath in datapaths {
        datapath.take_back()?;
    }
    if !recorded {
        changes.forget()?;
    }
    Ok(())
}
