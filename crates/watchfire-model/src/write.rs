//! The write seam: everything that brings data ends in `Sink::write`. One method, one batch type.

use std::fmt;

use crate::batch::Batch;

/// Why single items of a batch were not stored. The name is the `reason` label of our own counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is described by its name() text")]
pub enum Reason {
    TooFarFuture,
    TooOld,
    OutOfOrder,
    DuplicateConflict,
    SeriesLimit,
    SourceSeriesLimit,
    LabelCount,
    LabelNameLength,
    LabelValueLength,
    LabelBytes,
    InvalidLabels,
    InvalidValue,
    InvalidHistogram,
    UnknownMetric,
    UnsupportedType,
    SampleLimit,
    StorageFull,
    RelabelDropped,
    LineLength,
    MetadataSize,
    StreamLimit,
    InvalidId,
}
impl Reason {
    /// All reasons, for documentation and for counters that exist before the first event.
    pub const ALL: [Reason; 22] = [
        Reason::TooFarFuture,
        Reason::TooOld,
        Reason::OutOfOrder,
        Reason::DuplicateConflict,
        Reason::SeriesLimit,
        Reason::SourceSeriesLimit,
        Reason::LabelCount,
        Reason::LabelNameLength,
        Reason::LabelValueLength,
        Reason::LabelBytes,
        Reason::InvalidLabels,
        Reason::InvalidValue,
        Reason::InvalidHistogram,
        Reason::UnknownMetric,
        Reason::UnsupportedType,
        Reason::SampleLimit,
        Reason::StorageFull,
        Reason::RelabelDropped,
        Reason::LineLength,
        Reason::MetadataSize,
        Reason::StreamLimit,
        Reason::InvalidId,
    ];
    /// The stable code.
    pub fn name(self) -> &'static str {
        match self {
            Reason::TooFarFuture => "too_far_future",
            Reason::TooOld => "too_old",
            Reason::OutOfOrder => "out_of_order",
            Reason::DuplicateConflict => "duplicate_conflict",
            Reason::SeriesLimit => "series_limit",
            Reason::SourceSeriesLimit => "source_series_limit",
            Reason::LabelCount => "label_count",
            Reason::LabelNameLength => "label_name_length",
            Reason::LabelValueLength => "label_value_length",
            Reason::LabelBytes => "label_bytes",
            Reason::InvalidLabels => "invalid_labels",
            Reason::InvalidValue => "invalid_value",
            Reason::InvalidHistogram => "invalid_histogram",
            Reason::UnknownMetric => "unknown_metric",
            Reason::UnsupportedType => "unsupported_type",
            Reason::SampleLimit => "sample_limit",
            Reason::StorageFull => "storage_full",
            Reason::RelabelDropped => "relabel_dropped",
            Reason::LineLength => "line_length",
            Reason::MetadataSize => "metadata_size",
            Reason::StreamLimit => "stream_limit",
            Reason::InvalidId => "invalid_id",
        }
    }
}
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What became of a batch: `received == stored + duplicates + the sum of rejected`, always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Samples that are kept now (and, by the durability setting, survive).
    pub stored: u64,
    /// Samples that were already there with the same value: accepted, not stored twice.
    pub duplicates: u64,
    /// Samples that were refused, by reason.
    pub rejected: Vec<(Reason, u64)>,
    /// How many of the stored and the duplicates are native histograms; the others are floats.
    pub histograms: u64,
    /// Exemplars that are kept, whether they came now or were there already. They are no samples: no other figure counts them.
    pub exemplars: u64,
    /// Series that had not been seen before.
    pub new_series: u64,
    /// One example of a refusal in words, for the answer to the sender.
    pub example: Option<String>,
    /// What became of the log entries of the batch. They are no samples: no other figure counts them.
    pub logs: LogsWritten,
    /// The same of its spans.
    pub spans: LogsWritten,
    /// The same of its profiles.
    pub profiles: LogsWritten,
}

/// What became of log entries, or of spans or profiles, which are kept as entries: `received == stored + duplicates + the sum of rejected`, always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogsWritten {
    /// Entries that are kept now.
    pub stored: u64,
    /// Entries that came lately with the same stream, time, line and metadata: accepted, not stored twice.
    pub duplicates: u64,
    /// Entries that were refused, by reason.
    pub rejected: Vec<(Reason, u64)>,
    /// Entries that were taken over by sampling: whether they are kept is decided later, or they are not.
    pub sampling: u64,
    /// How many of the stored are kept without the end of their line, which was too long.
    pub truncated: u64,
    /// Streams that were not being written to.
    pub new_streams: u64,
    /// Which entries of the one batch are not among the stored: their places, counted through all its streams, ascending. Several
    /// outcomes that were added up have none.
    pub left_out: Vec<u32>,
}
impl LogsWritten {
    /// Counts refused entries.
    pub fn reject(&mut self, reason: Reason, count: u64) {
        reject(&mut self.rejected, reason, count);
    }
    /// All refused entries.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.iter().map(|(_, n)| n).sum()
    }
    /// Adds another outcome to this one.
    pub fn add(&mut self, other: LogsWritten) {
        self.stored += other.stored;
        self.duplicates += other.duplicates;
        self.sampling += other.sampling;
        self.truncated += other.truncated;
        self.new_streams += other.new_streams;
        self.left_out.clear();
        other.rejected.into_iter().for_each(|(reason, count)| self.reject(reason, count));
    }
}

fn reject(rejected: &mut Vec<(Reason, u64)>, reason: Reason, count: u64) {
    match rejected.iter_mut().find(|(r, _)| *r == reason) {
        Some((_, n)) => *n += count,
        None => rejected.push((reason, count)),
    }
}
impl Written {
    /// Counts refused samples.
    pub fn reject(&mut self, reason: Reason, count: u64) {
        reject(&mut self.rejected, reason, count);
    }
    /// All refused samples.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.iter().map(|(_, n)| n).sum()
    }
    /// Adds another outcome to this one.
    pub fn add(&mut self, other: Written) {
        self.stored += other.stored;
        self.duplicates += other.duplicates;
        self.histograms += other.histograms;
        self.exemplars += other.exemplars;
        self.new_series += other.new_series;
        for (reason, count) in other.rejected {
            self.reject(reason, count);
        }
        self.logs.add(other.logs);
        self.spans.add(other.spans);
        self.profiles.add(other.profiles);
        self.example = self.example.take().or(other.example);
    }
}

/// Why nothing of a batch was taken; the sender should try again later.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk is full or nearly so.
    #[error("storage is full: {0}")]
    Full(String),
    /// Too much is under way at the moment.
    #[error("too busy to take more: {0}")]
    Busy(String),
    /// The store cannot write (a failed write or sync poisons it until the next start).
    #[error("cannot write to storage: {0}")]
    Failed(String),
    /// We are shutting down.
    #[error("shutting down")]
    Closed,
    /// It comes faster than a limit of the configuration allows; the words say which.
    #[error("{0}")]
    TooFast(String),
}

/// Takes batches. An `Ok` is an acknowledgement: what it counts as stored survives `kill -9`.
///
/// The call may block for a disk write, so asynchronous callers use a blocking task.
pub trait Sink: Send + Sync {
    /// Takes one batch whole; items are judged one by one.
    fn write(&self, batch: Batch) -> Result<Written, WriteError>;
    /// Returns when everything that was acknowledged before is on the medium, so that not even a power cut takes it: whoever keeps
    /// elsewhere how far a source was read asks for this first. A sink that keeps nothing on a medium has nothing to do.
    fn sync(&self) -> Result<(), WriteError> {
        Ok(())
    }
}
