//! The least that AF_XDP can do: a loop that swaps the addresses of each frame and sends it back, with the rings and the batches of
//! Baton's workers and nothing else; the kernel sends as many in a call as it does when it is not told otherwise.

use std::num::NonZeroU32;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, anyhow};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{MsgFlags, send};
use xsk_rs::config::{BindFlags, LibxdpFlags, QueueSize, SocketConfig, UmemConfig};
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, Socket, TxQueue, Umem};

/// As Baton's workers have them.
const FRAMES: u32 = 2048;
const RING_SIZE: u32 = 2 * FRAMES;
const BATCH: usize = 64;
/// How long it waits for a frame, in ms, before it looks whether it is to end.
const PATIENCE_MS: u16 = 10;

/// An AF_XDP socket with all that belongs to it.
pub(super) struct BareForwarder {
    umem: Umem,
    rx: RxQueue,
    tx: TxQueue,
    fill: FillQueue,
    completion: CompQueue,
}

impl BareForwarder {
    /// Opens the first queue of `interface`.
    pub(super) fn open(interface: &str) -> Result<Self> {
        let size = QueueSize::new(RING_SIZE)?;
        let config = UmemConfig::builder().fill_queue_size(size).comp_queue_size(size).build()?;
        let count = NonZeroU32::new(FRAMES).context("frames")?;
        let (umem, frames) = Umem::new(config, count, false)?;
        let socket = SocketConfig::builder()
            .rx_queue_size(size)
            .tx_queue_size(size)
            .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
            .bind_flags(BindFlags::XDP_USE_NEED_WAKEUP | BindFlags::XDP_COPY)
            .build();
        let name = interface.parse().map_err(|_| anyhow!("{interface} is no name of an interface"))?;
        // SAFETY: the UMEM was made above and is shared with no other socket.
        let (tx, rx, queues) = unsafe { Socket::new(socket, &umem, &name, 0) }?;
        let (mut fill, completion) = queues.context("no fill ring for an unshared UMEM")?;
        // SAFETY: the frames are of this UMEM and nowhere else.
        unsafe { fill.produce(&frames) };
        Ok(Self { umem, rx, tx, fill, completion })
    }

    /// The socket, for the map of sockets.
    pub(super) fn descriptor(&self) -> i32 {
        self.rx.fd().as_raw_fd()
    }

    /// Forwards until `is_over`.
    pub(super) fn run(mut self, is_over: &AtomicBool) {
        let mut frames = [FrameDesc::default(); BATCH];
        let mut sending = 0;
        while !is_over.load(Ordering::Relaxed) {
            loop {
                // SAFETY: the ring belongs to the UMEM of `frames`, as all below.
                let count = unsafe { self.completion.consume(&mut frames) };
                // SAFETY: these frames have left and are nowhere else; the fill ring has room for all.
                unsafe { self.fill.produce(&frames[..count]) };
                sending -= count.min(sending);
                if count == 0 {
                    break;
                }
            }
            // SAFETY: as above.
            let count = unsafe { self.rx.consume(&mut frames) };
            for frame in &mut frames[..count] {
                // SAFETY: the frame came from the receive ring and goes on below.
                let mut data = unsafe { self.umem.data_mut(frame) };
                let (target, rest) = data.contents_mut().split_at_mut(6);
                target.swap_with_slice(&mut rest[..6]);
            }
            // SAFETY: nothing borrows these frames any more, and the transmit ring has room for all.
            sending += unsafe { self.tx.produce(&frames[..count]) };
            if sending > 0 && self.tx.needs_wakeup() {
                // What it has not sent it sends the next time.
                let _ = send(self.descriptor(), &[], MsgFlags::MSG_DONTWAIT);
            }
            if count == 0 {
                // SAFETY: the ring is borrowed, so its socket is open during the call.
                let socket = unsafe { BorrowedFd::borrow_raw(self.descriptor()) };
                let _ = poll(&mut [PollFd::new(socket, PollFlags::POLLIN)], PATIENCE_MS);
            }
        }
    }
}
