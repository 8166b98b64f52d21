//! What the process may do, and what it asks for itself: capabilities, real-time scheduling, locked memory.

use std::io;

use nix::sys::mman::{MlockAllFlags, mlockall};

use super::HostError;

/// Capability numbers of linux/capability.h, each with what it is for here.
const NEEDED: [(u32, &str); 4] = [
    (12, "CAP_NET_ADMIN (programs on interfaces, addresses, sysctls)"),
    (13, "CAP_NET_RAW (adverts and announcements)"),
    (CAP_PERFMON, "CAP_PERFMON (programs that compare pointers)"),
    (CAP_BPF, "CAP_BPF (maps and programs)"),
];
/// Includes CAP_BPF and CAP_PERFMON.
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;
/// tcx links came with this release.
const OLDEST_KERNEL: (u32, u32) = (6, 6);

/// Fails when the kernel is too old or a capability is missing.
///
/// # Errors
///
/// Names what is missing.
pub fn check() -> Result<(), HostError> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok());
    if let (Some(major), Some(minor)) = (numbers.next(), numbers.next())
        && (major, minor) < OLDEST_KERNEL
    {
        return Err(HostError::OldKernel(release.trim().to_owned()));
    }
    let held = effective_capabilities();
    let is_set = |number: u32| held & (1 << number) != 0;
    let has =
        |number: u32| is_set(number) || (matches!(number, CAP_PERFMON | CAP_BPF) && is_set(CAP_SYS_ADMIN));
    let missing: Vec<&str> =
        NEEDED.iter().filter(|(number, _)| !has(*number)).map(|(_, name)| *name).collect();
    if missing.is_empty() { Ok(()) } else { Err(HostError::NoRights { missing: missing.join(", ") }) }
}

fn effective_capabilities() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or_default()
}

/// Makes the calling thread real-time with SCHED_FIFO `priority`.
///
/// # Errors
///
/// The process may not (CAP_SYS_NICE, RLIMIT_RTPRIO).
pub fn become_realtime(priority: u8) -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: i32::from(priority) };
    // SAFETY: the pointer is to a live sched_param; 0 names the calling thread.
    let status = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) };
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Keeps all present and future memory of the process in RAM.
///
/// # Errors
///
/// The process may not (CAP_IPC_LOCK, RLIMIT_MEMLOCK).
pub fn lock_memory() -> io::Result<()> {
    Ok(mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE)?)
}

/// Makes the kernel end every other process before this one when memory runs out.
///
/// # Errors
///
/// The process may not (CAP_SYS_RESOURCE), unless whoever has started it has done so already.
pub fn outlast_others() -> io::Result<()> {
    std::fs::write("/proc/self/oom_score_adj", "-1000")
}
