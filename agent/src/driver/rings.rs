//! The AF_XDP sockets of an interface. They join a port when they can be had, which may be long after its elections have
//! begun: a queue has one socket, and that of an agent that has just ended stays for some 50 ms.

use std::fmt;
use std::os::fd::RawFd;

use super::transmitter::Renewal;
use crate::datapath::{DatapathError, Sockets};
use crate::xsk::Ring;

/// A ring for every receive queue, with the map that sends advertisements to them.
pub struct Rings {
    rings: Vec<Ring<Option<Renewal>>>,
    sockets: Sockets,
}

impl Rings {
    /// Makes the data plane send advertisements to `rings`, in the order of their queues.
    ///
    /// # Errors
    ///
    /// The kernel refuses a socket. All go with the rings then.
    pub fn new(rings: Vec<Ring<Option<Renewal>>>, mut sockets: Sockets) -> Result<Self, DatapathError> {
        for (queue, ring) in (0..).zip(&rings) {
            sockets.set(queue, ring.raw_fd())?;
        }
        Ok(Self { rings, sockets })
    }

    pub(super) fn all(&mut self) -> &mut [Ring<Option<Renewal>>] {
        &mut self.rings
    }

    pub(super) fn raw_fds(&self) -> impl Iterator<Item = RawFd> {
        self.rings.iter().map(Ring::raw_fd)
    }

    /// Leaves the advertisements to the kernel, where another agent hears them as well.
    pub(super) fn unhook(&mut self) {
        for (queue, _) in (0..).zip(&self.rings) {
            // One that is not there any more is what is wanted.
            let _ = self.sockets.unset(queue);
        }
    }

    pub(super) fn are_sending(&self) -> bool {
        self.rings.iter().any(Ring::is_sending)
    }
}

impl fmt::Debug for Rings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rings").field("queues", &self.rings.len()).finish_non_exhaustive()
    }
}
