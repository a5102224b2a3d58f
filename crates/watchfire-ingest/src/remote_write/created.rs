//! Which beginnings of counters were already passed on as samples of value 0, per series. Senders repeat the beginning
//! with every sample; without this memory every one of them would be written again. Bounded: of two generations the older
//! goes when the newer is full, and a beginning that is forgotten is written once more, which the store knows as a duplicate.

use std::sync::{Mutex, PoisonError};

use hashbrown::HashMap;

/// Series of one generation.
const SERIES_MAX: usize = 1 << 17;

/// The memory.
#[derive(Debug, Default)]
pub(crate) struct Created(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    newer: HashMap<u64, i64>,
    older: HashMap<u64, i64>,
}

impl Created {
    /// Whether a beginning is later than the one that is known of a series.
    pub(crate) fn is_news(&self, series: u64, at: i64) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.newer.get(&series).or_else(|| known.older.get(&series)).is_none_or(|last| at > *last)
    }
    /// Remembers beginnings.
    pub(crate) fn note(&self, zeros: &[(u64, i64)]) {
        if zeros.is_empty() {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (series, at) in zeros {
            if known.newer.len() >= SERIES_MAX {
                known.older = std::mem::take(&mut known.newer);
            }
            let last = known.newer.entry(*series).or_insert(*at);
            *last = (*last).max(*at);
        }
    }
}
