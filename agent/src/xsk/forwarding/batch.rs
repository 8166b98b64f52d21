//! Frames that have arrived together, and what may be done to one. A frame that is larger than a buffer goes on in others; all headers
//! are in the first, and the rest is only passed on.

use std::io::Write;
use std::ops::{Deref, DerefMut};

use xsk_rs::umem::frame::DataMut;
use xsk_rs::{FrameDesc, Umem};

use super::queue::Queue;
use crate::xsk::BUFFER_SIZE;

/// What a buffer holds: a page, without the headroom that XDP wants.
const BUFFER: usize = BUFFER_SIZE - 256;
/// Buffers of a frame that is forwarded. The kernel sends one more, in copy mode, which is for what a frame spills: each may have to be
/// a fragment of a socket buffer, of which that has 17 (CONFIG_MAX_SKB_FRAGS).
const MOST_BUFFERS: usize = 16;
/// The longest frame that can be forwarded, whatever is put before it.
pub const MAX_FRAME: usize = MOST_BUFFERS * BUFFER;

/// Says of a buffer that another one of the same frame follows (XDP_PKT_CONTD), and that none does.
const CONTINUED: u32 = 1;
const LAST: u32 = 0;

/// A frame that was received, in its place in the UMEM. As a slice, what is in its first buffer.
pub struct Received<'a> {
    umem: &'a Umem,
    first: DataMut<'a>,
    /// What did not fit into the first any more.
    spilt: Option<FrameDesc>,
    /// What comes behind.
    rest: &'a [FrameDesc],
    /// Buffers that are nowhere else.
    spare: &'a mut Vec<FrameDesc>,
}

impl Received<'_> {
    /// Octets of the frame that are not in its first buffer.
    pub fn behind(&self) -> usize {
        length(self.spilt.as_slice()) + length(self.rest)
    }

    /// Makes the frame these octets and no others. `false`, and no change, if a buffer does not hold them.
    pub fn replace(&mut self, octets: &[u8]) -> bool {
        let mut cursor = self.first.cursor();
        if octets.len() > cursor.buf_len() {
            return false;
        }
        cursor.set_pos(0);
        // It fits.
        let _ = cursor.write_all(octets);
        self.spare.extend(self.spilt.take());
        self.spare.extend_from_slice(std::mem::take(&mut self.rest));
        true
    }

    /// Puts `head` in the place of the first `before` octets. `false`, and no change, if the frame has fewer in its first buffer, or
    /// there is no buffer for what does not fit there then.
    pub fn replace_head(&mut self, before: usize, head: &[u8]) -> bool {
        let (length, room) = (self.first.len(), self.first.cursor().buf_len());
        let Some(kept) = length.checked_sub(before) else { return false };
        let excess = (head.len() + kept).saturating_sub(room);
        let Some(kept) = kept.checked_sub(excess) else { return false };
        if excess > 0 && !self.spill(excess) {
            return false;
        }
        let after = head.len() + kept;
        self.first.cursor().set_pos(length.max(after));
        self.first.copy_within(before..before + kept, head.len());
        self.first[..head.len()].copy_from_slice(head);
        self.first.cursor().set_pos(after);
        true
    }

    /// Copies the last `octets` of the first buffer to one that is put behind it. Whether there is one.
    fn spill(&mut self, octets: usize) -> bool {
        if self.spilt.is_some() || self.rest.len() >= MOST_BUFFERS {
            return false;
        }
        let Some(mut buffer) = self.spare.pop() else { return false };
        // SAFETY: spare buffers are of this UMEM and nowhere else.
        let mut data = unsafe { self.umem.data_mut(&mut buffer) };
        let mut cursor = data.cursor();
        cursor.set_pos(0);
        // It is less than what was in another buffer.
        let _ = cursor.write_all(&self.first[self.first.len() - octets..]);
        self.spilt = Some(buffer);
        true
    }
}

fn length(buffers: &[FrameDesc]) -> usize {
    buffers.iter().map(|buffer| buffer.lengths().data()).sum()
}

/// Whether no other buffer of the same frame follows.
pub(super) fn is_last(buffer: &FrameDesc) -> bool {
    !buffer.has_more_frames()
}

impl Deref for Received<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.first
    }
}

impl DerefMut for Received<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.first
    }
}

/// Frames that have arrived together.
pub struct Batch<'a> {
    umem: &'a Umem,
    /// Those that came from a receive ring of this UMEM and are nowhere else; whole frames.
    buffers: &'a mut [FrameDesc],
    queues: &'a mut [Queue],
    /// The place of the queue by which they came.
    entry: usize,
    /// The places of the queues by which frames leave each interface.
    exits: &'a [usize],
}

impl<'a> Batch<'a> {
    /// The frames in `buffers`, which came from the receive ring of the queue at `entry` and are nowhere else.
    pub(super) fn new(
        umem: &'a Umem,
        buffers: &'a mut [FrameDesc],
        queues: &'a mut [Queue],
        entry: usize,
        exits: &'a [usize],
    ) -> Self {
        Self { umem, buffers, queues, entry, exits }
    }

    /// Of each frame what is in its first buffer, and how many octets come behind.
    pub fn frames(&self) -> impl Iterator<Item = (&[u8], usize)> + Clone {
        self.buffers.split_inclusive(is_last).filter_map(|frame| {
            let (first, rest) = frame.split_first()?;
            // SAFETY: the buffers are this batch's alone, which is borrowed.
            Some((unsafe { self.umem.data(first) }.contents(), length(rest)))
        })
    }

    /// Hands each frame in its turn to `handle`, which may rewrite it in place and says by which of the interfaces it is to be sent,
    /// if it is. None is left.
    pub fn sort(&mut self, mut handle: impl FnMut(&mut Received<'_>) -> Option<usize>) {
        for frame in std::mem::take(&mut self.buffers).split_inclusive_mut(is_last) {
            let Some((first, rest)) = frame.split_first_mut() else { continue };
            // SAFETY: the buffers are this batch's alone, and go on only below.
            let data = unsafe { self.umem.data_mut(first) };
            let spare = &mut self.queues[self.entry].to_fill;
            let mut frame = Received { umem: self.umem, first: data, spilt: None, rest, spare };
            let arm = handle(&mut frame);
            // All of the rest, or nothing.
            let (spilt, rest) = (frame.spilt, &rest[..frame.rest.len()]);
            let options = |is_last| if is_last { LAST } else { CONTINUED };
            first.set_options(options(spilt.is_none() && rest.is_empty()));
            let exit = arm.and_then(|arm| self.exits.get(arm).copied());
            let onward = match exit {
                Some(exit) if exit != self.entry && self.queues[exit].is_jammed() => {
                    self.queues[exit].jammed += 1;
                    &mut self.queues[self.entry].to_fill
                }
                Some(exit) => &mut self.queues[exit].to_send,
                None => &mut self.queues[self.entry].to_fill,
            };
            onward.push(*first);
            onward.extend(spilt.map(|mut spilt| {
                spilt.set_options(options(rest.is_empty()));
                spilt
            }));
            onward.extend_from_slice(rest);
        }
    }
}
