//! How states are entered: which actions, in which order, and which timers.

use std::fmt::Debug;
use std::time::Duration;

use super::action::{Action, Actions, Transition};
use super::router::{Parameters, VirtualRouter};
use super::state::{Active, Backup, Leaving, State, Task};
use super::timers::{
    LINGER_MARGIN, active_down_interval, learned_interval, lease_interval, linger, skew_time,
};
use super::types::{Advertisement, Checksum, ChecksumMode, Instant, Interval, Ownership, Reason, Standing};
use super::version::Version;

/// What is known of the Active router.
#[derive(Clone, Copy)]
pub(super) struct Known<A> {
    /// Its address, if it was heard.
    pub(super) router: Option<A>,
    /// Active_Adver_Interval.
    pub(super) interval: Interval,
    /// Whether it is heard in VRRPv3.
    pub(super) by_version_3: bool,
}

impl<A: Copy + Ord + Debug> VirtualRouter<A> {
    /// The map first, so that the addresses are served before anybody is told; then the advertisement before the
    /// announcements (RFC 9568 6.4.1 and 6.4.2).
    pub(super) fn become_active(&mut self, reason: Reason, now: Instant, actions: &mut Actions) {
        let interval = self.parameters.interval;
        let lease_until = now + self.lease_interval();
        actions.push(Action::SetOwnership(Ownership::Held(lease_until)));
        actions.push(self.advertise());
        actions.push(Action::Announce);
        let active = Active { adver_timer: now + interval.duration(), lease_until };
        self.enter(State::Active(active), reason, now, actions);
    }

    /// A Backup's wait is over. Not in the RFC: one of a group is ready from now on, until it hears an Active router that it
    /// listens to.
    pub(super) fn take_role(
        &mut self,
        backup: Backup<A>,
        reason: Reason,
        now: Instant,
        actions: &mut Actions,
    ) {
        if self.grouped {
            self.state = State::Backup(Backup { cause: reason, ready: true, ..backup });
        } else {
            self.become_active(reason, now, actions);
        }
    }

    /// Not in the RFC: XDP stopped serving when the lease ran out, and a Backup may have taken over since. Only the wait of a
    /// Backup can tell.
    pub(super) fn lapse(&mut self, now: Instant, actions: &mut Actions) {
        actions.push(Action::SetOwnership(Ownership::Released));
        self.become_backup(Reason::LeaseLapsed, self.unknown(), false, now, actions);
    }

    /// An earlier run of this agent owned the addresses, and its lease has not lapsed: nobody has taken over. That lease is
    /// renewed like any other, when the advertisement has left; and cut to what this run's interval allows, for its peers
    /// will wait no longer than that.
    pub(super) fn take_up_lease(&mut self, lease_until: Instant, now: Instant, actions: &mut Actions) {
        let lease_until = lease_until.min(now + self.lease_interval());
        actions.push(Action::SetOwnership(Ownership::Held(lease_until)));
        actions.push(self.advertise());
        actions.push(Action::Announce);
        let active = Active { adver_timer: now + self.parameters.interval.duration(), lease_until };
        self.enter(State::Active(active), Reason::Resumed, now, actions);
    }

    /// Says priority 0 and serves on for the linger, but never beyond the lease: an agent that was stalled until shortly
    /// before its lease ends must not outlive it because somebody stops it then.
    ///
    /// A router that was named is asked without a word to the others, who would take over when it does not. The lease stays
    /// as it is meanwhile, and the named one is waited for only as long as enough of it is left for a move to the others: the
    /// agent may die, and they need time to hear of it.
    pub(super) fn leave(
        &mut self,
        lease_until: Instant,
        task: Task,
        successor: Option<A>,
        now: Instant,
        actions: &mut Actions,
    ) {
        let linger = linger(self.parameters.interval);
        let left = lease_until.saturating_since(now);
        let (patience, lease_until) = if successor.is_some() {
            actions.push(Action::SetOwnership(Ownership::Offered(lease_until)));
            (linger.min(left.saturating_sub(linger + LINGER_MARGIN)), lease_until)
        } else {
            let lease_until = lease_until.min(now + linger + LINGER_MARGIN);
            actions.push(Action::SetOwnership(Ownership::Lingering(lease_until)));
            actions.push(self.say_leaving());
            (linger.min(left), lease_until)
        };
        let reason = match task {
            Task::Shutdown => Reason::Shutdown,
            Task::Handover => Reason::Handover,
            Task::Relief => Reason::TrackerFailed,
            Task::Drain => Reason::Drained,
            Task::Follow => Reason::GroupMoved,
        };
        let group_has_gone = task == Task::Follow;
        let leaving =
            Leaving { patience_until: now + patience, lease_until, task, successor, group_has_gone };
        self.enter(State::Leaving(leaving), reason, now, actions);
    }

    pub(super) fn become_backup(
        &mut self,
        reason: Reason,
        active: Known<A>,
        yielded: bool,
        now: Instant,
        actions: &mut Actions,
    ) {
        let preempts_from = now + self.parameters.preempt_delay;
        let backup = self.waiting_for(active, yielded, preempts_from, now);
        self.enter(State::Backup(backup), reason, now, actions);
    }

    /// RFC 9568 6.4.1, and the hold, which is not in the RFC.
    pub(super) fn start_as_backup(&mut self, now: Instant, actions: &mut Actions) {
        let hold = self.parameters.startup_hold;
        let begun = self.waiting_for(self.unknown(), false, now + self.parameters.preempt_delay, now + hold);
        self.enter(State::Backup(Backup { deaf: !hold.is_zero(), ..begun }), Reason::Startup, now, actions);
    }

    /// A Backup that has just heard something: the hold is over, and Active_Down_Timer is begun.
    pub(super) fn hearing(&self, backup: Backup<A>, now: Instant) -> Backup<A> {
        if !backup.deaf {
            return backup;
        }
        let wait = self.active_down_interval(backup.active_adver_interval);
        Backup { active_down_timer: backup.active_down_timer.min(now + wait), deaf: false, ..backup }
    }

    pub(super) fn become_initialize(&mut self, reason: Reason, now: Instant, actions: &mut Actions) {
        self.enter(State::Initialize { drained: false }, reason, now, actions);
    }

    /// Initialize, until the operator says otherwise.
    pub(super) fn become_drained(&mut self, reason: Reason, now: Instant, actions: &mut Actions) {
        self.enter(State::Initialize { drained: true }, reason, now, actions);
    }

    /// A Backup that has just heard of that Active router, and was one before.
    pub(super) fn following(&self, active: Known<A>, before: Backup<A>, now: Instant) -> Backup<A> {
        self.waiting_for(active, before.yielded, before.preempts_from, now)
    }

    fn waiting_for(
        &self,
        active: Known<A>,
        yielded: bool,
        preempts_from: Instant,
        now: Instant,
    ) -> Backup<A> {
        let Known { router, interval, by_version_3 } = active;
        let wait = self.active_down_interval(interval);
        Backup {
            active: router,
            active_adver_interval: interval,
            active_down_timer: now + wait,
            in_version_3_until: if by_version_3 { now + wait } else { now },
            cause: Reason::ActiveDown,
            yielded,
            preempts_from,
            deaf: false,
            ready: false,
        }
    }

    /// The lease that one transmitted advertisement is worth.
    pub(super) fn lease_interval(&self) -> Duration {
        lease_interval(self.parameters.interval, self.parameters.down_adverts)
    }

    pub(super) fn active_down_interval(&self, active_adver_interval: Interval) -> Duration {
        let Parameters { priority, down_adverts, versions, .. } = self.parameters;
        active_down_interval(priority, active_adver_interval, down_adverts, versions)
    }

    /// How long it leaves the role to better Backups.
    pub(super) fn skew_time(&self, active_adver_interval: Interval) -> Duration {
        let Parameters { priority, versions, .. } = self.parameters;
        skew_time(priority, active_adver_interval, versions)
    }

    /// What an advertisement of the Active router tells.
    pub(super) fn told_by(&self, advertisement: Advertisement<A>) -> Known<A> {
        let interval = learned_interval(self.parameters.interval, advertisement.interval);
        let by_version_3 = advertisement.version == Version::V3;
        Known { router: Some(advertisement.source), interval, by_version_3 }
    }

    /// The Active router is assumed to advertise as often as this one would.
    pub(super) const fn unknown(&self) -> Known<A> {
        Known { router: None, interval: self.parameters.interval, by_version_3: false }
    }

    pub(super) fn enter(&mut self, state: State<A>, reason: Reason, now: Instant, actions: &mut Actions) {
        let (from, to) = (self.state.role(), state.role());
        self.state = state;
        if from != to {
            self.changed = Some((now, reason));
        }
        actions.push(Action::Report(Transition { from, to, reason }));
    }

    pub(super) fn advertise(&self) -> Action {
        Action::Transmit { standing: Standing::Active(self.parameters.priority), checksum: self.checksum() }
    }

    pub(super) fn concede(&self) -> Action {
        Action::Concede { checksum: self.checksum() }
    }

    pub(super) fn say_leaving(&self) -> Action {
        Action::Transmit { standing: Standing::Leaving, checksum: self.checksum() }
    }

    fn checksum(&self) -> Checksum {
        match self.parameters.checksum {
            ChecksumMode::Only(flavour) => flavour,
            ChecksumMode::Auto(default) => self.heard.unwrap_or(default),
        }
    }
}
