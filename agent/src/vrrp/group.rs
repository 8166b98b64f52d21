//! Groups: virtual routers that are on one host, all of them or none.
//!
//! Each member has an election of its own on its link. One that would take the role is
//! [ready](VirtualRouter::ready) instead, until all members are, or Active already; then they take it
//! ([`Input::GroupReady`](super::Input::GroupReady)) together. When one has lost it
//! ([`Transition::is_loss`](super::Transition::is_loss)), the others leave, too
//! ([`Input::GroupMoved`](super::Input::GroupMoved)). A link that is cut between two hosts that see each other on another
//! link so moves nothing.

use std::fmt::Debug;

use super::router::VirtualRouter;
use super::types::Instant;

/// Whether there are members that are ready, and all others serve. One that cannot take part holds all back: they only make sense
/// together.
pub fn is_group_ready<'a, A: Copy + Ord + Debug + 'a>(
    mut members: impl Iterator<Item = &'a VirtualRouter<A>> + Clone,
) -> bool {
    members.clone().any(VirtualRouter::ready) && members.all(|member| member.ready() || member.serves())
}

/// Until when the members that serve own their addresses: until the first of their leases ends, so that a host that stops frees
/// all of them in the same moment.
pub fn shared_lease<'a, A: Copy + Ord + Debug + 'a>(
    members: impl Iterator<Item = &'a VirtualRouter<A>>,
) -> Option<Instant> {
    members.filter(|member| member.serves()).filter_map(VirtualRouter::lease_until).min()
}
