//! The leases in the hands of the guardian, which acts when their writer is dead. It can make them shorter and nothing
//! else.

use std::sync::atomic::Ordering;

use baton_common::maps::OWNERSHIP;

use super::{DatapathError, Ownerships, Pins};
use crate::vrrp::{Instant, Ownership};

/// The leases of an interface.
pub struct Leases(Ownerships);

impl Leases {
    /// The leases of the interface with `pins`.
    ///
    /// # Errors
    ///
    /// They are not pinned there, or cannot be mapped into memory.
    pub fn pinned(pins: &Pins) -> Result<Self, DatapathError> {
        Ownerships::pinned(&pins.map(OWNERSHIP)).map(Self)
    }

    /// What the map says of `slot`; a lease may have lapsed.
    pub fn read(&self, slot: u32) -> Ownership {
        self.0.read(slot)
    }

    /// Makes the lease of `slot`, which ends at `from`, end at `until` if that is sooner, as the lease of an owner that
    /// wants to be succeeded. Answers `false`, having done nothing, when the lease ends otherwise: a new agent has it.
    pub fn shorten(&self, slot: u32, from: Instant, until: Instant) -> bool {
        let (from, until) = (from.as_nanos(), from.min(until).as_nanos());
        let cell = self.0.lease_cell(slot);
        let is_ours = cell.compare_exchange(from, until, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if is_ours {
            self.0.set_leaving(slot);
        }
        is_ours
    }
}
