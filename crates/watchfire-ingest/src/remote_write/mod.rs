//! Remote write 1.0 and 2.0: a message in protobuf becomes a batch. Decoded by hand, because this is a hot path and a few
//! small messages are all there is. Input is already decompressed; sockets and headers are the face's business.
//! `wire` is the other direction: requests for whoever sends.
//!
//! Each series is taken apart into borrowed pieces (`series::Pieces`), which are used again for the next one, so that a
//! new series costs the allocation of its labels and nothing else; one that came before (`known`) costs none. What is wrong with one series refuses that series alone;
//! what is no protobuf refuses the message.

pub(crate) mod created;
mod histogram;
mod known;
mod series;
#[cfg(test)]
mod tests;
mod v1;
mod v2;
pub mod wire;

use watchfire_model::batch::{Batch, Origin};
use watchfire_model::labels::Labels;
use watchfire_model::write::{Reason, Written};

use crate::label_bytes::{LABELS_MAX, LabelBytes};
use crate::protobuf::WireError;
use created::Created;
use known::{Fresh, Known};

/// The most texts in the table of a message of version 2.0.
const SYMBOLS_MAX: usize = 1 << 20;
/// The most buckets of the histograms of one message.
const BUCKETS_PER_MESSAGE_MAX: usize = 4 << 20;

/// The versions of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// `prometheus.WriteRequest`.
    V1,
    /// `io.prometheus.write.v2.Request`.
    V2,
}
impl Version {
    /// The name of its message, as the parameter `proto` of the content type has it.
    pub fn message(self) -> &'static str {
        match self {
            Version::V1 => "prometheus.WriteRequest",
            Version::V2 => "io.prometheus.write.v2.Request",
        }
    }
    /// The version of a message's name.
    pub fn from_message(name: &str) -> Option<Version> {
        [Version::V1, Version::V2].into_iter().find(|v| v.message() == name)
    }
}

/// What is done with extras that a message brings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether type and unit become the labels `__type__` and `__unit__` (version 2.0 says them per series).
    pub type_and_unit_labels: bool,
    /// Whether the time at which a counter began becomes a sample of value 0 (version 2.0).
    pub created_timestamps: bool,
}

/// Why a message cannot be read. Nothing of it was taken.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It is not the protobuf message that it should be.
    #[error("cannot read the write request: {0}")]
    Wire(#[from] WireError),
    /// It is a message of the other version.
    #[error("cannot read the write request: it is not a {} as its content type says", .0.message())]
    OtherVersion(Version),
    /// More than a message may have.
    #[error("cannot take a write request with more than {0}")]
    TooLarge(&'static str),
}

/// What a message held.
#[derive(Debug)]
pub struct Decoded {
    /// Series and metadata.
    pub batch: Batch,
    /// What is refused here already: series whose labels cannot be, histograms that are none.
    pub refused: Written,
    /// Exemplars that are refused here: those of refused series, without a time, or too large.
    pub exemplars_refused: u64,
    /// Which samples of value 0 are in the batch: a series' hash and its beginning. For [`Decoder::stored`].
    zeros: Vec<(u64, i64)>,
    /// Series that were read in full. For [`Decoder::stored`].
    fresh: Vec<Fresh>,
    labels: LabelBytes,
    buckets_left: usize,
}
impl Decoded {
    fn new(origin: Origin) -> Decoded {
        Decoded {
            batch: Batch::new(origin),
            refused: Written::default(),
            exemplars_refused: 0,
            zeros: Vec::new(),
            fresh: Vec::new(),
            labels: LabelBytes::default(),
            buckets_left: BUCKETS_PER_MESSAGE_MAX,
        }
    }
    fn refuse(&mut self, reason: Reason, count: u64, example: &str) {
        if count > 0 {
            self.refused.reject(reason, count);
        }
        self.refused.example.get_or_insert_with(|| example.to_owned());
    }
}

/// Reads messages. It remembers series that it has read, and which beginnings of counters it has passed on.
#[derive(Debug, Default)]
pub struct Decoder {
    options: Options,
    created: Created,
    known: Known,
}
impl Decoder {
    /// A decoder.
    pub fn new(options: Options) -> Decoder {
        Decoder { options, created: Created::default(), known: Known::default() }
    }
    /// Reads a message.
    pub fn decode(&self, version: Version, message: &[u8], origin: Origin) -> Result<Decoded, DecodeError> {
        let mut decoded = Decoded::new(origin);
        match version {
            Version::V1 => v1::decode(message, &self.known.read(), &mut decoded)?,
            Version::V2 => v2::decode(message, self.options, &self.created, &mut decoded)?,
        }
        Ok(decoded)
    }
    /// Notes that what a message held is stored now: its samples of value 0 are not made again, and those of its series that
    /// the gate accepted are known from now on.
    pub fn stored(&self, news: News, accepted: impl Fn(&Labels) -> bool) {
        self.created.note(&news.zeros);
        let mut fresh = news.fresh;
        fresh.retain(|series| accepted(&series.labels));
        self.known.add(fresh);
    }
}

/// What a message brought that was not known: samples of value 0 that were made of beginnings, and series.
#[derive(Debug)]
pub struct News {
    zeros: Vec<(u64, i64)>,
    fresh: Vec<Fresh>,
}
impl Decoded {
    /// Takes out what [`Decoder::stored`] wants to know later.
    pub fn take_news(&mut self) -> News {
        News { zeros: std::mem::take(&mut self.zeros), fresh: std::mem::take(&mut self.fresh) }
    }
}
