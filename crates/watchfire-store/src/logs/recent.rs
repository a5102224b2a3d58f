//! Which entries came lately, so that one that comes again (a sender did not hear our answer) is not kept twice. It remembers hashes,
//! no entries; the oldest are forgotten first, many at once, because forgetting each would cost as much as noting it.

use std::hash::BuildHasher;

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

/// Whatever the options say, not more are remembered: a frame of the log has to hold their hashes.
const ENTRIES_LIMIT: usize = 1_000_000;

/// The hashes of the newest entries: of as many as the options say, and of up to as many before them.
#[derive(Default)]
pub(crate) struct Recent {
    young: Generation,
    old: Generation,
    /// Senders choose what is hashed, so where a hash stands must not be known to them.
    places: DefaultHashBuilder,
    most: usize,
}

/// Hashes that were noted one after the other.
#[derive(Default)]
struct Generation {
    order: Vec<u64>,
    /// Their places in the order: half as large as the hashes, because every entry touches another place of it.
    known: HashTable<u32>,
}

impl Generation {
    fn hash_at(&self, at: u32) -> Option<u64> {
        self.order.get(at as usize).copied()
    }
    fn has(&self, hash: u64, place: u64) -> bool {
        self.known.find(place, |at| self.hash_at(*at) == Some(hash)).is_some()
    }
    /// Notes a hash; returns whether it is new.
    fn note(&mut self, hash: u64, place: u64, places: &DefaultHashBuilder) -> bool {
        let Generation { order, known } = self;
        let hash_at = |at: &u32| order.get(*at as usize).copied();
        match known.entry(place, |at| hash_at(at) == Some(hash), |at| hash_at(at).map_or(0, |hash| places.hash_one(hash))) {
            Entry::Occupied(_) => return false,
            Entry::Vacant(vacant) => vacant.insert(order.len() as u32),
        };
        order.push(hash);
        true
    }
    /// Forgets the one that was noted last; returns whether there was one.
    fn forget_last(&mut self, places: &DefaultHashBuilder) -> bool {
        let Some(hash) = self.order.pop() else { return false };
        let last = self.order.len() as u32;
        if let Ok(found) = self.known.find_entry(places.hash_one(hash), |at| *at == last) {
            found.remove();
        }
        true
    }
    fn clear(&mut self) {
        self.order.clear();
        self.known.clear();
    }
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
        let place = self.places.hash_one(hash);
        if self.old.has(hash, place) || !self.young.note(hash, place, &self.places) {
            return false;
        }
        if self.young.order.len() >= self.most {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        true
    }
    /// Forgets the entries that were noted last: they were not kept.
    pub(crate) fn forget_last(&mut self, count: usize) {
        for _ in 0..count {
            if !self.young.forget_last(&self.places) && !self.old.forget_last(&self.places) {
                return;
            }
        }
    }
    /// As many as the options say, the oldest first.
    pub(crate) fn all(&self) -> impl ExactSizeIterator<Item = u64> {
        let (old, young) = (&self.old.order, &self.young.order);
        let skipped = (old.len() + young.len()).saturating_sub(self.most).min(old.len());
        let all: Vec<u64> = old.iter().skip(skipped).chain(young).copied().collect();
        all.into_iter()
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
        assert!(recent.note(4) && recent.note(5));
        assert!((1..=5).all(|h| !recent.note(h)));
        assert!(recent.note(6));
        assert!(recent.note(1), "the oldest have gone");
        recent.forget_last(1);
        assert!(recent.note(1), "it was taken back");
        recent.forget_last(2);
        assert!(recent.note(6), "so was one of the generation before");
        assert_eq!(recent.all().collect::<Vec<_>>(), [4, 5, 6]);
        assert!(Recent::new(0).note(1) && Recent::new(0).note(1));
    }

    #[test]
    fn very_many_are_told_apart() {
        let mut recent = Recent::new(1_000);
        for hash in 0..20_000u64 {
            assert!(recent.note(hash), "{hash}");
            assert!(!recent.note(hash) && !recent.note(hash.saturating_sub(999)), "{hash}");
            if hash % 7 == 0 {
                recent.forget_last(1);
                assert!(recent.note(hash), "{hash}");
            }
        }
        assert_eq!(recent.all().collect::<Vec<_>>(), (19_000..20_000).collect::<Vec<_>>());
        assert!(recent.young.known.len() + recent.old.known.len() <= 2_000);
        assert!((0..18_000).all(|old| recent.note(old)));
    }
}
