//! The hash of a flow, which is the same on all nodes.

use baton_common::flow::Flow;
use siphasher::sip::SipHasher13;

/// Keys of the hashes: other numbers would mean other backends.
const FLOW: u64 = 4;
const SOURCE: u64 = 5;

/// What is hashed of a flow: its addresses, its ports and its protocol.
const OCTETS: usize = 16 + 16 + 2 + 2 + 1;

/// Where `flow` belongs, in flow tables and among backends.
pub(super) fn hash(flow: &Flow) -> u64 {
    let mut octets = [0; OCTETS];
    octets[..16].copy_from_slice(&flow.source);
    octets[16..32].copy_from_slice(&flow.destination);
    octets[32..34].copy_from_slice(&flow.source_port.to_be_bytes());
    octets[34..36].copy_from_slice(&flow.destination_port.to_be_bytes());
    octets[36] = flow.protocol;
    SipHasher13::new_with_keys(FLOW, 0).hash(&octets)
}

/// Where whatever comes from the client of `flow` belongs among backends.
pub(super) fn hash_of_source(flow: &Flow) -> u64 {
    SipHasher13::new_with_keys(SOURCE, 0).hash(&flow.source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_flow_counts_and_the_hash_is_the_same_for_ever() {
        let flow = Flow {
            source: [1; 16],
            destination: [2; 16],
            source_port: 3,
            destination_port: 4,
            protocol: 6,
            _pad: [0; 3],
        };
        for other in [
            Flow { source: [9; 16], ..flow },
            Flow { destination: [9; 16], ..flow },
            Flow { source_port: 9, ..flow },
            Flow { destination_port: 9, ..flow },
            Flow { protocol: 17, ..flow },
        ] {
            assert_ne!(hash(&other), hash(&flow), "{other:?}");
        }
        for other in [
            Flow { destination: [9; 16], ..flow },
            Flow { source_port: 9, ..flow },
            Flow { destination_port: 9, ..flow },
            Flow { protocol: 17, ..flow },
        ] {
            assert_eq!(hash_of_source(&other), hash_of_source(&flow), "{other:?}");
        }
        assert_ne!(hash_of_source(&Flow { source: [9; 16], ..flow }), hash_of_source(&flow));
        assert_eq!(
            hash_of_source(&flow),
            15_074_458_984_130_508_273,
            "nodes of two versions would send a client to different backends"
        );
        assert_eq!(
            hash(&flow),
            8_956_466_214_453_387_558,
            "nodes of two versions would send a flow to different backends"
        );
    }
}
