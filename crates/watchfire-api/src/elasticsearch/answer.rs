//! Answers of the Elasticsearch face: every one carries the header by which official clients know whom they talk to.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use watchfire_model::read::ReadError;
use watchfire_query::documents::SearchError;

use crate::prometheus::answer::{ApiError, ErrorKind, to_json};

const PRODUCT: HeaderName = HeaderName::from_static("x-elastic-product");

/// A JSON answer.
pub(super) fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    bytes(status, "application/json", to_json(body))
}

/// A text answer.
pub(super) fn text(body: String) -> Response {
    bytes(StatusCode::OK, "text/plain; charset=UTF-8", body.into_bytes())
}

/// An answer that is text already.
pub(super) fn bytes(status: StatusCode, media: &'static str, body: Vec<u8>) -> Response {
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(PRODUCT, HeaderValue::from_static("Elasticsearch"));
    response
}

/// A good answer.
pub(super) struct Good(pub(super) Value);
impl IntoResponse for Good {
    fn into_response(self) -> Response {
        answer(StatusCode::OK, &self.0)
    }
}

/// Why a request has no answer.
#[derive(Debug)]
pub(super) struct EsError {
    pub(super) status: StatusCode,
    pub(super) kind: &'static str,
    pub(super) reason: String,
}
impl EsError {
    pub(super) fn new(status: StatusCode, kind: &'static str, reason: impl Into<String>) -> EsError {
        EsError { status, kind, reason: reason.into() }
    }
    pub(super) fn bad(reason: impl Into<String>) -> EsError {
        EsError::new(StatusCode::BAD_REQUEST, "illegal_argument_exception", reason)
    }
    /// The error as JSON, as it also stands in one of several answers.
    pub(super) fn json(&self) -> Value {
        let cause = json!({"type": self.kind, "reason": self.reason});
        json!({"error": {"root_cause": [cause], "type": self.kind, "reason": self.reason}, "status": self.status.as_u16()})
    }
}
impl IntoResponse for EsError {
    fn into_response(self) -> Response {
        let mut response = answer(self.status, &self.json());
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
impl From<ApiError> for EsError {
    fn from(error: ApiError) -> EsError {
        let kind = match error.kind {
            ErrorKind::Overloaded | ErrorKind::Unavailable => "es_rejected_execution_exception",
            ErrorKind::NotFound => "resource_not_found_exception",
            ErrorKind::BadData => "illegal_argument_exception",
            _ => "search_phase_execution_exception",
        };
        EsError::new(error.kind.status(), kind, error.message)
    }
}
impl From<ReadError> for EsError {
    fn from(error: ReadError) -> EsError {
        let status = match error {
            ReadError::Cancelled | ReadError::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            ReadError::TooManySamples(_) | ReadError::TooMuchMemory(_) => StatusCode::BAD_REQUEST,
            ReadError::MemoryBusy(_) => StatusCode::TOO_MANY_REQUESTS,
            ReadError::Storage(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        EsError::new(status, "search_phase_execution_exception", error.to_string())
    }
}
impl From<SearchError> for EsError {
    fn from(error: SearchError) -> EsError {
        match error {
            SearchError::Read(error) => error.into(),
            other => EsError::new(StatusCode::BAD_REQUEST, other.type_name(), other.to_string()),
        }
    }
}
