//! Rows as a table, and bars for a terminal.

use std::fmt::Write as _;

use anyhow::Result;

use crate::row::Row;
use crate::stats::Distribution;

/// The table of the rows.
pub fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<13} {:<19} {:>4} {:<10} {:>6} {:>5} | {:>8} {:>8} {:>8} {:>8} | {:>6} {:>6} | {:>9} {:>9} | {:>7} {:>7}\n",
        "kind",
        "system",
        "vips",
        "stress",
        "rounds",
        "moved",
        "p50 us",
        "p90",
        "p99",
        "max",
        "lost50",
        "max",
        "overlap50",
        "max",
        "stall",
        "steal"
    );
    for row in rows {
        let _ = writeln!(
            text,
            "{:<13} {:<19} {:>4} {:<10} {:>6} {:>5} | {:>8} {:>8} {:>8} {:>8} | {:>6} {:>6} | {:>9} {:>9} | {:>7} {:>7}",
            row.event,
            row.system,
            row.conditions.vips,
            row.conditions.stress.name(),
            row.rounds,
            row.moved,
            row.outage_us.p50,
            row.outage_us.p90,
            row.outage_us.p99,
            row.outage_us.max,
            row.lost_probes.p50,
            row.lost_probes.max,
            row.overlap_us.p50,
            row.overlap_us.max,
            row.prober_stall_us.max,
            row.steal_us.max
        );
    }
    text.push_str(
        "stall: the longest time in us that the prober itself could not look, steal: the most that the hypervisor took in a \
         round; outages of that size are the machine's\n",
    );
    text
}

/// Bars of a distribution for a terminal, from 50 us to 100 ms, leaving out empty ranges at both ends.
pub fn bars(values: &[u64]) -> Result<String> {
    const MARKS: [(u64, &str); 11] = [
        (50, "50 us"),
        (100, "100 us"),
        (200, "200 us"),
        (500, "500 us"),
        (1_000, "1 ms"),
        (2_000, "2 ms"),
        (5_000, "5 ms"),
        (10_000, "10 ms"),
        (20_000, "20 ms"),
        (50_000, "50 ms"),
        (100_000, "100 ms"),
    ];
    let counts = Distribution::of(values.iter().copied())?.counts(&MARKS.map(|(bound, _)| bound));
    let mut text = String::new();
    let (first, last) =
        (counts.iter().position(|count| *count > 0), counts.iter().rposition(|count| *count > 0));
    let (first, end) = (first.unwrap_or(0), last.map_or(0, |last| last + 1));
    for (at, count) in counts.iter().enumerate().take(end).skip(first) {
        let label = MARKS.get(at).map_or_else(|| "more".to_owned(), |(_, label)| format!("to {label}"));
        let bar = "#".repeat(usize::try_from(*count).unwrap_or(usize::MAX).min(60));
        let _ = writeln!(text, "      {label:>9} | {bar} {count}");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_show_the_range_that_has_values() {
        let expected = "       to 50 us | ## 2\n      to 100 us |  0\n      to 200 us | # 1\n";
        assert_eq!(bars(&[50, 50, 150]).expect("values"), expected);
    }
}
