//! One agent per host and per runtime directory.
//!
//! Per host, that is, per network namespace, as interfaces and sysctls belong to it: a file with the namespace's number,
//! which the process holds locked. The kernel unlocks it when the process ends, however it ends. It lies where only root
//! and the agent's user can reach it, for any other could hold it as well. Per directory: agents in different namespaces
//! may share it by mistake, and would take each other's control socket and record.
//!
//! A lock belongs to the open file. An agent that is restarted leaves the file to the next one, and nobody can come between.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::HostError;

/// Where the locks of all network namespaces are.
pub const LOCKS: &str = "/run/baton-locks";

/// This process's network namespace.
const NAMESPACE: &str = "/proc/self/ns/net";

/// How often a lock is tried again that its last holder took away with it. Each time somebody else has just ended.
const TRIES: u32 = 100;

/// The lock of the network namespace with number `namespace`, which is the inode of its file in `/proc/PID/ns`.
pub fn lock_file(namespace: u64) -> PathBuf {
    Path::new(LOCKS).join(namespace.to_string())
}

/// Whether another process than those of `pids`, which have had the host, has taken it since. A lock that cannot be read, or
/// that nobody has signed yet, says nothing.
pub fn was_taken_after(pids: [i32; 2]) -> bool {
    let taken_by = own_lock_file().and_then(File::open).map(holder);
    taken_by.is_ok_and(|pid| pid != 0 && !pids.contains(&pid))
}

/// The lock of this process's network namespace.
fn own_lock_file() -> io::Result<PathBuf> {
    Ok(lock_file(fs::metadata(NAMESPACE)?.ino()))
}

/// Held for as long as this process works on the host.
#[derive(Debug)]
pub struct HostLock {
    path: PathBuf,
    file: Flock<File>,
}

impl HostLock {
    /// Takes the host.
    ///
    /// # Errors
    ///
    /// Another agent has it, or the process may not make the lock.
    pub fn take() -> Result<Self, HostError> {
        let path = own_path()?;
        for _ in 0..TRIES {
            make_directory().map_err(HostError::LockDirectory)?;
            if let Some(file) = lock(&path)? {
                return Self::sign(path, file);
            }
        }
        Err(failed(&path)(io::ErrorKind::ResourceBusy.into()))
    }

    /// Takes the host from an agent that has left its lock, `file`.
    ///
    /// # Errors
    ///
    /// The file cannot be locked or written.
    pub fn inherit(file: File) -> Result<Self, HostError> {
        let path = own_path()?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => Self::sign(path, file),
            Err((_, errno)) => Err(failed(&path)(errno.into())),
        }
    }

    /// Leaves the host locked, for whoever has inherited the lock.
    pub fn keep_locked(self) {
        std::mem::forget(self);
    }

    fn sign(path: PathBuf, file: Flock<File>) -> Result<Self, HostError> {
        let signed =
            file.set_len(0).and_then(|()| file.write_all_at(std::process::id().to_string().as_bytes(), 0));
        signed.map_err(failed(&path))?;
        Ok(Self { path, file })
    }
}

impl AsFd for HostLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for HostLock {
    fn drop(&mut self) {
        // While it is locked, so that nobody loses the file that he has just locked. One that stays is no harm.
        let _ = fs::remove_file(&self.path);
        // Goes with the last lock in it.
        let _ = fs::remove_dir(LOCKS);
    }
}

fn own_path() -> Result<PathBuf, HostError> {
    own_lock_file().map_err(failed(Path::new(NAMESPACE)))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> HostError + use<> {
    HostError::io(format!("locking the host with {}", path.display()))
}

/// Makes the directory, or sees to it that the one that is there keeps others out.
fn make_directory() -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(LOCKS) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made,
    }
    let found = match fs::symlink_metadata(LOCKS) {
        // It went with somebody's lock; whoever opens a file in it will notice.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    // `/run` is root's, so whoever has the directory has it from root: the agent's user, for whom `baton detach` may be
    // called as root.
    let is_private = found.is_dir() && found.mode() & 0o077 == 0;
    let public = || io::Error::other("it is no directory that keeps other users out");
    if is_private { Ok(()) } else { Err(public()) }
}

/// The file at `path`, locked; `None` when it was removed while it was being locked.
fn lock(path: &Path) -> Result<Option<Flock<File>>, HostError> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    // The agent's user shall not make root write elsewhere.
    let opened = options.custom_flags(libc::O_NOFOLLOW).open(path);
    let file = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed(path))?,
    };
    let locked = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(locked) => locked,
        Err((file, Errno::EWOULDBLOCK)) => return Err(HostError::Locked { pid: holder(file) }),
        Err((_, errno)) => return Err(failed(path)(errno.into())),
    };
    let place = |found: &fs::Metadata| (found.dev(), found.ino());
    let ours = locked.metadata().map_err(failed(path))?;
    match fs::symlink_metadata(path) {
        Ok(found) if place(&found) == place(&ours) => Ok(Some(locked)),
        _ => Ok(None),
    }
}

/// The process that the holder of the lock has written into it; 0 when it has not yet.
fn holder(mut file: File) -> i32 {
    let mut text = String::new();
    // Whoever holds it: that somebody does is what counts.
    let _ = file.read_to_string(&mut text);
    text.parse().unwrap_or_default()
}

/// Held for as long as this process uses the runtime directory.
#[derive(Debug)]
pub struct DirectoryLock {
    directory: Flock<File>,
}

impl DirectoryLock {
    /// Takes `directory`, which exists.
    ///
    /// # Errors
    ///
    /// Another agent has it.
    pub fn take(directory: &Path) -> Result<Self, HostError> {
        let failed = || HostError::io(format!("locking {}", directory.display()));
        Self::inherit(File::open(directory).map_err(failed())?, directory)
    }

    /// Takes `directory`, open as `file`, which an agent may have left locked.
    ///
    /// # Errors
    ///
    /// Another agent has it.
    pub fn inherit(file: File, directory: &Path) -> Result<Self, HostError> {
        let failed = || HostError::io(format!("locking {}", directory.display()));
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(directory) => Ok(Self { directory }),
            Err((_, Errno::EWOULDBLOCK)) => Err(HostError::DirectoryLocked(directory.to_owned())),
            Err((_, errno)) => Err(failed()(errno.into())),
        }
    }

    /// Leaves the directory locked, for whoever has inherited the lock.
    pub fn keep_locked(self) {
        std::mem::forget(self);
    }
}

impl AsFd for DirectoryLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}
