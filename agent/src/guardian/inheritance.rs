//! What a process leaves to the one that follows it: an agent to the next agent, a guardian to its next program, which goes
//! on in the same process. Descriptors stay open; an environment variable says which they are. Both may be of different
//! versions, so what stands here may only be added to.

use std::env;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Component, PathBuf};
use std::process::Command;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use serde::{Deserialize, Serialize};

const VARIABLE: &str = "BATON_INHERITANCE";

/// What a process inherits, by what it is to become.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Inheritance {
    /// The guardian, with its next program.
    Guardian {
        /// The agent that it watches over.
        agent: i32,
        /// Its end of the line.
        line: InheritedFd,
        /// The memory of the notice.
        notice: InheritedFd,
    },
    /// The next agent.
    Agent {
        /// The guardian of both.
        guardian: u32,
        /// The agent's end of the line.
        line: InheritedFd,
        /// The memory of the notice.
        notice: InheritedFd,
        /// Through which the next agent reports to this one.
        progress: InheritedFd,
        /// The lock of the host.
        host_lock: InheritedFd,
        /// The lock of the runtime directory.
        directory_lock: InheritedFd,
        /// Where this agent's programs and maps are pinned.
        pins: PathBuf,
        /// The version of their layout.
        layout: u32,
    },
}

impl Inheritance {
    /// What this process inherits.
    pub(super) fn of_this_process() -> io::Result<Option<Self>> {
        match env::var(VARIABLE) {
            Ok(text) => Ok(Some(serde_json::from_str(&text)?)),
            Err(env::VarError::NotPresent) => Ok(None),
            Err(error @ env::VarError::NotUnicode(_)) => Err(io::Error::other(error)),
        }
    }

    /// Runs the program that this process was started as, as it is on the disk now, with the same arguments and this inheritance.
    pub(super) fn command(&self) -> io::Result<Command> {
        let mut command = Command::new(program()?);
        command.args(env::args_os().skip(1)).env(VARIABLE, serde_json::to_string(self)?);
        Ok(command)
    }
}

/// The path that this process was started with. A name that was looked up says less than the kernel, which knows the
/// program by the path that it had.
fn program() -> io::Result<PathBuf> {
    if let Some(called) = env::args_os().next().map(PathBuf::from)
        && !matches!(called.components().collect::<Vec<_>>()[..], [] | [Component::Normal(_)])
    {
        return Ok(called);
    }
    let found = env::current_exe()?;
    let path = found.to_str().and_then(|path| path.strip_suffix(" (deleted)"));
    Ok(path.map_or_else(|| found.clone(), PathBuf::from))
}

/// Descriptors for a process that is about to be started. No other that is started meanwhile gets them: it might keep a lock,
/// or a way to the guardian, for as long as it lives.
#[derive(Default)]
pub struct Heirlooms(Vec<OwnedFd>);

impl Heirlooms {
    /// Adds a copy of `descriptor`.
    pub(super) fn add(&mut self, descriptor: BorrowedFd<'_>) -> io::Result<InheritedFd> {
        let copy = descriptor.try_clone_to_owned()?;
        let heirloom = InheritedFd(copy.as_raw_fd());
        self.0.push(copy);
        Ok(heirloom)
    }

    /// Leaves them to every process that is started from here on, until they are dropped.
    ///
    /// # Errors
    ///
    /// None of a sound descriptor.
    pub fn leave(&self) -> io::Result<()> {
        self.0.iter().try_for_each(|descriptor| InheritedFd::new(descriptor.as_fd()).map(drop))
    }
}

/// A descriptor that stays open for the process that follows.
#[derive(Serialize, Deserialize)]
pub(super) struct InheritedFd(RawFd);

impl InheritedFd {
    pub(super) fn new(descriptor: BorrowedFd<'_>) -> io::Result<Self> {
        fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty()))?;
        Ok(Self(descriptor.as_raw_fd()))
    }

    /// Takes it. To be called by the process that inherits it.
    pub(super) fn take(self) -> io::Result<OwnedFd> {
        // SAFETY: the call looks the number up and changes nothing.
        if unsafe { libc::fcntl(self.0, libc::F_GETFD) } < 0 {
            return Err(io::Error::other(format!(
                "{VARIABLE} names a descriptor that is not open; unset it"
            )));
        }
        // SAFETY: it is open. Whoever has started this program has left it the descriptor, and nobody else here knows it.
        let descriptor = unsafe { OwnedFd::from_raw_fd(self.0) };
        fcntl(&descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        Ok(descriptor)
    }
}
