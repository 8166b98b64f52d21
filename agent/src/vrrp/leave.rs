//! The part of the state table that is not in the RFC: the linger of a planned move, and where it leads.

use std::fmt::Debug;

use super::action::{Action, Actions, Input};
use super::enter::Known;
use super::router::VirtualRouter;
use super::state::{Leaving, State, Task};
use super::timers::LINGER_MARGIN;
use super::types::{Advertisement, Fitness, Instant, Ownership, Reason, Standing};

impl<A: Copy + Ord + Debug> VirtualRouter<A> {
    /// A successor has been asked for.
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
                self.go(leaving.task, Reason::Succeeded, self.told_by(advertisement), now, actions);
            }
            Input::Timer if now >= leaving.patience_until => self.linger_over(leaving, now, actions),
            Input::Shutdown if leaving.task != Task::Shutdown => {
                self.change_task(leaving, Task::Shutdown, Reason::Shutdown, now, actions);
            }
            Input::Tracked { priority, fitness } => self.note_trackers(priority, fitness),
            // It must not preempt its successor when it recovers.
            Input::Handover { to: None } if leaving.task == Task::Relief => {
                self.change_task(leaving, Task::Handover, Reason::Handover, now, actions);
            }
            Input::Drain if matches!(leaving.task, Task::Handover | Task::Relief | Task::Follow) => {
                self.change_task(leaving, Task::Drain, Reason::Drained, now, actions);
            }
            // Nobody speaks to this member, perhaps, and the others have gone.
            Input::GroupMoved => self.state = State::Leaving(Leaving { group_has_gone: true, ..leaving }),
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
            | Input::FrameHeard
            | Input::Timer
            | Input::ActiveFailed { .. }
            | Input::Transmitted(_)
            | Input::TransmitFailed
            | Input::GroupReady
            | Input::LeaseLapsed => {}
        }
    }

    /// What began as a handover ends otherwise. If it was offered to one, anybody may take it now.
    fn change_task(
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
        let reason = match leaving.task {
            Task::Shutdown => Reason::Shutdown,
            Task::Follow => Reason::GroupMoved,
            // This host was stalled: somebody may have taken over long ago.
            Task::Handover | Task::Relief | Task::Drain if now >= leaving.lease_until => Reason::LeaseLapsed,
            Task::Handover | Task::Relief | Task::Drain if leaving.group_has_gone => Reason::GroupMoved,
            // The others were not asked when its trackers failed.
            Task::Handover if leaving.successor.is_some() && self.fitness == Fitness::Failing => {
                return self.leave(leaving.lease_until, Task::Relief, None, now, actions);
            }
            Task::Handover | Task::Relief | Task::Drain => {
                return self.become_active(Reason::HandoverRefused, now, actions);
            }
        };
        actions.push(Action::SetOwnership(Ownership::Released));
        self.go(leaving.task, reason, self.unknown(), now, actions);
    }

    /// Goes where the task leads.
    fn go(&mut self, task: Task, reason: Reason, active: Known<A>, now: Instant, actions: &mut Actions) {
        match task {
            Task::Shutdown => self.become_initialize(reason, now, actions),
            Task::Handover => self.become_backup(reason, active, true, now, actions),
            Task::Relief | Task::Follow => self.become_backup(reason, active, false, now, actions),
            Task::Drain => self.become_drained(reason, now, actions),
        }
    }

    /// The linger cannot go on.
    fn drop_out(&mut self, task: Task, reason: Reason, now: Instant, actions: &mut Actions) {
        actions.push(Action::SetOwnership(Ownership::Released));
        match task {
            Task::Shutdown | Task::Handover | Task::Relief | Task::Follow => {
                self.become_initialize(reason, now, actions);
            }
            Task::Drain => self.become_drained(reason, now, actions),
        }
    }
}
