//! Middleware for servers made with axum: a span below the caller's for every request, ids for its log lines and in its answer, and
//! the metrics `http_requests_total` and `http_request_duration_seconds`. It judges no request.
//!
//! ```
//! use axum::{Router, middleware::from_fn, routing::get};
//!
//! let app: Router = Router::new()
//!     .route("/cameras/{id}", get(|| async { "…" }))
//!     .layer(from_fn(watchfire_sdk::axum::observe));
//! ```

use std::sync::Arc;
use std::time::Instant;

use ::axum::extract::{MatchedPath, Request, State};
use ::axum::middleware::Next;
use ::axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use opentelemetry::trace::TraceContextExt;
use tracing::Instrument;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::MetricsService;
use crate::ids::{CORRELATION_ID, REQUEST_ID, new_id, sane_id};
use crate::metrics::{get_metrics_service, hsi};
use crate::traces::extract;

/// What stands for the route of a request that has none: paths that anybody can make up must not become names.
const NO_ROUTE: &str = "unmatched";

/// Observes every request; metrics go to [`get_metrics_service`].
pub async fn observe(request: Request, next: Next) -> Response {
    observed(get_metrics_service(), request, next).await
}

/// The same with a metrics service of its own: `from_fn_with_state(service, observe_with)`.
pub async fn observe_with(State(metrics): State<Arc<MetricsService>>, request: Request, next: Next) -> Response {
    observed(&metrics, request, next).await
}

#[expect(clippy::disallowed_methods, reason = "there is no clock to turn in other people's programs")]
async fn observed(metrics: &MetricsService, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = known(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or(NO_ROUTE, MatchedPath::as_str).to_owned();
    let (request_id, correlation_id) = ids(request.headers());
    let span = tracing::info_span!(
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        request_id,
        correlation_id,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        url.path = request.uri().path(),
    );
    let parent = extract(request.headers());
    if parent.span().span_context().is_valid() {
        // Without tracing there is nothing that could have a parent.
        drop(span.set_parent(parent));
    }
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    for (name, id) in [(REQUEST_ID, &request_id), (CORRELATION_ID, &correlation_id)] {
        if let Ok(value) = HeaderValue::from_str(id) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    count(metrics, method, &route, status, began.elapsed().as_secs_f64());
    response
}

fn count(metrics: &MetricsService, method: &str, route: &str, status: StatusCode, seconds: f64) {
    metrics.increment(&hsi::HTTP_REQUESTS_TOTAL, [method, route, status.as_str()]);
    metrics.observe(&hsi::HTTP_REQUEST_DURATION_SECONDS, [method, route], seconds);
}

/// The id of this request, which nobody else chooses, and the one that it shares with others: the caller's, if it has one.
fn ids(headers: &HeaderMap) -> (String, String) {
    let given = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).and_then(sane_id).map(str::to_owned);
    (new_id(), given(CORRELATION_ID).or_else(|| given(REQUEST_ID)).unwrap_or_else(new_id))
}

/// A method that HTTP defines; others could be endless.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        _ => "other",
    }
}
