//! One target of remote write: what a series is called over there, how a batch becomes a request, what an answer means. When and
//! in which order things are sent is the business of queue and shard.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use watchfire_collect::scrape::config::{RemoteWrite, WriteProtocol};
use watchfire_ingest::relabel::{self, Verdict};
use watchfire_model::batch::Metadata;
use watchfire_model::labels::{Labels, LabelsBuilder};
use watchfire_model::time::SharedClock;
use watchfire_net::backoff::retry_after;
use watchfire_net::client::{Caller, Request, Stream};

use super::figures::{Counts, Figures};
use crate::wire::{self, Item};

/// How much of an error's body is told.
const EXCERPT_BYTES: usize = 256;
/// A target that goes on failing is told about so often.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(60);
/// Endings that series of one family have.
const SUFFIXES: [&str; 6] = ["_total", "_bucket", "_sum", "_count", "_created", "_info"];

pub(super) struct Target {
    /// By what its position in the log is kept.
    pub(super) key: String,
    /// What it is called in figures.
    pub(super) name: String,
    /// Its address without credentials.
    pub(super) shown_url: String,
    pub(super) config: Arc<RemoteWrite>,
    pub(super) external: Labels,
    pub(super) figures: Figures,
    pub(super) clock: SharedClock,
    caller: Arc<Caller>,
    /// Whether version 2 is spoken; it ends when the other side does not understand it.
    version_2: AtomicBool,
    families: RwLock<HashMap<String, Metadata>>,
    /// When trouble was told last; `None` while all goes well.
    complained: Mutex<Option<Duration>>,
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is on the other side, but for so many items.
    Accepted(Counts),
    /// The other side will never take it.
    Refused(u16, String),
    /// The other side does not speak version 2.
    SpeaksVersion1(String),
    /// It may go through later.
    Again(Option<Duration>, String),
}

impl Target {
    pub(super) fn new(key: String, config: Arc<RemoteWrite>, external: Labels, caller: Arc<Caller>, clock: SharedClock) -> Target {
        let hash = Labels::from_pairs([("key", &key)]).hash_value() & 0xff_ffff;
        Target {
            name: config.name.clone().unwrap_or_else(|| format!("{hash:06x}")),
            shown_url: watchfire_net::client::without_credentials(config.url.expose()),
            version_2: AtomicBool::new(config.protocol == WriteProtocol::V2),
            key,
            config,
            external,
            figures: Figures::default(),
            clock,
            caller,
            families: RwLock::default(),
            complained: Mutex::default(),
        }
    }

    /// The labels of a series on the other side; `None` when it is not wanted there.
    pub(super) fn relabelled(&self, labels: &Labels) -> Option<Labels> {
        if self.external.is_empty() && self.config.relabel.is_empty() {
            return Some(labels.clone());
        }
        let mut builder = LabelsBuilder::from(labels);
        for (name, value) in &self.external {
            if builder.get(name).is_empty() {
                builder.set(name, value);
            }
        }
        let kept = relabel::apply(&self.config.relabel, &mut builder) == Verdict::Keep;
        Some(builder.build()).filter(|labels| kept && !labels.is_empty())
    }

    pub(super) fn speaks_version_2(&self) -> bool {
        self.version_2.load(Ordering::Relaxed)
    }
    pub(super) fn fall_back(&self, why: &str) {
        if self.version_2.swap(false, Ordering::Relaxed) {
            tracing::warn!(url = %self.shown_url, why, "remote write 2.0 is not understood there; version 1.0 is used from now on");
        }
    }

    /// What version 2 says about the family of each series.
    pub(super) fn set_families(&self, families: &[Metadata]) {
        let by_name = families.iter().map(|f| (f.family.to_string(), f.clone())).collect();
        *self.families.write().unwrap_or_else(PoisonError::into_inner) = by_name;
    }

    /// A batch as the body of a request.
    pub(super) fn encode(&self, items: &[Item], version_2: bool) -> Bytes {
        let families = self.families.read().unwrap_or_else(PoisonError::into_inner);
        let family = |name: &str| families.get(name).or_else(|| SUFFIXES.iter().find_map(|suffix| families.get(name.strip_suffix(suffix)?)));
        if version_2 { wire::version_2(items, &family) } else { wire::version_1(items) }
    }

    /// Sends a batch once.
    pub(super) async fn send(&self, body: Bytes, version_2: bool, counts: Counts, attempt: u32) -> Outcome {
        self.post(body, version_2, Some(counts), attempt).await
    }

    /// Sends what is known of some families, in version 1.
    pub(super) async fn send_metadata(&self, families: &[Metadata], attempt: u32) -> (usize, Outcome) {
        let body = wire::metadata(families);
        (body.len(), self.post(body, false, None, attempt).await)
    }

    async fn post(&self, body: Bytes, version_2: bool, counts: Option<Counts>, attempt: u32) -> Outcome {
        let (content_type, version) =
            if version_2 { ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0") } else { ("application/x-protobuf", "0.1.0") };
        let request = Request { method: Method::POST, body, ..Request::get(self.config.url.expose(), Duration::from_millis(self.config.timeout_ms)) };
        let mut request =
            request.header("Content-Encoding", "snappy").header("Content-Type", content_type).header("X-Prometheus-Remote-Write-Version", version);
        if attempt > 0 {
            request = request.header("Retry-Attempt", attempt.to_string());
        }
        request.secret_headers.extend(self.config.headers.iter().cloned());
        match self.caller.stream(&self.config.client, request).await {
            Err(error) => Outcome::Again(None, error.to_string()),
            Ok(answer) => self.judge(answer, version_2, counts).await,
        }
    }

    async fn judge(&self, answer: Stream, version_2: bool, counts: Option<Counts>) -> Outcome {
        let status = answer.status;
        if status.is_success() {
            return match counts.filter(|_| version_2) {
                None => Outcome::Accepted(Counts::default()),
                Some(counts) => match written(&answer) {
                    Some(written) => Outcome::Accepted(counts.minus(written)),
                    None => Outcome::SpeaksVersion1("it took a request of version 2.0 without saying how much of it it wrote".to_owned()),
                },
            };
        }
        let after = answer.header("retry-after").and_then(|text| retry_after(text, self.clock.now()));
        let again = status.is_server_error() || (status == StatusCode::TOO_MANY_REQUESTS && self.config.queue.retry_on_http_429);
        let text = answer.excerpt(EXCERPT_BYTES).await;
        let why = format!("server returned HTTP status {status}: {}", text.lines().next().unwrap_or(""));
        match status {
            StatusCode::UNSUPPORTED_MEDIA_TYPE if version_2 => Outcome::SpeaksVersion1(why),
            _ if again => Outcome::Again(after, why),
            _ => Outcome::Refused(status.as_u16(), why),
        }
    }

    /// Tells that something does not go through, now and then.
    pub(super) fn complain(&self, why: &str) {
        let now = self.clock.monotonic();
        let mut complained = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if complained.is_none_or(|at| now.saturating_sub(at) >= COMPLAINT_PAUSE) {
            *complained = Some(now);
            tracing::warn!(url = %self.shown_url, why, "remote write does not go through; it is tried again");
        }
    }
    /// Tells that it goes through again.
    pub(super) fn relieved(&self) {
        if self.complained.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            tracing::info!(url = %self.shown_url, "remote write goes through again");
        }
    }
    /// What does not go through, if anything.
    pub(super) fn is_in_trouble(&self) -> bool {
        self.complained.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

/// How much the other side says it wrote; `None` when it says nothing.
fn written(answer: &Stream) -> Option<Counts> {
    let names = ["samples", "histograms", "exemplars"].map(|kind| format!("x-prometheus-remote-write-{kind}-written"));
    let said = names.map(|name| answer.header(&name).and_then(|text| text.parse::<u64>().ok()));
    said.iter().any(Option::is_some).then(|| Counts(said.map(|n| n.unwrap_or(0))))
}
