//! How long an Active router is silent between two of its advertisements, as XDP has stamped them.

use std::net::IpAddr;
use std::time::Duration;

use baton_common::ownership::Mailbox;

use crate::address;
use crate::vrrp::{DownAdverts, Instant, Interval};

/// The advertisement that was last in the mailbox when this thread looked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) source: IpAddr,
    /// How many have arrived with it.
    count: u64,
    at: Instant,
}

impl Arrival {
    pub(super) fn of(mailbox: &Mailbox) -> Self {
        let (source, at) = (address::from_map(mailbox.source), Instant::from_nanos(mailbox.arrived_ns));
        Self { source, count: mailbox.count, at }
    }

    /// How long the sender was silent since `before`, if that was what it said before, of whatever it says `together`.
    pub(super) fn silence(self, before: Self, together: u64) -> Option<Duration> {
        let follows = (1..=together).contains(&self.count.wrapping_sub(before.count));
        (follows && self.source == before.source).then(|| self.at.saturating_since(before.at))
    }
}

/// Whether of the `down_adverts` that a Backup may miss, one each `interval`, only the last has come when the Active router was
/// silent for `gap`. Half an interval is for what comes late.
pub(super) fn almost_took_over(gap: Duration, interval: Interval, down_adverts: DownAdverts) -> bool {
    2 * gap > (2 * u32::from(down_adverts.get()) - 1) * interval.duration()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(host: u8, count: u64, millis: u64) -> Arrival {
        let at = Instant::from_nanos(millis * 1_000_000);
        Arrival { source: IpAddr::from([192, 0, 2, host]), count, at }
    }

    #[test]
    fn a_silence_is_between_two_adverts_of_one_router() {
        let before = arrival(1, 7, 100);
        let gap = Some(Duration::from_millis(30));
        for (after, together, silence) in [
            (arrival(1, 8, 130), 1, gap),
            (arrival(1, 9, 130), 1, None),
            (arrival(1, 9, 130), 2, gap),
            (arrival(1, 10, 130), 2, None),
            (arrival(1, 7, 130), 2, None),
            (arrival(2, 8, 130), 1, None),
        ] {
            assert_eq!(after.silence(before, together), silence, "{after:?}, {together} together");
        }
    }

    #[test]
    fn a_backup_that_has_missed_all_adverts_but_one_was_about_to_take_over() {
        for (micros, centiseconds, down_adverts, is_close) in
            [(25_000, 1, 3, false), (25_001, 1, 3, true), (45_000, 1, 5, false), (2_500_001, 100, 3, true)]
        {
            let interval = Interval::from_centiseconds(centiseconds).expect("not 0");
            let down_adverts = DownAdverts::new(down_adverts).expect("3 to 100");
            let gap = Duration::from_micros(micros);
            assert_eq!(almost_took_over(gap, interval, down_adverts), is_close, "{gap:?}");
        }
    }
}
