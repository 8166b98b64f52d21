//! What the maps tell the programs: the interface that they run on, its virtual routers and their addresses. A start
//! plans it, writes it, prunes what is configured no more, and restores what was there when it fails.

use std::collections::HashSet;
use std::hash::Hash;
use std::net::IpAddr;

use aya::maps::{Array, HashMap, Map, MapData};
use aya::{Ebpf, Pod};
use baton_common::maps::{self, Device, DiscriminatorKey, FrontendKey, PeerKey, Router, RouterKey, VipKey};
use baton_common::sbfd;

use super::plain::Plain;
use super::{DatapathError, Ownerships};
use crate::address;

/// One virtual router as the data plane needs it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What identifies it on the interface.
    pub key: RouterKey,
    /// Accepted checksums, as flags of [`baton_common::maps`].
    pub checksums: u32,
    /// Accepted versions of VRRP, likewise.
    pub versions: u8,
    /// Authentication type of VRRPv2.
    pub authentication: u8,
    /// The interval in seconds that VRRPv2 must name; 0 for any.
    pub interval_s: u32,
    /// The password of VRRPv2.
    pub password: [u8; 8],
    /// The multicast group that advertisements come to; `None` if they come by unicast.
    pub multicast: Option<IpAddr>,
    /// From whom they come by unicast.
    pub peers: Vec<IpAddr>,
    /// The lowest TTL, or Hop Limit, that is accepted.
    pub least_hops: u8,
    /// This host's primary address, which its adverts come from.
    pub primary: IpAddr,
    /// The MAC that stands for the addresses.
    pub mac: [u8; 6],
    /// What the owner's kernel gets, as flags of [`baton_common::ownership`].
    pub delivery: u8,
    /// The virtual addresses.
    pub vips: Vec<IpAddr>,
}

/// What the maps shall contain: the interface, and each virtual router with its slot.
pub struct Plan {
    device: Device,
    entries: Vec<(Entry, u32)>,
}

impl Plan {
    /// Gives each entry the slot that it has in `known`, else the lowest that nobody has: an agent that is replaced may still
    /// own what is configured no more.
    pub(super) fn new(known: &[(RouterKey, Router)], device: Device, entries: Vec<Entry>) -> Self {
        let slot_of = |key| known.iter().find(|(other, _)| *other == key).map(|(_, router)| router.slot);
        let mut taken: HashSet<u32> = known.iter().map(|(_, router)| router.slot).collect();
        let slots: Vec<u32> = entries
            .iter()
            .map(|entry| {
                slot_of(entry.key).unwrap_or_else(|| {
                    let free = (0..).find(|slot| !taken.contains(slot)).unwrap_or_default();
                    taken.insert(free);
                    free
                })
            })
            .collect();
        Self { device, entries: entries.into_iter().zip(slots).collect() }
    }

    /// The slots of the virtual routers, in order.
    pub fn slots(&self) -> impl Iterator<Item = u32> {
        self.entries.iter().map(|(_, slot)| *slot)
    }

    /// The addresses of the virtual routers, and those that they advertise from.
    fn addresses(&self) -> impl Iterator<Item = (Plain<VipKey>, u32)> {
        self.entries.iter().flat_map(|(entry, slot)| {
            let vips = entry.vips.iter().map(|vip| (*vip, *slot));
            vips.chain([(entry.primary, maps::SOURCE)]).map(|(ip, found)| {
                (Plain(VipKey { vlan: entry.key.vlan, address: address::to_map(ip) }), found)
            })
        })
    }

    fn peers(&self) -> impl Iterator<Item = (Plain<PeerKey>, u32)> {
        self.entries.iter().flat_map(|(entry, slot)| {
            let key = |peer: &IpAddr| PeerKey { slot: *slot, address: address::to_map(*peer) };
            entry.peers.iter().map(move |peer| (Plain(key(peer)), *slot))
        })
    }

    fn discriminators(&self) -> impl Iterator<Item = (Plain<DiscriminatorKey>, u32)> {
        self.entries.iter().map(|(entry, slot)| {
            let RouterKey { vlan, vrid, family, .. } = entry.key;
            let discriminator = sbfd::discriminator(address::to_map(entry.primary), vrid);
            (Plain(DiscriminatorKey { vlan, discriminator, family, _pad: [0; 3] }), *slot)
        })
    }
}

/// What the maps contained before a start.
pub(super) struct Contents {
    device: Device,
    routers: Vec<(RouterKey, Router)>,
    addresses: Vec<(Plain<VipKey>, u32)>,
    discriminators: Vec<(Plain<DiscriminatorKey>, u32)>,
    peers: Vec<(Plain<PeerKey>, u32)>,
    /// The MACs and deliveries that the start may write, each with its slot.
    cells: Vec<(u32, [u8; 6], u8)>,
}

impl Contents {
    /// Reads what is there before `plan` is written.
    pub(super) fn read(bpf: &Ebpf, cells: &Ownerships, plan: &Plan) -> Result<Self, DatapathError> {
        let device: Array<_, Plain<Device>> = Array::try_from(map(bpf, maps::DEVICE)?)?;
        Ok(Self {
            device: device.get(&0, 0)?.0,
            routers: routers(bpf)?,
            addresses: slots(bpf, maps::VIPS)?,
            discriminators: slots(bpf, maps::DISCRIMINATORS)?,
            peers: slots(bpf, maps::PEERS)?,
            cells: plan.slots().map(|slot| (slot, cells.mac(slot), cells.delivery(slot))).collect(),
        })
    }

    /// Adds it to what the maps contain, so that the programs fence its addresses before they are bound again.
    pub(super) fn write(&self, bpf: &mut Ebpf) -> Result<(), DatapathError> {
        write_device(bpf, self.device)?;
        write_slots(bpf, maps::PEERS, self.peers.iter().copied())?;
        write_routers(bpf, self.routers.iter().copied())?;
        write_slots(bpf, maps::VIPS, self.addresses.iter().copied())?;
        write_slots(bpf, maps::DISCRIMINATORS, self.discriminators.iter().copied())
    }

    /// Removes all else from the maps.
    pub(super) fn prune(&self, bpf: &mut Ebpf, cells: &Ownerships) -> Result<(), DatapathError> {
        prune_slots(bpf, maps::VIPS, self.addresses.iter().copied())?;
        prune_slots(bpf, maps::DISCRIMINATORS, self.discriminators.iter().copied())?;
        prune_routers(bpf, &self.routers.iter().map(|(key, _)| *key).collect())?;
        prune_slots(bpf, maps::PEERS, self.peers.iter().copied())?;
        for &(slot, mac, delivery) in &self.cells {
            cells.set_mac(slot, mac);
            cells.set_delivery(slot, delivery);
        }
        Ok(())
    }
}

/// The virtual routers that the maps know.
pub(super) fn routers(bpf: &Ebpf) -> Result<Vec<(RouterKey, Router)>, DatapathError> {
    let map: HashMap<_, Plain<RouterKey>, Plain<Router>> = HashMap::try_from(map(bpf, maps::ROUTERS)?)?;
    let routers = map.iter().map(|entry| entry.map(|(key, router)| (key.0, router.0)));
    Ok(routers.collect::<Result<_, _>>()?)
}

/// Adds what is planned to what the maps contain. What is configured no more stays, so that the programs fence it for as
/// long as its addresses are bound.
pub(super) fn write(bpf: &mut Ebpf, cells: &Ownerships, plan: &Plan) -> Result<(), DatapathError> {
    write_device(bpf, plan.device)?;
    for (entry, slot) in &plan.entries {
        cells.set_mac(*slot, entry.mac);
        cells.set_delivery(*slot, entry.delivery);
    }
    let router = |(entry, slot): &(Entry, u32)| {
        let Entry { key, checksums, versions, authentication, interval_s, password, least_hops, .. } = *entry;
        let primary = address::to_map(entry.primary);
        let multicast = entry.multicast.map_or([0; 16], address::to_map);
        let router = Router {
            slot: *slot,
            checksums,
            primary,
            multicast,
            versions,
            authentication,
            _pad: 0,
            least_hops,
            interval_s,
            password,
        };
        (key, router)
    };
    // Before the router that they are of, which would hear nobody.
    write_slots(bpf, maps::PEERS, plan.peers())?;
    write_routers(bpf, plan.entries.iter().map(router))?;
    write_slots(bpf, maps::VIPS, plan.addresses())?;
    write_slots(bpf, maps::DISCRIMINATORS, plan.discriminators())
}

/// Fills the map of frontends, which is new.
pub(super) fn write_frontends(
    bpf: &mut Ebpf,
    frontends: impl Iterator<Item = (FrontendKey, u32)>,
) -> Result<(), DatapathError> {
    write_slots(bpf, maps::FRONTENDS, frontends.map(|(key, service)| (Plain(key), service)))
}

/// Removes what is not planned. Its addresses are bound no more.
pub(super) fn prune(bpf: &mut Ebpf, plan: &Plan) -> Result<(), DatapathError> {
    prune_slots(bpf, maps::VIPS, plan.addresses())?;
    prune_slots(bpf, maps::DISCRIMINATORS, plan.discriminators())?;
    prune_routers(bpf, &plan.entries.iter().map(|(entry, _)| entry.key).collect())?;
    prune_slots(bpf, maps::PEERS, plan.peers())
}

/// Fails when the addresses of `plan` have no room beside those that the maps contain.
pub(super) fn check_room(bpf: &Ebpf, plan: &Plan) -> Result<(), DatapathError> {
    let is_vip = |(key, slot)| (slot != maps::SOURCE).then_some(key);
    let mut vips: HashSet<Plain<VipKey>> = slots(bpf, maps::VIPS)?.into_iter().filter_map(is_vip).collect();
    let before = vips.len();
    vips.extend(plan.addresses().filter_map(is_vip));
    if vips.len() > maps::MAX_VIPS as usize {
        return Err(DatapathError::NoRoom { before, added: vips.len() - before });
    }
    Ok(())
}

fn write_device(bpf: &mut Ebpf, device: Device) -> Result<(), DatapathError> {
    Ok(Array::try_from(map_mut(bpf, maps::DEVICE)?)?.set(0, Plain(device), 0)?)
}

fn write_routers(
    bpf: &mut Ebpf,
    mut routers: impl Iterator<Item = (RouterKey, Router)>,
) -> Result<(), DatapathError> {
    let mut map: HashMap<_, Plain<RouterKey>, Plain<Router>> =
        HashMap::try_from(map_mut(bpf, maps::ROUTERS)?)?;
    Ok(routers.try_for_each(|(key, router)| map.insert(Plain(key), Plain(router), 0))?)
}

/// What a map from keys to slots contains.
fn slots<K: Pod>(bpf: &Ebpf, name: &'static str) -> Result<Vec<(K, u32)>, DatapathError> {
    let map: HashMap<_, K, u32> = HashMap::try_from(map(bpf, name)?)?;
    Ok(map.iter().collect::<Result<_, _>>()?)
}

/// Adds `entries` to a map from keys to slots, or other numbers.
fn write_slots<K: Pod>(
    bpf: &mut Ebpf,
    name: &'static str,
    mut entries: impl Iterator<Item = (K, u32)>,
) -> Result<(), DatapathError> {
    let mut map: HashMap<_, K, u32> = HashMap::try_from(map_mut(bpf, name)?)?;
    Ok(entries.try_for_each(|(key, slot)| map.insert(key, slot, 0))?)
}

/// Removes what is not among `kept` from a map from keys to slots.
fn prune_slots<K: Pod + Eq + Hash>(
    bpf: &mut Ebpf,
    name: &'static str,
    kept: impl Iterator<Item = (K, u32)>,
) -> Result<(), DatapathError> {
    let kept: HashSet<K> = kept.map(|(key, _)| key).collect();
    let map: HashMap<&mut MapData, K, u32> = HashMap::try_from(map_mut(bpf, name)?)?;
    prune_map(map, |key| kept.contains(key))
}

fn prune_routers(bpf: &mut Ebpf, kept: &HashSet<RouterKey>) -> Result<(), DatapathError> {
    let map: HashMap<&mut MapData, Plain<RouterKey>, Plain<Router>> =
        HashMap::try_from(map_mut(bpf, maps::ROUTERS)?)?;
    prune_map(map, |key| kept.contains(&key.0))
}

fn prune_map<K: Pod, V: Pod>(
    mut map: HashMap<&mut MapData, K, V>,
    is_kept: impl Fn(&K) -> bool,
) -> Result<(), DatapathError> {
    let keys: Vec<K> = map.keys().collect::<Result<_, _>>()?;
    Ok(keys.iter().filter(|key| !is_kept(key)).try_for_each(|key| map.remove(key))?)
}

fn map<'a>(bpf: &'a Ebpf, name: &'static str) -> Result<&'a Map, DatapathError> {
    bpf.map(name).ok_or(DatapathError::NoMap(name))
}

fn map_mut<'a>(bpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Map, DatapathError> {
    bpf.map_mut(name).ok_or(DatapathError::NoMap(name))
}
