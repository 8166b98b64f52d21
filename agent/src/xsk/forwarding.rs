//! The ring of the engine: what is received is sent on, in the buffers that it came in, or thrown away. Every buffer is in exactly
//! one place: the fill ring, the hands of `forward`, among those that wait for room in a ring or for the rest of their frame, or on
//! its way out.

mod batch;

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use xsk_rs::config::BindFlags;
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, TxQueue, Umem};

pub use batch::{Batch, MAX_FRAME, Received};

use super::{Opened, RingError, allow_at_once, wake};

/// Buffers of a queue.
const BUFFERS: u32 = 2048;
/// Size of every ring. The kernel says later than it takes a buffer that it has taken it, so that a ring that held but all buffers
/// could seem to be full.
const RING_SIZE: u32 = 2 * BUFFERS;
/// Buffers that are handled at once: more than any frame has.
const BATCH: usize = 64;
/// Buffers that the receiving side is not given: each frame of a batch may have to spill into one.
const SPARE: usize = BATCH;
/// Buffers that the kernel sends in one call, in copy mode, if it is not told otherwise.
const SENT_AT_ONCE: usize = 32;

/// How long it waits at most while frames are on their way out, in ms.
const SENDING_MS: u16 = 1;

/// Frames that the kernel has lost since a socket was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingLosses {
    /// It found no frame of the UMEM free for them, or no room in the receive ring; or they were too long.
    pub no_room: u64,
    /// They were not to be sent as the transmit ring had them.
    pub refused: u64,
}

/// The AF_XDP socket of one receive queue.
pub struct ForwardingRing {
    umem: Umem,
    rx: RxQueue,
    fill: FillQueue,
    tx: TxQueue,
    completion: CompQueue,
    /// Those of a frame whose rest is still in the receive ring.
    begun: Vec<FrameDesc>,
    /// Buffers that wait for room in the fill ring or are spare, and those that wait for room in the transmit ring. They never grow
    /// beyond their first allocation.
    to_fill: Vec<FrameDesc>,
    to_send: Vec<FrameDesc>,
    /// Buffers that the transmit ring has and that are not complete.
    sending: usize,
    /// Whether there are some among them that the kernel has not taken yet.
    has_unsent: bool,
}

impl ForwardingRing {
    /// Opens the socket of `queue` on `interface`.
    ///
    /// # Errors
    ///
    /// As those of [`super::Ring::open`].
    pub fn open(interface: &str, queue: u32) -> Result<Self, RingError> {
        let Opened { umem, rx, fill, tx, completion, frames } =
            Opened::open(interface, queue, BUFFERS, RING_SIZE, BindFlags::XDP_USE_SG)?;
        // Older kernels have no such option, and send in several calls.
        let _ = allow_at_once(tx.fd().as_raw_fd(), BATCH);
        let (begun, to_send) = (Vec::with_capacity(BATCH), Vec::with_capacity(BUFFERS as usize));
        let (to_fill, sending, has_unsent) = (frames, 0, false);
        let mut ring = Self { umem, rx, fill, tx, completion, begun, to_fill, to_send, sending, has_unsent };
        ring.refill();
        Ok(ring)
    }

    /// The socket, for polling and for the XSKMAP.
    pub fn raw_fd(&self) -> RawFd {
        self.rx.fd().as_raw_fd()
    }

    /// What the kernel has lost; `None` if it does not say.
    pub fn losses(&self) -> Option<RingLosses> {
        let counted = self.rx.fd().xdp_statistics().ok()?;
        // A fill ring that was empty is among the first: there was a frame for it.
        let no_room = counted.rx_dropped() + counted.rx_ring_full();
        Some(RingLosses { no_room, refused: counted.tx_invalid_descs() })
    }

    /// Hands a batch of the frames that have arrived to `handle`. Answers with how many buffers there were.
    pub fn forward(&mut self, handle: impl FnOnce(&mut Batch<'_>)) -> usize {
        self.reclaim();
        let mut buffers = [FrameDesc::default(); BATCH];
        let begun = self.begun.len();
        buffers[..begun].copy_from_slice(&self.begun);
        // SAFETY: this ring belongs to the UMEM whose buffers fill `buffers`.
        let count = unsafe { self.rx.consume(&mut buffers[begun..]) };
        if count > 0 {
            let arrived = &mut buffers[..begun + count];
            let is_last = |buffer: &FrameDesc| !buffer.has_more_frames();
            let whole = arrived.iter().rposition(is_last).map_or(0, |last| last + 1);
            let (arrived, rest) = arrived.split_at_mut(whole);
            self.begun.clear();
            self.begun.extend_from_slice(rest);
            let mut batch = Batch::new(&self.umem, arrived, &mut self.to_fill, &mut self.to_send);
            handle(&mut batch);
            // What was not asked for is not sent.
            batch.sort(|_| false);
        }
        self.refill();
        self.send();
        count
    }

    /// Waits for a frame, `patience_ms` at most, and not for long while frames are on their way out. Whatever goes wrong with
    /// waiting, the next look at the ring tells.
    pub fn wait(&self, patience_ms: u16) {
        // Nothing tells when the kernel, which could not take them, can again.
        let is_sending = self.sending > 0 || !self.to_send.is_empty();
        // SAFETY: the ring is borrowed, so its socket is open during the call.
        let socket = unsafe { BorrowedFd::borrow_raw(self.raw_fd()) };
        let patience_ms = if is_sending { patience_ms.min(SENDING_MS) } else { patience_ms };
        let _ = poll(&mut [PollFd::new(socket, PollFlags::POLLIN)], patience_ms);
    }

    /// Gives all buffers but the spare ones to the receiving side, as far as there is room.
    fn refill(&mut self) {
        if let Some(more @ [_, ..]) = self.to_fill.get(SPARE..) {
            // SAFETY: these buffers belong to this UMEM, nothing borrows them, and they are nowhere else.
            let taken = unsafe { self.fill.produce(more) };
            self.to_fill.drain(SPARE..SPARE + taken);
        }
    }

    /// Gives buffers to the sending side, as many as there is room for, and makes the kernel send.
    fn send(&mut self) {
        if !self.to_send.is_empty() {
            // SAFETY: as in `refill`.
            let taken = unsafe { self.tx.produce(&self.to_send) };
            self.to_send.drain(..taken);
            self.sending += taken;
            self.has_unsent |= taken > 0;
        }
        if self.has_unsent && self.tx.needs_wakeup() {
            for _ in 0..=self.sending.div_ceil(SENT_AT_ONCE) {
                let sent = wake(self.tx.fd().as_raw_fd());
                // After the first there is more, after the second, a frame that was thrown away and completes all the same, too.
                if !matches!(sent, Err(Errno::EAGAIN | Errno::EBUSY)) {
                    self.has_unsent = sent.is_err();
                    return;
                }
            }
        }
    }

    /// Takes the buffers back that have left.
    fn reclaim(&mut self) {
        let mut buffers = [FrameDesc::default(); BATCH];
        loop {
            // SAFETY: this ring belongs to the UMEM that `buffers` come from.
            let count = unsafe { self.completion.consume(&mut buffers) };
            if count == 0 {
                return;
            }
            self.to_fill.extend_from_slice(&buffers[..count]);
            self.sending = self.sending.saturating_sub(count);
        }
    }
}
