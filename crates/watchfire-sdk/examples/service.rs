//! A small service with everything that the SDK brings: it is asked over HTTP, "detects" something, asks the next service and tells.
//! `LISTEN` (127.0.0.1:8090), `NEXT_URL` (none) and `LOG_FILE` (standard error) beside the variables of the SDK. It detects nothing.

use std::error::Error;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use watchfire_sdk::logs::Output;
use watchfire_sdk::reqwest::client;
use watchfire_sdk::{Setup, get_metrics_service, get_trace_id, trace_span};

fn variable(name: &str) -> Option<String> {
    std::env::vars().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value)
}

async fn detect(State(next): State<Option<String>>, Path(camera): Path<String>) -> Result<Json<Value>, StatusCode> {
    let span = trace_span("detect_objects").with("camera_id", camera.clone());
    let answer = span.follow(ask(next.as_deref(), &camera)).await.map_err(|error| {
        span.fail(&error);
        tracing::error!(camera_id = camera, %error, "Detection failed");
        StatusCode::BAD_GATEWAY
    })?;
    span.set_attribute("detection_count", 1);
    span.in_scope(|| tracing::info!(camera_id = camera, "Detection complete"));
    get_metrics_service().record_detection_by_class("person");
    Ok(Json(json!({"trace_id": get_trace_id(), "next": answer})))
}

async fn ask(next: Option<&str>, camera: &str) -> Result<Value, Box<dyn Error + Send + Sync>> {
    let Some(next) = next else { return Ok(Value::Null) };
    let answer = client(reqwest::Client::new()).get(format!("{next}/{camera}")).send().await?.error_for_status()?;
    Ok(serde_json::from_str(&answer.text().await?)?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut setup = Setup::from_environment()?;
    if let Some(path) = variable("LOG_FILE") {
        setup.output = Output::File(path.into());
    }
    let telemetry = setup.start()?;
    let app = Router::new().route("/detect/{camera}", get(detect)).with_state(variable("NEXT_URL")).layer(from_fn(watchfire_sdk::axum::observe));
    let listener = tokio::net::TcpListener::bind(variable("LISTEN").unwrap_or_else(|| "127.0.0.1:8090".to_owned())).await?;
    axum::serve(listener, app).with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) }).await?;
    drop(telemetry);
    Ok(())
}
