//! What a worker has done, counted by it alone and read by anybody.

use std::sync::atomic::{AtomicU64, Ordering};

use super::flows::Target;

/// Why a frame was not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It is no TCP or UDP packet, or broken.
    NoFlow,
    /// No service is there.
    NoService,
    /// No backend can be had.
    NoBackend,
    /// It is too long for the tunnel to its backend. The client was told so, if it wants to know and not too many were.
    TooLong,
}

impl Loss {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 4] = [Self::NoFlow, Self::NoService, Self::NoBackend, Self::TooLong];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoFlow => "no-flow",
            Self::NoService => "no-service",
            Self::NoBackend => "no-backend",
            Self::TooLong => "too-long",
        }
    }
}

/// Frames, their octets, and flows that have begun.
#[derive(Debug, Default)]
struct Counter {
    frames: AtomicU64,
    octets: AtomicU64,
    begun: AtomicU64,
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
}

impl Carriage {
    /// Adds what somebody else has counted.
    pub(super) fn add(&mut self, other: Self) {
        self.frames += other.frames;
        self.octets += other.octets;
        self.begun += other.begun;
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
    let [frames, octets, begun] = [&counter.frames, &counter.octets, &counter.begun];
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Carriage { frames: read(frames), octets: read(octets), begun: read(begun) }
}

/// There is one writer: nothing can come between the two.
fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Ordering::Relaxed) + count, Ordering::Relaxed);
}
