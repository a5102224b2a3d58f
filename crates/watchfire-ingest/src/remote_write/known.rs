//! Series that came before: from the bytes of their labels as they stand in a message to their ready labels, so that a known
//! series costs no allocation. Nothing depends on it: what is not found is read in full.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use hashbrown::{DefaultHashBuilder, HashTable};
use watchfire_model::labels::Labels;

/// Fewer series than this are never looked through for those that came no more.
const SWEEP_MIN: usize = 4_096;
/// More series than this are not kept.
const SERIES_MAX: usize = 1 << 22;
/// The most bytes of labels that are kept here alone; those that the store has, too, cost nothing more.
const BYTES_MAX: usize = 128 << 20;

/// The tags of a message's labels, and of a label's name and value.
const LABEL: u8 = 0x0a;
const NAME: u8 = 0x0a;
const VALUE: u8 = 0x12;

/// The series that are known.
#[derive(Debug, Default)]
pub(super) struct Known {
    kept: RwLock<Kept>,
}

#[derive(Debug)]
pub(super) struct Kept {
    hasher: DefaultHashBuilder,
    table: HashTable<Series>,
    /// At this size those go that nobody else holds and that did not come since the last time.
    sweep_at: usize,
    /// Bytes of labels that nobody else holds, as of the last sweep, and of all that were added since.
    bytes: usize,
}

#[derive(Debug)]
struct Series {
    hash: u64,
    labels: Labels,
    came: AtomicBool,
}

/// A series that was read in full, to be known once it is stored.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) hash: u64,
    pub(super) labels: Labels,
}

impl Default for Kept {
    fn default() -> Kept {
        Kept { hasher: DefaultHashBuilder::default(), table: HashTable::new(), sweep_at: SWEEP_MIN, bytes: 0 }
    }
}

impl Known {
    /// For the length of one message.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Kept> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, fresh: Vec<Fresh>) {
        if fresh.is_empty() {
            return;
        }
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        for Fresh { hash, labels } in fresh {
            kept.add(hash, labels);
        }
    }
}

impl Kept {
    fn add(&mut self, hash: u64, labels: Labels) {
        if self.table.find(hash, |s| s.hash == hash).is_some() {
            return;
        }
        let bytes = labels.memory() + size_of::<Series>();
        if self.table.len() >= self.sweep_at || self.bytes + bytes > BYTES_MAX {
            self.sweep();
        }
        self.bytes += bytes;
        self.table.insert_unique(hash, Series { hash, labels, came: AtomicBool::new(false) }, |s| s.hash);
    }

    /// What the store has, too, costs nothing to keep; what has gone there goes here, unless it still comes.
    fn sweep(&mut self) {
        let table = &mut self.table;
        let alone = |table: &HashTable<Series>| table.iter().filter(|s| !s.labels.is_shared()).map(|s| s.labels.memory() + size_of::<Series>()).sum();
        table.retain(|s| s.labels.is_shared() || s.came.swap(false, Ordering::Relaxed));
        self.bytes = alone(table);
        // A table that is half full again would be swept too often.
        if self.bytes > BYTES_MAX / 2 {
            table.retain(|s| s.labels.is_shared());
            self.bytes = 0;
        }
        if table.len() >= SERIES_MAX {
            table.clear();
            self.bytes = 0;
        }
        table.shrink_to(SWEEP_MIN, |s| s.hash);
        self.sweep_at = (table.len() * 2).max(SWEEP_MIN);
    }

    /// The labels that these bytes say, or else their hash.
    pub(super) fn find(&self, bytes: &[u8]) -> Result<Labels, u64> {
        let hash = self.hasher.hash_one(bytes);
        let series = self.table.find(hash, |s| s.hash == hash).filter(|s| says(bytes, &s.labels)).ok_or(hash)?;
        if !series.came.load(Ordering::Relaxed) {
            series.came.store(true, Ordering::Relaxed);
        }
        Ok(series.labels.clone())
    }
}

/// Splits the labels that a series begins with from what follows.
pub(super) fn leading_labels(series: &[u8]) -> (&[u8], &[u8]) {
    let mut rest = series;
    while take(&mut rest, LABEL).is_some() {}
    series.split_at(series.len() - rest.len())
}

/// Whether bytes are these labels exactly, in this order, written in the usual way.
fn says(mut bytes: &[u8], labels: &Labels) -> bool {
    for (name, value) in labels {
        let Some(mut label) = take(&mut bytes, LABEL) else { return false };
        if take(&mut label, NAME) != Some(name.as_bytes()) || take(&mut label, VALUE) != Some(value.as_bytes()) || !label.is_empty() {
            return false;
        }
    }
    bytes.is_empty()
}

/// Takes a field with this tag and a length of one or two bytes off the front.
#[inline]
fn take<'a>(bytes: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (len, rest) = match *bytes {
        [t, len, rest @ ..] if *t == tag && *len < 0x80 => (usize::from(*len), rest),
        [t, low, high, rest @ ..] if *t == tag && *high < 0x80 => (usize::from(*low & 0x7f) | usize::from(*high) << 7, rest),
        _ => return None,
    };
    let (taken, rest) = rest.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in pairs {
            out.extend_from_slice(&[LABEL, (name.len() + value.len() + 4) as u8, NAME, name.len() as u8]);
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(&[VALUE, value.len() as u8]);
            out.extend_from_slice(value.as_bytes());
        }
        out
    }

    #[test]
    fn a_series_is_known_by_all_its_labels() {
        let known = Known::default();
        let message = bytes(&[("__name__", "up"), ("job", "a")]);
        let labels = watchfire_model::labels!("__name__" => "up", "job" => "a");
        let hash = known.read().find(&message).unwrap_err();
        known.add(vec![Fresh { hash, labels: labels.clone() }]);
        assert_eq!(known.read().find(&message).unwrap(), labels);
        let mut with_sample = message.clone();
        with_sample.extend_from_slice(&[0x12, 0]);
        assert_eq!(leading_labels(&with_sample), (&message[..], &[0x12, 0][..]));
        // Bytes of another series are not this one, even when their hash were the same.
        for other in [bytes(&[("__name__", "up")]), bytes(&[("__name__", "up"), ("job", "b")]), bytes(&[("job", "a"), ("__name__", "up")]), with_sample] {
            assert!(!says(&other, &labels));
        }
    }

    #[test]
    fn what_comes_no_more_is_forgotten() {
        let known = Known::default();
        let message = |i: usize| bytes(&[("__name__", "m"), ("n", &i.to_string())]);
        let come = |i: usize| {
            let found = known.read().find(&message(i));
            if let Err(hash) = found {
                let i = i.to_string();
                known.add(vec![Fresh { hash, labels: watchfire_model::labels!("__name__" => "m", "n" => &i) }]);
            }
        };
        for i in 0..20 * SWEEP_MIN {
            come(i);
            come(7);
        }
        let kept = known.read();
        assert!(kept.table.len() <= SWEEP_MIN + 1, "{}", kept.table.len());
        assert!(kept.find(&message(7)).is_ok(), "it came all the time");
    }

    #[test]
    fn labels_that_are_kept_here_alone_are_bounded_in_bytes() {
        let known = Known::default();
        let long = "x".repeat(100 << 10);
        let fresh = |hash: u64| Fresh { hash, labels: watchfire_model::labels!("__name__" => &long, "n" => &hash.to_string()) };
        let held = fresh(0);
        let ours = held.labels.clone();
        known.add(vec![held]);
        for hash in 1..3_000 {
            known.add(vec![fresh(hash)]);
            // Those that come all the time are no exception.
            known.read().table.iter().for_each(|s| s.came.store(true, Ordering::Relaxed));
            let alone: usize = known.read().table.iter().filter(|s| !s.labels.is_shared()).map(|s| s.labels.memory()).sum();
            assert!(alone <= BYTES_MAX, "{alone}");
        }
        assert!(known.read().table.find(0, |s| s.labels.is_copy_of(&ours)).is_some(), "the store has it, too");
    }

    #[test]
    fn what_the_store_holds_stays() {
        let known = Known::default();
        let mut held = Vec::new();
        for round in 0..2 {
            for i in 0..3 * SWEEP_MIN {
                let message = bytes(&[("__name__", "m"), ("n", &i.to_string())]);
                let found = known.read().find(&message);
                assert_eq!(found.is_ok(), round == 1);
                if let Err(hash) = found {
                    let labels = watchfire_model::labels!("__name__" => "m", "n" => &i.to_string());
                    held.push(labels.clone());
                    known.add(vec![Fresh { hash, labels }]);
                }
            }
        }
    }
}
