//! `/api/system/telemetry`: depths of the watched pipeline's queues and latencies of its stages, as far as programs
//! report them here. What nobody reports is null, not zero.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
use watchfire_model::read::Budget;
use watchfire_pipeline::queue::{ANALYSIS, DETECTION};

use crate::app::App;
use crate::prometheus::answer::ApiError;
use crate::prometheus::gate::run;
use crate::prometheus::promql::number;
use crate::server::Refusal;

/// Queues and latencies of the watched pipeline.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Telemetry"))]
pub(crate) struct TelemetryJson {
    /// Jobs that wait.
    queues: QueuesJson,
    /// How long stages took over the last five minutes; null when no stage reports.
    latencies: Option<LatenciesJson>,
    /// When this was found out.
    timestamp: String,
}
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Queues"))]
struct QueuesJson {
    /// Of our own queues, or `hsi_detection_queue_depth`.
    detection_queue: Option<u64>,
    /// Of our own queues, or `hsi_analysis_queue_depth`.
    analysis_queue: Option<u64>,
}
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Latencies"))]
struct LatenciesJson {
    watch: Option<LatencyJson>,
    detect: Option<LatencyJson>,
    batch: Option<LatencyJson>,
    analyze: Option<LatencyJson>,
}
/// Latency of one stage, from `hsi_stage_duration_seconds`. Quantiles are estimates from its buckets.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Latency"))]
struct LatencyJson {
    avg_ms: Option<f64>,
    /// Always null: a histogram does not know it.
    min_ms: Option<f64>,
    /// Always null: a histogram does not know it.
    max_ms: Option<f64>,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
    sample_count: u64,
}

/// `GET /api/system/telemetry`.
pub(crate) async fn telemetry(State(app): State<Arc<App>>) -> Result<Json<TelemetryJson>, Refusal> {
    for name in [DETECTION, ANALYSIS].into_iter().filter(|_| app.rooms.queues.is_in_use()) {
        if let Ok(queue) = app.rooms.queues.queue(name)
            && let Err(error) = app.rooms.queues.depths(queue).await
        {
            tracing::debug!(%error, name, "the depth of a queue is not known");
        }
    }
    let answer = run(&app, None, |app, budget| {
        let (detection_queue, analysis_queue) = queues(app, budget)?;
        let stage = |name| latency(app, budget, name);
        let latencies = LatenciesJson { watch: stage("watch")?, detect: stage("detect")?, batch: stage("batch")?, analyze: stage("analyze")? };
        let any = [&latencies.watch, &latencies.detect, &latencies.batch, &latencies.analyze].into_iter().any(Option::is_some);
        Ok::<_, ApiError>(TelemetryJson {
            queues: QueuesJson { detection_queue, analysis_queue },
            latencies: any.then_some(latencies),
            timestamp: app.now().rfc3339(),
        })
    });
    Ok(Json(answer.await?))
}

/// The depths of the detection and analysis queues: of our own queues when somebody uses them, else as programs report them. A depth
/// may be exported twice (by the program and by a probe), so the largest one counts, not the sum.
pub(crate) fn queues(app: &App, budget: &Budget) -> Result<(Option<u64>, Option<u64>), ApiError> {
    let depth = |queue: &str, metric: &str| match app.rooms.queues.last_depths(queue) {
        Some(depths) => Ok(Some(depths.depth())),
        None => Ok::<_, ApiError>(number(app, budget, &format!("max({metric})"))?.map(|v| v.max(0.0).round() as u64)),
    };
    Ok((depth(DETECTION, "hsi_detection_queue_depth")?, depth(ANALYSIS, "hsi_analysis_queue_depth")?))
}

fn latency(app: &App, budget: &Budget, stage: &str) -> Result<Option<LatencyJson>, ApiError> {
    let total = |part: &str| number(app, budget, &format!("sum(increase(hsi_stage_duration_seconds_{part}{{stage=\"{stage}\"}}[5m]))"));
    let Some(count) = total("count")?.filter(|c| *c > 0.0) else { return Ok(None) };
    let ms = |secs: Option<f64>| secs.filter(|s| s.is_finite()).map(|s| (s * 1e6).round() / 1e3);
    let quantile = |q: &str| {
        let query = format!("histogram_quantile({q}, sum by (le) (rate(hsi_stage_duration_seconds_bucket{{stage=\"{stage}\"}}[5m])))");
        Ok::<_, ApiError>(ms(number(app, budget, &query)?))
    };
    Ok(Some(LatencyJson {
        avg_ms: ms(total("sum")?.map(|sum| sum / count)),
        min_ms: None,
        max_ms: None,
        p50_ms: quantile("0.5")?,
        p95_ms: quantile("0.95")?,
        p99_ms: quantile("0.99")?,
        sample_count: count.round() as u64,
    }))
}
