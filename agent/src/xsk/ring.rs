//! The ring of the election: a few frames are heard, a few are said. Every frame is in exactly one place: the fill ring, the
//! hands of `receive`, the stack of free transmit frames, or on its way out.

use std::io::Write;
use std::os::fd::{AsRawFd, RawFd};

use nix::errno::Errno;
use xsk_rs::config::BindFlags;
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, TxQueue, Umem};

use super::{Memory, Opened, RingError, wake};

/// Frames that wait to be filled: a burst of adverts from every router of a large segment.
const RX_FRAMES: u32 = 64;
/// Frames to send: adverts of all virtual routers and a batch of announcements.
const TX_FRAMES: u32 = 64;
/// Frames read at once; the rest waits for the next round, so that timers are never starved.
const BATCH: usize = 16;

/// The AF_XDP socket of one receive queue. `T` is what the caller wants back when a frame has been sent.
pub struct Ring<T> {
    umem: Umem,
    rx: RxQueue,
    fill: FillQueue,
    tx: TxQueue,
    completion: CompQueue,
    free: Vec<FrameDesc>,
    /// Frames in the hands of the kernel, each with its tag unless the kernel has thrown it away.
    in_flight: Vec<(FrameDesc, Option<T>)>,
}

impl<T: Copy> Ring<T> {
    /// Opens the socket of `queue` on `interface`.
    ///
    /// # Errors
    ///
    /// The kernel or the driver has no AF_XDP, or the queue has a socket already (`EBUSY`: also for some 50 ms
    /// after its last owner died).
    pub fn open(interface: &str, queue: u32) -> Result<Self, RingError> {
        let failed = |source| RingError::Open { interface: interface.to_owned(), queue, source };
        let (memory, mut frames) = Memory::new(RX_FRAMES + TX_FRAMES, 1).map_err(failed)?;
        // No advert is longer than a buffer, and nothing that is has to be heard.
        let flags = BindFlags::empty();
        let Opened { rx, mut fill, tx, completion } = memory.open(interface, queue, flags).map_err(failed)?;
        let umem = memory.umem;
        let free = frames.split_off(RX_FRAMES as usize);
        // SAFETY: the frames come from this UMEM and were handed out by it this moment.
        unsafe { fill.produce(&frames) };
        Ok(Self { umem, rx, fill, tx, completion, free, in_flight: Vec::with_capacity(TX_FRAMES as usize) })
    }

    /// The socket, for polling and for the XSKMAP.
    pub fn raw_fd(&self) -> RawFd {
        self.rx.fd().as_raw_fd()
    }

    /// Hands the frames that have arrived to `handle`, at most a batch of them, and says whether there were any.
    pub fn receive(&mut self, mut handle: impl FnMut(&[u8])) -> bool {
        let mut frames = [FrameDesc::default(); BATCH];
        // SAFETY: this ring belongs to the UMEM whose frames fill `frames`.
        let count = unsafe { self.rx.consume(&mut frames) };
        for frame in &frames[..count] {
            // SAFETY: the frame came from the receive ring of this UMEM and goes back only below.
            handle(unsafe { self.umem.data(frame) }.contents());
        }
        // SAFETY: these frames were consumed above and nothing borrows them any more. The ring takes them all: it is
        // twice as large as the number of receive frames.
        unsafe { self.fill.produce(&frames[..count]) };
        count > 0
    }

    /// Sends `frame`; `tag` comes back through [`Self::completed`] when it has left.
    ///
    /// # Errors
    ///
    /// No frame is free, it is too small, or the kernel has thrown it away; nothing is sent then.
    pub fn transmit(&mut self, frame: &[u8], tag: T) -> Result<(), RingError> {
        let mut desc = self.free.pop().ok_or(RingError::Full)?;
        // SAFETY: `desc` was on the stack of free frames of this UMEM, so nobody else uses it.
        let mut data = unsafe { self.umem.data_mut(&mut desc) };
        let mut cursor = data.cursor();
        // The descriptor remembers the frame that it last carried, and the cursor would append to that.
        cursor.set_pos(0);
        let written = cursor.write_all(frame);
        if let Err(error) = written {
            self.free.push(desc);
            return Err(error.into());
        }
        // SAFETY: the frame belongs to this UMEM and is not touched again before its completion.
        if unsafe { self.tx.produce_one(&desc) } == 0 {
            self.free.push(desc);
            return Err(RingError::Full);
        }
        self.in_flight.push((desc, Some(tag)));
        if self.tx.needs_wakeup() && wake(self.tx.fd().as_raw_fd()) == Err(Errno::EBUSY) {
            // The completion ring reports it all the same. One that the kernel had not got to waits in the ring and may
            // leave later; not to count it is the safe side.
            for (_, tag) in &mut self.in_flight {
                *tag = None;
            }
            return Err(RingError::Dropped);
        }
        Ok(())
    }

    /// The tag of the next frame that has left, or `None` when the driver has reported no more.
    pub fn completed(&mut self) -> Option<T> {
        let mut frame = FrameDesc::default();
        // SAFETY: this ring belongs to the UMEM that `frame` comes from.
        while unsafe { self.completion.consume_one(&mut frame) } > 0 {
            let sent = self.in_flight.iter().position(|(desc, _)| desc.addr() == frame.addr())?;
            let (desc, tag) = self.in_flight.swap_remove(sent);
            self.free.push(desc);
            if tag.is_some() {
                return tag;
            }
        }
        None
    }

    /// How many frames it takes now.
    pub fn room(&self) -> usize {
        self.free.len()
    }

    /// Whether frames are still on their way.
    pub fn is_sending(&self) -> bool {
        !self.in_flight.is_empty()
    }
}
