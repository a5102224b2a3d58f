//! The envelope of the Prometheus face: `status`, `data`, `warnings`, `infos`, and its errors with their HTTP status.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use watchfire_model::read::ReadError;

/// The kinds of errors that Prometheus' clients know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    BadData,
    Execution,
    Canceled,
    Timeout,
    Internal,
    /// It is switched off.
    Unavailable,
    /// Too much is under way: the queue of queries is full, or their memory is used up.
    Overloaded,
    NotFound,
}
impl ErrorKind {
    fn name(self) -> &'static str {
        match self {
            ErrorKind::BadData => "bad_data",
            ErrorKind::Execution => "execution",
            ErrorKind::Canceled => "canceled",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Internal => "internal",
            ErrorKind::Overloaded | ErrorKind::Unavailable => "unavailable",
            ErrorKind::NotFound => "not_found",
        }
    }
    pub(crate) fn status(self) -> StatusCode {
        match self {
            ErrorKind::BadData => StatusCode::BAD_REQUEST,
            ErrorKind::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::Canceled | ErrorKind::Timeout | ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            ErrorKind::Overloaded => StatusCode::TOO_MANY_REQUESTS,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
        }
    }
}

/// An error answer.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
}
impl ApiError {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> ApiError {
        ApiError { kind, message: message.into() }
    }
    pub(crate) fn bad_data(message: impl Into<String>) -> ApiError {
        ApiError::new(ErrorKind::BadData, message)
    }
    /// A bad parameter, in the words that Prometheus uses.
    pub(crate) fn parameter(name: &str, message: impl std::fmt::Display) -> ApiError {
        ApiError::bad_data(format!("invalid parameter {name:?}: {message}"))
    }
}
impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> ApiError {
        let kind = match error {
            ReadError::Cancelled => ErrorKind::Canceled,
            ReadError::Timeout(_) => ErrorKind::Timeout,
            ReadError::TooManySamples(_) | ReadError::TooMuchMemory(_) => ErrorKind::Execution,
            ReadError::MemoryBusy(_) => ErrorKind::Overloaded,
            ReadError::Storage(_) => ErrorKind::Internal,
        };
        ApiError::new(kind, error.to_string())
    }
}
#[derive(Serialize)]
struct ErrorBody<'a> {
    status: &'static str,
    #[serde(rename = "errorType")]
    error_type: &'static str,
    error: &'a str,
}
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody { status: "error", error_type: self.kind.name(), error: &self.message };
        let mut response = json(self.kind.status(), to_json(&body));
        if self.kind == ErrorKind::Overloaded {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// A good answer: the data as JSON text, with what the asker should know about it.
#[derive(Debug, Default)]
pub(crate) struct Success {
    pub(crate) data: Vec<u8>,
    pub(crate) warnings: Vec<String>,
    pub(crate) infos: Vec<String>,
}
impl Success {
    /// An answer without remarks.
    pub(crate) fn of(data: &impl Serialize) -> Success {
        Success { data: to_json(data), ..Success::default() }
    }
    /// The same with the remark that a limit cut it short, if it did.
    pub(crate) fn truncated(mut self, truncated: bool) -> Success {
        if truncated {
            self.warnings.push("results truncated due to limit".to_owned());
        }
        self
    }
}
impl IntoResponse for Success {
    fn into_response(self) -> Response {
        // The data may be large: the envelope is put around them where they are.
        let mut body = self.data;
        body.splice(0..0, *b"{\"status\":\"success\",\"data\":");
        for (name, list) in [("warnings", &self.warnings), ("infos", &self.infos)] {
            if !list.is_empty() {
                body.extend_from_slice(format!(",\"{name}\":").as_bytes());
                body.extend_from_slice(&to_json(list));
            }
        }
        body.push(b'}');
        json(StatusCode::OK, body)
    }
}

/// Serialises what can always be serialised: our own plain structures.
pub(crate) fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("BUG: plain structures always serialise")
}

/// A JSON response.
pub(crate) fn json(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A text response.
pub(crate) fn text(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
