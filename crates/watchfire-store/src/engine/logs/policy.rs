//! How log entries are kept can change while the store is open. What is asked here holds for the moment; whoever asks keeps it no longer
//! than his work takes.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::super::Engine;
use crate::logs::Signal;
use crate::options::LogOptions;

impl Engine {
    /// How entries of a signal are kept now.
    pub(in crate::engine) fn entry_options(&self, signal: Signal) -> Arc<LogOptions> {
        Arc::clone(&self.entry_options[signal].read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes over for how long log entries are kept and what of them is taken. Segments are looked at again, because one that was due in
    /// a year by the rules before may be due now.
    pub(crate) fn set_log_policy(&self, wanted: &LogOptions) {
        {
            let mut current = self.entry_options[Signal::Logs].write().unwrap_or_else(PoisonError::into_inner);
            let LogOptions { retention, line_bytes_max, truncate_lines, labels_max, name_bytes_max, label_value_bytes_max, metadata_bytes_max, .. } = *wanted;
            *current = Arc::new(LogOptions {
                retention,
                rules: wanted.rules.clone(),
                line_bytes_max,
                truncate_lines,
                labels_max,
                name_bytes_max,
                label_value_bytes_max,
                metadata_bytes_max,
                ..(**current).clone()
            });
        }
        for segment in &self.read().entries[Signal::Logs].segments {
            segment.rules_due.store(0, Ordering::Relaxed);
        }
    }
}
