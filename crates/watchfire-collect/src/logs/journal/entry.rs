//! One entry of the journal as JSON → a line with labels.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use watchfire_ingest::relabel::{self, Verdict};
use watchfire_model::labels::LabelsBuilder;
use watchfire_model::logs::Nanos;

use super::Source;
use crate::logs::{Entry, Figures};

/// The names of syslog's levels.
const PRIORITIES: [&str; 8] = ["emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"];

/// The entry, unless rules leave it out, and its cursor. Nothing for what is no entry.
pub(super) fn read(source: &Source, line: &[u8], place: u64, figures: &Figures) -> Option<(Option<Entry>, String)> {
    let fields: Map<String, Value> = serde_json::from_slice(line).ok()?;
    let cursor = fields.get("__CURSOR")?.as_str()?.to_owned();
    let micros: i64 = fields.get("__REALTIME_TIMESTAMP")?.as_str()?.parse().ok()?;
    let mut builder = LabelsBuilder::new();
    for (name, value) in &source.labels {
        builder.set(name, value);
    }
    for (name, value) in &fields {
        if let Some(text) = text(value) {
            builder.set(&format!("__journal_{}", name.to_lowercase()), &text);
            let keyword = text.parse::<usize>().ok().and_then(|n| PRIORITIES.get(n)).filter(|_| name == "PRIORITY");
            if let Some(keyword) = keyword {
                builder.set("__journal_priority_keyword", keyword);
            }
        }
    }
    if relabel::apply(&source.relabel, &mut builder) == Verdict::Drop {
        figures.dropped("relabel", 1);
        return Some((None, cursor));
    }
    let labels: BTreeMap<String, String> = builder.pairs().filter(|(name, _)| !name.starts_with("__")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    let message = if source.as_json { Some(Value::Object(fields.clone()).to_string()) } else { fields.get("MESSAGE").and_then(text) };
    let Some(message) = message else {
        figures.dropped("journal_without_message", 1);
        return Some((None, cursor));
    };
    Some((Some(Entry::new(Nanos(micros.saturating_mul(1_000)), message, &labels, place)), cursor))
}

/// A field as text: what is not UTF-8 comes as a list of bytes, a field that stands there several times as a list of texts.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            let bytes: Option<Vec<u8>> = items.iter().map(|item| item.as_u64().and_then(|n| u8::try_from(n).ok())).collect();
            match bytes {
                Some(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
                None => items.first().and_then(|first| first.as_str().map(str::to_owned)),
            }
        }
        _ => None,
    }
}
