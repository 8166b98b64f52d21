//! The ring of the engine: what is received is sent on, in the buffers that it came in, or thrown away. Every buffer is in exactly
//! one place: a fill ring, the hands of `forward`, among those that wait for room in a ring or for the rest of their frame, or on
//! its way out.
//!
//! It has the sockets of several queues, of one interface or more, whose buffers are one UMEM: what came in by one leaves by another
//! without being copied. Each buffer belongs to one queue, to whose fill ring it goes back from wherever it was.

mod batch;
mod queue;

use std::os::fd::{BorrowedFd, RawFd};

use nix::poll::{PollFd, PollFlags, poll};
use xsk_rs::config::BindFlags;
use xsk_rs::{FrameDesc, Umem};

pub use batch::{Batch, MAX_FRAME, Received};
use queue::Queue;

use super::{BUFFER_SIZE, Memory, RingError};

/// Buffers of a queue.
const BUFFERS: u32 = 2048;
/// Buffers that are handled at once: more than any frame has.
const BATCH: usize = 64;

/// How long it waits at most while frames are on their way out, in ms.
const SENDING_MS: u16 = 1;

/// Frames that were lost since the sockets were opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingLosses {
    /// The kernel found no buffer of the UMEM free for them, or no room in the receive ring; or they were too long; or too many waited
    /// where they were to leave.
    pub no_room: u64,
    /// The kernel found their descriptors wrong.
    pub refused: u64,
}

/// Receive queues of an interface.
pub struct Queues<'a> {
    /// The interface.
    pub interface: &'a str,
    /// The numbers of the queues, one at the least. Frames leave by the first.
    pub numbers: Vec<u32>,
}

/// The AF_XDP sockets of some receive queues.
pub struct ForwardingRing {
    umem: Umem,
    queues: Vec<Queue>,
    /// The place of the queue by which frames leave each interface.
    exits: Vec<usize>,
}

impl ForwardingRing {
    /// Opens the sockets of these queues.
    ///
    /// # Errors
    ///
    /// As those of [`super::Ring::open`].
    pub fn open(arms: &[Queues<'_>]) -> Result<Self, RingError> {
        let names = arms
            .iter()
            .enumerate()
            .flat_map(|(place, arm)| arm.numbers.iter().map(move |number| (arm.interface, (place, *number))));
        let count = u32::try_from(names.clone().count()).unwrap_or_default();
        let failed = |(interface, (_, queue)): (&str, (usize, u32)), source| RingError::Open {
            interface: interface.to_owned(),
            queue,
            source,
        };
        let memory = Memory::new(BUFFERS, count);
        let (memory, buffers) =
            memory.map_err(|source| failed(names.clone().next().unwrap_or_default(), source))?;
        let open = |(interface, name): (&str, (usize, u32))| {
            let opened = memory.open(interface, name.1, BindFlags::XDP_USE_SG);
            let opened = opened.map_err(|source| failed((interface, name), source))?;
            Ok(Queue::new(name, opened, buffers.len()))
        };
        let queues = names.map(open).collect::<Result<Vec<_>, RingError>>()?;
        let exit = |arm| queues.iter().position(|queue| queue.name.0 == arm).unwrap_or_default();
        let exits = (0..arms.len()).map(exit).collect();
        let mut ring = Self { umem: memory.umem, queues, exits };
        buffers.into_iter().for_each(|buffer| give_back(&mut ring.queues, buffer));
        ring.queues.iter_mut().for_each(Queue::refill);
        Ok(ring)
    }

    /// The sockets, for the XSKMAP, each with the place of its interface and the number of its queue there.
    pub fn sockets(&self) -> impl Iterator<Item = (usize, u32, RawFd)> {
        self.queues.iter().map(|queue| (queue.name.0, queue.name.1, queue.raw_fd()))
    }

    /// What was lost, as far as the kernel says.
    pub fn losses(&self) -> RingLosses {
        self.queues.iter().filter_map(Queue::losses).fold(RingLosses::default(), |sum, losses| RingLosses {
            no_room: sum.no_room + losses.no_room,
            refused: sum.refused + losses.refused,
        })
    }

    /// Hands the frames that have arrived to `handle`, a batch of each queue. Answers with how many buffers there were.
    pub fn forward(&mut self, mut handle: impl FnMut(&mut Batch<'_>)) -> usize {
        let Self { umem, queues, exits } = self;
        let mut all = 0;
        for place in 0..queues.len() {
            reclaim(queues, place);
            let mut buffers = [FrameDesc::default(); BATCH];
            let (count, whole) = queues[place].receive(&mut buffers);
            if whole > 0 {
                let mut batch = Batch::new(umem, &mut buffers[..whole], queues, place, exits);
                handle(&mut batch);
                // What was not asked for is not sent.
                batch.sort(|_| None);
            }
            all += count;
        }
        for queue in queues {
            queue.refill();
            queue.send();
        }
        all
    }

    /// Waits for a frame, `patience_ms` at most, and not for long while frames are on their way out. Whatever goes wrong with
    /// waiting, the next look at the rings tells.
    pub fn wait(&self, patience_ms: u16) {
        // Nothing tells when the kernel, which could not take them, can again.
        let is_sending = self.queues.iter().any(Queue::is_sending);
        // SAFETY: the queue is borrowed, so its socket is open during the call.
        let socket =
            |queue: &Queue| PollFd::new(unsafe { BorrowedFd::borrow_raw(queue.raw_fd()) }, PollFlags::POLLIN);
        let patience_ms = if is_sending { patience_ms.min(SENDING_MS) } else { patience_ms };
        let _ = poll(&mut self.queues.iter().map(socket).collect::<Vec<_>>(), patience_ms);
    }
}

/// Gives a buffer back to the queue that it belongs to.
fn give_back(queues: &mut [Queue], buffer: FrameDesc) {
    let owner = buffer.addr() / BUFFER_SIZE / BUFFERS as usize;
    queues[owner].to_fill.push(buffer);
}

/// Takes the buffers back that have left by the queue at this place.
fn reclaim(queues: &mut [Queue], place: usize) {
    let mut buffers = [FrameDesc::default(); BATCH];
    loop {
        let count = queues[place].complete(&mut buffers);
        if count == 0 {
            return;
        }
        buffers[..count].iter().for_each(|buffer| give_back(queues, *buffer));
    }
}
