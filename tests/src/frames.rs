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
    /// Why not.
    pub reason: Option<String>,
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
