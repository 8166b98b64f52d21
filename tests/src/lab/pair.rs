//! A pair of agents under test, whichever system it is, and the faults that befall its owner.

use std::net::Ipv4Addr;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::system::Node;
use super::{Host, Lab, Process, Settings, System, output, vips, wait_until};

/// The longest time that an agent may take to start.
const START: Duration = Duration::from_secs(20);
/// The longest time that it may take to end.
const END: Duration = Duration::from_secs(20);
/// The longest time that a pair may take to agree on an owner.
const SETTLE: Duration = Duration::from_secs(20);

/// What befalls the owner of the VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is told to give the VIP away: `baton handover`, or SIGTERM for the others.
    Planned,
    /// The agent is killed, without its guardian if it has one.
    AgentDeath,
    /// All its processes are killed at once, so that nobody is left to act.
    DeathOfAll,
    /// The agent is stopped, without its guardian if it has one.
    AgentHang,
    /// Its cable is cut without loss of carrier.
    SilentDeath,
}

impl Fault {
    /// All faults that are measured.
    pub const MEASURED: [Self; 4] = [Self::Planned, Self::AgentHang, Self::AgentDeath, Self::SilentDeath];

    /// The name in reports and on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::AgentDeath => "agent-death",
            Self::DeathOfAll => "death-of-all",
            Self::AgentHang => "agent-hang",
            Self::SilentDeath => "silent-death",
        }
    }
}

/// Agents of one system on both nodes.
#[derive(Debug)]
pub struct Pair<'lab> {
    lab: &'lab Lab,
    system: System,
    settings: Settings,
    vips: Vec<Ipv4Addr>,
    agents: [Option<Process>; 2],
    /// What runs beside the agents.
    helpers: Vec<Process>,
    fault: Option<(Fault, Host)>,
}

impl<'lab> Pair<'lab> {
    /// Starts the system on both nodes with its settings and waits until a owns the addresses.
    pub fn start(lab: &'lab Lab, system: System, vip_count: u16) -> Result<Self> {
        Self::start_with(lab, system, system.settings(), vip_count)
    }

    /// Like [`Pair::start`], with `settings`.
    pub fn start_with(lab: &'lab Lab, system: System, settings: Settings, vip_count: u16) -> Result<Self> {
        let (vips, agents, helpers) = (vips(vip_count), [None, None], Vec::new());
        let mut pair = Self { lab, system, settings, vips, agents, helpers, fault: None };
        for host in Host::NODES {
            let helper = system.prepare(pair.node(host))?;
            pair.helpers.extend(helper);
        }
        pair.start_agent(Host::A)?;
        wait_until(&format!("{} on node a to own the VIP", system.name()), START, || {
            pair.ensure_running(Host::A)?;
            pair.owns(Host::A)
        })?;
        pair.start_agent(Host::B)?;
        let log = system.log(lab, Host::B);
        wait_until(&format!("{} on node b (see {})", system.name(), log.display()), START, || {
            pair.ensure_running(Host::B)?;
            Ok(system.takes_part(lab, Host::B))
        })?;
        Ok(pair)
    }

    /// The system.
    pub const fn system(&self) -> System {
        self.system
    }

    /// The time between two adverts.
    pub fn interval(&self) -> Duration {
        Duration::from_millis(self.settings.interval_ms.into())
    }

    /// The address that is probed: the last one, for the worst case.
    pub fn probed(&self) -> Ipv4Addr {
        self.vips[self.vips.len() - 1]
    }

    /// The agent's process on `host`; Baton's is the guardian's.
    pub fn agent(&self, host: Host) -> Result<&Process> {
        self.agents[index(host)].as_ref().with_context(|| format!("no agent runs on node {}", host.name()))
    }

    /// All processes of the system on `host`: the agent's, and what runs beside it.
    pub fn processes(&self, host: Host) -> Result<Vec<Pid>> {
        let mut processes = self.agent(host)?.tree();
        processes.extend(self.helpers.get(index(host)).map(Process::tree).unwrap_or_default());
        Ok(processes)
    }

    /// The nodes that hold the VIP by their own account.
    pub fn owners(&self) -> Result<Vec<Host>> {
        let mut owners = Vec::new();
        for host in Host::NODES {
            if self.owns(host)? {
                owners.push(host);
            }
        }
        Ok(owners)
    }

    /// Waits until exactly one node owns the VIP and serves the client, and gives that node.
    pub fn settle(&self) -> Result<Host> {
        let end = Instant::now() + SETTLE;
        // A keepalived that preempts always does: before that there is more to come. A Baton that handed over does not.
        let is_final = self.system.is_baton() || !self.settings.preempt || !self.is_whole();
        let mut refresh = Instant::now() + Duration::from_secs(1);
        loop {
            let owners = self.owners()?;
            if let [owner] = owners[..]
                && (is_final || owner == Host::A)
                && self.lab.ask(self.probed())? == Some(owner)
            {
                return Ok(owner);
            }
            if Instant::now() > refresh {
                // After two owners the client may have believed the wrong one last. That is no part of the next round.
                self.lab.forget_neighbours()?;
                refresh += Duration::from_secs(1);
            }
            ensure!(
                Instant::now() < end,
                "{}: no single owner that serves, but {owners:?}",
                self.system.name()
            );
            super::pause(Duration::from_millis(10))?;
        }
    }

    /// Lets `fault` befall the owner and gives that node. Returns as soon as it has happened.
    pub fn inject(&mut self, fault: Fault) -> Result<Host> {
        ensure!(self.fault.is_none(), "one fault at a time");
        let victim = self.settle()?;
        self.fault = Some((fault, victim));
        match fault {
            Fault::Planned => match self.system {
                System::Baton(_) => drop(output(&mut self.lab.baton(victim, "handover")?)?),
                System::Keepalived(_) | System::Frr => self.agent(victim)?.signal(Signal::SIGTERM)?,
            },
            Fault::AgentDeath => match self.system {
                System::Baton(_) => self.lab.signal_agent(victim, Signal::SIGKILL)?,
                System::Keepalived(_) | System::Frr => self.agent(victim)?.kill_tree()?,
            },
            Fault::DeathOfAll => self.agent(victim)?.kill_tree()?,
            Fault::AgentHang => match self.system {
                System::Baton(_) => self.lab.signal_agent(victim, Signal::SIGSTOP)?,
                System::Keepalived(_) | System::Frr => self.agent(victim)?.signal_tree(Signal::SIGSTOP)?,
            },
            Fault::SilentDeath => self.lab.cut(victim)?,
        }
        Ok(victim)
    }

    /// Undoes the fault: everything runs and is connected again. Who owns the VIP is left to the election.
    pub fn restore(&mut self) -> Result<()> {
        let Some((fault, victim)) = self.fault.take() else {
            return Ok(());
        };
        match (fault, self.system) {
            (Fault::Planned, System::Baton(_)) => {}
            (Fault::Planned, System::Keepalived(_) | System::Frr)
            | (Fault::AgentDeath | Fault::DeathOfAll, _) => self.restart(victim)?,
            (Fault::AgentHang, _) => self.agent(victim)?.signal_tree(Signal::SIGCONT)?,
            (Fault::SilentDeath, _) => self.lab.heal(victim)?,
        }
        Ok(())
    }

    /// Waits for the end of the agent on `host`, which was told to stop or killed, and gives its status; `None` if none was
    /// started since the last one has ended.
    pub fn end_of(&mut self, host: Host) -> Result<Option<ExitStatus>> {
        let agent = self.agents[index(host)].take();
        agent.map(|mut agent| agent.wait(END)).transpose()
    }

    /// Starts the agent of `host` again if it has ended.
    pub fn restart_if_ended(&mut self, host: Host) -> Result<()> {
        let running = self.agents[index(host)].as_mut().is_some_and(Process::is_running);
        if running { Ok(()) } else { self.restart(host) }
    }

    /// Starts the agent of `host` again after its end.
    pub fn restart(&mut self, host: Host) -> Result<()> {
        self.end_of(host)?;
        self.agents[index(host)] = Some(self.system.start_again(self.node(host))?);
        Ok(())
    }

    /// Ends both agents and takes away what they leave on the nodes.
    pub fn stop(mut self) -> Result<()> {
        self.restore()?;
        for host in [Host::B, Host::A] {
            if let Some(mut agent) = self.agents[index(host)].take() {
                agent.stop(END)?;
            }
        }
        self.helpers.clear();
        Host::NODES.into_iter().try_for_each(|host| self.system.clean(self.lab, host))
    }

    /// Leaves the agents running after this process.
    pub fn detach(self) {
        for process in self.agents.into_iter().flatten().chain(self.helpers) {
            process.detach();
        }
    }

    fn start_agent(&mut self, host: Host) -> Result<()> {
        self.agents[index(host)] = Some(self.system.start(self.node(host))?);
        Ok(())
    }

    fn node(&self, host: Host) -> Node<'_> {
        Node { lab: self.lab, host, settings: &self.settings, vips: &self.vips }
    }

    fn ensure_running(&mut self, host: Host) -> Result<()> {
        let agent = self.agents[index(host)].as_mut().context("the agent was started")?;
        self.system.ensure_running(self.lab, host, agent)
    }

    fn owns(&self, host: Host) -> Result<bool> {
        self.system.owns(self.lab, host, &self.vips)
    }

    /// Whether both agents run and nothing ails them.
    fn is_whole(&self) -> bool {
        self.fault.is_none() && self.agents.iter().all(Option::is_some)
    }
}

const fn index(host: Host) -> usize {
    match host {
        Host::A => 0,
        Host::B | Host::Client => 1,
    }
}
