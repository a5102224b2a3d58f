//! Typed values of attributes, and how they are kept: as the text that a search for them has, with a letter for the type.

use std::borrow::Cow;

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// True or false.
    Bool(bool),
    /// A list or a map, as JSON.
    Json(Cow<'a, str>),
    /// Bytes, in base64.
    Bytes(Cow<'a, str>),
}

/// An attribute.
pub type Pair<'a> = (Cow<'a, str>, Value<'a>);

/// Text, which most values are.
pub(super) const TEXT: u8 = b's';
/// Empty text: what is kept has no empty values.
const EMPTY: u8 = b'e';
const INT: u8 = b'i';
const DOUBLE: u8 = b'd';
const BOOL: u8 = b'b';
const JSON: u8 = b'j';
const BYTES: u8 = b'x';
/// What stands where an empty text would.
const NOTHING: &str = "-";

impl<'a> Value<'a> {
    /// Borrowed text.
    pub fn text(text: &'a str) -> Value<'a> {
        Value::Text(Cow::Borrowed(text))
    }

    /// The letter of the type.
    pub(super) fn letter(&self) -> u8 {
        match self {
            Value::Text(text) if text.is_empty() => EMPTY,
            Value::Text(_) => TEXT,
            Value::Int(_) => INT,
            Value::Double(_) => DOUBLE,
            Value::Bool(_) => BOOL,
            Value::Json(_) => JSON,
            Value::Bytes(_) => BYTES,
        }
    }

    /// The text that is kept. It is never empty.
    pub(super) fn kept(&self) -> Cow<'_, str> {
        match self {
            Value::Bytes(text) if text.is_empty() => Cow::Borrowed(NOTHING),
            Value::Text(text) | Value::Json(text) if text.is_empty() => Cow::Borrowed(NOTHING),
            value => value.as_text(),
        }
    }

    /// The value as text: what a person would write to look for it.
    pub fn as_text(&self) -> Cow<'_, str> {
        match self {
            Value::Text(text) | Value::Json(text) | Value::Bytes(text) => Cow::Borrowed(text),
            Value::Int(value) => Cow::Owned(value.to_string()),
            Value::Double(value) => Cow::Owned(value.to_string()),
            Value::Bool(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
        }
    }

    /// The number that it is.
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Int(value) => Some(*value as f64),
            Value::Double(value) => Some(*value),
            _ => None,
        }
    }

    /// Reads a kept text of a type back. What does not parse is text: it has been written by somebody else.
    pub(super) fn read(letter: u8, kept: &'a str) -> Value<'a> {
        let text = || Value::Text(Cow::Borrowed(kept));
        match letter {
            EMPTY => Value::Text(Cow::Borrowed("")),
            INT => kept.parse().map_or_else(|_| text(), Value::Int),
            DOUBLE => kept.parse().map_or_else(|_| text(), Value::Double),
            BOOL => Value::Bool(kept == "true"),
            JSON => Value::Json(Cow::Borrowed(kept)),
            BYTES => Value::Bytes(Cow::Borrowed(if kept == NOTHING { "" } else { kept })),
            _ => text(),
        }
    }

    /// The same, borrowing nothing.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Value::Int(value) => Value::Int(value),
            Value::Double(value) => Value::Double(value),
            Value::Bool(value) => Value::Bool(value),
            Value::Json(text) => Value::Json(Cow::Owned(text.into_owned())),
            Value::Bytes(text) => Value::Bytes(Cow::Owned(text.into_owned())),
        }
    }
}
