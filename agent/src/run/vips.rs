//! The VIPs belong on `lo` and nowhere else, some of them only while this host owns them. A network manager, or its user, may
//! think otherwise while the agent runs.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::clock;
use crate::config::{Bind, RouterConfig};
use crate::datapath::Tenures;
use crate::host::HostError;
use crate::host::netlink::{KernelWatch, LOOPBACK, interface_name};
use crate::vrrp::Instant;

/// The VIPs, and where else they were seen.
pub(super) struct Vips {
    all: BTreeSet<IpAddr>,
    always: BTreeSet<IpAddr>,
    temporary: Vec<Temporary>,
    /// Interfaces, by index, that have a VIP, as was told already.
    elsewhere: BTreeSet<(u32, IpAddr)>,
}

/// The VIPs of an interface that are on `lo` while this host owns them, each with its virtual router's slot.
pub(super) struct Temporary {
    tenures: Tenures,
    vips: Vec<(u32, IpAddr)>,
}

impl Temporary {
    /// Those of `routers`, each with its slot.
    pub(super) fn new<'a>(routers: impl Iterator<Item = (&'a RouterConfig, u32)>, tenures: Tenures) -> Self {
        let vips = routers
            .filter(|(router, _)| router.is_bound(Bind::WhileActive))
            .flat_map(|(router, slot)| super::bindable(router).map(move |vip| (slot, vip)))
            .collect();
        Self { tenures, vips }
    }

    /// Those that are not as they should be where `present` is on `lo`, each with whether it should be there.
    fn misplaced(&self, present: &BTreeSet<IpAddr>, now: Instant) -> impl Iterator<Item = (IpAddr, bool)> {
        let vips = self.vips.iter().map(move |&(slot, vip)| (vip, self.tenures.is_owned(slot, now)));
        vips.filter(|(vip, is_owned)| present.contains(vip) != *is_owned)
    }
}

impl Vips {
    /// Watches over `all`, of which `always` are bound, and binds and unbinds `temporary`.
    pub(super) fn new(all: Vec<IpAddr>, always: Vec<IpAddr>, temporary: Vec<Temporary>) -> Self {
        let [all, always] = [all, always].map(BTreeSet::from_iter);
        Self { all, always, temporary, elsewhere: BTreeSet::new() }
    }

    /// Puts back on `lo` what was taken off it, which no service is to notice and the election need not; binds there what this
    /// host has come to own, unbinds what it owns no more; and tells once of each VIP that has come to another interface. The
    /// fence knows them all the while.
    ///
    /// # Errors
    ///
    /// The kernel does not say which addresses there are, or refuses one.
    pub(super) async fn keep(&mut self, watch: &KernelWatch) -> Result<(), HostError> {
        let found: BTreeSet<(u32, IpAddr)> =
            watch.addresses().await?.into_iter().filter(|(_, vip)| self.all.contains(vip)).collect();
        let (present, elsewhere): (BTreeSet<_>, BTreeSet<_>) =
            found.into_iter().partition(|(index, _)| *index == LOOPBACK);
        let present = present.into_iter().map(|(_, vip)| vip).collect();
        for &vip in self.always.difference(&present) {
            tracing::warn!(%vip, "the VIP was taken off lo; put back. Make the network manager leave lo alone");
            watch.bind(vip).await?;
        }
        let now = clock::now();
        let misplaced: Vec<(IpAddr, bool)> =
            self.temporary.iter().flat_map(|temporary| temporary.misplaced(&present, now)).collect();
        for (vip, is_owned) in misplaced {
            if is_owned { watch.bind(vip).await? } else { watch.unbind(vip).await? }
        }
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
