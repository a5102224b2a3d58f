//! The Prometheus face: `/api/v1/*`, `/-/*`, `/federate`, `/graph`, remote write. It speaks version 3 of the interface
//! with the formatting of the original; the query language itself is computed in `watchfire-query`.

mod admin;
pub(crate) mod answer;
mod exemplars;
mod federate;
pub(crate) mod gate;
pub(crate) mod labels;
pub(crate) mod number;
pub(crate) mod params;
mod parse;
pub(crate) mod promql;
pub(crate) mod query;
mod read;
pub(crate) mod rules;
#[cfg(test)]
mod rules_tests;
pub(crate) mod status;
mod targets;
#[cfg(test)]
mod tests;
pub(crate) mod write;

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::Method;

use self::answer::{ApiError, ErrorKind};
use crate::app::App;
use crate::server::{Content, Level, Refusal, Route};

pub(crate) use status::not_found;

/// Refusals of the server itself, in the envelope that Prometheus' clients read.
fn envelope(refusal: &Refusal) -> Response {
    let kind = match refusal.status.as_u16() {
        404 => ErrorKind::NotFound,
        429 => ErrorKind::Overloaded,
        503 | 504 => ErrorKind::Timeout,
        500..=599 => ErrorKind::Internal,
        _ => ErrorKind::BadData,
    };
    ApiError::new(kind, refusal.message.clone()).into_response()
}

/// The routes of the Prometheus face.
pub fn routes() -> Vec<Route<Arc<App>>> {
    // The query gate and the budget of each query bound these, by configured times that may be longer than the usual limit.
    let mut all: Vec<_> = query_routes().into_iter().map(|route| route.time_limit(None)).collect();
    all.extend(target_routes());
    all.extend(status_routes());
    all.extend(other_routes());
    all.extend(admin_routes());
    all.into_iter().map(|route| route.errors(envelope).tag("prometheus")).collect()
}

fn query_routes() -> Vec<Route<Arc<App>>> {
    vec![
        Route::query("/api/v1/query", Level::Read, query::instant).summary("Evaluates a query at one time"),
        Route::query("/api/v1/query_range", Level::Read, query::range).summary("Evaluates a query over a range of time"),
        Route::query("/api/v1/query_exemplars", Level::Read, exemplars::exemplars).summary("Exemplars of the series that a query selects"),
        Route::query("/api/v1/format_query", Level::Read, parse::format).summary("Formats a query"),
        Route::query("/api/v1/parse_query", Level::Read, parse::tree).summary("The tree of a query"),
        Route::query("/api/v1/series", Level::Read, labels::series).summary("Series that match selectors"),
        Route::query("/api/v1/labels", Level::Read, labels::labels).summary("Names of labels"),
        Route::get("/api/v1/label/{name}/values", Level::Read, labels::label_values)
            .summary("Values of a label")
            .path_parameter("name", "The label, escaped with U__ when it is outside the classic charset"),
        Route::get("/api/v1/metadata", Level::Read, labels::metadata).summary("Types and help texts of metrics"),
    ]
}

fn target_routes() -> Vec<Route<Arc<App>>> {
    vec![
        Route::get("/api/v1/targets", Level::Read, targets::targets).summary("Scrape targets and how they are"),
        Route::get("/api/v1/targets/metadata", Level::Read, targets::targets_metadata).summary("Metadata by target"),
        Route::get("/api/v1/scrape_pools", Level::Read, targets::scrape_pools).summary("Names of scrape pools"),
        Route::get("/api/v1/rules", Level::Read, rules::rules)
            .summary("Groups of rules with their alerts")
            .query_parameter("logs", "Whether those over logs are wanted, too"),
        Route::get("/api/v1/alerts", Level::Read, rules::alerts).summary("Alerts that are pending or firing"),
        Route::get("/api/v1/alertmanagers", Level::Read, rules::alertmanagers).summary("Alertmanagers outside that are told"),
    ]
}

fn status_routes() -> Vec<Route<Arc<App>>> {
    vec![
        Route::get("/api/v1/status/buildinfo", Level::Read, status::buildinfo).summary("What was built"),
        Route::get("/api/v1/status/runtimeinfo", Level::Read, status::runtimeinfo).summary("What runs"),
        Route::get("/api/v1/status/config", Level::Read, status::config).summary("The configuration without secrets"),
        Route::get("/api/v1/status/flags", Level::Read, status::flags).summary("The flags without secrets"),
        Route::get("/api/v1/status/tsdb", Level::Read, status::tsdb).summary("Cardinality"),
        Route::get("/api/v1/status/walreplay", Level::Read, status::walreplay).summary("Progress of reading the log at start"),
        Route::get("/api/v1/notifications", Level::Read, status::notifications).summary("Notices for the page: none"),
    ]
}

fn admin_routes() -> Vec<Route<Arc<App>>> {
    let action = [Method::POST, Method::PUT];
    let all = [
        Route::new(&action, "/api/v1/admin/tsdb/delete_series", Level::Admin, admin::delete_series).summary("Deletes series, when enabled"),
        Route::new(&action, "/api/v1/admin/tsdb/clean_tombstones", Level::Admin, admin::clean_tombstones)
            .summary("Removes deleted samples from files, when enabled"),
        Route::new(&action, "/api/v1/admin/tsdb/snapshot", Level::Admin, admin::snapshot).summary("Makes a snapshot, when enabled"),
    ];
    // Files are rewritten and linked: that may take longer than other requests may.
    all.into_iter().map(|route| route.takes(Content::Form).time_limit(None)).collect()
}

fn other_routes() -> Vec<Route<Arc<App>>> {
    vec![
        Route::get("/-/healthy", Level::Public, status::healthy).summary("Liveness"),
        Route::get("/-/ready", Level::Public, status::ready).summary("Readiness"),
        Route::new(&[Method::POST, Method::PUT], "/-/reload", Level::Admin, status::reload).summary("Loads the configuration anew, when enabled"),
        Route::get("/-/reload", Level::Admin, status::only_post).hidden(),
        Route::new(&[Method::POST, Method::PUT], "/-/quit", Level::Admin, status::quit).summary("Ends the process, when enabled"),
        Route::get("/-/quit", Level::Admin, status::only_post).hidden(),
        Route::get("/federate", Level::Read, federate::federate).untraced().summary("The newest values in the text format").answers_with(
            200,
            "text/plain",
            "Prometheus text 0.0.4",
        ),
        Route::get("/graph", Level::Public, status::graph).hidden(),
        Route::post("/api/v1/write", Level::Ingest, write::write).takes(Content::Any).telemetry_body().summary("Remote write 1.0 and 2.0"),
        Route::post("/api/v1/read", Level::Read, read::read).takes(Content::Any).summary("Remote read: samples, or a stream of chunks").time_limit(None),
    ]
}
