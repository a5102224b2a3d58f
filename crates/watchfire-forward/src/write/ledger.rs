//! Which portions of the log are on the other side: they are sent by several shards and finish in any order, but the log can only
//! be given free from the front.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Portions that are under way.
pub(super) struct Ledger<P>(Mutex<Book<P>>);

struct Book<P> {
    /// The number of the first entry.
    first: u64,
    entries: VecDeque<Entry<P>>,
    done: Option<P>,
}

struct Entry<P> {
    /// The position behind the portion.
    position: P,
    /// Items that are still to be sent.
    open: usize,
}

impl<P: Copy> Ledger<P> {
    pub(super) fn new() -> Ledger<P> {
        Ledger(Mutex::new(Book { first: 0, entries: VecDeque::new(), done: None }))
    }
    fn book(&self) -> MutexGuard<'_, Book<P>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// The number of the portion that is entered next.
    pub(super) fn next(&self) -> u64 {
        let book = self.book();
        book.first + book.entries.len() as u64
    }
    /// Enters a portion with so many items, before the first of them can be done.
    pub(super) fn enter(&self, position: P, items: usize) {
        let mut book = self.book();
        book.entries.push_back(Entry { position, open: items });
        book.settle();
    }
    /// Says that one item of a portion is on the other side, or will never be.
    pub(super) fn done(&self, portions: impl Iterator<Item = u64>) {
        let mut book = self.book();
        for portion in portions {
            let place = portion.checked_sub(book.first).and_then(|i| usize::try_from(i).ok());
            if let Some(entry) = place.and_then(|i| book.entries.get_mut(i)) {
                entry.open = entry.open.saturating_sub(1);
            }
        }
        book.settle();
    }
    /// The position before which everything is done, if that has ever moved.
    pub(super) fn acknowledged(&self) -> Option<P> {
        self.book().done
    }
}

impl<P: Copy> Book<P> {
    fn settle(&mut self) {
        while let Some(entry) = self.entries.front()
            && entry.open == 0
        {
            self.done = Some(entry.position);
            self.entries.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_front_is_given_free() {
        let ledger = Ledger::new();
        for (position, items) in [(10, 2), (20, 0), (30, 1), (40, 0)] {
            ledger.enter(position, items);
        }
        assert_eq!((ledger.acknowledged(), ledger.next()), (None, 4));
        ledger.done([2].into_iter());
        assert_eq!(ledger.acknowledged(), None);
        ledger.done([0].into_iter());
        assert_eq!(ledger.acknowledged(), None);
        ledger.done([0].into_iter());
        assert_eq!((ledger.acknowledged(), ledger.next()), (Some(40), 4));
        ledger.enter(50, 0);
        assert_eq!(ledger.acknowledged(), Some(50));
    }
}
