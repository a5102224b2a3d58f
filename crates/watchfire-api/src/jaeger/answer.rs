//! Errors and envelopes of the Jaeger face.

use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::json;
use watchfire_model::read::ReadError;

use crate::prometheus::answer::{ApiError, json as json_response, to_json};

/// Why a request has no answer.
#[derive(Debug)]
pub(super) struct JaegerError {
    status: StatusCode,
    message: String,
    /// In the envelope of `/api/v3`.
    newer: bool,
}
impl JaegerError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> JaegerError {
        JaegerError { status, message: message.into(), newer: false }
    }
    pub(super) fn bad(message: impl Into<String>) -> JaegerError {
        JaegerError::new(StatusCode::BAD_REQUEST, message)
    }
    /// A trace that is not there. Never an empty list: some ask for its first element.
    pub(super) fn no_trace() -> JaegerError {
        JaegerError::new(StatusCode::NOT_FOUND, "trace not found")
    }
    /// The same in the envelope of `/api/v3`.
    pub(super) fn newer(self) -> JaegerError {
        JaegerError { newer: true, ..self }
    }
}
impl From<ApiError> for JaegerError {
    fn from(error: ApiError) -> JaegerError {
        JaegerError::new(error.kind.status(), error.message)
    }
}
impl From<ReadError> for JaegerError {
    fn from(error: ReadError) -> JaegerError {
        let status = match error {
            // The asker is gone; nobody reads this.
            ReadError::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
            ReadError::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            ReadError::TooManySamples(_) | ReadError::TooMuchMemory(_) => StatusCode::UNPROCESSABLE_ENTITY,
            ReadError::MemoryBusy(_) => StatusCode::TOO_MANY_REQUESTS,
            ReadError::Storage(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        JaegerError::new(status, error.to_string())
    }
}
impl IntoResponse for JaegerError {
    fn into_response(self) -> Response {
        let code = self.status.as_u16();
        let body = if self.newer {
            json!({"error": {"httpCode": code, "message": self.message}})
        } else {
            json!({"data": null, "total": 0, "limit": 0, "offset": 0, "errors": [{"code": code, "msg": self.message}]})
        };
        let mut response = json_response(self.status, to_json(&body));
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

#[derive(Serialize)]
struct Envelope<T> {
    data: Vec<T>,
    total: usize,
    limit: usize,
    offset: usize,
    errors: Option<()>,
}
/// `{"data": […], "total": …}`
pub(super) struct Data<T> {
    data: Vec<T>,
    total: usize,
}
impl<T> Data<T> {
    /// A list that is counted.
    pub(super) fn counted(data: Vec<T>) -> Data<T> {
        Data { total: data.len(), data }
    }
    /// A list whose total is not told: Jaeger has always said 0 there.
    pub(super) fn of(data: Vec<T>) -> Data<T> {
        Data { data, total: 0 }
    }
}
impl<T: Serialize> IntoResponse for Data<T> {
    fn into_response(self) -> Response {
        json_response(StatusCode::OK, to_json(&Envelope { data: self.data, total: self.total, limit: 0, offset: 0, errors: None }))
    }
}
