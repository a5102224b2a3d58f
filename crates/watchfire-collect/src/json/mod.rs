//! Metrics out of JSON, as json_exporter makes them with the same configuration: fetches a target, follows paths, prints numbers. `config`
//! reads the configuration, `path` is the JSONPath dialect. Targets are reached as probes reach theirs. It keeps no sample.

pub mod config;
mod metrics;
pub mod path;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Semaphore;
use watchfire_model::batch::MetricType;
use watchfire_model::exporter::{Exporter, Question, Reply, Said};
use watchfire_model::live::ViewFuture;
use watchfire_model::meter::{Counter, Family};

use self::config::Body;
pub use self::config::{Module, Modules};
use crate::probe::{Access, Surroundings, Web, WebRequest};

/// Bytes of JSON that are taken.
pub const BODY_BYTES_MAX: usize = 16 << 20;
/// Targets that are asked at once.
const PARALLEL_MAX: usize = 64;
/// The time when whoever asks does not say how long he waits.
const TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT_MAX: Duration = Duration::from_secs(120);
/// What is left of a scrape's time for its answer.
const TIMEOUT_OFFSET: Duration = Duration::from_millis(500);
/// The module when a request names none.
const DEFAULT_MODULE: &str = "default";

/// Makes metrics out of JSON.
pub struct JsonExporter {
    web: Web,
    access: Arc<Access>,
    modules: Mutex<Arc<Modules>>,
    permits: Semaphore,
    good: Counter,
    unreached: Counter,
    left_out: Counter,
}

impl JsonExporter {
    /// An exporter with its modules.
    pub fn new(outside: Surroundings, modules: Modules) -> JsonExporter {
        let meter = &outside.meter;
        let count = |result| meter.counter("watchfire_json_probes_total", "Targets that were asked for JSON, by result.", &[("result", result)]);
        JsonExporter {
            web: Web::new(outside.caller.clone()),
            access: outside.access.clone(),
            modules: Mutex::new(Arc::new(modules)),
            permits: Semaphore::new(PARALLEL_MAX),
            good: count("success"),
            unreached: count("failure"),
            left_out: meter.counter("watchfire_json_values_left_out_total", "Values that are no numbers, or are not where a path leads.", &[]),
        }
    }

    /// Takes other modules.
    pub fn apply(&self, modules: Modules) {
        *self.modules.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(modules);
    }

    fn modules(&self) -> Arc<Modules> {
        self.modules.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn answer(&self, question: Question) -> Reply {
        match question.path.as_str() {
            "/probe" => self.probe(&question).await.unwrap_or_else(|refusal| refusal),
            "/metrics" => Reply::families(self.own_families()),
            "/config" => Reply::text(200, self.modules().rendered.clone()),
            "/" => Reply { status: 200, said: Said::Html(page(question.base)) },
            _ => Reply::text(404, "there is no such page\n"),
        }
    }

    async fn probe(&self, question: &Question) -> Result<Reply, Reply> {
        let modules = self.modules();
        let name = question.param("module").unwrap_or(DEFAULT_MODULE);
        let module = modules.list.get(name).ok_or_else(|| Reply::text(400, format!("Unknown module {name:?}\n")))?;
        let target = question.param("target").ok_or_else(|| Reply::text(400, "Target parameter is missing\n"))?;
        let (trust, policy) = self.access.judge(target, question.asker)?;
        let failed = |reason: String| {
            self.unreached.inc();
            Reply::text(503, format!("Failed to fetch JSON response. TARGET: {}, ERROR: {reason}\n", watchfire_net::client::without_credentials(target)))
        };
        let patience = question.patience.filter(|p| !p.is_zero());
        let timeout = patience.map_or(TIMEOUT, |p| p.checked_sub(TIMEOUT_OFFSET).unwrap_or(p / 2)).min(TIMEOUT_MAX);
        let body = body_of(module, question);
        let request = WebRequest {
            target,
            trust,
            policy,
            timeout,
            client: module.client.clone(),
            headers: module.headers.clone(),
            body,
            valid_status_codes: module.valid_status_codes.clone(),
            bytes_max: BODY_BYTES_MAX,
        };
        let asked = async {
            let _permit = self.permits.acquire().await.map_err(|e| (false, e.to_string()))?;
            self.web.fetch(request).await
        };
        let answer = tokio::time::timeout(timeout, asked).await.unwrap_or_else(|_| Err((false, format!("no answer within {} s", timeout.as_secs_f64()))));
        let bytes = match answer {
            Ok(bytes) => bytes,
            Err((true, reason)) => return Err(Reply::text(403, format!("{reason}\n"))),
            Err((false, reason)) => return Err(failed(reason)),
        };
        let document: Value = serde_json::from_slice(&bytes).map_err(|e| failed(format!("it is no JSON: {e}")))?;
        self.good.inc();
        let made = metrics::make(module, &document);
        self.left_out.add(made.left_out.len() as u64);
        for reason in made.left_out.iter().take(3) {
            tracing::debug!(target = watchfire_net::client::without_credentials(target), module = name, reason, "a value of JSON is left out");
        }
        Ok(made.reply())
    }

    fn own_families(&self) -> Vec<Family> {
        let results = Family::new("json_exporter_probes_total", MetricType::Counter, "Targets that were asked, by result.");
        vec![
            results.with(&[("result", "success")], self.good.get() as f64).with(&[("result", "failure")], self.unreached.get() as f64),
            Family::new("json_exporter_values_left_out_total", MetricType::Counter, "Values that are no numbers, or are not where a path leads.")
                .with(&[], self.left_out.get() as f64),
            Family::new("json_exporter_build_info", MetricType::Gauge, "What answers here: 1 for it.")
                .with(&[("version", env!("CARGO_PKG_VERSION")), ("program", "watchfire")], 1.0),
        ]
    }
}

impl Exporter for JsonExporter {
    fn ask(&self, question: Question) -> ViewFuture<'_, Reply> {
        Box::pin(self.answer(question))
    }
}

/// What is sent to the target; a template works on the parameters of the request. One that fails is sent as it stands, as there.
fn body_of(module: &Module, question: &Question) -> Option<String> {
    match &module.body {
        Body::Nothing => None,
        Body::Text(text) => Some(text.clone()),
        Body::Template(template, text) => Some(template.execute(&question.params).unwrap_or_else(|reason| {
            tracing::debug!(reason, "the template of a body failed");
            text.clone()
        })),
    }
}

fn page(base: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Metrics out of JSON</title></head><body><h1>Metrics out of JSON</h1>\
         <p><a href=\"{base}/metrics\">Metrics</a> <a href=\"{base}/config\">Configuration</a></p></body></html>\n"
    )
}
