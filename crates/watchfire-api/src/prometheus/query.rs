//! `/api/v1/query`, `/query_range`, `/query_exemplars` and `/format_query`: parameters in, results out.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use serde_json::json;
use watchfire_model::labels::Labels;
use watchfire_model::read::{Budget, ReadError};
use watchfire_query::promql::{Answer, Engine, Expr, POINTS_PER_SERIES_MESSAGE, Point, Value, format_value, parse};

use super::answer::{ApiError, Success, to_json};
use super::gate::run;
use super::labels::LabelsJson;
use super::number::{plain, write_time, write_time_plain};
use super::params::Params;
use crate::app::App;

/// How many points are written between two looks at the budget.
const POINTS_PER_CHECK: usize = 1024;

/// What all queries have in common.
struct Asked {
    text: String,
    engine: Engine,
    timeout: Option<Duration>,
    limit: Option<usize>,
}
impl Asked {
    fn read(app: &App, params: &Params) -> Result<Asked, ApiError> {
        let mut engine = Engine::default();
        if let Some(lookback) = params.duration("lookback_delta")?.filter(|d| !d.is_zero()) {
            engine.lookback = lookback;
        }
        Ok(Asked { text: text_of(app, params)?, engine, timeout: params.duration("timeout")?, limit: params.limit()? })
    }
    fn parse(&self) -> Result<Expr, ApiError> {
        parse(&self.text).map_err(|error| ApiError::parameter("query", error))
    }
}

fn text_of(app: &App, params: &Params) -> Result<String, ApiError> {
    let text = params.get("query").unwrap_or("");
    let max = app.rooms.limits.text_bytes_max;
    if text.len() > max {
        return Err(ApiError::parameter("query", format!("the query is {} bytes long, more than {max}", text.len())));
    }
    Ok(text.to_owned())
}

/// `GET|POST /api/v1/query`.
pub(crate) async fn instant(State(app): State<Arc<App>>, request: Request) -> Result<Success, ApiError> {
    let params = Params::read(request).await?;
    let time = params.time_or("time", app.now())?;
    let asked = Asked::read(&app, &params)?;
    let expr = asked.parse()?;
    run(&app, asked.timeout, move |app, budget| {
        let answer = asked.engine.instant(&*app.rooms.source, &expr, time, budget)?;
        render(answer, asked.limit, budget)
    })
    .await
}

/// `GET|POST /api/v1/query_range`.
pub(crate) async fn range(State(app): State<Arc<App>>, request: Request) -> Result<Success, ApiError> {
    let params = Params::read(request).await?;
    let (start, end) = (params.time("start")?, params.time("end")?);
    if end < start {
        return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
    }
    let step_ms = params.step_ms()?;
    if end.millis().saturating_sub(start.millis()) / step_ms > app.rooms.limits.points_max {
        return Err(ApiError::bad_data(POINTS_PER_SERIES_MESSAGE));
    }
    let asked = Asked::read(&app, &params)?;
    let expr = asked.parse()?;
    run(&app, asked.timeout, move |app, budget| {
        let step = Duration::from_millis(step_ms.unsigned_abs());
        let answer = asked.engine.range(&*app.rooms.source, &expr, start, end, step, budget)?;
        render(answer, asked.limit, budget)
    })
    .await
}

/// `GET|POST /api/v1/query_exemplars`: exemplars are not kept, so a good query has none.
pub(crate) async fn exemplars(State(app): State<Arc<App>>, request: Request) -> Result<Success, ApiError> {
    let params = Params::read(request).await?;
    let (start, end) = (params.time_or("start", app.now())?, params.time_or("end", app.now())?);
    if end < start {
        return Err(ApiError::bad_data("end timestamp must not be before start time"));
    }
    parse(&text_of(&app, &params)?).map_err(|error| ApiError::bad_data(error.to_string()))?;
    Ok(Success::of(&json!([])))
}

/// `GET|POST /api/v1/format_query`.
pub(crate) async fn format(State(app): State<Arc<App>>, request: Request) -> Result<Success, ApiError> {
    let params = Params::read(request).await?;
    let expr = parse(&text_of(&app, &params)?).map_err(|error| ApiError::parameter("query", error))?;
    Ok(Success::of(&expr.to_string()))
}

/// Writes a result as JSON, at most `limit` series of it.
fn render(answer: Answer, limit: Option<usize>, budget: &Budget) -> Result<Success, ApiError> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(format!("{{\"resultType\":\"{}\",\"result\":", answer.value.type_code()).as_bytes());
    let limit = limit.unwrap_or(usize::MAX);
    let truncated = match &answer.value {
        Value::Scalar(point) => {
            write_pair(&mut out, |out| write_time_plain(out, point.time), &plain(point.value));
            false
        }
        Value::String { time, text } => {
            write_pair(&mut out, |out| write_time_plain(out, *time), text);
            false
        }
        Value::Vector(samples) => {
            write_list(&mut out, samples.iter().take(limit), budget, |out, sample| {
                write_metric(out, &sample.labels);
                out.extend_from_slice(b",\"value\":");
                write_point(out, &Point { time: sample.time, value: sample.value });
                out.push(b'}');
                Ok(())
            })?;
            samples.len() > limit
        }
        Value::Matrix(list) => {
            write_list(&mut out, list.iter().take(limit), budget, |out, series| {
                write_metric(out, &series.labels);
                out.extend_from_slice(b",\"values\":");
                write_list(out, series.points.iter(), budget, |out, point| {
                    write_point(out, point);
                    Ok(())
                })?;
                out.push(b'}');
                Ok(())
            })?;
            list.len() > limit
        }
    };
    out.push(b'}');
    Ok(Success { data: out, warnings: answer.warnings, infos: answer.infos }.truncated(truncated))
}

fn write_list<'a, T: 'a>(
    out: &mut Vec<u8>,
    items: impl Iterator<Item = &'a T>,
    budget: &Budget,
    mut write: impl FnMut(&mut Vec<u8>, &'a T) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    out.push(b'[');
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        if i % POINTS_PER_CHECK == 0 {
            budget.check()?;
        }
        write(out, item)?;
    }
    out.push(b']');
    Ok(())
}

fn write_metric(out: &mut Vec<u8>, labels: &Labels) {
    out.extend_from_slice(b"{\"metric\":");
    out.extend_from_slice(&to_json(&LabelsJson(labels)));
}

fn write_point(out: &mut Vec<u8>, point: &Point) {
    // Numbers need no escaping inside quotes.
    out.push(b'[');
    write_time(out, point.time);
    out.extend_from_slice(b",\"");
    out.extend_from_slice(format_value(point.value).as_bytes());
    out.extend_from_slice(b"\"]");
}

fn write_pair(out: &mut Vec<u8>, time: impl FnOnce(&mut Vec<u8>), value: &str) {
    out.push(b'[');
    time(out);
    out.push(b',');
    out.extend_from_slice(&to_json(&value));
    out.push(b']');
}
