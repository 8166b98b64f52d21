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
                // However many words there were.
                #[expect(clippy::cast_possible_truncation, reason = "16 bits are left")]
                return Some(Self(frame.blur::<0x1_0000>(sum.folded()) as u32));
            }
            sum = sum.add(frame.get(at + 4 * index)?);
        }
        None
    }

    /// The sum with so many octets more, a multiple of four. Unrolled: a loop less for the verifier.
    #[inline(always)]
    pub(crate) fn add_all<const N: usize>(mut self, octets: &[u8; N]) -> Self {
        let mut at = 0;
        while at < N {
            self = self.add(&[octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
            at += 4;
        }
        self
    }

    /// A sum of nothing.
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self(0)
    }

    /// The sum with four octets more.
    #[inline(always)]
    pub(crate) fn add(self, octets: &[u8; 4]) -> Self {
        let [a, b, c, d] = *octets;
        Self(self.0 + u32::from(u16::from_be_bytes([a, b])) + u32::from(u16::from_be_bytes([c, d])))
    }

    /// Both sums together.
    #[inline(always)]
    pub(crate) fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// The sum with the four words of `octets`, a number in network order.
    #[inline(always)]
    pub(crate) fn add_words(self, octets: u64) -> Self {
        let pairs = (octets & 0xffff_0000_ffff) + (octets >> 16 & 0xffff_0000_ffff);
        #[expect(clippy::cast_possible_truncation, reason = "each half has the sum of two words")]
        Self(self.0 + pairs as u32 + (pairs >> 32) as u32)
    }

    /// The checksum that makes the words add up, when they hold none yet.
    #[inline(always)]
    pub(crate) fn field(self) -> u16 {
        #[expect(clippy::cast_possible_truncation, reason = "the carries are folded in")]
        let sum = self.folded() as u16;
        !sum
    }

    /// The sum as a number that is not 0: 0xffff is the same to it.
    #[inline(always)]
    pub(crate) fn nonzero(self) -> u32 {
        self.0 + 0xffff
    }

    /// The sum that [`nonzero`](Self::nonzero) has made a number of.
    #[inline(always)]
    pub(crate) const fn of_nonzero(number: u32) -> Self {
        Self(number)
    }

    /// The sum with the words of `after` in the place of those of `before`.
    #[inline(always)]
    pub(crate) fn replaced(self, before: u64, after: u64) -> Self {
        self.add_words(!before).add_words(after)
    }

    /// What becomes of a `checksum` of words when this is the sum of those that were replaced (RFC 1624 3).
    #[inline(always)]
    pub(crate) fn mended(self, checksum: u16) -> u16 {
        Self(self.0 + u32::from(!checksum)).field()
    }

    /// Whether the words, a correct checksum among them, add up as they must.
    #[inline(always)]
    pub(crate) fn is_correct(self) -> bool {
        self.folded() == 0xffff
    }

    /// The sum with its carries added in: 16 bits.
    #[inline(always)]
    fn folded(self) -> usize {
        let once = (self.0 >> 16) + (self.0 & 0xffff);
        ((once >> 16) + (once & 0xffff)) as usize
    }
}
