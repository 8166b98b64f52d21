//! Which VRRP is spoken: one version, or both.

use std::fmt;

/// Which VRRP an advertisement is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// RFC 9568, over IPv4 or IPv6.
    V3,
    /// RFC 3768, over IPv4, for routers that know no other. Its interval is in whole seconds and the same on all routers.
    V2 {
        /// The password that every advertisement has, readable for everybody and filled up with zeroes (RFC 2338 5.3.6.2).
        password: Option<[u8; 8]>,
    },
}

impl Version {
    /// The number, as it stands in an advertisement.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::V3 => 3,
            Self::V2 { .. } => 2,
        }
    }
}

/// Which VRRP a virtual router speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Versions {
    /// This one, both ways.
    Only(Version),
    /// Both, over IPv4, while a segment goes over from VRRPv2 to VRRPv3 router by router (RFC 9568 8.4): accept either, and
    /// say everything in both.
    Both {
        /// The password of VRRPv2.
        password: Option<[u8; 8]>,
    },
}

impl Versions {
    /// In what an advertisement is sent: perhaps in one version first, and at last in another. That one is VRRPv3, so that
    /// what was heard last is what counts.
    #[must_use]
    pub const fn sent(self) -> (Option<Version>, Version) {
        match self {
            Self::Only(version) => (None, version),
            Self::Both { password } => (Some(Version::V2 { password }), Version::V3),
        }
    }

    /// The version of that number, if it is spoken.
    #[must_use]
    pub fn numbered(self, number: u8) -> Option<Version> {
        let (first, last) = self.sent();
        [first, Some(last)].into_iter().flatten().find(|version| version.number() == number)
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = self.sent();
        if let Some(first) = first {
            write!(f, "{}+", first.number())?;
        }
        write!(f, "{}", last.number())
    }
}
