//! What the engine tells the XDP program of flows and backends, and what that has seen of them.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray};
use aya::{Ebpf, Pod};
use baton_common::flow::{Backend, CachedFlow, Carried, Flow, Tunnel};
use baton_common::maps;

use super::plain::Plain;
use super::{DatapathError, Pins};
use crate::wire::Mac;

/// The flows that the program forwards by itself.
pub struct FlowCache(HashMap<MapData, Plain<Flow>, Plain<CachedFlow>>);

impl FlowCache {
    pub(super) fn of(bpf: &Ebpf) -> Result<Self, DatapathError> {
        let Some(Map::LruHashMap(data)) = bpf.map(maps::FLOW_CACHE) else {
            return Err(DatapathError::NoMap(maps::FLOW_CACHE));
        };
        Ok(Self(HashMap::try_from(Map::LruHashMap(again(data)?))?))
    }

    /// Has the program forward `flow`. What the map refuses stays the engine's.
    pub fn put(&mut self, flow: Flow, cached: CachedFlow) {
        let _ = self.0.insert(Plain(flow), Plain(cached), 0);
    }

    /// Ends that. A flow that is not there is what is wanted.
    pub fn remove(&mut self, flow: &Flow) {
        let _ = self.0.remove(&Plain(*flow));
    }

    /// What the program knows of `flow`.
    pub fn find(&self, flow: &Flow) -> Option<CachedFlow> {
        self.0.get(&Plain(*flow), 0).ok().map(|cached| cached.0)
    }

    /// The flows that the program knows. One that comes or goes meanwhile may be left out, or make others come twice.
    pub fn all(&self) -> impl Iterator<Item = (Flow, CachedFlow)> {
        self.0.iter().flatten().map(|(flow, cached)| (flow.0, cached.0))
    }
}

/// The flow cache on its way to the next agent.
pub struct FlowHandover {
    cache: MapData,
    pin: PathBuf,
}

impl FlowHandover {
    pub(super) fn of(bpf: &Ebpf, pins: &Pins) -> Result<Self, DatapathError> {
        let Some(Map::LruHashMap(data)) = bpf.map(maps::FLOW_CACHE) else {
            return Err(DatapathError::NoMap(maps::FLOW_CACHE));
        };
        Ok(Self { cache: again(data)?, pin: pins.map(maps::FLOW_CACHE) })
    }

    /// The flow cache that the agent before has pinned.
    ///
    /// # Errors
    ///
    /// The pin cannot be opened, or is none of a flow cache.
    pub fn before(&self) -> Result<Option<FlowCache>, DatapathError> {
        if !self.pin.exists() {
            return Ok(None);
        }
        let map = Map::LruHashMap(MapData::from_pin(&self.pin)?);
        Ok(Some(FlowCache(HashMap::try_from(map)?)))
    }

    /// Pins this agent's in its place.
    ///
    /// # Errors
    ///
    /// The directory of the pins cannot be written.
    pub fn pin(&self) -> Result<(), DatapathError> {
        // It takes its place at once, so that there is one at any time.
        let draft = self.pin.with_file_name(format!("{}_NEXT", maps::FLOW_CACHE));
        remove_pin(&draft)?;
        self.cache.pin(&draft).map_err(|error| DatapathError::Map(io::Error::other(error)))?;
        std::fs::rename(&draft, &self.pin).map_err(DatapathError::pins(&self.pin, "pinning the flow cache"))
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
}

impl Backends {
    pub(super) fn of(bpf: &Ebpf) -> Result<Self, DatapathError> {
        Ok(Self { backends: array(bpf, maps::BACKENDS)?, tunnels: array(bpf, maps::TUNNELS)? })
    }

    /// Tells behind which address `backend` is, and what its packets go through; or that it is to be given nothing.
    ///
    /// # Errors
    ///
    /// There is no such backend in the maps.
    pub fn set(
        &mut self,
        backend: u16,
        mac: Option<Mac>,
        tunnel: Option<Tunnel>,
    ) -> Result<(), DatapathError> {
        if let Some(tunnel) = tunnel {
            self.tunnels.set(backend.into(), Plain(tunnel), 0)?;
        }
        let is_tunnelled = tunnel.is_some().into();
        let cell = mac.map_or(Backend::default(), |mac| Backend { mac, is_up: 1, is_tunnelled });
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

    /// Frames and octets that went to `backend`.
    pub fn to_backend(&self, backend: u16) -> (u64, u64) {
        sum(&self.to, backend)
    }

    /// Frames and octets that were for `service`.
    pub fn of_service(&self, service: u16) -> (u64, u64) {
        sum(&self.of, service)
    }
}

/// Frames and octets of `number`, over all CPUs.
fn sum(totals: &Totals, number: u16) -> (u64, u64) {
    let add = |(frames, octets), cell: &Plain<Carried>| (frames + cell.0.frames, octets + cell.0.octets);
    totals.get(&number.into(), 0).map_or((0, 0), |cells| cells.iter().fold((0, 0), add))
}

fn array<V>(bpf: &Ebpf, name: &'static str) -> Result<Array<MapData, Plain<V>>, DatapathError>
where
    Plain<V>: Pod,
{
    let Some(Map::Array(data)) = bpf.map(name) else {
        return Err(DatapathError::NoMap(name));
    };
    Ok(Array::try_from(Map::Array(again(data)?))?)
}

/// The same map by a descriptor of its own, for another thread.
fn again(map: &MapData) -> Result<MapData, DatapathError> {
    let descriptor = map.fd().as_fd().try_clone_to_owned().map_err(DatapathError::Map)?;
    Ok(MapData::from_fd(descriptor)?)
}
