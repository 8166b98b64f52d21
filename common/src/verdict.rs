//! What the data plane decided about a frame. One exhaustive match in the XDP program turns verdicts into actions;
//! every verdict has a counter.

/// The decision about one frame. The number is the index of its counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Verdict {
    /// Nothing of ours: passed to the kernel unchanged.
    Other = 0,
    /// What a switch port itself sends, also while it lets no frames through (spanning tree, LACP, LLDP, CDP): passed.
    LinkControl,
    /// Its headers are not in its first buffer, as some drivers hand over large frames (or all, on an interface that has such), and it
    /// is for no VIP: passed to the kernel unchanged, for nothing else of it can be judged.
    HeadersApart,
    /// ARP request for a VIP that this host owns: answered in place.
    ArpAnswered,
    /// ARP request for a VIP that this host does not own: dropped, so that the kernel cannot answer either.
    ArpNotOwner,
    /// Neighbour solicitation for a VIP that this host owns: answered in place.
    NdAnswered,
    /// Neighbour solicitation for a VIP that this host does not own: dropped.
    NdNotOwner,
    /// Somebody announced one of the VIPs, by ARP or neighbour discovery: dropped, the kernel must not learn it.
    VipAnnounced,
    /// Valid advertisement of a configured virtual router: stamped and redirected to AF_XDP.
    VrrpReceived,
    /// VRRP for a virtual router that is not configured here, or advertises to another group: passed, somebody else on this host
    /// may want it.
    VrrpUnknownRouter,
    /// Our own advertisement came back: dropped.
    VrrpOwn,
    /// Discarded: IP header of the advertisement broken (length, checksum, fragment, source address).
    VrrpIpHeader,
    /// Discarded: advertisement to the group of a virtual router that has unicast peers, by unicast where there are none, or to
    /// the address that another virtual router of this host advertises from.
    VrrpDestination,
    /// Discarded: advertisement by unicast from somebody who is no peer.
    VrrpNotPeer,
    /// Discarded: TTL or Hop Limit not 255 (RFC 9568 5.1.1.3, 5.1.2.3), or below what is configured for unicast peers.
    VrrpTtl,
    /// Discarded: not the version of VRRP that the virtual router speaks.
    VrrpVersion,
    /// Discarded: VRRPv2 with another authentication type or password than configured.
    VrrpAuthentication,
    /// Discarded: type not ADVERTISEMENT.
    VrrpType,
    /// Discarded: address count 0, or the message is not as long as its address count says.
    VrrpLength,
    /// Discarded: VRRP over IPv6 whose first address is not link-local (RFC 9568 5.2.9, erratum 8300).
    VrrpAddress,
    /// Discarded: Max Advertise Interval 0, or VRRPv2 with another Adver Int than configured.
    VrrpInterval,
    /// Discarded: checksum matches none of the accepted flavours.
    VrrpChecksum,
    /// S-BFD probe about a virtual router that this host owns: answered in place, Up.
    SbfdUp,
    /// S-BFD probe about a virtual router that this host does not own, or is about to leave: answered, AdminDown.
    SbfdAdminDown,
    /// Answer to an S-BFD probe of this host: stamped into its cell, dropped.
    SbfdAnswer,
    /// S-BFD with a discriminator that stands for nothing here: dropped, the kernel must not answer either.
    SbfdUnknown,
    /// Discarded: S-BFD that breaks RFC 5880 6.8.6, RFC 7880 7.2.3 or RFC 7881 5.
    SbfdDiscarded,
    /// Traffic to an owned VIP: destination MAC rewritten to the device's, passed to the kernel.
    VipDelivered,
    /// Traffic of a known flow to a service at an owned VIP: both MAC addresses rewritten, sent to its backend.
    VipForwarded,
    /// The same, and an answer that is translated, by another interface than it came in by.
    VipCrossed,
    /// Other traffic to a service at an owned VIP: redirected to the engine, or dropped while it does not run.
    VipBalanced,
    /// Fragment of TCP or UDP to an owned VIP that has services of that protocol: dropped, for only the first has ports, and the
    /// kernel would refuse what it makes of them.
    VipFragment,
    /// As [`Self::HeadersApart`], but for a VIP: dropped, whoever owns that.
    VipHeadersApart,
    /// Traffic to a VIP that this host does not own: dropped, so that the kernel cannot answer with a reset.
    VipNotOwner,
    /// Traffic to an owned VIP that is no address to be reached at (Accept_Mode False): dropped.
    VipNotAccepted,
    /// Frame to the virtual MAC of a virtual router that this host does not own: dropped.
    VirtualMacNotOwner,
    /// Frame to an owned virtual MAC that is not for one of its VIPs: dropped, this host is no gateway or it is no IP.
    VirtualMacNotVip,
    /// Packet to an owned virtual MAC for somebody else, on a gateway: destination MAC rewritten to the device's, passed to the
    /// kernel, which routes it.
    GatewayDelivered,
    /// Egress: the kernel tried to say ARP for a VIP, with a MAC or at a time that is not its to use: dropped.
    EgressArp,
    /// Egress: the kernel tried to tell a neighbour of a VIP, with a MAC or at a time that is not its to use: dropped.
    EgressNd,
    /// Egress: the kernel tried to send from a virtual MAC that this host does not own: dropped.
    EgressVirtualMac,
}

impl Verdict {
    /// Every verdict, in the order of the counters.
    pub const ALL: [Self; 41] = [
        Self::Other,
        Self::LinkControl,
        Self::HeadersApart,
        Self::ArpAnswered,
        Self::ArpNotOwner,
        Self::NdAnswered,
        Self::NdNotOwner,
        Self::VipAnnounced,
        Self::VrrpReceived,
        Self::VrrpUnknownRouter,
        Self::VrrpOwn,
        Self::VrrpIpHeader,
        Self::VrrpDestination,
        Self::VrrpNotPeer,
        Self::VrrpTtl,
        Self::VrrpVersion,
        Self::VrrpAuthentication,
        Self::VrrpType,
        Self::VrrpLength,
        Self::VrrpAddress,
        Self::VrrpInterval,
        Self::VrrpChecksum,
        Self::SbfdUp,
        Self::SbfdAdminDown,
        Self::SbfdAnswer,
        Self::SbfdUnknown,
        Self::SbfdDiscarded,
        Self::VipDelivered,
        Self::VipForwarded,
        Self::VipCrossed,
        Self::VipBalanced,
        Self::VipFragment,
        Self::VipHeadersApart,
        Self::VipNotOwner,
        Self::VipNotAccepted,
        Self::VirtualMacNotOwner,
        Self::VirtualMacNotVip,
        Self::GatewayDelivered,
        Self::EgressArp,
        Self::EgressNd,
        Self::EgressVirtualMac,
    ];

    /// Number of verdicts, the capacity of the counters map.
    #[expect(clippy::cast_possible_truncation, reason = "there are few")]
    pub const COUNT: u32 = Self::ALL.len() as u32;

    /// Whether such a frame shows that the network lets frames through to this host.
    pub const fn shows_forwarding(self) -> bool {
        !matches!(
            self,
            Self::LinkControl
                | Self::HeadersApart
                | Self::EgressArp
                | Self::EgressNd
                | Self::EgressVirtualMac
        )
    }

    /// The counter's name in `baton status`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::LinkControl => "link-control",
            Self::HeadersApart => "headers-apart",
            Self::ArpAnswered => "arp-answered",
            Self::ArpNotOwner => "arp-not-owner",
            Self::NdAnswered => "nd-answered",
            Self::NdNotOwner => "nd-not-owner",
            Self::VipAnnounced => "vip-announced",
            Self::VrrpReceived => "vrrp-received",
            Self::VrrpUnknownRouter => "vrrp-unknown-router",
            Self::VrrpOwn => "vrrp-own",
            Self::VrrpIpHeader => "vrrp-ip-header",
            Self::VrrpDestination => "vrrp-destination",
            Self::VrrpNotPeer => "vrrp-not-peer",
            Self::VrrpTtl => "vrrp-ttl",
            Self::VrrpVersion => "vrrp-version",
            Self::VrrpAuthentication => "vrrp-authentication",
            Self::VrrpType => "vrrp-type",
            Self::VrrpLength => "vrrp-length",
            Self::VrrpAddress => "vrrp-address",
            Self::VrrpInterval => "vrrp-interval",
            Self::VrrpChecksum => "vrrp-checksum",
            Self::SbfdUp => "sbfd-up",
            Self::SbfdAdminDown => "sbfd-admin-down",
            Self::SbfdAnswer => "sbfd-answer",
            Self::SbfdUnknown => "sbfd-unknown",
            Self::SbfdDiscarded => "sbfd-discarded",
            Self::VipDelivered => "vip-delivered",
            Self::VipForwarded => "vip-forwarded",
            Self::VipCrossed => "vip-crossed",
            Self::VipBalanced => "vip-balanced",
            Self::VipFragment => "vip-fragment",
            Self::VipHeadersApart => "vip-headers-apart",
            Self::VipNotOwner => "vip-not-owner",
            Self::VipNotAccepted => "vip-not-accepted",
            Self::VirtualMacNotOwner => "virtual-mac-not-owner",
            Self::VirtualMacNotVip => "virtual-mac-not-vip",
            Self::GatewayDelivered => "gateway-delivered",
            Self::EgressArp => "egress-arp",
            Self::EgressNd => "egress-nd",
            Self::EgressVirtualMac => "egress-virtual-mac",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_counter_order() {
        for (index, verdict) in Verdict::ALL.into_iter().enumerate() {
            assert_eq!(verdict as usize, index, "{}", verdict.name());
        }
    }
}
