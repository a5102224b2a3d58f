//! The order of hits: by fields, by time, by place; and where a page goes on.

use std::cmp::Ordering;

use serde_json::Value;

use super::document::{Document, Scalar, TIME};
use super::error::SearchError;

/// The most fields of a sort.
const KEYS_MAX: usize = 32;

/// What one field gives to the order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Key {
    /// Missing.
    None,
    Number(f64),
    Text(String),
}
impl Key {
    /// As JSON.
    pub(super) fn json(&self) -> Value {
        match self {
            Key::None => Value::Null,
            Key::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => Value::from(*number as i64),
            Key::Number(number) => serde_json::Number::from_f64(*number).map_or(Value::Null, Value::Number),
            Key::Text(text) => Value::String(text.clone()),
        }
    }
    fn of_json(value: &Value) -> Key {
        match value {
            Value::Number(number) => Key::Number(number.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => Key::Text(text.clone()),
            Value::Bool(truth) => Key::Number(f64::from(u8::from(*truth))),
            _ => Key::None,
        }
    }
    fn compare(&self, other: &Key) -> Ordering {
        match (self, other) {
            (Key::Number(a), Key::Number(b)) => a.total_cmp(b),
            (Key::Text(a), Key::Text(b)) => a.cmp(b),
            (Key::Number(_), Key::Text(_)) => Ordering::Less,
            (Key::Text(_), Key::Number(_)) => Ordering::Greater,
            (Key::None, Key::None) => Ordering::Equal,
            // Handled by whoever knows where missing values go.
            (Key::None, _) => Ordering::Greater,
            (_, Key::None) => Ordering::Less,
        }
    }
}

/// One field of a sort.
#[derive(Clone, Debug)]
pub(super) struct By {
    field: String,
    descending: bool,
    missing_first: bool,
    /// What stands in for a missing value.
    missing: Option<Key>,
}

/// How hits are ordered. Nothing is the order in which they were written.
#[derive(Clone, Debug, Default)]
pub(super) struct Sort {
    pub(super) by: Vec<By>,
    after: Option<Vec<Key>>,
}

impl Sort {
    /// Reads `sort` and `search_after`. Where it is tied, time and id tell documents apart that are otherwise equal, and stand for the
    /// order of writing, which later entries would change.
    pub(super) fn read(sort: Option<&Value>, after: Option<&Value>, tied: bool) -> Result<Sort, SearchError> {
        let mut by = Vec::new();
        match sort {
            None | Some(Value::Null) => {}
            Some(Value::Array(all)) => {
                for one in all {
                    by.extend(of_value(one)?);
                }
            }
            Some(one) => by.extend(of_value(one)?),
        }
        if tied {
            by = with_ties(by);
        }
        if by.len() > KEYS_MAX {
            return Err(SearchError::Body(format!("[sort] has more than {KEYS_MAX} fields")));
        }
        let after = match after {
            None | Some(Value::Null) => None,
            Some(Value::Array(keys)) => {
                if by.is_empty() {
                    return Err(SearchError::Body("Sort must contain at least one field when [search_after] is used".to_owned()));
                }
                if keys.len() != by.len() {
                    return Err(SearchError::Body(format!("search_after has {} value(s) but sort has {}", keys.len(), by.len())));
                }
                Some(keys_of(keys, &by))
            }
            Some(_) => return Err(SearchError::Body("[search_after] must be a list".to_owned())),
        };
        Ok(Sort { by, after })
    }

    /// Goes on behind a hit with these keys.
    pub(super) fn go_on(&mut self, behind: &[Value]) {
        self.after = Some(keys_of(behind, &self.by));
    }

    /// The times within which a page that goes on has its hits, where the order is that of time: from one moment and before another.
    pub(super) fn times(&self) -> (i64, i64) {
        let millis = match self.after.as_ref().and_then(|keys| keys.first()) {
            Some(Key::Number(millis)) => *millis as i64,
            _ => return (i64::MIN, i64::MAX),
        };
        match self.by_time() {
            Some(true) => (i64::MIN, millis.saturating_add(1).saturating_mul(1_000_000)),
            Some(false) => (millis.saturating_mul(1_000_000), i64::MAX),
            None => (i64::MIN, i64::MAX),
        }
    }

    /// Whether everything that is read behind a document comes behind a hit, in the order of time.
    pub(super) fn is_past(&self, keys: &[Key], last: &[Key]) -> bool {
        self.by_time().is_some() && keys.first() != last.first()
    }

    /// The keys of a document; `place` is that in the order of writing.
    pub(super) fn keys(&self, document: &Document<'_>, place: u64) -> Vec<Key> {
        self.by.iter().map(|by| by.key(document, place)).collect()
    }

    /// The order of two hits.
    pub(super) fn compare(&self, a: &[Key], b: &[Key]) -> Ordering {
        let pairs = self.by.iter().zip(a.iter().zip(b));
        pairs.map(|(by, (a, b))| by.compare(a, b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }

    /// Whether a hit comes behind the page before.
    pub(super) fn is_behind(&self, keys: &[Key]) -> bool {
        self.after.as_ref().is_none_or(|after| self.compare(keys, after) == Ordering::Greater)
    }

    /// Whether the order is that of time, and if so whether the newest come first.
    pub(super) fn by_time(&self) -> Option<bool> {
        match self.by.first() {
            Some(by) if by.field == TIME => Some(by.descending),
            _ => None,
        }
    }

    /// Whether hits have keys to show.
    pub(super) fn is_named(&self) -> bool {
        !self.by.is_empty()
    }
}

fn keys_of(keys: &[Value], by: &[By]) -> Vec<Key> {
    keys.iter().zip(by).map(|(key, by)| if by.field == TIME { of_date(key) } else { Key::of_json(key) }).collect()
}

/// The order in which no two documents have one place.
fn with_ties(by: Vec<By>) -> Vec<By> {
    let plain = |field: &str| By { field: field.to_owned(), descending: false, missing_first: false, missing: None };
    let is_place = |by: &By| matches!(by.field.as_str(), "_doc" | "_shard_doc");
    let mut tied: Vec<By> = Vec::new();
    let all = if by.is_empty() { vec![plain("_doc")] } else { by };
    for one in all {
        let fields = if is_place(&one) { vec![plain(TIME), plain("_id")] } else { vec![one] };
        for field in fields {
            if !tied.iter().any(|known| known.field == field.field) {
                tied.push(field);
            }
        }
    }
    if !tied.iter().any(|by| by.field == "_id") {
        tied.push(plain("_id"));
    }
    tied
}

/// A date of `search_after` is a number of milliseconds or a text.
fn of_date(value: &Value) -> Key {
    match value.as_str().and_then(super::dates::instant) {
        Some(time) => Key::Number(time.millis() as f64),
        None => match value.as_str().and_then(|t| t.parse::<f64>().ok()) {
            Some(number) => Key::Number(number),
            None => Key::of_json(value),
        },
    }
}

/// `"field"`, `{field: "desc"}` or `{field: {order, missing}}`.
fn of_value(value: &Value) -> Result<Vec<By>, SearchError> {
    let plain = |field: &str, descending| By { field: field.to_owned(), descending, missing_first: false, missing: None };
    match value {
        // `field:desc` is how addresses write it. Scores come highest first.
        Value::String(text) => match text.rsplit_once(':') {
            Some((field, order @ ("asc" | "desc"))) => Ok(vec![plain(field, order == "desc")]),
            _ => Ok(vec![plain(text, text == "_score")]),
        },
        Value::Object(fields) => fields
            .iter()
            .map(|(field, how)| {
                let order = how.as_str().or_else(|| how.get("order").and_then(Value::as_str));
                let descending = match order {
                    None => field == "_score",
                    Some("asc") => false,
                    Some("desc") => true,
                    Some(other) => return Err(SearchError::Body(format!("No enum constant for sort order [{other}], expected asc or desc"))),
                };
                let missing = how.get("missing");
                let missing_first = missing.and_then(Value::as_str) == Some("_first");
                let named = matches!(missing.and_then(Value::as_str), Some("_first" | "_last"));
                Ok(By { field: field.clone(), descending, missing_first, missing: missing.filter(|_| !named).map(Key::of_json) })
            })
            .collect(),
        _ => Err(SearchError::Body("malformed sort format, expected a text or an object".to_owned())),
    }
}

impl By {
    fn key(&self, document: &Document<'_>, place: u64) -> Key {
        match self.field.as_str() {
            "_doc" | "_shard_doc" => return Key::Number(place as f64),
            "_score" => return Key::Number(1.0),
            "_id" => return Key::Text(document.id()),
            _ => {}
        }
        // Of several values the least counts in ascending order, the greatest in descending.
        let mut best: Option<Key> = None;
        document.each_value(&self.field, &mut |value| {
            let key = match value {
                Scalar::Time(time) => Key::Number(time.millis() as f64),
                Scalar::Number(number, _) => Key::Number(*number),
                Scalar::Bool(truth) => Key::Number(f64::from(u8::from(*truth))),
                Scalar::Text(text) => match value.number() {
                    Some(number) => Key::Number(number),
                    None => Key::Text(text.clone().into_owned()),
                },
            };
            let better = best.as_ref().is_none_or(|best| {
                let order = key.compare(best);
                if self.descending { order.is_gt() } else { order.is_lt() }
            });
            if better {
                best = Some(key);
            }
        });
        best.or_else(|| self.missing.clone()).unwrap_or(Key::None)
    }

    fn compare(&self, a: &Key, b: &Key) -> Ordering {
        match (a, b) {
            (Key::None, Key::None) => Ordering::Equal,
            // Missing values go last in both directions unless told otherwise.
            (Key::None, _) => {
                if self.missing_first {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            (_, Key::None) => {
                if self.missing_first {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
            (a, b) if self.descending => b.compare(a),
            (a, b) => a.compare(b),
        }
    }
}
