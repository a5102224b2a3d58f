//! The Jaeger face: services, operations, traces, dependencies, in the form that Jaeger's page, Grafana and `curl` know, and its newer
//! interface `/api/v3`. On the main port everything is under `/jaeger`. What is found is computed in `watchfire-query`.

mod answer;
mod params;
mod render;
#[cfg(test)]
mod tests;
mod v1;
mod v3;

use std::sync::Arc;

use axum::extract::Request;
use axum::response::{IntoResponse, Redirect, Response};

use self::answer::JaegerError;
use crate::app::App;
use crate::server::{Level, Refusal, Route};

/// Where the face is on the main port.
const PREFIX: &str = "/jaeger";

/// Refusals of the server itself, in Jaeger's envelope.
fn envelope(refusal: &Refusal) -> Response {
    JaegerError::new(refusal.status, refusal.message.clone()).into_response()
}

/// The routes of the face on the main port.
pub fn routes() -> Vec<Route<Arc<App>>> {
    table().into_iter().map(|route| route.under(PREFIX)).collect()
}

/// What Jaeger's own port has beside the routes of the main port, in the stead of what is at these paths there.
pub fn port_routes() -> Vec<Route<Arc<App>>> {
    let mut all: Vec<_> = table().into_iter().map(Route::hidden).collect();
    // Addresses that people and panels have kept lead to our own page.
    all.push(Route::get("/", Level::Public, || async { Redirect::to("/traces") }).hidden());
    all.push(Route::get("/search", Level::Public, to_search).hidden());
    all.push(Route::get("/trace/{id}", Level::Public, to_trace).hidden());
    all.push(Route::get("/dependencies", Level::Public, || async { Redirect::to("/traces/map") }).hidden());
    all
}

async fn to_search(request: Request) -> Redirect {
    let query = request.uri().query().map_or(String::new(), |query| format!("?{query}"));
    Redirect::to(&format!("/traces{query}"))
}

async fn to_trace(axum::extract::Path(id): axum::extract::Path<String>) -> Redirect {
    let id: String = id.chars().filter(char::is_ascii_hexdigit).take(32).collect();
    Redirect::to(&format!("/traces/{id}"))
}

fn table() -> Vec<Route<Arc<App>>> {
    let all = vec![
        Route::get("/api/services", Level::Read, v1::services).summary("Services of which there are spans"),
        Route::get("/api/services/{service}/operations", Level::Read, v1::operations_of)
            .summary("Operations of a service")
            .path_parameter("service", "The service"),
        Route::get("/api/operations", Level::Read, v1::operations)
            .summary("Operations of a service, with their kinds")
            .query_parameter("service", "The service")
            .query_parameter("spanKind", "server, client, …"),
        Route::get("/api/traces", Level::Read, v1::traces)
            .summary("The newest traces that have such a span")
            .query_parameter("service", "The service; needed unless traceID is given")
            .query_parameter("operation", "The name of the span")
            .query_parameter("tags", "A JSON object of names and values")
            .query_parameter("tag", "name:value, any number of times")
            .query_parameter("minDuration", "For example 1.2s, 100ms, 500us")
            .query_parameter("maxDuration", "For example 1.2s, 100ms, 500us")
            .query_parameter("start", "Microseconds since 1970; two days ago by default")
            .query_parameter("end", "Microseconds since 1970; now by default")
            .query_parameter("limit", "Traces at most, 20 by default")
            .query_parameter("traceID", "A trace; any number of times"),
        Route::get("/api/traces/{id}", Level::Read, v1::trace).summary("A trace by its id").path_parameter("id", "Up to 32 hexadecimal digits"),
        Route::get("/api/dependencies", Level::Read, v1::dependencies)
            .summary("Who calls whom")
            .query_parameter("endTs", "Milliseconds since 1970")
            .query_parameter("lookback", "Milliseconds; a day by default"),
        Route::get("/api/v3/services", Level::Read, v3::services).summary("Services of which there are spans"),
        Route::get("/api/v3/operations", Level::Read, v3::operations)
            .summary("Operations of a service, with their kinds")
            .query_parameter("service", "The service")
            .query_parameter("span_kind", "server, client, …"),
        Route::get("/api/v3/traces", Level::Read, v3::traces)
            .summary("Traces that have such a span, as OTLP")
            .query_parameter("query.service_name", "The service")
            .query_parameter("query.operation_name", "The name of the span")
            .query_parameter("query.attributes", "A JSON object of names and values")
            .query_parameter("query.start_time_min", "RFC 3339; needed")
            .query_parameter("query.start_time_max", "RFC 3339; needed")
            .query_parameter("query.duration_min", "For example 100ms")
            .query_parameter("query.duration_max", "For example 2s")
            .query_parameter("query.search_depth", "Traces at most"),
        Route::get("/api/v3/traces/{id}", Level::Read, v3::trace).summary("A trace by its id, as OTLP").path_parameter("id", "Up to 32 hexadecimal digits"),
    ];
    // The query gate and the budget of each query bound these.
    all.into_iter().map(|route| route.time_limit(None).errors(envelope).tag("jaeger")).collect()
}
