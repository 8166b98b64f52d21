//! `baton run`: everything is checked first, then the fence is raised, then leases that hold are taken up, then addresses are
//! bound, then the elections of all other virtual routers begin. What fails on the way is taken back, so that the host is as it
//! was before.

mod af_xdp;
mod attend;
mod brief;
mod compatibility;
mod holds;
mod hooks;
mod locks;
mod prepare;
mod report;
mod restart;
mod serve;
mod undo;
mod vips;
mod watch;

use std::net::{IpAddr, Ipv6Addr};

use anyhow::{Context, bail};

use self::locks::Claim;
use self::serve::Serving;
use self::undo::Undo;
use crate::address;
use crate::config::{Bind, Config, RouterConfig};
use crate::control::{server, socket_path};
use crate::datapath::{Pins, refuse_foreign_pins};
use crate::driver::End;
use crate::engine::MAX_MTU;
use crate::guardian::{Line, Notice, Predecessor, Progress};
use crate::host::changes::HostChanges;
use crate::host::netlink::{Interface, Netlink};
use crate::host::{HostError, cpus, rights};

/// Runs the agent, with its guardian at the other end of `line`, until it is told to stop. It leaves the fence in place:
/// programs, addresses and sysctls stay, and the leases lapse. Where there is a `predecessor`, its leases are taken up.
///
/// # Errors
///
/// The configuration, the rights or the host do not allow it, and nothing is left changed; or the election thread died.
pub fn run(config: &Config, line: Line, predecessor: Option<&Predecessor>) -> anyhow::Result<()> {
    rights::check()?;
    let netlink = Netlink::open().context("opening a netlink socket")?;
    let interfaces = examine(config, &netlink)?;
    let directory = &config.runtime.directory;
    let claim = Claim::make(config, predecessor)?;

    let mut undo = Undo::new(HostChanges::open(&netlink, directory)?);
    match start(config, &netlink, &interfaces, &mut undo, line.notice(), predecessor) {
        Ok(serving) => {
            retire(config, &netlink, &mut undo.changes);
            let locks = claim.into_locks(directory)?;
            if let Some(predecessor) = predecessor {
                // It has ended if it does not hear it.
                let _ = predecessor.tell(&Progress::Serving);
            }
            let end = serving.until_ended(line, &locks, &config.runtime.pins);
            if let Ok(End::Stopped) = end {
                unbind_temporary(config, &netlink);
            }
            if let Ok(End::PassedOn) = end {
                locks.keep_locked();
            } else {
                let _ = server::remove(&socket_path(directory));
            }
            end.map(drop)
        }
        Err(error) => {
            let error = undo.take_back(error);
            // Goes only if this run made it, for then there is nothing in it.
            let _ = std::fs::remove_dir(directory);
            Err(error)
        }
    }
}

/// Makes everything ready, begins the election, with the leases that hold, and goes over to the configuration.
fn start(
    config: &Config,
    netlink: &Netlink,
    interfaces: &[Interface],
    undo: &mut Undo<'_>,
    notice: Notice,
    predecessor: Option<&Predecessor>,
) -> anyhow::Result<Serving> {
    let (ready, plans) = prepare::prepare(config, netlink, interfaces, undo)?;
    if predecessor.is_some() {
        // The tables are there: what was kept off a CPU for them need not be.
        if let Err(error) = cpus::as_parent() {
            tracing::warn!(%error, "this agent uses a CPU less than the one before");
        }
    }
    let briefing = brief::briefing(config, interfaces, &ready.parts)?;
    let serving = serve::start(ready, briefing, notice, predecessor)?;
    match prepare::switch(config, &plans, undo) {
        Ok(()) => Ok(serving.begun()),
        Err(error) => {
            serving.abandon();
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
        if config.routers_on(name).any(|router| router.balanced) && interface.mtu as usize > MAX_MTU {
            bail!(HostError::MtuTooLarge { interface: interface.name, mtu: interface.mtu, most: MAX_MTU });
        }
        for router in config.routers_on(name) {
            let primary = primary(config, &interface, router)?;
            if !router.peers.is_empty() && router.peers.iter().all(|peer| *peer == primary) {
                bail!(HostError::NoPeer {
                    interface: interface.name.clone(),
                    vrid: router.vrid.get(),
                    primary
                });
            }
        }
        interfaces.push(interface);
    }
    for interface in &interfaces {
        for arm in config.arms_of(&interface.name) {
            let Some(arm) = interfaces.iter().find(|other| other.name == arm) else { continue };
            if arm.mtu != interface.mtu {
                bail!(HostError::OtherMtu {
                    arm: arm.name.clone(),
                    mtu: arm.mtu,
                    interface: interface.name.clone(),
                    wanted: interface.mtu,
                });
            }
        }
    }
    Ok(interfaces)
}

/// The address of `interface` that adverts of `router` come from: the one that was chosen, or the first that is not a virtual
/// one.
fn primary(config: &Config, interface: &Interface, router: &RouterConfig) -> Result<IpAddr, HostError> {
    if let Some(source) = router.source {
        let has_it = interface.addresses.contains(&source);
        return has_it.then_some(source).ok_or_else(|| HostError::NoSource {
            interface: interface.name.clone(),
            vrid: router.vrid.get(),
            source_address: source,
        });
    }
    let family = router.family();
    let is_virtual = |address: &IpAddr| config.routers.iter().any(|router| router.vips.contains(address));
    let own = |address: &&IpAddr| address::family(**address) == family && !is_virtual(address);
    let missing = || HostError::NoAddress { interface: interface.name.clone(), family };
    interface.primaries.iter().find(own).copied().ok_or_else(missing)
}

/// The virtual addresses of the configuration that services could listen on.
fn vips(config: &Config) -> Vec<IpAddr> {
    config.routers.iter().flat_map(bindable).collect()
}

/// The virtual addresses of the configuration that are on `lo` at the times of `bind`.
fn bound(config: &Config, bind: Bind) -> Vec<IpAddr> {
    config.routers.iter().filter(|router| router.is_bound(bind)).flat_map(bindable).collect()
}

/// The addresses of `router` that services could listen on. Link-local ones lead to this host and no further: the kernel knows
/// them by their interface, and would not find them on `lo`.
fn bindable(router: &RouterConfig) -> impl Iterator<Item = IpAddr> {
    let vips = router.vips.iter().copied();
    vips.filter(|vip| !ipv6(vip).is_some_and(|vip| vip.is_unicast_link_local()))
}

/// Takes the addresses off `lo` that are there while this host is Active. The election has ended. What fails is left to the
/// next run.
fn unbind_temporary(config: &Config, netlink: &Netlink) {
    for vip in bound(config, Bind::WhileActive) {
        if let Err(error) = netlink.unbind(vip) {
            tracing::warn!(%error, "the VIP stays on lo");
        }
    }
}

fn ipv6(address: &IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(*address),
    }
}

/// Takes the programs off interfaces that an earlier run had and this configuration has no more. The agent does not need
/// it: what fails is left to the next run.
fn retire(config: &Config, netlink: &Netlink, changes: &mut HostChanges<'_>) {
    let kept = config.interfaces();
    let retired: Vec<String> =
        changes.interfaces().filter(|name| !kept.contains(name)).map(str::to_owned).collect();
    for interface in retired {
        match release(config, netlink, changes, &interface) {
            Ok(()) => tracing::info!(interface, "no virtual router on it any more; programs removed"),
            Err(error) => {
                tracing::warn!(interface, %error, "no virtual router on it any more, but the programs stay");
            }
        }
    }
}

fn release(
    config: &Config,
    netlink: &Netlink,
    changes: &mut HostChanges<'_>,
    interface: &str,
) -> anyhow::Result<()> {
    let pins = Pins::new(&config.runtime.pins, interface);
    refuse_foreign_pins(netlink, interface, &pins)?;
    pins.remove()?;
    Ok(changes.forget_interface(interface)?)
}
