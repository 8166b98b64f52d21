//! One host of the simulated LAN: an election core, the ownership cell that the data plane would judge, and the frames
//! that its agent makes and reads.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use baton::vrrp::{Checksum, Input, Instant, Parameters, Standing, VirtualRouter};
use baton::wire::{Expected, MAX_ADVERTISEMENT_FRAME, Outgoing, parse_frame};
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

/// One host.
#[derive(Debug)]
pub(super) struct Host {
    /// Its election core.
    pub(super) router: VirtualRouter<Ipv4Addr>,
    /// Whether its agent runs.
    pub(super) agent: Agent,
    /// End of the lease in the ownership cell, 0 when there is none.
    pub(super) lease_until: Instant,
    /// Whether the cell holds the linger of a planned move.
    pub(super) lingers: bool,
    /// Whether its interface has a carrier.
    pub(super) carrier: bool,
    /// When it last began to send an advertisement or claimed the role: what a lease may be counted from.
    pub(super) proof: Instant,
    /// What waits for a stalled agent.
    pub(super) inbox: VecDeque<Input<Ipv4Addr>>,
    /// Counts the agent's lives, so that what belongs to an earlier one is told apart.
    pub(super) life: u32,
    /// The deadline that it is going to be woken for.
    pub(super) alarm: Option<Instant>,
    /// Counts the alarms, so that an outdated one is told apart.
    pub(super) wake: u64,
}

impl Host {
    /// A host whose agent has not been started.
    pub(super) fn new(parameters: Parameters<Ipv4Addr>) -> Self {
        Self {
            router: VirtualRouter::new(parameters, None),
            agent: Agent::Dead,
            lease_until: Instant::default(),
            lingers: false,
            carrier: true,
            proof: Instant::default(),
            inbox: VecDeque::new(),
            life: 0,
            alarm: None,
            wake: 0,
        }
    }

    /// Whether the data plane serves the addresses at `now`.
    pub(super) fn owns(&self, now: Instant) -> bool {
        now < self.lease_until
    }

    /// Its agent is gone, with everything that was waiting for it.
    pub(super) fn die(&mut self) {
        self.agent = Agent::Dead;
        self.inbox.clear();
        self.life += 1;
        self.alarm = None;
        self.wake += 1;
    }

    /// Its agent's advertisement as a frame.
    pub(super) fn frame(&self, standing: Standing, checksum: Checksum) -> Vec<u8> {
        let parameters = self.router.parameters();
        let outgoing = Outgoing {
            mac: parameters.vrid.virtual_mac(Family::Ipv4),
            vlan: 0,
            source: parameters.primary,
            vrid: parameters.vrid,
            standing,
            interval: parameters.interval,
            checksum,
            addresses: &[VIP],
        };
        let mut buffer = [0; MAX_ADVERTISEMENT_FRAME];
        let len = outgoing.build(&mut buffer).expect("one address fits");
        buffer[..len].to_vec()
    }

    /// What its agent makes of a frame.
    pub(super) fn read(&self, frame: &[u8]) -> Input<Ipv4Addr> {
        let parameters = self.router.parameters();
        let find = |_, vrid| {
            (vrid == parameters.vrid)
                .then_some(Expected { primary: parameters.primary, checksum: parameters.checksum })
        };
        let received = parse_frame(frame, find).expect("hosts of the LAN send valid frames");
        Input::Advertisement(received.advertisement)
    }
}
