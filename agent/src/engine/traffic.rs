//! What a worker has done, counted by it alone and read by anybody.

use std::sync::atomic::{AtomicU64, Ordering};

use super::flows::Target;
use crate::xsk::RingLosses;

/// Why a frame was not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It is no TCP or UDP packet, or broken; or an ICMP error, to be translated, about a flow that is not known.
    NoFlow,
    /// No service is there, and it is no answer that is to be translated.
    NoService,
    /// No backend can be had.
    NoBackend,
    /// It is too long for the tunnel to its backend. The client was told so, if it wants to know and not too many were.
    TooLong,
    /// No buffer is free for what does not fit into its first one any more behind the header of a tunnel.
    NoBuffer,
    /// None of the ports that were tried for it behind NAT is free, or has room in the table of translations.
    NoPort,
    /// It has passed too many routers: NAT is one more.
    Expired,
    /// The kernel found no room for it, as the worker is behind with those before, or it is too long. The worker has not seen it.
    NoRoom,
    /// The kernel did not send it as the worker wanted it sent.
    Refused,
}

impl Loss {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 9] = [
        Self::NoFlow,
        Self::NoService,
        Self::NoBackend,
        Self::TooLong,
        Self::NoBuffer,
        Self::NoPort,
        Self::Expired,
        Self::NoRoom,
        Self::Refused,
    ];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoFlow => "no-flow",
            Self::NoService => "no-service",
            Self::NoBackend => "no-backend",
            Self::TooLong => "too-long",
            Self::NoBuffer => "no-buffer",
            Self::NoPort => "no-port",
            Self::Expired => "expired",
            Self::NoRoom => "no-room",
            Self::Refused => "refused",
        }
    }
}

/// Frames, their octets, flows that have begun, and answers that were translated.
#[derive(Debug, Default)]
struct Counter {
    frames: AtomicU64,
    octets: AtomicU64,
    begun: AtomicU64,
    answers: AtomicU64,
    answer_octets: AtomicU64,
}

/// What was counted for a backend or a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carriage {
    /// Frames that were forwarded.
    pub frames: u64,
    /// Octets of these, Ethernet headers included.
    pub octets: u64,
    /// Flows that have begun.
    pub begun: u64,
    /// Frames of answers that came back this way.
    pub answers: u64,
    /// Octets of these, Ethernet headers included.
    pub answer_octets: u64,
}

impl Carriage {
    /// Adds what somebody else has counted.
    pub(super) fn add(&mut self, other: Self) {
        self.frames += other.frames;
        self.octets += other.octets;
        self.begun += other.begun;
        self.answers += other.answers;
        self.answer_octets += other.answer_octets;
    }
}

/// The counters of one worker.
#[derive(Debug)]
pub struct Traffic {
    backends: Vec<Counter>,
    services: Vec<Counter>,
    losses: [AtomicU64; Loss::ALL.len()],
    flows: AtomicU64,
    evicted: AtomicU64,
}

impl Traffic {
    /// Counters for so many backends and services.
    pub fn new(backends: usize, services: usize) -> Self {
        let counters = |count| (0..count).map(|_| Counter::default()).collect();
        Self {
            backends: counters(backends),
            services: counters(services),
            losses: Default::default(),
            flows: AtomicU64::default(),
            evicted: AtomicU64::default(),
        }
    }

    pub(super) fn forwarded(&self, target: Target, octets: usize) {
        for counter in self.of(target) {
            add(&counter.frames, 1);
            add(&counter.octets, octets as u64);
        }
    }

    pub(super) fn answered(&self, target: Target, octets: usize) {
        for counter in self.of(target) {
            add(&counter.answers, 1);
            add(&counter.answer_octets, octets as u64);
        }
    }

    pub(super) fn begun(&self, target: Target) {
        self.of(target).for_each(|counter| add(&counter.begun, 1));
    }

    fn of(&self, target: Target) -> impl Iterator<Item = &Counter> {
        let (backend, service) = (usize::from(target.backend), usize::from(target.service));
        [self.backends.get(backend), self.services.get(service)].into_iter().flatten()
    }

    pub(super) fn lost(&self, loss: Loss) {
        add(&self.losses[loss as usize], 1);
    }

    /// Takes over what the kernel has counted of the worker's socket.
    pub(super) fn set_lost(&self, RingLosses { no_room, refused }: RingLosses) {
        for (loss, count) in [(Loss::NoRoom, no_room), (Loss::Refused, refused)] {
            self.losses[loss as usize].store(count, Ordering::Relaxed);
        }
    }

    pub(super) fn set_flows(&self, live: usize, evicted: u64) {
        self.flows.store(live as u64, Ordering::Relaxed);
        self.evicted.store(evicted, Ordering::Relaxed);
    }

    /// What went to each backend.
    pub fn per_backend(&self) -> impl Iterator<Item = Carriage> {
        self.backends.iter().map(read)
    }

    /// What was for each service.
    pub fn per_service(&self) -> impl Iterator<Item = Carriage> {
        self.services.iter().map(read)
    }

    /// Frames that were not forwarded.
    pub fn losses(&self) -> impl Iterator<Item = (Loss, u64)> {
        Loss::ALL.into_iter().zip(&self.losses).map(|(loss, count)| (loss, count.load(Ordering::Relaxed)))
    }

    /// Flows that are remembered, and those that had to go before they were over.
    pub fn flows(&self) -> (u64, u64) {
        (self.flows.load(Ordering::Relaxed), self.evicted.load(Ordering::Relaxed))
    }
}

fn read(counter: &Counter) -> Carriage {
    let Counter { frames, octets, begun, answers, answer_octets } = counter;
    let [frames, octets, begun, answers, answer_octets] =
        [frames, octets, begun, answers, answer_octets].map(|counter| counter.load(Ordering::Relaxed));
    Carriage { frames, octets, begun, answers, answer_octets }
}

/// There is one writer: nothing can come between the two.
fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Ordering::Relaxed) + count, Ordering::Relaxed);
}
