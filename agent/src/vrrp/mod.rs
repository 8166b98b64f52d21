//! The election: RFC 9568 as a state machine that does no IO.
//!
//! [`VirtualRouter::handle`] takes one [`Input`] and the time and answers with ordered [`Action`]s;
//! [`VirtualRouter::deadline`] says when it wants [`Input::Timer`]. The caller's rule: feed one input, carry out all
//! actions in their order, sleep to the deadline. The core reads no clock, draws no random number, logs nothing,
//! allocates nothing and depends on std and `baton-common` only.
//!
//! What goes beyond the RFC is Baton's and says so at its place: the lease ([`lease_interval`]), the linger of a
//! planned move ([`LINGER_MARGIN`]), the successor that is named ([`Input::Handover`]), the drain, the Backup that has
//! handed over ([`VirtualRouter::yielded`]), the delay of a preemption ([`VirtualRouter::preempts_from`]), the hold of a
//! router that is [deaf](VirtualRouter::deaf), groups ([`is_group_ready`]), what trackers say ([`Fitness`]), and the takeover from an Active router that is known not to serve
//! ([`Input::ActiveFailed`]).

mod action;
mod enter;
mod group;
mod leave;
mod router;
mod state;
mod table;
mod timers;
mod types;
mod version;

pub use action::{Action, Actions, Failure, Input, MAX_ACTIONS, Transition};
pub use group::{is_group_ready, shared_lease};
pub use router::{Parameters, VirtualRouter};
pub use timers::{
    DownAdverts, FAREWELLS, LINGER_MARGIN, active_down_interval, learned_interval, lease_interval, linger,
    skew_time,
};
pub use types::{
    Advertisement, Checksum, ChecksumMode, Fitness, Instant, Interval, Ownership, Priority, Reason, Role,
    Standing,
};
pub use version::{Version, Versions};
