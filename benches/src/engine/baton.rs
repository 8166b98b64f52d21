//! Baton on the node: the real agent with its guardian, with as many services, backends and flows as are wanted.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;
use baton::control::protocol::{EngineStatus, Status};
use baton_tests::lab::{Host, Process, binary, mac_text, output, wait_until};

use super::plan::Forward;
use super::programs::{FIRST_PORT, FIRST_VIP, PORTS};
use super::site::{NODE, Site, WIRE_MAC};
use super::threads::{NODE_CPU, Thread, WORKER};

/// The most backends of a pool.
pub(super) const POOL: u16 = 500;
/// The first backend's address.
const FIRST_BACKEND: Ipv4Addr = Ipv4Addr::new(10, 98, 1, 1);
/// How long it may take to start with thousands of services.
const PATIENCE: Duration = Duration::from_secs(30);

/// How it is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Setup {
    pub(super) services: u16,
    pub(super) backends: u16,
    pub(super) forward: Forward,
    /// What `flows` says.
    pub(super) flows: u32,
}

impl Setup {
    /// Where backends are.
    fn backends(self) -> impl Iterator<Item = Ipv4Addr> {
        (0..u32::from(self.backends)).map(|number| Ipv4Addr::from(u32::from(FIRST_BACKEND) + number))
    }

    /// The tables of pools, services and the router. Services have the pools by turns.
    fn tables(self) -> String {
        let vips = (0..u32::from(self.services.div_ceil(PORTS)))
            .map(|number| format!("\"{}\"", Ipv4Addr::from(u32::from(FIRST_VIP) + number)));
        let mut text = format!(
            "[[router]]\ninterface = \"{NODE}\"\nvrid = 51\npriority = 254\ninterval_ms = 100\nstartup_hold_ms = 0\nvips = [{}]\n",
            vips.collect::<Vec<_>>().join(", ")
        );
        let backends: Vec<Ipv4Addr> = self.backends().collect();
        let pools = backends.chunks(POOL.into());
        let (count, forward) = (pools.len(), self.forward.name());
        for (number, members) in pools.enumerate() {
            let members = members.iter().map(|address| format!("{{ address = \"{address}\" }}"));
            let members = members.collect::<Vec<_>>().join(", ");
            let _ = writeln!(
                text,
                "[[pool]]\nname = \"pool{number}\"\nforward = \"{forward}\"\nbackend = [{members}]"
            );
        }
        for number in 0..self.services {
            let vip = Ipv4Addr::from(u32::from(FIRST_VIP) + u32::from(number / PORTS));
            let (port, pool) = (FIRST_PORT + number % PORTS, usize::from(number) % count);
            let _ = writeln!(
                text,
                "[[service]]\nvip = \"{vip}\"\nprotocol = \"udp\"\nport = {port}\npool = \"pool{pool}\""
            );
        }
        text
    }
}

/// A running agent.
pub(super) struct Agent(Process);

impl Agent {
    /// Starts it and waits until it serves and has all backends, whose place the node's kernel is told.
    pub(super) fn start(site: &Site, setup: Setup, flow_cache: bool) -> Result<Self> {
        let (lab, directory) = (&site.lab, site.lab.host_directory(Host::A));
        let pins = lab.directory().join("bpf").join(Host::A.name());
        fs::create_dir_all(&pins)?;
        let text = format!(
            "[runtime]\ndirectory = \"{}\"\npins = \"{}\"\nsbfd = \"off\"\nflows = {}\nflow_cache = {flow_cache}\n{}",
            directory.display(),
            pins.display(),
            setup.flows,
            setup.tables()
        );
        let file = directory.join("baton.toml");
        fs::write(&file, text)?;
        let mac = mac_text(WIRE_MAC);
        let lines: String = setup
            .backends()
            .map(|address| format!("neigh replace {address} lladdr {mac} dev {NODE} nud permanent\n"))
            .collect();
        let batch = lab.directory().join("neighbours");
        fs::write(&batch, lines)?;
        lab.run(Host::A, "ip", &["-batch", &batch.to_string_lossy()])?;
        let mut command = lab.command(Host::A, "taskset");
        command.args(["--cpu-list", &NODE_CPU.to_string()]).arg(binary("baton")?);
        let process = Process::start(command.args(["run", "--config"]).arg(&file), &lab.baton_log(Host::A))?;
        let agent = Self(process);
        wait_until("Baton to serve", PATIENCE, || Ok(is_ready(site).unwrap_or(false)))?;
        for thread in agent.threads()? {
            // One may have ended meanwhile, but no worker.
            if thread.name().is_ok_and(|name| name.starts_with("engine-")) {
                thread.prioritize(WORKER)?;
            }
        }
        Ok(agent)
    }

    /// All threads of agent and guardian.
    pub(super) fn threads(&self) -> Result<Vec<Thread>> {
        let of_each = self.0.tree().into_iter().map(Thread::all_of);
        Ok(of_each.collect::<Result<Vec<_>>>()?.concat())
    }

    /// Ends it and removes what it leaves on the node.
    pub(super) fn stop(mut self, site: &Site) -> Result<()> {
        self.0.stop(PATIENCE)?;
        output(&mut site.lab.baton(Host::A, "detach")?).map(drop)
    }
}

/// Whether the agent is Active with all of its backends.
fn is_ready(site: &Site) -> Result<bool> {
    let Status { routers, .. } = site.lab.baton_status(Host::A)?;
    let text = output(site.lab.baton(Host::A, "engine backends")?.arg("--json"))?;
    let engines: Vec<EngineStatus> = serde_json::from_str(&text)?;
    let mut backends = engines.iter().flat_map(|engine| &engine.pools).flat_map(|pool| &pool.backends);
    let serves = routers.iter().all(|router| router.role == "Active" && router.fitness == "fit");
    Ok(serves && !engines.is_empty() && backends.all(|backend| backend.condition == "up"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_has_as_many_services_and_backends_as_are_wanted() {
        for (services, backends) in [(1, 1), (100, 1), (4000, 1), (2, 1000)] {
            let tables = Setup { services, backends, forward: Forward::Tunnel, flows: 1024 }.tables();
            assert_eq!(tables.matches("forward = \"tunnel\"").count(), usize::from(backends.div_ceil(POOL)));
            assert_eq!(tables.matches("[[service]]").count(), usize::from(services));
            assert_eq!(tables.matches("{ address").count(), usize::from(backends));
        }
    }
}
