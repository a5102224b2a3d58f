//! A document as a log entry: its text on one line, its time, and the fields that become labels. Only what is needed of it is read.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use watchfire_model::logs::Nanos;
use watchfire_model::text::shortened;

/// Fields that become labels when they are a text, or an object with a `name`. Their values are few, as a label's should be.
const LABELS: [&str; 10] = ["service", "host", "container", "component", "level", "environment", "app", "job", "namespace", "stream"];
/// Longer values are no labels.
const LABEL_BYTES_MAX: usize = 256;
const TIME: &str = "@timestamp";

/// What a document says about itself.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) time: Nanos,
    pub(super) labels: Vec<(&'static str, String)>,
    pub(super) line: Arc<str>,
}

/// Reads a document; `now` is its time if it has none.
pub(super) fn read(source: &[u8], now: Nanos) -> Result<Read, String> {
    let text = std::str::from_utf8(source).map_err(|_| "failed to parse: it is not UTF-8".to_owned())?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let found =
        reader.deserialize_map(Fields).and_then(|found| reader.end().map(|()| found)).map_err(|e| format!("failed to parse: {}", shortened(&e.to_string())))?;
    let time = match found.get(TIME) {
        Some(value) => time(value).ok_or_else(|| format!("failed to parse field [{TIME}] of type [date]: [{}]", shortened(&value.to_string())))?,
        None => found.get("timestamp").and_then(time).unwrap_or(now),
    };
    let labels = LABELS.iter().filter_map(|name| Some((*name, label(found.get(*name)?)?))).collect();
    Ok(Read { time, labels, line: compact(text.trim()).into() })
}

/// A field's value as a label, if it is one.
fn label(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text,
        Value::Object(members) => members.get("name")?.as_str()?,
        _ => return None,
    };
    (!text.is_empty() && text.len() <= LABEL_BYTES_MAX).then(|| text.to_owned())
}

/// RFC 3339, a date, a date with a time but no zone, or milliseconds since 1970.
fn time(value: &Value) -> Option<Nanos> {
    let millis = |ms: f64| (ms.is_finite() && ms.abs() < 9.2e12).then_some(Nanos((ms * 1e6) as i64));
    match value {
        Value::Number(number) => match number.as_i64() {
            Some(ms) => ms.checked_mul(1_000_000).map(Nanos),
            None => millis(number.as_f64()?),
        },
        Value::String(text) => {
            let text = text.trim();
            let candidates = [text.to_owned(), format!("{text}Z"), format!("{text}T00:00:00Z")];
            let date = candidates.iter().find_map(|text| Nanos::parse_rfc3339(text));
            date.or_else(|| text.parse::<i64>().ok()?.checked_mul(1_000_000).map(Nanos))
        }
        _ => None,
    }
}

/// The members that are looked at; the rest is only checked.
struct Fields;
impl<'de> Visitor<'de> for Fields {
    type Value = BTreeMap<String, Value>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            if key == TIME || key == "timestamp" || LABELS.contains(&key.as_str()) {
                found.insert(key, map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// A JSON text on one line: white space between its parts goes where there is a line break.
pub fn compact(json: &str) -> std::borrow::Cow<'_, str> {
    if !json.contains(['\n', '\r']) {
        return json.into();
    }
    let mut out = String::with_capacity(json.len());
    let (mut inside, mut escaped) = (false, false);
    for c in json.chars() {
        if inside {
            inside = escaped || c != '"';
            escaped = c == '\\' && !escaped;
        } else if c.is_ascii_whitespace() {
            continue;
        } else {
            inside = c == '"';
        }
        out.push(c);
    }
    out.into()
}
