//! `Store`: the door to everything that is kept. It locks the directory, holds engine and state, and runs the keeper, the
//! one thread that does what is due (syncs, flushes, merges, retention).

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use watchfire_model::batch::{Batch, Metadata, SeriesExemplars};
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogSelection, LogSource, LogVisitor, Nanos, StreamVolume};
use watchfire_model::matcher::Matcher;
use watchfire_model::read::{Budget, ReadError, Selection, Source, Visitor, WindowVisitor};
use watchfire_model::state::StateStore;
use watchfire_model::time::Timestamp;
use watchfire_model::windows::Kept;
use watchfire_model::write::{Sink, WriteError, Written};

use crate::engine::{Engine, LogFilter, Reads};
use crate::error::OpenError;
use crate::figures;
use crate::file::{CountedDisk, Counters, Disk, LockGuard, RealDisk};
use crate::logs::Signal;
use crate::options::{LogOptions, Options};
use crate::state::{OpenStateError, RedbState};
use crate::stats::{CleanupPreview, Deletion, LogDeletion, SnapshotReport, Stats};
use crate::tail::{self, Tail, TailError, TailStats};

/// The name of the state file.
const STATE_FILE: &str = "state.redb";
/// The longest pause of the keeper between two looks at its duties.
const KEEPER_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Keeps batches and gives them back; one per data directory.
pub struct Store {
    engine: Arc<Engine>,
    state: Arc<RedbState>,
    state_reset: bool,
    written: Counters,
    keeper: Mutex<Option<Keeper>>,
    _lock: LockGuard,
}

struct Keeper {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Store {
    /// Opens a directory, making it when it is missing, and reads back what the last run left in the log.
    pub fn open(options: Options) -> Result<Store, OpenError> {
        let written = Counters::register(&options.meter);
        let disk: Arc<dyn Disk> = Arc::new(CountedDisk::new(Arc::new(RealDisk), written.clone()));
        let dir = options.dir.clone();
        disk.create_dir(&dir).map_err(OpenError::io("create", &dir))?;
        let lock = disk.lock(&dir.join("lock")).map_err(OpenError::io("lock", &dir))?.ok_or_else(|| OpenError::Locked(dir.clone()))?;
        let keeper_wanted = options.keeper;
        let pause = options.sync_interval.clamp(Duration::from_millis(50), KEEPER_PAUSE_MAX);
        let engine = Arc::new(Engine::open_with(disk.clone(), options, true)?);
        let (state, state_reset) = open_state(&*disk, &engine)?;
        hold_log(&engine, &state).map_err(|error| OpenError::State(error.to_string()))?;
        let keeper = if keeper_wanted { Some(Keeper::start(engine.clone(), pause).map_err(OpenError::io("start a thread for", &dir))?) } else { None };
        let state = Arc::new(state);
        figures::register(&engine, &state);
        Ok(Store { engine, state, state_reset, written, keeper: Mutex::new(keeper), _lock: lock })
    }

    /// Gives spans back, which are entries of streams: see `watchfire_model::spans`.
    pub fn spans(&self) -> Arc<dyn LogSource> {
        Arc::new(Entries { engine: self.engine.clone(), signal: Signal::Spans })
    }
    /// Gives profiles back, which are entries of streams: see `watchfire_model::profiles`.
    pub fn profiles(&self) -> Arc<dyn LogSource> {
        Arc::new(Entries { engine: self.engine.clone(), signal: Signal::Profiles })
    }
    /// The small durable state beside the telemetry.
    pub fn state(&self) -> Arc<dyn StateStore> {
        self.state.clone()
    }
    /// Reads what is written from now on, or since the reader of this name stopped. The log stays until it is acknowledged.
    /// Only one tail of a name may live at a time.
    pub fn tail(&self, name: &str) -> Result<Tail, TailError> {
        Tail::open(self.engine.clone(), self.state.clone(), name, self.state_reset, Reads::Samples)
    }
    /// Forgets all readers of the log but these: it need not stay for anybody else.
    pub fn forget_other_tails(&self, names: &[String]) -> Result<(), TailError> {
        tail::forget_others(&self.engine, &*self.state, names)
    }
    /// The same for log entries that came by some origins, as `Store::tail` is for samples. `sources` are names of origins.
    pub fn log_tail(&self, name: &str, sources: std::collections::BTreeSet<String>) -> Result<Tail, TailError> {
        self.entry_tail(Signal::Logs, name, Reads::Logs(Some(Arc::new(sources))))
    }
    /// The same for all log entries.
    pub fn whole_log_tail(&self, name: &str) -> Result<Tail, TailError> {
        self.entry_tail(Signal::Logs, name, Reads::Logs(None))
    }
    /// The same for samples, by names of their own: who forgets other readers of the one kind leaves those of the other alone.
    pub fn metric_tail(&self, name: &str) -> Result<Tail, TailError> {
        Tail::open(self.engine.clone(), self.state.clone(), &tail::metric_tail_name(name), self.state_reset, Reads::Samples)
    }
    /// The same for all spans.
    pub fn span_tail(&self, name: &str) -> Result<Tail, TailError> {
        self.entry_tail(Signal::Spans, name, Reads::Spans)
    }
    fn entry_tail(&self, signal: Signal, name: &str, reads: Reads) -> Result<Tail, TailError> {
        Tail::open(self.engine.clone(), self.state.clone(), &tail::entry_tail_name(signal, name), self.state_reset, reads)
    }
    /// Forgets all readers of log entries but these.
    pub fn forget_other_log_tails(&self, names: &[String]) -> Result<(), TailError> {
        tail::forget_other_entries(&self.engine, &*self.state, Signal::Logs, names)
    }
    /// Forgets all readers of spans but these.
    pub fn forget_other_span_tails(&self, names: &[String]) -> Result<(), TailError> {
        tail::forget_other_entries(&self.engine, &*self.state, Signal::Spans, names)
    }
    /// Forgets all readers that `Store::metric_tail` gave out but these.
    pub fn forget_other_metric_tails(&self, names: &[String]) -> Result<(), TailError> {
        tail::forget_other_metrics(&self.engine, &*self.state, names)
    }
    /// How such a reader is doing.
    pub fn metric_tail_stats(&self, name: &str) -> Result<Option<TailStats>, TailError> {
        self.stats_of(&tail::metric_tail_name(name))
    }
    /// How a reader of log entries is doing.
    pub fn log_tail_stats(&self, name: &str) -> Result<Option<TailStats>, TailError> {
        self.stats_of(&tail::entry_tail_name(Signal::Logs, name))
    }
    /// How a reader of spans is doing.
    pub fn span_tail_stats(&self, name: &str) -> Result<Option<TailStats>, TailError> {
        self.stats_of(&tail::entry_tail_name(Signal::Spans, name))
    }
    fn stats_of(&self, name: &str) -> Result<Option<TailStats>, TailError> {
        Ok(tail::stats(&self.engine)?.into_iter().find(|stats| stats.name == name))
    }
    /// How long log entries and spans stay in the log only because a reader of them still needs them.
    pub fn set_log_tail_age_max(&self, age: Duration) {
        self.engine.holds().age_max = Some(age);
    }
    /// How many bytes of the log may stay only because a tail still needs them.
    pub fn set_tail_bytes_max(&self, bytes: u64) {
        self.engine.holds().bytes_max = bytes;
    }
    /// How the readers of the log are doing.
    pub fn tail_stats(&self) -> Result<Vec<TailStats>, TailError> {
        Ok(tail::stats(&self.engine)?)
    }
    /// Figures about the store.
    pub fn stats(&self) -> Stats {
        Stats { state_bytes: self.state.bytes(), state_reset: self.state_reset, written: self.written.written(), ..self.engine.stats() }
    }
    /// Changes how log entries are kept while the store is open: for how long, and what of them is taken. What needs memory or files of
    /// another kind (sizes of memory and blocks, which labels are moved) stays as it was.
    pub fn set_log_policy(&self, wanted: &LogOptions) {
        self.engine.set_log_policy(wanted);
    }
    /// What retention would remove now. Changes nothing.
    pub fn cleanup_preview(&self) -> CleanupPreview {
        self.engine.cleanup_preview()
    }
    /// Removes at once what retention would remove one by one, and tells what it was. While a jump of the clock is under
    /// observation, only what is due by size goes. Files go when their last reader lets go.
    pub fn cleanup(&self) -> CleanupPreview {
        self.engine.cleanup()
    }
    /// Takes a batch whose samples may be of any age that retention allows, older than the newest of their series, too.
    pub fn backfill(&self, batch: Batch) -> Result<Written, WriteError> {
        self.engine.write_within(&batch, i64::MAX)
    }
    /// Does what is due now; the keeper calls this by itself.
    pub fn tick(&self) {
        self.engine.tick();
    }
    /// Moves recent samples from memory into a segment now, as the keeper does every two hours.
    pub fn flush(&self) -> std::io::Result<()> {
        self.engine.flush()
    }
    /// Moves log entries from memory into a segment now; the write-ahead log stays.
    pub fn flush_logs(&self) -> std::io::Result<()> {
        self.engine.flush_entries(Signal::Logs)
    }
    /// Merges the segments of one day if that is worth it; returns whether it was.
    pub fn merge(&self) -> std::io::Result<bool> {
        self.engine.merge()
    }
    /// Deletes the samples of all series that satisfy every matcher of one of the sets, from `start` to `end`, both inclusive. No
    /// read sees them any more when this returns, and no restart brings them back; the files give their room back when they are
    /// merged, or by [`Store::clean_tombstones`]. Only samples that were acknowledged before the call go: what is written during
    /// it or later stays, also at times that were deleted. Exemplars go with their series. No set at all is an error.
    pub fn delete_series(&self, sets: &[Vec<Matcher>], start: Timestamp, end: Timestamp) -> std::io::Result<Deletion> {
        self.engine.delete_series(sets, start.millis(), end.millis())
    }
    /// Deletes the log entries of all streams that satisfy every matcher of one of the sets, from `start` (inclusive) to `end`
    /// (exclusive), and, with a filter, only those that it wants gone. Matchers are those of a selection. Files that hold such entries
    /// are written anew without them before this returns; a crash in between leaves some of it done, and the call can be repeated.
    /// Only entries that were acknowledged before go. No set at all is an error.
    pub fn delete_logs(&self, sets: &[Vec<Matcher>], start: Nanos, end: Nanos, filter: Option<&LogFilter<'_>>) -> std::io::Result<LogDeletion> {
        self.engine.delete_entries(Signal::Logs, sets, start.0, end.0, filter)
    }
    /// Merges segments of logs if that is worth it; returns whether it was.
    pub fn merge_logs(&self) -> std::io::Result<bool> {
        self.engine.merge_entries(Signal::Logs)
    }
    /// Writes the files anew from which something was deleted, without it. Returns how many there were.
    pub fn clean_tombstones(&self) -> std::io::Result<u64> {
        self.engine.clean_tombstones()
    }
    /// Makes a directory that a store can be opened in, with everything that was acknowledged before the call: samples,
    /// exemplars, metadata and the small durable state. With `skip_head`, only what is in segments already. Reading and writing go
    /// on meanwhile. Files are shared by hard links where the file system can, otherwise copied. The directory must not exist; it
    /// has its name only when it is complete and on the medium.
    pub fn snapshot(&self, into: &Path, skip_head: bool) -> std::io::Result<SnapshotReport> {
        let disk = &*self.engine.disk;
        self.engine.snapshot(into, skip_head, &|dir| self.state.copy_to(disk, &dir.join(STATE_FILE)))
    }
    /// Writes one week that is over as windows of a tier, if one is due, as the keeper does; returns whether one was.
    pub fn downsample(&self) -> std::io::Result<bool> {
        self.engine.downsample()
    }
    /// Puts everything acknowledged on the medium now.
    pub fn sync(&self) {
        self.engine.sync();
    }
    /// Stops in good order: the keeper ends, the log is closed. Later writes are refused, reads still work.
    pub fn close(&self) {
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            drop(keeper.stop);
            if keeper.thread.join().is_err() {
                tracing::error!("the storage keeper panicked");
            }
        }
        self.engine.close();
    }
}

/// Lets the log know who still needs its files.
fn hold_log(engine: &Engine, state: &RedbState) -> Result<(), TailError> {
    let by_name = tail::load(engine, state)?;
    {
        let mut holds = engine.holds();
        holds.bytes_max = u64::MAX;
        holds.by_name = by_name;
    }
    engine.holds_unknown.store(false, Ordering::Release);
    Ok(engine.trim_log()?)
}

/// Opens the state file. A damaged one goes into quarantine, and a new one begins; the caller is told, because that also loses
/// who may log in.
fn open_state(disk: &dyn Disk, engine: &Engine) -> Result<(RedbState, bool), OpenError> {
    let dir = &engine.options.dir;
    let path = dir.join(STATE_FILE);
    let io = |error| OpenError::Io { doing: "open", path: path.clone(), source: error };
    match RedbState::open(disk, &path) {
        Ok(state) => return Ok((state, false)),
        Err(OpenStateError::Io(error)) => return Err(io(error)),
        Err(OpenStateError::Damaged(reason)) => tracing::error!(reason, "the state file is damaged"),
    }
    engine.quarantine(dir, STATE_FILE).map_err(io)?;
    match RedbState::open(disk, &path) {
        Ok(state) => Ok((state, true)),
        Err(OpenStateError::Io(error)) => Err(io(error)),
        Err(OpenStateError::Damaged(reason)) => Err(OpenError::State(reason)),
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

impl Keeper {
    fn start(engine: Arc<Engine>, pause: Duration) -> std::io::Result<Keeper> {
        let (stop, stopped) = mpsc::sync_channel(0);
        let thread = std::thread::Builder::new().name("store-keeper".into()).spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(pause) {
                // A panic must not end syncs and flushes for good; what it left half done is refused or done again.
                if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| engine.tick())).is_err() {
                    tracing::error!("BUG: the storage keeper panicked");
                }
            }
        })?;
        Ok(Keeper { stop, thread })
    }
}

impl Sink for Store {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        self.engine.write(&batch)
    }
    fn sync(&self) -> Result<(), WriteError> {
        self.engine.sync_written()
    }
}

impl LogSource for Store {
    fn select_logs(&self, selection: &LogSelection, budget: &Budget, visit: &mut LogVisitor<'_>) -> Result<(), ReadError> {
        self.engine.select_entries(Signal::Logs, selection, budget, visit)
    }
    fn log_volume(&self, selection: &LogSelection, budget: &Budget) -> Result<Vec<StreamVolume>, ReadError> {
        self.engine.entry_volume(Signal::Logs, selection, budget)
    }
    fn log_label_names(&self, selection: &LogSelection, budget: &Budget) -> Result<Vec<String>, ReadError> {
        self.engine.entry_label_names(Signal::Logs, selection, budget)
    }
    fn log_label_values(&self, name: &str, selection: &LogSelection, budget: &Budget) -> Result<Vec<String>, ReadError> {
        self.engine.entry_label_values(Signal::Logs, name, selection, budget)
    }
}

/// Gives the entries of one signal back.
struct Entries {
    engine: Arc<Engine>,
    signal: Signal,
}

impl LogSource for Entries {
    fn select_logs(&self, selection: &LogSelection, budget: &Budget, visit: &mut LogVisitor<'_>) -> Result<(), ReadError> {
        self.engine.select_entries(self.signal, selection, budget, visit)
    }
    fn log_volume(&self, selection: &LogSelection, budget: &Budget) -> Result<Vec<StreamVolume>, ReadError> {
        self.engine.entry_volume(self.signal, selection, budget)
    }
    fn log_label_names(&self, selection: &LogSelection, budget: &Budget) -> Result<Vec<String>, ReadError> {
        self.engine.entry_label_names(self.signal, selection, budget)
    }
    fn log_label_values(&self, name: &str, selection: &LogSelection, budget: &Budget) -> Result<Vec<String>, ReadError> {
        self.engine.entry_label_values(self.signal, name, selection, budget)
    }
}

impl Source for Store {
    fn select(&self, selection: &Selection, budget: &Budget, visit: &mut Visitor<'_>) -> Result<(), ReadError> {
        self.engine.select(selection, budget, visit)
    }
    fn series(&self, selection: &Selection, budget: &Budget) -> Result<Vec<Labels>, ReadError> {
        self.engine.series(selection, budget)
    }
    fn label_names(&self, selection: &Selection, budget: &Budget) -> Result<Vec<String>, ReadError> {
        self.engine.label_names(selection, budget)
    }
    fn label_values(&self, name: &str, selection: &Selection, budget: &Budget) -> Result<Vec<String>, ReadError> {
        self.engine.label_values(name, selection, budget)
    }
    fn label_values_at_once(&self, name: &str, selection: &Selection) -> Option<Vec<String>> {
        self.engine.label_values_at_once(name, selection)
    }
    fn exemplars(&self, selection: &Selection, budget: &Budget) -> Result<Vec<SeriesExemplars>, ReadError> {
        self.engine.exemplars(selection, budget)
    }
    fn kept_windows(&self) -> Vec<Kept> {
        self.engine.kept_windows()
    }
    fn windows(&self, selection: &Selection, resolution_ms: i64, budget: &Budget, visit: &mut WindowVisitor<'_>) -> Result<(), ReadError> {
        self.engine.windows(selection, resolution_ms, budget, visit)
    }
    fn metadata(&self) -> Vec<Metadata> {
        self.engine.metadata()
    }
}
