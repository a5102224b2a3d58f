//! `/loki/api/v1/delete`: deletions are carried out at once; the list tells what was deleted since the start.

use std::cell::RefCell;
use std::sync::{Arc, PoisonError};

use axum::extract::{Request, State};
use http::StatusCode;
use serde::Serialize;
use watchfire_model::logs::{LogLine, Nanos};
use watchfire_query::logql::{LinePipeline, parse_log};

use super::answer::{LokiError, Plain};
use super::params::Params;
use crate::app::App;
use watchfire_net::blocking::spawn_blocking;

/// The most deletions that are told.
const LISTED_MAX: usize = 100;

/// A deletion that was carried out. Times are seconds.
#[derive(Clone, Debug, Serialize)]
pub struct Deletion {
    request_id: String,
    start_time: f64,
    end_time: f64,
    query: String,
    status: &'static str,
    created_at: f64,
    deleted_entries: u64,
}

/// `POST|PUT /loki/api/v1/delete`.
pub(super) async fn delete(State(app): State<Arc<App>>, request: Request) -> Result<StatusCode, LokiError> {
    let params = Params::read(request).await?;
    let text = params.query(&app)?;
    let log = parse_log(&text)?;
    let now = Nanos::from_millis(app.now().millis());
    let (start, end) = (params.time_or("start", Nanos::MIN)?, params.time_or("end", now)?);
    if end < start {
        return Err(LokiError::bad("start time can't be greater than end time"));
    }
    let work = app.clone();
    let task = spawn_blocking(move || -> Result<u64, LokiError> {
        let failed = |message: String| LokiError::new(StatusCode::INTERNAL_SERVER_ERROR, message);
        // The last moment is part of the range.
        let until = Nanos(end.0.saturating_add(1));
        if log.stages.is_empty() {
            return work.rooms.maintenance.delete_logs(&log.matchers, start, until, None).map_err(failed);
        }
        let pipeline = RefCell::new(LinePipeline::new(&log, now)?);
        let goes = |entry: LogLine<'_>| pipeline.borrow_mut().line(entry).is_some();
        work.rooms.maintenance.delete_logs(&log.matchers, start, until, Some(&goes)).map_err(failed)
    });
    let internal = |_| LokiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the deletion failed inside; the server's log says more");
    let deleted_entries = task.await.map_err(internal)??;
    let mut list = app.log_deletions.lock().unwrap_or_else(PoisonError::into_inner);
    let seconds = |time: Nanos| time.millis().max(0) as f64 / 1000.0;
    let request_id = format!("{:08x}", watchfire_model::labels::Labels::from_pairs([("query", text.as_str()), ("at", &now.0.to_string())]).hash_value() as u32);
    list.push(Deletion {
        request_id,
        start_time: seconds(start),
        end_time: seconds(end),
        query: text,
        status: "processed",
        created_at: seconds(now),
        deleted_entries,
    });
    let excess = list.len().saturating_sub(LISTED_MAX);
    list.drain(..excess);
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /loki/api/v1/delete`.
pub(super) async fn list(State(app): State<Arc<App>>) -> Plain<Vec<Deletion>> {
    Plain(app.log_deletions.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

/// `DELETE /loki/api/v1/delete`: what is carried out cannot be taken back.
pub(super) async fn cancel(State(app): State<Arc<App>>, request: Request) -> LokiError {
    let id = Params::read(request).await.ok().and_then(|p| p.get("request_id").map(str::to_owned)).unwrap_or_default();
    let known = app.log_deletions.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|d| d.request_id == id);
    if known {
        LokiError::bad("deletion of request which is processed already is not possible")
    } else {
        LokiError::new(StatusCode::NOT_FOUND, "could not find delete request with given id")
    }
}
