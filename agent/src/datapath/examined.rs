//! Where a data plane comes to be: an interface and the pins of its name, examined before anything is changed, on
//! this interface or another.

use super::attach::{self, Links};
use super::{Datapath, DatapathError, Pins, Purpose, load};
use crate::config::{DatapathLog, XdpChoice};
use crate::host::netlink::Netlink;

/// An interface and its pins, found fit for our programs.
pub struct ExaminedInterface {
    interface: String,
    pins: Pins,
    choice: XdpChoice,
    adopted: bool,
}

impl ExaminedInterface {
    /// Looks at the interface and at its pins, and changes nothing.
    ///
    /// # Errors
    ///
    /// Somebody else's program or one of another version is on the interface, the pins are those of another network namespace,
    /// or an earlier run's program is in a mode that the configuration does not allow.
    pub fn examine(
        netlink: &Netlink,
        interface: &str,
        pins: Pins,
        choice: XdpChoice,
    ) -> Result<Self, DatapathError> {
        let adopted = attach::check(netlink, interface, &pins, choice)?;
        Ok(Self { interface: interface.to_owned(), pins, choice, adopted })
    }

    /// The interface's name.
    pub fn name(&self) -> &str {
        &self.interface
    }

    /// Loads the programs with the maps that an earlier run has pinned, or new ones, and attaches and pins those in whose
    /// place that run has left none. Its tables have this `room`. On failure, what this call created is gone again.
    ///
    /// # Errors
    ///
    /// The kernel refuses the object, or the interface refuses XDP.
    pub fn open(
        self,
        netlink: &Netlink,
        log: DatapathLog,
        purpose: Purpose,
    ) -> Result<Datapath, DatapathError> {
        let Self { interface, pins, choice, adopted } = self;
        if !adopted && pins.directory().exists() {
            // Links whose interface is gone, and the maps that only they used.
            pins.remove()?;
        }
        let mut links = Links::default();
        let opened = pins.create().and_then(|()| {
            let (mut bpf, seed) = load(&pins, log, purpose)?;
            let mode = attach::attach(netlink, &mut bpf, &interface, &pins, choice, &mut links)?;
            Ok((bpf, seed, mode))
        });
        match opened {
            Ok((bpf, seed, mode)) => Ok(Datapath { bpf, seed, pins, mode, adopted, links, before: None }),
            Err(error) => match take_off(&pins, adopted, &links) {
                Ok(()) => Err(error),
                Err(remains) => {
                    Err(DatapathError::NotTakenBack { error: Box::new(error), remains: Box::new(remains) })
                }
            },
        }
    }
}

/// Takes off what this run has put on the interface: everything, or what it has added to an earlier run's.
pub(super) fn take_off(pins: &Pins, adopted: bool, links: &Links) -> Result<(), DatapathError> {
    if adopted { links.remove_fresh() } else { pins.remove() }
}
