//! The Tempo face: traces by id, TraceQL's searches and numbers over time, names and values to ask for, as Grafana and `curl` use them.
//! What a query means is computed in `watchfire-query`. On the main port it is below `/tempo`.

mod answer;
mod metrics;
mod params;
mod search;
mod status;
mod tags;
#[cfg(test)]
mod tests;
mod trace;

use std::sync::Arc;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use self::answer::TempoError;
use crate::app::App;
use crate::server::{Level, Refusal, Route};

const PREFIX: &str = "/tempo";

/// Refusals of the server itself: plain text, as Tempo's clients show it to people.
fn envelope(refusal: &Refusal) -> Response {
    TempoError::new(refusal.status, refusal.message.clone()).into_response()
}

/// The routes of the face on the main port.
pub fn routes() -> Vec<Route<Arc<App>>> {
    table().into_iter().map(|route| route.under(PREFIX)).collect()
}

/// The routes of Tempo's own port.
pub fn port_routes() -> Vec<Route<Arc<App>>> {
    table().into_iter().map(Route::hidden).collect()
}

/// What nobody serves on that port.
pub async fn fallback(request: Request) -> Response {
    TempoError::new(StatusCode::NOT_FOUND, format!("404 page not found: {}", request.uri().path())).into_response()
}

fn table() -> Vec<Route<Arc<App>>> {
    queries().into_iter().chain(others()).map(|route| route.errors(envelope).tag("tempo")).collect()
}

/// What reads, within the limits of queries.
fn queries() -> Vec<Route<Arc<App>>> {
    let range = |route: Route<Arc<App>>| {
        let start = "Seconds or nanoseconds since 1970, or RFC 3339; a day ago by default";
        route.query_parameter("start", start).query_parameter("end", "The same; now by default")
    };
    let names =
        |path: &str| range(Route::get(path, Level::Read, tags::names)).query_parameter("scope", "resource, span, event, link, instrumentation or intrinsic");
    let values =
        |path: &str| range(Route::get(path, Level::Read, tags::values)).path_parameter("tag", "The field").query_parameter("q", "TraceQL that spans satisfy");
    let all = vec![
        Route::get("/api/traces/{id}", Level::Read, trace::trace)
            .summary("A trace, in JSON or (by Accept) in protobuf")
            .path_parameter("id", "Hexadecimal digits")
            .query_parameter("start", "Seconds since 1970; everything by default")
            .query_parameter("end", "The same"),
        Route::get("/api/v2/traces/{id}", Level::Read, trace::trace_v2)
            .summary("The same, with whether it is complete")
            .path_parameter("id", "Hexadecimal digits"),
        range(Route::get("/api/search", Level::Read, search::search))
            .summary("Traces that a query finds, newest first")
            .query_parameter("q", "TraceQL")
            .query_parameter("tags", "In the stead of q: logfmt")
            .query_parameter("minDuration", "With tags: of the trace")
            .query_parameter("maxDuration", "The same")
            .query_parameter("limit", "Traces at most, 20 by default")
            .query_parameter("spss", "Spans of each set at most, 3 by default; 0 are all"),
        names("/api/search/tags").summary("Names of attributes"),
        names("/api/v2/search/tags").summary("The same by scope").query_parameter("q", "TraceQL that spans satisfy"),
        values("/api/search/tag/{tag}/values").summary("Values of an attribute as text"),
        Route::get("/api/v2/search/tag/{tag}/values", Level::Read, tags::typed_values).summary("The same with their types").path_parameter("tag", "The field"),
        range(Route::get("/api/metrics/query_range", Level::Read, metrics::range))
            .summary("Numbers over time")
            .query_parameter("q", "TraceQL with rate() or its like")
            .query_parameter("since", "In the stead of start and end: so long until now")
            .query_parameter("step", "A duration or seconds"),
        range(Route::get("/api/metrics/query", Level::Read, metrics::instant)).summary("One number for the whole range").query_parameter("q", "The same"),
    ];
    // The query gate and the budget of each query bound these.
    all.into_iter().map(|route| route.time_limit(None)).collect()
}

fn others() -> Vec<Route<Arc<App>>> {
    vec![
        Route::get("/api/echo", Level::Public, status::echo).summary("`echo`").answers_with(200, "text/plain", "`echo`"),
        Route::get("/ready", Level::Public, status::ready).summary("Readiness, as Tempo says it").answers_with(200, "text/plain", "`ready`"),
        Route::get("/api/status/buildinfo", Level::Read, status::buildinfo).summary("The version that is claimed"),
        Route::get("/status/buildinfo", Level::Read, status::buildinfo).hidden(),
    ]
}
