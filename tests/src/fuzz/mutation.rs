//! Mutations of what is in a corpus, as a fuzzer without a compass makes them.

use crate::random::Random;

/// What is worth putting in: ends of ranges, and what texts and frames are made of.
const SALT: [&[u8]; 12] = [
    &[0x00],
    &[0xff],
    &[0x7f, 0xff],
    &[0x81, 0x00],
    b"\"",
    b"\n[[router]]\n",
    b"${A:-}",
    b"-1",
    b"18446744073709551615",
    b"\r\n",
    "\u{10ffff}".as_bytes(),
    b"null",
];

/// `original` with a few changes, in some of which `other` takes part.
pub fn mutate(original: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut octets = original.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(octets.len() + 1);
        match random.below(7) {
            0 => octets.truncate(at),
            1 => drop(octets.splice(at..at, random.pick(&SALT).iter().copied())),
            2 => octets.truncate(octets.len() - random.below(octets.len().min(8) + 1)),
            3 => drop(octets.drain(at..octets.len().min(at + 1 + random.below(8)))),
            4 => {
                let from = random.below(other.len() + 1);
                octets.splice(at.., other[from..].iter().copied());
            }
            _ => {
                let flipped = 1 << random.below(8);
                let octet = if random.chance(500) { Some(random.octet()) } else { None };
                if let Some(place) = octets.get_mut(at) {
                    *place = octet.unwrap_or(*place ^ flipped);
                }
            }
        }
    }
    octets
}
