//! The spans of time that the election waits, in nanoseconds (RFC 9568 6.1). Computed in centiseconds, Skew_Time would
//! vanish at short intervals.

use std::time::Duration;

use super::types::{Interval, Priority};
use super::version::{Version, Versions};

/// Advertisements that a Backup misses before it takes over, the 3 in Active_Down_Interval (RFC 9568 6.1), and intervals that
/// an Active router owns its addresses for. The same on all routers: a Backup waits for so many intervals and its Skew_Time,
/// counted from the arrival of an advertisement, and a lease of so many, counted from the transmission, has run out before.
///
/// Not fewer than three. When a lease is about to be renewed one interval of it is used up, and a planned move must have room
/// in what is left: for the linger, and what it is taken back within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DownAdverts(u8);

impl DownAdverts {
    /// What the RFC has.
    pub const RFC: Self = Self(Self::FEWEST);
    /// The fewest that leave room for a planned move.
    pub const FEWEST: u8 = 3;
    /// The most, keepalived's as well.
    pub const MOST: u8 = 100;

    /// That many, or `None` outside [`FEWEST`](Self::FEWEST) to [`MOST`](Self::MOST).
    pub const fn new(adverts: u8) -> Option<Self> {
        if adverts < Self::FEWEST || adverts > Self::MOST { None } else { Some(Self(adverts)) }
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// So many intervals.
    fn times(self, interval: Interval) -> Duration {
        interval.duration() * u32::from(self.0)
    }
}

// The shortest interval leaves the least room.
const _: () = assert!(
    Interval::SHORTEST.duration().as_nanos() * (DownAdverts::FEWEST as u128 - 1)
        >= Interval::SHORTEST.duration().as_nanos() + 2 * LINGER_MARGIN.as_nanos()
);

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

/// Skew_Time = ((256 - Priority) * Active_Adver_Interval) / 256 (RFC 9568 6.1), also of a router that speaks VRRPv2 beside
/// VRRPv3; in VRRPv2 alone (256 - Priority) / 256 seconds whatever the interval (RFC 3768 6.1).
#[must_use]
pub fn skew_time(priority: Priority, active_adver_interval: Interval, versions: Versions) -> Duration {
    let whole = match versions {
        Versions::Only(Version::V3) | Versions::Both { .. } => active_adver_interval.duration(),
        Versions::Only(Version::V2 { .. }) => Duration::from_secs(1),
    };
    whole * (256 - u32::from(priority.get())) / 256
}

/// Active_Down_Interval = 3 * Active_Adver_Interval + Skew_Time (RFC 9568 6.1), with the number of `adverts` instead of the 3.
#[must_use]
pub fn active_down_interval(
    priority: Priority,
    active_adver_interval: Interval,
    adverts: DownAdverts,
    versions: Versions,
) -> Duration {
    adverts.times(active_adver_interval) + skew_time(priority, active_adver_interval, versions)
}

/// The lease that one transmitted advertisement is worth.
#[must_use]
pub fn lease_interval(advertisement_interval: Interval, adverts: DownAdverts) -> Duration {
    adverts.times(advertisement_interval)
}

/// How long a router that says priority 0 goes on serving. A Backup waits its Skew_Time, which is shorter than one
/// Advertisement_Interval, so the successor speaks within the linger and no frame falls between the two.
#[must_use]
pub fn linger(advertisement_interval: Interval) -> Duration {
    advertisement_interval.duration() + LINGER_MARGIN
}
