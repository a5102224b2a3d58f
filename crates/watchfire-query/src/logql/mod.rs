//! LogQL as Loki 3 speaks it: text → `Expr` → `Engine` → lines, or the numbers that PromQL's answers are made of.
//!
//! The rooms: `lexer` and `parser` make the tree of `ast`, `display` and `pretty` write it back as text, `pipeline` carries stages out
//! entry by entry over `fields`, `eval` reads a `watchfire_model::logs::LogSource`. Written from Loki's public documentation of the
//! language; its engine is under another licence and nothing here comes from it. No API face: times and formats of HTTP live elsewhere.

mod ast;
pub mod detect;
mod display;
mod error;
mod eval;
mod fields;
pub(crate) mod ip;
pub(crate) mod json;
mod lexer;
pub(crate) mod logfmt;
mod parser;
mod paths;
mod pattern;
mod pipeline;
mod pretty;
mod regexes;
mod templates;
pub(crate) mod units;

#[cfg(test)]
mod tests;

pub use ast::{
    Binary, Comparison, Conversion, Expr, Extraction, Grouping, LabelChoice, LabelFilter, LabelFormat, LabelReplace, LineFilter, LineOp, LineTerm, LogExpr,
    Metric, RangeAggregation, RangeOp, Stage, Unwrap, VectorAggregation, VectorOp,
};
pub use error::{LogqlError, ParseError};
pub use eval::{Direction, ENTRIES_MAX, Engine, Line, LinePipeline, Lines, LinesRequest, SERIES_MAX, STEPS_MAX, Stream};
pub use fields::Category;
pub use parser::{CONDITIONS_MAX, NAMES_MAX, NESTING_MAX, OPERATORS_MAX, REGEXES_MAX, STAGES_MAX, TEXT_BYTES_MAX, parse, parse_log, parse_selector};
