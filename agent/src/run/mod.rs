//! `baton run`: everything is checked first, then the fence is raised, then addresses are bound, then the election
//! begins. What fails on the way is taken back, so that the host is as it was before.

mod prepare;
mod serve;

use anyhow::{Context, bail};

use crate::config::Config;
use crate::host::changes::HostChanges;
use crate::host::lock::InterfaceLock;
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
    let _locks: Vec<InterfaceLock> =
        config.interfaces().into_iter().map(InterfaceLock::take).collect::<Result<_, _>>()?;
    let directory = &config.runtime.directory;
    std::fs::create_dir_all(directory)
        .with_context(|| format!("making the runtime directory {}", directory.display()))?;
    let mut changes = HostChanges::open(&netlink, directory)?;
    let recorded = changes.is_recorded();
    let mut datapaths = Vec::new();
    match prepare::prepare(config, &netlink, &interfaces, &mut changes, &mut datapaths) {
        Ok(ready) => serve::serve(ready),
        Err(error) => {
            if !recorded {
                changes.revert()?;
            }
            for datapath in datapaths.into_iter().filter(|datapath| !datapath.adopted()) {
                datapath.detach()?;
            }
            // Goes only if this run made it, for then there is nothing in it.
            let _ = std::fs::remove_dir(directory);
            Err(error)
        }
    }
}

/// Looks at every interface of the configuration and changes nothing.
fn examine(config: &Config, netlink: &Netlink) -> anyhow::Result<Vec<Interface>> {
    let mut interfaces = Vec::new();
    for name in config.interfaces() {
        let interface = netlink.interface(name)?;
        if !interface.ethernet {
            bail!(HostError::NotEthernet(name.to_owned()));
        }
        let mut vips = config.routers.iter().flat_map(|router| &router.vips);
        if let Some(&vip) = vips.find(|vip| interface.addresses.contains(vip)) {
            bail!(HostError::VipOnInterface { vip, interface: name.to_owned() });
        }
        if interface.addresses.is_empty() {
            bail!(HostError::NoAddress(name.to_owned()));
        }
        interfaces.push(interface);
    }
    Ok(interfaces)
}
