//! Turns events into lines, with the ids of the spans around them. What a line looks like is said elsewhere.

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use tracing::dispatcher::{self, Dispatch, WeakDispatch};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::line::{Fields, line};
use crate::background::Background;

/// The ids that a request lends to everything within it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    /// The id of the request.
    pub request_id: Option<String>,
    /// The id of what belongs together.
    pub correlation_id: Option<String>,
}
impl Ids {
    fn is_empty(&self) -> bool {
        *self == Ids::default()
    }
    fn complete(&mut self, outer: &Ids) {
        self.request_id = self.request_id.take().or_else(|| outer.request_id.clone());
        self.correlation_id = self.correlation_id.take().or_else(|| outer.correlation_id.clone());
    }
}
impl Visit for Ids {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "request_id" => self.request_id = Some(value.to_owned()),
            "correlation_id" => self.correlation_id = Some(value.to_owned()),
            _ => {}
        }
    }
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if matches!(field.name(), "request_id" | "correlation_id") {
            self.record_str(field, &format!("{value:?}"));
        }
    }
}

/// The ids of the innermost span and those around it.
fn ids_of<'a, S: LookupSpan<'a>>(span: Option<SpanRef<'a, S>>) -> Ids {
    let mut ids = Ids::default();
    for span in span.into_iter().flat_map(|span| span.scope()) {
        if let Some(own) = span.extensions().get::<Ids>() {
            ids.complete(own);
        }
    }
    ids
}

/// The ids of the request that this thread or task works on: to put them into an answer or a job.
pub fn current_ids() -> Ids {
    dispatcher::get_default(|dispatch| {
        let current = dispatch.current_span();
        let span = current.id().and_then(|id| dispatch.downcast_ref::<Registry>()?.span(id));
        ids_of(span)
    })
}

pub(crate) struct LogLayer {
    lines: Arc<Background<String>>,
    /// Whom we are a layer of: it knows the trace of a span.
    ours: OnceLock<WeakDispatch>,
}
impl LogLayer {
    pub(crate) fn new(lines: Arc<Background<String>>) -> LogLayer {
        LogLayer { lines, ours: OnceLock::new() }
    }
    fn trace_of(&self, span: &Id) -> Option<[(&'static str, String); 2]> {
        trace_of(&self.ours.get()?.upgrade()?, span)
    }
}

#[cfg(feature = "traces")]
fn trace_of(dispatch: &Dispatch, span: &Id) -> Option<[(&'static str, String); 2]> {
    use opentelemetry::trace::TraceContextExt;
    let context = tracing_opentelemetry::get_otel_context(span, dispatch)?;
    let span = context.span();
    let found = span.span_context();
    found.is_valid().then(|| [("trace_id", found.trace_id().to_string()), ("span_id", found.span_id().to_string())])
}
#[cfg(not(feature = "traces"))]
fn trace_of(_: &Dispatch, _: &Id) -> Option<[(&'static str, String); 2]> {
    None
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogLayer {
    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        // A layer belongs to one subscriber for good.
        drop(self.ours.set(subscriber.downgrade()));
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut own = Ids::default();
        attributes.record(&mut own);
        if let Some(span) = context.span(id).filter(|_| !own.is_empty()) {
            span.extensions_mut().insert(own);
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a line has the time of the machine it is written on")]
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let span = context.event_span(event);
        let trace = span.as_ref().and_then(|span| self.trace_of(&span.id()));
        let ids = ids_of(span);
        let mut named: Vec<(&'static str, String)> = trace.into_iter().flatten().collect();
        named.extend(ids.request_id.map(|id| ("request_id", id)));
        named.extend(ids.correlation_id.map(|id| ("correlation_id", id)));
        let line = line(SystemTime::now(), event.metadata(), &named, fields);
        let weight = line.len();
        self.lines.put(line, weight);
    }
}
