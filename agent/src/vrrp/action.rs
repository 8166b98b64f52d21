//! What goes into the election core and what comes out of it.

use super::types::{Advertisement, Checksum, Instant, Reason, Role, Standing};

/// Something that happened to one virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<A> {
    /// The interface is up and has a primary address (RFC 9568 6.4.1).
    Startup,
    /// The same, and the map holds a lease until then that an earlier run of this agent has left.
    Resume(Instant),
    /// Stop participating: the agent is about to exit.
    Shutdown,
    /// Give the role to a Backup and go on as Backup.
    Handover,
    /// The interface lost its carrier or its primary address: nothing can be sent.
    LinkDown,
    /// A checked advertisement of another router arrived.
    Advertisement(Advertisement<A>),
    /// The deadline has passed.
    Timer,
    /// An advertisement with our own priority left this host; its transmission was *begun* at the given time. The
    /// lease is counted from there: no peer can have heard it earlier.
    Transmitted(Instant),
    /// An advertisement could not be sent.
    TransmitFailed,
    /// The data plane is gone from the interface: ownership cannot be exercised.
    DatapathLost,
}

/// Something to be done, in the order given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Own the virtual router until the given time, or stop owning it now.
    SetOwnership(Option<Instant>),
    /// Send an advertisement.
    Transmit {
        /// The priority octet.
        standing: Standing,
        /// The checksum to make.
        checksum: Checksum,
    },
    /// Tell the neighbours where the addresses live: gratuitous ARP, unsolicited NA.
    Announce,
    /// The role changed, or a handover began or failed.
    Report(Transition),
}

/// A role change with its reason. `from == to` for a handover that begins or is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The role before.
    pub from: Role,
    /// The role after.
    pub to: Role,
    /// Why.
    pub reason: Reason,
}

/// The most actions that one input can cause: a router that becomes Active takes the map, advertises, announces and
/// reports.
pub const MAX_ACTIONS: usize = 4;

/// The actions of one input, in order; kept inline because the core allocates nothing.
#[derive(Clone, Copy, Debug)]
pub struct Actions {
    items: [Option<Action>; MAX_ACTIONS],
    len: usize,
}

impl Actions {
    /// No actions.
    pub(super) const fn none() -> Self {
        Self { items: [None; MAX_ACTIONS], len: 0 }
    }

    /// Adds `action` behind the others.
    pub(super) fn push(&mut self, action: Action) {
        debug_assert!(self.len < MAX_ACTIONS, "no cell of the state table has more actions than MAX_ACTIONS");
        if let Some(slot) = self.items.get_mut(self.len) {
            *slot = Some(action);
            self.len += 1;
        }
    }
}

impl IntoIterator for Actions {
    type Item = Action;
    type IntoIter = std::iter::Flatten<std::array::IntoIter<Option<Action>, MAX_ACTIONS>>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter().flatten()
    }
}
