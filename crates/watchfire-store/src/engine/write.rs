//! The way of a batch: judge every sample, write the accepted ones to the log, then show them in the head. A batch whose
//! log write fails leaves no trace, so that the sender's second try is not mistaken for a duplicate.

use std::ops::ControlFlow;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use hashbrown::HashTable;
use watchfire_model::batch::{Batch, Metadata};
use watchfire_model::labels::Labels;
use watchfire_model::time::Timestamp;
use watchfire_model::write::{Reason, WriteError, Written};

use super::{Engine, Shared, millis};
use crate::metrics::record::{self, Entry};
use crate::metrics::segment::BlockCache;
use crate::wal::{AppendError, SIGNAL_METRICS, Wal};

/// At most this many samples stand in one frame of the log.
const FRAME_SAMPLES_MAX: usize = 16_384;
/// A frame is ended when its series definitions reach this size.
const FRAME_DEFINITION_BYTES: usize = 1 << 20;
/// Marks the number of a series that is new in this batch until its slot is known.
const NEW: u32 = 1 << 31;

/// What writing needs; one writer at a time.
pub(crate) struct Writer {
    pub(crate) wal: Wal,
    /// The epoch of the log in which series are defined.
    pub(crate) epoch: u64,
    batch: Judged,
    lookup: Lookup,
    /// For every slot the number of the last batch that wrote to it.
    stamps: Vec<u32>,
    batch_number: u32,
}

impl Writer {
    pub(crate) fn new(wal: Wal, epoch: u64) -> Writer {
        Writer { wal, epoch, batch: Judged::default(), lookup: Lookup::default(), stamps: Vec::new(), batch_number: 0 }
    }
}

/// Looks into segments for late samples; most batches never need it.
#[derive(Default)]
struct Lookup {
    now: u64,
    cache: Option<BlockCache>,
}

/// A batch under judgement; kept between batches for its memory.
#[derive(Default)]
struct Judged {
    entries: Vec<Entry>,
    new: Vec<NewSeries>,
    new_by_hash: HashTable<u32>,
    /// New series that have at least one accepted sample.
    created: Vec<u32>,
    /// Known series that the current epoch of the log does not define yet.
    redefined: Vec<u32>,
}

struct NewSeries {
    labels: Labels,
    slot: Option<u32>,
    newest: Option<i64>,
    seen: bool,
}

impl Judged {
    fn clear(&mut self) {
        self.entries.clear();
        self.new.clear();
        self.new_by_hash.clear();
        self.created.clear();
        self.redefined.clear();
    }
    fn new_series(&mut self, labels: &Labels) -> u32 {
        let hash = labels.hash_value();
        if let Some(at) = self.new_by_hash.find(hash, |at| self.new[*at as usize].labels == *labels) {
            return *at;
        }
        let at = self.new.len() as u32;
        self.new.push(NewSeries { labels: labels.clone(), slot: None, newest: None, seen: false });
        let new = &self.new;
        self.new_by_hash.insert_unique(hash, at, |i| new[*i as usize].labels.hash_value());
        at
    }
}

impl Engine {
    /// Takes a batch. See `watchfire_model::write::Sink`.
    pub(crate) fn write(&self, batch: &Batch) -> Result<Written, WriteError> {
        let mut guard = self.writer();
        let writer = &mut *guard;
        self.ready_to_write()?;
        let mut written = Written::default();
        let (known, metadata) = {
            let shared = self.read();
            let shared = &*shared;
            if shared.head.chunk_bytes() > self.options.memory_max {
                return Err(WriteError::Busy("recent samples fill the memory they may use and are being written out".into()));
            }
            gather(writer, shared, batch, &mut written);
            self.judge(writer, shared, &mut written);
            let metadata: Vec<&Metadata> = batch.metadata.iter().filter(|m| !shared.head.knows(m)).collect();
            (definitions(writer, shared), metadata)
        };
        if writer.batch.entries.is_empty() && metadata.is_empty() {
            return Ok(written);
        }
        log(writer, &known, &metadata).map_err(|error| self.append_failed(error))?;
        self.show(writer, &metadata, &mut written);
        if self.options.sync_interval.is_zero() {
            let position = writer.wal.position();
            drop(guard);
            self.sync_to(position)?;
        }
        Ok(written)
    }

    fn ready_to_write(&self) -> Result<(), WriteError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(WriteError::Closed);
        }
        if let Some(reason) = self.failure() {
            return Err(WriteError::Failed(reason));
        }
        let free = self.free_bytes.load(Ordering::Relaxed);
        let min = self.free_bytes_min.load(Ordering::Relaxed);
        if free < min {
            return Err(WriteError::Full(format!("the file system has {free} bytes left, less than the minimum of {min}")));
        }
        Ok(())
    }

    pub(super) fn append_failed(&self, error: AppendError) -> WriteError {
        match error {
            AppendError::Full(error) => {
                self.free_bytes.store(0, Ordering::Relaxed);
                WriteError::Full(error.to_string())
            }
            AppendError::Poisoned(error) => {
                self.fail(format!("the write-ahead log cannot be written: {error}"));
                WriteError::Failed(error.to_string())
            }
        }
    }

    /// Keeps the samples that are to be stored and gives new series their slots.
    fn judge(&self, writer: &mut Writer, shared: &Shared, written: &mut Written) {
        let now = self.now();
        let limits = Limits {
            latest: now.saturating_add(millis(self.options.future_max)),
            earliest: self.options.retention.map_or(i64::MIN, |keep| now.saturating_sub(millis(keep))),
            window: millis(self.options.out_of_order_window),
            series_max: self.options.series_max,
        };
        let mut entries = std::mem::take(&mut writer.batch.entries);
        let mut last_redefined = u32::MAX;
        writer.lookup.now = self.moment();
        entries.retain_mut(|entry| {
            let known = (entry.slot & NEW == 0).then(|| shared.head.get(entry.slot)).flatten();
            match judge_one(&mut writer.batch, &mut writer.lookup, shared, &limits, entry) {
                ControlFlow::Continue(()) => {}
                ControlFlow::Break(Verdict::Duplicate) => {
                    written.duplicates += 1;
                    return false;
                }
                ControlFlow::Break(Verdict::Refused(reason)) => {
                    let labels = known.map_or_else(|| writer.batch.new.get((entry.slot & !NEW) as usize).map(|n| &n.labels), |s| Some(&s.labels));
                    refuse(written, reason, labels, entry.time);
                    return false;
                }
            }
            if known.is_some_and(|series| series.defined_in != writer.epoch) && last_redefined != entry.slot {
                last_redefined = entry.slot;
                writer.batch.redefined.push(entry.slot);
            }
            true
        });
        writer.batch.entries = entries;
        writer.lookup.cache = None;
    }

    /// Makes the accepted samples visible. The log has them.
    fn show(&self, writer: &mut Writer, metadata: &[&Metadata], written: &mut Written) {
        let mut shared = self.modify();
        let batch = &mut writer.batch;
        for at in &batch.created {
            let new = &batch.new[*at as usize];
            let slot = shared.head.add(new.labels.clone(), new.newest, writer.epoch);
            debug_assert_eq!(Some(slot), new.slot, "BUG: the head gave another slot than it promised");
        }
        for slot in &batch.redefined {
            if let Some(series) = shared.head.get_mut(*slot) {
                series.defined_in = writer.epoch;
            }
        }
        for entry in &batch.entries {
            shared.head.push(entry.slot, entry.time, entry.bits);
        }
        for item in metadata {
            shared.head.note_metadata(item);
        }
        written.stored += batch.entries.len() as u64;
        written.new_series += batch.created.len() as u64;
        self.counters.appended.add(batch.entries.len() as u64);
    }

    /// Returns when the log is on the medium up to a position. One sync serves all who wait.
    pub(crate) fn sync_to(&self, wanted: (u64, u64)) -> Result<(), WriteError> {
        let _turn = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        if *self.synced.lock().unwrap_or_else(PoisonError::into_inner) >= wanted {
            return Ok(());
        }
        let (file, position) = {
            let mut writer = self.writer();
            let file = writer.wal.sync_handle().map_err(|e| self.append_failed(e))?;
            (file, writer.wal.position())
        };
        self.counters.syncs.inc();
        if let Some(Err(error)) = file.map(|f| f.sync()) {
            self.fail(format!("the write-ahead log cannot be synced: {error}"));
            return Err(WriteError::Failed(error.to_string()));
        }
        *self.synced.lock().unwrap_or_else(PoisonError::into_inner) = position;
        self.writer().wal.mark_synced(position);
        match self.failure() {
            None => Ok(()),
            Some(reason) => Err(WriteError::Failed(reason)),
        }
    }
}

struct Limits {
    latest: i64,
    earliest: i64,
    window: i64,
    series_max: usize,
}

enum Verdict {
    Duplicate,
    Refused(Reason),
}

fn refuse(written: &mut Written, reason: Reason, labels: Option<&Labels>, time: i64) {
    written.reject(reason, 1);
    if written.example.is_none() {
        let labels = labels.map(Labels::to_string).unwrap_or_default();
        written.example = Some(format!("{reason}: {labels} at {}", Timestamp(time).rfc3339_millis()));
    }
}

/// Resolves the series of a batch and brings its samples into the order in which they are judged: by series and time when a
/// series comes more than once, so that the order within the batch does not matter.
fn gather(writer: &mut Writer, shared: &Shared, batch: &Batch, written: &mut Written) {
    writer.batch.clear();
    writer.batch_number = writer.batch_number.wrapping_add(1);
    if writer.batch_number == 0 {
        writer.stamps.clear();
        writer.batch_number = 1;
    }
    writer.stamps.resize(shared.head.slot_bound(0), 0);
    let mut repeated = false;
    for series in &batch.series {
        let samples = series.samples.as_slice();
        let slot = match shared.head.find(&series.labels) {
            Some(slot) => {
                repeated |= std::mem::replace(&mut writer.stamps[slot as usize], writer.batch_number) == writer.batch_number;
                slot
            }
            None => {
                let at = writer.batch.new_series(&series.labels);
                repeated |= std::mem::replace(&mut writer.batch.new[at as usize].seen, true);
                at | NEW
            }
        };
        repeated |= samples.len() > 1;
        writer.batch.entries.extend(samples.iter().map(|s| Entry { slot, time: s.time.millis(), bits: s.value.to_bits() }));
    }
    if repeated {
        settle_repeats(&mut writer.batch, shared, written);
    }
}

/// Sorts samples by series and time and settles those of one time: the first one wins.
fn settle_repeats(batch: &mut Judged, shared: &Shared, written: &mut Written) {
    batch.entries.sort_by_key(|e| (e.slot, e.time));
    let new = &batch.new;
    batch.entries.dedup_by(|later, earlier| {
        if (later.slot, later.time) != (earlier.slot, earlier.time) {
            return false;
        }
        if later.bits == earlier.bits {
            written.duplicates += 1;
        } else {
            let labels = match later.slot & NEW {
                0 => shared.head.get(later.slot).map(|s| &s.labels),
                _ => new.get((later.slot & !NEW) as usize).map(|n| &n.labels),
            };
            refuse(written, Reason::DuplicateConflict, labels, later.time);
        }
        true
    });
}

fn judge_one(batch: &mut Judged, lookup: &mut Lookup, shared: &Shared, limits: &Limits, entry: &mut Entry) -> ControlFlow<Verdict> {
    let refused = |reason| ControlFlow::Break(Verdict::Refused(reason));
    if entry.time > limits.latest {
        return refused(Reason::TooFarFuture);
    }
    if entry.time < limits.earliest {
        return refused(Reason::TooOld);
    }
    let is_new = entry.slot & NEW != 0;
    let at = (entry.slot & !NEW) as usize;
    let (newest, labels) = if is_new {
        let new = &mut batch.new[at];
        if new.slot.is_none() {
            new.newest = shared.newest_in_segments(&new.labels, entry.time, lookup.now);
        }
        (new.newest, &new.labels)
    } else {
        let Some(series) = shared.head.get(entry.slot) else { return refused(Reason::InvalidLabels) };
        (series.newest, &series.labels)
    };
    if let Some(newest) = newest
        && entry.time <= newest
    {
        // A clock that was wrong for a while leaves samples in the future; they must not shut out the present.
        if entry.time < newest.min(limits.latest).saturating_sub(limits.window) {
            return refused(Reason::TooOld);
        }
        let in_head = if is_new { None } else { shared.head.get(entry.slot).and_then(|s| s.find(entry.time)) };
        match in_head.or_else(|| shared.find_in_segments(labels, entry.time, lookup.now, &mut lookup.cache)) {
            Some(bits) if bits == entry.bits => return ControlFlow::Break(Verdict::Duplicate),
            Some(_) => return refused(Reason::DuplicateConflict),
            None => {}
        }
    }
    if is_new {
        let slot = match batch.new[at].slot {
            Some(slot) => slot,
            None if shared.head.live() + batch.created.len() >= limits.series_max => return refused(Reason::SeriesLimit),
            None => {
                let slot = shared.head.future_slot(batch.created.len());
                batch.created.push(at as u32);
                *batch.new[at].slot.insert(slot)
            }
        };
        entry.slot = slot;
    }
    ControlFlow::Continue(())
}

/// The definitions that the log needs before the samples of this batch.
fn definitions(writer: &Writer, shared: &Shared) -> Vec<(u32, Labels)> {
    let batch = &writer.batch;
    let created = batch.created.iter().filter_map(|at| {
        let new = &batch.new[*at as usize];
        Some((new.slot?, new.labels.clone()))
    });
    let redefined = batch.redefined.iter().filter_map(|slot| Some((*slot, shared.head.get(*slot)?.labels.clone())));
    created.chain(redefined).collect()
}

/// Writes a batch to the log: all definitions first, in as many frames as their size asks for.
fn log(writer: &mut Writer, known: &[(u32, Labels)], metadata: &[&Metadata]) -> Result<(), AppendError> {
    let mut rest = known;
    let mut metadata = metadata;
    loop {
        let mut bytes = 0;
        let len = rest
            .iter()
            .take_while(|(_, labels)| {
                bytes += labels.memory();
                bytes < FRAME_DEFINITION_BYTES
            })
            .count()
            .max(1)
            .min(rest.len());
        let (now, later) = rest.split_at(len);
        if later.is_empty() {
            rest = now;
            break;
        }
        writer.wal.frame(SIGNAL_METRICS, |out| record::encode(out, now, metadata, &[]));
        metadata = &[];
        rest = later;
    }
    let mut chunks = writer.batch.entries.chunks(FRAME_SAMPLES_MAX);
    let first = chunks.next().unwrap_or(&[]);
    writer.wal.frame(SIGNAL_METRICS, |out| record::encode(out, rest, metadata, first));
    for chunk in chunks {
        writer.wal.frame(SIGNAL_METRICS, |out| record::encode(out, &[], &[], chunk));
    }
    writer.wal.commit()
}
