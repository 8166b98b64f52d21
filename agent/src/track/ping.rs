//! Asking a host for an echo, through a raw socket: those of unprivileged programs are a matter of a sysctl.

use std::io;
use std::net::IpAddr;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::net::UdpSocket;

use crate::address;
use crate::socket;
use crate::wire::Echo;

/// The longest IPv4 header and an echo reply of ours.
const LONGEST: usize = 60 + 8;

/// Requests that were made.
static REQUESTS: AtomicU32 = AtomicU32::new(0);

/// Asks the host at `address` once and waits for its answer.
pub(super) async fn ping(address: IpAddr) -> Result<(), String> {
    exchange(address).await.map_err(|error| format!("asking {address} for an echo: {error}"))
}

async fn exchange(address: IpAddr) -> io::Result<()> {
    let family = address::family(address);
    // A raw socket that is connected is used as one for datagrams is, and gets what this host says alone.
    let socket = std::net::UdpSocket::from(socket::icmp(family)?);
    socket.set_nonblocking(true)?;
    socket.connect((address, 0))?;
    let socket = UdpSocket::from_std(socket)?;
    let echo = Echo::new(family, token());
    socket.send(&echo.request()).await?;
    let mut packet = [0; LONGEST];
    loop {
        let length = socket.recv(&mut packet).await?;
        if echo.is_answered_by(&packet[..length]) {
            return Ok(());
        }
    }
}

/// Another for each request, also beside the agent that this one takes over from.
fn token() -> [u8; 4] {
    (REQUESTS.fetch_add(1, Ordering::Relaxed) ^ process::id().rotate_left(16)).to_be_bytes()
}
