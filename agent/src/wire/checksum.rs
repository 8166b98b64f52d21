//! The Internet checksum, and its two readings for VRRPv3 over IPv4.

use std::net::IpAddr;

use crate::address;
use crate::vrrp::{Checksum, ChecksumMode};

/// IP protocol number of VRRP (RFC 9568 5.1.1.4).
pub(super) const PROTOCOL: u8 = 112;

/// A one's complement sum in the making (RFC 1071).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum(u32);

impl Sum {
    /// The sum with the octets of `data`, a final odd one padded with zero. `data` starts at an even offset and is at
    /// most 65 535 octets, so that the 32 bits of a few calls cannot overflow.
    pub(super) fn add(mut self, data: &[u8]) -> Self {
        let (words, rest) = data.as_chunks::<2>();
        for word in words {
            self.0 += u32::from(u16::from_be_bytes(*word));
        }
        if let [last] = rest {
            self.0 += u32::from(*last) << 8;
        }
        // Two folds leave 16 bits whatever was added.
        self.0 = (self.0 & 0xffff) + (self.0 >> 16);
        self.0 = (self.0 & 0xffff) + (self.0 >> 16);
        self
    }

    /// The sum over a pseudo-header (RFC 768, RFC 8200 8.1), which is the same for both families if IPv4 addresses are mapped.
    pub(super) fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> Self {
        let [.., high, low] = length.to_be_bytes();
        Self::default()
            .add(&address::to_map(source))
            .add(&address::to_map(destination))
            .add(&[0, protocol, high, low])
    }

    /// The octets of a checksum field that was zero while the sum was made.
    pub(super) fn field(self) -> [u8; 2] {
        let [_, _, high, low] = (!self.0).to_be_bytes();
        [high, low]
    }

    /// Whether the data and the checksum within it agree.
    pub(super) fn is_good(self) -> bool {
        self.0 == 0xffff
    }
}

/// The sum over `message` as the flavour wants it (RFC 9568 5.2.8: without, RFC 5798 as keepalived and FRR read it:
/// with the pseudo-header of source, destination, zero, protocol, length). Over IPv6 it is always with.
pub(super) fn message_sum(flavour: Checksum, source: IpAddr, destination: IpAddr, message: &[u8]) -> Sum {
    match (flavour, source) {
        (Checksum::Rfc9568, IpAddr::V4(_)) => Sum::default().add(message),
        (Checksum::Pseudo, IpAddr::V4(_)) | (_, IpAddr::V6(_)) => {
            Sum::pseudo_header(source, destination, PROTOCOL, message.len()).add(message)
        }
    }
}

/// The flavour in which the checksum of `message` is good, among those that `mode` accepts.
pub(super) fn matching(
    mode: ChecksumMode,
    source: IpAddr,
    destination: IpAddr,
    message: &[u8],
) -> Option<Checksum> {
    let good = |flavour| message_sum(flavour, source, destination, message).is_good().then_some(flavour);
    match mode {
        ChecksumMode::Only(flavour) => good(flavour),
        // The pseudo-header of a few source addresses sums to zero, and both flavours are good: then the default.
        ChecksumMode::Auto(Checksum::Rfc9568) => good(Checksum::Rfc9568).or_else(|| good(Checksum::Pseudo)),
        ChecksumMode::Auto(Checksum::Pseudo) => good(Checksum::Pseudo).or_else(|| good(Checksum::Rfc9568)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_octet_counts_as_the_high_half_of_a_word() {
        assert_eq!(Sum::default().add(&[0x12, 0x34, 0x56]).field(), [0x97, 0xcb]);
    }

    #[test]
    fn carries_are_added_back() {
        assert_eq!(Sum::default().add(&[0xff; 40]).field(), [0, 0]);
        assert_eq!(Sum::default().add(&[0xff, 0xff, 0x00, 0x02]).field(), [0xff, 0xfd]);
    }
}
