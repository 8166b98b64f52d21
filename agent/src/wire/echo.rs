//! ICMP echo (RFC 792, RFC 4443 4), as raw sockets of ICMP carry it: what is sent has no IP header, and what arrives has one over
//! IPv4.

use baton_common::vrid::Family;

use super::checksum::Sum;

/// Types of the requests and of the replies.
const REQUEST: u8 = 8;
const REPLY: u8 = 0;
const REQUEST_V6: u8 = 128;
const REPLY_V6: u8 = 129;

/// A request, and what tells its reply from all others.
#[derive(Clone, Copy, Debug)]
pub struct Echo {
    family: Family,
    /// Identifier and sequence number.
    token: [u8; 4],
}

impl Echo {
    /// Octets of a request.
    const LENGTH: usize = 8;

    /// One with `token` for identifier and sequence number.
    pub fn new(family: Family, token: [u8; 4]) -> Self {
        Self { family, token }
    }

    /// The request. Over IPv6 the kernel fills its checksum in (RFC 3542 3.1).
    pub fn request(&self) -> [u8; Self::LENGTH] {
        let [a, b, c, d] = self.token;
        match self.family {
            Family::Ipv4 => {
                let [high, low] = Sum::default().add(&[REQUEST, 0, 0, 0, a, b, c, d]).field();
                [REQUEST, 0, high, low, a, b, c, d]
            }
            Family::Ipv6 => [REQUEST_V6, 0, 0, 0, a, b, c, d],
        }
    }

    /// Whether `packet` is the reply.
    pub fn is_answered_by(&self, packet: &[u8]) -> bool {
        let (message, reply) = match self.family {
            Family::Ipv4 => {
                let header = packet.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
                (packet.get(header..).unwrap_or_default(), REPLY)
            }
            Family::Ipv6 => (packet, REPLY_V6),
        };
        matches!(message, [kind, 0, _, _, token @ ..] if *kind == reply && token == self.token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: [u8; 4] = [0x12, 0x34, 0, 1];

    #[test]
    fn a_request_has_its_checksum_over_ipv4() {
        assert_eq!(Echo::new(Family::Ipv4, TOKEN).request(), [8, 0, 0xe5, 0xca, 0x12, 0x34, 0, 1]);
        assert_eq!(Echo::new(Family::Ipv6, TOKEN).request(), [128, 0, 0, 0, 0x12, 0x34, 0, 1]);
    }

    #[test]
    fn only_the_reply_to_a_request_answers_it() {
        let behind = |header: usize, message: &[u8]| {
            let mut packet = vec![0; header];
            packet[0] = 0x40 | u8::try_from(header / 4).expect("a header");
            [packet, message.to_vec()].concat()
        };
        let echo = Echo::new(Family::Ipv4, TOKEN);
        for (packet, is_answer) in [
            (behind(20, &[0, 0, 9, 9, 0x12, 0x34, 0, 1]), true),
            (behind(24, &[0, 0, 9, 9, 0x12, 0x34, 0, 1]), true),
            (behind(20, &[0, 0, 9, 9, 0x12, 0x34, 0, 2]), false),
            (behind(20, &[8, 0, 9, 9, 0x12, 0x34, 0, 1]), false),
            (behind(20, &[3, 1, 9, 9, 0x12, 0x34, 0, 1]), false),
            (behind(20, &[0, 0, 9, 9, 0x12]), false),
            (vec![0x4f], false),
            (vec![], false),
        ] {
            assert_eq!(echo.is_answered_by(&packet), is_answer, "{packet:?}");
        }
        let echo = Echo::new(Family::Ipv6, TOKEN);
        assert!(echo.is_answered_by(&[129, 0, 9, 9, 0x12, 0x34, 0, 1]));
        assert!(!echo.is_answered_by(&[128, 0, 9, 9, 0x12, 0x34, 0, 1]));
    }
}
