//! Spans by OpenTelemetry: opened by [`trace_span`] and its siblings or by any span of the crate `tracing`, sampled by the first
//! process for all, carried to others in the headers of W3C, and exported by OTLP from a thread of its own. It keeps no span that has
//! no room; what is lost is counted.

mod context;
mod export;
mod settings;
mod span;
#[cfg(test)]
pub(crate) mod tests;

pub use context::{extract, inject, inject_with};
pub use settings::{Protocol, SettingsError, TraceSettings};
pub use span::{TraceSpan, get_trace_id, trace_function, trace_span};

pub(crate) use export::Exporting;
pub(crate) use export::tracer_provider;
