//! The host around the data plane: its interfaces, addresses, sysctls and rights. What the agent changes here is
//! recorded, and `baton detach` takes it back.

pub mod changes;
pub mod cpus;
pub mod drained;
pub mod ethtool;
pub mod forwarding;
pub mod gateways;
pub mod local_ports;
pub mod lock;
pub mod neighbours;
pub mod netlink;
mod notices;
pub mod process;
pub mod redirects;
pub mod rights;
mod routes;
mod sysctls;

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use baton_common::vrid::Family;

/// Why the host could not be prepared, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// There is no such interface.
    #[error("there is no interface {0}; `ip link` lists those that exist")]
    NoInterface(String),
    /// The interface carries no Ethernet frames.
    #[error("{0} is no Ethernet interface; VRRP needs one")]
    NotEthernet(String),
    /// Frames on some queues of the interface would get lost.
    #[error(
        "{interface} has {queues} receive queues, and services take at most {most}: `ethtool -L {interface} combined {most}`"
    )]
    TooManyQueues {
        /// The interface.
        interface: String,
        /// Its queues.
        queues: u32,
        /// The most that are possible.
        most: u32,
    },
    /// Frames of the interface do not fit into the buffers of the engine.
    #[error(
        "{interface} has an MTU of {mtu}, and services take at most {most}: `ip link set {interface} mtu {most}`"
    )]
    MtuTooLarge {
        /// The interface.
        interface: String,
        /// Its MTU.
        mtu: u32,
        /// The largest that is possible.
        most: usize,
    },
    /// What fits into one interface of an engine does not fit into another.
    #[error(
        "{arm} has an MTU of {mtu}, and {interface} one of {wanted}, whose services have backends there: `ip link set {arm} mtu {wanted}`"
    )]
    OtherMtu {
        /// The interface with backends.
        arm: String,
        /// Its MTU.
        mtu: u32,
        /// The interface with the services.
        interface: String,
        /// Its MTU.
        wanted: u32,
    },
    /// A tunnel of the engine has no end here.
    #[error(
        "{interface} has no address besides the VIPs that a tunnel to {backend} could come from: `ip address add ADDRESS/PREFIX dev {interface}`"
    )]
    NoTunnelEnd {
        /// The interface.
        interface: String,
        /// The other end.
        backend: IpAddr,
    },
    /// A tunnel of the engine is too narrow for IPv6.
    #[error(
        "packets to {backend} could have {longest} octets, and IPv6 wants 1280 (RFC 8200 5): raise the MTU of {interface}"
    )]
    NarrowTunnel {
        /// The interface.
        interface: String,
        /// The end of the tunnel.
        backend: IpAddr,
        /// The longest packet that it would carry, in octets.
        longest: u16,
    },
    /// Packets that are translated have nothing to come from.
    #[error(
        "{interface} has no address besides the VIPs that packets to {backend} could come from: `ip address add ADDRESS/PREFIX dev {interface}`"
    )]
    NoNatSource {
        /// The interface.
        interface: String,
        /// Where they go.
        backend: IpAddr,
    },
    /// The host's own connections have nearly all ports.
    #[error(
        "the sysctl net.ipv4.ip_local_port_range leaves no {least} ports above 1023 for NAT: `sysctl -w net.ipv4.ip_local_port_range='32768 60999'`"
    )]
    NoNatPorts {
        /// How many it takes.
        least: usize,
    },
    /// The interface has no address to speak from.
    #[error(
        "{interface} has no {} besides the VIPs; adverts need one as their source: {}",
        match family {
            Family::Ipv4 => "IPv4 address",
            Family::Ipv6 => "link-local IPv6 address",
        },
        match family {
            Family::Ipv4 => format!("`ip address add ADDRESS/LENGTH dev {interface}`"),
            Family::Ipv6 => format!("`sysctl net.ipv6.conf.{interface}.disable_ipv6=0`"),
        }
    )]
    NoAddress {
        /// The interface.
        interface: String,
        /// Of which family one is missing.
        family: Family,
    },
    /// The interface does not have the address that adverts are to come from.
    #[error(
        "router {interface} vrid {vrid}: its source, {source_address}, is no address of {interface}; `ip address add \
         {source_address}/LENGTH dev {interface}`, or write one that `ip address show dev {interface}` shows"
    )]
    NoSource {
        /// The interface.
        interface: String,
        /// The virtual router.
        vrid: u8,
        /// The address.
        source_address: IpAddr,
    },
    /// Unicast adverts would go to nobody.
    #[error(
        "router {interface} vrid {vrid}: the only one of `peers` is this host ({primary}); add the other nodes"
    )]
    NoPeer {
        /// The interface.
        interface: String,
        /// The virtual router.
        vrid: u8,
        /// This host's address.
        primary: IpAddr,
    },
    /// The kernel would answer for a VIP by itself.
    #[error(
        "{vip} is an address of {interface}, where the kernel answers for it on every node; take it off (`ip address show dev {interface}`): baton binds it on lo"
    )]
    VipOnInterface {
        /// The address.
        vip: IpAddr,
        /// Where it is.
        interface: String,
    },
    /// Another agent runs on this host.
    #[error("another baton runs on this host, process {pid}; one serves all interfaces: stop it first")]
    Locked {
        /// The other agent's process, 0 if unknown.
        pid: i32,
    },
    /// There is no place for the lock that only this agent can reach.
    #[error(
        "making {} of mode 0700: {_0}; run as root, or let systemd make it for the agent's user (RuntimeDirectory=, \
         RuntimeDirectoryMode=0700)",
        lock::LOCKS
    )]
    LockDirectory(io::Error),
    /// An agent in another network namespace uses the directory.
    #[error("another baton uses {}; give each its own `directory` and `pins` in [runtime]", _0.display())]
    DirectoryLocked(PathBuf),
    /// The process may not do what it must.
    #[error("missing {missing}; run as root, or grant the capabilities (systemd: AmbientCapabilities=)")]
    NoRights {
        /// Names of the capabilities.
        missing: String,
    },
    /// The kernel lacks tcx links.
    #[error("Linux {0} is too old; 6.6 or newer is needed")]
    OldKernel(String),
    /// A file or socket of the host could not be used.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, with its object.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// The kernel refused a netlink request.
    #[error("{what}: {source}")]
    Netlink {
        /// What was asked for.
        what: String,
        /// What the kernel said.
        source: rtnetlink::Error,
    },
    /// The record of changes is damaged.
    #[error("{}: {source}; remove it when the host's addresses and sysctls are as you want them", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl HostError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
