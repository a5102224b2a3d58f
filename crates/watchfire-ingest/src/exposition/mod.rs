//! What expositions share: the entries a parser of text yields, exemplars, classic histograms that become native ones, the
//! choice of a format, and rendering families. The grammars themselves are in `prometheus_text` and `openmetrics`, the
//! protobuf format in `prometheus_proto`.

mod classic;
mod entry;
pub(crate) mod exemplar;
mod float;
mod format;
mod render;
pub(crate) mod scan;

pub use classic::{Classic, ClassicError};
pub use entry::{Entry, ParseError, Parser, RawSample, SampleNames, TextErrorKind};
pub use exemplar::{FoundExemplar, RawExemplar};
pub use float::{format_bound, format_value};
pub use format::Format;
pub use render::{render, render_into};

#[cfg(test)]
mod tests;
