//! What a flow is: the two ends of it, and the protocol.

use std::hash::Hasher;

use baton_common::maps::Address;
use siphasher::sip::SipHasher13;

/// Key of the hash over a flow, the same on all nodes: they choose the same slot for it.
const FLOW: u64 = 4;

/// A flow as seen from the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// The client.
    pub source: Address,
    /// The virtual address.
    pub destination: Address,
    /// The client's port.
    pub source_port: u16,
    /// The service's port.
    pub destination_port: u16,
    /// The protocol's number.
    pub protocol: u8,
}

impl Flow {
    /// Where it belongs, in flow tables and among backends.
    pub fn hash(&self) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(FLOW, 0);
        hasher.write(&self.source);
        hasher.write(&self.destination);
        hasher.write(&self.source_port.to_be_bytes());
        hasher.write(&self.destination_port.to_be_bytes());
        hasher.write(&[self.protocol]);
        hasher.finish()
    }
}
