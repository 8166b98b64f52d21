//! Real-time scheduling, locked memory and the clock, for processes that measure in microseconds.

use std::io;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sys::time::{TimeSpec, TimeValLike as _};
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};

/// Puts this process under SCHED_FIFO and keeps all its memory, present and future, in RAM.
pub fn become_realtime(priority: i32) -> Result<()> {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: the call only reads the parameters, which live on this stack frame; 0 is the calling thread.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) } != 0 {
        return Err(io::Error::last_os_error()).context("get real-time priority (SCHED_FIFO)");
    }
    // SAFETY: the call takes no pointers and only affects paging.
    if unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) } != 0 {
        return Err(io::Error::last_os_error()).context("lock memory");
    }
    Ok(())
}

/// Nanoseconds of CLOCK_MONOTONIC.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has CLOCK_MONOTONIC");
    u64::try_from(now.num_nanoseconds()).expect("CLOCK_MONOTONIC is not negative")
}

/// Sleeps until the clock shows `at_ns`, or a signal arrives.
pub fn sleep_until(at_ns: u64) -> Result<()> {
    let at = TimeSpec::nanoseconds(i64::try_from(at_ns).context("a time within this century")?);
    match clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &at) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error).context("sleep"),
    }
}
