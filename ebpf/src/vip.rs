//! Traffic to the VIPs, which ends on this host or nowhere.

use baton_common::verdict::Verdict;

use crate::classify::{ETH_DESTINATION, is_group};
use crate::maps;
use crate::packet::Frame;

/// The verdict about a frame whose destination is a VIP of the virtual router at `slot`, which must not be dropped by an owner
/// if it is neighbour discovery.
#[inline(always)]
pub(crate) fn received(frame: &mut Frame<'_>, slot: u32, is_discovery: bool) -> Verdict {
    let verdict = judge(frame, slot, is_discovery);
    // The answer of a gateway that was asked when this host took over is nobody's traffic.
    if verdict == Verdict::VipDelivered && !is_discovery {
        maps::note_service(slot);
    }
    verdict
}

#[inline(always)]
fn judge(frame: &mut Frame<'_>, slot: u32, is_discovery: bool) -> Verdict {
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
    if !is_readdressed {
        return Verdict::VipDelivered;
    }
    match frame.set(ETH_DESTINATION, &device_mac) {
        Some(()) => Verdict::VipDelivered,
        None => Verdict::Other,
    }
}
