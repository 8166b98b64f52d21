//! What the guardian does with the lease of a dead agent, which is what a planned move does last. Pure like the election
//! core: no IO, no clock.

use std::time::Duration;

use baton_common::ownership::Mailbox;

use crate::vrrp::{
    DownAdverts, Instant, Interval, LINGER_MARGIN, Ownership, Standing, lease_interval, linger,
};

/// The last time of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linger {
    /// When it ends.
    pub until: Instant,
    /// Whoever has advertised later is the successor.
    since: Instant,
    /// Whether priority 0 has to be said.
    unsaid: bool,
}

impl Linger {
    /// What is to be done with a lease that the agent has left as `found`: the end that it had, and its last time. `None` for
    /// what the agent did not own.
    #[must_use]
    pub fn of(
        found: Ownership,
        interval: Interval,
        adverts: DownAdverts,
        now: Instant,
    ) -> Option<(Instant, Self)> {
        let (lease, since, unsaid) = match found {
            // Whoever has spoken since this host last did has had no answer, and will have none.
            Ownership::Held(lease) => {
                (lease, last_advertisement(lease, lease_interval(interval, adverts)), true)
            }
            // Only the successor was told, and may have spoken by now.
            Ownership::Offered(lease) => (lease, now, true),
            // Said before, and once more would make the others wait once more.
            Ownership::Lingering(lease) => (lease, now, false),
            Ownership::Released => return None,
        };
        let until = lease.min(now + linger(interval));
        (now < lease).then_some((lease, Self { until, since, unsaid }))
    }

    /// Whether priority 0 has to be said at `now`, for the first and last time. Only an owner may use the virtual MAC, and the
    /// way here may have been long.
    pub fn has_to_say(&mut self, now: Instant) -> bool {
        std::mem::take(&mut self.unsaid) && now < self.until
    }

    /// What it becomes with what was last heard. Like an agent that leaves, it takes whoever speaks for the successor, and
    /// serves on while the neighbours learn.
    #[must_use]
    pub fn after(self, mailbox: &Mailbox) -> Self {
        let arrived = Instant::from_nanos(mailbox.arrived_ns);
        if arrived <= self.since || Standing::from_octet(mailbox.priority) == Standing::Leaving {
            return self;
        }
        Self { until: self.until.min(arrived + LINGER_MARGIN), since: Instant::from_nanos(u64::MAX), ..self }
    }
}

/// When the transmission was begun that a lease is counted from.
fn last_advertisement(lease: Instant, worth: Duration) -> Instant {
    let worth = u64::try_from(worth.as_nanos()).unwrap_or(u64::MAX);
    Instant::from_nanos(lease.as_nanos().saturating_sub(worth))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn interval() -> Interval {
        Interval::from_centiseconds(1).expect("10 ms")
    }

    fn advert(arrived: Instant, priority: u8) -> Mailbox {
        Mailbox { arrived_ns: arrived.as_nanos(), priority, ..Mailbox::default() }
    }

    #[test]
    fn priority_0_is_said_once_and_by_an_owner() {
        let mut linger = Linger { until: ms(112), since: ms(95), unsaid: true };
        let mut late = linger;
        assert!(linger.has_to_say(ms(100)) && !linger.has_to_say(ms(101)));
        assert!(!late.has_to_say(ms(112)));
    }

    #[test]
    fn a_lease_is_cut_down_to_the_linger() {
        let expected = Linger { until: ms(112), since: ms(95), unsaid: true };
        assert_eq!(
            Linger::of(Ownership::Held(ms(125)), interval(), DownAdverts::RFC, ms(100)),
            Some((ms(125), expected))
        );
    }

    #[test]
    fn a_lease_of_more_intervals_is_counted_from_an_earlier_advertisement() {
        let five = DownAdverts::new(5).expect("3 to 100");
        let expected = Linger { until: ms(112), since: ms(95), unsaid: true };
        assert_eq!(
            Linger::of(Ownership::Held(ms(145)), interval(), five, ms(100)),
            Some((ms(145), expected))
        );
    }

    #[test]
    fn a_lease_is_never_made_longer() {
        let expected = Linger { until: ms(105), since: ms(75), unsaid: true };
        assert_eq!(
            Linger::of(Ownership::Held(ms(105)), interval(), DownAdverts::RFC, ms(100)),
            Some((ms(105), expected))
        );
    }

    #[test]
    fn a_planned_move_goes_on_without_another_word() {
        let expected = Linger { until: ms(111), since: ms(100), unsaid: false };
        assert_eq!(
            Linger::of(Ownership::Lingering(ms(111)), interval(), DownAdverts::RFC, ms(100)),
            Some((ms(111), expected))
        );
    }

    #[test]
    fn what_was_offered_to_one_is_left_to_anybody() {
        let expected = Linger { until: ms(111), since: ms(100), unsaid: true };
        assert_eq!(
            Linger::of(Ownership::Offered(ms(111)), interval(), DownAdverts::RFC, ms(100)),
            Some((ms(111), expected))
        );
    }

    #[test]
    fn what_was_not_owned_or_has_lapsed_is_left_alone() {
        for found in [Ownership::Released, Ownership::Held(ms(100)), Ownership::Lingering(ms(99))] {
            assert_eq!(Linger::of(found, interval(), DownAdverts::RFC, ms(100)), None, "{found:?}");
        }
    }

    #[test]
    fn a_successor_ends_the_linger() {
        let linger = Linger { until: ms(112), since: ms(95), unsaid: false };
        let ended = Linger { until: ms(103), since: Instant::from_nanos(u64::MAX), unsaid: false };
        assert_eq!(linger.after(&advert(ms(101), 100)), ended);
        assert_eq!(ended.after(&advert(ms(102), 100)), ended, "its next advertisement lengthens nothing");
    }

    #[test]
    fn a_successor_that_speaks_late_lengthens_nothing() {
        let linger = Linger { until: ms(112), since: ms(95), unsaid: false };
        assert_eq!(linger.after(&advert(ms(111), 100)).until, ms(112));
    }

    #[test]
    fn a_router_that_spoke_before_or_leaves_is_no_successor() {
        let linger = Linger { until: ms(112), since: ms(95), unsaid: false };
        assert_eq!(linger.after(&advert(ms(95), 100)), linger);
        assert_eq!(linger.after(&advert(ms(101), 0)), linger);
    }

    #[test]
    fn the_longest_linger_is_that_of_a_planned_move() {
        let slowest = Interval::from_centiseconds(4095).expect("40.95 s");
        let lease = ms(0) + lease_interval(slowest, DownAdverts::RFC);
        let (_, linger) =
            Linger::of(Ownership::Held(lease), slowest, DownAdverts::RFC, ms(0)).expect("a lease that holds");
        assert_eq!(linger.until, ms(0) + Duration::from_millis(40_952));
    }
}
