//! The ring of the engine: what is received is sent on, in the frame that it came in, or thrown away. Every frame is in exactly one
//! place: the fill ring, the hands of `forward`, among those that wait for room in a ring, or on its way out.

use std::io::Write;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use xsk_rs::umem::frame::DataMut;
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, TxQueue, Umem};

use super::{Opened, RingError, allow_at_once, wake};

/// Frames of a queue.
const FRAMES: u32 = 2048;
/// Size of every ring. The kernel says later than it takes a frame that it has taken it, so that a ring that held but all frames
/// could seem to be full.
const RING_SIZE: u32 = 2 * FRAMES;
/// Frames that are handled at once.
const BATCH: usize = 64;
/// Frames that the kernel sends in one call, in copy mode, if it is not told otherwise.
const SENT_AT_ONCE: usize = 32;

/// How long it waits at most while frames are on their way out, in ms.
const SENDING_MS: u16 = 1;

/// The longest frame that a UMEM frame holds: a page, without the headroom that XDP wants.
pub const MAX_FRAME: usize = 4096 - 256;

/// What a frame has where it has become longer.
static ZEROES: [u8; MAX_FRAME] = [0; MAX_FRAME];

/// A frame that was received, in its place in the UMEM.
pub struct Received<'a>(DataMut<'a>);

impl Received<'_> {
    /// Makes the frame `length` octets long, those that it has not had being zero. `false`, and no change, if it would be longer
    /// than [`MAX_FRAME`].
    pub fn resize(&mut self, length: usize) -> bool {
        let before = self.len();
        let mut cursor = self.0.cursor();
        if length > cursor.buf_len() {
            return false;
        }
        // There is room for what comes behind, or nothing does.
        cursor.set_pos(before.min(length));
        let _ = cursor.write_all(&ZEROES[..length.saturating_sub(before)]);
        true
    }
}

impl Deref for Received<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Received<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// Frames that have arrived together.
pub struct Batch<'a> {
    umem: &'a Umem,
    /// Those that came from the receive ring of this UMEM and are nowhere else.
    frames: &'a mut [FrameDesc],
    to_fill: &'a mut Vec<FrameDesc>,
    to_send: &'a mut Vec<FrameDesc>,
}

impl Batch<'_> {
    /// The frames.
    pub fn frames(&self) -> impl Iterator<Item = &[u8]> + Clone {
        // SAFETY: the frames are this batch's alone, which is borrowed.
        self.frames.iter().map(|frame| unsafe { self.umem.data(frame) }.contents())
    }

    /// Hands each frame in its turn to `handle`, which may rewrite it in place and says whether it is to be sent. None is left.
    pub fn sort(&mut self, mut handle: impl FnMut(&mut Received<'_>) -> bool) {
        for frame in std::mem::take(&mut self.frames) {
            // SAFETY: the frame is this batch's alone, and goes on only below.
            let is_to_send = handle(&mut Received(unsafe { self.umem.data_mut(frame) }));
            if is_to_send { self.to_send.push(*frame) } else { self.to_fill.push(*frame) }
        }
    }
}

/// The AF_XDP socket of one receive queue.
pub struct ForwardingRing {
    umem: Umem,
    rx: RxQueue,
    fill: FillQueue,
    tx: TxQueue,
    completion: CompQueue,
    /// Frames that wait for room in the fill ring, and in the transmit ring. They never grow beyond their first allocation.
    to_fill: Vec<FrameDesc>,
    to_send: Vec<FrameDesc>,
    /// Frames that the transmit ring has and that are not complete.
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
            Opened::open(interface, queue, FRAMES, RING_SIZE)?;
        // Older kernels have no such option, and send in several calls.
        let _ = allow_at_once(tx.fd().as_raw_fd(), BATCH);
        let to_send = Vec::with_capacity(FRAMES as usize);
        let (to_fill, sending, has_unsent) = (frames, 0, false);
        let mut ring = Self { umem, rx, fill, tx, completion, to_fill, to_send, sending, has_unsent };
        ring.refill();
        Ok(ring)
    }

    /// The socket, for polling and for the XSKMAP.
    pub fn raw_fd(&self) -> RawFd {
        self.rx.fd().as_raw_fd()
    }

    /// Hands a batch of the frames that have arrived to `handle`. Answers with how many there were.
    pub fn forward(&mut self, handle: impl FnOnce(&mut Batch<'_>)) -> usize {
        self.reclaim();
        let mut frames = [FrameDesc::default(); BATCH];
        // SAFETY: this ring belongs to the UMEM whose frames fill `frames`.
        let count = unsafe { self.rx.consume(&mut frames) };
        if count > 0 {
            let Self { umem, to_fill, to_send, .. } = self;
            let mut batch = Batch { umem, frames: &mut frames[..count], to_fill, to_send };
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

    /// Gives frames to the receiving side, as many as there is room for.
    fn refill(&mut self) {
        if !self.to_fill.is_empty() {
            // SAFETY: these frames belong to this UMEM, nothing borrows them, and they are nowhere else.
            let taken = unsafe { self.fill.produce(&self.to_fill) };
            self.to_fill.drain(..taken);
        }
    }

    /// Gives frames to the sending side, as many as there is room for, and makes the kernel send.
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

    /// Takes the frames back that have left.
    fn reclaim(&mut self) {
        let mut frames = [FrameDesc::default(); BATCH];
        loop {
            // SAFETY: this ring belongs to the UMEM that `frames` come from.
            let count = unsafe { self.completion.consume(&mut frames) };
            if count == 0 {
                return;
            }
            self.to_fill.extend_from_slice(&frames[..count]);
            self.sending = self.sending.saturating_sub(count);
        }
    }
}
