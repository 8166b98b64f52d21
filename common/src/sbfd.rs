//! Seamless BFD (RFC 7880, RFC 7881) as the reflector in XDP and the initiator in the agent must agree on it.
//!
//! A Backup probes the Active Router, which answers from XDP whatever its agent does. Baton's probes are one trailer
//! longer than the Control packet: other reflectors ignore it, and answers without one tell that the peer is not Baton.
//!
//! ```text
//! octet  probe                           answer
//! 0      sequence number                 the same
//! 4      priority of the prober          0
//! 5      0                               1 if the prober is next in line, else 0
//! 6      0                               0
//! 8      0                               what is left of the lease in us
//! ```

use core::mem::{offset_of, size_of};

use crate::maps::Address;

/// The UDP port of reflectors (RFC 7881 6).
pub const PORT: u16 = 7784;
/// Probes about the virtual router at slot n leave from this port + n, and answers come back there. Above what Linux
/// gives to programs that do not ask for a port.
pub const FIRST_SOURCE_PORT: u16 = 61440;
/// Octets of a BFD Control packet without authentication (RFC 5880 4.1).
pub const CONTROL: usize = 24;
/// Octets of Baton's trailer.
pub const TRAILER: usize = 12;

/// The first octet of a Control packet of version 1 without a diagnostic (RFC 5880 4.1).
pub const VERSION_1: u8 = 1 << 5;
/// Diagnostic 7, administratively down, in the first octet.
pub const DIAGNOSTIC_ADMIN_DOWN: u8 = 7;
/// State Up, in the second octet of a Control packet; AdminDown is 0.
pub const STATE_UP: u8 = 3 << 6;
/// State Down, in the second octet.
pub const STATE_DOWN: u8 = 1 << 6;
/// The bits of the second octet that are the state.
pub const STATE_MASK: u8 = 3 << 6;
/// Poll: an answer with [`FINAL`] is wanted.
pub const POLL: u8 = 0x20;
/// The answer to a poll.
pub const FINAL: u8 = 0x10;
/// Authentication is present.
pub const AUTHENTICATION: u8 = 0x04;
/// Demand, which tells probes (set) from answers (clear): what keeps two reflectors from answering each other.
pub const DEMAND: u8 = 0x02;
/// Multipoint, which must be clear.
pub const MULTIPOINT: u8 = 0x01;

/// The S-BFD discriminator of a virtual router on the host with this primary address.
///
/// Unique among the hosts of a link, whose addresses differ in their last three octets (RFC 7880 4.1), and known to
/// every peer without being told. The initiator uses the same number for its side of the session.
#[inline]
pub const fn discriminator(primary: Address, vrid: u8) -> u32 {
    u32::from_be_bytes([primary[13], primary[14], primary[15], vrid])
}

/// The last sound answer to a probe about the virtual router of a slot.
///
/// Not written atomically as a whole, like a mailbox of adverts. A reader takes it for an answer only when the sequence
/// number is the one it waits for, and that is written last but for the arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Answer {
    /// Arrival in ns of CLOCK_BOOTTIME; written last, 0 while nothing has arrived.
    pub arrived_ns: u64,
    /// Which probe it answers.
    pub sequence: u32,
    /// The sender's discriminator.
    pub discriminator: u32,
    /// What was left of the sender's lease, in us.
    pub lease_left_us: u32,
    /// The shortest interval that the sender wants probes in, in us.
    pub required_min_rx_us: u32,
    /// The second octet of the Control packet: state and flags.
    pub state: u8,
    /// 1 if this host is the best of those that probe.
    pub next_in_line: u8,
    /// Always zero.
    pub _pad: [u8; 6],
}

/// The best host that probes this one about the virtual router of a slot: who would take over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Standby {
    /// When its last probe arrived, in ns of CLOCK_BOOTTIME.
    pub seen_ns: u64,
    /// Its primary address.
    pub address: Address,
    /// Its priority.
    pub priority: u8,
    /// Always zero.
    pub _pad: [u8; 7],
}

const _: () = assert!(size_of::<Answer>() == 32 && offset_of!(Answer, arrived_ns) == 0);
const _: () = assert!(size_of::<Standby>() == 32);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maps::mapped;

    #[test]
    fn discriminators_differ_by_host_and_by_virtual_router() {
        let (a, b) = (mapped([10, 77, 0, 1]), mapped([10, 77, 0, 2]));
        assert_eq!(discriminator(a, 51), 0x4d00_0133);
        assert_ne!(discriminator(a, 51), discriminator(b, 51));
        assert_ne!(discriminator(a, 51), discriminator(a, 52));
    }
}
