//! What stands before the flow table: an octet of the hash of each flow, so that a flow is found, and found missing, without a look
//! at the others of its set. Those of all flows fit into a cache that the flows do not fit into.

use std::iter;

use super::flows::WAYS;

/// The marks of each set, an octet for each place, the first being the lowest; 0 is that of a free place.
#[derive(Debug)]
pub(super) struct Marks(Vec<u64>);

const _: () = assert!(WAYS == size_of::<u64>());

/// In each octet a one, and in each the highest bit.
const ONES: u64 = u64::from_ne_bytes([0x01; WAYS]);
const HIGHEST: u64 = u64::from_ne_bytes([0x80; WAYS]);

impl Marks {
    /// Those of so many sets without flows.
    pub(super) fn new(sets: usize) -> Self {
        Self(vec![0; sets])
    }

    /// The places of `set` where a flow with this `hash` can be.
    pub(super) fn places(&self, set: usize, hash: u64) -> impl Iterator<Item = usize> {
        let mut found = zeroes(self.0[set] ^ (mark(hash) * ONES));
        iter::from_fn(move || {
            let place = place(found)?;
            found &= found - 1;
            Some(place)
        })
    }

    /// The first place of `set` without a flow.
    pub(super) fn free(&self, set: usize) -> Option<usize> {
        place(zeroes(self.0[set]))
    }

    /// A flow with this `hash` has come to `place`, which was free.
    pub(super) fn put(&mut self, set: usize, place: usize, hash: u64) {
        self.0[set] |= mark(hash) << (8 * place);
    }

    /// The flow at `place` has gone.
    pub(super) fn clear(&mut self, set: usize, place: usize) {
        self.0[set] &= !(0xff << (8 * place));
    }
}

/// The highest bit of each octet of `marks` that is zero; perhaps of some that are one, but of none below the first that is zero.
const fn zeroes(marks: u64) -> u64 {
    marks.wrapping_sub(ONES) & !marks & HIGHEST
}

/// The first place whose highest bit is set.
fn place(highest: u64) -> Option<usize> {
    (highest != 0).then_some(highest.trailing_zeros() as usize / 8)
}

/// Other bits than those that lead to the set.
fn mark(hash: u64) -> u64 {
    (hash & 0xff).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_looked_for_where_its_hash_is() {
        let mut marks = Marks::new(2);
        let (hash, other, zero) = (0x1_07, 0x2_07, 0x3_00);
        let places = |marks: &Marks, set, hash| marks.places(set, hash).collect::<Vec<_>>();
        assert_eq!((places(&marks, 0, hash), marks.free(0)), (vec![], Some(0)));
        marks.put(0, 0, hash);
        marks.put(0, 1, zero);
        marks.put(0, 2, other);
        assert_eq!((places(&marks, 0, hash), marks.free(0)), (vec![0, 2], Some(3)));
        assert_eq!((places(&marks, 0, zero), places(&marks, 1, hash)), (vec![1], vec![]));
        marks.clear(0, 0);
        assert_eq!((places(&marks, 0, hash), marks.free(0)), (vec![2], Some(0)));
        (0..WAYS).for_each(|place| marks.put(1, place, hash));
        assert_eq!(marks.free(1), None);
    }
}
