//! Two nodes in front of backends, as the engine has them.
//!
//! ```text
//!                    switch
//!     a |  b |  cl |     | be1     | be2     | be3
//!    nodes   client   10.77.0.11  .12       .13       each with an nginx, and the VIP on lo
//! ```

use std::fmt::Display;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use baton::config::MacMode;
use baton::control::protocol::{EngineStatus, RouterStatus};
use nix::sys::ptrace::{self, Options};
use nix::unistd::Pid;
use socket2::{Domain, Protocol, Socket, Type};

use super::{Backend, Host, Lab, Process, VIP, output, wait_until};

/// Longer than a busy machine needs for anything that is waited for.
const SOON: Duration = Duration::from_secs(10);

/// How many backends there are.
const BACKENDS: u8 = 3;

/// Two nodes in front of backends, a client before them.
#[derive(Debug)]
pub struct Balanced {
    /// The network.
    pub lab: Lab,
    /// The backends.
    pub backends: Vec<Backend>,
    agents: Vec<(Host, Process)>,
}

impl Balanced {
    /// How many backends there are.
    pub const BACKENDS: u8 = BACKENDS;
    /// A service at port 80 of the VIP.
    pub const WEB: &str = "[[service]]\nvip = \"10.77.0.100\"\nport = 80\npool = \"web\"\n";

    /// Backends, and agents with `services` on both nodes, of which a is Active.
    pub fn with(services: &str) -> Result<Self> {
        let mut setup = Self::prepare()?;
        for host in Host::NODES {
            setup.configure(host, services)?;
            setup.start(host)?;
        }
        setup.wait_for_active(Host::A)?;
        Ok(setup)
    }

    /// Backends, and nodes without an agent yet.
    pub fn prepare() -> Result<Self> {
        let lab = Lab::up()?;
        lab.complete_checksums()?;
        let backends = (1..=BACKENDS).map(|number| Backend::start(&lab, number)).collect::<Result<_>>()?;
        for host in Host::NODES {
            // The kernel takes most of a minute to give a neighbour up.
            for (key, value) in [
                ("base_reachable_time_ms", "500"),
                ("delay_first_probe_time", "1"),
                ("retrans_time_ms", "100"),
            ] {
                lab.namespace(host).set(&format!("net/ipv4/neigh/eth0/{key}"), value)?;
            }
        }
        Ok(Self::around(lab, backends))
    }

    /// Nodes without an agent yet in front of `backends`.
    pub(super) fn around(lab: Lab, backends: Vec<Backend>) -> Self {
        Self { lab, backends, agents: Vec::new() }
    }

    /// Gives all hosts this MTU.
    pub fn set_mtu(&self, mtu: u32) -> Result<()> {
        self.lab.set_mtu(mtu)?;
        self.backends.iter().try_for_each(|backend| backend.set_mtu(&self.lab, mtu))
    }

    /// Writes the usual configuration of `host` with the pool "web" and with `tables`.
    pub fn configure(&self, host: Host, tables: &str) -> Result<()> {
        let file = self.lab.configure_baton(host, MacMode::Virtual, 10, &[VIP])?;
        let mut file = fs::OpenOptions::new().append(true).open(file)?;
        Ok(write!(file, "\n{}{tables}", Self::pool("web", Backend::address_of))?)
    }

    /// Has the configuration of `host` say this in its table `[runtime]`, too.
    pub fn set_runtime(&self, host: Host, line: &str) -> Result<()> {
        let file = self.lab.host_directory(host).join("baton.toml");
        let text = fs::read_to_string(&file)?.replacen("[runtime]\n", &format!("[runtime]\n{line}\n"), 1);
        Ok(fs::write(file, text)?)
    }

    /// Starts the agent of `host`.
    pub fn launch(&mut self, host: Host) -> Result<()> {
        let agent = self.lab.start_baton(host)?;
        self.agents.push((host, agent));
        Ok(())
    }

    /// Starts the agent of `host` and waits until its engine has all backends, and its routers know it.
    pub fn start(&mut self, host: Host) -> Result<()> {
        self.launch(host)?;
        self.wait_for_backends(host)
    }

    /// Waits until the engine of `host` has all backends, and its routers know it.
    pub fn wait_for_backends(&self, host: Host) -> Result<()> {
        wait_until(&format!("the engine of node {} to find its backends", host.name()), SOON, || {
            let Ok(engine) = self.engine(host) else { return Ok(false) };
            let mut backends = engine.pools.iter().flat_map(|pool| &pool.backends);
            let is_fit = |router: &RouterStatus| router.fitness == "fit";
            let are_fit = self.lab.baton_status(host)?.routers.iter().all(is_fit);
            Ok(backends.all(|it| matches!(it.condition.as_str(), "up" | "draining")) && are_fit)
        })
    }

    /// Waits until `host` is Active and the other node its Backup.
    pub fn wait_for_active(&self, host: Host) -> Result<()> {
        let has_role = |host: Host, role: &str| {
            self.lab.baton_status(host).is_ok_and(|status| status.routers[0].role == role)
        };
        wait_until(&format!("node {} to be Active", host.name()), SOON, || {
            Ok(has_role(host, "Active") && has_role(host.other(), "Backup"))
        })
    }

    /// What the engine of `host` tells of itself.
    pub fn engine(&self, host: Host) -> Result<EngineStatus> {
        let text = output(self.lab.baton(host, "engine backends")?.arg("--json"))?;
        let engines: Vec<EngineStatus> = serde_json::from_str(&text)?;
        engines.into_iter().next().context("an engine")
    }

    /// Has the agent of `host` do `baton engine` with these arguments, and answers with what it prints.
    pub fn ask(&self, host: Host, arguments: &str) -> Result<String> {
        output(&mut self.lab.baton(host, &format!("engine {arguments}"))?)
    }

    /// Whether the VIP answers an ICMP echo request of the client.
    pub fn answers_echo(&self) -> Result<bool> {
        self.lab.namespace(Host::Client).within(|| {
            let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
            socket.set_read_timeout(Some(Duration::from_secs(2)))?;
            socket.connect(&SocketAddr::from((VIP, 0)).into())?;
            // Type 8, code 0, checksum, identifier, sequence number.
            socket.send(&[8, 0, 0xf7, 0xfe, 0, 0, 0, 1])?;
            let mut answer = [0; 64];
            let length = (&socket).read(&mut answer)?;
            // Behind an IPv4 header: type 0.
            Ok(length == 28 && answer[20] == 0)
        })
    }

    /// Hands the VIP over to the other node.
    pub fn hand_over(&self, from: Host) -> Result<()> {
        output(&mut self.lab.baton(from, "handover")?)?;
        self.wait_for_active(from.other())
    }

    /// Has the worker of the first queue of `host` hang, until the thread that calls this detaches from the one that is given.
    pub fn hang_worker(&self, host: Host) -> Result<Pid> {
        let threads = format!("/proc/{}/task", self.lab.baton_status(host)?.pid);
        let is_worker = |thread: &fs::DirEntry| {
            fs::read_to_string(thread.path().join("comm")).is_ok_and(|name| name.trim() == "engine-0")
        };
        let worker = fs::read_dir(threads)?.flatten().find(is_worker).context("a worker")?;
        let worker = Pid::from_raw(worker.file_name().to_string_lossy().parse()?);
        // Unlike a signal, this stops one thread alone.
        ptrace::seize(worker, Options::empty())?;
        ptrace::interrupt(worker)?;
        Ok(worker)
    }

    /// Kills agent and guardian of `host`.
    pub fn kill(&mut self, host: Host) -> Result<()> {
        let place = self.agents.iter().position(|(other, _)| *other == host).context("it runs")?;
        // Both are killed with it.
        drop(self.agents.remove(place));
        Ok(())
    }

    /// Ends the agents in order.
    pub fn stop(&mut self) -> Result<()> {
        self.agents.drain(..).try_for_each(|(_, mut agent)| agent.stop(SOON).map(drop))
    }

    /// The pool `name` with all backends, at the addresses that `address` gives.
    pub fn pool<A: Display>(name: &str, address: impl Fn(u8) -> A) -> String {
        let backend = |number| format!("{{ address = \"{}\" }}", address(number));
        let backends: Vec<String> = (1..=BACKENDS).map(backend).collect();
        format!("[[pool]]\nname = \"{name}\"\nbackend = [{}]\n", backends.join(", "))
    }
}
