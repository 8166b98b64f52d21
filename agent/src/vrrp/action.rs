//! What goes into the election core and what comes out of it.

use super::types::{Advertisement, Checksum, Fitness, Instant, Ownership, Priority, Reason, Role, Standing};

/// Something that happened to one virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<A> {
    /// The interface is up and has a primary address (RFC 9568 6.4.1).
    Startup,
    /// The same, and the map holds a lease until then that an earlier run of this agent has left.
    StartupWithLease(Instant),
    /// Stop participating: the agent is about to exit.
    Shutdown,
    /// Give the role to a Backup and go on as Backup.
    Handover {
        /// The only router that may take it: a Baton with this primary address. Without, whoever does.
        to: Option<A>,
    },
    /// Give the role to a Backup and take no part until [`Undrain`](Self::Undrain).
    Drain,
    /// The end of a drain; [`Startup`](Self::Startup) follows where the interface allows it.
    Undrain,
    /// The trackers have looked.
    Tracked {
        /// The priority from here on.
        priority: Priority,
        /// Whether this router is to serve.
        fitness: Fitness,
    },
    /// The interface lost its carrier or its primary address: nothing can be sent.
    LinkDown,
    /// A checked advertisement of another router arrived.
    Advertisement(Advertisement<A>),
    /// A frame arrived that is no advertisement for this router and shows that frames come through to this host.
    FrameHeard,
    /// The deadline has passed.
    Timer,
    /// The Active router that this Backup listens to was found out not to serve, by other means than its
    /// advertisements (RFC 7880).
    ActiveFailed {
        /// What is wrong with it.
        failure: Failure,
        /// Whether this is the Backup that is to take over; the others give it their Skew_Time.
        next_in_line: bool,
    },
    /// An advertisement with our own priority left this host; its transmission was *begun* at the given time. The
    /// lease is counted from there: no peer can have heard it earlier.
    Transmitted(Instant),
    /// An advertisement could not be sent.
    TransmitFailed,
    /// All routers of the group are Active or [ready](super::VirtualRouter::ready) to be.
    GroupReady,
    /// A member of the group has lost the role.
    GroupMoved,
    /// The lease had run out before its renewal could be stored, which was not done therefore.
    LeaseLapsed,
    /// The data plane is gone from the interface: ownership cannot be exercised.
    DatapathLost,
}

/// Why an Active router does not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It does not answer: it, or the way to it, is dead.
    Unreachable,
    /// It says that it does not own the addresses, or is about to leave.
    OutOfService,
}

/// Something to be done, in the order given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make the data plane own the virtual router, or not.
    SetOwnership(Ownership),
    /// Send an advertisement.
    Transmit {
        /// The priority octet.
        standing: Standing,
        /// The checksum to make.
        checksum: Checksum,
    },
    /// Send an advertisement with the own priority from the device's own MAC, though the router is not Active any more: so
    /// the better one learns that the neighbours may have heard two, and announces the addresses again.
    Concede {
        /// The checksum to make.
        checksum: Checksum,
    },
    /// Tell the neighbours where the addresses live: gratuitous ARP, unsolicited NA.
    Announce,
    /// The role changed, or a handover began or failed.
    Report(Transition),
}

/// A role change with its reason. `from == to` for a handover that begins or is refused, and for a drain in Initialize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The role before.
    pub from: Role,
    /// The role after.
    pub to: Role,
    /// Why.
    pub reason: Reason,
}

impl Transition {
    /// Whether this host has begun to serve. It has not where it was told to go on with what an earlier run left.
    pub fn is_takeover(self) -> bool {
        self.to == Role::Active && self.from != Role::Active && self.reason != Reason::Resumed
    }

    /// Whether this host has lost the role: to another that has it, or may have it, or because it cannot have it.
    pub fn is_loss(self) -> bool {
        let is_unable = matches!(self.reason, Reason::LinkDown | Reason::DatapathLost);
        self.from == Role::Active && (self.to == Role::Backup || is_unable)
    }
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

    /// The action at `step`, if there are so many.
    #[must_use]
    pub fn get(&self, step: usize) -> Option<Action> {
        self.items.get(step).copied().flatten()
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
