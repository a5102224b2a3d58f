//! Searches carried out: entries of the selected streams as documents, the best hits kept, aggregations fed. Scores are all 1, because
//! logs are asked for by what they are and when they came, so hits without an order come as they were written.

use std::ops::ControlFlow;

use serde_json::{Map, Value};
use watchfire_model::logs::{LogOrder, LogSelection, LogSource, Nanos};
use watchfire_model::read::Budget;

use super::aggregations::Answer;
use super::document::Document;
use super::error::SearchError;
use super::filter::Filter;
use super::hits::{self, Hit, Page, Wanted};
use super::request::Request;
use crate::pace::{ENTRY_WORK, Pace};

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
        let mut out = Map::new();
        out.insert("hits".into(), hits::json(&self.hits, self.total, index));
        if let Some(aggregations) = &self.aggregations {
            out.insert("aggregations".into(), Value::Object(aggregations.clone()));
        }
        out
    }
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
        // Documents of buckets that are equal in their own order come as they were written, whatever the order of the page.
        Some(true) if !request.aggregations.keep_hits() => LogOrder::Backward,
        _ => LogOrder::Forward,
    };
    let filters = request.post_filter.iter().chain([&request.filter]);
    let lines = request.size > 0 || filters.into_iter().any(Filter::needs_line) || request.aggregations.need_lines();
    let ends = !request.counted && request.aggregations.is_empty();
    let (from, to) = if ends { request.sort.times() } else { (i64::MIN, i64::MAX) };
    let (start, end) = (selection.start.max(Nanos(from)), selection.end.min(Nanos(to)));
    let selection = LogSelection { order, lines, start, end, ..selection.clone() };
    let mut collector = request.aggregations.collector();
    let wanted = Wanted { from: request.from, size: request.size, sort: &request.sort, source: &request.source, fields: &request.fields };
    let mut page = Page::default();
    let mut total = 0;
    let read = matching(source, &selection, &request.filter, budget, &mut |document| {
        collector.collect(document, budget)?;
        if request.post_filter.as_ref().is_none_or(|filter| filter.holds(document)) {
            let past = page.offer(wanted, document, total, budget)?;
            total += 1;
            if past && ends {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    });
    let hits = page.finish(wanted, budget);
    page.release(budget);
    read?;
    let aggregations = if request.aggregations.is_empty() { None } else { Some(collector.finish(&mut Answer::new(budget))?) };
    Ok(Searched { total: request.counted.then_some(total), hits, aggregations })
}
