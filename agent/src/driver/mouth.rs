//! How frames leave: through the AF_XDP ring, and past it through the packet socket where there is no ring or it does
//! not take the frame.

use crate::clock;
use crate::socket::PacketSocket;
use crate::vrrp::Instant;
use crate::wire::{BuildError, MAX_ADVERTISEMENT_FRAME};
use crate::xsk::Ring;

/// What is to be done when a frame has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Renew the lease of a virtual router, counted from when the transmission was begun.
    Renew {
        /// Index of the virtual router.
        router: usize,
        /// Before the frame was handed over.
        begun: Instant,
    },
    /// Nothing.
    Nothing,
}

/// The ways out of one interface.
pub struct Mouth {
    rings: Vec<Ring<Sent>>,
    packet: PacketSocket,
    frame: [u8; MAX_ADVERTISEMENT_FRAME],
}

impl Mouth {
    /// Speaks through the first of `rings`, and through `packet` where that fails.
    pub fn new(rings: Vec<Ring<Sent>>, packet: PacketSocket) -> Self {
        Self { rings, packet, frame: [0; MAX_ADVERTISEMENT_FRAME] }
    }

    /// The rings, which are ears as well.
    pub(super) fn rings(&mut self) -> &mut [Ring<Sent>] {
        &mut self.rings
    }

    /// The rings' descriptors.
    pub(super) fn raw_fds(&self) -> impl Iterator<Item = std::os::fd::RawFd> {
        self.rings.iter().map(Ring::raw_fd)
    }

    /// Whether a frame was handed to the driver and has not been reported as sent.
    pub(super) fn is_sending(&self) -> bool {
        self.rings.iter().any(Ring::is_sending)
    }

    /// What is to be done for the next frame that the rings report as sent.
    pub(super) fn completed(&mut self) -> Option<Sent> {
        self.rings.iter_mut().find_map(Ring::completed)
    }

    /// Builds a frame and sends it. Returns what is to be done now, if the frame has left for certain; through the ring
    /// that is learned later.
    pub(super) fn send(
        &mut self,
        sent: Sent,
        build: impl FnOnce(&mut [u8]) -> Result<usize, BuildError>,
    ) -> Result<Option<Sent>, NotSent> {
        let length = build(&mut self.frame).map_err(|_| NotSent)?;
        let frame = self.frame.get(..length).ok_or(NotSent)?;
        if let Some(ring) = self.rings.first_mut()
            && ring.transmit(frame, sent).is_ok()
        {
            return Ok(None);
        }
        match self.packet.transmit(frame) {
            Ok(()) => Ok(Some(sent)),
            Err(_) => Err(NotSent),
        }
    }
}

/// Neither way out took the frame.
#[derive(Debug)]
pub(super) struct NotSent;

impl Sent {
    /// A renewal that is begun now.
    pub(super) fn renewal_of(router: usize) -> Self {
        Self::Renew { router, begun: clock::now() }
    }
}
