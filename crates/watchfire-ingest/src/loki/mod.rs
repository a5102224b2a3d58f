//! Loki's push: streams of lines in protobuf or JSON become one batch. Input is already decompressed; sockets and headers are the face's
//! business. What is wrong with one stream or entry refuses that one alone; what is no message refuses the request.

pub mod config;
mod json;
mod proto;
pub(crate) mod selector;
#[cfg(test)]
mod tests;

use std::sync::{Arc, PoisonError, RwLock};

use watchfire_model::batch::{Batch, Origin};
use watchfire_model::labels::{Labels, is_classic_label_name};
use watchfire_model::logs::{LogEntry, StreamEntries};
use watchfire_model::meter::{Counter, Meter};
use watchfire_model::text::shortened;
use watchfire_model::write::{LogsWritten, Reason, Sink, WriteError, Written};

use crate::gate::Gate;
use crate::label_bytes::LABELS_MAX;
use crate::label_names::label_name;
use crate::protobuf::WireError;

use config::QueryLimits;
use selector::SelectorError;

/// The most entries of one request.
pub const ENTRIES_MAX: usize = 1 << 20;

/// How a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}
impl Format {
    /// The format by the value of `Content-Type`. Without a type it is JSON, and so is what `curl` calls a form.
    pub fn of_content_type(text: &str) -> Option<Format> {
        match text.split(';').next().unwrap_or("").trim().to_ascii_lowercase().as_str() {
            "application/x-protobuf" | "application/protobuf" => Some(Format::Protobuf),
            "" | "application/json" | "application/x-www-form-urlencoded" | "text/plain" => Some(Format::Json),
            _ => None,
        }
    }
}

/// Why a request cannot be read. Nothing of it was taken.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It is not the protobuf message that it should be.
    #[error("cannot read the push request: {0}")]
    Wire(#[from] WireError),
    /// It is not the JSON that it should be.
    #[error("cannot read the push request: {}", shortened(&.0.to_string()))]
    Json(#[from] serde_json::Error),
    /// More than a request may have.
    #[error("cannot take a push request with more than {ENTRIES_MAX} entries")]
    TooMany,
}

/// Why a request was not taken as a whole.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Sending it again will not help.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// It can be sent again later.
    #[error(transparent)]
    Later(#[from] WriteError),
}

/// What a request held.
#[derive(Debug)]
pub struct Decoded {
    /// Its streams.
    pub batch: Batch,
    /// What is refused here already: streams whose labels cannot be read.
    pub refused: Written,
    entries: usize,
}

impl Decoded {
    fn new(origin: Origin) -> Decoded {
        Decoded { batch: Batch::new(origin), refused: Written::default(), entries: 0 }
    }

    /// Counts an entry before it is read.
    fn count(&mut self) -> Result<(), DecodeError> {
        self.entries += 1;
        if self.entries > ENTRIES_MAX { Err(DecodeError::TooMany) } else { Ok(()) }
    }

    /// Adds the entries of a stream whose labels came as a set. A label that no query can name is refused, as in Loki; structured
    /// metadata get names that can be.
    fn stream(&mut self, labels: Labels, mut entries: Vec<LogEntry>) {
        if let Some((name, _)) = labels.iter().find(|(name, _)| !is_classic_label_name(name)) {
            let words = || format!("error parsing labels: {:?} is no name of a label: letters, digits and underscores are", shortened(name));
            return self.refuse(Reason::InvalidLabels, entries.len(), words);
        }
        for entry in &mut entries {
            if entry.metadata.iter().any(|(name, _)| !is_classic_label_name(name)) {
                entry.metadata = Labels::from_pairs(entry.metadata.iter().map(|(name, value)| (label_name(name), value)));
            }
        }
        if !entries.is_empty() {
            self.batch.logs.push(StreamEntries { labels, entries });
        }
    }

    /// Adds the entries of a stream whose labels came as text.
    fn stream_of_text(&mut self, labels: &str, entries: Vec<LogEntry>) {
        match selector::labels(labels) {
            Ok(labels) => self.stream(labels, entries),
            Err(error @ SelectorError::Many) => self.refuse(Reason::LabelCount, entries.len(), || error.to_string()),
            Err(error) => {
                self.refuse(Reason::InvalidLabels, entries.len(), || format!("error parsing labels '{}' with error: {error}", shortened(labels)));
            }
        }
    }

    /// Refuses an entry for so many names of structured metadata, before a set is made of them.
    fn too_much_metadata(&mut self, names: usize) {
        self.refuse(Reason::MetadataSize, 1, || format!("structured metadata of {names} names, more than {LABELS_MAX}"));
    }

    fn refuse(&mut self, reason: Reason, entries: usize, words: impl FnOnce() -> String) {
        if entries == 0 {
            return;
        }
        self.refused.logs.reject(reason, entries as u64);
        self.refused.example.get_or_insert_with(|| format!("{reason}: {}", words()));
    }
}

/// Reads a request.
pub fn decode(format: Format, body: &[u8], origin: Origin) -> Result<Decoded, DecodeError> {
    match format {
        Format::Protobuf => proto::decode(body, origin),
        Format::Json => json::decode(body, origin),
    }
}

/// What became of a request.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// The entries, by what became of them.
    pub logs: LogsWritten,
    /// One example of a refusal in words.
    pub example: Option<String>,
}

/// Takes what is pushed. Share it in an `Arc`; every method may be called from any thread and may block.
pub struct Loki {
    gate: Arc<Gate>,
    requests: Counter,
    malformed: Counter,
    /// What may be asked, which stands in the same file as what may come in.
    queries: RwLock<QueryLimits>,
}

impl Loki {
    /// A receiver that writes through the gate.
    pub fn new(gate: Arc<Gate>, meter: &Meter) -> Loki {
        Loki {
            gate,
            requests: meter.counter("watchfire_loki_push_requests_total", "Requests of Loki's push that were read.", &[]),
            malformed: meter.counter("watchfire_loki_push_malformed_total", "Requests of Loki's push that could not be read.", &[]),
            queries: RwLock::default(),
        }
    }

    /// What a query may ask for.
    pub fn queries(&self) -> QueryLimits {
        self.queries.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes what a query may ask for.
    pub fn set_queries(&self, limits: QueryLimits) {
        *self.queries.write().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// Takes a request. What is good of it is stored when this returns.
    pub fn push(&self, format: Format, body: &[u8], origin: Origin) -> Result<Received, PushError> {
        let decoded = decode(format, body, origin.clone()).inspect_err(|_| self.malformed.inc())?;
        self.requests.inc();
        // A stream without entries is no news; refusals count once it is certain that the request will not come again.
        let written = if decoded.batch.logs.is_empty() { Written::default() } else { self.gate.write(decoded.batch)? };
        self.gate.book_refused(&origin, &decoded.refused);
        let mut all = written;
        all.add(decoded.refused);
        Ok(Received { logs: all.logs, example: all.example })
    }
}
