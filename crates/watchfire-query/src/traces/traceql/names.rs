//! What can be asked for: names of attributes and values of fields. Attributes of spans, events and links stand in no index, so they are
//! those of the newest spans.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use watchfire_model::logs::{LogEntry, LogOrder, LogSelection, LogSource, Nanos};
use watchfire_model::read::{Budget, ReadError};
use watchfire_model::spans::{SpanKind, SpanRow, StatusCode, key};

use super::super::Range;
use super::ast::{Field, Intrinsic, Owner, Query};
use super::field::At;
use super::plan::Plan;
use super::value::Val;
use crate::pace::{ENTRY_WORK, Pace};

/// So many of the newest spans are looked at.
const SPANS_MAX: usize = 20_000;
/// What a name or a value takes beside its text.
const ITEM_BYTES: u64 = 100;

/// Whose names are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are TraceQL's")]
pub enum NameScope {
    Resource,
    Span,
    Event,
    Link,
    Instrumentation,
}
impl NameScope {
    /// All scopes.
    pub const ALL: [NameScope; 5] = [NameScope::Resource, NameScope::Span, NameScope::Event, NameScope::Link, NameScope::Instrumentation];
    /// The name of the scope itself.
    pub fn name(self) -> &'static str {
        match self {
            NameScope::Resource => "resource",
            NameScope::Span => "span",
            NameScope::Event => "event",
            NameScope::Link => "link",
            NameScope::Instrumentation => "instrumentation",
        }
    }
}

/// The names of the attributes of these scopes, ascending.
pub fn names(
    source: &dyn LogSource,
    scopes: &[NameScope],
    filter: Option<&Query>,
    range: Range,
    budget: &Budget,
) -> Result<BTreeMap<NameScope, BTreeSet<String>>, ReadError> {
    let mut found: BTreeMap<NameScope, BTreeSet<String>> = scopes.iter().map(|scope| (*scope, BTreeSet::new())).collect();
    let mut add = |scope: NameScope, name: &str| {
        let Some(names) = found.get_mut(&scope).filter(|names| !names.contains(name)) else { return Ok(()) };
        budget.charge_memory(ITEM_BYTES + name.len() as u64)?;
        names.insert(name.to_owned());
        Ok::<(), ReadError>(())
    };
    if filter.is_none() {
        // The names of resources and scopes are those of streams.
        let (resource, scope) = (key::resource(""), key::scope(""));
        for label in source.log_label_names(&LogSelection::new(Vec::new(), range.start, range.end), budget)? {
            for (scope, name) in [(NameScope::Resource, label.strip_prefix(&resource)), (NameScope::Instrumentation, label.strip_prefix(&scope))] {
                name.map_or(Ok(()), |name| add(scope, name))?;
            }
        }
    }
    let in_line = scopes.iter().any(|scope| matches!(scope, NameScope::Event | NameScope::Link));
    if filter.is_none() && !in_line && !scopes.contains(&NameScope::Span) {
        return Ok(found);
    }
    newest(source, filter, in_line, range, budget, &mut |row| {
        row.attributes().iter().try_for_each(|(name, _)| add(NameScope::Span, name))?;
        if filter.is_some() {
            row.resource().iter().try_for_each(|(name, _)| add(NameScope::Resource, name))?;
            row.scope_attributes().iter().try_for_each(|(name, _)| add(NameScope::Instrumentation, name))?;
        }
        if in_line {
            row.events().iter().flat_map(|event| &event.attributes).try_for_each(|(name, _)| add(NameScope::Event, name))?;
            row.links().iter().flat_map(|link| &link.attributes).try_for_each(|(name, _)| add(NameScope::Link, name))?;
        }
        Ok(true)
    })?;
    Ok(found)
}

/// The values of a field, at most so many, by their texts.
pub fn values(
    source: &dyn LogSource,
    field: &Field,
    filter: Option<&Query>,
    range: Range,
    limit: usize,
    budget: &Budget,
) -> Result<Vec<Val<'static>>, ReadError> {
    let all = |values: Vec<Val<'static>>| Ok(values);
    match field {
        Field::Intrinsic(Intrinsic::Status) => return all([StatusCode::Error, StatusCode::Ok, StatusCode::Unset].map(Val::Status).to_vec()),
        Field::Intrinsic(Intrinsic::Kind) => return all(SpanKind::ALL.map(Val::Kind).to_vec()),
        _ => {}
    }
    let mut found: BTreeMap<String, Val<'static>> = BTreeMap::new();
    let mut add = |value: Val<'_>| {
        let text = value.text();
        if !matches!(value, Val::Nil | Val::Unknown) && !text.is_empty() && !found.contains_key(&*text) && found.len() < limit {
            budget.charge_memory(ITEM_BYTES + text.len() as u64 * 2)?;
            found.insert(text.clone().into_owned(), value.into_owned());
        }
        Ok::<bool, ReadError>(found.len() < limit)
    };
    let of_streams = match field {
        Field::Attribute(Owner::Resource, name) => Some(key::resource(name)),
        Field::Attribute(Owner::Any, name) if name == "service.name" => Some(key::resource(name)),
        Field::Intrinsic(Intrinsic::Name | Intrinsic::RootName) => Some(key::NAME.to_owned()),
        Field::Intrinsic(Intrinsic::RootService) => Some(key::SERVICE.to_owned()),
        Field::Intrinsic(Intrinsic::ScopeName) => Some(key::SCOPE.to_owned()),
        Field::Intrinsic(Intrinsic::ScopeVersion) => Some(key::SCOPE_VERSION.to_owned()),
        _ => None,
    };
    if let (Some(label), None) = (of_streams, filter) {
        let selection = LogSelection::new(Vec::new(), range.start, range.end);
        if let Field::Attribute(..) = field {
            // Streams know the types of what they hold; what was moved from them to their spans is told as text.
            let entry = LogEntry { time: Nanos(0), line: "".into(), metadata: watchfire_model::labels::Labels::empty() };
            for stream in source.log_volume(&selection, budget)? {
                add(At::alone(SpanRow::from_parts(&stream.labels, &entry)).field(field))?;
            }
        }
        for value in source.log_label_values(&label, &selection, budget)? {
            add(Val::Text(value.into()))?;
        }
    } else {
        let in_line = matches!(field, Field::Attribute(Owner::Event | Owner::Link, _) | Field::Intrinsic(Intrinsic::EventName));
        newest(source, filter, in_line, range, budget, &mut |row| match At::alone(row).field(field) {
            Val::Several(all) => all.into_iter().try_fold(true, |_, one| add(one)),
            one => add(one),
        })?;
    }
    Ok(found.into_values().collect())
}

/// Visits the newest spans that may satisfy a query, until one says that it is enough.
fn newest(
    source: &dyn LogSource,
    filter: Option<&Query>,
    lines: bool,
    range: Range,
    budget: &Budget,
    visit: &mut dyn FnMut(SpanRow<'_>) -> Result<bool, ReadError>,
) -> Result<(), ReadError> {
    let plan = filter.map(Plan::of);
    let matchers = plan.as_ref().map_or_else(Vec::new, |plan| plan.matchers.clone());
    let lines = lines || plan.as_ref().is_some_and(|plan| plan.lines);
    let selection = LogSelection { order: LogOrder::Backward, lines, ..LogSelection::new(matchers, range.start, range.end) };
    let pace = Pace::new(budget);
    let mut seen = 0;
    source.select_logs(&selection, budget, &mut |line| {
        let row = SpanRow::new(line);
        pace.check(ENTRY_WORK + row.bytes() as u64)?;
        seen += 1;
        let going = plan.as_ref().is_some_and(|plan| !plan.may_match(row)) || visit(row)?;
        Ok(if going && seen < SPANS_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })
}
