//! The socket of one queue, and what waits for it.

use std::os::fd::{AsRawFd, RawFd};

use nix::errno::Errno;
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, TxQueue};

use super::batch::is_last;
use super::{BATCH, BUFFERS, RingLosses};
use crate::xsk::{Opened, allow_at_once, wake};

/// Buffers that the receiving side is not given: each frame of a batch may have to spill into one.
const SPARE: usize = BATCH;
/// Buffers that the kernel sends in one call, in copy mode, if it is not told otherwise.
const SENT_AT_ONCE: usize = 32;

pub(super) struct Queue {
    /// The place of its interface, and its number there.
    pub(super) name: (usize, u32),
    rx: RxQueue,
    fill: FillQueue,
    tx: TxQueue,
    completion: CompQueue,
    /// Those of a frame whose rest is still in the receive ring.
    begun: Vec<FrameDesc>,
    /// Buffers of its own that wait for room in the fill ring or are spare, and any that wait for room in the transmit ring. They
    /// never grow beyond their first allocation.
    pub(super) to_fill: Vec<FrameDesc>,
    pub(super) to_send: Vec<FrameDesc>,
    /// Buffers that the transmit ring has and that are not complete.
    sending: usize,
    /// Whether there are some among them that the kernel has not taken yet.
    has_unsent: bool,
    /// Frames that came in elsewhere and found it jammed.
    pub(super) jammed: u64,
}

impl Queue {
    /// One of a ring that has so many `buffers` in all.
    pub(super) fn new(name: (usize, u32), opened: Opened, buffers: usize) -> Self {
        let Opened { rx, fill, tx, completion } = opened;
        // Older kernels have no such option, and send in several calls.
        let _ = allow_at_once(tx.fd().as_raw_fd(), BATCH);
        let (to_fill, to_send) = (Vec::with_capacity(BUFFERS as usize), Vec::with_capacity(buffers));
        let begun = Vec::with_capacity(BATCH);
        Self {
            name,
            rx,
            fill,
            tx,
            completion,
            begun,
            to_fill,
            to_send,
            sending: 0,
            has_unsent: false,
            jammed: 0,
        }
    }

    pub(super) fn raw_fd(&self) -> RawFd {
        self.rx.fd().as_raw_fd()
    }

    /// Whether frames are on their way out.
    pub(super) fn is_sending(&self) -> bool {
        self.sending > 0 || !self.to_send.is_empty()
    }

    /// Whether so much waits here that other queues must not give it more: their buffers are missing there. An interface that is down
    /// takes nothing.
    pub(super) fn is_jammed(&self) -> bool {
        self.sending + self.to_send.len() > BUFFERS as usize / 2
    }

    /// What was lost here; `None` if the kernel does not say.
    pub(super) fn losses(&self) -> Option<RingLosses> {
        let counted = self.rx.fd().xdp_statistics().ok()?;
        // A fill ring that was empty is among the first: there was a frame for it.
        let no_room = counted.rx_dropped() + counted.rx_ring_full() + self.jammed;
        Some(RingLosses { no_room, refused: counted.tx_invalid_descs() })
    }

    /// Puts buffers that have arrived into `buffers`, behind those that wait for the rest of their frame. Answers with how many have
    /// arrived, and how many in all are whole frames; what is behind these waits.
    pub(super) fn receive(&mut self, buffers: &mut [FrameDesc; BATCH]) -> (usize, usize) {
        let begun = self.begun.len();
        buffers[..begun].copy_from_slice(&self.begun);
        // SAFETY: this ring belongs to the UMEM whose buffers fill `buffers`.
        let count = unsafe { self.rx.consume(&mut buffers[begun..]) };
        let all = &buffers[..begun + count];
        let whole = all.iter().rposition(is_last).map_or(0, |last| last + 1);
        self.begun.clear();
        self.begun.extend_from_slice(&all[whole..]);
        (count, whole)
    }

    /// Takes buffers back that have left, as many as `buffers` has room for at the most.
    pub(super) fn complete(&mut self, buffers: &mut [FrameDesc]) -> usize {
        // SAFETY: this ring belongs to the UMEM that `buffers` come from.
        let count = unsafe { self.completion.consume(buffers) };
        self.sending = self.sending.saturating_sub(count);
        count
    }

    /// Gives all buffers but the spare ones to the receiving side, as far as there is room.
    pub(super) fn refill(&mut self) {
        if let Some(more @ [_, ..]) = self.to_fill.get(SPARE..) {
            // SAFETY: these buffers belong to this UMEM, nothing borrows them, and they are nowhere else.
            let taken = unsafe { self.fill.produce(more) };
            self.to_fill.drain(SPARE..SPARE + taken);
        }
    }

    /// Gives buffers to the sending side, as many as there is room for, and makes the kernel send.
    pub(super) fn send(&mut self) {
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
}
