//! Which two tokens merge into which, and how early: a hash table of eight bytes a slot. The smaller the rank, the earlier the merge.
//! No order of merging here.

/// Identifiers and ranks have so many bits; three of them and a free bit fill a slot.
const BITS: u32 = 21;
/// The most tokens of a vocabulary.
pub(crate) const TOKENS_MAX: usize = 1 << BITS;
const EMPTY: u64 = u64::MAX;
/// The rank of a pair that does not merge.
pub(crate) const NEVER: u32 = u32::MAX;

/// The merges of a vocabulary.
pub(crate) struct Pairs {
    slots: Vec<u64>,
    shift: u32,
    len: usize,
}

impl Pairs {
    /// Room for so many merges, at most half full: most questions are about pairs that do not merge, and end at an empty slot.
    pub(crate) fn with_capacity(count: usize) -> Pairs {
        let slots = (count.clamp(8, TOKENS_MAX) * 2).next_power_of_two();
        Pairs { slots: vec![EMPTY; slots], shift: 64 - slots.trailing_zeros(), len: 0 }
    }

    #[inline]
    fn slot(&self, key: u64) -> usize {
        (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize
    }

    /// Adds a merge; the first one of a pair counts. False when there is no room or a number is too large.
    pub(crate) fn insert(&mut self, left: u32, right: u32, rank: u32) -> bool {
        if [left, right, rank].iter().any(|n| *n as usize >= TOKENS_MAX) || self.len * 2 >= self.slots.len() {
            return false;
        }
        let key = key(left, right);
        let mask = self.slots.len() - 1;
        let mut at = self.slot(key);
        while self.slots[at] != EMPTY {
            if self.slots[at] >> BITS == key {
                return true;
            }
            at = (at + 1) & mask;
        }
        self.slots[at] = key << BITS | u64::from(rank);
        self.len += 1;
        true
    }

    /// When the two merge, or `NEVER`.
    #[inline]
    pub(crate) fn rank(&self, left: u32, right: u32) -> u32 {
        let key = key(left, right);
        let mask = self.slots.len() - 1;
        let mut at = self.slot(key);
        loop {
            let slot = self.slots[at & mask];
            if slot >> BITS == key {
                return (slot & ((1 << BITS) - 1)) as u32;
            }
            if slot == EMPTY {
                return NEVER;
            }
            at += 1;
        }
    }
}

#[inline]
fn key(left: u32, right: u32) -> u64 {
    u64::from(left) << BITS | u64::from(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_has_the_rank_it_was_given_first_and_others_have_none() {
        let mut pairs = Pairs::with_capacity(100);
        let of = |n: u32| (n * 7 % 64, n * 13 % 97);
        assert!((0..60).all(|n| pairs.insert(of(n).0, of(n).1, n)));
        assert!(pairs.insert(0, 0, 99));
        assert!((0..60).all(|n| pairs.rank(of(n).0, of(n).1) == n));
        assert_eq!(pairs.rank(1, 1), NEVER);
        assert!(!pairs.insert(1 << 21, 0, 0));
    }

    #[test]
    fn a_full_table_refuses_and_still_ends_its_searches() {
        let mut pairs = Pairs::with_capacity(8);
        let taken = (0..1000).filter(|n| pairs.insert(*n, 1, *n)).count();
        assert_eq!(taken, 8);
        assert_eq!(pairs.rank(999, 1), NEVER);
    }
}
