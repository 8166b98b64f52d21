//! The sockets beside AF_XDP. The packet socket is the second mouth and makes the NIC accept what it would filter:
//! the virtual MACs and the multicast group. The VRRP socket is the second ear and the group's member towards
//! snooping switches. Both work where AF_XDP is refused, and while a restart leaves its queues deaf.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::sys::socket::{MsgFlags, recv, send};

/// Ethernet address of the VRRP group 224.0.0.18 (RFC 1112 6.4).
const GROUP_MAC: [u8; 6] = [0x01, 0x00, 0x5e, 0x00, 0x00, 0x12];
/// The VRRP multicast group (RFC 9568 5.1.1.2).
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// IP protocol number of VRRP (RFC 9568 5.1.1.4).
const IPPROTO_VRRP: libc::c_int = 112;

/// Sends whole Ethernet frames past the queueing discipline, and holds the NIC's address filters open.
pub struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// A socket on the interface with index `index`.
    ///
    /// # Errors
    ///
    /// CAP_NET_RAW is missing, or the interface is gone.
    pub fn open(index: u32) -> io::Result<Self> {
        // Protocol 0: this socket receives nothing.
        let fd = raw_socket(libc::AF_PACKET, 0)?;
        set_option(&fd, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, &1_i32)?;
        // SAFETY: sockaddr_ll is plain data for which zeroes are valid.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        address.sll_family = libc::sa_family_t::try_from(libc::AF_PACKET).unwrap_or_default();
        address.sll_ifindex = interface_index(index)?;
        // SAFETY: the pointer and the length describe `address`, which outlives the call.
        let status = unsafe {
            libc::bind(fd.as_raw_fd(), (&raw const address).cast(), socklen_of::<libc::sockaddr_ll>())
        };
        if status < 0 {
            return Err(io::Error::last_os_error());
        }
        let socket = Self(fd);
        socket.accept(index, libc::PACKET_MR_MULTICAST, GROUP_MAC)?;
        Ok(socket)
    }

    /// Makes the NIC accept unicast frames to `mac` for as long as this socket lives.
    ///
    /// # Errors
    ///
    /// The driver refuses the address.
    pub fn accept_unicast(&self, index: u32, mac: [u8; 6]) -> io::Result<()> {
        self.accept(index, libc::PACKET_MR_UNICAST, mac)
    }

    fn accept(&self, index: u32, kind: libc::c_int, mac: [u8; 6]) -> io::Result<()> {
        let mut address = [0; 8];
        address[..6].copy_from_slice(&mac);
        let request = libc::packet_mreq {
            mr_ifindex: interface_index(index)?,
            mr_type: u16::try_from(kind).unwrap_or_default(),
            mr_alen: 6,
            mr_address: address,
        };
        set_option(&self.0, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)
    }

    /// Sends `frame` as it is.
    ///
    /// # Errors
    ///
    /// The interface is down, or its queue is full.
    pub fn transmit(&self, frame: &[u8]) -> io::Result<()> {
        send(self.0.as_raw_fd(), frame, MsgFlags::MSG_DONTWAIT)?;
        Ok(())
    }
}

/// Hears the advertisements that the kernel gets: where no AF_XDP socket takes them, XDP passes them on.
pub struct VrrpSocket(OwnedFd);

impl VrrpSocket {
    /// A socket that hears the VRRP group on `interface` only.
    ///
    /// # Errors
    ///
    /// CAP_NET_RAW is missing, or the interface is gone.
    pub fn open(interface: &str, index: u32) -> io::Result<Self> {
        let fd = raw_socket(libc::AF_INET, IPPROTO_VRRP)?;
        set_bytes(&fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, interface.as_bytes())?;
        // Linux otherwise delivers groups that other sockets joined on other interfaces.
        set_option(&fd, libc::IPPROTO_IP, libc::IP_MULTICAST_ALL, &0_i32)?;
        let membership = libc::ip_mreqn {
            imr_multiaddr: libc::in_addr { s_addr: u32::from_ne_bytes(GROUP.octets()) },
            imr_address: libc::in_addr { s_addr: 0 },
            imr_ifindex: interface_index(index)?,
        };
        set_option(&fd, libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, &membership)?;
        Ok(Self(fd))
    }

    /// The next IPv4 packet, header included, or `None` when none waits.
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        let length = recv(self.0.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT).ok()?;
        buffer.get(..length)
    }
}

impl AsFd for VrrpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn raw_socket(family: libc::c_int, protocol: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: socket takes no pointers.
    let fd = unsafe { libc::socket(family, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was opened this moment and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn set_option<V>(fd: &OwnedFd, level: libc::c_int, name: libc::c_int, value: &V) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `value`, a plain C value that outlives the call.
    let status = unsafe {
        libc::setsockopt(fd.as_raw_fd(), level, name, std::ptr::from_ref(value).cast(), socklen_of::<V>())
    };
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn set_bytes(fd: &OwnedFd, level: libc::c_int, name: libc::c_int, value: &[u8]) -> io::Result<()> {
    let length = libc::socklen_t::try_from(value.len()).unwrap_or_default();
    // SAFETY: the pointer and the length describe `value`, which outlives the call.
    let status = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), length) };
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn socklen_of<V>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<V>()).unwrap_or_default()
}

fn interface_index(index: u32) -> io::Result<libc::c_int> {
    libc::c_int::try_from(index).map_err(|_| io::ErrorKind::InvalidInput.into())
}
