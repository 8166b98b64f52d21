//! A worker: the thread that forwards what arrives on one receive queue. It shares nothing with other workers but the pools, which
//! it only reads.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use super::forwarder::Forwarder;
use super::pools::Pools;
use crate::clock;
use crate::xsk::ForwardingRing;

/// What a worker works with.
pub(super) struct Worker {
    pub(super) ring: ForwardingRing,
    pub(super) forwarder: Forwarder,
    pub(super) pools: Arc<ArcSwap<Pools>>,
}

impl Worker {
    /// Forwards for ever.
    pub(super) fn run(self) -> ! {
        let Self { mut ring, mut forwarder, pools } = self;
        let mut pools = Cache::new(pools);
        loop {
            let now = clock::now();
            let current = pools.load();
            let count = ring.forward(|frame| forwarder.forward(frame, current, now));
            forwarder.publish();
            if count == 0 {
                wait(&ring);
            }
        }
    }
}

/// Waits for a frame. Whatever goes wrong with waiting, the next look at the ring tells.
fn wait(ring: &ForwardingRing) {
    // SAFETY: the ring is borrowed, so its socket is open during the call.
    let socket = unsafe { BorrowedFd::borrow_raw(ring.raw_fd()) };
    let _ = poll(&mut [PollFd::new(socket, PollFlags::POLLIN)], PollTimeout::NONE);
}

/// Keeps this thread on the CPU that belongs to `queue`, where the caches stay warm. It works elsewhere as well.
pub(super) fn pin(queue: u32) {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let mut set = CpuSet::new();
    if set.set(queue as usize % cpus).is_ok() {
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}
