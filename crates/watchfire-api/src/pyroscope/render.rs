//! `/render` and `/render-diff`: a flame graph with what one has to know to draw it, and values over time.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use watchfire_ingest::protobuf::Writer;
use watchfire_model::logs::Nanos;
use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::profiles::{ProfileType, key};
use watchfire_model::read::Budget;
use watchfire_query::profiles::{Aggregation, Detail, FlameGraph, Merged, Points, Question, Side, merge, over_time};
use watchfire_query::traces::Range;

use super::answer::PyroscopeError;
use super::connect::Message;
use super::params::{Params, step_of};
use super::pprof::Pprof;
use crate::app::App;
use crate::prometheus::answer::{json, to_json};
use crate::prometheus::gate::run;

const SECOND: i64 = 1_000_000_000;

#[derive(Serialize)]
struct RenderJson {
    version: u8,
    flamebearer: FlamebearerJson,
    metadata: MetadataJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<TimelineJson>,
    groups: Option<BTreeMap<String, TimelineJson>>,
    #[serde(rename = "leftTicks", skip_serializing_if = "Option::is_none")]
    left_ticks: Option<i64>,
    #[serde(rename = "rightTicks", skip_serializing_if = "Option::is_none")]
    right_ticks: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FlamebearerJson {
    names: Vec<String>,
    levels: Vec<Vec<i64>>,
    num_ticks: i64,
    max_self: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MetadataJson {
    format: &'static str,
    spy_name: &'static str,
    sample_rate: i64,
    units: &'static str,
    name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TimelineJson {
    start_time: i64,
    samples: Vec<f64>,
    duration_delta: i64,
    watermarks: BTreeMap<String, i64>,
}

impl FlamebearerJson {
    fn of(graph: FlameGraph) -> FlamebearerJson {
        FlamebearerJson { names: graph.names, levels: graph.levels, num_ticks: graph.total, max_self: graph.max_self }
    }
}

/// The type that a question is about, if it names one.
fn type_of(question: &Question) -> Option<&str> {
    question.matchers.iter().find(|matcher| matcher.name == key::PROFILE_TYPE && matcher.op == MatchOp::Equal).map(|matcher: &Matcher| &*matcher.value)
}

impl MetadataJson {
    fn of(kind: Option<&str>, format: &'static str) -> MetadataJson {
        let kind = kind.and_then(ProfileType::parse);
        let (units, sample_rate) = match kind.map_or("", |kind| kind.sample_unit) {
            "nanoseconds" => ("samples", SECOND),
            "microseconds" => ("samples", 1_000_000),
            "milliseconds" => ("samples", 1_000),
            "bytes" => ("bytes", 100),
            "count" => (if kind.is_some_and(|kind| kind.sample_type.contains("objects")) { "objects" } else { "samples" }, 100),
            _ => ("", 100),
        };
        MetadataJson { format, spy_name: "", sample_rate, units, name: kind.map_or_else(String::new, |kind| kind.sample_type.to_owned()) }
    }
}

/// All steps of a range; those of which nothing is known have nothing.
fn timeline(range: Range, step: i64, points: &Points) -> TimelineJson {
    let steps = range.end.0.saturating_sub(range.start.0).div_euclid(step).clamp(0, 20_000) + 1;
    let mut samples = vec![0.0; usize::try_from(steps).unwrap_or(1) + 1];
    for (at, value) in points {
        if let Some(place) = usize::try_from(*at).ok().and_then(|at| samples.get_mut(at)) {
            *place = *value;
        }
    }
    TimelineJson { start_time: range.start.0.div_euclid(SECOND), samples, duration_delta: step / SECOND, watermarks: BTreeMap::new() }
}

/// `GET /render`.
pub(super) async fn render(State(app): State<Arc<App>>, request: Request) -> Result<Response, PyroscopeError> {
    let params = Params::read(request).await?;
    let mut question = params.question(&app, ["query", "from", "until"])?;
    // What is drawn over time begins on a step.
    let step = step_of(question.range);
    question.range.start = Nanos(question.range.start.0.div_euclid(step).saturating_mul(step));
    let nodes = params.nodes_max()?;
    let pprof = match params.get("format").unwrap_or("json") {
        "json" => false,
        "pprof" => true,
        other => return Err(PyroscopeError::bad(format!("unknown format {other:?}: json or pprof"))),
    };
    let by: Vec<String> = params.get("groupBy").into_iter().map(str::to_owned).collect();
    run(&app, None, move |app, budget| {
        if pprof {
            let merged = merge(&*app.rooms.profiles, &question, Detail::Lines, budget)?;
            let mut out = Writer::new();
            Pprof::of(&merged, type_of(&question)).fields(&mut out);
            return Ok(([(CONTENT_TYPE, "application/octet-stream")], out.into_bytes()).into_response());
        }
        let merged = merge(&*app.rooms.profiles, &question, Detail::Functions, budget)?;
        let answer = RenderJson {
            version: 1,
            flamebearer: FlamebearerJson::of(FlameGraph::single(&merged, nodes)),
            metadata: MetadataJson::of(type_of(&question), "single"),
            timeline: Some(one_timeline(app, &question, step, budget)?),
            groups: if by.is_empty() { None } else { Some(groups(app, &question, step, &by, budget)?) },
            left_ticks: None,
            right_ticks: None,
        };
        Ok(json(StatusCode::OK, to_json(&answer)))
    })
    .await
}

fn one_timeline(app: &App, question: &Question, step: i64, budget: &Budget) -> Result<TimelineJson, PyroscopeError> {
    let told = over_time(&*app.rooms.profiles, question, step, &[], Aggregation::Sum, budget)?;
    Ok(timeline(question.range, step, told.first().map_or(&Vec::new(), |(_, points)| points)))
}

fn groups(app: &App, question: &Question, step: i64, by: &[String], budget: &Budget) -> Result<BTreeMap<String, TimelineJson>, PyroscopeError> {
    let told = over_time(&*app.rooms.profiles, question, step, by, Aggregation::Sum, budget)?;
    let value = |labels: &watchfire_model::labels::Labels| by.first().and_then(|name| labels.get(name)).unwrap_or("").to_owned();
    Ok(told.iter().map(|(labels, points)| (value(labels), timeline(question.range, step, points))).collect())
}

/// `GET /render-diff`.
pub(super) async fn diff(State(app): State<Arc<App>>, request: Request) -> Result<Response, PyroscopeError> {
    let params = Params::read(request).await?;
    let left = params.question(&app, ["leftQuery", "leftFrom", "leftUntil"])?;
    let right = params.question(&app, ["rightQuery", "rightFrom", "rightUntil"])?;
    let nodes = params.nodes_max()?;
    run(&app, None, move |app, budget| {
        let graph = compare(app, &left, &right, nodes, budget)?;
        let [left_ticks, right_ticks] = graph.sides;
        let answer = RenderJson {
            version: 1,
            metadata: MetadataJson::of(type_of(&left), "double"),
            timeline: None,
            groups: None,
            left_ticks: Some(left_ticks),
            right_ticks: Some(right_ticks),
            flamebearer: FlamebearerJson::of(graph),
        };
        Ok(json(StatusCode::OK, to_json(&answer)))
    })
    .await
}

/// The flame graph of two questions.
pub(super) fn compare(app: &App, left: &Question, right: &Question, nodes: usize, budget: &Budget) -> Result<FlameGraph, PyroscopeError> {
    let mut both = Merged::new(Detail::Functions);
    both.read(&*app.rooms.profiles, left, Side::Left, budget)?;
    both.read(&*app.rooms.profiles, right, Side::Right, budget)?;
    Ok(FlameGraph::diff(&both, nodes))
}
