//! Series that ended and whose end is not stored yet. They are kept durably beside the groups, so that neither a store that
//! takes nothing nor a death in between leaves a series looking alive. It writes no samples.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use watchfire_model::labels::Labels;
use watchfire_model::state::{Change, PUSHED_ENDS, StateError, StateStore};

use super::books::Books;
use super::{BYTES_MAX, GROUPS_MAX, Key};

/// The version of the record.
const VERSION: u32 = 1;

/// The series by the group that they were in.
#[derive(Debug, Default)]
pub(super) struct Ended(BTreeMap<Key, HashSet<Labels>>);

#[derive(Serialize, Deserialize)]
struct Record {
    v: u32,
    series: Vec<Vec<(String, String)>>,
}

impl Ended {
    /// Reads what is kept. A series that lives in some group has not ended.
    pub(super) fn open(state: &dyn StateStore, living: impl FnOnce() -> HashSet<Labels>) -> Result<Ended, StateError> {
        let mut all = Ended::default();
        for (text, bytes) in state.scan(PUSHED_ENDS, "")? {
            let record = serde_json::from_slice(&bytes).ok().filter(|r: &Record| r.v == VERSION);
            match Key::parse(&text).zip(record) {
                Some((key, record)) => drop(all.0.insert(key, record.series.into_iter().map(Labels::from_pairs).collect())),
                None => tracing::warn!(group = text, "the ended series of a pushed group cannot be read; nothing marks their end"),
            }
        }
        all.revive(living);
        Ok(all)
    }

    pub(super) fn has(&self, key: &Key) -> bool {
        self.0.contains_key(key)
    }
    pub(super) fn keys(&self) -> Vec<Key> {
        self.0.keys().cloned().collect()
    }
    pub(super) fn all(&self) -> impl Iterator<Item = &Labels> {
        self.0.values().flatten()
    }
    pub(super) fn of(&self, key: &Key) -> impl Iterator<Item = &Labels> {
        self.0.get(key).into_iter().flatten()
    }

    /// Those of `series` for which there is room beside what other groups have ended. The others end without a mark.
    pub(super) fn with_room(&self, key: &Key, series: impl Iterator<Item = Labels>, books: &Books) -> HashSet<Labels> {
        let others: usize = self.0.iter().filter(|(other, _)| *other != key).flat_map(|(_, series)| series).map(Labels::memory).sum();
        let groups = if self.has(key) || self.0.len() < GROUPS_MAX { BYTES_MAX } else { 0 };
        let mut room = groups.saturating_sub(others);
        let mut kept = HashSet::new();
        for labels in series {
            if labels.memory() > room {
                books.end_lost();
            } else if !kept.contains(&labels) {
                room -= labels.memory();
                kept.insert(labels);
            }
        }
        kept
    }

    /// Notes which series of a group have ended.
    pub(super) fn set(&mut self, key: &Key, series: HashSet<Labels>) {
        if series.is_empty() {
            self.0.remove(key);
        } else {
            self.0.insert(key.clone(), series);
        }
    }
    /// Notes that series live, in whichever group. Entries that become empty go when the next ends are stored, and with them
    /// what is kept of them.
    pub(super) fn revive(&mut self, living: impl FnOnce() -> HashSet<Labels>) {
        if self.0.is_empty() {
            return;
        }
        let living = living();
        for ended in self.0.values_mut() {
            ended.retain(|labels| !living.contains(labels));
        }
    }
    /// Forgets what is stored.
    pub(super) fn forget(&mut self, keys: &[&Key]) {
        for key in keys {
            self.0.remove(*key);
        }
    }
}

/// The change that keeps the ended series of a group.
pub(super) fn change(key: &Key, series: &HashSet<Labels>) -> Change {
    if series.is_empty() {
        return Change::Delete(PUSHED_ENDS, key.to_string());
    }
    let pairs = |labels: &Labels| labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    let record = Record { v: VERSION, series: series.iter().map(pairs).collect() };
    Change::Put(PUSHED_ENDS, key.to_string(), serde_json::to_vec(&record).expect("BUG: records are plain JSON"))
}
