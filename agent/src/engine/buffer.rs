//! Where a frame is while it is handled.

use std::ops::DerefMut;

use crate::xsk::Received;

/// The octets of a frame up to where its first buffer ends, in which all headers are. What is behind is only passed on.
pub trait Buffer: DerefMut<Target = [u8]> {
    /// Octets of the frame that are behind.
    fn behind(&self) -> usize;
    /// Makes the frame these octets and no others. `false`, and no change, if there is no room.
    fn replace(&mut self, octets: &[u8]) -> bool;
    /// Puts `head` in the place of the first `before` octets. `false`, and no change, if there are fewer, or no room.
    fn replace_head(&mut self, before: usize, head: &[u8]) -> bool;
}

impl Buffer for Received<'_> {
    fn behind(&self) -> usize {
        Self::behind(self)
    }

    fn replace(&mut self, octets: &[u8]) -> bool {
        Self::replace(self, octets)
    }

    fn replace_head(&mut self, before: usize, head: &[u8]) -> bool {
        Self::replace_head(self, before, head)
    }
}

/// A frame that came from nowhere.
impl Buffer for Vec<u8> {
    fn behind(&self) -> usize {
        0
    }

    fn replace(&mut self, octets: &[u8]) -> bool {
        self.clear();
        self.extend_from_slice(octets);
        true
    }

    fn replace_head(&mut self, before: usize, head: &[u8]) -> bool {
        let is_there = before <= self.len();
        if is_there {
            self.splice(..before, head.iter().copied());
        }
        is_there
    }
}
