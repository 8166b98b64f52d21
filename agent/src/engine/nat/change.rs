//! What a checksum learns of words that are replaced (RFC 1624): it is mended, not made anew, so that a packet which arrives broken
//! stays so.

use std::ops::Add;

/// The difference that replaced words make to a sum in one's complement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change(u32);

impl Change {
    /// That of `after` in the place of `before`, both of the same even length and at an even place of what is summed.
    fn of(before: &[u8], after: &[u8]) -> Self {
        let gone = words(before).map(|word| !word);
        Self(gone.chain(words(after)).map(u32::from).sum())
    }

    /// The checksum in the place of `checksum` (RFC 1624 3, equation 3).
    fn mended(self, checksum: u16) -> u16 {
        !folded(u32::from(!checksum) + u32::from(folded(self.0)))
    }
}

impl Add for Change {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(u32::from(folded(self.0)) + u32::from(folded(other.0)))
    }
}

fn words(octets: &[u8]) -> impl Iterator<Item = u16> {
    octets.as_chunks().0.iter().map(|word| u16::from_be_bytes(*word))
}

/// A sum with its carries added in.
fn folded(sum: u32) -> u16 {
    let once = (sum >> 16) + (sum & 0xffff);
    let [_, carry, rest @ ..] = once.to_be_bytes();
    u16::from_be_bytes(rest) + u16::from(carry)
}

/// Puts `octets` to `at` of `packet`. `None`, and no change, if they do not fit.
pub(super) fn put(packet: &mut [u8], at: usize, octets: &[u8]) -> Option<Change> {
    let place = packet.get_mut(at..)?.get_mut(..octets.len())?;
    let change = Change::of(place, octets);
    place.copy_from_slice(octets);
    Some(change)
}

/// Mends the checksum at `at` of `packet`, of which words have changed so. Its own change is what contains it has to know.
pub(super) fn mend(packet: &mut [u8], at: usize, change: Change) -> Option<Change> {
    let checksum = u16::from_be_bytes(*packet.get(at..)?.first_chunk()?);
    put(packet, at, &change.mended(checksum).to_be_bytes())
}

/// [`mend`]s the checksum of a UDP datagram, where 0 stands for none (RFC 768).
pub(super) fn mend_udp(packet: &mut [u8], at: usize, change: Change) -> Option<Change> {
    let checksum = u16::from_be_bytes(*packet.get(at..)?.first_chunk()?);
    if checksum == 0 {
        return Some(Change::default());
    }
    let mended = Some(change.mended(checksum)).filter(|mended| *mended != 0).unwrap_or(u16::MAX);
    put(packet, at, &mended.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A checksum over `octets`, made anew (RFC 1071).
    fn anew(octets: &[u8]) -> u16 {
        !folded(words(octets).map(u32::from).fold(0, |sum, word| u32::from(folded(sum)) + word))
    }

    #[test]
    fn the_example_of_the_rfc_comes_out() {
        // RFC 1624 4.
        assert_eq!(Change::of(&[0x55, 0x55], &[0x32, 0x85]).mended(0xdd2f), 0x0000);
    }

    #[test]
    fn a_datagram_without_a_checksum_gets_none_and_one_with_a_checksum_keeps_one() {
        let mut packet = [0, 0];
        let change = Change::of(&[0x55, 0x55], &[0x32, 0x85]);
        assert_eq!((mend_udp(&mut packet, 0, change), packet), (Some(Change::default()), [0, 0]));
        let mut packet = [0xdd, 0x2f];
        assert!(mend_udp(&mut packet, 0, change).is_some());
        assert_eq!(packet, [0xff, 0xff]);
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let mut packet = [1, 2, 3];
        for at in [2, 3, 4] {
            assert_eq!(put(&mut packet, at, &[9, 9]), None);
            assert_eq!(mend(&mut packet, at, Change::default()), None);
            assert_eq!(mend_udp(&mut packet, at, Change::default()), None);
        }
        assert_eq!(packet, [1, 2, 3]);
    }

    proptest! {
        #[test]
        fn a_mended_checksum_is_as_one_made_anew(
            mut octets in prop::collection::vec(any::<u8>(), 64..65),
            first: [u8; 16],
            second: [u8; 4],
            at in 0..24_usize,
        ) {
            // All zeroes have two sums.
            octets[63] |= 1;
            let checksum = anew(&octets).to_be_bytes();
            let mut all = [&checksum[..], &octets].concat();
            let change = put(&mut all, 2 + 2 * at, &first).expect("it fits") + put(&mut all, 50, &second).expect("it fits");
            mend(&mut all, 0, change).expect("it fits");
            prop_assert_eq!(u16::from_be_bytes([all[0], all[1]]), anew(&all[2..]));
        }

        #[test]
        fn a_broken_packet_stays_broken(octets: [u8; 16], wrong in 1_u16..0xffff, word: [u8; 2]) {
            let checksum = anew(&octets);
            prop_assume!(folded(u32::from(checksum) + u32::from(wrong)) != checksum);
            let mut all = [&folded(u32::from(checksum) + u32::from(wrong)).to_be_bytes()[..], &octets].concat();
            let change = put(&mut all, 4, &word).expect("it fits");
            mend(&mut all, 0, change).expect("it fits");
            let sum = !anew(&all);
            prop_assert_ne!(sum, 0xffff);
        }
    }
}
