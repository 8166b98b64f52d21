//! Links, addresses, the switch, and the faults that a network can have.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::mount::{MsFlags, mount};

use super::{Host, Lab, Link, mac_text, wait_until};
use crate::program::{Kind, Program};

/// The switch of the first link.
const BRIDGE: &str = "br0";
/// The pins of the programs for switch ports.
const PASS: &str = "xdp-pass";
const DROP: &str = "xdp-drop";

impl Lab {
    /// Wires everything up.
    pub(super) fn connect(&self) -> Result<()> {
        let bpf = self.directory().join("bpf");
        fs::create_dir(&bpf)?;
        mount(Some("bpf"), &bpf, Some("bpf"), MsFlags::empty(), None::<&str>).context("mount a bpffs")?;
        // A veth lets XDP_TX frames of its peer in only when it runs native XDP itself.
        Program::empty(Kind::Xdp)?.pin(&bpf.join(PASS))?;
        Program::dropping()?.pin(&bpf.join(DROP))?;

        self.add_switch(Link::FIRST)?;
        for host in Host::ALL {
            self.connect_host(Link::FIRST, host).with_context(|| format!("connect {}", host.name()))?;
        }
        // The nodes have talked to the client before: what is measured is the move, not their first ARP request.
        for host in Host::NODES {
            self.introduce(host, Host::Client)?;
        }
        Ok(())
    }

    pub(super) fn add_switch(&self, link: Link) -> Result<()> {
        let bridge = link.bridge();
        let plain = ["type", "bridge", "stp_state", "0", "forward_delay", "0"];
        self.run_on_switch("ip", &[&["link", "add", &bridge], &plain[..]].concat())?;
        // An IGMP snooping switch without a querier floods anyway, after a while; VRRP shall not wait for it.
        self.run_on_switch("ip", &["link", "set", &bridge, "type", "bridge", "mcast_snooping", "0"])?;
        self.run_on_switch("ip", &["link", "set", &bridge, "up"]).map(drop)
    }

    /// Makes `host` learn the hardware address of `peer`.
    fn introduce(&self, host: Host, peer: Host) -> Result<()> {
        let peer = peer.address();
        wait_until(&format!("{} to learn {peer}", host.name()), Duration::from_secs(3), || {
            self.namespace(host).within(|| {
                let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
                // Any datagram will do; the second one may report that nobody wanted the first.
                let _ = socket.send_to(&[0], (peer, 9));
                Ok(())
            })?;
            Ok(self.run(host, "ip", &["neigh", "show", &peer.to_string()])?.contains("lladdr"))
        })
    }

    pub(super) fn connect_host(&self, link: Link, host: Host) -> Result<()> {
        let (port, inside) = (link.port(host), self.namespace(host).name());
        let (interface, mac) = (link.interface(), mac_text(link.mac(host)));
        // Several queues on both ends, as a NIC would have; the device is born inside the namespaces.
        let queues = ["numrxqueues", "2", "numtxqueues", "2"];
        let near = ["link", "add", &port];
        let far = ["type", "veth", "peer", "name", &interface, "address", &mac, "netns", inside];
        self.run_on_switch("ip", &[&near[..], &queues[..], &far[..], &queues[..]].concat())?;
        // Otherwise a VLAN tag travels as metadata, invisible to XDP.
        self.run_on_switch("ethtool", &["-K", &port, "txvlan", "off"])?;
        self.run(host, "ethtool", &["-K", &interface, "txvlan", "off"])?;
        self.set_port_program(&port, PASS)?;
        self.run_on_switch("ip", &["link", "set", &port, "master", &link.bridge(), "up"])?;
        for key in ["all", "default"] {
            self.namespace(host).set(&format!("net/ipv4/conf/{key}/rp_filter"), "0")?;
        }
        let address = format!("{}/16", link.address(host));
        self.run(host, "ip", &["address", "add", &address, "dev", &interface])?;
        self.run(host, "ip", &["link", "set", &interface, "up"])?;
        Ok(())
    }

    /// Gives all hosts IPv6: link-local addresses, and one of [`Host::address6`] each. Nobody looks for duplicates of
    /// these, which takes a second.
    pub fn enable_ipv6(&self) -> Result<()> {
        for host in Host::ALL {
            let namespace = self.namespace(host);
            namespace.set("net/ipv6/conf/eth0/accept_dad", "0")?;
            namespace.set("net/ipv6/conf/all/disable_ipv6", "0")?;
            let address = format!("{}/64", host.address6());
            self.run(host, "ip", &["address", "add", &address, "dev", "eth0"])?;
        }
        Ok(())
    }

    /// Gives all hosts on the switch this MTU.
    pub fn set_mtu(&self, mtu: u32) -> Result<()> {
        let mtu = mtu.to_string();
        for host in Host::ALL {
            self.run_on_switch("ip", &["link", "set", host.port(), "mtu", &mtu])?;
            self.run(host, "ip", &["link", "set", "eth0", "mtu", &mtu])?;
        }
        Ok(())
    }

    /// Gives `host` a second network card, `eth1`, on the same switch, with an address of its own beside the first.
    pub fn add_second_card(&self, host: Host, address: Ipv4Addr) -> Result<()> {
        let (port, inside) = (second_port(host), self.namespace(host).name());
        let peer = ["type", "veth", "peer", "name", "eth1", "netns", inside];
        self.run_on_switch("ip", &[&["link", "add", &port], &peer[..]].concat())?;
        self.run_on_switch("ip", &["link", "set", &port, "master", BRIDGE, "up"])?;
        self.run(host, "ip", &["address", "add", &format!("{address}/16"), "dev", "eth1"])?;
        self.run(host, "ip", &["link", "set", "eth1", "up"]).map(drop)
    }

    /// Takes the switch port of that card down, or up again: the card loses its carrier.
    pub fn plug_second_card(&self, host: Host, plugged: bool) -> Result<()> {
        let state = if plugged { "up" } else { "down" };
        self.run_on_switch("ip", &["link", "set", &second_port(host), state]).map(drop)
    }

    /// Cuts the cable of `host` without anybody noticing: the switch port forwards nothing, carrier stays up and the
    /// switch forgets no address.
    pub fn cut(&self, host: Host) -> Result<()> {
        self.run_on_switch("bridge", &["link", "set", "dev", host.port(), "state", "0"]).map(drop)
    }

    /// Mends what [`Lab::cut`] cut.
    pub fn heal(&self, host: Host) -> Result<()> {
        self.run_on_switch("bridge", &["link", "set", "dev", host.port(), "state", "3"]).map(drop)
    }

    /// Loses all that `host` sends, and nothing of what is sent to it, without anybody noticing.
    pub fn mute(&self, host: Host) -> Result<()> {
        self.set_port_program(host.port(), DROP)
    }

    /// Mends what [`Lab::mute`] cut.
    pub fn unmute(&self, host: Host) -> Result<()> {
        self.set_port_program(host.port(), PASS)
    }

    /// Loses all that is sent to `host`, and nothing of what it sends, without anybody noticing.
    pub fn deafen(&self, host: Host) -> Result<()> {
        let queue = ["root", "pfifo", "limit", "0"];
        self.run_on_switch("tc", &[&["qdisc", "add", "dev", host.port()], &queue[..]].concat()).map(drop)
    }

    /// Mends what [`Lab::deafen`] cut.
    pub fn undeafen(&self, host: Host) -> Result<()> {
        self.run_on_switch("tc", &["qdisc", "delete", "dev", host.port(), "root"]).map(drop)
    }

    /// Lets the switch port of `host` learn and forward nothing yet, as a spanning tree does with a port that came up.
    /// [`Lab::heal`] lets it forward.
    pub fn learn(&self, host: Host) -> Result<()> {
        self.run_on_switch("bridge", &["link", "set", "dev", host.port(), "state", "2"]).map(drop)
    }

    /// The switch has a spanning tree from now on, as quick as the kernel makes one: a port that comes up listens for two
    /// seconds and learns for two, and all ports send what the tree needs. Those that are up go on forwarding.
    pub fn span_tree(&self) -> Result<()> {
        let tree = ["type", "bridge", "stp_state", "1", "forward_delay", "200", "hello_time", "100"];
        self.run_on_switch("ip", &[&["link", "set", BRIDGE], &tree[..]].concat()).map(drop)
    }

    /// The switch asks from now on who listens to which group, each second, and forgets after three who does not answer.
    /// What nobody has asked for it brings nowhere.
    pub fn snoop(&self) -> Result<()> {
        // It asks in IPv6 from an address of its own.
        self.switch().set("net/ipv6/conf/all/disable_ipv6", "0")?;
        let snooping = ["mcast_snooping", "1", "mcast_querier", "1", "mcast_mld_version", "2"];
        let times = ["mcast_query_interval", "100", "mcast_query_response_interval", "50"];
        let memory = ["mcast_membership_interval", "300", "mcast_startup_query_interval", "50"];
        let arguments = [&["link", "set", BRIDGE, "type", "bridge"][..], &snooping, &times, &memory].concat();
        self.run_on_switch("ip", &arguments).map(drop)
    }

    fn set_port_program(&self, port: &str, program: &str) -> Result<()> {
        let pin = self.directory().join("bpf").join(program);
        let pin = pin.to_string_lossy();
        self.run_on_switch("ip", &["-force", "link", "set", "dev", port, "xdpdrv", "pinned", &*pin]).map(drop)
    }

    /// Takes the switch port of `host` down, so that the host loses its carrier. Space these by 2 s or more: the
    /// kernel delays the next link change of a device that flaps faster, and the host's own replies are lost
    /// meanwhile.
    pub fn link_down(&self, host: Host) -> Result<()> {
        self.run_on_switch("ip", &["link", "set", host.port(), "down"]).map(drop)
    }

    /// Takes the switch port of `host` up again.
    pub fn link_up(&self, host: Host) -> Result<()> {
        self.run_on_switch("ip", &["link", "set", host.port(), "up"]).map(drop)
    }

    /// The host behind which the switch has learned hardware address `mac`.
    pub fn learned_at(&self, mac: &str) -> Result<Option<Host>> {
        let table = self.run_on_switch("bridge", &["fdb", "show", "br", BRIDGE])?;
        let port = table.lines().find_map(|line| {
            let mut words = line.split_ascii_whitespace();
            (words.next()? == mac).then(|| words.skip_while(|word| *word != "dev").nth(1))?
        });
        Ok(port.and_then(|port| Host::ALL.into_iter().find(|host| host.port() == port)))
    }
}

/// The switch port of the second card of `host`.
fn second_port(host: Host) -> String {
    format!("{}-2", host.port())
}
