//! The small messages that several of Prometheus' protocols have, with the same fields in all of them.

use watchfire_model::histogram::Span;

use super::{Message, Value, WireError, signed, text};

/// Label or LabelPair { 1: name, 2: value }.
pub fn label_pair(message: &[u8]) -> Result<(&str, &str), WireError> {
    let (mut name, mut value) = ("", "");
    for field in Message::new(message) {
        match field? {
            (1, Value::Bytes(bytes)) => name = text(bytes)?,
            (2, Value::Bytes(bytes)) => value = text(bytes)?,
            _ => {}
        }
    }
    Ok((name, value))
}

/// BucketSpan { 1: sint32 offset, 2: uint32 length }.
pub fn bucket_span(message: &[u8]) -> Result<Span, WireError> {
    let mut span = Span::default();
    for field in Message::new(message) {
        match field? {
            // Both are 32 bits wide; what is wider is cut, as protobuf does.
            (1, Value::Varint(n)) => span.offset = signed(n) as i32,
            (2, Value::Varint(n)) => span.length = n as u32,
            _ => {}
        }
    }
    Ok(span)
}
