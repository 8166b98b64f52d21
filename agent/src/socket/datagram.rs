//! Datagrams among the nodes of a link, of which it matters where they come from and through how many routers.

use std::collections::BTreeSet;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};

use baton_common::vrid::Family;
use nix::cmsg_space;
use nix::sys::socket::sockopt::{Ipv4RecvTtl, Ipv6RecvHopLimit, ReuseAddr};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrLike, SockaddrStorage,
    bind, recvmsg, sendmsg, setsockopt,
};

use super::{IPV6_MULTICAST_ALL, interface_index, join_ipv4, join_ipv6, open_socket, set_bytes, set_option};

/// What is sent has this TTL, or Hop Limit: it has come through no router if it arrives with it.
const HOPS: libc::c_int = 255;

/// Sends and hears datagrams of one family at one port of an interface.
pub struct DatagramSocket {
    fd: OwnedFd,
    family: Family,
    /// Index of the interface.
    scope: u32,
    port: u16,
    /// Room for what the kernel says beside a datagram.
    beside: Vec<u8>,
}

/// A datagram that was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard<'a> {
    /// The address that it comes from.
    pub source: IpAddr,
    /// Its TTL, or Hop Limit.
    pub hops: u8,
    /// What it says.
    pub octets: &'a [u8],
}

impl DatagramSocket {
    /// A socket at `port` of `interface`, which has the index `index`, for what is sent to its addresses and to `groups`, which are of
    /// `family`. Another process may have one there, too: the agent before this one.
    ///
    /// # Errors
    ///
    /// CAP_NET_RAW is missing, the interface is gone, the kernel has no IPv6 or lets nobody join so many groups, or the port is taken.
    pub fn open(
        family: Family,
        interface: &str,
        index: u32,
        groups: &BTreeSet<IpAddr>,
        port: u16,
    ) -> io::Result<Self> {
        let domain = match family {
            Family::Ipv4 => libc::AF_INET,
            Family::Ipv6 => libc::AF_INET6,
        };
        let fd = open_socket(domain, libc::SOCK_DGRAM, 0)?;
        set_bytes(&fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, interface.as_bytes())?;
        setsockopt(&fd, ReuseAddr, &true)?;
        // As with VRRP: groups that others joined elsewhere are none of ours, and nor is what this host says itself.
        match family {
            Family::Ipv4 => {
                for (name, value) in [
                    (libc::IP_MULTICAST_ALL, 0),
                    (libc::IP_MULTICAST_LOOP, 0),
                    (libc::IP_TTL, HOPS),
                    (libc::IP_MULTICAST_TTL, HOPS),
                ] {
                    set_option(&fd, libc::IPPROTO_IP, name, &value)?;
                }
                setsockopt(&fd, Ipv4RecvTtl, &true)?;
                bind(fd.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port)))?;
            }
            Family::Ipv6 => {
                for (name, value) in [
                    (libc::IPV6_V6ONLY, 1),
                    (IPV6_MULTICAST_ALL, 0),
                    (libc::IPV6_MULTICAST_LOOP, 0),
                    (libc::IPV6_UNICAST_HOPS, HOPS),
                    (libc::IPV6_MULTICAST_HOPS, HOPS),
                ] {
                    set_option(&fd, libc::IPPROTO_IPV6, name, &value)?;
                }
                setsockopt(&fd, Ipv6RecvHopLimit, &true)?;
                let anywhere = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0);
                bind(fd.as_raw_fd(), &SockaddrIn6::from(anywhere))?;
            }
        }
        for group in groups {
            match *group {
                IpAddr::V4(group) => join_ipv4(&fd, group, index)?,
                IpAddr::V6(group) => join_ipv6(&fd, group, index)?,
            }
        }
        Ok(Self { fd, family, scope: index, port, beside: cmsg_space!(libc::c_int) })
    }

    /// Sends `octets` from an address of the interface to the same port of `to`, which is of the same family.
    ///
    /// # Errors
    ///
    /// The interface has no such address or is down, or there is no way.
    pub fn send(&self, octets: &[u8], from: IpAddr, to: IpAddr) -> io::Result<()> {
        match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let info = libc::in_pktinfo {
                    ipi_ifindex: interface_index(self.scope)?,
                    ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(from.octets()) },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                let to = SockaddrIn::from(SocketAddrV4::new(to, self.port));
                self.send_beside(octets, &ControlMessage::Ipv4PacketInfo(&info), &to)
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let info = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr { s6_addr: from.octets() },
                    ipi6_ifindex: self.scope,
                };
                let to = SockaddrIn6::from(SocketAddrV6::new(to, self.port, 0, self.scope));
                self.send_beside(octets, &ControlMessage::Ipv6PacketInfo(&info), &to)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                Err(io::ErrorKind::InvalidInput.into())
            }
        }
    }

    fn send_beside<A: SockaddrLike>(
        &self,
        octets: &[u8],
        beside: &ControlMessage<'_>,
        to: &A,
    ) -> io::Result<()> {
        let flags = MsgFlags::MSG_DONTWAIT;
        sendmsg(self.fd.as_raw_fd(), &[IoSlice::new(octets)], std::slice::from_ref(beside), flags, Some(to))?;
        Ok(())
    }

    /// The next datagram, or `None` when none waits. One that is longer than `buffer` is cut.
    pub fn receive<'a>(&mut self, buffer: &'a mut [u8]) -> Option<Heard<'a>> {
        let mut into = [IoSliceMut::new(&mut *buffer)];
        let flags = MsgFlags::MSG_DONTWAIT;
        let message =
            recvmsg::<SockaddrStorage>(self.fd.as_raw_fd(), &mut into, Some(&mut self.beside), flags).ok()?;
        let (length, address) = (message.bytes, message.address?);
        let hops = message.cmsgs().ok()?.find_map(|beside| match self.family {
            Family::Ipv4 => {
                if let ControlMessageOwned::Ipv4Ttl(hops) = beside {
                    Some(hops)
                } else {
                    None
                }
            }
            Family::Ipv6 => {
                if let ControlMessageOwned::Ipv6HopLimit(hops) = beside {
                    Some(hops)
                } else {
                    None
                }
            }
        });
        let source = match self.family {
            Family::Ipv4 => IpAddr::V4(address.as_sockaddr_in()?.ip()),
            Family::Ipv6 => IpAddr::V6(address.as_sockaddr_in6()?.ip()),
        };
        Some(Heard { source, hops: u8::try_from(hops?).ok()?, octets: buffer.get(..length)? })
    }
}
