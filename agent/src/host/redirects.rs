//! Whether XDP can send by an interface. Many drivers can only while the interface has an XDP program itself. What a veth can do depends
//! on its other end: that takes frames which an XDP program sends back (XDP_TX) only while it runs an XDP program itself, or has GRO on.
//! It may be in a network namespace that this process does not see; but the kernel says of this end whether frames may be redirected to
//! it, which hangs on the same thing.

use std::io;

use libbpf_sys::{bpf_xdp_query, bpf_xdp_query_opts};

/// `NETDEV_XDP_ACT_NDO_XMIT` of linux/netdev.h.
const TAKES_REDIRECTED: u64 = 1 << 2;

/// Whether frames that XDP redirects to the interface with index `index`, or sends back through it if that is a veth, leave by it.
///
/// # Errors
///
/// The kernel does not say.
pub fn are_taken(index: u32) -> io::Result<bool> {
    let size = u64::try_from(size_of::<bpf_xdp_query_opts>()).map_err(io::Error::other)?;
    let index = i32::try_from(index).map_err(io::Error::other)?;
    let mut answer = bpf_xdp_query_opts { sz: size, ..bpf_xdp_query_opts::default() };
    // SAFETY: the pointer is to a live structure of the size that it states, which the call fills.
    let status = unsafe { bpf_xdp_query(index, 0, &raw mut answer) };
    if status < 0 {
        return Err(io::Error::from_raw_os_error(-status));
    }
    Ok(answer.feature_flags & TAKES_REDIRECTED != 0)
}
