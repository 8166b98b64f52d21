//! The anatomy of a takeover: its stages before and after the decision, on a logarithmic axis to both sides.

use std::fmt::Write as _;

use super::html::escape;
use super::short_span;
use crate::row::StageRow;
use crate::stats::Quantiles;

const WIDTH: f64 = 900.0;
const ROW: f64 = 46.0;
const TOP: f64 = 74.0;
const BOTTOM: f64 = 30.0;
const CENTRE: f64 = 530.0;
/// The width of one decade.
const DECADE: f64 = 58.0;
/// What is drawn at the decision.
const FROM_NS: u64 = 100;
const DECADES: u32 = 6;
const LABELS: [&str; 6] = ["1 us", "10 us", "100 us", "1 ms", "10 ms", "100 ms"];

/// A mark of the picture: what, on which side of the decision, and when.
struct Mark {
    what: &'static str,
    is_before: bool,
    at: fn(&StageRow) -> Quantiles,
}

const MARKS: [Mark; 6] = [
    Mark { what: "last advert heard", is_before: true, at: |row| row.heard_ns },
    Mark { what: "last frame of the old owner", is_before: true, at: |row| row.silent_ns },
    Mark { what: "lease stored", is_before: false, at: |row| row.stored_ns },
    Mark { what: "advert sent", is_before: false, at: |row| row.transmitted_ns },
    Mark { what: "gratuitous ARP sent", is_before: false, at: |row| row.announced_ns },
    Mark { what: "first VIP frame", is_before: false, at: |row| row.accepted_ns },
];

/// The picture; a row for each kind of failure.
pub(super) fn anatomy(rows: &[&StageRow]) -> String {
    let height = TOP + ROW * rows.len() as f64 + BOTTOM;
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n");
    legend(&mut svg);
    grid(&mut svg, height - BOTTOM);
    for (number, row) in rows.iter().enumerate() {
        takeover(&mut svg, TOP + ROW * (number as f64 + 0.5), row);
    }
    svg + "</svg>\n"
}

fn legend(svg: &mut String) {
    for (number, mark) in MARKS.iter().enumerate() {
        let (x, y) = (150.0 + 205.0 * (number % 3) as f64, 14.0 + 20.0 * (number / 3) as f64);
        let _ = writeln!(
            svg,
            "<circle class=\"f{number}\" cx=\"{x:.1}\" cy=\"{:.1}\" r=\"5\"/><text x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
            y - 4.0,
            x + 10.0,
            mark.what
        );
    }
    let _ = writeln!(
        svg,
        "<line class=\"gap\" x1=\"756\" y1=\"10\" x2=\"776\" y2=\"10\"/><text x=\"784\" y=\"14\">nobody serves</text>"
    );
}

fn grid(svg: &mut String, base: f64) {
    let mut line = |x: f64, label: &str| {
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{base:.1}\"/>\
             <text class=\"faint\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
            TOP - 8.0,
            base + 18.0
        );
    };
    line(CENTRE, "decision");
    for (decade, label) in (1u32..).zip(LABELS) {
        for is_before in [true, false] {
            // Its neighbours leave no room for the first ones.
            line(across(FROM_NS * 10u64.pow(decade), is_before), if decade == 1 { "" } else { label });
        }
    }
}

fn takeover(svg: &mut String, y: f64, row: &StageRow) {
    let _ = writeln!(
        svg,
        "<text x=\"4\" y=\"{:.1}\" font-weight=\"bold\">{}</text>\
         <text class=\"faint\" x=\"4\" y=\"{:.1}\">{} (n {})</text>",
        y - 3.0,
        escape(row.event),
        y + 13.0,
        escape(row.system),
        row.takeovers
    );
    if 2 * row.gaps > row.takeovers {
        let _ = writeln!(
            svg,
            "<line class=\"gap\" x1=\"{:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\">\
             <title>nobody serves for {}</title></line>",
            across(row.silent_ns.p50, true),
            across(row.accepted_ns.p50, false),
            short_span(row.silent_ns.p50 + row.accepted_ns.p50)
        );
    }
    for (number, mark) in MARKS.iter().enumerate() {
        let quantiles = (mark.at)(row);
        let [p50, p99] = [quantiles.p50, quantiles.p99].map(|ns| across(ns, mark.is_before));
        // A line of its own for each tail, or they hide each other.
        let at = y + 2.0 * number as f64 - 5.0;
        let _ = writeln!(
            svg,
            "<line class=\"tail\" x1=\"{p50:.1}\" y1=\"{at:.1}\" x2=\"{p99:.1}\" y2=\"{at:.1}\"/>\
             <circle class=\"f{number}\" cx=\"{p50:.1}\" cy=\"{y:.1}\" r=\"5\"><title>{}: p50 {}, p99 {}</title></circle>",
            mark.what,
            short_span(quantiles.p50),
            short_span(quantiles.p99)
        );
    }
}

/// Where a distance from the decision is; what the axis has no room for is at its end.
fn across(ns: u64, is_before: bool) -> f64 {
    let decades = (ns.max(FROM_NS) as f64 / FROM_NS as f64).log10().min(f64::from(DECADES));
    if is_before { CENTRE - decades * DECADE } else { CENTRE + decades * DECADE }
}

#[cfg(test)]
mod tests {
    use super::super::html::check;
    use super::super::json::tests::report;
    use super::*;

    #[test]
    fn the_axis_goes_to_both_sides_of_the_decision() {
        assert!((across(0, true) - CENTRE).abs() < 0.01);
        assert!((across(1_000_000, true) - (CENTRE - 4.0 * DECADE)).abs() < 0.01);
        assert!((across(100_000_000, false) - (CENTRE + 6.0 * DECADE)).abs() < 0.01);
        assert!(
            across(u64::MAX, true) > 165.0 && across(u64::MAX, false) < WIDTH,
            "it is inside of the picture"
        );
    }

    #[test]
    fn every_kind_of_failure_has_its_stages_and_a_gap_where_nobody_served() {
        let report = report();
        let svg = anatomy(&report.stages.iter().collect::<Vec<_>>());
        assert_eq!(check(&svg), Ok(()));
        assert_eq!(svg.matches("nobody serves for").count(), 1);
        assert_eq!(svg.matches("<circle").count(), 6 + 2 * 6);
        assert!(svg.contains("last advert heard: p50 4.00 ms, p99 4.00 ms"), "{svg}");
        assert!(svg.contains("nobody serves for 470 us"), "{svg}");
    }
}
