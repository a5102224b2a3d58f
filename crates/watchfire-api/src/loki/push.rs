//! `POST /loki/api/v1/push`: 204 stored, 400 never again (what was good is stored), 429 too many streams, or too fast,
//! 503 later.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use watchfire_ingest::loki::{Format, PushError, Received};
use watchfire_model::batch::Origin;
use watchfire_model::write::{Reason, WriteError};
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::inflate::{DECOMPRESSED_BYTES_MAX, Encoding, InflateError, Limits};

use super::answer::LokiError;
use crate::app::App;
use crate::server::{Held, NotInflated, Turn};

pub(crate) async fn push(State(app): State<Arc<App>>, request: Request) -> Result<Response, LokiError> {
    let format = format_of(request.headers())?;
    let snappy = request.headers().get(CONTENT_ENCODING).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"snappy"));
    let origin = Origin::new(&match crate::prometheus::write::peer(&request) {
        Some(ip) => format!("loki/{ip}"),
        None => "loki".to_owned(),
    });
    let held = Held::of(&request);
    let body = axum::body::to_bytes(request.into_body(), DECOMPRESSED_BYTES_MAX).await.map_err(|_| LokiError::bad("the body broke off"))?;
    let packed = format == Format::Protobuf || snappy;
    let turn = if packed { Some(held.turn(&body).await) } else { None };
    let task = spawn_blocking(move || -> Result<_, LokiError> {
        let body = match turn {
            Some(turn) => inflated(snappy, &body, &held, turn)?,
            None => Cow::Borrowed(&*body),
        };
        Ok(app.rooms.loki.push(format, &body, origin))
    });
    let internal = |_| LokiError::new(StatusCode::INTERNAL_SERVER_ERROR, "cannot take the data; the server's log says more");
    match task.await.map_err(internal)?? {
        Ok(received) => outcome(&received),
        Err(PushError::Malformed(error)) => Err(LokiError::bad(error.to_string())),
        Err(PushError::Later(error)) => {
            let (status, seconds) = match error {
                WriteError::TooFast(_) => (StatusCode::TOO_MANY_REQUESTS, "1"),
                WriteError::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "1"),
                WriteError::Full(_) | WriteError::Failed(_) | WriteError::Closed => (StatusCode::SERVICE_UNAVAILABLE, "30"),
            };
            let mut response = LokiError::new(status, error.to_string()).into_response();
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(seconds));
            Ok(response)
        }
    }
}

/// Protobuf comes as a snappy block, whether or not a header says so; JSON only when a header does. Other encodings were undone on the way.
fn inflated<'a>(snappy: bool, body: &'a [u8], held: &Held, turn: Turn) -> Result<Cow<'a, [u8]>, LokiError> {
    match held.inflate_here(turn, Encoding::Snappy, body, Limits::both(DECOMPRESSED_BYTES_MAX)) {
        Ok(message) => Ok(Cow::Owned(message)),
        Err(NotInflated::Refused(refusal)) => Err(LokiError::new(refusal.status, refusal.message)),
        Err(NotInflated::Bad(error @ InflateError::Decompressed(_))) => Err(LokiError::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string())),
        Err(NotInflated::Bad(error)) if snappy => Err(LokiError::bad(error.to_string())),
        // What is no block may be a message that was decompressed on its way.
        Err(NotInflated::Bad(_)) => Ok(Cow::Borrowed(body)),
    }
}

fn format_of(headers: &HeaderMap) -> Result<Format, LokiError> {
    let text = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let words = || format!("Content-Type: {text:?} is not taken; send application/json or application/x-protobuf");
    Format::of_content_type(text).ok_or_else(|| LokiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, words()))
}

/// Everything good is stored by now; a sender drops what is refused, or it would come again for ever.
fn outcome(received: &Received) -> Result<Response, LokiError> {
    let rejected = received.logs.rejected_total();
    if rejected == 0 {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let total = rejected + received.logs.stored + received.logs.duplicates;
    let reasons: Vec<String> = received.logs.rejected.iter().map(|(reason, count)| format!("{reason}: {count}")).collect();
    let example = received.example.as_deref().map(|e| format!("; for example {e}")).unwrap_or_default();
    let words = format!("{rejected} of {total} entries were refused ({}){example}", reasons.join(", "));
    let all_for_streams = received.logs.rejected.iter().all(|(reason, _)| *reason == Reason::StreamLimit);
    Err(LokiError::new(if all_for_streams { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::BAD_REQUEST }, words))
}
