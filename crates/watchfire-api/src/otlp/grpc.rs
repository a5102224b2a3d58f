//! OTLP as gRPC: unary calls over HTTP/2. The framing is a few bytes and the status two headers, so that no further
//! framework is needed. Unknown services answer UNIMPLEMENTED; every refusal of the server in front becomes a status.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::Service;
use watchfire_ingest::otlp::{Format, OtlpError};
use watchfire_net::inflate::{DECOMPRESSED_BYTES_MAX, Encoding, Limits};

use super::frame::{self, Malformed};
use super::{SIGNALS, Signal, origin, take};
use crate::app::App;
use crate::server::Held;

/// The media types of gRPC with protobuf.
pub(super) const TYPES: [&str; 2] = ["application/grpc", "application/grpc+proto"];
/// What we can decompress, for `grpc-accept-encoding`.
const ENCODINGS: &str = "identity,gzip,deflate,zstd";

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// The status codes of gRPC that are given here.
const OK: u16 = 0;
const UNKNOWN: u16 = 2;
const INVALID_ARGUMENT: u16 = 3;
const PERMISSION_DENIED: u16 = 7;
const RESOURCE_EXHAUSTED: u16 = 8;
const UNIMPLEMENTED: u16 = 12;
const INTERNAL: u16 = 13;
const UNAVAILABLE: u16 = 14;
const UNAUTHENTICATED: u16 = 16;

/// The code for a status of HTTP. What may be tried again is UNAVAILABLE, which every sender understands so.
pub(super) fn code_of(status: StatusCode) -> u16 {
    match status.as_u16() {
        200 => OK,
        401 => UNAUTHENTICATED,
        403 | 421 => PERMISSION_DENIED,
        404 | 405 => UNIMPLEMENTED,
        413 => RESOURCE_EXHAUSTED,
        408 | 429 | 502..=504 => UNAVAILABLE,
        400..=499 => INVALID_ARGUMENT,
        500 => INTERNAL,
        _ => UNKNOWN,
    }
}

/// Serves one request of a port that speaks gRPC only, by the routes of the whole house.
pub async fn serve(mut router: Router, request: Request) -> Response {
    let media = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    if *request.method() != Method::POST || !media.starts_with(TYPES[0]) {
        let mut response = Response::new(Body::from("this port speaks gRPC only; OTLP over HTTP has a port of its own\n"));
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        return response;
    }
    let path = request.uri().path();
    if !SIGNALS.iter().any(|signal| signal.method == path) {
        let mut response = failed(UNIMPLEMENTED, &format!("unknown method {}", path.chars().take(200).collect::<String>()));
        *response.status_mut() = StatusCode::OK;
        return response;
    }
    let mut response = match router.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    if response.status() != StatusCode::OK && !response.headers().contains_key(&STATUS) {
        return refused(response).await;
    }
    // A call that fails is a successful exchange of HTTP.
    *response.status_mut() = StatusCode::OK;
    response
}

/// A refusal of the server in front, in the terms of gRPC.
async fn refused(response: Response) -> Response {
    const BYTES_MAX: usize = 16 << 10;
    let http = response.status();
    let body = axum::body::to_bytes(response.into_body(), BYTES_MAX).await.unwrap_or_default();
    let refusal: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let message = refusal.pointer("/error/message").and_then(|m| m.as_str());
    let mut response = failed(code_of(http), message.or(http.canonical_reason()).unwrap_or("refused"));
    *response.status_mut() = StatusCode::OK;
    response
}

pub(super) async fn export(app: Arc<App>, request: Request, signal: &'static Signal) -> Response {
    let (origin, held) = (origin(&request), Held::of(&request));
    let encoding = request.headers().get(&ENCODING).and_then(|v| v.to_str().ok()).unwrap_or("identity").to_owned();
    let Ok(body) = axum::body::to_bytes(request.into_body(), DECOMPRESSED_BYTES_MAX).await else {
        return failed(INVALID_ARGUMENT, "the body broke off");
    };
    let message = match frame::message(body) {
        Ok((message, false)) => message,
        Ok((message, true)) => {
            let Ok(encoding) = encoding.parse::<Encoding>() else {
                return failed(UNIMPLEMENTED, &format!("grpc-encoding must be one of {ENCODINGS}"));
            };
            match held.inflate(encoding, message, Limits::default()).await {
                Ok(message) => message,
                Err(refusal) => return failed(code_of(refusal.status), &refusal.message),
            }
        }
        Err(Malformed(words)) => return failed(INVALID_ARGUMENT, words),
    };
    match take(app, signal, message, Format::Protobuf, origin).await {
        Some(Ok(answer)) => succeeded(&answer),
        Some(Err(OtlpError::Malformed(error))) => failed(INVALID_ARGUMENT, &error.to_string()),
        Some(Err(OtlpError::Later(error))) => failed(UNAVAILABLE, &error.to_string()),
        None => failed(INTERNAL, "cannot take the data; the server's log says more"),
    }
}

fn head(code: u16) -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(TYPES[0]));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(ENCODINGS));
    if code != OK {
        headers.insert(STATUS, HeaderValue::from(code));
    }
    response
}

/// A message, and the status behind it.
fn succeeded(message: &[u8]) -> Response {
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, HeaderValue::from(OK));
    let body = Full::<Bytes>::new(frame::framed(message)).with_trailers(async move { Some(Ok(trailers)) });
    head(OK).map(|_| Body::new(body))
}

/// A status and no message. Whoever called without the port of gRPC sees the status of HTTP that fits.
fn failed(code: u16, message: &str) -> Response {
    let mut response = head(code);
    *response.status_mut() = match code {
        INVALID_ARGUMENT => StatusCode::BAD_REQUEST,
        RESOURCE_EXHAUSTED => StatusCode::PAYLOAD_TOO_LARGE,
        UNIMPLEMENTED => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        UNAVAILABLE => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    if let Ok(value) = HeaderValue::from_str(&escaped(message)) {
        response.headers_mut().insert(MESSAGE, value);
    }
    response
}

/// Visible ASCII as it is, everything else as `%XX`, as gRPC wants it. Long texts are cut: headers have limits.
fn escaped(message: &str) -> String {
    const BYTES_MAX: usize = 1024;
    let mut out = String::new();
    for byte in message.bytes().take(BYTES_MAX) {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
