//! Rows of results.

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use serde::Serialize;

use super::connections::Requests;
use super::measure::{Series, TIMED_FLOWS, Times};
use super::plan::Conditions;
use super::sample::Sample;
use crate::stats::{Distribution, Quantiles};

/// A figure over all rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// The median of the rounds.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

impl Spread {
    /// The spread of `values`; all 0 without any.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let (Some(min), Some(max)) = (values.first(), values.last()) else { return Self::default() };
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Self { median, min: *min, max: *max }
    }
}

/// Frames of one system under the same conditions.
#[derive(Clone, Debug, Serialize)]
pub struct FrameRow {
    /// The system's name.
    pub system: &'static str,
    /// The conditions.
    #[serde(flatten)]
    pub conditions: Conditions,
    /// How many rounds.
    pub rounds: u64,
    /// Frames per second that came back from the node.
    pub frames_per_second: Spread,
    /// Those that were sent to it.
    pub offered_per_second: Spread,
    /// CPU time that the node took for each that came back, in ns: of the two below.
    pub cpu_ns: Spread,
    /// The part of the kernel's thread that takes the node's frames: driver, XDP, and what the kernel does with them.
    pub receive_ns: Spread,
    /// The part of the system's own threads, with the kernel's work in their calls.
    pub work_ns: Spread,
}

impl FrameRow {
    pub(super) fn of(series: &Series) -> Self {
        let Series { system, conditions, samples } = series;
        let spread = |of: fn(&Sample) -> f64| Spread::of(samples.iter().map(|(_, sample)| of(sample)));
        Self {
            system: system.name(),
            conditions: *conditions,
            rounds: samples.len() as u64,
            frames_per_second: spread(|sample| sample.forwarded),
            offered_per_second: spread(|sample| sample.offered),
            cpu_ns: spread(Sample::cost_ns),
            receive_ns: spread(|sample| sample.receive_ns),
            work_ns: spread(|sample| sample.work_ns),
        }
    }
}

/// How long the frames of a system were on their way at half load.
#[derive(Clone, Debug, Serialize)]
pub struct LatencyRow {
    /// The system's name.
    pub system: &'static str,
    /// Octets of a frame.
    pub frame: u16,
    /// Different flows.
    pub flows: u32,
    /// Frames per second, the median of the rounds.
    pub frames_per_second: f64,
    /// How many frames were timed.
    pub count: u64,
    /// Half of them were faster, in ns.
    pub p50_ns: u64,
    /// Ninety-nine hundredths.
    pub p99_ns: u64,
    /// All but one in a thousand.
    pub p999_ns: u64,
    /// The slowest; what took longer than about a millisecond counts as that.
    pub max_ns: u64,
}

impl LatencyRow {
    pub(super) fn of(times: &Times) -> Result<Self> {
        let mut histogram = Histogram::<u64>::new(3).context("three digits are possible")?;
        for (ns, count) in &times.counts {
            histogram.record_n(*ns, *count).context("a growing histogram takes every value")?;
        }
        Ok(Self {
            system: times.system.name(),
            frame: super::plan::USUAL.frame,
            flows: TIMED_FLOWS,
            frames_per_second: Spread::of(times.load.iter().copied()).median,
            count: histogram.len(),
            p50_ns: histogram.value_at_quantile(0.5),
            p99_ns: histogram.value_at_quantile(0.99),
            p999_ns: histogram.value_at_quantile(0.999),
            max_ns: histogram.max(),
        })
    }
}

/// Connections through one balancer.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectionRow {
    /// The balancer's name.
    pub system: &'static str,
    /// How many rounds.
    pub rounds: u64,
    /// New connections per second, each with one request.
    pub requests_per_second: Spread,
    /// CPU time of the balancer's processes for each, in us; what the kernel does by itself is not in it.
    pub cpu_us: Spread,
    /// How many there were.
    pub count: u64,
    /// How long they took.
    pub request_us: Quantiles,
}

impl ConnectionRow {
    pub(super) fn of(requests: &Requests) -> Result<Self> {
        Ok(Self {
            system: requests.way.name(),
            rounds: requests.per_second.len() as u64,
            requests_per_second: Spread::of(requests.per_second.iter().copied()),
            cpu_us: Spread::of(requests.cpu_us.iter().copied()),
            count: requests.times_us.len() as u64,
            request_us: Distribution::of(requests.times_us.iter().copied())?.quantiles(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::system::System;

    #[test]
    fn a_median_lies_between_the_least_and_the_most() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]), Spread { median: 2.5, min: 1.0, max: 4.0 });
        assert_eq!(Spread::of([]), Spread::default());
    }

    #[test]
    fn a_latency_counts_every_frame() {
        let counts = vec![(640, 990), (6_400, 9), (64_000, 1)];
        let row = LatencyRow::of(&Times { system: System::Reflector, load: vec![10.0, 30.0], counts })
            .expect("values");
        assert_eq!((row.count, row.frames_per_second), (1000, 20.0));
        let near = |value: u64, wanted: u64| value.abs_diff(wanted) * 1000 <= wanted;
        assert!(near(row.p50_ns, 640) && near(row.p99_ns, 640) && near(row.p999_ns, 6_400), "{row:?}");
        assert!(near(row.max_ns, 64_000), "{row:?}");
    }
}
