//! Keeps batches and gives them back: write-ahead log, head, immutable segments, label index, retention, small durable state.
//! It knows no protocol and no query language, and it is synchronous.
//!
//! A batch goes through [`watchfire_model::write::Sink`] into the log (`wal`), then into memory (`metrics::head`), and every
//! two hours from there into an immutable file (`metrics::segment`). All file I/O is in `file`.

mod encoding;
mod engine;
mod error;
mod exemplars;
mod figures;
mod file;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod ints;
mod logs;
mod metrics;
mod options;
mod segment_file;
mod small_file;
mod state;
mod stats;
mod store;
mod tail;
mod wal;

pub use engine::LogFilter;
pub use error::OpenError;
pub use options::{LogOptions, LogRetention, Options, Tier};
pub use stats::{CleanupFile, CleanupPreview, Deletion, LogDeletion, LogStats, Offline, Replay, SnapshotReport, Stats, Written};
pub use store::Store;
pub use tail::{Portion, Position, Tail, TailEntries, TailEntry, TailError, TailStats, TailStop};
