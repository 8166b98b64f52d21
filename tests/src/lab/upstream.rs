//! A host behind a node, for nodes that are gateways.
//!
//! ```text
//!      baton-<id>-a              baton-<id>-b
//!   10.77.0.1 10.78.0.1       10.77.0.2 10.78.0.1
//!                | up0                     | up0
//!                | eth0                    | eth0
//!         baton-<id>-up-a           baton-<id>-up-b
//!            10.78.0.9                 10.78.0.9
//! ```

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::Result;

use super::namespace::Namespace;
use super::probe::echo_service;
use super::{Host, Lab, Process, VIP, VIPS6, namespace_name, output};

/// The node's interface that leads there.
const UPLINK: &str = "up0";

/// A host behind a node, with an echo service. The other node's has the same addresses: who answers tells which way a
/// packet has gone.
#[derive(Debug)]
pub struct Upstream {
    namespace: Namespace,
    _echo: Process,
}

impl Upstream {
    /// Its address.
    pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 9);
    /// Its IPv6 address.
    pub const ADDRESS6: Ipv6Addr = Ipv6Addr::new(0xfd78, 0, 0, 0, 0, 0, 0, 9);

    /// Makes one behind `node`, which does not route yet: see [`Lab::set_forwarding`].
    pub fn start(lab: &Lab, node: Host) -> Result<Self> {
        let namespace = Namespace::create(&namespace_name(lab.id(), &format!("up-{}", node.name())))?;
        let peer = ["type", "veth", "peer", "name", "eth0", "netns", namespace.name()];
        lab.run(node, "ip", &[&["link", "add", UPLINK], &peer[..]].concat())?;
        lab.namespace(node).set(&format!("net/ipv6/conf/{UPLINK}/disable_ipv6"), "0")?;
        namespace.set("net/ipv6/conf/eth0/disable_ipv6", "0")?;
        let (node_side, far_side) = (lab.namespace(node), &namespace);
        for (network, line) in [
            // Nobody looks for duplicates, which takes a second.
            (node_side, format!("address add 10.78.0.1/24 dev {UPLINK}")),
            (node_side, format!("address add fd78::1/64 dev {UPLINK} nodad")),
            (node_side, format!("link set {UPLINK} up")),
            (far_side, format!("address add {}/24 dev eth0", Self::ADDRESS)),
            (far_side, format!("address add {}/64 dev eth0 nodad", Self::ADDRESS6)),
            (far_side, "link set eth0 up".to_owned()),
            (far_side, "route add default via 10.78.0.1".to_owned()),
            (far_side, "-6 route add default via fd78::1".to_owned()),
        ] {
            output(network.command("ip").args(line.split(' ')))?;
        }
        let log = lab.host_directory(node).join("upstream.log");
        let echo = Process::start(&mut echo_service(&namespace, node, Self::ADDRESS)?, &log)?;
        Ok(Self { namespace, _echo: echo })
    }

    /// Its network.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }
}

impl Lab {
    /// Lets the kernel of `node` route packets of both families, or not.
    pub fn set_forwarding(&self, node: Host, routes: bool) -> Result<()> {
        let value = if routes { "1" } else { "0" };
        self.namespace(node).set("net/ipv4/ip_forward", value)?;
        self.namespace(node).set("net/ipv6/conf/all/forwarding", value)
    }

    /// Makes the VIP the default gateway of the client.
    pub fn route_through_vip(&self) -> Result<()> {
        self.run(Host::Client, "ip", &["route", "add", "default", "via", &VIP.to_string()]).map(drop)
    }

    /// The same for IPv6, after [`Lab::enable_ipv6`].
    pub fn route_through_vip6(&self) -> Result<()> {
        let route = ["-6", "route", "add", "default", "via", &VIPS6[0].to_string(), "dev", "eth0"];
        self.run(Host::Client, "ip", &route).map(drop)
    }
}
