//! The outages of all systems in one kind of failure, as cumulative distributions on one logarithmic axis.

use std::fmt::Write as _;

use anyhow::Result;
use baton_tests::lab::System;

use super::html::escape;
use super::{Report, has_two_owners, span};
use crate::row::Row;
use crate::stats::Distribution;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 610.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 262.0;
const FROM_US: u64 = 10;
const DECADES: f64 = 6.0;
const LABELS: [&str; 7] = ["10 us", "100 us", "1 ms", "10 ms", "100 ms", "1 s", "10 s"];

/// The picture of the rows of one kind under the same conditions.
pub(super) fn distribution(report: &Report, rows: &[&Row]) -> Result<String> {
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n");
    grid(&mut svg);
    for (number, row) in rows.iter().enumerate() {
        let outages = report.rounds.iter().filter(|round| {
            (round.system, round.event, round.conditions) == (row.system, row.event, row.conditions)
        });
        let curve = curve(&Distribution::of(outages.map(|round| round.outage_us))?);
        let unfenced = if has_two_owners(row) { " unfenced" } else { "" };
        let colour = colour(row.system);
        let _ = writeln!(svg, "<path class=\"curve c{colour}{unfenced}\" d=\"{curve}\"/>");
        legend(&mut svg, 30.0 + 42.0 * number as f64, row);
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

/// Every system has its colour, whoever else is there.
fn colour(system: &str) -> usize {
    System::ALL.iter().position(|known| known.name() == system).unwrap_or(0)
}

fn grid(svg: &mut String) {
    for (decade, label) in (0u32..).zip(LABELS) {
        let x = across(FROM_US * 10u64.pow(decade));
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{BOTTOM}\"/>\
             <text class=\"faint\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
            BOTTOM + 18.0
        );
    }
    for percent in [0u32, 25, 50, 75, 100] {
        let y = down(f64::from(percent) / 100.0);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{RIGHT}\" y2=\"{y:.1}\"/>\
             <text class=\"faint\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{percent} %</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
}

/// Up at each value, by the part of the rounds that had it.
fn curve(distribution: &Distribution) -> String {
    let mut path = format!("M{LEFT:.1} {:.1}", down(0.0));
    for (value, part) in distribution.cumulative() {
        let _ = write!(path, "H{:.1}V{:.1}", across(value), down(part));
    }
    path + &format!("H{RIGHT:.1}")
}

fn legend(svg: &mut String, y: f64, row: &Row) {
    let (x, colour) = (RIGHT + 20.0, colour(row.system));
    let fate = if has_two_owners(row) {
        format!("two owners for {}", span(row.overlap_us.p50))
    } else {
        format!("p50 {}, p99 {}", span(row.outage_us.p50), span(row.outage_us.p99))
    };
    let _ = writeln!(
        svg,
        "<rect class=\"f{colour}\" x=\"{x}\" y=\"{:.1}\" width=\"14\" height=\"4\"/>\
         <text x=\"{:.1}\" y=\"{y:.1}\" font-weight=\"bold\">{} (n {})</text>\
         <text class=\"faint\" x=\"{:.1}\" y=\"{:.1}\">{fate}</text>",
        y - 6.0,
        x + 20.0,
        escape(row.system),
        row.rounds,
        x + 20.0,
        y + 16.0
    );
}

/// Where an outage is on the axis; those that it has no room for are at its ends.
fn across(us: u64) -> f64 {
    let decades = (us.max(FROM_US) as f64 / FROM_US as f64).log10().min(DECADES);
    LEFT + (RIGHT - LEFT) * decades / DECADES
}

fn down(part: f64) -> f64 {
    BOTTOM - (BOTTOM - TOP) * part
}

#[cfg(test)]
mod tests {
    use super::super::html::check;
    use super::super::json::tests::report;
    use super::*;

    #[test]
    fn the_axis_goes_from_10_us_to_10_s() {
        let found = [0, 10, 10_000, 10_000_000, 20_000_000].map(across);
        let expected = [LEFT, LEFT, (LEFT + RIGHT) / 2.0, RIGHT, RIGHT];
        assert!(found.iter().zip(expected).all(|(x, y)| (x - y).abs() < 0.01), "{found:?}");
    }

    #[test]
    fn a_curve_climbs_to_all_rounds() {
        let distribution = Distribution::of([10, 10, 10_000, 10_000_000]).expect("values");
        assert_eq!(curve(&distribution), "M52.0 262.0H52.0V137.0H331.0V74.5H610.0V12.0H610.0");
    }

    #[test]
    fn systems_share_the_axis_and_two_owners_are_told() {
        let report = report();
        let rows: Vec<&Row> = report.rows.iter().filter(|row| row.event == "agent-hang").collect();
        let svg = distribution(&report, &rows).expect("values");
        assert_eq!(check(&svg), Ok(()));
        assert_eq!(svg.matches("<path").count(), 2);
        assert!(svg.contains("keepalived (n 1)") && svg.contains("two owners for 274 ms"), "{svg}");
        assert!(svg.contains("curve c0\"") && svg.contains("curve c3 unfenced\""), "{svg}");
    }
}
