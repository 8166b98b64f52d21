//! Why a received frame is not an advertisement for the election.

use baton_common::verdict::Verdict;
use thiserror::Error;

/// Why a frame was discarded, split as the data plane's counters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Discard {
    /// Not an IPv4 packet of protocol 112 to 224.0.0.18 behind at most two VLANs' tags: none of our business.
    #[error("not a VRRP frame")]
    NotVrrp,
    /// No virtual router of that VLAN and VRID is configured.
    #[error("VRID {0} is not configured")]
    UnknownRouter(u8),
    /// The source is our own primary address: an echo, a loop, or a duplicate address.
    #[error("sent by this host")]
    Own,
    /// The IPv4 header is broken: length, checksum, fragment or source address.
    #[error("broken IPv4 header")]
    IpHeader,
    /// RFC 9568 5.1.1.3: it has crossed a router.
    #[error("TTL {0}, not 255")]
    Ttl(u8),
    /// Another version of VRRP.
    #[error("version {0}, not 3")]
    Version(u8),
    /// Not an ADVERTISEMENT.
    #[error("type {0}, not 1")]
    Type(u8),
    /// Cut short, no addresses (erratum 8299), or not as long as the address count says.
    #[error("length does not fit the address count")]
    Length,
    /// Max Advertise Interval 0 (erratum 8301).
    #[error("interval 0")]
    Interval,
    /// The checksum matches no accepted flavour.
    #[error("wrong checksum")]
    Checksum,
}

impl Discard {
    /// The verdict that the data plane has for the same frame.
    #[must_use]
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::NotVrrp => Verdict::Other,
            Self::UnknownRouter(_) => Verdict::VrrpUnknownRouter,
            Self::Own => Verdict::VrrpOwn,
            Self::IpHeader => Verdict::VrrpIpHeader,
            Self::Ttl(_) => Verdict::VrrpTtl,
            Self::Version(_) => Verdict::VrrpVersion,
            Self::Type(_) => Verdict::VrrpType,
            Self::Length => Verdict::VrrpLength,
            Self::Interval => Verdict::VrrpInterval,
            Self::Checksum => Verdict::VrrpChecksum,
        }
    }
}
