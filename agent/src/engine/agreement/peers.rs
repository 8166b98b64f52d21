//! Whether other nodes have the same tables, by what they say. It is told to the operator and changes nothing: whatever is heard here,
//! nobody knows who has sent it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::super::plan::Plan;
use super::datagram::{PoolDigest, hash_of_name};
use crate::config::PoolConfig;
use crate::vrrp::Instant;

/// How long what was heard counts: four times in a row may get lost of what is said once a second.
const REMEMBERED: Duration = Duration::from_secs(5);

/// The least time that tables differ before it is worth a word. What nodes say is up to a second old, and they look at a backend at
/// different times: when it fails, or comes back, one may know up to `interval_ms` and `timeout_ms` before the other. Twice that is no
/// accident any more.
const LASTING: Duration = Duration::from_secs(5);

/// Addresses that are listened to at once, more than a virtual router of either family has nodes.
const MAX_PEERS: usize = 32;

/// How the table of a peer is to that of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accord {
    /// The same.
    Agrees,
    /// Another, and not for long yet.
    Changing,
    /// Another.
    Differs,
}

impl Accord {
    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::Changing => "changing",
            Self::Differs => "differs",
        }
    }
}

/// What a peer says of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerTable {
    /// The address that it advertises from.
    pub peer: IpAddr,
    /// The digest of its table; `None` if it has no such pool.
    pub digest: Option<u64>,
    /// How that is to ours.
    pub accord: Accord,
}

/// What the operator is to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct News {
    /// The number of the pool.
    pub(super) pool: usize,
    /// Of whom; never [`Accord::Changing`].
    pub(super) table: PeerTable,
}

/// What the peers say of the pools of an interface.
#[derive(Debug)]
pub(in crate::engine) struct Peers {
    /// Of each pool the hash of its name, and how long a difference has to last.
    pools: Vec<(u64, Duration)>,
    /// By the numbers of their pools.
    known: BTreeMap<IpAddr, BTreeMap<usize, Compared>>,
}

/// A pool of a peer.
#[derive(Debug)]
struct Compared {
    /// When the peer has last spoken about services that have this pool here.
    spoke: Instant,
    /// The digest that it has named, and when.
    said: Option<(u64, Instant)>,
    differs_since: Option<Instant>,
    accord: Accord,
    /// What the operator has heard.
    told: Option<Accord>,
}

impl Compared {
    /// Looks at the table of this node, and answers with what is news.
    fn look(&mut self, own: u64, lasting: Duration, now: Instant) -> Option<Accord> {
        self.said = self.said.filter(|(_, at)| now.saturating_since(*at) < REMEMBERED);
        let is_same = self.said.is_some_and(|(digest, _)| digest == own);
        self.differs_since = if is_same { None } else { self.differs_since.or(Some(now)) };
        self.accord = match self.differs_since {
            None => Accord::Agrees,
            Some(since) if now.saturating_since(since) >= lasting => Accord::Differs,
            Some(_) => Accord::Changing,
        };
        let is_news = self.accord != Accord::Changing && self.told != Some(self.accord);
        is_news.then(|| *self.told.insert(self.accord))
    }
}

impl Peers {
    /// Nothing was heard of the pools of `plan` yet.
    pub(in crate::engine) fn new(plan: &Plan) -> Self {
        let pool = |PoolConfig { name, interval, patience, .. }: &PoolConfig| {
            (hash_of_name(name), LASTING.max(2 * (*interval + *patience)))
        };
        Self { pools: plan.pools.iter().map(pool).collect(), known: BTreeMap::new() }
    }

    /// `peer` says this about services that have `pools` here.
    pub(super) fn hear(&mut self, peer: IpAddr, pools: &[usize], said: &[PoolDigest], now: Instant) {
        if self.known.len() >= MAX_PEERS && !self.known.contains_key(&peer) {
            return;
        }
        let known = self.known.entry(peer).or_default();
        for pool in pools {
            let new = Compared {
                spoke: now,
                said: None,
                differs_since: None,
                accord: Accord::Changing,
                told: None,
            };
            let compared = known.entry(*pool).or_insert(new);
            compared.spoke = now;
            let named = said.iter().find(|said| said.name == self.pools[*pool].0);
            compared.said = named.map(|named| (named.digest, now)).or(compared.said);
        }
    }

    /// Compares what was heard with the digests of this node, by the numbers of the pools, and forgets who is silent.
    pub(super) fn compare(&mut self, own: &[u64], now: Instant) -> Vec<News> {
        let mut news = Vec::new();
        for (peer, known) in &mut self.known {
            known.retain(|_, compared| now.saturating_since(compared.spoke) < REMEMBERED);
            for (pool, compared) in known {
                if compared.look(own[*pool], self.pools[*pool].1, now).is_some() {
                    news.push(News { pool: *pool, table: table(*peer, compared) });
                }
            }
        }
        self.known.retain(|_, known| !known.is_empty());
        news
    }

    /// What the peers say of `pool`.
    pub(in crate::engine) fn of_pool(&self, pool: usize) -> impl Iterator<Item = PeerTable> {
        let of_peer = move |(peer, known): (&IpAddr, &BTreeMap<usize, Compared>)| {
            known.get(&pool).map(|compared| table(*peer, compared))
        };
        self.known.iter().filter_map(of_peer)
    }
}

fn table(peer: IpAddr, &Compared { said, accord, .. }: &Compared) -> PeerTable {
    PeerTable { peer, digest: said.map(|(digest, _)| digest), accord }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AllFailed;
    use crate::engine::pools::tests::plan;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
    const OURS: u64 = 7;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(1_000_000_000_000 + ms * 1_000_000)
    }

    fn peers() -> Peers {
        Peers::new(&plan(&[1, 1], 2, AllFailed::Drop))
    }

    fn says(digest: u64) -> [PoolDigest; 1] {
        [PoolDigest { name: hash_of_name("web"), digest }]
    }

    /// What the operator hears, each with its second, of a peer that says in each second what a letter stands for: `=` the same table,
    /// `x` another, `o` that it has other pools, and else nothing.
    fn story(letters: &str) -> Vec<(usize, &'static str)> {
        let mut peers = peers();
        let mut told = Vec::new();
        for (second, letter) in letters.chars().enumerate() {
            let now = at(1000 * second as u64);
            let said = match letter {
                '=' => Some(says(OURS)),
                'x' => Some(says(8)),
                'o' => Some([PoolDigest { name: 0, digest: OURS }]),
                _ => None,
            };
            if let Some(said) = said {
                peers.hear(PEER, &[0], &said, now);
            }
            for News { pool, table } in peers.compare(&[OURS], now) {
                assert_eq!((pool, table.peer), (0, PEER));
                told.push((second, table.accord.name()));
            }
        }
        told
    }

    #[test]
    fn a_difference_is_told_once_when_it_has_lasted_and_once_when_it_ends() {
        assert_eq!(story("===="), [(0, "agrees")]);
        assert_eq!(story("==xxxx=="), [(0, "agrees")], "a check that fails on one node first");
        assert_eq!(story("==xxxxxxxxx=="), [(0, "agrees"), (7, "differs"), (11, "agrees")]);
        assert_eq!(story("xxxxxxx"), [(5, "differs")]);
        assert_eq!(story("xxx=xxxx=xxxx"), [(3, "agrees")]);
        assert_eq!(story("==x x x x x x"), [(0, "agrees"), (7, "differs")], "some get lost");
    }

    #[test]
    fn a_pool_that_a_peer_has_not_differs_and_a_silent_peer_is_forgotten() {
        assert_eq!(story("ooooooo"), [(5, "differs")]);
        // Until then it might be in a datagram that got lost.
        assert_eq!(story("=ooooooooooo"), [(0, "agrees"), (10, "differs")]);
        let mut peers = peers();
        peers.hear(PEER, &[0], &says(8), at(0));
        peers.compare(&[OURS], at(4999));
        let table = PeerTable { peer: PEER, digest: Some(8), accord: Accord::Changing };
        assert_eq!(peers.of_pool(0).collect::<Vec<_>>(), [table]);
        assert_eq!(peers.compare(&[OURS], at(5000)), []);
        assert_eq!(peers.of_pool(0).count() + peers.known.len(), 0);
        assert_eq!(story("xxxxxxx      ="), [(5, "differs"), (13, "agrees")]);
    }

    #[test]
    fn a_change_of_this_node_counts_like_one_of_the_other() {
        let mut peers = peers();
        for second in 0..9 {
            peers.hear(PEER, &[0], &says(OURS), at(1000 * second));
            let own = if second < 2 { OURS } else { 8 };
            let told: Vec<Accord> =
                peers.compare(&[own], at(1000 * second)).iter().map(|news| news.table.accord).collect();
            let expected: &[Accord] = match second {
                0 => &[Accord::Agrees],
                7 => &[Accord::Differs],
                _ => &[],
            };
            assert_eq!(told, expected, "{second} s");
        }
    }

    #[test]
    fn where_backends_are_looked_at_seldom_a_difference_has_to_last_longer() {
        let mut plan = plan(&[1], 1, AllFailed::Drop);
        plan.pools[0].interval = Duration::from_secs(10);
        plan.pools[0].patience = Duration::from_secs(2);
        let mut peers = Peers::new(&plan);
        for second in 0..=24 {
            peers.hear(PEER, &[0], &says(8), at(1000 * second));
            assert_eq!(peers.compare(&[OURS], at(1000 * second)).len(), usize::from(second == 24));
        }
    }

    #[test]
    fn strangers_take_no_memory_without_end_and_no_place_for_ever() {
        let mut peers = peers();
        let stranger = |number: u16| IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, number]);
        for number in 0..1000 {
            peers.hear(stranger(number), &[0], &says(8), at(0));
        }
        peers.hear(PEER, &[0], &says(OURS), at(1));
        assert_eq!(peers.of_pool(0).count(), MAX_PEERS);
        assert!(peers.of_pool(0).all(|table| table.peer != PEER));
        peers.compare(&[OURS], at(5000));
        peers.hear(PEER, &[0], &says(OURS), at(5001));
        assert_eq!(peers.of_pool(0).map(|table| table.peer).collect::<Vec<_>>(), [PEER]);
    }
}
