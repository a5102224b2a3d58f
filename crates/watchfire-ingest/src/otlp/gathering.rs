//! Entries of a request on their way to the gate, alike for logs and spans, and for Zipkin's spans: gathered by stream, handed over in batches, counted. What an
//! entry is made of is the signal's own.

use hashbrown::HashMap;
use watchfire_model::batch::{Batch, Origin};
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, StreamEntries};
use watchfire_model::write::{LogsWritten, Reason, Sink, Written};

use super::{Format, OtlpError, answer};
use crate::gate::Gate;
use crate::label_bytes::LabelBytes;

/// A batch goes to the gate when its entries have so many bytes.
const BATCH_BYTES: usize = 8 << 20;

/// Which entries they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Logs,
    Spans,
}

impl Kind {
    fn of(self, batch: &mut Batch) -> &mut Vec<StreamEntries> {
        match self {
            Kind::Logs => &mut batch.logs,
            Kind::Spans => &mut batch.spans,
        }
    }
    fn counts(self, written: &mut Written) -> &mut LogsWritten {
        match self {
            Kind::Logs => &mut written.logs,
            Kind::Spans => &mut written.spans,
        }
    }
    /// What JSON calls the number of those that were refused, and what people call all of them.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Kind::Logs => ("rejectedLogRecords", "log records"),
            Kind::Spans => ("rejectedSpans", "spans"),
        }
    }
}

/// What became of a request of logs or traces.
#[derive(Clone, Debug)]
pub struct ReceivedEntries {
    /// The records or spans, by what became of them.
    pub counts: LogsWritten,
    /// One example of a refusal in words.
    pub example: Option<String>,
    kind: Kind,
}

impl ReceivedEntries {
    /// The answer: an `Export…ServiceResponse`, which is empty when everything was kept.
    pub fn answer(&self, format: Format) -> Vec<u8> {
        answer::partial(format, self.kind.words().0, self.counts.rejected_total(), || self.message())
    }

    /// What was refused, in words.
    pub fn message(&self) -> String {
        let LogsWritten { stored, duplicates, sampling, rejected, .. } = &self.counts;
        let refused = self.counts.rejected_total();
        answer::message(refused, refused + stored + duplicates + sampling, self.kind.words().1, rejected, self.example.as_deref())
    }
}

/// The entries of one request.
pub(crate) struct Gathering<'a> {
    gate: &'a Gate,
    kind: Kind,
    entries_max: usize,
    batch: Batch,
    places: HashMap<Labels, usize>,
    entries: usize,
    bytes: usize,
    /// What is left for labels and metadata.
    pub(crate) labels: LabelBytes,
    written: Written,
    refused: Written,
}

impl<'a> Gathering<'a> {
    /// Nothing yet; so many entries make a batch.
    pub(crate) fn new(gate: &'a Gate, origin: Origin, kind: Kind, entries_max: usize) -> Gathering<'a> {
        Gathering {
            gate,
            kind,
            entries_max,
            batch: Batch::new(origin),
            places: HashMap::new(),
            entries: 0,
            bytes: 0,
            labels: LabelBytes::default(),
            written: Written::default(),
            refused: Written::default(),
        }
    }

    /// Where a stream is in the present batch, if it is there.
    pub(crate) fn place(&self, labels: &Labels) -> Option<usize> {
        self.places.get(labels).copied()
    }
    /// Puts a stream into the present batch that is not there yet.
    pub(crate) fn begin(&mut self, labels: Labels) -> usize {
        let streams = self.kind.of(&mut self.batch);
        let at = streams.len();
        streams.push(StreamEntries { labels: labels.clone(), entries: Vec::new() });
        self.places.insert(labels, at);
        at
    }

    /// Adds an entry of so many bytes to the stream at a place; returns whether a batch was handed over, so that no place holds any more.
    pub(crate) fn add(&mut self, at: usize, entry: LogEntry, bytes: usize) -> Result<bool, OtlpError> {
        if let Some(stream) = self.kind.of(&mut self.batch).get_mut(at) {
            stream.entries.push(entry);
        }
        self.entries += 1;
        self.bytes += bytes;
        let full = self.entries >= self.entries_max || self.bytes >= BATCH_BYTES || self.labels.fill_a_batch();
        if full {
            self.flush()?;
        }
        Ok(full)
    }

    /// Counts entries that are refused before they are one.
    pub(crate) fn refuse(&mut self, reason: Reason, entries: u64, words: &str) {
        if entries > 0 {
            self.kind.counts(&mut self.refused).reject(reason, entries);
            self.refused.example.get_or_insert_with(|| format!("{reason}: {words}"));
        }
    }

    fn flush(&mut self) -> Result<(), OtlpError> {
        if self.entries == 0 {
            return Ok(());
        }
        let next = Batch::new(self.batch.origin.clone());
        let batch = std::mem::replace(&mut self.batch, next);
        self.places.clear();
        (self.entries, self.bytes) = (0, 0);
        self.labels.next_batch();
        self.written.add(self.gate.write(batch)?);
        Ok(())
    }

    /// Hands the rest over. What is refused counts once it is certain that the request will not come again.
    pub(crate) fn finish(mut self) -> Result<ReceivedEntries, OtlpError> {
        self.flush()?;
        self.gate.book_refused(&self.batch.origin, &self.refused);
        self.written.add(self.refused);
        Ok(ReceivedEntries { counts: std::mem::take(self.kind.counts(&mut self.written)), example: self.written.example, kind: self.kind })
    }
}
