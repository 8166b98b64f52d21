//! The rule about S-BFD: a router that serves is left alone, and one that does not is succeeded soon, by the best.

use std::net::Ipv4Addr;
use std::time::Duration;

use baton::vrrp::{Fitness, Instant, Reason, skew_time};

use super::host::{Agent, Host};
use super::judge::{Judge, Rule, Violation, text};
use super::sbfd::Watching;

/// What the judge has to remember for it.
#[derive(Debug)]
pub(super) struct Succession {
    /// How Active routers are watched, if they are.
    watching: Option<Watching>,
    /// Per pair of hosts, when a frame between them last came late, or an S-BFD packet got lost.
    strays: Vec<Vec<Option<Instant>>>,
    /// Who owned last.
    pub(super) owner: Option<Ipv4Addr>,
    /// The beginning of the last gap that was looked at.
    gap: Option<Instant>,
    /// When somebody must own again, if those who watched the last owner do as they should.
    pub(super) promised: Option<Instant>,
}

impl Succession {
    /// Nothing is known of so many hosts.
    pub(super) fn new(hosts: usize) -> Self {
        Self {
            watching: None,
            strays: vec![vec![None; hosts]; hosts],
            owner: None,
            gap: None,
            promised: None,
        }
    }
}

impl Judge {
    /// Active routers are watched.
    pub(super) fn watch(&mut self, watching: Watching) {
        self.succession.watching = Some(watching);
    }

    /// A frame came late, or an S-BFD packet got lost.
    pub(super) fn stray(&mut self, from: usize, to: usize, now: Instant) {
        self.succession.strays[from][to] = Some(now);
        self.succession.strays[to][from] = Some(now);
    }

    /// `who` takes over because of what S-BFD says of the router that it `listened` to, and hears that `other` owns.
    ///
    /// That router itself must not be the one, unless it was started again this moment and its first word is under way. Anybody
    /// else may just have taken over, or `who` ignores it because it is going to preempt it. On a bad LAN a third may serve in silence; and `who` may have been misled within the time that
    /// a finding and the wait of a Backup take, by frames that got lost or were overtaken, because that router has come
    /// back, or because its ring is deaf and of several adverts its mailbox has but the last.
    pub(super) fn is_no_mistake(
        &self,
        hosts: &[Host],
        (who, other): (usize, usize),
        listened: Option<Ipv4Addr>,
        reason: Reason,
        now: Instant,
    ) -> Result<(), Violation> {
        let Some(watching) = self.succession.watching else { return Ok(()) };
        let is_recent = |at: Instant| now <= at + watching.silence() + self.terms.interval + self.settling;
        let strayed = |peer: usize| self.succession.strays[who][peer].is_some_and(is_recent);
        let peer = hosts.iter().position(|host| Some(host.address()) == listened);
        let speaks = hosts[other].agent == Agent::Running;
        let contest = now <= self.stirred[other] + self.settling
            || peer != Some(other)
                && (hosts[who].preempts(&hosts[other], now) && speaks || !speaks && !self.strict);
        let misled = self.lost[other][who].0 > 0
            || now < hosts[who].deaf_until
            || strayed(other)
            || peer.is_some_and(|peer| strayed(peer) || is_recent(self.stirred[peer]));
        if contest || (misled && !self.strict) {
            return Ok(());
        }
        let details = format!(
            "{who}, which listened to {listened:?}, takes over ({reason}) while {other} ({:?}) owns until {}",
            hosts[other].agent,
            text(hosts[other].lease_until)
        );
        Err(Violation { rule: Rule::Succession, at: now, details })
    }

    /// `who` acts as the next in line after `peer`: it was named, or nobody better must have watched that for long. Only where no frame is
    /// lost is it sure that `peer` could know.
    pub(super) fn next_in_line(
        &self,
        hosts: &[Host],
        who: usize,
        peer: Ipv4Addr,
        now: Instant,
    ) -> Result<(), Violation> {
        let Some(watching) = self.succession.watching.filter(|_| self.strict) else { return Ok(()) };
        if hosts.iter().any(|host| host.address() == peer && host.named == Some(hosts[who].address())) {
            return Ok(());
        }
        let known = watching.memory + watching.silence();
        let better = hosts.iter().enumerate().position(|(other, host)| {
            let watches = host.up.is_some_and(|(watched, since)| watched == peer && since + known < now);
            watches
                && host.is_present()
                && self.stirred[other] + known < now
                && host.rank() > hosts[who].rank()
        });
        let Some(better) = better else { return Ok(()) };
        let details = format!("{who} acts as next in line after {peer}, {better} is better");
        Err(Violation { rule: Rule::Succession, at: now, details })
    }

    /// While nobody owns: whoever watched the last owner succeeds it soon.
    pub(super) fn is_succeeded(&mut self, hosts: &[Host], until: Instant) -> Result<(), Violation> {
        if self.covered >= until {
            return Ok(());
        }
        if self.succession.gap != Some(self.covered) {
            self.succession.gap = Some(self.covered);
            self.succession.promised = self.promise(hosts);
        }
        match self.succession.promised {
            Some(promised) if promised < until => {
                let details = format!("nobody serves from {} to {}", text(self.covered), text(until));
                Err(Violation { rule: Rule::Succession, at: until, details })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// When the first of those that the last owner has answered Up finds out that it does not serve and acts: at once if
    /// it is the next in line, else after its Skew_Time.
    fn promise(&self, hosts: &[Host]) -> Option<Instant> {
        let watching = self.succession.watching.filter(|_| self.strict)?;
        let owner = hosts.iter().find(|host| Some(host.address()) == self.succession.owner)?;
        let answers = owner.datapath && owner.carrier;
        let detection = if answers { watching.lapse() } else { watching.silence() };
        let wants = |host: &&Host| host.is_present() && host.router.fitness() == Fitness::Fit;
        let waits = hosts.iter().filter(wants).filter_map(|host| {
            let (watch, session) = host.peers.session(0)?;
            let own = host.router.parameters();
            let wait = if session.next_in_line {
                Duration::ZERO
            } else {
                skew_time(own.priority, own.interval, own.versions) + Duration::from_nanos(1)
            };
            (session.is_up() && watch.peer == owner.address()).then_some(wait)
        });
        waits.min().map(|wait| self.covered + detection + wait)
    }
}
