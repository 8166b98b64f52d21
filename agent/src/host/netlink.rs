//! Interfaces and addresses, by rtnetlink. Nothing here is on the switchover path.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::stream::TryStreamExt;
use nix::net::if_::if_indextoname;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressHeader, AddressHeaderFlags, AddressMessage, AddressScope,
};
use rtnetlink::packet_route::link::{
    InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, LinkXdp, XdpAttached,
};
use rtnetlink::{AddressMessageBuilder, Handle, MulticastGroup, new_connection};
use tokio::runtime::Runtime;

use super::HostError;
use super::gateways::{self, Gateways, Network};
use super::notices::Notices;

/// Index of the loopback interface in every network namespace.
pub const LOOPBACK: u32 = 1;

/// How an XDP program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver.
    Native,
    /// In the kernel's generic path: works with every driver, and is slower.
    Generic,
}

impl fmt::Display for XdpMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Generic => "generic",
        })
    }
}

/// An interface as it is at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Its own MAC address.
    pub mac: [u8; 6],
    /// Whether it carries Ethernet frames.
    pub ethernet: bool,
    /// Whether it is one end of a veth pair.
    pub veth: bool,
    /// The longest packet that it takes, in octets.
    pub mtu: u32,
    /// Whether it is up and has a carrier.
    pub carrier: bool,
    /// Its addresses, each family in the kernel's order, but for those that another host was found to have.
    pub addresses: Vec<IpAddr>,
    /// Those of them that adverts come from if nobody says otherwise: IPv4 addresses of global scope and link-local IPv6
    /// addresses, primary addresses first.
    pub primaries: Vec<IpAddr>,
    /// The networks of its addresses.
    pub networks: Vec<Network>,
    /// The XDP program on it: id and mode.
    pub xdp: Option<(u32, XdpMode)>,
}

/// The name of the interface with index `index`, or the index when it is gone.
pub fn interface_name(index: u32) -> String {
    let name = if_indextoname(index).map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|_| index.to_string())
}

/// A netlink connection that is used from ordinary code, step by step.
pub struct Netlink {
    runtime: Runtime,
    handle: Handle,
}

impl Netlink {
    /// Opens a connection.
    ///
    /// # Errors
    ///
    /// The process has no descriptor to spare.
    pub fn open() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (connection, handle, _) = {
            let _guard = runtime.enter();
            new_connection()?
        };
        runtime.spawn(connection);
        Ok(Self { runtime, handle })
    }

    /// The interface called `name`.
    ///
    /// # Errors
    ///
    /// There is none, or the kernel refuses to say.
    pub fn interface(&self, name: &str) -> Result<Interface, HostError> {
        self.runtime.block_on(interface(&self.handle, name))
    }

    /// The default gateways that `interface` leads to.
    ///
    /// # Errors
    ///
    /// The kernel does not answer.
    pub fn gateways(&self, interface: &Interface) -> Result<Gateways, HostError> {
        self.runtime.block_on(gateways::gateways(&self.handle, interface))
    }

    /// The addresses of the loopback interface.
    ///
    /// # Errors
    ///
    /// The kernel refuses to say.
    pub fn loopback_addresses(&self) -> Result<Vec<IpAddr>, HostError> {
        let all = self.runtime.block_on(all_addresses(&self.handle))?;
        Ok(all.into_iter().filter(|&(index, _)| index == LOOPBACK).map(|(_, address)| address).collect())
    }

    /// The index of an interface other than the loopback that has one of `vips`, with the address.
    ///
    /// # Errors
    ///
    /// The kernel refuses to say.
    pub fn holder(&self, vips: &[IpAddr]) -> Result<Option<(String, IpAddr)>, HostError> {
        let all = self.runtime.block_on(all_addresses(&self.handle))?;
        let held = all.into_iter().find(|(index, vip)| *index != LOOPBACK && vips.contains(vip));
        Ok(held.map(|(index, vip)| (interface_name(index), vip)))
    }

    /// Binds `vip` on the loopback interface, as a host route; one that is there already is no mistake.
    ///
    /// # Errors
    ///
    /// The kernel refuses it.
    pub fn bind(&self, vip: IpAddr) -> Result<(), HostError> {
        self.runtime.block_on(bind(&self.handle, vip))
    }

    /// Takes `vip` off the loopback interface; one that is not there is no mistake.
    ///
    /// # Errors
    ///
    /// The kernel refuses it.
    pub fn unbind(&self, vip: IpAddr) -> Result<(), HostError> {
        self.runtime.block_on(unbind(&self.handle, vip))
    }
}

/// Watches the kernel's notices about links and addresses.
pub struct KernelWatch {
    handle: Handle,
    notices: Notices,
}

impl KernelWatch {
    /// Begins to watch; needs a running tokio runtime.
    ///
    /// # Errors
    ///
    /// The netlink socket cannot be opened.
    pub fn open() -> io::Result<Self> {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        let notices = Notices::open(&groups)?;
        // A flood of notices may cost some, but must not cost an answer: those come on a connection of their own.
        let (connection, handle, _) = new_connection()?;
        tokio::spawn(connection);
        Ok(Self { handle, notices })
    }

    /// Waits for the next notice of any kind.
    pub async fn changed(&mut self) {
        self.notices.changed().await;
    }

    /// The addresses of all interfaces, each with its interface's index.
    ///
    /// # Errors
    ///
    /// The kernel does not say.
    pub async fn addresses(&self) -> Result<Vec<(u32, IpAddr)>, HostError> {
        all_addresses(&self.handle).await
    }

    /// Binds `vip` on the loopback interface, as [`Netlink::bind`].
    ///
    /// # Errors
    ///
    /// The kernel refuses it.
    pub async fn bind(&self, vip: IpAddr) -> Result<(), HostError> {
        bind(&self.handle, vip).await
    }

    /// Takes `vip` off the loopback interface, as [`Netlink::unbind`].
    ///
    /// # Errors
    ///
    /// The kernel refuses it.
    pub async fn unbind(&self, vip: IpAddr) -> Result<(), HostError> {
        unbind(&self.handle, vip).await
    }

    /// The interface called `name`, or `None` when it is gone.
    ///
    /// # Errors
    ///
    /// The kernel does not say.
    pub async fn interface(&self, name: &str) -> Result<Option<Interface>, HostError> {
        match interface(&self.handle, name).await {
            Ok(interface) => Ok(Some(interface)),
            Err(HostError::NoInterface(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The default gateways that `interface` leads to.
    ///
    /// # Errors
    ///
    /// The kernel does not answer.
    pub async fn gateways(&self, interface: &Interface) -> Result<Gateways, HostError> {
        gateways::gateways(&self.handle, interface).await
    }

    /// Whether the interface called `name` is up and has a carrier.
    ///
    /// # Errors
    ///
    /// There is none, or the kernel does not say.
    pub async fn carrier(&self, name: &str) -> Result<bool, HostError> {
        link(&self.handle, name).await.map(|link| has_carrier(&link))
    }
}

async fn link(handle: &Handle, name: &str) -> Result<LinkMessage, HostError> {
    let mut links = Box::pin(handle.link().get().match_name(name).execute());
    match links.try_next().await {
        Ok(Some(link)) => Ok(link),
        Ok(None) => Err(HostError::NoInterface(name.to_owned())),
        Err(rtnetlink::Error::NetlinkError(message)) if message.raw_code() == -libc::ENODEV => {
            Err(HostError::NoInterface(name.to_owned()))
        }
        Err(source) => Err(HostError::Netlink { what: format!("looking at {name}"), source }),
    }
}

async fn interface(handle: &Handle, name: &str) -> Result<Interface, HostError> {
    let link = link(handle, name).await?;
    let messages = addresses(handle, link.header.index)
        .await
        .map_err(|source| HostError::Netlink { what: format!("listing the addresses of {name}"), source })?;
    let primaries = messages.iter().filter(|message| is_primary(message)).filter_map(local_address).collect();
    Ok(Interface {
        name: name.to_owned(),
        index: link.header.index,
        mac: mac(&link),
        ethernet: link.header.link_layer_type == LinkLayerType::Ether,
        veth: is_veth(&link),
        mtu: mtu(&link),
        carrier: has_carrier(&link),
        addresses: messages.iter().filter_map(local_address).collect(),
        primaries,
        networks: messages.iter().filter_map(network).collect(),
        xdp: xdp(&link),
    })
}

async fn all_addresses(handle: &Handle) -> Result<Vec<(u32, IpAddr)>, HostError> {
    let listing = handle.address().get().execute().try_collect::<Vec<_>>();
    let messages = listing
        .await
        .map_err(|source| HostError::Netlink { what: "listing the addresses".to_owned(), source })?;
    let address = |message: &AddressMessage| Some((message.header.index, local_address(message)?));
    Ok(messages.iter().filter_map(address).collect())
}

async fn bind(handle: &Handle, vip: IpAddr) -> Result<(), HostError> {
    let length = if vip.is_ipv4() { 32 } else { 128 };
    // The loopback interface looks for no duplicates of an IPv6 address: it is of use at once.
    match handle.address().add(LOOPBACK, vip, length).execute().await {
        Ok(()) => Ok(()),
        Err(rtnetlink::Error::NetlinkError(message)) if message.raw_code() == -libc::EEXIST => Ok(()),
        Err(source) => Err(HostError::Netlink { what: format!("binding {vip} on lo"), source }),
    }
}

async fn unbind(handle: &Handle, vip: IpAddr) -> Result<(), HostError> {
    let message = match vip {
        IpAddr::V4(vip) => AddressMessageBuilder::<Ipv4Addr>::new().index(LOOPBACK).address(vip, 32).build(),
        IpAddr::V6(vip) => AddressMessageBuilder::<Ipv6Addr>::new().index(LOOPBACK).address(vip, 128).build(),
    };
    match handle.address().del(message).execute().await {
        Ok(()) => Ok(()),
        Err(rtnetlink::Error::NetlinkError(message)) if message.raw_code() == -libc::EADDRNOTAVAIL => Ok(()),
        Err(source) => Err(HostError::Netlink { what: format!("taking {vip} off lo"), source }),
    }
}

/// One that the interface has just got is not known to be unique yet; it counts, for it was before.
async fn addresses(handle: &Handle, index: u32) -> Result<Vec<AddressMessage>, rtnetlink::Error> {
    let mut messages: Vec<AddressMessage> =
        handle.address().get().set_link_index_filter(index).execute().try_collect().await?;
    messages.retain(|message| !message.header.flags.contains(AddressHeaderFlags::Dadfailed));
    Ok(messages)
}

/// Whether adverts come from the address if nobody says otherwise.
fn is_primary(message: &AddressMessage) -> bool {
    let AddressHeader { family, scope, .. } = &message.header;
    (*family == AddressFamily::Inet && *scope == AddressScope::Universe)
        || (*family == AddressFamily::Inet6 && *scope == AddressScope::Link)
}

fn network(message: &AddressMessage) -> Option<Network> {
    Some(Network { address: local_address(message)?, length: message.header.prefix_len })
}

/// The interface's own address; IPv6 tells it by the attribute that has the other end's over IPv4.
fn local_address(message: &AddressMessage) -> Option<IpAddr> {
    let local = message.attributes.iter().find_map(|attribute| {
        let AddressAttribute::Local(address) = attribute else { return None };
        Some(*address)
    });
    local.or_else(|| {
        message.attributes.iter().find_map(|attribute| {
            let AddressAttribute::Address(address @ IpAddr::V6(_)) = attribute else { return None };
            Some(*address)
        })
    })
}

fn has_carrier(link: &LinkMessage) -> bool {
    link.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp)
}

fn mac(link: &LinkMessage) -> [u8; 6] {
    let address = link.attributes.iter().find_map(|attribute| {
        let LinkAttribute::Address(octets) = attribute else {
            return None;
        };
        octets.as_slice().try_into().ok()
    });
    address.unwrap_or_default()
}

fn mtu(link: &LinkMessage) -> u32 {
    let mtu = link.attributes.iter().find_map(|attribute| {
        let LinkAttribute::Mtu(mtu) = attribute else { return None };
        Some(*mtu)
    });
    mtu.unwrap_or_default()
}

fn is_veth(link: &LinkMessage) -> bool {
    let is_kind = |info: &LinkInfo| matches!(info, LinkInfo::Kind(InfoKind::Veth));
    link.attributes.iter().any(|attribute| {
        let LinkAttribute::LinkInfo(details) = attribute else {
            return false;
        };
        details.iter().any(is_kind)
    })
}

fn xdp(link: &LinkMessage) -> Option<(u32, XdpMode)> {
    let details = link.attributes.iter().find_map(|attribute| {
        let LinkAttribute::Xdp(details) = attribute else {
            return None;
        };
        Some(details)
    })?;
    let program = details.iter().find_map(|detail| {
        let LinkXdp::ProgId(id) = detail else { return None };
        Some(*id)
    })?;
    let generic = details.contains(&LinkXdp::Attached(XdpAttached::SocketBuffer));
    Some((program, if generic { XdpMode::Generic } else { XdpMode::Native }))
}
