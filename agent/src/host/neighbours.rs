//! The kernel's neighbour table: where hosts on an interface are.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;

use futures_util::stream::TryStreamExt;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::{Handle, MulticastGroup, new_connection};

use super::HostError;
use super::notices::Notices;
use super::routes::{hops, route};
use crate::wire::Mac;

/// The neighbours on an interface.
pub struct Neighbours {
    handle: Handle,
    interface: u32,
    notices: Notices,
}

impl Neighbours {
    /// Begins to watch those on the interface with this index; needs a running tokio runtime.
    ///
    /// # Errors
    ///
    /// The netlink socket cannot be opened.
    pub fn open(interface: u32) -> io::Result<Self> {
        let notices = Notices::open(&[MulticastGroup::Neigh])?;
        let (connection, handle, _) = new_connection()?;
        tokio::spawn(connection);
        Ok(Self { handle, interface, notices })
    }

    /// Waits for the next change anywhere in the table.
    pub async fn changed(&mut self) {
        self.notices.changed().await;
    }

    /// Makes the kernel find out where `address` is, or whether it still is there, as if it had something to send to it. Not to
    /// be called for one that an operator has [entered](Neighbour::entered), which would become like any other.
    ///
    /// # Errors
    ///
    /// The kernel refuses it.
    pub async fn ask_for(&self, address: IpAddr) -> Result<(), HostError> {
        let request = self.handle.neighbours().add(self.interface, address);
        let request = request.state(NeighbourState::None).flags(NeighbourFlags::Use).replace();
        let failed = |source| HostError::Netlink { what: format!("asking for {address}"), source };
        request.execute().await.map_err(failed)
    }

    /// Who is asked for, to send something to `destination` through the interface: a gateway, or the destination itself. `None` if
    /// nothing leads there.
    ///
    /// # Errors
    ///
    /// The kernel does not say.
    pub async fn next_hop(&self, destination: IpAddr) -> Result<Option<IpAddr>, HostError> {
        let failed =
            |source| HostError::Netlink { what: format!("looking for the way to {destination}"), source };
        let route = route(&self.handle, destination, self.interface).await.map_err(failed)?;
        let hops = route.map(|route| hops(&route, self.interface)).unwrap_or_default();
        Ok(hops.first().map(|gateway| gateway.unwrap_or(destination)))
    }

    /// What the kernel has found on the interface. What it is just looking for is left out.
    ///
    /// # Errors
    ///
    /// The kernel does not say.
    pub async fn list(&self) -> Result<HashMap<IpAddr, Neighbour>, HostError> {
        let listing = self.handle.neighbours().get().execute().try_collect::<Vec<_>>();
        let messages = listing
            .await
            .map_err(|source| HostError::Netlink { what: "listing the neighbours".to_owned(), source })?;
        let here = messages.iter().filter(|message| message.header.ifindex == self.interface);
        Ok(here.filter_map(neighbour).collect())
    }
}

/// What the kernel knows of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its hardware address; `None` if it does not answer.
    pub mac: Option<Mac>,
    /// Whether somebody has entered it by hand: the kernel does not look whether it is there.
    pub entered: bool,
}

fn neighbour(message: &NeighbourMessage) -> Option<(IpAddr, Neighbour)> {
    let state = message.header.state;
    let entered = state == NeighbourState::Permanent;
    let is_there = entered
        || [NeighbourState::Reachable, NeighbourState::Stale, NeighbourState::Delay, NeighbourState::Probe]
            .contains(&state);
    if !is_there && state != NeighbourState::Failed {
        return None;
    }
    let address = message.attributes.iter().find_map(|attribute| {
        let NeighbourAttribute::Destination(address) = attribute else { return None };
        ip_address(address)
    })?;
    let mac = message.attributes.iter().find_map(|attribute| {
        let NeighbourAttribute::LinkLayerAddress(octets) = attribute else { return None };
        Mac::try_from(octets.as_slice()).ok()
    });
    Some((address, Neighbour { mac: mac.filter(|_| is_there), entered }))
}

fn ip_address(address: &NeighbourAddress) -> Option<IpAddr> {
    if let NeighbourAddress::Inet(address) = address {
        Some(IpAddr::V4(*address))
    } else if let NeighbourAddress::Inet6(address) = address {
        Some(IpAddr::V6(*address))
    } else {
        None
    }
}
