//! The driver: the one thread that runs the elections. It waits on the sockets, one deadline and the control channel,
//! feeds the core one input at a time, carries out its actions in order, and sleeps to the next deadline.
//!
//! ```text
//!  NIC -> XDP classify -> verdict
//!           | answer / deliver / drop                     (agent not involved)
//!           v redirect
//!       AF_XDP ring -> wire::parse_frame -> vrrp core.handle(input, now) -> actions
//!                                                            |- SetOwnership -> store into the mapped map
//!                                                            |- Transmit     -> frame -> transmit ring
//!                                                            |- Concede      -> one last advert, to the better router
//!                                                            |- Announce     -> gratuitous ARP, paced
//!                                                            |- Report       -> recorder, log, status
//!       one deadline -> one timer
//! ```
//!
//! It blocks on nothing but that wait: what may take its time runs in tokio on another thread.

mod actions;
mod arrival;
mod command;
mod group;
mod inbox;
mod lateness;
mod liveness;
mod network;
mod port;
mod rings;
mod router;
mod start;
mod transmitter;
mod wait;

use std::net::IpAddr;
use std::sync::mpsc::{Receiver, TryRecvError};

pub use command::{
    Command, End, Event, Load, MAX_PEERS, News, PeerSnapshot, Place, PortSnapshot, Receiving, Remote,
    RouterSnapshot, Snapshot, WatchSnapshot, channel,
};
pub use lateness::LatenessSummary;
pub use port::{Port, PortParts};
pub use rings::Rings;
pub use router::Router;
pub use transmitter::{Renewal, Transmitter};

use crate::clock;
use crate::sbfd::Profile;
use crate::stall::StallWatch;
use crate::vrrp::{Input, Instant};
use group::Group;
use lateness::Lateness;
use wait::Waiter;

/// The election thread's state: the interfaces with their virtual routers.
pub struct Driver {
    ports: Vec<Port>,
    groups: Vec<Group>,
    commands: Receiver<Command>,
    waiter: Waiter,
    ending: Option<End>,
    started: Instant,
    lateness: Lateness,
}

impl Driver {
    /// A driver for `ports`; `commands` and its eventfd come from [`channel`].
    pub fn new(ports: Vec<Port>, commands: Receiving) -> Self {
        let mut waiter = Waiter::new(commands.wake);
        for port in &ports {
            port.sockets().for_each(|fd| waiter.watch(fd));
        }
        Self {
            groups: Group::all(&ports),
            ports,
            commands: commands.queue,
            waiter,
            ending: None,
            started: Instant::default(),
            lateness: Lateness::new(),
        }
    }

    /// Takes up the leases that hold; `takes_over` says that the agent which had them has left them to this one. Then runs the
    /// elections until [`Command::Stop`] and the last virtual router has been given up, or until [`Command::PassOn`]. Active
    /// routers that this host is Backup to are watched as `profile` says; `stall` knows whether this host's CPUs run.
    pub fn run(&mut self, profile: Option<Profile>, stall: Option<&StallWatch>, takes_over: bool) -> End {
        self.started = clock::now();
        let links = self.ports.iter().map(Port::links).sum();
        let profile = profile.map(|profile| profile.among(links));
        for port in &mut self.ports {
            port.take_up_leases(profile, takes_over);
        }
        loop {
            if let Some(end) = self.end() {
                return end;
            }
            let deadline = self.deadline();
            self.waiter.wait(deadline);
            self.lateness.note(deadline, clock::now());
            // Frames first: a timer that fires late must not act on less than what has arrived.
            for port in &mut self.ports {
                port.receive(&self.waiter);
            }
            self.execute_commands();
            for port in &mut self.ports {
                port.watch_peers(stall);
                port.keep_time();
                port.renew();
            }
            self.keep_groups();
        }
    }

    /// Does what follows for groups from what has happened in this round.
    fn keep_groups(&mut self) {
        let mut is_news = false;
        for port in &mut self.ports {
            is_news |= std::mem::take(&mut port.unsettled);
        }
        if is_news {
            for group in &mut self.groups {
                group.keep_together(&mut self.ports);
            }
        }
    }

    fn end(&self) -> Option<End> {
        let is_over = match self.ending? {
            End::Stopped => self.ports.iter().all(Port::is_idle),
            End::PassedOn => self.ports.iter().all(Port::is_settled),
        };
        self.ending.filter(|_| is_over)
    }

    fn deadline(&mut self) -> Option<Instant> {
        self.ports.iter_mut().filter_map(Port::deadline).min()
    }

    fn execute_commands(&mut self) {
        loop {
            match self.commands.try_recv() {
                Ok(command) => self.execute(command),
                Err(TryRecvError::Empty) => return,
                // Whoever could stop this thread is gone; leave in order.
                Err(TryRecvError::Disconnected) => return self.stop(),
            }
        }
    }

    fn execute(&mut self, command: Command) {
        let now = clock::now();
        match command {
            // An agent that is about to end begins no new election.
            Command::Begin | Command::Undrain if self.ending.is_some() => {}
            Command::Begin => self.ports.iter_mut().for_each(|port| port.begin(now)),
            Command::Stop => self.stop(),
            Command::PassOn { given_up } => self.pass_on(&given_up),
            Command::Handover { routers, to } => {
                routers.into_iter().for_each(|place| self.feed(place, Input::Handover { to }));
            }
            Command::Drain => self.ports.iter_mut().for_each(|port| port.feed_all(Input::Drain, now)),
            Command::Undrain => self.ports.iter_mut().for_each(|port| port.undrain(now)),
            Command::Tracked { routers } => {
                for (router, priority, fitness) in routers {
                    self.feed(router, Input::Tracked { priority, fitness });
                }
            }
            Command::Link { port, sources } => {
                if let Some(port) = self.ports.get_mut(port) {
                    port.set_sources(&sources, self.ending.is_none(), now);
                }
            }
            Command::Gateways { port, gateways } => {
                if let Some(port) = self.ports.get_mut(port) {
                    port.gateways = gateways;
                }
            }
            Command::FrameHeard { port } => {
                if let Some(port) = self.ports.get_mut(port) {
                    port.feed_all(Input::FrameHeard, now);
                }
            }
            Command::AddRings { port, rings } => {
                if let Some(port) = self.ports.get_mut(port) {
                    rings.raw_fds().for_each(|fd| self.waiter.watch(fd));
                    port.transmitter.add(rings);
                }
            }
            Command::DatapathLost { port } => {
                if let Some(port) = self.ports.get_mut(port) {
                    port.feed_all(Input::DatapathLost, now);
                }
            }
            Command::AnyLeaving { routers, reply } => {
                let is_leaving = |place: &Place| {
                    let router = self.ports.get(place.port).and_then(|port| port.routers.get(place.router));
                    router.is_some_and(|router| router.core.leaving())
                };
                // As below.
                let _ = reply.send(routers.iter().any(is_leaving));
            }
            Command::Status { mut into, reply } => {
                for (port, snapshot) in self.ports.iter().zip(&mut into) {
                    port.describe(snapshot);
                }
                let (cpu, running) = (clock::of_this_thread(), now.saturating_since(self.started));
                let (lateness, late) = (self.lateness.summary(), self.lateness.spans());
                let load = Load { cpu, running, lateness, late };
                // Whoever asked may have given up; that is no concern of the election.
                let _ = reply.send(Snapshot { ports: into, load });
            }
        }
    }

    fn feed(&mut self, Place { port, router }: Place, input: Input<IpAddr>) {
        if let Some(port) = self.ports.get_mut(port) {
            port.feed(router, input, clock::now());
        }
    }

    fn stop(&mut self) {
        if self.ending != Some(End::Stopped) {
            self.ending = Some(End::Stopped);
            let now = clock::now();
            for port in &mut self.ports {
                port.feed_all(Input::Shutdown, now);
            }
        }
    }

    fn pass_on(&mut self, given_up: &[Place]) {
        if self.ending.is_some() {
            return;
        }
        self.ending = Some(End::PassedOn);
        given_up.iter().for_each(|place| self.feed(*place, Input::Shutdown));
        for port in &mut self.ports {
            port.transmitter.unhook();
        }
    }
}
