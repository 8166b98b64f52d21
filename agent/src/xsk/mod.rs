//! AF_XDP: one socket per receive queue. Frames stay in here; outside there are only byte slices. There are two kinds, by what becomes
//! of a frame: a [`Ring`] hears and speaks on one queue, a [`ForwardingRing`] sends on what it gets, by the queue of another interface
//! if it is to.

mod forwarding;
mod ring;

use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{MsgFlags, send};
use xsk_rs::config::{BindFlags, Interface, LibxdpFlags, QueueSize, SocketConfig, UmemConfig};
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, Socket, TxQueue, Umem};

pub use forwarding::{Batch, ForwardingRing, MAX_FRAME, Queues, Received, RingLosses};
pub use ring::Ring;

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
    #[error("AF_XDP socket on queue {queue} of {interface}: {source}")]
    Open {
        /// The interface.
        interface: String,
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

/// Octets of a buffer, as xsk-rs lays them out by default.
const BUFFER_SIZE: usize = 4096;

/// The UMEM that sockets are being opened with. No process is started meanwhile.
struct Memory {
    umem: Umem,
    /// Of the rings of each socket: of those that only ever have buffers of its own, and of those that may have any.
    own: QueueSize,
    any: QueueSize,
    _heritable: MutexGuard<'static, ()>,
}

/// The socket of one receive queue, with its rings.
struct Opened {
    rx: RxQueue,
    fill: FillQueue,
    tx: TxQueue,
    completion: CompQueue,
}

impl Memory {
    /// So many `frames` for each of so many `sockets`, whose rings have room for twice as many as they may have to hold, a power of two:
    /// the kernel says later than it takes a frame that it has taken it, so that a ring that held but all could seem to be full.
    fn new(frames: u32, sockets: u32) -> io::Result<(Self, Vec<FrameDesc>)> {
        let size = |frames: u32| {
            QueueSize::new(2 * frames.next_power_of_two())
                .map_err(|error| io::Error::other(error.to_string()))
        };
        let frames_of_all = frames * sockets;
        let (own, any) = (size(frames)?, size(frames_of_all)?);
        let config = UmemConfig::builder()
            .fill_queue_size(own)
            .comp_queue_size(any)
            .build()
            .map_err(|error| io::Error::other(error.to_string()))?;
        let count = NonZeroU32::new(frames_of_all).ok_or(io::ErrorKind::InvalidInput)?;
        let heritable = lock_out_spawns();
        let (umem, frames) = Umem::new(config, count, false).map_err(|error| root_cause(&error))?;
        Ok((Self { umem, own, any, _heritable: heritable }, frames))
    }

    /// Opens the socket of `queue` on `interface`, which has none of this UMEM yet, bound with `flags` too. libxdp is told to load no program: ours is attached.
    fn open(&self, interface: &str, queue: u32, flags: BindFlags) -> io::Result<Opened> {
        // Zero-copy would gain adverts nothing, and many drivers reset the queue for it: traffic would stop.
        let socket = SocketConfig::builder()
            .rx_queue_size(self.own)
            .tx_queue_size(self.any)
            .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
            .bind_flags(BindFlags::XDP_USE_NEED_WAKEUP | BindFlags::XDP_COPY | flags)
            .build();
        let name = interface.parse::<Interface>().map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: the UMEM has no other socket on this queue.
        let (tx, rx, queues) =
            unsafe { Socket::new(socket, &self.umem, &name, queue) }.map_err(|error| root_cause(&error))?;
        let (fill, completion) =
            queues.ok_or_else(|| io::Error::other("no fill ring for the first socket of a queue"))?;
        // SAFETY: the socket is open, and outlives the call.
        let socket = unsafe { BorrowedFd::borrow_raw(rx.fd().as_raw_fd()) };
        fcntl(socket, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        Ok(Opened { rx, fill, tx, completion })
    }
}

/// Makes the kernel send what is in the transmit ring of a socket, in this call: the sockets are in copy mode. `EBUSY` means that it
/// has thrown a frame away, which it does for an interface that is down or without a carrier, on the spot and while
/// the interface's flags still tell the contrary. `EAGAIN` means that it has sent a batch and there is more. With other errors the
/// frame stays in the ring; the next transmission finds it there.
fn wake(socket: RawFd) -> Result<usize, Errno> {
    send(socket, &[], MsgFlags::MSG_DONTWAIT)
}

/// How many frames [`wake`] sends (Linux 6.17); libc has no name for it yet.
const XDP_MAX_TX_SKB_BUDGET: libc::c_int = 9;

/// Has the kernel send so many `frames` in one call.
fn allow_at_once(socket: RawFd, frames: usize) -> Result<(), Errno> {
    let frames = libc::c_uint::try_from(frames).unwrap_or(libc::c_uint::MAX);
    let value = std::ptr::from_ref(&frames).cast();
    let length = libc::socklen_t::try_from(size_of_val(&frames)).unwrap_or_default();
    // SAFETY: the pointer and the length describe `frames`, which outlives the call.
    let status = unsafe { libc::setsockopt(socket, libc::SOL_XDP, XDP_MAX_TX_SKB_BUDGET, value, length) };
    Errno::result(status).map(drop)
}

/// The system's error below `error`, which carries the number that says what to do.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> io::Error {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match source.and_then(io::Error::raw_os_error) {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::other(error.to_string()),
    }
}
