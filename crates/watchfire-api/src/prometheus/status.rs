//! `/api/v1/status/*`, the rule and alert lists (there is no rule engine here, so they are honestly empty), health and
//! life cycle.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::json;
use watchfire_model::duration::format_millis;
use watchfire_model::order::Order as _;
use watchfire_model::read::{Budget, Selection};

use super::answer::{ApiError, Success, text};
use super::gate::run;
use super::params::Params;
use crate::app::App;
use watchfire_net::blocking::spawn_blocking;

/// The version of the interface that we speak: clients choose their dialect by it.
const SPOKEN_VERSION: &str = "3.5.0";
/// How far back `/api/v1/status/tsdb` looks for series, in milliseconds.
const TSDB_WINDOW_MS: i64 = 2 * 60 * 60 * 1000;

/// `GET /api/v1/status/buildinfo`. There is no `features` on purpose: clients would take us for Mimir.
pub(crate) async fn buildinfo(State(app): State<Arc<App>>) -> Success {
    let build = &app.rooms.build;
    Success::of(&json!({
        "version": SPOKEN_VERSION,
        "revision": build.revision,
        "branch": format!("watchfire-{}", build.version),
        "buildUser": "watchfire",
        "buildDate": "",
        "goVersion": build.compiler,
        "application": "watchfire",
        "applicationVersion": build.version,
    }))
}

/// `GET /api/v1/status/runtimeinfo`.
pub(crate) async fn runtimeinfo(State(app): State<Arc<App>>) -> Success {
    let rooms = &app.rooms;
    let (loaded, good) = (rooms.last_reload)();
    let storage = (rooms.storage)();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let retention = storage.signals.iter().find(|s| s.name == "metrics").and_then(|s| s.retention);
    Success::of(&json!({
        "startTime": rooms.started_at.rfc3339(),
        "CWD": rooms.working_dir,
        "hostname": "",
        "serverTime": app.now().rfc3339(),
        "reloadConfigSuccess": good,
        "lastConfigTime": loaded.rfc3339(),
        "corruptionCount": 0,
        "goroutineCount": 0,
        "GOMAXPROCS": threads,
        "GOMEMLIMIT": 0,
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": retention.map_or_else(|| "unlimited".to_owned(), |r| format_millis(r.as_millis() as u64)),
    }))
}

/// `GET /api/v1/status/config`.
pub(crate) async fn config(State(app): State<Arc<App>>) -> Success {
    Success::of(&json!({ "yaml": (app.rooms.config_yaml)() }))
}

/// `GET /api/v1/status/flags`.
pub(crate) async fn flags(State(app): State<Arc<App>>) -> Success {
    Success::of(&app.rooms.flags)
}

/// `GET /api/v1/status/walreplay`: the log is read before we listen, so there is never anything left to replay.
pub(crate) async fn walreplay() -> Success {
    Success::of(&json!({ "min": 0, "max": 0, "current": 0 }))
}

#[derive(Serialize)]
struct Stat {
    name: String,
    value: u64,
}

/// The `limit` largest counts, largest first.
fn top(counts: BTreeMap<String, u64>, limit: usize) -> Vec<Stat> {
    let mut list: Vec<Stat> = counts.into_iter().map(|(name, value)| Stat { name, value }).collect();
    list.order_by(|a, b| b.value.cmp(&a.value).then_with(|| a.name.cmp(&b.name)));
    list.truncate(limit);
    list
}

/// `GET /api/v1/status/tsdb`: cardinality of the series of the last two hours.
pub(crate) async fn tsdb(State(app): State<Arc<App>>, request: Request) -> Result<Success, ApiError> {
    let limit = match Params::read(request).await?.get("limit") {
        None => 10,
        Some(limit) => limit.parse().ok().filter(|n| *n > 0).ok_or_else(|| ApiError::bad_data("limit must be a positive number"))?,
    };
    run(&app, None, move |app, budget| tsdb_of(app, budget, limit)).await
}

fn tsdb_of(app: &App, budget: &Budget, limit: usize) -> Result<Success, ApiError> {
    let end = app.now();
    let selection = Selection { matchers: Vec::new(), start: end.plus_ms(-TSDB_WINDOW_MS), end };
    let all = app.rooms.source.series(&selection, budget)?;
    let mut by_metric = BTreeMap::<String, u64>::new();
    let mut by_pair = BTreeMap::<String, u64>::new();
    let mut values = BTreeMap::<String, BTreeSet<&str>>::new();
    for labels in &all {
        budget.check()?;
        *by_metric.entry(labels.metric_name().to_owned()).or_default() += 1;
        for (name, value) in labels {
            *by_pair.entry(format!("{name}={value}")).or_default() += 1;
            values.entry(name.to_owned()).or_default().insert(value);
        }
    }
    let pairs = by_pair.len();
    let value_counts = values.iter().map(|(name, set)| (name.clone(), set.len() as u64)).collect();
    let value_bytes = values.iter().map(|(name, set)| (name.clone(), set.iter().map(|v| v.len() as u64).sum())).collect();
    let storage = (app.rooms.storage)();
    let metrics = storage.signals.iter().find(|s| s.name == "metrics");
    Ok(Success::of(&json!({
        "headStats": {
            "numSeries": all.len(),
            "numLabelPairs": pairs,
            "chunkCount": metrics.map_or(0, |m| m.segments),
            "minTime": metrics.and_then(|m| m.oldest).map_or(0, |t| t.millis()),
            "maxTime": metrics.and_then(|m| m.newest).map_or(0, |t| t.millis()),
        },
        "seriesCountByMetricName": top(by_metric, limit),
        "labelValueCountByLabelName": top(value_counts, limit),
        "memoryInBytesByLabelName": top(value_bytes, limit),
        "seriesCountByLabelValuePair": top(by_pair, limit),
    })))
}

/// `GET /api/v1/notifications`: what the page of Prometheus should show above everything else; there is nothing of the kind.
pub(crate) async fn notifications() -> Success {
    Success::of(&json!([]))
}

/// `GET|HEAD /-/healthy`.
pub(crate) async fn healthy() -> Response {
    text(StatusCode::OK, "Watchfire is Healthy.\n")
}

/// `GET|HEAD /-/ready`.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    match (app.rooms.storage)().failure {
        None => text(StatusCode::OK, "Watchfire is Ready.\n"),
        // Everybody may ask, so the reason is told elsewhere.
        Some(_) => text(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable\n"),
    }
}

fn life_cycle_is_off() -> Response {
    text(StatusCode::FORBIDDEN, "Lifecycle API is not enabled.")
}

/// `POST|PUT /-/reload`.
pub(crate) async fn reload(State(app): State<Arc<App>>) -> Response {
    let Some(reload) = app.rooms.reload.clone() else { return life_cycle_is_off() };
    match spawn_blocking(move || reload()).await {
        Ok(Ok(())) => StatusCode::OK.into_response(),
        Ok(Err(reason)) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("failed to reload config: {reason}\n")),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "failed to reload config: the server's log says more\n"),
    }
}

/// `POST|PUT /-/quit`.
pub(crate) async fn quit(State(app): State<Arc<App>>) -> Response {
    match &app.rooms.quit {
        None => life_cycle_is_off(),
        Some(quit) => {
            quit();
            text(StatusCode::OK, "Requesting termination... Goodbye!")
        }
    }
}

/// The answer to GET where only an action is meant.
pub(crate) async fn only_post() -> Response {
    text(StatusCode::METHOD_NOT_ALLOWED, "Only POST or PUT requests allowed")
}

/// `GET /graph`: the page has the expression browser.
pub(crate) async fn graph(request: Request) -> Response {
    let to = request.uri().query().map_or_else(|| "/query".to_owned(), |query| format!("/query?{query}"));
    let location = HeaderValue::try_from(to).unwrap_or(HeaderValue::from_static("/query"));
    (StatusCode::FOUND, [(LOCATION, location)]).into_response()
}

/// What Prometheus says to paths it does not know; Grafana recognises the words.
pub(crate) fn not_found() -> Response {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}
