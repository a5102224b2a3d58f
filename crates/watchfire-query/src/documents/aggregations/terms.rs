//! A bucket for every value of a field, the most frequent first or in another order.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value, json};

use super::super::analysis::Glob;
use super::super::dates;
use super::super::document::{Document, Scalar};
use super::super::error::SearchError;
use super::{Answer, Bucket, Memory, fail};
use crate::lucene;
use watchfire_model::order::Order as _;

/// The most buckets that can be asked for.
const SIZE_MAX: usize = 65_536;

/// A value of the field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// The bits of a number, so that they are ordered as numbers are.
    Number(i64),
    Text(String),
    Time(i64),
    Bool(bool),
}

impl Memory for Key {
    fn memory(&self) -> usize {
        if let Key::Text(text) = self { text.len() } else { 0 }
    }
}

impl Key {
    pub(super) fn of(value: &Scalar<'_>) -> Key {
        match value {
            Scalar::Text(text) => Key::Text(text.clone().into_owned()),
            Scalar::Number(number, _) => Key::Number(ordered_bits(*number)),
            Scalar::Bool(truth) => Key::Bool(*truth),
            Scalar::Time(time) => Key::Time(time.millis()),
        }
    }
    fn write(&self, out: &mut Map<String, Value>) {
        match self {
            Key::Text(text) => out.insert("key".into(), text.clone().into()),
            Key::Number(bits) => out.insert("key".into(), written(from_ordered_bits(*bits))),
            Key::Time(millis) => {
                out.insert("key".into(), (*millis).into());
                out.insert("key_as_string".into(), dates::format(watchfire_model::logs::Nanos::from_millis(*millis)).into())
            }
            Key::Bool(truth) => {
                out.insert("key".into(), u8::from(*truth).into());
                out.insert("key_as_string".into(), truth.to_string().into())
            }
        };
    }
    fn text(&self) -> String {
        match self {
            Key::Text(text) => text.clone(),
            Key::Number(bits) => from_ordered_bits(*bits).to_string(),
            Key::Time(millis) => millis.to_string(),
            Key::Bool(truth) => truth.to_string(),
        }
    }
}

/// A number, whole where it is.
pub(super) fn written(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 9e15 { Value::from(value as i64) } else { json!(value) }
}

/// Whole numbers in the order of floats.
pub(super) fn ordered_bits(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    if bits < 0 { i64::MIN ^ !bits } else { bits }
}
pub(super) fn from_ordered_bits(bits: i64) -> f64 {
    f64::from_bits(if bits < 0 { !(bits ^ i64::MIN) } else { bits } as u64)
}

#[derive(Clone, Debug)]
enum By {
    Count,
    Key,
    /// A metric of the buckets, by its path.
    Metric(String),
}

/// `terms`
#[derive(Clone, Debug)]
pub(super) struct Terms {
    field: String,
    size: usize,
    least: u64,
    missing: Option<Key>,
    order: Vec<(By, bool)>,
    include: Option<Choice>,
    exclude: Option<Choice>,
}

#[derive(Clone, Debug)]
enum Choice {
    Values(HashSet<String>),
    Regex(regex::Regex),
    Glob(Glob),
}
impl Choice {
    fn read(value: Option<&Value>) -> Result<Option<Choice>, SearchError> {
        match value {
            None => Ok(None),
            Some(Value::Array(all)) => Ok(Some(Choice::Values(all.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect()))),
            Some(Value::String(pattern)) => match lucene::whole_regex(pattern, false) {
                Ok(regex) => Ok(Some(Choice::Regex(regex))),
                // A pattern of a file is what is meant by `*.log`.
                Err(_) if pattern.contains('*') => Ok(Some(Choice::Glob(Glob::new(pattern)))),
                Err(message) => fail(message),
            },
            Some(_) => fail("[include] and [exclude] take a list or a regular expression"),
        }
    }
    fn has(&self, key: &Key) -> bool {
        let text = key.text();
        match self {
            Choice::Values(values) => values.contains(&text),
            Choice::Regex(regex) => regex.is_match(&text),
            Choice::Glob(glob) => glob.fits(&text, false),
        }
    }
}

impl Terms {
    pub(super) fn read(body: &Map<String, Value>) -> Result<Terms, SearchError> {
        let Some(field) = body.get("field").and_then(Value::as_str) else { return fail("[terms] requires a [field]") };
        let size = body.get("size").map_or(Some(10), Value::as_u64).and_then(|n| usize::try_from(n).ok());
        let Some(size) = size.filter(|n| (1..=SIZE_MAX).contains(n)) else { return fail(format!("[size] must be between 1 and {SIZE_MAX} in [terms]")) };
        let missing = body.get("missing").map(|value| match value {
            Value::Number(n) => Key::Number(ordered_bits(n.as_f64().unwrap_or(0.0))),
            Value::Bool(truth) => Key::Bool(*truth),
            value => Key::Text(value.as_str().unwrap_or("").to_owned()),
        });
        let order = match body.get("order") {
            None => vec![(By::Count, true)],
            Some(Value::Array(all)) => all.iter().map(order_of).collect::<Result<Vec<_>, _>>()?.concat(),
            Some(one) => order_of(one)?,
        };
        let least = body.get("min_doc_count").and_then(Value::as_u64).unwrap_or(1);
        let (include, exclude) = (Choice::read(body.get("include"))?, Choice::read(body.get("exclude"))?);
        Ok(Terms { field: field.to_owned(), size, least, missing, order, include, exclude })
    }

    /// The buckets that a document belongs to.
    pub(super) fn keys(&self, document: &Document<'_>) -> Vec<Key> {
        let mut keys: Vec<Key> = Vec::new();
        document.each_value(&self.field, &mut |value| {
            let key = Key::of(value);
            if !keys.contains(&key) {
                keys.push(key);
            }
        });
        if keys.is_empty() {
            keys.extend(self.missing.clone());
        }
        keys.retain(|key| self.include.as_ref().is_none_or(|c| c.has(key)) && !self.exclude.as_ref().is_some_and(|c| c.has(key)));
        keys
    }

    /// Only the buckets that are asked for are written.
    pub(super) fn finish(&self, known: BTreeMap<Key, Bucket<'_>>, answer: &mut Answer<'_>) -> Result<Value, SearchError> {
        let mut rows = Vec::with_capacity(known.len());
        for (key, mut bucket) in known {
            if bucket.count < self.least {
                continue;
            }
            let numbers: Vec<f64> = self.order.iter().map(|(by, _)| if let By::Metric(path) = by { number(&mut bucket, path) } else { 0.0 }).collect();
            rows.push((key, bucket, numbers));
        }
        rows.order_by(|a, b| {
            let by = |(i, (by, descending)): (usize, &(By, bool))| {
                let order = match by {
                    By::Count => a.1.count.cmp(&b.1.count),
                    By::Key => a.0.cmp(&b.0),
                    By::Metric(_) => a.2[i].total_cmp(&b.2[i]),
                };
                if *descending { order.reverse() } else { order }
            };
            self.order.iter().enumerate().map(by).find(|o| *o != Ordering::Equal).unwrap_or_else(|| a.0.cmp(&b.0))
        });
        let others: u64 = rows.iter().skip(self.size).map(|(_, bucket, _)| bucket.count).sum();
        let mut buckets = Vec::with_capacity(rows.len().min(self.size));
        for (key, bucket, _) in rows.into_iter().take(self.size) {
            answer.bucket()?;
            let mut out = Map::new();
            key.write(&mut out);
            bucket.write(&mut out, answer)?;
            buckets.push(Value::Object(out));
        }
        Ok(json!({ "doc_count_error_upper_bound": 0, "sum_other_doc_count": others, "buckets": buckets }))
    }
}

/// `{"_count": "desc"}`
fn order_of(value: &Value) -> Result<Vec<(By, bool)>, SearchError> {
    let Some(object) = value.as_object() else { return fail("[order] must be an object or a list of objects") };
    object
        .iter()
        .map(|(name, direction)| {
            let descending = match direction.as_str() {
                Some("asc") => false,
                Some("desc") => true,
                _ => return fail(format!("Unknown order direction [{direction}]")),
            };
            let by = match name.as_str() {
                "_count" => By::Count,
                "_key" | "_term" => By::Key,
                path => By::Metric(path.to_owned()),
            };
            Ok((by, descending))
        })
        .collect()
}

/// The number at a path in a bucket: `latency` or `latency.max`.
fn number(bucket: &mut Bucket<'_>, path: &str) -> f64 {
    let (name, member) = path.split_once('.').unwrap_or((path, "value"));
    bucket.inner.number(name, member).unwrap_or(f64::NEG_INFINITY)
}
