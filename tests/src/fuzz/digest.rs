//! What any host of the link can send to the port at which nodes compare their tables.

use baton::engine::{Datagram, MAX_LENGTH};

/// A datagram. What is understood is not long, and said in one way.
pub fn digest(octets: &[u8]) -> bool {
    let Some(datagram) = Datagram::parse(octets) else { return false };
    assert!(octets.len() <= MAX_LENGTH);
    assert_eq!(datagram.build(), octets);
    true
}
