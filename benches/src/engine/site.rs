//! Where the systems are measured: one host behind one cable, at whose open end frames are made and taken off.
//!
//! ```text
//!        baton-<id>-sw                     baton-<id>-a
//!   frames are made here --> wire0 ======= node0: the system under test
//!   and dropped in XDP  <--- wire0 =======
//! ```

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use baton::wire::Mac;
use baton_tests::lab::{Host, Lab, mac_text, output};
use baton_tests::program::Program;
use nix::net::if_::if_nametoindex;
use nix::unistd::Pid;

use super::programs::{Generator, Traffic};
use super::threads::{self, Thread, WIRE_CPU};
use crate::realtime::become_realtime;

/// The interface of the node, and the other end of its cable.
pub(super) const NODE: &str = "node0";
const WIRE: &str = "wire0";
/// Their hardware addresses.
pub(super) const NODE_MAC: Mac = [0x02, 0, 0, 0, 1, 0x01];
pub(super) const WIRE_MAC: Mac = [0x02, 0, 0, 0, 1, 0x02];
/// What a kernel that forwards routes to.
pub(super) const GATEWAY: &str = "10.98.255.254";

/// The network.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) lab: Lab,
    /// The index of the open end.
    wire: u32,
    /// What takes the frames that come to the node.
    pub(super) receiver: Thread,
}

impl Site {
    /// Builds it.
    pub(super) fn build() -> Result<Self> {
        let lab = Lab::up()?;
        let (node, near, far) = (lab.namespace(Host::A).name(), mac_text(WIRE_MAC), mac_text(NODE_MAC));
        let ends = ["link", "add", WIRE, "address", &near, "type", "veth"];
        let peer = ["peer", "name", NODE, "address", &far, "netns", node];
        lab.run_on_switch("ip", &[&ends[..], &peer].concat())?;
        // With it a veth polls for frames also where no XDP program runs.
        lab.run(Host::A, "ethtool", &["-K", NODE, "gro", "on"])?;
        for (key, value) in [("rp_filter", "0"), ("send_redirects", "0")] {
            for which in ["all", NODE] {
                lab.namespace(Host::A).set(&format!("net/ipv4/conf/{which}/{key}"), value)?;
            }
        }
        lab.run(Host::A, "ip", &["address", "add", "10.98.0.1/16", "dev", NODE])?;
        lab.run(Host::A, "ip", &["link", "set", NODE, "up"])?;
        lab.run(Host::A, "ip", &["neigh", "add", GATEWAY, "lladdr", &near, "dev", NODE, "nud", "permanent"])?;
        lab.run(Host::A, "ip", &["route", "add", "default", "via", GATEWAY])?;
        let wire = lab.switch().within(|| if_nametoindex(WIRE).context("find the cable"))?;
        let mut site = Self { lab, wire, receiver: Thread::of(Pid::this(), Pid::this()) };
        site.attach_to_wire(&Program::dropping()?, "sink")?;
        site.lab.run_on_switch("ip", &["link", "set", WIRE, "up"])?;
        site.receiver = site.take_by_threads()?;
        Ok(site)
    }

    /// Has `program` see what arrives at the open end.
    pub(super) fn attach_to_wire(&self, program: &Program, name: &str) -> Result<()> {
        let pin = self.pinned(program, name)?;
        self.lab
            .run_on_switch("ip", &["-force", "link", "set", "dev", WIRE, "xdpdrv", "pinned", &pin])
            .map(drop)
    }

    /// Has `program` see what arrives at the node.
    pub(super) fn attach_to_node(&self, program: &Program, name: &str) -> Result<()> {
        let pin = self.pinned(program, name)?;
        self.lab.run(Host::A, "ip", &["link", "set", "dev", NODE, "xdpdrv", "pinned", &pin]).map(drop)
    }

    /// Takes the program off the node.
    pub(super) fn detach_from_node(&self) -> Result<()> {
        self.lab.run(Host::A, "ip", &["link", "set", "dev", NODE, "xdpdrv", "off"]).map(drop)
    }

    fn pinned(&self, program: &Program, name: &str) -> Result<String> {
        let pin = self.lab.directory().join("bpf").join(name);
        if pin.exists() {
            fs::remove_file(&pin)?;
        }
        program.pin(&pin)?;
        Ok(pin.to_string_lossy().into_owned())
    }

    /// What makes `traffic` for the node.
    pub(super) fn generator(&self, traffic: Traffic) -> Result<Generator> {
        Generator::load(traffic, WIRE_MAC, NODE_MAC, self.wire)
    }

    /// Runs `generator` so many times from a thread of its own, and says how many frames that were and how long they took. It is one
    /// call of the kernel: each waits for a while before and after.
    pub(super) fn send(&self, generator: &Generator, runs: u32) -> Result<(u64, Duration)> {
        self.lab.switch().within(|| {
            threads::pin(Pid::from_raw(0), WIRE_CPU)?;
            become_realtime(threads::GENERATOR)?;
            generator.program.flood_in_batches(&generator.frame, self.wire, runs, generator.batch)
        })?;
        generator.made()
    }

    /// Frames that have come back.
    pub(super) fn returned(&self) -> Result<u64> {
        let text = self.lab.run_on_switch("ip", &["-s", "-j", "link", "show", "dev", WIRE])?;
        let links: serde_json::Value = serde_json::from_str(&text).context("understand `ip -j`")?;
        links[0]["stats64"]["rx"]["packets"].as_u64().context("a link counts its frames")
    }

    /// Has the frames at either end taken by threads of their own, on the CPU where they are made; answers with the node's.
    fn take_by_threads(&self) -> Result<Thread> {
        let ends = [(self.lab.namespace(Host::A).name(), NODE), (self.lab.switch().name(), WIRE)];
        for (namespace, interface) in ends {
            // /sys shows the interfaces of the namespace that it was mounted in.
            let script = format!("echo 1 >/sys/class/net/{interface}/threaded");
            output(Command::new("ip").args(["netns", "exec", namespace, "sh", "-c", &script]))?;
        }
        let [node, wire] = [poller(NODE)?, poller(WIRE)?];
        for thread in [node, wire] {
            threads::pin(thread, WIRE_CPU)?;
            Thread::of(thread, thread).prioritize(threads::POLLER)?;
        }
        Ok(Thread::of(node, node))
    }
}

/// The thread of the kernel that takes the frames of `interface`, whose name no other has.
fn poller(interface: &str) -> Result<Pid> {
    let name = format!("napi/{interface}-");
    let processes = fs::read_dir("/proc")?.flatten();
    let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_it =
        |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.starts_with(&name));
    numbers
        .find(is_it)
        .map(Pid::from_raw)
        .with_context(|| format!("no thread takes the frames of {interface}"))
}
