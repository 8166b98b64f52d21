//! How frames leave: through the AF_XDP ring, and past it through the packet socket where there is no ring yet or it does
//! not take the frame. What goes to unicast peers leaves through the kernel, which knows the way to them.

use std::net::IpAddr;
use std::time::Duration;

use super::rings::Rings;
use crate::clock;
use crate::socket::{PacketSocket, PeerSockets};
use crate::vrrp::Instant;
use crate::wire::{BuildError, MAX_ADVERTISEMENT_FRAME};
use crate::xsk::Ring;

/// The lease that is renewed when a frame has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// Index of the virtual router.
    pub router: usize,
    /// When the transmission was begun, from which the lease is counted.
    pub begun: Instant,
}

/// The ways out of one interface.
pub struct Transmitter {
    rings: Option<Rings>,
    packet: PacketSocket,
    peers: PeerSockets,
    frame: [u8; MAX_ADVERTISEMENT_FRAME],
    /// When a ring last took a frame.
    queued: Instant,
}

/// How long a completion is worth waking up for. A driver without a carrier may keep a frame for hours.
const COMPLETION_PATIENCE: Duration = Duration::from_millis(10);

/// No way out took the frame.
#[derive(Debug)]
pub(super) struct NotSent;

/// How far a frame has come, the less certain last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Progress {
    /// It has left for certain.
    Left,
    /// It is in a ring, and whether it has left is learned from [`Transmitter::completed`].
    Queued,
}

impl Transmitter {
    /// Sends through `packet`, until there are rings, and through `peers` to unicast peers.
    pub fn new(packet: PacketSocket, peers: PeerSockets) -> Self {
        Self { rings: None, packet, peers, frame: [0; MAX_ADVERTISEMENT_FRAME], queued: Instant::default() }
    }

    /// Sends through the first of `rings` from here on, and through the packet socket where that fails.
    pub(super) fn add(&mut self, rings: Rings) {
        self.rings = Some(rings);
    }

    /// Hears nothing more through the rings.
    pub(super) fn unhook(&mut self) {
        if let Some(rings) = &mut self.rings {
            rings.unhook();
        }
    }

    /// Whether there are rings.
    pub(super) fn has_rings(&self) -> bool {
        self.rings.is_some()
    }

    /// The rings, which receive as well.
    pub(super) fn rings(&mut self) -> &mut [Ring<Option<Renewal>>] {
        self.rings.as_mut().map_or(&mut [], Rings::all)
    }

    /// Whether a frame was handed to the driver a moment ago and has not been reported as sent.
    pub(super) fn is_sending(&self, now: Instant) -> bool {
        now.saturating_since(self.queued) < COMPLETION_PATIENCE
            && self.rings.as_ref().is_some_and(Rings::are_sending)
    }

    /// What is to be renewed for the next frame that the rings report as sent; `None` when they report no more.
    pub(super) fn completed(&mut self) -> Option<Option<Renewal>> {
        self.rings().iter_mut().find_map(Ring::completed)
    }

    /// Builds a frame and sends it. `renewal` is what [`Self::completed`] tells if it goes through a ring.
    pub(super) fn send(
        &mut self,
        renewal: Option<Renewal>,
        build: impl FnOnce(&mut [u8]) -> Result<usize, BuildError>,
    ) -> Result<Progress, NotSent> {
        let length = build(&mut self.frame).map_err(|_| NotSent)?;
        let frame = self.frame.get(..length).ok_or(NotSent)?;
        let ring = self.rings.as_mut().and_then(|rings| rings.all().first_mut());
        if let Some(ring) = ring
            && ring.transmit(frame, renewal).is_ok()
        {
            self.queued = clock::now();
            return Ok(Progress::Queued);
        }
        self.pass_rings(length)
    }

    /// Builds two frames and sends them, both through a ring, which keeps their order and reports the last, or both past it.
    /// Nothing is renewed if one cannot be sent, but the other is.
    pub(super) fn send_both(
        &mut self,
        renewal: Option<Renewal>,
        first: impl FnOnce(&mut [u8]) -> Result<usize, BuildError>,
        last: impl FnOnce(&mut [u8]) -> Result<usize, BuildError>,
    ) -> Result<Progress, NotSent> {
        let (first, last) = if self.rings().first().is_some_and(|ring| ring.room() >= 2) {
            let first = self.send(None, first);
            let renewal = renewal.filter(|_| first.is_ok());
            (first, self.send(renewal, last))
        } else {
            (self.send_past_rings(first), self.send_past_rings(last))
        };
        Ok(first?.max(last?))
    }

    fn send_past_rings(
        &mut self,
        build: impl FnOnce(&mut [u8]) -> Result<usize, BuildError>,
    ) -> Result<Progress, NotSent> {
        let length = build(&mut self.frame).map_err(|_| NotSent)?;
        self.pass_rings(length)
    }

    /// Sends what was built.
    fn pass_rings(&self, length: usize) -> Result<Progress, NotSent> {
        let frame = self.frame.get(..length).ok_or(NotSent)?;
        self.packet.transmit(frame).map_err(|_| NotSent)?;
        Ok(Progress::Left)
    }

    /// Builds a packet for each of `peers` and sends it. It has left if there is a way to one of them.
    pub(super) fn send_to(
        &mut self,
        peers: &[IpAddr],
        build: impl Fn(IpAddr, &mut [u8]) -> Result<usize, BuildError>,
    ) -> Result<Progress, NotSent> {
        let mut sent = Err(NotSent);
        for peer in peers {
            let length = build(*peer, &mut self.frame).map_err(|_| NotSent)?;
            let packet = self.frame.get(..length).ok_or(NotSent)?;
            if self.peers.transmit(packet, *peer).is_ok() {
                sent = Ok(Progress::Left);
            }
        }
        sent
    }
}
