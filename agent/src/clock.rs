//! The one place that reads the clock: CLOCK_BOOTTIME, which `bpf_ktime_get_boot_ns` reads too. Unlike CLOCK_MONOTONIC it goes on
//! while the host is suspended, and leases age.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::vrrp::Instant;

/// The present.
pub fn now() -> Instant {
    // CLOCK_BOOTTIME exists on every Linux, so the call cannot fail; time zero would only delay timers.
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    Instant::from_nanos(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// How long the calling thread has been on a CPU.
pub fn of_this_thread() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}
