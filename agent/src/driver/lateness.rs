//! How late the election thread wakes: what its timers can be relied on for.

use hdrhistogram::Histogram;

use crate::recorder::Spans;
use crate::vrrp::Instant;

/// The largest lateness that is told from larger ones, in us: a minute.
const LARGEST_US: u64 = 60_000_000;
/// Digits of a lateness that count.
const DIGITS: u8 = 2;

/// Every wake-up for a deadline, by how long after it this thread ran. It never grows.
pub(super) struct Lateness {
    /// For the quantiles since the beginning.
    histogram: Option<Histogram<u64>>,
    /// For those of any time between two looks.
    spans: Spans,
}

/// The distribution so far, in us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatenessSummary {
    /// Wake-ups for a deadline.
    pub wakes: u64,
    /// Half of them were no later.
    pub p50_us: u64,
    /// All but a hundredth were no later.
    pub p99_us: u64,
    /// None was later.
    pub max_us: u64,
}

impl Lateness {
    pub(super) fn new() -> Self {
        // The bounds are sound, so there is one.
        let histogram = Histogram::new_with_bounds(1, LARGEST_US, DIGITS).ok();
        Self { histogram, spans: Spans::default() }
    }

    /// Notes a wake-up at `now`; one before `deadline` had another cause.
    pub(super) fn note(&mut self, deadline: Option<Instant>, now: Instant) {
        let Some(deadline) = deadline.filter(|deadline| *deadline <= now) else { return };
        let late = now.saturating_since(deadline);
        self.spans.note(late);
        if let Some(histogram) = &mut self.histogram {
            histogram.saturating_record(u64::try_from(late.as_micros()).unwrap_or(u64::MAX));
        }
    }

    pub(super) fn spans(&self) -> Spans {
        self.spans
    }

    pub(super) fn summary(&self) -> LatenessSummary {
        let Some(histogram) = &self.histogram else { return LatenessSummary::default() };
        LatenessSummary {
            wakes: histogram.len(),
            p50_us: histogram.value_at_quantile(0.5),
            p99_us: histogram.value_at_quantile(0.99),
            max_us: histogram.max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_wake_ups_for_a_deadline_count() {
        let deadline = Instant::from_nanos(1_000_000_000);
        let mut lateness = Lateness::new();
        lateness.note(None, deadline);
        lateness.note(Some(deadline), Instant::from_nanos(999_999_999));
        assert_eq!(lateness.summary(), LatenessSummary::default());
        for late_us in [5, 5, 90] {
            lateness.note(Some(deadline), deadline + Duration::from_micros(late_us));
        }
        assert_eq!(lateness.summary(), LatenessSummary { wakes: 3, p50_us: 5, p99_us: 90, max_us: 90 });
    }

    #[test]
    fn a_pause_of_hours_counts_as_the_largest() {
        let mut lateness = Lateness::new();
        lateness.note(Some(Instant::from_nanos(1)), Instant::from_nanos(1) + Duration::from_secs(7200));
        let max_us = lateness.summary().max_us;
        assert!(max_us >= LARGEST_US, "{max_us}");
    }
}
