//! Deleting an index, or what satisfies a query. Both are carried out at once and cannot be taken back.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use http::StatusCode;
use serde_json::json;
use watchfire_model::logs::{LogLine, Nanos};
use watchfire_query::documents::Document;

use super::answer::{EsError, Good};
use super::indices::matchers;
use super::search::{body, demanded, parsed};
use crate::app::App;
use crate::prometheus::gate::run;
use watchfire_net::blocking::{Panicked, spawn_blocking};

fn internal(_: Panicked) -> EsError {
    EsError::new(StatusCode::INTERNAL_SERVER_ERROR, "exception", "the deletion failed inside; the server's log says more")
}

fn failed(message: String) -> EsError {
    EsError::new(StatusCode::INTERNAL_SERVER_ERROR, "exception", message)
}

/// `DELETE /{index}`: names only, no patterns.
pub(super) async fn delete_index(State(app): State<Arc<App>>, Path(index): Path<String>) -> Result<Good, EsError> {
    if index.contains(['*', ',']) || index.starts_with(['_', '-']) {
        return Err(EsError::bad("Wildcard expressions or all indices are not allowed"));
    }
    let name = index.clone();
    let matchers = run(&app, None, move |app, budget| {
        if app.aliases.has(&index)? {
            let message = format!("The provided expression [{index}] matches an alias, specify the corresponding concrete indices instead.");
            return Err(EsError::bad(message));
        }
        // Says so when there is no such index. Entries without one are those of `logs`.
        matchers(app, budget, Some(&index), false)
    })
    .await?;
    app.searches.remove(&name);
    let task = spawn_blocking(move || {
        app.rooms.maintenance.delete_logs(&matchers, Nanos::MIN, Nanos::MAX, None).map_err(failed)?;
        app.aliases.forget(&name)
    });
    task.await.map_err(internal)??;
    Ok(Good(json!({"acknowledged": true})))
}

/// `POST /{index}/_delete_by_query`.
pub(super) async fn delete_by_query(State(app): State<Arc<App>>, Path(index): Path<String>, request: Request) -> Result<Good, EsError> {
    let filter = demanded(&app, &parsed(&body(request).await?)?)?;
    let matchers = run(&app, None, move |app, budget| matchers(app, budget, Some(&index), false)).await?;
    let (start, end) = filter.times();
    let task = spawn_blocking(move || {
        let goes = |entry: LogLine<'_>| filter.holds(&Document::new(entry));
        app.rooms.maintenance.delete_logs(&matchers, Nanos(start), Nanos(end), Some(&goes))
    });
    let deleted = task.await.map_err(internal)?.map_err(failed)?;
    Ok(Good(json!({"took": 0, "timed_out": false, "total": deleted, "deleted": deleted, "batches": 1, "version_conflicts": 0, "noops": 0, "failures": []})))
}
