//! Whether the nodes of a virtual router would send a flow to the same backend: each tells the others the digests of its tables, once a
//! second and when one changes, and the operator hears when they differ. A wing of the engine: nothing waits for it, and nothing that is
//! heard changes anything.

mod datagram;
mod peers;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use baton_common::vrid::{Family, Vrid};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::maglev::Table;
use super::plan::Plan;
use super::pools::Pools;
use crate::clock;
use crate::config::RouterConfig;
use crate::socket::{DatagramSocket, Heard};
use crate::vrrp::Instant;

pub use datagram::{Datagram, MAX_LENGTH, PORT, PoolDigest, hash_of_name};
pub(super) use peers::Peers;
pub use peers::{Accord, PeerTable};

use peers::News;

/// How often there is a look at what has come and at the own tables.
const LOOK: Duration = Duration::from_millis(100);
/// How often the tables are told, though they are the same.
const REPETITION: Duration = Duration::from_secs(1);
/// Datagrams that are heard in one look; what a flood brings beyond that the kernel drops.
const BATCH: usize = 256;
/// After how long a socket that could not be had is tried again.
const PAUSE: Duration = Duration::from_secs(10);

/// A virtual router that has services, among its nodes.
#[derive(Clone, Debug)]
pub struct Circle {
    vrid: Vrid,
    family: Family,
    /// The address of this node that its adverts come from.
    source: IpAddr,
    /// The group that all nodes hear, unless they are `peers`.
    multicast: Option<IpAddr>,
    /// The other nodes.
    peers: Vec<IpAddr>,
    least_hops: u8,
    /// The pools of its services.
    pools: Vec<usize>,
}

impl Circle {
    /// That of the virtual router `config` with the services that `plan` has at its addresses; `None` if there are none. Its adverts come
    /// from `source`, and these datagrams go the same ways.
    pub fn of(config: &RouterConfig, source: IpAddr, plan: &Plan) -> Option<Self> {
        let of_router = plan.services.iter().filter(|service| config.vips.contains(&service.vip));
        let pools: BTreeSet<usize> = of_router.map(|service| service.pool).collect();
        (!pools.is_empty()).then(|| Self {
            vrid: config.vrid,
            family: config.family(),
            source,
            multicast: config.peers.is_empty().then_some(config.multicast),
            peers: config.peers.iter().copied().filter(|peer| *peer != source).collect(),
            least_hops: config.least_hops,
            pools: pools.into_iter().collect(),
        })
    }

    /// The family of its addresses.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Whether what was heard may be from another node of this virtual router. That is not proved: any host of the link can say it.
    fn hears(&self, heard: &Heard<'_>, datagram: &Datagram) -> bool {
        (self.vrid, self.family) == (datagram.vrid, datagram.family)
            && heard.hops >= self.least_hops
            && heard.source != self.source
            && (self.multicast.is_some() || self.peers.contains(&heard.source))
    }
}

/// Lines that the log gets in a minute: any host of the link can say anything.
const LINES: u32 = 20;

/// Lines of this minute.
#[derive(Default)]
struct Allowance {
    since: Instant,
    taken: u32,
}

impl Allowance {
    /// The number of the next line, from 0 on.
    fn take(&mut self, now: Instant) -> u32 {
        if now.saturating_since(self.since) >= Duration::from_secs(60) {
            *self = Self { since: now, taken: 0 };
        }
        let number = self.taken;
        self.taken = self.taken.saturating_add(1);
        number
    }
}

/// What compares the tables of an interface with those of other nodes, in datagrams of one family.
pub(super) struct Comparison<'a> {
    pub(super) plan: &'a Plan,
    pub(super) pools: &'a ArcSwap<Pools>,
    pub(super) peers: &'a Mutex<Peers>,
    pub(super) interface: &'a str,
    /// The virtual routers, all of one family.
    pub(super) circles: Vec<Circle>,
}

impl Comparison<'_> {
    /// Compares for ever, through a socket on the interface with this index.
    pub(super) async fn run(self, family: Family, index: u32) {
        let mut socket = self.open(family, index).await;
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut told, mut told_at) = (Vec::new(), Instant::default());
        let mut allowance = Allowance::default();
        loop {
            looks.tick().await;
            let now = clock::now();
            let pools = self.pools.load();
            let own = (0..self.plan.pools.len()).map(|pool| pools.table(pool).map_or(0, Table::digest));
            let own: Vec<u64> = own.collect();
            if own != told || now.saturating_since(told_at) >= REPETITION {
                self.tell(&socket, &own);
                (told, told_at) = (own.clone(), now);
            }
            self.listen(&mut socket, now);
            let news = self.peers().compare(&own, now);
            for news in news {
                match allowance.take(now) {
                    ..LINES => self.say(&news, own[news.pool]),
                    LINES => tracing::warn!(
                        interface = self.interface,
                        "more about tables of peers is in `baton engine backends`"
                    ),
                    _ => {}
                }
            }
        }
    }

    async fn open(&self, family: Family, index: u32) -> DatagramSocket {
        let groups = self.circles.iter().filter_map(|circle| circle.multicast).collect();
        let mut is_said = false;
        loop {
            match DatagramSocket::open(family, self.interface, index, &groups, PORT) {
                Ok(socket) => return socket,
                Err(error) if !is_said => {
                    let (interface, family) = (self.interface, family.name());
                    tracing::warn!(interface, family, %error, "tables are not compared with other nodes; if the address is in use, another program has UDP port {PORT}");
                    is_said = true;
                }
                Err(_) => {}
            }
            sleep(PAUSE).await;
        }
    }

    /// Tells the other nodes the digests of this one.
    fn tell(&self, socket: &DatagramSocket, own: &[u64]) {
        for Circle { vrid, family, source, multicast, peers, pools, .. } in &self.circles {
            let digest = |pool: &usize| {
                let name = hash_of_name(&self.plan.pools[*pool].name);
                PoolDigest { name, digest: own[*pool] }
            };
            let digests: Vec<PoolDigest> = pools.iter().map(digest).collect();
            for datagram in Datagram::of(*vrid, *family, &digests) {
                let octets = datagram.build();
                for to in multicast.iter().chain(peers) {
                    if let Err(error) = socket.send(&octets, *source, *to) {
                        // It is said again in a second; that adverts do not leave is told elsewhere.
                        tracing::debug!(interface = self.interface, %to, %error, "digests not sent");
                    }
                }
            }
        }
    }

    /// Takes note of what other nodes have told.
    fn listen(&self, socket: &mut DatagramSocket, now: Instant) {
        // One octet more than any has, which tells those that are too long.
        let mut buffer = [0; MAX_LENGTH + 1];
        for _ in 0..BATCH {
            let Some(heard) = socket.receive(&mut buffer) else { break };
            let Some(datagram) = Datagram::parse(heard.octets) else { continue };
            if let Some(circle) = self.circles.iter().find(|circle| circle.hears(&heard, &datagram)) {
                self.peers().hear(heard.source, &circle.pools, &datagram.pools, now);
            }
        }
    }

    fn say(&self, News { pool, table }: &News, own: u64) {
        let (interface, pool, peer) = (self.interface, &self.plan.pools[*pool].name, table.peer);
        let own = format!("{own:016x}");
        match (table.accord, table.digest) {
            (Accord::Agrees, _) => {
                tracing::info!(interface, pool, %peer, table = own, "the peer has the same table of this pool");
            }
            (Accord::Differs, Some(theirs)) => {
                let theirs = format!("{theirs:016x}");
                tracing::warn!(interface, pool, %peer, table = own, theirs, "the peer has another table of this pool, and would break connections if the VIP moved: give both nodes the same backends and weights, reload the one that was not yet, and see `baton engine backends` on both");
            }
            (Accord::Differs, None) => {
                tracing::warn!(interface, pool, %peer, table = own, "the peer has no such pool for the services of this virtual router: give both nodes the same configuration, and reload the one that was not yet");
            }
            (Accord::Changing, _) => {}
        }
    }

    fn peers(&self) -> MutexGuard<'_, Peers> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));

    fn vrid(octet: u8) -> Vrid {
        Vrid::new(octet).expect("not 0")
    }

    #[test]
    fn only_what_may_be_from_another_node_of_the_same_virtual_router_is_heard() {
        let group = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18));
        // The group or the peers, the least TTL, who says it with what TTL for which virtual router, and whether it is heard.
        for (multicast, peers, least_hops, source, hops, about, is_heard) in [
            (Some(group), vec![], 255, PEER, 255, (51, Family::Ipv4), true),
            (Some(group), vec![], 255, PEER, 254, (51, Family::Ipv4), false),
            (Some(group), vec![], 255, SOURCE, 255, (51, Family::Ipv4), false),
            (Some(group), vec![], 255, PEER, 255, (52, Family::Ipv4), false),
            (Some(group), vec![], 255, PEER, 255, (51, Family::Ipv6), false),
            (None, vec![PEER], 255, PEER, 255, (51, Family::Ipv4), true),
            (None, vec![PEER], 255, STRANGER, 255, (51, Family::Ipv4), false),
            (None, vec![PEER], 64, PEER, 64, (51, Family::Ipv4), true),
            (None, vec![PEER], 64, PEER, 63, (51, Family::Ipv4), false),
        ] {
            let circle = Circle {
                vrid: vrid(51),
                family: Family::Ipv4,
                source: SOURCE,
                multicast,
                peers,
                least_hops,
                pools: vec![0],
            };
            let datagram = Datagram { vrid: vrid(about.0), family: about.1, pools: Vec::new() };
            let heard = Heard { source, hops, octets: &[] };
            assert_eq!(circle.hears(&heard, &datagram), is_heard, "{heard:?} {datagram:?} {circle:?}");
        }
    }
}
