//! `PushRequest` in protobuf. Labels come as text, times as seconds and nanoseconds.
//!
//! PushRequest { 1: Stream* }, Stream { 1: labels, 2: Entry*, 3: hash }, Entry { 1: Timestamp, 2: line, 3: structured metadata* },
//! Timestamp { 1: seconds, 2: nanoseconds }, a pair of metadata { 1: name, 2: value }.

use std::sync::Arc;

use watchfire_model::batch::Origin;
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, Nanos};

use super::{DecodeError, Decoded};
use crate::label_bytes::LABELS_MAX;
use crate::protobuf::{Message, Value, WireError, text};

/// Reads a request.
pub(super) fn decode(body: &[u8], origin: Origin) -> Result<Decoded, DecodeError> {
    let mut decoded = Decoded::new(origin);
    for field in Message::new(body) {
        if let (1, Value::Bytes(bytes)) = field? {
            stream(bytes, &mut decoded)?;
        }
    }
    Ok(decoded)
}

fn stream(bytes: &[u8], decoded: &mut Decoded) -> Result<(), DecodeError> {
    let (mut labels, mut entries) = ("", Vec::new());
    for field in Message::new(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => labels = text(bytes)?,
            (2, Value::Bytes(bytes)) => {
                decoded.count()?;
                if let Some(entry) = entry(bytes, decoded)? {
                    entries.push(entry);
                }
            }
            _ => {}
        }
    }
    decoded.stream_of_text(labels, entries);
    Ok(())
}

/// An entry; none when it has more structured metadata than is read.
fn entry(bytes: &[u8], decoded: &mut Decoded) -> Result<Option<LogEntry>, WireError> {
    let (mut time, mut line, mut pairs) = (Nanos(0), &[][..], Vec::new());
    let mut metadata = 0usize;
    for field in Message::new(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => time = timestamp(bytes)?,
            (2, Value::Bytes(bytes)) => line = bytes,
            (3, Value::Bytes(bytes)) => {
                metadata += 1;
                if metadata <= LABELS_MAX {
                    pairs.push(pair(bytes)?);
                }
            }
            _ => {}
        }
    }
    if metadata > LABELS_MAX {
        decoded.too_much_metadata(metadata);
        return Ok(None);
    }
    // Whether a line is a text is seen much faster than how far; one that is none is kept as far as it is one: nobody else has it.
    let line = std::str::from_utf8(line).map_or_else(|_| String::from_utf8_lossy(line).into(), Arc::from);
    Ok(Some(LogEntry { time, line, metadata: Labels::from_pairs(pairs) }))
}

fn timestamp(bytes: &[u8]) -> Result<Nanos, WireError> {
    let (mut seconds, mut nanos) = (0i64, 0i64);
    for field in Message::new(bytes) {
        match field? {
            (1, Value::Varint(value)) => seconds = value.cast_signed(),
            (2, Value::Varint(value)) => nanos = value.cast_signed(),
            _ => {}
        }
    }
    Ok(Nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos)))
}

fn pair(bytes: &[u8]) -> Result<(&str, &str), WireError> {
    let (mut name, mut value) = ("", "");
    for field in Message::new(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => name = text(bytes)?,
            (2, Value::Bytes(bytes)) => value = text(bytes)?,
            _ => {}
        }
    }
    Ok((name, value))
}
