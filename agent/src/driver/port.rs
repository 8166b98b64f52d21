//! An interface in the driver: its sockets, its cells in the maps, and the virtual routers on it. This file brings inputs
//! to the core; `actions` carries out what the core answers.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

use baton_common::vrid::Vrid;
use tokio::sync::mpsc::Sender;

use super::command::{Event, News, PortSnapshot, RouterSnapshot};
use super::inbox::Inbox;
use super::liveness::Liveness;
use super::router::Router;
use super::transmitter::Transmitter;
use super::wait::Waiter;
use crate::clock;
use crate::datapath::{Answers, Mailboxes, Ownerships, Services};
use crate::host::ethtool::Ethtool;
use crate::host::gateways::Gateways;
use crate::recorder::Stages;
use crate::socket::{Solicitations, VrrpSocket};
use crate::vrrp::{Action, Actions, Advertisement, Input, Instant, Ownership, Role, Standing};
use crate::wire::{Expected, Mac, parse_datagram, parse_frame};

/// Packets that the VRRP socket is read for in one round, like a ring's batch.
const SOCKET_BATCH: usize = 16;
/// The largest packet that the VRRP socket is read for; a longer one is cut and then refused by its length.
pub(super) const SOCKET_BUFFER: usize = 2048;
/// How soon the completion ring is looked at again while a frame is on its way; no descriptor tells.
const COMPLETION_POLL: Duration = Duration::from_micros(100);

/// What a port is made of.
pub struct PortParts {
    /// The port's index among all ports, for events.
    pub index: usize,
    /// The ways out. AF_XDP rings, which are also the first way in, join it later.
    pub transmitter: Transmitter,
    /// The second ways in, one for each family that the interface has virtual routers of.
    pub vrrp_sockets: Vec<VrrpSocket>,
    /// What makes the network send here what is asked about IPv6 addresses.
    pub solicitations: Solicitations,
    /// For the carrier.
    pub ethtool: Ethtool,
    /// The ownership cells of the interface. Written by this port alone while its thread holds the notice; then by the
    /// guardian or the next agent.
    pub ownerships: Ownerships,
    /// The mailboxes of the interface.
    pub mailboxes: Mailboxes,
    /// The answers to S-BFD probes on the interface.
    pub answers: Answers,
    /// When the addresses were first of use.
    pub services: Services,
    /// The interface's own MAC.
    pub device_mac: Mac,
    /// The virtual routers.
    pub routers: Vec<Router>,
    /// Where events go.
    pub events: Sender<Event>,
    /// Whether the interface has a carrier. It has all addresses that adverts come from.
    pub usable: bool,
    /// The default gateways that it leads to.
    pub gateways: Gateways,
    /// Whether the operator has taken this host out of the elections.
    pub drained: bool,
}

/// An interface and its virtual routers.
pub struct Port {
    pub(super) index: usize,
    pub(super) transmitter: Transmitter,
    pub(super) vrrp_sockets: Vec<VrrpSocket>,
    _solicitations: Solicitations,
    pub(super) ethtool: Ethtool,
    pub(super) ownerships: Ownerships,
    pub(super) mailboxes: Mailboxes,
    pub(super) services: Services,
    pub(super) device_mac: Mac,
    pub(super) liveness: Liveness,
    pub(super) routers: Vec<Router>,
    pub(super) events: Sender<Event>,
    /// The default gateways that the interface leads to.
    pub(super) gateways: Gateways,
    pub(super) drained: bool,
    inbox: Inbox,
    /// What became of own advertisements, told to the core when no other input is being handled.
    pub(super) outcomes: Vec<(usize, Input<IpAddr>)>,
    /// The earliest deadline of the virtual routers, and whether one of them was fed since it was found: a look at hundreds of
    /// them is too much for every wake-up.
    due: Option<Instant>,
    fed: bool,
    /// Whether one was fed since the peers were chosen.
    pub(super) choose_anew: bool,
    /// Whether one was fed since the groups were looked at.
    pub(super) unsettled: bool,
}

impl Port {
    /// A port whose virtual routers have not started yet.
    pub fn new(parts: PortParts) -> Self {
        let PortParts {
            index,
            transmitter,
            vrrp_sockets,
            solicitations,
            ethtool,
            ownerships,
            mailboxes,
            answers,
            services,
            device_mac,
            mut routers,
            events,
            usable,
            gateways,
            drained,
        } = parts;
        routers.iter_mut().for_each(|router| router.usable = usable);
        let liveness = Liveness::new(answers, routers.len());
        let outcomes = Vec::with_capacity(2 * routers.len());
        let inbox = Inbox::new();
        Self {
            index,
            transmitter,
            vrrp_sockets,
            _solicitations: solicitations,
            ethtool,
            ownerships,
            mailboxes,
            services,
            device_mac,
            liveness,
            routers,
            events,
            gateways,
            drained,
            inbox,
            outcomes,
            due: None,
            fed: true,
            choose_anew: true,
            unsettled: true,
        }
    }

    /// How many S-BFD sessions' worth of rhythm it can have: as many as there are addresses that adverts come from, for its
    /// peers have as many.
    pub(super) fn links(&self) -> usize {
        let sources: BTreeSet<IpAddr> =
            self.routers.iter().map(|router| router.parameters().primary).collect();
        sources.len()
    }

    /// The descriptors of the ways in that there are from the beginning.
    pub(super) fn sockets(&self) -> impl Iterator<Item = RawFd> {
        self.vrrp_sockets.iter().map(|socket| socket.as_fd().as_raw_fd())
    }

    /// Whether no virtual router is half way to giving its addresses up.
    pub(super) fn is_settled(&self) -> bool {
        !self.routers.iter().any(|router| router.core.leaving())
    }

    pub(super) fn is_idle(&self) -> bool {
        self.routers.iter().all(|router| router.core.role() == Role::Initialize)
    }

    pub(super) fn deadline(&mut self) -> Option<Instant> {
        let now = clock::now();
        let completion = self.transmitter.is_sending(now).then(|| now + COMPLETION_POLL);
        self.due().into_iter().chain(completion).chain(self.liveness.peers.deadline()).min()
    }

    /// When the next of the virtual routers wants to be called.
    fn due(&mut self) -> Option<Instant> {
        if self.fed {
            self.due = self.routers.iter().filter_map(Router::deadline).min();
            self.fed = false;
        }
        self.due
    }

    /// Ends a drain.
    pub(super) fn undrain(&mut self, now: Instant) {
        for index in 0..self.routers.len() {
            if self.routers[index].core.drained() {
                self.feed(index, Input::Undrain, now);
                if self.routers[index].usable {
                    self.feed(index, Input::Startup, now);
                }
            }
        }
    }

    /// Reads a batch from every socket and hands the advertisements to the core, one at a time.
    pub(super) fn receive(&mut self, waiter: &Waiter) {
        // Before the sockets are read: what XDP stamps while they are read may not have been among it, and must count as
        // news when a timer fires.
        let now = clock::now();
        self.read_sockets(waiter);
        while let Some(heard) = self.inbox.take() {
            let router = &mut self.routers[heard.router];
            router.heard = now;
            // Its interval may be another than that of the same router in VRRPv3.
            if !router.core.is_repetition(&heard.advertisement, now)
                && let Some(peer) = router.note_peer(&heard.advertisement, heard.same_vips, now)
            {
                self.tell(heard.router, News::Peer(peer));
            }
            if heard.advertisement.standing != Standing::Leaving {
                self.note_false_alarm(heard.router, heard.advertisement.source, now);
            }
            self.note_silence(heard.router);
            self.feed(heard.router, Input::Advertisement(heard.advertisement), now);
            self.note_speaker(heard.router);
        }
    }

    fn read_sockets(&mut self, waiter: &Waiter) {
        let Self { transmitter, vrrp_sockets, routers, inbox, .. } = self;
        let routers: &[Router] = routers;
        let find = |vlan, family, vrid: Vrid| -> Option<Expected<'_>> {
            routers.iter().find(|router| router.is(vlan, family, vrid)).map(Router::expected)
        };
        for ring in transmitter.rings() {
            ring.receive(|frame| inbox.put(routers, parse_frame(frame, find)));
        }
        let mut buffer = [0; SOCKET_BUFFER];
        for socket in vrrp_sockets {
            if !waiter.is_readable(socket.as_fd().as_raw_fd()) {
                continue;
            }
            let family = socket.family();
            for _ in 0..SOCKET_BATCH {
                let Some(packet) = socket.receive(&mut buffer) else { break };
                inbox.put(routers, parse_datagram(packet, family, 0, find));
            }
        }
    }

    /// Does what the virtual routers' deadlines are for.
    pub(super) fn keep_time(&mut self) {
        if self.due().is_some_and(|due| due <= clock::now()) {
            self.fire_timers();
            self.announce();
            self.fed = true;
        }
    }

    /// Fires the timers that are due. Each looks into the mailbox first: an advertisement that XDP has stamped may not have
    /// been read yet, because the ring is full or has only just joined, or this thread was not scheduled. It keeps a Backup
    /// from taking over, and tells an Active router of a better one within an interval.
    fn fire_timers(&mut self) {
        for index in 0..self.routers.len() {
            let now = clock::now();
            if self.is_due(index, now)
                && let Some((arrived, advertisement)) = self.unread_advertisement(index)
            {
                self.feed(index, Input::Advertisement(advertisement), arrived);
            }
            if self.is_due(index, now) {
                self.feed(index, Input::Timer, now);
            }
        }
    }

    fn is_due(&self, index: usize, now: Instant) -> bool {
        self.routers[index].core.deadline().is_some_and(|deadline| deadline <= now)
    }

    /// What the mailbox has that was not read from the sockets.
    pub(super) fn unread_advertisement(&mut self, index: usize) -> Option<(Instant, Advertisement<IpAddr>)> {
        let router = &mut self.routers[index];
        let (arrived, advertisement) = router.unread(&self.mailboxes.read_settled(router.slot))?;
        router.heard = arrived;
        Some((arrived, advertisement))
    }

    /// Renews the leases of the virtual routers whose advertisements have left.
    pub(super) fn renew(&mut self) {
        while let Some(renewal) = self.transmitter.completed() {
            self.has_left(renewal);
        }
        while let Some((router, outcome)) = self.outcomes.pop() {
            self.feed(router, outcome, clock::now());
        }
    }

    /// Feeds one input and carries out all its actions, in their order.
    pub(super) fn feed(&mut self, index: usize, input: Input<IpAddr>, now: Instant) {
        let Some(router) = self.routers.get(index) else { return };
        // What was owned before must not have lapsed since the core has looked at the clock: a Backup may have taken over.
        let owned = router.core.lease_until().is_some() || matches!(input, Input::StartupWithLease(_));
        let is_grouped = router.group.is_some();
        let mut lapsed = false;
        for action in self.ask(index, input, now) {
            let stored = if let Action::SetOwnership(ownership) = action { Some(ownership) } else { None };
            let is_renewal = owned && matches!(stored, Some(Ownership::Held(_)));
            if owned && stored.is_some_and(|it| it != Ownership::Released) && !self.owns(index, clock::now())
            {
                lapsed = true;
            } else if !(is_grouped && is_renewal) {
                // The lease of a group is one for all, and renewed with it.
                self.carry_out(index, action);
            }
        }
        if lapsed {
            self.feed(index, Input::LeaseLapsed, clock::now());
        }
    }

    /// What the core wants done about one input.
    pub(super) fn ask(&mut self, index: usize, input: Input<IpAddr>, now: Instant) -> Actions {
        let router = &mut self.routers[index];
        (self.fed, self.choose_anew, self.unsettled) = (true, true, true);
        let heard = self.mailboxes.read(router.slot).arrived_ns;
        let heard = (heard != 0).then(|| Instant::from_nanos(heard));
        let has_failed = matches!(input, Input::ActiveFailed { .. });
        let answered = has_failed.then(|| self.liveness.answered(index)).flatten();
        router.stages = Stages { heard, answered, decided: now, ..Stages::default() };
        router.core.handle(input, now)
    }

    pub(super) fn feed_all(&mut self, input: Input<IpAddr>, now: Instant) {
        for index in 0..self.routers.len() {
            self.feed(index, input, now);
        }
    }

    /// Fills `snapshot`, which has room for every router.
    pub(super) fn describe(&self, snapshot: &mut PortSnapshot) {
        snapshot.discarded = self.inbox.discarded;
        snapshot.rings = self.transmitter.has_rings();
        snapshot.routers.clear();
        snapshot.routers.extend(self.routers.iter().enumerate().map(|(index, router)| RouterSnapshot {
            role: router.core.role(),
            since: router.core.since(),
            reason: router.core.reason(),
            priority: router.core.parameters().priority,
            fitness: router.core.fitness(),
            leaving: router.core.leaving(),
            yielded: router.core.yielded(),
            preempts_from: router.core.preempts_from(),
            deaf: router.core.deaf(),
            ready: router.core.ready(),
            drained: router.core.drained(),
            lease: self.ownerships.lease(router.slot),
            epoch: self.ownerships.epoch(router.slot),
            served: self.served(index),
            peers: router.peers,
            recorder: router.recorder,
            watch: self.liveness.describe(index),
        }));
    }
}
