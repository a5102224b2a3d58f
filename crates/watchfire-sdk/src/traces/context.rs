//! The context of a trace in headers, in and out: `traceparent` and `tracestate` of W3C, and `x-correlation-id` beside them.

use http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::propagation::{Injector, TextMapPropagator};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::ids::CORRELATION_ID;
use crate::logs::current_ids;

/// Puts the current context into the headers of a request that goes out.
pub fn inject(headers: &mut HeaderMap) {
    inject_into(&mut HeaderInjector(headers));
}

/// The same for whatever carries a request or a job: it is called with the name and value of each header.
pub fn inject_with(put: impl FnMut(&str, String)) {
    struct Put<F>(F);
    impl<F: FnMut(&str, String)> Injector for Put<F> {
        fn set(&mut self, key: &str, value: String) {
            (self.0)(key, value);
        }
    }
    inject_into(&mut Put(put));
}

fn inject_into(injector: &mut dyn Injector) {
    TraceContextPropagator::new().inject_context(&tracing::Span::current().context(), &mut Presence(injector));
    if let Some(id) = current_ids().correlation_id {
        injector.set(CORRELATION_ID, id);
    }
}

/// An empty state is not worth a header.
struct Presence<'a>(&'a mut dyn Injector);
impl Injector for Presence<'_> {
    fn set(&mut self, key: &str, value: String) {
        if !value.is_empty() {
            self.0.set(key, value);
        }
    }
}

/// The context that a request brought, to be the parent of a span: `span.set_parent(extract(headers))`.
pub fn extract(headers: &HeaderMap) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers))
}
