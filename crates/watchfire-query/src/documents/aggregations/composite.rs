//! A bucket for every combination of the values of several sources, in their order, page by page: `after` goes on behind a bucket. Only
//! the buckets of one page are kept.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use watchfire_model::logs::Nanos;
use watchfire_model::read::Budget;

use super::super::dates;
use super::super::document::{Document, TIME};
use super::super::error::SearchError;
use super::super::filter::Context;
use super::super::request::BUCKETS_MAX;
use super::histogram::DateHistogram;
use super::terms::{self, from_ordered_bits, ordered_bits};
use super::{Aggregation, Answer, Bucket, Memory, fail};

/// The most sources of one aggregation.
const SOURCES_MAX: usize = 32;
/// What a combination costs beside its sources, and each of them, as work of a read.
const COMBINATION_WORK: usize = 64;

/// What one source gives to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Slot {
    /// Where it stands: 0 is a missing value that goes first, 2 one that goes last.
    rank: u8,
    value: Option<terms::Key>,
    descending: bool,
}
impl Ord for Slot {
    fn cmp(&self, other: &Slot) -> Ordering {
        let values = self.value.cmp(&other.value);
        self.rank.cmp(&other.rank).then(if self.descending { values.reverse() } else { values })
    }
}
impl PartialOrd for Slot {
    fn partial_cmp(&self, other: &Slot) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// One value of each source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(Vec<Slot>);
impl Memory for Key {
    fn memory(&self) -> usize {
        self.0.iter().map(|slot| size_of::<Slot>() + slot.value.as_ref().map_or(0, Memory::memory)).sum()
    }
}

#[derive(Clone, Debug)]
enum Values {
    /// Those of a field.
    Terms(String),
    /// Steps of the numbers of a field.
    Steps(String, f64),
    Dates(DateHistogram),
}

#[derive(Clone, Debug)]
struct Source {
    name: String,
    values: Values,
    descending: bool,
    /// Where documents without a value are, if they have a bucket.
    missing: Option<u8>,
}

/// `composite`
#[derive(Clone, Debug)]
pub(super) struct Composite {
    sources: Vec<Source>,
    size: usize,
    after: Option<Key>,
}

impl Composite {
    pub(super) fn read(body: &Map<String, Value>, context: &Context) -> Result<Composite, SearchError> {
        if let Some(other) = body.keys().find(|key| !matches!(key.as_str(), "sources" | "size" | "after")) {
            return fail(format!("unknown key [{other}] in [composite]"));
        }
        let Some(list) = body.get("sources").and_then(Value::as_array).filter(|list| !list.is_empty()) else {
            return fail("Composite [sources] cannot be null or empty");
        };
        if list.len() > SOURCES_MAX {
            return fail(format!("[composite] has more than {SOURCES_MAX} sources"));
        }
        let mut sources: Vec<Source> = Vec::with_capacity(list.len());
        for one in list {
            let source = Source::read(one, context)?;
            if sources.iter().any(|known| known.name == source.name) {
                return fail(format!("Composite source names must be unique, found duplicates: [{}]", source.name));
            }
            sources.push(source);
        }
        let size = body.get("size").map_or(Some(10), Value::as_u64).and_then(|n| usize::try_from(n).ok());
        let Some(size) = size.filter(|n| (1..=BUCKETS_MAX).contains(n)) else {
            return fail(format!("[size] must be between 1 and {BUCKETS_MAX} in [composite]"));
        };
        let after = match body.get("after") {
            None | Some(Value::Null) => None,
            Some(Value::Object(after)) => Some(behind(after, &sources, context)?),
            Some(_) => return fail("[after] must be an object, as [after_key] of an answer is"),
        };
        Ok(Composite { sources, size, after })
    }

    /// Takes a document for every combination of its values.
    pub(super) fn collect<'a>(
        &self,
        aggregation: &'a Aggregation,
        document: &Document<'_>,
        known: &mut BTreeMap<Key, Bucket<'a>>,
        budget: &Budget,
    ) -> Result<(), SearchError> {
        let mut choices: Vec<Vec<Slot>> = Vec::with_capacity(self.sources.len());
        for source in &self.sources {
            let slots = source.slots(document);
            if slots.is_empty() {
                return Ok(());
            }
            choices.push(slots);
        }
        let mut at = vec![0; choices.len()];
        // Lists in several fields make many combinations of one document.
        while document.spend(COMBINATION_WORK * (1 + choices.len())) {
            let key = Key(choices.iter().zip(&at).map(|(slots, i)| slots[*i].clone()).collect());
            self.take(key, aggregation, document, known, budget)?;
            let mut place = choices.len();
            loop {
                if place == 0 {
                    return Ok(());
                }
                place -= 1;
                at[place] += 1;
                if at[place] < choices[place].len() {
                    break;
                }
                at[place] = 0;
            }
        }
        Ok(())
    }

    fn take<'a>(
        &self,
        key: Key,
        aggregation: &'a Aggregation,
        document: &Document<'_>,
        known: &mut BTreeMap<Key, Bucket<'a>>,
        budget: &Budget,
    ) -> Result<(), SearchError> {
        if self.after.as_ref().is_some_and(|after| key <= *after) {
            return Ok(());
        }
        if let Some(bucket) = known.get_mut(&key) {
            return bucket.add(document, budget);
        }
        if known.len() >= self.size {
            if known.last_key_value().is_some_and(|(last, _)| key > *last) {
                return Ok(());
            }
            // What leaves a full page does not come back: its last bucket only moves forward.
            if let Some((gone, _)) = known.pop_last() {
                budget.release_memory(aggregation.bucket_memory(&gone));
            }
        }
        budget.charge_memory(aggregation.bucket_memory(&key))?;
        known.entry(key).or_insert_with(|| Bucket::new(aggregation)).add(document, budget)
    }

    pub(super) fn finish(&self, known: BTreeMap<Key, Bucket<'_>>, answer: &mut Answer<'_>) -> Result<Value, SearchError> {
        let mut out = Map::new();
        if let Some((last, _)) = known.last_key_value() {
            out.insert("after_key".into(), self.written(last, true));
        }
        let mut buckets = Vec::with_capacity(known.len());
        for (key, bucket) in known {
            answer.bucket()?;
            let mut one = Map::new();
            one.insert("key".into(), self.written(&key, false));
            bucket.write(&mut one, answer)?;
            buckets.push(Value::Object(one));
        }
        out.insert("buckets".into(), buckets.into());
        Ok(Value::Object(out))
    }

    fn written(&self, key: &Key, exact: bool) -> Value {
        let pairs = self.sources.iter().zip(&key.0);
        Value::Object(pairs.map(|(source, slot)| (source.name.clone(), source.written(slot, exact))).collect())
    }
}

impl Source {
    /// `{"name": {"terms": {"field": …}}}`
    fn read(value: &Value, context: &Context) -> Result<Source, SearchError> {
        let named = value.as_object().filter(|o| o.len() == 1).and_then(|o| o.iter().next());
        let Some((name, how)) = named else { return fail("each of [sources] must be an object with one name") };
        let kind = how.as_object().filter(|o| o.len() == 1).and_then(|o| o.iter().next());
        let Some((kind, Value::Object(body))) = kind else { return fail(format!("the source [{name}] must have one kind, which is an object")) };
        let field = body.get("field").and_then(Value::as_str).map(str::to_owned);
        let Some(field) = field else { return fail(format!("[{kind}] requires a [field] in the source [{name}]")) };
        let values = match kind.as_str() {
            "terms" => Values::Terms(field),
            "histogram" => match body.get("interval").and_then(Value::as_f64).filter(|i| *i > 0.0 && i.is_finite()) {
                Some(interval) => Values::Steps(field, interval),
                None => return fail(format!("[interval] must be greater than 0 for the [histogram] source [{name}]")),
            },
            "date_histogram" => Values::Dates(DateHistogram::read(body, context)?),
            other => return fail(format!("unknown kind [{other}] of the source [{name}]: terms, histogram or date_histogram")),
        };
        let descending = match body.get("order").map(|order| order.as_str().unwrap_or_default().to_ascii_lowercase()).as_deref() {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(_) => return fail(format!("the [order] of the source [{name}] must be asc or desc")),
        };
        let rank = match body.get("missing_order").map(|order| order.as_str().unwrap_or_default()) {
            None | Some("default") => 2 * u8::from(descending),
            Some("first") => 0,
            Some("last") => 2,
            Some(_) => return fail(format!("the [missing_order] of the source [{name}] must be first, last or default")),
        };
        let missing = match body.get("missing_bucket") {
            None | Some(Value::Bool(false)) => None,
            Some(Value::Bool(true)) => Some(rank),
            Some(_) => return fail(format!("the [missing_bucket] of the source [{name}] must be true or false")),
        };
        Ok(Source { name: name.clone(), values, descending, missing })
    }

    fn slot(&self, value: Option<terms::Key>) -> Slot {
        let rank = if value.is_some() { 1 } else { self.missing.unwrap_or_default() };
        Slot { rank, value, descending: self.descending }
    }

    /// What a document gives; each value once.
    fn slots(&self, document: &Document<'_>) -> Vec<Slot> {
        let mut values: Vec<terms::Key> = Vec::new();
        let mut add = |value: terms::Key| {
            if !values.contains(&value) {
                values.push(value);
            }
        };
        match &self.values {
            Values::Terms(field) => {
                document.each_value(field, &mut |value| match terms::Key::of(value) {
                    terms::Key::Number(bits) => number(from_ordered_bits(bits)).into_iter().for_each(&mut add),
                    other => add(other),
                });
            }
            Values::Steps(field, interval) => {
                document.each_value(field, &mut |value| {
                    let step = value.number().map(|number| (number / interval).floor() * interval);
                    step.and_then(number).into_iter().for_each(&mut add);
                });
            }
            Values::Dates(histogram) => histogram.keys(document).into_iter().map(terms::Key::Time).for_each(add),
        }
        if values.is_empty() && self.missing.is_some() {
            return vec![self.slot(None)];
        }
        values.into_iter().map(|value| self.slot(Some(value))).collect()
    }

    /// A value as JSON. Where it is `exact` it can be read again: a format may write several moments in one way, which are numbers then.
    fn written(&self, slot: &Slot, exact: bool) -> Value {
        match (&slot.value, &self.values) {
            (None, _) => Value::Null,
            (Some(terms::Key::Text(text)), _) => text.clone().into(),
            (Some(terms::Key::Bool(truth)), _) => (*truth).into(),
            (Some(terms::Key::Number(bits)), Values::Terms(_)) => terms::written(from_ordered_bits(*bits)),
            (Some(terms::Key::Number(bits)), _) => json!(from_ordered_bits(*bits)),
            (Some(terms::Key::Time(millis)), Values::Dates(histogram)) if histogram.has_format() => {
                let text = histogram.shown(*millis);
                if exact && histogram.moment(&text, Nanos(0)) != Some(*millis) { (*millis).into() } else { text.into() }
            }
            (Some(terms::Key::Time(millis)), _) => (*millis).into(),
        }
    }

    /// A value of `after`.
    fn behind(&self, value: &Value, context: &Context) -> Option<terms::Key> {
        match (&self.values, value) {
            (Values::Terms(field), Value::Number(millis)) if field == TIME => millis.as_i64().map(terms::Key::Time),
            (Values::Terms(field), Value::String(text)) if field == TIME => {
                dates::period(text, context.now, &context.zone).map(|period| terms::Key::Time(period.start.millis()))
            }
            (Values::Terms(_), Value::Bool(truth)) => Some(terms::Key::Bool(*truth)),
            (Values::Terms(_), Value::String(text)) => Some(terms::Key::Text(text.clone())),
            (Values::Terms(_) | Values::Steps(..), Value::Number(n)) => n.as_f64().and_then(number),
            (Values::Steps(..), Value::String(text)) => text.parse().ok().and_then(number),
            (Values::Dates(_), Value::Number(millis)) => millis.as_i64().map(terms::Key::Time),
            (Values::Dates(histogram), Value::String(text)) => histogram.moment(text, context.now).map(terms::Key::Time),
            _ => None,
        }
    }
}

/// A number that can be written and read again; zeros are one.
fn number(value: f64) -> Option<terms::Key> {
    value.is_finite().then(|| terms::Key::Number(ordered_bits(value + 0.0)))
}

/// The key behind which a page begins.
fn behind(after: &Map<String, Value>, sources: &[Source], context: &Context) -> Result<Key, SearchError> {
    if after.len() != sources.len() {
        return fail(format!("[after] has {} value(s) but [sources] has {}", after.len(), sources.len()));
    }
    let mut slots = Vec::with_capacity(sources.len());
    for source in sources {
        let value = match after.get(&source.name) {
            None => return fail(format!("Missing value for [after.{}]", source.name)),
            Some(Value::Null) if source.missing.is_some() => None,
            Some(value) => match source.behind(value, context) {
                Some(key) => Some(key),
                None => return fail(format!("Invalid value for [after.{}]: [{value}]", source.name)),
            },
        };
        slots.push(source.slot(value));
    }
    Ok(Key(slots))
}
