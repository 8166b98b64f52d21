//! How states are entered: which actions, in which order, and which timers.

use std::fmt::Debug;

use super::action::{Action, Actions, Transition};
use super::router::VirtualRouter;
use super::state::{Active, Backup, Errand, Leaving, State};
use super::timers::{LINGER_MARGIN, active_down_interval, lease_interval, linger};
use super::types::{Checksum, ChecksumMode, Instant, Interval, Reason, Standing};

impl<A: Copy + Ord + Debug> VirtualRouter<A> {
    /// The map first, so that the addresses are served before anybody is told; then the advertisement before the
    /// announcements (RFC 9568 6.4.1 and 6.4.2).
    pub(super) fn become_active(&mut self, reason: Reason, now: Instant, actions: &mut Actions) {
        let interval = self.parameters.interval;
        let lease_until = now + lease_interval(interval);
        actions.push(Action::SetOwnership(Some(lease_until)));
        actions.push(self.advertise());
        actions.push(Action::Announce);
        let active = Active { adver_timer: now + interval.duration(), lease_until };
        self.enter(State::Active(active), reason, now, actions);
    }

    /// An earlier run of this agent owned the addresses, and its lease has not lapsed: nobody has taken over. That lease is
    /// renewed like any other, when the advertisement has left.
    pub(super) fn resume(&mut self, lease_until: Instant, now: Instant, actions: &mut Actions) {
        actions.push(self.advertise());
        actions.push(Action::Announce);
        let active = Active { adver_timer: now + self.parameters.interval.duration(), lease_until };
        self.enter(State::Active(active), Reason::Resumed, now, actions);
    }

    /// Says priority 0 and serves on for the linger, but never beyond the lease: an agent that was stalled until shortly
    /// before its lease ends must not outlive it because somebody stops it then.
    pub(super) fn leave(&mut self, active: Active, errand: Errand, now: Instant, actions: &mut Actions) {
        let patience_until = active.lease_until.min(now + linger(self.parameters.interval));
        let lease_until = active.lease_until.min(patience_until + LINGER_MARGIN);
        actions.push(Action::SetOwnership(Some(lease_until)));
        actions.push(self.say_leaving());
        let reason = match errand {
            Errand::Shutdown => Reason::Shutdown,
            Errand::Handover => Reason::Handover,
        };
        let leaving = Leaving { patience_until, lease_until, errand };
        self.enter(State::Leaving(leaving), reason, now, actions);
    }

    /// Gives up the addresses before anything else (RFC 9568 6.4.2: a Backup must not answer for them), then waits.
    pub(super) fn release(
        &mut self,
        reason: Reason,
        active_adver_interval: Interval,
        now: Instant,
        actions: &mut Actions,
    ) {
        actions.push(Action::SetOwnership(None));
        self.become_backup(reason, active_adver_interval, false, now, actions);
    }

    pub(super) fn become_backup(
        &mut self,
        reason: Reason,
        active_adver_interval: Interval,
        yielded: bool,
        now: Instant,
        actions: &mut Actions,
    ) {
        let backup = self.backup(active_adver_interval, yielded, now);
        self.enter(State::Backup(backup), reason, now, actions);
    }

    pub(super) fn become_initialize(&mut self, reason: Reason, now: Instant, actions: &mut Actions) {
        self.enter(State::Initialize, reason, now, actions);
    }

    /// A Backup that has just heard of an Active router with that interval, or assumes one.
    pub(super) fn backup(&self, active_adver_interval: Interval, yielded: bool, now: Instant) -> Backup {
        let wait = active_down_interval(self.parameters.priority, active_adver_interval);
        Backup { active_adver_interval, active_down_timer: now + wait, cause: Reason::ActiveDown, yielded }
    }

    pub(super) fn enter(&mut self, state: State, reason: Reason, now: Instant, actions: &mut Actions) {
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
