//! One line on its way through the stages, and the batch that lines are gathered in. It is not what the store keeps.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use serde_json::Value;
use watchfire_model::batch::{Batch, Origin};
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, Nanos, StreamEntries};

/// A line with everything that is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When it was written, or read where nothing else is known.
    pub time: Nanos,
    /// The line.
    pub line: String,
    /// What becomes the labels of its stream.
    pub labels: BTreeMap<String, String>,
    /// What belongs to this line only.
    pub metadata: BTreeMap<String, String>,
    /// What stages found and later stages may use; it is not kept.
    pub extracted: BTreeMap<String, Value>,
    /// Where the line begins in its source: later lines have greater places.
    pub place: u64,
}
impl Entry {
    /// A line as it was read. Stages find its labels among what is extracted, as Promtail has it.
    pub fn new(time: Nanos, line: String, labels: &BTreeMap<String, String>, place: u64) -> Entry {
        let extracted = labels.iter().map(|(n, v)| (n.clone(), Value::String(v.clone()))).collect();
        Entry { time, line, labels: labels.clone(), metadata: BTreeMap::new(), extracted, place }
    }
    /// An extracted value as text; nothing for what is not there or null.
    pub fn text(&self, name: &str) -> Option<String> {
        self.extracted.get(name).and_then(as_text)
    }
}

/// A value as the text that a label or a line gets of it.
pub(crate) fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => Some(match number.as_f64().filter(|_| number.is_f64()) {
            // As Go writes floats: no exponent, and nothing behind the point where nothing is there.
            Some(float) => float.to_string(),
            None => number.to_string(),
        }),
        other => serde_json::to_string(other).ok(),
    }
}

/// What a line takes in memory beside its text, roughly.
const ENTRY_BYTES: usize = 96;

/// Lines that go to the sink together.
#[derive(Debug, Default)]
pub struct Delivery {
    /// By the number of their source.
    streams: HashMap<(usize, Labels), Vec<LogEntry>>,
    /// The labels of the last line: most lines have those of the line before, and need no set of their own.
    last: Option<(BTreeMap<String, String>, Labels)>,
    lines: usize,
    bytes: usize,
}
impl Delivery {
    /// Adds a line of the only source.
    pub fn add(&mut self, entry: Entry) {
        self.add_of(0, entry);
    }
    /// Adds a line of one of several sources.
    pub fn add_of(&mut self, source: usize, entry: Entry) {
        let labels = match &self.last {
            Some((same, labels)) if *same == entry.labels => labels.clone(),
            _ => self.last.insert((entry.labels.clone(), Labels::from_pairs(&entry.labels))).1.clone(),
        };
        let metadata = Labels::from_pairs(&entry.metadata);
        self.lines += 1;
        self.bytes += entry.line.len() + metadata.packed().len() + ENTRY_BYTES;
        let line: Arc<str> = entry.line.into();
        self.streams.entry((source, labels)).or_default().push(LogEntry { time: entry.time, line, metadata });
    }
    /// How many lines there are.
    pub fn lines(&self) -> usize {
        self.lines
    }
    /// How many bytes they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lines == 0
    }
    /// A batch for the sink from each source that has lines, by the origins of the sources; the delivery is empty then.
    pub fn take(&mut self, origins: &[Origin]) -> Vec<Batch> {
        (self.lines, self.bytes) = (0, 0);
        let mut batches: BTreeMap<usize, Batch> = BTreeMap::new();
        for ((source, labels), entries) in self.streams.drain() {
            let Some(origin) = origins.get(source) else { continue };
            batches.entry(source).or_insert_with(|| Batch::new(origin.clone())).logs.push(StreamEntries { labels, entries });
        }
        batches.into_values().collect()
    }
}
