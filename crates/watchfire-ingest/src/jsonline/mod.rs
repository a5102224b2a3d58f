//! Lines of JSON over HTTP, one object each, as VictoriaLogs takes them: parameters name the fields that make the stream, the time and the
//! message; all others become structured metadata. A line that is no object is refused alone. Input is already decompressed.

mod line;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use hashbrown::HashMap;
use watchfire_model::batch::{Batch, Origin};
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, Nanos, StreamEntries};
use watchfire_model::meter::{Counter, Meter};
use watchfire_model::time::SharedClock;
use watchfire_model::write::{Sink, WriteError, Written};

use crate::gate::Gate;

/// The most entries that are stored at once.
const BATCH_ENTRIES: usize = 8_192;
/// The most names in one parameter.
const NAMES_MAX: usize = 64;

/// What a request says about its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Fields that are labels of the stream.
    pub stream_fields: Vec<String>,
    /// Fields that may hold the time; the first that is there counts.
    pub time_fields: Vec<String>,
    /// Fields that may hold the message; the first that is there counts.
    pub message_fields: Vec<String>,
    /// Fields that are not kept.
    pub ignored_fields: Vec<String>,
    /// Fields that every line gets.
    pub extra_fields: Vec<(String, String)>,
}
impl Default for Parameters {
    fn default() -> Parameters {
        Parameters {
            stream_fields: Vec::new(),
            time_fields: vec!["_time".to_owned()],
            message_fields: vec!["_msg".to_owned()],
            ignored_fields: Vec::new(),
            extra_fields: Vec::new(),
        }
    }
}
impl Parameters {
    /// Reads them from the parameters of an address.
    pub fn read<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Parameters {
        let names = |name: &str| -> Vec<String> {
            get(name).unwrap_or("").split(',').map(str::trim).filter(|n| !n.is_empty()).take(NAMES_MAX).map(str::to_owned).collect()
        };
        let or = |found: Vec<String>, usual: Vec<String>| if found.is_empty() { usual } else { found };
        let usual = Parameters::default();
        let extra = names("extra_fields").iter().filter_map(|pair| pair.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        Parameters {
            stream_fields: names("_stream_fields"),
            time_fields: or(names("_time_field"), usual.time_fields),
            message_fields: or(names("_msg_field"), usual.message_fields),
            ignored_fields: names("ignore_fields"),
            extra_fields: extra,
        }
    }
}

/// Takes lines of JSON. Share it in an `Arc`; every method may be called from any thread and may block.
pub struct Jsonline {
    gate: Arc<Gate>,
    clock: SharedClock,
    requests: Counter,
    lines: Counter,
}

impl Jsonline {
    /// A receiver that writes through the gate.
    pub fn new(gate: Arc<Gate>, clock: SharedClock, meter: &Meter) -> Jsonline {
        Jsonline {
            gate,
            clock,
            requests: meter.counter("watchfire_jsonline_requests_total", "Requests with lines of JSON that were read.", &[]),
            lines: meter.counter("watchfire_jsonline_lines_total", "Lines of JSON that were read.", &[]),
        }
    }

    /// Takes a request. What is good of it is stored when this returns; after an error a part of it may be, which is no harm when all of it
    /// comes again.
    pub fn take(&self, body: &[u8], parameters: &Parameters, origin: Origin) -> Result<Written, WriteError> {
        self.requests.inc();
        let now = Nanos::from_millis(self.clock.now().millis());
        let (mut all, mut refused) = (Written::default(), Written::default());
        let mut part = Part::default();
        for (at, line) in body.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            self.lines.inc();
            match line::read(line, parameters, now) {
                Ok((labels, entry)) => part.add(labels, entry),
                Err((reason, words)) => {
                    refused.logs.reject(reason, 1);
                    refused.example.get_or_insert_with(|| format!("{reason}: line {}: {words}", at + 1));
                }
            }
            if part.entries >= BATCH_ENTRIES {
                all.add(self.gate.write(std::mem::take(&mut part).batch(&origin))?);
            }
        }
        if part.entries > 0 {
            all.add(self.gate.write(part.batch(&origin))?);
        }
        // Refusals count once it is certain that the request will not come again.
        self.gate.book_refused(&origin, &refused);
        all.add(refused);
        Ok(all)
    }
}

/// Entries that are not stored yet, by stream.
#[derive(Default)]
struct Part {
    places: HashMap<Labels, usize>,
    streams: Vec<StreamEntries>,
    entries: usize,
}
impl Part {
    fn add(&mut self, labels: Labels, entry: LogEntry) {
        self.entries += 1;
        let at = *self.places.entry(labels).or_insert_with_key(|labels| {
            self.streams.push(StreamEntries { labels: labels.clone(), entries: Vec::new() });
            self.streams.len() - 1
        });
        if let Some(stream) = self.streams.get_mut(at) {
            stream.entries.push(entry);
        }
    }
    fn batch(self, origin: &Origin) -> Batch {
        let mut batch = Batch::new(origin.clone());
        batch.logs = self.streams;
        batch
    }
}
