//! Which peers are watched by S-BFD, and what the virtual routers are told of them.

use std::net::IpAddr;

use baton_common::sbfd::{FIRST_SOURCE_PORT, discriminator};

use super::command::{MAX_PEERS, News, WatchSnapshot};
use super::port::Port;
use crate::address;
use crate::clock;
use crate::datapath::Answers;
use crate::sbfd::{Peers, Probe, Step, has_given_way};
use crate::stall::StallWatch;
use crate::vrrp::{Failure, Input, Instant, Parameters, active_down_interval};
use crate::wire::SbfdProbe;

/// The peers of one interface that are watched, and the cells that their answers arrive in.
pub(super) struct Liveness {
    answers: Answers,
    pub(super) peers: Peers<IpAddr>,
}

impl Liveness {
    pub(super) fn new(answers: Answers, routers: usize) -> Self {
        Self { answers, peers: Peers::new(routers, MAX_PEERS) }
    }

    /// When the peer that a virtual router has a session with last answered.
    pub(super) fn answered(&self, router: usize) -> Option<Instant> {
        self.peers.session(router).and_then(|(watch, _)| watch.answered)
    }

    /// What `status` shows of a virtual router's session.
    pub(super) fn describe(&self, router: usize) -> Option<WatchSnapshot> {
        let (watch, session) = self.peers.session(router)?;
        Some(WatchSnapshot {
            peer: watch.peer,
            up: session.is_up(),
            next_in_line: session.next_in_line,
            missed: watch.missed,
            vetoed: watch.vetoed,
        })
    }
}

impl Port {
    /// Probes the Active routers that this host is Backup to, and tells its virtual routers what is wrong with them.
    pub(super) fn watch_peers(&mut self, stall: Option<&StallWatch>) {
        let now = clock::now();
        if std::mem::take(&mut self.choose_anew) {
            self.choose_peers();
        } else if self.liveness.peers.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        for index in 0..self.liveness.peers.watches().len() {
            self.hear_answers(index);
            self.probe(index, stall);
        }
    }

    /// A session for every virtual router that is Backup to a peer, with that peer; one that cannot be had now is asked for
    /// again after the next advertisement.
    fn choose_peers(&mut self) {
        for (index, router) in self.routers.iter().enumerate() {
            let active = router.core.active_router();
            let Some(peer) = self.liveness.peers.follow(index, active) else { continue };
            // The mailbox knows where the advert came from, unless another router's has arrived since.
            let mailbox = self.mailboxes.read(router.slot);
            if mailbox.source == address::to_map(peer) {
                let discriminator = discriminator(address::to_map(peer), router.core.parameters().vrid.get());
                self.liveness.peers.begin_session(index, discriminator, peer, mailbox.mac, clock::now());
            }
        }
    }

    fn hear_answers(&mut self, index: usize) {
        let now = clock::now();
        while let Some((router, failure, next_in_line)) = self.next_failure(index, now) {
            let peer = self.liveness.peers.watches()[index].peer;
            self.report_failure(router, peer, failure, next_in_line);
        }
    }

    /// Takes in the answers that have come; the first that tells of a failure.
    fn next_failure(&mut self, index: usize, now: Instant) -> Option<(usize, Failure, bool)> {
        let Self { liveness: Liveness { answers, peers }, routers, mailboxes, .. } = self;
        let watch = &mut peers.watches_mut()[index];
        for session in 0..watch.sessions().len() {
            let session = &watch.sessions()[session];
            if !session.is_waiting() {
                continue;
            }
            let router = session.router;
            let slot = routers[router].slot;
            let (answer, mailbox) = (answers.read(slot), mailboxes.read(slot));
            let is_claim = mailbox.source == address::to_map(watch.peer) && mailbox.priority != 0;
            let claimed = Instant::from_nanos(if is_claim { mailbox.arrived_ns } else { 0 });
            if let Some(failure) = watch.hear(router, &answer, claimed, now) {
                return Some((router, failure, answer.next_in_line != 0));
            }
        }
        None
    }

    fn probe(&mut self, index: usize, stall: Option<&StallWatch>) {
        let now = clock::now();
        while let Some(step) = self.next_step(index, stall, now) {
            match step {
                Step::Probe(probe) => self.send_probe(index, &probe),
                // Without a carrier it is this host that cannot be reached, and it will be told so.
                Step::Unreachable => {
                    let reachable = self.ethtool.is_running();
                    while let Some((router, next)) = self.liveness.peers.watches_mut()[index].fail(now) {
                        if reachable {
                            let peer = self.liveness.peers.watches()[index].peer;
                            self.report_failure(router, peer, Failure::Unreachable, next);
                        }
                    }
                }
            }
        }
        // Where frames pass without an interrupt (veth) the answer is there when the probe has been sent.
        self.hear_answers(index);
    }

    fn next_step(&mut self, index: usize, stall: Option<&StallWatch>, now: Instant) -> Option<Step> {
        let Self { liveness, routers, mailboxes, .. } = self;
        let watch = &mut liveness.peers.watches_mut()[index];
        let peer = watch.peer;
        // When the peer last advertised for any virtual router, as XDP has stamped it.
        let heard = || {
            let stamps = routers.iter().map(|router| mailboxes.read(router.slot));
            let from_peer = stamps.filter(|mailbox| mailbox.source == address::to_map(peer));
            from_peer.map(|mailbox| Instant::from_nanos(mailbox.arrived_ns)).max().unwrap_or_default()
        };
        let sound = |question| stall.is_none_or(|stall| stall.all_ran_since(question));
        let step = watch.poll(now, heard, sound);
        if watch.take_doubt() {
            watch.stall_question = stall.map(StallWatch::ask);
        }
        step
    }

    fn send_probe(&mut self, index: usize, probe: &Probe) {
        let watch = &self.liveness.peers.watches()[index];
        let router = &self.routers[probe.router];
        let parameters = router.core.parameters();
        let vrid = parameters.vrid.get();
        let frame = SbfdProbe {
            mac: self.device_mac,
            peer_mac: probe.mac,
            vlan: router.vlan(),
            source: parameters.primary,
            peer: watch.peer,
            // Slots are below MAX_ROUTERS, which leaves room above the first port.
            port: FIRST_SOURCE_PORT + u16::try_from(router.slot).unwrap_or_default(),
            up: probe.up,
            poll: probe.poll,
            multiplier: probe.multiplier,
            my_discriminator: discriminator(address::to_map(parameters.primary), vrid),
            your_discriminator: probe.discriminator,
            interval: probe.interval,
            sequence: probe.sequence,
            priority: parameters.priority.get(),
        };
        // One that cannot be sent is missed, as if it had been lost; without a carrier nobody is convicted.
        let _ = self.transmitter.send(None, |buffer| frame.build(buffer));
    }

    /// Tells a virtual router what is wrong with `peer`, unless another is Active meanwhile.
    fn report_failure(&mut self, index: usize, peer: IpAddr, failure: Failure, next_in_line: bool) {
        if let Some((arrived, advertisement)) = self.unread_advertisement(index) {
            self.feed(index, Input::Advertisement(advertisement), arrived);
        }
        let now = clock::now();
        let core = &self.routers[index].core;
        if core.active_router() != Some(peer) || has_given_way(peer, self.routers[index].spoken(), now) {
            return;
        }
        if failure == Failure::Unreachable {
            // As long as its lease can run, it is able to prove that it is alive.
            let parameters = core.parameters();
            let Parameters { priority, interval, down_adverts, versions, .. } = *parameters;
            let until = now + active_down_interval(priority, interval, down_adverts, versions);
            self.liveness.peers.convict(index, peer, until);
        }
        self.feed(index, Input::ActiveFailed { failure, next_in_line }, now);
    }

    /// An advertisement for a virtual router was handled: the Active router may speak from another MAC than before.
    pub(super) fn note_speaker(&mut self, index: usize) {
        let router = &self.routers[index];
        let mailbox = self.mailboxes.read(router.slot);
        if router.core.active_router().is_some_and(|active| mailbox.source == address::to_map(active)) {
            self.liveness.peers.move_to(index, mailbox.mac);
        }
    }

    /// An advertisement for a virtual router was read: a Backup notes how long its Active router was silent before.
    pub(super) fn note_silence(&mut self, index: usize) {
        let router = &mut self.routers[index];
        let mailbox = self.mailboxes.read(router.slot);
        if let Some((gap, is_close)) = router.note_arrival(&mailbox) {
            router.recorder.note_gap(gap);
            if is_close {
                self.tell(index, News::LongSilence { peer: address::from_map(mailbox.source), gap });
            }
        }
    }

    /// An Active router has spoken, which this host may have taken for dead.
    pub(super) fn note_false_alarm(&mut self, index: usize, speaker: IpAddr, now: Instant) {
        if let Some(wait) = self.liveness.peers.acquit(index, speaker, now) {
            self.tell(index, News::FalseAlarm { peer: speaker, wait });
        }
    }
}
