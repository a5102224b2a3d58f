//! Errors of the Pyroscope face, in its two forms: an object with a message, and Connect's codes.

use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use serde_json::json;
use watchfire_model::read::ReadError;
use watchfire_query::profiles::SelectorError;

use crate::prometheus::answer::{ApiError, json as json_response, to_json};

/// Why a request has no answer.
#[derive(Debug)]
pub(super) struct PyroscopeError {
    status: StatusCode,
    message: String,
}
impl PyroscopeError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> PyroscopeError {
        PyroscopeError { status, message: message.into() }
    }
    pub(super) fn bad(message: impl Into<String>) -> PyroscopeError {
        PyroscopeError::new(StatusCode::BAD_REQUEST, message)
    }
    /// The code that Connect has for it.
    fn code(&self) -> &'static str {
        match self.status {
            StatusCode::UNAUTHORIZED => "unauthenticated",
            StatusCode::FORBIDDEN => "permission_denied",
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::TOO_MANY_REQUESTS | StatusCode::PAYLOAD_TOO_LARGE => "resource_exhausted",
            StatusCode::NOT_IMPLEMENTED => "unimplemented",
            StatusCode::GATEWAY_TIMEOUT => "deadline_exceeded",
            StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            status if status.is_client_error() => "invalid_argument",
            _ => "internal",
        }
    }
    /// The answer of a service.
    pub(super) fn connect(self) -> Response {
        let body = json!({"code": self.code(), "message": self.message});
        self.respond(&body)
    }
    fn respond(self, body: &serde_json::Value) -> Response {
        let mut response = json_response(self.status, to_json(body));
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
impl From<ApiError> for PyroscopeError {
    fn from(error: ApiError) -> PyroscopeError {
        PyroscopeError::new(error.kind.status(), error.message)
    }
}
impl From<SelectorError> for PyroscopeError {
    fn from(error: SelectorError) -> PyroscopeError {
        PyroscopeError::bad(error.to_string())
    }
}
impl From<ReadError> for PyroscopeError {
    fn from(error: ReadError) -> PyroscopeError {
        let status = match error {
            // The asker is gone; nobody reads this.
            ReadError::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
            ReadError::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            ReadError::TooManySamples(_) | ReadError::TooMuchMemory(_) => StatusCode::UNPROCESSABLE_ENTITY,
            ReadError::MemoryBusy(_) => StatusCode::TOO_MANY_REQUESTS,
            ReadError::Storage(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        PyroscopeError::new(status, error.to_string())
    }
}
impl IntoResponse for PyroscopeError {
    fn into_response(self) -> Response {
        let body = json!({"error": self.message, "message": self.message});
        self.respond(&body)
    }
}
