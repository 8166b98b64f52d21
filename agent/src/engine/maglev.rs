//! Maglev hashing (Eisenbud et al., NSDI 2016, 3.4): a table of many slots, each with a backend. Nodes that know the same backends
//! have the same table, and when a backend goes, few slots but its own change hands.

use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip::SipHasher13;

use crate::address;

/// Slots of a table: a prime, as the permutations need it, and a hundred for each of the most backends of a pool.
pub const SLOTS: usize = 65_537;

/// Keys of the two hash functions over a backend's address, and of that over a whole table. The same on all nodes, for ever:
/// other numbers mean other tables. The next key is that of `agreement::datagram`.
const OFFSET: u64 = 1;
const SKIP: u64 = 2;
const DIGEST: u64 = 3;

/// A backend that takes new flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// What the table knows it by: nodes may number their backends in different orders.
    pub address: IpAddr,
    /// Its share of the slots, beside those of the others; not 0.
    pub weight: u16,
    /// The number of the backend on this node.
    pub backend: u16,
}

/// Which backend a flow goes to, by its hash.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// The backends' numbers; no slots if there is no backend.
    slots: Box<[u16]>,
    digest: u64,
}

/// A member while the table is filled.
struct Applicant {
    member: Member,
    /// The slot that it wants next, and how far the one after that is.
    wants: usize,
    skip: usize,
    /// What it has saved up: it takes a slot for as much as the heaviest gets in a round.
    credit: u32,
}

impl Applicant {
    fn new(member: Member) -> Self {
        let octets = address::to_map(member.address);
        Self {
            member,
            wants: reduced(hash(OFFSET, &octets), SLOTS),
            skip: reduced(hash(SKIP, &octets), SLOTS - 1) + 1,
            credit: 0,
        }
    }

    /// The first slot of its permutation that is free, of which there is one.
    fn next_free(&mut self, taken: &[bool]) -> usize {
        loop {
            let slot = self.wants;
            self.wants = (slot + self.skip) % SLOTS;
            if !taken[slot] {
                return slot;
            }
        }
    }
}

impl Table {
    /// The table for `members`, in whatever order they come.
    pub fn new(members: &[Member]) -> Self {
        let mut members = members.to_vec();
        members.sort_by_key(|member| member.address);
        let Some(heaviest) = members.iter().map(|member| u32::from(member.weight)).max() else {
            return Self::default();
        };
        let mut applicants: Vec<Applicant> = members.into_iter().map(Applicant::new).collect();
        let mut slots = vec![0; SLOTS];
        let mut taken = vec![false; SLOTS];
        let mut left = SLOTS;
        let mut owners = vec![[0; 16]; SLOTS];
        'filling: loop {
            for applicant in &mut applicants {
                applicant.credit += u32::from(applicant.member.weight);
                if applicant.credit < heaviest {
                    continue;
                }
                applicant.credit -= heaviest;
                let slot = applicant.next_free(&taken);
                taken[slot] = true;
                slots[slot] = applicant.member.backend;
                owners[slot] = address::to_map(applicant.member.address);
                left -= 1;
                if left == 0 {
                    break 'filling;
                }
            }
        }
        Self { slots: slots.into(), digest: hash(DIGEST, owners.as_flattened()) }
    }

    /// The slot of a flow with `hash`.
    pub fn slot(hash: u64) -> usize {
        reduced(hash, SLOTS)
    }

    /// The backend that has `slot`; `None` if there is none at all.
    pub fn backend(&self, slot: usize) -> Option<u16> {
        self.slots.get(slot).copied()
    }

    /// What tells whether two nodes have the same table; 0 for one without backends.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// How many slots each of `backends` has.
    pub fn shares(&self, backends: usize) -> Vec<u32> {
        let mut shares = vec![0; backends];
        for backend in &self.slots {
            shares[usize::from(*backend)] += 1;
        }
        shares
    }
}

/// SipHash-1-3, whose values are the same everywhere.
pub(super) fn hash(key: u64, octets: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(key, 0);
    hasher.write(octets);
    hasher.finish()
}

/// `hash` modulo `bound`.
fn reduced(hash: u64, bound: usize) -> usize {
    let bound = bound as u64;
    // Below `bound`, which came from one.
    usize::try_from(hash % bound).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(weights: &[u16]) -> Vec<Member> {
        let member = |(number, weight): (usize, &u16)| {
            let number = u16::try_from(number).expect("few");
            let [high, low] = number.to_be_bytes();
            Member { address: IpAddr::from([10, 0, high, low]), weight: *weight, backend: number }
        };
        weights.iter().enumerate().map(member).collect()
    }

    /// The slots that change hands when `members` become `others`.
    fn moved(members: &[Member], others: &[Member]) -> usize {
        let [before, after] = [members, others].map(Table::new);
        (0..SLOTS).filter(|slot| before.backend(*slot) != after.backend(*slot)).count()
    }

    #[test]
    fn the_order_of_the_backends_makes_no_difference() {
        // T-146.
        let members = members(&[1, 5, 2, 1, 1]);
        let table = Table::new(&members);
        let mut others = members.clone();
        others.reverse();
        for (number, other) in others.iter_mut().enumerate() {
            other.backend = u16::try_from(number).expect("few");
        }
        let other = Table::new(&others);
        assert_eq!(other.digest(), table.digest());
        for slot in 0..SLOTS {
            let [here, there] = [(&table, &members), (&other, &others)].map(|(table, members)| {
                members[usize::from(table.backend(slot).expect("a backend"))].address
            });
            assert_eq!(here, there, "slot {slot}");
        }
    }

    #[test]
    fn a_hundred_backends_have_the_same_share_within_two_percent() {
        // T-147.
        let shares = Table::new(&members(&[1; 100])).shares(100);
        let largest = *shares.iter().max().expect("a hundred");
        assert!(f64::from(largest) * 100.0 <= SLOTS as f64 * 1.02, "{shares:?}");
    }

    #[test]
    fn when_a_backend_goes_its_slots_move_and_few_others() {
        // T-147.
        let all = members(&[1; 100]);
        for gone in [0, 42, 99] {
            let left: Vec<Member> = all.iter().copied().filter(|member| member.backend != gone).collect();
            let moved = moved(&all, &left);
            assert!(moved * 100 <= SLOTS * 4, "{moved} slots moved when {gone} went");
        }
    }

    #[test]
    fn weights_are_shares() {
        let weights = [1, 2, 3, 10, 0x3e8];
        let shares = Table::new(&members(&weights)).shares(weights.len());
        let all: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
        for (weight, share) in weights.iter().zip(shares) {
            let wanted = f64::from(*weight) / all * SLOTS as f64;
            assert!(
                (f64::from(share) - wanted).abs() <= 2.0,
                "weight {weight} has {share} slots, not {wanted}"
            );
        }
    }

    #[test]
    fn a_change_of_one_weight_moves_few_slots_of_the_others() {
        let before = members(&[10; 20]);
        let mut after = before.clone();
        after[7].weight = 5;
        // It gives up half of a twentieth.
        let moved = moved(&before, &after);
        assert!(moved * 100 <= SLOTS * 7, "{moved}");
    }

    #[test]
    fn tables_differ_when_backends_or_weights_do_and_are_the_same_for_ever() {
        let table = |weights: &[u16]| Table::new(&members(weights)).digest();
        assert_ne!(table(&[1, 1]), table(&[1, 1, 1]));
        assert_ne!(table(&[1, 1]), table(&[1, 2]));
        assert_eq!(table(&[1, 1]), table(&[3, 3]));
        assert_eq!(
            table(&[1, 2, 3]),
            15_846_928_892_573_294_183,
            "nodes of two versions would send a flow to different backends"
        );
    }

    #[test]
    fn a_lonely_backend_has_all_slots_and_nobody_none() {
        assert_eq!(Table::new(&members(&[7])).shares(1), [65_537]);
        let nobody = Table::new(&[]);
        assert_eq!((nobody.backend(0), nobody.digest()), (None, 0));
    }
}
