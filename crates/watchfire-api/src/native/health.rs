//! Health, readiness and liveness. Only what is configured counts: a dependency that nobody named is `not_configured`,
//! never healthy.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use watchfire_model::live::{GpuOrigin, GpuSample, ServiceStatus};
use watchfire_model::time::Timestamp;

use crate::app::{App, StorageStats};
use crate::services::shapes::EventJson;

const HEALTHY: &str = "healthy";
const UNHEALTHY: &str = "unhealthy";
const DEGRADED: &str = "degraded";
const NOT_CONFIGURED: &str = "not_configured";
/// The services that every answer names, configured or not.
const ALWAYS_NAMED: [&str; 4] = ["database", "redis", "rtdetr", "nemotron"];
/// The services that together are `ai`.
const AI_SERVICES: [&str; 8] = ["rtdetr", "yolo26", "nemotron", "florence", "clip", "enrichment", "ollama", "ai"];
/// Events in one answer.
const RECENT_EVENTS_MAX: usize = 50;
/// A GPU whose newest sample is older than this is not well: twice the longest polling interval.
const GPU_SAMPLE_AGE_MS_MAX: i64 = 120_000;

/// The health of the whole system.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Health"))]
pub(crate) struct HealthJson {
    /// `healthy`, `degraded` or `unhealthy`.
    status: &'static str,
    /// One word per service.
    services: BTreeMap<String, &'static str>,
    /// When this was found out.
    timestamp: String,
    /// The same services with words for people.
    details: BTreeMap<String, DetailJson>,
    /// The newest changes of supervised services, newest first, at most 50.
    recent_events: Vec<EventJson>,
}
#[derive(Serialize, Clone)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "ServiceDetail"))]
struct DetailJson {
    /// The same word as under `services`.
    status: &'static str,
    /// A sentence, if there is something to say.
    message: Option<String>,
}

/// Whether requests that need the system should come now.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Readiness"))]
pub(crate) struct ReadyJson {
    /// The short answer.
    ready: bool,
    /// `ready`, `degraded` or `not_ready`.
    status: &'static str,
    /// One word per service.
    services: BTreeMap<String, &'static str>,
    /// Our own background workers. They do not decide readiness.
    workers: Vec<WorkerJson>,
    /// When this was found out.
    timestamp: String,
    /// The services with words for people.
    details: BTreeMap<String, DetailJson>,
    /// Whether all workers run.
    supervisor_healthy: bool,
}
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Worker"))]
struct WorkerJson {
    name: String,
    running: bool,
    message: Option<String>,
}
/// One word.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Status"))]
pub(crate) struct StatusJson {
    /// The word.
    status: &'static str,
}

/// Everything that is known about services, by name.
fn details(app: &App) -> BTreeMap<String, DetailJson> {
    let mut all = BTreeMap::new();
    for name in ALWAYS_NAMED {
        all.insert(name.to_owned(), DetailJson { status: NOT_CONFIGURED, message: None });
    }
    let services = (app.rooms.services)();
    if !services.iter().any(|s| s.name == "ai") {
        all.insert("ai".to_owned(), ai(&services));
    }
    for service in services {
        let message = Some(service.message).filter(|m| !m.is_empty());
        all.insert(service.name, DetailJson { status: service.status, message });
    }
    all.insert("gpu".to_owned(), gpu(app.rooms.gpu.current(), app.now()));
    all.insert("storage".to_owned(), storage((app.rooms.storage)()));
    all
}

fn ai(services: &[ServiceStatus]) -> DetailJson {
    let mut configured = services.iter().filter(|s| AI_SERVICES.contains(&s.name.as_str()) && s.status != NOT_CONFIGURED).peekable();
    if configured.peek().is_none() {
        return DetailJson { status: NOT_CONFIGURED, message: None };
    }
    let bad: Vec<&str> = configured.filter(|s| s.status != HEALTHY).map(|s| s.name.as_str()).collect();
    if bad.is_empty() {
        return DetailJson { status: HEALTHY, message: Some("AI services operational".to_owned()) };
    }
    DetailJson { status: UNHEALTHY, message: Some(format!("not healthy: {}", bad.join(", "))) }
}

/// A store that cannot write is ill; one without some of its old data does its work.
fn storage(stats: StorageStats) -> DetailJson {
    match (stats.failure, stats.offline) {
        (Some(failure), _) => DetailJson { status: UNHEALTHY, message: Some(failure) },
        (None, Some(offline)) => DetailJson { status: DEGRADED, message: Some(offline) },
        (None, None) => DetailJson { status: HEALTHY, message: None },
    }
}

fn gpu(sample: Option<GpuSample>, now: Timestamp) -> DetailJson {
    match sample {
        None => DetailJson { status: NOT_CONFIGURED, message: Some("no sample yet".to_owned()) },
        Some(s) if s.origin == GpuOrigin::Mock => DetailJson { status: NOT_CONFIGURED, message: Some("no GPU found".to_owned()) },
        Some(s) if now.millis() - s.recorded_at.millis() > GPU_SAMPLE_AGE_MS_MAX => {
            DetailJson { status: UNHEALTHY, message: Some(format!("no sample since {}", s.recorded_at.rfc3339())) }
        }
        Some(s) => DetailJson { status: HEALTHY, message: Some(format!("{} by {}, memory pressure {}", s.name, s.origin.name(), s.pressure().name())) },
    }
}

fn words(details: &BTreeMap<String, DetailJson>) -> BTreeMap<String, &'static str> {
    details.iter().map(|(name, d)| (name.clone(), d.status)).collect()
}

/// Whether one service is configured and not healthy.
fn is_bad(details: &BTreeMap<String, DetailJson>, name: &str) -> bool {
    details.get(name).is_some_and(|d| d.status != HEALTHY && d.status != NOT_CONFIGURED)
}

/// The word for the whole: nothing bad is healthy; a bad database or our own store is unhealthy; the rest is degraded.
fn overall(details: &BTreeMap<String, DetailJson>) -> &'static str {
    if is_bad(details, "database") || details.get("storage").is_some_and(|d| d.status == UNHEALTHY) {
        UNHEALTHY
    } else if details.keys().any(|name| is_bad(details, name)) {
        DEGRADED
    } else {
        HEALTHY
    }
}

/// The word for the whole, for other faces.
pub(crate) fn overall_status(app: &App) -> &'static str {
    overall(&details(app))
}

/// `GET /api/system/health`.
pub(crate) async fn health(State(app): State<Arc<App>>) -> Json<HealthJson> {
    let details = details(&app);
    let recent_events = app.rooms.supervisor.snapshot().recent.iter().take(RECENT_EVENTS_MAX).map(EventJson::new).collect();
    Json(HealthJson { status: overall(&details), services: words(&details), timestamp: app.now().rfc3339(), details, recent_events })
}

/// `GET /api/system/health/ready`: 200 when ready, 503 otherwise.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    let details = details(&app);
    let status = if is_bad(&details, "database") || is_bad(&details, "storage") {
        "not_ready"
    } else if is_bad(&details, "redis") {
        "degraded"
    } else {
        "ready"
    };
    let workers: Vec<WorkerJson> = (app.rooms.workers)().into_iter().map(|w| WorkerJson { name: w.name, running: w.running, message: w.message }).collect();
    let answer = ReadyJson {
        ready: status == "ready",
        status,
        services: words(&details),
        supervisor_healthy: workers.iter().all(|w| w.running),
        workers,
        timestamp: app.now().rfc3339(),
        details,
    };
    let code = if answer.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(answer)).into_response()
}

/// `GET /api/system/health/live`.
pub(crate) async fn live() -> Json<StatusJson> {
    Json(StatusJson { status: "alive" })
}

/// `GET /health`: whether this process answers; nothing else counts.
pub(crate) async fn alive() -> Json<StatusJson> {
    Json(StatusJson { status: HEALTHY })
}

/// `GET /ready`: whether we can take and give data; one word, because everybody may ask.
pub(crate) async fn public_ready(State(app): State<Arc<App>>) -> Response {
    match (app.rooms.storage)().failure {
        None => Json(StatusJson { status: "ready" }).into_response(),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, Json(StatusJson { status: "not_ready" })).into_response(),
    }
}
