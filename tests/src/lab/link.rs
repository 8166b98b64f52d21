//! The links of a lab: a card of every host on a switch of its own. Every lab has the first; the others are for more virtual
//! routers than one link has identifiers for.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use baton::wire::Mac;

use super::{Host, Lab};

/// A link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link(u8);

impl Link {
    /// The one that every lab has.
    pub const FIRST: Self = Self(0);
    /// As many as there are at the most.
    pub const ALL: [Self; 4] = [Self::FIRST, Self(1), Self(2), Self(3)];

    /// The name of the card on each host.
    pub fn interface(self) -> String {
        format!("eth{}", self.0)
    }

    /// The switch.
    pub(super) fn bridge(self) -> String {
        format!("br{}", self.0)
    }

    /// The switch port that leads to `host`.
    pub(super) fn port(self, host: Host) -> String {
        if self == Self::FIRST { host.port().to_owned() } else { format!("{}-l{}", host.port(), self.0) }
    }

    /// The address of `host` on this link.
    pub const fn address(self, host: Host) -> Ipv4Addr {
        let [a, b, c, d] = host.address().octets();
        Ipv4Addr::new(a, b + self.0, c, d)
    }

    /// The IPv6 address of `host` on this link, if it has one.
    pub const fn address6(self, host: Host) -> Ipv6Addr {
        let [first, b, c, d, e, f, g, h] = host.address6().segments();
        Ipv6Addr::new(first + self.0 as u16, b, c, d, e, f, g, h)
    }

    /// The hardware address of its card.
    pub const fn mac(self, host: Host) -> Mac {
        let [a, b, c, d, _, f] = host.mac();
        [a, b, c, d, self.0, f]
    }

    /// A virtual address on this link for the virtual router `vrid`.
    pub const fn vip(self, vrid: u8) -> Ipv4Addr {
        let [a, b, ..] = Host::A.address().octets();
        Ipv4Addr::new(a, b + self.0, 128, vrid)
    }
}

impl Lab {
    /// Connects all hosts by `link`, beside the first one.
    pub fn add_link(&self, link: Link) -> Result<()> {
        self.add_switch(link)?;
        Host::ALL.into_iter().try_for_each(|host| self.connect_host(link, host))
    }

    /// Connects the nodes alone by `link`.
    pub fn add_link_of_nodes(&self, link: Link) -> Result<()> {
        self.add_switch(link)?;
        Host::NODES.into_iter().try_for_each(|host| self.connect_host(link, host))
    }

    /// Cuts the cables of `host` on all of `links`, within a millisecond, without anybody noticing, as [`Lab::cut`] does.
    pub fn cut_links(&self, host: Host, links: &[Link]) -> Result<()> {
        self.set_port_states(host, links, 0)
    }

    /// Mends what [`Lab::cut_links`] cut.
    pub fn heal_links(&self, host: Host, links: &[Link]) -> Result<()> {
        self.set_port_states(host, links, 3)
    }

    fn set_port_states(&self, host: Host, links: &[Link], state: u8) -> Result<()> {
        let file = self.directory().join("port-states");
        let mut lines = String::new();
        for link in links {
            let _ = writeln!(lines, "link set dev {} state {state}", link.port(host));
        }
        fs::write(&file, lines)?;
        self.run_on_switch("bridge", &["-batch", &file.to_string_lossy()]).map(drop)
    }
}
