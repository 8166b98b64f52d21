//! The states of a virtual router, each with the timers that run in it.

use super::types::{Advertisement, Instant, Interval, Reason, Role};
use super::version::Version;

/// The state machine of RFC 9568 6.4. `Leaving` is Baton's: still the role Active, for the linger of a planned move.
///
/// ```text
///                          Startup, priority 255
///        +----------------------------------------------------------------+
///        |                                                                v
///  +------------+  Startup   +---------+  Active_Down_Timer (*)     +----------+  Adver_Timer,
///  |            |----------->|         |--------------------------->|          |  weaker or leaving peer:
///  | Initialize |  Shutdown, | Backup  |  ActiveFailed              |  Active  |  advertise, stay
///  |            |<-----------|         |<---------------------------|          |
///  +------------+  Drain,    +---------+  better peer, lease lapsed +----------+
///    ^    ^    LinkDown, ...      ^                                   |  |   ^
///    |    |                       |                                   |  |   | nobody took over
///    |    |                       |                                   |  v   | (handover refused)
///    |    |                       |  successor spoke (handover,     +----------+
///    |    |                       |  relief), stalled in the linger |          | from Active by
///    |    |                       +---------------------------------| Leaving  | Shutdown, Handover,
///    |    |         successor spoke (shutdown, drain), linger over  |          | Drain, failing trackers
///    |    +---------------------------------------------------------+----------+
///    |              LinkDown, DatapathLost                            |
///    +----------------------------------------------------------------+
///                   LinkDown, DatapathLost (from Active)
/// ```
///
/// (*) A router of a group is ready then, and becomes Active with [`GroupReady`](super::Input::GroupReady).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State<A> {
    /// Waiting for Startup; nothing is sent or heard.
    Initialize {
        /// Not before the operator says so.
        drained: bool,
    },
    /// Watching the Active router.
    Backup(Backup<A>),
    /// Serving the addresses.
    Active(Active),
    /// Serving the addresses for the last time: a successor has been asked for.
    Leaving(Leaving<A>),
}

/// What a Backup keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Backup<A> {
    /// The Active router: who sent the advertisement that this Backup goes by.
    pub(super) active: Option<A>,
    /// Active_Adver_Interval: learned from the Active router, at first our own.
    pub(super) active_adver_interval: Interval,
    /// When Active_Down_Timer fires.
    pub(super) active_down_timer: Instant,
    /// Until then, an Active_Down_Interval after the Active router was heard in VRRPv3, what it says in VRRPv2 teaches nothing.
    pub(super) in_version_3_until: Instant,
    /// What it means when Active_Down_Timer fires.
    pub(super) cause: Reason,
    /// This router handed over by request and does not preempt its successor.
    pub(super) yielded: bool,
    /// Until then it leaves the role to a weaker Active router, but for the last resort.
    pub(super) preempts_from: Instant,
    /// Nothing has been heard since Startup, and Active_Down_Timer includes the hold.
    pub(super) deaf: bool,
    /// The wait is over, and the router takes the role as soon as all of its group can.
    pub(super) ready: bool,
}

impl<A: Eq> Backup<A> {
    /// Whether an advertisement comes in VRRPv2 from the Active router, which is heard in VRRPv3 as well.
    pub(super) fn is_repeated_by(&self, advertisement: &Advertisement<A>, now: Instant) -> bool {
        matches!(advertisement.version, Version::V2 { .. })
            && self.active.as_ref() == Some(&advertisement.source)
            && now < self.in_version_3_until
    }
}

/// What an Active router keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Active {
    /// When Adver_Timer fires.
    pub(super) adver_timer: Instant,
    /// End of the lease that the ownership map holds.
    pub(super) lease_until: Instant,
}

/// What a leaving router keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaving<A> {
    /// When no successor is waited for any more.
    pub(super) patience_until: Instant,
    /// End of the lease, some time after that: whoever takes the role back then still owns the addresses.
    pub(super) lease_until: Instant,
    /// Where it goes from here.
    pub(super) task: Task,
    /// The only router that was asked. Priority 0 has not been said then: the others know of nothing.
    pub(super) successor: Option<A>,
    /// The rest of its group has gone meanwhile: it follows whether or not somebody takes over.
    pub(super) group_has_gone: bool,
}

/// Why a router leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// The agent exits: Initialize follows.
    Shutdown,
    /// The operator wants another router to be Active: Backup follows, or Active again when nobody takes over.
    Handover,
    /// What this router leads to is out of order: Backup follows, or Active again when nobody takes over.
    Relief,
    /// The operator wants this host out: Initialize, drained, follows, or Active again when nobody takes over.
    Drain,
    /// The rest of its group is on another host: Backup follows.
    Follow,
}

impl<A> State<A> {
    /// The role that the state belongs to.
    pub(super) const fn role(&self) -> Role {
        match self {
            Self::Initialize { .. } => Role::Initialize,
            Self::Backup(_) => Role::Backup,
            Self::Active(_) | Self::Leaving(_) => Role::Active,
        }
    }

    /// When the state wants to hear of the time.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Initialize { .. } => None,
            Self::Backup(backup) => Some(backup.active_down_timer).filter(|_| !backup.ready),
            Self::Active(active) => Some(active.adver_timer.min(active.lease_until)),
            Self::Leaving(leaving) => Some(leaving.patience_until),
        }
    }

    /// The end of the lease that the ownership map is to hold.
    pub(super) const fn lease_until(&self) -> Option<Instant> {
        match self {
            Self::Initialize { .. } | Self::Backup(_) => None,
            Self::Active(active) => Some(active.lease_until),
            Self::Leaving(leaving) => Some(leaving.lease_until),
        }
    }
}
