//! Rows of results for people: tables, comparisons, bars.

use std::fmt::Write as _;

use anyhow::Result;
use baton_tests::lab::{Fault, System};

use crate::rounds::Event;
use crate::row::{FALSE_ALARM, Row, StageRow};
use crate::stats::{Distribution, Quantiles};

/// The table of the rows.
pub fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<13} {:<20} {:>6} {:>6} | {:>8} {:>8} {:>8} {:>8} | {:>6} {:>6} | {:>9} {:>9} | {:>7}\n",
        "kind",
        "system",
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
        "stall"
    );
    for row in rows {
        let _ = writeln!(
            text,
            "{:<13} {:<20} {:>6} {:>6} | {:>8} {:>8} {:>8} {:>8} | {:>6} {:>6} | {:>9} {:>9} | {:>7}",
            row.event,
            row.system,
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
            row.prober_stall_us.max
        );
    }
    text.push_str("stall: the longest time in us that the prober itself could not look; outages of that size are the machine's\n");
    text
}

/// A line for each watch for false alarms.
pub fn false_alarms(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows.iter().filter(|row| row.kind == FALSE_ALARM) {
        let _ = writeln!(
            text,
            "{:<13} {:<20} {} s of {}: {} role changes",
            row.kind,
            row.system,
            row.seconds.unwrap_or_default(),
            row.stress,
            row.role_changes
        );
    }
    text
}

/// The table of the stages.
pub fn stage_table(rows: &[StageRow]) -> String {
    let mut text = format!(
        "{:<13} {:<20} {:>5} | {:>17} | {:>17} | {:>17} | {:>17}\n",
        "decision to",
        "system",
        "n",
        "lease p50/p99 us",
        "advert p50/p99",
        "announced p50/p99",
        "1st frame p50/p99"
    );
    for row in rows {
        let pair = |quantiles: Quantiles| {
            let tenths = |ns: u64| format!("{}.{}", ns / 1000, ns % 1000 / 100);
            format!("{} / {}", tenths(quantiles.p50), tenths(quantiles.p99))
        };
        let _ = writeln!(
            text,
            "{:<13} {:<20} {:>5} | {:>17} | {:>17} | {:>17} | {:>17}",
            row.kind,
            row.system,
            row.takeovers,
            pair(row.stored_ns),
            pair(row.transmitted_ns),
            pair(row.announced_ns),
            pair(row.accepted_ns)
        );
    }
    text
}

/// For each kind of fault how Baton compares with keepalived. Where keepalived leaves two owners there is no outage to
/// compare with, and the line says so instead.
pub fn comparison(rows: &[Row]) -> String {
    let mut text = String::new();
    for fault in Fault::MEASURED {
        let find =
            |system: System| rows.iter().find(|row| row.event == fault.name() && row.system == system.name());
        let Some(rival) = find(System::Keepalived) else {
            continue;
        };
        let ours = System::ALL.into_iter().filter(|system| *system != System::Keepalived).filter_map(find);
        for row in ours {
            let (theirs, ours) = (rival.overlap_us.p50, row.overlap_us.p50);
            let verdict = if theirs > Event::Fault(Fault::Planned).allowed_overlap_us() {
                format!("two owners for {theirs} us (p50, to the end of the watch) against {ours} us")
            } else {
                let ratio = |ours: u64, theirs: u64| format!("{:.1}", theirs as f64 / ours.max(1) as f64);
                let (ours, theirs) = (row.outage_us, rival.outage_us);
                format!("outage p50 x{}, p99 x{}", ratio(ours.p50, theirs.p50), ratio(ours.p99, theirs.p99))
            };
            let _ = writeln!(text, "{:<13} keepalived / {:<20} {verdict}", fault.name(), row.system);
        }
    }
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
