//! A virtual router in the driver: the core's state machine with what surrounds it.

use std::net::IpAddr;
use std::time::Duration;

use baton_common::maps::{
    ACCEPT_PSEUDO, ACCEPT_RFC9568, ACCEPT_V2, ACCEPT_V3, NO_AUTHENTICATION, PASSWORD, RouterKey, VlanId,
};
use baton_common::ownership::{BALANCED, GATEWAY, Mailbox, NOT_ACCEPTED};
use baton_common::vrid::{Family, Vrid};

use super::arrival::{Arrival, almost_took_over};
use super::command::{MAX_PEERS, PeerSnapshot};
use crate::address;
use crate::announce::Announcer;
use crate::config::{Delivery, MacMode, RouterConfig};
use crate::datapath::Entry;
use crate::recorder::{Recorder, Stages};
use crate::sbfd::Spoken;
use crate::vrrp::{
    Advertisement, Checksum, ChecksumMode, Instant, Interval, Parameters, Standing, Version, Versions,
    VirtualRouter, learned_interval, lease_interval,
};
use crate::wire::{
    Announcement, BuildError, Expected, MAX_ADVERTISEMENT_FRAME, Mac, Outgoing, announcements, max_addresses,
    question,
};

/// VLAN sub-interfaces carry untagged frames; tags on a parent interface are not configurable.
const UNTAGGED: VlanId = 0;

/// One virtual router.
pub struct Router {
    pub(super) core: VirtualRouter<IpAddr>,
    pub(super) slot: u32,
    pub(super) announcer: Announcer,
    pub(super) recorder: Recorder,
    pub(super) peers: [Option<PeerSnapshot>; MAX_PEERS],
    /// Stages of the input that is being handled.
    pub(super) stages: Stages,
    /// When an advertisement was last handled; what the mailbox has beyond that is news.
    pub(super) heard: Instant,
    /// Whether adverts can be sent: there are a carrier and the address that they come from.
    pub(super) usable: bool,
    mac: Mac,
    /// The multicast group that adverts go to, unless there are `unicast` peers.
    multicast: IpAddr,
    /// Who is advertised to by unicast.
    unicast: Vec<IpAddr>,
    least_hops: u8,
    arrival: Option<Arrival>,
    /// The group that it moves with.
    pub(super) group: Option<String>,
    /// Whether the others of the group are to hear that the role was lost.
    pub(super) lost: bool,
    vips: Vec<IpAddr>,
    /// What advertisements name of them, for comparison with another router's list, whose order means nothing.
    sorted_advertised: Vec<IpAddr>,
}

/// What an advertisement names of `vips`: it has room for [`max_addresses`].
fn advertised(vips: &[IpAddr]) -> &[IpAddr] {
    let room = vips.first().map_or(0, |first| max_addresses(address::family(*first)));
    &vips[..vips.len().min(room)]
}

impl Router {
    /// A virtual router in Initialize. `slot` is its place in the maps, `mailbox` what an earlier run has heard.
    pub fn new(config: &RouterConfig, entry: &Entry, slot: u32, mailbox: &Mailbox) -> Self {
        let mut sorted_advertised = advertised(&config.vips).to_vec();
        sorted_advertised.sort_unstable();
        let parameters = Parameters {
            vrid: config.vrid,
            priority: config.priority,
            interval: config.interval,
            down_adverts: config.down_adverts,
            preempt: config.preempt,
            preempt_delay: config.preempt_delay,
            startup_hold: config.startup_hold,
            primary: entry.primary,
            checksum: config.checksum,
            versions: config.versions,
        };
        let core = VirtualRouter::new(parameters, flavour(mailbox));
        let core = if config.trackers.is_empty() { core } else { core.tracked() };
        Self {
            core: if config.group.is_some() { core.grouped() } else { core },
            slot,
            announcer: Announcer::new(config.mac),
            recorder: Recorder::default(),
            peers: [None; MAX_PEERS],
            stages: Stages::default(),
            heard: Instant::from_nanos(mailbox.arrived_ns),
            usable: false,
            mac: entry.mac,
            multicast: config.multicast,
            unicast: entry.peers.clone(),
            least_hops: entry.least_hops,
            arrival: None,
            group: config.group.clone(),
            lost: false,
            vips: config.vips.clone(),
            sorted_advertised,
        }
    }

    /// What the data plane has to know of the virtual router `config` on a device with `device_mac` and `primary`.
    pub fn entry(config: &RouterConfig, device_mac: Mac, primary: IpAddr) -> Entry {
        let family = config.family();
        let seconds = config.interval.seconds().map_or(0, u32::from);
        let (versions, interval_s, password) = match config.versions {
            Versions::Only(Version::V3) => (ACCEPT_V3, 0, None),
            Versions::Only(Version::V2 { password }) => (ACCEPT_V2, seconds, password),
            // RFC 9568 8.4.2: whatever an Active router of VRRPv2 names is learned.
            Versions::Both { password } => (ACCEPT_V3 | ACCEPT_V2, 0, password),
        };
        Entry {
            key: RouterKey { vlan: UNTAGGED, vrid: config.vrid.get(), family: family as u8, _pad: [0; 2] },
            checksums: match config.checksum {
                ChecksumMode::Only(Checksum::Rfc9568) => ACCEPT_RFC9568,
                ChecksumMode::Only(Checksum::Pseudo) => ACCEPT_PSEUDO,
                ChecksumMode::Auto(_) => ACCEPT_RFC9568 | ACCEPT_PSEUDO,
            },
            versions,
            authentication: if password.is_some() { PASSWORD } else { NO_AUTHENTICATION },
            interval_s,
            password: password.unwrap_or_default(),
            multicast: config.peers.is_empty().then_some(config.multicast),
            peers: config.peers.iter().copied().filter(|peer| *peer != primary).collect(),
            least_hops: config.least_hops,
            primary,
            mac: match config.mac {
                MacMode::Virtual => config.vrid.virtual_mac(family),
                MacMode::Interface => device_mac,
            },
            delivery: delivery(config),
            vips: config.vips.clone(),
        }
    }

    /// Its place in the maps.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// What the operator has decided about it.
    pub fn parameters(&self) -> &Parameters<IpAddr> {
        self.core.parameters()
    }

    /// The MAC that stands for its addresses.
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// The multicast group that adverts go to, where nobody is advertised to by [unicast](Self::unicast).
    pub fn multicast(&self) -> IpAddr {
        self.multicast
    }

    /// Who is advertised to by unicast; nobody if adverts go to the group.
    pub fn unicast(&self) -> &[IpAddr] {
        &self.unicast
    }

    /// What says priority 0 for it in `version`: the packet to `peer`, or the frame to the group.
    ///
    /// # Errors
    ///
    /// It has no addresses, or too many.
    pub fn farewell(
        &self,
        version: Version,
        checksum: Checksum,
        peer: Option<IpAddr>,
    ) -> Result<Vec<u8>, BuildError> {
        let mut buffer = vec![0; MAX_ADVERTISEMENT_FRAME];
        let advertisement = self.advertisement(self.mac, version, Standing::Leaving, checksum);
        let length = match peer {
            Some(peer) => advertisement.build_packet(peer, &mut buffer)?,
            None => advertisement.build(self.multicast, &mut buffer)?,
        };
        buffer.truncate(length);
        Ok(buffer)
    }

    pub(super) fn is(&self, vlan: VlanId, family: Family, vrid: Vrid) -> bool {
        let parameters = self.core.parameters();
        vlan == UNTAGGED && address::family(parameters.primary) == family && parameters.vrid == vrid
    }

    /// Whether another router has advertised since the advertisement that a lease of an earlier run is counted from.
    pub(super) fn has_spoken_since(&self, lease_until: Instant) -> bool {
        let Parameters { interval, down_adverts, .. } = *self.core.parameters();
        self.heard + lease_interval(interval, down_adverts) > lease_until
    }

    pub(super) fn expected(&self) -> Expected<'_> {
        let parameters = self.core.parameters();
        Expected {
            primary: parameters.primary,
            multicast: self.unicast.is_empty().then_some(self.multicast),
            peers: &self.unicast,
            least_hops: self.least_hops,
            versions: parameters.versions,
            interval: parameters.interval,
            checksum: parameters.checksum,
        }
    }

    /// The link that it is on.
    pub(super) const fn vlan(&self) -> VlanId {
        UNTAGGED
    }

    /// The virtual addresses.
    pub fn vips(&self) -> &[IpAddr] {
        &self.vips
    }

    /// Whether another router advertises the same addresses.
    pub(super) fn has_vips(&self, addresses: impl ExactSizeIterator<Item = IpAddr>) -> bool {
        addresses.len() == self.sorted_advertised.len()
            && addresses.into_iter().all(|vip| self.sorted_advertised.binary_search(&vip).is_ok())
    }

    /// An advertisement from `mac`.
    pub(super) fn advertisement(
        &self,
        mac: Mac,
        version: Version,
        standing: Standing,
        checksum: Checksum,
    ) -> Outgoing<'_> {
        let parameters = self.core.parameters();
        Outgoing {
            mac,
            vlan: UNTAGGED,
            source: parameters.primary,
            version,
            vrid: parameters.vrid,
            standing,
            interval: parameters.interval,
            checksum,
            addresses: advertised(&self.vips),
        }
    }

    /// What tells the neighbours where the address is.
    pub(super) fn announcements(&self, vip: usize) -> [Option<Announcement>; 2] {
        self.vips.get(vip).map_or([None; 2], |address| announcements(self.mac, UNTAGGED, *address))
    }

    /// What asks `gateway` for its hardware address, and tells it where `vip` is.
    pub(super) fn question(&self, vip: IpAddr, gateway: IpAddr) -> Option<Announcement> {
        question(self.mac, UNTAGGED, vip, gateway)
    }

    /// When the core or the announcer wants to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.core.deadline(), self.announcer.deadline()].into_iter().flatten().min()
    }

    /// Remembers who was heard. Returns the peer when it is new, or has other settings than before.
    pub(super) fn note_peer(
        &mut self,
        advertisement: &Advertisement<IpAddr>,
        same_vips: bool,
        heard: Instant,
    ) -> Option<PeerSnapshot> {
        let Advertisement { source, standing, interval, .. } = *advertisement;
        let peer = PeerSnapshot { address: source, standing, interval, heard, same_vips };
        let known = self.peers.iter_mut().flatten().find(|known| known.address == source);
        if let Some(known) = known {
            let changed = known.interval != interval || known.same_vips != same_vips;
            *known = peer;
            return changed.then_some(peer);
        }
        // `None` sorts before every peer, so free places are used first.
        let place = self.peers.iter_mut().min_by_key(|place| place.map(|peer| peer.heard))?;
        *place = Some(peer);
        Some(peer)
    }

    /// Notes the advertisement in `mailbox`, which has been handled. If it is the Active router's, answers with the time since
    /// the one before, as XDP has stamped both, and whether this host was about to take over.
    pub(super) fn note_arrival(&mut self, mailbox: &Mailbox) -> Option<(Duration, bool)> {
        let arrival = Arrival::of(mailbox);
        let before = self.arrival.replace(arrival)?;
        let Parameters { versions, down_adverts, .. } = *self.core.parameters();
        // Who speaks two versions says everything twice.
        let together = if versions.sent().0.is_some() { 2 } else { 1 };
        let gap = arrival.silence(before, together)?;
        let interval = Interval::from_centiseconds(mailbox.interval_cs)?;
        let is_active = self.core.active_router() == Some(arrival.source);
        is_active.then(|| (gap, almost_took_over(gap, interval, down_adverts)))
    }

    /// What was last heard of each peer.
    pub(super) fn spoken(&self) -> impl Iterator<Item = Spoken<IpAddr>> + Clone {
        self.peers.iter().flatten().map(|peer| Spoken {
            router: peer.address,
            standing: peer.standing,
            interval: learned_interval(self.core.parameters().interval, peer.interval),
            heard: peer.heard,
        })
    }

    /// The advertisement in `mailbox`, when it came after the last that was handled.
    pub(super) fn unread(&self, mailbox: &Mailbox) -> Option<(Instant, Advertisement<IpAddr>)> {
        let arrived = Instant::from_nanos(mailbox.arrived_ns);
        if arrived <= self.heard {
            return None;
        }
        let version = self.core.parameters().versions.numbered(mailbox.version)?;
        let checksum = match version {
            Version::V3 => flavour(mailbox)?,
            Version::V2 { .. } => Checksum::Rfc9568,
        };
        let advertisement = Advertisement {
            source: address::from_map(mailbox.source),
            standing: Standing::from_octet(mailbox.priority),
            interval: Interval::from_centiseconds(mailbox.interval_cs)?,
            version,
            checksum,
        };
        Some((arrived, advertisement))
    }
}

/// Where packets go, as flags for the data plane.
fn delivery(config: &RouterConfig) -> u8 {
    let others = match config.delivery {
        Delivery::Host => 0,
        Delivery::Gateway => GATEWAY,
    };
    let accepted = if config.accepts() { 0 } else { NOT_ACCEPTED };
    let balanced = if config.balanced { BALANCED } else { 0 };
    others | accepted | balanced
}

/// The checksum flavour that the last advertisement of VRRPv3 had.
fn flavour(mailbox: &Mailbox) -> Option<Checksum> {
    match u32::from(mailbox.checksum) {
        ACCEPT_RFC9568 => Some(Checksum::Rfc9568),
        ACCEPT_PSEUDO => Some(Checksum::Pseudo),
        _ => None,
    }
}
