//! Why a received frame is not an advertisement for the election.

use baton_common::verdict::Verdict;
use thiserror::Error;

/// Why a frame was discarded, split as the data plane's counters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Discard {
    /// Not an IP packet of protocol 112 to a multicast group or to this host, behind at most two VLANs' tags: none of our
    /// business.
    #[error("not a VRRP frame")]
    NotVrrp,
    /// No virtual router of that VLAN and VRID is configured that advertises to that group.
    #[error("VRID {0} is not configured")]
    UnknownRouter(u8),
    /// The source is our own primary address: an echo, a loop, or a duplicate address.
    #[error("sent by this host")]
    Own,
    /// The IP header is broken: length, checksum, fragment or source address.
    #[error("broken IP header")]
    IpHeader,
    /// To the group where there are unicast peers, or by unicast where there are none.
    #[error("multicast to a router with unicast peers, or unicast to one without")]
    Destination,
    /// By unicast, from somebody who is no peer.
    #[error("not from a peer")]
    NotPeer,
    /// RFC 9568 5.1.1.3 and 5.1.2.3: it has crossed a router. Unicast peers may be allowed to be further away.
    #[error("TTL or Hop Limit {0}, too low")]
    Ttl(u8),
    /// Another version of VRRP than the virtual router speaks.
    #[error("version {0}")]
    Version(u8),
    /// VRRPv2 with another authentication type or password (RFC 3768 7.1).
    #[error("other authentication type or password")]
    Authentication,
    /// Not an ADVERTISEMENT.
    #[error("type {0}, not 1")]
    Type(u8),
    /// Cut short, no addresses (erratum 8299), or not as long as the address count says.
    #[error("length does not fit the address count")]
    Length,
    /// Over IPv6, and the first address is not link-local (RFC 9568 5.2.9, erratum 8300).
    #[error("the first address is not link-local")]
    Address,
    /// Max Advertise Interval 0 (erratum 8301), or VRRPv2 with another interval (RFC 3768 7.1).
    #[error("interval 0, or another one than configured")]
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
            Self::Destination => Verdict::VrrpDestination,
            Self::NotPeer => Verdict::VrrpNotPeer,
            Self::Ttl(_) => Verdict::VrrpTtl,
            Self::Version(_) => Verdict::VrrpVersion,
            Self::Authentication => Verdict::VrrpAuthentication,
            Self::Type(_) => Verdict::VrrpType,
            Self::Length => Verdict::VrrpLength,
            Self::Address => Verdict::VrrpAddress,
            Self::Interval => Verdict::VrrpInterval,
            Self::Checksum => Verdict::VrrpChecksum,
        }
    }
}
