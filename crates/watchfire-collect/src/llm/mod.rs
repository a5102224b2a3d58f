//! Servers of language models under one set of names, whichever program they are: those of OpenTelemetry's conventions for generative AI, as
//! Prometheus writes them, and those of the documents. `kinds` knows the programs, `sheet` the names. It asks for figures only, never for words.

mod kinds;
mod sheet;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use watchfire_model::batch::{Batch, Origin};
use watchfire_model::document::Reader;
use watchfire_model::labels::is_classic_label_name;
use watchfire_model::meter::{Counter, Meter};
use watchfire_model::time::SharedClock;
use watchfire_model::write::Sink;
use watchfire_net::client::{HttpOptions, read_http_options};

pub use self::kinds::Kind;
use self::sheet::Sheet;
use crate::gather::{Cache, Gather};
use crate::rounds::Rounds;
use crate::scrape::fetch::{Fetch, Request};

/// Servers.
pub const SERVERS_MAX: usize = 50;
/// The largest answer.
const ANSWER_BYTES_MAX: u64 = 8 << 20;
const INTERVAL_MS: u64 = 15_000;
const SHORTEST_MS: u64 = 1_000;
const TIMEOUT_MS: u64 = 5_000;
const JOB: &str = "llm_servers";

/// One server.
#[derive(Clone, Debug)]
pub struct Server {
    /// The label `server`.
    pub name: String,
    /// The program.
    pub kind: Kind,
    /// Its address, without a path of its own.
    pub url: String,
    /// Pause between two polls.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Labels of all its series.
    pub labels: Vec<(String, String)>,
    /// Credentials, TLS and the like.
    options: Arc<HttpOptions>,
}

/// Reads `llm_servers:` from among other keys. `locate` finds files of the configuration.
pub fn read(root: &Reader<'_>, locate: &dyn Fn(&str) -> std::path::PathBuf) -> Vec<Server> {
    let mut servers: Vec<Server> = Vec::new();
    for item in root.maps("llm_servers") {
        let node = item.node();
        let server = read_server(item, locate);
        let wrong = |message: String| root.context().error(node.line, node.column, message);
        if servers.iter().any(|known| known.name == server.name) {
            wrong(format!("there is more than one entry of llm_servers with the name {:?}", server.name));
        } else if servers.len() >= SERVERS_MAX {
            wrong(format!("llm_servers has more than {SERVERS_MAX} entries"));
            break;
        }
        servers.push(server);
    }
    servers
}

fn read_server(item: Reader<'_>, locate: &dyn Fn(&str) -> std::path::PathBuf) -> Server {
    let kind = item.word("kind", &Kind::WORDS);
    if !item.has("kind") {
        let node = item.node();
        item.context().error(node.line, node.column, format!("an entry of llm_servers needs a kind: {}", Kind::WORDS.join(", ")));
    }
    let url = item.required_text("url").trim_end_matches('/').to_owned();
    if !url.is_empty() && !url.starts_with("http://") && !url.starts_with("https://") {
        item.error_at("url", "must begin with http:// or https://");
    }
    let interval = item.duration_ms("interval").unwrap_or(INTERVAL_MS);
    let timeout = item.duration_ms("timeout").unwrap_or(TIMEOUT_MS);
    if interval < SHORTEST_MS {
        item.error_at("interval", "must be at least 1s");
    }
    if timeout == 0 || timeout > interval {
        item.error_at("timeout", "must be longer than 0 and no longer than interval");
    }
    let labels = item.text_map("labels");
    let ours =
        |name: &str| ["server", "job", "instance", "le", "outcome", "state", "phase", "version", "engine"].contains(&name) || name.starts_with("gen_ai_");
    for (name, _) in labels.iter().filter(|(name, _)| !is_classic_label_name(name) || name.starts_with("__") || ours(name)) {
        item.error_at("labels", format!("{name:?} cannot be a label here"));
    }
    let server = Server {
        name: item.required_text("name"),
        kind: Kind::of(kind.unwrap_or_default()),
        url,
        interval: Duration::from_millis(interval.max(SHORTEST_MS)),
        timeout: Duration::from_millis(timeout.max(1)),
        labels,
        options: Arc::new(read_http_options(&item, locate)),
    };
    item.finish();
    server
}

/// Asks one server. Cheap to clone.
#[derive(Clone)]
pub struct LlmCollector {
    server: Arc<Server>,
    labels: Arc<Vec<(String, String)>>,
    instance: Arc<str>,
    fetch: Arc<dyn Fetch>,
    clock: SharedClock,
    cache: Arc<Mutex<Cache>>,
    failed: Counter,
    unread: Counter,
    left_out: Counter,
    rounds: Rounds,
}

impl LlmCollector {
    /// A collector of one server.
    pub fn new(server: Server, fetch: Arc<dyn Fetch>, clock: SharedClock, meter: &Meter) -> LlmCollector {
        let place = server.url.split_once("://").map_or("", |(_, rest)| rest);
        // What stands before an @ is a secret.
        let instance = place.split('/').next().unwrap_or("").rsplit('@').next().unwrap_or("").into();
        let mut labels = vec![("server".to_owned(), server.name.clone()), ("gen_ai_provider_name".to_owned(), server.kind.name().to_owned())];
        labels.extend(server.labels.iter().cloned());
        let of = [("server", server.name.as_str())];
        LlmCollector {
            failed: meter.counter("watchfire_llm_questions_failed_total", "Questions that a server of language models did not answer.", &of),
            unread: meter.counter("watchfire_llm_answers_unread_total", "Answers of a server of language models that are not as its documents say.", &of),
            left_out: meter.counter("watchfire_llm_series_left_out_total", "Series of a server of language models that were too many.", &of),
            rounds: Rounds::new("language_models", meter),
            labels: Arc::new(labels),
            instance,
            fetch,
            clock,
            cache: Arc::default(),
            server: Arc::new(server),
        }
    }

    /// One look, ready to be stored.
    pub async fn poll(&self) -> Batch {
        let mut sheet = Sheet::default();
        let mut up = false;
        for question in self.server.kind.questions() {
            let request = Request {
                url: format!("{}{}", self.server.url, question.path),
                headers: vec![("User-Agent".to_owned(), concat!("Watchfire/", env!("CARGO_PKG_VERSION")).to_owned())],
                options: self.server.options.clone(),
                timeout: self.server.timeout,
                body_bytes_max: ANSWER_BYTES_MAX,
            };
            let answer = tokio::time::timeout(self.server.timeout, self.fetch.get(request)).await;
            let body = match answer {
                Ok(Ok(answer)) if answer.status == 200 => answer.body,
                // Something else answers, or the question is turned off there.
                _ => {
                    self.failed.inc();
                    continue;
                }
            };
            up = true;
            let read = std::str::from_utf8(&body).map_err(|error| error.to_string()).and_then(|text| (question.read)(text, &mut sheet));
            if let Err(reason) = read {
                self.unread.inc();
                tracing::debug!(target: "watchfire::llm", server = self.server.name, path = question.path, reason, "an answer is not as expected");
            }
        }
        let origin = Origin::new(&format!("host/llm/{}", self.server.name));
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let before = cache.left_out();
        let mut out = Gather::batch(&mut cache, origin.clone(), JOB, &self.instance, self.clock.now());
        sheet.put(&self.labels, up, &mut out);
        let batch = out.into_batch().unwrap_or_else(|| Batch::new(origin));
        let left_out = sheet.left_out + (cache.left_out() - before);
        self.left_out.add(left_out);
        self.rounds.left_out(left_out);
        batch
    }

    /// Polls for ever and writes to the sink; ends only when the future is dropped.
    pub async fn run(self, sink: Arc<dyn Sink>) {
        let mut ticks = Rounds::pace(self.server.interval);
        loop {
            ticks.tick().await;
            let batch = self.poll().await;
            self.rounds.deliver(&sink, Box::new(move || batch)).await;
        }
    }
}
