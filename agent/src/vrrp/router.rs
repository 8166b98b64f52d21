//! A virtual router as its caller sees it: parameters in, actions out.

use std::fmt::Debug;
use std::time::Duration;

use baton_common::vrid::Vrid;

use super::action::{Actions, Input};
use super::state::{Backup, Leaving, State};
use super::timers::DownAdverts;
use super::types::{
    Advertisement, Checksum, ChecksumMode, Fitness, Instant, Interval, Priority, Reason, Role,
};
use super::version::{Version, Versions};

/// What an operator decides about a virtual router (RFC 9568 6.1). `A` is the address type of the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters<A> {
    /// Virtual Router Identifier.
    pub vrid: Vrid,
    /// Priority in the election.
    pub priority: Priority,
    /// Advertisement_Interval.
    pub interval: Interval,
    /// Advertisements that may be missed, the same on all routers.
    pub down_adverts: DownAdverts,
    /// Preempt_Mode: take the role from an Active router of lower priority. An address owner preempts always.
    pub preempt: bool,
    /// How long the role is left to a weaker Active router by one that has started, or whose trackers have recovered. Not in the
    /// RFC.
    pub preempt_delay: Duration,
    /// How long Active_Down_Timer is not begun after Startup as long as no frame has been heard: a switch port may not let any
    /// through yet, and then silence says nothing. Not in the RFC.
    pub startup_hold: Duration,
    /// Primary address of the interface; it breaks ties and is the source of the advertisements.
    pub primary: A,
    /// Checksums to accept and to send.
    pub checksum: ChecksumMode,
    /// The VRRP that is spoken.
    pub versions: Versions,
}

/// One virtual router on this host.
#[derive(Clone, Debug)]
pub struct VirtualRouter<A> {
    pub(super) parameters: Parameters<A>,
    pub(super) fitness: Fitness,
    pub(super) grouped: bool,
    pub(super) state: State<A>,
    pub(super) heard: Option<Checksum>,
    pub(super) changed: Option<(Instant, Reason)>,
}

impl<A: Copy + Ord + Debug> VirtualRouter<A> {
    /// A virtual router in Initialize. `heard` is the checksum flavour that a peer used before a restart.
    #[must_use]
    pub const fn new(parameters: Parameters<A>, heard: Option<Checksum>) -> Self {
        let state = State::Initialize { drained: false };
        Self { parameters, fitness: Fitness::Fit, grouped: false, state, heard, changed: None }
    }

    /// The same with trackers, which have not looked yet.
    #[must_use]
    pub const fn tracked(self) -> Self {
        Self { fitness: Fitness::Unknown, ..self }
    }

    /// The same in a group, without which it takes no role: [`is_group_ready`](super::is_group_ready) knows when.
    #[must_use]
    pub const fn grouped(self) -> Self {
        Self { grouped: true, ..self }
    }

    /// What the operator decided, with the priority that the trackers leave of it.
    #[must_use]
    pub const fn parameters(&self) -> &Parameters<A> {
        &self.parameters
    }

    /// What the trackers say.
    #[must_use]
    pub const fn fitness(&self) -> Fitness {
        self.fitness
    }

    /// The role. A router that is [leaving](Self::leaving) is still Active.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.state.role()
    }

    /// When the role last changed; `None` before the first Startup.
    #[must_use]
    pub fn since(&self) -> Option<Instant> {
        self.changed.map(|(at, _)| at)
    }

    /// Why the role last changed; `None` before the first Startup.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.changed.map(|(_, reason)| reason)
    }

    /// The Active router that this Backup listens to.
    #[must_use]
    pub const fn active_router(&self) -> Option<A> {
        match self.state {
            State::Backup(Backup { active, .. }) => active,
            State::Initialize { .. } | State::Active(_) | State::Leaving(_) => None,
        }
    }

    /// When [`Input::Timer`] is due. Earlier calls are harmless.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.state.deadline()
    }

    /// The end of the lease that this host holds; `None` when it is not to own the virtual router, though the last
    /// milliseconds of a planned move may still run.
    #[must_use]
    pub const fn lease_until(&self) -> Option<Instant> {
        self.state.lease_until()
    }

    /// The checksum flavour of the last advertisement heard, but for those of VRRPv2, which has but one.
    #[must_use]
    pub const fn heard(&self) -> Option<Checksum> {
        self.heard
    }

    /// Whether this is a Backup that handed the role over by request. It does not preempt its successor until it has
    /// been Active again or was restarted. That holds for an address owner too: the operator's word counts.
    #[must_use]
    pub const fn yielded(&self) -> bool {
        matches!(self.state, State::Backup(Backup { yielded: true, .. }))
    }

    /// Before that it leaves the role to a weaker Active router; `None` for all but a Backup.
    #[must_use]
    pub const fn preempts_from(&self) -> Option<Instant> {
        match self.state {
            State::Backup(Backup { preempts_from, .. }) => Some(preempts_from),
            State::Initialize { .. } | State::Active(_) | State::Leaving(_) => None,
        }
    }

    /// Whether this is a Backup that has heard nothing since Startup and is held back for it.
    #[must_use]
    pub const fn deaf(&self) -> bool {
        matches!(self.state, State::Backup(Backup { deaf: true, .. }))
    }

    /// Whether this is a Backup whose wait is over, and that takes the role as soon as all of its group can.
    #[must_use]
    pub const fn ready(&self) -> bool {
        matches!(self.state, State::Backup(Backup { ready: true, .. }))
    }

    /// Whether it is Active and means to stay so.
    #[must_use]
    pub const fn serves(&self) -> bool {
        matches!(self.state, State::Active(_))
    }

    /// Whether `advertisement` comes in VRRPv2 from the Active router, and this Backup hears it in VRRPv3 as well: it shows that
    /// the Active router lives, and tells nothing (RFC 9568 8.4).
    #[must_use]
    pub fn is_repetition(&self, advertisement: &Advertisement<A>, now: Instant) -> bool {
        matches!(self.state, State::Backup(backup) if backup.is_repeated_by(advertisement, now))
    }

    /// Whether a successor has been asked for and the linger of a planned move runs.
    #[must_use]
    pub const fn leaving(&self) -> bool {
        matches!(self.state, State::Leaving(_))
    }

    /// The only router that was asked to succeed this one, while it is leaving.
    #[must_use]
    pub const fn successor(&self) -> Option<A> {
        match self.state {
            State::Leaving(Leaving { successor, .. }) => successor,
            State::Initialize { .. } | State::Backup(_) | State::Active(_) => None,
        }
    }

    /// Whether the operator has taken this router out of the election.
    #[must_use]
    pub const fn drained(&self) -> bool {
        matches!(self.state, State::Initialize { drained: true })
    }

    /// Takes one input at time `now` and answers with what is to be done, in that order.
    pub fn handle(&mut self, input: Input<A>, now: Instant) -> Actions {
        let mut actions = Actions::none();
        if let State::Active(active) = self.state
            && now >= active.lease_until
        {
            // What has just arrived is judged as a Backup.
            self.lapse(now, &mut actions);
        }
        if let Input::Advertisement(Advertisement { version: Version::V3, checksum, .. }) = input
            && !matches!(self.state, State::Initialize { .. })
        {
            self.heard = Some(checksum);
        }
        match self.state {
            State::Initialize { drained } => self.in_initialize(drained, input, now, &mut actions),
            State::Backup(backup) => self.in_backup(backup, input, now, &mut actions),
            State::Active(active) => self.in_active(active, input, now, &mut actions),
            State::Leaving(leaving) => self.in_leaving(leaving, input, now, &mut actions),
        }
        actions
    }
}
