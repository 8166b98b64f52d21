//! The ring of the engine: what is received is sent on, in the frame that it came in, or thrown away. Every frame is in exactly one
//! place: the fill ring, the hands of `forward`, or on its way out.

use std::os::fd::{AsRawFd, RawFd};

use nix::errno::Errno;
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, TxQueue, Umem};

use super::{Opened, RingError, wake};

/// Frames of a queue, and size of every ring: each ring holds them all, so that none is ever full.
const FRAMES: u32 = 2048;
/// Frames that are handled at once.
const BATCH: usize = 64;
/// Frames that the kernel sends in one call, in copy mode.
const SENT_AT_ONCE: usize = 32;

/// The longest frame that a UMEM frame holds: a page, without the headroom that XDP wants.
pub const MAX_FRAME: usize = 4096 - 256;

/// The AF_XDP socket of one receive queue.
pub struct ForwardingRing {
    umem: Umem,
    rx: RxQueue,
    fill: FillQueue,
    tx: TxQueue,
    completion: CompQueue,
}

impl ForwardingRing {
    /// Opens the socket of `queue` on `interface`.
    ///
    /// # Errors
    ///
    /// As those of [`super::Ring::open`].
    pub fn open(interface: &str, queue: u32) -> Result<Self, RingError> {
        let Opened { umem, rx, mut fill, tx, completion, frames } =
            Opened::open(interface, queue, FRAMES, FRAMES)?;
        // SAFETY: the frames come from this UMEM and were handed out by it this moment.
        unsafe { fill.produce(&frames) };
        Ok(Self { umem, rx, fill, tx, completion })
    }

    /// The socket, for polling and for the XSKMAP.
    pub fn raw_fd(&self) -> RawFd {
        self.rx.fd().as_raw_fd()
    }

    /// Hands a batch of the frames that have arrived to `handle`, which may rewrite one in place and says whether it is to be sent.
    /// Answers with how many there were.
    pub fn forward(&mut self, mut handle: impl FnMut(&mut [u8]) -> bool) -> usize {
        self.reclaim();
        let mut frames = [FrameDesc::default(); BATCH];
        // SAFETY: this ring belongs to the UMEM whose frames fill `frames`.
        let count = unsafe { self.rx.consume(&mut frames) };
        let frames = &mut frames[..count];
        // Those to be sent to the front.
        let mut sent = 0;
        for index in 0..count {
            // SAFETY: the frame came from the receive ring of this UMEM and goes on only below.
            let mut data = unsafe { self.umem.data_mut(&mut frames[index]) };
            if handle(data.contents_mut()) {
                frames.swap(sent, index);
                sent += 1;
            }
        }
        let (to_send, to_fill) = frames.split_at(sent);
        // SAFETY: these frames were consumed above and nothing borrows them any more. The rings take them all, as they take
        // all that there are.
        unsafe {
            self.tx.produce(to_send);
            self.fill.produce(to_fill);
        }
        if sent > 0 && self.tx.needs_wakeup() {
            self.send(sent);
        }
        count
    }

    /// Makes the kernel send `count` frames. Those that it throws away complete all the same.
    fn send(&self, count: usize) {
        for _ in 0..=count.div_ceil(SENT_AT_ONCE) {
            if !matches!(wake(self.tx.fd().as_raw_fd()), Err(Errno::EAGAIN)) {
                return;
            }
        }
    }

    /// Gives the frames that have left back to the receiving side.
    fn reclaim(&mut self) {
        let mut frames = [FrameDesc::default(); BATCH];
        loop {
            // SAFETY: this ring belongs to the UMEM that `frames` come from.
            let count = unsafe { self.completion.consume(&mut frames) };
            if count == 0 {
                return;
            }
            // SAFETY: the kernel has done with these frames, and nobody else has them.
            unsafe { self.fill.produce(&frames[..count]) };
        }
    }
}
