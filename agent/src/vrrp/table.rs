//! The state table: every cell of (state, input) but those of `leave`. A cell decides; how a state is entered is in `enter`.

use std::fmt::Debug;

use super::action::{Action, Actions, Failure, Input};
use super::enter::Known;
use super::router::VirtualRouter;
use super::state::{Active, Backup, State, Task};
use super::timers::linger;
use super::types::{Advertisement, Fitness, Instant, Ownership, Priority, Reason, Standing};

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
            Input::Tracked { priority, fitness } => self.note_trackers(priority, fitness),
            Input::Startup | Input::StartupWithLease(_) if drained => {}
            Input::StartupWithLease(lease_until) if now < lease_until => {
                self.take_up_lease(lease_until, now, actions)
            }
            Input::Startup | Input::StartupWithLease(_) if self.is_fit_owner() && !self.grouped => {
                self.become_active(Reason::AddressOwner, now, actions);
            }
            Input::Startup | Input::StartupWithLease(_) => {
                self.start_as_backup(now, actions);
                // It waits for nobody but its group.
                if self.is_fit_owner()
                    && let State::Backup(backup) = self.state
                {
                    self.take_role(Backup { deaf: false, ..backup }, Reason::AddressOwner, now, actions);
                }
            }
            Input::Shutdown
            | Input::Handover { .. }
            | Input::Drain
            | Input::LinkDown
            | Input::Advertisement(_)
            | Input::FrameHeard
            | Input::Timer
            | Input::ActiveFailed { .. }
            | Input::Transmitted(_)
            | Input::TransmitFailed
            | Input::GroupReady
            | Input::GroupMoved
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
            Input::Timer if now >= backup.active_down_timer && !backup.ready => {
                self.take_role(backup, backup.cause, now, actions);
            }
            Input::GroupReady if backup.ready => self.become_active(backup.cause, now, actions),
            Input::Tracked { priority, fitness } => {
                self.become_fit_or_not(backup, priority, fitness, now, actions)
            }
            Input::Advertisement(advertisement) if backup.is_repeated_by(&advertisement, now) => {
                self.state = State::Backup(self.reassured(backup, advertisement.standing, now));
            }
            Input::Advertisement(Advertisement { standing: Standing::Leaving, .. }) => {
                // With the interval learned earlier: a priority-0 advertisement teaches none.
                let interval = backup.active_adver_interval;
                let wait = match self.fitness {
                    Fitness::Fit => self.skew_time(interval),
                    // Not in the RFC: whoever is fit goes first, and then the one that asks, when its linger is over.
                    Fitness::Unknown | Fitness::Failing => linger(interval) + self.skew_time(interval),
                };
                self.state = State::Backup(Backup {
                    active_down_timer: now + wait,
                    cause: Reason::ActiveLeft,
                    deaf: false,
                    ..backup
                });
            }
            Input::Advertisement(
                advertisement @ Advertisement { standing: Standing::Active(priority), .. },
            ) => {
                self.state = State::Backup(if self.preempts(backup, priority, now) {
                    // Discarded: Active_Down_Timer runs on, and its expiry is the preemption.
                    Backup { cause: Reason::Preempted, ..self.hearing(backup, now) }
                } else {
                    self.following(self.told_by(advertisement), backup, now)
                });
            }
            Input::FrameHeard => self.state = State::Backup(self.hearing(backup, now)),
            // One that asks to be relieved asks whoever is fit.
            Input::ActiveFailed { failure: Failure::OutOfService, .. } if self.fitness != Fitness::Fit => {}
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
            | Input::GroupReady
            | Input::GroupMoved
            | Input::LeaseLapsed => {}
        }
    }

    /// RFC 9568 8.4: a Backup ignores what a router says in VRRPv2 that it hears in VRRPv3. Baton: but not that it lives, or one
    /// that goes back to VRRPv2 alone would be taken for dead. That it leaves it says in VRRPv3, too.
    fn reassured(&self, backup: Backup<A>, standing: Standing, now: Instant) -> Backup<A> {
        match standing {
            Standing::Active(priority) if backup.cause == Reason::ActiveDown => {
                if self.preempts(backup, priority, now) {
                    return Backup { cause: Reason::Preempted, ..backup };
                }
                let wait = self.active_down_interval(backup.active_adver_interval);
                Backup { active_down_timer: backup.active_down_timer.max(now + wait), ..backup }
            }
            Standing::Active(_) | Standing::Leaving => backup,
        }
    }

    /// Whether the role is to be taken from an Active router of that priority.
    fn preempts(&self, backup: Backup<A>, priority: Priority, now: Instant) -> bool {
        // 6.1: the owner of the addresses preempts whatever Preempt_Mode says. Baton: but not after a handover, nor
        // before its delay; and a failing router is relieved in any case.
        let preempt = !backup.yielded
            && now >= backup.preempts_from
            && (self.parameters.preempt || self.parameters.priority == Priority::ADDRESS_OWNER);
        self.fitness == Fitness::Fit
            && priority < self.parameters.priority
            && (preempt || priority == Priority::LAST_RESORT)
    }

    fn is_fit_owner(&self) -> bool {
        self.parameters.priority == Priority::ADDRESS_OWNER && self.fitness == Fitness::Fit
    }

    /// What a Backup waits for depends on what its trackers say.
    fn become_fit_or_not(
        &mut self,
        backup: Backup<A>,
        priority: Priority,
        fitness: Fitness,
        now: Instant,
        actions: &mut Actions,
    ) {
        let is_worse = fitness != Fitness::Fit || priority < self.parameters.priority;
        let is_better = !is_worse && (self.fitness != Fitness::Fit || priority > self.parameters.priority);
        let was_unknown = self.fitness == Fitness::Unknown;
        self.note_trackers(priority, fitness);
        let delayed = Backup { preempts_from: now + self.parameters.preempt_delay, ..backup };
        let backup = if is_better { delayed } else { backup };
        self.state = State::Backup(backup);
        let interval = backup.active_adver_interval;
        if backup.cause == Reason::Preempted && (is_worse || now < backup.preempts_from) {
            // The next advertisement tells whether it is still to preempt.
            let by_version_3 = now < backup.in_version_3_until;
            let known = Known { router: backup.active, interval, by_version_3 };
            self.state = State::Backup(self.following(known, backup, now));
        } else if backup.cause == Reason::ActiveLeft && fitness == Fitness::Fit {
            let active_down_timer = backup.active_down_timer.min(now + self.skew_time(interval));
            self.state = State::Backup(Backup { active_down_timer, ..backup });
        } else if was_unknown && self.is_fit_owner() && backup.active.is_none() {
            // 6.4.1, as soon as the trackers have looked.
            self.take_role(backup, Reason::AddressOwner, now, actions);
        }
    }

    pub(super) fn note_trackers(&mut self, priority: Priority, fitness: Fitness) {
        self.parameters.priority = priority;
        self.fitness = fitness;
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
            self.take_role(backup, cause, now, actions);
            return;
        }
        let wait = now + self.skew_time(backup.active_adver_interval);
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
            Input::GroupMoved => self.leave(active.lease_until, Task::Follow, None, now, actions),
            Input::Tracked { priority, fitness } => {
                let fails = fitness == Fitness::Failing && self.fitness != Fitness::Failing;
                let differs = priority != self.parameters.priority;
                self.note_trackers(priority, fitness);
                if fails {
                    self.leave(active.lease_until, Task::Relief, None, now, actions);
                } else if differs {
                    // So that a better router need not wait for the next one to preempt.
                    actions.push(self.advertise());
                }
            }
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
                    self.become_backup(
                        Reason::HigherPriority,
                        self.told_by(advertisement),
                        false,
                        now,
                        actions,
                    );
                } else {
                    // New in RFC 9568: answered at once, without touching Adver_Timer. Baton announces again because
                    // the weaker router has just turned the neighbours' caches to itself.
                    actions.push(self.advertise());
                    actions.push(Action::Announce);
                }
            }
            Input::Transmitted(begun) => {
                let lease_until = begun.min(now) + self.lease_interval();
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
            | Input::FrameHeard
            | Input::Timer
            | Input::ActiveFailed { .. }
            | Input::GroupReady
            | Input::TransmitFailed => {}
        }
    }
}
