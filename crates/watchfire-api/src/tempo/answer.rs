//! Errors and values of the Tempo face: errors are plain text with the status that Tempo's clients know, values are those of OTLP.

use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use serde_json::{Value as Json, json};
use watchfire_model::read::ReadError;
use watchfire_model::spans::Value;
use watchfire_query::traces::traceql::{ParseError, TraceqlError, Val};

use crate::prometheus::answer::{ApiError, json as json_response, text, to_json};
use crate::traces::otlp::any_json;

/// Why a request has no answer.
#[derive(Debug)]
pub(super) struct TempoError {
    pub(super) status: StatusCode,
    pub(super) message: String,
}
impl TempoError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> TempoError {
        TempoError { status, message: message.into() }
    }
    pub(super) fn bad(message: impl Into<String>) -> TempoError {
        TempoError::new(StatusCode::BAD_REQUEST, message)
    }
}
impl From<ApiError> for TempoError {
    fn from(error: ApiError) -> TempoError {
        TempoError::new(error.kind.status(), error.message)
    }
}
impl From<ReadError> for TempoError {
    fn from(error: ReadError) -> TempoError {
        let status = match error {
            // The asker is gone; nobody reads this.
            ReadError::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
            ReadError::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            ReadError::TooManySamples(_) | ReadError::TooMuchMemory(_) => StatusCode::UNPROCESSABLE_ENTITY,
            ReadError::MemoryBusy(_) => StatusCode::TOO_MANY_REQUESTS,
            ReadError::Storage(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        TempoError::new(status, error.to_string())
    }
}
impl From<ParseError> for TempoError {
    fn from(error: ParseError) -> TempoError {
        TempoError::bad(format!("invalid TraceQL query: {error}"))
    }
}
impl From<TraceqlError> for TempoError {
    fn from(error: TraceqlError) -> TempoError {
        match error {
            TraceqlError::Read(error) => error.into(),
            TraceqlError::Parse(error) => error.into(),
            TraceqlError::Invalid(message) => TempoError::bad(message),
        }
    }
}
impl IntoResponse for TempoError {
    fn into_response(self) -> Response {
        let mut response = text(self.status, format!("{}\n", self.message));
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// A JSON answer.
pub(super) struct Plain(pub(super) Json);
impl IntoResponse for Plain {
    fn into_response(self) -> Response {
        json_response(StatusCode::OK, to_json(&self.0))
    }
}

/// Names with values, as attributes are written.
pub(super) fn pairs(all: &[(String, Val<'static>)]) -> Json {
    all.iter().map(|(name, value)| json!({"key": name, "value": any(value)})).collect()
}

fn any(value: &Val<'_>) -> Json {
    any_json(&match value {
        Val::Int(number) => Value::Int(*number),
        Val::Float(number) => Value::Double(*number),
        Val::Bool(value) => Value::Bool(*value),
        other => Value::Text(other.text()),
    })
}
