//! Log entries, spans and profiles at the gate: which of them may come in, and who listens to those that did. A stream that has too many labels is refused
//! whole; an entry that is too long, too old or too new is refused alone. It looks into no line.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use std::time::Duration;

use watchfire_model::batch::Origin;
use watchfire_model::labels::Labels;
use watchfire_model::level;
use watchfire_model::logs::{LogEntry, Nanos, StreamEntries};
use watchfire_model::text::cut;
use watchfire_model::time::Timestamp;
use watchfire_model::write::{LogsWritten, Reason, WriteError};

use super::origins::{Admission, Locked};
use super::rate::{Rate, Rates, TooFast};

/// What a log entry may look like. The store has limits of its own that are not tighter by default.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLimits {
    /// How far ahead of our clock an entry may be, in milliseconds.
    pub future_ms_max: i64,
    /// How old an entry may be, in milliseconds; `None` leaves that to retention.
    pub age_ms_max: Option<i64>,
    /// The longest line, in bytes.
    pub line_bytes_max: usize,
    /// The most labels of a stream.
    pub labels_max: usize,
    /// The longest name of a label or of structured metadata, in bytes.
    pub name_bytes_max: usize,
    /// The longest value of a label, in bytes.
    pub value_bytes_max: usize,
    /// The most names that an entry's structured metadata may have.
    pub metadata_max: usize,
    /// The most bytes of an entry's structured metadata.
    pub metadata_bytes_max: usize,
    /// The most streams that one origin may write to at once.
    pub streams_per_origin_max: usize,
    /// How many bytes a second all senders may bring, if that is limited.
    pub rate: Option<Rate>,
    /// How many bytes a second may come for one stream, if that is limited.
    pub stream_rate: Option<Rate>,
    /// Whether a line that is too long loses its end instead of being refused.
    pub truncate_lines: bool,
    /// Whether entries may bring structured metadata.
    pub allow_metadata: bool,
    /// Whether the level of a line is noted in its structured metadata where nobody has done so.
    pub detect_levels: bool,
    /// Labels that become structured metadata in the store, and so make no streams; a `*` at the end stands for anything.
    pub moved_labels: Vec<String>,
}
impl Default for LogLimits {
    fn default() -> LogLimits {
        LogLimits {
            future_ms_max: 600_000,
            age_ms_max: None,
            line_bytes_max: 256 << 10,
            labels_max: 40,
            name_bytes_max: 1024,
            value_bytes_max: 2048,
            metadata_max: 128,
            metadata_bytes_max: 64 << 10,
            streams_per_origin_max: 100_000,
            rate: None,
            stream_rate: None,
            truncate_lines: false,
            allow_metadata: true,
            detect_levels: true,
            moved_labels: Vec::new(),
        }
    }
}

impl LogLimits {
    /// The limits of spans: a stream has the attributes of the resource as labels, an entry those of the span, and its line is what
    /// events and links need.
    pub fn for_spans() -> LogLimits {
        LogLimits {
            line_bytes_max: 4 << 20,
            labels_max: 256,
            value_bytes_max: 64 << 10,
            metadata_max: 1_100,
            metadata_bytes_max: 2 << 20,
            detect_levels: false,
            ..LogLimits::default()
        }
    }
    /// The limits of profiles: a stream has the labels of a series, and a line has the stacks of one profile.
    pub fn for_profiles() -> LogLimits {
        LogLimits { line_bytes_max: 8 << 20, labels_max: 64, streams_per_origin_max: 10_000, ..LogLimits::default() }
    }
}

/// The times that are taken.
pub(super) struct Window {
    earliest: Nanos,
    latest: Nanos,
}

impl LogLimits {
    /// The times that are taken now.
    pub(super) fn window(&self, now: Timestamp) -> Window {
        let earliest = self.age_ms_max.map_or(Nanos::MIN, |age| Nanos::from_millis(now.plus_ms(-age).millis()));
        Window { earliest, latest: Nanos::from_millis(now.plus_ms(self.future_ms_max).millis()) }
    }

    /// Judges one entry of a stream, but for the number of streams.
    pub(super) fn check(&self, labels: &Labels, entry: &LogEntry, now: Timestamp) -> Result<(), (Reason, String)> {
        self.check_labels(labels)?;
        match self.check_entry(entry, &self.window(now)) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(refusal) => Err(refusal),
        }
    }

    /// Takes the entries that are refused out of a batch and counts them.
    pub(super) fn judge(&self, streams: &mut Vec<StreamEntries>, origin: &mut Locked<'_>, from: &Origin, window: &Window, refused: &mut Refused<'_>) {
        streams.retain_mut(|stream| {
            if let Err((reason, words)) = self.admission(origin, &stream.labels, from) {
                refused.note(reason, stream.entries.len(), &stream.labels, &words);
                return false;
            }
            let mut levels = self.detect_levels.then(|| Levels::of(&stream.labels));
            stream.entries.retain_mut(|entry| match self.check_entry(entry, window) {
                ControlFlow::Continue(()) => {
                    refused.counts.truncated += u64::from(self.shorten(entry));
                    if let Some(levels) = &mut levels {
                        levels.note(entry);
                    }
                    true
                }
                ControlFlow::Break((reason, words)) => {
                    refused.note(reason, 1, &stream.labels, &words);
                    false
                }
            });
            !stream.entries.is_empty()
        });
    }

    fn admission(&self, origin: &mut Locked<'_>, labels: &Labels, from: &Origin) -> Result<(), (Reason, String)> {
        // Labels that make no stream may be wrong where the stream is known, and what is known of a stream may be less than these labels.
        self.check_labels(labels)?;
        let hash = self.stream_hash(labels);
        match origin.look(hash) {
            Admission::Known => return Ok(()),
            Admission::New => {}
            Admission::Full(_) => return Err((Reason::StreamLimit, self.too_many_streams(from))),
        }
        origin.admit(hash);
        Ok(())
    }

    fn too_many_streams(&self, from: &Origin) -> String {
        format!(
            "Maximum active stream limit exceeded: more than {} streams from {}; use fewer labels, or labels with fewer values, or raise the limit",
            self.streams_per_origin_max, from.0
        )
    }

    /// Whether a batch comes at a rate that is allowed; it is turned away whole, so that it can come again.
    pub(super) fn keep_pace(&self, rates: &Rates, streams: &[StreamEntries], now: Duration) -> Result<(), WriteError> {
        rates.take(streams, self.rate, self.stream_rate, now).map_err(|too_fast| {
            WriteError::TooFast(match too_fast {
                TooFast::All { lines, bytes } => format!(
                    "Ingestion rate limit exceeded for user fake (limit: {:.0} bytes/sec) while attempting to ingest '{lines}' lines totaling '{bytes}' bytes; \
                     send less, or raise ingestion_rate_mb",
                    self.rate.map_or(0.0, |rate| rate.per_second)
                ),
                TooFast::Stream { labels, bytes } => format!(
                    "Per stream rate limit exceeded (limit: {:.0} bytes/sec) while attempting to ingest for stream '{}' totaling {bytes} bytes; \
                     split the stream by further labels, or raise per_stream_rate_limit",
                    self.stream_rate.map_or(0.0, |rate| rate.per_second),
                    super::shown(labels)
                ),
            })
        })
    }

    /// Takes the end off a line that is too long; tells whether it was.
    fn shorten(&self, entry: &mut LogEntry) -> bool {
        if entry.line.len() <= self.line_bytes_max {
            return false;
        }
        entry.line = Arc::from(cut(&entry.line, self.line_bytes_max));
        true
    }

    /// What tells a stream from others: its labels without those that make no stream.
    fn stream_hash(&self, labels: &Labels) -> u64 {
        let moves = |name: &str| {
            self.moved_labels.iter().any(|moved| match moved.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == moved,
            })
        };
        if labels.iter().any(|(name, _)| moves(name)) {
            return Labels::from_pairs(labels.iter().filter(|(name, _)| !moves(name))).hash_value();
        }
        labels.hash_value()
    }

    fn check_labels(&self, labels: &Labels) -> Result<(), (Reason, String)> {
        if labels.is_empty() {
            return Err((Reason::InvalidLabels, "at least one label pair is required per stream".to_owned()));
        }
        if labels.len() > self.labels_max {
            return Err((Reason::LabelCount, format!("{} labels, more than {}", labels.len(), self.labels_max)));
        }
        for (name, value) in labels {
            if name.len() > self.name_bytes_max {
                return Err((Reason::LabelNameLength, format!("a name of {} bytes, more than {}", name.len(), self.name_bytes_max)));
            }
            if value.len() > self.value_bytes_max {
                return Err((Reason::LabelValueLength, format!("label {name} has {} bytes, more than {}", value.len(), self.value_bytes_max)));
            }
        }
        Ok(())
    }

    fn check_entry(&self, entry: &LogEntry, window: &Window) -> ControlFlow<(Reason, String)> {
        let at = |time: Nanos| Timestamp(time.millis()).rfc3339_millis();
        if entry.time > window.latest {
            return ControlFlow::Break((Reason::TooFarFuture, format!("an entry has a timestamp too new: {}", at(entry.time))));
        }
        if entry.time < window.earliest {
            let words = format!("an entry has a timestamp too old: {}, oldest acceptable timestamp is: {}", at(entry.time), at(window.earliest));
            return ControlFlow::Break((Reason::TooOld, words));
        }
        if entry.line.len() > self.line_bytes_max && !self.truncate_lines {
            return ControlFlow::Break((Reason::LineLength, format!("a line of {} bytes, more than {}", entry.line.len(), self.line_bytes_max)));
        }
        if !entry.metadata.is_empty() && !self.allow_metadata {
            return ControlFlow::Break((Reason::MetadataSize, "structured metadata, which allow_structured_metadata forbids".to_owned()));
        }
        if entry.metadata.len() > self.metadata_max || entry.metadata.packed().len() > self.metadata_bytes_max {
            let words = format!(
                "structured metadata of {} names and {} bytes, more than {} and {}",
                entry.metadata.len(),
                entry.metadata.packed().len(),
                self.metadata_max,
                self.metadata_bytes_max
            );
            return ControlFlow::Break((Reason::MetadataSize, words));
        }
        ControlFlow::Continue(())
    }
}

/// Notes levels of the entries of one stream.
struct Levels {
    of_stream: Option<&'static str>,
    /// Whether the stream has the label itself.
    told: bool,
}

impl Levels {
    fn of(stream: &Labels) -> Levels {
        Levels { of_stream: level::of_labels(stream), told: stream.get(level::LABEL).is_some() }
    }

    fn note(&mut self, entry: &mut LogEntry) {
        if self.told || entry.metadata.get(level::LABEL).is_some() {
            return;
        }
        let found = level::of_labels(&entry.metadata).or(self.of_stream).or_else(|| level::of_line(&entry.line)).unwrap_or(level::UNKNOWN);
        entry.metadata = match level::ALL.iter().position(|known| *known == found).and_then(|at| NOTES.get(at)) {
            // Most entries have nothing else, and share one copy.
            Some(note) if entry.metadata.is_empty() => note.clone(),
            _ => entry.metadata.with(level::LABEL, found),
        };
    }
}

/// Each level as the only structured metadata of an entry.
static NOTES: LazyLock<[Labels; level::ALL.len()]> = LazyLock::new(|| level::ALL.map(|level| Labels::from_sorted(&[(level::LABEL, level)])));

/// Where refusals are counted.
pub(super) struct Refused<'a> {
    pub(super) counts: &'a mut LogsWritten,
    pub(super) example: &'a mut Option<String>,
}

impl Refused<'_> {
    /// The example names the stream, never the line: what is told about it may be collected again.
    fn note(&mut self, reason: Reason, entries: usize, labels: &Labels, words: &str) {
        self.counts.reject(reason, entries as u64);
        if self.example.is_none() {
            *self.example = Some(super::example(reason, words, labels));
        }
    }
}

/// Hears of entries that came in.
type Listener = Arc<dyn Fn(&Arc<[StreamEntries]>) + Send + Sync>;

/// Those who want to see entries as they come in: live tails. Whoever listens must not block.
#[derive(Clone, Default)]
pub struct LogTaps(Arc<Taps>);
#[derive(Default)]
struct Taps {
    next: AtomicU64,
    listeners: RwLock<Vec<(u64, Listener)>>,
}

/// A listener that hears until this is dropped.
pub struct LogTap {
    taps: LogTaps,
    id: u64,
}
impl Drop for LogTap {
    fn drop(&mut self) {
        self.taps.0.listeners.write().unwrap_or_else(PoisonError::into_inner).retain(|(id, _)| *id != self.id);
    }
}

impl LogTaps {
    /// Adds a listener.
    pub fn listen(&self, heard: impl Fn(&Arc<[StreamEntries]>) + Send + Sync + 'static) -> LogTap {
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.0.listeners.write().unwrap_or_else(PoisonError::into_inner).push((id, Arc::new(heard)));
        LogTap { taps: self.clone(), id }
    }
    /// How many listen.
    pub fn len(&self) -> usize {
        self.0.listeners.read().unwrap_or_else(PoisonError::into_inner).len()
    }
    /// Whether nobody listens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// What will be told, if somebody listens and there is something.
    pub(super) fn heard(&self, streams: &[StreamEntries]) -> Option<Arc<[StreamEntries]>> {
        (!streams.is_empty() && !self.is_empty()).then(|| streams.into())
    }
    /// Tells everybody.
    pub fn publish(&self, streams: &Arc<[StreamEntries]>) {
        let listeners = self.0.listeners.read().unwrap_or_else(PoisonError::into_inner).clone();
        listeners.iter().for_each(|(_, heard)| heard(streams));
    }
}
