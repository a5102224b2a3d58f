//! The requests of pushes: who may send, what a body is, and what the sender is told. It keeps no line.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, ORIGIN, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot};
use tower::Service;
use watchfire_ingest::loki::{self, Decoded, Format};
use watchfire_model::batch::Origin;
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, Nanos, StreamEntries};
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::inflate::{self, Encoding, InflateError, Limits};
use watchfire_net::listener::{GuardedBody, Peer};

use super::Push;
use crate::logs::Surroundings;

/// The largest body as it comes, and once it is unpacked.
const LIMITS: Limits = Limits { compressed: 8 << 20, decompressed: 16 << 20 };
/// Bodies that are read and unpacked at once.
const BODIES_MAX: usize = 4;
/// How long a body may take to come.
const BODY_TIME_MAX: Duration = Duration::from_secs(60);
/// Kibibytes of lines that wait for the stages.
const WAITING_KIB_MAX: usize = 32 << 10;
/// What an entry takes beside its line, roughly.
const ENTRY_BYTES: usize = 96;
/// How long a sender waits until its lines are stored: for what stages hold, and for a store that is busy.
const STORED_MAX: Duration = Duration::from_secs(30);
/// The longest name of a tenant.
const TENANT_BYTES_MAX: usize = 150;

/// What all requests of a listener share.
pub(super) struct Door {
    queue: mpsc::Sender<Push>,
    parts: Surroundings,
    bodies: Semaphore,
    room: Arc<Semaphore>,
}

/// Why a push is not taken, or not all of it.
struct Refused(StatusCode, String);

type Answer = Response<Full<Bytes>>;

/// Answers requests.
pub(super) fn service(
    door: Arc<Door>,
) -> impl Service<Request<GuardedBody>, Response = Answer, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static {
    tower::service_fn(move |request| {
        let door = door.clone();
        async move { Ok(door.answer(request).await) }
    })
}

fn say(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

impl Door {
    pub(super) fn new(queue: mpsc::Sender<Push>, parts: Surroundings) -> Door {
        Door { queue, parts, bodies: Semaphore::new(BODIES_MAX), room: Arc::new(Semaphore::new(WAITING_KIB_MAX)) }
    }

    async fn answer(&self, request: Request<GuardedBody>) -> Answer {
        let peer = request.extensions().get::<Peer>().copied();
        let may = peer.is_some_and(|peer| peer.is_loopback() || self.parts.trusted.iter().any(|network| network.contains(peer.remote.ip())));
        // A page in somebody's browser is not the program that runs beside us.
        if !may || request.headers().contains_key(ORIGIN) {
            self.parts.figures.dropped("push_refused", 1);
            return say(StatusCode::FORBIDDEN, "only this machine and server.trusted_networks may push here\n");
        }
        let raw = match request.uri().path() {
            "/ready" => return say(StatusCode::OK, "ready\n"),
            "/loki/api/v1/push" | "/api/v1/push" | "/api/prom/push" => false,
            "/loki/api/v1/raw" | "/api/v1/raw" | "/promtail/api/v1/raw" => true,
            _ => return say(StatusCode::NOT_FOUND, "there is nothing here; push to /loki/api/v1/push or /loki/api/v1/raw\n"),
        };
        if request.method() != Method::POST {
            return say(StatusCode::METHOD_NOT_ALLOWED, "only POST\n");
        }
        match self.push(request, raw).await {
            Ok(()) => say(StatusCode::NO_CONTENT, ""),
            Err(Refused(status, text)) => say(status, text + "\n"),
        }
    }

    async fn push(&self, request: Request<GuardedBody>, raw: bool) -> Result<(), Refused> {
        let (head, body) = request.into_parts();
        let encoding = encoding(&head.headers)?;
        let format = if raw { None } else { Some(format(&head.headers)?) };
        let tenant = head.headers.get("x-scope-orgid").and_then(|v| v.to_str().ok()).filter(|t| !t.is_empty() && t.len() <= TENANT_BYTES_MAX);
        let turn = tokio::time::timeout(STORED_MAX, self.bodies.acquire()).await.map_err(|_| later("too many bodies are being read; send it again"))?;
        let turn = turn.map_err(|_| later("this address is being closed"))?;
        let body = tokio::time::timeout(BODY_TIME_MAX, inflate::collect(body, encoding, LIMITS)).await;
        let body = body.map_err(|_| Refused(StatusCode::REQUEST_TIMEOUT, "the body took too long".to_owned()))?.map_err(not_inflated)?;
        let now = Nanos::from_millis(self.parts.clock.now().millis());
        let decoded = spawn_blocking(move || match format {
            Some(format) => decode(format, encoding, &body),
            None => lines(&body, now).map(|streams| (streams, None)),
        });
        let (streams, wrong) = decoded.await.map_err(|error| later(error.to_string()))??;
        if let Some((entries, _)) = wrong {
            self.parts.figures.dropped("push_invalid", entries);
        }
        if streams.iter().any(|stream| !stream.entries.is_empty()) {
            self.store(streams, tenant.map(str::to_owned), turn).await?;
        }
        wrong.map_or(Ok(()), |(entries, example)| Err(Refused(StatusCode::BAD_REQUEST, format!("{entries} entries were refused; for example {example}"))))
    }

    /// Waits until the store has them. What has no room among what waits keeps its turn, so that no more is in memory than the two allow.
    async fn store(&self, streams: Vec<StreamEntries>, tenant: Option<String>, turn: SemaphorePermit<'_>) -> Result<(), Refused> {
        let entries = streams.iter().flat_map(|stream| &stream.entries);
        let bytes: usize = entries.map(|entry| entry.line.len() + entry.metadata.packed().len() + ENTRY_BYTES).sum();
        let bytes = bytes + streams.iter().map(|stream| stream.labels.packed().len() + ENTRY_BYTES).sum::<usize>();
        let wanted = u32::try_from(bytes.div_ceil(1024).clamp(1, WAITING_KIB_MAX)).unwrap_or(u32::MAX);
        let stored = async {
            let room = Arc::clone(&self.room).acquire_many_owned(wanted).await.map_err(|_| later("this address is being closed"))?;
            drop(turn);
            let (told, stored) = oneshot::channel();
            let sent = self.queue.send(Push { streams, tenant, stored: told, _room: room }).await;
            sent.map_err(|_| later("this address is being closed"))?;
            stored.await.map_err(|_| later("the lines are not stored yet; send them again"))
        };
        tokio::time::timeout(STORED_MAX, stored).await.map_err(|_| later("the lines are not stored yet; send them again"))?
    }
}

fn later(why: impl Into<String>) -> Refused {
    Refused(StatusCode::SERVICE_UNAVAILABLE, why.into())
}

/// Several headers of this name are one list.
fn encoding(headers: &HeaderMap) -> Result<Encoding, Refused> {
    let named: Vec<&str> = headers.get_all(CONTENT_ENCODING).iter().map(|v| v.to_str().unwrap_or("?")).collect();
    named.join(",").parse().map_err(not_inflated)
}

fn format(headers: &HeaderMap) -> Result<Format, Refused> {
    let text = headers.get(CONTENT_TYPE).map_or("", |v| v.to_str().unwrap_or("?"));
    Format::of_content_type(text).ok_or_else(|| {
        let words = format!("Content-Type: {:?} is not taken; send application/json or application/x-protobuf", watchfire_model::text::shortened(text));
        Refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, words)
    })
}

fn not_inflated(error: InflateError) -> Refused {
    let status = match &error {
        error if error.is_too_large() => StatusCode::PAYLOAD_TOO_LARGE,
        error if error.is_unsupported() => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        _ => StatusCode::BAD_REQUEST,
    };
    Refused(status, error.to_string())
}

/// Streams, and how many entries were refused with an example.
type Read = (Vec<StreamEntries>, Option<(u64, String)>);

fn decode(format: Format, encoding: Encoding, body: &[u8]) -> Result<Read, Refused> {
    let unpacked = match (format, encoding) {
        (Format::Json, _) | (_, Encoding::Snappy) => None,
        // Protobuf is a snappy block whether or not a header says so; what is none was unpacked on its way.
        (Format::Protobuf, _) => match inflate::decode(Encoding::Snappy, body, Limits::both(LIMITS.decompressed)) {
            Ok(message) => Some(message),
            Err(error) if error.is_too_large() => return Err(not_inflated(error)),
            Err(_) => None,
        },
    };
    let decoded = loki::decode(format, unpacked.as_deref().unwrap_or(body), Origin::new(super::KIND));
    let Decoded { batch, refused, .. } = decoded.map_err(|error| Refused(StatusCode::BAD_REQUEST, error.to_string()))?;
    let entries = refused.logs.rejected_total();
    Ok((batch.logs, (entries > 0).then(|| (entries, refused.example.unwrap_or_default()))))
}

/// Lines as they are, of one stream that has no labels yet.
fn lines(body: &[u8], now: Nanos) -> Result<Vec<StreamEntries>, Refused> {
    let text = String::from_utf8_lossy(body);
    if text.lines().nth(loki::ENTRIES_MAX).is_some() {
        return Err(Refused(StatusCode::PAYLOAD_TOO_LARGE, format!("a body may have {} lines", loki::ENTRIES_MAX)));
    }
    let entry = |line: &str| LogEntry { time: now, line: line.into(), metadata: Labels::empty() };
    let entries = text.lines().filter(|line| !line.is_empty()).map(entry).collect();
    Ok(vec![StreamEntries { labels: Labels::empty(), entries }])
}
