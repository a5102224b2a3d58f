//! Which entries came lately, so that one that comes again (a sender did not hear our answer) is not kept twice. It remembers hashes,
//! no entries; the oldest are forgotten first.

use std::collections::VecDeque;

use hashbrown::HashSet;

/// Whatever the options say, not more are remembered: a frame of the log has to hold their hashes.
const ENTRIES_LIMIT: usize = 1_000_000;

/// The hashes of the newest entries.
#[derive(Default)]
pub(crate) struct Recent {
    order: VecDeque<u64>,
    known: HashSet<u64>,
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
        if !self.known.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
    /// Forgets the entries that were noted last: they were not kept.
    pub(crate) fn forget_last(&mut self, count: usize) {
        for _ in 0..count {
            if let Some(hash) = self.order.pop_back() {
                self.known.remove(&hash);
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
}
