//! An interface in the guardian's care: the leases, the mailboxes and the socket with which it does what [`Linger`] says.
//!
//! Nothing here allocates or waits. The leases become shorter, never longer, and only while they are as the agent, or this
//! guardian after it, has left them: a new agent's lease is none of its business.

use std::path::Path;

use anyhow::Context;

use super::briefing::{InterfaceBriefing, RouterBriefing};
use super::linger::Linger;
use crate::clock;
use crate::datapath::{Leases, Mailboxes, Pins};
use crate::socket::PacketSocket;
use crate::vrrp::{DownAdverts, FAREWELLS, Instant, Interval};

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
    adverts: DownAdverts,
    /// While it is served for a dead agent.
    linger: Option<Linger>,
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
        for vip in routers.iter().flat_map(|router| &router.solicited) {
            socket.accept_solicitations(index, *vip).context("adding a group to the NIC's filter")?;
        }
        let routers = routers.into_iter().map(Router::new).collect::<anyhow::Result<_>>()?;
        Ok(Self { leases: Leases::pinned(&pins)?, mailboxes: Mailboxes::pinned(&pins)?, socket, routers })
    }

    /// Ends the leases of what the agent has owned by the end of a linger. Answers with how many there are.
    pub(super) fn shorten_leases(&mut self, now: Instant) -> usize {
        let mut left = 0;
        for router in &mut self.routers {
            let slot = router.briefing.slot;
            let found = self.leases.read(slot);
            if let Some((lease, linger)) = Linger::of(found, router.interval, router.adverts, now)
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
            if !router.linger.as_mut().is_some_and(|linger| linger.has_to_say(clock::now())) {
                continue;
            }
            let heard = self.mailboxes.read(router.briefing.slot).checksum;
            let known = router.briefing.farewells.iter().find(|farewell| farewell.checksum == heard);
            if let Some(farewell) = known.or(router.briefing.farewells.first()) {
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
        let adverts =
            DownAdverts::new(briefing.down_adverts).context("too few adverts to be missed, or too many")?;
        Ok(Self { briefing, interval, adverts, linger: None })
    }
}
