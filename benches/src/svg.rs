//! Histograms as SVG: one picture per kind of event, a panel per system, all on the same logarithmic axis.

use std::fmt::Write as _;

use anyhow::Result;

use crate::stats::{Distribution, log_bounds};

const WIDTH: f64 = 760.0;
const PANEL: f64 = 92.0;
const LEFT: f64 = 165.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = 42.0;
const FROM_US: u64 = 10;
const TO_US: u64 = 1_000_000;
const PER_DECADE: u32 = 10;
const COLOURS: [&str; 4] = ["#1769aa", "#2a9d8f", "#c8553d", "#6d6875"];

/// The picture of one kind: name and outages in microseconds of each system.
pub fn histogram(kind: &str, systems: &[(&str, Vec<u64>)]) -> Result<String> {
    let height = TOP + PANEL * systems.len() as f64 + BOTTOM;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"16\" fill=\"#222222\">{kind}: outage seen by a client</text>\n\
         <text x=\"{LEFT}\" y=\"40\" fill=\"#666666\">a probe each 50 us; 50 us means that none was lost</text>\n"
    );
    axis(&mut svg, height - BOTTOM);
    for (number, (name, values)) in systems.iter().enumerate() {
        let base = TOP + PANEL * (number as f64 + 1.0);
        panel(&mut svg, base, name, values, COLOURS[number % COLOURS.len()])?;
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

fn axis(svg: &mut String, base: f64) {
    let labels = ["10 us", "100 us", "1 ms", "10 ms", "100 ms", "1 s"];
    for (decade, label) in (1u32..).zip(labels) {
        let x = position(10u64.pow(decade));
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{base:.1}\" stroke=\"#dddddd\"/>\n\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#444444\">{label}</text>",
            base + 20.0
        );
    }
}

fn panel(svg: &mut String, base: f64, name: &str, values: &[u64], colour: &str) -> Result<()> {
    let distribution = Distribution::of(values.iter().copied())?;
    let bounds = log_bounds(FROM_US, TO_US, PER_DECADE);
    let counts = distribution.counts(&bounds);
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let quantiles = distribution.quantiles();
    let _ = writeln!(
        svg,
        "<line x1=\"{LEFT}\" y1=\"{base:.1}\" x2=\"{:.1}\" y2=\"{base:.1}\" stroke=\"#888888\"/>\n\
         <text x=\"10\" y=\"{:.1}\" fill=\"{colour}\" font-weight=\"bold\">{name}</text>\n\
         <text x=\"10\" y=\"{:.1}\" fill=\"#444444\">n {}, p50 {} us</text>\n\
         <text x=\"10\" y=\"{:.1}\" fill=\"#444444\">p99 {} us</text>",
        WIDTH - RIGHT,
        base - 52.0,
        base - 34.0,
        distribution.count(),
        quantiles.p50,
        base - 18.0,
        quantiles.p99
    );
    // The ranges below the first bound and above the last are drawn at the axis' ends.
    for (at, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let from = if at == 0 { LEFT } else { position(bounds[at - 1]) };
        let to = bounds.get(at).map_or(WIDTH - RIGHT, |bound| position(*bound)).max(from + 3.0);
        let height = *count as f64 / most as f64 * (PANEL - 16.0);
        let _ = writeln!(
            svg,
            "<rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>",
            base - height,
            to - from - 1.0
        );
    }
    Ok(())
}

fn position(microseconds: u64) -> f64 {
    let part = |value: u64| (value as f64 / FROM_US as f64).log10();
    LEFT + part(microseconds) / part(TO_US) * (WIDTH - LEFT - RIGHT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_system_gets_a_panel_on_the_common_axis() {
        let systems = [("baton", vec![50, 470]), ("keepalived", vec![23_000])];
        let svg = histogram("silent-death", &systems).expect("values");
        assert_eq!(svg.matches("<rect").count(), 1 + 3);
        assert!(svg.contains(">n 2, p50 50 us<") && svg.contains(">n 1, p50 23000 us<"));
        assert!((position(10) - LEFT).abs() < 0.1 && (position(1_000_000) - (WIDTH - RIGHT)).abs() < 0.1);
    }
}
