//! The Pyroscope face: profiles come in by `/ingest` and by the push service, and go out as flame graphs, by `render` and by the querier
//! service that Grafana asks. On the main port everything is under `/pyroscope`. What is found is computed in `watchfire-query`.

mod answer;
mod connect;
mod ingest;
mod names;
mod params;
mod pprof;
mod querier;
mod render;
mod requests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;

use self::answer::PyroscopeError;
use crate::app::App;
use crate::prometheus::answer::text;
use crate::server::{Content, Level, Refusal, Route};

/// Where the face is on the main port.
const PREFIX: &str = "/pyroscope";

/// Refusals of the server itself, as Pyroscope's clients show them to people.
fn envelope(refusal: &Refusal) -> Response {
    PyroscopeError::new(refusal.status, refusal.message.clone()).into_response()
}

/// The same for the services.
fn connect_envelope(refusal: &Refusal) -> Response {
    PyroscopeError::new(refusal.status, refusal.message.clone()).connect()
}

/// The routes of the face on the main port.
pub fn routes() -> Vec<Route<Arc<App>>> {
    table().into_iter().map(|route| route.under(PREFIX)).collect()
}

/// What Pyroscope's own port has beside the routes of the main port, in the stead of what is at these paths there.
pub fn port_routes() -> Vec<Route<Arc<App>>> {
    let mut all: Vec<_> = table().into_iter().map(Route::hidden).collect();
    // The address that people have kept leads to our own page.
    all.push(Route::get("/", Level::Public, || async { Redirect::to("/profiles") }).hidden());
    all
}

/// `GET /ready`.
async fn ready(State(app): State<Arc<App>>) -> Response {
    match (app.rooms.storage)().failure {
        None => text(StatusCode::OK, "ready\n"),
        Some(_) => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    }
}

fn table() -> Vec<Route<Arc<App>>> {
    let own = ways_in().into_iter().chain(queries()).map(|route| route.errors(envelope));
    own.chain(services()).map(|route| route.tag("pyroscope")).collect()
}

fn ways_in() -> Vec<Route<Arc<App>>> {
    vec![
        Route::post("/ingest", Level::Ingest, ingest::ingest)
            .takes(Content::Any)
            .telemetry_body()
            .summary("A profile: folded stacks or pprof")
            .query_parameter("name", "The program, with labels if need be: app{label=value}")
            .query_parameter("from", "When it began: seconds, milliseconds, … since 1970, or now-10s; now by default")
            .query_parameter("until", "When it ended")
            .query_parameter("sampleRate", "Samples a second, 100 by default; of folded stacks")
            .query_parameter("format", "folded (the default), lines or pprof")
            .answers_with(200, "text/plain", "Nothing"),
        Route::get("/ready", Level::Public, ready).summary("Readiness, as Pyroscope says it").answers_with(200, "text/plain", "`ready`"),
    ]
}

fn queries() -> Vec<Route<Arc<App>>> {
    let range = |route: Route<Arc<App>>| {
        let from = "Seconds, milliseconds, … since 1970, or now-6h; an hour ago by default";
        route.query_parameter("from", from).query_parameter("until", "The same; now by default")
    };
    let query = "process_cpu:cpu:nanoseconds:cpu:nanoseconds{service_name=\"backend\"}";
    let all = vec![
        range(Route::get("/render", Level::Read, render::render))
            .summary("A flame graph, and its values over time")
            .query_parameter("query", query)
            .query_parameter("maxNodes", "Nodes at most, 8192 by default")
            .query_parameter("groupBy", "A label: values over time for each of its values, too")
            .query_parameter("format", "json, or pprof"),
        Route::get("/render-diff", Level::Read, render::diff)
            .summary("A flame graph of two questions, side by side")
            .query_parameter("leftQuery", query)
            .query_parameter("leftFrom", "As from")
            .query_parameter("leftUntil", "As until")
            .query_parameter("rightQuery", query)
            .query_parameter("rightFrom", "As from")
            .query_parameter("rightUntil", "As until")
            .query_parameter("maxNodes", "Nodes at most, 8192 by default"),
        range(Route::get("/labels", Level::Read, names::labels)).summary("Names of labels").query_parameter("query", query),
        range(Route::get("/label-values", Level::Read, names::label_values))
            .summary("Values of a label")
            .query_parameter("label", "The label")
            .query_parameter("query", query),
    ];
    // The query gate and the budget of each query bound these.
    all.into_iter().map(|route| route.time_limit(None)).collect()
}

/// The services, as Connect's protocol has them: one message there, one back.
fn services() -> Vec<Route<Arc<App>>> {
    let push = Route::post("/push.v1.PusherService/Push", Level::Ingest, ingest::push)
        .takes(Content::Types(&connect::TYPES))
        .telemetry_body()
        .summary("Profiles of several series, in pprof");
    let questions = querier::METHODS.iter().map(|method| {
        let ask = move |State(app): State<Arc<App>>, request: axum::extract::Request| querier::ask(app, request, method);
        let path = format!("/querier.v1.QuerierService/{}", method.name);
        Route::post(&path, Level::Read, ask).takes(Content::Types(&connect::TYPES)).time_limit(None).summary(method.summary)
    });
    std::iter::once(push).chain(questions).map(|route| route.errors(connect_envelope)).collect()
}
