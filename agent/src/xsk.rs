//! AF_XDP: one socket per receive queue with a UMEM of its own. Frames stay in this file; outside it there are only
//! byte slices. Every frame is in exactly one place: the fill ring, the hands of `receive`, the stack of free
//! transmit frames, or on its way out.

use std::io::{self, Write};
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{MsgFlags, send};
use xsk_rs::config::{BindFlags, Interface, LibxdpFlags, QueueSize, SocketConfig, UmemConfig};
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, Socket, TxQueue, Umem};

/// Frames that wait to be filled: a burst of adverts from every router of a large segment.
const RX_FRAMES: usize = 64;
/// Frames to send: adverts of all virtual routers and a batch of announcements.
const TX_FRAMES: usize = 64;
/// Size of every ring; a power of two that holds all frames of its kind, so that no ring is ever full.
const RING_SIZE: u32 = 64;
/// Frames read at once; the rest waits for the next round, so that timers are never starved.
const BATCH: usize = 16;

const _: () = assert!(RX_FRAMES <= RING_SIZE as usize && TX_FRAMES <= RING_SIZE as usize);

/// Held while a socket is open that a process which is started now would inherit: libxdp does not see to it, and such a
/// process, and those that it starts, would keep the queue busy for ever.
static HERITABLE: Mutex<()> = Mutex::new(());

/// Waits until no socket would be inherited by a process that is started, and keeps it so until the guard is dropped.
pub fn lock_out_spawns() -> MutexGuard<'static, ()> {
    // There is nothing behind it that a panic could have left half done.
    HERITABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why an AF_XDP socket could not be had, or did not take a frame.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The kernel or the driver refused the socket.
    #[error("AF_XDP socket on queue {queue}: {source}")]
    Open {
        /// The receive queue.
        queue: u32,
        /// What the system said.
        source: io::Error,
    },
    /// All transmit frames are on their way.
    #[error("no free transmit frame")]
    Full,
    /// The kernel has thrown the frame away, most likely for want of a carrier.
    #[error("the kernel did not send the frame")]
    Dropped,
    /// The frame is larger than a UMEM frame.
    #[error("transmit: {0}")]
    Transmit(#[from] io::Error),
}

impl RingError {
    /// Whether the queue has a socket already.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Open { source, .. } if source.raw_os_error() == Some(libc::EBUSY))
    }
}

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
    /// Opens the socket of `queue` on `interface`. libxdp is told to load no program: ours is attached.
    ///
    /// # Errors
    ///
    /// The kernel or the driver has no AF_XDP, or the queue has a socket already (`EBUSY`: also for some 50 ms
    /// after its last owner died).
    pub fn open(interface: &str, queue: u32) -> Result<Self, RingError> {
        let failed = |source: io::Error| RingError::Open { queue, source };
        let size = QueueSize::new(RING_SIZE).map_err(|error| failed(io::Error::other(error.to_string())))?;
        let config = UmemConfig::builder()
            .fill_queue_size(size)
            .comp_queue_size(size)
            .build()
            .map_err(|error| failed(io::Error::other(error.to_string())))?;
        let count =
            NonZeroU32::new(2 * RING_SIZE).ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
        let heritable = lock_out_spawns();
        let (umem, mut frames) =
            Umem::new(config, count, false).map_err(|error| failed(root_cause(&error)))?;
        // Adverts are few. Zero-copy would gain nothing, and many drivers reset the queue for it: traffic would stop.
        let socket = SocketConfig::builder()
            .rx_queue_size(size)
            .tx_queue_size(size)
            .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
            .bind_flags(BindFlags::XDP_USE_NEED_WAKEUP | BindFlags::XDP_COPY)
            .build();
        let name = interface.parse::<Interface>().map_err(|_| failed(io::ErrorKind::InvalidInput.into()))?;
        // SAFETY: the UMEM was made above and is shared with no other socket.
        let (tx, rx, queues) = unsafe { Socket::new(socket, &umem, &name, queue) }
            .map_err(|error| failed(root_cause(&error)))?;
        let (mut fill, completion) =
            queues.ok_or_else(|| failed(io::Error::other("no fill ring for an unshared UMEM")))?;
        // SAFETY: the socket is open, and outlives the call.
        let socket = unsafe { BorrowedFd::borrow_raw(rx.fd().as_raw_fd()) };
        fcntl(socket, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(|errno| failed(errno.into()))?;
        drop(heritable);
        let free = frames.split_off(RX_FRAMES);
        // SAFETY: the frames come from this UMEM and were handed out by it this moment.
        unsafe { fill.produce(&frames) };
        Ok(Self { umem, rx, fill, tx, completion, free, in_flight: Vec::with_capacity(TX_FRAMES) })
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
        // as large as the number of receive frames.
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
        if self.tx.needs_wakeup() && self.wake() == Err(Errno::EBUSY) {
            // The completion ring reports it all the same. One that the kernel had not got to waits in the ring and may
            // leave later; not to count it is the safe side.
            for (_, tag) in &mut self.in_flight {
                *tag = None;
            }
            return Err(RingError::Dropped);
        }
        Ok(())
    }

    /// Makes the kernel send what is in the ring, in this call: the sockets are in copy mode. `EBUSY` means that it has
    /// thrown a frame away, which it does for an interface that is down or without a carrier, on the spot and while
    /// the interface's flags still tell the contrary. With other errors the frame stays in the ring; the next transmission
    /// finds it there, and without a completion nothing counts as sent.
    fn wake(&self) -> Result<usize, Errno> {
        send(self.tx.fd().as_raw_fd(), &[], MsgFlags::MSG_DONTWAIT)
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

/// The system's error below `error`, which carries the number that says what to do.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> io::Error {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match source.and_then(io::Error::raw_os_error) {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::other(error.to_string()),
    }
}
