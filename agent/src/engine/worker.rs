//! A worker: the thread that forwards what arrives on its receive queues, one at the least of each interface of the engine. It shares
//! nothing with other workers but the pools, which it only reads, and the tables that XDP reads.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Cache};

use super::forwarder::Forwarder;
use super::head::Heads;
use super::health::Shift;
use super::inquiry::Desk;
use super::pools::Pools;
use crate::clock;
use crate::datapath::FlowCache;
use crate::host::cpus;
use crate::vrrp::Instant;
use crate::xsk::ForwardingRing;

/// How long it waits for a frame, in ms: flows are looked after meanwhile.
const PATIENCE_MS: u16 = 100;

/// How often the kernel is asked what it has lost.
const LOOK: Duration = Duration::from_secs(1);

/// What a worker works with.
pub(super) struct Worker {
    pub(super) ring: ForwardingRing,
    pub(super) forwarder: Forwarder<FlowCache>,
    pub(super) pools: Arc<ArcSwap<Pools>>,
    pub(super) desk: Desk,
    /// What tells the others whether this thread goes on, and when it ends, however it does.
    pub(super) shift: Shift,
}

impl Worker {
    /// Forwards until it is told to end.
    pub(super) fn run(self) {
        let Self { mut ring, mut forwarder, pools, mut desk, shift } = self;
        let (mut pools, mut heads, mut looked) = (Cache::new(pools), Heads::default(), Instant::default());
        while !shift.is_over() {
            shift.goes_on();
            let now = clock::now();
            let current = pools.load();
            let count = ring.forward(|batch| {
                forwarder.look_ahead(batch.frames(), &mut heads);
                let mut heads = heads.iter();
                batch.sort(|frame| forwarder.forward_head(frame, heads.next().flatten(), current, now));
            });
            forwarder.tend(now);
            if now.saturating_since(looked) >= LOOK {
                looked = now;
                forwarder.note_losses(ring.losses());
            }
            let is_asked = forwarder.answer(&mut desk, now);
            if count == 0 && !is_asked {
                ring.wait(PATIENCE_MS);
            }
        }
    }
}

/// Keeps this thread on one of the CPUs that it may run on, where the caches stay warm.
pub(super) fn pin(queue: u32) {
    let cpus = cpus::allowed().unwrap_or_default();
    if let Some(cpu) = cpus.get(queue as usize % cpus.len().max(1)) {
        cpus::stay_on(*cpu);
    }
}
