//! The engine: log, head and segments under one roof, with the order of steps that makes crashes harmless.
//! It has no thread of its own (`store` runs one) and keeps no small state (`state`).

mod delete;
mod duties;
mod exemplars;
mod flush;
mod flushed;
mod judge;
mod logs;
mod offline;
mod open;
mod read;
mod replay;
mod retention;
mod snapshot;
mod starts;
mod tail;
#[cfg(test)]
mod tests;
mod tiers;
mod write;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use watchfire_model::meter::Counter;

use crate::exemplars::{Dropped, Exemplars};
use crate::file::Disk;
use crate::logs::{PerSignal, Signal};
use crate::metrics::head::Head;
use crate::metrics::segment::{Blocks, Segment};
use crate::metrics::tombstones::Tombstone;
use crate::options::{LogOptions, Options};
use crate::stats::{Offline, Replay};

use duties::Schedule;
use flushed::Flushed;
pub use logs::LogFilter;
use logs::SharedLogs;
use starts::Starts;
pub(crate) use tail::{Hold, Holds, Reads};
pub(crate) use write::Writer;

/// What readers look at.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) head: Head,
    /// In order of precedence: of two samples of one time the one from the earlier segment counts, the head's comes last.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Windows of old samples, a week each, in no particular order.
    pub(crate) tiers: Vec<Arc<Segment>>,
    pub(crate) entries: PerSignal<SharedLogs>,
}

impl Shared {
    /// Samples and entries in memory.
    fn items(&self) -> u64 {
        self.head.samples() + self.entries.iter().map(|entries| entries.head.entries()).sum::<u64>()
    }
}

/// Storage in a directory.
pub(crate) struct Engine {
    pub(crate) options: Options,
    /// How entries are kept now: those of `options`, but for what was changed while the store is open.
    entry_options: PerSignal<RwLock<Arc<LogOptions>>>,
    pub(crate) disk: Arc<dyn Disk>,
    /// Locked before `shared`, never after.
    writer: Mutex<Writer>,
    shared: RwLock<Shared>,
    /// Unpacked blocks of segments that queries share.
    blocks: Arc<Blocks>,
    /// Serialises syncs of the log: who waits for it finds his write synced by the one before.
    syncing: Mutex<()>,
    /// File number and offset up to which the log is on the medium.
    synced: Mutex<(u64, u64)>,
    /// Why writes are refused until the next start.
    failed: Mutex<Option<String>>,
    /// Who brings entries of the head into blocks. Locked before `shared`, never after.
    sealing: Mutex<()>,
    /// One flush, merge or removal at a time; holds the number of the next segment.
    next_segment: Mutex<u64>,
    schedule: Mutex<Schedule>,
    closed: AtomicBool,
    free_bytes: AtomicU64,
    /// Below this nothing is written.
    free_bytes_min: AtomicU64,
    /// Damaged log files whose readable content is in the head; the next flush moves them away.
    damaged_logs: Mutex<Vec<String>>,
    /// Files in quarantine.
    quarantined: AtomicU64,
    /// Who reads the log behind us. Locked before `writer`, never after.
    holds: Mutex<Holds>,
    /// Whether it is still to be learnt who reads the log; until then none of its files goes.
    pub(crate) holds_unknown: AtomicBool,
    /// The content of log files before this number is in segments.
    flushed_before: AtomicU64,
    /// What the file of that name says. Locked after everything else.
    flushed: Mutex<Flushed>,
    /// One snapshot at a time.
    snapshots: Mutex<()>,
    /// Locked after everything else.
    exemplars: Mutex<Exemplars>,
    /// What is deleted and still in files. Changed only by who holds `next_segment`.
    tombstones: Mutex<Vec<Arc<Tombstone>>>,
    /// Whether this start is survived.
    starts: Mutex<Starts>,
    counters: Counters,
    replay: Replay,
    /// Log files that this start did not read.
    offline: Option<Offline>,
}

/// Our own metrics.
pub(crate) struct Counters {
    pub(crate) appended: Counter,
    pub(crate) syncs: Counter,
    pub(crate) quarantined: Counter,
    pub(crate) flushes: Counter,
    pub(crate) merges: Counter,
    pub(crate) downsampled: Counter,
    pub(crate) deleted: Counter,
    pub(crate) damaged_blocks: Counter,
    pub(crate) damaged_ids: Counter,
    pub(crate) exemplars: Counter,
    pub(crate) entries: PerSignal<EntryCounters>,
    pub(crate) exemplars_dropped: [Counter; Dropped::ALL.len()],
}

/// The same of one signal's entries.
pub(crate) struct EntryCounters {
    pub(crate) stored: Counter,
    pub(crate) duplicates: Counter,
    pub(crate) truncated: Counter,
    pub(crate) flushes: Counter,
}

impl Engine {
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn read(&self) -> RwLockReadGuard<'_, Shared> {
        self.shared.read().unwrap_or_else(PoisonError::into_inner)
    }
    fn modify(&self) -> RwLockWriteGuard<'_, Shared> {
        self.shared.write().unwrap_or_else(PoisonError::into_inner)
    }
    fn starts(&self) -> MutexGuard<'_, Starts> {
        self.starts.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Refuses writes from now on.
    fn fail(&self, reason: String) {
        tracing::error!(reason, "storage refuses writes until the next start");
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
    }
    /// The same for what is found again and again.
    fn fail_once(&self, reason: &str) {
        if self.failure().is_none() {
            self.fail(reason.to_owned());
        }
    }
    /// Refuses what changes files once the store is closed.
    fn still_open(&self) -> io::Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(io::Error::other("the store is closed")) } else { Ok(()) }
    }
    fn failure(&self) -> Option<String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    fn now(&self) -> i64 {
        self.options.clock.now().millis()
    }
}

/// The directory of the log.
pub(crate) fn wal_dir(dir: &Path) -> PathBuf {
    dir.join("wal")
}
/// The directory of metric segments.
pub(crate) fn metrics_dir(dir: &Path) -> PathBuf {
    dir.join("metrics")
}
/// The directory of segments of entries.
pub(crate) fn entries_dir(dir: &Path, signal: Signal) -> PathBuf {
    dir.join(signal.name())
}
/// The directory of tiers.
pub(crate) fn tiers_dir(dir: &Path) -> PathBuf {
    dir.join("tiers")
}
/// The directory of damaged files.
pub(crate) fn quarantine_dir(dir: &Path) -> PathBuf {
    dir.join("quarantine")
}

/// Milliseconds of a duration, as sample times count.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
