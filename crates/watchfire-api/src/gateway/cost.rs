//! `GET /api/llm/cost`: what language models cost, by day, month, model, upstream, camera and caller. Shapes only; sums are the
//! gateway's.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watchfire_pipeline::gateway::{Costs, Line, PeriodCosts};

use crate::app::App;
use crate::server::{Level, Refusal, Route};

/// Days that are shown unless fewer or more are asked for.
const DAYS: usize = 31;
/// Months that are shown.
const MONTHS: usize = 12;

pub(super) fn routes() -> Vec<Route<Arc<App>>> {
    let cost = Route::get("/api/llm/cost", Level::Read, cost)
        .summary("What language models cost, by day, month, model, upstream, camera and caller")
        .query_parameter("days", "How many days to show, 31 unless said")
        .query_parameter("months", "How many months to show, 12 unless said")
        .answers::<CostsJson>(200, "Sums of exchanges, and budgets");
    vec![cost.tag("llm")]
}

#[derive(Deserialize)]
struct Asked {
    days: Option<usize>,
    months: Option<usize>,
}

/// Sums of exchanges.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "LlmCostLine"))]
struct LineJson {
    /// What they are the sums of: a date, a month, a model, an upstream, a camera, a caller.
    name: String,
    /// Exchanges, failed and partial ones included.
    exchanges: u64,
    /// Those that were answered with an error, broken off by the upstream, or not answered.
    failed: u64,
    /// Those that broke off on the way, or were under way when the process died.
    partial: u64,
    /// Tokens of prompts, as upstreams told them.
    input_tokens: u64,
    /// Tokens of answers, as upstreams told them.
    output_tokens: u64,
    /// Tokens of prompts of exchanges whose upstream told nothing, as we counted them.
    estimated_input_tokens: u64,
    /// Tokens of answers of the same.
    estimated_output_tokens: u64,
    /// What they cost, in US dollars.
    cost_usd: f64,
    /// How long upstreams worked on them.
    seconds: f64,
}
impl From<Line> for LineJson {
    fn from(line: Line) -> LineJson {
        LineJson {
            name: line.name,
            exchanges: line.exchanges,
            failed: line.failed,
            partial: line.partial,
            input_tokens: line.input_tokens,
            output_tokens: line.output_tokens,
            estimated_input_tokens: line.estimated_input_tokens,
            estimated_output_tokens: line.estimated_output_tokens,
            cost_usd: line.cost_usd,
            seconds: line.seconds,
        }
    }
}

/// A period with its budget.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "LlmCostPeriod"))]
struct PeriodJson {
    /// Its sums.
    #[serde(flatten)]
    line: LineJson,
    /// What may be spent in it.
    budget_usd: Option<f64>,
    /// The share of it that is.
    budget_utilization: Option<f64>,
}
impl From<PeriodCosts> for PeriodJson {
    fn from(period: PeriodCosts) -> PeriodJson {
        PeriodJson { line: period.line.into(), budget_usd: period.budget_usd, budget_utilization: period.utilization }
    }
}

/// How many exchanges run.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "LlmTurns"))]
struct TurnsJson {
    /// How many may run at once now; the GPU's memory pressure lowers it.
    limit: usize,
    /// How many run.
    running: usize,
    /// How many wait.
    waiting: usize,
}

/// How an upstream is.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "LlmUpstream"))]
struct UpstreamJson {
    /// Its name.
    name: String,
    /// Its circuit breaker: `closed`, `open` or `half_open`.
    circuit_breaker: &'static str,
}

/// The answer.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "LlmCosts"))]
struct CostsJson {
    /// The present day.
    today: PeriodJson,
    /// The present month.
    month: PeriodJson,
    /// All time.
    ever: LineJson,
    /// Days, the newest first.
    days: Vec<LineJson>,
    /// Months, the newest first.
    months: Vec<LineJson>,
    /// The present month by model, the dearest first.
    models: Vec<LineJson>,
    /// The same by upstream.
    upstreams: Vec<LineJson>,
    /// The same by camera.
    cameras: Vec<LineJson>,
    /// The same by caller.
    callers: Vec<LineJson>,
    /// How the upstreams are.
    upstream_states: Vec<UpstreamJson>,
    /// How many exchanges run.
    turns: TurnsJson,
    /// Exchanges that are not over.
    under_way: usize,
}

fn lines(lines: Vec<Line>) -> Vec<LineJson> {
    lines.into_iter().map(LineJson::from).collect()
}

async fn cost(State(app): State<Arc<App>>, asked: Result<Query<Asked>, QueryRejection>) -> Result<Json<CostsJson>, Refusal> {
    let Ok(Query(Asked { days, months })) = asked else { return Err(Refusal::bad_request("days and months are whole numbers")) };
    let costs = app.rooms.gateway.costs(days.unwrap_or(DAYS), months.unwrap_or(MONTHS));
    let Costs { today, month, ever, days, months, models, upstreams, cameras, callers, states, turns: (limit, running, waiting), under_way } = costs;
    Ok(Json(CostsJson {
        today: today.into(),
        month: month.into(),
        ever: ever.into(),
        days: lines(days),
        months: lines(months),
        models: lines(models),
        upstreams: lines(upstreams),
        cameras: lines(cameras),
        callers: lines(callers),
        upstream_states: states.into_iter().map(|u| UpstreamJson { name: u.name, circuit_breaker: u.breaker.word() }).collect(),
        turns: TurnsJson { limit, running, waiting },
        under_way,
    }))
}
