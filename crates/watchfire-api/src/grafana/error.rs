//! Errors of the Grafana face: `{"message": …}`, with a word where Grafana's clients look at one. Not what went wrong inside.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use watchfire_model::state::StateError;

use crate::prometheus::answer::{json, to_json};
use crate::server::Refusal;

/// Why a request has no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GrafanaError {
    pub(super) status: StatusCode,
    pub(super) message: String,
    /// Grafana's own word for it.
    pub(super) word: Option<&'static str>,
}
impl GrafanaError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> GrafanaError {
        GrafanaError { status, message: message.into(), word: None }
    }
    pub(super) fn bad(message: impl Into<String>) -> GrafanaError {
        GrafanaError::new(StatusCode::BAD_REQUEST, message)
    }
    pub(super) fn not_found(what: &str) -> GrafanaError {
        GrafanaError::new(StatusCode::NOT_FOUND, format!("{what} not found"))
    }
    pub(super) fn word(self, word: &'static str) -> GrafanaError {
        GrafanaError { word: Some(word), ..self }
    }
}
impl From<StateError> for GrafanaError {
    fn from(error: StateError) -> GrafanaError {
        tracing::error!(%error, "dashboards cannot be read or written");
        GrafanaError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}
impl IntoResponse for GrafanaError {
    fn into_response(self) -> Response {
        let body = Body { message: &self.message, status: self.word };
        json(self.status, to_json(&body))
    }
}

#[derive(Serialize)]
struct Body<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
}

/// Refusals of the server itself in the same shape.
pub(crate) fn envelope(refusal: &Refusal) -> Response {
    GrafanaError::new(refusal.status, refusal.message.clone()).into_response()
}

/// The body of a request.
pub(super) async fn body(request: Request, max: usize) -> Result<Bytes, GrafanaError> {
    axum::body::to_bytes(request.into_body(), max).await.map_err(|_| GrafanaError::bad(format!("the body broke off, or is larger than {max} bytes")))
}
