//! Which peers are watched by S-BFD, and what the virtual routers are told of them.

use std::net::Ipv4Addr;
use std::time::Duration;

use baton_common::sbfd::{FIRST_SOURCE_PORT, discriminator};

use super::command::{Event, MAX_PEERS, WatchSnapshot};
use super::port::Port;
use crate::clock;
use crate::datapath::Answers;
use crate::sbfd::{Probe, Profile, Step, Watch};
use crate::stall::StallWatch;
use crate::vrrp::{Failure, Input, Instant, active_down_interval};
use crate::wire::{Mac, SbfdProbe};

/// How long a peer is not believed dead on missing answers, after it once was and was not: at first, and at the most.
const DISTRUST: Duration = Duration::from_secs(1);
const LONGEST_DISTRUST: Duration = Duration::from_secs(256);
/// After this time without another mistake the distrust begins anew.
const FORGIVEN: Duration = Duration::from_secs(600);

/// The peers of one interface that are watched.
pub(super) struct Liveness {
    answers: Answers,
    /// How they are watched; `None` where nobody is.
    profile: Option<Profile>,
    watches: Vec<Watch<Ipv4Addr>>,
    /// Whom each virtual router has a session with.
    targets: Vec<Option<Ipv4Addr>>,
    distrust: Vec<Distrust>,
}

/// A peer that was taken for dead and was not.
#[derive(Clone, Copy)]
struct Distrust {
    peer: Ipv4Addr,
    until: Instant,
    wait: Duration,
}

impl Liveness {
    pub(super) fn new(answers: Answers, routers: usize) -> Self {
        Self {
            answers,
            profile: None,
            watches: Vec::with_capacity(MAX_PEERS),
            targets: vec![None; routers],
            distrust: Vec::with_capacity(MAX_PEERS),
        }
    }

    pub(super) fn set_profile(&mut self, profile: Option<Profile>) {
        self.profile = profile;
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.watches.iter().filter_map(Watch::deadline).min()
    }

    /// What `status` shows of a virtual router's session.
    pub(super) fn describe(&self, router: usize) -> Option<WatchSnapshot> {
        let peer = self.targets.get(router).copied().flatten()?;
        let watch = self.watches.iter().find(|watch| watch.peer == peer)?;
        let session = watch.sessions().iter().find(|session| session.router == router)?;
        Some(WatchSnapshot {
            peer,
            up: session.is_up(),
            next_in_line: session.next_in_line,
            missed: watch.missed,
            vetoed: watch.vetoed,
        })
    }

    fn trusts(&self, peer: Ipv4Addr, now: Instant) -> bool {
        !self.distrust.iter().any(|distrust| distrust.peer == peer && now < distrust.until)
    }

    /// `peer` was taken for dead and was not. Answers with how long it is left to the timers of VRRP.
    fn distrust(&mut self, peer: Ipv4Addr, now: Instant) -> Duration {
        let known = self.distrust.iter_mut().find(|distrust| distrust.peer == peer);
        if let Some(known) = known {
            let again = now < known.until + FORGIVEN;
            known.wait = if again { LONGEST_DISTRUST.min(known.wait * 2) } else { DISTRUST };
            known.until = now + known.wait;
            return known.wait;
        }
        if self.distrust.len() == MAX_PEERS {
            self.distrust.swap_remove(0);
        }
        self.distrust.push(Distrust { peer, until: now + DISTRUST, wait: DISTRUST });
        DISTRUST
    }

    /// Ends the session of `router`, whoever it is with.
    fn leave(&mut self, router: usize) {
        if self.targets[router].take().is_some() {
            self.watches.iter_mut().for_each(|watch| watch.leave(router));
            self.watches.retain(|watch| !watch.sessions().is_empty());
        }
    }

    /// Begins a session of `router` with `peer`, whose adverts come from `mac`.
    fn join(&mut self, router: usize, vrid: u8, peer: Ipv4Addr, mac: Mac, now: Instant) {
        let Some(profile) = self.profile.filter(|_| self.trusts(peer, now)) else { return };
        let known = self.watches.iter().position(|watch| watch.peer == peer);
        if known.is_none() && self.watches.len() == MAX_PEERS {
            return;
        }
        let index = known.unwrap_or_else(|| {
            self.watches.push(Watch::new(peer, mac, profile, self.targets.len()));
            self.watches.len() - 1
        });
        self.watches[index].join(router, discriminator(peer.octets(), vrid), now);
        self.targets[router] = Some(peer);
    }
}

impl Port {
    /// Probes the Active routers that this host is Backup to, and tells its virtual routers what is wrong with them.
    pub(super) fn watch_peers(&mut self, stall: Option<&StallWatch>) {
        self.choose_peers();
        for index in 0..self.liveness.watches.len() {
            self.hear_answers(index);
            self.probe(index, stall);
        }
    }

    /// A session for every virtual router that is Backup to a peer, with that peer.
    fn choose_peers(&mut self) {
        for (index, router) in self.routers.iter().enumerate() {
            let active = router.core.active_router();
            if active == self.liveness.targets[index] {
                continue;
            }
            self.liveness.leave(index);
            let Some(peer) = active else { continue };
            // The mailbox knows where the advert came from, unless another router's has arrived since.
            let mailbox = self.mailboxes.read(router.slot);
            if mailbox.source[..4] == peer.octets() {
                let vrid = router.core.parameters().vrid.get();
                self.liveness.join(index, vrid, peer, mailbox.mac, clock::now());
            }
        }
    }

    fn hear_answers(&mut self, index: usize) {
        let now = clock::now();
        for router in 0..self.routers.len() {
            let answer = self.liveness.answers.read(self.routers[router].slot);
            let watch = &mut self.liveness.watches[index];
            if let Some(failure) = watch.hear(router, &answer, now) {
                let (peer, next_in_line) = (watch.peer, answer.next_in_line != 0);
                self.report_failure(router, peer, failure, next_in_line);
            }
        }
    }

    fn probe(&mut self, index: usize, stall: Option<&StallWatch>) {
        let now = clock::now();
        loop {
            let heard = self.last_heard(self.liveness.watches[index].peer);
            let watch = &mut self.liveness.watches[index];
            let sound = !watch.is_in_doubt() || stall.is_none_or(StallWatch::all_run);
            match watch.poll(now, heard, sound) {
                None => break,
                Some(Step::Probe(probe)) => self.send_probe(index, &probe),
                // Without a carrier it is this host that cannot be reached, and it will be told so.
                Some(Step::Unreachable) => {
                    let reachable = self.ethtool.is_running();
                    while let Some((router, next)) = self.liveness.watches[index].fail(now) {
                        if reachable {
                            let peer = self.liveness.watches[index].peer;
                            self.report_failure(router, peer, Failure::Unreachable, next);
                        }
                    }
                }
            }
        }
        if self.liveness.watches[index].is_in_doubt()
            && let Some(stall) = stall
        {
            stall.ask();
        }
        // Where frames pass without an interrupt (veth) the answer is there when the probe has been sent.
        self.hear_answers(index);
    }

    /// When `peer` last advertised for any virtual router, as XDP has stamped it.
    fn last_heard(&self, peer: Ipv4Addr) -> Instant {
        let from_peer = self.routers.iter().map(|router| self.mailboxes.read(router.slot));
        let stamps = from_peer.filter(|mailbox| mailbox.source[..4] == peer.octets());
        stamps.map(|mailbox| Instant::from_nanos(mailbox.arrived_ns)).max().unwrap_or_default()
    }

    fn send_probe(&mut self, index: usize, probe: &Probe) {
        let watch = &self.liveness.watches[index];
        let router = &self.routers[probe.router];
        let parameters = router.core.parameters();
        let vrid = parameters.vrid.get();
        let frame = SbfdProbe {
            mac: self.device_mac,
            peer_mac: watch.mac,
            vlan: router.vlan(),
            source: parameters.primary,
            peer: watch.peer,
            // Slots are below MAX_ROUTERS, which leaves room above the first port.
            port: FIRST_SOURCE_PORT + u16::try_from(router.slot).unwrap_or_default(),
            up: probe.up,
            poll: probe.poll,
            multiplier: probe.multiplier,
            my_discriminator: discriminator(parameters.primary.octets(), vrid),
            your_discriminator: probe.discriminator,
            interval: probe.interval,
            sequence: probe.sequence,
            priority: parameters.priority.get(),
        };
        // One that cannot be sent is missed, as if it had been lost; without a carrier nobody is convicted.
        let _ = self.transmitter.send(None, |buffer| frame.build(buffer));
    }

    /// Tells a virtual router what is wrong with `peer`, unless it has heard of another Active router meanwhile.
    fn report_failure(&mut self, index: usize, peer: Ipv4Addr, failure: Failure, next_in_line: bool) {
        if let Some((arrived, advertisement)) = self.unread_advertisement(index) {
            self.feed(index, Input::Advertisement(advertisement), arrived);
        }
        let core = &self.routers[index].core;
        if core.active_router() != Some(peer) {
            return;
        }
        let now = clock::now();
        if failure == Failure::Unreachable && next_in_line {
            // As long as its lease can run, it is able to prove that it is alive.
            let parameters = core.parameters();
            let until = now + active_down_interval(parameters.priority, parameters.interval);
            self.routers[index].succeeded = Some((peer, until));
        }
        self.feed(index, Input::ActiveFailed { failure, next_in_line }, now);
    }

    /// An Active router has spoken. If this host took over because it was thought dead, it is not believed dead so soon
    /// again: the timers of VRRP watch it meanwhile.
    pub(super) fn check_verdict(&mut self, index: usize, speaker: Ipv4Addr, now: Instant) {
        let Some((peer, until)) = self.routers[index].succeeded else { return };
        if now >= until {
            self.routers[index].succeeded = None;
        } else if peer == speaker {
            self.routers[index].succeeded = None;
            let wait = self.liveness.distrust(peer, now);
            let _ = self.events.try_send(Event::FalseAlarm { port: self.index, router: index, peer, wait });
        }
    }
}
