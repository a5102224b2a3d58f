//! `/api/system/gpu` and its history. A sample has the same shape everywhere; only the precision of its time differs
//! between HTTP (whole seconds) and WebSocket (milliseconds).

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
use watchfire_model::live::{GpuOrigin, GpuSample};
use watchfire_model::time::Timestamp;

use super::query::Query;
use crate::app::App;
use crate::server::Refusal;

/// Samples in one answer when nothing else is said.
const HISTORY_DEFAULT: usize = 300;
/// The most samples in one answer.
const HISTORY_MAX: usize = 5000;
/// The longest look back by `minutes`: a year.
const MINUTES_MAX: i64 = 366 * 24 * 60;

/// One look at a GPU. Unknown values are null.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "GpuSample"))]
pub(crate) struct GpuJson {
    /// Model name; null before the first look.
    gpu_name: Option<String>,
    /// Compute utilisation in percent.
    gpu_utilization: Option<f64>,
    /// Memory in use, MB.
    memory_used: Option<u64>,
    /// Memory in all, MB.
    memory_total: Option<u64>,
    /// Core temperature, Celsius.
    temperature: Option<f64>,
    /// Power draw, watts.
    power_usage: Option<f64>,
    /// When it was taken, RFC 3339 in UTC. Left out of the current sample when there is no GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded_at: Option<String>,
    /// What only a real GPU has.
    #[serde(flatten)]
    more: Option<More>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
struct More {
    /// Detections per second over the last minute, when they are recorded here.
    inference_fps: Option<f64>,
    /// Bit field of reasons for lowered clocks.
    throttle_reasons: Option<u64>,
    /// Power limit, watts.
    power_limit: Option<f64>,
    /// Fan speed in percent.
    fan_speed: Option<f64>,
    /// Streaming-multiprocessor clock, MHz.
    sm_clock: Option<u64>,
    /// Memory clock, MHz.
    memory_clock: Option<u64>,
    /// Performance state, 0 is the fastest.
    pstate: Option<u64>,
    /// The same as `gpu_utilization`, under the name that some clients use.
    utilization: Option<f64>,
    /// `NORMAL`, `WARNING` (85 % of memory) or `CRITICAL` (95 %).
    memory_pressure: &'static str,
    /// How the sample was taken: `nvml`, `nvidia-smi`, `ai-service`.
    source: &'static str,
}

impl GpuJson {
    /// The shape of a sample with the time in the given form.
    pub(crate) fn new(sample: &GpuSample, recorded_at: Option<String>) -> GpuJson {
        let more = (sample.origin != GpuOrigin::Mock).then(|| More {
            inference_fps: sample.inference_fps,
            throttle_reasons: sample.throttle_reasons,
            power_limit: sample.power_limit,
            fan_speed: sample.fan_speed,
            sm_clock: sample.sm_clock,
            memory_clock: sample.memory_clock,
            pstate: sample.pstate,
            utilization: sample.utilization,
            memory_pressure: sample.pressure().name(),
            source: sample.origin.name(),
        });
        GpuJson {
            gpu_name: Some(sample.name.clone()),
            gpu_utilization: sample.utilization,
            memory_used: sample.memory_used_mb,
            memory_total: sample.memory_total_mb,
            temperature: sample.temperature,
            power_usage: sample.power_usage,
            recorded_at,
            more,
        }
    }
    fn nothing_yet() -> GpuJson {
        GpuJson {
            gpu_name: None,
            gpu_utilization: None,
            memory_used: None,
            memory_total: None,
            temperature: None,
            power_usage: None,
            recorded_at: None,
            more: None,
        }
    }
}

fn whole_seconds(time: Timestamp) -> String {
    Timestamp(time.millis().div_euclid(1000) * 1000).rfc3339()
}

/// `GET /api/system/gpu`.
pub(crate) async fn current(State(app): State<Arc<App>>) -> Json<GpuJson> {
    Json(match app.rooms.gpu.current() {
        None => GpuJson::nothing_yet(),
        Some(mock) if mock.origin == GpuOrigin::Mock => GpuJson::new(&mock, None),
        Some(sample) => GpuJson::new(&sample, Some(whole_seconds(sample.recorded_at))),
    })
}

/// `GET /api/system/gpu/history`.
pub(crate) async fn history(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Result<Json<Vec<GpuJson>>, Refusal> {
    let query = Query::new(query);
    let minutes = query.integer("minutes")?;
    let limit = match query.integer("limit")? {
        Some(limit) => usize::try_from(limit.clamp(1, HISTORY_MAX as i64)).unwrap_or(HISTORY_MAX),
        None if minutes.is_some() => HISTORY_MAX,
        None => HISTORY_DEFAULT,
    };
    let since = match (query.time("since")?, minutes) {
        (Some(since), _) => since,
        (None, Some(minutes)) => app.now().plus_ms(-minutes.clamp(0, MINUTES_MAX) * 60_000),
        (None, None) => Timestamp(0),
    };
    let samples = app.rooms.gpu.history(since, limit).await;
    Ok(Json(samples.iter().map(|s| GpuJson::new(s, Some(whole_seconds(s.recorded_at)))).collect()))
}
