//! `POST /api/dashboards/query`: all queries of a dashboard in one request. Each runs as it would on its own route, within the same limits,
//! and fails alone; this knows neither query language.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
#[cfg(test)]
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::error::{GrafanaError, body};
use crate::app::App;
use crate::loki::answer::LokiError;
use crate::loki::params::Params as LogParams;
use crate::loki::query as logs;
use crate::prometheus::answer::{ApiError, json, to_json};
use crate::prometheus::params::Params;
use crate::prometheus::query as metrics;

/// The largest body.
pub(super) const BATCH_BYTES_MAX: usize = 1 << 20;
/// The most queries of one request.
pub(super) const QUERIES_MAX: usize = 100;
/// Queries of one request that run at the same time, so that one dashboard leaves room for others.
const AT_ONCE: usize = 2;
/// How many points a series has at most unless it is said.
const POINTS: u64 = 1_000;

/// All queries of one look at a dashboard.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct BatchJson {
    /// Where the range begins, in milliseconds since 1970.
    from: i64,
    /// Where it ends; the moment of instant queries.
    to: i64,
    /// The queries, 100 at most.
    queries: Vec<QueryJson>,
}

/// One query.
#[derive(Clone, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct QueryJson {
    /// A name, which comes back with the answer.
    #[serde(rename = "ref")]
    pub(super) name: String,
    /// The language.
    pub(super) kind: Kind,
    /// The query.
    pub(super) expr: String,
    /// Over the range or at its end.
    #[serde(default, rename = "type")]
    pub(super) over: Over,
    /// Seconds, or a duration such as `15s`; made from `max_points` when it is absent.
    pub(super) step: Option<Value>,
    /// The step is no shorter than so many points ask for; lines of logs at most.
    pub(super) max_points: Option<u64>,
}

/// The languages.
#[derive(Clone, Copy, Deserialize)]
#[cfg_attr(test, derive(JsonSchema), schemars(rename = "QueryKind"))]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// PromQL.
    Prometheus,
    /// LogQL.
    Loki,
}

/// What a query is evaluated over.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(JsonSchema), schemars(rename = "QueryOver"))]
#[serde(rename_all = "lowercase")]
pub(super) enum Over {
    #[default]
    Range,
    Instant,
}

/// What one query comes to: its data as JSON text, and warnings; or the reason why not.
pub(super) type Outcome = Result<(Vec<u8>, Vec<String>), String>;

/// The range of a request.
#[derive(Clone, Copy)]
pub(super) struct Range {
    pub(super) from: i64,
    pub(super) to: i64,
}

/// Answers all queries, in their order.
pub(super) async fn query(State(app): State<Arc<App>>, request: Request) -> Result<Response, GrafanaError> {
    let asked: BatchJson = serde_json::from_slice(&body(request, BATCH_BYTES_MAX).await?).map_err(|e| GrafanaError::bad(format!("bad request data: {e}")))?;
    if asked.queries.len() > QUERIES_MAX {
        return Err(GrafanaError::bad(format!("{} queries in one request, more than {QUERIES_MAX}", asked.queries.len())));
    }
    if asked.to < asked.from {
        return Err(GrafanaError::bad("the range ends before it begins"));
    }
    let range = Range { from: asked.from, to: asked.to };
    let names: Vec<String> = asked.queries.iter().map(|q| q.name.clone()).collect();
    let until = app.rooms.clock.monotonic() + app.rooms.limits.timeout;
    let outcomes = run_all(&app, asked.queries, range, until).await;
    Ok(json(StatusCode::OK, written(&names, outcomes)))
}

/// Runs the queries, a few at a time. What they give together is bounded as what one may give is.
pub(super) async fn run_all(app: &Arc<App>, queries: Vec<QueryJson>, range: Range, until: Duration) -> Vec<Outcome> {
    let bytes_max = usize::try_from(app.rooms.limits.memory_max).unwrap_or(usize::MAX);
    let mut outcomes = Vec::with_capacity(queries.len());
    let mut bytes = 0;
    for few in queries.chunks(AT_ONCE) {
        let running = few.iter().map(|query| async {
            if app.rooms.clock.monotonic() >= until {
                return Err("the queries before it took all the time that there is for one request".to_owned());
            }
            one(app, query, range).await
        });
        for outcome in futures_util::future::join_all(running).await {
            bytes += outcome.as_ref().map_or(0, |(data, _)| data.len());
            let over = || Err(format!("the answers to this request are larger than {bytes_max} bytes together"));
            outcomes.push(if bytes > bytes_max { over() } else { outcome });
        }
    }
    outcomes
}

/// Runs one query as its own route would.
async fn one(app: &Arc<App>, query: &QueryJson, range: Range) -> Outcome {
    let step = step(query, range)?;
    let mut pairs = vec![("query".to_owned(), query.expr.clone())];
    let mut put = |name: &str, value: String| pairs.push((name.to_owned(), value));
    // Seconds for the one, nanoseconds for the other.
    let time = |ms: i64| match query.kind {
        Kind::Prometheus => (ms as f64 / 1_000.0).to_string(),
        Kind::Loki => ms.saturating_mul(1_000_000).to_string(),
    };
    match query.over {
        Over::Instant => put("time", time(range.to)),
        Over::Range => {
            put("start", time(range.from));
            put("end", time(range.to));
            put("step", step);
        }
    }
    match query.kind {
        Kind::Prometheus => {
            let params = Params::of(pairs);
            let answer = match query.over {
                Over::Instant => metrics::instant_of(app, &params).await,
                Over::Range => metrics::range_of(app, &params).await,
            };
            answer.map(|a| (a.data, a.warnings)).map_err(|e: ApiError| e.message)
        }
        Kind::Loki => {
            if let Some(lines) = query.max_points.filter(|n| *n > 0) {
                put("limit", lines.to_string());
            }
            let params = LogParams::of(pairs);
            let answer = match query.over {
                Over::Instant => logs::instant_of(app, &params).await,
                Over::Range => logs::range_of(app, &params, false).await,
            };
            answer.map(logs::Written::into_parts).map_err(|e: LokiError| e.message)
        }
    }
}

/// The step in seconds: what is asked for, but no more points than are wanted.
fn step(query: &QueryJson, range: Range) -> Result<String, String> {
    let points = query.max_points.filter(|n| *n > 0).unwrap_or(POINTS);
    let length = range.to.saturating_sub(range.from).unsigned_abs();
    let least = length.div_ceil(points).max(1);
    let asked = match &query.step {
        None | Some(Value::Null) => None,
        Some(Value::Number(seconds)) => Some(seconds.as_f64().filter(|s| *s > 0.0).map(|s| (s * 1_000.0) as u64)),
        Some(Value::String(text)) => Some(match text.parse::<f64>() {
            Ok(seconds) => Some(seconds).filter(|s| *s > 0.0).map(|s| (s * 1_000.0) as u64),
            Err(_) => watchfire_model::duration::parse(text).map(|d| d.as_millis() as u64),
        }),
        Some(_) => Some(None),
    };
    let ms = match asked {
        // Nobody looks at fractions of a second that they did not ask for.
        None => least.next_multiple_of(1_000),
        Some(Some(ms)) if ms > 0 => ms.max(if query.max_points.is_some() { least } else { 1 }),
        Some(_) => return Err("step must be seconds or a duration above zero".to_owned()),
    };
    Ok(format!("{}.{:03}", ms / 1_000, ms % 1_000))
}

/// `{"results": […]}` around data that are written already.
fn written(names: &[String], outcomes: Vec<Outcome>) -> Vec<u8> {
    let mut out = b"{\"results\":[".to_vec();
    for (i, (name, outcome)) in names.iter().zip(outcomes).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"ref\":");
        out.extend_from_slice(&to_json(name));
        match outcome {
            Ok((data, warnings)) => {
                out.extend_from_slice(b",\"status\":\"success\",\"data\":");
                out.extend_from_slice(&data);
                if !warnings.is_empty() {
                    out.extend_from_slice(b",\"warnings\":");
                    out.extend_from_slice(&to_json(&warnings));
                }
            }
            Err(error) => {
                out.extend_from_slice(b",\"status\":\"error\",\"data\":null,\"error\":");
                out.extend_from_slice(&to_json(&error));
            }
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use watchfire_model::labels;

    use super::*;
    use crate::testing::{Faces, NOW};

    async fn ask(faces: &Faces, queries: Value) -> Value {
        let body = json!({"from": NOW.millis() - 60_000, "to": NOW.millis(), "queries": queries}).to_string();
        let answer = faces.post("/api/dashboards/query", "application/json", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    #[tokio::test]
    async fn each_query_is_answered_as_its_own_route_answers() {
        let faces = Faces::new();
        faces.house.put(labels!("__name__" => "queue_depth", "job" => "a"), &[(60, 1.0), (30, 2.0), (0, 3.0)]);
        let answer = ask(
            &faces,
            json!([
                {"ref": "A", "kind": "prometheus", "expr": "queue_depth", "type": "range", "step": 30, "max_points": 100},
                {"ref": "B", "kind": "prometheus", "expr": "sum(", "type": "range"},
                {"ref": "C", "kind": "prometheus", "expr": "queue_depth", "type": "instant"},
                {"ref": "D", "kind": "loki", "expr": "{job=\"a\"}", "type": "range", "max_points": 10},
                {"ref": "E", "kind": "loki", "expr": "{job=\"a\"", "type": "instant"},
                {"ref": "F", "kind": "prometheus", "expr": "queue_depth", "step": "x"},
            ]),
        )
        .await;
        let results = answer["results"].as_array().unwrap();
        let begin = NOW.millis() / 1000 - 60;
        assert_eq!(results[0]["ref"], "A");
        assert_eq!(results[0]["data"]["result"][0]["values"], json!([[begin, "1"], [begin + 30, "2"], [begin + 60, "3"]]));
        let alone = faces.get(&format!("/api/v1/query_range?query=queue_depth&start={begin}&end={}&step=30", begin + 60)).await.json();
        assert_eq!(results[0]["data"], alone["data"]);
        assert_eq!((&results[1]["status"], &results[1]["data"]), (&json!("error"), &Value::Null));
        assert!(results[1]["error"].as_str().unwrap().contains("parse error"), "{}", results[1]);
        assert_eq!(results[2]["data"]["result"][0]["value"], json!([NOW.millis() / 1000, "3"]));
        assert_eq!((&results[3]["status"], &results[3]["data"]["resultType"]), (&json!("success"), &json!("streams")));
        assert_eq!(results[4]["status"], "error");
        assert!(results[5]["error"].as_str().unwrap().contains("step must be"));
    }

    #[tokio::test]
    async fn a_batch_has_limits() {
        let faces = Faces::with(|rooms| rooms.limits.memory_max = 4_000);
        faces.house.put(labels!("__name__" => "x"), &[(0, 1.0)]);
        let one = json!({"ref": "A", "kind": "prometheus", "expr": "x", "type": "range", "step": 1});
        let body = |queries: Vec<Value>, from: i64| json!({"from": from, "to": NOW.millis(), "queries": queries}).to_string();
        for (body, words) in [
            (body(vec![one.clone(); 101], 0), "101 queries in one request"),
            (body(vec![one.clone()], NOW.millis() + 1), "ends before it begins"),
            ("{}".to_owned(), "bad request data"),
        ] {
            let answer = faces.post("/api/dashboards/query", "application/json", &body).await;
            assert_eq!(answer.status, 400);
            assert!(answer.json()["message"].as_str().unwrap().contains(words), "{}", answer.text());
        }
        let many = ask(&faces, json!(vec![one; 100])).await;
        let results = many["results"].as_array().unwrap();
        let failed = results.iter().filter(|r| r["status"] == "error").count();
        assert!(failed > 0 && failed < 100, "{failed}");
        assert!(results[99]["error"].as_str().unwrap().contains("larger than 4000 bytes"), "{}", results[99]);
    }

    #[test]
    fn steps_give_no_more_points_than_are_wanted() {
        let of = |step: Value, max_points: Option<u64>| {
            let query = QueryJson { name: String::new(), kind: Kind::Prometheus, expr: String::new(), over: Over::Range, step: Some(step), max_points };
            super::step(&query, Range { from: 0, to: 3_600_000 })
        };
        assert_eq!(of(Value::Null, None).unwrap(), "4.000");
        assert_eq!(of(Value::Null, Some(100)).unwrap(), "36.000");
        assert_eq!(of(json!(15), Some(100)).unwrap(), "36.000");
        assert_eq!(of(json!(15), Some(1_000)).unwrap(), "15.000");
        assert_eq!(of(json!("1m"), None).unwrap(), "60.000");
        assert_eq!(of(json!("0.5"), None).unwrap(), "0.500");
        for bad in [json!(0), json!(-1), json!("x"), json!([]), json!("0")] {
            assert!(of(bad, None).is_err());
        }
    }
}
