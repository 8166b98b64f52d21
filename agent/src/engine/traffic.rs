//! What a worker has done, counted by it alone and read by anybody.

use std::sync::atomic::{AtomicU64, Ordering};

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

/// Frames and their octets.
#[derive(Debug, Default)]
struct Counter {
    frames: AtomicU64,
    octets: AtomicU64,
}

/// The counters of one worker.
#[derive(Debug)]
pub struct Traffic {
    backends: Vec<Counter>,
    losses: [AtomicU64; Loss::ALL.len()],
    flows: AtomicU64,
    evicted: AtomicU64,
}

impl Traffic {
    /// Counters for so many backends.
    pub fn new(backends: usize) -> Self {
        Self {
            backends: (0..backends).map(|_| Counter::default()).collect(),
            losses: Default::default(),
            flows: AtomicU64::default(),
            evicted: AtomicU64::default(),
        }
    }

    pub(super) fn forwarded(&self, backend: u16, octets: usize) {
        if let Some(counter) = self.backends.get(usize::from(backend)) {
            add(&counter.frames, 1);
            add(&counter.octets, octets as u64);
        }
    }

    pub(super) fn lost(&self, loss: Loss) {
        add(&self.losses[loss as usize], 1);
    }

    pub(super) fn set_flows(&self, live: usize, evicted: u64) {
        self.flows.store(live as u64, Ordering::Relaxed);
        self.evicted.store(evicted, Ordering::Relaxed);
    }

    /// Frames and octets that went to each backend.
    pub fn per_backend(&self) -> impl Iterator<Item = (u64, u64)> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.backends.iter().map(move |counter| (read(&counter.frames), read(&counter.octets)))
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

/// There is one writer: nothing can come between the two.
fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Ordering::Relaxed) + count, Ordering::Relaxed);
}
