//! `POST /api/v1/write`: remote write 1.0. The answer decides whether a sender tries again, so it follows Prometheus:
//! 204 stored, 400 never again, 503 later.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use watchfire_model::batch::Origin;
use watchfire_model::write::{WriteError, Written};
use watchfire_net::inflate::{Encoding, InflateError, Limits, decode};
use watchfire_net::listener::Peer;

use super::answer::text;
use crate::app::App;

/// The largest body, compressed.
const BODY_BYTES_MAX: usize = 32 << 20;

/// `POST /api/v1/write`.
pub(crate) async fn write(State(app): State<Arc<App>>, request: Request) -> Response {
    if let Err((status, message)) = acceptable(request.headers()) {
        return text(status, format!("{message}\n"));
    }
    let origin = Origin::new(&match peer(&request) {
        Some(ip) => format!("remote_write/{ip}"),
        None => "remote_write".to_owned(),
    });
    let Ok(body) = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await else {
        return text(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {BODY_BYTES_MAX} bytes or broke off\n"));
    };
    let task = tokio::task::spawn_blocking(move || store(&app, &body, origin));
    match task.await {
        Ok(Ok(written)) => accepted(&written),
        Ok(Err(failure)) => failure.into_response(),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "cannot take the data; the server's log says more\n"),
    }
}

/// Why nothing was stored.
enum Failure {
    TooLarge(String),
    Malformed(String),
    Later(WriteError),
}
impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Failure::TooLarge(message) => text(StatusCode::PAYLOAD_TOO_LARGE, format!("{message}\n")),
            Failure::Malformed(message) => text(StatusCode::BAD_REQUEST, format!("{message}\n")),
            Failure::Later(error) => refused(&error),
        }
    }
}

/// Decompresses, decodes and stores. Messages are snappy blocks, whether or not the sender said so in a header; a message
/// that was already decompressed on its way is not a valid block and is taken as it is.
fn store(app: &App, body: &[u8], origin: Origin) -> Result<Written, Failure> {
    let limits = Limits { compressed: BODY_BYTES_MAX, decompressed: BODY_BYTES_MAX };
    let message = match decode(Encoding::Snappy, body, limits) {
        Ok(message) => Cow::Owned(message),
        Err(error @ InflateError::Decompressed(_)) => return Err(Failure::TooLarge(error.to_string())),
        Err(_) => Cow::Borrowed(body),
    };
    let (batch, refused) = (app.rooms.remote_write)(&message, origin).map_err(Failure::Malformed)?;
    let mut written = app.rooms.sink.write(batch).map_err(Failure::Later)?;
    written.add(refused);
    Ok(written)
}

fn acceptable(headers: &HeaderMap) -> Result<(), (StatusCode, String)> {
    let unsupported = |what: String| Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, what));
    let content_type = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("application/x-protobuf");
    let (media, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    if !media.trim().eq_ignore_ascii_case("application/x-protobuf") {
        return unsupported(format!("cannot read content type {content_type:?}: expected application/x-protobuf"));
    }
    for parameter in parameters.split(';').map(str::trim) {
        if let Some(proto) = parameter.strip_prefix("proto=")
            && proto != "prometheus.WriteRequest"
        {
            return unsupported(format!("cannot read message {proto:?}: only prometheus.WriteRequest (remote write 1.0) is served"));
        }
    }
    match headers.get(CONTENT_ENCODING).and_then(|v| v.to_str().ok()) {
        None | Some("snappy") => Ok(()),
        Some(other) => unsupported(format!("cannot read content encoding {other:?}: expected snappy")),
    }
}

pub(crate) fn peer(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<Peer>().map(|peer| peer.remote.ip())
}

/// Everything good is stored by now. A refusal of the rest is final, or the sender would repeat it for ever.
fn accepted(written: &Written) -> Response {
    if written.rejected_total() == 0 {
        return StatusCode::NO_CONTENT.into_response();
    }
    let reasons: Vec<String> = written.rejected.iter().map(|(reason, count)| format!("{reason}: {count}")).collect();
    let example = written.example.as_deref().map(|e| format!("; for example {e}")).unwrap_or_default();
    let total = written.rejected_total() + written.stored + written.duplicates;
    text(StatusCode::BAD_REQUEST, format!("{} of {total} samples were refused ({}){example}\n", written.rejected_total(), reasons.join(", ")))
}

fn refused(error: &WriteError) -> Response {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"));
    let seconds = match error {
        WriteError::Busy(_) => "1",
        WriteError::Full(_) | WriteError::Failed(_) | WriteError::Closed => "30",
    };
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(seconds));
    response
}
