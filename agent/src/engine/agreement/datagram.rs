//! How nodes tell each other their tables: datagrams of this layout, numbers in network order.
//!
//! ```text
//!  0        4         5      6        7       8
//!  | "BtnD" | version | VRID | family | pools | pools x ( hash of the name: 8 | digest of the table: 8 )
//! ```
//!
//! One is about the services of one virtual router, whose other nodes are to have the same tables; others on the link have pools of
//! their own, perhaps of the same names. What has more pools than fit is said in several: each pool is there for itself, and one that
//! is in none is one that the sender has not.

use baton_common::vrid::{Family, Vrid};

use super::super::maglev::hash;

/// The UDP port that it is sent to, and from: the one after S-BFD's, which is registered for nobody.
pub const PORT: u16 = 7785;

const MAGIC: [u8; 4] = *b"BtnD";
/// Of the layout, and of everything that makes a digest.
const VERSION: u8 = 1;
const HEADER: usize = 8;
const ENTRY: usize = 16;
/// Pools of a datagram, which then fits into the least packet of IPv6.
const MAX_POOLS: usize = 64;
/// Octets of the longest datagram.
pub const MAX_LENGTH: usize = HEADER + MAX_POOLS * ENTRY;

/// Key of the hash function over a pool's name, the same on all nodes, for ever.
const NAME: u64 = 4;

/// The table of a pool, as one node tells another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolDigest {
    /// The hash of the pool's name.
    pub name: u64,
    /// The digest of its table.
    pub digest: u64,
}

/// What stands for the pool `name` in datagrams.
pub fn hash_of_name(name: &str) -> u64 {
    hash(NAME, name.as_bytes())
}

/// What a datagram says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The virtual router that has services, and its family.
    pub vrid: Vrid,
    /// See [`vrid`](Self::vrid).
    pub family: Family,
    /// Some of the pools that these services have, or all.
    pub pools: Vec<PoolDigest>,
}

impl Datagram {
    /// What a node sends about all of `pools`.
    pub fn of(vrid: Vrid, family: Family, pools: &[PoolDigest]) -> impl Iterator<Item = Self> {
        pools.chunks(MAX_POOLS).map(move |pools| Self { vrid, family, pools: pools.to_vec() })
    }

    /// Its octets. There are no more than 64 pools in it.
    pub fn build(&self) -> Vec<u8> {
        let Self { vrid, family, pools } = self;
        let count = u8::try_from(pools.len()).unwrap_or_default();
        let mut octets = MAGIC.to_vec();
        octets.extend([VERSION, vrid.get(), *family as u8, count]);
        for PoolDigest { name, digest } in pools {
            octets.extend(name.to_be_bytes());
            octets.extend(digest.to_be_bytes());
        }
        octets
    }

    /// What `octets` say; `None` if they are no such datagram, or one of another version.
    pub fn parse(octets: &[u8]) -> Option<Self> {
        let (header, entries) = octets.split_first_chunk::<HEADER>()?;
        let [a, b, c, d, version, vrid, family, count] = *header;
        let family = match family {
            4 => Family::Ipv4,
            6 => Family::Ipv6,
            _ => return None,
        };
        let count = usize::from(count);
        let (entries, rest) = entries.as_chunks::<ENTRY>();
        let is_whole = rest.is_empty() && entries.len() == count && (1..=MAX_POOLS).contains(&count);
        if [a, b, c, d] != MAGIC || version != VERSION || !is_whole {
            return None;
        }
        let pool = |entry: &[u8; ENTRY]| {
            let &[name, digest] = entry.as_chunks::<8>().0 else { return None };
            Some(PoolDigest { name: u64::from_be_bytes(name), digest: u64::from_be_bytes(digest) })
        };
        let pools = entries.iter().map(pool).collect::<Option<_>>()?;
        Some(Self { vrid: Vrid::new(vrid)?, family, pools })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOLS: [PoolDigest; 2] =
        [PoolDigest { name: 0x0102_0304_0506_0708, digest: 9 }, PoolDigest { name: 1, digest: u64::MAX }];

    fn datagram() -> Datagram {
        Datagram { vrid: Vrid::new(51).expect("not 0"), family: Family::Ipv6, pools: POOLS.to_vec() }
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let octets = [
            &b"BtnD\x01\x33\x06\x02"[..],
            &[1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 9],
            &[0, 0, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 255, 255],
        ]
        .concat();
        assert_eq!(datagram().build(), octets);
        assert_eq!(Datagram::parse(&octets), Some(datagram()));
    }

    #[test]
    fn what_is_cut_or_too_long_or_not_ours_is_refused() {
        let good = datagram().build();
        for length in 0..good.len() {
            assert_eq!(Datagram::parse(&good[..length]), None, "{length} octets");
        }
        assert_eq!(Datagram::parse(&[&good[..], &[0]].concat()), None);
        assert_eq!(Datagram::parse(&[&good[..], &[0; ENTRY]].concat()), None);
        for (at, value) in [(0, b'b'), (4, 0), (4, 2), (5, 0), (6, 0), (6, 5), (7, 1), (7, 3), (7, 255)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(Datagram::parse(&bad), None, "octet {at} is {value}");
        }
        assert_eq!(Datagram::parse(b"BtnD\x01\x33\x06\x00"), None, "about nothing");
    }

    #[test]
    fn more_pools_than_fit_are_said_in_several_that_all_fit() {
        let pools: Vec<PoolDigest> = (0..256).map(|name| PoolDigest { name, digest: name }).collect();
        let Datagram { vrid, family, .. } = datagram();
        let all: Vec<Datagram> = Datagram::of(vrid, family, &pools).collect();
        assert_eq!(all.iter().map(|it| it.build().len()).collect::<Vec<_>>(), [MAX_LENGTH; 4]);
        let heard = all.iter().map(|it| Datagram::parse(&it.build()).expect("one of ours"));
        assert_eq!(heard.flat_map(|it| it.pools).collect::<Vec<_>>(), pools);
        // IPv6, UDP.
        assert_eq!(40 + 8 + MAX_LENGTH, 1080);
    }

    #[test]
    fn names_have_the_same_hash_for_ever() {
        assert_eq!(
            hash_of_name("web"),
            9_962_198_099_656_497_568,
            "nodes of two versions would not understand each other"
        );
    }
}
