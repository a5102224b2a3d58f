//! The way of entries: judge each, put the accepted ones into records, which become frames of the log and, when it has them,
//! pieces of the head. A batch whose log write fails leaves no trace.

use watchfire_model::batch::Batch;
use watchfire_model::labels::{Labels, LabelsBuilder};
use watchfire_model::logs::{LogEntry, Nanos, StreamEntries};
use watchfire_model::text::cut;
use watchfire_model::time::Timestamp;
use watchfire_model::write::{LogsWritten, Reason, Written};
use zstd::bulk::Compressor;

use crate::engine::{Engine, Shared, millis};
use crate::logs::Signal;
use crate::logs::piece::{self, Piece, RecordWriter, entry_hash};
use crate::logs::recent::Recent;
use crate::logs::streams::{Stream, Streams};
use crate::options::LogOptions;
use crate::wal::Wal;

/// A frame is ended when its entries reach this size.
const FRAME_BYTES: usize = 1 << 20;
/// Whatever the options say, no line and no metadata are longer: a frame of the log has to hold them.
const LINE_BYTES_LIMIT: usize = 8 << 20;
const METADATA_BYTES_LIMIT: usize = 4 << 20;
/// Records are compressed as fast as can be: they are read once, if ever. A level of 1 would make them a third smaller and writing a
/// sixth slower.
const RECORD_LEVEL: i32 = -3;
const NANOS_PER_MILLI: i64 = 1_000_000;

/// What writing the entries of a signal needs; it belongs to the one writer.
pub(crate) struct EntryWriter {
    signal: Signal,
    pub(crate) streams: Streams,
    pub(crate) recent: Recent,
    compressor: Compressor<'static>,
    /// The batch under way.
    records: Vec<Piece>,
    record: RecordWriter,
    /// Its streams that the log did not define before, with whether they are new altogether.
    defined: Vec<(Labels, bool)>,
    /// Names that it moved from labels.
    moved: Vec<String>,
    /// How many hashes it noted.
    noted: usize,
}

impl EntryWriter {
    pub(crate) fn new(signal: Signal, options: &LogOptions, recent: Recent) -> std::io::Result<EntryWriter> {
        Ok(EntryWriter {
            signal,
            streams: Streams::new(&options.moved_labels, options.label_values_max),
            recent,
            compressor: Compressor::new(RECORD_LEVEL)?,
            records: Vec::new(),
            record: RecordWriter::default(),
            defined: Vec::new(),
            moved: Vec::new(),
            noted: 0,
        })
    }

    /// Whether the batch under way has no accepted entries.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn end_record(&mut self) {
        let next = RecordWriter::of(self.record.source());
        let record = std::mem::replace(&mut self.record, next);
        if !record.is_empty() {
            self.records.push(record.finish());
        }
    }

    /// Adds the frames of the batch to what the log writes next.
    pub(crate) fn put_frames(&mut self, wal: &mut Wal) {
        // The canary leaves the lines of some batches out of the log, to prove that the crash tests look for lines and not for samples only.
        #[cfg(feature = "canary-forgets-lines")]
        if self.signal == Signal::Logs && self.defined.is_empty() && self.recent.all().len() % 8 == 0 {
            return;
        }
        for record in &self.records {
            wal.frame(self.signal.number(), |out| piece::encode(out, record, &mut self.compressor));
        }
    }
    /// Adds a frame that lets entries of the epochs before be known when they come again.
    pub(crate) fn put_recent(&mut self, wal: &mut Wal) -> bool {
        let mut record = RecordWriter::default();
        record.hashes(self.recent.all());
        let some = self.recent.all().len() > 0;
        if some {
            wal.frame(self.signal.number(), |out| piece::encode(out, &record.finish(), &mut self.compressor));
        }
        some
    }

    /// Forgets the batch under way: its frames are not in the log.
    pub(crate) fn undo(&mut self) {
        self.records.clear();
        self.recent.forget_last(std::mem::take(&mut self.noted));
        for (labels, new) in self.defined.drain(..) {
            if new { self.streams.remove(&labels) } else { self.streams.define(&labels, u64::MAX) }
        }
    }

    /// The batch is in the log: gives its entries to the head.
    pub(crate) fn show(&mut self, shared: &mut Shared, unit_bytes: usize) {
        self.noted = 0;
        self.defined.clear();
        for name in self.moved.drain(..) {
            shared.entries[self.signal].head.note_moved(&name);
        }
        for record in self.records.drain(..) {
            shared.entries[self.signal].head.push(record, unit_bytes);
        }
    }
}

/// What entries may be.
struct Limits<'a> {
    options: &'a LogOptions,
    latest: i64,
    earliest: i64,
    epoch: u64,
    now: i64,
}

impl Engine {
    /// Keeps the entries that are to be stored as records of the log.
    pub(in crate::engine) fn judge_entries(&self, writer: &mut EntryWriter, epoch: u64, batch: &Batch, written: &mut Written) {
        writer.noted = 0;
        writer.defined.clear();
        writer.moved.clear();
        writer.record = RecordWriter::of((!batch.logs.is_empty()).then(|| batch.origin.0.clone()));
        let now = self.now();
        let nanos = |ms: i64| ms.saturating_mul(NANOS_PER_MILLI);
        let options = &*self.entry_options(writer.signal);
        let limits = Limits {
            options,
            latest: nanos(now.saturating_add(millis(self.options.future_max))),
            earliest: options.keep_longest().map_or(i64::MIN, |keep| nanos(now.saturating_sub(millis(keep)))),
            epoch,
            now,
        };
        let mut outcome = Outcome::default();
        writer.signal.of(batch).iter().for_each(|stream| judge_stream(writer, &limits, stream, &mut outcome));
        let counts = writer.signal.outcome(written);
        counts.add(outcome.counts);
        counts.left_out = outcome.left_out;
        written.example = written.example.take().or(outcome.example);
        writer.end_record();
    }
}

/// Where what became of entries is counted.
#[derive(Default)]
struct Outcome {
    counts: LogsWritten,
    example: Option<String>,
    /// How many entries were judged, and the places of those that are not kept.
    judged: u32,
    left_out: Vec<u32>,
}

impl Outcome {
    /// Counts refused entries; the first refusal is told in words.
    fn reject(&mut self, reason: Reason, count: u64, labels: &Labels, time: Option<Nanos>) {
        self.counts.reject(reason, count);
        if self.example.is_none() {
            let at = time.map_or(String::new(), |time| format!(" at {}", Timestamp(time.millis()).rfc3339_millis()));
            self.example = Some(format!("{reason}: {labels}{at}"));
        }
    }
}

fn judge_stream(writer: &mut EntryWriter, limits: &Limits<'_>, stream: &StreamEntries, outcome: &mut Outcome) {
    let (labels, moved) = match writer.streams.move_labels(&stream.labels, limits.now) {
        Some((labels, moved)) => (labels, moved),
        None => (stream.labels.clone(), Labels::empty()),
    };
    let mut known = writer.streams.used(&labels);
    let refusal = match known {
        Some(_) => None,
        None if writer.streams.len() >= limits.options.streams_max => Some(Reason::StreamLimit),
        None => refuse_labels(&labels, limits.options),
    };
    if let Some(reason) = refusal {
        let end = outcome.judged.saturating_add(stream.entries.len() as u32);
        outcome.left_out.extend(outcome.judged..end);
        outcome.judged = end;
        return outcome.reject(reason, stream.entries.len() as u64, &labels, None);
    }
    for (name, _) in &moved {
        if !writer.moved.iter().any(|known| known == name) {
            writer.moved.push(name.to_owned());
            writer.record.moved(name);
        }
    }
    for entry in &stream.entries {
        let stored = outcome.counts.stored;
        match judge_entry(entry, &moved, limits) {
            Ok((line, metadata)) => keep(writer, limits.epoch, &labels, &mut known, (entry, line, &metadata), &mut outcome.counts),
            Err(reason) => outcome.reject(reason, 1, &labels, Some(entry.time)),
        }
        if outcome.counts.stored == stored {
            outcome.left_out.push(outcome.judged);
        }
        outcome.judged = outcome.judged.saturating_add(1);
    }
}

fn refuse_labels(labels: &Labels, options: &LogOptions) -> Option<Reason> {
    let mut count = 0;
    for (name, value) in labels {
        count += 1;
        if name.is_empty() {
            return Some(Reason::InvalidLabels);
        }
        if name.len() > options.name_bytes_max {
            return Some(Reason::LabelNameLength);
        }
        if value.len() > options.label_value_bytes_max {
            return Some(Reason::LabelValueLength);
        }
    }
    (count > options.labels_max).then_some(Reason::LabelCount)
}

/// The line and the metadata as they are kept.
fn judge_entry<'a>(entry: &'a LogEntry, moved: &Labels, limits: &Limits<'_>) -> Result<(&'a str, Labels), Reason> {
    if entry.time.0 > limits.latest {
        return Err(Reason::TooFarFuture);
    }
    if entry.time.0 < limits.earliest {
        return Err(Reason::TooOld);
    }
    let most = limits.options.line_bytes_max.min(LINE_BYTES_LIMIT);
    if entry.line.len() > most && !limits.options.truncate_lines {
        return Err(Reason::LineLength);
    }
    let metadata = join_metadata(&entry.metadata, moved);
    if metadata.packed().len() > limits.options.metadata_bytes_max.min(METADATA_BYTES_LIMIT) {
        return Err(Reason::MetadataSize);
    }
    if entry.metadata.iter().any(|(name, _)| name.is_empty() || name.len() > limits.options.name_bytes_max) {
        return Err(Reason::InvalidLabels);
    }
    Ok((cut(&entry.line, most), metadata))
}

/// The entry's own metadata, and the labels that were moved. Of one name the entry's own stays as it is, the label gets another.
fn join_metadata(own: &Labels, moved: &Labels) -> Labels {
    if moved.is_empty() {
        return own.clone();
    }
    if own.is_empty() {
        return moved.clone();
    }
    let mut joined = LabelsBuilder::from(own);
    for (name, value) in moved {
        match own.get(name) {
            Some(same) if same == value => {}
            Some(_) => {
                joined.set(&format!("{name}_extracted"), value);
            }
            None => {
                joined.set(name, value);
            }
        }
    }
    joined.build()
}

fn keep(
    writer: &mut EntryWriter,
    epoch: u64,
    labels: &Labels,
    known: &mut Option<Stream>,
    (entry, line, metadata): (&LogEntry, &str, &Labels),
    counts: &mut LogsWritten,
) {
    if !writer.recent.note(entry_hash(labels, entry.time.0, line, metadata.packed())) {
        counts.duplicates += 1;
        return;
    }
    writer.noted += 1;
    let stream = match known {
        Some(stream) => *stream,
        None => {
            counts.new_streams += 1;
            writer.defined.push((labels.clone(), true));
            *known.insert(writer.streams.add(labels.clone()))
        }
    };
    if stream.defined_in != epoch {
        if stream.defined_in != u64::MAX {
            writer.defined.push((labels.clone(), false));
        }
        writer.record.stream(stream.number, labels);
        writer.streams.define(labels, epoch);
        if let Some(known) = known {
            known.defined_in = epoch;
        }
    }
    writer.record.entry(stream.number, labels, entry.time.0, line, metadata.packed());
    counts.stored += 1;
    counts.truncated += u64::from(line.len() < entry.line.len());
    if writer.record.bytes() >= FRAME_BYTES {
        writer.end_record();
    }
}
