//! Whether the engine of an interface does its work. The virtual routers whose addresses have services depend on it as on a tracker.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};

use super::plan::Plan;
use super::pools::Pools;

/// How long an engine may take to begin: its queues may be another agent's, and backends be looked for in vain for some seconds.
const START: Duration = Duration::from_secs(10);

/// What is known of an engine.
#[derive(Debug)]
pub struct Health {
    plan: Arc<Plan>,
    pools: Arc<ArcSwap<Pools>>,
    queues: u32,
    /// Workers that run.
    running: AtomicU32,
    /// Why one could not be started.
    refusal: ArcSwapOption<String>,
    is_over: AtomicBool,
    /// When the workers were started, and whether it could serve since.
    since: OnceLock<Instant>,
    has_worked: AtomicBool,
}

impl Health {
    pub(super) fn new(plan: Arc<Plan>, pools: Arc<ArcSwap<Pools>>, queues: u32) -> Self {
        Self {
            plan,
            pools,
            queues,
            running: AtomicU32::new(0),
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
        let found = self.judge();
        if found.is_ok() {
            self.has_worked.store(true, Ordering::Relaxed);
        }
        let is_new = self.since.get().is_none_or(|since| since.elapsed() < START);
        let is_starting = is_new && !self.has_worked.load(Ordering::Relaxed);
        (found.is_ok() || !is_starting).then_some(found)
    }

    /// All is well if every queue has its worker and every pool a backend that can be had.
    fn judge(&self) -> Result<(), String> {
        let (running, queues) = (self.running.load(Ordering::Acquire), self.queues);
        if running < queues {
            return Err(format!("{running} of {queues} workers run"));
        }
        let pools = self.pools.load();
        let can_serve = |pool| self.plan.numbers_of(pool).any(|backend| pools.takes_flows(backend));
        match self.plan.pools.iter().enumerate().find(|(number, _)| !can_serve(*number)) {
            Some((_, pool)) => Err(format!("no backend of pool {} can be had", pool.name)),
            None => Ok(()),
        }
    }

    /// The workers are being started.
    pub(super) fn begin(&self) {
        self.since.get_or_init(Instant::now);
    }

    /// Notes why the engine cannot work.
    pub(super) fn refuse(&self, why: String) {
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

/// The time that a worker works, from when this is made until it is dropped, in a panic too.
#[derive(Debug)]
pub(super) struct Shift(Arc<Health>);

impl Shift {
    pub(super) fn begin(health: &Arc<Health>) -> Self {
        health.running.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(health))
    }
}

impl Drop for Shift {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}
