//! Traffic to the VIPs, which ends on this host, goes through its engine, or nowhere.

use aya_ebpf::programs::XdpContext;
use baton_common::verdict::Verdict;

use crate::classify::{ETH_DESTINATION, HEADERS, Link, is_group};
use crate::packet::Frame;
use crate::{balance, maps};

/// The verdict about a frame whose destination is a VIP of the virtual router at `slot`, which must not be dropped by an owner
/// if it is neighbour discovery.
#[inline(always)]
pub(crate) fn received<const FAMILY: u8>(
    ctx: &XdpContext,
    link: &Link,
    slot: u32,
    is_discovery: bool,
) -> Verdict {
    let verdict = judge::<FAMILY>(ctx, link, slot, is_discovery);
    // The answer of a gateway that was asked when this host took over is nobody's traffic.
    let is_served = matches!(
        verdict,
        Verdict::VipDelivered | Verdict::VipForwarded | Verdict::VipCrossed | Verdict::VipBalanced
    );
    if is_served && !is_discovery {
        maps::note_service(slot);
    }
    verdict
}

#[inline(always)]
fn judge<const FAMILY: u8>(ctx: &XdpContext, link: &Link, slot: u32, is_discovery: bool) -> Verdict {
    let frame = Frame::received(ctx);
    let Some(owner) = maps::owner(slot) else {
        return Verdict::VipNotOwner;
    };
    let (Some(&destination), Some(device_mac)) = (frame.get::<6>(ETH_DESTINATION), maps::device_mac()) else {
        return Verdict::Other;
    };
    let is_readdressed = !is_group(&destination) && destination != device_mac;
    if is_readdressed && destination != owner.mac {
        // Somebody else's frame, seen because a switch floods it or the interface is promiscuous.
        return Verdict::Other;
    }
    if !owner.accepts() && !is_discovery {
        return Verdict::VipNotAccepted;
    }
    if owner.balances() {
        if let Some(verdict) = balance::received::<FAMILY>(ctx, link, owner.now) {
            return verdict;
        }
        if Frame::received(ctx).is_cut(ctx, HEADERS) {
            return Verdict::VipHeadersApart;
        }
    }
    if !is_readdressed {
        return Verdict::VipDelivered;
    }
    // Read afresh: what forwards may have moved its start.
    match Frame::received(ctx).set(ETH_DESTINATION, &device_mac) {
        Some(()) => Verdict::VipDelivered,
        None => Verdict::Other,
    }
}
