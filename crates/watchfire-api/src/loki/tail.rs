//! `/loki/api/v1/tail`: a WebSocket that sends the newest lines and then those that come in, as the query lets them through. A client that
//! reads too slowly loses lines and is told which.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use watchfire_ingest::gate::LogTap;
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogLine, Nanos, StreamEntries};
use watchfire_query::logql::{Direction, Engine, Line, LinePipeline, Lines, LinesRequest, LogExpr, parse_log};

use super::answer::LokiError;
use super::labels::StreamLabels;
use super::params::Params;
use super::render::{streams, wants_categories};
use crate::app::App;
use crate::prometheus::gate::run;

/// The most tails at once.
const TAILS_MAX: usize = 64;
/// How many batches may wait for a client.
const QUEUE_BATCHES: usize = 256;
/// The most dropped entries that are told apart in one message.
const DROPPED_MAX: usize = 100;
/// The largest message from a client: it has nothing to say.
const INCOMING_BYTES_MAX: usize = 4 << 10;
/// How often the connection is tried.
const PING_EVERY: Duration = Duration::from_secs(30);
/// A client that takes longer to read one message is gone.
const SEND_MAX: Duration = Duration::from_secs(10);

/// How many tails there are.
#[derive(Default)]
pub(crate) struct Tails(AtomicUsize);

/// One of them, until it is dropped.
struct Place(Arc<App>);
impl Place {
    fn take(app: &Arc<App>) -> Option<Place> {
        let place = Place(app.clone());
        (app.log_tails.0.fetch_add(1, Ordering::Relaxed) < TAILS_MAX).then_some(place)
    }
}
impl Drop for Place {
    fn drop(&mut self) {
        self.0.log_tails.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// `GET /loki/api/v1/tail` with an upgrade.
pub(super) async fn tail(
    State(app): State<Arc<App>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Result<Response, LokiError> {
    let categories = wants_categories(request.headers());
    let params = Params::read(request).await?;
    let log = parse_log(&params.query(&app)?)?;
    let now = Nanos::from_millis(app.now().millis());
    let range = params.range(&app)?;
    let limit = params.limit()?.min(watchfire_query::logql::ENTRIES_MAX);
    let upgrade = upgrade.map_err(|rejection| LokiError::bad(rejection.body_text()))?;
    let place = Place::take(&app).ok_or_else(|| {
        LokiError::new(StatusCode::TOO_MANY_REQUESTS, format!("max concurrent tail requests limit exceeded, count > limit ({} > {TAILS_MAX})", TAILS_MAX + 1))
    })?;
    let follower = Follower { app, _place: place, categories, pipeline: LinePipeline::new(&log, now)?, log };
    let history =
        LinesRequest { start: range.start, end: Nanos(range.end.0.saturating_add(1)), limit, direction: Direction::Backward, interval: Duration::ZERO };
    Ok(upgrade.max_message_size(INCOMING_BYTES_MAX).max_frame_size(INCOMING_BYTES_MAX).on_upgrade(move |socket| serve(socket, follower, history)))
}

/// What a tail is about.
struct Follower {
    app: Arc<App>,
    _place: Place,
    categories: bool,
    log: LogExpr,
    pipeline: LinePipeline,
}

/// Entries that a client was too slow for.
#[derive(Default)]
struct Dropped(Mutex<Vec<Value>>);
impl Dropped {
    fn note(&self, streams: &[StreamEntries]) {
        let mut dropped = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in streams {
            let room = DROPPED_MAX.saturating_sub(dropped.len());
            let labels = StreamLabels(stream.labels.clone());
            dropped.extend(stream.entries.iter().take(room).map(|e| json!({"labels": labels, "timestamp": e.time.0.to_string()})));
        }
    }
    fn take(&self) -> Vec<Value> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

type Heard = mpsc::Receiver<Arc<[StreamEntries]>>;

fn listen(app: &App, dropped: &Arc<Dropped>) -> (LogTap, Heard) {
    let (send, heard) = mpsc::channel(QUEUE_BATCHES);
    let dropped = dropped.clone();
    let tap = app.rooms.log_taps.listen(move |streams| {
        if send.try_send(streams.clone()).is_err() {
            dropped.note(streams);
        }
    });
    (tap, heard)
}

/// What tells a line from others.
fn key(line: &Line) -> (i64, Labels, Arc<str>) {
    (line.time.0, line.labels(), line.line.clone())
}

async fn serve(mut socket: WebSocket, mut follower: Follower, history: LinesRequest) {
    let dropped = Arc::new(Dropped::default());
    // Who listens first and reads then misses nothing; what comes by both ways is sent once.
    let (_tap, mut heard) = listen(&follower.app, &dropped);
    let log = follower.log.clone();
    let found = run(&follower.app, None, move |app, budget| -> Result<Lines, LokiError> {
        let mut lines = Engine::default().lines(&*app.rooms.logs, &log, &history, budget)?;
        lines.list.reverse();
        Ok(lines)
    });
    let lines = match found.await {
        Ok(lines) => lines,
        Err(error) => {
            let reason = error.message.get(..error.message.floor_char_boundary(100)).unwrap_or("").to_owned();
            let farewell = socket.send(Frame::Close(Some(CloseFrame { code: close_code::ERROR, reason: reason.into() })));
            // The connection ends either way; the farewell is a courtesy.
            if tokio::time::timeout(Duration::from_secs(1), farewell).await.is_err() {
                tracing::debug!("a client of a tail did not read its farewell");
            }
            return;
        }
    };
    let mut known: HashSet<_> = lines.list.iter().map(key).collect();
    let waiting = heard.len();
    if !lines.list.is_empty() && send(&mut socket, &follower, &lines, Vec::new()).await.is_err() {
        return;
    }
    let mut older = waiting;
    let mut ping = tokio::time::interval_at(tokio::time::Instant::now() + PING_EVERY, PING_EVERY);
    loop {
        tokio::select! {
            streams = heard.recv() => {
                let Some(streams) = streams else { return };
                let Some((back, mut lines)) = follow(follower, streams).await else { return };
                follower = back;
                if older > 0 {
                    older -= 1;
                    lines.list.retain(|line| !known.contains(&key(line)));
                    if older == 0 {
                        known = HashSet::new();
                    }
                }
                let dropped = dropped.take();
                if (!lines.list.is_empty() || !dropped.is_empty()) && send(&mut socket, &follower, &lines, dropped).await.is_err() {
                    return;
                }
            }
            frame = socket.recv() => match frame {
                Some(Ok(Frame::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
            _ = ping.tick() => {
                if !matches!(tokio::time::timeout(SEND_MAX, socket.send(Frame::Ping(bytes::Bytes::new()))).await, Ok(Ok(()))) {
                    return;
                }
            }
        }
    }
}

/// The lines of new entries, in order of time. Patterns may be slow, so they do not run where others wait.
async fn follow(mut follower: Follower, streams: Arc<[StreamEntries]>) -> Option<(Follower, Lines)> {
    let work = tokio::task::spawn_blocking(move || {
        let mut lines = Lines::default();
        for stream in streams.iter() {
            for entry in &stream.entries {
                let entry = LogLine { labels: &stream.labels, time: entry.time, line: &entry.line, metadata: &entry.metadata };
                lines.list.extend(follower.pipeline.line(entry));
            }
        }
        lines.list.sort_by_key(|line| line.time);
        (follower, lines)
    });
    work.await.inspect_err(|error| tracing::error!(%error, "a tail ended in a panic")).ok()
}

async fn send(socket: &mut WebSocket, follower: &Follower, lines: &Lines, dropped: Vec<Value>) -> Result<(), ()> {
    let budget = follower.app.budget(None);
    let Ok(list) = streams(lines, follower.categories, &budget) else { return Err(()) };
    let mut text = String::from("{\"streams\":");
    text.push_str(&String::from_utf8_lossy(&list));
    if follower.categories {
        text.push_str(",\"encodingFlags\":[\"categorize-labels\"]");
    }
    text.push_str(&format!(",\"dropped_entries\":{}}}", if dropped.is_empty() { Value::Null } else { Value::Array(dropped) }));
    match tokio::time::timeout(SEND_MAX, socket.send(Frame::Text(text.into()))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(()),
    }
}
