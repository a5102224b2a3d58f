//! `buckets_path`: where the numbers of buckets stand (`agg>metric`, `agg>stats.max`, `_count`), and what stands for numbers that are
//! missing. Paths are looked up once among the aggregations of a request, numbers in what was written of them.

use serde_json::{Map, Value};

use super::super::error::SearchError;
use super::{Aggregations, Kind, fail};

/// What stands for a number that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gaps {
    /// Nothing; also that of a bucket without documents.
    Skip,
    /// Zero; also for a bucket without documents.
    Zeros,
    /// Nothing; what a bucket without documents has counts.
    Keep,
}
impl Gaps {
    pub(super) fn read(value: &Value) -> Result<Gaps, SearchError> {
        match value.as_str() {
            Some("skip") => Ok(Gaps::Skip),
            Some("insert_zeros") => Ok(Gaps::Zeros),
            Some("keep_values") => Ok(Gaps::Keep),
            _ => fail(format!("Invalid gap policy: [{value}], accepted values: [insert_zeros, skip, keep_values]")),
        }
    }
}

/// A path that was looked up.
#[derive(Clone, Debug)]
pub(super) struct Path {
    /// The aggregations down to the one with the buckets; none where these are those around.
    buckets: Vec<String>,
    /// The members of a bucket down to the number.
    members: Vec<String>,
    /// Whether it is the count or the key of the bucket itself, which never is missing.
    is_own: bool,
}

impl Path {
    /// Looks a path up that begins beside an aggregation with buckets, or within one.
    pub(super) fn find(text: &str, beside: bool, aggregations: &Aggregations) -> Result<Path, SearchError> {
        let hint = if beside { ", which must begin with an aggregation that has several buckets" } else { "" };
        let wrong = || fail(format!("buckets_path must reference either a number value or a single value numeric metric aggregation, got: [{text}]{hint}"));
        let mut level = aggregations;
        let mut path = Path { buckets: Vec::new(), members: Vec::new(), is_own: false };
        let mut within = !beside;
        let mut left: Vec<&str> = text.rsplit('>').map(str::trim).collect();
        while let Some(step) = left.pop() {
            if within && matches!(step, "_count" | "_key") {
                path.is_own = path.members.is_empty();
                if step == "_key" && !path.members.is_empty() {
                    return wrong();
                }
                path.members.push(if step == "_key" { "key" } else { "doc_count" }.to_owned());
                return if left.is_empty() { Ok(path) } else { wrong() };
            }
            let Some((name, member)) = split(step, level) else { return fail(format!("No aggregation [{step}] found for path [{text}]")) };
            let found = level.list.iter().find(|(known, _)| known == name).map(|(_, aggregation)| aggregation);
            let place = match found.map(|aggregation| (&aggregation.kind, aggregation)) {
                None => level.pipelines.iter().find(|(known, _)| known == name).and_then(|(_, pipeline)| pipeline.place(member)),
                Some((Kind::Metric(metric), _)) => metric.place(member),
                Some((Kind::TopHits(_), _)) => None,
                Some((kind, aggregation)) if kind.is_single() || !within => {
                    if within { &mut path.members } else { &mut path.buckets }.push(name.to_owned());
                    within |= !kind.is_single();
                    level = &aggregation.inner;
                    left.extend(member);
                    continue;
                }
                // Of buckets within buckets there only is their number.
                Some(_) => (member.or_else(|| left.pop()) == Some("_bucket_count")).then(|| vec!["buckets".to_owned()]),
            };
            let Some(place) = place.filter(|_| within && left.is_empty()) else { return wrong() };
            path.members.push(name.to_owned());
            path.members.extend(place);
            return Ok(path);
        }
        wrong()
    }

    /// Whether it begins with a name, within the buckets around.
    pub(super) fn begins_with(&self, name: &str) -> bool {
        self.buckets.is_empty() && self.members.first().is_some_and(|first| first == name)
    }

    /// What stands there in a bucket.
    pub(super) fn value<'a>(&self, bucket: &'a Value) -> Option<&'a Value> {
        self.members.iter().try_fold(bucket, |at, member| at.get(member))
    }

    /// The number of a bucket: none where nobody wrote one, NaN where it is missing.
    pub(super) fn number(&self, bucket: &Value, gaps: Gaps) -> Option<f64> {
        let number = match self.value(bucket)? {
            Value::Number(number) => number.as_f64().unwrap_or(f64::NAN),
            Value::Array(buckets) => buckets.len() as f64,
            Value::Object(buckets) => buckets.len() as f64,
            _ => f64::NAN,
        };
        let empty = || bucket.get("doc_count").and_then(Value::as_u64) == Some(0);
        Some(match gaps {
            _ if self.is_own => number,
            Gaps::Skip if empty() => f64::NAN,
            Gaps::Zeros if number.is_nan() || empty() => 0.0,
            _ => number,
        })
    }

    /// The buckets of an aggregation beside, with the names of those that are not in a list.
    pub(super) fn buckets<'a>(&self, written: &'a Map<String, Value>) -> Vec<(Option<&'a str>, &'a Value)> {
        let mut steps = self.buckets.iter();
        let first = steps.next().and_then(|name| written.get(name));
        match first.and_then(|first| steps.try_fold(first, |at, name| at.get(name))).and_then(|found| found.get("buckets")) {
            Some(Value::Array(list)) => list.iter().map(|bucket| (None, bucket)).collect(),
            Some(Value::Object(named)) => named.iter().map(|(name, bucket)| (Some(name.as_str()), bucket)).collect(),
            _ => Vec::new(),
        }
    }
}

/// A step as a name that is known and what is behind it: `a`, `a.max`, `a[99.9]`. Names may have dots themselves.
fn split<'a>(step: &'a str, level: &Aggregations) -> Option<(&'a str, Option<&'a str>)> {
    let known = |name: &str| level.list.iter().any(|(known, _)| known == name) || level.pipelines.iter().any(|(known, _)| known == name);
    if known(step) {
        return Some((step, None));
    }
    if let Some((name, behind)) = step.split_once('[').filter(|(name, _)| known(name)) {
        return behind.strip_suffix(']').map(|member| (name, Some(member)));
    }
    let mut dots = step.rmatch_indices('.').map(|(at, _)| step.split_at(at));
    dots.find(|(name, _)| known(name)).map(|(name, behind)| (name, behind.strip_prefix('.')))
}
