//! Logs and spans in the engine: the way of entries into the log and memory, from there into segments, and back to who asks.

mod delete;
mod flush;
mod merge;
mod open;
mod policy;
mod read;
mod restore;
mod stats;
mod write;

use std::sync::Arc;

use crate::logs::head::LogHead;
use crate::logs::segment::LogSegment;

pub use delete::LogFilter;
pub(super) use open::{Found, find, tidy};
pub(super) use restore::{Before, Mark, RestoreEntries};
pub(super) use write::EntryWriter;

/// What readers of a signal's entries look at.
#[derive(Default)]
pub(crate) struct SharedLogs {
    pub(crate) head: LogHead,
    /// In order of precedence: of two entries of one stream and time that of the earlier segment came first.
    pub(crate) segments: Vec<Arc<LogSegment>>,
}

impl SharedLogs {
    /// First and last times of all segments, in milliseconds.
    pub(super) fn ranges(&self) -> impl Iterator<Item = (i64, i64)> {
        self.segments.iter().map(|s| (to_millis(s.footer.min), to_millis(s.footer.max)))
    }
}

/// Milliseconds of a time in nanoseconds.
pub(super) fn to_millis(nanos: i64) -> i64 {
    nanos.div_euclid(1_000_000)
}
