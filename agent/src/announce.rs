//! When the neighbours are told where the addresses live. Where the addresses have the interface's own MAC each of them is
//! out of reach until then, and the first sweep is quick. A virtual MAC is what the neighbours have already, and its first
//! frame shows the switches the way to all addresses: every sweep is spread out, as the later ones are that make up for what
//! got lost, so that a switch that limits ARP drops none of thousands, and the adverts do not wait behind them.

use std::ops::Range;
use std::time::Duration;

use crate::config::MacMode;
use crate::vrrp::Instant;

/// Addresses announced in one go.
const BATCH: usize = 16;
/// Between two batches of a sweep that is waited for: enough for everything else that the election thread has to do.
const URGENT_PAUSE: Duration = Duration::from_micros(100);
/// Between two batches of any other.
const BATCH_PAUSE: Duration = Duration::from_millis(1);
/// From one sweep over all addresses to the next: a single announcement may be lost.
const SWEEP_PAUSES: [Duration; 4] =
    [Duration::from_millis(10), Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(5)];
/// After the last sweep, while the data plane has not accepted a frame to any of the addresses: perhaps nobody knows them.
const UNHEARD: Duration = Duration::from_secs(5);
/// Else: neighbours that came later, switches that forgot.
const REFRESH: Duration = Duration::from_secs(60);
/// A schedule that is younger has its frequent sweeps still before it, and is not started over but brought forward, once: a
/// router that keeps advertising although this one is better must not make it announce without end.
const YOUNG: Duration = Duration::from_secs(1);

/// The schedule of one virtual router's announcements.
#[derive(Clone, Copy, Debug)]
pub struct Announcer {
    /// Between two batches of the first sweep.
    first_pause: Duration,
    due: Option<Instant>,
    started: Instant,
    sweep: usize,
    next: usize,
    brought_forward: bool,
}

impl Announcer {
    /// The schedule for addresses with the MAC of `mode`; nothing is due.
    pub fn new(mode: MacMode) -> Self {
        let first_pause = match mode {
            MacMode::Virtual => BATCH_PAUSE,
            MacMode::Interface => URGENT_PAUSE,
        };
        let started = Instant::default();
        Self { first_pause, due: None, started, sweep: 0, next: 0, brought_forward: false }
    }

    /// Starts over, everything is due now; or soon, if it has only just started.
    pub fn start(&mut self, now: Instant) {
        match self.due {
            Some(due) if now.saturating_since(self.started) < YOUNG => {
                if !self.brought_forward {
                    let due = due.min(now + SWEEP_PAUSES[0]);
                    *self = Self { due: Some(due), next: 0, brought_forward: true, ..*self };
                }
            }
            Some(_) | None => {
                let due = Some(now);
                *self = Self { due, started: now, sweep: 0, next: 0, brought_forward: false, ..*self };
            }
        }
    }

    /// Falls silent.
    pub fn stop(&mut self) {
        self.due = None;
    }

    /// When something is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// The addresses, by their indices below `count`, that are to be announced now; at most `limit`. `served` is whether a
    /// frame to one of them was accepted since the takeover.
    pub fn poll(&mut self, count: usize, limit: usize, served: bool, now: Instant) -> Range<usize> {
        if limit == 0 || self.due.is_none_or(|due| due > now) {
            return 0..0;
        }
        let batch = self.next..count.min(self.next + BATCH.min(limit));
        if batch.end < count {
            self.next = batch.end;
            self.due = Some(now + if self.sweep == 0 { self.first_pause } else { BATCH_PAUSE });
        } else {
            self.next = 0;
            let rest = if served { REFRESH } else { UNHEARD };
            self.due = Some(now + SWEEP_PAUSES.get(self.sweep).copied().unwrap_or(rest));
            self.sweep += 1;
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_nanos(1_000_000_000);

    fn at(millis: u64) -> Instant {
        START + Duration::from_millis(millis)
    }

    #[test]
    fn one_address_is_announced_five_times_and_then_refreshed() {
        let mut announcer = Announcer::new(MacMode::Interface);
        announcer.start(START);
        for millis in [0, 10, 110, 1110, 6110, 66_110, 126_110] {
            assert_eq!(announcer.deadline(), Some(at(millis)));
            assert_eq!(announcer.poll(1, 99, true, at(millis)), 0..1);
            assert_eq!(announcer.poll(1, 99, true, at(millis)), 0..0);
        }
    }

    #[test]
    fn an_address_that_nobody_uses_is_announced_again_and_again() {
        let mut announcer = Announcer::new(MacMode::Interface);
        announcer.start(START);
        for millis in [0, 10, 110, 1110, 6110, 11_110, 16_110] {
            assert_eq!(announcer.deadline(), Some(at(millis)));
            assert_eq!(announcer.poll(1, 99, false, at(millis)), 0..1);
        }
        assert_eq!(announcer.poll(1, 99, true, at(21_110)), 0..1);
        assert_eq!(announcer.deadline(), Some(at(81_110)));
    }

    #[test]
    fn many_addresses_go_out_in_batches_which_are_quick_the_first_time() {
        let mut announcer = Announcer::new(MacMode::Interface);
        announcer.start(START);
        let mut now = START;
        for (batch, pause) in [
            (0..16, URGENT_PAUSE),
            (16..32, URGENT_PAUSE),
            (32..40, SWEEP_PAUSES[0]),
            (0..16, BATCH_PAUSE),
            (16..32, BATCH_PAUSE),
            (32..40, SWEEP_PAUSES[1]),
        ] {
            assert_eq!(announcer.poll(40, 99, true, now), batch);
            assert_eq!(announcer.poll(40, 99, true, now), 0..0);
            now = now + pause;
            assert_eq!(announcer.deadline(), Some(now));
        }
    }

    #[test]
    fn the_addresses_of_a_virtual_mac_take_their_time() {
        let mut announcer = Announcer::new(MacMode::Virtual);
        announcer.start(START);
        assert_eq!(announcer.poll(40, 99, true, START), 0..16);
        assert_eq!(announcer.deadline(), Some(START + BATCH_PAUSE));
    }

    #[test]
    fn what_is_beyond_the_limit_stays_due() {
        let mut announcer = Announcer::new(MacMode::Interface);
        announcer.start(START);
        assert_eq!(announcer.poll(4, 3, true, at(0)), 0..3);
        assert_eq!(announcer.poll(4, 0, true, at(1)), 0..0);
        assert_eq!(announcer.deadline(), Some(START + URGENT_PAUSE));
        assert_eq!(announcer.poll(4, 3, true, at(1)), 3..4);
    }

    #[test]
    fn a_young_schedule_is_brought_forward_once() {
        let mut announcer = Announcer::new(MacMode::Interface);
        announcer.start(START);
        for millis in [0, 10, 110] {
            assert_eq!(announcer.poll(1, 99, true, at(millis)), 0..1);
        }
        announcer.start(at(600));
        assert_eq!(announcer.deadline(), Some(at(610)));
        assert_eq!(announcer.poll(1, 99, true, at(610)), 0..1);
        announcer.start(at(620));
        assert_eq!(announcer.deadline(), Some(at(5610)), "the schedule goes on");
        announcer.start(at(1000));
        assert_eq!(announcer.deadline(), Some(at(1000)));
    }

    #[test]
    fn a_stopped_announcer_says_nothing() {
        let mut announcer = Announcer::new(MacMode::Interface);
        announcer.start(START);
        announcer.stop();
        assert_eq!(announcer.deadline(), None);
        assert_eq!(announcer.poll(1, 99, true, at(100_000)), 0..0);
    }
}
