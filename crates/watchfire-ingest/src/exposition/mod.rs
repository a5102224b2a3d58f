//! What the two text expositions share: the entries a parser yields, the choice of a format, and rendering families.
//! The grammars themselves are in `prometheus_text` and `openmetrics`.

mod entry;
mod float;
mod format;
mod render;
pub(crate) mod scan;

pub use entry::{Entry, ParseError, Parser, RawSample, SampleNames, TextErrorKind};
pub use float::{format_bound, format_value};
pub use format::Format;
pub use render::{render, render_into};

#[cfg(test)]
mod tests;
