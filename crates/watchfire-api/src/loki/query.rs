//! `/loki/api/v1/query` and `/query_range`: lines or numbers.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::Value as Json;
use watchfire_ingest::loki::config::QueryLimits;
use watchfire_model::logs::Nanos;
use watchfire_model::read::Budget;
use watchfire_query::logql::{Engine, Expr, LinesRequest, parse};
use watchfire_query::promql::{Answer, Value};

use super::answer::LokiError;
use super::params::Params;
use super::render::{Counting, streams, wants_categories};
use crate::app::App;
use crate::prometheus::answer::{json, to_json};
use crate::prometheus::gate::run;
use crate::prometheus::query::render;

/// An answer whose data are written already.
pub(crate) struct Written {
    data: Vec<u8>,
    stats: Json,
    warnings: Vec<String>,
}
impl Written {
    /// The data without the statistics, and what the asker should know about them.
    pub(crate) fn into_parts(self) -> (Vec<u8>, Vec<String>) {
        (self.data, self.warnings)
    }
}
impl IntoResponse for Written {
    fn into_response(self) -> Response {
        // The data may be large: the envelope is put around them where they are.
        let mut body = self.data;
        body.splice(0..0, *b"{\"status\":\"success\",\"data\":");
        body.pop();
        body.extend_from_slice(b",\"stats\":");
        body.extend_from_slice(&to_json(&self.stats));
        body.push(b'}');
        if !self.warnings.is_empty() {
            body.extend_from_slice(b",\"warnings\":");
            body.extend_from_slice(&to_json(&self.warnings));
        }
        body.push(b'}');
        json(StatusCode::OK, body)
    }
}

fn points(answer: &Answer) -> usize {
    match &answer.value {
        Value::Scalar(_) | Value::String { .. } => 1,
        Value::Vector(samples) => samples.len(),
        Value::Matrix(series) => series.iter().map(|s| s.points.len()).sum(),
    }
}

/// Runs a query within its budget and puts its statistics beside the answer.
fn answered(app: &App, budget: &Budget, ask: impl FnOnce(&Counting<'_>) -> Result<(Vec<u8>, usize, Vec<String>), LokiError>) -> Result<Written, LokiError> {
    let began = app.rooms.clock.monotonic();
    let source = Counting::new(&*app.rooms.logs);
    let (data, returned, warnings) = ask(&source)?;
    budget.check()?;
    Ok(Written { data, stats: source.stats(app.rooms.clock.monotonic().saturating_sub(began), returned), warnings })
}

fn numbers(answer: Answer, budget: &Budget) -> Result<(Vec<u8>, usize, Vec<String>), LokiError> {
    let count = points(&answer);
    let warnings = answer.warnings.clone();
    Ok((render(answer, None, budget)?.data, count, warnings))
}

/// `GET|POST /loki/api/v1/query`.
pub(super) async fn instant(State(app): State<Arc<App>>, request: Request) -> Result<Written, LokiError> {
    instant_of(&app, &Params::read(request).await?).await
}

/// The answer at one time to what parameters ask.
pub(crate) async fn instant_of(app: &Arc<App>, params: &Params) -> Result<Written, LokiError> {
    let time = params.time_or("time", Nanos::from_millis(app.now().millis()))?;
    let Expr::Metric(metric) = parse(&params.query(app)?)? else {
        return Err(LokiError::bad("log queries are not supported as an instant query type, please change your query to a range query type"));
    };
    run(app, None, move |app, budget| answered(app, budget, |source| numbers(engine(app).instant(source, &metric, time, budget)?, budget))).await
}

/// The engine with the limits of Loki's configuration.
pub(super) fn engine(app: &App) -> Engine {
    let QueryLimits { entries, series, .. } = app.rooms.loki.queries();
    let limits = Engine::default();
    Engine { entries_max: entries.unwrap_or(limits.entries_max), series_max: series.unwrap_or(limits.series_max) }
}

/// `GET|POST /loki/api/v1/query_range`.
pub(super) async fn range(State(app): State<Arc<App>>, request: Request) -> Result<Written, LokiError> {
    let categories = wants_categories(request.headers());
    range_of(&app, &Params::read(request).await?, categories).await
}

/// The answer over a range to what parameters ask.
pub(crate) async fn range_of(app: &Arc<App>, params: &Params, categories: bool) -> Result<Written, LokiError> {
    let expr = parse(&params.query(app)?)?;
    match expr {
        Expr::Metric(metric) => {
            let range = params.steps_range(app)?;
            let step = params.step(range)?;
            run(app, None, move |app, budget| {
                answered(app, budget, |source| numbers(engine(app).range(source, &metric, range.start, range.end, step, budget)?, budget))
            })
            .await
        }
        Expr::Log(log) => {
            let range = params.range(app)?;
            // Lines have no steps, but one that is none is said all the same.
            params.step(range)?;
            let wanted =
                LinesRequest { start: range.start, end: range.end, limit: params.limit()?, direction: params.direction()?, interval: params.interval()? };
            run(app, None, move |app, budget| {
                answered(app, budget, |source| {
                    let lines = engine(app).lines(source, &log, &wanted, budget)?;
                    let mut data = b"{\"resultType\":\"streams\",".to_vec();
                    if categories {
                        data.extend_from_slice(b"\"encodingFlags\":[\"categorize-labels\"],");
                    }
                    data.extend_from_slice(b"\"result\":");
                    data.extend(streams(&lines, categories, budget)?);
                    data.push(b'}');
                    Ok((data, lines.list.len(), lines.warnings))
                })
            })
            .await
        }
    }
}
