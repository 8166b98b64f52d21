//! The report as one page that needs nothing else: no script, no font, no picture from elsewhere.

use anyhow::Result;

use super::anatomy::anatomy;
use super::distribution::distribution;
use super::html::{STYLE, escape, section, table};
use super::{Report, ratios, short_span, span};
use crate::cost;
use crate::row::{FALSE_ALARM, Row, StageRow};
use crate::series::{Conditions, RoundRow};
use crate::stats::Quantiles;

/// Outliers that are listed; all of them are in the JSON.
const LISTED: usize = 60;

/// The whole page.
pub fn page(report: &Report) -> Result<String> {
    let body = [
        section("Baton and its rivals", "", &comparison(report)),
        section(
            "Outages",
            "How many of the rounds a client had no longer an outage than that.",
            &pictures(report)?,
        ),
        section("Anatomy of a takeover", ANATOMY, &anatomies(report)),
        section("Distributions", "Outages in us.", &distributions(report)),
        section("False alarms", "", &false_alarms(report)),
        section(
            "Outliers",
            "Rounds above the p99 of their series or above twice the p50, and those that a false alarm came before.",
            &outliers(report),
        ),
        section("Cost", "", &list(report.costs.iter().map(cost::describe))),
        section("Systems", "", &systems(report)),
        section("Without rows", "", &absences(report)),
        section(
            "What went wrong",
            "The rounds that it cost are missing.",
            &list(report.failures.iter().cloned()),
        ),
        section("How it was measured", "", &method(report)),
    ];
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Baton: failover</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<h1>Baton: how long clients miss a virtual IP</h1>\n{}</body>\n</html>\n",
        body.concat()
    ))
}

const ANATOMY: &str = "Stages of the takeovers, p50 with a line to the p99, from the new owner's records: before and after its \
                       decision. There is no gap where most of them lost no probe.";

fn comparison(report: &Report) -> String {
    let rows = ratios(&report.rows).into_iter().map(|ratio| {
        let [theirs, ours, times] = ratio.cells();
        [
            ratio.kind.to_owned(),
            ratio.conditions.vips.to_string(),
            ratio.conditions.stress.name().to_owned(),
            ratio.rival.to_owned(),
            theirs,
            ratio.ours.to_owned(),
            ours,
            times,
        ]
    });
    let heads = ["kind", "VIPs", "load", "rival", "p50 (p99)", "Baton", "p50 (p99)", "rival / Baton"];
    table(heads, &rows.collect::<Vec<_>>())
}

/// The conditions of `rows`, each once, in their order.
fn conditions(rows: &[Row]) -> Vec<Conditions> {
    let mut found = Vec::new();
    for row in rows.iter().filter(|row| row.kind != FALSE_ALARM) {
        if !found.contains(&row.conditions) {
            found.push(row.conditions);
        }
    }
    found
}

/// What happened in the rounds, each once, in their order. A `switch` is no kind of round, and a watch for false alarms is
/// none either.
fn events(rounds: &[RoundRow]) -> Vec<&'static str> {
    let mut found = Vec::new();
    for round in rounds {
        if !found.contains(&round.event) {
            found.push(round.event);
        }
    }
    found
}

fn pictures(report: &Report) -> Result<String> {
    let mut html = String::new();
    let events = events(&report.rounds);
    for conditions in conditions(&report.rows) {
        for event in &events {
            let is_here = |row: &&Row| row.conditions == conditions && row.event == *event;
            let rows: Vec<&Row> = report.rows.iter().filter(is_here).collect();
            if !rows.is_empty() {
                html += &format!("<h3>{}, {conditions}</h3>\n", escape(event));
                html += &distribution(report, &rows)?;
            }
        }
    }
    Ok(html)
}

fn anatomies(report: &Report) -> String {
    let picture = |conditions: Conditions| {
        let rows: Vec<&StageRow> = report.stages.iter().filter(|row| row.conditions == conditions).collect();
        let title = format!("<h3>{conditions}</h3>\n");
        if rows.is_empty() { String::new() } else { title + &anatomy(&rows) }
    };
    conditions(&report.rows).into_iter().map(picture).collect::<String>() + &stages(report)
}

fn stages(report: &Report) -> String {
    let pair =
        |quantiles: Quantiles| format!("{} / {}", short_span(quantiles.p50), short_span(quantiles.p99));
    let rows = report.stages.iter().map(|row| {
        [
            row.event.to_owned(),
            row.system.to_owned(),
            row.conditions.vips.to_string(),
            row.conditions.stress.name().to_owned(),
            pair(row.heard_ns),
            pair(row.silent_ns),
            pair(row.stored_ns),
            pair(row.announced_ns),
            pair(row.accepted_ns),
        ]
    });
    let heads = [
        "kind",
        "system",
        "VIPs",
        "load",
        "advert to decision, p50 / p99",
        "last served to decision",
        "decision to lease",
        "to gratuitous ARP",
        "to first frame",
    ];
    table(heads, &rows.collect::<Vec<_>>())
}

fn distributions(report: &Report) -> String {
    let rows = report.rows.iter().map(|row| {
        let all = |quantiles: Quantiles| {
            format!("{} / {} / {} / {}", quantiles.p50, quantiles.p90, quantiles.p99, quantiles.max)
        };
        [
            row.event.to_owned(),
            row.system.to_owned(),
            row.conditions.vips.to_string(),
            row.conditions.stress.name().to_owned(),
            format!("{} of {}", row.moved, row.rounds),
            all(row.outage_us),
            format!("{} / {}", row.lost_probes.p50, row.lost_probes.max),
            format!("{} / {}", span(row.overlap_us.p50), span(row.overlap_us.max)),
            span(row.prober_stall_us.max),
            span(row.steal_us.max),
        ]
    });
    let heads = [
        "kind",
        "system",
        "VIPs",
        "load",
        "moved",
        "p50 / p90 / p99 / max",
        "lost, p50 / max",
        "two owners, p50 / max",
        "stall, max",
        "steal, max",
    ];
    table(heads, &rows.collect::<Vec<_>>())
}

fn false_alarms(report: &Report) -> String {
    let rows = report.rows.iter().filter(|row| row.kind == FALSE_ALARM).map(|row| {
        let (sent, received) =
            row.flood.map_or((0, 0), |flood| (flood.sent_per_second, flood.received_per_second));
        [
            row.system.to_owned(),
            format!("{} s", row.seconds.unwrap_or_default()),
            row.role_changes.to_string(),
            row.lost_probes.max.to_string(),
            span(row.outage_us.max),
            sent.to_string(),
            received.to_string(),
            span(row.prober_stall_us.max),
            span(row.steal_us.max),
        ]
    });
    let heads = [
        "system",
        "watched",
        "role changes",
        "probes lost",
        "longest outage",
        "flood, frames/s",
        "arrived at the owner",
        "stall",
        "steal",
    ];
    table(heads, &rows.collect::<Vec<_>>())
}

fn outliers(report: &Report) -> String {
    let found = report.outliers();
    let rows = found.iter().take(LISTED).map(|round| {
        [
            round.event.to_owned(),
            round.system.to_owned(),
            round.conditions.vips.to_string(),
            round.conditions.stress.name().to_owned(),
            round.round.to_string(),
            span(round.outage_us),
            span(round.steal_us),
            span(round.prober_stall_us),
            if round.moved_early { "the VIP moved before anything had happened" } else { "" }.to_owned(),
        ]
    });
    let heads = ["kind", "system", "VIPs", "load", "round", "outage", "steal", "prober's stall", "and"];
    let more = found.len().saturating_sub(LISTED);
    let rest = if more > 0 { format!("<p>and {more} smaller ones</p>\n") } else { String::new() };
    table(heads, &rows.collect::<Vec<_>>()) + &rest
}

fn systems(report: &Report) -> String {
    let rows = report
        .systems
        .iter()
        .map(|row| [row.system.to_owned(), row.version.clone(), row.configuration.to_owned()]);
    table(["system", "version", "configuration"], &rows.collect::<Vec<_>>())
}

fn absences(report: &Report) -> String {
    let rows = report
        .absences
        .iter()
        .map(|row| [row.system.to_owned(), row.conditions.to_string(), row.reason.clone()]);
    table(["system", "conditions", "why"], &rows.collect::<Vec<_>>())
}

fn method(report: &Report) -> String {
    let meta = &report.meta;
    let machine = format!("Linux {} on {} CPUs.", meta.kernel, meta.cpus);
    let method = meta.method.iter().map(|&sentence| sentence.to_owned());
    list(method.chain([machine]))
}

/// A list; nothing without items.
fn list(items: impl Iterator<Item = String>) -> String {
    let items: String = items.map(|item| format!("<li>{}</li>\n", escape(&item))).collect();
    if items.is_empty() { items } else { format!("<ul>\n{items}</ul>\n") }
}

#[cfg(test)]
mod tests {
    use super::super::html::check;
    use super::super::json::tests::report;
    use super::*;

    #[test]
    fn the_page_is_well_formed_and_needs_nothing_else() {
        let html = page(&report()).expect("values");
        assert_eq!(check(&html), Ok(()));
        for foreign in ["http", "<script", "<img", "<link", "@import", "url("] {
            assert!(!html.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn the_page_has_everything_that_was_measured() {
        let html = page(&report()).expect("values");
        let titles: Vec<&str> =
            html.split("<h2>").skip(1).filter_map(|part| part.split("</h2>").next()).collect();
        assert_eq!(
            titles,
            [
                "Baton and its rivals",
                "Outages",
                "Anatomy of a takeover",
                "Distributions",
                "False alarms",
                "Outliers",
                "Systems",
                "Without rows",
                "What went wrong",
                "How it was measured"
            ]
        );
        assert_eq!(html.matches("<svg").count(), 2 + 1, "two kinds, one anatomy");
        assert!(html.contains("no &lt;macvlan&gt; &amp; no &quot;zebra&quot;"));
    }
}
