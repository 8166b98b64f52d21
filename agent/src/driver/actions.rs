//! What the core asks for: the lease into the map, frames onto the wire, transitions into the recorder and the log.
//!
//! What only an owner may say is said only while the lease holds: this thread may have been stalled between the core's
//! answer and its execution.

use super::command::{Event, News, Place};
use super::port::Port;
use super::transmitter::{NotSent, Progress, Renewal, Transmitter};
use crate::clock;
use crate::recorder::Record;
use crate::vrrp::{Action, Checksum, FAREWELLS, Input, Instant, Ownership, Role, Standing, Transition};
use crate::wire::Mac;

/// Addresses that are announced in one round of the loop, on all virtual routers of the interface: with both operations, and
/// questions for the gateways, they fit into the ring beside the advertisements, and no timer waits for long.
const ANNOUNCEMENTS: usize = 16;

/// Gateways that an address asks.
const GATEWAYS: usize = 2;

/// What an advertisement says, and the MAC that it comes from.
#[derive(Clone, Copy)]
struct Word {
    mac: Mac,
    standing: Standing,
    checksum: Checksum,
}

impl Port {
    /// Does what the core asks for.
    pub(super) fn carry_out(&mut self, index: usize, action: Action) {
        match action {
            Action::SetOwnership(ownership) => self.set_ownership(index, ownership),
            Action::Transmit { standing, checksum } => self.transmit(index, standing, checksum),
            Action::Concede { checksum } => self.concede(index, checksum),
            Action::Announce => {
                let router = &mut self.routers[index];
                router.announcer.start(router.stages.decided);
            }
            Action::Report(transition) => self.report(index, transition),
        }
    }

    pub(super) fn set_ownership(&mut self, index: usize, ownership: Ownership) {
        let router = &mut self.routers[index];
        // Before the lease: the first frame that is served belongs to the new tenure.
        if matches!(ownership, Ownership::Held(_)) && self.ownerships.lease(router.slot) <= clock::now() {
            self.ownerships.next_epoch(router.slot);
        }
        // Once it has spoken the core knows no more whom it had asked, and the name stays.
        if let (Ownership::Offered(_), Some(successor)) = (ownership, router.core.successor()) {
            self.ownerships.set_successor(router.slot, Some(successor));
        }
        self.ownerships.set(router.slot, ownership);
        router.stages.stored = Some(clock::now());
    }

    /// Sends an advertisement; one with the own priority is worth a renewal of the lease once it has left. A priority 0 is
    /// never repeated by a timer, so it goes out more than once now.
    pub(super) fn transmit(&mut self, index: usize, standing: Standing, checksum: Checksum) {
        let begun = clock::now();
        let (renewal, more) = match standing {
            Standing::Active(_) => (Some(Renewal { router: index, begun }), 0),
            Standing::Leaving => (None, FAREWELLS - 1),
        };
        // Without a carrier the frame would wait in the ring and leave when the carrier is back, long outdated.
        if !self.owns(index, begun) || !self.ethtool.is_running() {
            self.outcomes.push((index, Input::TransmitFailed));
            return;
        }
        let word = Word { mac: self.routers[index].mac(), standing, checksum };
        match self.advertise(index, word, renewal) {
            Ok(progress) => {
                self.routers[index].stages.transmitted = Some(clock::now());
                if progress == Progress::Left {
                    self.has_left(renewal);
                }
            }
            Err(_) => self.outcomes.push((index, Input::TransmitFailed)),
        }
        for _ in 0..more {
            let _ = self.advertise(index, word, None);
        }
    }

    /// Sends an advertisement in every version that this virtual router speaks, to whoever it advertises to. By unicast the
    /// kernel sends, from the interface's own MAC. It has left when the last version has: some peers hear only the first, and
    /// would take over from a lease that is renewed without it.
    fn advertise(&mut self, index: usize, word: Word, renewal: Option<Renewal>) -> Result<Progress, NotSent> {
        let Self { routers, transmitter, .. } = self;
        let router = &routers[index];
        let Word { mac, standing, checksum } = word;
        let (first, last) = router.parameters().versions.sent();
        let of = |version| router.advertisement(mac, version, standing, checksum);
        let peers = router.unicast();
        let to_peers = |transmitter: &mut Transmitter, version| {
            transmitter.send_to(peers, |peer, packet| of(version).build_packet(peer, packet))
        };
        let to_group = |version| move |frame: &mut [u8]| of(version).build(router.multicast(), frame);
        match (peers, first) {
            ([], None) => transmitter.send(renewal, to_group(last)),
            ([], Some(first)) => transmitter.send_both(renewal, to_group(first), to_group(last)),
            (_, None) => to_peers(transmitter, last),
            (_, Some(first)) => {
                let (first, last) = (to_peers(transmitter, first), to_peers(transmitter, last));
                Ok(first?.max(last?))
            }
        }
    }

    /// Sends the last word of a router that has met a better one. If it gets lost, the neighbours learn from the better
    /// one's next round of announcements.
    pub(super) fn concede(&mut self, index: usize, checksum: Checksum) {
        let router = &self.routers[index];
        let standing = Standing::Active(router.core.parameters().priority);
        let _ = self.advertise(index, Word { mac: self.device_mac, standing, checksum }, None);
    }

    /// Whether the data plane serves at `now`.
    pub(super) fn owns(&self, index: usize, now: Instant) -> bool {
        now < self.ownerships.lease(self.routers[index].slot)
    }

    /// A frame has left. A renewal counts only with a carrier: without one the driver drops frames and calls them sent.
    pub(super) fn has_left(&mut self, renewal: Option<Renewal>) {
        if let Some(Renewal { router, begun }) = renewal {
            let running = self.ethtool.is_running();
            let outcome = if running { Input::Transmitted(begun) } else { Input::TransmitFailed };
            self.outcomes.push((router, outcome));
        }
    }

    /// Sends announcements that are due, as many as one round may. One that cannot be sent is repeated by the next sweep.
    pub(super) fn announce(&mut self) {
        let mut budget = ANNOUNCEMENTS;
        for index in 0..self.routers.len() {
            let now = clock::now();
            if !self.owns(index, now) {
                continue;
            }
            let served = self.served(index);
            let router = &mut self.routers[index];
            if let Some(since) = served {
                router.recorder.note_service(since);
            }
            for vip in router.announcer.poll(router.vips().len(), budget, served.is_some(), now) {
                budget -= 1;
                self.announce_vip(index, vip);
            }
        }
    }

    /// When the first frame to one of the addresses was accepted since this host took them over.
    pub(super) fn served(&self, index: usize) -> Option<Instant> {
        let slot = self.routers[index].slot;
        let service = self.services.read(slot);
        let epoch = self.ownerships.epoch(slot);
        (epoch != 0 && service.epoch == epoch).then(|| Instant::from_nanos(service.first_ns))
    }

    /// Tells the neighbours where an address is, and then the default gateways once more: a router that takes no announcement
    /// learns from whoever asks it for its own address.
    fn announce_vip(&mut self, index: usize, vip: usize) {
        let Self { routers, transmitter, gateways, .. } = self;
        let router = &mut routers[index];
        for announcement in router.announcements(vip).into_iter().flatten() {
            if transmitter.send(None, |frame| announcement.build(frame)).is_ok() {
                router.recorder.note_announcement(clock::now());
            }
        }
        let Some(&vip) = router.vips().get(vip) else { return };
        for question in gateways.of(vip).take(GATEWAYS).filter_map(|gateway| router.question(vip, gateway)) {
            let _ = transmitter.send(None, |frame| question.build(frame));
        }
    }

    pub(super) fn report(&mut self, index: usize, transition: Transition) {
        let router = &mut self.routers[index];
        if router.core.role() != Role::Active || router.core.leaving() {
            router.announcer.stop();
        }
        router.lost |= transition.is_loss() || (transition.from == Role::Active && router.core.drained());
        let record = Record { transition, stages: router.stages };
        router.recorder.push(record);
        let epoch = self.ownerships.epoch(router.slot);
        self.tell(index, News::Transition { record, epoch });
    }

    /// Gives the log something to write. A log that is far behind loses lines, never time.
    pub(super) fn tell(&self, router: usize, news: News) {
        let place = Place { port: self.index, router };
        let _ = self.events.try_send(Event { place, news });
    }
}
