//! Two questions that are asked by ioctl: how many receive queues, and is the interface running.

use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `ETHTOOL_GCHANNELS` of linux/ethtool.h.
const GET_CHANNELS: u32 = 0x3c;

/// `struct ethtool_channels` of linux/ethtool.h.
#[repr(C)]
#[derive(Default)]
struct Channels {
    command: u32,
    maxima: [u32; 4],
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

/// A socket to ask about one interface.
pub struct Ethtool {
    socket: OwnedFd,
    name: [libc::c_char; libc::IFNAMSIZ],
}

impl Ethtool {
    /// Opens a socket for questions about `interface`.
    ///
    /// # Errors
    ///
    /// The process has no descriptor to spare, or the name is too long.
    pub fn open(interface: &str) -> io::Result<Self> {
        let mut name = [0; libc::IFNAMSIZ];
        if interface.len() >= name.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        for (place, octet) in name.iter_mut().zip(interface.bytes()) {
            *place = octet.cast_signed();
        }
        // SAFETY: socket takes no pointers.
        let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was opened this moment and nobody else knows it.
        Ok(Self { socket: unsafe { OwnedFd::from_raw_fd(fd) }, name })
    }

    /// The number of receive queues; 1 where the driver does not say.
    pub fn receive_queues(&self) -> u32 {
        let mut channels = Channels { command: GET_CHANNELS, ..Channels::default() };
        let mut request = self.request();
        request.ifr_ifru.ifru_data = (&raw mut channels).cast();
        // SAFETY: the kernel reads the name and fills `channels`, which has the layout it expects and outlives the call.
        let status = unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
        if status < 0 { 1 } else { (channels.rx + channels.combined).max(1) }
    }

    /// Whether the interface is up and has a carrier. A look at two flags, so it may be asked with every advert. The kernel
    /// sets them some time after the carrier has come or gone, up to a second when it does so often; what is sent without
    /// a carrier is refused at once, see [`crate::xsk`]. ETHTOOL_GLINK would tell the carrier itself, but waits for the lock
    /// that all network configuration of the machine shares: 30 ms and more, a whole lease.
    pub fn is_running(&self) -> bool {
        let mut request = self.request();
        // SAFETY: the kernel reads the name and writes the flags into `request`, which outlives the call.
        let status = unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) };
        // SAFETY: the call succeeded, so the flags are the member that was written.
        let flags = i32::from(unsafe { request.ifr_ifru.ifru_flags });
        let wanted = libc::IFF_UP | libc::IFF_RUNNING;
        status == 0 && flags & wanted == wanted
    }

    fn request(&self) -> libc::ifreq {
        // SAFETY: ifreq is plain data for which zeroes are valid.
        let mut request: libc::ifreq = unsafe { zeroed() };
        request.ifr_name = self.name;
        request
    }
}
