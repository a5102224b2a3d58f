//! One message of GELF: `{"version", "host", "short_message", "full_message", "timestamp", "level", "_anything"}`. Fields that older
//! versions had (`facility`, `file`, `line`) are taken like those of the sender.

use std::sync::Arc;

use serde_json::{Map, Value};
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, Nanos};

use crate::syslog::SEVERITIES;

/// The most fields of the sender that are kept.
const FIELDS_MAX: usize = 120;
/// Fields of the sender whose values are few, so that they are labels.
const LABELS: [(&str, &str); 4] = [("_container_name", "container"), ("_service", "service"), ("_app", "app"), ("_environment", "environment")];
/// Longer values are no labels.
const LABEL_BYTES_MAX: usize = 256;

/// Reads a message that came at some time.
pub(super) fn read(message: &[u8], now: Nanos) -> Option<(Labels, LogEntry)> {
    let fields: Map<String, Value> = serde_json::from_slice(message).ok()?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let short = text("short_message").or_else(|| text("message"))?;
    let line = text("full_message").unwrap_or(short);
    let level = fields.get("level").and_then(number).and_then(|level| SEVERITIES.get(usize::try_from(level as i64).ok()?)).copied().unwrap_or("");
    let own = LABELS.iter().filter_map(|(field, label)| Some((*label, text(field).filter(|t| t.len() <= LABEL_BYTES_MAX)?)));
    let host = text("host").filter(|host| host.len() <= LABEL_BYTES_MAX).unwrap_or("");
    let labels = Labels::from_pairs([("job", "gelf"), ("host", host), ("level", level)].into_iter().chain(own));
    let mut metadata: Vec<(String, String)> = Vec::new();
    if line != short {
        metadata.push(("short_message".to_owned(), short.to_owned()));
    }
    for (name, value) in &fields {
        let standard = matches!(name.as_str(), "version" | "host" | "short_message" | "full_message" | "message" | "timestamp" | "level");
        let is_label = LABELS.iter().any(|(field, label)| field == name && labels.get(label).is_some());
        if !standard && !is_label && metadata.len() < FIELDS_MAX {
            metadata.push((field_name(name), shown(value)));
        }
    }
    let time = fields.get("timestamp").and_then(time).unwrap_or(now);
    Some((labels, LogEntry { time, line: Arc::from(line), metadata: Labels::from_pairs(metadata) }))
}

fn field_name(name: &str) -> String {
    name.strip_prefix('_').unwrap_or(name).chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A number, or a text that is one: some senders write everything as text.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|n| n.is_finite())
}

/// Seconds with a fraction. The digits are read, because a float of today has no room for microseconds and their neighbours.
fn time(value: &Value) -> Option<Nanos> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits = fraction.bytes().all(|b| b.is_ascii_digit()) && whole.bytes().all(|b| b.is_ascii_digit());
    if !digits || whole.is_empty() {
        let seconds: f64 = text.parse().ok().filter(|s: &f64| s.is_finite() && (0.0..9.2e9).contains(s))?;
        return Some(Nanos((seconds * 1e9) as i64)).filter(|t| t.0 > 0);
    }
    let nanos = fraction.bytes().chain(std::iter::repeat(b'0')).take(9).fold(0i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    whole.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanos).filter(|t| *t > 0).map(Nanos)
}
