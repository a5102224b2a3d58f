//! Traces that a query finds, newest first: spans that may match are looked for, their traces are read as a whole and judged.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use hashbrown::HashSet;
use watchfire_model::logs::{LogOrder, LogSelection, LogSource, Nanos};
use watchfire_model::read::{Budget, ReadError};
use watchfire_model::spans::{SpanId, SpanRow, StatusCode, TraceId};

use super::super::{Range, Trace, fetch};
use super::ast::{Field, Intrinsic, Query};
use super::error::TraceqlError;
use super::field::At;
use super::forest::Forest;
use super::plan::{Plan, of_trace};
use super::spanset::{Run, Set};
use super::value::Val;
use crate::pace::{ENTRY_WORK, Pace};

/// The spans of a trace that is found begin so much earlier or later, at most, than the one by which it is found.
const AROUND_NS: i64 = 3_600 * 1_000_000_000;
/// So many traces are held at once at first, …
const AT_ONCE: usize = 32;
/// … and at most so many when few of them match: reading them together costs little more than reading one.
const AT_ONCE_MAX: usize = 200;
/// Traces that took more than this are not read in larger lots.
const LOT_BYTES_MAX: u64 = 4 << 20;
/// What it takes to remember an id.
const ID_BYTES: u64 = 48;
/// What a span or a set takes in an answer, about.
const SHOWN_BYTES: u64 = 200;

/// What is wanted of a search.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// When one of the spans that match began.
    pub range: Range,
    /// Traces at most.
    pub limit: usize,
    /// Spans of each set at most.
    pub spans: usize,
}

/// A trace that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its id.
    pub id: TraceId,
    /// The service of its root; empty when the root is not there.
    pub root_service: String,
    /// The name of its root.
    pub root_name: String,
    /// When it began.
    pub start: Nanos,
    /// How long it took, in nanoseconds.
    pub duration: u64,
    /// What matched.
    pub sets: Vec<FoundSet>,
    /// Spans of each service, and how many of them failed.
    pub services: BTreeMap<String, (u64, u64)>,
}
/// Spans of it that match together.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundSet {
    /// Some of them, oldest first.
    pub spans: Vec<FoundSpan>,
    /// How many there are.
    pub matched: usize,
    /// What is known of them together: values of groups and aggregates.
    pub attributes: Vec<(String, Val<'static>)>,
}
/// A span that matches.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundSpan {
    /// Its id.
    pub id: SpanId,
    /// Its name.
    pub name: String,
    /// When it began.
    pub start: Nanos,
    /// How long it took, in nanoseconds.
    pub duration: u64,
    /// The fields that the query names.
    pub attributes: Vec<(String, Val<'static>)>,
}

/// The newest traces that a query finds, newest match first.
pub fn search(source: &dyn LogSource, query: &Query, wanted: &Wanted, budget: &Budget) -> Result<Vec<Found>, TraceqlError> {
    if query.metrics.is_some() {
        return Err(TraceqlError::Invalid("a query for numbers over time finds no traces: ask for it as metrics".to_owned()));
    }
    let (plan, shown) = (Plan::of(query), shown(query));
    let mut found = Vec::new();
    let mut scan = Scan::new(&plan, wanted.range);
    let pace = Pace::new(budget);
    while found.len() < wanted.limit {
        let went_on = scan.each(source, wanted.limit - found.len(), budget, &mut |trace| {
            let forest = Forest::new(trace);
            let sets = Run { forest: &forest, pace: &pace }.all(&query.pipeline)?;
            if !sets.is_empty() && found.len() < wanted.limit {
                let shown = show(&forest, &sets, &shown, wanted.spans);
                let spans: usize = shown.sets.iter().map(|set| set.spans.len() + 1).sum();
                budget.charge_memory(SHOWN_BYTES.saturating_mul((spans + shown.services.len()) as u64))?;
                found.push(shown);
            }
            Ok(())
        })?;
        if !went_on {
            break;
        }
    }
    Ok(found)
}

/// Looks for traces, newest first.
pub(super) struct Scan<'p, 'q> {
    plan: &'p Plan<'q>,
    range: Range,
    known: HashSet<TraceId>,
    /// Grows while what is read is small.
    at_once: usize,
    done: bool,
}

impl<'p, 'q> Scan<'p, 'q> {
    pub(super) fn new(plan: &'p Plan<'q>, range: Range) -> Scan<'p, 'q> {
        Scan { plan, range, known: HashSet::new(), at_once: 0, done: false }
    }

    /// Visits the next traces: as many as are wanted, and more of them each time that so many were not enough. Says whether there were any.
    pub(super) fn each(
        &mut self,
        source: &dyn LogSource,
        wanted: usize,
        budget: &Budget,
        visit: &mut dyn FnMut(&Trace) -> Result<(), ReadError>,
    ) -> Result<bool, ReadError> {
        self.at_once = self.at_once.max(wanted.clamp(1, AT_ONCE));
        let (ids, around) = self.next(source, self.at_once, budget)?;
        if ids.is_empty() {
            return Ok(false);
        }
        let traces = fetch::traces(source, &ids, around, budget)?;
        let held = traces.iter().flat_map(|trace| &trace.spans).map(super::super::Span::cost).sum();
        self.at_once = if held > LOT_BYTES_MAX { AT_ONCE } else { (self.at_once * 2).min(AT_ONCE_MAX) };
        let visited = traces.iter().try_for_each(|trace| {
            budget.check()?;
            visit(trace)
        });
        budget.release_memory(held);
        visited.map(|()| true)
    }

    /// Ids that have not been seen yet, and when their spans are.
    fn next(&mut self, source: &dyn LogSource, most: usize, budget: &Budget) -> Result<(Vec<TraceId>, Range), ReadError> {
        let mut ids = Vec::new();
        let (mut first, mut last) = (Nanos::MAX, Nanos::MIN);
        if !self.done && self.range.start < self.range.end {
            let base = LogSelection::new(self.plan.matchers.clone(), self.range.start, self.range.end);
            let selection = LogSelection { order: LogOrder::Backward, lines: self.plan.lines, ..base };
            let (plan, known, pace) = (self.plan, &mut self.known, Pace::new(budget));
            let mut full = false;
            source.select_logs(&selection, budget, &mut |line| {
                let row = SpanRow::new(line);
                pace.check(ENTRY_WORK + row.bytes() as u64)?;
                let id = row.trace();
                if known.contains(&id) || !plan.may_match(row) {
                    return Ok(ControlFlow::Continue(()));
                }
                budget.charge_memory(ID_BYTES)?;
                known.insert(id);
                ids.push(id);
                (first, last) = (first.min(row.start()), last.max(row.start()));
                full = ids.len() >= most;
                Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
            // It goes on where it ended; what began at the same moment is seen again and known.
            self.range.end = Nanos(first.0.saturating_add(1)).min(self.range.end);
            self.done = !full;
        }
        let around = Range { start: Nanos(first.0.saturating_sub(AROUND_NS)), end: Nanos(last.0.saturating_add(AROUND_NS)) };
        Ok((ids, around))
    }
}

/// The fields that are told of each span that matches: those that the query names, but for what stands beside them anyway.
fn shown(query: &Query) -> Vec<&Field> {
    let mut all: Vec<&Field> = Vec::new();
    query.pipeline.fields(&mut |field| {
        let beside = matches!(field, Field::Intrinsic(Intrinsic::Duration | Intrinsic::Name | Intrinsic::SpanId | Intrinsic::TraceId));
        if !beside && !of_trace(field) && !all.contains(&field) {
            all.push(field);
        }
    });
    all
}

fn show(forest: &Forest<'_>, sets: &[Set], fields: &[&Field], most: usize) -> Found {
    let span = |at: &usize| {
        let at = At::of(forest, *at)?;
        let named = |field: &&Field| match at.field(field).single() {
            Val::Nil | Val::Unknown => None,
            value => Some((
                match field {
                    Field::Attribute(_, name) => name.clone(),
                    Field::Intrinsic(intrinsic) => intrinsic.name().to_owned(),
                },
                value.into_owned(),
            )),
        };
        let attributes = fields.iter().filter_map(named).collect();
        Some(FoundSpan { id: at.row.span(), name: at.row.name().to_owned(), start: at.row.start(), duration: at.row.duration(), attributes })
    };
    let set =
        |set: &Set| FoundSet { spans: set.spans.iter().take(most).filter_map(span).collect(), matched: set.spans.len(), attributes: set.attributes.clone() };
    let mut services: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for row in &forest.rows {
        if !services.contains_key(row.service()) {
            services.insert(row.service().to_owned(), (0, 0));
        }
        if let Some((spans, failed)) = services.get_mut(row.service()) {
            *spans += 1;
            *failed += u64::from(row.status() == StatusCode::Error);
        }
    }
    Found {
        id: forest.trace.id,
        root_service: forest.root_service.to_owned(),
        root_name: forest.root_name.to_owned(),
        start: forest.trace.start(),
        duration: forest.duration,
        sets: sets.iter().map(set).collect(),
        services,
    }
}
