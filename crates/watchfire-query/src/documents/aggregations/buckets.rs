//! Buckets by conditions: queries, ranges of numbers or dates, steps of numbers, and documents without a field.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::criterion::Test;
use super::super::dates;
use super::super::document::Document;
use super::super::dsl;
use super::super::error::SearchError;
use super::super::filter::{Context, FieldNames, Filter};
use super::super::range::{Bound, Range};
use super::{Aggregation, Answer, Bucket, Memory, fail, too_many_buckets};

/// The place of a bucket in the request, or where a step of numbers begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Place(usize),
    Step(i64),
}

impl Memory for Key {
    fn memory(&self) -> usize {
        0
    }
}

/// How the buckets of an answer are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// One, without a list.
    Single,
    /// By name.
    Named,
    /// In order.
    List,
}

#[derive(Clone, Debug)]
struct Condition {
    name: Option<String>,
    filter: Filter,
    /// What a bucket says about itself.
    about: Map<String, Value>,
}

/// Buckets that the request names one by one, or steps of numbers.
#[derive(Clone, Debug)]
pub(super) struct Buckets {
    shape: Shape,
    conditions: Vec<Condition>,
    steps: Option<Steps>,
}

#[derive(Clone, Debug)]
struct Steps {
    field: String,
    interval: f64,
    offset: f64,
    least: u64,
}

impl Buckets {
    pub(super) fn read(kind: &str, value: &Value, context: &Context) -> Result<Buckets, SearchError> {
        let single = |filter| Buckets { shape: Shape::Single, conditions: vec![Condition { name: None, filter, about: Map::new() }], steps: None };
        match kind {
            "filter" => dsl::query(value, context).map(single),
            "global" => Ok(single(Filter::All)),
            "missing" => match value.get("field").and_then(Value::as_str) {
                Some(field) => Ok(single(Filter::negated(Filter::Field(FieldNames::of(field), Test::Exists)))),
                None => fail("[missing] requires a [field]"),
            },
            "filters" => filters(value, context),
            "histogram" => steps(value),
            _ => ranges(value, kind == "date_range", context),
        }
    }

    /// The buckets that a document belongs to.
    pub(super) fn keys(&self, document: &Document<'_>) -> Vec<Key> {
        match &self.steps {
            None => self.conditions.iter().enumerate().filter(|(_, c)| c.filter.holds(document)).map(|(i, _)| Key::Place(i)).collect(),
            Some(steps) => {
                let mut keys = Vec::new();
                document.each_value(&steps.field, &mut |value| {
                    if let Some(number) = value.number().filter(|n| n.is_finite()) {
                        let key = Key::Step(((number - steps.offset) / steps.interval).floor() as i64);
                        if !keys.contains(&key) {
                            keys.push(key);
                        }
                    }
                });
                keys
            }
        }
    }

    /// Whether the answer is one bucket without a list.
    pub(super) fn is_single(&self) -> bool {
        self.shape == Shape::Single
    }

    /// Whether they are steps of numbers.
    pub(super) fn has_steps(&self) -> bool {
        self.steps.is_some()
    }

    /// Whether they are steps of numbers, empty ones among them.
    pub(super) fn has_all_steps(&self) -> bool {
        self.steps.as_ref().is_some_and(|steps| steps.least == 0)
    }

    pub(super) fn finish<'a>(&self, aggregation: &'a Aggregation, mut known: BTreeMap<Key, Bucket<'a>>, answer: &mut Answer<'_>) -> Result<Value, SearchError> {
        if let Some(steps) = &self.steps {
            return steps.finish(aggregation, known, answer);
        }
        let mut list = Vec::new();
        let mut named = Map::new();
        for (i, condition) in self.conditions.iter().enumerate() {
            let bucket = known.remove(&Key::Place(i)).unwrap_or_else(|| Bucket::new(aggregation));
            answer.bucket()?;
            let mut out = condition.about.clone();
            bucket.write(&mut out, answer)?;
            match (&condition.name, self.shape) {
                (_, Shape::Single) => return Ok(Value::Object(out)),
                (Some(name), Shape::Named) => drop(named.insert(name.clone(), Value::Object(out))),
                _ => list.push(Value::Object(out)),
            }
        }
        Ok(if self.shape == Shape::Named { json!({ "buckets": named }) } else { json!({ "buckets": list }) })
    }
}

impl Steps {
    fn finish<'a>(&self, aggregation: &'a Aggregation, mut known: BTreeMap<Key, Bucket<'a>>, answer: &mut Answer<'_>) -> Result<Value, SearchError> {
        let ends = known.first_key_value().zip(known.last_key_value()).map(|((first, _), (last, _))| (*first, *last));
        let Some((Key::Step(first), Key::Step(last))) = ends else { return Ok(json!({ "buckets": [] })) };
        let places: Vec<i64> = if self.least > 0 {
            known.keys().filter_map(|key| if let Key::Step(step) = key { Some(*step) } else { None }).collect()
        } else if last.saturating_sub(first) < answer.left() as i64 {
            (first..=last).collect()
        } else {
            return too_many_buckets();
        };
        let mut list = Vec::new();
        for step in places {
            let bucket = known.remove(&Key::Step(step)).unwrap_or_else(|| Bucket::new(aggregation));
            if bucket.count < self.least {
                continue;
            }
            answer.bucket()?;
            let mut out = Map::new();
            out.insert("key".into(), json!(step as f64 * self.interval + self.offset));
            bucket.write(&mut out, answer)?;
            list.push(Value::Object(out));
        }
        Ok(json!({ "buckets": list }))
    }
}

fn steps(value: &Value) -> Result<Buckets, SearchError> {
    let Some(field) = value.get("field").and_then(Value::as_str) else { return fail("[histogram] requires a [field]") };
    let Some(interval) = value.get("interval").and_then(Value::as_f64).filter(|i| *i > 0.0 && i.is_finite()) else {
        return fail("[interval] must be >0 for histogram aggregation");
    };
    let steps = Steps {
        field: field.to_owned(),
        interval,
        offset: value.get("offset").and_then(Value::as_f64).unwrap_or(0.0),
        least: value.get("min_doc_count").and_then(Value::as_u64).unwrap_or(0),
    };
    Ok(Buckets { shape: Shape::List, conditions: Vec::new(), steps: Some(steps) })
}

fn filters(value: &Value, context: &Context) -> Result<Buckets, SearchError> {
    let condition = |name: Option<String>, query: &Value| dsl::query(query, context).map(|filter| Condition { name, filter, about: Map::new() });
    let (shape, mut conditions) = match value.get("filters") {
        Some(Value::Object(named)) => (Shape::Named, named.iter().map(|(name, query)| condition(Some(name.clone()), query)).collect::<Result<Vec<_>, _>>()?),
        Some(Value::Array(list)) => (Shape::List, list.iter().map(|query| condition(None, query)).collect::<Result<Vec<_>, _>>()?),
        _ => return fail("[filters] cannot be empty."),
    };
    let other = value.get("other_bucket_key").and_then(Value::as_str);
    if other.is_some() || value.get("other_bucket").and_then(Value::as_bool) == Some(true) {
        let none = conditions.iter().map(|c| Filter::negated(c.filter.clone())).collect();
        let name = (shape == Shape::Named).then(|| other.unwrap_or("_other_").to_owned());
        conditions.push(Condition { name, filter: Filter::And(none), about: Map::new() });
    }
    Ok(Buckets { shape, conditions, steps: None })
}

/// An end of a range as a bucket says it: a number with a fraction, or a moment with its text. The text is that of the key.
fn end_of(text: &str, key: &str, dates: bool, context: &Context, about: &mut Map<String, Value>) -> String {
    let moment = dates.then(|| dates::period(text, context.now, &context.zone)).flatten();
    match (moment, text.parse::<f64>()) {
        (Some(period), _) => {
            let shown = dates::format(period.start);
            about.insert(key.to_owned(), json!(period.start.millis() as f64));
            about.insert(format!("{key}_as_string"), shown.clone().into());
            shown
        }
        (None, Ok(number)) => {
            about.insert(key.to_owned(), json!(number));
            format!("{number:?}")
        }
        (None, Err(_)) => {
            about.insert(key.to_owned(), text.into());
            text.to_owned()
        }
    }
}

fn ranges(value: &Value, dates: bool, context: &Context) -> Result<Buckets, SearchError> {
    let Some(field) = value.get("field").and_then(Value::as_str) else { return fail("[range] requires a [field]") };
    let Some(list) = value.get("ranges").and_then(Value::as_array).filter(|l| !l.is_empty()) else {
        return fail("No [ranges] specified for the [range] aggregation");
    };
    let keyed = value.get("keyed").and_then(Value::as_bool).unwrap_or(false);
    let mut conditions = Vec::new();
    for one in list {
        let mut about = Map::new();
        let end = |key: &str| {
            let value = one.get(key).filter(|v| !v.is_null())?;
            Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        let (from, to) = (end("from"), end("to"));
        let mut shown = |end: &Option<String>, key: &str| end.as_ref().map_or_else(|| "*".to_owned(), |text| end_of(text, key, dates, context, &mut about));
        let both = format!("{}-{}", shown(&from, "from"), shown(&to, "to"));
        let name = one.get("key").and_then(Value::as_str).map_or(both, str::to_owned);
        // The lower end belongs to a range, the upper one does not.
        let range = Range { from: from.map(|text| Bound::new(&text, true, context)), to: to.map(|text| Bound::new(&text, false, context)) };
        if let Some(problem) = range.problem(field) {
            return fail(problem);
        }
        if !keyed {
            about.insert("key".to_owned(), name.clone().into());
        }
        conditions.push(Condition { name: keyed.then_some(name), filter: Filter::Field(FieldNames::of(field), Test::Range(range)), about });
    }
    Ok(Buckets { shape: if keyed { Shape::Named } else { Shape::List }, conditions, steps: None })
}
