//! What keeps other agents away while this one works: the host and the runtime directory, locked.

use std::os::fd::AsFd;
use std::path::Path;

use anyhow::Context;

use crate::guardian::{Estate, Predecessor};
use crate::host::lock::{DirectoryLock, HostLock};

/// Both locks.
pub(super) struct Locks {
    host: HostLock,
    directory: DirectoryLock,
}

impl Locks {
    /// Takes the host and `directory`, which is made if it is not there.
    pub(super) fn take(directory: &Path) -> anyhow::Result<Self> {
        let host = HostLock::take()?;
        std::fs::create_dir_all(directory)
            .with_context(|| format!("making the runtime directory {}", directory.display()))?;
        Ok(Self { host, directory: DirectoryLock::take(directory)? })
    }

    /// Takes over the locks of `predecessor`, which works no more.
    pub(super) fn inherit(predecessor: &Predecessor, directory: &Path) -> anyhow::Result<Self> {
        let copy = |file: &std::fs::File| file.try_clone().context("taking over a lock");
        Ok(Self {
            host: HostLock::inherit(copy(&predecessor.host_lock)?)?,
            directory: DirectoryLock::inherit(copy(&predecessor.directory_lock)?, directory)?,
        })
    }

    /// What the next agent is to have.
    pub(super) fn estate<'a>(&'a self, pins: &'a Path) -> Estate<'a> {
        Estate { host_lock: self.host.as_fd(), directory_lock: self.directory.as_fd(), pins }
    }

    /// Leaves everything locked, for the next agent, which has the locks as well.
    pub(super) fn leave(self) {
        self.host.leave();
        self.directory.leave();
    }
}
