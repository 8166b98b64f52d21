//! The thread that waits for the agent's death and acts on it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Context;

use super::briefing::Briefing;
use super::notice::{Ending, Notice};
use super::ward::Ward;
use crate::clock;
use crate::host::{lock, rights};
use crate::vrrp::{Interval, linger};

/// All memory of the guardian is locked, and the thread does little: it writes a log line or two.
const STACK: usize = 128 * 1024;
/// How often it is looked whether a successor has spoken.
const POLL: Duration = Duration::from_micros(100);
/// What the thread may take beyond the linger. Longer, and the notice has not worked; the lease has lapsed then.
const MARGIN: Duration = Duration::from_secs(1);

/// The thread, which knows all that it has to.
pub(super) struct DeathWatch {
    wards: Arc<Mutex<Vec<Ward>>>,
    over: Receiver<()>,
    acting: Arc<AtomicBool>,
    longest_linger: Duration,
}

impl DeathWatch {
    /// Opens all that the briefing names, and waits for the end of whoever holds `notice`.
    pub(super) fn start(briefing: Briefing, notice: Notice) -> anyhow::Result<Self> {
        let (sender, over) = channel();
        let realtime_priority = briefing.realtime_priority;
        let mut watch = Self {
            wards: Arc::default(),
            over,
            acting: Arc::new(AtomicBool::new(false)),
            longest_linger: Duration::ZERO,
        };
        watch.brief(briefing)?;
        let (wards, acting) = (Arc::clone(&watch.wards), Arc::clone(&watch.acting));
        thread::Builder::new()
            .name("guardian".to_owned())
            .stack_size(STACK)
            .spawn(move || keep(&wards, realtime_priority, notice, &acting, &sender))
            .context("starting a thread")?;
        Ok(watch)
    }

    /// Opens what the briefing of another agent names, which has the notice now, in the place of the last one's. Without
    /// that nothing is done for it: the last one's leases are none of its business.
    pub(super) fn brief(&mut self, briefing: Briefing) -> anyhow::Result<()> {
        let Briefing { pins, interfaces, .. } = briefing;
        let routers = interfaces.iter().flat_map(|interface| &interface.routers);
        let intervals = routers.filter_map(|router| Interval::from_centiseconds(router.interval_cs));
        self.longest_linger = intervals.max().map(linger).unwrap_or_default();
        let mut wards = locked(&self.wards);
        wards.clear();
        let mut opened = Vec::with_capacity(interfaces.len());
        for interface in interfaces {
            let name = interface.name.clone();
            opened.push(Ward::open(&pins, interface).with_context(|| format!("opening {name}"))?);
        }
        *wards = opened;
        Ok(())
    }

    /// Whether the agent has died.
    pub(super) fn is_acting(&self) -> bool {
        self.acting.load(Ordering::Acquire)
    }

    /// Waits until all is done that the agent's end, which has come, makes necessary.
    pub(super) fn finish(self) {
        // A thread that is late, or that has panicked, has nothing left to do that anybody could wait for.
        let _ = self.over.recv_timeout(self.longest_linger + MARGIN);
    }
}

fn keep(
    wards: &Mutex<Vec<Ward>>,
    realtime_priority: u8,
    notice: Notice,
    acting: &AtomicBool,
    over: &Sender<()>,
) {
    if realtime_priority > 0
        && let Err(error) = rights::become_realtime(realtime_priority)
    {
        tracing::warn!(%error, "no real-time priority for the guardian; grant CAP_SYS_NICE");
    }
    match notice.wait() {
        Ok(Ending::InOrder | Ending::PassedOn) => {}
        // This guardian was held up, and the leases are the other agent's.
        Ok(Ending::Death) if lock::was_taken_after(notice.holders()) => {
            tracing::warn!("the agent has died, and another has taken its place already");
        }
        Ok(Ending::Death) => {
            acting.store(true, Ordering::Release);
            gasp(&mut locked(wards));
        }
        Err(error) => {
            tracing::error!(%error, "the guardian does not notice the agent's death; its leases lapse")
        }
    }
    let _ = over.send(());
}

/// A panic while it is locked would have changed nothing half.
fn locked(wards: &Mutex<Vec<Ward>>) -> MutexGuard<'_, Vec<Ward>> {
    wards.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The last gasp: all leases first, for who probes learns from them at once, then the word for the others.
fn gasp(wards: &mut [Ward]) {
    let now = clock::now();
    let left: usize = wards.iter_mut().map(|ward| ward.shorten_leases(now)).sum();
    wards.iter_mut().for_each(Ward::say_farewell);
    tracing::error!(left, "the agent has died; what it owned is left to its Backups, as in a planned move");
    while wards.iter_mut().map(|ward| ward.watch(clock::now())).sum::<usize>() > 0 {
        thread::sleep(POLL);
    }
}
