//! `baton decap`: on a backend without a tunnel of the kernel's, takes the packets out that nodes have wrapped for it.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use anyhow::{Context, bail};
use aya::maps::{HashMap, MapData, PerCpuArray};
use aya::programs::{Xdp, xdp};
use aya::{Ebpf, EbpfLoader};
use baton_common::maps::{self, Address};
use tokio::signal::unix::{SignalKind, signal};

use crate::address;
use crate::datapath::object;
use crate::host::netlink::Netlink;
use crate::host::{HostError, rights};

/// What is unwrapped.
#[derive(Clone, Debug)]
pub struct Decap {
    /// The interface that packets arrive on.
    pub interface: String,
    /// For which addresses, which this host has on `lo`.
    pub vips: BTreeSet<IpAddr>,
    /// Wrapped by whom: the addresses of the nodes.
    pub nodes: BTreeSet<IpAddr>,
}

impl Decap {
    /// Unwraps until it is told to end. Nothing is left on the host then.
    ///
    /// # Errors
    ///
    /// There is no such Ethernet interface, another XDP program runs on it, the rights do not suffice, or there are more addresses
    /// than there is room for.
    pub fn run(&self) -> anyhow::Result<()> {
        rights::check()?;
        let interface = Netlink::open().context("opening a netlink socket")?.interface(&self.interface)?;
        if !interface.ethernet {
            bail!(HostError::NotEthernet(interface.name));
        }
        if let Some((id, _)) = interface.xdp {
            bail!(
                "{} has an XDP program already, with id {id}; `ip link set {0} xdp off` takes it off",
                interface.name
            );
        }
        let mut bpf = EbpfLoader::new().load(object::OBJECT)?;
        fill(&mut bpf, maps::DECAP_VIPS, &self.vips)?;
        fill(&mut bpf, maps::DECAP_NODES, &self.nodes)?;
        attach(&mut bpf, &self.interface)?;
        tracing::info!(interface = self.interface, vips = self.vips.len(), "packets are unwrapped");
        wait_for_the_end().context("waiting for signals")?;
        let unwrapped = unwrapped(&bpf)?;
        tracing::info!(interface = self.interface, unwrapped, "no packets are unwrapped any more");
        Ok(())
    }
}

fn fill(bpf: &mut Ebpf, name: &'static str, addresses: &BTreeSet<IpAddr>) -> anyhow::Result<()> {
    let map = bpf.map_mut(name).with_context(|| format!("the object has no map {name}"))?;
    let mut map: HashMap<&mut MapData, Address, u8> = HashMap::try_from(map)?;
    for address in addresses {
        map.insert(address::to_map(*address), 0, 0).with_context(|| format!("no room for {address}"))?;
    }
    Ok(())
}

/// Attaches the program, which goes when this process does.
fn attach(bpf: &mut Ebpf, interface: &str) -> anyhow::Result<()> {
    let name = maps::DECAP_PROGRAM;
    let program: &mut Xdp =
        bpf.program_mut(name).with_context(|| format!("the object has no program {name}"))?.try_into()?;
    program.load()?;
    if let Err(error) = program.attach(interface, xdp::XdpMode::Driver) {
        tracing::warn!(interface, %error, "the driver has no XDP; the kernel's generic one costs more");
        program.attach(interface, xdp::XdpMode::Skb)?;
    }
    Ok(())
}

fn wait_for_the_end() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    })
}

fn unwrapped(bpf: &Ebpf) -> anyhow::Result<u64> {
    let map = bpf.map(maps::UNWRAPPED).context("the object has no counter")?;
    let map: PerCpuArray<&MapData, u64> = PerCpuArray::try_from(map)?;
    Ok(map.get(&0, 0)?.iter().sum())
}
