//! PromQL as Prometheus 3 speaks it: text → `Expr` → `Engine` → `Answer`.
//!
//! The rooms: `lexer` and `parser` make the tree of `ast`, `check` finds type errors, `display` writes
//! the tree back as text, `functions` is the registry (a function is one entry and its code), `eval`
//! computes whole columns of steps over `watchfire_model::read::Source`, `engine` is the front door, `notation` reads series as tests write them.
//! It is not an API face: times, formats and limits of HTTP requests live elsewhere.

mod annotations;
mod ast;
mod check;
mod display;
mod engine;
mod error;
mod eval;
mod functions;
mod lexer;
pub mod notation;
mod numbers;
mod parser;
mod pretty;

#[cfg(test)]
mod histogram_tests;
#[cfg(test)]
mod kept_tests;
#[cfg(test)]
mod tests;

/// What LogQL computes in the same way.
pub(crate) mod numeric {
    pub(crate) use super::eval::{Mean, Variance, counter_rate, quantile};
}
pub use ast::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Call, Cardinality, Duration, Expr, Extension, Matching, MatrixSelector, Node, NodeKind, Subquery, Unary,
    ValueType, VectorSelector,
};
pub use engine::{Answer, Engine, POINTS_PER_SERIES_MAX, POINTS_PER_SERIES_MESSAGE, Point, Query, Sample, Series, Value};
pub use error::{ParseError, QueryError};
pub use functions::{Function, function, functions};
pub use numbers::format_value;
pub use parser::{NESTING_MAX, TEXT_BYTES_MAX, parse, parse_selector};
