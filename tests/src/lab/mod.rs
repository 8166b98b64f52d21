//! A lab of network namespaces for real agents: a switch, two nodes and a client, and nothing outside of them.
//!
//! ```text
//!                 baton-<id>-sw (bridge br0, an XDP_PASS program on every port)
//!               to-a |            | to-b          | to-cl
//!               eth0 |            | eth0          | eth0
//!        baton-<id>-a         baton-<id>-b    baton-<id>-cl
//!         10.77.0.1            10.77.0.2        10.77.0.9            VIP 10.77.0.100
//! ```
//!
//! A [`Lab`] owns what it makes: its namespaces, the directory `/run/baton-lab-<id>` with the bpffs mounted in it, and
//! every process inside the namespaces. Dropping it removes all of that. What a killed run leaves behind carries the
//! run's process id, and the next [`Lab::up`] sweeps it.

mod analysis;
mod backend;
mod balanced;
mod baton;
mod binary;
mod client;
mod connection;
mod crowd;
mod frr;
mod keepalived;
mod link;
mod namespace;
mod nginx;
mod pair;
mod probe;
mod process;
mod recording;
mod settings;
mod signals;
mod snapshot;
mod sweep;
mod system;
mod topology;
mod two_arms;
mod upstream;
mod witness;

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use ::baton::wire::Mac;
use anyhow::{Context as _, Result, ensure};

pub use analysis::{Outcome, analyse};
pub use backend::Backend;
pub use balanced::Balanced;
pub use binary::binary;
pub use connection::Connection;
pub use crowd::{Crowd, Member};
pub use frr::Frr;
pub use keepalived::{Keepalived, Tuning};
pub use link::Link;
pub use namespace::Namespace;
pub use nginx::Nginx;
pub use pair::{Fault, Pair};
pub use probe::{Answer, Echo, Prober};
pub use process::{Process, has_ended, has_stopped, output, wait_until};
pub use recording::{Announcement, ArpAnswer, ArpProbe, Probe, Recording};
pub use settings::{Router, Settings};
pub use signals::{catch_signals, check_interrupted, pause};
pub use snapshot::{Snapshot, differences};
pub use sweep::leftovers;
pub use system::{System, Variant};
pub use upstream::Upstream;
pub use witness::{Testimony, Witness};

/// The IPv6 VIPs: the link-local address of the virtual router, and one that services listen on.
pub const VIPS6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x100), Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x100)];
/// The first virtual address.
pub const VIP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
/// The virtual router's identifier.
pub const VRID: u8 = 51;

/// The first `count` virtual addresses: [`VIP`], then a range of its own in the lab's /16.
pub fn vips(count: u16) -> Vec<Ipv4Addr> {
    (0..count).map(|n| if n == 0 { VIP } else { Ipv4Addr::from(0x0a4d_8000 + u32::from(n)) }).collect()
}

/// A host of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// Node a, the preferred owner.
    A,
    /// Node b.
    B,
    /// The client.
    Client,
}

impl Host {
    /// All hosts.
    pub const ALL: [Self; 3] = [Self::A, Self::B, Self::Client];
    /// The hosts that can own the VIP.
    pub const NODES: [Self; 2] = [Self::A, Self::B];

    /// The name in namespaces, directories and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
            Self::Client => "cl",
        }
    }

    /// The host with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|host| host.name() == name)
    }

    /// The address on `eth0`.
    pub const fn address(self) -> Ipv4Addr {
        match self {
            Self::A => Ipv4Addr::new(10, 77, 0, 1),
            Self::B => Ipv4Addr::new(10, 77, 0, 2),
            Self::Client => Ipv4Addr::new(10, 77, 0, 9),
        }
    }

    /// The IPv6 address on `eth0` after [`Lab::enable_ipv6`], in the network of [`VIPS6`].
    pub const fn address6(self) -> Ipv6Addr {
        let [.., last] = self.address().octets();
        Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, last as u16)
    }

    /// The hardware address of `eth0`, fixed so that people recognise it.
    pub const fn mac(self) -> Mac {
        match self {
            Self::A => [0x02, 0, 0, 0, 0, 0x0a],
            Self::B => [0x02, 0, 0, 0, 0, 0x0b],
            Self::Client => [0x02, 0, 0, 0, 0, 0x0c],
        }
    }

    /// The number in recordings and on the wire of the echo service; 0 is nobody's.
    pub const fn number(self) -> u8 {
        match self {
            Self::A => 1,
            Self::B => 2,
            Self::Client => 3,
        }
    }

    /// The host with that number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|host| host.number() == number)
    }

    /// The other node; the client has none and stays itself.
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
            Self::Client => Self::Client,
        }
    }

    /// The switch port that leads here.
    pub const fn port(self) -> &'static str {
        match self {
            Self::A => "to-a",
            Self::B => "to-b",
            Self::Client => "to-cl",
        }
    }
}

/// The network: see the module's drawing.
#[derive(Debug)]
pub struct Lab {
    id: String,
    directory: PathBuf,
    switch: Namespace,
    hosts: [Namespace; 3],
    keep: bool,
}

impl Lab {
    /// Builds a network of its own for this run, after sweeping what dead runs left.
    pub fn up() -> Result<Self> {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        ensure!(
            nix::unistd::geteuid().is_root(),
            "the lab needs root (network namespaces, bpf, SCHED_FIFO): run it through `cargo xtask` or as root"
        );
        sweep::sweep();
        let id = format!("{}x{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        let directory = sweep::claim(&id)?;
        Self::build(&id, directory).inspect_err(|_| sweep::remove(&id))
    }

    fn build(id: &str, directory: PathBuf) -> Result<Self> {
        for host in Host::NODES {
            fs::create_dir_all(directory.join(host.name()))?;
        }
        let lab = Self {
            id: id.to_owned(),
            directory,
            switch: Namespace::create(&namespace_name(id, "sw"))?,
            hosts: [
                Namespace::create(&namespace_name(id, "a"))?,
                Namespace::create(&namespace_name(id, "b"))?,
                Namespace::create(&namespace_name(id, "cl"))?,
            ],
            keep: false,
        };
        lab.connect().context("build the lab's network")?;
        Ok(lab)
    }

    /// Opens a lab that another process keeps up; it stays up when the value is dropped.
    pub fn open(id: &str) -> Result<Self> {
        Ok(Self {
            id: id.to_owned(),
            directory: sweep::directory(id),
            switch: Namespace::open(&namespace_name(id, "sw"))?,
            hosts: [
                Namespace::open(&namespace_name(id, "a"))?,
                Namespace::open(&namespace_name(id, "b"))?,
                Namespace::open(&namespace_name(id, "cl"))?,
            ],
            keep: true,
        })
    }

    /// The ids of the labs that were kept up on purpose.
    pub fn kept() -> Vec<String> {
        sweep::kept()
    }

    /// Leaves the lab and everything in it running after this process ends; [`Lab::down`] removes it.
    pub fn keep(&mut self) -> Result<()> {
        sweep::mark_kept(&self.id)?;
        self.keep = true;
        Ok(())
    }

    /// Removes the lab, also one that was kept.
    pub fn down(mut self) {
        self.keep = false;
    }

    /// The run id in all of the lab's names.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The lab's directory: configurations, logs, recordings, and the bpffs in `bpf`.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The directory of one host's files.
    pub fn host_directory(&self, host: Host) -> PathBuf {
        self.directory.join(host.name())
    }

    /// The namespace of `host`.
    pub fn namespace(&self, host: Host) -> &Namespace {
        match host {
            Host::A => &self.hosts[0],
            Host::B => &self.hosts[1],
            Host::Client => &self.hosts[2],
        }
    }

    /// A command that will run in the namespace of `host`.
    pub fn command(&self, host: Host, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.namespace(host).command(program)
    }

    /// The namespace of the switch.
    pub fn switch(&self) -> &Namespace {
        &self.switch
    }

    /// Runs a program in the namespace of `host` and gives what it printed.
    pub fn run(&self, host: Host, program: &str, arguments: &[&str]) -> Result<String> {
        output(self.command(host, program).args(arguments))
    }

    /// Like [`Lab::run`], on the switch.
    pub fn run_on_switch(&self, program: &str, arguments: &[&str]) -> Result<String> {
        output(self.switch.command(program).args(arguments))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !self.keep {
            sweep::remove(&self.id);
        }
    }
}

/// `mac` as `ip` prints it.
pub fn mac_text(mac: Mac) -> String {
    mac.map(|octet| format!("{octet:02x}")).join(":")
}

fn namespace_name(id: &str, host: &str) -> String {
    format!("baton-{id}-{host}")
}
