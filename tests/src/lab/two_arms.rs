//! Backends on a segment of their own, to which the client has no way but by the nodes.
//!
//! ```text
//!   switch of the client        switch of the backends
//!     cl | a eth0, b eth0         a eth1, b eth1 | be1      | be2      | be3
//!        VIPs, services           VIPs: gateways   10.78.0.11, .12, .13, fd78::11 ...: an nginx each, and nothing of the VIPs
//! ```

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use baton::config::MacMode;

use super::baton::router_table;
use super::keepalived::priority;
use super::{Backend, Balanced, Host, Lab, Link, Router, Settings, VIP, VIPS6, VRID, output};

/// The link of the backends.
const BEHIND: Link = Link::ALL[1];
/// The nodes' virtual addresses there.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 100);
const GATEWAY6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x200);

impl Balanced {
    /// The interface of the backends.
    pub const BEHIND: &str = "eth1";

    /// Backends on a segment of their own, and nodes without an agent yet.
    pub fn prepare_two_armed() -> Result<Self> {
        let lab = Lab::up()?;
        lab.complete_checksums()?;
        lab.add_link_of_nodes(BEHIND)?;
        lab.enable_ipv6()?;
        for host in Host::NODES {
            lab.namespace(host).set("net/ipv6/conf/eth1/accept_dad", "0")?;
            let address = format!("{}/64", BEHIND.address6(host));
            lab.run(host, "ip", &["address", "add", &address, "dev", "eth1", "nodad"])?;
        }
        let backends = (1..=Self::BACKENDS).map(|number| Backend::start_behind(&lab, BEHIND, number));
        let backends = backends.collect::<Result<_>>()?;
        Ok(Self::around(lab, backends))
    }

    /// The backends have a VIP of the nodes as their default gateway.
    pub fn route_by_nodes(&self) -> Result<()> {
        for backend in &self.backends {
            for line in [
                format!("route add default via {GATEWAY}"),
                format!("-6 route add default via {GATEWAY6} dev eth0"),
            ] {
                output(backend.namespace().command("ip").args(line.split(' ')))?;
            }
        }
        Ok(())
    }

    /// Writes a configuration of `host` with services at port 80 of the VIPs of both families, whose backends get packets as `forward`
    /// says; with `runtime` in its table of that name.
    pub fn configure_two_armed(&self, host: Host, forward: &str, runtime: &str) -> Result<()> {
        let ours = Settings { more: "startup_hold_ms = 0\ngroup = \"both\"\n", ..Settings::USUAL };
        let theirs = "startup_hold_ms = 0\ngroup = \"both\"\ndelivery = \"gateway\"\naccept = false\n";
        let theirs = Settings { more: theirs, ..ours };
        let (mac, priority) = (MacMode::Virtual, priority(host));
        let four = |vips| Router { vrid: VRID, priority, vips };
        let six = |vips| Router { vrid: VRID, priority, vips };
        let mut tables = [
            router_table("eth0", &four(&[VIP][..]), mac, &ours),
            router_table("eth0", &six(&VIPS6[..]), mac, &ours),
            router_table(Self::BEHIND, &four(&[GATEWAY][..]), mac, &theirs),
            router_table(Self::BEHIND, &six(&[GATEWAY6][..]), mac, &theirs),
        ]
        .concat();
        let four = Self::pool("web", |number| Backend::address_on(BEHIND, number));
        let six = Self::pool("web6", |number| Backend::address6_on(BEHIND, number));
        for (name, pool, vip) in [("web", four, IpAddr::from(VIP)), ("web6", six, VIPS6[1].into())] {
            let _ = write!(
                tables,
                "{pool}forward = \"{forward}\"\ninterface = \"{}\"\ncheck = \"http:80/\"\n\
                 [[service]]\nvip = \"{vip}\"\nport = 80\npool = \"{name}\"\n",
                Self::BEHIND,
            );
        }
        fs::create_dir_all(self.lab.host_directory(host))?;
        self.lab.write_baton(host, &ours, &tables)?;
        self.set_runtime(host, runtime)
    }
}
