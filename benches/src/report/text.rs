//! The report for a terminal: comparisons first, then distributions, then what they rest on.

use std::fmt::Write as _;

use super::{Ratio, Report, ratios, short_span, span, table};
use crate::cost;
use crate::row::{FALSE_ALARM, Row, StageRow};
use crate::series::RoundRow;
use crate::stats::Quantiles;

/// Outliers that are listed; all of them are in the JSON.
const LISTED: usize = 40;

/// The whole report.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    section(&mut text, "Baton and its rivals", &comparison(&ratios(&report.rows)));
    section(&mut text, "Distributions", &table(&report.rows));
    section(&mut text, "False alarms", &false_alarms(&report.rows));
    section(&mut text, "Stages of a takeover, p50 / p99", &stages(&report.stages));
    section(&mut text, "Outliers", &outliers(&report.outliers()));
    let costs = report.costs.iter().map(|cost| cost::describe(cost) + "\n").collect::<String>();
    section(&mut text, "Cost", &costs);
    let systems = report.systems.iter();
    let lines = systems
        .map(|row| format!("{}: {}\n  {}\n", row.system, row.version, row.configuration))
        .collect::<String>();
    section(&mut text, "Systems", &lines);
    let absences = report
        .absences
        .iter()
        .map(|absence| format!("{}, {}: {}\n", absence.system, absence.conditions, absence.reason));
    section(&mut text, "Without rows", &absences.collect::<String>());
    section(
        &mut text,
        "WRONG, rounds are missing",
        &report.failures.iter().fold(String::new(), |all, one| all + one + "\n"),
    );
    text
}

/// A headed section; nothing without a body.
fn section(text: &mut String, title: &str, body: &str) {
    if !body.is_empty() {
        let _ = write!(text, "\n== {title}\n{body}");
    }
}

fn comparison(ratios: &[Ratio]) -> String {
    let line = |ratio: &Ratio| format!("{:<13} {:<14}  {}\n", ratio.kind, ratio.conditions, ratio.line());
    ratios.iter().map(line).collect()
}

fn false_alarms(rows: &[Row]) -> String {
    let line = |row: &Row| {
        let flood = row.flood.map(|flood| {
            format!("flood {} frames/s, {} arrived", flood.sent_per_second, flood.received_per_second)
        });
        format!(
            "{:<19} {} s of {}: {} role changes, {} probes lost, longest outage {}, {}; prober's stall {}, steal {}\n",
            row.system,
            row.seconds.unwrap_or_default(),
            row.conditions.stress.name(),
            row.role_changes,
            row.lost_probes.max,
            span(row.outage_us.max),
            flood.unwrap_or_default(),
            span(row.prober_stall_us.max),
            span(row.steal_us.max)
        )
    };
    rows.iter().filter(|row| row.kind == FALSE_ALARM).map(line).collect()
}

fn stages(rows: &[StageRow]) -> String {
    let pair =
        |quantiles: Quantiles| format!("{} / {}", short_span(quantiles.p50), short_span(quantiles.p99));
    let line = |row: &StageRow| {
        format!(
            "{:<13} {:<19} {:<14} n {:>4} | {:>19} | {:>19} | {:>19} | {:>19} | {:>19} | {:>19}\n",
            row.event,
            row.system,
            row.conditions,
            row.takeovers,
            pair(row.heard_ns),
            pair(row.silent_ns),
            pair(row.stored_ns),
            pair(row.transmitted_ns),
            pair(row.announced_ns),
            pair(row.accepted_ns)
        )
    };
    let lines: String = rows.iter().map(line).collect();
    if lines.is_empty() {
        return lines;
    }
    let heads = [
        "advert->decision",
        "last served->dec.",
        "dec.->lease",
        "dec.->advert",
        "dec.->grat. ARP",
        "dec.->1st frame",
    ];
    let heads: String = heads.iter().map(|head| format!(" | {head:>19}")).collect();
    format!("{:<55}{heads}\n{lines}", "")
}

fn outliers(found: &[&RoundRow]) -> String {
    let line = |round: &&RoundRow| {
        format!(
            "{:<13} {:<19} {:<14} round {:>3}: outage {:>9}, steal {:>7}, prober's stall {:>9}{}\n",
            round.event,
            round.system,
            round.conditions,
            round.round,
            span(round.outage_us),
            span(round.steal_us),
            span(round.prober_stall_us),
            if round.moved_early { ", the VIP moved before anything had happened" } else { "" }
        )
    };
    let mut text: String = found.iter().take(LISTED).map(line).collect();
    if found.len() > LISTED {
        let _ = writeln!(text, "and {} smaller ones", found.len() - LISTED);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::json::tests::report;
    use super::*;

    #[test]
    fn comparisons_come_first_and_nothing_is_kept_back() {
        let text = text(&report());
        let titles: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("== ")).collect();
        assert_eq!(
            titles,
            [
                "Baton and its rivals",
                "Distributions",
                "False alarms",
                "Stages of a takeover, p50 / p99",
                "Outliers",
                "Systems",
                "Without rows",
                "WRONG, rounds are missing"
            ]
        );
        for line in [
            "round   3: outage   2.00 ms, steal 10.0 ms, prober's stall     60 us",
            "frr, 3 VIP, busy: no <macvlan>",
            "flood 900000 frames/s, 800000 arrived",
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
    }
}
