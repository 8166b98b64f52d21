//! The guardian: the small parent of the agent, which outlives it. When the agent dies it does for every virtual router
//! that this host owns what a planned handover does last: the lease ends by the linger, priority 0 is said, and when a
//! successor speaks the lease ends soon after. The data plane, which is healthy, serves meanwhile.
//!
//! ```text
//!  baton run --fork--> agent
//!     |                  |---- briefing ----> |
//!  guardian              | <-- signals ------ |  the line (socket pair)
//!     |                  |
//!     +-- sleeps on the notice, a mutex that the election thread holds
//!            | the thread dies
//!            v
//!     leases shortened -> priority 0 -> mailboxes watched -> leases shortened
//! ```
//!
//! The agent does without it when it has to: a guardian that is gone is logged and shown by `baton status`. Where both die,
//! the lease lapses.

#[forbid(unsafe_code)]
mod briefing;
#[forbid(unsafe_code)]
mod gasp;
#[forbid(unsafe_code)]
mod line;
#[forbid(unsafe_code)]
mod linger;
mod notice;
#[forbid(unsafe_code)]
mod parent;
#[forbid(unsafe_code)]
mod ward;

use std::io;
use std::os::unix::net::UnixStream;

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{ForkResult, fork};

pub use briefing::{Briefing, Farewell, InterfaceBriefing, RouterBriefing};
pub use line::{Line, Word, Words};
pub use linger::Linger;
pub use notice::{Notice, Tenure};
pub use parent::Guardian;

/// What a process has become.
pub enum Side {
    /// The parent.
    Guardian(Guardian),
    /// The child, with its end of the line.
    Agent(Line),
}

/// Makes this process the guardian, and a new one the agent. To be called before there is a second thread.
///
/// # Errors
///
/// There are no descriptors or processes to spare, or there is a second thread.
pub fn divide() -> io::Result<Side> {
    if std::fs::read_dir("/proc/self/task")?.count() > 1 {
        return Err(io::Error::other("the process has threads already"));
    }
    let notice = Notice::new()?;
    let (parents, childs) = UnixStream::pair()?;
    parents.set_nonblocking(true)?;
    // Blocked before there is an agent to pass them on to: none is lost.
    let mask: SigSet =
        [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD].into_iter().collect();
    // Whoever has started this process may have ignored it, and then nobody would be told of the agent's end.
    // SAFETY: the default action runs no code of ours.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let before = mask.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let guardian = std::process::id();
    // SAFETY: the process has no other thread, so the child finds no lock held and no memory half changed.
    match unsafe { fork() } {
        Ok(ForkResult::Parent { child }) => {
            Ok(Side::Guardian(Guardian::new(child, parents, mask, signals, notice)))
        }
        Ok(ForkResult::Child) => {
            before.thread_set_mask()?;
            Ok(Side::Agent(Line { stream: childs, notice, guardian }))
        }
        Err(error) => {
            before.thread_set_mask()?;
            Err(error.into())
        }
    }
}
