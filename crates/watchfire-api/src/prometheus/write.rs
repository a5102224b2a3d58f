//! `POST /api/v1/write`: remote write 1.0 and 2.0. The answer decides whether a sender tries again, so it follows
//! Prometheus: 204 stored, 400 never again, 415 another version, 503 later. Version 2.0 is also told how much was written.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use watchfire_ingest::remote_write::Version;
use watchfire_model::batch::Origin;
use watchfire_model::write::{WriteError, Written};
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::inflate::{Encoding, InflateError, Limits};
use watchfire_net::listener::Peer;

use super::answer::text;
use crate::app::{App, RemoteWriteError};
use crate::server::{Held, NotInflated, Turn};

/// The largest body, compressed and decompressed.
const BODY_BYTES_MAX: usize = 32 << 20;

const SAMPLES_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-samples-written");
const HISTOGRAMS_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-histograms-written");
const EXEMPLARS_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-exemplars-written");

/// `POST /api/v1/write`.
pub(crate) async fn write(State(app): State<Arc<App>>, request: Request) -> Response {
    let (version, compressed) = match asked(request.headers()) {
        Ok(asked) => asked,
        Err(message) => return text(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("{message}\n")),
    };
    let origin = Origin::new(&match peer(&request) {
        Some(ip) => format!("remote_write/{ip}"),
        None => "remote_write".to_owned(),
    });
    let held = Held::of(&request);
    let Ok(body) = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await else {
        let message = format!("the body is larger than {BODY_BYTES_MAX} bytes or broke off\n");
        return counted(version, &Written::default(), text(StatusCode::PAYLOAD_TOO_LARGE, message));
    };
    let turn = held.turn(&body).await;
    let task = spawn_blocking(move || store(&app, version, compressed, &body, (&held, turn), origin));
    match task.await {
        Ok(Ok(written)) => counted(version, &written, accepted(&written)),
        Ok(Err(failure)) => counted(version, &Written::default(), failed(&failure)),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "cannot take the data; the server's log says more\n"),
    }
}

/// Decompresses, decodes and stores. Messages are snappy blocks, whether or not the sender said so in a header; without the
/// header, a message that was already decompressed on its way is not a valid block and is taken as it is.
fn store(app: &App, version: Version, compressed: bool, body: &[u8], (held, turn): (&Held, Turn), origin: Origin) -> Result<Written, RemoteWriteError> {
    let message = match held.inflate_here(turn, Encoding::Snappy, body, Limits::both(BODY_BYTES_MAX)) {
        Ok(message) => Cow::Owned(message),
        Err(NotInflated::Refused(refusal)) => return Err(RemoteWriteError::Later(WriteError::Busy(refusal.message))),
        Err(NotInflated::Bad(error @ InflateError::Decompressed(_))) => return Err(RemoteWriteError::TooLarge(error.to_string())),
        Err(NotInflated::Bad(error)) if compressed => return Err(RemoteWriteError::Malformed(error.to_string())),
        Err(NotInflated::Bad(_)) => Cow::Borrowed(body),
    };
    (app.rooms.remote_write)(version, &message, origin)
}

/// Which version a request is of, and whether it says that it is compressed.
fn asked(headers: &HeaderMap) -> Result<(Version, bool), String> {
    let content_type = headers.get(CONTENT_TYPE).map_or("application/x-protobuf", |v| v.to_str().unwrap_or(""));
    let mut parts = content_type.split(';').map(str::trim);
    if !parts.next().unwrap_or("").eq_ignore_ascii_case("application/x-protobuf") {
        return Err(format!("cannot read content type {content_type:?}: expected application/x-protobuf"));
    }
    let mut version = Version::V1;
    for parameter in parts.filter(|p| !p.is_empty()) {
        let Some((name, value)) = parameter.split_once('=') else {
            return Err(format!("cannot read content type {content_type:?}: expected parameters to be key-values"));
        };
        if name.trim().eq_ignore_ascii_case("proto") {
            let name = value.trim().trim_matches('"');
            let known = || format!("cannot read message {name:?}: {} and {} are served", Version::V1.message(), Version::V2.message());
            version = Version::from_message(name).ok_or_else(known)?;
        }
    }
    match headers.get(CONTENT_ENCODING).map(|v| v.to_str().unwrap_or("?").trim()) {
        None | Some("") => Ok((version, false)),
        Some(encoding) if encoding.eq_ignore_ascii_case("snappy") => Ok((version, true)),
        Some(other) => Err(format!("cannot read content encoding {other:?}: expected snappy")),
    }
}

pub(crate) fn peer(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<Peer>().map(|peer| peer.remote.ip())
}

/// Everything good is stored by now. A refusal of the rest is final, or the sender would repeat it for ever.
fn accepted(written: &Written) -> Response {
    let example = written.example.as_deref();
    if written.rejected_total() == 0 {
        return match example {
            // Nothing with a value was lost, but something in the request cannot be.
            Some(example) => text(StatusCode::BAD_REQUEST, format!("refused: {example}\n")),
            None => StatusCode::NO_CONTENT.into_response(),
        };
    }
    let reasons: Vec<String> = written.rejected.iter().map(|(reason, count)| format!("{reason}: {count}")).collect();
    let example = example.map(|e| format!("; for example {e}")).unwrap_or_default();
    let total = written.rejected_total() + written.stored + written.duplicates;
    text(StatusCode::BAD_REQUEST, format!("{} of {total} samples were refused ({}){example}\n", written.rejected_total(), reasons.join(", ")))
}

/// Nothing is stored.
fn failed(failure: &RemoteWriteError) -> Response {
    match failure {
        RemoteWriteError::TooLarge(message) => text(StatusCode::PAYLOAD_TOO_LARGE, format!("{message}\n")),
        RemoteWriteError::Malformed(message) => text(StatusCode::BAD_REQUEST, format!("{message}\n")),
        RemoteWriteError::Later(error) => {
            let mut response = text(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"));
            let seconds = match error {
                WriteError::Busy(_) | WriteError::TooFast(_) => "1",
                WriteError::Full(_) | WriteError::Failed(_) | WriteError::Closed => "30",
            };
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(seconds));
            response
        }
    }
}

/// Says to a sender of version 2.0 how much was written. Without these headers it takes us for a receiver of 1.0.
fn counted(version: Version, written: &Written, mut response: Response) -> Response {
    if version == Version::V2 {
        let floats = (written.stored + written.duplicates).saturating_sub(written.histograms);
        for (name, count) in [(SAMPLES_WRITTEN, floats), (HISTOGRAMS_WRITTEN, written.histograms), (EXEMPLARS_WRITTEN, written.exemplars)] {
            response.headers_mut().insert(name, HeaderValue::from(count));
        }
    }
    response
}
