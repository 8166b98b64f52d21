//! Where a frame is while it is handled.

use std::ops::DerefMut;

use crate::xsk::Received;

/// The octets of a frame, in a place that may have room for more.
pub trait Buffer: DerefMut<Target = [u8]> {
    /// Makes the frame `length` octets long, those that it has not had being zero. `false`, and no change, if there is no room.
    fn resize(&mut self, length: usize) -> bool;
}

impl Buffer for Received<'_> {
    fn resize(&mut self, length: usize) -> bool {
        Self::resize(self, length)
    }
}

/// A frame that came from nowhere.
impl Buffer for Vec<u8> {
    fn resize(&mut self, length: usize) -> bool {
        Self::resize(self, length, 0);
        true
    }
}
