//! What clients ask beside the data: readiness, the version that is claimed, the form of a query.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};
use watchfire_model::duration::format_millis;
use watchfire_query::logql::parse;

use super::answer::{Data, LokiError, Plain};
use super::params::Params;
use super::query::engine;
use crate::app::App;
use crate::prometheus::answer::{json as json_response, text, to_json};

/// The version that is claimed: clients choose what they ask by it.
const VERSION: &str = "3.5.0";

/// `GET /ready` of Loki's port, and `/loki/ready`.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    match (app.rooms.storage)().failure {
        None => text(StatusCode::OK, "ready\n"),
        Some(_) => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    }
}

/// `GET /loki/api/v1/status/buildinfo`.
pub(super) async fn buildinfo(State(app): State<Arc<App>>) -> Plain<Value> {
    let build = &app.rooms.build;
    Plain(json!({
        "version": VERSION, "revision": build.revision, "branch": "main", "buildUser": format!("watchfire {}", build.version), "buildDate": "", "goVersion": ""
    }))
}

/// `GET /config` of Loki's port: what holds for queries, as YAML.
pub(super) async fn config(State(app): State<Arc<App>>) -> Response {
    let engine = engine(&app);
    let limits = app.rooms.loki.queries();
    let span = |span: Option<std::time::Duration>| format_millis(u64::try_from(span.unwrap_or_default().as_millis()).unwrap_or(u64::MAX));
    let lines = format!(
        "auth_enabled: false\ntarget: all\nlimits_config:\n  max_entries_limit_per_query: {}\n  max_query_length: {}\n  max_query_lookback: {}\n  max_query_series: {}\n",
        engine.entries_max,
        span(limits.length),
        span(limits.lookback),
        engine.series_max
    );
    text(StatusCode::OK, lines)
}

/// `GET|POST /loki/api/v1/format_query`.
pub(super) async fn format_query(State(app): State<Arc<App>>, request: Request) -> Result<Response, LokiError> {
    let params = Params::read(request).await?;
    match parse(&params.query(&app)?) {
        Ok(expr) => Ok(Data(expr.pretty()).into_response()),
        Err(error) => Ok(json_response(StatusCode::BAD_REQUEST, to_json(&json!({"status": "invalid-query", "error": error.to_string()})))),
    }
}
