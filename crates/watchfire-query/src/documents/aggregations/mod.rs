//! Aggregations: what documents are together. Buckets put documents together, metrics make a number of them; buckets hold others.
//! They are read once, fed document by document, and written as JSON; pipelines make something of what was written.

mod buckets;
mod composite;
mod histogram;
mod metrics;
mod paths;
mod pipelines;
mod terms;
mod top_hits;

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use watchfire_model::read::Budget;

use super::document::Document;
use super::error::SearchError;
use super::filter::Context;
use super::request::BUCKETS_MAX;
use buckets::Buckets;
use composite::Composite;
use histogram::DateHistogram;
use metrics::Metric;
use pipelines::Pipeline;
use terms::Terms;
use top_hits::TopHits;

/// How deep aggregations may nest.
const NESTING_MAX: usize = 20;
/// The most aggregations of one level.
const SIBLINGS_MAX: usize = 100;

/// Aggregations by their names, in the order of the request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Aggregations {
    list: Vec<(String, Aggregation)>,
    /// Each stands behind those that it needs.
    pipelines: Vec<(String, Pipeline)>,
}

#[derive(Clone, Debug)]
pub(super) struct Aggregation {
    kind: Kind,
    inner: Aggregations,
}

#[derive(Clone, Debug)]
enum Kind {
    Metric(Metric),
    Terms(Terms),
    DateHistogram(DateHistogram),
    Buckets(Buckets),
    Composite(Composite),
    TopHits(TopHits),
}

pub(super) fn fail<T>(message: impl Into<String>) -> Result<T, SearchError> {
    Err(SearchError::Body(message.into()))
}

impl Aggregations {
    /// Reads the value of `aggs`.
    pub(super) fn read(value: &Value, context: &Context, depth: usize) -> Result<Aggregations, SearchError> {
        let Some(object) = value.as_object() else { return fail("[aggs] expected an object") };
        if depth > NESTING_MAX {
            return fail(format!("aggregations are nested more than {NESTING_MAX} levels deep"));
        }
        if object.len() > SIBLINGS_MAX {
            return fail(format!("more than {SIBLINGS_MAX} aggregations stand beside each other"));
        }
        let mut all = Aggregations::default();
        for (name, body) in object {
            all.add(name, body, context, depth)?;
        }
        if depth == 0 {
            all.check(None)?;
        }
        all.connect()?;
        Ok(all)
    }

    /// Fails where a pipeline cannot stand within an aggregation; none is the outermost level.
    fn check(&self, around: Option<&Kind>) -> Result<(), SearchError> {
        self.pipelines.iter().try_for_each(|(name, pipeline)| pipeline.check(name, around))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty() && self.pipelines.is_empty()
    }

    /// Whether one of them may depend on the lines of entries.
    pub(super) fn need_lines(&self) -> bool {
        self.list.iter().any(|(_, aggregation)| {
            let of_time = matches!(&aggregation.kind, Kind::DateHistogram(histogram) if histogram.is_of_time());
            !of_time || aggregation.inner.need_lines()
        })
    }

    /// Whether documents are kept in one of them.
    pub(super) fn keep_hits(&self) -> bool {
        self.list.iter().any(|(_, aggregation)| matches!(aggregation.kind, Kind::TopHits(_)) || aggregation.inner.keep_hits())
    }

    /// Something that takes documents.
    pub(super) fn collector(&self) -> Collector<'_> {
        let states = self.list.iter().map(|(name, aggregation)| (name.as_str(), State::new(aggregation))).collect();
        Collector { states, pipelines: &self.pipelines }
    }

    /// Reads one.
    fn add(&mut self, name: &str, body: &Value, context: &Context, depth: usize) -> Result<(), SearchError> {
        let Some(object) = body.as_object() else { return fail(format!("[{name}] expected an object")) };
        let mut inner = Aggregations::default();
        let (mut kind, mut pipeline) = (None, None);
        for (key, value) in object {
            match key.as_str() {
                "aggs" | "aggregations" => inner = Aggregations::read(value, context, depth + 1)?,
                "meta" => {}
                other => {
                    if kind.is_some() || pipeline.is_some() {
                        return fail(format!("Found two aggregation type definitions in [{name}]: [{other}] is the second"));
                    }
                    let Some(object) = value.as_object() else { return fail(format!("[{name}] [{other}] expected an object")) };
                    pipeline = Pipeline::read(name, other, object)?;
                    if pipeline.is_none() {
                        kind = Some(Kind::read(name, other, value, object, context)?);
                    }
                }
            }
        }
        if let Some(pipeline) = pipeline {
            if !inner.is_empty() {
                return fail(format!("Aggregator [{name}] cannot accept sub-aggregations"));
            }
            self.pipelines.push((name.to_owned(), pipeline));
            return Ok(());
        }
        let Some(kind) = kind else { return fail(format!("Missing definition for aggregation [{name}]")) };
        if matches!(kind, Kind::Metric(_) | Kind::TopHits(_)) && !inner.is_empty() {
            return fail(format!("Aggregator [{name}] cannot accept sub-aggregations"));
        }
        if !kind.is_single()
            && let Some((below, _)) = inner.list.iter().find(|(_, aggregation)| matches!(aggregation.kind, Kind::Composite(_)))
        {
            return fail(format!("[composite] aggregation [{below}] cannot be used below [{name}], which has several buckets"));
        }
        inner.check(Some(&kind))?;
        self.list.push((name.to_owned(), Aggregation { kind, inner }));
        Ok(())
    }
}

impl Aggregation {
    /// What a bucket of a key costs, about.
    fn bucket_memory<K: Memory>(&self, key: &K) -> u64 {
        (BUCKET_BYTES + key.memory() + self.inner.list.len() * size_of::<(&str, State<'_>)>()) as u64
    }
}

impl Kind {
    fn read(name: &str, kind: &str, value: &Value, object: &Map<String, Value>, context: &Context) -> Result<Kind, SearchError> {
        if let Some(metric) = Metric::read(kind, object)? {
            return Ok(Kind::Metric(metric));
        }
        match kind {
            "terms" => Terms::read(object).map(Kind::Terms),
            "date_histogram" => DateHistogram::read(object, context).map(Kind::DateHistogram),
            "composite" => Composite::read(object, context).map(Kind::Composite),
            "top_hits" => TopHits::read(name, object).map(Kind::TopHits),
            "histogram" | "range" | "date_range" | "filter" | "filters" | "missing" | "global" => Buckets::read(kind, value, context).map(Kind::Buckets),
            other => fail(format!("Unknown aggregation type [{other}]")),
        }
    }

    /// Whether it is one bucket without a list.
    fn is_single(&self) -> bool {
        matches!(self, Kind::Buckets(buckets) if buckets.is_single())
    }
}

/// The state of all aggregations of one level.
pub(super) struct Collector<'a> {
    states: Vec<(&'a str, State<'a>)>,
    pipelines: &'a [(String, Pipeline)],
}

enum State<'a> {
    Metric(&'a Metric, metrics::Numbers),
    Terms(&'a Aggregation, &'a Terms, BTreeMap<terms::Key, Bucket<'a>>),
    DateHistogram(&'a Aggregation, &'a DateHistogram, BTreeMap<i64, Bucket<'a>>),
    Buckets(&'a Aggregation, &'a Buckets, BTreeMap<buckets::Key, Bucket<'a>>),
    Composite(&'a Aggregation, &'a Composite, BTreeMap<composite::Key, Bucket<'a>>),
    TopHits(&'a TopHits, top_hits::Hits),
}

/// Documents that belong together.
pub(super) struct Bucket<'a> {
    count: u64,
    inner: Collector<'a>,
}

impl<'a> Bucket<'a> {
    fn new(aggregation: &'a Aggregation) -> Bucket<'a> {
        Bucket { count: 0, inner: aggregation.inner.collector() }
    }
    fn add(&mut self, document: &Document<'_>, budget: &Budget) -> Result<(), SearchError> {
        self.count += 1;
        self.inner.collect(document, budget)
    }
    /// `doc_count` and what is inside, into the JSON of a bucket.
    fn write(self, out: &mut Map<String, Value>, answer: &mut Answer<'_>) -> Result<(), SearchError> {
        out.insert("doc_count".into(), self.count.into());
        out.extend(self.inner.finish(answer)?);
        Ok(())
    }
}

impl<'a> State<'a> {
    fn new(aggregation: &'a Aggregation) -> State<'a> {
        match &aggregation.kind {
            Kind::Metric(metric) => State::Metric(metric, metrics::Numbers::default()),
            Kind::Terms(terms) => State::Terms(aggregation, terms, BTreeMap::new()),
            Kind::DateHistogram(histogram) => State::DateHistogram(aggregation, histogram, BTreeMap::new()),
            Kind::Buckets(buckets) => State::Buckets(aggregation, buckets, BTreeMap::new()),
            Kind::Composite(composite) => State::Composite(aggregation, composite, BTreeMap::new()),
            Kind::TopHits(top) => State::TopHits(top, top_hits::Hits::default()),
        }
    }
}

/// What a key takes beside itself.
pub(super) trait Memory {
    /// Bytes of its own.
    fn memory(&self) -> usize;
}
impl Memory for i64 {
    fn memory(&self) -> usize {
        0
    }
}

/// What a bucket costs beside its key and the states of what is in it, about.
const BUCKET_BYTES: usize = 256;

/// The bucket of a key, made within the budget where it is new.
fn bucket<'a, 'm, K: Ord + Memory>(
    known: &'m mut BTreeMap<K, Bucket<'a>>,
    key: K,
    aggregation: &'a Aggregation,
    budget: &Budget,
) -> Result<&'m mut Bucket<'a>, SearchError> {
    if !known.contains_key(&key) {
        if known.len() >= BUCKETS_MAX {
            return too_many_buckets();
        }
        budget.charge_memory(aggregation.bucket_memory(&key))?;
    }
    Ok(known.entry(key).or_insert_with(|| Bucket::new(aggregation)))
}

fn too_many_buckets<T>() -> Result<T, SearchError> {
    fail(format!("Trying to create too many buckets. Must be less than or equal to: [{BUCKETS_MAX}]"))
}

/// What a bucket and a metric of an answer cost as JSON, about.
const WRITTEN_BYTES: u64 = 512;
/// So many buckets are written between two looks at the clock.
const CHECK_BUCKETS: usize = 1_024;

/// The answer while it is written: how many buckets it may still have, all aggregations together, and what it costs.
pub(super) struct Answer<'a> {
    budget: &'a Budget,
    left: usize,
}
impl<'a> Answer<'a> {
    pub(super) fn new(budget: &'a Budget) -> Answer<'a> {
        Answer { budget, left: BUCKETS_MAX }
    }
    /// How many buckets are left.
    fn left(&self) -> usize {
        self.left
    }
    /// Takes one of the buckets that are left.
    fn bucket(&mut self) -> Result<(), SearchError> {
        if self.left == 0 {
            return too_many_buckets();
        }
        self.left -= 1;
        if self.left.is_multiple_of(CHECK_BUCKETS) {
            self.budget.check()?;
        }
        Ok(self.budget.charge_memory(WRITTEN_BYTES)?)
    }
}

impl Collector<'_> {
    /// Takes a document.
    pub(super) fn collect(&mut self, document: &Document<'_>, budget: &Budget) -> Result<(), SearchError> {
        for (_, state) in &mut self.states {
            match state {
                State::Metric(metric, numbers) => metric.collect(document, numbers, budget)?,
                State::Terms(aggregation, terms, known) => {
                    for key in terms.keys(document) {
                        bucket(known, key, aggregation, budget)?.add(document, budget)?;
                    }
                }
                State::DateHistogram(aggregation, histogram, known) => {
                    for key in histogram.keys(document) {
                        bucket(known, key, aggregation, budget)?.add(document, budget)?;
                    }
                }
                State::Buckets(aggregation, buckets, known) => {
                    for key in buckets.keys(document) {
                        bucket(known, key, aggregation, budget)?.add(document, budget)?;
                    }
                }
                State::Composite(aggregation, composite, known) => composite.collect(aggregation, document, known, budget)?,
                State::TopHits(top, hits) => top.collect(document, hits, budget)?,
            }
        }
        Ok(())
    }

    /// The answer.
    pub(super) fn finish(self, answer: &mut Answer<'_>) -> Result<Map<String, Value>, SearchError> {
        let mut out = Map::new();
        for (name, state) in self.states {
            answer.budget.charge_memory(WRITTEN_BYTES)?;
            let (aggregation, mut value) = match state {
                State::Metric(metric, mut numbers) => (None, metric.finish(&mut numbers)),
                State::TopHits(top, mut hits) => (None, top.finish(&mut hits, answer.budget)),
                State::Terms(aggregation, terms, known) => (Some(aggregation), terms.finish(known, answer)?),
                State::DateHistogram(aggregation, histogram, known) => (Some(aggregation), histogram.finish(aggregation, known, answer)?),
                State::Buckets(aggregation, buckets, known) => (Some(aggregation), buckets.finish(aggregation, known, answer)?),
                State::Composite(aggregation, composite, known) => (Some(aggregation), composite.finish(known, answer)?),
            };
            if let Some(aggregation) = aggregation {
                pipelines::within(&aggregation.inner.pipelines, &mut value, answer)?;
            }
            out.insert(name.to_owned(), value);
        }
        pipelines::beside(self.pipelines, &mut out, answer)?;
        Ok(out)
    }

    /// The number that a member of an aggregation will have, by which buckets around it are ordered; nothing is written for it.
    fn number(&mut self, name: &str, member: &str) -> Option<f64> {
        match &mut self.states.iter_mut().find(|(known, _)| *known == name)?.1 {
            State::Metric(metric, numbers) => metric.finish(numbers).get(member)?.as_f64(),
            State::Buckets(_, buckets, known) if buckets.is_single() && member == "doc_count" => Some(known.values().map(|b| b.count as f64).sum()),
            _ => None,
        }
    }
}
