//! Searches carried out: entries of the selected streams as documents, the best hits kept, aggregations fed. Scores are all 1, because
//! logs are asked for by what they are and when they came, so hits without an order come as they were written.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use serde_json::{Map, Value, json};
use watchfire_model::logs::{LogOrder, LogSelection, LogSource, Nanos};
use watchfire_model::read::{Budget, ReadError};

use super::aggregations::Answer;
use super::analysis::Glob;
use super::document::{Document, Scalar, TIME};
use super::error::SearchError;
use super::filter::Filter;
use super::request::{FieldChoice, Request, SourceChoice, TimeForm};
use super::sort::Key;
use crate::pace::{ENTRY_WORK, Pace};

/// One document of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Its id.
    pub id: String,
    /// The index that it was written to, if it came with one.
    pub index: Option<String>,
    /// Its time.
    pub time: Nanos,
    /// What of it was asked for; nothing where nothing was.
    pub source: Option<Map<String, Value>>,
    /// Values of fields that were asked for by name, each a list.
    pub fields: Option<Map<String, Value>>,
    /// The values by which it was ordered.
    pub sort: Option<Vec<Value>>,
}
impl Hit {
    /// The hit as JSON; `index` is what the place of documents without one is called.
    pub fn json(&self, index: &str) -> Value {
        let mut out = Map::new();
        out.insert("_index".into(), self.index.as_deref().unwrap_or(index).into());
        out.insert("_id".into(), self.id.clone().into());
        out.insert("_score".into(), if self.sort.is_some() { Value::Null } else { json!(1.0) });
        if let Some(source) = &self.source {
            out.insert("_source".into(), Value::Object(source.clone()));
        }
        if let Some(fields) = &self.fields {
            out.insert("fields".into(), Value::Object(fields.clone()));
        }
        if let Some(sort) = &self.sort {
            out.insert("sort".into(), Value::Array(sort.clone()));
        }
        Value::Object(out)
    }
}

/// The answer to a search.
#[derive(Clone, Debug, Default)]
pub struct Searched {
    /// How many documents satisfy the query, if that was to be told.
    pub total: Option<u64>,
    /// Those that were asked for.
    pub hits: Vec<Hit>,
    /// The results of the aggregations by their names, as JSON.
    pub aggregations: Option<Map<String, Value>>,
}
impl Searched {
    /// `hits` and `aggregations` of an answer, as JSON.
    pub fn json(&self, index: &str) -> Map<String, Value> {
        let ordered = self.hits.iter().any(|hit| hit.sort.is_some());
        let max_score = if self.hits.is_empty() || ordered { Value::Null } else { json!(1.0) };
        let hits: Vec<Value> = self.hits.iter().map(|hit| hit.json(index)).collect();
        let mut out = Map::new();
        let mut found = json!({ "max_score": max_score, "hits": hits });
        if let Some(total) = self.total {
            found["total"] = json!({ "value": total, "relation": "eq" });
        }
        out.insert("hits".into(), found);
        if let Some(aggregations) = &self.aggregations {
            out.insert("aggregations".into(), Value::Object(aggregations.clone()));
        }
        out
    }
}

struct Kept {
    keys: Vec<Key>,
    place: u64,
    hit: Hit,
    memory: u64,
}

/// Visits the documents of a selection that satisfy a condition. Times outside of what the condition allows are not read.
pub fn matching(
    source: &dyn LogSource,
    selection: &LogSelection,
    filter: &Filter,
    budget: &Budget,
    visit: &mut dyn FnMut(&Document<'_>) -> Result<ControlFlow<()>, SearchError>,
) -> Result<(), SearchError> {
    let (from, to) = filter.times();
    let mut selection = selection.clone();
    selection.start = selection.start.max(Nanos(from));
    selection.end = selection.end.min(Nanos(to));
    if selection.start >= selection.end {
        return Ok(());
    }
    let mut failed = None;
    let pace = Pace::new(budget);
    source.select_logs(&selection, budget, &mut |entry| {
        pace.check(ENTRY_WORK)?;
        let document = Document::paced(entry, &pace);
        let holds = filter.holds(&document);
        // What was found out too late is not true.
        pace.check(0)?;
        if !holds {
            return Ok(ControlFlow::Continue(()));
        }
        match visit(&document) {
            Ok(flow) => Ok(flow),
            Err(SearchError::Read(error)) => Err(error),
            Err(error) => {
                failed = Some(error);
                Ok(ControlFlow::Break(()))
            }
        }
    })?;
    pace.check(0)?;
    failed.map_or(Ok(()), Err)
}

/// How many documents of a selection satisfy a condition.
pub fn count(source: &dyn LogSource, selection: &LogSelection, filter: &Filter, budget: &Budget) -> Result<u64, SearchError> {
    let mut total = 0;
    let selection = &LogSelection { lines: filter.needs_line(), ..selection.clone() };
    matching(source, selection, filter, budget, &mut |_| {
        total += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(total)
}

/// Carries a search out over a selection, whose order does not matter.
pub fn search(source: &dyn LogSource, selection: &LogSelection, request: &Request, budget: &Budget) -> Result<Searched, SearchError> {
    request.check()?;
    let order = match request.sort.by_time() {
        Some(true) => LogOrder::Backward,
        _ => LogOrder::Forward,
    };
    let filters = request.post_filter.iter().chain([&request.filter]);
    let lines = request.size > 0 || filters.into_iter().any(Filter::needs_line) || request.aggregations.need_lines();
    let ends = !request.counted && request.aggregations.is_empty();
    let (from, to) = if ends { request.sort.times() } else { (i64::MIN, i64::MAX) };
    let (start, end) = (selection.start.max(Nanos(from)), selection.end.min(Nanos(to)));
    let selection = LogSelection { order, lines, start, end, ..selection.clone() };
    let mut collector = request.aggregations.collector();
    let mut page = Page { request, kept: Vec::new(), last: None, charged: 0, budget };
    let mut total = 0;
    matching(source, &selection, &request.filter, budget, &mut |document| {
        collector.collect(document, budget)?;
        if request.post_filter.as_ref().is_none_or(|filter| filter.holds(document)) {
            let past = page.offer(document, total)?;
            total += 1;
            if past && ends {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let hits = page.finish();
    let aggregations = if request.aggregations.is_empty() { None } else { Some(collector.finish(&mut Answer::new(budget))?) };
    Ok(Searched { total: request.counted.then_some(total), hits, aggregations })
}

/// The hits that may be of the page.
struct Page<'a> {
    request: &'a Request,
    kept: Vec<Kept>,
    /// The keys of the last hit of the page, as far as it is known.
    last: Option<Vec<Key>>,
    charged: u64,
    budget: &'a Budget,
}

impl Page<'_> {
    fn wanted(&self) -> usize {
        self.request.from + self.request.size
    }

    /// Keeps a document if it may be of the page; tells whether no later one can be.
    fn offer(&mut self, document: &Document<'_>, place: u64) -> Result<bool, ReadError> {
        if self.request.size == 0 {
            return Ok(false);
        }
        let sort = &self.request.sort;
        let keys = sort.keys(document, place);
        if !sort.is_behind(&keys) {
            return Ok(false);
        }
        // Once the page was full, most documents come behind its last one; equal ones that are written later do, too.
        if let Some(last) = self.last.as_ref().filter(|last| sort.compare(&keys, last).is_ge()) {
            return Ok(sort.is_past(&keys, last));
        }
        let source = chosen(document, &self.request.source);
        let shown = sort.is_named().then(|| keys.iter().map(Key::json).collect());
        let fields = (!self.request.fields.is_empty()).then(|| named(document, &self.request.fields));
        let copies = 2 + self.request.fields.len();
        let memory = (document.entry.line.len() * copies + 256) as u64;
        self.charged += memory;
        self.budget.charge_memory(memory)?;
        let hit = Hit { id: document.id(), index: document.index().map(str::to_owned), time: document.entry.time, source, fields, sort: shown };
        self.kept.push(Kept { keys, place, hit, memory });
        if self.kept.len() > 2 * self.wanted() {
            self.prune();
        }
        Ok(false)
    }

    /// Leaves only what can be of the page, in order.
    fn prune(&mut self) {
        let sort = &self.request.sort;
        self.kept.sort_by(|a, b| sort.compare(&a.keys, &b.keys).then(a.place.cmp(&b.place)));
        let gone: u64 = self.kept.iter().skip(self.wanted()).map(|kept| kept.memory).sum();
        self.kept.truncate(self.wanted());
        if self.kept.len() == self.wanted() {
            self.last = self.kept.last().map(|kept| kept.keys.clone());
        }
        self.charged -= gone;
        self.budget.release_memory(gone);
    }

    fn finish(mut self) -> Vec<Hit> {
        self.prune();
        let kept = std::mem::take(&mut self.kept);
        kept.into_iter().skip(self.request.from).map(|kept| kept.hit).collect()
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        self.budget.release_memory(self.charged);
    }
}

/// What of a document was asked for.
fn chosen(document: &Document<'_>, choice: &SourceChoice) -> Option<Map<String, Value>> {
    match choice {
        SourceChoice::None => None,
        SourceChoice::All => Some(document.source()),
        SourceChoice::Fields { includes, excludes } => {
            let globs = |names: &[String]| names.iter().map(|name| Glob::new(name)).collect::<Vec<_>>();
            let (includes, excludes) = (globs(includes), globs(excludes));
            let mut out = document.source();
            narrow(&mut out, "", &includes, &excludes);
            Some(out)
        }
    }
}

/// The values of fields, each a list under the name that was asked for, or that a pattern fits.
fn named(document: &Document<'_>, choices: &[FieldChoice]) -> Map<String, Value> {
    let mut out: Map<String, Value> = Map::new();
    for choice in choices {
        for name in meant(document, &choice.name) {
            let mut all = Vec::new();
            document.each_value(&name, &mut |value| all.push(written(value, choice.form)));
            // A field that several choices mean is as the last of them says.
            if !all.is_empty() {
                out.insert(name, Value::Array(all));
            }
        }
    }
    out
}

/// The names of a document's fields that a choice means; each of them once, although a label and the line may both have it.
fn meant(document: &Document<'_>, choice: &str) -> BTreeSet<String> {
    if !choice.contains('*') {
        return BTreeSet::from([choice.to_owned()]);
    }
    let glob = Glob::new(choice);
    let mut names: BTreeSet<String> = glob.fits(TIME, false).then(|| TIME.to_owned()).into_iter().collect();
    document.each_field(&mut |name, _| {
        if document.spend(name.len() + choice.len()) && !name.starts_with('_') && glob.fits(name, false) {
            names.insert(name.to_owned());
        }
    });
    names
}

/// A value as it stands among fields.
fn written(value: &Scalar<'_>, form: TimeForm) -> Value {
    match (value, form) {
        (Scalar::Time(time), TimeForm::Millis) => json!(time.millis().to_string()),
        (Scalar::Time(time), TimeForm::Seconds) => json!(time.millis().div_euclid(1_000).to_string()),
        (Scalar::Bool(truth), _) => json!(truth),
        (Scalar::Number(_, text), _) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        (value, _) => json!(value.text()),
    }
}

/// Leaves the members whose dotted names are wanted. An object is wanted with all that is in it.
fn narrow(object: &mut Map<String, Value>, prefix: &str, includes: &[Glob], excludes: &[Glob]) {
    object.retain(|name, value| {
        let full = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if excludes.iter().any(|glob| glob.fits(&full, false)) {
            return false;
        }
        let wanted = includes.is_empty() || includes.iter().any(|glob| glob.fits(&full, false));
        match value {
            Value::Object(inner) => {
                narrow(inner, &full, if wanted { &[] } else { includes }, excludes);
                !inner.is_empty() || wanted
            }
            _ => wanted,
        }
    });
}
