//! An interface in the guardian's care: what it does there for a dead agent is what a planned move does last.
//!
//! Nothing here allocates or waits. The leases become shorter, never longer, and only while they are as the agent, or this
//! guardian after it, has left them: a new agent's lease is none of its business.

use std::path::Path;

use anyhow::Context;
use baton_common::ownership::Mailbox;

use super::briefing::{InterfaceBriefing, RouterBriefing};
use crate::clock;
use crate::datapath::{Leases, Mailboxes, Pins};
use crate::socket::PacketSocket;
use crate::vrrp::{FAREWELLS, Instant, Interval, LINGER_MARGIN, Ownership, Standing, lease_interval, linger};

/// An interface and its virtual routers.
pub(super) struct Ward {
    leases: Leases,
    mailboxes: Mailboxes,
    socket: PacketSocket,
    routers: Vec<Router>,
}

struct Router {
    briefing: RouterBriefing,
    interval: Interval,
    /// While it is served for a dead agent.
    linger: Option<Linger>,
}

/// The last time of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Linger {
    /// When it ends.
    until: Instant,
    /// Whoever has advertised later is the successor.
    since: Instant,
    /// Whether priority 0 has to be said.
    unsaid: bool,
}

impl Ward {
    /// Opens all that is needed to act on an interface whose pins are below `pins`.
    pub(super) fn open(pins: &Path, interface: InterfaceBriefing) -> anyhow::Result<Self> {
        let InterfaceBriefing { name, index, routers } = interface;
        let pins = Pins::new(pins, &name);
        let socket = PacketSocket::open(index).context("opening a packet socket")?;
        for mac in routers.iter().filter_map(|router| router.virtual_mac) {
            // The agent's own filters go with its sockets, and the addresses would be deaf.
            socket.accept_unicast(index, mac).context("adding the virtual MAC to the NIC's filter")?;
        }
        let routers = routers.into_iter().map(Router::new).collect::<anyhow::Result<_>>()?;
        Ok(Self { leases: Leases::pinned(&pins)?, mailboxes: Mailboxes::pinned(&pins)?, socket, routers })
    }

    /// Ends the leases of what the agent has owned by the end of a linger. Answers with how many there are.
    pub(super) fn leave(&mut self, now: Instant) -> usize {
        let mut left = 0;
        for router in &mut self.routers {
            let slot = router.briefing.slot;
            let found = self.leases.read(slot);
            if let Some((lease, linger)) = last_of(found, router.interval, now)
                && self.leases.shorten(slot, lease, linger.until)
            {
                router.linger = Some(linger);
                left += 1;
            }
        }
        left
    }

    /// Says priority 0 for whatever is left, for peers that do not probe.
    pub(super) fn say_farewell(&mut self) {
        for router in &mut self.routers {
            let Some(linger) = router.linger.as_mut().filter(|linger| linger.unsaid) else { continue };
            linger.unsaid = false;
            // Only an owner may use the virtual MAC, and the way here may have been long.
            let heard = self.mailboxes.read(router.briefing.slot).checksum;
            let known = router.briefing.farewells.iter().find(|farewell| farewell.checksum == heard);
            if clock::now() < linger.until
                && let Some(farewell) = known.or(router.briefing.farewells.first())
            {
                // Without it, peers that do not probe learn from the silence.
                for _ in 0..FAREWELLS {
                    let _ = self.socket.transmit(&farewell.frame);
                }
            }
        }
    }

    /// Ends what has a successor. Answers with how much lingers on.
    pub(super) fn watch(&mut self, now: Instant) -> usize {
        for router in &mut self.routers {
            let slot = router.briefing.slot;
            let Some(linger) = router.linger else { continue };
            let heard = linger.after(&self.mailboxes.read(slot));
            let ours = heard == linger || self.leases.shorten(slot, linger.until, heard.until);
            router.linger = Some(heard).filter(|heard| ours && now < heard.until);
        }
        self.routers.iter().filter(|router| router.linger.is_some()).count()
    }
}

impl Router {
    fn new(briefing: RouterBriefing) -> anyhow::Result<Self> {
        let interval = Interval::from_centiseconds(briefing.interval_cs).context("an interval of nothing")?;
        Ok(Self { briefing, interval, linger: None })
    }
}

/// What is to be done with a lease that the agent has left as `found`: the end that it had, and its last time.
fn last_of(found: Ownership, interval: Interval, now: Instant) -> Option<(Instant, Linger)> {
    let (lease, since, unsaid) = match found {
        // Whoever has spoken since this host last did has had no answer, and will have none.
        Ownership::Held(lease) => (lease, last_advertisement(lease, interval), true),
        // Only the successor was told, and may have spoken by now.
        Ownership::Offered(lease) => (lease, now, true),
        // Said before, and once more would make the others wait once more.
        Ownership::Lingering(lease) => (lease, now, false),
        Ownership::Released => return None,
    };
    let until = lease.min(now + linger(interval));
    (now < lease).then_some((lease, Linger { until, since, unsaid }))
}

/// When the transmission was begun that a lease is counted from.
fn last_advertisement(lease: Instant, interval: Interval) -> Instant {
    let worth = u64::try_from(lease_interval(interval).as_nanos()).unwrap_or(u64::MAX);
    Instant::from_nanos(lease.as_nanos().saturating_sub(worth))
}

impl Linger {
    /// What it becomes with what was last heard. Like an agent that leaves, it takes whoever speaks for the successor, and
    /// serves on while the neighbours learn.
    fn after(self, mailbox: &Mailbox) -> Self {
        let arrived = Instant::from_nanos(mailbox.arrived_ns);
        if arrived <= self.since || Standing::from_octet(mailbox.priority) == Standing::Leaving {
            return self;
        }
        Self { until: self.until.min(arrived + LINGER_MARGIN), since: Instant::from_nanos(u64::MAX), ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
    fn a_lease_is_cut_down_to_the_linger() {
        let expected = Linger { until: ms(112), since: ms(95), unsaid: true };
        assert_eq!(last_of(Ownership::Held(ms(125)), interval(), ms(100)), Some((ms(125), expected)));
    }

    #[test]
    fn a_lease_is_never_made_longer() {
        let expected = Linger { until: ms(105), since: ms(75), unsaid: true };
        assert_eq!(last_of(Ownership::Held(ms(105)), interval(), ms(100)), Some((ms(105), expected)));
    }

    #[test]
    fn a_planned_move_goes_on_without_another_word() {
        let expected = Linger { until: ms(111), since: ms(100), unsaid: false };
        assert_eq!(last_of(Ownership::Lingering(ms(111)), interval(), ms(100)), Some((ms(111), expected)));
    }

    #[test]
    fn what_was_not_owned_or_has_lapsed_is_left_alone() {
        for found in [Ownership::Released, Ownership::Held(ms(100)), Ownership::Lingering(ms(99))] {
            assert_eq!(last_of(found, interval(), ms(100)), None, "{found:?}");
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
        let lease = ms(0) + lease_interval(slowest);
        let (_, linger) = last_of(Ownership::Held(lease), slowest, ms(0)).expect("a lease that holds");
        assert_eq!(linger.until, ms(0) + Duration::from_millis(40_952));
    }
}
