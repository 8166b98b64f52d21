//! The prober and its echo service, which run as processes of their own with real-time priority.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{Host, Lab, Namespace, Process, Recording, binary, wait_until};

/// The port of the echo service on the VIP.
const ECHO_PORT: u16 = 7;

/// What the echo service says to a probe, which is its number in eight octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The probe's number.
    pub number: u64,
    /// Who answers.
    pub node: Host,
    /// When the service had the probe.
    pub server_ns: u64,
}

impl Answer {
    /// Octets of a probe.
    pub const QUESTION: usize = 8;
    /// Octets of an answer.
    pub const LENGTH: usize = 24;

    /// The answer as it is sent.
    pub fn to_octets(self) -> [u8; Self::LENGTH] {
        let mut octets = [0; Self::LENGTH];
        octets[..8].copy_from_slice(&self.number.to_le_bytes());
        octets[8] = self.node.number();
        octets[16..].copy_from_slice(&self.server_ns.to_le_bytes());
        octets
    }

    /// The answer that `octets` spell; `None` for what no echo service sends.
    pub fn from_octets(octets: &[u8]) -> Option<Self> {
        let octets: &[u8; Self::LENGTH] = octets.try_into().ok()?;
        Some(Self {
            number: u64::from_le_bytes(*octets.first_chunk()?),
            node: Host::from_number(octets[8])?,
            server_ns: u64::from_le_bytes(*octets.last_chunk()?),
        })
    }
}

/// An echo service on a node. It binds the VIP before the node has it.
#[derive(Debug)]
pub struct Echo {
    process: Process,
}

impl Echo {
    /// Starts the service for `vip` on `host`.
    pub fn start(lab: &Lab, host: Host, vip: Ipv4Addr) -> Result<Self> {
        let log = lab.host_directory(host).join("echo.log");
        let process = Process::start(&mut echo_service(lab.namespace(host), host, vip)?, &log)?;
        Ok(Self { process })
    }

    /// Leaves it running after this process.
    pub fn detach(self) {
        self.process.detach();
    }
}

/// An echo service in `namespace` at `address`, which answers as `node`.
pub(super) fn echo_service(namespace: &Namespace, node: Host, address: Ipv4Addr) -> Result<Command> {
    let mut command = namespace.command(binary("prober")?);
    command.args(["echo", "--bind", &format!("{address}:{ECHO_PORT}"), "--node", node.name()]);
    Ok(command)
}

/// A prober at work in the client.
#[derive(Debug)]
pub struct Prober {
    process: Process,
    file: PathBuf,
}

impl Prober {
    /// The usual distance between probes.
    pub const EVERY: Duration = Duration::from_micros(50);

    /// Starts probing `vip` at the usual distance, for at most `limit`, and returns when the first probes are out.
    pub fn start(lab: &Lab, vip: Ipv4Addr, limit: Duration) -> Result<Self> {
        Self::start_every(lab, vip, Self::EVERY, limit)
    }

    /// Like [`Prober::start`], with a probe each `every`. At every fifth it also asks by ARP.
    pub fn start_every(lab: &Lab, vip: Ipv4Addr, every: Duration, limit: Duration) -> Result<Self> {
        Self::start_round(lab, &[vip], every, limit)
    }

    /// Like [`Prober::start_every`], with the probes to all of `vips` by turns; ARP asks for the first.
    pub fn start_round(lab: &Lab, vips: &[Ipv4Addr], every: Duration, limit: Duration) -> Result<Self> {
        let file = lab.directory().join("recording");
        let mut command = lab.command(Host::Client, binary("prober")?);
        command.args(["probe", "--interface", "eth0"]);
        command.args(["--every-us", &every.as_micros().to_string()]);
        command.args(["--arp-every-us", &(5 * every).as_micros().to_string()]);
        command.args([
            "--target",
            &vips.iter().map(|vip| format!("{vip}:{ECHO_PORT}")).collect::<Vec<_>>().join(","),
            "--seconds",
            &limit.as_secs().max(1).to_string(),
        ]);
        command.arg("--out").arg(&file);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Process::spawn(&mut command)?;
        let output = process.child().stdout.take().context("the prober's output is a pipe")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        ensure!(line.trim() == "probing", "the prober did not start: see its message above");
        Ok(Self { process, file })
    }

    /// Stops it and reads what it saw.
    pub fn finish(mut self) -> Result<Recording> {
        let status = self.process.stop(Duration::from_secs(5))?;
        ensure!(status.success(), "the prober failed: {status}");
        let mut file = BufReader::new(File::open(&self.file).context("open the recording")?);
        Recording::read_from(&mut file).context("read the recording")
    }
}

impl Lab {
    /// Asks the echo service on `vip` once, from the client, and gives the node that answered.
    pub fn ask(&self, vip: Ipv4Addr) -> Result<Option<Host>> {
        self.namespace(Host::Client).within(|| {
            let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            socket.set_read_timeout(Some(Duration::from_millis(50)))?;
            socket.connect((vip, ECHO_PORT))?;
            let mut buffer = [0; Answer::LENGTH];
            let heard = socket.send(&[0; Answer::QUESTION]).and_then(|_| socket.recv(&mut buffer));
            let answer = heard.ok().and_then(|length| Answer::from_octets(&buffer[..length]));
            Ok(answer.map(|answer| answer.node))
        })
    }

    /// Waits until the client's probes reach `host`.
    pub fn wait_served_by(&self, vip: Ipv4Addr, host: Host, limit: Duration) -> Result<()> {
        let what = format!("node {} to answer the client on {vip}", host.name());
        wait_until(&what, limit, || Ok(self.ask(vip)? == Some(host)))
    }
}
