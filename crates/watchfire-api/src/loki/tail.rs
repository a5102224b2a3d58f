//! `/loki/api/v1/tail`: a WebSocket that sends the newest lines and then those that come in, as the query lets them through. A client that
//! reads too slowly loses lines and is told which.

use std::collections::{HashSet, VecDeque};
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
use watchfire_model::logs::{LogEntry, LogLine, Nanos, StreamEntries};
use watchfire_model::order::Order as _;
use watchfire_model::read::ReadError;
use watchfire_query::logql::{Direction, Engine, Line, LinePipeline, Lines, LinesRequest, LogExpr, parse_log};

use super::answer::LokiError;
use super::labels::StreamLabels;
use super::params::Params;
use super::render::{streams, wants_categories};
use crate::app::App;
use crate::prometheus::answer::to_json;
use crate::prometheus::gate::run;
use watchfire_net::blocking::spawn_blocking;

/// The most tails at once.
const TAILS_MAX: usize = 64;
/// How many batches may wait for a client.
const QUEUE_BATCHES: usize = 256;
/// The most bytes that may wait for a client. Who has more than that in one batch is told that it was dropped.
const QUEUE_BYTES_MAX: usize = 16 << 20;
/// The most bytes of lines in one message, unless a line alone is longer.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// The most dropped entries that are told apart in one message.
const DROPPED_MAX: usize = 100;
/// The largest message from a client: it has nothing to say.
const INCOMING_BYTES_MAX: usize = 4 << 10;
/// How often the connection is tried.
const PING_EVERY: Duration = Duration::from_secs(30);
/// A client that takes longer to read one message is gone.
const SEND_MAX: Duration = Duration::from_secs(10);

/// The longest time, in seconds, that a client may let lines wait for those of slower sources.
const DELAY_SECONDS_MAX: usize = 5;

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
    let delay = params.count_or_zero("delay_for", 0)?;
    if delay > DELAY_SECONDS_MAX {
        return Err(LokiError::bad(format!("delay_for can't be greater than {DELAY_SECONDS_MAX}")));
    }
    let upgrade = upgrade.map_err(|rejection| LokiError::bad(rejection.body_text()))?;
    let place = Place::take(&app).ok_or_else(|| {
        LokiError::new(StatusCode::TOO_MANY_REQUESTS, format!("max concurrent tail requests limit exceeded, count > limit ({} > {TAILS_MAX})", TAILS_MAX + 1))
    })?;
    let pipeline = LinePipeline::new(&log, now)?;
    let follower = Follower { app, _place: place, categories, pipeline, log, known: HashSet::new(), older: 0 };
    let history =
        LinesRequest { start: range.start, end: Nanos(range.end.0.saturating_add(1)), limit, direction: Direction::Backward, interval: Duration::ZERO };
    Ok(upgrade
        .max_message_size(INCOMING_BYTES_MAX)
        .max_frame_size(INCOMING_BYTES_MAX)
        .on_upgrade(move |socket| serve(socket, follower, history, Duration::from_secs(delay as u64))))
}

/// What a tail is about.
struct Follower {
    app: Arc<App>,
    _place: Place,
    categories: bool,
    log: LogExpr,
    pipeline: LinePipeline,
    /// The lines that were sent first, as long as batches wait that may hold them again.
    known: HashSet<(i64, Labels, Arc<str>)>,
    older: usize,
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

/// A batch that waits for a client. Its bytes count until it is dropped.
struct Waiting {
    streams: Arc<[StreamEntries]>,
    bytes: usize,
    all: Arc<AtomicUsize>,
}
impl Waiting {
    /// A place for a batch, if there is room.
    fn take(streams: &Arc<[StreamEntries]>, all: &Arc<AtomicUsize>) -> Option<Waiting> {
        let entry = |entry: &LogEntry| std::mem::size_of::<LogEntry>() + entry.line.len() + entry.metadata.memory();
        let bytes = streams.iter().map(|stream| stream.labels.memory() + stream.entries.iter().map(entry).sum::<usize>()).sum();
        let more = |before: usize| before.checked_add(bytes).filter(|sum| *sum <= QUEUE_BYTES_MAX);
        all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Waiting { streams: streams.clone(), bytes, all: all.clone() })
    }
}
impl Drop for Waiting {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn listen(app: &App, dropped: &Arc<Dropped>) -> (LogTap, mpsc::Receiver<Waiting>) {
    let (send, heard) = mpsc::channel(QUEUE_BATCHES);
    let (dropped, all) = (dropped.clone(), Arc::new(AtomicUsize::new(0)));
    let tap = app.rooms.log_taps.listen(move |streams| {
        let taken = Waiting::take(streams, &all).is_some_and(|waiting| send.try_send(waiting).is_ok());
        if !taken {
            dropped.note(streams);
        }
    });
    (tap, heard)
}

/// What tells a line from others.
fn key(line: &Line) -> (i64, Labels, Arc<str>) {
    (line.time.0, line.labels(), line.line.clone())
}

/// A batch with those that came while lines of slower sources were waited for.
async fn after(first: Waiting, delay: Duration, heard: &mut mpsc::Receiver<Waiting>) -> Vec<Waiting> {
    let mut all = vec![first];
    let end = tokio::time::Instant::now() + delay;
    // They are taken while we wait, so that more of them than the queue has places may come; their bytes count until they are sent.
    while tokio::time::Instant::now() < end
        && let Ok(Some(next)) = tokio::time::timeout_at(end, heard.recv()).await
    {
        all.push(next);
    }
    all
}

async fn serve(mut socket: WebSocket, mut follower: Follower, history: LinesRequest, delay: Duration) {
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
    follower.older = heard.len();
    let mut follower = match send(&mut socket, follower, Next::Oldest(lines), Vec::new()).await {
        Some(follower) => follower,
        None => return,
    };
    let mut ping = tokio::time::interval_at(tokio::time::Instant::now() + PING_EVERY, PING_EVERY);
    loop {
        tokio::select! {
            waiting = heard.recv() => {
                let Some(first) = waiting else { return };
                let waiting = after(first, delay, &mut heard).await;
                let Some(back) = send(&mut socket, follower, Next::Heard(waiting), dropped.take()).await else { return };
                follower = back;
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

/// What is sent next.
enum Next {
    /// What is in the store.
    Oldest(Lines),
    /// Batches that came in.
    Heard(Vec<Waiting>),
    /// Nothing more.
    Rest(VecDeque<Line>),
}

impl Follower {
    /// The lines of what is next, in order of time.
    fn lines(&mut self, next: Next) -> VecDeque<Line> {
        match next {
            Next::Rest(lines) => lines,
            Next::Oldest(lines) => {
                if self.older > 0 {
                    self.known = lines.list.iter().map(key).collect();
                }
                lines.list.into()
            }
            Next::Heard(waiting) => {
                let mut list: Vec<Line> = Vec::new();
                for batch in waiting {
                    let before = list.len();
                    for stream in batch.streams.iter() {
                        for entry in &stream.entries {
                            let entry = LogLine { labels: &stream.labels, time: entry.time, line: &entry.line, metadata: &entry.metadata };
                            list.extend(self.pipeline.line(entry));
                        }
                    }
                    if self.older > 0 {
                        self.older -= 1;
                        let known = &self.known;
                        let new = list.split_off(before).into_iter().filter(|line| !known.contains(&key(line)));
                        list.extend(new);
                        if self.older == 0 {
                            self.known = HashSet::new();
                        }
                    }
                }
                list.order_by_key(|line| line.time);
                list.into()
            }
        }
    }

    /// The next message, as far as there is one. Its lines are taken off the list.
    fn message(&self, lines: &mut VecDeque<Line>, dropped: Vec<Value>) -> Result<Option<String>, ReadError> {
        let mut part = Lines::default();
        let mut bytes = 0;
        while let Some(line) = lines.front() {
            bytes += line.line.len() + line.metadata.memory() + line.parsed.memory();
            if bytes > MESSAGE_BYTES_MAX && !part.list.is_empty() {
                break;
            }
            part.list.extend(lines.pop_front());
        }
        if part.list.is_empty() && dropped.is_empty() {
            return Ok(None);
        }
        let mut text = b"{\"streams\":".to_vec();
        text.append(&mut streams(&part, self.categories, &self.app.budget(None))?);
        if self.categories {
            text.extend_from_slice(b",\"encodingFlags\":[\"categorize-labels\"]");
        }
        text.extend_from_slice(b",\"dropped_entries\":");
        text.append(&mut to_json(&if dropped.is_empty() { Value::Null } else { Value::Array(dropped) }));
        text.push(b'}');
        Ok(Some(String::from_utf8(text).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())))
    }
}

/// Sends what is next, in as many messages as it takes. Patterns may be slow and answers long, so neither is made where others wait.
async fn send(socket: &mut WebSocket, mut follower: Follower, mut next: Next, mut dropped: Vec<Value>) -> Option<Follower> {
    loop {
        let told = std::mem::take(&mut dropped);
        let work = spawn_blocking(move || {
            let mut lines = follower.lines(next);
            let message = follower.message(&mut lines, told);
            (follower, lines, message)
        });
        let (back, rest, message) = work.await.inspect_err(|error| tracing::error!(%error, "a tail ended in a panic")).ok()?;
        follower = back;
        let Some(text) = message.inspect_err(|error| tracing::warn!(%error, "a tail ended")).ok()? else { return Some(follower) };
        match tokio::time::timeout(SEND_MAX, socket.send(Frame::Text(text.into()))).await {
            Ok(Ok(())) if rest.is_empty() => return Some(follower),
            Ok(Ok(())) => next = Next::Rest(rest),
            Ok(Err(_)) | Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(entries: usize, bytes: usize) -> Arc<[StreamEntries]> {
        let entry = LogEntry { time: Nanos(0), line: "x".repeat(bytes).into(), metadata: Labels::empty() };
        [StreamEntries { labels: Labels::empty(), entries: vec![entry; entries] }].into()
    }

    #[test]
    fn what_waits_for_a_client_is_bounded_in_bytes() {
        let all = Arc::new(AtomicUsize::new(0));
        let batch_of_a_third = batch(1, QUEUE_BYTES_MAX / 3 - 1_000);
        let mut waiting: Vec<_> = (0..3).map(|_| Waiting::take(&batch_of_a_third, &all).unwrap()).collect();
        assert!(Waiting::take(&batch_of_a_third, &all).is_none());
        waiting.pop();
        waiting.push(Waiting::take(&batch_of_a_third, &all).unwrap());
        drop(waiting);
        assert_eq!(all.load(Ordering::Relaxed), 0, "room comes back");
        assert!(Waiting::take(&batch(QUEUE_BYTES_MAX / 1_000, 1_000), &all).is_none(), "entries count beside their lines");
    }

    #[tokio::test]
    async fn more_batches_than_have_a_place_come_while_slower_sources_are_waited_for() {
        let all = Arc::new(AtomicUsize::new(0));
        let one = || Waiting::take(&batch(1, 10), &all).unwrap();
        let (send, mut heard) = mpsc::channel(4);
        let come = async {
            let mut taken = 0;
            for _ in 0..20 {
                taken += usize::from(send.try_send(one()).is_ok());
                tokio::task::yield_now().await;
            }
            drop(send);
            taken
        };
        let (found, taken) = tokio::join!(after(one(), Duration::from_secs(5), &mut heard), come);
        assert_eq!((taken, found.len()), (20, 21));
        let (send, mut heard) = mpsc::channel(1);
        send.try_send(one()).unwrap_or_else(|_| panic!("there is a place"));
        assert_eq!(after(one(), Duration::ZERO, &mut heard).await.len(), 1, "nobody waits unless that is wished");
    }
}
