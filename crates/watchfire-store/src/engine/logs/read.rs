//! Reading logs: see `watchfire_model::logs::LogSource`.

use std::sync::atomic::Ordering;

use watchfire_model::logs::{LogSelection, LogVisitor, StreamVolume};
use watchfire_model::read::{Budget, ReadError};

use crate::engine::Engine;
use crate::logs::select::{self, Look};
use crate::logs::volume;

impl Engine {
    /// Everything of one moment that may have selected entries: each entry is in one place exactly.
    fn look(&self, selection: &LogSelection) -> Look {
        let shared = self.read();
        let overlapping = shared.logs.segments.iter().filter(|s| s.overlaps(selection.start.0, selection.end.0));
        Look { segments: overlapping.cloned().collect(), contents: shared.logs.head.contents(), moment: self.moment() }
    }

    pub(crate) fn select_logs(&self, selection: &LogSelection, budget: &Budget, visit: &mut LogVisitor<'_>) -> Result<(), ReadError> {
        budget.check()?;
        let result = select::select(&self.look(selection), selection, budget, visit);
        self.trim_log_indexes();
        self.counters.damaged_blocks.add(result?);
        Ok(())
    }

    pub(crate) fn log_volume(&self, selection: &LogSelection, budget: &Budget) -> Result<Vec<StreamVolume>, ReadError> {
        let result = volume::volume(&self.look(selection), selection, budget);
        self.trim_log_indexes();
        result
    }

    pub(crate) fn log_label_names(&self, selection: &LogSelection, budget: &Budget) -> Result<Vec<String>, ReadError> {
        let moved = self.read().logs.head.moved.clone();
        let result = volume::label_names(&self.look(selection), &moved, selection, budget);
        self.trim_log_indexes();
        result
    }

    pub(crate) fn log_label_values(&self, name: &str, selection: &LogSelection, budget: &Budget) -> Result<Vec<String>, ReadError> {
        let moved = self.read().logs.head.moved.clone();
        let result = volume::label_values(&self.look(selection), &moved, name, selection, budget);
        self.trim_log_indexes();
        result
    }

    /// Lets the indexes go that were not used for longest, until the rest fits into its share of memory.
    fn trim_log_indexes(&self) {
        let segments = self.read().logs.segments.clone();
        let mut held: Vec<_> = segments.iter().map(|s| (s.used.load(Ordering::Relaxed), s.index_memory(), s)).filter(|(_, bytes, _)| *bytes > 0).collect();
        let mut total: usize = held.iter().map(|(_, bytes, _)| bytes).sum();
        held.sort_unstable_by_key(|(used, ..)| *used);
        for (_, bytes, segment) in held {
            if total <= self.options.logs.index_cache_bytes {
                break;
            }
            segment.unload();
            total -= bytes;
        }
    }
}
