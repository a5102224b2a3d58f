//! `POST /api/ds/query`: queries as Grafana's own page and tools send them, answered in data frames. Each runs as one of
//! `/api/dashboards/query` does, within the same limits; this only reads and writes another shape.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};
use watchfire_net::blocking::spawn_blocking;

use super::batch::{Kind, Outcome, Over, QUERIES_MAX, QueryJson, Range, run_all};
use super::boards::Boards;
use super::error::GrafanaError;
use super::render::{Variables, moment, series_name};
use super::{Answer, object};
use crate::app::App;

/// The step where nobody says one, as Grafana has it.
const INTERVAL_MS: u64 = 15_000;
/// Points of a series where nobody says how many.
const POINTS: u64 = 1_000;
/// The longest step that is taken at its word.
const STEP_MAX_MS: u64 = 366 * 86_400_000;

/// A query that was asked, and what becomes of it.
struct Asked {
    name: String,
    legend: String,
    step_ms: u64,
    /// Why it is not asked at all, or how often it runs: over the range, at its end, or both.
    runs: Result<Vec<QueryJson>, String>,
}

pub(super) async fn query(State(app): State<Arc<App>>, request: Request) -> Result<Response, GrafanaError> {
    let body = object(request).await?;
    let queries = body.get("queries").and_then(Value::as_array).map_or(&[][..], Vec::as_slice).to_vec();
    if queries.is_empty() {
        return Err(GrafanaError::bad("no queries found"));
    }
    if queries.len() > QUERIES_MAX {
        return Err(GrafanaError::bad(format!("{} queries in one request, more than {QUERIES_MAX}", queries.len())));
    }
    let range = range(&body, app.now().millis())?;
    let boards = app.rooms.boards.clone();
    let asked = spawn_blocking(move || queries.iter().enumerate().map(|(at, query)| read(&boards, query, at, range)).collect::<Vec<Asked>>());
    let asked = asked.await.map_err(|_| GrafanaError::new(StatusCode::INTERNAL_SERVER_ERROR, "it failed inside; the server's log says more"))?;
    let until = app.rooms.clock.monotonic() + app.rooms.limits.timeout;
    let runs: Vec<QueryJson> = asked.iter().flat_map(|a| a.runs.iter().flatten().cloned()).collect();
    let mut outcomes = run_all(&app, runs, range, until).await.into_iter();
    let mut results = Map::new();
    let mut status = StatusCode::OK;
    for one in asked {
        let result = match &one.runs {
            Err(reason) => failed(reason),
            Ok(runs) => answered(&one, outcomes.by_ref().take(runs.len())),
        };
        if result.get("error").is_some() {
            status = StatusCode::BAD_REQUEST;
        }
        results.insert(one.name, result);
    }
    Ok((status, Answer(json!({ "results": results }))).into_response())
}

fn failed(reason: &str) -> Value {
    json!({"error": reason, "errorSource": "downstream", "status": 400, "frames": []})
}

fn answered(asked: &Asked, outcomes: impl Iterator<Item = Outcome>) -> Value {
    let mut frames = Vec::new();
    for outcome in outcomes {
        let data = outcome.and_then(|(data, _)| serde_json::from_slice::<Value>(&data).map_err(|error| error.to_string()));
        match data {
            Ok(data) => frames.extend(frames_of(asked, &data)),
            Err(reason) => return failed(&reason),
        }
    }
    json!({"status": 200, "frames": frames})
}

/// `from` and `to`: milliseconds, as numbers or texts, or `now-1h`.
fn range(body: &Map<String, Value>, now: i64) -> Result<Range, GrafanaError> {
    let mut ends = [now - 3_600_000, now];
    for (slot, key) in ends.iter_mut().zip(["from", "to"]) {
        let bad = || GrafanaError::bad(format!("{key} must be a time: milliseconds, now-1h"));
        *slot = match body.get(key) {
            None | Some(Value::Null) => *slot,
            Some(Value::String(text)) => moment(text, now, &TimeZone::UTC, key == "to").ok_or_else(bad)?,
            Some(other) => other.as_i64().ok_or_else(bad)?,
        };
    }
    let [from, to] = ends;
    if to < from {
        return Err(GrafanaError::bad("the range ends before it begins"));
    }
    Ok(Range { from, to })
}

fn read(boards: &Boards, query: &Value, at: usize, range: Range) -> Asked {
    let text = |key: &str| query.get(key).and_then(Value::as_str).unwrap_or_default();
    let is_set = |key: &str| query.get(key).and_then(Value::as_bool) == Some(true);
    let number = |key: &str| query.get(key).and_then(Value::as_f64).filter(|n| *n >= 1.0).map(|n| n as u64);
    let letter = char::from(b'A' + (at % 26) as u8).to_string();
    let name = Some(text("refId")).filter(|name| !name.is_empty()).unwrap_or(&letter).to_owned();
    let points = number("maxDataPoints").unwrap_or(POINTS);
    let least = watchfire_model::duration::parse(text("interval")).map_or(0, |d| d.as_millis() as u64);
    let step_ms = number("intervalMs").unwrap_or(INTERVAL_MS).max(least).saturating_mul(number("intervalFactor").unwrap_or(1)).clamp(1, STEP_MAX_MS);
    // No more points than are wanted, as with every other way to ask.
    let step_ms = step_ms.max(range.to.abs_diff(range.from).div_ceil(points.max(1)));
    let asked = |runs| Asked { name: name.clone(), legend: text("legendFormat").to_owned(), step_ms, runs };
    let kind = match kind_of(boards, query) {
        Ok(kind) => kind,
        Err(reason) => return asked(Err(reason)),
    };
    if text("expr").trim().is_empty() {
        return asked(Err("the query has no expr".to_owned()));
    }
    let expr = filled_in(text("expr"), step_ms, range);
    let run = |over| QueryJson {
        name: String::new(),
        kind,
        expr: expr.clone(),
        over,
        step: Some(json!(step_ms as f64 / 1_000.0)),
        max_points: number("maxDataPoints"),
    };
    let instant = is_set("instant") || text("queryType") == "instant";
    let over_range = is_set("range") || text("queryType") == "range" || !instant;
    let both = [(over_range, Over::Range), (instant, Over::Instant)];
    asked(Ok(both.into_iter().filter(|(wanted, _)| *wanted).map(|(_, over)| run(over)).collect()))
}

/// The language of the data source that a query names: by uid, by number, or the default one.
fn kind_of(boards: &Boards, query: &Value) -> Result<Kind, String> {
    let named = query.get("datasource");
    let uid = named.and_then(|d| d.as_str().or_else(|| d.get("uid")?.as_str()));
    let id = query.get("datasourceId").and_then(Value::as_i64);
    let source = match (uid, id) {
        (Some(uid), _) => boards.source(uid).ok(),
        (None, Some(id)) => boards.source_by_id(id).ok(),
        (None, None) => boards.source_list().into_iter().find(|s| s.record.is_default),
    };
    let source = source.ok_or("data source not found")?;
    match source.record.kind.as_str() {
        // One that is not followed is answered from what is stored here, as panels with it are.
        "prometheus" => Ok(Kind::Prometheus),
        "loki" => Ok(Kind::Loki),
        other => Err(format!("queries for data sources of type {other:?} are not answered here")),
    }
}

/// Grafana's own variables, which its server fills in.
fn filled_in(expr: &str, step_ms: u64, range: Range) -> String {
    let mut variables = Variables::default();
    let seconds = step_ms.div_ceil(1_000).max(1);
    for (name, secs) in [("__interval", seconds), ("__rate_interval", (seconds + 15).max(60)), ("__range", (range.to.abs_diff(range.from) / 1_000).max(1))] {
        variables.set(name, format!("{secs}s"));
        variables.set(&format!("{name}_ms"), (secs * 1_000).to_string());
        variables.set(&format!("{name}_s"), secs.to_string());
    }
    variables.replace(expr)
}

/// The frames of an answer: one for each series, one for all lines.
fn frames_of(asked: &Asked, data: &Value) -> Vec<Value> {
    let kind = data["resultType"].as_str().unwrap_or_default();
    let empty = Vec::new();
    let result = data["result"].as_array().unwrap_or(&empty);
    let meta = |kind: &str| json!({"type": "timeseries-multi", "typeVersion": [0, 1], "custom": {"resultType": kind}});
    let series = |labels: &Value, points: &[Value]| {
        let pairs = labels.as_object().into_iter().flatten().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
        let name = series_name(pairs, &asked.legend, |name, value| format!("{name}={value:?}")).unwrap_or_else(|| "{}".to_owned());
        let mut time = time_field();
        time["config"] = json!({"interval": asked.step_ms});
        let value = json!({"name": "Value", "type": "number", "typeInfo": {"frame": "float64"}, "labels": labels, "config": {"displayNameFromDS": name}});
        let (values, entities) = numbers(points.iter().map(|p| p[1].as_str().unwrap_or("NaN")));
        let times: Vec<i64> = points.iter().map(|p| (p[0].as_f64().unwrap_or(0.0) * 1_000.0).round() as i64).collect();
        let mut data = json!({"values": [times, values]});
        if !entities.is_null() {
            data["entities"] = json!([null, entities]);
        }
        json!({"schema": {"refId": asked.name, "name": name, "meta": meta(kind), "fields": [time, value]}, "data": data})
    };
    match kind {
        "matrix" => result.iter().map(|s| series(&s["metric"], s["values"].as_array().unwrap_or(&empty))).collect(),
        "vector" => result.iter().map(|s| series(&s["metric"], std::slice::from_ref(&s["value"]))).collect(),
        "scalar" => vec![series(&json!({}), std::slice::from_ref(&data["result"]))],
        "streams" => vec![lines(asked, result)],
        _ => Vec::new(),
    }
}

fn time_field() -> Value {
    json!({"name": "Time", "type": "time", "typeInfo": {"frame": "time.Time"}})
}

/// Numbers as JSON can hold them, and which of them are none.
fn numbers<'a>(texts: impl Iterator<Item = &'a str>) -> (Vec<Value>, Value) {
    let (mut values, mut odd): (Vec<Value>, [Vec<usize>; 3]) = Default::default();
    for (at, text) in texts.enumerate() {
        let value: f64 = text.parse().unwrap_or(f64::NAN);
        let [nan, inf, neg_inf] = &mut odd;
        match value {
            v if v.is_nan() => nan.push(at),
            f64::INFINITY => inf.push(at),
            f64::NEG_INFINITY => neg_inf.push(at),
            _ => {}
        }
        values.push(json!(value));
    }
    let named: Map<String, Value> =
        ["NaN", "Inf", "NegInf"].iter().zip(odd).filter(|(_, list)| !list.is_empty()).map(|(n, list)| ((*n).to_owned(), json!(list))).collect();
    (values, if named.is_empty() { Value::Null } else { Value::Object(named) })
}

/// All lines of an answer in one frame, in the order in which they came.
fn lines(asked: &Asked, streams: &[Value]) -> Value {
    let [mut labels, mut times, mut texts, mut nanos, mut ids, mut below]: [Vec<Value>; 6] = Default::default();
    for (at, stream) in streams.iter().enumerate() {
        for (line, entry) in stream["values"].as_array().into_iter().flatten().enumerate() {
            let ns: i64 = entry[0].as_str().and_then(|ns| ns.parse().ok()).unwrap_or(0);
            labels.push(stream["stream"].clone());
            times.push(json!(ns.div_euclid(1_000_000)));
            below.push(json!(ns.rem_euclid(1_000_000)));
            texts.push(entry[1].clone());
            nanos.push(json!(ns.to_string()));
            ids.push(json!(format!("{ns}_{at}_{line}")));
        }
    }
    let text = |name: &str| json!({"name": name, "type": "string", "typeInfo": {"frame": "string"}});
    let fields = json!([{"name": "labels", "type": "other", "typeInfo": {"frame": "json.RawMessage"}}, time_field(), text("Line"), text("tsNs"), text("id")]);
    let meta = json!({"typeVersion": [0, 0], "custom": {"frameType": "LabeledTimeValues"}});
    json!({
        "schema": {"refId": asked.name, "meta": meta, "fields": fields},
        "data": {"values": [labels, times, texts, nanos, ids], "nanos": [null, below, null, null, null]},
    })
}
