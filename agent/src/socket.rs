//! The sockets beside AF_XDP. The packet socket is the second mouth and makes the NIC accept what it would filter:
//! the virtual MACs and the multicast groups. The VRRP socket is the second ear and the group's member towards
//! snooping switches. Both work where AF_XDP is refused, and while a restart leaves its queues deaf. The peer socket speaks to
//! unicast peers. A socket for ICMP asks hosts for an echo, and `datagram` is for what the nodes of a link tell each other beside the
//! election.

mod datagram;

use std::collections::BTreeSet;
use std::io::{self, IoSliceMut};
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use baton_common::vrid::Family;
use nix::cmsg_space;
use nix::sys::socket::sockopt::{Ipv6RecvHopLimit, Ipv6RecvPacketInfo};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrLike, recv, recvmsg, send, sendto,
    setsockopt,
};

pub use datagram::{DatagramSocket, Heard};

use crate::address::{self, solicited_node};

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
        Ok(Self(fd))
    }

    /// Makes the NIC accept frames to the multicast group `group` for as long as this socket lives.
    ///
    /// # Errors
    ///
    /// The driver refuses the address.
    pub fn accept_multicast(&self, index: u32, group: IpAddr) -> io::Result<()> {
        self.accept(index, libc::PACKET_MR_MULTICAST, address::multicast_mac(group))
    }

    /// Makes the NIC accept unicast frames to `mac` for as long as this socket lives.
    ///
    /// # Errors
    ///
    /// The driver refuses the address.
    pub fn accept_unicast(&self, index: u32, mac: [u8; 6]) -> io::Result<()> {
        self.accept(index, libc::PACKET_MR_UNICAST, mac)
    }

    /// Makes the NIC accept what is asked about `vip` by neighbour discovery, for as long as this socket lives.
    ///
    /// # Errors
    ///
    /// The driver refuses the address.
    pub fn accept_solicitations(&self, index: u32, vip: Ipv6Addr) -> io::Result<()> {
        let [.., a, b, c] = vip.octets();
        self.accept(index, libc::PACKET_MR_MULTICAST, [0x33, 0x33, 0xff, a, b, c])
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

/// Sends whole IP packets of one family through the kernel, which knows the neighbours and the routes of the interface.
pub struct PeerSocket {
    fd: OwnedFd,
    family: Family,
    /// Index of the interface.
    scope: u32,
}

impl PeerSocket {
    /// A socket on `interface`, which has the index `index`.
    ///
    /// # Errors
    ///
    /// CAP_NET_RAW is missing, the interface is gone, or the kernel has no IPv6.
    pub fn open(family: Family, interface: &str, index: u32) -> io::Result<Self> {
        let domain = match family {
            Family::Ipv4 => libc::AF_INET,
            Family::Ipv6 => libc::AF_INET6,
        };
        // Of this protocol a socket receives nothing, and what it sends has its header.
        let fd = raw_socket(domain, libc::IPPROTO_RAW)?;
        set_bytes(&fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, interface.as_bytes())?;
        Ok(Self { fd, family, scope: index })
    }

    /// Sends `packet`, header included, to `peer`.
    ///
    /// # Errors
    ///
    /// There is no way to the peer, or the interface is down.
    pub fn transmit(&self, packet: &[u8], peer: IpAddr) -> io::Result<()> {
        match peer {
            IpAddr::V4(peer) => self.send(packet, &SockaddrIn::from(SocketAddrV4::new(peer, 0))),
            IpAddr::V6(peer) => {
                self.send(packet, &SockaddrIn6::from(SocketAddrV6::new(peer, 0, 0, self.scope)))
            }
        }
    }

    fn send(&self, packet: &[u8], to: &dyn SockaddrLike) -> io::Result<()> {
        sendto(self.fd.as_raw_fd(), packet, to, MsgFlags::MSG_DONTWAIT)?;
        Ok(())
    }
}

/// The peer sockets of an interface, one for each family that has unicast peers.
pub struct PeerSockets(Vec<PeerSocket>);

impl PeerSockets {
    /// Sockets for `families`, which may be named again and again, on `interface`, which has the index `index`.
    ///
    /// # Errors
    ///
    /// As [`PeerSocket::open`].
    pub fn open(families: impl Iterator<Item = Family>, interface: &str, index: u32) -> io::Result<Self> {
        let families: BTreeSet<Family> = families.collect();
        let sockets = families.into_iter().map(|family| PeerSocket::open(family, interface, index));
        sockets.collect::<io::Result<_>>().map(Self)
    }

    /// Sends `packet`, header included, to `peer`.
    ///
    /// # Errors
    ///
    /// As [`PeerSocket::transmit`], or there is no socket for the peer's family.
    pub fn transmit(&self, packet: &[u8], peer: IpAddr) -> io::Result<()> {
        let of_family = |socket: &&PeerSocket| socket.family == address::family(peer);
        let socket = self.0.iter().find(of_family).ok_or(io::ErrorKind::NotFound)?;
        socket.transmit(packet, peer)
    }
}

/// Hears the advertisements that the kernel gets: where no AF_XDP socket takes them, XDP passes them on.
pub struct VrrpSocket {
    fd: OwnedFd,
    family: Family,
    /// Room for what the kernel says beside an IPv6 packet.
    beside: Vec<u8>,
}

/// Octets of an IPv6 header.
const IPV6_HEADER: usize = 40;
/// `IPV6_MULTICAST_ALL` of linux/in6.h.
const IPV6_MULTICAST_ALL: libc::c_int = 29;

impl VrrpSocket {
    /// A socket that hears `groups`, which are of `family`, on `interface` only.
    ///
    /// # Errors
    ///
    /// CAP_NET_RAW is missing, the interface is gone, the kernel has no IPv6, or lets nobody join so many groups.
    pub fn open(family: Family, interface: &str, index: u32, groups: &BTreeSet<IpAddr>) -> io::Result<Self> {
        let fd = match family {
            Family::Ipv4 => raw_socket(libc::AF_INET, IPPROTO_VRRP)?,
            Family::Ipv6 => raw_socket(libc::AF_INET6, IPPROTO_VRRP)?,
        };
        set_bytes(&fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, interface.as_bytes())?;
        // Linux otherwise delivers groups that other sockets joined on other interfaces.
        match family {
            Family::Ipv4 => {
                set_option(&fd, libc::IPPROTO_IP, libc::IP_MULTICAST_ALL, &0_i32)?;
            }
            Family::Ipv6 => {
                set_option(&fd, libc::IPPROTO_IPV6, IPV6_MULTICAST_ALL, &0_i32)?;
                setsockopt(&fd, Ipv6RecvPacketInfo, &true)?;
                setsockopt(&fd, Ipv6RecvHopLimit, &true)?;
            }
        }
        for group in groups {
            match *group {
                IpAddr::V4(group) => join_ipv4(&fd, group, index)?,
                IpAddr::V6(group) => join_ipv6(&fd, group, index)?,
            }
        }
        Ok(Self { fd, family, beside: cmsg_space!(libc::in6_pktinfo, libc::c_int) })
    }

    /// The family that it hears.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The next packet, header included, or `None` when none waits.
    pub fn receive<'a>(&mut self, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        match self.family {
            Family::Ipv4 => {
                let length = recv(self.fd.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT).ok()?;
                buffer.get(..length)
            }
            Family::Ipv6 => self.receive_ipv6(buffer),
        }
    }

    /// An IPv6 socket keeps the header to itself and tells beside the packet what it was.
    fn receive_ipv6<'a>(&mut self, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        let (header, payload) = buffer.split_at_mut_checked(IPV6_HEADER)?;
        let mut into = [IoSliceMut::new(payload)];
        let fd = self.fd.as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<SockaddrIn6>(fd, &mut into, Some(&mut self.beside), flags).ok()?;
        let length = message.bytes;
        let (mut destination, mut hops) = (None, None);
        for beside in message.cmsgs().ok()? {
            if let ControlMessageOwned::Ipv6PacketInfo(info) = beside {
                destination = Some(info.ipi6_addr.s6_addr);
            } else if let ControlMessageOwned::Ipv6HopLimit(limit) = beside {
                hops = u8::try_from(limit).ok();
            }
        }
        let source = message.address?.ip();
        let [.., high, low] = length.to_be_bytes();
        header[..6].copy_from_slice(&[0x60, 0, 0, 0, high, low]);
        header[6..8].copy_from_slice(&[u8::try_from(IPPROTO_VRRP).ok()?, hops?]);
        header[8..24].copy_from_slice(&source.octets());
        header[24..].copy_from_slice(&destination?);
        buffer.get(..IPV6_HEADER + length)
    }
}

impl AsFd for VrrpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Groups that one socket joins; the kernel limits the memory of a socket's list.
const GROUPS_OF_A_SOCKET: usize = 200;

/// The membership in the solicited-node groups of addresses (RFC 4291 2.7.1), for switches that snoop: without it they may
/// not send what is asked about an address to whoever owns it.
pub struct Solicitations {
    _members: Vec<OwnedFd>,
}

impl Solicitations {
    /// Joins the groups of all `vips` on the interface with index `index`.
    ///
    /// # Errors
    ///
    /// The interface is gone, or it takes no more groups.
    pub fn join(index: u32, vips: impl Iterator<Item = Ipv6Addr>) -> io::Result<Self> {
        let groups: Vec<Ipv6Addr> = vips.map(solicited_node).collect::<BTreeSet<_>>().into_iter().collect();
        let join = |groups: &[Ipv6Addr]| {
            let fd = open_socket(libc::AF_INET6, libc::SOCK_DGRAM, 0)?;
            groups.iter().try_for_each(|group| join_ipv6(&fd, *group, index))?;
            Ok(fd)
        };
        Ok(Self { _members: groups.chunks(GROUPS_OF_A_SOCKET).map(join).collect::<io::Result<_>>()? })
    }
}

fn join_ipv4(fd: &OwnedFd, group: Ipv4Addr, index: u32) -> io::Result<()> {
    let membership = libc::ip_mreqn {
        imr_multiaddr: libc::in_addr { s_addr: u32::from_ne_bytes(group.octets()) },
        imr_address: libc::in_addr { s_addr: 0 },
        imr_ifindex: interface_index(index)?,
    };
    set_option(fd, libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, &membership)
}

fn join_ipv6(fd: &OwnedFd, group: Ipv6Addr, index: u32) -> io::Result<()> {
    let membership = libc::ipv6_mreq {
        ipv6mr_multiaddr: libc::in6_addr { s6_addr: group.octets() },
        ipv6mr_interface: index,
    };
    set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_ADD_MEMBERSHIP, &membership)
}

/// A socket for ICMP of `family`.
///
/// # Errors
///
/// CAP_NET_RAW is missing, or the kernel has no IPv6.
pub fn icmp(family: Family) -> io::Result<OwnedFd> {
    match family {
        Family::Ipv4 => raw_socket(libc::AF_INET, libc::IPPROTO_ICMP),
        Family::Ipv6 => raw_socket(libc::AF_INET6, libc::IPPROTO_ICMPV6),
    }
}

fn raw_socket(family: libc::c_int, protocol: libc::c_int) -> io::Result<OwnedFd> {
    open_socket(family, libc::SOCK_RAW, protocol)
}

fn open_socket(family: libc::c_int, kind: libc::c_int, protocol: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: socket takes no pointers.
    let fd = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) };
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
