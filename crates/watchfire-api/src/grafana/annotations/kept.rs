//! Keeps annotations: texts at moments or over stretches of time, in the state store. It speaks no HTTP.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use serde::{Deserialize, Serialize};
use watchfire_model::state::{Change, StateStore, Table};

use super::super::error::GrafanaError;

/// Annotations: number with twenty digits → what was said.
const ANNOTATIONS: Table = Table("annotations");
/// The version that is written.
const VERSION: u8 = 1;
/// The most annotations; the oldest by number make room for new ones.
pub(super) const ANNOTATIONS_MAX: usize = 2_000;

/// An annotation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Annotation {
    pub(super) v: u8,
    /// The dashboard that it belongs to; empty for none.
    pub(super) board: String,
    pub(super) panel: i64,
    pub(super) start_ms: i64,
    /// The same as `start_ms` for a moment.
    pub(super) end_ms: i64,
    pub(super) text: String,
    pub(super) tags: Vec<String>,
    pub(super) by: String,
    pub(super) created_ms: i64,
    pub(super) updated_ms: i64,
}
impl Annotation {
    /// One that says nothing yet.
    pub(super) fn empty(by: &str, now_ms: i64) -> Annotation {
        let (board, text) = (String::new(), String::new());
        Annotation {
            v: VERSION,
            board,
            panel: 0,
            start_ms: now_ms,
            end_ms: now_ms,
            text,
            tags: Vec::new(),
            by: by.to_owned(),
            created_ms: now_ms,
            updated_ms: now_ms,
        }
    }
}

/// All annotations by their numbers.
type All = BTreeMap<i64, Annotation>;

/// Everything that was noted. It is read before the first question; while that fails, questions and changes do, too.
pub(crate) struct Annotations {
    state: Arc<dyn StateStore>,
    kept: Mutex<Option<All>>,
}

/// The annotations while nobody else changes them.
struct Held<'a>(MutexGuard<'a, Option<All>>);
impl Held<'_> {
    fn all(&self) -> &All {
        static NONE: All = All::new();
        self.0.as_ref().unwrap_or(&NONE)
    }
}

fn key(id: i64) -> String {
    format!("{id:020}")
}

impl Annotations {
    /// What is kept of them.
    pub(crate) fn new(state: Arc<dyn StateStore>) -> Annotations {
        Annotations { state, kept: Mutex::new(None) }
    }

    fn held(&self) -> Result<Held<'_>, GrafanaError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_none() {
            let mut all = All::new();
            for (key, bytes) in self.state.scan(ANNOTATIONS, "")? {
                match (key.parse(), serde_json::from_slice(&bytes)) {
                    (Ok(id), Ok(annotation)) => drop(all.insert(id, annotation)),
                    _ => tracing::error!(key, "an annotation cannot be read"),
                }
            }
            *kept = Some(all);
        }
        Ok(Held(kept))
    }

    /// Those that are wanted, the one that ended last first. May block.
    pub(super) fn find(&self, most: usize, wanted: impl Fn(i64, &Annotation) -> bool) -> Result<Vec<(i64, Annotation)>, GrafanaError> {
        let held = self.held()?;
        let mut found: Vec<(i64, &Annotation)> = held.all().iter().filter(|(id, a)| wanted(**id, a)).map(|(id, a)| (*id, a)).collect();
        watchfire_model::order::Order::order_by(&mut found[..], |a, b| (b.1.end_ms, b.0).cmp(&(a.1.end_ms, a.0)));
        Ok(found.into_iter().take(most).map(|(id, a)| (id, a.clone())).collect())
    }

    /// Notes one and gives its number; it is on the disk then. May block.
    pub(super) fn add(&self, annotation: Annotation) -> Result<i64, GrafanaError> {
        let mut held = self.held()?;
        let id = held.all().last_key_value().map_or(1, |(last, _)| last + 1);
        let excess = (held.all().len() + 1).saturating_sub(ANNOTATIONS_MAX);
        let gone: Vec<i64> = held.all().keys().take(excess).copied().collect();
        let mut changes: Vec<Change> = gone.iter().map(|id| Change::Delete(ANNOTATIONS, key(*id))).collect();
        changes.push(Change::Put(ANNOTATIONS, key(id), crate::prometheus::answer::to_json(&annotation)));
        self.state.commit(&changes)?;
        if let Some(all) = held.0.as_mut() {
            gone.iter().for_each(|id| drop(all.remove(id)));
            all.insert(id, annotation);
        }
        Ok(id)
    }

    /// Changes one. May block.
    pub(super) fn change(&self, id: i64, change: impl FnOnce(&mut Annotation) -> Result<(), GrafanaError>) -> Result<(), GrafanaError> {
        let mut held = self.held()?;
        let mut annotation = held.all().get(&id).cloned().ok_or_else(unknown)?;
        change(&mut annotation)?;
        self.state.commit(&[Change::Put(ANNOTATIONS, key(id), crate::prometheus::answer::to_json(&annotation))])?;
        if let Some(all) = held.0.as_mut() {
            all.insert(id, annotation);
        }
        Ok(())
    }

    /// Removes those that are unwanted, and tells how many. May block.
    pub(super) fn remove(&self, unwanted: impl Fn(i64, &Annotation) -> bool) -> Result<usize, GrafanaError> {
        let mut held = self.held()?;
        let gone: Vec<i64> = held.all().iter().filter(|(id, a)| unwanted(**id, a)).map(|(id, _)| *id).collect();
        let changes: Vec<Change> = gone.iter().map(|id| Change::Delete(ANNOTATIONS, key(*id))).collect();
        if !changes.is_empty() {
            self.state.commit(&changes)?;
        }
        if let Some(all) = held.0.as_mut() {
            gone.iter().for_each(|id| drop(all.remove(id)));
        }
        Ok(gone.len())
    }
}

pub(super) fn unknown() -> GrafanaError {
    GrafanaError::new(StatusCode::NOT_FOUND, "Annotation not found")
}
