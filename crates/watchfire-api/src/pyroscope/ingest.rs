//! `/ingest` and the push service: 200 stored, 400 never again, 422 a format that is not taken or profiles of which none could be kept,
//! 429 and 503 later.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use url::form_urlencoded;
use watchfire_ingest::pyroscope::{DecodeError, Format, Ingest, PushError, Received, time};
use watchfire_model::batch::Origin;
use watchfire_model::logs::Nanos;
use watchfire_model::write::WriteError;
use watchfire_net::inflate::DECOMPRESSED_BYTES_MAX;

use super::answer::PyroscopeError;
use super::connect::{self, Message, answer};
use crate::app::App;

/// What the address says.
#[derive(Default)]
struct Told {
    name: String,
    format: String,
    from: Option<Nanos>,
    until: Option<Nanos>,
    sample_rate: Option<u32>,
}

fn told(app: &App, query: &str) -> Result<Told, PyroscopeError> {
    let now = Nanos::from_millis(app.now().millis());
    let moment = |name: &str, text: &str| time::parse(text, now).map(Some).ok_or_else(|| PyroscopeError::bad(format!("invalid {name}: {text:?} is no time")));
    let mut told = Told::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()).filter(|(_, value)| !value.is_empty()) {
        match &*name {
            "name" => told.name = value.into_owned(),
            "format" => told.format = value.into_owned(),
            "from" => told.from = moment("from", &value)?,
            "until" => told.until = moment("until", &value)?,
            "sampleRate" => told.sample_rate = Some(value.parse().map_err(|_| PyroscopeError::bad(format!("invalid sampleRate: {value:?} is no number")))?),
            _ => {}
        }
    }
    Ok(told)
}

fn origin(request: &Request) -> Origin {
    Origin::new(&match crate::prometheus::write::peer(request) {
        Some(ip) => format!("pyroscope/{ip}"),
        None => "pyroscope".to_owned(),
    })
}

/// Reads the body and hands it to a thread that may block.
async fn take<F>(request: Request, work: F) -> Result<Received, PyroscopeError>
where
    F: FnOnce(&[u8], Origin) -> Result<Received, PushError> + Send + 'static,
{
    let origin = origin(&request);
    let body = axum::body::to_bytes(request.into_body(), DECOMPRESSED_BYTES_MAX).await.map_err(|_| PyroscopeError::bad("the body broke off"))?;
    let task = tokio::task::spawn_blocking(move || work(&body, origin));
    let internal = |_| PyroscopeError::new(StatusCode::INTERNAL_SERVER_ERROR, "cannot take the data; the server's log says more");
    match task.await.map_err(internal)? {
        Ok(received) => Ok(received),
        Err(PushError::Malformed(error @ DecodeError::Unsupported(_))) => Err(PyroscopeError::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())),
        Err(PushError::Malformed(error)) => Err(PyroscopeError::bad(error.to_string())),
        Err(PushError::Later(error @ WriteError::TooFast(_))) => Err(PyroscopeError::new(StatusCode::TOO_MANY_REQUESTS, error.to_string())),
        Err(PushError::Later(error)) => Err(PyroscopeError::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
    }
}

/// Everything good is stored by now. A sender that brought nothing good has to hear it.
fn outcome(received: &Received) -> Result<(), PyroscopeError> {
    let refused = received.profiles.rejected_total();
    if refused == 0 || received.profiles.stored + received.profiles.duplicates > 0 {
        return Ok(());
    }
    let example = received.example.as_deref().map(|e| format!(": {e}")).unwrap_or_default();
    Err(PyroscopeError::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{refused} of {refused} profiles were refused{example}")))
}

/// `POST /ingest`.
pub(super) async fn ingest(State(app): State<Arc<App>>, request: Request) -> Result<Response, PyroscopeError> {
    let told = told(&app, request.uri().query().unwrap_or(""))?;
    let media = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
    let received = take(request, move |body, origin| {
        let ingest = Ingest { name: &told.name, from: told.from, until: told.until, sample_rate: told.sample_rate, format: &told.format, content_type: &media };
        app.rooms.pyroscope.ingest(&ingest, body, origin)
    });
    outcome(&received.await?)?;
    Ok(StatusCode::OK.into_response())
}

/// `PushResponse`, which has no fields.
#[derive(serde::Serialize)]
struct Nothing {}
impl Message for Nothing {
    fn fields(&self, _: &mut watchfire_ingest::protobuf::Writer) {}
}

/// `push.v1.PusherService/Push`.
pub(super) async fn push(State(app): State<Arc<App>>, request: Request) -> Response {
    let format: Format = connect::format_of(request.headers());
    let received = take(request, move |body, origin| app.rooms.pyroscope.push(body, format, origin));
    match received.await.and_then(|received| outcome(&received)) {
        Ok(()) => answer(&Nothing {}, format),
        Err(error) => error.connect(),
    }
}
