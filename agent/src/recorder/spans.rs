//! How long something took, each time: counts by bounds, of fixed size, which the election thread fills without a lock or an
//! allocation.

use std::time::Duration;

/// From what a store costs to what an election takes.
const BOUNDS_US: [u64; 20] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000,
    500_000, 1_000_000, 5_000_000,
];

/// Spans of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    /// Those up to each bound and beyond the one before; the last place has those beyond all.
    counts: [u64; BOUNDS_US.len() + 1],
    sum: Duration,
}

impl Spans {
    /// Counts `span`.
    pub fn note(&mut self, span: Duration) {
        let place = BOUNDS_US.partition_point(|bound| Duration::from_micros(*bound) < span);
        self.counts[place] += 1;
        self.sum = self.sum.saturating_add(span);
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// How many are no longer than each bound and longer than the one before; the last have no bound.
    pub fn by_bound(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = BOUNDS_US.into_iter().map(Duration::from_micros).map(Some).chain([None]);
        bounds.zip(self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_counts_at_the_first_bound_that_it_does_not_exceed() {
        let mut spans = Spans::default();
        for nanos in [0, 1_000, 1_001, 2_000_000, 5_000_000_001] {
            spans.note(Duration::from_nanos(nanos));
        }
        let counted: Vec<_> = spans.by_bound().filter(|(_, count)| *count > 0).collect();
        let bound = |micros| Some(Duration::from_micros(micros));
        assert_eq!(counted, [(bound(1), 2), (bound(2), 1), (bound(2_000), 1), (None, 1)]);
        assert_eq!(spans.sum(), Duration::from_nanos(5_002_002_002));
    }
}
