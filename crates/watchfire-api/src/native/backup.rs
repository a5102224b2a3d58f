//! What the commands `backup` and `import` ask of a running server: a snapshot made, read piece by piece and removed again,
//! and samples of any age taken.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::StatusCode;
use http::header::CONTENT_TYPE;
#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watchfire_ingest::remote_write::Version;
use watchfire_model::batch::Origin;
use watchfire_model::write::{WriteError, Written};

use crate::app::{App, BackupError, RemoteWriteError};
use crate::auth::Caller;
use crate::server::Refusal;
use watchfire_net::blocking::spawn_blocking;

/// The largest message of an import.
const BODY_BYTES_MAX: usize = 32 << 20;

/// A snapshot that waits to be fetched.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(crate) struct BackupJson {
    /// Its name in further requests.
    name: String,
    /// Its files.
    files: Vec<BackupFileJson>,
}
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
struct BackupFileJson {
    /// The path below the data directory.
    path: String,
    /// How many bytes it has.
    bytes: u64,
}

#[derive(Deserialize)]
pub(crate) struct Begin {
    #[serde(default)]
    secrets: bool,
}
#[derive(Deserialize)]
pub(crate) struct Piece {
    path: String,
    #[serde(default)]
    offset: u64,
}

impl From<BackupError> for Refusal {
    fn from(error: BackupError) -> Refusal {
        match error {
            BackupError::Unknown => Refusal::not_found("there is no such backup or file"),
            BackupError::Failed(message) => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "backup_failed", message),
        }
    }
}

async fn run<T: Send + 'static>(work: impl FnOnce() -> Result<T, BackupError> + Send + 'static) -> Result<T, Refusal> {
    Ok(spawn_blocking(work).await.map_err(|_| Refusal::internal())??)
}

/// `POST /api/system/backup`.
pub(crate) async fn begin(State(app): State<Arc<App>>, Query(begin): Query<Begin>, Extension(caller): Extension<Caller>) -> Result<Json<BackupJson>, Refusal> {
    let store = app.rooms.maintenance.clone();
    tracing::info!(caller = &*caller.name, secrets = begin.secrets, "a backup begins");
    let (name, files) = run(move || store.begin_backup(begin.secrets)).await?;
    Ok(Json(BackupJson { name, files: files.into_iter().map(|(path, bytes)| BackupFileJson { path, bytes }).collect() }))
}

/// `GET /api/system/backup/{name}/file`.
pub(crate) async fn piece(State(app): State<Arc<App>>, Path(name): Path<String>, Query(piece): Query<Piece>) -> Result<Response, Refusal> {
    let store = app.rooms.maintenance.clone();
    let bytes = run(move || store.read_backup(&name, &piece.path, piece.offset)).await?;
    Ok(([(CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}

/// `DELETE /api/system/backup/{name}`.
pub(crate) async fn end(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<StatusCode, Refusal> {
    let store = app.rooms.maintenance.clone();
    run(move || store.end_backup(&name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What became of imported samples.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(crate) struct ImportedJson {
    /// Samples that are kept now.
    stored: u64,
    /// Samples that were there already.
    duplicates: u64,
    /// Refused samples by reason.
    rejected: BTreeMap<&'static str, u64>,
    /// One refusal in words.
    example: Option<String>,
}
impl From<Written> for ImportedJson {
    fn from(written: Written) -> ImportedJson {
        let mut rejected = BTreeMap::new();
        for (reason, count) in &written.rejected {
            *rejected.entry(reason.name()).or_default() += count;
        }
        ImportedJson { stored: written.stored, duplicates: written.duplicates, rejected, example: written.example }
    }
}

/// `POST /api/system/import`: a message of remote write 1.0, not compressed.
pub(crate) async fn import(State(app): State<Arc<App>>, request: Request) -> Result<Json<ImportedJson>, Refusal> {
    let body: Bytes = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await.map_err(|e| Refusal::bad_request(e.to_string()))?;
    let take = app.rooms.import.clone();
    let taken = spawn_blocking(move || take(Version::V1, &body, Origin::new("import"))).await.map_err(|_| Refusal::internal())?;
    match taken {
        Ok(written) => Ok(Json(written.into())),
        Err(RemoteWriteError::Malformed(message)) => Err(Refusal::bad_request(message)),
        Err(RemoteWriteError::TooLarge(message)) => Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)),
        Err(RemoteWriteError::Later(error @ WriteError::Busy(_))) => Err(Refusal::unavailable(error.to_string(), 1)),
        Err(RemoteWriteError::Later(error)) => Err(Refusal::unavailable(error.to_string(), 30)),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::{Method, Request};
    use serde_json::json;

    use super::*;
    use crate::testing::{Answered, Faces};

    async fn send(faces: &Faces, method: Method, path: &str) -> Answered {
        faces.send(Request::builder().method(method).uri(format!("/api/system/{path}")).body(Body::empty()).unwrap()).await
    }

    #[tokio::test]
    async fn a_backup_is_made_fetched_and_removed() {
        let faces = Faces::new();
        let plain = send(&faces, Method::POST, "backup").await;
        assert_eq!(plain.json(), json!({ "name": "backup-1", "files": [{ "path": "format", "bytes": 5 }] }));
        let secret = send(&faces, Method::POST, "backup?secrets=true").await;
        assert_eq!(secret.json()["files"][0]["path"], "admin.token");
        for (query, expected) in [("path=format", "hel"), ("path=format&offset=3", "lo"), ("path=format&offset=5", "")] {
            let piece = send(&faces, Method::GET, &format!("backup/backup-1/file?{query}")).await;
            assert_eq!((piece.status, piece.text().as_str()), (StatusCode::OK, expected), "{query}");
        }
        for path in ["backup/backup-1/file?path=other", "backup/other/file?path=format"] {
            assert_eq!(send(&faces, Method::GET, path).await.status, StatusCode::NOT_FOUND, "{path}");
        }
        assert_eq!(send(&faces, Method::DELETE, "backup/backup-1").await.status, StatusCode::NO_CONTENT);
        assert_eq!(send(&faces, Method::DELETE, "backup/other").await.status, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn an_import_says_what_became_of_each_sample() {
        let faces = Faces::new();
        let answer = faces.post("/api/system/import", "application/x-protobuf", "c 1\nd -1").await;
        assert_eq!(answer.json(), json!({ "stored": 1, "duplicates": 0, "rejected": { "out_of_order": 1 }, "example": "d" }));
        assert_eq!(faces.post("/api/system/import", "application/x-protobuf", "broken").await.status, StatusCode::BAD_REQUEST);
        faces.house.held().write_error = Some(|| WriteError::Busy("later".to_owned()));
        let busy = faces.post("/api/system/import", "application/x-protobuf", "c 2").await;
        assert_eq!((busy.status, busy.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    }
}
