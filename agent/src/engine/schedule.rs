//! Which backend a flow gets that has none. Each worker decides by itself; by Maglev's table (`maglev`, `source`) as the other node
//! would.

use std::cmp::Ordering;

use baton_common::flow::Flow;

use super::flow;
use super::flows::Flows;
use super::maglev::{Member, Table};
use super::plan::Plan;
use super::pools::Pools;
use crate::config::Schedule;

/// The schedulers of all pools, for one worker.
pub(super) struct Schedulers(Vec<Scheduler>);

/// How flows are spread over the backends of a pool.
enum Scheduler {
    BySlot(Schedule),
    RoundRobin(RoundRobin),
    LeastConnections,
}

impl Schedulers {
    /// Those of the pools of `plan`.
    pub(super) fn new(plan: &Plan) -> Self {
        let scheduler = |(pool, schedule): (usize, Schedule)| match schedule {
            Schedule::Maglev | Schedule::Source => Scheduler::BySlot(schedule),
            Schedule::RoundRobin => {
                let numbers = plan.numbers_of(pool);
                Scheduler::RoundRobin(RoundRobin::new(numbers.start, numbers.len()))
            }
            Schedule::LeastConnections => Scheduler::LeastConnections,
        };
        Self(plan.pools.iter().map(|pool| pool.schedule).enumerate().map(scheduler).collect())
    }

    /// The backend for `flow`, with this `hash`, of `pool`. Those that the worker has are in `flows`.
    pub(super) fn choose(
        &mut self,
        pool: usize,
        flow: &Flow,
        hash: u64,
        pools: &Pools,
        flows: &Flows,
    ) -> Option<u16> {
        match self.0.get_mut(pool)? {
            Scheduler::BySlot(_) => self.by_slot(pool, flow, hash, pools),
            Scheduler::RoundRobin(turns) => turns.next(pools.members(pool)),
            Scheduler::LeastConnections => least(pools.members(pool), |backend| flows.of(backend)),
        }
    }

    /// The backend that the slot of `flow` has, if its `pool` goes by slots.
    pub(super) fn by_slot(&self, pool: usize, flow: &Flow, hash: u64, pools: &Pools) -> Option<u16> {
        let Scheduler::BySlot(schedule) = self.0.get(pool)? else { return None };
        pools.table(pool)?.backend(slot(*schedule, flow, hash)?)
    }
}

/// The slot of `flow`, with this `hash`, in the table of a pool with this schedule; `None` if that goes by something else.
pub(super) fn slot(schedule: Schedule, flow: &Flow, hash: u64) -> Option<usize> {
    match schedule {
        Schedule::Maglev => Some(Table::slot(hash)),
        Schedule::Source => Some(Table::slot(flow::hash_of_source(flow))),
        Schedule::RoundRobin | Schedule::LeastConnections => None,
    }
}

/// Turns by weight, those of a backend spread as evenly as can be: each saves up its weight, and who has most pays for all.
#[derive(Debug)]
struct RoundRobin {
    /// The number of the first backend of the pool.
    first: u16,
    /// What each has saved up.
    credits: Vec<i64>,
    /// How many share the turns, and their weights together.
    shared_by: (usize, i64),
}

impl RoundRobin {
    fn new(first: u16, backends: usize) -> Self {
        Self { first, credits: vec![0; backends], shared_by: (0, 0) }
    }

    /// Whose turn it is among `members`.
    fn next(&mut self, members: impl Iterator<Item = Member> + Clone) -> Option<u16> {
        let count = |(count, weights), member: Member| (count + 1, weights + i64::from(member.weight));
        let shared_by = members.clone().fold((0, 0), count);
        if self.shared_by != shared_by {
            self.shared_by = shared_by;
            self.credits.fill(0);
        }
        let mut richest: Option<(u16, i64)> = None;
        for Member { backend, weight, .. } in members {
            let credit = self.credit(backend)?;
            *credit += i64::from(weight);
            if richest.is_none_or(|(_, most)| *credit > most) {
                richest = Some((backend, *credit));
            }
        }
        let (backend, _) = richest?;
        *self.credit(backend)? -= shared_by.1;
        Some(backend)
    }

    fn credit(&mut self, backend: u16) -> Option<&mut i64> {
        self.credits.get_mut(usize::from(backend.checked_sub(self.first)?))
    }
}

/// Who of `members` would have the fewest flows for its weight, with one more.
fn least(members: impl Iterator<Item = Member>, flows_of: impl Fn(u16) -> u32) -> Option<u16> {
    let load = |member: &Member| u64::from(flows_of(member.backend)) + 1;
    let by_load = |a: &Member, b: &Member| -> Ordering {
        (load(a) * u64::from(b.weight)).cmp(&(load(b) * u64::from(a.weight)))
    };
    members.min_by(by_load).map(|member| member.backend)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Backends 5, 6 and so on with these weights; without one, it is not there.
    fn members(weights: &[u16]) -> Vec<Member> {
        let member = |(backend, weight): (u16, &u16)| {
            let [_, last] = backend.to_be_bytes();
            Member { address: [192, 0, 2, last].into(), weight: *weight, backend }
        };
        (5..).zip(weights).filter(|(_, weight)| **weight > 0).map(member).collect()
    }

    #[test]
    fn turns_are_taken_by_weight_and_evenly() {
        let mut turns = RoundRobin::new(5, 3);
        let mut story = |weights: &[u16], count: usize| -> Vec<u16> {
            let members = members(weights);
            (0..count).filter_map(|_| turns.next(members.iter().copied())).collect()
        };
        assert_eq!(story(&[1, 1, 1], 4), [5, 6, 7, 5]);
        assert_eq!(story(&[0, 1, 1], 3), [6, 7, 6]);
        assert_eq!(story(&[1, 1, 1], 3), [5, 6, 7]);
        assert_eq!(story(&[5, 1, 1], 7), [5, 5, 6, 5, 7, 5, 5]);
        assert_eq!(story(&[0, 0, 9], 2), [7, 7]);
        assert_eq!(story(&[], 1), [0_u16; 0]);
        let stranger = members(&[1, 1, 1, 1]);
        assert_eq!(turns.next(stranger.iter().copied()), None);
    }

    /// (weights, flows that each has, who gets the next)
    #[test]
    fn who_has_the_fewest_flows_for_its_weight_gets_the_next() {
        for (weights, flows, next) in [
            (&[1, 1, 1], [0, 0, 0], Some(5)),
            (&[1, 1, 1], [1, 0, 0], Some(6)),
            (&[1, 1, 1], [2, 2, 1], Some(7)),
            (&[1, 2, 1], [0, 0, 0], Some(6)),
            (&[1, 2, 1], [0, 1, 0], Some(5)),
            (&[1, 2, 1], [1, 1, 1], Some(6)),
            (&[0, 1, 1], [0, 9, 8], Some(7)),
            (&[1000, 1, 1], [998, 0, 0], Some(5)),
            (&[1000, 1, 1], [1000, 0, 0], Some(6)),
            (&[0, 0, 0], [0, 0, 0], None),
        ] {
            let flows_of = |backend: u16| flows[usize::from(backend) - 5];
            assert_eq!(least(members(weights).into_iter(), flows_of), next, "{weights:?} {flows:?}");
        }
    }
}
