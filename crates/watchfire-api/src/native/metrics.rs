//! `/metrics` under its three names, and `POST /api/metrics/record`: telemetry out and in for programs without a client
//! library. Which names exist and what is a good value is decided by the catalogs, below.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CONTENT_TYPE, VARY};
use http::{HeaderValue, StatusCode};
#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watchfire_ingest::exposition::{Format, render};
use watchfire_model::batch::Origin;

use crate::app::{App, RecordError, Recorded};
use crate::prometheus::answer::ApiError;
use crate::prometheus::gate::run;
use crate::server::Refusal;
use watchfire_net::blocking::spawn_blocking;

/// The largest body of `POST /api/metrics/record`.
pub(crate) const RECORD_BYTES_MAX: usize = watchfire_ingest::record::BODY_BYTES_MAX;
/// Refused items that are named in an answer; the rest is only counted.
const REFUSED_NAMED_MAX: usize = 100;

/// `GET /metrics`.
pub(crate) async fn metrics(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refusal> {
    let accept = request.headers().get(ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("");
    let format = Format::negotiate(accept);
    let body = run(&app, None, move |app, _| {
        let mut families = (app.rooms.exposition)();
        families.retain(|f| !is_gpu_hardware(&f.name));
        Ok::<_, ApiError>(render(format, &families))
    });
    let body = body.await?;
    let headers = [(CONTENT_TYPE, HeaderValue::from_static(format.content_type())), (VARY, HeaderValue::from_static("accept"))];
    Ok((headers, body).into_response())
}

/// Figures of the GPU itself are no part of a program's exposition: they are served by `/api/system/gpu` and stored as
/// series of their own. What programs count about their use of it stays.
fn is_gpu_hardware(family: &str) -> bool {
    let prefixed = ["hsi_gpu_", "gpu_", "nvidia_", "DCGM_"].iter().any(|prefix| family.starts_with(prefix));
    prefixed && family != "hsi_gpu_seconds_total"
}

/// One value to record.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "RecordItem"))]
#[expect(dead_code, reason = "documents the body; the recorder reads it")]
pub(crate) struct ItemJson {
    /// The metric's name, as a catalog declares it.
    name: String,
    /// Its labels.
    #[serde(default)]
    labels: std::collections::BTreeMap<String, String>,
    /// Set for gauges, added for counters, observed for histograms.
    value: f64,
}

/// What became of the items.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Recorded"))]
pub(crate) struct RecordedJson {
    /// Items that were recorded, also when others were refused.
    recorded: u64,
    /// Items that were refused.
    refused: u64,
    /// The refused items, at most the first hundred.
    errors: Vec<RefusedJson>,
}
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "RefusedItem"))]
struct RefusedJson {
    /// Place in the list, from zero.
    index: usize,
    /// The metric that it named.
    name: String,
    /// A stable code.
    code: String,
    /// A sentence for people.
    message: String,
}

/// `POST /api/metrics/record`: 200 when everything was recorded, 422 when something was refused.
pub(crate) async fn record(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refusal> {
    let origin = Origin::new(&match crate::prometheus::write::peer(&request) {
        Some(ip) => format!("record/{ip}"),
        None => "record".to_owned(),
    });
    let body = axum::body::to_bytes(request.into_body(), RECORD_BYTES_MAX)
        .await
        .map_err(|_| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("the body is larger than {RECORD_BYTES_MAX} bytes or broke off")))?;
    let outcome = spawn_blocking(move || app.rooms.recorder.record(&body, origin)).await;
    match outcome {
        Ok(Ok(recorded)) => Ok(answer(recorded)),
        Ok(Err(RecordError::Malformed(message))) => Err(Refusal::new(StatusCode::BAD_REQUEST, "malformed_body", message)),
        Ok(Err(RecordError::TooLarge(message))) => Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)),
        Ok(Err(RecordError::Unavailable(message))) => Err(Refusal::unavailable(message, 1)),
        Err(_) => Err(Refusal::internal()),
    }
}

fn answer(recorded: Recorded) -> Response {
    let refused = recorded.refused.len() as u64;
    let errors = recorded.refused.into_iter().take(REFUSED_NAMED_MAX);
    let errors = errors.map(|r| RefusedJson { index: r.index, name: r.name, code: r.code.to_owned(), message: r.message }).collect();
    let status = if refused == 0 { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    (status, Json(RecordedJson { recorded: recorded.recorded, refused, errors })).into_response()
}
