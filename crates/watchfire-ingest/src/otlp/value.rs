//! Attribute values → text, as OpenTelemetry's collector writes them: scalars plainly, bytes in base64, lists and maps as
//! JSON with sorted keys. Works on the bytes of an `AnyValue` and builds no tree.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use watchfire_model::spans::Value as Typed;

use crate::protobuf::{Message, Value, WireError, text};

use super::DecodeError;

/// Deeper values are refused: nothing that is meant to be a label is so deep, and each level takes stack.
const DEPTH_MAX: usize = 32;

/// What stands in an `AnyValue`.
enum Any<'a> {
    Empty,
    Text(&'a str),
    Bool(bool),
    Int(i64),
    Double(f64),
    List(&'a [u8]),
    Map(&'a [u8]),
    Bytes(&'a [u8]),
}

/// AnyValue { 1: string, 2: bool, 3: int64, 4: double, 5: ArrayValue, 6: KeyValueList, 7: bytes }.
fn read(bytes: &[u8]) -> Result<Any<'_>, DecodeError> {
    let mut any = Any::Empty;
    for field in Message::new(bytes) {
        any = match field? {
            (1, Value::Bytes(value)) => Any::Text(text(value)?),
            (2, Value::Varint(value)) => Any::Bool(value != 0),
            (3, Value::Varint(value)) => Any::Int(value.cast_signed()),
            (4, Value::Fixed64(bits)) => Any::Double(f64::from_bits(bits)),
            (5, Value::Bytes(value)) => Any::List(value),
            (6, Value::Bytes(value)) => Any::Map(value),
            (7, Value::Bytes(value)) => Any::Bytes(value),
            _ => any,
        };
    }
    Ok(any)
}

/// A key and the bytes of its value: KeyValue { 1: key, 2: AnyValue }.
pub(super) fn pair(bytes: &[u8]) -> Result<(&str, &[u8]), WireError> {
    let (mut key, mut value) = ("", &[][..]);
    for field in Message::new(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => key = text(bytes)?,
            (2, Value::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    Ok((key, value))
}

/// A value with its type; `None` when there is none.
pub(super) fn typed(bytes: &[u8]) -> Result<Option<Typed<'_>>, DecodeError> {
    Ok(Some(match read(bytes)? {
        Any::Empty => return Ok(None),
        Any::Text(text) => Typed::text(text),
        Any::Bool(value) => Typed::Bool(value),
        Any::Int(value) => Typed::Int(value),
        Any::Double(value) => Typed::Double(value),
        Any::Bytes(bytes) => Typed::Bytes(Cow::Owned(STANDARD.encode(bytes))),
        Any::List(_) | Any::Map(_) => Typed::Json(as_text(bytes)?),
    }))
}

/// A value as a label has it.
pub(super) fn as_text(bytes: &[u8]) -> Result<Cow<'_, str>, DecodeError> {
    Ok(match read(bytes)? {
        Any::Empty => Cow::Borrowed(""),
        Any::Text(text) => Cow::Borrowed(text),
        Any::Bool(value) => Cow::Borrowed(if value { "true" } else { "false" }),
        Any::Int(value) => Cow::Owned(value.to_string()),
        Any::Double(value) if !value.is_finite() => Cow::Owned(format!("json: unsupported value: {}", crate::exposition::format_value(value))),
        Any::Double(value) => Cow::Owned(number(value)),
        Any::Bytes(bytes) => Cow::Owned(STANDARD.encode(bytes)),
        any @ (Any::List(_) | Any::Map(_)) => {
            let mut out = String::new();
            // Not every number has a form in JSON; Go gives up on the whole value then, and so the text is empty.
            let sound = push_json(&mut out, any, 0)?;
            Cow::Owned(if sound { out } else { String::new() })
        }
    })
}

/// A float as JSON has it: plain digits, an exponent only for very small and very large ones.
fn number(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return value.to_string();
    }
    let text = format!("{value:e}");
    // Go writes the sign of a positive exponent, and so do others who compare with it.
    match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
        _ => text,
    }
}

fn push_json(out: &mut String, any: Any<'_>, depth: usize) -> Result<bool, DecodeError> {
    if depth > DEPTH_MAX {
        return Err(DecodeError::Deep);
    }
    match any {
        Any::Empty => out.push_str("null"),
        Any::Text(text) => push_quoted(out, text),
        Any::Bool(value) => out.push_str(if value { "true" } else { "false" }),
        Any::Int(value) => out.push_str(&value.to_string()),
        Any::Double(value) if !value.is_finite() => return Ok(false),
        Any::Double(value) => out.push_str(&number(value)),
        Any::Bytes(bytes) => push_quoted(out, &STANDARD.encode(bytes)),
        Any::List(list) => {
            out.push('[');
            let mut first = true;
            for field in Message::new(list) {
                let (1, Value::Bytes(item)) = field? else { continue };
                if !std::mem::take(&mut first) {
                    out.push(',');
                }
                if !push_json(out, read(item)?, depth + 1)? {
                    return Ok(false);
                }
            }
            out.push(']');
        }
        Any::Map(map) => {
            let mut sorted = BTreeMap::new();
            for field in Message::new(map) {
                let (1, Value::Bytes(item)) = field? else { continue };
                let (key, value) = pair(item)?;
                sorted.insert(key, value);
            }
            out.push('{');
            for (at, (key, value)) in sorted.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                push_quoted(out, key);
                out.push(':');
                if !push_json(out, read(value)?, depth + 1)? {
                    return Ok(false);
                }
            }
            out.push('}');
        }
    }
    Ok(true)
}

/// A JSON string with the escapes of Go's encoder, which also hides what HTML would read.
fn push_quoted(out: &mut String, text: &str) {
    use std::fmt::Write;
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                // Writing to a String cannot fail.
                let _infallible = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_text() {
        let check = |json: &str, expected: &str| {
            let bytes = super::super::json::transcode(json.as_bytes(), &super::super::json::ANY_VALUE).unwrap();
            assert_eq!(as_text(&bytes).unwrap(), expected, "{json}");
        };
        check("{}", "");
        check(r#"{"stringValue":"a<b"}"#, "a<b");
        check(r#"{"boolValue":true}"#, "true");
        check(r#"{"boolValue":false}"#, "false");
        check(r#"{"intValue":"-9223372036854775808"}"#, "-9223372036854775808");
        check(r#"{"int_value":7}"#, "7");
        check(r#"{"doubleValue":1.5}"#, "1.5");
        check(r#"{"doubleValue":3}"#, "3");
        check(r#"{"doubleValue":1e21}"#, "1e+21");
        check(r#"{"doubleValue":1e20}"#, "100000000000000000000");
        check(r#"{"doubleValue":1.25e-7}"#, "1.25e-7");
        check(r#"{"doubleValue":"NaN"}"#, "json: unsupported value: NaN");
        check(r#"{"bytesValue":"AQI="}"#, "AQI=");
        check(
            r#"{"arrayValue":{"values":[{"stringValue":"a&\n"},{"intValue":1},{"doubleValue":0.5},{},{"boolValue":false}]}}"#,
            r#"["a\u0026\n",1,0.5,null,false]"#,
        );
        check(r#"{"kvlistValue":{"values":[{"key":"b","value":{"intValue":1}},{"key":"a","value":{"arrayValue":{}}}]}}"#, r#"{"a":[],"b":1}"#);
        check(r#"{"arrayValue":{"values":[{"doubleValue":"Infinity"}]}}"#, "");
    }

    #[test]
    fn too_deep_a_value_is_refused() {
        let deep = |levels: usize| {
            (0..levels).fold(Vec::new(), |inner, _| {
                let mut outer = crate::protobuf::Writer::new();
                outer.message(5, |list| list.always_bytes(1, &inner));
                outer.into_bytes()
            })
        };
        assert!(as_text(&deep(DEPTH_MAX)).is_ok());
        assert!(matches!(as_text(&deep(DEPTH_MAX + 5)), Err(DecodeError::Deep)));
        assert!(matches!(as_text(&deep(1000)), Err(DecodeError::Deep)));
    }
}
