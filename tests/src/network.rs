//! Interfaces for one test: a network namespace that ends with the test's thread, and an ear on an interface in it. The
//! mouth is the agent's own [`baton::socket::PacketSocket`].

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::Command;

use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, LinkAddr, SockFlag, SockType, SockaddrLike as _, bind, socket};
use socket2::{SockFilter, SockRef};

/// Moves this thread to an empty network and runs `ip` there for every line of `script`.
pub fn enter_empty_network(script: &str) {
    unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace; run as root");
    script.lines().for_each(ip);
}

/// Runs `ip` with the words of `line` in this thread's network.
pub fn ip(line: &str) {
    let status = Command::new("ip").args(line.split_whitespace()).status().expect("iproute2 is installed");
    assert!(status.success(), "ip {line}");
}

/// Where an ARP frame names the address of its sender.
const ARP_SENDER: u32 = 28;
/// A length that no frame has.
const WHOLE_FRAME: u32 = u32::MAX;

/// What frames a [`Listener`] hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hears {
    /// Every frame, also those that this host sends.
    Everything,
    /// The ARP frames that arrive.
    Arp,
}

/// Hears whole Ethernet frames on one interface, and never waits for them.
#[derive(Debug)]
pub struct Listener(OwnedFd);

impl Listener {
    /// Begins to listen on `interface`.
    ///
    /// # Errors
    ///
    /// CAP_NET_RAW is missing, or there is no such interface.
    pub fn open(interface: &str, hears: Hears) -> io::Result<Self> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        // Without a protocol it hears nothing until it is bound, and then nothing of other interfaces.
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
        let protocol = match hears {
            Hears::Everything => libc::ETH_P_ALL,
            Hears::Arp => libc::ETH_P_ARP,
        };
        let address = libc::sockaddr_ll {
            sll_family: u16::try_from(libc::AF_PACKET).map_err(io::Error::other)?,
            sll_protocol: u16::try_from(protocol).map_err(io::Error::other)?.to_be(),
            sll_ifindex: i32::try_from(if_nametoindex(interface)?).map_err(io::Error::other)?,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        // SAFETY: the pointer is to a live sockaddr_ll whose family says so.
        let address = unsafe { LinkAddr::from_raw((&raw const address).cast(), None) };
        bind(socket.as_raw_fd(), &address.ok_or(io::ErrorKind::InvalidInput)?)?;
        Ok(Self(socket))
    }

    /// Hears from here on only the ARP frames in which `sender` speaks. The kernel throws the others away: a socket that
    /// reads the announcements of thousands of addresses takes a CPU from those that it listens to.
    ///
    /// # Errors
    ///
    /// The kernel has no memory for the filter.
    pub fn hear_only(&self, sender: Ipv4Addr) -> io::Result<()> {
        let verdict = opcode(libc::BPF_RET | libc::BPF_K)?;
        let program = [
            SockFilter::new(opcode(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS)?, 0, 0, ARP_SENDER),
            SockFilter::new(opcode(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K)?, 0, 1, sender.to_bits()),
            SockFilter::new(verdict, 0, 0, WHOLE_FRAME),
            SockFilter::new(verdict, 0, 0, 0),
        ];
        SockRef::from(&self.0).attach_filter(&program)
    }

    /// The next frame, or `None` when none waits. What exceeds the buffer is cut off.
    pub fn next<'a>(&self, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        let length = nix::unistd::read(&self.0, buffer).ok()?;
        buffer.get(..length)
    }
}

/// An operation of the kernel's classic filter machine.
fn opcode(operation: u32) -> io::Result<u16> {
    u16::try_from(operation).map_err(io::Error::other)
}
