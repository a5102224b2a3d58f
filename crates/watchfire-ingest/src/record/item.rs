//! Bodies of the record API → items. Shapes only: whether a name exists is the registry's question.

use std::fmt;

use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The largest body, in bytes.
pub const BODY_BYTES_MAX: usize = 4 << 20;
/// The most items in one body.
pub const ITEMS_MAX: usize = 10_000;
/// The deepest nesting of a body.
pub const DEPTH_MAX: usize = 64;
/// The most labels of an item that are looked at.
const LABELS_MAX: usize = 40;

/// One observation.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The family's name.
    pub name: String,
    /// Labels, as the caller wrote them.
    pub labels: Vec<(String, String)>,
    /// What to add (counter), to set (gauge) or to observe (histogram).
    pub value: f64,
}

/// An item, or why it is none, with the name it had.
pub(super) type Parsed = Result<Item, (String, (Code, String))>;

/// Why an item is refused. The names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// It is not an object with `name`, `labels` and `value`.
    InvalidItem,
    /// No catalog declares the name.
    UnknownMetric,
    /// The family is declared, but something else than an application produces it.
    NotRecordable,
    /// The family has no such label.
    UnknownLabel,
    /// The family is declared with a type of which single values cannot be recorded.
    UnsupportedType,
    /// The value is not a finite number, or negative for a counter, or too large for a sum.
    InvalidValue,
}
impl Code {
    /// All codes.
    pub const ALL: [Code; 6] = [Code::InvalidItem, Code::UnknownMetric, Code::NotRecordable, Code::UnknownLabel, Code::UnsupportedType, Code::InvalidValue];
    /// The code as it stands in answers and counters.
    pub fn name(self) -> &'static str {
        match self {
            Code::InvalidItem => "invalid_item",
            Code::UnknownMetric => "unknown_metric",
            Code::NotRecordable => "not_recordable",
            Code::UnknownLabel => "unknown_label",
            Code::UnsupportedType => "unsupported_type",
            Code::InvalidValue => "invalid_value",
        }
    }
}

/// Why one item of a request was refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// Its place in the list, from 0.
    pub index: usize,
    /// The metric it named, cut short if need be; empty when it named none.
    pub name: String,
    /// What is wrong, for programs.
    pub code: &'static str,
    /// What is wrong, for people.
    pub message: String,
}

/// Why nothing of a body could be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// More bytes or items than allowed (413).
    #[error("body is too large: {0}")]
    TooLarge(String),
    /// Nested too deep (400).
    #[error("body is nested more than {DEPTH_MAX} levels deep")]
    TooDeep,
    /// Not JSON, or neither a list nor an object (400).
    #[error("cannot read the body: {0}")]
    Syntax(String),
}

/// Reads a body; nothing is taken of one that is not valid to its end.
pub(super) fn parse(body: &[u8]) -> Result<Vec<Parsed>, RecordError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(RecordError::TooLarge(format!("{} bytes, more than {BODY_BYTES_MAX}", body.len())));
    }
    if depth(body) > DEPTH_MAX {
        return Err(RecordError::TooDeep);
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let items = json.deserialize_any(Items).and_then(|items| json.end().map(|()| items));
    match items.map_err(|e| RecordError::Syntax(e.to_string()))? {
        Some(items) => Ok(items),
        None => Err(RecordError::TooLarge(format!("more than {ITEMS_MAX} items"))),
    }
}

/// The deepest nesting of brackets outside of texts.
fn depth(body: &[u8]) -> usize {
    let (mut now, mut deepest, mut text, mut escaped) = (0usize, 0, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if text => escaped = true,
            b'"' => text = !text,
            b'[' | b'{' if !text => {
                now += 1;
                deepest = deepest.max(now);
            }
            b']' | b'}' if !text => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Reads one element after the other, so that a large body never stands in memory as a tree. `None`: too many.
struct Items;
impl<'de> Visitor<'de> for Items {
    type Value = Option<Vec<Parsed>>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of items or one item")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(element) = list.next_element::<Value>()? {
            if items.len() == ITEMS_MAX {
                while list.next_element::<de::IgnoredAny>()?.is_some() {}
                return Ok(None);
            }
            items.push(item(element));
        }
        Ok(Some(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            object.insert(key, value);
        }
        Ok(Some(vec![item(Value::Object(object))]))
    }
}

fn item(element: Value) -> Parsed {
    let name = element.get("name").and_then(Value::as_str).map(clip).unwrap_or_default();
    typed(element).map_err(|problem| (name, problem))
}

fn typed(element: Value) -> Result<Item, (Code, String)> {
    let bad = |message: &str| Err((Code::InvalidItem, message.to_owned()));
    let Value::Object(object) = element else { return bad("an item must be an object") };
    let (mut name, mut labels, mut value) = (None, Vec::new(), None);
    for (key, field) in object {
        match (key.as_str(), field) {
            ("name", Value::String(text)) => name = Some(text),
            ("name", _) => return bad("name must be a text"),
            ("labels", Value::Object(pairs)) => labels = label_pairs(pairs)?,
            ("labels", Value::Null) => {}
            ("labels", _) => return bad("labels must be an object of texts"),
            ("value", Value::Number(number)) => value = number.as_f64(),
            ("value", _) => return Err((Code::InvalidValue, "value must be a number".to_owned())),
            (other, _) => return bad(&format!("unknown key {:?}; an item has name, labels and value", clip(other))),
        }
    }
    match (name, value) {
        (None, _) => bad("name is missing"),
        (_, None) => bad("value is missing"),
        (Some(name), Some(value)) => Ok(Item { name, labels, value }),
    }
}

fn label_pairs(pairs: Map<String, Value>) -> Result<Vec<(String, String)>, (Code, String)> {
    if pairs.len() > LABELS_MAX {
        return Err((Code::InvalidItem, format!("{} labels are more than {LABELS_MAX}", pairs.len())));
    }
    let text = |(name, value): (String, Value)| match value {
        Value::String(text) => Ok((name, text)),
        Value::Number(number) => Ok((name, number.to_string())),
        Value::Bool(bool) => Ok((name, bool.to_string())),
        _ => Err((Code::InvalidItem, format!("label {:?} must be a text", clip(&name)))),
    };
    pairs.into_iter().map(text).collect()
}

/// A caller's text, short enough for a message.
pub(super) fn clip(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or("")),
        None => text.to_owned(),
    }
}
