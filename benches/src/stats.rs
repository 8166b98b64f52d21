//! Distributions of small whole numbers.

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use serde::Serialize;

/// Measured values, kept to five significant digits.
#[derive(Clone, Debug)]
pub struct Distribution {
    histogram: Histogram<u64>,
}

/// What a report says of a distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Quantiles {
    /// Half of the values are not above this.
    pub p50: u64,
    /// Nine tenths.
    pub p90: u64,
    /// Ninety-nine hundredths. With 100 values or fewer this is the largest or second largest.
    pub p99: u64,
    /// The largest value.
    pub max: u64,
}

impl Distribution {
    /// The distribution of `values`.
    pub fn of(values: impl IntoIterator<Item = u64>) -> Result<Self> {
        let mut histogram = Histogram::new(5).context("five digits are possible")?;
        for value in values {
            histogram.record(value).context("a growing histogram takes every value")?;
        }
        Ok(Self { histogram })
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The quantiles of the report; all 0 without values.
    pub fn quantiles(&self) -> Quantiles {
        let at = |quantile| self.histogram.value_at_quantile(quantile).min(self.histogram.max());
        Quantiles { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: self.histogram.max() }
    }

    /// Each value that occurs, with the part of the values that are not above it.
    pub fn cumulative(&self) -> Vec<(u64, f64)> {
        let mut below = 0;
        let mut step = |value: u64, count: u64| {
            below += count;
            (value, below as f64 / self.count() as f64)
        };
        let values = self.histogram.iter_recorded();
        values.map(|value| step(value.value_iterated_to(), value.count_at_value())).collect()
    }

    /// How many values lie in each of the ranges that `bounds` cut: up to and with the first, ..., above the last.
    pub fn counts(&self, bounds: &[u64]) -> Vec<u64> {
        let mut counts = vec![0; bounds.len() + 1];
        for value in self.histogram.iter_recorded() {
            let value_at = value.value_iterated_to();
            counts[bounds.partition_point(|bound| *bound < value_at)] += value.count_at_value();
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let distribution = Distribution::of([50, 50, 100, 700]).expect("values");
        assert_eq!(distribution.quantiles(), Quantiles { p50: 50, p90: 700, p99: 700, max: 700 });
        assert_eq!(distribution.count(), 4);
        assert_eq!(Distribution::of([]).expect("no values").quantiles(), Quantiles::default());
    }

    #[test]
    fn a_bound_belongs_to_the_range_below_it() {
        let distribution = Distribution::of([10, 11, 100, 101, 5000]).expect("values");
        assert_eq!(distribution.counts(&[10, 100, 1000]), [1, 2, 1, 1]);
    }

    #[test]
    fn the_cumulative_distribution_ends_with_all_values() {
        let distribution = Distribution::of([50, 50, 100, 700]).expect("values");
        assert_eq!(distribution.cumulative(), [(50, 0.5), (100, 0.75), (700, 1.0)]);
    }
}
