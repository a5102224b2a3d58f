//! Errors and envelopes of the Loki face: errors are plain text with the status that Loki's clients know.

use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use watchfire_model::read::ReadError;
use watchfire_query::logql::{LogqlError, ParseError};

use crate::prometheus::answer::{ApiError, json, text, to_json};

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) struct LokiError {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}
impl LokiError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> LokiError {
        LokiError { status, message: message.into() }
    }
    pub(crate) fn bad(message: impl Into<String>) -> LokiError {
        LokiError::new(StatusCode::BAD_REQUEST, message)
    }
}
impl From<ApiError> for LokiError {
    fn from(error: ApiError) -> LokiError {
        LokiError::new(error.kind.status(), error.message)
    }
}
impl From<ReadError> for LokiError {
    fn from(error: ReadError) -> LokiError {
        let status = match error {
            // The asker is gone; nobody reads this.
            ReadError::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
            ReadError::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            ReadError::TooManySamples(_) | ReadError::TooMuchMemory(_) => StatusCode::BAD_REQUEST,
            ReadError::MemoryBusy(_) => StatusCode::TOO_MANY_REQUESTS,
            ReadError::Storage(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        LokiError::new(status, error.to_string())
    }
}
impl From<ParseError> for LokiError {
    fn from(error: ParseError) -> LokiError {
        LokiError::bad(error.to_string())
    }
}
impl From<LogqlError> for LokiError {
    fn from(error: LogqlError) -> LokiError {
        match error {
            LogqlError::Read(error) => error.into(),
            other => LokiError::bad(other.to_string()),
        }
    }
}
impl IntoResponse for LokiError {
    fn into_response(self) -> Response {
        let mut response = text(self.status, format!("{}\n", self.message));
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// A JSON answer without an envelope.
pub(crate) struct Plain<T>(pub(crate) T);
impl<T: Serialize> IntoResponse for Plain<T> {
    fn into_response(self) -> Response {
        json(StatusCode::OK, to_json(&self.0))
    }
}

#[derive(Serialize)]
struct Envelope<T> {
    status: &'static str,
    data: T,
}
/// `{"status": "success", "data": …}`
pub(crate) struct Data<T>(pub(crate) T);
impl<T: Serialize> IntoResponse for Data<T> {
    fn into_response(self) -> Response {
        json(StatusCode::OK, to_json(&Envelope { status: "success", data: self.0 }))
    }
}
