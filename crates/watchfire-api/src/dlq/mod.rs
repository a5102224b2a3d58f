//! The dead letter face: `/api/dlq/*` as the replaced program serves it and `/api/system/dlq/*` as its documents write it. What dead letters
//! are is the queues' affair; here are paths, shapes and sentences.

mod shapes;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use watchfire_pipeline::queue::backend::QueueError;
use watchfire_pipeline::queue::name::DeadQueue;
use watchfire_pipeline::queue::{ANALYSIS, DETECTION, Listing, Moved, Picked, Queues, REQUEUE_MAX, Who};

use crate::app::App;
use crate::auth::Caller;
use crate::native::{Query, invalid};
use crate::server::{Content, Level, Parameter, Place, Refusal, Route};
use shapes::{AuditJson, ClearedJson, FailureJson, JobsJson, MovedJson, PickedJson, PlaceJson, RestoredJson, StatsJson, UndoJson};

/// Both prefixes. The first is described; the second is the same.
const PREFIXES: [&str; 2] = ["/api/dlq", "/api/system/dlq"];
/// Jobs of one answer when nobody says how many, and at most.
const LIMITS: (i64, i64) = (100, 1_000);
/// Jobs that one request may name.
const PICKED_MAX: usize = 100;
/// The fastest slow requeue, in jobs per second.
const RATE_MAX: i64 = 1_000;

/// The routes of the face.
pub fn routes() -> Vec<Route<Arc<App>>> {
    let mut all = Vec::new();
    for prefix in PREFIXES {
        for route in reading(prefix).into_iter().chain(changing(prefix)) {
            all.push(if prefix == PREFIXES[0] { route } else { route.hidden() }.tag("dead letters"));
        }
    }
    all
}

fn integer(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, place: Place::Query, required: false, kind: "integer", description }
}
const QUEUE: &str = "The dead letters: `dlq:<queue>`, or `dlq:overflow:<queue>` for jobs that found no room";

fn reading(prefix: &str) -> Vec<Route<Arc<App>>> {
    let pages =
        |route: Route<Arc<App>>| route.parameter(integer("start", "The first job, from 0")).parameter(integer("limit", "How many, 1 to 1000; default 100"));
    let get = |path: &str, summary| (format!("{prefix}{path}"), summary);
    let (stats_path, summary) = get("/stats", "How many dead letters there are");
    let stats = Route::get(&stats_path, Level::Read, stats).summary(summary).answers::<StatsJson>(200, "The counts");
    let (all_path, summary) = get("/jobs", "Dead letters of one place or of all");
    let all = pages(Route::get(&all_path, Level::Read, list_any)).summary(summary).query_parameter("queue", QUEUE).answers::<JobsJson>(200, "A page");
    let (path, summary) = get("/jobs/{queue}", "Dead letters of one place, oldest first");
    let list = pages(Route::get(&path, Level::Read, list)).summary(summary).path_parameter("queue", QUEUE).answers::<JobsJson>(200, "A page");
    let (path, summary) = get("/jobs/{queue}/{id}", "One dead letter");
    let one = Route::get(&path, Level::Read, one).summary(summary).path_parameter("queue", QUEUE).path_parameter("id", "Its id");
    let (path, summary) = get("/jobs/{queue}/{id}/payload", "The job as it was sent, byte for byte, secrets included");
    let payload = Route::get(&path, Level::Admin, payload).summary(summary).path_parameter("queue", QUEUE).path_parameter("id", "Its id");
    let (path, summary) = get("/audit", "Who changed dead letters, newest first");
    let audit = Route::get(&path, Level::Read, audit).summary(summary).parameter(integer("limit", "How many, 1 to 1000; default 100"));
    let (path, summary) = get("/undo", "What was cleared and can be restored");
    let undo = Route::get(&path, Level::Read, undo).summary(summary).answers::<Vec<UndoJson>>(200, "The undo files, newest first");
    vec![
        stats,
        all,
        list,
        one.answers::<FailureJson>(200, "The job and why it died"),
        payload.answers_with(200, "application/octet-stream", "The payload"),
        audit.answers::<Vec<AuditJson>>(200, "The trail"),
        undo,
    ]
}

fn changing(prefix: &str) -> Vec<Route<Arc<App>>> {
    let post = |path: &str| format!("{prefix}{path}");
    let rate = || integer("rate", "So many jobs per second, 1 to 1000; at once when nothing is said");
    let moved = "What became of it; success is false when nothing could be moved";
    vec![
        Route::post(&post("/requeue/{queue}"), Level::Admin, requeue)
            .summary("Puts the oldest dead letter back, or those that are named")
            .takes(Content::Any)
            .path_parameter("queue", QUEUE)
            .query_parameter("id", "One job")
            .answers::<MovedJson>(200, moved),
        Route::post(&post("/requeue-all/{queue}"), Level::Admin, requeue_all)
            .summary("Puts all dead letters of a place back, 10,000 at most")
            .path_parameter("queue", QUEUE)
            .parameter(rate())
            .answers::<MovedJson>(200, moved)
            .answers::<MovedJson>(202, "It goes on at the rate"),
        Route::post(&post("/requeue-all"), Level::Admin, requeue_all_of)
            .summary("The same, with the place as a parameter")
            .query_parameter("queue", QUEUE)
            .parameter(rate())
            .answers::<MovedJson>(200, moved)
            .answers::<MovedJson>(202, "It goes on at the rate"),
        Route::delete(&post("/clear"), Level::Admin, clear_of)
            .summary("Deletes all dead letters of a place, with a way back")
            .query_parameter("queue", QUEUE)
            .answers::<ClearedJson>(200, "What was cleared"),
        Route::delete(&post("/{queue}"), Level::Admin, clear)
            .summary("The same, with the place in the path")
            .path_parameter("queue", QUEUE)
            .answers::<ClearedJson>(200, "What was cleared"),
        Route::post(&post("/undo/{name}/restore"), Level::Admin, restore)
            .summary("Brings back what was cleared")
            .path_parameter("name", "The undo file")
            .answers::<RestoredJson>(200, "What came back"),
    ]
}

impl From<QueueError> for Refusal {
    fn from(error: QueueError) -> Refusal {
        let message = error.to_string();
        match error {
            QueueError::Unavailable(_) => Refusal::unavailable(message, 5),
            QueueError::Full(_) => Refusal { code: "queue_full", ..Refusal::too_many(message, 1) },
            QueueError::TooLarge(_) => Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message),
            QueueError::UnknownQueue(_) => Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown_queue", message),
            QueueError::UnknownLease => Refusal::new(StatusCode::NOT_FOUND, "unknown_lease", message),
            QueueError::UnknownJob(_) | QueueError::UnknownUndo(_) => Refusal::not_found(message),
            QueueError::Busy(_) => Refusal::new(StatusCode::CONFLICT, "busy", message),
            QueueError::Undo(_) => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "undo_failed", message),
        }
    }
}

fn queues(app: &App) -> &Arc<Queues> {
    &app.rooms.queues
}
fn who(caller: &Caller) -> Who {
    Who { name: caller.name.to_string(), via: caller.via.word().to_owned() }
}
/// The place that the parameter `queue` names.
fn named(app: &App, query: &Query) -> Result<DeadQueue, Refusal> {
    let name = query.text("queue").ok_or_else(|| invalid("queue", "", "the name of dead letters such as dlq:detection_queue"))?;
    Ok(queues(app).dead_queue(&name)?)
}
fn page(query: &Query) -> Result<(u64, usize), Refusal> {
    let start = query.integer("start")?.unwrap_or(0);
    let start = u64::try_from(start).map_err(|_| invalid("start", &start.to_string(), "0 or more"))?;
    Ok((start, limit(query)?))
}
fn limit(query: &Query) -> Result<usize, Refusal> {
    let limit = query.integer("limit")?.unwrap_or(LIMITS.0);
    let fits = (1..=LIMITS.1).contains(&limit);
    usize::try_from(limit).ok().filter(|_| fits).ok_or_else(|| invalid("limit", &limit.to_string(), "a whole number from 1 to 1000"))
}

async fn stats(State(app): State<Arc<App>>) -> Result<Json<StatsJson>, Refusal> {
    let queues = queues(&app);
    let mut stats =
        StatsJson { detection_queue_count: 0, analysis_queue_count: 0, total_count: 0, overflow_count: 0, queues: Vec::new(), backend: queues.kind() };
    for queue in &queues.settings().names {
        let depths = queues.depths(queue).await?;
        match queue.as_str() {
            DETECTION => stats.detection_queue_count = depths.dead,
            ANALYSIS => stats.analysis_queue_count = depths.dead,
            _ => {}
        }
        stats.total_count += depths.dead;
        stats.overflow_count += depths.overflow;
        for (place, count) in [(DeadQueue::Failed(queue.clone()), depths.dead), (DeadQueue::Overflow(queue.clone()), depths.overflow)] {
            stats.queues.push(PlaceJson::new(&place, count, &queues.trickling()));
        }
    }
    Ok(Json(stats))
}

async fn list(State(app): State<Arc<App>>, Path(queue): Path<String>, RawQuery(query): RawQuery) -> Result<Json<JobsJson>, Refusal> {
    let dead = queues(&app).dead_queue(&queue)?;
    let (start, limit) = page(&Query::new(query))?;
    let listing = queues(&app).list(&dead, start, limit).await?;
    Ok(Json(JobsJson::new(dead.to_string(), start, limit, listing)))
}
async fn list_any(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Result<Json<JobsJson>, Refusal> {
    let query = Query::new(query);
    let (start, limit) = page(&query)?;
    let queues = queues(&app);
    if query.text("queue").is_some() {
        let dead = named(&app, &query)?;
        let listing = queues.list(&dead, start, limit).await?;
        return Ok(Json(JobsJson::new(dead.to_string(), start, limit, listing)));
    }
    let listing: Listing = queues.list_all(&queues.dead_queues(), start, limit).await?;
    Ok(Json(JobsJson::new("all".to_owned(), start, limit, listing)))
}
async fn one(State(app): State<Arc<App>>, Path((queue, id)): Path<(String, String)>) -> Result<Json<FailureJson>, Refusal> {
    let dead = queues(&app).dead_queue(&queue)?;
    Ok(Json(queues(&app).one(&dead, &id).await?.into()))
}
async fn payload(State(app): State<Arc<App>>, Path((queue, id)): Path<(String, String)>) -> Result<Response, Refusal> {
    let dead = queues(&app).dead_queue(&queue)?;
    Ok(([(CONTENT_TYPE, "application/octet-stream")], queues(&app).payload(&dead, &id).await?).into_response())
}

async fn requeue(
    State(app): State<Arc<App>>,
    Path(queue): Path<String>,
    caller: Caller,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Json<MovedJson>, Refusal> {
    let dead = queues(&app).dead_queue(&queue)?;
    let mut ids: Vec<String> = Query::new(query).text("id").into_iter().collect();
    if !body.is_empty() {
        let picked: PickedJson = serde_json::from_slice(&body).map_err(|e| Refusal::new(StatusCode::BAD_REQUEST, "malformed_body", e.to_string()))?;
        ids.extend(picked.ids);
    }
    if ids.len() > PICKED_MAX {
        return Err(invalid("ids", &ids.len().to_string(), "at most 100 ids"));
    }
    let picked = if ids.is_empty() { Picked::Oldest } else { Picked::These(ids) };
    let moved = queues(&app).requeue(&dead, &picked, &who(&caller)).await?;
    Ok(Json(told(&dead, &moved)))
}
async fn requeue_all(State(app): State<Arc<App>>, Path(queue): Path<String>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response, Refusal> {
    let dead = queues(&app).dead_queue(&queue)?;
    all_back(&app, dead, &caller, &Query::new(query)).await
}
async fn requeue_all_of(State(app): State<Arc<App>>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response, Refusal> {
    let query = Query::new(query);
    let dead = named(&app, &query)?;
    all_back(&app, dead, &caller, &query).await
}
async fn all_back(app: &App, dead: DeadQueue, caller: &Caller, query: &Query) -> Result<Response, Refusal> {
    let Some(rate) = query.integer("rate")? else {
        let moved = queues(app).requeue(&dead, &Picked::All, &who(caller)).await?;
        return Ok(Json(told(&dead, &moved)).into_response());
    };
    let per_second = u32::try_from(rate).ok().filter(|_| (1..=RATE_MAX).contains(&rate));
    let per_second = per_second.ok_or_else(|| invalid("rate", &rate.to_string(), "a whole number from 1 to 1000"))?;
    let count = queues(app).trickle(dead.clone(), per_second, who(caller)).await?;
    let message = format!("Requeueing {count} jobs from {dead} to {} at {per_second} per second", dead.origin());
    Ok((StatusCode::ACCEPTED, Json(MovedJson { success: true, message, job: None, count, unreadable: 0, full: false })).into_response())
}

/// The sentences are those that existing pages show.
fn told(dead: &DeadQueue, moved: &Moved) -> MovedJson {
    let mut message = match moved.moved {
        0 if moved.full => format!("No room in {} for jobs from {dead}", dead.origin()),
        0 if moved.unreadable > 0 => format!("No readable jobs to requeue from {dead}"),
        0 => format!("No jobs to requeue from {dead}"),
        n => format!("Requeued {n} jobs from {dead} to {}", dead.origin()),
    };
    if moved.limited {
        message.push_str(&format!(" (hit limit of {REQUEUE_MAX})"));
    }
    if moved.moved > 0 && moved.full {
        message.push_str(" (the queue is full)");
    }
    MovedJson { success: moved.moved > 0, message, job: None, count: moved.moved, unreadable: moved.unreadable, full: moved.full }
}

async fn clear(State(app): State<Arc<App>>, Path(queue): Path<String>, caller: Caller) -> Result<Json<ClearedJson>, Refusal> {
    let dead = queues(&app).dead_queue(&queue)?;
    all_gone(&app, &dead, &caller).await
}
async fn clear_of(State(app): State<Arc<App>>, caller: Caller, RawQuery(query): RawQuery) -> Result<Json<ClearedJson>, Refusal> {
    let dead = named(&app, &Query::new(query))?;
    all_gone(&app, &dead, &caller).await
}
async fn all_gone(app: &App, dead: &DeadQueue, caller: &Caller) -> Result<Json<ClearedJson>, Refusal> {
    let cleared = queues(app).clear(dead, &who(caller)).await?;
    let mut message = format!("Cleared {} jobs from {dead}", cleared.cleared);
    if cleared.left > 0 {
        message.push_str(&format!(" ({} are too large to be written down first and stay)", cleared.left));
    }
    Ok(Json(ClearedJson { success: true, message, queue_name: dead.to_string(), count: cleared.cleared, undo: cleared.undo }))
}
async fn restore(State(app): State<Arc<App>>, Path(name): Path<String>, caller: Caller) -> Result<Json<RestoredJson>, Refusal> {
    let restored = queues(&app).restore(&name, &who(&caller)).await?;
    let message = format!("Restored {} jobs to {}", restored.restored, restored.queue);
    Ok(Json(RestoredJson { success: true, message, queue_name: restored.queue, count: restored.restored }))
}

async fn audit(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Result<Json<Vec<AuditJson>>, Refusal> {
    let entries = queues(&app).audit(limit(&Query::new(query))?).await?;
    Ok(Json(entries.into_iter().map(Into::into).collect()))
}
async fn undo(State(app): State<Arc<App>>) -> Result<Json<Vec<UndoJson>>, Refusal> {
    Ok(Json(queues(&app).undo_files().await?.into_iter().map(Into::into).collect()))
}
