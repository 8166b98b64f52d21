//! An interface in the guardian's care: the leases, the mailboxes and the socket with which it does what [`Linger`] says.
//!
//! Nothing here allocates or waits. The leases become shorter, never longer, and only while they are as the agent, or this
//! guardian after it, has left them: a new agent's lease is none of its business.

use std::path::Path;

use anyhow::Context;

use super::briefing::{Farewell, InterfaceBriefing, RouterBriefing};
use super::linger::Linger;
use crate::address;
use crate::clock;
use crate::datapath::{Leases, Mailboxes, Pins};
use crate::socket::{PacketSocket, PeerSockets};
use crate::vrrp::{DownAdverts, FAREWELLS, Instant, Interval};

/// An interface and its virtual routers.
pub(super) struct Ward {
    leases: Leases,
    mailboxes: Mailboxes,
    socket: PacketSocket,
    peers: PeerSockets,
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
        for group in routers.iter().filter_map(|router| router.multicast) {
            socket.accept_multicast(index, group).context("adding the VRRP group to the NIC's filter")?;
        }
        for vip in routers.iter().flat_map(|router| &router.solicited) {
            socket.accept_solicitations(index, *vip).context("adding a group to the NIC's filter")?;
        }
        let told = routers.iter().flat_map(|router| &router.farewells).filter_map(|farewell| farewell.peer);
        let peers = PeerSockets::open(told.map(address::family), &name, index)
            .context("opening a socket for unicast peers")?;
        let routers = routers.into_iter().map(Router::new).collect::<anyhow::Result<_>>()?;
        let (leases, mailboxes) = (Leases::pinned(&pins)?, Mailboxes::pinned(&pins)?);
        Ok(Self { leases, mailboxes, socket, peers, routers })
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
            for farewell in router.farewells(heard) {
                for _ in 0..FAREWELLS {
                    // Without it, peers that do not probe learn from the silence.
                    let _ = match farewell.peer {
                        None => self.socket.transmit(&farewell.octets),
                        Some(peer) => self.peers.transmit(&farewell.octets, peer),
                    };
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

    /// The farewells with the checksum that was `heard` last, or the usual one.
    fn farewells(&self, heard: u8) -> impl Iterator<Item = &Farewell> {
        let all = &self.briefing.farewells;
        let known = all.iter().find(|farewell| farewell.checksum == heard).or(all.first());
        let checksum = known.map(|farewell| farewell.checksum);
        all.iter().filter(move |farewell| Some(farewell.checksum) == checksum)
    }
}
