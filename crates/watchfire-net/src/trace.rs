//! The trace that a piece of work belongs to, as far as sockets are concerned: what goes along with the requests that we make, and a
//! span for each such call. It makes no ids and keeps no spans; who does is told here. Work that belongs to no trace makes no spans of calls, so what is
//! sent out at intervals (scrapes, forwarding, spans themselves) is none.

use std::sync::OnceLock;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use tracing::Span;
use tracing::field::Empty;

/// The headers that carry the present trace on; none where there is no trace.
pub type Carrier = fn() -> Vec<(&'static str, String)>;

static CARRIER: OnceLock<Carrier> = OnceLock::new();

/// Says who knows the present trace. The first one stays.
pub fn carry_by(carrier: Carrier) {
    CARRIER.get_or_init(|| carrier);
}

fn headers() -> Vec<(&'static str, String)> {
    CARRIER.get().map(|carrier| carrier()).unwrap_or_default()
}

/// A span for a call over HTTP. Neither path nor query is told: addresses of webhooks are secrets.
pub(crate) fn call(method: &Method, uri: &Uri) -> Span {
    if headers().is_empty() {
        return Span::none();
    }
    tracing::info_span!(
        "call",
        otel.kind = "client",
        otel.name = method.as_str(),
        otel.status_code = Empty,
        otel.status_description = Empty,
        http.request.method = method.as_str(),
        http.response.status_code = Empty,
        server.address = uri.host(),
        server.port = uri.port_u16(),
    )
}

/// Lets the other side go on with the trace.
pub(crate) fn inject(into: &mut HeaderMap) {
    for (name, value) in headers() {
        if let Ok(value) = HeaderValue::from_str(&value) {
            into.insert(HeaderName::from_static(name), value);
        }
    }
}

/// Notes how a call ended.
pub(crate) fn answered<E: std::fmt::Display>(span: &Span, outcome: Result<StatusCode, &E>) {
    match outcome {
        Ok(status) => {
            span.record("http.response.status_code", status.as_u16());
            if status.is_client_error() || status.is_server_error() {
                span.record("otel.status_code", "ERROR");
            }
        }
        Err(error) => failed(span, error),
    }
}

/// A span for a question to a database or a cache; none where there is no trace.
pub fn database(system: &'static str, operation: &str) -> Span {
    if headers().is_empty() {
        return Span::none();
    }
    tracing::info_span!(
        "database",
        otel.kind = "client",
        otel.name = operation,
        otel.status_code = Empty,
        otel.status_description = Empty,
        db.system.name = system,
        db.operation.name = operation,
    )
}

/// Marks a span as failed.
pub fn failed(span: &Span, error: impl std::fmt::Display) {
    span.record("otel.status_code", "ERROR");
    span.record("otel.status_description", tracing::field::display(error));
}
