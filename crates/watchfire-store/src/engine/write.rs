//! The way of a batch: judge every sample, write the accepted ones to the log, then show them in the head. A batch whose
//! log write fails leaves no trace, so that the sender's second try is not mistaken for a duplicate.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use watchfire_model::batch::{Batch, Metadata};
use watchfire_model::labels::Labels;
use watchfire_model::write::{WriteError, Written};

use super::exemplars::Accepted;
use super::judge::{Judged, Lookup, gather};
use super::logs::EntryWriter;
use super::{Engine, Shared, millis};
use crate::logs::{PerSignal, Signal};
use crate::metrics::record;
use crate::wal::{AppendError, SIGNAL_EXEMPLARS, SIGNAL_HISTOGRAMS, SIGNAL_METRICS, Wal};

/// At most this many samples stand in one frame of the log.
const FRAME_SAMPLES_MAX: usize = 16_384;
/// A frame is ended when its series definitions reach this size.
const FRAME_DEFINITION_BYTES: usize = 1 << 20;
/// A frame is ended when its native histograms reach this size.
const FRAME_HISTOGRAM_BYTES: usize = 1 << 20;
/// At most this many exemplars stand in one frame of the log.
const FRAME_EXEMPLARS_MAX: usize = 4096;

/// What writing needs; one writer at a time.
pub(crate) struct Writer {
    pub(crate) wal: Wal,
    /// The epoch of the log in which series are defined.
    pub(crate) epoch: u64,
    pub(super) batch: Judged,
    pub(super) lookup: Lookup,
    /// For every slot the number of the last batch that wrote to it.
    pub(super) stamps: Vec<u32>,
    pub(super) batch_number: u32,
    pub(super) entries: PerSignal<EntryWriter>,
}

impl Writer {
    pub(crate) fn new(wal: Wal, epoch: u64, entries: PerSignal<EntryWriter>) -> Writer {
        Writer { wal, epoch, batch: Judged::default(), lookup: Lookup::default(), stamps: Vec::new(), batch_number: 0, entries }
    }
}

impl Engine {
    /// Takes a batch. See `watchfire_model::write::Sink`.
    pub(crate) fn write(&self, batch: &Batch) -> Result<Written, WriteError> {
        self.write_within(batch, millis(self.options.out_of_order_window))
    }

    /// The same for samples that may be so much older, in milliseconds, than the newest of their series.
    pub(crate) fn write_within(&self, batch: &Batch, window: i64) -> Result<Written, WriteError> {
        let mut guard = self.writer();
        let writer = &mut *guard;
        self.ready_to_write()?;
        let mut written = Written::default();
        let (known, metadata, exemplars) = {
            let shared = self.read();
            let shared = &*shared;
            if shared.head.chunk_bytes() > self.options.memory_max {
                return Err(WriteError::Busy("recent samples fill the memory they may use and are being written out".into()));
            }
            for signal in Signal::ALL.into_iter().filter(|signal| !signal.of(batch).is_empty()) {
                let bytes = shared.entries[signal].head.bytes() + writer.entries[signal].streams.bytes();
                if bytes > self.options.entries(signal).memory_max {
                    return Err(WriteError::Busy(format!("the newest {} fill the memory they may use and are being written out", signal.entries())));
                }
            }
            gather(writer, shared, batch, &mut written);
            self.judge(writer, shared, window, &mut written);
            let exemplars = self.judge_exemplars(writer, shared, batch, &mut written);
            let metadata: Vec<&Metadata> = batch.metadata.iter().filter(|m| !shared.head.knows(m)).collect();
            (definitions(writer, shared), metadata, exemplars)
        };
        for (_, entries) in writer.entries.iter_mut() {
            self.judge_entries(entries, writer.epoch, batch, &mut written);
        }
        let no_metrics = writer.batch.entries.is_empty() && writer.batch.histograms.is_empty() && metadata.is_empty() && exemplars.is_empty();
        if no_metrics && writer.entries.iter().all(EntryWriter::is_empty) {
            return Ok(written);
        }
        if !no_metrics {
            log(writer, &known, &metadata, &exemplars);
        }
        for (_, entries) in writer.entries.iter_mut() {
            entries.put_frames(&mut writer.wal);
        }
        if let Err(error) = writer.wal.commit() {
            writer.entries.iter_mut().for_each(|(_, entries)| entries.undo());
            return Err(self.append_failed(error));
        }
        let to_seal = self.show(writer, &metadata, &mut written);
        self.keep_exemplars(exemplars, &mut written);
        if self.options.sync_interval.is_zero() {
            let position = writer.wal.position();
            drop(guard);
            self.sync_to(position)?;
        } else {
            drop(guard);
        }
        // The sender whose entries fill a unit brings it into blocks, while others write on.
        for signal in to_seal {
            if let Err(error) = self.seal_entries(signal, u64::MAX, false) {
                tracing::error!(%error, "cannot bring {} into blocks yet; they stay as they came", signal.entries());
            }
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

    /// Makes the accepted samples and entries visible. The log has them. Returns the signals whose entries can be brought into blocks.
    fn show(&self, writer: &mut Writer, metadata: &[&Metadata], written: &mut Written) -> Vec<Signal> {
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
        for (slot, labels) in batch.adopted.drain(..) {
            if let Some(series) = shared.head.get_mut(slot) {
                series.labels = labels;
            }
        }
        for entry in &batch.entries {
            shared.head.push(entry.slot, entry.time, entry.bits);
        }
        for entry in &batch.histograms {
            shared.head.push_histogram(entry.slot, entry.time, &entry.value);
        }
        for item in metadata {
            shared.head.note_metadata(item);
        }
        let stored = (batch.entries.len() + batch.histograms.len()) as u64;
        written.stored += stored;
        written.histograms += batch.histograms.len() as u64;
        written.new_series += batch.created.len() as u64;
        self.counters.appended.add(stored);
        // Queries would share them, and memory would not be given back.
        batch.histograms.clear();
        for (signal, entries) in writer.entries.iter_mut() {
            entries.show(&mut shared, self.options.entries(signal).unit_bytes);
            let (counters, counts) = (&self.counters.entries[signal], signal.outcome(written));
            counters.stored.add(counts.stored);
            counters.duplicates.add(counts.duplicates);
            counters.truncated.add(counts.truncated);
        }
        Signal::ALL.into_iter().filter(|signal| shared.entries[*signal].head.to_seal(u64::MAX).is_some()).collect()
    }

    /// Returns when everything that is written is on the medium.
    pub(crate) fn sync_written(&self) -> Result<(), WriteError> {
        let position = self.writer().wal.position();
        self.sync_to(position)
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

/// Adds the frames of a batch's metrics to what the log writes next: all definitions first, in as many frames as their size asks for.
fn log(writer: &mut Writer, known: &[(u32, Labels)], metadata: &[&Metadata], exemplars: &[Accepted]) {
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
    let mut chunks = writer.batch.entries.chunks(FRAME_SAMPLES_MAX).peekable();
    let mut histograms = &writer.batch.histograms[..];
    let mut first = true;
    while first || chunks.peek().is_some() || !histograms.is_empty() {
        let (known, metadata) = if std::mem::take(&mut first) { (rest, metadata) } else { (&[][..], &[][..]) };
        let entries = chunks.next().unwrap_or(&[]);
        // Histograms come with the last floats, so that a batch of one frame is there as a whole or not at all.
        if histograms.is_empty() || chunks.peek().is_some() {
            writer.wal.frame(SIGNAL_METRICS, |out| record::encode(out, known, metadata, entries));
            continue;
        }
        let mut written = 0;
        writer.wal.frame(SIGNAL_HISTOGRAMS, |out| {
            record::encode(out, known, metadata, entries);
            written = record::encode_histograms(out, histograms, FRAME_HISTOGRAM_BYTES);
        });
        histograms = &histograms[written..];
    }
    for exemplars in exemplars.chunks(FRAME_EXEMPLARS_MAX) {
        writer.wal.frame(SIGNAL_EXEMPLARS, |out| record::encode_exemplars(out, exemplars.iter().map(|(slot, _, exemplar)| (*slot, exemplar))));
    }
}
