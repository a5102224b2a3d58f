//! OTLP over HTTP: the answer comes in the format of the request, an error as a `google.rpc.Status`. What may be sent
//! again later answers 503, because some senders take 429 for final.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use watchfire_ingest::otlp::{Format, OtlpError, status};
use watchfire_model::write::WriteError;
use watchfire_net::inflate::DECOMPRESSED_BYTES_MAX;

use super::{Signal, origin, take};
use crate::app::App;
use crate::server::Refusal;

/// The media types that are taken.
pub(super) const TYPES: [&str; 2] = ["application/x-protobuf", "application/json"];

/// Refusals of the server itself. Which format the sender reads is not known there; JSON is what people can read.
pub(super) fn envelope(refusal: &Refusal) -> Response {
    answer(Format::Json, refusal.status, status(Format::Json, super::grpc::code_of(refusal.status), &refusal.message))
}

pub(super) async fn export(app: Arc<App>, request: Request, signal: &'static Signal) -> Response {
    let format = format_of(request.headers());
    let origin = origin(&request);
    let Ok(body) = axum::body::to_bytes(request.into_body(), DECOMPRESSED_BYTES_MAX).await else {
        return refuse(format, StatusCode::BAD_REQUEST, "the body broke off");
    };
    match take(app, signal, body, format, origin).await {
        Some(Ok(message)) => answer(format, StatusCode::OK, message),
        Some(Err(OtlpError::Malformed(error))) => refuse(format, StatusCode::BAD_REQUEST, &error.to_string()),
        Some(Err(OtlpError::Later(error))) => {
            let mut response = refuse(format, StatusCode::SERVICE_UNAVAILABLE, &error.to_string());
            let seconds = if matches!(error, WriteError::Busy(_) | WriteError::TooFast(_)) { "1" } else { "30" };
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(seconds));
            response
        }
        None => refuse(format, StatusCode::INTERNAL_SERVER_ERROR, "cannot take the data; the server's log says more"),
    }
}

/// The server let only the two types pass.
fn format_of(headers: &HeaderMap) -> Format {
    let media = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    if media.to_ascii_lowercase().contains("json") { Format::Json } else { Format::Protobuf }
}

fn refuse(format: Format, http: StatusCode, message: &str) -> Response {
    answer(format, http, status(format, super::grpc::code_of(http), message))
}

fn answer(format: Format, http: StatusCode, body: Vec<u8>) -> Response {
    let media = match format {
        Format::Protobuf => TYPES[0],
        Format::Json => TYPES[1],
    };
    (http, [(CONTENT_TYPE, HeaderValue::from_static(media))], body).into_response()
}
