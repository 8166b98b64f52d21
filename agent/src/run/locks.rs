//! What keeps other agents away while this one works: the host and the runtime directory, locked.

use std::os::fd::AsFd;
use std::path::Path;

use anyhow::Context;

use super::compatibility;
use crate::config::Config;
use crate::guardian::{Predecessor, SharedWithNext};
use crate::host::lock::{DirectoryLock, HostLock};

/// Both locks.
pub(super) struct Locks {
    host: HostLock,
    directory: DirectoryLock,
}

/// What entitles an agent to work on the host before it serves.
pub(super) enum Claim<'a> {
    /// It has the locks.
    Own(Locks),
    /// The agent has them that it takes over from.
    OfPredecessor(&'a Predecessor),
}

impl<'a> Claim<'a> {
    /// Takes the locks, or makes sure that those of `predecessor` are the ones that `config` needs.
    pub(super) fn make(config: &Config, predecessor: Option<&'a Predecessor>) -> anyhow::Result<Self> {
        let Some(predecessor) = predecessor else {
            return Ok(Self::Own(Locks::take(&config.runtime.directory)?));
        };
        compatibility::check(config, predecessor)?;
        Ok(Self::OfPredecessor(predecessor))
    }

    /// The locks, when the predecessor works no more.
    pub(super) fn into_locks(self, directory: &Path) -> anyhow::Result<Locks> {
        match self {
            Self::Own(locks) => Ok(locks),
            Self::OfPredecessor(predecessor) => Locks::inherit(predecessor, directory),
        }
    }
}

impl Locks {
    /// Takes the host and `directory`, which is made if it is not there.
    fn take(directory: &Path) -> anyhow::Result<Self> {
        let host = HostLock::take()?;
        std::fs::create_dir_all(directory)
            .with_context(|| format!("making the runtime directory {}", directory.display()))?;
        Ok(Self { host, directory: DirectoryLock::take(directory)? })
    }

    /// Takes over the locks of `predecessor`, which works no more.
    fn inherit(predecessor: &Predecessor, directory: &Path) -> anyhow::Result<Self> {
        let copy = |file: &std::fs::File| file.try_clone().context("taking over a lock");
        Ok(Self {
            host: HostLock::inherit(copy(&predecessor.host_lock)?)?,
            directory: DirectoryLock::inherit(copy(&predecessor.directory_lock)?, directory)?,
        })
    }

    /// What the next agent is to share.
    pub(super) fn shared_with_next<'a>(&'a self, pins: &'a Path) -> SharedWithNext<'a> {
        SharedWithNext { host_lock: self.host.as_fd(), directory_lock: self.directory.as_fd(), pins }
    }

    /// Leaves everything locked, for the next agent, which has the locks as well.
    pub(super) fn keep_locked(self) {
        self.host.keep_locked();
        self.directory.keep_locked();
    }
}
