//! The Loki face: push, queries, labels, volumes, tail, as Grafana, logcli, Promtail, Alloy and `curl` use it. What a query means is
//! computed in `watchfire-query`. Every path is there with the prefix `/loki` once and twice.

pub(crate) mod answer;
mod delete;
mod fields;
mod labels;
pub(crate) mod params;
mod patterns;
pub(crate) mod push;
pub(crate) mod query;
mod render;
mod rules;
mod status;
mod tail;
#[cfg(test)]
mod tests;
mod volume;

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::Method;

use self::answer::LokiError;
use crate::app::App;
use crate::server::{Content, Level, Refusal, Route};

pub use delete::Deletion;
pub(crate) use tail::Tails;

/// Refusals of the server itself: plain text, as Loki's clients show it to people.
fn envelope(refusal: &Refusal) -> Response {
    LokiError::new(refusal.status, refusal.message.clone()).into_response()
}

/// The routes of the face on the main port.
pub fn routes() -> Vec<Route<Arc<App>>> {
    let mut all = Vec::new();
    for route in queries().into_iter().chain(others()) {
        // A client whose base is `…/loki` adds the prefix once more.
        all.push(route.clone().under("/loki").hidden());
        all.push(route);
    }
    all.push(push_route("/api/prom/push").hidden());
    all.push(Route::get("/loki/ready", Level::Public, status::ready).summary("Readiness, as Loki says it").answers_with(200, "text/plain", "`ready`"));
    for prefix in ["", "/loki"] {
        all.push(Route::get(&format!("{prefix}/prometheus/api/v1/rules"), Level::Read, rules::prometheus_rules).hidden());
        all.push(Route::get(&format!("{prefix}/prometheus/api/v1/alerts"), Level::Read, rules::prometheus_alerts).hidden());
    }
    all.into_iter().map(|route| route.errors(envelope).tag("loki")).collect()
}

/// What Loki's own port has beside the routes of the main port, in the stead of what is at these paths there.
pub fn port_routes() -> Vec<Route<Arc<App>>> {
    vec![
        Route::get("/ready", Level::Public, status::ready).errors(envelope).hidden(),
        Route::get("/config", Level::Read, status::config).errors(envelope).hidden(),
    ]
}

fn push_route(path: &str) -> Route<Arc<App>> {
    Route::post(path, Level::Ingest, push::push).takes(Content::Any).telemetry_body()
}

/// What reads, within the limits of queries.
fn queries() -> Vec<Route<Arc<App>>> {
    let all = vec![
        Route::query("/loki/api/v1/query", Level::Read, query::instant)
            .summary("Evaluates a metric query of LogQL at one time")
            .query_parameter("query", "LogQL")
            .query_parameter("time", "Nanoseconds, seconds with a fraction, or RFC 3339; now by default"),
        Route::query("/loki/api/v1/query_range", Level::Read, query::range)
            .summary("Lines of a time range, or numbers over it")
            .query_parameter("query", "LogQL")
            .query_parameter("start", "An hour ago by default")
            .query_parameter("end", "Now by default")
            .query_parameter("since", "In the stead of start: so long before the end")
            .query_parameter("limit", "Lines at most, 100 by default")
            .query_parameter("direction", "backward or forward")
            .query_parameter("step", "Seconds or a duration, for numbers")
            .query_parameter("interval", "The least time between two lines"),
        Route::query("/loki/api/v1/labels", Level::Read, labels::labels).summary("Names of labels"),
        Route::query("/loki/api/v1/label", Level::Read, labels::labels).hidden(),
        Route::query("/loki/api/v1/label/{name}/values", Level::Read, labels::values)
            .summary("Values of a label")
            .path_parameter("name", "The label")
            .query_parameter("query", "A selector of streams"),
        Route::query("/loki/api/v1/series", Level::Read, labels::series).summary("Streams that match selectors"),
        Route::query("/loki/api/v1/index/stats", Level::Read, volume::stats).summary("How much a selector selects"),
        Route::query("/loki/api/v1/index/volume", Level::Read, volume::volume).summary("Bytes by labels"),
        Route::query("/loki/api/v1/index/volume_range", Level::Read, volume::volume_range).summary("Bytes by labels over time"),
        Route::query("/loki/api/v1/patterns", Level::Read, patterns::patterns).summary("What lines have in common, with counts over time"),
        Route::query("/loki/api/v1/detected_labels", Level::Read, fields::labels).summary("Labels with their cardinality"),
        Route::query("/loki/api/v1/detected_fields", Level::Read, fields::fields).summary("Fields that lines turn out to have"),
        Route::query("/loki/api/v1/detected_field/{name}/values", Level::Read, fields::values)
            .summary("Values of such a field")
            .path_parameter("name", "The field"),
        Route::query("/loki/api/v1/detected_fields/{name}/values", Level::Read, fields::values).hidden(),
    ];
    // The query gate and the budget of each query bound these.
    all.into_iter().map(|route| route.time_limit(None)).collect()
}

fn others() -> Vec<Route<Arc<App>>> {
    let delete = [Method::POST, Method::PUT];
    vec![
        push_route("/loki/api/v1/push").summary("Streams of lines, in protobuf or JSON").answers_with(204, "text/plain", "Everything is stored"),
        Route::websocket("/loki/api/v1/tail", Level::Read, tail::tail).summary("Lines as they come in").query_parameter("query", "LogQL without numbers"),
        Route::query("/loki/api/v1/format_query", Level::Read, status::format_query).summary("Formats a query"),
        Route::new(&delete, "/loki/api/v1/delete", Level::Admin, delete::delete)
            .takes(Content::Form)
            .time_limit(None)
            .summary("Deletes lines at once")
            .query_parameter("query", "A selector with filters")
            .query_parameter("start", "The first moment; everything by default")
            .query_parameter("end", "The last moment; now by default"),
        Route::get("/loki/api/v1/delete", Level::Read, delete::list).summary("What was deleted since the start"),
        Route::delete("/loki/api/v1/delete", Level::Admin, delete::cancel).hidden(),
        Route::get("/loki/api/v1/rules", Level::Read, rules::all).summary("Groups of rules over logs, as YAML by namespace"),
        Route::get("/loki/api/v1/rules/{namespace}", Level::Read, rules::namespace)
            .summary("The groups of one namespace")
            .path_parameter("namespace", "The name of the file"),
        Route::get("/loki/api/v1/rules/{namespace}/{group}", Level::Read, rules::group)
            .summary("One group")
            .path_parameter("namespace", "The name of the file")
            .path_parameter("group", "The name of the group"),
        Route::get("/loki/api/v1/status/buildinfo", Level::Read, status::buildinfo).summary("The version that is claimed"),
    ]
}
