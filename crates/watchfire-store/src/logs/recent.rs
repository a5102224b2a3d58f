//! Which entries came lately, so that one that comes again (a sender did not hear our answer) is not kept twice. It remembers hashes,
//! no entries; the oldest are forgotten first.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

/// Whatever the options say, not more are remembered: a frame of the log has to hold their hashes.
const ENTRIES_LIMIT: usize = 1_000_000;

/// The hashes of the newest entries.
#[derive(Default)]
pub(crate) struct Recent {
    order: VecDeque<u64>,
    /// The number of the oldest; numbers ascend, and begin anew behind the greatest.
    first: u32,
    /// Numbers, found by hashes: half as large as the hashes, because every entry touches another place of it.
    known: HashTable<u32>,
    /// Senders choose what is hashed, so where a hash stands must not be known to them.
    places: DefaultHashBuilder,
    most: usize,
}

impl Recent {
    pub(crate) fn new(most: usize) -> Recent {
        Recent { most: most.min(ENTRIES_LIMIT), ..Recent::default() }
    }
    /// Notes an entry; returns whether it is new.
    pub(crate) fn note(&mut self, hash: u64) -> bool {
        if self.most == 0 {
            return true;
        }
        let Recent { order, first, known, places, .. } = self;
        let hash_of = |number: &u32| order.get(number.wrapping_sub(*first) as usize).copied();
        let place_of = |number: &u32| hash_of(number).map_or(0, |hash| places.hash_one(hash));
        match known.entry(places.hash_one(hash), |number| hash_of(number) == Some(hash), place_of) {
            Entry::Occupied(_) => return false,
            Entry::Vacant(vacant) => vacant.insert(first.wrapping_add(order.len() as u32)),
        };
        self.order.push_back(hash);
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.remove(oldest, self.first);
            self.first = self.first.wrapping_add(1);
        }
        true
    }
    fn remove(&mut self, hash: u64, number: u32) {
        if let Ok(found) = self.known.find_entry(self.places.hash_one(hash), |known| *known == number) {
            found.remove();
        }
    }
    /// Forgets the entries that were noted last: they were not kept.
    pub(crate) fn forget_last(&mut self, count: usize) {
        for _ in 0..count {
            if let Some(hash) = self.order.pop_back() {
                self.remove(hash, self.first.wrapping_add(self.order.len() as u32));
            }
        }
    }
    /// All of them, the oldest first.
    pub(crate) fn all(&self) -> impl ExactSizeIterator<Item = u64> {
        self.order.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_remembered() {
        let mut recent = Recent::new(3);
        assert!([1, 2, 3].iter().all(|h| recent.note(*h)));
        assert!(!recent.note(1));
        assert!(recent.note(4));
        assert!(recent.note(1), "the oldest has gone");
        recent.forget_last(1);
        assert!(recent.note(1), "it was taken back");
        assert_eq!(recent.all().collect::<Vec<_>>(), [3, 4, 1]);
        assert!(Recent::new(0).note(1) && Recent::new(0).note(1));
    }

    #[test]
    fn very_many_are_told_apart_also_when_numbers_begin_anew() {
        let mut recent = Recent { first: u32::MAX - 5_000, ..Recent::new(1_000) };
        for hash in 0..20_000u64 {
            assert!(recent.note(hash), "{hash}");
            assert!(!recent.note(hash) && !recent.note(hash.saturating_sub(999)), "{hash}");
            if hash % 7 == 0 {
                recent.forget_last(1);
                assert!(recent.note(hash), "{hash}");
            }
        }
        assert_eq!(recent.all().collect::<Vec<_>>(), (19_000..20_000).collect::<Vec<_>>());
        assert_eq!(recent.known.len(), 1_000);
        assert!((0..19_000).all(|old| recent.note(old)));
    }
}
