//! Reading logs: see `watchfire_model::logs::LogSource`.

use std::sync::atomic::Ordering;

use watchfire_model::logs::{LogSelection, LogVisitor, StreamVolume};
use watchfire_model::read::{Budget, ReadError};

use crate::engine::Engine;
use crate::logs::Signal;
use crate::logs::select::{self, Look};
use crate::logs::volume;

impl Engine {
    /// Everything of one moment that may have selected entries: each entry is in one place exactly.
    fn look(&self, signal: Signal, selection: &LogSelection) -> Look {
        let shared = self.read();
        let overlapping = shared.entries[signal].segments.iter().filter(|s| s.overlaps(selection.start.0, selection.end.0));
        Look { segments: overlapping.cloned().collect(), contents: shared.entries[signal].head.contents(), moment: self.moment() }
    }

    pub(crate) fn select_entries(&self, signal: Signal, selection: &LogSelection, budget: &Budget, visit: &mut LogVisitor<'_>) -> Result<(), ReadError> {
        budget.check()?;
        let result = select::select(&self.look(signal, selection), selection, budget, visit);
        self.trim_entry_indexes(signal);
        let damaged = result?;
        self.counters.damaged_blocks.add(damaged.blocks);
        self.counters.damaged_ids.add(damaged.ids);
        Ok(())
    }

    pub(crate) fn entry_volume(&self, signal: Signal, selection: &LogSelection, budget: &Budget) -> Result<Vec<StreamVolume>, ReadError> {
        let result = volume::volume(&self.look(signal, selection), selection, budget);
        self.trim_entry_indexes(signal);
        result
    }

    pub(crate) fn entry_label_names(&self, signal: Signal, selection: &LogSelection, budget: &Budget) -> Result<Vec<String>, ReadError> {
        let moved = self.read().entries[signal].head.moved.clone();
        let result = volume::label_names(&self.look(signal, selection), &moved, selection, budget);
        self.trim_entry_indexes(signal);
        result
    }

    pub(crate) fn entry_label_values(&self, signal: Signal, name: &str, selection: &LogSelection, budget: &Budget) -> Result<Vec<String>, ReadError> {
        let moved = self.read().entries[signal].head.moved.clone();
        let result = volume::label_values(&self.look(signal, selection), &moved, name, selection, budget);
        self.trim_entry_indexes(signal);
        result
    }

    /// Lets the indexes go that were not used for longest, until the rest fits into its share of memory.
    fn trim_entry_indexes(&self, signal: Signal) {
        let segments = self.read().entries[signal].segments.clone();
        let mut held: Vec<_> = segments.iter().map(|s| (s.used.load(Ordering::Relaxed), s.index_memory(), s)).filter(|(_, bytes, _)| *bytes > 0).collect();
        let mut total: usize = held.iter().map(|(_, bytes, _)| bytes).sum();
        held.sort_unstable_by_key(|(used, ..)| *used);
        for (_, bytes, segment) in held {
            if total <= self.options.entries(signal).index_cache_bytes {
                break;
            }
            segment.unload();
            total -= bytes;
        }
    }
}
