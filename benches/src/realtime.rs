//! Real-time scheduling, and sleeping by the clock, for processes that measure in microseconds.

use anyhow::{Context as _, Result};
use baton::host::rights;
use nix::errno::Errno;
use nix::sys::time::{TimeSpec, TimeValLike as _};
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};

/// Puts this thread under SCHED_FIFO and keeps all memory of the process, present and future, in RAM.
pub fn become_realtime(priority: u8) -> Result<()> {
    rights::become_realtime(priority).context("get real-time priority (SCHED_FIFO)")?;
    rights::lock_memory().context("lock memory")
}

/// Sleeps until the clock shows `at_ns`, or a signal arrives.
pub fn sleep_until(at_ns: u64) -> Result<()> {
    let at = TimeSpec::nanoseconds(i64::try_from(at_ns).context("a time within this century")?);
    match clock_nanosleep(ClockId::CLOCK_BOOTTIME, ClockNanosleepFlags::TIMER_ABSTIME, &at) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error).context("sleep"),
    }
}
