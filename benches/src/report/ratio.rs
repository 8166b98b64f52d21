//! How Baton compares with its rivals, one line for each kind of failure and rival.

use baton_tests::lab::{Fault, System};

use super::{has_two_owners, span};
use crate::row::Row;
use crate::series::Conditions;

/// A comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ratio {
    /// The kind of failure.
    pub kind: &'static str,
    /// Under which conditions.
    pub conditions: Conditions,
    /// Baton, or which of its kinds.
    pub ours: &'static str,
    /// The other.
    pub rival: &'static str,
    verdict: Verdict,
}

/// How they compare; theirs, then ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// The rival leaves two owners, so that there is no outage to compare with: how long they were seen, and the most that
    /// two of ours were.
    TwoOwners([u64; 2]),
    /// The outages.
    Outages { p50: [u64; 2], p99: [u64; 2] },
}

/// All comparisons that the rows allow, in their order.
pub fn ratios(rows: &[Row]) -> Vec<Ratio> {
    let is_ours = |row: &Row| System::from_name(row.system).is_some_and(System::is_baton);
    let is_fault = |row: &&Row| Fault::MEASURED.iter().any(|fault| fault.name() == row.event);
    let ours = rows.iter().filter(is_fault).filter(|row| is_ours(row));
    ours.flat_map(|ours| {
        let same = move |row: &&Row| row.event == ours.event && row.conditions == ours.conditions;
        rows.iter().filter(same).filter(move |row| !is_ours(row)).map(|rival| Ratio::of(ours, rival))
    })
    .collect()
}

impl Ratio {
    fn of(ours: &Row, rival: &Row) -> Self {
        let verdict = if has_two_owners(rival) {
            Verdict::TwoOwners([rival.overlap_us.p50, ours.overlap_us.max])
        } else {
            let (ours, theirs) = (ours.outage_us, rival.outage_us);
            Verdict::Outages { p50: [theirs.p50, ours.p50], p99: [theirs.p99, ours.p99] }
        };
        let Row { event: kind, conditions, system, .. } = *ours;
        Self { kind, conditions, ours: system, rival: rival.system, verdict }
    }

    /// The comparison as a line.
    pub fn line(&self) -> String {
        let Self { ours, rival, .. } = self;
        match self.verdict {
            Verdict::TwoOwners([theirs, most]) => {
                format!(
                    "two owners: {rival} for {} (p50, to the end of the watch) / {ours} {}",
                    span(theirs),
                    at_most(most)
                )
            }
            Verdict::Outages { p50, p99 } => {
                let [[p50, our_p50], [p99, our_p99]] = [p50, p99].map(|pair| pair.map(span));
                let times = self.times();
                format!(
                    "p50: {rival} {p50} / {ours} {our_p50} = {}; p99: {p99} / {our_p99} = {}",
                    times[0], times[1]
                )
            }
        }
    }

    /// The comparison for a table: theirs, ours, and how often one goes into the other.
    pub fn cells(&self) -> [String; 3] {
        match self.verdict {
            Verdict::TwoOwners([theirs, most]) => {
                [format!("two owners for {}", span(theirs)), at_most(most), "not dealt with".to_owned()]
            }
            Verdict::Outages { p50, p99 } => {
                let told = |at: usize| format!("{} ({})", span(p50[at]), span(p99[at]));
                let [p50, p99] = self.times();
                [told(0), told(1), format!("{p50} ({p99})")]
            }
        }
    }

    /// At the p50 and at the p99.
    fn times(&self) -> [String; 2] {
        match self.verdict {
            Verdict::TwoOwners(_) => [String::new(), String::new()],
            Verdict::Outages { p50, p99 } => [p50, p99].map(|[theirs, ours]| times(theirs, ours)),
        }
    }
}

fn at_most(us: u64) -> String {
    if us == 0 { "never".to_owned() } else { format!("for {} at most", span(us)) }
}

/// How often `ours` goes into `theirs`, with two digits.
fn times(theirs: u64, ours: u64) -> String {
    let ratio = theirs as f64 / ours.max(1) as f64;
    match ratio {
        0.0..0.1 => format!("{ratio:.4}x"),
        0.1..9.95 => format!("{ratio:.1}x"),
        _ => format!("{ratio:.0}x"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::tests::report;
    use super::*;
    use crate::series::tests::CONDITIONS;

    #[test]
    fn a_ratio_is_rival_by_ours_and_two_owners_have_none() {
        let ratios = ratios(&report().rows);
        let told: Vec<_> = ratios.iter().map(|ratio| (ratio.kind, ratio.conditions, ratio.line())).collect();
        let hang =
            "two owners: keepalived for 274 ms (p50, to the end of the watch) / baton for 7 us at most";
        let silent = "p50: keepalived 25.0 ms / baton 500 us = 50x; p99: 25.0 ms / 2.00 ms = 12x";
        assert_eq!(
            told,
            [("agent-hang", CONDITIONS, hang.to_owned()), ("silent-death", CONDITIONS, silent.to_owned())]
        );
        assert_eq!(ratios[0].cells(), ["two owners for 274 ms", "for 7 us at most", "not dealt with"]);
        assert_eq!(ratios[1].cells(), ["25.0 ms (25.0 ms)", "500 us (2.00 ms)", "50x (12x)"]);
    }

    #[test]
    fn a_ratio_has_two_digits() {
        let told = [times(25_847, 496), times(278, 50), times(50, 50), times(50, 0), times(50, 13_600)];
        assert_eq!(told, ["52x", "5.6x", "1.0x", "50x", "0.0037x"]);
    }
}
