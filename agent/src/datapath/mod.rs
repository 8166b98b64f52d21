//! The data plane as the agent sees it: one loaded BPF object per interface, its programs attached by pinned links,
//! its maps pinned, its two cell arrays mapped into memory.

mod attach;
mod bpf;
pub mod cells;
mod error;
mod events;
mod hook;
pub mod object;
pub mod pins;
mod place;
pub mod plain;

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::os::fd::RawFd;
use std::path::PathBuf;

use aya::maps::{Array, HashMap, MapData, PerCpuArray, XskMap};
use aya::{Ebpf, EbpfLoader};
use baton_common::maps::{self, Device, Router, RouterKey, VipKey};
use baton_common::verdict::Verdict;

pub use attach::refuse_foreign_pins;
pub use cells::{Mailboxes, Ownerships};
pub use error::DatapathError;
pub use hook::Hook;
pub use pins::Pins;
pub use place::Place;
use plain::Plain;

use crate::config::DatapathLog;
use crate::host::netlink::XdpMode;

/// The maps that outlive the agent. The XSKMAP is not among them: nothing whose loss matters may depend on it.
const PINNED_MAPS: [&str; 6] =
    [maps::DEVICE, maps::ROUTERS, maps::VIPS, maps::OWNERSHIP, maps::MAILBOXES, maps::COUNTERS];

/// One virtual router as the data plane needs it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What identifies it on the interface.
    pub key: RouterKey,
    /// Accepted checksums, as flags of [`baton_common::maps`].
    pub checksums: u32,
    /// This host's primary address.
    pub primary: Ipv4Addr,
    /// The MAC that stands for the addresses.
    pub mac: [u8; 6],
    /// The virtual addresses.
    pub vips: Vec<Ipv4Addr>,
}

/// The data plane of one interface.
pub struct Datapath {
    bpf: Ebpf,
    pins: Pins,
    mode: XdpMode,
    adopted: bool,
    /// Pins of links that this run has made.
    fresh: Vec<PathBuf>,
}

impl Datapath {
    /// How the XDP program runs.
    pub fn mode(&self) -> XdpMode {
        self.mode
    }

    /// Whether the programs and maps of an earlier run were adopted.
    pub fn adopted(&self) -> bool {
        self.adopted
    }

    /// The ids of our programs, each with the place where it runs.
    ///
    /// # Errors
    ///
    /// The kernel does not say.
    pub fn programs(&self) -> Result<[(Hook, u32); 3], DatapathError> {
        let mut programs = Hook::ALL.map(|hook| (hook, 0));
        for (hook, id) in &mut programs {
            let name = hook.program();
            *id = self.bpf.program(name).ok_or(DatapathError::NoProgram(name))?.info()?.id();
        }
        Ok(programs)
    }

    /// Takes off the interface what this run has put there.
    ///
    /// # Errors
    ///
    /// A pin cannot be removed.
    pub fn take_back(self) -> Result<(), DatapathError> {
        place::take_off(&self.pins, self.adopted, &self.fresh)
    }

    /// Tells the programs which interface they run on and which virtual routers it has; what is no longer listed is
    /// removed. Returns each entry's slot, in order. A router keeps the slot that an earlier run gave it.
    ///
    /// # Errors
    ///
    /// A map refuses an entry.
    pub fn configure(&mut self, device_mac: [u8; 6], entries: &[Entry]) -> Result<Vec<u32>, DatapathError> {
        let device = Plain(Device { mac: device_mac, _pad: [0; 2] });
        Array::try_from(self.map_mut(maps::DEVICE)?)?.set(0, device, 0)?;
        let slots = self.configure_routers(entries)?;
        self.configure_vips(entries, &slots)?;
        Ok(slots)
    }

    fn configure_routers(&mut self, entries: &[Entry]) -> Result<Vec<u32>, DatapathError> {
        let cells = self.ownerships()?;
        let mut map: HashMap<_, Plain<RouterKey>, Plain<Router>> =
            HashMap::try_from(self.map_mut(maps::ROUTERS)?)?;
        let known: Vec<(RouterKey, u32)> =
            map.iter().flatten().map(|(key, router)| (key.0, router.0.slot)).collect();
        let slots = assign_slots(&known, entries);
        for (entry, &slot) in entries.iter().zip(&slots) {
            // A slot may hold what a router had that is configured no more.
            if !known.iter().any(|(key, _)| *key == entry.key) {
                cells.set_lease(slot, None);
            }
            cells.set_mac(slot, entry.mac);
        }
        for (entry, &slot) in entries.iter().zip(&slots) {
            let mut primary = [0; 16];
            primary[..4].copy_from_slice(&entry.primary.octets());
            map.insert(Plain(entry.key), Plain(Router { slot, checksums: entry.checksums, primary }), 0)?;
        }
        for (key, _) in known.iter().filter(|(key, _)| !entries.iter().any(|entry| entry.key == *key)) {
            map.remove(&Plain(*key))?;
        }
        Ok(slots)
    }

    fn configure_vips(&mut self, entries: &[Entry], slots: &[u32]) -> Result<(), DatapathError> {
        let mut map: HashMap<_, Plain<VipKey>, u32> = HashMap::try_from(self.map_mut(maps::VIPS)?)?;
        let mut stale: HashSet<VipKey> = map.keys().flatten().map(|key| key.0).collect();
        for (entry, &slot) in entries.iter().zip(slots) {
            for vip in &entry.vips {
                let key = VipKey { vlan: entry.key.vlan, address: vip.octets() };
                map.insert(Plain(key), slot, 0)?;
                stale.remove(&key);
            }
        }
        for key in stale {
            map.remove(&Plain(key))?;
        }
        Ok(())
    }

    /// The ownership cells. The driver alone may write them.
    ///
    /// # Errors
    ///
    /// The map cannot be mapped into memory.
    pub fn ownerships(&self) -> Result<Ownerships, DatapathError> {
        Ownerships::map(self.array(maps::OWNERSHIP)?)
    }

    /// The mailboxes.
    ///
    /// # Errors
    ///
    /// The map cannot be mapped into memory.
    pub fn mailboxes(&self) -> Result<Mailboxes, DatapathError> {
        Mailboxes::map(self.array(maps::MAILBOXES)?)
    }

    /// Sends the advertisements that arrive on `queue` to the AF_XDP socket `fd`.
    ///
    /// # Errors
    ///
    /// The kernel refuses the socket.
    pub fn set_socket(&mut self, queue: u32, fd: RawFd) -> Result<(), DatapathError> {
        XskMap::try_from(self.map_mut(maps::XSKS)?)?.set(queue, fd, 0)?;
        Ok(())
    }

    /// The verdict counters, for a reader on another thread. Can be taken once.
    ///
    /// # Errors
    ///
    /// They were taken before.
    pub fn take_counters(&mut self) -> Result<Counters, DatapathError> {
        let map = self.bpf.take_map(maps::COUNTERS).ok_or(DatapathError::NoMap(maps::COUNTERS))?;
        Ok(Counters(PerCpuArray::try_from(map)?))
    }

    /// Writes the events that the programs log to this process's log, for as long as it is polled. Can be taken once.
    ///
    /// # Errors
    ///
    /// The log ring cannot be read.
    pub fn take_events(&mut self) -> Result<impl Future<Output = ()> + use<>, DatapathError> {
        events::follow(&mut self.bpf)
    }

    fn map_mut(&mut self, name: &'static str) -> Result<&mut aya::maps::Map, DatapathError> {
        self.bpf.map_mut(name).ok_or(DatapathError::NoMap(name))
    }

    fn array(&self, name: &'static str) -> Result<&MapData, DatapathError> {
        match self.bpf.map(name) {
            Some(aya::maps::Map::Array(data)) => Ok(data),
            _ => Err(DatapathError::NoMap(name)),
        }
    }
}

/// How many frames met each verdict.
pub struct Counters(PerCpuArray<MapData, u64>);

impl Counters {
    /// Every verdict with its frames since the maps were made, summed over all CPUs.
    pub fn read(&self) -> Vec<(Verdict, u64)> {
        let sum = |verdict: Verdict| -> u64 {
            self.0.get(&(verdict as u32), 0).map_or(0, |cells| cells.iter().sum())
        };
        Verdict::ALL.into_iter().map(|verdict| (verdict, sum(verdict))).collect()
    }
}

/// Loads the object; pinned maps that exist are used, the others are made and pinned.
fn load(pins: &Pins, log: DatapathLog) -> Result<Ebpf, DatapathError> {
    let level: u8 = match log {
        DatapathLog::Off => 0,
        DatapathLog::Debug => aya_log::Level::Debug as u8,
    };
    let paths = PINNED_MAPS.map(|name| (name, pins.map(name)));
    let mut loader = EbpfLoader::new();
    loader.override_global(aya_log::LEVEL, &level, true);
    for (name, path) in &paths {
        loader.map_pin_path(name, path);
    }
    Ok(loader.load(object::OBJECT)?)
}

/// A slot for each entry: the one it has in `known`, else the lowest free one.
fn assign_slots(known: &[(RouterKey, u32)], entries: &[Entry]) -> Vec<u32> {
    let slot_of = |key: RouterKey| known.iter().find(|(other, _)| *other == key).map(|(_, slot)| *slot);
    let mut taken: HashSet<u32> = entries.iter().filter_map(|entry| slot_of(entry.key)).collect();
    entries
        .iter()
        .map(|entry| {
            slot_of(entry.key).unwrap_or_else(|| {
                let free = (0..).find(|slot| !taken.contains(slot)).unwrap_or_default();
                taken.insert(free);
                free
            })
        })
        .collect()
}
