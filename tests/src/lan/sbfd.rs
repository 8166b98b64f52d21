//! S-BFD on the simulated LAN: the agent's own `Peers` and `Watch` in the driver of each host, and what the XDP programs do
//! with probes and answers.

use std::net::Ipv4Addr;
use std::time::Duration;

use baton::sbfd::{Probe, Profile, Step, has_given_way};
use baton::vrrp::{Failure, Input, Instant, Standing, active_down_interval};
use baton_common::sbfd::{Answer, FINAL, STATE_UP, Standby};

use super::step::Event;
use super::{Conditions, Lan, Sabotage, Violation};

/// What the reflector says it can take, as in XDP.
const REQUIRED_MIN_RX_US: u32 = 50;
/// How long a standby that has gone silent is remembered, as in XDP.
const STANDBY: Duration = Duration::from_millis(200);
/// Where that would be few probes, because there are many in a virtual second otherwise: so many.
const STANDBY_PROBES: u32 = 6;
/// Answers that can be waited for in an advertisement interval, if the LAN is fast enough. Half as many probes.
const PATIENCE: u32 = 12;

/// How the hosts of a LAN watch their Active router.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watching {
    pub(super) profile: Profile,
    /// How long a standby that has gone silent is remembered.
    pub(super) memory: Duration,
    /// How late a host may notice a deadline.
    latency: Duration,
}

impl Watching {
    /// Scaled to the LAN: the patience is twice the way of a frame and back, as a watch would make it.
    pub(super) fn new(conditions: &Conditions, interval: Duration, multiplier: u8) -> Self {
        let round_trip = Duration::from_nanos(2 * conditions.delay.1);
        let patience = (interval / PATIENCE).max(round_trip * 2);
        let profile = Profile { interval: patience * 2, patience, multiplier };
        Self {
            profile,
            memory: STANDBY.max(profile.interval * STANDBY_PROBES),
            latency: Duration::from_nanos(conditions.latency),
        }
    }

    /// The same without patience for the way of a frame.
    pub(super) fn hasty(self, conditions: &Conditions) -> Self {
        let patience = Duration::from_nanos(conditions.delay.0) / 2;
        Self { profile: Profile { patience, ..self.profile }, ..self }
    }

    /// How soon a peer that answers nothing is found out: the rest of an interval, the multiplier, and two more if an
    /// advertisement was under way that arrives after the first probe without answer has left.
    pub(super) fn silence(&self) -> Duration {
        let Profile { interval, patience, multiplier } = self.profile;
        interval + (patience + self.latency) * (u32::from(multiplier) + 2) + self.latency
    }

    /// How soon one that says AdminDown is found out: the rest of an interval, and the patience after which the answer is
    /// read.
    pub(super) fn lapse(&self) -> Duration {
        self.profile.interval + self.profile.patience + self.latency * 2
    }
}

/// The driver, as in the agent's `driver::liveness`.
impl Lan {
    /// Probes the Active router that a host is Backup to, and tells its core what is wrong with it.
    pub(super) fn watch_peers(&mut self, who: usize) -> Result<(), Violation> {
        if !self.runs(who) || self.watching.is_none() {
            return Ok(());
        }
        self.choose_peer(who);
        for index in 0..self.hosts[who].peers.watches().len() {
            self.hear_answer(who, index)?;
            self.probe(who, index)?;
        }
        let host = &mut self.hosts[who];
        let up = host.peers.session(0).filter(|(_, session)| session.is_up()).map(|(watch, _)| watch.peer);
        if up != host.up.map(|(peer, _)| peer) {
            host.up = up.map(|peer| (peer, self.now));
        }
        Ok(())
    }

    fn choose_peer(&mut self, who: usize) {
        let active = self.hosts[who].router.active_router();
        let Some(peer) = self.hosts[who].peers.follow(0, active) else { return };
        let spoke_last = self.hosts[who].mailbox.is_some_and(|(_, advert)| advert.source == peer);
        if spoke_last && let Some(index) = self.host_at(peer) {
            let discriminator = self.hosts[index].discriminator();
            self.hosts[who].peers.begin_session(0, discriminator, peer, [0; 6], self.now);
        }
    }

    fn hear_answer(&mut self, who: usize, index: usize) -> Result<(), Violation> {
        let now = self.now;
        let host = &mut self.hosts[who];
        let (answer, mailbox) = (host.answer, host.mailbox);
        let watch = &mut host.peers.watches_mut()[index];
        let peer = watch.peer;
        let claim =
            mailbox.filter(|(_, advert)| advert.source == peer && advert.standing != Standing::Leaving);
        let claimed = claim.map(|(arrived, _)| arrived).unwrap_or_default();
        match watch.hear(0, &answer, claimed, now) {
            Some(failure) => self.report_failure(who, peer, failure, answer.next_in_line != 0),
            None => Ok(()),
        }
    }

    fn probe(&mut self, who: usize, index: usize) -> Result<(), Violation> {
        loop {
            let now = self.now;
            let host = &mut self.hosts[who];
            let watch = &mut host.peers.watches_mut()[index];
            let peer = watch.peer;
            let heard = host.mailbox.filter(|(_, advert)| advert.source == peer);
            let heard = heard.map(|(arrived, _)| arrived).unwrap_or_default();
            match watch.poll(now, || heard, |_| true) {
                None => return self.hear_answer(who, index),
                Some(Step::Probe(probe)) => self.send_probe(who, peer, probe),
                Some(Step::Unreachable) => {
                    while let Some((_, next)) = self.hosts[who].peers.watches_mut()[index].fail(now) {
                        if self.hosts[who].carrier {
                            self.report_failure(who, peer, Failure::Unreachable, next)?;
                        }
                    }
                }
            }
        }
    }

    fn report_failure(
        &mut self,
        who: usize,
        peer: Ipv4Addr,
        failure: Failure,
        next_in_line: bool,
    ) -> Result<(), Violation> {
        if let Some((arrived, advertisement)) = self.hosts[who].unread() {
            self.feed(who, Input::Advertisement(advertisement), arrived)?;
        }
        let host = &mut self.hosts[who];
        let others = host.spoken.values().copied();
        if host.router.active_router() != Some(peer) || has_given_way(peer, others, self.now) {
            return Ok(());
        }
        if failure == Failure::Unreachable {
            let parameters = host.router.parameters();
            let until = self.now
                + active_down_interval(
                    parameters.priority,
                    parameters.interval,
                    parameters.down_adverts,
                    parameters.versions,
                );
            host.peers.convict(0, peer, until);
        }
        if next_in_line {
            self.judge.next_in_line(&self.hosts, who, peer, self.now)?;
        }
        self.feed(who, Input::ActiveFailed { failure, next_in_line }, self.now)
    }

    fn send_probe(&mut self, who: usize, peer: Ipv4Addr, probe: Probe) {
        if let Some(to) = self.host_at(peer) {
            self.pass(who, to, |from| Event::Probe { from, to, probe });
        }
    }
}

/// The data planes, which work while their host has power.
impl Lan {
    /// A probe arrives: the XDP program answers, whatever the agent does.
    pub(super) fn reflect(&mut self, from: usize, to: usize, probe: Probe) {
        let (rank, now) = (self.hosts[from].rank(), self.now);
        let memory = self.watching.map(|watching| watching.memory).unwrap_or_default();
        let host = &mut self.hosts[to];
        if !host.carrier || !host.datapath || probe.discriminator != host.discriminator() {
            return self.judge.stray(from, to, now);
        }
        let is_offered = host.owns(now) && host.offered == Some(rank.1);
        let leaves = host.lingers && (host.offered.is_none() || is_offered);
        let in_service = host.owns(now) && !leaves || self.sabotage == Some(Sabotage::AlwaysUp);
        let next_in_line = probe.up && (stand_by(&mut host.standby, rank, memory, now) || is_offered)
            || self.sabotage == Some(Sabotage::EverybodyNext);
        let answer = Answer {
            arrived_ns: 0,
            sequence: probe.sequence,
            discriminator: probe.discriminator,
            lease_left_us: 0,
            required_min_rx_us: REQUIRED_MIN_RX_US,
            state: if in_service { STATE_UP } else { 0 } | if probe.poll { FINAL } else { 0 },
            next_in_line: next_in_line.into(),
            _pad: [0; 6],
        };
        self.pass(to, from, |to| Event::Answer { from: to, to: from, answer });
    }

    /// An answer arrives, and is kept until the next overwrites it.
    pub(super) fn keep_answer(&mut self, from: usize, to: usize, answer: &Answer) {
        let mut arrived_ns = self.now.as_nanos();
        if self.sabotage == Some(Sabotage::Haste) {
            // As if the way took no time: nobody learns to wait for it.
            arrived_ns -= 2 * self.network.conditions.delay.0;
        }
        let host = &mut self.hosts[to];
        if host.carrier && host.datapath {
            host.answer = Answer { arrived_ns, ..*answer };
        } else {
            self.judge.stray(from, to, self.now);
        }
    }

    /// Sends an S-BFD packet on its way.
    fn pass(&mut self, from: usize, to: usize, event: impl Fn(usize) -> Event) {
        let mut arrivals = Vec::new();
        if self.hosts[from].carrier {
            arrivals = self.network.carry(from, to, self.now.as_nanos(), &mut self.random);
        }
        // A copy that comes late may hide a later answer.
        if arrivals.is_empty() || self.is_late(&arrivals) {
            self.judge.stray(from, to, self.now);
        }
        for at in arrivals {
            self.push(Instant::from_nanos(at), event(from));
        }
    }

    /// Whether one of these arrivals is out of order.
    pub(super) fn is_late(&self, arrivals: &[u64]) -> bool {
        let in_time = self.now.as_nanos() + self.network.conditions.delay.1 + 1000;
        arrivals.iter().any(|at| *at > in_time)
    }

    fn host_at(&self, address: Ipv4Addr) -> Option<usize> {
        self.hosts.iter().position(|host| host.address() == address)
    }
}

/// What the XDP program decides with the cell of the best standby, see `is_next_in_line` there.
fn stand_by(cell: &mut Standby, (priority, address): (u8, Ipv4Addr), memory: Duration, now: Instant) -> bool {
    let [a, b, c, d, ..] = cell.address;
    let is_fresh = now.saturating_since(Instant::from_nanos(cell.seen_ns)) < memory;
    let best = Ipv4Addr::new(a, b, c, d);
    if is_fresh && best != address && (priority, address) < (cell.priority, best) {
        return false;
    }
    cell.address[..4].copy_from_slice(&address.octets());
    (cell.priority, cell.seen_ns) = (priority, now.as_nanos());
    true
}
