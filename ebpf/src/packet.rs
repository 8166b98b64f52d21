//! Reading and writing the octets of a frame, and what a socket buffer says about it. All unsafe code that touches
//! packet memory or a program's context is here.

use core::marker::PhantomData;
use core::ptr::read_volatile;

use aya_ebpf::helpers::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_get_buff_len, bpf_xdp_load_bytes};
use aya_ebpf::programs::{TcContext, XdpContext};

/// Where headers are read from.
pub(crate) trait Octets {
    /// The `N` octets at `at`, unless the frame ends before.
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]>;

    /// As [`Frame::blur`], where the verifier needs it.
    fn blur<const BOUND: usize>(&self, number: usize) -> usize;
}

/// A frame of which the first buffer has less than the headers. Each reading costs a call.
pub(crate) struct Scattered<'a>(pub(crate) &'a XdpContext);

impl Octets for Scattered<'_> {
    #[inline(always)]
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let mut octets = [0; N];
        // SAFETY: the context is valid, and there is room for as many octets as are asked for.
        #[expect(clippy::cast_possible_truncation, reason = "headers are short")]
        let status =
            unsafe { bpf_xdp_load_bytes(self.0.ctx, at as u32, octets.as_mut_ptr().cast(), N as u32) };
        (status == 0).then_some(octets)
    }

    #[inline(always)]
    fn blur<const BOUND: usize>(&self, number: usize) -> usize {
        number
    }
}

impl Octets for Frame<'_> {
    #[inline(always)]
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.get(at).copied()
    }

    #[inline(always)]
    fn blur<const BOUND: usize>(&self, number: usize) -> usize {
        Frame::blur::<BOUND>(self, number)
    }
}

/// The linear part of a frame, from its Ethernet header on. Of a frame in several buffers (jumbo) that is the first
/// buffer, where a driver must leave every header that this program reads.
pub(crate) struct Frame<'a> {
    start: usize,
    end: usize,
    context: PhantomData<&'a ()>,
}

impl<'a> Frame<'a> {
    /// The frame that an XDP program is called for, of which the verifier knows nothing yet.
    #[inline(always)]
    pub(crate) fn received(ctx: &'a XdpContext) -> Self {
        // SAFETY: the kernel hands the program a valid context. The compiler must not use what it has read before, to
        // which the verifier would tie what it has learnt: how far the frame was looked at.
        let (start, end) = unsafe { (read_volatile(&(*ctx.ctx).data), read_volatile(&(*ctx.ctx).data_end)) };
        Self { start: start as usize, end: end as usize, context: PhantomData }
    }

    /// The frame that an XDP program is called for, made `after` octets long; `before` is what its headers say that it is.
    /// Padding behind that goes. What was read of the frame before is not to be used any more.
    #[inline(always)]
    pub(crate) fn resized(ctx: &'a XdpContext, before: usize, after: usize) -> Option<Self> {
        let length = whole_length(ctx);
        if length < before {
            return None;
        }
        // Frames are shorter than 2^31.
        #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "both are short")]
        let difference = after as i32 - length as i32;
        // SAFETY: the context is valid. The helper moves the end of the frame and makes references into it stale, of which
        // there are none: the frame is read afresh.
        let status = unsafe { bpf_xdp_adjust_tail(ctx.ctx, difference) };
        (status == 0).then(|| Self::received(ctx))
    }

    /// The frame that an XDP program is called for, with so many octets more before its first, whatever they hold. What was read
    /// of the frame before is not to be used any more.
    #[inline(always)]
    pub(crate) fn extended(ctx: &'a XdpContext, octets: usize) -> Option<Self> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "a header is short")]
        Self::begun(ctx, -(octets as i32))
    }

    /// The frame that an XDP program is called for, without so many octets at its start. What was read of the frame before is
    /// not to be used any more.
    #[inline(always)]
    pub(crate) fn shortened(ctx: &'a XdpContext, octets: usize) -> Option<Self> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "a header is short")]
        Self::begun(ctx, octets as i32)
    }

    #[inline(always)]
    fn begun(ctx: &'a XdpContext, by: i32) -> Option<Self> {
        // SAFETY: the context is valid. The helper moves the start of the frame and makes references into it stale, of which
        // there are none: the frame is read afresh.
        let status = unsafe { bpf_xdp_adjust_head(ctx.ctx, by) };
        (status == 0).then(|| Self::received(ctx))
    }

    /// The frame in a socket buffer. At least its first `wanted` octets, or all if there are less, are made linear.
    #[inline(always)]
    pub(crate) fn of_buffer(ctx: &'a TcContext, wanted: u32) -> Self {
        let wanted = wanted.min(ctx.len());
        if ctx.data() + wanted as usize > ctx.data_end() {
            // On failure the linear part stays as it is, and a reader is told of the missing octets by `get`.
            let _ = ctx.pull_data(wanted);
        }
        Self { start: ctx.data(), end: ctx.data_end(), context: PhantomData }
    }

    /// How many octets it has; of a frame in several buffers, those in the first.
    #[inline(always)]
    pub(crate) fn length(&self) -> usize {
        self.end - self.start
    }

    /// The `N` octets at `at`, unless the frame ends before.
    #[inline(always)]
    pub(crate) fn get<const N: usize>(&self, at: usize) -> Option<&[u8; N]> {
        let octets = self.start + at;
        if octets + N > self.end {
            return None;
        }
        // SAFETY: start and end delimit one packet, which the context keeps alive for `'a` and which nothing else
        // accesses while the program runs; `octets + N` is inside it, as the verifier proves once more. Octets have
        // no alignment and no invalid values.
        Some(unsafe { &*(octets as *const [u8; N]) })
    }

    /// Whether there is less than `wanted` octets in the first buffer and more in others.
    #[inline(always)]
    pub(crate) fn is_cut(&self, ctx: &XdpContext, wanted: usize) -> bool {
        self.length() < wanted && whole_length(ctx) > self.length()
    }

    /// The same number, of which the verifier does not know more than that it is below `BOUND`, a power of two. Paths that
    /// differ in nothing but the number are one to it from here on, and what follows is verified once instead of for each.
    #[inline(always)]
    pub(crate) fn blur<const BOUND: usize>(&self, number: usize) -> usize {
        const { assert!(BOUND.is_power_of_two()) };
        let (place, mask) = (self.start + number, BOUND - 1);
        // SAFETY: local variables are readable. The compiler must not see that the difference is what was added; nor that
        // it is small, or it would drop comparisons that it can do without and the verifier cannot, see `reaches`.
        let (place, mask) = unsafe { (read_volatile(&place), read_volatile(&mask)) };
        (place - self.start) & mask
    }

    /// Overwrites the `N` octets at `at`; `None` and no change if the frame ends before.
    #[inline(always)]
    pub(crate) fn set<const N: usize>(&mut self, at: usize, octets: &[u8; N]) -> Option<()> {
        let place = self.start + at;
        if place + N > self.end {
            return None;
        }
        // SAFETY: as in `get`, and `&mut self` excludes references that `get` has given out.
        unsafe { (place as *mut [u8; N]).write(*octets) };
        Some(())
    }

    /// Whether the frame has octets up to `at`, exclusive.
    ///
    /// The compiler must not conclude from this that a later `get` in those bounds succeeds and drop its comparison:
    /// the verifier cannot follow such reasoning and wants to see one for every access.
    #[inline(always)]
    pub(crate) fn reaches(&self, at: usize) -> bool {
        // SAFETY: a local variable is readable.
        let opaque = unsafe { read_volatile(&at) };
        self.start + opaque <= self.end
    }
}

/// How many octets the frame has, those in other buffers than the first included. Costs a call.
#[inline(always)]
pub(crate) fn whole_length(ctx: &XdpContext) -> usize {
    // SAFETY: the context is valid.
    let length = unsafe { bpf_xdp_get_buff_len(ctx.ctx) };
    #[expect(clippy::cast_possible_truncation, reason = "a frame has fewer than 2^32")]
    (length as usize)
}

/// The VLAN tag that the kernel keeps beside the frame instead of in it.
#[inline(always)]
pub(crate) fn tag_beside(ctx: &TcContext) -> Option<u16> {
    let buffer = ctx.skb.skb;
    // SAFETY: the kernel hands the program a valid context, and both fields may be read by every tc program.
    let (present, tci) = unsafe { ((*buffer).vlan_present, (*buffer).vlan_tci) };
    #[expect(clippy::cast_possible_truncation, reason = "a TCI has 16 bits")]
    (present != 0).then_some(tci as u16)
}

/// What the kernel takes the frame for: `PACKET_HOST`, `PACKET_OTHERHOST`...
#[inline(always)]
pub(crate) fn packet_type(ctx: &TcContext) -> u32 {
    // SAFETY: as in `tag_beside`.
    unsafe { (*ctx.skb.skb).pkt_type }
}
