//! `/api/system/stats` and `/api/system/storage/stats`: counts of what is recorded here, and the disk.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
use watchfire_model::labels::METRIC_NAME;
use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::read::{Budget, ReadError, Selection};
use watchfire_model::sample::is_stale;
use watchfire_model::time::Timestamp;

use crate::app::{App, SignalStats, StorageStats};
use crate::prometheus::answer::ApiError;
use crate::prometheus::gate::run;
use crate::server::Refusal;

/// Counts of what is recorded here.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Stats"))]
pub(crate) struct StatsJson {
    /// Different `camera_id` on `hsi_*` series; null when it cannot be counted.
    total_cameras: Option<u64>,
    /// Growth of `hsi_events_created_total` in the recorded time; null when it cannot be counted.
    total_events: Option<u64>,
    /// Growth of `hsi_detections_processed_total` in the recorded time; null when it cannot be counted.
    total_detections: Option<u64>,
    /// How long this process has been up.
    uptime_seconds: f64,
    /// Series that the store knows.
    total_series: u64,
    /// Samples that the store keeps.
    total_samples: u64,
    /// When this was counted.
    timestamp: String,
}

/// `GET /api/system/stats`.
pub(crate) async fn stats(State(app): State<Arc<App>>) -> Result<Json<StatsJson>, Refusal> {
    let answer = run(&app, None, |app, budget| {
        let storage = (app.rooms.storage)();
        Ok::<_, ApiError>(StatsJson {
            total_cameras: cameras(app, budget).ok(),
            total_events: counted(app, budget, "hsi_events_created_total").ok(),
            total_detections: counted(app, budget, "hsi_detections_processed_total").ok(),
            uptime_seconds: (app.uptime().as_secs_f64() * 1000.0).round() / 1000.0,
            total_series: storage.signals.iter().filter(|s| s.name == "metrics").map(|s| s.series).sum(),
            total_samples: storage.signals.iter().filter(|s| s.name == "metrics").map(|s| s.samples).sum(),
            timestamp: app.now().rfc3339(),
        })
    });
    Ok(Json(answer.await?))
}

/// All of time.
fn ever(matchers: Vec<Matcher>) -> Selection {
    Selection { matchers, start: Timestamp::MIN, end: Timestamp::MAX }
}

/// The number of cameras that anybody ever named here.
pub(crate) fn cameras(app: &App, budget: &Budget) -> Result<u64, ReadError> {
    let Ok(name) = Matcher::new(METRIC_NAME, MatchOp::Regex, "hsi_.*") else { return Ok(0) };
    let values = app.rooms.source.label_values("camera_id", &ever(vec![name]), budget)?;
    Ok(values.len() as u64)
}

/// What a counter has counted while it was recorded: its first value and all growth since, restarts included.
fn counted(app: &App, budget: &Budget, metric: &str) -> Result<u64, ReadError> {
    let mut total = 0.0;
    app.rooms.source.select(&ever(vec![Matcher::equal(METRIC_NAME, metric)]), budget, &mut |series| {
        budget.release_samples(series.times.len() as u64);
        let mut last = 0.0;
        for value in series.values.iter().copied().filter(|v| !is_stale(*v) && v.is_finite()) {
            total += if value >= last { value - last } else { value };
            last = value;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(f64::max(total, 0.0).round() as u64)
}

/// The disk, and what we keep on it.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "StorageStats"))]
pub(crate) struct StorageJson {
    /// Used on the file system that holds the data, by everybody.
    disk_used_bytes: u64,
    /// Its size.
    disk_total_bytes: u64,
    /// What is free there.
    disk_free_bytes: u64,
    /// Used of what is used or free, in percent, as `df` reckons; null when nothing is known.
    disk_usage_percent: Option<f64>,
    /// Always null: thumbnails are not kept here.
    thumbnails: Option<FilesJson>,
    /// Always null: images are not kept here.
    images: Option<FilesJson>,
    /// Always null: clips are not kept here.
    clips: Option<FilesJson>,
    /// Events counted here; null when they cannot be counted.
    events_count: Option<u64>,
    /// Detections counted here; null when they cannot be counted.
    detections_count: Option<u64>,
    /// Always null: samples of the GPU are metrics.
    gpu_stats_count: Option<u64>,
    /// Always null: logs are not kept here.
    logs_count: Option<u64>,
    /// When this was found out.
    timestamp: String,
    /// Where the data are.
    data_dir: String,
    /// Bytes of everything that we keep.
    total_bytes: u64,
    /// The configured limit of that; null for none.
    size_max: Option<u64>,
    /// Why nothing can be written at the moment; null when all is well.
    failure: Option<String>,
    /// Which data are offline because starts that read them died, and how they come back; null when all are there.
    offline: Option<String>,
    /// Bytes of the write-ahead log.
    log_bytes: u64,
    /// Bytes of the state file.
    state_bytes: u64,
    /// One entry per kind of data.
    signals: BTreeMap<&'static str, SignalJson>,
}
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Files"))]
struct FilesJson {
    file_count: u64,
    size_bytes: u64,
}
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "SignalStats"))]
struct SignalJson {
    /// Series or streams that are known.
    series: u64,
    /// Samples or entries that are kept.
    samples: u64,
    /// Immutable files.
    segments: u64,
    /// Their bytes.
    segment_bytes: u64,
    /// Time of the oldest item.
    oldest: Option<String>,
    /// Time of the newest item.
    newest: Option<String>,
    /// How long items are kept; null for ever.
    retention_seconds: Option<u64>,
}
impl SignalJson {
    fn new(stats: &SignalStats) -> SignalJson {
        SignalJson {
            series: stats.series,
            samples: stats.samples,
            segments: stats.segments,
            segment_bytes: stats.segment_bytes,
            oldest: stats.oldest.map(Timestamp::rfc3339),
            newest: stats.newest.map(Timestamp::rfc3339),
            retention_seconds: stats.retention.map(|r| r.as_secs()),
        }
    }
}

/// `GET /api/system/storage/stats`.
pub(crate) async fn storage(State(app): State<Arc<App>>) -> Result<Json<StorageJson>, Refusal> {
    let answer = run(&app, None, |app, budget| {
        let stats = (app.rooms.storage)();
        let events = counted(app, budget, "hsi_events_created_total").ok();
        let detections = counted(app, budget, "hsi_detections_processed_total").ok();
        Ok::<_, ApiError>(storage_json(&stats, app.now(), events, detections))
    });
    Ok(Json(answer.await?))
}

fn storage_json(stats: &StorageStats, now: Timestamp, events_count: Option<u64>, detections_count: Option<u64>) -> StorageJson {
    let usable = stats.disk_used_bytes + stats.disk_free_bytes;
    let percent = stats.disk_used_bytes as f64 * 100.0 / usable as f64;
    StorageJson {
        disk_used_bytes: stats.disk_used_bytes,
        disk_total_bytes: stats.disk_total_bytes,
        disk_free_bytes: stats.disk_free_bytes,
        disk_usage_percent: (usable > 0).then(|| (percent * 100.0).round() / 100.0),
        thumbnails: None,
        images: None,
        clips: None,
        events_count,
        detections_count,
        gpu_stats_count: None,
        logs_count: None,
        timestamp: now.rfc3339(),
        data_dir: stats.data_dir.clone(),
        total_bytes: stats.log_bytes + stats.state_bytes + stats.signals.iter().map(|s| s.segment_bytes).sum::<u64>(),
        size_max: stats.size_max,
        failure: stats.failure.clone(),
        offline: stats.offline.clone(),
        log_bytes: stats.log_bytes,
        state_bytes: stats.state_bytes,
        signals: stats.signals.iter().map(|s| (s.name, SignalJson::new(s))).collect(),
    }
}
