//! `/api/system/cleanup` and its preview: what retention would remove, and its removal at once. Not retention itself: that is
//! the store's, and runs without anybody asking.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::{Extension, Json};
#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
use watchfire_model::time::Timestamp;

use super::query::{Query, invalid};
use crate::app::{App, Cleanup};
use crate::auth::Caller;
use crate::prometheus::answer::{ApiError, ErrorKind};
use crate::prometheus::gate::run;
use crate::server::Refusal;
use watchfire_net::blocking::spawn_blocking;

/// What a cleanup would remove, or removed. Rows and files that are not kept here count zero.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Cleanup"))]
pub(crate) struct CleanupJson {
    events_deleted: u64,
    detections_deleted: u64,
    gpu_stats_deleted: u64,
    logs_deleted: u64,
    thumbnails_deleted: u64,
    images_deleted: u64,
    /// Bytes that would become free, or did.
    space_reclaimed: u64,
    /// How long items are kept, in days rounded up; null for ever.
    retention_days: Option<u64>,
    /// The same exactly.
    retention_seconds: Option<u64>,
    /// Whether this only looked.
    dry_run: bool,
    /// When this was found out.
    timestamp: String,
    /// Whole files that would go, or went.
    segments_deleted: u64,
    /// Samples in them.
    samples_deleted: u64,
    /// What would be the oldest moment kept; null when nothing is too old.
    keep_from: Option<String>,
    /// The clock has jumped: nothing goes for its age until the new time has stood for an hour.
    held: bool,
}
impl CleanupJson {
    fn new(cleanup: &Cleanup, dry_run: bool, now: Timestamp) -> CleanupJson {
        CleanupJson {
            events_deleted: 0,
            detections_deleted: 0,
            gpu_stats_deleted: 0,
            logs_deleted: 0,
            thumbnails_deleted: 0,
            images_deleted: 0,
            space_reclaimed: cleanup.bytes,
            retention_days: cleanup.retention.map(|r| r.as_secs().div_ceil(86_400)),
            retention_seconds: cleanup.retention.map(|r| r.as_secs()),
            dry_run,
            timestamp: now.rfc3339(),
            segments_deleted: cleanup.segments,
            samples_deleted: cleanup.samples,
            keep_from: cleanup.keep_from.map(Timestamp::rfc3339),
            held: cleanup.held,
        }
    }
}

/// `GET /api/system/cleanup/preview`.
pub(crate) async fn preview(State(app): State<Arc<App>>) -> Result<Json<CleanupJson>, Refusal> {
    look(&app).await
}

/// `POST /api/system/cleanup`.
pub(crate) async fn cleanup(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    Extension(caller): Extension<Caller>,
) -> Result<Json<CleanupJson>, Refusal> {
    match Query::new(query).text("dry_run").as_deref() {
        None | Some("false") => {}
        Some("true") => return look(&app).await,
        Some(other) => return Err(invalid("dry_run", other, "true or false")),
    }
    let work = app.rooms.cleanup.clone();
    // Not through the query gate: a full disk must not wait for queries, and half a cleanup would be told by nobody.
    let removed = spawn_blocking(move || work()).await.map_err(|_| Refusal::internal())?.map_err(failed)?;
    tracing::info!(caller = &*caller.name, segments = removed.segments, samples = removed.samples, bytes = removed.bytes, "cleaned up");
    Ok(Json(CleanupJson::new(&removed, false, app.now())))
}

async fn look(app: &Arc<App>) -> Result<Json<CleanupJson>, Refusal> {
    let answer = run(app, None, |app, _| Ok::<_, ApiError>(CleanupJson::new(&(app.rooms.cleanup_preview)().map_err(failed)?, true, app.now())));
    Ok(Json(answer.await?))
}

fn failed(reason: String) -> ApiError {
    ApiError::new(ErrorKind::Internal, reason)
}
