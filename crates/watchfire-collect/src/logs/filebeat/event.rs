//! The stage that makes an event of a line: a JSON document with what Filebeat adds. And the names of fields in it, which may be dotted.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use watchfire_template::GoTime;

use super::processors::Processor;
use crate::logs::Entry;
use crate::logs::stages::{Step, Surroundings, Verdict};

/// Fields whose values are few, so that they become labels: as for documents that come over the network.
const LABELS: [&str; 8] = ["service", "component", "level", "environment", "app", "job", "namespace", "container"];
/// Longer values are no labels.
const LABEL_BYTES_MAX: usize = 256;

/// How lines that are JSON are taken apart.
#[derive(Clone, Debug, Default)]
pub(super) struct JsonOptions {
    pub(super) keys_under_root: bool,
    pub(super) overwrite_keys: bool,
    pub(super) add_error_key: bool,
    pub(super) message_key: Option<String>,
    /// Where the keys go otherwise.
    pub(super) target: String,
    pub(super) ignore_errors: bool,
}

/// Makes events.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) kind: &'static str,
    pub(super) host: String,
    pub(super) fields: Vec<(Value, bool)>,
    pub(super) tags: Vec<String>,
    pub(super) json: Option<JsonOptions>,
    pub(super) processors: Vec<Arc<Processor>>,
}

impl Step for Event {
    fn name(&self) -> &'static str {
        "event"
    }
    fn apply(&self, entry: &mut Entry, around: &Surroundings<'_>) -> Verdict {
        let mut event = Map::new();
        self.message(entry, &mut event, around);
        for (fields, under_root) in &self.fields {
            match (fields, under_root) {
                (Value::Object(all), true) => all.iter().for_each(|(name, value)| drop(event.insert(name.clone(), value.clone()))),
                (Value::Object(all), false) => all.iter().for_each(|(name, value)| set(&mut event, &format!("fields.{name}"), value.clone())),
                _ => {}
            }
        }
        if !self.tags.is_empty() {
            event.insert("tags".to_owned(), json!(self.tags));
        }
        if let Some(stream) = entry.text("stream") {
            event.insert("stream".to_owned(), Value::String(stream));
        }
        set(&mut event, "log.file.path", Value::String(entry.labels.get("filename").cloned().unwrap_or_default()));
        set(&mut event, "log.offset", json!(entry.place));
        set(&mut event, "input.type", Value::String(self.kind.to_owned()));
        if !event.contains_key("host") {
            set(&mut event, "host.name", Value::String(self.host.clone()));
        }
        for processor in &self.processors {
            if !processor.apply(entry, &mut event) {
                return Verdict::Drop("drop_event".into());
            }
        }
        for name in LABELS {
            let value = get(&event, name).or_else(|| get(&event, &format!("fields.{name}"))).and_then(label);
            if let Some(value) = value {
                entry.labels.insert(name.to_owned(), value);
            }
        }
        if let Some(host) = get(&event, "host.name").and_then(label) {
            entry.labels.insert("host".to_owned(), host);
        }
        entry.line = Value::Object(event).to_string();
        Verdict::Keep
    }
}

impl Event {
    fn message(&self, entry: &mut Entry, event: &mut Map<String, Value>, around: &Surroundings<'_>) {
        let Some(options) = &self.json else {
            event.insert("message".to_owned(), Value::String(entry.line.clone()));
            return;
        };
        match serde_json::from_str::<Value>(&entry.line) {
            Ok(Value::Object(keys)) => {
                if let Some(time) = keys.get("@timestamp").and_then(Value::as_str).and_then(time) {
                    entry.time = watchfire_model::logs::Nanos(time);
                }
                if let Some(text) = options.message_key.as_ref().and_then(|key| keys.get(key)).and_then(Value::as_str) {
                    event.insert("message".to_owned(), Value::String(text.to_owned()));
                }
                if options.keys_under_root {
                    for (name, value) in keys {
                        // The time is that of the entry.
                        if name != "@timestamp" && (options.overwrite_keys || !event.contains_key(&name)) {
                            event.insert(name, value);
                        }
                    }
                } else {
                    event.insert(options.target.clone(), Value::Object(keys));
                }
            }
            parsed => {
                if !options.ignore_errors {
                    around.figures.stage_failed("json");
                }
                event.insert("message".to_owned(), Value::String(entry.line.clone()));
                if options.add_error_key {
                    let why = parsed.err().map_or_else(|| "it is no object".to_owned(), |error| error.to_string());
                    event.insert("error".to_owned(), json!({ "message": format!("Error decoding JSON: {why}"), "type": "json" }));
                }
            }
        }
    }
}

/// RFC 3339 in nanoseconds since 1970.
pub(super) fn time(text: &str) -> Option<i64> {
    GoTime::parse("2006-01-02T15:04:05Z07:00", text, "UTC").ok()?.part("UnixNano")
}

fn label(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty() && text.len() <= LABEL_BYTES_MAX).map(str::to_owned)
}

/// The value of a field by its dotted name.
pub(super) fn get<'e>(event: &'e Map<String, Value>, name: &str) -> Option<&'e Value> {
    if let Some(value) = event.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    get(event.get(first)?.as_object()?, rest)
}

/// Sets a field by its dotted name; what stands in the way is replaced.
pub(super) fn set(event: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        None => drop(event.insert(name.to_owned(), value)),
        Some((first, rest)) => {
            let inner = event.entry(first).or_insert_with(|| Value::Object(Map::new()));
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            if let Some(inner) = inner.as_object_mut() {
                set(inner, rest, value);
            }
        }
    }
}

/// Takes a field away by its dotted name.
pub(super) fn remove(event: &mut Map<String, Value>, name: &str) -> Option<Value> {
    if let Some(value) = event.shift_remove(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    remove(event.get_mut(first)?.as_object_mut()?, rest)
}
