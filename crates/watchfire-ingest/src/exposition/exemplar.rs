//! Exemplars as they stand in an exposition: bytes that are compared first and decoded only when they are new.

use watchfire_model::labels::Labels;
use watchfire_model::time::Timestamp;

use super::scan::{Cursor, Grammar, Part, number};
use crate::prometheus_proto;

/// An exemplar that is not decoded yet. Equal bytes are the same exemplar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RawExemplar<'a> {
    /// `{labels} value [time]` of a text, checked by its parser.
    Text(&'a str),
    /// An `Exemplar` message.
    Proto(&'a [u8]),
}

/// A decoded exemplar.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundExemplar {
    /// Its own labels.
    pub labels: Labels,
    /// What was observed.
    pub value: f64,
    /// When, if that is said.
    pub time: Option<Timestamp>,
}

impl RawExemplar<'_> {
    /// The bytes that tell one from another.
    pub fn bytes(&self) -> &[u8] {
        match self {
            RawExemplar::Text(text) => text.as_bytes(),
            RawExemplar::Proto(message) => message,
        }
    }
    /// Decodes it; `None` for one that cannot be: broken, or with a label twice.
    pub fn decode(&self) -> Option<FoundExemplar> {
        match self {
            RawExemplar::Text(text) => decode_text(text),
            RawExemplar::Proto(message) => prometheus_proto::decode_exemplar(message).ok().flatten(),
        }
    }
}

fn decode_text(text: &str) -> Option<FoundExemplar> {
    let mut pairs = Vec::new();
    let mut cursor = Cursor::new(text);
    if !cursor.eat(b'{') {
        return None;
    }
    let mut visit = |part: Part<'_>| {
        if let Part::Label(name, value) = part {
            pairs.push((name.unescaped().into_owned(), value.unescaped().into_owned()));
        }
    };
    cursor.label_set(Grammar::Strict, &mut false, &mut visit).ok()?;
    let mut words = cursor.slice(cursor.at, text.len()).split_ascii_whitespace();
    let value = number(words.next()?)?;
    let time = words.next().and_then(number).map(|secs| Timestamp((secs * 1000.0) as i64));
    Some(FoundExemplar { labels: labels_of(pairs)?, value, time })
}

/// The labels of an exemplar, unless one stands there twice.
pub(crate) fn labels_of<T: AsRef<str> + Ord>(mut pairs: Vec<(T, T)>) -> Option<Labels> {
    pairs.sort_unstable();
    let twice = pairs.windows(2).any(|w| w[0].0 == w[1].0);
    (!twice).then(|| Labels::from_pairs(pairs))
}
