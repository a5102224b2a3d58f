//! One output: what a line is called over there, and a request with some of them. When what is sent is the business of the queue.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use watchfire_collect::logs::outputs::{Destination, Output};
use watchfire_model::labels::{Labels, LabelsBuilder};
use watchfire_model::level;
use watchfire_model::time::SharedClock;
use watchfire_net::backoff::retry_after;
use watchfire_net::client::{Caller, GrpcClient, Request, Response};
use watchfire_net::inflate::Limits;
use watchfire_net::secret::Secret;
use watchfire_store::TailEntry;

use super::figures::Figures;
use super::outcome::{Item, Outcome};
use super::{Kind, elasticsearch, logstash, loki, otlp};

/// How much of an error's body is told.
const EXCERPT_BYTES: usize = 256;
/// The largest answer that is read: one of Elasticsearch says something of every event.
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// An output that goes on failing is told about so often.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(60);

/// What goes along of an entry's structured metadata: not the level that was noted here. A Loki notes levels itself, and an old one takes no
/// structured metadata at all.
fn sent(metadata: &Labels) -> Labels {
    metadata.without(level::LABEL)
}

pub(super) struct Target {
    /// By what its position in the log is kept.
    pub(super) key: String,
    /// What it is called in figures.
    pub(super) name: String,
    /// Its address without credentials.
    pub(super) shown_url: String,
    pub(super) output: Output,
    pub(super) kind: Kind,
    pub(super) figures: Figures,
    pub(super) clock: SharedClock,
    caller: Arc<Caller>,
    external: Labels,
    /// When trouble was told last; `None` while all goes well.
    complained: Mutex<Option<Duration>>,
}

impl Target {
    pub(super) fn new(kind: Kind, key: String, output: Output, caller: Arc<Caller>, clock: SharedClock) -> Target {
        let hash = Labels::from_pairs([("key", &key)]).hash_value() & 0xff_ffff;
        Target {
            name: output.name.clone().unwrap_or_else(|| format!("{hash:06x}")),
            shown_url: watchfire_net::client::without_credentials(output.url.expose()),
            external: Labels::from_pairs(output.external_labels.iter().map(|(name, value)| (name, value))),
            key,
            kind,
            output,
            figures: Figures::default(),
            clock,
            caller,
            complained: Mutex::default(),
        }
    }

    /// The labels of a stream on the other side: the external ones where it has none of that name.
    pub(super) fn labels(&self, labels: &Labels) -> Labels {
        if self.external.is_empty() {
            return labels.clone();
        }
        let mut builder = LabelsBuilder::from(&self.external);
        for (name, value) in labels {
            builder.set(name, value);
        }
        builder.build()
    }

    pub(super) fn item(&self, labels: &Labels, entry: TailEntry<'_>) -> Item {
        // OTLP has a place for the level; Loki notes it itself.
        let is_otlp = matches!(self.output.destination, Destination::Otlp { .. });
        let metadata = if is_otlp { entry.metadata } else { sent(&entry.metadata) };
        Item { labels: labels.clone(), time: entry.time, line: entry.line.to_owned(), metadata, point: None }
    }

    pub(super) fn speaker(&self) -> Speaker {
        match &self.output.destination {
            Destination::Logstash { hosts, tls, index } => {
                Speaker::Logstash(Box::new(logstash::Client::new(hosts.clone(), tls.clone(), index.clone(), self.output.timeout)))
            }
            Destination::Loki => Speaker::Loki,
            Destination::Otlp { grpc: None, gzip } => Speaker::Otlp(otlp::Client::Http { gzip: *gzip }),
            Destination::Otlp { grpc: Some((host, port, secure)), gzip } => {
                Speaker::Otlp(otlp::Client::Grpc { client: Box::new(GrpcClient::new(host, *port, *secure)), gzip: *gzip })
            }
            Destination::Elasticsearch { others, index, pipeline } => {
                let urls = std::iter::once(&self.output.url).chain(others).cloned().collect();
                Speaker::Elasticsearch { urls, at: 0, index: index.clone(), pipeline: pipeline.clone() }
            }
        }
    }

    pub(super) async fn post(&self, url: &str, content_type: &str, encoding: Option<&str>, body: Bytes) -> Result<Response, Outcome> {
        let mut request = Request { method: Method::POST, body, limits: Limits::both(ANSWER_BYTES_MAX), ..Request::get(url, self.output.timeout) };
        request = request.header("Content-Type", content_type);
        if let Some(encoding) = encoding {
            request = request.header("Content-Encoding", encoding);
        }
        if let Some(tenant) = &self.output.tenant {
            request = request.header("X-Scope-OrgID", tenant.clone());
        }
        request.secret_headers.extend(self.output.headers.iter().cloned());
        self.caller.send(&self.output.client, request).await.map_err(|error| Outcome::again(error.to_string()))
    }

    /// What a status says that is no success. `refused` are those that will never change.
    pub(super) fn judge(&self, answer: &Response, refused: impl Fn(StatusCode) -> bool) -> Outcome {
        let status = answer.status;
        let text = String::from_utf8_lossy(&answer.body);
        let first: String = text.lines().next().unwrap_or("").chars().take(EXCERPT_BYTES).collect();
        let why = format!("server returned HTTP status {status}: {first}");
        if refused(status) {
            return Outcome::Refused(format!("status_{}", status.as_u16()), why);
        }
        let after = answer.header("retry-after").and_then(|text| retry_after(text, self.clock.now()));
        Outcome::Again { after, why, too_much: status == StatusCode::TOO_MANY_REQUESTS }
    }

    /// Tells that something does not go through, now and then.
    pub(super) fn complain(&self, why: &str) {
        let now = self.clock.monotonic();
        let mut complained = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if complained.is_none_or(|at| now.saturating_sub(at) >= COMPLAINT_PAUSE) {
            *complained = Some(now);
            tracing::warn!(url = %self.shown_url, why, "{} do not go through; they are sent again", self.kind.words());
        }
    }
    /// Tells that it goes through again.
    pub(super) fn relieved(&self) {
        if self.complained.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            tracing::info!(url = %self.shown_url, "{} go through again", self.kind.words());
        }
    }
}

/// Who speaks to the other side.
pub(super) enum Speaker {
    Loki,
    Elasticsearch { urls: Vec<Secret>, at: usize, index: String, pipeline: Option<String> },
    Logstash(Box<logstash::Client>),
    Otlp(otlp::Client),
}

impl Speaker {
    /// Sends some lines once.
    pub(super) async fn send(&mut self, target: &Target, items: &[Item]) -> Outcome {
        match self {
            Speaker::Logstash(client) => client.send(items).await,
            Speaker::Otlp(client) => client.send(target, items).await,
            Speaker::Loki => {
                let body = loki::encode(items);
                match target.post(target.output.url.expose(), "application/x-protobuf", None, body).await {
                    Err(outcome) => outcome,
                    Ok(answer) if answer.status.is_success() => Outcome::Taken,
                    // What is wrong with a request today is wrong with it tomorrow.
                    Ok(answer) => target.judge(&answer, |status| status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS),
                }
            }
            Speaker::Elasticsearch { urls, at, index, pipeline } => {
                let body = elasticsearch::encode(items, index);
                let base = urls.get(*at).map_or("", |url| url.expose());
                let pipeline = pipeline.as_ref().map_or(String::new(), |name| format!("?pipeline={name}"));
                let outcome = match target.post(&format!("{base}/_bulk{pipeline}"), "application/x-ndjson", None, body).await {
                    Err(outcome) => outcome,
                    Ok(answer) if answer.status.is_success() => elasticsearch::judge(&answer.body, items.len()),
                    // Who may not write today may be allowed to tomorrow.
                    Ok(answer) => target.judge(&answer, |status| matches!(status, StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE)),
                };
                if matches!(outcome, Outcome::Again { .. }) {
                    *at = (*at + 1) % urls.len().max(1);
                }
                outcome
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_that_were_noted_here_stay_here() {
        let metadata = Labels::from_pairs([("detected_level", "error"), ("trace_id", "t")]);
        assert_eq!(sent(&metadata), Labels::from_pairs([("trace_id", "t")]));
        assert!(sent(&Labels::from_pairs([("detected_level", "info")])).is_empty());
    }
}
