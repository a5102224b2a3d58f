//! Traces by their ids.

use std::ops::ControlFlow;

use hashbrown::HashMap;
use watchfire_model::logs::{LogSelection, LogSource};
use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::read::{Budget, ReadError};
use watchfire_model::spans::{SpanRow, TraceId, key};

use super::{Range, Span, Trace};

/// So many traces are looked for at once: their ids have to fit into one matcher.
const AT_ONCE: usize = 200;

/// A trace by its id; `None` when nothing of it is there.
pub fn trace(source: &dyn LogSource, id: TraceId, range: Range, budget: &Budget) -> Result<Option<Trace>, ReadError> {
    Ok(traces(source, &[id], range, budget)?.pop())
}

/// Traces by their ids, in the same order; those of which nothing is there are left out. Of a range everything that began in it is read.
pub fn traces(source: &dyn LogSource, ids: &[TraceId], range: Range, budget: &Budget) -> Result<Vec<Trace>, ReadError> {
    let mut found: HashMap<TraceId, Vec<Span>> = HashMap::new();
    for ids in ids.chunks(AT_ONCE) {
        let alternatives: Vec<String> = ids.iter().map(TraceId::to_string).collect();
        let matcher = match alternatives.as_slice() {
            [one] => Matcher::equal(key::TRACE, one),
            several => Matcher::new(key::TRACE, MatchOp::Regex, &several.join("|")).map_err(|error| ReadError::Storage(error.to_string()))?,
        };
        let selection = LogSelection::new(vec![matcher], range.start, range.end);
        source.select_logs(&selection, budget, &mut |line| {
            let id = SpanRow::new(line).trace();
            let span = Span::of(line);
            budget.charge_memory(span.cost())?;
            found.entry(id).or_default().push(span);
            Ok(ControlFlow::Continue(()))
        })?;
    }
    let made = |id: &TraceId| {
        let mut spans = found.remove(id)?;
        sort(&mut spans);
        Some(Trace { id: *id, spans })
    };
    Ok(ids.iter().filter_map(made).collect())
}

/// Oldest first; of those of one moment the one that took longer, which is likelier to be the parent. What was kept twice is there once.
fn sort(spans: &mut Vec<Span>) {
    spans.sort_by_cached_key(|span| {
        let row = span.row();
        (row.start(), std::cmp::Reverse(row.duration()), row.span())
    });
    spans.dedup();
}
