//! What a store can be told. Not configuration parsing: the binary maps `watchfire.yml` to this.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use watchfire_model::labels::Labels;
use watchfire_model::matcher::{Matcher, matches_all};
use watchfire_model::meter::Meter;
use watchfire_model::time::SharedClock;

use crate::logs::Signal;

/// Windows that are kept longer than samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// How long a window is: a whole part of a week.
    pub resolution: Duration,
    /// How old a week must be before it is written as windows; not less than the out-of-order window.
    pub after: Duration,
    /// How long the windows are kept; `None` is for ever.
    pub keep: Option<Duration>,
}

/// How long entries of some streams are kept.
#[derive(Clone, Debug)]
pub struct LogRetention {
    /// The streams: all must hold, for their labels alone.
    pub matchers: Vec<Matcher>,
    /// How long; `None` is for ever.
    pub keep: Option<Duration>,
}

impl LogOptions {
    /// The defaults for spans: a stream has the attributes of the resource as labels, which are many; an entry has those of the span,
    /// which may be long.
    pub fn for_spans() -> LogOptions {
        LogOptions {
            labels_max: 256,
            label_value_bytes_max: 64 << 10,
            line_bytes_max: 4 << 20,
            metadata_bytes_max: 2 << 20,
            moved_labels: Vec::new(),
            ..LogOptions::default()
        }
    }
    /// The defaults for profiles: an entry has the stacks of one profile, which are many, and few have come before.
    pub fn for_profiles() -> LogOptions {
        LogOptions { labels_max: 64, line_bytes_max: 8 << 20, moved_labels: Vec::new(), recent_max: 8_192, ..LogOptions::default() }
    }
    /// How long entries of a stream are kept.
    pub(crate) fn keep(&self, labels: &Labels) -> Option<Duration> {
        self.rules.iter().find(|rule| matches_all(&rule.matchers, labels)).map_or(self.retention, |rule| rule.keep)
    }
    /// Whether some entries go with age.
    pub(crate) fn keeps_for_a_time(&self) -> bool {
        self.rules.iter().any(|rule| rule.keep.is_some()) || self.retention.is_some()
    }
    /// How long any entry is kept at most.
    pub(crate) fn keep_longest(&self) -> Option<Duration> {
        self.rules.iter().map(|rule| rule.keep).chain([self.retention]).reduce(|a, b| Some(a?.max(b?))).flatten()
    }
}

/// How logs are kept, and what of them is taken.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// How long entries are kept that no rule is about; `None` is for ever.
    pub retention: Option<Duration>,
    /// How long entries of some streams are kept; the first rule that is about a stream counts.
    pub rules: Vec<LogRetention>,
    /// How many bytes the newest entries may occupy in memory. A half moves them into a segment, the whole makes writers wait.
    pub memory_max: usize,
    /// The longest line.
    pub line_bytes_max: usize,
    /// Whether a longer line is cut off instead of refused.
    pub truncate_lines: bool,
    /// How many labels a stream may have.
    pub labels_max: usize,
    /// The longest name of a label or of structured metadata.
    pub name_bytes_max: usize,
    /// The longest value of a label.
    pub label_value_bytes_max: usize,
    /// How many bytes the structured metadata of an entry may have.
    pub metadata_bytes_max: usize,
    /// How many streams may be written to at once; half of them moves the newest entries into a segment.
    pub streams_max: usize,
    /// Names of labels that become structured metadata; a `*` at the end stands for anything.
    pub moved_labels: Vec<String>,
    /// A label with more values than this within an hour becomes structured metadata, too.
    pub label_values_max: usize,
    /// How many of the newest entries are known when they come again.
    pub recent_max: usize,
    /// About how many bytes of lines a block holds.
    pub block_bytes: usize,
    /// About how many bytes of entries are brought into blocks at once.
    pub unit_bytes: usize,
    /// How many bytes of decoded segment indexes are kept for the next query.
    pub index_cache_bytes: usize,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        let moved = ["trace_id", "traceid", "traceID", "span_id", "spanid", "request_id", "correlation_id", "batch_id", "duration*", "pid", "pg_duration_ms"];
        LogOptions {
            retention: None,
            rules: Vec::new(),
            memory_max: 20 << 20,
            line_bytes_max: 256 << 10,
            truncate_lines: false,
            labels_max: 15,
            name_bytes_max: 1024,
            label_value_bytes_max: 2048,
            metadata_bytes_max: 64 << 10,
            streams_max: 200_000,
            moved_labels: moved.map(str::to_owned).to_vec(),
            label_values_max: 1_000,
            recent_max: 65_536,
            block_bytes: 1 << 20,
            unit_bytes: 8 << 20,
            index_cache_bytes: 16 << 20,
        }
    }
}

/// How a store is opened. Take [`Options::new`] and change what differs.
#[derive(Clone)]
pub struct Options {
    /// The data directory; made when it is missing.
    pub dir: PathBuf,
    /// Where the time comes from.
    pub clock: SharedClock,
    /// Where our own metrics go.
    pub meter: Meter,
    /// How long an acknowledged write may wait for the disk's cache: the loss window of a power cut. Zero syncs before acknowledging.
    pub sync_interval: Duration,
    /// How long metrics are kept; `None` is for ever.
    pub retention: Option<Duration>,
    /// Which windows are kept longer than samples; none by default.
    pub tiers: Vec<Tier>,
    /// How many bytes all data may occupy; the oldest segments go first. `None` is without limit.
    pub size_max: Option<u64>,
    /// How many series may be active at once.
    pub series_max: usize,
    /// How much older than the newest sample of its series a sample may be.
    pub out_of_order_window: Duration,
    /// How far ahead of the clock a sample may be.
    pub future_max: Duration,
    /// How many bytes recent samples may occupy in memory. A half makes the head flush early, the whole makes writers wait.
    pub memory_max: usize,
    /// Writes are refused while the file system has less room than this, or than a tenth of its size where that is less.
    pub min_free_bytes: u64,
    /// How often recent samples move from memory into a segment.
    pub flush_interval: Duration,
    /// How long a series stays in memory after its last sample was flushed.
    pub series_idle: Duration,
    /// The size at which the write-ahead log goes on in a new file.
    pub wal_file_bytes: u64,
    /// At this size of the write-ahead log everything moves from memory into segments.
    pub wal_bytes_max: u64,
    /// How many bytes of decoded segment indexes are kept for the next query.
    pub index_cache_bytes: usize,
    /// How many bytes of unpacked blocks are kept for the next query.
    pub block_cache_bytes: usize,
    /// On a clean stop, heads with more samples than this are flushed; smaller ones are replayed at the next start.
    pub flush_on_close_samples: u64,
    /// So are they when the log is longer than this, however little of it is in memory only: it would stay, and the next start read all of it.
    pub flush_on_close_log_bytes: u64,
    /// How many exemplars are kept; zero keeps none.
    pub exemplars_max: usize,
    /// How many bytes of memory exemplars may occupy.
    pub exemplars_bytes_max: usize,
    /// Logs.
    pub logs: LogOptions,
    /// Spans, which are kept in the same way.
    pub spans: LogOptions,
    /// Profiles, which are kept in the same way.
    pub profiles: LogOptions,
    /// Whether the store works through its duties in a thread of its own. Tests switch it off and call `Store::tick`.
    pub keeper: bool,
    /// When this becomes true, opening gives up with [`OpenError::Stopped`](crate::OpenError::Stopped).
    pub stop: Arc<AtomicBool>,
}

impl Options {
    /// How entries of a signal are kept.
    pub(crate) fn entries(&self, signal: Signal) -> &LogOptions {
        match signal {
            Signal::Logs => &self.logs,
            Signal::Spans => &self.spans,
            Signal::Profiles => &self.profiles,
        }
    }
    /// The defaults for a directory and a clock.
    pub fn new(dir: impl Into<PathBuf>, clock: SharedClock) -> Options {
        Options {
            dir: dir.into(),
            clock,
            meter: Meter::new(),
            sync_interval: Duration::from_secs(5),
            retention: None,
            tiers: Vec::new(),
            size_max: None,
            series_max: 100_000,
            out_of_order_window: Duration::from_secs(2 * 3600),
            future_max: Duration::from_secs(600),
            memory_max: 64 << 20,
            min_free_bytes: 100_000_000,
            flush_interval: Duration::from_secs(2 * 3600),
            series_idle: Duration::from_secs(3600),
            wal_file_bytes: 32 << 20,
            wal_bytes_max: 256 << 20,
            index_cache_bytes: 16 << 20,
            block_cache_bytes: 8 << 20,
            flush_on_close_samples: 200_000,
            flush_on_close_log_bytes: 16 << 20,
            exemplars_max: 100_000,
            exemplars_bytes_max: 16 << 20,
            logs: LogOptions::default(),
            spans: LogOptions::for_spans(),
            profiles: LogOptions::for_profiles(),
            keeper: true,
            stop: Arc::default(),
        }
    }
}
