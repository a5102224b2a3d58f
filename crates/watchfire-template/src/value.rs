//! What a template works on: Go's kinds as far as rules and notifications have them. It formats nothing and calls nothing.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::time::GoTime;

/// A value. Clones are cheap.
#[derive(Clone, Debug)]
pub enum Value {
    /// An interface without anything in it.
    Nil,
    /// `bool`
    Bool(bool),
    /// `int`
    Int(i64),
    /// `float64`
    Float(f64),
    /// `string`
    Text(Arc<str>),
    /// A string that stands in HTML as it is.
    Html(Arc<str>),
    /// A slice.
    List(Arc<List>),
    /// A map with text keys.
    Map(Arc<Map>),
    /// A struct.
    Record(Arc<Record>),
    /// `time.Time`
    Time(GoTime),
    /// `time.Duration`, in nanoseconds.
    Duration(i64),
}

/// A slice with the methods of its type.
#[derive(Debug)]
pub struct List {
    /// The elements.
    pub items: Vec<Value>,
    /// Which type it is.
    pub kind: ListKind,
}

/// Types of slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// Strings, or anything.
    Plain,
    /// Alerts of a notification: `.Firing`, `.Resolved`.
    Alerts,
    /// Pairs of names and values: `.Names`, `.Values`.
    Pairs,
}

/// A map with the methods of its type.
#[derive(Debug)]
pub struct Map {
    /// What is in it.
    pub entries: BTreeMap<String, Value>,
    /// Which type it is.
    pub kind: MapKind,
}

/// Types of maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKind {
    /// Texts; what is missing is the empty text.
    Texts,
    /// The same with `.SortedPairs`, `.Remove`, `.Names` and `.Values`.
    KeyValues,
    /// Anything; what is missing is nil.
    Any,
}

/// A struct.
#[derive(Debug)]
pub struct Record {
    /// The name of its type, for messages.
    pub name: &'static str,
    /// The fields in their order.
    pub fields: Vec<(&'static str, Value)>,
}

impl Value {
    /// A string.
    pub fn text(text: impl AsRef<str>) -> Value {
        Value::Text(Arc::from(text.as_ref()))
    }
    /// A plain slice.
    pub fn list(items: Vec<Value>) -> Value {
        Value::List(Arc::new(List { items, kind: ListKind::Plain }))
    }
    /// A slice of some type.
    pub fn list_of(kind: ListKind, items: Vec<Value>) -> Value {
        Value::List(Arc::new(List { items, kind }))
    }
    /// A map of texts.
    pub fn texts<'a>(kind: MapKind, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
        let entries = pairs.into_iter().map(|(name, value)| (name.to_owned(), Value::text(value))).collect();
        Value::Map(Arc::new(Map { entries, kind }))
    }
    /// A struct.
    pub fn record(name: &'static str, fields: Vec<(&'static str, Value)>) -> Value {
        Value::Record(Arc::new(Record { name, fields }))
    }

    /// The name of its Go type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "<nil>",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float64",
            Value::Text(_) => "string",
            Value::Html(_) => "template.HTML",
            Value::List(list) => match list.kind {
                ListKind::Plain => "[]string",
                ListKind::Alerts => "template.Alerts",
                ListKind::Pairs => "template.Pairs",
            },
            Value::Map(map) => match map.kind {
                MapKind::Texts => "map[string]string",
                MapKind::KeyValues => "template.KV",
                MapKind::Any => "map[string]interface {}",
            },
            Value::Record(record) => record.name,
            Value::Time(_) => "time.Time",
            Value::Duration(_) => "time.Duration",
        }
    }

    /// Whether `if` takes it for true: everything but the zero of its kind.
    pub fn is_true(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(value) => *value,
            Value::Int(value) | Value::Duration(value) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Text(text) | Value::Html(text) => !text.is_empty(),
            Value::List(list) => !list.items.is_empty(),
            Value::Map(map) => !map.entries.is_empty(),
            Value::Record(_) | Value::Time(_) => true,
        }
    }

    /// Its text, if it is a string.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) | Value::Html(text) => Some(text),
            _ => None,
        }
    }

    /// Whether two values are equal after `eq`; the error is the message.
    pub(super) fn equals(&self, other: &Value) -> Result<bool, &'static str> {
        Ok(match (self, other) {
            (Value::Nil, Value::Nil) => true,
            (Value::Nil, _) | (_, Value::Nil) => false,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a) | Value::Duration(a), Value::Int(b) | Value::Duration(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b,
            (Value::Time(a), Value::Time(b)) => a == b,
            _ => match (self.as_text(), other.as_text()) {
                (Some(a), Some(b)) => a == b,
                _ if self.is_basic() && other.is_basic() => return Err("incompatible types for comparison"),
                _ => return Err("non-comparable types"),
            },
        })
    }

    /// The order after `lt`; `None` is an unordered pair of floats.
    pub(super) fn compare(&self, other: &Value) -> Result<Option<Ordering>, &'static str> {
        match (self, other) {
            (Value::Int(a) | Value::Duration(a), Value::Int(b) | Value::Duration(b)) => Ok(Some(a.cmp(b))),
            (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b)),
            (Value::Bool(_), Value::Bool(_)) => Err("invalid type for comparison"),
            _ => match (self.as_text(), other.as_text()) {
                (Some(a), Some(b)) => Ok(Some(a.cmp(b))),
                _ if self.is_basic() && other.is_basic() => Err("incompatible types for comparison"),
                _ => Err("invalid type for comparison"),
            },
        }
    }

    fn is_basic(&self) -> bool {
        matches!(self, Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Html(_) | Value::Duration(_))
    }
}
