//! The systems that forward the same frames by turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Result, anyhow};
use baton_tests::lab::Host;
use baton_tests::program::{MapKind, NumberMap};
use nix::unistd::{Pid, gettid};

use super::bare::BareForwarder;
use super::baton::{Agent, Setup};
use super::programs::{self, FIRST_PORT, PORTS};
use super::site::{GATEWAY, NODE, Site};
use super::threads::{self, NODE_CPU, Thread};
use crate::realtime::become_realtime;

/// A system under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// An XDP program that swaps the hardware addresses and sends the frame back.
    Reflector,
    /// An AF_XDP loop that does the same.
    BareForwarder,
    /// Baton with `flow_cache = false`: each frame goes through the worker.
    Ring,
    /// Baton as it is by default.
    FlowCache,
    /// The kernel's routing.
    Kernel,
    /// The same, behind destination NAT by nftables.
    Nftables,
}

impl System {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 6] =
        [Self::Reflector, Self::BareForwarder, Self::Ring, Self::FlowCache, Self::Kernel, Self::Nftables];
    /// Those that have services and backends.
    pub const BALANCERS: [Self; 2] = [Self::Ring, Self::FlowCache];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reflector => "xdp-reflector",
            Self::BareForwarder => "af-xdp-forwarder",
            Self::Ring => "baton-ring",
            Self::FlowCache => "baton-flow-cache",
            Self::Kernel => "kernel-forwarding",
            Self::Nftables => "nftables-dnat",
        }
    }

    /// What it is.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Reflector => {
                "an XDP program that swaps the hardware addresses and sends the frame back: the limit of XDP"
            }
            Self::BareForwarder => {
                "an AF_XDP loop that swaps the hardware addresses, with the rings and batches of Baton's workers, copy mode, \
                 need-wakeup, 32 frames sent in a call (Baton: 64): what AF_XDP costs"
            }
            Self::Ring => {
                "baton run, flow_cache = false: all frames through a worker, copy mode, need-wakeup"
            }
            Self::FlowCache => {
                "baton run, flow_cache = true: frames of flows that the worker knows never leave XDP"
            }
            Self::Kernel => "net.ipv4.ip_forward = 1 and a default route",
            Self::Nftables => "the same, and one rule of destination NAT to one backend, with conntrack",
        }
    }

    /// Whether it remembers flows.
    pub(super) const fn has_flows(self) -> bool {
        match self {
            Self::Reflector | Self::BareForwarder | Self::Kernel => false,
            Self::Ring | Self::FlowCache | Self::Nftables => true,
        }
    }
}

/// A system at work on the node, which it leaves as it was when it ends.
pub(super) enum Running {
    /// It is a program on the interface.
    Attached,
    /// A loop of this process.
    Looping { is_over: Arc<AtomicBool>, thread: JoinHandle<()>, worker: Thread, _sockets: NumberMap },
    /// Agent and guardian.
    Baton(Agent),
    /// The kernel does it.
    Kernel { has_rules: bool },
}

impl Running {
    /// Starts `system` on the node; only [`System::BALANCERS`] look at `setup`.
    pub(super) fn start(site: &Site, system: System, setup: Setup) -> Result<Self> {
        match system {
            System::Reflector => {
                site.attach_to_node(&programs::reflector()?, "node").map(|()| Self::Attached)
            }
            System::BareForwarder => Self::start_loop(site),
            System::Ring => Agent::start(site, setup, false).map(Self::Baton),
            System::FlowCache => Agent::start(site, setup, true).map(Self::Baton),
            System::Kernel => Self::start_kernel(site, false),
            System::Nftables => Self::start_kernel(site, true),
        }
    }

    fn start_loop(site: &Site) -> Result<Self> {
        let forwarder = site.lab.namespace(Host::A).within(|| BareForwarder::open(NODE))?;
        let sockets = NumberMap::create(MapKind::Sockets, 4, 1)?;
        site.attach_to_node(&programs::to_sockets(&sockets)?, "node")?;
        sockets.set(0, forwarder.descriptor())?;
        let (is_over, (told, heard)) = (Arc::new(AtomicBool::new(false)), std::sync::mpsc::channel());
        let (until, pid) = (Arc::clone(&is_over), Pid::this());
        let thread = thread::spawn(move || {
            let ready =
                threads::pin(Pid::from_raw(0), NODE_CPU).and_then(|()| become_realtime(threads::WORKER));
            let is_ready = ready.is_ok();
            let _ = told.send(ready.map(|()| Thread::of(pid, gettid())));
            if is_ready {
                forwarder.run(&until);
            }
        });
        let worker = heard.recv()??;
        Ok(Self::Looping { is_over, thread, worker, _sockets: sockets })
    }

    fn start_kernel(site: &Site, has_rules: bool) -> Result<Self> {
        site.lab.namespace(Host::A).set("net/ipv4/ip_forward", "1")?;
        if has_rules {
            let last = FIRST_PORT + PORTS - 1;
            let rules = format!(
                "add table ip bench; add chain ip bench pre {{ type nat hook prerouting priority -100; }}; add rule ip bench \
                 pre ip daddr 198.18.0.0/16 udp dport {FIRST_PORT}-{last} dnat to {GATEWAY}"
            );
            site.lab.run(Host::A, "nft", &[&rules])?;
        }
        Ok(Self::Kernel { has_rules })
    }

    /// The threads that do its work, beside the kernel's.
    pub(super) fn workers(&self) -> Result<Vec<Thread>> {
        match self {
            Self::Attached | Self::Kernel { .. } => Ok(Vec::new()),
            Self::Looping { worker, .. } => Ok(vec![worker.clone()]),
            Self::Baton(agent) => agent.threads(),
        }
    }

    /// Ends it.
    pub(super) fn stop(self, site: &Site) -> Result<()> {
        match self {
            Self::Attached => site.detach_from_node(),
            Self::Looping { is_over, thread, .. } => {
                is_over.store(true, Ordering::Relaxed);
                thread.join().map_err(|_| anyhow!("the forwarder panicked"))?;
                site.detach_from_node()
            }
            Self::Baton(agent) => agent.stop(site),
            Self::Kernel { has_rules } => {
                if has_rules {
                    site.lab.run(Host::A, "nft", &["delete table ip bench"])?;
                }
                site.lab.namespace(Host::A).set("net/ipv4/ip_forward", "0")
            }
        }
    }
}
