//! What clients ask beside the data: whether somebody is there, readiness, the version that is claimed.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use super::answer::Plain;
use crate::app::App;
use crate::prometheus::answer::text;

/// The version that is claimed: Grafana chooses what it offers by it.
const VERSION: &str = "2.9.0";

/// `GET /api/echo`: by it Grafana tells whether the data source works.
pub(super) async fn echo() -> Response {
    text(StatusCode::OK, "echo")
}

/// `GET /ready`.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    match (app.rooms.storage)().failure {
        None => text(StatusCode::OK, "ready\n"),
        Some(_) => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    }
}

/// `GET /api/status/buildinfo`, `/status/buildinfo`.
pub(super) async fn buildinfo(State(app): State<Arc<App>>) -> Plain {
    let build = &app.rooms.build;
    Plain(json!({
        "version": VERSION, "revision": build.revision, "branch": "main", "buildUser": format!("watchfire {}", build.version), "buildDate": "", "goVersion": ""
    }))
}
