//! Where a data plane comes to be: an interface and the pins of its name. It is examined before anything is changed, on
//! this interface or another.

use std::path::PathBuf;

use super::{Datapath, DatapathError, Pins, attach, load};
use crate::config::{DatapathLog, XdpChoice};
use crate::host::netlink::Netlink;

/// An interface and its pins, found fit for our programs.
pub struct Place {
    interface: String,
    pins: Pins,
    choice: XdpChoice,
    adopted: bool,
}

impl Place {
    /// Looks at the interface and at its pins, and changes nothing.
    ///
    /// # Errors
    ///
    /// Somebody else's program is on the interface, the pins are those of another network namespace, or an earlier run's
    /// program is in a mode that the configuration does not allow.
    pub fn examine(
        netlink: &Netlink,
        interface: &str,
        pins: Pins,
        choice: XdpChoice,
    ) -> Result<Self, DatapathError> {
        let adopted = attach::check(netlink, interface, &pins, choice)?;
        Ok(Self { interface: interface.to_owned(), pins, choice, adopted })
    }

    /// Loads the programs and puts them on the interface: adopts what an earlier run has pinned and swaps the program
    /// atomically, or attaches and pins afresh. On failure, what this call created is gone again.
    ///
    /// # Errors
    ///
    /// The kernel refuses the object, or the interface refuses XDP.
    pub fn open(self, netlink: &Netlink, log: DatapathLog) -> Result<Datapath, DatapathError> {
        let Self { interface, pins, choice, adopted } = self;
        if !adopted && pins.directory().exists() {
            // Links whose interface is gone, and the maps that only they used.
            pins.remove()?;
        }
        let mut fresh = Vec::new();
        let opened = pins.create().and_then(|()| {
            let mut bpf = load(&pins, log)?;
            let mode = attach::attach(netlink, &mut bpf, &interface, &pins, choice, &mut fresh)?;
            Ok((bpf, mode))
        });
        match opened {
            Ok((bpf, mode)) => Ok(Datapath { bpf, pins, mode, adopted, fresh }),
            Err(error) => match take_off(&pins, adopted, &fresh) {
                Ok(()) => Err(error),
                Err(remains) => {
                    Err(DatapathError::NotTakenBack { error: Box::new(error), remains: Box::new(remains) })
                }
            },
        }
    }
}

/// Takes off what this run has put on the interface: everything, or beside what an earlier run has left the pins in
/// `fresh`.
pub(super) fn take_off(pins: &Pins, adopted: bool, fresh: &[PathBuf]) -> Result<(), DatapathError> {
    if !adopted {
        return pins.remove();
    }
    fresh
        .iter()
        .try_for_each(|path| std::fs::remove_file(path).map_err(DatapathError::pins(path, "removing a pin")))
}
