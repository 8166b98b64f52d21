//! Frames: what arrives is parsed once, here, into the election's own types; what leaves is built, here, into the
//! caller's buffer. Nothing is allocated, and no octet that arrives can cause a panic.
//!
//! The XDP program checks advertisements too. That is another program with other bugs, and the raw socket has no such
//! filter in front of it, so everything is checked again.

mod advert;
mod announcement;
mod arp;
mod checksum;
mod discard;
mod echo;
mod ip;
mod link;
mod neighbour;
mod sbfd;

pub use advert::{Expected, Outgoing, Received, max_addresses, parse_datagram, parse_frame};
pub use announcement::{Announcement, announcements, question};
pub use arp::{ArpRequest, GratuitousArp, MAX_ARP_FRAME, Operation};
pub use discard::Discard;
pub use echo::Echo;
pub use ip::HOPS;
pub use link::{BuildError, Mac};
pub use neighbour::{NeighbourSolicitation, UnsolicitedNa};
pub use sbfd::SbfdProbe;

pub(crate) use link::{IPV4, IPV6, split};

use link::MAX_HEADER;

/// The largest advertisement: 90 IPv6 addresses are 1502 octets untagged, and two VLAN tags are 8 more.
pub const MAX_ADVERTISEMENT_FRAME: usize = MAX_HEADER + advert::MAX_DATAGRAM;

const _: () = assert!(MAX_ADVERTISEMENT_FRAME == 1502 + 8);
