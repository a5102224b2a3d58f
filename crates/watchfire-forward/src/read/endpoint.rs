//! One place of remote read: whether it is asked, what it is asked, and its answer. The caller blocks on a thread of its own; the
//! request runs on the runtime, and a bounded number of pieces of its answer waits between the two.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use watchfire_collect::scrape::config::RemoteRead;
use watchfire_model::labels::Labels;
use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::meter::{Counter, Gauge, Histogram, Meter};
use watchfire_model::read::{Budget, ReadError, Selection, Series};
use watchfire_net::client::{Caller, Request, Stream, without_credentials};
use watchfire_net::inflate::Limits;

use crate::wire::read::{self, Frames};

/// The newest local data may not be complete, and two blocks of two hours may be on their way: so far behind the begin of local data
/// other places are asked as well, as Prometheus does.
const MARGIN_MS: i64 = 4 * 3_600_000;
/// Pieces of an answer that wait to be read.
const PIECES_MAX: usize = 8;
/// How often a request looks whether its query is still wanted.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// The largest answer that is not streamed.
const ANSWER_LIMITS: Limits = Limits { compressed: 16 << 20, decompressed: 64 << 20 };
/// How much of an error's body is told.
const EXCERPT_BYTES: usize = 256;
/// Upper bounds of the durations of requests, in seconds.
const DURATION_BOUNDS: [f64; 15] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 120.0, 300.0];

pub(super) struct Endpoint {
    config: Arc<RemoteRead>,
    external: Labels,
    caller: Arc<Caller>,
    figures: Figures,
    shown_url: String,
}

struct Figures {
    running: Gauge,
    durations: Histogram,
    meter: Meter,
    name: String,
    url: String,
}

/// Why an answer is not complete.
pub(super) enum Failure {
    /// The query has used up what it may, or is not wanted any more.
    Ours(ReadError),
    /// The other side failed.
    Theirs(String),
}

/// A piece of an answer.
enum Piece {
    /// A whole answer of samples.
    Samples(Bytes),
    /// Bytes of a streamed answer.
    Stream(Bytes),
    Failed(String),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Piece::Samples(bytes) | Piece::Stream(bytes) => bytes.len(),
            Piece::Failed(_) => 0,
        }
    }
}

/// An answer to come.
pub(super) struct Answer {
    pieces: Receiver<(Piece, OwnedSemaphorePermit)>,
    /// External labels that were asked for and are taken off again.
    added: Vec<String>,
    range: (i64, i64),
}

impl Endpoint {
    pub(super) fn new(config: Arc<RemoteRead>, external: &Labels, caller: Arc<Caller>, meter: &Meter) -> Endpoint {
        let shown_url = without_credentials(config.url.expose());
        let name = config.name.clone().unwrap_or_else(|| format!("{:06x}", Labels::from_pairs([("url", &shown_url)]).hash_value() & 0xff_ffff));
        let labels: &[(&str, &str)] = &[("remote_name", &name), ("url", &shown_url)];
        let figures = Figures {
            running: meter.gauge("prometheus_remote_storage_remote_read_queries", "The number of in-flight remote read queries.", labels),
            durations: meter.histogram(
                "prometheus_remote_storage_read_request_duration_seconds",
                "Histogram of the latency for remote read requests.",
                &DURATION_BOUNDS,
                labels,
            ),
            meter: meter.clone(),
            name: name.clone(),
            url: shown_url.clone(),
        };
        let external = if config.filter_external_labels { external.clone() } else { Labels::empty() };
        Endpoint { config, external, caller, figures, shown_url }
    }
    pub(super) fn shown_url(&self) -> &str {
        &self.shown_url
    }

    /// Begins to ask; `None` when this place has nothing to say about the selection.
    pub(super) fn ask(self: &Arc<Self>, selection: &Selection, local_begin: Option<i64>, budget: &Budget, runtime: &Handle) -> Option<Answer> {
        let is_required = |(name, value): &(String, String)| selection.matchers.iter().any(|m| m.op == MatchOp::Equal && m.name == *name && m.value == *value);
        if !self.config.required_matchers.iter().all(is_required) {
            return None;
        }
        let (start, mut end) = (selection.start.millis(), selection.end.millis());
        if let Some(begin) = local_begin.filter(|_| !self.config.read_recent) {
            let covered_from = begin.saturating_add(MARGIN_MS);
            if start > covered_from {
                return None;
            }
            end = end.min(covered_from);
        }
        let mut matchers = selection.matchers.clone();
        let mut added = Vec::new();
        for (name, value) in &self.external {
            if !selection.matchers.iter().any(|m| m.name == name) {
                matchers.push(Matcher::equal(name, value));
                added.push(name.to_owned());
            }
        }
        let body = read::encode_request(&matchers, start, end);
        let (sender, pieces) = channel();
        let (endpoint, budget) = (self.clone(), budget.clone());
        runtime.spawn(async move { endpoint.run(body, &budget, &sender).await });
        Some(Answer { pieces, added, range: (start, end) })
    }

    async fn run(&self, body: Bytes, budget: &Budget, sender: &Sender<(Piece, OwnedSemaphorePermit)>) {
        let room = Arc::new(Semaphore::new(PIECES_MAX));
        self.figures.running.add(1.0);
        let outcome = tokio::select! {
            outcome = self.exchange(body, sender, &room) => outcome,
            // The query that waits finds out by itself why.
            () = no_longer_wanted(budget) => Ok(()),
        };
        self.figures.running.add(-1.0);
        if let Err(why) = outcome {
            push(sender, &room, Piece::Failed(why)).await;
        }
    }

    async fn exchange(&self, body: Bytes, sender: &Sender<(Piece, OwnedSemaphorePermit)>, room: &Arc<Semaphore>) -> Result<(), String> {
        let timeout = Duration::from_millis(self.config.timeout_ms);
        let began = tokio::time::Instant::now();
        let mut request = Request { method: Method::POST, body, ..Request::get(self.config.url.expose(), timeout) }
            .header("Content-Encoding", "snappy")
            .header("Accept-Encoding", "snappy")
            .header("Content-Type", "application/x-protobuf")
            .header("X-Prometheus-Remote-Read-Version", "0.1.0");
        request.secret_headers.extend(self.config.headers.iter().cloned());
        let answer = self.caller.stream(&self.config.client, request).await.map_err(|e| e.to_string())?;
        let (status, streamed) = (answer.status, answer.header("content-type").unwrap_or("").starts_with("application/x-streamed-protobuf"));
        self.count(if streamed { "chunked" } else { "sampled" }, status.as_u16());
        if !status.is_success() {
            let text = answer.excerpt(EXCERPT_BYTES).await;
            return Err(format!("server returned HTTP status {status}: {}", text.lines().next().unwrap_or("")));
        }
        if streamed {
            stream(answer, sender, room).await?;
        } else {
            let whole = answer
                .collect(ANSWER_LIMITS)
                .await
                .map_err(|e| format!("{e}: {}", std::error::Error::source(&e).map(ToString::to_string).unwrap_or_default()))?;
            push(sender, room, Piece::Samples(whole.body)).await;
        }
        self.figures.durations.observe(began.elapsed().as_secs_f64());
        Ok(())
    }

    fn count(&self, response_type: &str, code: u16) {
        let labels: &[(&str, &str)] =
            &[("remote_name", &self.figures.name), ("url", &self.figures.url), ("response_type", response_type), ("code", &code.to_string())];
        let queries: Counter = self.figures.meter.counter("prometheus_remote_storage_read_queries_total", "The total number of remote read queries.", labels);
        queries.inc();
    }

    /// Reads the answer, series by series. Blocks.
    pub(super) fn take(&self, answer: Answer, budget: &Budget, visit: &mut dyn FnMut(Series)) -> Result<(), Failure> {
        let Answer { pieces, added, range } = answer;
        let mut frames = Frames::new(self.config.chunked_read_limit);
        let mut finish = |mut series: Series| -> Result<(), Failure> {
            for name in &added {
                series.labels = series.labels.without(name);
            }
            keep_within(&mut series, range);
            budget.check().and_then(|()| budget.charge_samples(series.cost())).map_err(Failure::Ours)?;
            if series.cost() > 0 {
                visit(series);
            }
            Ok(())
        };
        // The request ends by its own timeout at the latest, and the channel with it.
        while let Ok((piece, _room)) = pieces.recv() {
            // What waits to be read is paid for as long as it waits.
            let waiting = frames.len() + piece.len();
            let _held = Held::charge(budget, waiting as u64).map_err(Failure::Ours)?;
            match piece {
                Piece::Failed(why) => return Err(Failure::Theirs(why)),
                Piece::Samples(body) => read::samples(&body, &mut |s| flow(finish(s))).map_or_else(|e| Err(Failure::Theirs(e)), end)?,
                Piece::Stream(bytes) => frames.take(&bytes, &mut |s| flow(finish(s))).map_or_else(|e| Err(Failure::Theirs(e)), end)?,
            }
        }
        budget.check().map_err(Failure::Ours)?;
        if frames.is_empty() { Ok(()) } else { Err(Failure::Theirs("the answer ends within a frame".to_owned())) }
    }
}

/// Memory that is charged to a query for a while.
struct Held<'a>(&'a Budget, u64);
impl Held<'_> {
    fn charge(budget: &Budget, bytes: u64) -> Result<Held<'_>, ReadError> {
        budget.charge_memory(bytes)?;
        Ok(Held(budget, bytes))
    }
}
impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.release_memory(self.1);
    }
}

fn flow(outcome: Result<(), Failure>) -> ControlFlow<Failure> {
    match outcome {
        Ok(()) => ControlFlow::Continue(()),
        Err(failure) => ControlFlow::Break(failure),
    }
}
fn end(flow: ControlFlow<Failure>) -> Result<(), Failure> {
    match flow {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(failure) => Err(failure),
    }
}

/// Chunks go beyond the range that was asked for.
fn keep_within(series: &mut Series, (start, end): (i64, i64)) {
    let first = series.times.partition_point(|t| *t < start);
    let last = series.times.partition_point(|t| *t <= end);
    series.times.truncate(last);
    series.values.truncate(last);
    series.times.drain(..first.min(last));
    series.values.drain(..first.min(last));
    series.histograms.retain(|h| (start..=end).contains(&h.time.millis()));
}

async fn push(sender: &Sender<(Piece, OwnedSemaphorePermit)>, room: &Arc<Semaphore>, piece: Piece) -> bool {
    match room.clone().acquire_owned().await {
        Ok(permit) => sender.send((piece, permit)).is_ok(),
        Err(_) => false,
    }
}

async fn stream(mut answer: Stream, sender: &Sender<(Piece, OwnedSemaphorePermit)>, room: &Arc<Semaphore>) -> Result<(), String> {
    while let Some(bytes) = answer.chunk().await.map_err(|e| e.to_string())? {
        if !push(sender, room, Piece::Stream(bytes)).await {
            return Ok(());
        }
    }
    Ok(())
}

/// Ends when the query is cancelled or late.
async fn no_longer_wanted(budget: &Budget) {
    while budget.check().is_ok() {
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}
