//! Raising the fence, opening the sockets, binding the addresses. What is most likely to fail comes first, and what an
//! earlier run has left, or an agent that is being replaced still uses, is changed last.

use anyhow::Context;
use baton_common::maps::MAX_QUEUES;
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::af_xdp::PendingRings;
use super::undo::Undo;
use super::watch::Watched;
use crate::config::Config;
use crate::control::server::{self, ServedPort, ServedRouter};
use crate::control::socket_path;
use crate::datapath::{Datapath, ExaminedInterface, Pins, Plan};
use crate::driver::{Event, PortParts, Router, Transmitter};
use crate::host::HostError;
use crate::host::drained::Drained;
use crate::host::ethtool::Ethtool;
use crate::host::netlink::{Interface, KernelWatch, Netlink};
use crate::socket::{PacketSocket, VrrpSocket};

/// Events that may wait for the log.
const EVENTS: usize = 1024;

/// Everything that the election and its service need.
pub(super) struct Ready<'a> {
    pub(super) config: &'a Config,
    pub(super) runtime: Runtime,
    pub(super) listener: UnixListener,
    pub(super) watch: KernelWatch,
    pub(super) watched: Vec<Watched>,
    pub(super) parts: Vec<PortParts>,
    pub(super) served: Vec<ServedPort>,
    pub(super) pending_rings: Vec<PendingRings>,
    pub(super) events: mpsc::Receiver<Event>,
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
        undo.datapaths.push(interface.open(netlink, config.runtime.datapath_log)?);
    }
    let (sender, events) = mpsc::channel(EVENTS);
    let (mut parts, mut served, mut pending_rings) = (Vec::new(), Vec::new(), Vec::new());
    let (mut watched, mut plans) = (Vec::new(), Vec::new());
    for (index, (interface, datapath)) in interfaces.iter().zip(&mut undo.datapaths).enumerate() {
        let (name, mac, primary) = (interface.name.clone(), interface.mac, primary(interface)?);
        watched.push(Watched { name, mac, primary, programs: datapath.programs()? });
        let port = Opening { config, interface, datapath, index, events: &sender };
        let (port_parts, port_served, plan) =
            port.open().with_context(|| format!("setting up {}", interface.name))?;
        pending_rings.push(PendingRings::new(&interface.name, port_served.queues, datapath.take_sockets()?));
        parts.push(port_parts);
        served.push(port_served);
        plans.push(plan);
    }

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let path = socket_path(&config.runtime.directory);
    let (listener, watch) = {
        let _inside = runtime.enter();
        for datapath in &mut undo.datapaths {
            runtime.spawn(datapath.take_events()?);
        }
        let making = || format!("making the control socket {}", path.display());
        let (listener, draft) = server::bind(&path).with_context(making)?;
        undo.socket = Some(draft);
        (listener, KernelWatch::open().context("opening a netlink socket")?)
    };
    Ok((Ready { config, runtime, listener, watch, watched, parts, served, pending_rings, events }, plans))
}

/// Goes over to the configuration: the fence learns the new addresses, they are bound behind it, those that are configured
/// no more are unbound, the fence forgets them, our programs take over from an earlier run's, and whoever wants to talk to the
/// agent finds this one. What was owned before is served all the while.
pub(super) fn switch(config: &Config, plans: &[Plan], undo: &mut Undo<'_>) -> anyhow::Result<()> {
    let vips = super::vips(config);
    for (datapath, plan) in undo.datapaths.iter_mut().zip(plans) {
        datapath.configure(plan)?;
    }
    undo.changes.bind(&vips)?;
    undo.changes.unbind_others(&vips)?;
    for (datapath, plan) in undo.datapaths.iter_mut().zip(plans) {
        datapath.prune(plan)?;
    }
    for datapath in &mut undo.datapaths {
        datapath.take_over()?;
    }
    let path = socket_path(&config.runtime.directory);
    if let Some(draft) = &undo.socket {
        server::publish(draft, &path)
            .with_context(|| format!("making the control socket {}", path.display()))?;
    }
    undo.socket = Some(path);
    Ok(())
}

/// The address that adverts come from.
fn primary(interface: &Interface) -> Result<std::net::Ipv4Addr, HostError> {
    interface.addresses.first().copied().ok_or_else(|| HostError::NoAddress(interface.name.clone()))
}

/// One interface on its way to become a port.
struct Opening<'a> {
    config: &'a Config,
    interface: &'a Interface,
    datapath: &'a mut Datapath,
    index: usize,
    events: &'a mpsc::Sender<Event>,
}

impl Opening<'_> {
    fn open(self) -> anyhow::Result<(PortParts, ServedPort, Plan)> {
        let Interface { name, index, mac, .. } = self.interface;
        let primary = primary(self.interface)?;
        let configs: Vec<_> = self.config.routers_on(name).cloned().collect();
        let entries: Vec<_> = configs.iter().map(|config| Router::entry(config, *mac, primary)).collect();
        let plan = self.datapath.plan(*mac, primary, entries.clone())?;
        let mailboxes = self.datapath.mailboxes()?;
        let routers = configs
            .iter()
            .zip(&entries)
            .zip(plan.slots())
            .map(|((config, entry), slot)| Router::new(config, entry, slot, &mailboxes.read(slot)))
            .collect();

        let ethtool = Ethtool::open(name)?;
        let queues = ethtool.receive_queues().min(MAX_QUEUES);
        let packet = PacketSocket::open(*index).context("opening a packet socket")?;
        for virtual_mac in entries.iter().map(|entry| entry.mac).filter(|entry| entry != mac) {
            packet
                .accept_unicast(*index, virtual_mac)
                .context("adding the virtual MAC to the NIC's filter")?;
        }
        let (xdp, adopted) = (self.datapath.mode(), self.datapath.adopted());
        tracing::info!(interface = name, %xdp, queues, adopted, "data plane up");
        let served = ServedPort {
            interface: name.clone(),
            primary,
            xdp_mode: xdp.to_string(),
            queues,
            counters: self.datapath.take_counters()?,
            routers: configs
                .into_iter()
                .zip(&entries)
                .map(|(config, entry)| ServedRouter { config, mac: entry.mac })
                .collect(),
        };
        let parts = PortParts {
            index: self.index,
            transmitter: Transmitter::new(packet),
            vrrp_socket: VrrpSocket::open(name, *index).context("opening a VRRP socket")?,
            ethtool,
            ownerships: self.datapath.ownerships()?,
            mailboxes,
            answers: self.datapath.answers()?,
            services: self.datapath.services()?,
            device_mac: *mac,
            routers,
            events: self.events.clone(),
            usable: self.interface.carrier,
            drained: Drained::of(&self.config.runtime.directory).is_set(),
        };
        Ok((parts, served, plan))
    }
}
