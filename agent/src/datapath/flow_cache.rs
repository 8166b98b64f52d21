//! What the engine tells the XDP program of flows and backends, and what that has seen of them.

use std::os::fd::AsFd;

use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray};
use aya::{Ebpf, Pod};
use baton_common::flow::{Backend, CachedFlow, Carried, Flow, Tunnel};
use baton_common::maps;

use super::DatapathError;
use super::plain::Plain;
use crate::vrrp::Instant;
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

    /// Has the program forward `flow` to `backend`. What the map refuses stays the engine's.
    pub fn put(&mut self, flow: Flow, backend: u16) {
        let cached = CachedFlow { backend: backend.into(), ..CachedFlow::default() };
        let _ = self.0.insert(Plain(flow), Plain(cached), 0);
    }

    /// Ends that. A flow that is not there is what is wanted.
    pub fn remove(&mut self, flow: &Flow) {
        let _ = self.0.remove(&Plain(*flow));
    }

    /// When the program has forwarded a frame of `flow`, if it knows it.
    pub fn seen(&self, flow: &Flow) -> Option<Instant> {
        self.0.get(&Plain(*flow), 0).ok().map(|cached| Instant::from_nanos(cached.0.seen_ns))
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

/// What the program has forwarded to each backend.
pub struct Forwarded(PerCpuArray<MapData, Plain<Carried>>);

impl Forwarded {
    pub(super) fn of(bpf: &Ebpf) -> Result<Self, DatapathError> {
        let Some(Map::PerCpuArray(data)) = bpf.map(maps::CARRIED) else {
            return Err(DatapathError::NoMap(maps::CARRIED));
        };
        Ok(Self(PerCpuArray::try_from(Map::PerCpuArray(again(data)?))?))
    }

    /// Frames and octets that went to `backend`, over all CPUs.
    pub fn to(&self, backend: u16) -> (u64, u64) {
        let per_cpu = self.0.get(&backend.into(), 0);
        per_cpu.map_or((0, 0), |cells| {
            cells
                .iter()
                .fold((0, 0), |(frames, octets), cell| (frames + cell.0.frames, octets + cell.0.octets))
        })
    }
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
