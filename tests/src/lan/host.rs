//! One host of the simulated LAN: its agent with the election core, the cells that it shares with its data plane, and the
//! frames that it makes and reads.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};

use baton::address;
use baton::driver::MAX_PEERS;
use baton::sbfd::{Peers, Spoken};
use baton::vrrp::{
    Advertisement, Checksum, Fitness, Input, Instant, Ownership, Parameters, Priority, Standing,
    VirtualRouter, lease_interval,
};
use baton::wire::{Discard, Expected, MAX_ADVERTISEMENT_FRAME, Outgoing, parse_frame};
use baton_common::maps::mapped;
use baton_common::sbfd::{Answer, Standby, discriminator};
use baton_common::vrid::Family;

/// The address that the hosts share.
const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);

/// Whether the agent of a host runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agent {
    /// It does.
    Running,
    /// It is stopped, as by SIGSTOP: what arrives waits.
    Stalled,
    /// It is gone. The data plane serves on until the lease ends.
    Dead,
}

/// The guardian of a host.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Guardian {
    /// Whether it stands by an agent that runs, or has died this moment.
    pub(super) stands_by: bool,
    /// Counts the guardians that were killed, so that what one of them was about to do is told apart.
    pub(super) killed: u32,
}

/// One host.
#[derive(Debug)]
pub(super) struct Host {
    /// Its election core.
    pub(super) router: VirtualRouter<Ipv4Addr>,
    /// What its operator has decided, with the priority that weights leave of it.
    pub(super) configured: Parameters<Ipv4Addr>,
    /// Whether its trackers find it out of order.
    pub(super) is_failing: bool,
    /// Whom its agent watches.
    pub(super) peers: Peers<Ipv4Addr>,
    /// Whether its agent runs.
    pub(super) agent: Agent,
    /// Counts the agent's lives, so that what belongs to an earlier one is told apart.
    pub(super) life: u32,
    /// What stands by the agent.
    pub(super) guardian: Guardian,
    /// What waits for the agent's next round.
    pub(super) waiting: Waiting,
    /// Until when its ring shows nothing of what arrives.
    pub(super) deaf_until: Instant,
    /// When an advertisement was last handled; what the mailbox has beyond that is news.
    pub(super) heard: Instant,
    /// The last advertisement of each other router.
    pub(super) spoken: BTreeMap<Ipv4Addr, Spoken<Ipv4Addr>>,
    /// The router that answers Up, and since when.
    pub(super) up: Option<(Ipv4Addr, Instant)>,
    /// The deadline that it is going to be woken for.
    pub(super) alarm: Option<Instant>,
    /// Counts the alarms, so that an outdated one is told apart.
    pub(super) wake: u64,

    /// Whether it has power and its XDP program.
    pub(super) datapath: bool,
    /// Whether its interface has a carrier.
    pub(super) carrier: bool,
    /// End of the lease in the ownership cell, 0 when there is none.
    pub(super) lease_until: Instant,
    /// Whether the cell holds the linger of a planned move.
    pub(super) lingers: bool,
    /// The only host that is told so.
    pub(super) offered: Option<Ipv4Addr>,
    /// The host that was last told so alone: its answer may be on the way when the offer is over.
    pub(super) named: Option<Ipv4Addr>,
    /// The last advertisement, and when it arrived.
    pub(super) mailbox: Option<(Instant, Advertisement<Ipv4Addr>)>,
    /// The last answer to a probe.
    pub(super) answer: Answer,
    /// Who would succeed it.
    pub(super) standby: Standby,

    /// When it last began to send an advertisement or claimed the role: what a lease may be counted from.
    pub(super) proof: Instant,
}

/// What an agent finds in its next round.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Advertisements, and when the ring shows them.
    pub(super) ring: VecDeque<(Instant, Advertisement<Ipv4Addr>)>,
    /// The operator's wishes, and what the kernel tells.
    pub(super) commands: VecDeque<Input<Ipv4Addr>>,
    /// When transmissions that are complete were begun.
    pub(super) sent: VecDeque<Instant>,
}

impl Host {
    /// A host whose agent has not been started.
    pub(super) fn new(parameters: Parameters<Ipv4Addr>) -> Self {
        Self {
            router: VirtualRouter::new(parameters, None),
            configured: parameters,
            is_failing: false,
            peers: Peers::new(1, MAX_PEERS),
            agent: Agent::Dead,
            life: 0,
            guardian: Guardian::default(),
            waiting: Waiting::default(),
            deaf_until: Instant::default(),
            heard: Instant::default(),
            spoken: BTreeMap::new(),
            up: None,
            alarm: None,
            wake: 0,
            datapath: true,
            carrier: true,
            lease_until: Instant::default(),
            lingers: false,
            offered: None,
            named: None,
            mailbox: None,
            answer: Answer::default(),
            standby: Standby::default(),
            proof: Instant::default(),
        }
    }

    /// Whether the data plane serves the addresses at `now`.
    pub(super) fn owns(&self, now: Instant) -> bool {
        now < self.lease_until
    }

    /// What the ownership cell says; a lease may have lapsed.
    pub(super) fn ownership(&self) -> Ownership {
        match self.lease_until {
            until if until == Instant::default() => Ownership::Released,
            until if self.lingers && self.offered.is_some() => Ownership::Offered(until),
            until if self.lingers => Ownership::Lingering(until),
            until => Ownership::Held(until),
        }
    }

    /// Whether its agent runs and can be reached.
    pub(super) fn is_present(&self) -> bool {
        self.agent == Agent::Running && self.carrier
    }

    /// Its address.
    pub(super) fn address(&self) -> Ipv4Addr {
        self.router.parameters().primary
    }

    /// Its S-BFD discriminator.
    pub(super) fn discriminator(&self) -> u32 {
        discriminator(mapped(self.address().octets()), self.router.parameters().vrid.get())
    }

    /// Its place among those that want to succeed.
    pub(super) fn rank(&self) -> (u8, Ipv4Addr) {
        (self.router.parameters().priority.get(), self.address())
    }

    /// Its agent starts, from nothing but what the data plane remembers. Answers with its first input: like the driver it
    /// takes up a lease that holds, unless another has advertised since. `obeyed` is what it makes of its configuration.
    pub(super) fn start(
        &mut self,
        tracking: bool,
        obeyed: impl Fn(Parameters<Ipv4Addr>) -> Parameters<Ipv4Addr>,
        now: Instant,
    ) -> Input<Ipv4Addr> {
        self.die();
        self.agent = Agent::Running;
        self.guardian.stands_by = true;
        let router = VirtualRouter::new(obeyed(self.configured), self.router.heard());
        self.router = if tracking || self.is_failing { router.tracked() } else { router };
        self.peers = Peers::new(1, MAX_PEERS);
        self.spoken.clear();
        self.heard = self.mailbox.map(|(arrived, _)| arrived).unwrap_or_default();
        self.datapath = true;
        let Parameters { interval, down_adverts, .. } = *self.router.parameters();
        let worth = lease_interval(interval, down_adverts);
        match self.ownership() {
            Ownership::Held(until) | Ownership::Offered(until)
                if self.carrier && now < until && self.heard + worth <= until =>
            {
                Input::StartupWithLease(until)
            }
            Ownership::Held(_) | Ownership::Offered(_) | Ownership::Lingering(_) | Ownership::Released => {
                self.lease_until = Instant::default();
                Input::Startup
            }
        }
    }

    /// What its trackers tell the election.
    pub(super) fn tracked(&self) -> Input<Ipv4Addr> {
        if self.is_failing {
            Input::Tracked { priority: Priority::LAST_RESORT, fitness: Fitness::Failing }
        } else {
            Input::Tracked { priority: self.configured.priority, fitness: Fitness::Fit }
        }
    }

    /// Whether it takes the role from `active`.
    pub(super) fn preempts(&self, active: &Self, now: Instant) -> bool {
        let (own, other) = (self.router.parameters(), active.router.parameters().priority);
        let may = self.router.preempts_from().is_none_or(|from| from <= now) && !self.router.yielded();
        let preempts = may && (own.preempt || own.priority == Priority::ADDRESS_OWNER);
        let is_willing = preempts || other == Priority::LAST_RESORT;
        self.router.fitness() == Fitness::Fit && own.priority > other && is_willing
    }

    /// Its agent is gone, with everything that was waiting for it, and its guardian has nothing to do.
    pub(super) fn die(&mut self) {
        self.agent = Agent::Dead;
        self.guardian.stands_by = false;
        self.waiting = Waiting::default();
        self.up = None;
        self.life += 1;
        self.alarm = None;
        self.wake += 1;
    }

    /// Its guardian is killed, whatever it was about to do.
    pub(super) fn lose_guardian(&mut self) {
        self.guardian.stands_by = false;
        self.guardian.killed += 1;
    }

    /// The power is gone, and with it what the data plane knew.
    pub(super) fn go_dark(&mut self) {
        self.die();
        self.lose_guardian();
        self.datapath = false;
        self.lease_until = Instant::default();
        self.mailbox = None;
        self.answer = Answer::default();
        self.standby = Standby::default();
    }

    /// Its agent has read an advertisement.
    pub(super) fn note(&mut self, advertisement: &Advertisement<Ipv4Addr>, heard: Instant) {
        let Advertisement { source: router, standing, interval, .. } = *advertisement;
        self.heard = heard;
        self.spoken.insert(router, Spoken { router, standing, interval, heard });
    }

    /// What the mailbox has that was not read from the ring.
    pub(super) fn unread(&mut self) -> Option<(Instant, Advertisement<Ipv4Addr>)> {
        let (arrived, advertisement) = self.mailbox.filter(|(arrived, _)| *arrived > self.heard)?;
        self.heard = arrived;
        Some((arrived, advertisement))
    }

    /// Its agent's advertisement as a frame, in each version that it speaks.
    pub(super) fn frames(&self, standing: Standing, checksum: Checksum) -> Vec<Vec<u8>> {
        let parameters = self.router.parameters();
        let (first, last) = parameters.versions.sent();
        let frame = |version| {
            let outgoing = Outgoing {
                mac: parameters.vrid.virtual_mac(Family::Ipv4),
                vlan: 0,
                source: parameters.primary.into(),
                version,
                vrid: parameters.vrid,
                standing,
                interval: parameters.interval,
                checksum,
                addresses: &[IpAddr::V4(VIP)],
            };
            let mut buffer = [0; MAX_ADVERTISEMENT_FRAME];
            let len =
                outgoing.build(address::vrrp_group(Family::Ipv4), &mut buffer).expect("one address fits");
            buffer[..len].to_vec()
        };
        first.into_iter().chain([last]).map(frame).collect()
    }

    /// What it makes of a frame; nothing of one in a version that it does not speak.
    pub(super) fn read(&self, frame: &[u8]) -> Option<Advertisement<Ipv4Addr>> {
        let parameters = self.router.parameters();
        let Parameters { versions, interval, checksum, primary, .. } = *parameters;
        let expected = Expected::multicast(primary.into(), versions, interval, checksum);
        let find = |_, _, vrid| (vrid == parameters.vrid).then_some(expected);
        let advertisement = match parse_frame(frame, find) {
            Err(Discard::Version(_)) => return None,
            parsed => parsed.expect("hosts of the LAN send valid frames").advertisement,
        };
        let Advertisement { source, standing, interval, version, checksum } = advertisement;
        let IpAddr::V4(source) = source else { panic!("{source} on a LAN of IPv4") };
        Some(Advertisement { source, standing, interval, version, checksum })
    }
}
