//! Jobs over HTTP: any program pushes them, leases them and says how it went. A payload is bytes, which come out as they went in.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::StatusCode;
#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use watchfire_net::inflate::Limits;
use watchfire_pipeline::queue::backend::{LeaseId, PAYLOAD_BYTES_MAX, QueueError};
use watchfire_pipeline::queue::failure::Report;
use watchfire_pipeline::queue::name::{DeadQueue, QueueName};
use watchfire_pipeline::queue::{Outcome, Work};

use crate::app::App;
use crate::native::{Query, invalid};
use crate::server::{Content, Level, Parameter, Place, Refusal, Route};

/// The largest report about a failure.
const REPORT_BYTES_MAX: usize = 64 << 10;

/// The routes of the face.
pub fn routes() -> Vec<Route<Arc<App>>> {
    let integer = |name, description| Parameter { name, place: Place::Query, required: false, kind: "integer", description };
    let lease_ms = || integer("lease_ms", "For how long, in milliseconds; what the settings say when nothing is said");
    let all = [
        Route::get("/api/queues", Level::Read, list).summary("The queues and what is in them").answers::<Vec<QueueJson>>(200, "The queues"),
        Route::post("/api/queues/{queue}/jobs", Level::Ingest, push)
            .summary("Puts a job at the end of a queue; the body is the job")
            .takes(Content::Any)
            .body_limits(Limits::both(PAYLOAD_BYTES_MAX))
            .answers::<PushedJson>(201, "The job is durable")
            .answers_with(429, "application/json", "The queue is full"),
        Route::post("/api/queues/{queue}/lease", Level::Ingest, lease)
            .summary("Gives jobs to a worker")
            .query_parameter("worker", "The worker's name")
            .parameter(integer("count", "How many at most, 1 to 100; default 1"))
            .parameter(integer("wait_ms", "How long to wait for a job, up to 30000; default 0"))
            .parameter(lease_ms())
            .answers::<LeasedJson>(200, "The jobs; none when there is none"),
        Route::post("/api/queues/{queue}/leases/{lease}/ack", Level::Ingest, ack)
            .summary("The work is done: the job is gone")
            .answers::<DoneJson>(200, "It is"),
        Route::post("/api/queues/{queue}/leases/{lease}/fail", Level::Ingest, fail)
            .summary("The attempt failed: the job is tried again, or dead")
            .json::<ReportJson>()
            .body_limits(Limits::both(REPORT_BYTES_MAX))
            .answers::<OutcomeJson>(200, "What becomes of it"),
        Route::post("/api/queues/{queue}/leases/{lease}/extend", Level::Ingest, extend)
            .summary("The work takes longer")
            .parameter(lease_ms())
            .answers::<DoneJson>(200, "The new end"),
        Route::post("/api/queues/{queue}/leases/{lease}/release", Level::Ingest, release)
            .summary("Gives a job back untouched")
            .answers::<DoneJson>(200, "It is the next one"),
    ];
    let named = |route: Route<Arc<App>>| {
        let path = route.spec().path.clone();
        let route = if path.contains("{queue}") { route.path_parameter("queue", "The queue, for example detection_queue") } else { route };
        if path.contains("{lease}") { route.path_parameter("lease", "The lease, as it was given") } else { route }
    };
    all.into_iter().map(|route| named(route).tag("queues")).collect()
}

/// A queue.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Queue"))]
struct QueueJson {
    /// Its name.
    name: String,
    /// Jobs that wait for a worker.
    waiting: u64,
    /// Jobs that wait for their next attempt.
    retrying: u64,
    /// Jobs in workers' hands.
    leased: u64,
    /// Dead letters.
    dead: u64,
    /// Jobs that found no room.
    overflow: u64,
    /// How many may wait.
    max_size: u64,
    /// The filled share.
    fill: f64,
    /// Whether producers should slow down.
    backpressure: bool,
    /// What happens to a job that finds no room: `reject`, `drop_oldest`, `dlq`.
    overflow_policy: &'static str,
}
/// A job that was taken.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "PushedJob"))]
struct PushedJson {
    /// Its id; null where the backend gives none.
    id: Option<String>,
    /// Jobs that wait now.
    depth: u64,
    /// The filled share of the queue.
    fill: f64,
    /// Whether the producer should slow down.
    backpressure: bool,
}
/// Jobs for a worker.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "LeasedJobs"))]
struct LeasedJson {
    /// The jobs.
    jobs: Vec<JobJson>,
}
/// A job for a worker.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "LeasedJob"))]
struct JobJson {
    /// The job.
    id: String,
    /// The lease, with which the worker says how it went.
    lease: String,
    /// Which attempt this is, from one.
    attempt: u32,
    /// How many there may be.
    max_attempts: u32,
    /// When the job goes to somebody else, RFC 3339.
    leased_until: String,
    /// The job as it was sent; null when it is no text.
    payload: Option<String>,
    /// The job in base64 when it is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}
/// What a worker says about a failed attempt.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "FailedAttempt"))]
#[serde(deny_unknown_fields)]
struct ReportJson {
    /// What went wrong, in words.
    error: String,
    /// The class of the error.
    #[serde(default)]
    error_type: Option<String>,
    /// Where it went wrong; 4096 bytes are kept.
    #[serde(default)]
    stack_trace: Option<String>,
    /// The status of a service's answer.
    #[serde(default)]
    http_status: Option<u16>,
    /// The begin of that answer; 2048 bytes are kept.
    #[serde(default)]
    response_body: Option<String>,
    /// Anything else.
    #[serde(default)]
    context: Option<Map<String, Value>>,
    /// Whether another attempt makes sense; the policy decides when nothing is said.
    #[serde(default)]
    retry: Option<bool>,
}
/// What becomes of a job that failed.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "FailedJob"))]
struct OutcomeJson {
    /// `retry` or `dead`.
    outcome: &'static str,
    /// Attempts so far.
    attempt_count: u32,
    /// The wait until the next attempt, in milliseconds.
    delay_ms: Option<u64>,
    /// When that is, RFC 3339.
    retry_at: Option<String>,
    /// Where the dead job lies.
    dlq_name: Option<String>,
}
/// It is done.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "LeaseDone"))]
struct DoneJson {
    /// Always true.
    success: bool,
    /// When the job goes to somebody else, RFC 3339.
    leased_until: Option<String>,
}

fn queue<'a>(app: &'a App, name: &str) -> Result<&'a QueueName, Refusal> {
    Ok(app.rooms.queues.queue(name)?)
}
fn lease_id(text: &str) -> Result<LeaseId, Refusal> {
    LeaseId::parse(text).ok_or_else(|| QueueError::UnknownLease.into())
}
fn between(query: &Query, name: &'static str, range: std::ops::RangeInclusive<i64>) -> Result<Option<u64>, Refusal> {
    let Some(value) = query.integer(name)? else { return Ok(None) };
    let expected = || invalid(name, &value.to_string(), &format!("a whole number from {} to {}", range.start(), range.end()));
    u64::try_from(value).ok().filter(|_| range.contains(&value)).map(Some).ok_or_else(expected)
}
fn lease_time(query: &Query) -> Result<Option<Duration>, Refusal> {
    Ok(between(query, "lease_ms", 1_000..=86_400_000)?.map(Duration::from_millis))
}

async fn list(State(app): State<Arc<App>>) -> Result<Json<Vec<QueueJson>>, Refusal> {
    let queues = &app.rooms.queues;
    let mut all = Vec::new();
    for name in &queues.settings().names {
        let depths = queues.depths(name).await?;
        let settings = queues.settings();
        let fill = depths.depth() as f64 / settings.room.jobs.max(1) as f64;
        all.push(QueueJson {
            name: name.to_string(),
            waiting: depths.waiting,
            retrying: depths.retrying,
            leased: depths.leased,
            dead: depths.dead,
            overflow: depths.overflow,
            max_size: settings.room.jobs,
            fill,
            backpressure: fill >= settings.backpressure,
            overflow_policy: settings.room.overflow.word(),
        });
    }
    Ok(Json(all))
}

async fn push(State(app): State<Arc<App>>, Path(name): Path<String>, payload: Bytes) -> Result<Response, Refusal> {
    let accepted = app.rooms.queues.push(queue(&app, &name)?, payload).await?;
    let answer = PushedJson { id: accepted.id, depth: accepted.depth, fill: accepted.fill, backpressure: accepted.backpressure };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

async fn lease(State(app): State<Arc<App>>, Path(name): Path<String>, RawQuery(query): RawQuery) -> Result<Json<LeasedJson>, Refusal> {
    let query = Query::new(query);
    let queue = queue(&app, &name)?;
    let count = between(&query, "count", 1..=100)?.unwrap_or(1) as usize;
    let wait = Duration::from_millis(between(&query, "wait_ms", 0..=30_000)?.unwrap_or(0));
    let worker = query.text("worker").unwrap_or_else(|| "unnamed".to_owned());
    let work = app.rooms.queues.lease(queue, &worker, count, lease_time(&query)?, wait).await?;
    let attempts = app.rooms.queues.settings().retry.attempts;
    Ok(Json(LeasedJson { jobs: work.into_iter().map(|w| job(w, attempts)).collect() }))
}
fn job(work: Work, max_attempts: u32) -> JobJson {
    let payload = String::from_utf8(work.leased.payload.to_vec());
    let payload_base64 = payload.is_err().then(|| BASE64.encode(&work.leased.payload));
    JobJson {
        id: work.leased.lease.job.clone(),
        lease: work.leased.lease.to_string(),
        attempt: work.attempt,
        max_attempts,
        leased_until: work.until.rfc3339_millis(),
        payload: payload.ok(),
        payload_base64,
    }
}

async fn ack(State(app): State<Arc<App>>, Path((name, lease)): Path<(String, String)>) -> Result<Json<DoneJson>, Refusal> {
    app.rooms.queues.ack(queue(&app, &name)?, &lease_id(&lease)?).await?;
    Ok(Json(DoneJson { success: true, leased_until: None }))
}
async fn release(State(app): State<Arc<App>>, Path((name, lease)): Path<(String, String)>) -> Result<Json<DoneJson>, Refusal> {
    app.rooms.queues.release(queue(&app, &name)?, &lease_id(&lease)?).await?;
    Ok(Json(DoneJson { success: true, leased_until: None }))
}
async fn extend(State(app): State<Arc<App>>, Path((name, lease)): Path<(String, String)>, RawQuery(query): RawQuery) -> Result<Json<DoneJson>, Refusal> {
    let by = lease_time(&Query::new(query))?;
    let until = app.rooms.queues.extend(queue(&app, &name)?, &lease_id(&lease)?, by).await?;
    Ok(Json(DoneJson { success: true, leased_until: Some(until.rfc3339_millis()) }))
}
async fn fail(State(app): State<Arc<App>>, Path((name, lease)): Path<(String, String)>, body: Bytes) -> Result<Json<OutcomeJson>, Refusal> {
    let queue = queue(&app, &name)?;
    let r: ReportJson = serde_json::from_slice(&body).map_err(|e| Refusal::new(StatusCode::BAD_REQUEST, "malformed_body", e.to_string()))?;
    let report = Report {
        error: r.error,
        error_type: r.error_type,
        stack_trace: r.stack_trace,
        http_status: r.http_status,
        response_body: r.response_body,
        context: r.context,
        retry: r.retry,
    };
    Ok(Json(match app.rooms.queues.fail(queue, &lease_id(&lease)?, &report).await? {
        Outcome::Retry { failed, delay, due } => OutcomeJson {
            outcome: "retry",
            attempt_count: failed,
            delay_ms: Some(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
            retry_at: Some(due.rfc3339_millis()),
            dlq_name: None,
        },
        Outcome::Dead { failed, queue } => dead(failed, &queue),
    }))
}
fn dead(attempt_count: u32, queue: &DeadQueue) -> OutcomeJson {
    OutcomeJson { outcome: "dead", attempt_count, delay_ms: None, retry_at: None, dlq_name: Some(queue.to_string()) }
}
