//! Whether the workers go on: one that hangs has not ended, and only its pulse tells.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::vrrp::Instant;

/// How long a worker may stand still: it turns ten times a second when nothing comes.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a look counts for at the most. One that is late was late for the same reason as the workers: the host was suspended, or the
/// whole agent stopped.
const LOOK: Duration = Duration::from_millis(500);

/// How often a worker has looked at its ring. It has a cache line of its own: it is written all the time.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Pulse(AtomicU64);

impl Pulse {
    /// The worker, which alone calls this, goes on.
    pub(super) fn beat(&self) {
        self.0.store(self.count().wrapping_add(1), Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What looks at the pulses.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// When it has looked.
    looked: Instant,
    /// Of each worker what was counted, and for how long that has been the same.
    workers: Vec<(u64, Duration)>,
}

impl Watchdog {
    /// One for so many workers.
    pub(super) fn new(workers: usize) -> Self {
        Self { looked: Instant::default(), workers: vec![(0, Duration::ZERO); workers] }
    }

    /// Looks at the pulses of all workers, and tells which of them stands still, if one does.
    pub(super) fn look(&mut self, pulses: &[Pulse], now: Instant) -> Option<usize> {
        let passed = now.saturating_since(self.looked).min(LOOK);
        self.looked = now;
        for ((before, still), pulse) in self.workers.iter_mut().zip(pulses) {
            let count = pulse.count();
            *still = if count == *before { *still + passed } else { Duration::ZERO };
            *before = count;
        }
        self.workers.iter().position(|(_, still)| *still >= PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is seen of two workers, looked at whenever so many ms have passed. In each letter one, both or none has gone on.
    fn story(passed: u64, letters: &str) -> Vec<Option<usize>> {
        let pulses: [Pulse; 2] = Default::default();
        let mut watchdog = Watchdog::new(2);
        let mut now = 1_000_000_000_000;
        let look = |letter| {
            match letter {
                'a' => pulses[0].beat(),
                'b' => pulses[1].beat(),
                '+' => pulses.iter().for_each(Pulse::beat),
                _ => {}
            }
            now += passed * 1_000_000;
            watchdog.look(&pulses, Instant::from_nanos(now))
        };
        letters.chars().map(look).collect()
    }

    #[test]
    fn a_worker_that_stands_still_is_noticed_after_three_seconds_until_it_goes_on() {
        let told = story(500, "+bbbbbb++");
        assert_eq!(told, [None, None, None, None, None, None, Some(0), None, None]);
        assert_eq!(story(100, &"a".repeat(25)).last(), Some(&None));
        assert_eq!(story(100, &"a".repeat(26)).last(), Some(&Some(1)));
        assert_eq!(story(500, &"+-".repeat(20)).last(), Some(&None), "slow, and goes on");
    }

    #[test]
    fn a_pause_of_all_threads_is_no_fault_of_the_workers() {
        assert_eq!(story(3_600_000, "+----"), [None; 5]);
        assert_eq!(story(3_600_000, "+------").last(), Some(&Some(0)));
    }
}
