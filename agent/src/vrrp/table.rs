//! The state table: every cell of (state, input). A cell decides; how a state is entered is in `enter`.

use std::fmt::Debug;

use super::action::{Action, Actions, Failure, Input};
use super::enter::Known;
use super::router::VirtualRouter;
use super::state::{Active, Backup, Leaving, State, Task};
use super::timers::{LINGER_MARGIN, lease_interval, skew_time};
use super::types::{Advertisement, Instant, Ownership, Priority, Reason, Standing};

impl<A: Copy + Ord + Debug> VirtualRouter<A> {
    /// RFC 9568 6.4.1.
    pub(super) fn in_initialize(
        &mut self,
        drained: bool,
        input: Input<A>,
        now: Instant,
        actions: &mut Actions,
    ) {
        match input {
            Input::Drain if !drained => self.become_drained(Reason::Drained, now, actions),
            Input::Undrain => self.state = State::Initialize { drained: false },
            Input::Startup | Input::StartupWithLease(_) if drained => {}
            Input::StartupWithLease(lease_until) if now < lease_until => {
                self.take_up_lease(lease_until, now, actions)
            }
            Input::Startup | Input::StartupWithLease(_)
                if self.parameters.priority == Priority::ADDRESS_OWNER =>
            {
                self.become_active(Reason::AddressOwner, now, actions);
            }
            Input::Startup | Input::StartupWithLease(_) => {
                self.become_backup(Reason::Startup, self.unknown(), false, now, actions);
            }
            Input::Shutdown
            | Input::Handover { .. }
            | Input::Drain
            | Input::LinkDown
            | Input::Advertisement(_)
            | Input::Timer
            | Input::ActiveFailed { .. }
            | Input::Transmitted(_)
            | Input::TransmitFailed
            | Input::LeaseLapsed
            | Input::DatapathLost => {}
        }
    }

    /// RFC 9568 6.4.2.
    pub(super) fn in_backup(
        &mut self,
        backup: Backup<A>,
        input: Input<A>,
        now: Instant,
        actions: &mut Actions,
    ) {
        match input {
            Input::Shutdown => self.become_initialize(Reason::Shutdown, now, actions),
            Input::Drain => self.become_drained(Reason::Drained, now, actions),
            Input::LinkDown => self.become_initialize(Reason::LinkDown, now, actions),
            Input::DatapathLost => self.become_initialize(Reason::DatapathLost, now, actions),
            Input::Timer if now >= backup.active_down_timer => self.become_active(backup.cause, now, actions),
            Input::Advertisement(Advertisement { standing: Standing::Leaving, .. }) => {
                // Skew_Time with the interval learned earlier: a priority-0 advertisement teaches none.
                let skew = skew_time(self.parameters.priority, backup.active_adver_interval);
                self.state = State::Backup(Backup {
                    active_down_timer: now + skew,
                    cause: Reason::ActiveLeft,
                    ..backup
                });
            }
            Input::Advertisement(
                advertisement @ Advertisement { standing: Standing::Active(priority), .. },
            ) => {
                // 6.1: the owner of the addresses preempts whatever Preempt_Mode says. Baton: but not after a
                // handover.
                let preempt = !backup.yielded
                    && (self.parameters.preempt || self.parameters.priority == Priority::ADDRESS_OWNER);
                self.state = State::Backup(if preempt && priority < self.parameters.priority {
                    // Discarded: Active_Down_Timer runs on, and its expiry is the preemption.
                    Backup { cause: Reason::Preempted, ..backup }
                } else {
                    self.backup(advertisement.into(), backup.yielded, now)
                });
            }
            Input::ActiveFailed { failure, next_in_line } if backup.active.is_some() => {
                self.succeed(backup, failure, next_in_line, now, actions);
            }
            Input::Startup
            | Input::StartupWithLease(_)
            | Input::Handover { .. }
            | Input::Undrain
            | Input::Timer
            | Input::ActiveFailed { .. }
            | Input::Transmitted(_)
            | Input::TransmitFailed
            | Input::LeaseLapsed => {}
        }
    }

    /// Not in the RFC: the Active router is known not to serve. Like the expiry of Active_Down_Timer, but only the next in
    /// line acts at once: the others wait as long as after a priority 0, or several would take over together.
    fn succeed(
        &mut self,
        backup: Backup<A>,
        failure: Failure,
        next_in_line: bool,
        now: Instant,
        actions: &mut Actions,
    ) {
        let cause = match failure {
            Failure::Unreachable => Reason::ActiveUnreachable,
            Failure::OutOfService => Reason::ActiveOutOfService,
        };
        if next_in_line {
            self.become_active(cause, now, actions);
            return;
        }
        let wait = now + skew_time(self.parameters.priority, backup.active_adver_interval);
        if wait < backup.active_down_timer {
            self.state = State::Backup(Backup { active_down_timer: wait, cause, ..backup });
        }
    }

    /// RFC 9568 6.4.3, with an unexpired lease.
    pub(super) fn in_active(&mut self, active: Active, input: Input<A>, now: Instant, actions: &mut Actions) {
        let interval = self.parameters.interval;
        match input {
            Input::Shutdown => self.leave(active.lease_until, Task::Shutdown, None, now, actions),
            Input::Handover { to } => self.leave(active.lease_until, Task::Handover, to, now, actions),
            Input::Drain => self.leave(active.lease_until, Task::Drain, None, now, actions),
            Input::LinkDown => {
                actions.push(Action::SetOwnership(Ownership::Released));
                self.become_initialize(Reason::LinkDown, now, actions);
            }
            Input::Timer if now >= active.adver_timer => {
                actions.push(self.advertise());
                // From the previous deadline, so that late wake-ups do not add up to a longer interval; but no burst
                // after a pause.
                let late = now.saturating_since(active.adver_timer);
                let from = if late > interval.duration() { now } else { active.adver_timer };
                self.state = State::Active(Active { adver_timer: from + interval.duration(), ..active });
            }
            Input::Advertisement(Advertisement { standing: Standing::Leaving, .. }) => {
                actions.push(self.advertise());
                self.state = State::Active(Active { adver_timer: now + interval.duration(), ..active });
            }
            Input::Advertisement(
                advertisement @ Advertisement { standing: Standing::Active(priority), source, .. },
            ) => {
                // Erratum 8298: a second address owner is compared like anybody, or both would stay Active.
                if (priority, source) > (self.parameters.priority, self.parameters.primary) {
                    // Baton: the better router may never have heard this one, whose advertisements it would answer by
                    // announcing again. Without a last word the neighbours would go on believing this one.
                    actions.push(Action::SetOwnership(Ownership::Released));
                    actions.push(self.concede());
                    self.become_backup(Reason::HigherPriority, advertisement.into(), false, now, actions);
                } else {
                    // New in RFC 9568: answered at once, without touching Adver_Timer. Baton announces again because
                    // the weaker router has just turned the neighbours' caches to itself.
                    actions.push(self.advertise());
                    actions.push(Action::Announce);
                }
            }
            Input::Transmitted(begun) => {
                let lease_until = begun.min(now) + lease_interval(interval);
                if lease_until > active.lease_until {
                    actions.push(Action::SetOwnership(Ownership::Held(lease_until)));
                    self.state = State::Active(Active { lease_until, ..active });
                }
            }
            Input::DatapathLost => {
                // Said while the lease still holds, for only an owner may use the virtual MAC.
                actions.push(self.say_leaving());
                actions.push(Action::SetOwnership(Ownership::Released));
                self.become_initialize(Reason::DatapathLost, now, actions);
            }
            Input::LeaseLapsed => self.lapse(now, actions),
            // A failed transmission costs nothing yet: the lease is not renewed, and lapses if it goes on.
            Input::Startup
            | Input::StartupWithLease(_)
            | Input::Undrain
            | Input::Timer
            | Input::ActiveFailed { .. }
            | Input::TransmitFailed => {}
        }
    }

    /// Not in the RFC: the linger of a planned move.
    pub(super) fn in_leaving(
        &mut self,
        leaving: Leaving<A>,
        input: Input<A>,
        now: Instant,
        actions: &mut Actions,
    ) {
        match input {
            // Whoever speaks is the successor, whatever its priority: it was asked to take over. Its announcements come
            // after its advertisement, so the data plane serves on while the neighbours learn.
            Input::Advertisement(advertisement @ Advertisement { standing: Standing::Active(_), .. }) => {
                let until = leaving.lease_until.min(now + LINGER_MARGIN);
                actions.push(Action::SetOwnership(match leaving.successor {
                    _ if until <= now => Ownership::Released,
                    // A better one that was passed by must not come in between.
                    Some(_) => Ownership::Offered(until),
                    None => Ownership::Lingering(until),
                }));
                self.go(leaving.task, Reason::Succeeded, advertisement.into(), now, actions);
            }
            Input::Timer if now >= leaving.patience_until => self.linger_over(leaving, now, actions),
            Input::Shutdown if leaving.task != Task::Shutdown => {
                self.leave_for_good(leaving, Task::Shutdown, Reason::Shutdown, now, actions);
            }
            Input::Drain if leaving.task == Task::Handover => {
                self.leave_for_good(leaving, Task::Drain, Reason::Drained, now, actions);
            }
            Input::LinkDown => self.drop_out(leaving.task, Reason::LinkDown, now, actions),
            Input::DatapathLost => self.drop_out(leaving.task, Reason::DatapathLost, now, actions),
            // Another router that leaves is no successor.
            Input::Advertisement(Advertisement { standing: Standing::Leaving, .. })
            | Input::Startup
            | Input::StartupWithLease(_)
            | Input::Shutdown
            | Input::Handover { .. }
            | Input::Drain
            | Input::Undrain
            | Input::Timer
            | Input::ActiveFailed { .. }
            | Input::Transmitted(_)
            | Input::TransmitFailed
            | Input::LeaseLapsed => {}
        }
    }

    /// What began as a handover ends with this router out of the election. If it was offered to one, anybody may take it now.
    fn leave_for_good(
        &mut self,
        leaving: Leaving<A>,
        task: Task,
        reason: Reason,
        now: Instant,
        actions: &mut Actions,
    ) {
        if leaving.successor.is_some() {
            self.leave(leaving.lease_until, task, None, now, actions);
        } else {
            self.enter(State::Leaving(Leaving { task, ..leaving }), reason, now, actions);
        }
    }

    /// Nobody has spoken during the linger.
    fn linger_over(&mut self, leaving: Leaving<A>, now: Instant, actions: &mut Actions) {
        match leaving.task {
            Task::Shutdown => {
                actions.push(Action::SetOwnership(Ownership::Released));
                self.go(leaving.task, Reason::Shutdown, self.unknown(), now, actions);
            }
            // This host was stalled: somebody may have taken over long ago.
            Task::Handover | Task::Drain if now >= leaving.lease_until => {
                actions.push(Action::SetOwnership(Ownership::Released));
                self.go(leaving.task, Reason::LeaseLapsed, self.unknown(), now, actions);
            }
            Task::Handover | Task::Drain => self.become_active(Reason::HandoverRefused, now, actions),
        }
    }

    /// Goes where the task leads.
    fn go(&mut self, task: Task, reason: Reason, active: Known<A>, now: Instant, actions: &mut Actions) {
        match task {
            Task::Shutdown => self.become_initialize(reason, now, actions),
            Task::Handover => self.become_backup(reason, active, true, now, actions),
            Task::Drain => self.become_drained(reason, now, actions),
        }
    }

    /// The linger cannot go on.
    fn drop_out(&mut self, task: Task, reason: Reason, now: Instant, actions: &mut Actions) {
        actions.push(Action::SetOwnership(Ownership::Released));
        match task {
            Task::Shutdown | Task::Handover => self.become_initialize(reason, now, actions),
            Task::Drain => self.become_drained(reason, now, actions),
        }
    }
}
