//! The test vectors of `tests/frames.json`: whole Ethernet frames without FCS, some made by hand, some captured from
//! keepalived, FRR and Linux (`real-*`), each with what a conforming receiver makes of it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One frame and what it is.
#[derive(Debug, Deserialize)]
pub struct Vector {
    /// The frame in hexadecimal.
    hex: String,
    /// Whether a conforming receiver of that version, family, mode and checksum flavour accepts it.
    pub valid: Option<bool>,
    /// Checksum flavour of a VRRPv3/IPv4 advertisement: `rfc9568`, `pseudo` or `pseudo-mcast`.
    pub csum: Option<String>,
    /// `unicast` for adverts that are sent to a peer's own address.
    pub mode: Option<String>,
    /// Header fields by name, as an independent dissector printed them.
    #[serde(default)]
    pub fields: BTreeMap<String, serde_json::Value>,
}

impl Vector {
    /// The frame's octets.
    pub fn octets(&self) -> Vec<u8> {
        hex(&self.hex)
    }
}

/// All vectors by name.
pub fn all() -> BTreeMap<String, Vector> {
    serde_json::from_str(include_str!("../frames.json")).expect("frames.json is part of the crate")
}

/// The octets of the vector called `name`.
pub fn octets(name: &str) -> Vec<u8> {
    all().get(name).unwrap_or_else(|| panic!("no frame {name} in frames.json")).octets()
}

/// The octets that `digits` spells, two hexadecimal digits each.
pub fn hex(digits: &str) -> Vec<u8> {
    assert!(digits.len().is_multiple_of(2) && digits.is_ascii(), "odd or non-ASCII hexadecimal: {digits}");
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits"))
        .collect()
}

/// `frame` with `octets` put in at `at`.
pub fn with(frame: &[u8], at: usize, octets: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[at..at + octets.len()].copy_from_slice(octets);
    frame
}

/// `frame` with VLAN tags (TPID and VID) behind its Ethernet addresses.
pub fn tagged(frame: &[u8], tags: &[(u16, u16)]) -> Vec<u8> {
    let tags = tags.iter().flat_map(|(tpid, vid)| [tpid.to_be_bytes(), vid.to_be_bytes()].concat());
    frame[..12].iter().copied().chain(tags).chain(frame[12..].iter().copied()).collect()
}

/// `frame`, untagged, with the checksum of its IPv4 header made correct.
pub fn ip_checksummed(frame: &[u8]) -> Vec<u8> {
    let header = 14..14 + usize::from(frame[14] & 0x0f) * 4;
    let frame = with(frame, 24, &[0, 0]);
    let sum = frame[header].chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum::<u32>();
    let folded = (sum >> 16) + (sum & 0xffff);
    let folded = u16::try_from((folded >> 16) + (folded & 0xffff)).expect("folded twice");
    with(&frame, 24, &(!folded).to_be_bytes())
}
