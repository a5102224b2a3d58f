//! `/api/v1/admin/tsdb/*`: deletes series, tidies up after it, makes snapshots. Off unless enabled, as there.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;
use watchfire_model::time::Timestamp;

use super::answer::{ApiError, ErrorKind, Success};
use super::params::Params;
use super::promql::selectors;
use crate::app::{App, Maintenance};
use watchfire_net::blocking::spawn_blocking;

/// `POST|PUT /api/v1/admin/tsdb/delete_series`.
pub(crate) async fn delete_series(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let store = enabled(&app)?;
    let params = Params::read(request).await?;
    let sets = selectors(params.all("match[]"))?;
    if sets.is_empty() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let (start, end) = (params.time_or("start", Timestamp::MIN)?, params.time_or("end", Timestamp::MAX)?);
    run(move || store.delete_series(&sets, start, end)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST|PUT /api/v1/admin/tsdb/clean_tombstones`.
pub(crate) async fn clean_tombstones(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let store = enabled(&app)?;
    run(move || store.clean_tombstones()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST|PUT /api/v1/admin/tsdb/snapshot`.
pub(crate) async fn snapshot(State(app): State<Arc<App>>, request: Request) -> Result<Success, ApiError> {
    let store = enabled(&app)?;
    let params = Params::read(request).await?;
    let skip_head = match params.get("skip_head") {
        None => false,
        // What Go's ParseBool takes.
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => true,
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => false,
        Some(other) => return Err(ApiError::parameter("skip_head", format!("unable to parse boolean {other:?}"))),
    };
    let name = run(move || store.snapshot(skip_head)).await?;
    Ok(Success::of(&json!({ "name": name })))
}

fn enabled(app: &App) -> Result<Arc<dyn Maintenance>, ApiError> {
    if app.rooms.admin_api { Ok(app.rooms.maintenance.clone()) } else { Err(ApiError::new(ErrorKind::Unavailable, "admin APIs disabled")) }
}

/// Runs what works on files off the asynchronous threads.
async fn run<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, ApiError> {
    let done = spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err("the server's log says more".to_owned())).map_err(|message| ApiError::new(ErrorKind::Internal, message))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::{Method, Request, StatusCode};
    use serde_json::json;
    use watchfire_model::labels;

    use crate::testing::{Answered, Faces};

    async fn send(faces: &Faces, method: Method, path: &str) -> Answered {
        faces.send(Request::builder().method(method).uri(format!("/api/v1/admin/tsdb/{path}")).body(Body::empty()).unwrap()).await
    }

    #[tokio::test]
    async fn off_until_enabled() {
        let faces = Faces::new();
        for path in ["delete_series?match[]=up", "clean_tombstones", "snapshot"] {
            let answer = send(&faces, Method::POST, path).await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
            assert_eq!(answer.json(), json!({ "status": "error", "errorType": "unavailable", "error": "admin APIs disabled" }));
            assert_eq!(send(&faces, Method::GET, path).await.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        }
    }

    #[tokio::test]
    async fn answers_of_the_original() {
        let faces = Faces::with(|rooms| rooms.admin_api = true);
        faces.house.put(labels!("__name__" => "up", "job" => "a"), &[(0, 1.0)]);
        faces.house.put(labels!("__name__" => "up", "job" => "b"), &[(0, 1.0)]);
        let none = send(&faces, Method::POST, "delete_series").await;
        assert_eq!((none.status, none.json()["error"].as_str()), (StatusCode::BAD_REQUEST, Some("no match[] parameter provided")));
        assert_eq!(send(&faces, Method::POST, "delete_series?match[]=%7B%7D").await.status, StatusCode::BAD_REQUEST);
        let gone = send(&faces, Method::PUT, "delete_series?match[]=up%7Bjob%3D%22a%22%7D").await;
        assert_eq!((gone.status, gone.text().as_str()), (StatusCode::NO_CONTENT, ""));
        assert_eq!(faces.house.held().series.len(), 1);
        assert_eq!(faces.form("/api/v1/admin/tsdb/delete_series", "match[]=up").await.status, StatusCode::NO_CONTENT);
        assert_eq!(faces.house.held().series.len(), 0);
        assert_eq!(send(&faces, Method::POST, "clean_tombstones").await.status, StatusCode::NO_CONTENT);
        for (query, name) in [("snapshot", "whole"), ("snapshot?skip_head=true", "segments"), ("snapshot?skip_head=0", "whole")] {
            assert_eq!(send(&faces, Method::POST, query).await.json(), json!({ "status": "success", "data": { "name": name } }));
        }
        assert_eq!(send(&faces, Method::POST, "snapshot?skip_head=x").await.status, StatusCode::BAD_REQUEST);
    }
}
