//! Baton on a node: its configuration, its commands and what it says of itself.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::keepalived::priority;
use super::{Host, Lab, Process, VRID, binary, output};

/// Which hardware address the VIP is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mac {
    /// The virtual router's: clients keep their neighbour entry.
    Virtual,
    /// The interface's: clients learn the new owner's.
    Interface,
}

/// What `baton status --json` prints.
#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    /// Version of the agent.
    pub version: String,
    /// Its process id.
    pub pid: i32,
    /// One per interface.
    pub interfaces: Vec<Interface>,
    /// One per virtual router.
    pub routers: Vec<Router>,
}

/// An interface and its data plane.
#[derive(Clone, Debug, Deserialize)]
pub struct Interface {
    /// Name.
    pub interface: String,
    /// `native` or `generic`.
    pub xdp_mode: String,
    /// Frames by verdict.
    #[serde(default)]
    pub verdicts: std::collections::BTreeMap<String, u64>,
}

/// A virtual router as this node sees it.
#[derive(Clone, Debug, Deserialize)]
pub struct Router {
    /// `Initialize`, `Backup` or `Active`.
    pub role: String,
    /// Why it has that role.
    pub reason: Option<String>,
    /// How long the data plane will still serve without a renewal.
    pub lease_left_us: i64,
    /// The hardware address that answers.
    pub mac: String,
    /// The other routers heard.
    #[serde(default)]
    pub peers: Vec<Peer>,
    /// The latest role changes, the oldest first.
    #[serde(default)]
    pub transitions: Vec<Transition>,
}

/// Another router.
#[derive(Clone, Debug, Deserialize)]
pub struct Peer {
    /// Its primary address.
    pub address: Ipv4Addr,
    /// The priority that it advertised last.
    pub priority: u8,
}

/// A role change and the CLOCK_MONOTONIC times of its stages.
#[derive(Clone, Debug, Deserialize)]
pub struct Transition {
    /// The role before.
    pub from: String,
    /// The role after.
    pub to: String,
    /// Why.
    pub reason: String,
    /// When the election core decided.
    pub decided_ns: u64,
    /// When the lease was in the map.
    pub stored_ns: Option<u64>,
    /// When the advertisement was on its way.
    pub transmitted_ns: Option<u64>,
    /// When the gratuitous ARP was on its way.
    pub announced_ns: Option<u64>,
}

/// Writes the configuration of `host` and gives its path.
pub(super) fn configure(
    lab: &Lab,
    host: Host,
    mac: Mac,
    interval_ms: u32,
    vips: &[Ipv4Addr],
) -> Result<PathBuf> {
    let pins = lab.directory().join("bpf").join(host.name());
    fs::create_dir_all(&pins)?;
    let mac = match mac {
        Mac::Virtual => "virtual",
        Mac::Interface => "interface",
    };
    let vips = vips.iter().map(|vip| format!("\"{vip}\"")).collect::<Vec<_>>().join(", ");
    let text = format!(
        "[runtime]\ndirectory = \"{directory}\"\npins = \"{pins}\"\nrealtime_priority = 50\n\n[[router]]\n\
         interface = \"eth0\"\nvrid = {VRID}\npriority = {priority}\ninterval_ms = {interval_ms}\npreempt = false\n\
         mac = \"{mac}\"\nchecksum = \"auto\"\nvips = [{vips}]\n",
        directory = lab.host_directory(host).display(),
        pins = pins.display(),
        priority = priority(host),
    );
    let file = configuration(lab, host);
    fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    Ok(file)
}

/// Where the configuration of `host` is.
pub(super) fn configuration(lab: &Lab, host: Host) -> PathBuf {
    lab.host_directory(host).join("baton.toml")
}

impl Lab {
    /// A `baton` command with the configuration of `host`, to run there.
    pub fn baton(&self, host: Host, verb: &str) -> Result<Command> {
        let mut command = self.command(host, binary("baton")?);
        command.arg(verb).arg("--config").arg(configuration(self, host));
        Ok(command)
    }

    /// Starts an agent on `host` with the configuration that is there.
    pub fn start_baton(&self, host: Host) -> Result<Process> {
        Process::start(&mut self.baton(host, "run")?, &self.baton_log(host))
    }

    /// What the agent on `host` logs to.
    pub fn baton_log(&self, host: Host) -> PathBuf {
        self.host_directory(host).join("baton.log")
    }

    /// What the agent on `host` says of itself.
    pub fn baton_status(&self, host: Host) -> Result<Status> {
        let text = output(self.baton(host, "status")?.arg("--json"))?;
        serde_json::from_str(&text).with_context(|| format!("understand the status `{text}`"))
    }

    /// Writes the usual configuration of `host`: an advert each `interval_ms`, priority 254 for a and 253 for b, no
    /// preemption.
    pub fn configure_baton(
        &self,
        host: Host,
        mac: Mac,
        interval_ms: u32,
        vips: &[Ipv4Addr],
    ) -> Result<PathBuf> {
        configure(self, host, mac, interval_ms, vips)
    }
}
