//! One agent per interface: an abstract Unix socket named after it. Abstract names belong to the network namespace, as
//! interfaces do, and vanish with their process.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::HostError;

/// Held for as long as this process works on the interface.
#[derive(Debug)]
pub struct InterfaceLock {
    _listener: UnixListener,
}

impl InterfaceLock {
    /// Takes the interface.
    ///
    /// # Errors
    ///
    /// Another agent has it.
    pub fn take(interface: &str) -> Result<Self, HostError> {
        let failed = || HostError::io(format!("locking {interface}"));
        let address = SocketAddr::from_abstract_name(format!("baton/{interface}")).map_err(failed())?;
        match UnixListener::bind_addr(&address) {
            Ok(listener) => Ok(Self { _listener: listener }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Err(HostError::Locked { interface: interface.to_owned(), pid: holder(&address) })
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
