//! The Pushgateway face: `/metrics/job/…` takes pushes, `/pushgateway/metrics` and `/api/v1/metrics` show them. Paths of a
//! push begin where those of our own `/metrics` end, so that neither is in the other's way.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, StatusCode};
use serde_json::json;
use watchfire_ingest::exposition::{Format, render};
use watchfire_ingest::pushgateway::{Body, Key, PushError};
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::inflate::DECOMPRESSED_BYTES_MAX;

use crate::app::App;
use crate::prometheus::answer::text;
use crate::server::{Content, Level, Refusal, Route};

/// Where pushes go: at the root, and under the prefix of this face.
const PREFIXES: [&str; 2] = ["", "/pushgateway"];

/// The routes of the face.
pub fn routes() -> Vec<Route<Arc<App>>> {
    let mut all = Vec::new();
    for prefix in PREFIXES {
        for job in ["job", "job@base64"] {
            let path = format!("/metrics/{job}/{{*group}}");
            let push = Route::new(&[Method::PUT, Method::POST], &path, Level::Ingest, push).takes(Content::Any).telemetry_body();
            let push = push.summary("Pushes a group of metrics (PUT: all of it, POST: these metrics of it)");
            let delete = Route::delete(&path, Level::Ingest, delete).summary("Forgets a pushed group");
            all.extend([push, delete].map(|route| if prefix.is_empty() && job == "job" { route } else { route.hidden() }.under(prefix)));
        }
    }
    all.push(Route::get("/pushgateway/metrics", Level::Read, metrics).summary("Pushed metrics in the text format").answers_with(
        200,
        "text/plain",
        "Prometheus text 0.0.4, or OpenMetrics when asked for",
    ));
    all.push(Route::get("/api/v1/metrics", Level::Read, describe).summary("Pushed groups as a Pushgateway describes them"));
    all.push(Route::get("/pushgateway/api/v1/metrics", Level::Read, describe).hidden());
    all.into_iter().map(|route| route.errors(envelope).tag("pushgateway")).collect()
}

/// Senders show the body of an error as it is.
fn envelope(refusal: &Refusal) -> Response {
    text(refusal.status, format!("{}\n", refusal.message))
}

/// The group that a path names, in the path's own encoding.
fn key(app: &App, request: &Request) -> Result<Key, PushError> {
    let path = request.uri().path();
    let (_, group) = path.split_once("/metrics/").unwrap_or(("", ""));
    Key::from_path(group).inspect_err(|error| app.rooms.pushgateway.count_refused(error))
}

async fn push(State(app): State<Arc<App>>, request: Request) -> Response {
    let key = match key(&app, &request) {
        Ok(key) => key,
        Err(error) => return refused(&error),
    };
    let media = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    // Whatever else the header says, the original reads the text format.
    let protobuf = media.starts_with("application/vnd.google.protobuf");
    let open = Format::from_content_type(media) == Some(Format::OpenMetrics);
    let replace = *request.method() == Method::PUT;
    let Ok(body) = axum::body::to_bytes(request.into_body(), DECOMPRESSED_BYTES_MAX).await else {
        return text(StatusCode::BAD_REQUEST, "the body broke off\n".to_owned());
    };
    let task = spawn_blocking(move || {
        let body = match (protobuf, open) {
            (true, _) => Body::Protobuf(&body),
            (false, true) => Body::OpenMetrics(&body),
            (false, false) => Body::Text(&body),
        };
        app.rooms.pushgateway.push(&key, body, replace)
    });
    match task.await {
        Ok(Ok(())) => StatusCode::OK.into_response(),
        Ok(Err(error)) => refused(&error),
        Err(_) => Refusal::internal().into_response(),
    }
}

async fn delete(State(app): State<Arc<App>>, request: Request) -> Response {
    let key = match key(&app, &request) {
        Ok(key) => key,
        Err(error) => return refused(&error),
    };
    match spawn_blocking(move || app.rooms.pushgateway.delete(&key)).await {
        Ok(Ok(())) => StatusCode::ACCEPTED.into_response(),
        Ok(Err(error)) => refused(&error),
        Err(_) => Refusal::internal().into_response(),
    }
}

fn refused(error: &PushError) -> Response {
    let status = match error {
        PushError::State(_) => StatusCode::SERVICE_UNAVAILABLE,
        PushError::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
        PushError::Path(_) | PushError::Key(_) | PushError::Malformed(_) | PushError::Inconsistent(_) => StatusCode::BAD_REQUEST,
    };
    text(status, format!("{error}\n"))
}

async fn metrics(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refusal> {
    let format = Format::negotiate(request.headers().get(ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or(""));
    let body = spawn_blocking(move || render(format, &app.rooms.pushgateway.families())).await;
    Ok(([(CONTENT_TYPE, format.content_type())], body.map_err(|_| Refusal::internal())?).into_response())
}

async fn describe(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let data = spawn_blocking(move || app.rooms.pushgateway.describe()).await.map_err(|_| Refusal::internal())?;
    Ok(axum::Json(json!({"status": "success", "data": data})).into_response())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;
    use crate::testing::{Answered, Faces};

    async fn send(faces: &Faces, method: Method, path: &str, media: &str, body: &str) -> Answered {
        faces.send(Request::builder().method(method).uri(path).header("content-type", media).body(Body::from(body.to_owned())).unwrap()).await
    }

    #[tokio::test]
    async fn pushes_are_taken_shown_and_forgotten() {
        let faces = Faces::new();
        let put = |path: &'static str, body: &'static str| send(&faces, Method::PUT, path, "", body);
        assert_eq!(put("/metrics/job/a/instance/x%20y", "up_to_date 1\n").await.status, 200);
        assert_eq!(put("/metrics/job@base64/Yg==", "up_to_date 0").await.status, 200);
        assert_eq!(send(&faces, Method::POST, "/pushgateway/metrics/job/a/instance/x%20y", "", "n 4\n").await.status, 200);
        let shown = faces.get("/pushgateway/metrics").await.text();
        for line in [r#"up_to_date{instance="x y",job="a"} 1"#, r#"up_to_date{job="b"} 0"#, r#"n{instance="x y",job="a"} 4"#] {
            assert!(shown.contains(line), "{shown}");
        }
        assert!(!faces.get("/metrics").await.text().contains("up_to_date"), "ours is another page");
        let described = faces.get("/api/v1/metrics").await.json();
        assert_eq!(described["data"][1]["labels"]["job"], "b");
        assert_eq!(faces.house.held().series.keys().filter(|l| l.metric_name() == "up_to_date").count(), 2);
        assert_eq!(send(&faces, Method::DELETE, "/metrics/job/b", "", "").await.status, 202);
        assert_eq!(faces.get("/api/v1/metrics").await.json()["data"].as_array().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn refusals_are_plain_text() {
        let faces = Faces::new();
        let check = async |path: &str, media: &str, body: &str, status: u16, words: &str| {
            let answer = send(&faces, Method::PUT, path, media, body).await;
            assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
            assert!(answer.text().starts_with(words), "{}", answer.text());
        };
        check("/metrics/job/a/b", "", "x 1\n", 400, "odd number of components in label string \"job/a/b\"").await;
        check(
            "/metrics/job/a",
            "",
            "x 1 5\n",
            400,
            "pushed metrics are invalid or inconsistent with existing metrics: pushed metrics must not have timestamps",
        )
        .await;
        check("/metrics/job/a", "", "x one\n", 400, "cannot read the pushed metrics: line 1").await;
        check("/metrics/job/a", "application/openmetrics-text; version=1.0.0", "x 1\n", 400, "cannot read the pushed metrics").await;
        let protobuf = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
        check("/metrics/job/a", protobuf, "x 1\n", 400, "cannot read the pushed metrics").await;
        faces.house.held().rights = Some(crate::auth::Rights::NONE);
        check("/metrics/job/a", "", "x 1\n", 401, "this needs the level ingest").await;
    }
}
