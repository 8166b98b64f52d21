//! What the BPF programs log, brought into this process's log.

use aya::Ebpf;
use aya_log::EbpfLogger;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::DatapathError;

/// Takes the event ring out of `bpf`; the future writes to the log what arrives there.
pub(super) fn follow(bpf: &mut Ebpf) -> Result<impl Future<Output = ()> + use<>, DatapathError> {
    let ring = EbpfLogger::init(bpf)?;
    // SAFETY: the logger owns its ring buffer's descriptor and keeps the same one open for as long as it lives.
    let mut ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }
        .map_err(|error| DatapathError::Ring(error.into()))?;
    Ok(async move {
        while let Ok(mut guard) = ring.readable_mut().await {
            guard.get_inner_mut().flush();
            guard.clear_ready();
        }
    })
}
