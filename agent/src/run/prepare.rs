//! Raising the fence, opening the sockets, binding the addresses. What is most likely to fail comes first, and what an
//! earlier run has left, or an agent that is being replaced still uses, is changed last.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use anyhow::Context;
use baton_common::maps::{Device, MAX_QUEUES};
use baton_common::vrid::Family;
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::af_xdp::PendingRings;
use super::undo::Undo;
use super::vips::{Temporary, Vips};
use super::watch::Watched;
use crate::address;
use crate::config::{Bind, Config, RouterConfig};
use crate::control::server::{self, ServedPort, ServedRouter};
use crate::control::socket_path;
use crate::datapath::{
    self, Arm, BackendName, Cached, Datapath, ExaminedInterface, Heritage, Pins, Plan, Purpose,
};
use crate::driver::{Event, PortParts, Router, Transmitter};
use crate::engine::{self, Adjustments, Circle, Engine, Entries, Ports, Translator};
use crate::host::HostError;
use crate::host::drained::Drained;
use crate::host::ethtool::Ethtool;
use crate::host::gateways::Gateways;
use crate::host::neighbours::Neighbours;
use crate::host::netlink::{Interface, KernelWatch, Netlink, XdpMode};
use crate::socket::{PacketSocket, PeerSockets, Solicitations, VrrpSocket};

/// Events that may wait for the log and the hooks, at the least, and of each virtual router: all may move at once.
const EVENTS: usize = 1024;
const EVENTS_OF_ROUTER: usize = 8;

/// An engine whose workers have not started yet.
pub(super) struct PendingEngine {
    pub(super) engine: Arc<Engine>,
    pub(super) entries: Entries,
    /// Index of its interface.
    pub(super) index: u32,
    /// The virtual routers whose other nodes are to have the same tables.
    pub(super) circles: Vec<Circle>,
}

impl PendingEngine {
    fn new(
        config: &Config,
        interface: &Interface,
        engine: &Arc<Engine>,
        datapath: &mut Datapath,
    ) -> anyhow::Result<Self> {
        let flow_handover = config.runtime.flow_cache.then(|| datapath.flow_handover()).transpose()?;
        let translator = engine.plan.translates().then(|| {
            let (translations, ports) = (Arc::new(datapath.translations()?), Ports::of_host()?);
            anyhow::Ok(Translator { translations, ports, worker: 0 })
        });
        let translator = translator.transpose()?;
        let mut translated = Vec::new();
        if let (Some(translator), Some(handover)) = (&translator, &flow_handover) {
            // Before the programs change: the kernel would reset connections whose answers XDP does not know.
            // Where they cannot be read they begin anew, which is said when the engine starts.
            let before = handover.before().ok().flatten();
            let goes_on = |(cached, name): &(Cached, BackendName)| {
                let target = engine.plan.resumed(cached, name).filter(|target| target.port != 0);
                target.is_some_and(|target| translator.resume(&engine.plan, cached, target))
            };
            translated.extend(before.iter().flat_map(Heritage::flows).filter(goes_on));
        }
        let entries = Entries {
            sockets: datapath.take_engine_sockets()?,
            flow_handover,
            translator,
            translated,
            flows: config.runtime.flows as usize,
        };
        let circle = |router| {
            let primary = super::primary(config, interface, router)?;
            Ok(Circle::of(router, primary, &engine.plan))
        };
        let circles: Vec<_> =
            config.routers_on(&interface.name).map(circle).collect::<Result<_, HostError>>()?;
        let circles = circles.into_iter().flatten().collect();
        Ok(Self { engine: Arc::clone(engine), entries, index: interface.index, circles })
    }
}

/// Everything that the election and its service need.
pub(super) struct Ready<'a> {
    pub(super) config: &'a Config,
    pub(super) runtime: Runtime,
    pub(super) listener: UnixListener,
    pub(super) watch: KernelWatch,
    pub(super) watched: Vec<Watched>,
    pub(super) vips: Vips,
    pub(super) parts: Vec<PortParts>,
    pub(super) served: Vec<ServedPort>,
    pub(super) pending_rings: Vec<PendingRings>,
    pub(super) pending_engines: Vec<PendingEngine>,
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) adjustments: Adjustments,
}

/// What the data plane of `interface` is for.
fn purpose(config: &Config, interface: &str) -> anyhow::Result<Purpose> {
    let (cached, is_other_arm) = (config.cached_flows(interface), config.home_of(interface).is_some());
    if !config.translates(interface) {
        return Ok(Purpose { cached, translated: 0, is_other_arm });
    }
    // Answers may come on any queue, and so the table is one for all.
    let queues = Ethtool::open(interface)?.receive_queues().min(MAX_QUEUES);
    Ok(Purpose { cached, translated: config.runtime.flows.saturating_mul(queues), is_other_arm })
}

/// Puts the programs on every interface, and opens all that the election and its service need. What programs of an
/// earlier run guard stays as it is, and an agent that still works with them is not disturbed; [`switch`] takes the plans for
/// what it becomes.
pub(super) fn prepare<'a>(
    config: &'a Config,
    netlink: &Netlink,
    interfaces: &[Interface],
    undo: &mut Undo<'_>,
) -> anyhow::Result<(Ready<'a>, Vec<Plan>)> {
    let mut examined = Vec::new();
    for Interface { name, .. } in interfaces {
        let pins = Pins::new(&config.runtime.pins, name);
        examined.push(ExaminedInterface::examine(netlink, name, pins, config.runtime.xdp)?);
    }
    undo.changes.record_interfaces(&config.interfaces())?;
    for interface in examined {
        let purpose = purpose(config, interface.name())?;
        undo.datapaths.push(interface.open(netlink, config.runtime.datapath_log, purpose)?);
    }
    let adjustments = Adjustments::load(&config.runtime.directory);
    let (sender, events) = mpsc::channel(EVENTS.max(EVENTS_OF_ROUTER * config.routers.len()));
    let (mut parts, mut served) = (Vec::new(), Vec::new());
    let (mut pending_rings, mut pending_engines, mut backends) = (Vec::new(), Vec::new(), Vec::new());
    let (mut watched, mut plans, mut temporary) = (Vec::new(), Vec::new(), Vec::new());
    let modes: Vec<XdpMode> = undo.datapaths.iter().map(Datapath::mode).collect();
    for (index, (interface, datapath)) in interfaces.iter().zip(&mut undo.datapaths).enumerate() {
        let (name, mac, primaries) = (interface.name.clone(), interface.mac, primaries(config, interface)?);
        watched.push(Watched { name, mac, primaries, programs: datapath.programs()?, engine: None });
        let gateways = netlink.gateways(interface)?;
        let port = Opening {
            config,
            interface,
            interfaces,
            modes: &modes,
            gateways,
            datapath,
            index,
            events: &sender,
            adjustments: &adjustments,
        };
        let (port_parts, port_served, plan) =
            port.open().with_context(|| format!("setting up {}", interface.name))?;
        // A queue has one socket, which the engine needs more: adverts are heard and said by the raw sockets then.
        match &port_served.engine {
            Some(engine) => {
                pending_engines.push(PendingEngine::new(config, interface, engine, datapath)?);
                backends.push((Arc::clone(engine), datapath.backends()?));
            }
            // Nor has it one for adverts if it is an arm of an engine.
            None if config.home_of(&interface.name).is_some() => {}
            None => {
                let sockets = datapath.take_sockets()?;
                pending_rings.push(PendingRings::new(index, &interface.name, port_served.queues, sockets));
            }
        }
        let routers = config.routers_on(&interface.name).zip(plan.slots());
        temporary.push(Temporary::new(routers, datapath.tenures()?));
        parts.push(port_parts);
        served.push(port_served);
        plans.push(plan);
    }

    for PendingEngine { engine, .. } in &pending_engines {
        let is_other = |it: &&mut Watched| engine.arms.iter().skip(1).any(|arm| arm.name == it.name);
        for arm in watched.iter_mut().filter(is_other) {
            arm.engine = Some(Arc::clone(engine.health()));
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let path = socket_path(&config.runtime.directory);
    let (listener, watch) = {
        let _inside = runtime.enter();
        for (engine, backends) in backends {
            let neighbours = engine.arms.iter().map(|arm| Neighbours::open(arm.index));
            let neighbours = neighbours.collect::<Result<_, _>>().context("opening a netlink socket")?;
            let checks = engine.checks().context("making the checks of the backends ready")?;
            runtime.spawn(engine.keep_pools(neighbours, backends, checks));
        }
        for datapath in &mut undo.datapaths {
            runtime.spawn(datapath.take_events()?);
        }
        let making = || format!("making the control socket {}", path.display());
        let (listener, draft) = server::bind(&path).with_context(making)?;
        undo.socket = Some(draft);
        (listener, KernelWatch::open().context("opening a netlink socket")?)
    };
    let vips = Vips::new(super::vips(config), super::bound(config, Bind::Always), temporary);
    Ok((
        Ready {
            config,
            runtime,
            listener,
            watch,
            watched,
            vips,
            parts,
            served,
            pending_rings,
            pending_engines,
            events,
            adjustments,
        },
        plans,
    ))
}

/// Goes over to the configuration: the fence learns the new addresses, they are bound behind it, those that are configured
/// no more are unbound, the fence forgets them, our programs take over from an earlier run's, and whoever wants to talk to the
/// agent finds this one. What was owned before is served all the while.
pub(super) fn switch(config: &Config, plans: &[Plan], undo: &mut Undo<'_>) -> anyhow::Result<()> {
    let [always, temporary] = [Bind::Always, Bind::WhileActive].map(|bind| super::bound(config, bind));
    for (datapath, plan) in undo.datapaths.iter_mut().zip(plans) {
        datapath.configure(plan)?;
    }
    let gateways: Vec<&str> = config.gateways().map(|router| router.interface.as_str()).collect();
    undo.changes.stop_redirects(&gateways)?;
    undo.changes.bind(&always, &temporary)?;
    undo.changes.unbind_others(&[always, temporary].concat())?;
    for (datapath, plan) in undo.datapaths.iter_mut().zip(plans) {
        datapath.prune(plan)?;
    }
    let names = config.interfaces();
    for (datapath, interface) in undo.datapaths.iter_mut().zip(&names) {
        datapath.take_over()?;
        if config.cached_flows(interface) == 0 {
            datapath.forget_flows()?;
        }
    }
    // Only now: until the program that takes the requests is this run's, answers are what an earlier run's knows of.
    for place in 0..undo.datapaths.len() {
        let home = config.home_of(names[place]).and_then(|home| names.iter().position(|name| *name == home));
        let program = home.map(|home| undo.datapaths[home].answer_program()).transpose()?;
        undo.datapaths[place].set_engine_program(program.as_ref())?;
    }
    let path = socket_path(&config.runtime.directory);
    if let Some(draft) = &undo.socket {
        server::publish(draft, &path)
            .with_context(|| format!("making the control socket {}", path.display()))?;
    }
    undo.socket = Some(path);
    Ok(())
}

/// The addresses of `interface` that adverts come from, each once.
fn primaries(config: &Config, interface: &Interface) -> Result<Vec<IpAddr>, HostError> {
    let primary = |router| super::primary(config, interface, router);
    let primaries: BTreeSet<IpAddr> =
        config.routers_on(&interface.name).map(primary).collect::<Result<_, _>>()?;
    Ok(primaries.into_iter().collect())
}

/// An interface of an engine.
fn arm(interface: &Interface, queues: u32, takes_redirected: bool) -> Result<Arm, HostError> {
    let Interface { name, index, mac, .. } = interface;
    if queues > MAX_QUEUES {
        return Err(HostError::TooManyQueues { interface: name.clone(), queues, most: MAX_QUEUES });
    }
    Ok(Arm { name: name.clone(), index: *index, mac: *mac, queues, takes_redirected })
}

/// One interface on its way to become a port.
struct Opening<'a> {
    config: &'a Config,
    interface: &'a Interface,
    /// All of them, and how XDP runs on each.
    interfaces: &'a [Interface],
    modes: &'a [XdpMode],
    gateways: Gateways,
    datapath: &'a mut Datapath,
    index: usize,
    events: &'a mpsc::Sender<Event>,
    adjustments: &'a Adjustments,
}

impl Opening<'_> {
    fn open(mut self) -> anyhow::Result<(PortParts, ServedPort, Plan)> {
        let Interface { name, index, mac, .. } = self.interface;
        let primaries = primaries(self.config, self.interface)?;
        let configs: Vec<_> = self.config.routers_on(name).cloned().collect();
        let entry = |config: &RouterConfig| {
            let primary = super::primary(self.config, self.interface, config)?;
            Ok(Router::entry(config, *mac, primary))
        };
        let entries: Vec<_> = configs.iter().map(entry).collect::<Result<_, HostError>>()?;
        let device = Device { mac: *mac, _pad: [0; 2] };
        let plan = self.datapath.plan(device, entries.clone())?;
        let mailboxes = self.datapath.mailboxes()?;
        let routers = configs
            .iter()
            .zip(&entries)
            .zip(plan.slots())
            .map(|((config, entry), slot)| Router::new(config, entry, slot, &mailboxes.read(slot)))
            .collect();

        let ethtool = Ethtool::open(name)?;
        let all_queues = ethtool.receive_queues();
        let queues = all_queues.min(MAX_QUEUES);
        let packet = PacketSocket::open(*index).context("opening a packet socket")?;
        let groups: BTreeSet<IpAddr> = entries.iter().filter_map(|entry| entry.multicast).collect();
        for group in &groups {
            packet.accept_multicast(*index, *group).context("adding the VRRP group to the NIC's filter")?;
        }
        for virtual_mac in entries.iter().map(|entry| entry.mac).filter(|entry| entry != mac) {
            packet
                .accept_unicast(*index, virtual_mac)
                .context("adding the virtual MAC to the NIC's filter")?;
        }
        let solicited: Vec<Ipv6Addr> =
            configs.iter().flat_map(|config| &config.vips).filter_map(super::ipv6).collect();
        for vip in &solicited {
            packet.accept_solicitations(*index, *vip).context("adding a group to the NIC's filter")?;
        }
        let solicitations =
            Solicitations::join(*index, solicited.into_iter()).context("joining solicited-node groups")?;
        let families: BTreeSet<Family> = configs.iter().map(RouterConfig::family).collect();
        let vrrp_sockets = families.into_iter().map(|family| {
            let of_family = groups.iter().copied().filter(|group| address::family(*group) == family);
            VrrpSocket::open(family, name, *index, &of_family.collect())
        });
        let vrrp_sockets = vrrp_sockets.collect::<Result<_, _>>().context("opening a VRRP socket")?;
        let told = configs.iter().filter(|config| !config.peers.is_empty());
        let peers = PeerSockets::open(told.map(RouterConfig::family), name, *index)
            .context("opening a socket for unicast peers")?;
        let (xdp, adopted) = (self.datapath.mode(), self.datapath.adopted());
        tracing::info!(interface = name, %xdp, queues, adopted, "data plane up");
        let served = ServedPort {
            interface: name.clone(),
            primaries,
            xdp_mode: xdp.to_string(),
            queues,
            engine: self.engine(all_queues)?,
            counters: self.datapath.take_counters()?,
            routers: configs
                .into_iter()
                .zip(&entries)
                .map(|(config, entry)| ServedRouter { config, mac: entry.mac })
                .collect(),
        };
        let parts = PortParts {
            index: self.index,
            transmitter: Transmitter::new(packet, peers),
            vrrp_sockets,
            solicitations,
            ethtool,
            ownerships: self.datapath.ownerships()?,
            mailboxes,
            answers: self.datapath.answers()?,
            services: self.datapath.services()?,
            device_mac: *mac,
            routers,
            events: self.events.clone(),
            usable: self.interface.carrier,
            gateways: self.gateways,
            drained: Drained::of(&self.config.runtime.directory).is_set(),
        };
        Ok((parts, served, plan))
    }

    /// The engine of the interface, if it has services, of which the data plane hears.
    fn engine(&mut self, all_queues: u32) -> anyhow::Result<Option<Arc<Engine>>> {
        let plan = engine::Plan::of(self.config, self.interface, self.interfaces)?;
        if plan.services.is_empty() {
            return Ok(None);
        }
        let arms = self.arms(&plan, all_queues)?;
        if arms.len() > 1 {
            self.datapath.set_arms(&arms).context("telling the data plane of the engine's interfaces")?;
            self.datapath.answer_program().context("loading the program for answers")?;
        }
        self.datapath.set_frontends(plan.frontends()).context("telling the data plane of the services")?;
        let forwarded = self.datapath.forwarded()?;
        let cached = self.config.runtime.flow_cache.then(|| self.datapath.flow_cache()).transpose()?;
        Ok(Some(Arc::new(Engine::new(plan, self.adjustments, arms, forwarded, cached))))
    }

    /// The interfaces of the engine, this one, which has so many receive queues, first.
    fn arms(&self, plan: &engine::Plan, all_queues: u32) -> anyhow::Result<Vec<Arm>> {
        let all = || self.interfaces.iter().zip(self.modes.iter().copied());
        let others = plan.arms.iter().filter_map(|name| all().find(|(interface, _)| interface.name == *name));
        let others: Vec<(&Interface, XdpMode)> = others.collect();
        // What leaves here came in by one of the others, and what leaves there by this one.
        let takes_redirected = |interface: &Interface, entries: &[XdpMode]| {
            datapath::takes_redirected(interface.index, entries.iter().copied())
        };
        let entries: Vec<XdpMode> = others.iter().map(|(_, mode)| *mode).collect();
        let mut arms = vec![arm(self.interface, all_queues, takes_redirected(self.interface, &entries))?];
        for (other, _) in others {
            let queues = Ethtool::open(&other.name)?.receive_queues();
            arms.push(arm(other, queues, takes_redirected(other, &[self.datapath.mode()]))?);
        }
        for arm in arms.iter().filter(|arm| !arm.takes_redirected && !plan.arms.is_empty()) {
            tracing::warn!(
                interface = arm.name,
                "XDP cannot send by it what came in by another interface: the engine's workers do, at the cost of `flow_cache = false` \
                 (a veth takes it when its other end has GRO or an XDP program)"
            );
        }
        Ok(arms)
    }
}
