//! One line: an object whose members are fields, those of inner objects by dotted names. Fields that make the stream become labels, the
//! others structured metadata; names become such as labels may have.

use std::sync::Arc;

use serde_json::{Map, Value};
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, Nanos};
use watchfire_model::text::shortened;
use watchfire_model::write::Reason;

use super::Parameters;
use crate::label_bytes::LABELS_MAX;

/// The stream of lines for which none is named.
const STREAM: (&str, &str) = ("job", "jsonline");
/// How deep objects are opened; what is deeper stays JSON.
const DEPTH_MAX: usize = 8;

/// Reads a line that came at some time.
pub(super) fn read(line: &[u8], parameters: &Parameters, now: Nanos) -> Result<(Labels, LogEntry), (Reason, String)> {
    let wrong = |words: String| (Reason::InvalidValue, words);
    let object: Map<String, Value> = serde_json::from_slice(line).map_err(|e| wrong(format!("cannot read it as an object: {}", shortened(&e.to_string()))))?;
    let mut fields = parameters.extra_fields.clone();
    flatten("", object, 0, &mut fields).map_err(|()| (Reason::MetadataSize, format!("more than {LABELS_MAX} fields")))?;
    let mut take = |names: &[String]| {
        let at = names.iter().find_map(|name| fields.iter().position(|(n, v)| n == name && !v.is_empty()))?;
        Some(fields.remove(at).1)
    };
    let time = match take(&parameters.time_fields) {
        Some(text) => time(&text, now).ok_or_else(|| wrong(format!("{:?} is no time", shortened(&text))))?,
        None => now,
    };
    let message = take(&parameters.message_fields);
    fields.retain(|(name, value)| !value.is_empty() && !parameters.ignored_fields.contains(name));
    let (labels, rest): (Vec<_>, Vec<_>) = fields.into_iter().partition(|(name, _)| parameters.stream_fields.contains(name));
    let set = |pairs: Vec<(String, String)>| Labels::from_pairs(pairs.into_iter().map(|(name, value)| (label_name(&name), value)));
    let labels = if labels.is_empty() { Labels::from_pairs([STREAM]) } else { set(labels) };
    match message {
        Some(message) => Ok((labels, LogEntry { time, line: Arc::from(message), metadata: set(rest) })),
        // Without a message the line itself is all there is.
        None => {
            let text = std::str::from_utf8(line).map_err(|_| wrong("it is not UTF-8".to_owned()))?;
            Ok((labels, LogEntry { time, line: Arc::from(text), metadata: Labels::empty() }))
        }
    }
}

/// The fields of an object, those of inner objects by dotted names.
fn flatten(prefix: &str, object: Map<String, Value>, depth: usize, out: &mut Vec<(String, String)>) -> Result<(), ()> {
    for (name, value) in object {
        let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value {
            Value::Object(inner) if depth < DEPTH_MAX => flatten(&name, inner, depth + 1, out)?,
            value => {
                if out.len() >= LABELS_MAX {
                    return Err(());
                }
                out.push((name, shown(value)));
            }
        }
    }
    Ok(())
}

fn shown(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Letters, digits and `_`, not a digit first.
fn label_name(name: &str) -> String {
    let mut out: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert(0, '_');
    }
    out
}

/// RFC 3339, or a number since 1970 whose size says its unit. Nothing and zero mean now.
fn time(text: &str, now: Nanos) -> Option<Nanos> {
    let text = text.trim();
    if text == "0" {
        return Some(now);
    }
    if let Some(time) = Nanos::parse_rfc3339(text).or_else(|| Nanos::parse_rfc3339(&format!("{text}Z"))) {
        return Some(time);
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let number: i64 = whole.parse().ok()?;
    let unit: i64 = match number.unsigned_abs() {
        0..100_000_000_000 => 1_000_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    let digits = fraction.bytes().map(|b| b.is_ascii_digit().then(|| i64::from(b - b'0'))).collect::<Option<Vec<i64>>>()?;
    let nanos = digits.iter().scan(unit, |left, digit| {
        *left /= 10;
        Some(digit * *left)
    });
    number.checked_mul(unit)?.checked_add(nanos.sum()).map(Nanos)
}
