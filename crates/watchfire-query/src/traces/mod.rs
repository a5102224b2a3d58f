//! Traces: found by id, by what one of their spans is like, and as who calls whom. A source gives spans as entries of streams (see
//! `watchfire_model::spans`); here they become traces again. It knows no protocol: what Jaeger or Tempo call things is theirs.

mod dependencies;
mod fetch;
mod search;
mod tags;
#[cfg(test)]
mod tests;
pub mod traceql;

use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, LogLine, Nanos};
use watchfire_model::spans::{SpanId, SpanRow, TraceId};

pub use dependencies::{Dependency, dependencies};
pub use fetch::{trace, traces};
pub use search::{Operation, Search, find, operations, services};
pub use tags::{event_fields, process_tags, span_tags};

/// What a span in memory takes beside its bytes.
const SPAN_BYTES: u64 = 160;

/// A span that is held in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    labels: Labels,
    entry: LogEntry,
}

impl Span {
    /// Keeps what is visited.
    fn of(line: LogLine<'_>) -> Span {
        Span { labels: line.labels.clone(), entry: LogEntry { time: line.time, line: line.line.into(), metadata: line.metadata.clone() } }
    }
    /// Looks at it.
    pub fn row(&self) -> SpanRow<'_> {
        SpanRow::from_parts(&self.labels, &self.entry)
    }
    /// What it costs to hold it.
    fn cost(&self) -> u64 {
        self.row().bytes() as u64 + SPAN_BYTES
    }
}

/// A trace, or as much of it as was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Its id.
    pub id: TraceId,
    /// Its spans, oldest first.
    pub spans: Vec<Span>,
}

impl Trace {
    /// When it began.
    pub fn start(&self) -> Nanos {
        self.spans.first().map_or(Nanos(0), |span| span.row().start())
    }
    /// When its last span ended.
    pub fn end(&self) -> Nanos {
        self.spans.iter().map(|span| span.row().end()).max().unwrap_or(Nanos(0))
    }
    /// How long it took, in nanoseconds.
    pub fn duration(&self) -> u64 {
        u64::try_from(self.end().0.saturating_sub(self.start().0)).unwrap_or(0)
    }
    /// The span that the others belong to: the oldest without a parent, else the oldest whose parent is not there, else the oldest.
    pub fn root(&self) -> Option<&Span> {
        if let Some(root) = self.spans.iter().find(|span| span.row().parent().is_none()) {
            return Some(root);
        }
        // Rare, and traces may be large: each id is looked at twice, however many there are.
        let here: hashbrown::HashSet<SpanId> = self.spans.iter().map(|span| span.row().span()).collect();
        let is_orphan = |span: &&Span| span.row().parent().is_none_or(|parent| !here.contains(&parent));
        self.spans.iter().find(is_orphan).or(self.spans.first())
    }
}

/// A range of time: `start <= t < end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first moment.
    pub start: Nanos,
    /// The first moment that is not in it.
    pub end: Nanos,
}

impl Range {
    /// All times.
    pub const ALL: Range = Range { start: Nanos::MIN, end: Nanos::MAX };
}
