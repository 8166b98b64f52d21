//! The spans of time that the election waits, in nanoseconds (RFC 9568 6.1). Computed in centiseconds, Skew_Time would
//! vanish at short intervals.

use std::time::Duration;

use super::types::{Interval, Priority};

/// Advertisements that a Backup misses before it takes over: the 3 in Active_Down_Interval (RFC 9568 6.1).
pub const DOWN_INTERVALS: u32 = 3;

/// Advertisement intervals that an Active router owns its addresses for, counted from the beginning of the last
/// advertisement that left. Not in the RFC.
pub const LEASE_INTERVALS: u32 = 3;

// A Backup waits DOWN_INTERVALS and its Skew_Time, counted from the arrival of an advertisement. A lease that is
// counted from the transmission and is no longer than that has run out before anybody takes over.
const _: () = assert!(LEASE_INTERVALS <= DOWN_INTERVALS);

/// What a planned move lingers beyond one Advertisement_Interval: time for the successor's first advertisement to
/// arrive. Also how long the addresses are served beyond that advertisement, for the neighbours to learn; and beyond the
/// linger, so that a handover which nobody wants is taken back without a gap.
pub const LINGER_MARGIN: Duration = Duration::from_millis(2);

/// How many times its own interval a Backup learns at the most.
const LEARNED_TIMES: u16 = 10;
/// What it learns whatever its own: the default of the RFC.
const LEARNED_ALWAYS: Interval = Interval::DEFAULT;

/// How often priority 0 is sent when it is said: whoever misses it waits for Active_Down_Interval, and the addresses are
/// served by nobody in that time.
pub const FAREWELLS: u32 = 3;

/// Active_Adver_Interval, learned from a router that advertises each `advertised` by one whose Advertisement_Interval is
/// `own` (RFC 9568 6.4.2). Baton: never more than ten times as long, or a second if that is longer. One mistaken or forged
/// advertisement of 40.95 s must not make a Backup wait for two minutes, and the usual second beside 10 ms is no mistake.
#[must_use]
pub fn learned_interval(own: Interval, advertised: Interval) -> Interval {
    advertised.min(own.times(LEARNED_TIMES).max(LEARNED_ALWAYS))
}

/// Skew_Time = ((256 - Priority) * Active_Adver_Interval) / 256 (RFC 9568 6.1).
#[must_use]
pub fn skew_time(priority: Priority, active_adver_interval: Interval) -> Duration {
    active_adver_interval.duration() * (256 - u32::from(priority.get())) / 256
}

/// Active_Down_Interval = 3 * Active_Adver_Interval + Skew_Time (RFC 9568 6.1).
#[must_use]
pub fn active_down_interval(priority: Priority, active_adver_interval: Interval) -> Duration {
    active_adver_interval.duration() * DOWN_INTERVALS + skew_time(priority, active_adver_interval)
}

/// The lease that one transmitted advertisement is worth.
#[must_use]
pub fn lease_interval(advertisement_interval: Interval) -> Duration {
    advertisement_interval.duration() * LEASE_INTERVALS
}

/// How long a router that says priority 0 goes on serving. A Backup waits its Skew_Time, which is shorter than one
/// Advertisement_Interval, so the successor speaks within the linger and no frame falls between the two.
#[must_use]
pub fn linger(advertisement_interval: Interval) -> Duration {
    advertisement_interval.duration() + LINGER_MARGIN
}
