//! The Internet checksum (RFC 1071).

use crate::packet::Frame;

/// A one's complement sum of 16-bit words whose carries are still in the upper half: room for 65 536 words.
#[derive(Clone, Copy)]
pub(crate) struct Sum(u32);

impl Sum {
    /// The sum over `words` 32-bit words of the frame at `at`; `None` if they are more than `MAX`, the bound that the
    /// verifier needs, or if the frame ends before.
    #[inline(always)]
    pub(crate) fn of<const MAX: usize>(frame: &Frame<'_>, at: usize, words: usize) -> Option<Self> {
        let mut sum = Self(0);
        for index in 0..=MAX {
            if index == words {
                return Some(sum);
            }
            sum = sum.add(frame.get(at + 4 * index)?);
        }
        None
    }

    /// The sum with four octets more.
    #[inline(always)]
    pub(crate) fn add(self, octets: &[u8; 4]) -> Self {
        let [a, b, c, d] = *octets;
        Self(self.0 + u32::from(u16::from_be_bytes([a, b])) + u32::from(u16::from_be_bytes([c, d])))
    }

    /// Whether the words, a correct checksum among them, add up as they must.
    #[inline(always)]
    pub(crate) fn is_correct(self) -> bool {
        let once = (self.0 >> 16) + (self.0 & 0xffff);
        (once >> 16) + (once & 0xffff) == 0xffff
    }
}
