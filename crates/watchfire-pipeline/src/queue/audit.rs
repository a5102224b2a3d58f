//! Who did what to dead letters, when and to how many. Bounded: the oldest entries go. It decides nothing and allows nothing.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use watchfire_model::state::{Change, QUEUE_AUDIT, StateError, StateStore};
use watchfire_model::time::Timestamp;

use super::backend::QueueError;
use super::mask;

/// Entries that are kept.
pub const ENTRIES_MAX: usize = 1_000;

/// Who asks for a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// The name of the token or user.
    pub name: String,
    /// How they were recognised.
    pub via: String,
}

/// One thing that was done. Stored; see `docs/formats/queues.md`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When, RFC 3339.
    pub at: String,
    /// Who.
    pub who: String,
    /// How they were recognised.
    pub via: String,
    /// What: `requeue`, `requeue_all`, `clear`, `restore`.
    pub what: String,
    /// The place of the dead letters.
    pub queue: String,
    /// How many jobs.
    pub count: u64,
    /// More, for people: the undo file, why it ended early.
    pub note: String,
}

/// The trail.
pub(super) struct Audit {
    state: Arc<dyn StateStore>,
    /// The number of the last entry, once it is known.
    last: Mutex<Option<u64>>,
}
impl Audit {
    pub(super) fn new(state: Arc<dyn StateStore>) -> Audit {
        Audit { state, last: Mutex::new(None) }
    }
    /// Writes down what was done. A trail that cannot be written is told in the log; the deed is done already. Blocks.
    pub(super) fn note(&self, who: &Who, now: Timestamp, what: &str, queue: &str, count: u64, note: &str) {
        let entry = Entry {
            at: now.rfc3339(),
            who: who.name.clone(),
            via: who.via.clone(),
            what: what.to_owned(),
            queue: queue.to_owned(),
            count,
            note: mask::text(note).into_owned(),
        };
        tracing::info!(who = entry.who, via = entry.via, what, queue, count, note = entry.note, "dead letters were changed");
        if let Err(error) = self.append(&entry) {
            tracing::error!(%error, what, queue, count, "the audit trail cannot be written");
        }
    }
    fn append(&self, entry: &Entry) -> Result<(), StateError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.state.scan(QUEUE_AUDIT, "")?;
        let before = last.or_else(|| known.last().and_then(|(key, _)| u64::from_str_radix(key, 16).ok())).unwrap_or(0);
        let number = before + 1;
        let value = serde_json::to_vec(entry).unwrap_or_default();
        let mut changes = vec![Change::Put(QUEUE_AUDIT, format!("{number:016x}"), value)];
        let too_many = (known.len() + 1).saturating_sub(ENTRIES_MAX);
        changes.extend(known.into_iter().take(too_many).map(|(key, _)| Change::Delete(QUEUE_AUDIT, key)));
        self.state.commit(&changes)?;
        *last = Some(number);
        Ok(())
    }
    /// The newest entries, newest first. Blocks.
    pub(super) fn newest(&self, limit: usize) -> Result<Vec<Entry>, QueueError> {
        let all = self.state.scan(QUEUE_AUDIT, "").map_err(|e| QueueError::Unavailable(e.to_string()))?;
        Ok(all.iter().rev().filter_map(|(_, value)| serde_json::from_slice(value).ok()).take(limit).collect())
    }
}
