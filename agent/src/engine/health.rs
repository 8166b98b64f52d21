//! Whether the engine of an interface does its work. The virtual routers whose addresses have services depend on it as on a tracker.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};

use super::plan::Plan;
use super::pools::Pools;
use super::pulse::{Pulse, Watchdog};
use crate::clock;
use crate::config::PoolConfig;
use crate::vrrp;

/// How long an engine may take to begin: its queues may be another agent's, and backends be looked for in vain for some seconds.
const START: Duration = Duration::from_secs(10);

/// What is known of an engine.
#[derive(Debug)]
pub struct Health {
    plan: Arc<Plan>,
    pools: Arc<ArcSwap<Pools>>,
    /// Workers that run.
    running: AtomicU32,
    /// Of each queue's worker.
    pulses: Box<[Pulse]>,
    watchdog: Mutex<Watchdog>,
    /// Why one could not be started.
    refusal: ArcSwapOption<String>,
    is_over: AtomicBool,
    /// When the workers were started, and whether it could serve since.
    since: OnceLock<Instant>,
    has_worked: AtomicBool,
}

impl Health {
    pub(super) fn new(plan: Arc<Plan>, pools: Arc<ArcSwap<Pools>>, queues: usize) -> Self {
        Self {
            plan,
            pools,
            running: AtomicU32::new(0),
            pulses: (0..queues).map(|_| Pulse::default()).collect(),
            watchdog: Mutex::new(Watchdog::new(queues)),
            refusal: ArcSwapOption::empty(),
            is_over: AtomicBool::new(false),
            since: OnceLock::new(),
            has_worked: AtomicBool::new(false),
        }
    }

    /// Whether this host can serve, or why not; `None` while that is being found out.
    pub fn check(&self) -> Option<Result<(), String>> {
        if let Some(refusal) = &*self.refusal.load() {
            return Some(Err(refusal.to_string()));
        }
        let found = self.judge(clock::now());
        if found.is_ok() {
            self.has_worked.store(true, Ordering::Relaxed);
        }
        let is_new = self.since.get().is_none_or(|since| since.elapsed() < START);
        let is_starting = is_new && !self.has_worked.load(Ordering::Relaxed);
        (found.is_ok() || !is_starting).then_some(found)
    }

    /// All is well if every queue has its worker, which goes on, and every pool its quorum of backends in order.
    fn judge(&self, now: vrrp::Instant) -> Result<(), String> {
        let (running, queues) = (self.running.load(Ordering::Acquire), self.pulses.len());
        if (running as usize) < queues {
            return Err(format!("{running} of {queues} workers run"));
        }
        let mut watchdog = self.watchdog.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = watchdog.look(&self.pulses, now) {
            return Err(format!("worker {queue} hangs"));
        }
        let pools = self.pools.load();
        for (number, PoolConfig { name, quorum, .. }) in self.plan.pools.iter().enumerate() {
            let in_order = pools.in_order(&self.plan, number);
            if in_order < *quorum {
                return Err(format!("{in_order} backend(s) of pool {name} in order, and {quorum} wanted"));
            }
            if !pools.has_takers(number) {
                return Err(format!("no backend of pool {name} takes new flows"));
            }
        }
        Ok(())
    }

    /// The workers are being started.
    pub(super) fn begin(&self) {
        self.since.get_or_init(Instant::now);
    }

    /// Notes why the engine cannot work.
    pub(crate) fn refuse(&self, why: String) {
        self.refusal.store(Some(Arc::new(why)));
    }

    /// Has the workers end.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }
}

/// The time that the worker of a queue works, from when this is made until it is dropped, in a panic too.
#[derive(Debug)]
pub(super) struct Shift {
    health: Arc<Health>,
    queue: usize,
}

impl Shift {
    pub(super) fn begin(health: &Arc<Health>, queue: u32) -> Self {
        health.running.fetch_add(1, Ordering::AcqRel);
        Self { health: Arc::clone(health), queue: queue as usize }
    }

    /// The worker goes on.
    pub(super) fn goes_on(&self) {
        if let Some(pulse) = self.health.pulses.get(self.queue) {
            pulse.beat();
        }
    }

    /// Whether the worker is to end.
    pub(super) fn is_over(&self) -> bool {
        self.health.is_over()
    }
}

impl Drop for Shift {
    fn drop(&mut self) {
        self.health.running.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AllFailed;
    use crate::engine::pools::tests::{conditions, plan};

    /// An engine with two queues, and pools with backends of these weights, of which the last is a backup.
    fn health(weights: &[u16], quorum: usize, all_failed: AllFailed) -> Arc<Health> {
        let mut plan = plan(weights, weights.len() - 1, all_failed);
        plan.pools[0].quorum = quorum;
        let pools = Arc::new(ArcSwap::from_pointee(Pools::unknown(&plan)));
        Arc::new(Health::new(Arc::new(plan), pools, 2))
    }

    fn at(seconds: u64) -> vrrp::Instant {
        vrrp::Instant::from_nanos(seconds * 1_000_000_000)
    }

    /// (weights, conditions, quorum, whether the pool is in order)
    #[test]
    fn a_node_can_serve_with_a_quorum_of_backends_in_order() {
        for (weights, letters, quorum, is_fit) in [
            (&[1, 1, 1], "uuu", 1, true),
            (&[1, 1, 1], "fuu", 1, true),
            (&[1, 1, 1], "ddu", 1, true),
            (&[1, 1, 1], "fdf", 1, false),
            (&[1, 1, 1], "???", 1, false),
            (&[1, 1, 1], "u?d", 1, true),
            (&[1, 1, 1], "uud", 2, true),
            (&[1, 1, 1], "udu", 2, false),
            (&[1, 1, 1], "fdu", 2, false),
            (&[0, 1, 1], "uff", 1, false),
            (&[0, 9, 1], "uuf", 2, false),
        ] {
            for all_failed in [AllFailed::Drop, AllFailed::UseAll] {
                let health = health(weights, quorum, all_failed);
                let _shifts = [Shift::begin(&health, 0), Shift::begin(&health, 1)];
                let pools = health.pools.load().then(&health.plan, conditions(letters));
                health.pools.store(Arc::new(pools));
                assert_eq!(health.judge(at(1)).is_ok(), is_fit, "{letters}, quorum {quorum}, {all_failed:?}");
            }
        }
    }

    #[test]
    fn a_drained_backend_counts_for_the_quorum_while_another_takes_flows() {
        let health = health(&[1, 1, 1], 2, AllFailed::Drop);
        let _shifts = [Shift::begin(&health, 0), Shift::begin(&health, 1)];
        let pools = health.pools.load().then(&health.plan, conditions("uuu"));
        for (weights, is_fit) in [([0, 1, 1], true), ([0, 0, 1], true), ([0, 0, 0], false), ([1, 1, 1], true)]
        {
            health.pools.store(Arc::new(pools.reweighted(&health.plan, weights.to_vec())));
            assert_eq!(health.judge(at(1)).is_ok(), is_fit, "{weights:?}");
        }
    }

    #[test]
    fn a_node_can_serve_while_all_of_its_workers_run_and_go_on() {
        let health = health(&[1, 1], 1, AllFailed::Drop);
        health.pools.store(Arc::new(health.pools.load().then(&health.plan, conditions("uu"))));
        let judge = |seconds| health.judge(at(seconds));
        assert_eq!(judge(1), Err("0 of 2 workers run".to_owned()));
        let first = Shift::begin(&health, 0);
        assert_eq!(judge(2), Err("1 of 2 workers run".to_owned()));
        let second = Shift::begin(&health, 1);
        // A look counts for half a second at the most.
        for seconds in 3..20 {
            first.goes_on();
            second.goes_on();
            assert_eq!(judge(seconds), Ok(()));
        }
        for seconds in 20..30 {
            first.goes_on();
            let hangs = Err("worker 1 hangs".to_owned());
            assert_eq!(judge(seconds), if seconds < 25 { Ok(()) } else { hangs }, "{seconds} s");
        }
        second.goes_on();
        assert_eq!(judge(30), Ok(()));
        drop(first);
        assert_eq!(judge(31), Err("1 of 2 workers run".to_owned()));
    }

    #[test]
    fn an_engine_that_begins_is_given_time_and_none_when_it_has_worked() {
        let health = health(&[1, 1], 1, AllFailed::Drop);
        health.begin();
        assert_eq!(health.check(), None);
        let shifts = [Shift::begin(&health, 0), Shift::begin(&health, 1)];
        health.pools.store(Arc::new(health.pools.load().then(&health.plan, conditions("uu"))));
        assert_eq!(health.check(), Some(Ok(())));
        drop(shifts);
        assert_eq!(health.check(), Some(Err("0 of 2 workers run".to_owned())));
        health.refuse("the driver has no such thing".to_owned());
        assert_eq!(health.check(), Some(Err("the driver has no such thing".to_owned())));
    }
}
