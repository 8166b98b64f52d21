//! One agent per host and per runtime directory.
//!
//! Per host, that is, per network namespace: an abstract Unix socket. Such names belong to the namespace, as interfaces
//! and sysctls do, and vanish with their process. Per directory: agents in different namespaces may share it by mistake,
//! and would take each other's control socket and record.

use std::fs::File;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::HostError;

const NAME: &str = "baton";

/// Held for as long as this process works on the host.
#[derive(Debug)]
pub struct HostLock {
    _listener: UnixListener,
}

impl HostLock {
    /// Takes the host.
    ///
    /// # Errors
    ///
    /// Another agent has it.
    pub fn take() -> Result<Self, HostError> {
        let failed = || HostError::io("locking the host");
        let address = SocketAddr::from_abstract_name(NAME).map_err(failed())?;
        match UnixListener::bind_addr(&address) {
            Ok(listener) => Ok(Self { _listener: listener }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Err(HostError::Locked { pid: holder(&address) })
            }
            Err(error) => Err(failed()(error)),
        }
    }
}

fn holder(address: &SocketAddr) -> i32 {
    UnixStream::connect_addr(address)
        .ok()
        .and_then(|stream| getsockopt(&stream, PeerCredentials).ok())
        .map_or(0, |credentials| credentials.pid())
}

/// Held for as long as this process uses the runtime directory.
#[derive(Debug)]
pub struct DirectoryLock {
    _directory: Flock<File>,
}

impl DirectoryLock {
    /// Takes `directory`, which exists.
    ///
    /// # Errors
    ///
    /// Another agent has it.
    pub fn take(directory: &Path) -> Result<Self, HostError> {
        let failed = || HostError::io(format!("locking {}", directory.display()));
        let file = File::open(directory).map_err(failed())?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self { _directory: lock }),
            Err((_, Errno::EWOULDBLOCK)) => Err(HostError::DirectoryLocked(directory.to_owned())),
            Err((_, errno)) => Err(failed()(errno.into())),
        }
    }
}
