//! What was measured, for people and for programs: a table, JSON, a page.

mod anatomy;
mod distribution;
mod html;
mod json;
mod page;
mod ratio;
mod table;
mod text;

use baton_tests::lab::Fault;

pub(crate) use json::kernel;
pub use json::{Meta, Report};
pub use page::page;
pub use ratio::{Ratio, ratios};
pub use table::{bars, table};
pub use text::text;

use crate::rounds::Event;
use crate::row::Row;

/// Whether both nodes usually answered for longer than any planned move may take: an outage is no measure for such a
/// failure, because it has not been dealt with.
fn has_two_owners(row: &Row) -> bool {
    row.overlap_us.p50 > Event::Fault(Fault::Planned).allowed_overlap_us()
}

/// A span in the unit that one would say it in, with three digits.
pub(crate) fn span(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..10_000 => format!("{:.2} ms", us as f64 / 1e3),
        10_000..100_000 => format!("{:.1} ms", us as f64 / 1e3),
        100_000..1_000_000 => format!("{:.0} ms", us as f64 / 1e3),
        _ => format!("{:.2} s", us as f64 / 1e6),
    }
}

/// The same for nanoseconds, of which those below 10 us matter.
fn short_span(ns: u64) -> String {
    if ns < 10_000 { format!("{}.{} us", ns / 1000, ns % 1000 / 100) } else { span(ns / 1000) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_three_digits() {
        let told = [50, 999, 1_234, 25_847, 273_900, 2_867_000].map(span);
        assert_eq!(told, ["50 us", "999 us", "1.23 ms", "25.8 ms", "274 ms", "2.87 s"]);
        assert_eq!([900, 71_400].map(short_span), ["0.9 us", "71 us"]);
    }
}
