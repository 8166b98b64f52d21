//! An interface in the driver: its ears, its mouth, its cells in the maps, and the virtual routers on it.

use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

use baton_common::vrid::Vrid;
use tokio::sync::mpsc::Sender;

use super::command::{Event, PortSnapshot, RouterSnapshot};
use super::inbox::Inbox;
use super::mouth::{Mouth, Sent};
use super::router::Router;
use crate::clock;
use crate::datapath::{Mailboxes, Ownerships};
use crate::host::ethtool::Ethtool;
use crate::recorder::{Record, Stages};
use crate::socket::VrrpSocket;
use crate::vrrp::{Action, Checksum, Input, Instant, Role, Standing, Transition};
use crate::wire::{Expected, Operation, parse_datagram, parse_frame};

/// Packets that the VRRP socket is read for in one round, like a ring's batch.
const EAR_BATCH: usize = 16;
/// The largest packet that the VRRP socket is read for; a longer one is cut and then refused by its length.
const EAR_BUFFER: usize = 2048;
/// How soon the completion ring is looked at again while a frame is on its way; no descriptor tells.
const COMPLETION_POLL: Duration = Duration::from_micros(100);

/// What a port is made of.
pub struct PortParts {
    /// The port's index among all ports, for events.
    pub index: usize,
    /// The ways out, and the AF_XDP ears.
    pub mouth: Mouth,
    /// The second ear.
    pub ear: VrrpSocket,
    /// For the carrier.
    pub ethtool: Ethtool,
    /// The ownership cells of the interface. This port is their only writer.
    pub ownerships: Ownerships,
    /// The mailboxes of the interface.
    pub mailboxes: Mailboxes,
    /// The virtual routers.
    pub routers: Vec<Router>,
    /// Where events go.
    pub events: Sender<Event>,
    /// Whether the interface has carrier and address.
    pub usable: bool,
}

/// An interface and its virtual routers.
pub struct Port {
    parts: PortParts,
    inbox: Inbox,
    /// Renewals whose advertisement has left or failed: told to the core when no other input is being handled.
    outcomes: Vec<(usize, Input<Ipv4Addr>)>,
}

impl Port {
    /// A port whose virtual routers have not started yet.
    pub fn new(parts: PortParts) -> Self {
        let outcomes = Vec::with_capacity(2 * parts.routers.len());
        Self { parts, inbox: Inbox::new(), outcomes }
    }

    pub(super) fn watched(&self) -> impl Iterator<Item = RawFd> {
        self.parts.mouth.raw_fds().chain([self.parts.ear.as_fd().as_raw_fd()])
    }

    /// Begins the elections. What an earlier run left in the cells ends here: this one has to win its role first.
    pub(super) fn start(&mut self, now: Instant) {
        for router in &self.parts.routers {
            self.parts.ownerships.set_lease(router.slot, None);
        }
        if self.parts.usable {
            self.feed_all(Input::Startup, now);
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.parts.routers.iter().all(|router| router.core.role() == Role::Initialize)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let completion = self.parts.mouth.is_sending().then(|| clock::now() + COMPLETION_POLL);
        self.parts.routers.iter().filter_map(Router::deadline).chain(completion).min()
    }

    pub(super) fn set_usable(&mut self, usable: bool, now: Instant) {
        if usable != self.parts.usable {
            self.parts.usable = usable;
            self.feed_all(if usable { Input::Startup } else { Input::LinkDown }, now);
        }
    }

    /// Reads a batch from every ear and hands the advertisements to the core, one at a time.
    pub(super) fn receive(&mut self) {
        self.parts.listen(&mut self.inbox);
        let now = clock::now();
        while let Some(heard) = self.inbox.take() {
            let router = &mut self.parts.routers[heard.router];
            router.heard = now;
            if let Some(peer) = router.note_peer(&heard.advertisement, heard.same_vips, now) {
                let event = Event::Peer { port: self.parts.index, router: heard.router, peer };
                // A full log loses lines, never time.
                let _ = self.parts.events.try_send(event);
            }
            self.feed(heard.router, Input::Advertisement(heard.advertisement), now);
        }
    }

    /// Fires the timers that are due. Whoever waits for another router's word looks into the mailbox first: an
    /// advertisement that XDP has stamped may not have been read yet, because the ring is full or this thread was not
    /// scheduled.
    pub(super) fn fire_timers(&mut self) {
        for index in 0..self.parts.routers.len() {
            let now = clock::now();
            if self.parts.is_due(index, now)
                && self.parts.routers[index].is_listening()
                && let Some((arrived, advertisement)) = self.parts.news(index)
            {
                self.feed(index, Input::Advertisement(advertisement), arrived);
            }
            if self.parts.is_due(index, now) {
                self.feed(index, Input::Timer, now);
            }
            self.parts.announce(index, now);
        }
    }

    /// Renews the leases of the virtual routers whose advertisements have left.
    pub(super) fn renew(&mut self) {
        while let Some(sent) = self.parts.mouth.completed() {
            self.parts.has_left(sent, &mut self.outcomes);
        }
        while let Some((router, outcome)) = self.outcomes.pop() {
            self.feed(router, outcome, clock::now());
        }
    }

    /// Feeds one input and carries out all its actions, in their order.
    pub(super) fn feed(&mut self, index: usize, input: Input<Ipv4Addr>, now: Instant) {
        let Some(router) = self.parts.routers.get_mut(index) else {
            return;
        };
        router.stages = Stages { decided: now, ..Stages::default() };
        for action in router.core.handle(input, now) {
            match action {
                Action::SetOwnership(until) => self.parts.set_ownership(index, until),
                Action::Transmit { standing, checksum } => {
                    self.parts.transmit(index, standing, checksum, &mut self.outcomes);
                }
                Action::Announce => {
                    self.parts.routers[index].announcer.start(now);
                    self.parts.announce(index, now);
                }
                Action::Report(transition) => self.parts.report(index, transition),
            }
        }
    }

    pub(super) fn feed_all(&mut self, input: Input<Ipv4Addr>, now: Instant) {
        for index in 0..self.parts.routers.len() {
            self.feed(index, input, now);
        }
    }

    /// Fills `snapshot`, which has room for every router.
    pub(super) fn describe(&self, snapshot: &mut PortSnapshot) {
        snapshot.discarded = self.inbox.discarded;
        snapshot.routers.clear();
        snapshot.routers.extend(self.parts.routers.iter().map(|router| RouterSnapshot {
            role: router.core.role(),
            since: router.core.since(),
            reason: router.core.reason(),
            leaving: router.core.leaving(),
            yielded: router.core.yielded(),
            lease: self.parts.ownerships.lease(router.slot),
            epoch: self.parts.ownerships.epoch(router.slot),
            peers: router.peers,
            recorder: router.recorder,
        }));
    }
}

impl PortParts {
    fn listen(&mut self, inbox: &mut Inbox) {
        let Self { mouth, ear, routers, .. } = self;
        let find = |vlan, vrid: Vrid| -> Option<Expected> {
            routers.iter().find(|router| router.is(vlan, vrid)).map(Router::expected)
        };
        for ring in mouth.rings() {
            ring.receive(|frame| inbox.put(routers, parse_frame(frame, find)));
        }
        let mut buffer = [0; EAR_BUFFER];
        for _ in 0..EAR_BATCH {
            let Some(packet) = ear.receive(&mut buffer) else {
                break;
            };
            inbox.put(routers, parse_datagram(packet, 0, find));
        }
    }

    fn is_due(&self, index: usize, now: Instant) -> bool {
        self.routers[index].core.deadline().is_some_and(|deadline| deadline <= now)
    }

    /// What the mailbox has that was not read from the sockets.
    fn news(&mut self, index: usize) -> Option<(Instant, crate::vrrp::Advertisement<Ipv4Addr>)> {
        let router = &mut self.routers[index];
        let news = router.news(&self.mailboxes.read(router.slot))?;
        router.heard = news.0;
        Some(news)
    }

    fn set_ownership(&mut self, index: usize, until: Option<Instant>) {
        let router = &mut self.routers[index];
        self.ownerships.set_lease(router.slot, until);
        router.stages.stored = Some(clock::now());
    }

    fn transmit(
        &mut self,
        index: usize,
        standing: Standing,
        checksum: Checksum,
        outcomes: &mut Vec<(usize, Input<Ipv4Addr>)>,
    ) {
        let router = &self.routers[index];
        let sent = match standing {
            Standing::Active(_) => Sent::renewal_of(index),
            Standing::Leaving => Sent::Nothing,
        };
        match self.mouth.send(sent, |frame| router.advertisement(standing, checksum).build(frame)) {
            Ok(left) => {
                self.routers[index].stages.transmitted = Some(clock::now());
                left.into_iter().for_each(|sent| self.has_left(sent, outcomes));
            }
            Err(_) => outcomes.push((index, Input::TransmitFailed)),
        }
    }

    /// An advertisement has left. It counts only with a carrier: without one the driver drops frames and calls them
    /// sent.
    fn has_left(&self, sent: Sent, outcomes: &mut Vec<(usize, Input<Ipv4Addr>)>) {
        match sent {
            Sent::Renew { router, begun } => {
                let running = self.ethtool.is_running();
                let outcome = if running { Input::Transmitted(begun) } else { Input::TransmitFailed };
                outcomes.push((router, outcome));
            }
            Sent::Nothing => {}
        }
    }

    fn announce(&mut self, index: usize, now: Instant) {
        let router = &mut self.routers[index];
        for vip in router.announcer.poll(router.vips().len(), now) {
            let router = &mut self.routers[index];
            for operation in [Operation::Request, Operation::Reply] {
                if let Some(announcement) = router.announcement(operation, vip) {
                    // One that is lost is repeated by the next round.
                    let _ = self.mouth.send(Sent::Nothing, |frame| announcement.build(frame));
                }
                router.stages.announced.get_or_insert_with(clock::now);
            }
        }
    }

    fn report(&mut self, index: usize, transition: Transition) {
        let router = &mut self.routers[index];
        if router.core.role() != Role::Active || router.core.leaving() {
            router.announcer.stop();
        }
        if transition.to == Role::Active && transition.from != Role::Active {
            self.ownerships.next_epoch(router.slot);
        }
        let record = Record { transition, stages: router.stages };
        router.recorder.push(record);
        let _ = self.events.try_send(Event::Transition { port: self.index, router: index, record });
    }
}
