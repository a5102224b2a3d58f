//! Elasticsearch's bulk requests and single documents become log entries: the index and a few well-known fields are the stream, the
//! document is the line, `@timestamp` its time. Input is already decompressed; answers are the face's business.

mod bulk;
mod document;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use watchfire_model::batch::{Batch, Origin};
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, Nanos, StreamEntries};
use watchfire_model::meter::{Counter, Meter};
use watchfire_model::text::shortened;
use watchfire_model::time::SharedClock;
use watchfire_model::write::{Reason, Sink, WriteError, Written};

use crate::gate::Gate;

pub use bulk::BulkError;
pub use document::compact;

/// The label that holds the index.
pub const INDEX: &str = "_index";
/// The structured metadata that holds an id which the sender gave.
pub const ID: &str = "_id";
/// The most items of one bulk request.
pub const ITEMS_MAX: usize = 200_000;
/// The longest name of an index.
const INDEX_BYTES_MAX: usize = 255;
/// The longest id.
const ID_BYTES_MAX: usize = 512;

/// What is to be done with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Keep it.
    Index,
    /// Keep it if it is new.
    Create,
    /// Not possible: entries do not change.
    Update,
    /// Not possible one by one.
    Delete,
}
impl Verb {
    /// Its name in requests and answers.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Index => "index",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Delete => "delete",
        }
    }
}

/// Why a document is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// 400, or 429 when it may come again.
    pub status: u16,
    /// Elasticsearch's name for it.
    pub kind: &'static str,
    /// What is wrong.
    pub message: String,
}

/// One item of a bulk request.
#[derive(Clone, Debug)]
pub struct Item {
    /// What is to be done.
    pub verb: Verb,
    /// Where.
    pub index: String,
    /// Its labels and the entry that it becomes, or why it becomes none.
    pub entry: Result<(Labels, LogEntry), Refused>,
}
impl Item {
    /// Reads a document. `id` is what the sender calls it.
    fn new(verb: Verb, index: &str, id: Option<String>, source: &[u8], now: Nanos) -> Item {
        Item { verb, index: index.to_owned(), entry: Item::entry(verb, index, id, source, now) }
    }

    fn entry(verb: Verb, index: &str, id: Option<String>, source: &[u8], now: Nanos) -> Result<(Labels, LogEntry), Refused> {
        check_names(index, id.as_deref())?;
        if !matches!(verb, Verb::Index | Verb::Create) {
            return Err(refused("illegal_argument_exception", format!("{} is not possible: log entries do not change", verb.name())));
        }
        let read = document::read(source, now).map_err(|message| refused("document_parsing_exception", message))?;
        let labels = Labels::from_pairs(read.labels.iter().map(|(n, v)| (*n, v.as_str())).chain([(INDEX, index)]));
        let metadata = id.map_or_else(Labels::empty, |id| Labels::from_pairs([(ID, id)]));
        Ok((labels, LogEntry { time: read.time, line: read.line, metadata }))
    }

    /// Puts it into the index that its place means, or refuses it in these words.
    pub fn goes_to(&mut self, place: Result<String, String>) {
        match place {
            Ok(index) => {
                if let Ok((labels, _)) = &mut self.entry {
                    let others = labels.iter().filter(|(name, _)| *name != INDEX);
                    *labels = Labels::from_pairs(others.chain([(INDEX, index.as_str())]));
                }
                self.index = index;
            }
            Err(message) => self.entry = Err(refused("illegal_argument_exception", message)),
        }
    }

    /// A document that stands alone in a request.
    pub fn single(verb: Verb, index: &str, id: Option<String>, source: &[u8], now: Nanos) -> Item {
        Item::new(verb, index, id, source, now)
    }
}

fn refused(kind: &'static str, message: impl Into<String>) -> Refused {
    Refused { status: 400, kind, message: message.into() }
}

fn check_names(index: &str, id: Option<&str>) -> Result<(), Refused> {
    let bad = |c: char| c.is_control() || matches!(c, ' ' | ',' | '"' | '*' | '\\' | '<' | '>' | '|' | '?' | '/' | '#');
    if index.is_empty() {
        return Err(refused("action_request_validation_exception", "Validation Failed: 1: index is missing;"));
    }
    if index.len() > INDEX_BYTES_MAX || index.contains(bad) || index.chars().any(char::is_uppercase) {
        return Err(refused("invalid_index_name_exception", format!("Invalid index name [{}]", shortened(index))));
    }
    if id.is_some_and(|id| id.is_empty() || id.len() > ID_BYTES_MAX) {
        return Err(refused("illegal_argument_exception", format!("an id has 1 to {ID_BYTES_MAX} bytes")));
    }
    Ok(())
}

/// Takes documents. Share it in an `Arc`; every method may be called from any thread and may block.
pub struct Elasticsearch {
    gate: Arc<Gate>,
    clock: SharedClock,
    requests: Counter,
    malformed: Counter,
}

impl Elasticsearch {
    /// A receiver that writes through the gate.
    pub fn new(gate: Arc<Gate>, clock: SharedClock, meter: &Meter) -> Elasticsearch {
        Elasticsearch {
            gate,
            clock,
            requests: meter.counter("watchfire_elasticsearch_bulk_requests_total", "Bulk requests and single documents that were read.", &[]),
            malformed: meter.counter("watchfire_elasticsearch_bulk_malformed_total", "Bulk requests that could not be read.", &[]),
        }
    }

    /// Reads a bulk request. Nothing is stored yet.
    pub fn read(&self, body: &[u8], index: Option<&str>) -> Result<Vec<Item>, BulkError> {
        bulk::read(body, index, self.now()).inspect_err(|_| self.malformed.inc())
    }

    /// The time of documents that have none.
    pub fn now(&self) -> Nanos {
        Nanos::from_millis(self.clock.now().millis())
    }

    /// Stores what can be stored of some items. Those that cannot say why afterwards; all others are kept when this returns.
    pub fn store(&self, items: &mut [Item], origin: Origin) -> Result<(), WriteError> {
        self.requests.inc();
        tell_apart(items);
        let mut refusals = Written::default();
        for item in items.iter_mut() {
            let verdict = match &item.entry {
                Ok((labels, entry)) => self.gate.check_log(labels, entry),
                Err(_) => Err((Reason::InvalidValue, String::new())),
            };
            if let Err((reason, message)) = verdict {
                refusals.logs.reject(reason, 1);
                if item.entry.is_ok() {
                    item.entry = Err(refused("illegal_argument_exception", message));
                }
            }
        }
        let batch = batch_of(items, origin.clone());
        let written = if batch.logs.is_empty() { Written::default() } else { self.gate.write(batch)? };
        self.gate.book_refused(&origin, &refusals);
        // What is refused only now is so for the number of streams, and nobody says whose. Who sends all of it again later loses nothing, and
        // what is stored is not stored twice.
        if written.logs.rejected_total() > 0 {
            let example = written.example.unwrap_or_default();
            for item in items.iter_mut().filter(|item| item.entry.is_ok()) {
                item.entry = Err(Refused { status: 429, kind: "es_rejected_execution_exception", message: example.clone() });
            }
        }
        Ok(())
    }
}

/// Equal documents of one request are several documents, so all but the first get an id.
fn tell_apart(items: &mut [Item]) {
    let mut seen: HashSet<(Labels, i64, Arc<str>)> = HashSet::new();
    for (at, item) in items.iter_mut().enumerate() {
        let Ok((labels, entry)) = &mut item.entry else { continue };
        if entry.metadata.is_empty() && !seen.insert((labels.clone(), entry.time.0, entry.line.clone())) {
            entry.metadata = Labels::from_pairs([(ID, format!("{:x}-{at}", entry.time.0))]);
        }
    }
}

/// The entries of all good items, by stream, in their order.
fn batch_of(items: &[Item], origin: Origin) -> Batch {
    let mut batch = Batch::new(origin);
    let mut places: HashMap<&Labels, usize> = HashMap::new();
    for (labels, entry) in items.iter().filter_map(|item| item.entry.as_ref().ok()) {
        let at = *places.entry(labels).or_insert_with(|| {
            batch.logs.push(StreamEntries { labels: labels.clone(), entries: Vec::new() });
            batch.logs.len() - 1
        });
        if let Some(stream) = batch.logs.get_mut(at) {
            stream.entries.push(entry.clone());
        }
    }
    batch
}
