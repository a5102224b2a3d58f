//! Traces by what one of their spans is like; and what there is to look for.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use hashbrown::HashSet;
use watchfire_model::logs::{LogOrder, LogSelection, LogSource, Nanos};
use watchfire_model::matcher::Matcher;
use watchfire_model::read::{Budget, ReadError};
use watchfire_model::spans::{SpanKind, SpanRow, TraceId, key};

use super::tags::has_tag;
use super::{Range, Trace, fetch};

/// The spans of a trace that is found begin so much earlier or later, at most, than the one by which it is found. Whoever wants the rest
/// asks for the trace by its id.
const AROUND_NS: i64 = 3_600 * 1_000_000_000;

/// What a span must be like for its trace to be found.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// The service that it comes from.
    pub service: Option<String>,
    /// Its name.
    pub operation: Option<String>,
    /// Tags that it has all of: attributes of span or resource, fields of events, and those that Jaeger derives.
    pub tags: Vec<(String, String)>,
    /// The shortest duration, in nanoseconds.
    pub min: Option<u64>,
    /// The longest duration, in nanoseconds.
    pub max: Option<u64>,
    /// How many traces are wanted.
    pub limit: usize,
}

impl Search {
    fn matchers(&self) -> Vec<Matcher> {
        let wanted = [(key::SERVICE, &self.service), (key::NAME, &self.operation)];
        wanted.into_iter().filter_map(|(name, value)| Some(Matcher::equal(name, value.as_deref()?))).collect()
    }
    fn matches(&self, row: &SpanRow<'_>) -> bool {
        let duration = row.duration();
        self.min.is_none_or(|min| duration >= min)
            && self.max.is_none_or(|max| duration <= max)
            && self.tags.iter().all(|(name, value)| has_tag(row, name, value))
    }
}

/// The newest traces of which a span that began in the range matches, newest match first.
pub fn find(source: &dyn LogSource, search: &Search, range: Range, budget: &Budget) -> Result<Vec<Trace>, ReadError> {
    if search.limit == 0 {
        return Ok(Vec::new());
    }
    let mut ids: Vec<TraceId> = Vec::new();
    let mut known: HashSet<TraceId> = HashSet::new();
    let (mut first, mut last) = (Nanos::MAX, Nanos::MIN);
    let selection = LogSelection { order: LogOrder::Backward, ..LogSelection::new(search.matchers(), range.start, range.end) };
    source.select_logs(&selection, budget, &mut |line| {
        let row = SpanRow::new(line);
        let id = row.trace();
        if known.contains(&id) || !search.matches(&row) {
            return Ok(ControlFlow::Continue(()));
        }
        known.insert(id);
        ids.push(id);
        (first, last) = (first.min(row.start()), last.max(row.start()));
        Ok(if ids.len() < search.limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    let around = Range { start: Nanos(first.0.saturating_sub(AROUND_NS)), end: Nanos(last.0.saturating_add(AROUND_NS)) };
    fetch::traces(source, &ids, around, budget)
}

/// The services of which spans are there, ascending.
pub fn services(source: &dyn LogSource, range: Range, budget: &Budget) -> Result<Vec<String>, ReadError> {
    source.log_label_values(key::SERVICE, &LogSelection::new(Vec::new(), range.start, range.end), budget)
}

/// What a service does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operation {
    /// The name of its spans.
    pub name: String,
    /// Their kind, as it is called; empty where it is not said.
    pub kind: &'static str,
}

/// The operations of a service, ascending; of one kind only, if it is given.
pub fn operations(source: &dyn LogSource, service: &str, kind: Option<SpanKind>, range: Range, budget: &Budget) -> Result<Vec<Operation>, ReadError> {
    let mut matchers = vec![Matcher::equal(key::SERVICE, service)];
    if let Some(kind) = kind {
        matchers.push(Matcher::equal(key::KIND, kind.name()));
    }
    let selection = LogSelection::new(matchers, range.start, range.end);
    let mut found = BTreeSet::new();
    let mut unnamed = false;
    for stream in source.log_volume(&selection, budget)? {
        match stream.labels.get(key::NAME) {
            Some(name) => {
                let kind = stream.labels.get(key::KIND).and_then(SpanKind::from_name).map_or("", SpanKind::name);
                found.insert(Operation { name: name.to_owned(), kind });
            }
            None => unnamed = true,
        }
    }
    if unnamed {
        // A service with very many names has them in its spans.
        let names = source.log_label_values(key::NAME, &selection, budget)?;
        let known: BTreeSet<&str> = found.iter().map(|operation| operation.name.as_str()).collect();
        let more: Vec<String> = names.into_iter().filter(|name| !known.contains(name.as_str())).collect();
        found.extend(more.into_iter().map(|name| Operation { name, kind: kind.map_or("", SpanKind::name) }));
    }
    Ok(found.into_iter().collect())
}
