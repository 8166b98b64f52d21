//! Rows of results: as JSON for machines, as a table for people.

use std::fmt::Write as _;

use anyhow::Result;
use baton_tests::lab::{Fault, System};
use serde::Serialize;

use crate::rounds::{self, Round};
use crate::stats::{Distribution, Quantiles};

/// All rounds of one kind on one system.
#[derive(Clone, Debug)]
pub struct Series {
    /// The system's name.
    pub system: &'static str,
    /// The kind of event.
    pub kind: &'static str,
    /// What happened.
    pub rounds: Vec<Round>,
}

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The system's name.
    pub system: &'static str,
    /// `switch`, `planned`, `agent-death`, `agent-hang` or `silent-death`.
    pub kind: &'static str,
    /// How many addresses moved.
    pub vips: u16,
    /// `none`, or what kept the machine busy.
    pub stress: &'static str,
    /// How often it was tried.
    pub rounds: u64,
    /// After how many of them the other node served the client.
    pub moved: u64,
    /// The client's outage.
    pub outage_us: Quantiles,
    /// Probes without an answer; not for `switch`, which is no client's view.
    pub lost_probes: Option<Quantiles>,
    /// How long both nodes answered; not for `switch`.
    pub overlap_us: Option<Quantiles>,
    /// How often the answering node changed in all.
    pub role_changes: u64,
    /// How long the prober itself could not look.
    pub prober_stall_us: Quantiles,
}

impl Series {
    /// The series as a row of the report.
    pub fn row(&self, vips: u16, stress: &'static str) -> Result<Row> {
        let quantiles = |value: fn(&Round) -> u64| -> Result<Quantiles> {
            Ok(Distribution::of(self.rounds.iter().map(value))?.quantiles())
        };
        Ok(Row {
            system: self.system,
            kind: self.kind,
            vips,
            stress,
            rounds: self.rounds.len() as u64,
            moved: self.rounds.iter().filter(|round| round.outcome.moved()).count() as u64,
            outage_us: quantiles(|round| round.outcome.outage_us)?,
            lost_probes: Some(quantiles(|round| round.outcome.lost_probes)?),
            overlap_us: Some(quantiles(|round| round.outcome.overlap_us)?),
            role_changes: self.rounds.iter().map(|round| round.outcome.flips).sum(),
            prober_stall_us: quantiles(|round| round.outcome.stall_us)?,
        })
    }
}

/// The stages of all takeovers of one system: decision to lease, advert, gratuitous ARP, first VIP frame.
#[derive(Clone, Debug, Serialize)]
pub struct StageRow {
    /// The system's name.
    pub system: &'static str,
    /// The kinds of events that the takeovers followed.
    pub kind: &'static str,
    /// How many takeovers.
    pub takeovers: u64,
    /// Decision to lease stored.
    pub stored_ns: Quantiles,
    /// Decision to advert on its way.
    pub transmitted_ns: Quantiles,
    /// Decision to gratuitous ARP on its way.
    pub announced_ns: Quantiles,
    /// Decision to first VIP frame at the service.
    pub accepted_ns: Quantiles,
}

impl StageRow {
    /// The stages of `series`, if its system tells them.
    pub fn of(series: &Series) -> Result<Option<Self>> {
        let stages: Vec<_> = series.rounds.iter().filter_map(|round| round.stages).collect();
        if stages.is_empty() {
            return Ok(None);
        }
        let quantiles = |values: Vec<u64>| -> Result<Quantiles> { Ok(Distribution::of(values)?.quantiles()) };
        Ok(Some(Self {
            system: series.system,
            kind: series.kind,
            takeovers: stages.len() as u64,
            stored_ns: quantiles(stages.iter().map(|stages| stages.stored_ns).collect())?,
            transmitted_ns: quantiles(stages.iter().map(|stages| stages.transmitted_ns).collect())?,
            announced_ns: quantiles(stages.iter().map(|stages| stages.announced_ns).collect())?,
            accepted_ns: quantiles(stages.iter().map(|stages| stages.accepted_ns).collect())?,
        }))
    }
}

/// A quiet pair on a busy machine, watched for a while: nothing befell it, so nothing should have moved.
#[derive(Clone, Debug, Serialize)]
pub struct FalseAlarmRow {
    /// The system's name.
    pub system: &'static str,
    /// `false-alarm`.
    pub kind: &'static str,
    /// How many addresses could have moved.
    pub vips: u16,
    /// What kept the machine busy.
    pub stress: &'static str,
    /// How long it was watched.
    pub seconds: u64,
    /// How often the answering node changed.
    pub role_changes: u64,
    /// Probes without an answer.
    pub lost_probes: u64,
    /// The longest time that the prober itself could not look.
    pub prober_stall_us: u64,
}

/// A row of any kind. Each has the fields that were measured, and no others.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum AnyRow {
    /// Of moves.
    Moves(Row),
    /// Of a watch in which nothing should have moved.
    FalseAlarm(FalseAlarmRow),
}

/// The `switch` row of a system: from the decision to the first VIP frame at the service behind the new owner, over
/// the takeovers of all its series.
pub fn switch_row(
    all: &[Series],
    system: &'static str,
    vips: u16,
    stress: &'static str,
) -> Result<Option<Row>> {
    let takeovers = || all.iter().filter(|series| series.system == system).flat_map(|series| &series.rounds);
    let spans: Vec<u64> = takeovers()
        .filter_map(|round| round.stages)
        .map(|stages| stages.accepted_ns.div_ceil(1000))
        .collect();
    if spans.is_empty() {
        return Ok(None);
    }
    let rounds: Vec<Round> = takeovers().filter(|round| round.stages.is_some()).copied().collect();
    let row = Series { system, kind: "switch", rounds }.row(vips, stress)?;
    Ok(Some(Row {
        outage_us: Distribution::of(spans)?.quantiles(),
        lost_probes: None,
        overlap_us: None,
        ..row
    }))
}

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
            row.kind,
            row.system,
            row.rounds,
            row.moved,
            row.outage_us.p50,
            row.outage_us.p90,
            row.outage_us.p99,
            row.outage_us.max,
            cell(row.lost_probes, |lost| lost.p50),
            cell(row.lost_probes, |lost| lost.max),
            cell(row.overlap_us, |overlap| overlap.p50),
            cell(row.overlap_us, |overlap| overlap.max),
            row.prober_stall_us.max
        );
    }
    text.push_str("stall: the longest time in us that the prober itself could not look; outages of that size are the machine's\n");
    text
}

/// A line for each watch for false alarms.
pub fn false_alarms(rows: &[FalseAlarmRow]) -> String {
    let mut text = String::new();
    for FalseAlarmRow { system, kind, stress, seconds, role_changes, lost_probes, prober_stall_us, .. } in
        rows
    {
        let _ = writeln!(
            text,
            "{kind:<13} {system:<20} {seconds} s of {stress}: {role_changes} role changes, {lost_probes} probes lost, \
             prober stalled for {prober_stall_us} us at most"
        );
    }
    text
}

fn cell(quantiles: Option<Quantiles>, value: fn(Quantiles) -> u64) -> String {
    quantiles.map_or_else(|| "-".to_owned(), |quantiles| value(quantiles).to_string())
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
    for fault in Fault::ALL {
        let find =
            |system: System| rows.iter().find(|row| row.kind == fault.name() && row.system == system.name());
        let Some(rival) = find(System::Keepalived) else {
            continue;
        };
        let ours = System::ALL.into_iter().filter(|system| *system != System::Keepalived).filter_map(find);
        for row in ours {
            let overlap = |row: &Row| row.overlap_us.map_or(0, |overlap| overlap.p50);
            let verdict = if overlap(rival) > rounds::allowed_overlap_us(Fault::Planned) {
                let (theirs, ours) = (overlap(rival), overlap(row));
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
