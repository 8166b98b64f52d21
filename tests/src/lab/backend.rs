//! Backends of the engine: hosts on the switch that have the VIP on `lo`, where nobody finds it by ARP, and answer the client
//! themselves.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::namespace::Namespace;
use super::nginx::Site;
use super::{Host, Lab, Link, Nginx, Process, VIP, VIPS6, binary, namespace_name, output, wait_until};

/// How long a program may take to be there.
const PATIENCE: Duration = Duration::from_secs(10);

/// A backend with an nginx.
#[derive(Debug)]
pub struct Backend {
    number: u8,
    namespace: Namespace,
    directory: PathBuf,
    nginx: Option<Nginx>,
    /// Takes packets out of those of the nodes' tunnels.
    decap: Option<Process>,
}

impl Backend {
    /// Makes the backend with this number, 1 to 9, and starts its nginx.
    pub fn start(lab: &Lab, number: u8) -> Result<Self> {
        let mut backend = Self::connect(lab, Link::FIRST, number)?;
        for (key, value) in [("arp_ignore", "1"), ("arp_announce", "2"), ("rp_filter", "0")] {
            for which in ["all", "default"] {
                backend.namespace.set(&format!("net/ipv4/conf/{which}/{key}"), value)?;
            }
        }
        output(backend.namespace.command("ip").args(["address", "add", &format!("{VIP}/32"), "dev", "lo"]))?;
        backend.start_nginx(lab)?;
        Ok(backend)
    }

    /// The same on a link of the nodes alone, without the VIP, with an IPv6 address, and with checksums that are complete.
    pub(super) fn start_behind(lab: &Lab, link: Link, number: u8) -> Result<Self> {
        let backend = Self::connect(lab, link, number)?;
        output(backend.namespace.command("ethtool").args(["-K", "eth0", "tx", "off"]))?;
        for which in ["all", "lo", "eth0"] {
            backend.namespace.set(&format!("net/ipv6/conf/{which}/disable_ipv6"), "0")?;
        }
        let own = IpAddr::from(Self::address_on(link, number));
        let own6 = Self::address6_on(link, number);
        let address6 = format!("{own6}/64");
        output(backend.namespace.command("ip").args(["address", "add", &address6, "dev", "eth0", "nodad"]))?;
        let (namespace, directory) = (&backend.namespace, &*backend.directory);
        let (listens, says, from) = (&[own, own6.into()][..], &*backend.says(), Host::A);
        let nginx = Nginx::serve(lab, &Site { namespace, directory, listens, says, from }, own)?;
        Ok(Self { nginx: Some(nginx), ..backend })
    }

    /// A host on `link`.
    fn connect(lab: &Lab, link: Link, number: u8) -> Result<Self> {
        let name = format!("be{number}");
        let namespace = Namespace::create(&namespace_name(lab.id(), &name))?;
        let directory = lab.directory().join(&name);
        fs::create_dir_all(&directory)?;
        let port = format!("to-{name}");
        let peer = ["type", "veth", "peer", "name", "eth0", "netns", namespace.name()];
        lab.run_on_switch("ip", &[&["link", "add", &port], &peer[..]].concat())?;
        lab.run_on_switch("ip", &["link", "set", &port, "master", &link.bridge(), "up"])?;
        let address = format!("{}/16", Self::address_on(link, number));
        output(namespace.command("ip").args(["address", "add", &address, "dev", "eth0"]))?;
        output(namespace.command("ip").args(["link", "set", "eth0", "up"]))?;
        Ok(Self { number, namespace, directory, nginx: None, decap: None })
    }

    /// The address of the backend with this number on `link`.
    pub const fn address_on(link: Link, number: u8) -> Ipv4Addr {
        let [a, b, c, _] = link.address(Host::A).octets();
        Ipv4Addr::new(a, b, c, 10 + number)
    }

    /// Its IPv6 address there.
    pub const fn address6_on(link: Link, number: u8) -> Ipv6Addr {
        let [first, rest @ ..] = link.address6(Host::A).segments();
        let [b, c, d, e, f, g, _] = rest;
        Ipv6Addr::new(first, b, c, d, e, f, g, 10 + number as u16)
    }

    /// The address of the backend with this number.
    pub const fn address_of(number: u8) -> Ipv4Addr {
        Self::address_on(Link::FIRST, number)
    }

    /// Its IPv6 address after [`Self::enable_ipv6`].
    pub const fn address6_of(number: u8) -> Ipv6Addr {
        Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 10 + number as u16)
    }

    /// What it says to whoever asks.
    pub fn says(&self) -> String {
        format!("backend {}", self.number)
    }

    /// Its network.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Gives it IPv6 addresses, the second of [`VIPS6`] among them; its nginx listens there as well.
    pub fn enable_ipv6(&mut self, lab: &Lab) -> Result<()> {
        for which in ["all", "lo", "eth0"] {
            self.namespace.set(&format!("net/ipv6/conf/{which}/disable_ipv6"), "0")?;
        }
        for line in [
            format!("address add {}/128 dev lo nodad", VIPS6[1]),
            format!("address add {}/64 dev eth0 nodad", Self::address6_of(self.number)),
        ] {
            output(self.namespace.command("ip").args(line.split(' ')))?;
        }
        self.nginx = None;
        self.start_nginx(lab)
    }

    /// Gives its link this MTU.
    pub fn set_mtu(&self, lab: &Lab, mtu: u32) -> Result<()> {
        let mtu = mtu.to_string();
        lab.run_on_switch("ip", &["link", "set", &format!("to-be{}", self.number), "mtu", &mtu])?;
        output(self.namespace.command("ip").args(["link", "set", "eth0", "mtu", &mtu])).map(drop)
    }

    /// Has it take packets for the VIPs of both families out of those of the nodes' tunnels.
    pub fn unwrap_packets(&mut self) -> Result<()> {
        let mut command = self.namespace.command(binary("baton")?);
        command.args(["decap", "eth0", "--vip", &VIP.to_string(), "--vip", &VIPS6[1].to_string()]);
        for node in Host::NODES {
            command.args(["--node", &node.address().to_string()]);
        }
        self.decap = Some(Process::start(&mut command, &self.directory.join("decap.log"))?);
        let listing = || output(self.namespace.command("ip").args(["link", "show", "eth0"]));
        wait_until("the program that unwraps packets", PATIENCE, || Ok(listing()?.contains("xdp")))
    }

    /// Pulls its cable, or plugs it in again.
    pub fn plug(&self, lab: &Lab, plugged: bool) -> Result<()> {
        let state = if plugged { "up" } else { "down" };
        lab.run_on_switch("ip", &["link", "set", &format!("to-be{}", self.number), state]).map(drop)
    }

    /// Ends its nginx.
    pub fn stop_nginx(&mut self) {
        self.nginx = None;
    }

    /// Starts its nginx, which is not running, and waits until it listens.
    pub fn start_nginx(&mut self, lab: &Lab) -> Result<()> {
        let own = IpAddr::from(Self::address_of(self.number));
        let mut listens = vec![VIP.into(), own];
        if self.namespace.get("net/ipv6/conf/eth0/disable_ipv6")? == "0" {
            listens.extend([VIPS6[1], Self::address6_of(self.number)].map(IpAddr::from));
        }
        let (namespace, directory, says) = (&self.namespace, &*self.directory, self.says());
        let site = Site { namespace, directory, listens: &listens, says: &says, from: Host::Client };
        self.nginx = Some(Nginx::serve(lab, &site, own)?);
        Ok(())
    }
}

impl Lab {
    /// Makes the client compute checksums itself. What a veth leaves to the other end is wrong on a frame that goes through
    /// AF_XDP, and on no other wire than a veth.
    pub fn complete_checksums(&self) -> Result<()> {
        self.run(Host::Client, "ethtool", &["-K", "eth0", "tx", "off"]).map(drop)
    }
}
