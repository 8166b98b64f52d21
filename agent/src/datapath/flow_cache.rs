//! What the engine tells the XDP program of flows and backends, and what that has seen of them.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aya::maps::{Array, Map, MapData, PerCpuArray};
use aya::{Ebpf, Pod};
use baton_common::flow::{self, Backend, CachedFlow, Carried, Flow, NamedBackend, Nat, Tunnel};
use baton_common::line::Seed;
use baton_common::maps::{self, Address};

use super::lines::{Entry, LineTable, Lines};
use super::plain::Plain;
use super::{DatapathError, Pins};
use crate::wire::Mac;

/// What the program does with the frames of a flow, and when it has last seen one.
pub type Cached = Entry<CachedFlow>;

/// The flows that the program forwards by itself. All workers have the same.
#[derive(Clone)]
pub struct FlowCache {
    table: Arc<LineTable<CachedFlow>>,
    /// The line that this worker has swept last.
    swept: u32,
}

impl FlowCache {
    pub(super) fn of(bpf: &Ebpf, seed: Seed) -> Result<Self, DatapathError> {
        let [lines, flows] = [maps::FLOW_CACHE, maps::CACHED_FLOWS].map(|name| array_data(bpf, name));
        let table = LineTable::new(Lines::map(lines?, Some(flows?))?, seed);
        Ok(Self { table: Arc::new(table), swept: 0 })
    }

    /// Has the program forward a flow. What finds no line stays the engine's.
    pub fn put(&self, cached: Cached) {
        self.table.put(cached);
    }

    /// Ends that. A flow that is not there is what is wanted.
    pub fn remove(&self, flow: &Flow) {
        self.table.remove(flow);
    }

    /// What the program knows of `flow`.
    pub fn find(&self, flow: &Flow) -> Option<Cached> {
        self.table.find(flow)
    }

    /// Looks at the next `count` lines, and ends that for flows that are over.
    pub fn sweep(&mut self, count: usize, is_over: impl Fn(&Cached) -> bool) {
        for _ in 0..count {
            self.swept = (self.swept + 1) % self.table.lines();
            self.table.remove_if(self.swept, &is_over);
        }
    }
}

/// What the next agent takes up of this one's flow cache: that and what explains it.
pub(super) const HANDED_OVER: [&str; 3] = [maps::FLOW_CACHE, maps::CACHED_FLOWS, maps::FLOW_BACKENDS];

/// The flow cache on its way to the next agent, with what its numbers of backends stand for.
pub struct FlowHandover {
    cache: MapData,
    flows: MapData,
    backends: MapData,
    /// Where they are pinned.
    pins: [PathBuf; 3],
}

impl FlowHandover {
    pub(super) fn of(bpf: &Ebpf, pins: &Pins) -> Result<Self, DatapathError> {
        let data = |name| again(array_data(bpf, name)?);
        Ok(Self {
            cache: data(maps::FLOW_CACHE)?,
            flows: data(maps::CACHED_FLOWS)?,
            backends: data(maps::FLOW_BACKENDS)?,
            pins: HANDED_OVER.map(|name| pins.map(name)),
        })
    }

    /// The flows that the agent before has pinned; none if it was killed while it did.
    ///
    /// # Errors
    ///
    /// A pin cannot be opened, or is none of a flow cache.
    pub fn before(&self) -> Result<Option<Heritage>, DatapathError> {
        if !self.pins.iter().all(|pin| pin.exists()) {
            return Ok(None);
        }
        let [cache, flows, backends] = &self.pins;
        let [cache, flows, backends] = [cache, flows, backends].map(MapData::from_pin);
        Heritage::open(&cache?, &flows?, backends?)
    }

    /// Pins this agent's in their place, whose backends have these `names` by their numbers. To be called before anything is put into
    /// the cache.
    ///
    /// # Errors
    ///
    /// There are more backends than numbers, or the directory of the pins cannot be written.
    pub fn pin(&self, names: impl Iterator<Item = BackendName>) -> Result<(), DatapathError> {
        let cache = [self.cache.info()?.id(), self.flows.info()?.id()];
        let mut named: Array<_, Plain<NamedBackend>> = Array::try_from(Map::Array(again(&self.backends)?))?;
        for (number, BackendName { address, nat }) in (0..).zip(names) {
            named.set(number, Plain(NamedBackend { address, nat, cache }), 0)?;
        }
        let [cache, flows, backends] = &self.pins;
        replace_pin(&self.backends, backends)?;
        replace_pin(&self.flows, flows)?;
        replace_pin(&self.cache, cache)
    }
}

/// Pins `map` at `path`, in place of what is there.
fn replace_pin(map: &MapData, path: &Path) -> Result<(), DatapathError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = path.with_file_name(format!("{name}_NEXT"));
    remove_pin(&draft)?;
    map.pin(&draft).map_err(|error| DatapathError::Map(io::Error::other(error)))?;
    std::fs::rename(&draft, path).map_err(DatapathError::pins(path, "pinning the flow cache"))
}

/// What a backend is to other agents, for which its number means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendName {
    /// Its address.
    pub address: Address,
    /// How packets for it are translated; zeroes if they are not.
    pub nat: Nat,
}

/// The flows of the agent before, which may be at work yet.
pub struct Heritage {
    lines: Lines<CachedFlow>,
    /// Its backends by their numbers.
    names: Vec<BackendName>,
}

impl Heritage {
    fn open(cache: &MapData, flows: &MapData, backends: MapData) -> Result<Option<Self>, DatapathError> {
        let ids = [cache.info()?.id(), flows.info()?.id()];
        let names: Array<_, Plain<NamedBackend>> = Array::try_from(Map::Array(backends))?;
        // Numbers of another cache would lead to other backends, and its flows would be others.
        let of_cache = |name: Result<Plain<NamedBackend>, _>| name.ok().filter(|name| name.0.cache == ids);
        let name = |Plain(NamedBackend { address, nat, .. })| BackendName { address, nat };
        let names: Vec<_> = names.iter().map_while(of_cache).map(name).collect();
        if names.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self { lines: Lines::map(cache, Some(flows))?, names }))
    }

    /// The flows, and their backends. What comes or goes meanwhile may be left out.
    pub fn flows(&self) -> impl Iterator<Item = (Cached, BackendName)> {
        self.lines.all().filter_map(|cached| {
            let name = self.names.get(usize::from(cached.value.backend))?;
            Some((cached, *name))
        })
    }
}

/// Removes the pin at `path`, if there is one.
pub(super) fn remove_pin(path: &Path) -> Result<(), DatapathError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(DatapathError::pins(path, "removing a pin")(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The backends that the program may give frames to.
pub struct Backends {
    backends: Array<MapData, Plain<Backend>>,
    tunnels: Array<MapData, Plain<Tunnel>>,
    nats: Array<MapData, Plain<Nat>>,
}

/// What becomes of packets for a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// They stay as they are.
    Direct,
    /// They are wrapped.
    Tunnel(Tunnel),
    /// They are translated.
    Nat(Nat),
}

impl Backends {
    pub(super) fn of(bpf: &Ebpf) -> Result<Self, DatapathError> {
        let (tunnels, nats) = (array(bpf, maps::TUNNELS)?, array(bpf, maps::NATS)?);
        Ok(Self { backends: array(bpf, maps::BACKENDS)?, tunnels, nats })
    }

    /// Tells behind which address `backend` is, on the arm with this number, and what becomes of packets for it; or that it is to be
    /// given nothing.
    ///
    /// # Errors
    ///
    /// There is no such backend in the maps.
    pub fn set(&mut self, backend: u16, mac: Option<Mac>, arm: u8, way: Way) -> Result<(), DatapathError> {
        let way = match way {
            Way::Direct => flow::DIRECT,
            Way::Tunnel(tunnel) => {
                self.tunnels.set(backend.into(), Plain(tunnel), 0)?;
                flow::TUNNELLED
            }
            Way::Nat(nat) => {
                self.nats.set(backend.into(), Plain(nat), 0)?;
                flow::TRANSLATED
            }
        };
        let cell = mac.map_or(Backend::default(), |mac| Backend { mac, exit: arm + 1, way });
        Ok(self.backends.set(backend.into(), Plain(cell), 0)?)
    }
}

/// What the program has forwarded, by backends and by services.
pub struct Forwarded {
    to: Totals,
    of: Totals,
}

/// Counters of each number, per CPU.
type Totals = PerCpuArray<MapData, Plain<Carried>>;

impl Forwarded {
    pub(super) fn of(bpf: &Ebpf) -> Result<Self, DatapathError> {
        let totals = |name| {
            let Some(Map::PerCpuArray(data)) = bpf.map(name) else {
                return Err(DatapathError::NoMap(name));
            };
            Ok(Totals::try_from(Map::PerCpuArray(again(data)?))?)
        };
        Ok(Self { to: totals(maps::CARRIED)?, of: totals(maps::SERVED)? })
    }

    /// What went to `backend`, and what of its answers was translated.
    pub fn to_backend(&self, backend: u16) -> Carried {
        sum(&self.to, backend)
    }

    /// What was for `service`, and what of its answers was translated.
    pub fn of_service(&self, service: u16) -> Carried {
        sum(&self.of, service)
    }
}

/// What was counted for `number`, over all CPUs.
fn sum(totals: &Totals, number: u16) -> Carried {
    let add = |sum: Carried, &Plain(cell): &Plain<Carried>| Carried {
        frames: sum.frames + cell.frames,
        octets: sum.octets + cell.octets,
        answers: sum.answers + cell.answers,
        answer_octets: sum.answer_octets + cell.answer_octets,
    };
    let cells = totals.get(&number.into(), 0);
    cells.map_or(Carried::default(), |cells| cells.iter().fold(Carried::default(), add))
}

fn array<V>(bpf: &Ebpf, name: &'static str) -> Result<Array<MapData, Plain<V>>, DatapathError>
where
    Plain<V>: Pod,
{
    Ok(Array::try_from(Map::Array(again(array_data(bpf, name)?)?))?)
}

/// The array with this name.
pub(super) fn array_data<'a>(bpf: &'a Ebpf, name: &'static str) -> Result<&'a MapData, DatapathError> {
    match bpf.map(name) {
        Some(Map::Array(data)) => Ok(data),
        _ => Err(DatapathError::NoMap(name)),
    }
}

/// The same map by a descriptor of its own, for another thread.
fn again(map: &MapData) -> Result<MapData, DatapathError> {
    let descriptor = map.fd().as_fd().try_clone_to_owned().map_err(DatapathError::Map)?;
    Ok(MapData::from_fd(descriptor)?)
}
