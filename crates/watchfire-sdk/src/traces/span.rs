//! Spans opened by hand.

use std::fmt::Display;
use std::future::Future;

use opentelemetry::trace::{Status, TraceContextExt};
use opentelemetry::{Key, KeyValue, Value};
use tracing::Instrument;
use tracing::instrument::Instrumented;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// A span of the crate `tracing` with a name and attributes that need not be known when the program is compiled. It ends when it is
/// dropped; what happens within [`TraceSpan::in_scope`] or [`TraceSpan::follow`] is below it.
#[derive(Clone, Debug)]
pub struct TraceSpan(tracing::Span);

/// Opens a span, below the current one if there is one.
///
/// ```
/// # use watchfire_sdk::trace_span;
/// # async fn detect() -> Vec<u8> { vec![] }
/// # async fn example() {
/// let span = trace_span("detect_objects").with("camera_id", "front_door");
/// let found = span.follow(detect()).await;
/// span.set_attribute("detection_count", found.len() as i64);
/// # }
/// ```
pub fn trace_span(name: &str) -> TraceSpan {
    TraceSpan(tracing::info_span!("span", otel.name = name, otel.kind = tracing::field::Empty))
}

impl TraceSpan {
    /// The same with an attribute.
    pub fn with(self, key: impl Into<Key>, value: impl Into<Value>) -> TraceSpan {
        self.0.set_attribute(key, value);
        self
    }
    /// The same as a call of somebody else: a database, a cache, a service.
    pub fn client(self) -> TraceSpan {
        self.0.record("otel.kind", "client");
        self
    }
    /// Adds an attribute.
    pub fn set_attribute(&self, key: impl Into<Key>, value: impl Into<Value>) {
        self.0.set_attribute(key, value);
    }
    /// Marks the span as failed.
    pub fn fail(&self, error: impl Display) {
        let error = error.to_string();
        self.0.add_event("exception", vec![KeyValue::new("exception.message", error.clone())]);
        self.0.set_status(Status::error(error));
    }
    /// Does something within the span.
    pub fn in_scope<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.in_scope(work)
    }
    /// A future that runs within the span, wherever it is polled.
    pub fn follow<F: Future>(&self, future: F) -> Instrumented<F> {
        future.instrument(self.0.clone())
    }
    /// Does something that may fail within the span, and marks it as failed when it does.
    pub fn attempt<T, E: Display>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.in_scope(work).inspect_err(|error| self.fail(error))
    }
    /// The span as `tracing` knows it.
    pub fn inner(&self) -> &tracing::Span {
        &self.0
    }
}

/// A function that does the same as an asynchronous one, each call in a span of its own. (A function that is written anew may as well
/// have the attribute `#[tracing::instrument]`.)
///
/// ```
/// # use watchfire_sdk::trace_function;
/// # async fn example() {
/// let analyze_batch = trace_function("analyze_batch", |batch: String| async move { batch.len() });
/// analyze_batch("b-1".to_owned()).await;
/// # }
/// ```
pub fn trace_function<A, F: Future>(name: &'static str, function: impl Fn(A) -> F) -> impl Fn(A) -> Instrumented<F> {
    move |argument| {
        let span = trace_span(name);
        // What the function does before its first await belongs to the call, too.
        let future = span.in_scope(|| function(argument));
        span.follow(future)
    }
}

/// The id of the current trace, 32 hexadecimal digits; `None` when there is none or tracing is off.
pub fn get_trace_id() -> Option<String> {
    let context = tracing::Span::current().context();
    let span = context.span();
    let found = span.span_context();
    found.is_valid().then(|| found.trace_id().to_string())
}
