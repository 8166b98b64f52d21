//! Groups: virtual routers that are on one host, all of them or none.
//!
//! Each member has an election of its own on its link. One that would take the role is
//! [ready](VirtualRouter::ready) instead, until all members are, or Active already; then they take it
//! ([`Input::GroupReady`](super::Input::GroupReady)) together. When another host has taken over from one
//! ([`Transition::is_loss`](super::Transition::is_loss)), the others leave, too
//! ([`Input::GroupMoved`](super::Input::GroupMoved)). A link that is cut between two hosts that see each other on another
//! link so moves nothing.

use std::fmt::Debug;

use super::router::VirtualRouter;
use super::types::{Instant, Role};

/// Whether there are members that are ready, and none that waits for something else. One whose link is down is not waited for:
/// the others know of it by their trackers, and serve only if no other host does.
pub fn is_group_ready<'a, A: Copy + Ord + Debug + 'a>(
    members: impl Iterator<Item = &'a VirtualRouter<A>>,
) -> bool {
    let mut any_ready = false;
    for member in members {
        let waits = match member.role() {
            Role::Initialize => false,
            Role::Backup => !member.ready(),
            Role::Active => member.leaving(),
        };
        if waits {
            return false;
        }
        any_ready |= member.ready();
    }
    any_ready
}

/// Until when the members that serve own their addresses: until the first of their leases ends, so that a host that stops frees
/// all of them in the same moment.
pub fn shared_lease<'a, A: Copy + Ord + Debug + 'a>(
    members: impl Iterator<Item = &'a VirtualRouter<A>>,
) -> Option<Instant> {
    members.filter(|member| member.serves()).filter_map(VirtualRouter::lease_until).min()
}
