//! Why a request was not answered as asked, and the body that says so. A face gives its own envelope where its clients
//! expect another shape.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::json;

/// A request that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the answer.
    pub status: StatusCode,
    /// A word that programs can rely on, in snake case.
    pub code: &'static str,
    /// The reason in words, without secrets.
    pub message: String,
    /// When to try again, in seconds.
    pub retry_after_secs: Option<u64>,
    /// The request's id; filled in by the server when the refusal leaves it.
    pub request_id: String,
}
impl Refusal {
    /// A refusal.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { status, code, message: message.into(), retry_after_secs: None, request_id: String::new() }
    }
    /// 400: the request does not say what it should.
    pub fn bad_request(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }
    /// 404: there is no such thing.
    pub fn not_found(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, "not_found", message)
    }
    /// 422: understood, but not possible.
    pub fn unprocessable(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable", message)
    }
    /// 429: too many of these; try again later.
    pub fn too_many(message: impl Into<String>, retry_after_secs: u64) -> Refusal {
        Refusal { retry_after_secs: Some(retry_after_secs), ..Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message) }
    }
    /// 503: not now.
    pub fn unavailable(message: impl Into<String>, retry_after_secs: u64) -> Refusal {
        Refusal { retry_after_secs: Some(retry_after_secs), ..Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message) }
    }
    /// 500: our fault. The details belong in the log, not in the answer.
    pub fn internal() -> Refusal {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "an unexpected error happened; the log has the details under this request id")
    }
    /// The answer in an envelope, with `Retry-After` where it applies.
    pub fn into_response_in(self, envelope: Envelope) -> Response {
        let retry = self.retry_after_secs;
        let mut response = envelope(&self);
        *response.status_mut() = self.status;
        if let Some(secs) = retry {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(secs));
        }
        response
    }
}
impl IntoResponse for Refusal {
    /// The answer in our own envelope. The refusal goes along, so that the pipeline can write it in the route's envelope
    /// and with the request's id.
    fn into_response(self) -> Response {
        let mut response = self.clone().into_response_in(native_envelope);
        response.extensions_mut().insert(Refused(self));
        response
    }
}

/// A refusal that travels with its answer up to the pipeline.
#[derive(Clone)]
pub(super) struct Refused(pub(super) Refusal);

/// Makes the body of a refusal. Status and `Retry-After` are set afterwards by the server.
pub type Envelope = fn(&Refusal) -> Response;

/// `{"error":{"code":…,"message":…},"request_id":…}`. The id is left out while it is not known.
pub fn native_envelope(refusal: &Refusal) -> Response {
    let mut body = json!({ "error": { "code": refusal.code, "message": refusal.message } });
    if !refusal.request_id.is_empty()
        && let Some(map) = body.as_object_mut()
    {
        map.insert("request_id".to_owned(), refusal.request_id.clone().into());
    }
    ([(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
