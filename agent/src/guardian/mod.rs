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
//!
//! It outlives a restart, too. The agent starts the next one, which inherits its end of the line and takes the notice when it
//! is passed on. When the first has ended, the guardian runs its own program anew, in the same process:
//!
//! ```text
//!  guardian        agent -- start, with inheritance -> next agent
//!     |              | <--------- ready -------------- |  progress (socket pair)
//!     | <- successor |                                 |
//!     |              | ==== notice, passed on =======> |  takes up the leases
//!     |              | <-------- serving ------------- |
//!  exec itself      x                                 |
//!     | <------------------ briefing ----------------- |
//! ```

#[forbid(unsafe_code)]
mod briefing;
#[forbid(unsafe_code)]
mod gasp;
mod inheritance;
#[forbid(unsafe_code)]
mod line;
#[forbid(unsafe_code)]
mod linger;
mod notice;
#[forbid(unsafe_code)]
mod parent;
#[forbid(unsafe_code)]
mod predecessor;
#[forbid(unsafe_code)]
mod ward;

use std::io;
use std::os::unix::net::UnixStream;

use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{ForkResult, Pid, fork};

pub use briefing::{Briefing, Farewell, InterfaceBriefing, RouterBriefing};
pub use inheritance::Heirlooms;
use inheritance::Inheritance;
pub use line::{Line, NextAgent, OpenLine, SharedWithNext, Word};
pub use linger::Linger;
pub use notice::{Notice, Tenure};
pub use parent::Guardian;
pub use predecessor::{Predecessor, Progress, RouterName};

/// What a process has become.
pub enum Side {
    /// The parent.
    Guardian(Guardian),
    /// The child, with its end of the line, and the agent that it takes over from if there is one.
    Agent(Line, Option<Predecessor>),
}

/// Makes this process the guardian, and a new one the agent; or this one what it was started as in a restart. To be called
/// before there is a second thread.
///
/// # Errors
///
/// There are no descriptors or processes to spare, or there is a second thread.
pub fn divide() -> io::Result<Side> {
    if std::fs::read_dir("/proc/self/task")?.count() > 1 {
        return Err(io::Error::other("the process has threads already"));
    }
    hangups().thread_block()?;
    match Inheritance::of_this_process()? {
        None => {}
        // Its signals are blocked as they were.
        Some(Inheritance::Guardian { agent, line, notice }) => {
            let (line, notice) = (line.take()?.into(), Notice::open(notice.take()?)?);
            let (mask, signals) = signals()?;
            let guardian = Guardian::new(Pid::from_raw(agent), line, mask, signals, notice);
            return Ok(Side::Guardian(guardian.of_successor()));
        }
        Some(Inheritance::Agent {
            guardian,
            line,
            notice,
            progress,
            host_lock,
            directory_lock,
            pins,
            layout,
        }) => {
            let (stream, notice) = (line.take()?.into(), Notice::open(notice.take()?)?);
            let predecessor = Predecessor {
                progress: progress.take()?.into(),
                host_lock: host_lock.take()?.into(),
                directory_lock: directory_lock.take()?.into(),
                pins,
                layout,
            };
            return Ok(Side::Agent(Line { stream, notice, guardian }, Some(predecessor)));
        }
    }
    let notice = Notice::new()?;
    let (parents, childs) = UnixStream::pair()?;
    parents.set_nonblocking(true)?;
    // Blocked before there is an agent to pass them on to: none is lost.
    let (mask, signals) = signals()?;
    // The next agent is started by this one, and must not be lost when this one has ended.
    set_child_subreaper(true)?;
    // Whoever has started this process may have ignored it, and then nobody would be told of the agent's end.
    // SAFETY: the default action runs no code of ours.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }?;
    let before = mask.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let guardian = std::process::id();
    // SAFETY: the process has no other thread, so the child finds no lock held and no memory half changed.
    match unsafe { fork() } {
        Ok(ForkResult::Parent { child }) => {
            Ok(Side::Guardian(Guardian::new(child, parents, mask, signals, notice)))
        }
        Ok(ForkResult::Child) => {
            before.thread_set_mask()?;
            Ok(Side::Agent(Line { stream: childs, notice, guardian }, None))
        }
        Err(error) => {
            before.thread_set_mask()?;
            Err(error.into())
        }
    }
}

/// Lets in the SIGHUP that may have come since [`divide`], which keeps it waiting: it must not end an agent that is not ready
/// to reload, nor interrupt the kernel while that checks a program. To be called on an agent's main thread.
///
/// # Errors
///
/// None that the kernel knows of.
pub fn let_hangups_in() -> io::Result<()> {
    Ok(hangups().thread_unblock()?)
}

fn hangups() -> SigSet {
    [Signal::SIGHUP].into_iter().collect()
}

/// Undoes what the attempt to run another program has done. A log that nobody reads any more must not end the guardian.
fn ignore_broken_pipes() {
    // SAFETY: to ignore a signal runs no code of ours. It cannot fail for this one.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) };
}

/// The signals of a guardian, which it has to block, and what it reads them from.
fn signals() -> io::Result<(SigSet, SignalFd)> {
    let mask: SigSet =
        [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD].into_iter().collect();
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    Ok((mask, signals))
}
