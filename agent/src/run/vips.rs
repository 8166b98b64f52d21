//! The VIPs belong on `lo` and nowhere else. A network manager, or its user, may think otherwise while the agent runs.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::host::HostError;
use crate::host::netlink::{KernelWatch, LOOPBACK, interface_name};

/// The VIPs, and where else they were seen.
pub(super) struct Vips {
    all: BTreeSet<IpAddr>,
    /// Interfaces, by index, that have a VIP, as was told already.
    elsewhere: BTreeSet<(u32, IpAddr)>,
}

impl Vips {
    /// Watches over `vips`, which are bound.
    pub(super) fn new(vips: impl IntoIterator<Item = IpAddr>) -> Self {
        Self { all: vips.into_iter().collect(), elsewhere: BTreeSet::new() }
    }

    /// Puts back on `lo` what was taken off it, which no service is to notice and the election need not; and tells once of
    /// each VIP that has come to another interface. The fence knows them all the while.
    ///
    /// # Errors
    ///
    /// The kernel does not say which addresses there are, or refuses one.
    pub(super) async fn keep(&mut self, watch: &KernelWatch) -> Result<(), HostError> {
        let found: BTreeSet<(u32, IpAddr)> =
            watch.addresses().await?.into_iter().filter(|(_, vip)| self.all.contains(vip)).collect();
        for &vip in self.all.iter().filter(|vip| !found.contains(&(LOOPBACK, **vip))) {
            tracing::warn!(%vip, "the VIP was taken off lo; put back. Make the network manager leave lo alone");
            watch.bind(vip).await?;
        }
        let elsewhere: BTreeSet<_> = found.into_iter().filter(|(index, _)| *index != LOOPBACK).collect();
        for &(index, vip) in elsewhere.difference(&self.elsewhere) {
            let interface = interface_name(index);
            tracing::warn!(
                interface,
                %vip,
                "the VIP has become an address of this interface, where the kernel may answer for it whoever owns it; take it off"
            );
        }
        self.elsewhere = elsewhere;
        Ok(())
    }
}
