//! TraceQL as Tempo speaks it: text → `Query` → traces with the spans that matched, or numbers over time.
//!
//! The rooms: `lexer` and `parser` make the tree of `ast`, `display` writes it back as text, `field` gives conditions on a span their
//! values, `forest` knows who is whose parent, `spanset` carries a pipeline out on one trace, `plan` says what a source need not give,
//! `search` and `metrics` read it, `names` tells what can be asked for. Written from the public documentation of the language; Tempo's
//! engine is under another licence and nothing here comes from it. No API face: formats of HTTP live elsewhere.

mod ast;
mod display;
mod error;
mod field;
mod forest;
mod lexer;
mod metrics;
mod names;
mod parser;
mod plan;
mod search;
mod sketch;
mod spanset;
#[cfg(test)]
mod tests;
mod value;

pub use ast::{
    Aggregate, Arithmetic, Comparison, Expr, Field, Intrinsic, Measure, Metrics, Owner, Pipeline, Query, Rank, Relation, Scalar, ScalarFilter, Side, Spans,
    Stage, Then,
};
pub use error::{ParseError, TraceqlError};
pub use metrics::{SERIES_MAX, STEPS_MAX, Series, Steps, measure};
pub use names::{NameScope, names, values};
pub use parser::{NESTING_MAX, OPERATORS_MAX, REGEXES_MAX, TEXT_BYTES_MAX, field_of, parse};
pub use search::{Found, FoundSet, FoundSpan, Wanted, search};
pub use value::Val;
