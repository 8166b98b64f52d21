//! The carrier of an interface. Its loss is noticed when it happens.

use std::future::pending;

use super::opinion::Finding;
use crate::host::HostError;
use crate::host::netlink::KernelWatch;

/// An interface that is watched.
pub(super) struct Carrier {
    interface: String,
    /// From the first look on: before, there may be no runtime.
    watch: Option<KernelWatch>,
    /// What the last look has seen, if anything.
    seen: Option<bool>,
}

impl Carrier {
    /// The carrier of the interface called `interface`.
    pub(super) fn new(interface: String) -> Self {
        Self { interface, watch: None, seen: None }
    }

    /// Looks whether there is a carrier. Its loss is certain; an interface that is not there may be on its way.
    pub(super) async fn look(&mut self) -> Finding {
        let seen = self.ask().await;
        self.seen = seen.as_ref().ok().copied();
        match seen {
            Ok(true) => Finding::Good,
            Ok(false) => Finding::Gone(format!("{} has no carrier", self.interface)),
            Err(error) => Finding::Bad(error.to_string()),
        }
    }

    async fn ask(&mut self) -> Result<bool, HostError> {
        let watch = match &mut self.watch {
            Some(watch) => watch,
            none => none.insert(KernelWatch::open().map_err(HostError::io("opening a netlink socket"))?),
        };
        watch.carrier(&self.interface).await
    }

    /// Waits until a look would see something else than the last one. Most notices are about other interfaces.
    pub(super) async fn changed(&mut self) {
        let Some(watch) = &mut self.watch else { return pending().await };
        loop {
            watch.changed().await;
            if watch.carrier(&self.interface).await.ok() != self.seen {
                return;
            }
        }
    }
}
