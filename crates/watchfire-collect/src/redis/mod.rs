//! A Redis under redis_exporter's names: `INFO`, settings, lengths of keys, slow log, latency. `place` reads addresses, `link` connects,
//! `info` and `names` translate, `keys` and `streams` measure, `sentinel` asks a Sentinel for its masters. It changes nothing there and keeps no sample.

pub mod info;
pub mod keys;
mod link;
mod names;
mod sentinel;
mod streams;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use tokio::sync::Semaphore;
use watchfire_model::exporter::{Exporter, Question, Reply, Said};
use watchfire_model::live::ViewFuture;
use watchfire_model::meter::Counter;
use watchfire_net::policy::Policy;
use watchfire_net::timed::{Dialer, measured};

use self::info::{Info, Sheet};
use self::keys::Checks;
use self::link::{Link, LinkError, number, text};
use self::names::{CLUSTER, CONFIG};
use crate::probe::{Access, Surroundings, Trust};
use watchfire_net::redis::Place;

/// Looks at once.
const PARALLEL_MAX: usize = 32;
/// The time of one look when whoever asks does not say how long he waits.
const TIMEOUT: Duration = Duration::from_secs(15);
const TIMEOUT_OFFSET: Duration = Duration::from_millis(500);
/// Databases that are shown although nothing is in them.
const DATABASES_MAX: usize = 64;
/// How many a Redis has unless it is told otherwise.
const DATABASES: usize = 16;
/// Spikes of latency that are shown.
const EVENTS_MAX: usize = 100;

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The Redis of `/metrics`.
    pub place: Place,
    /// What is measured there.
    pub checks: Checks,
}

/// Looks at Redis when it is asked.
pub struct RedisExporter {
    settings: Settings,
    dialer: Dialer,
    access: Arc<Access>,
    configured: Policy,
    clock: watchfire_model::time::SharedClock,
    permits: Semaphore,
    scrapes: Counter,
    errors: Counter,
}

impl RedisExporter {
    /// An exporter.
    pub fn new(outside: Surroundings, settings: Settings) -> RedisExporter {
        RedisExporter {
            settings,
            dialer: Dialer::new(),
            access: outside.access,
            configured: Policy::configured(),
            clock: outside.clock,
            permits: Semaphore::new(PARALLEL_MAX),
            scrapes: outside.meter.counter("watchfire_redis_scrapes_total", "Looks at Redis.", &[]),
            errors: outside.meter.counter("watchfire_redis_scrape_errors_total", "Looks at Redis that failed, wholly or in part.", &[]),
        }
    }

    async fn answer(&self, question: Question) -> Reply {
        match question.path.as_str() {
            "/metrics" => {
                let looked = self.look(&self.settings.place, &self.configured, &self.settings.checks, &question).await;
                Reply::families(looked.unwrap_or_else(|_| Sheet::default()).into_families())
            }
            "/scrape" => self.scrape(&question).await.unwrap_or_else(|refusal| refusal),
            "/health" => Reply::text(200, "ok"),
            "/" => Reply { status: 200, said: Said::Html(page(question.base)) },
            _ => Reply::text(404, "there is no such page\n"),
        }
    }

    async fn scrape(&self, question: &Question) -> Result<Reply, Reply> {
        let target = question.param("target").ok_or_else(|| Reply::text(400, "'target' parameter must be specified\n"))?;
        let mut place = Place::parse(target).map_err(|reason| Reply::text(400, format!("target {reason}\n")))?;
        let (trust, policy) = self.access.judge(target, question.asker)?;
        let own = &self.settings.place;
        if trust == Trust::Named && place.password.is_none() {
            // As there: one password for all that the configuration names.
            (place.username, place.password) = (own.username.clone(), own.password.clone());
            place.ca_pem.clone_from(&own.ca_pem);
        }
        let list = |name: &str| question.param(name).map(keys::read).unwrap_or_default();
        let checks = Checks {
            patterns: list("check-keys"),
            names: list("check-single-keys"),
            counted: list("count-keys"),
            stream_patterns: list("check-streams"),
            streams: list("check-single-streams"),
        };
        let looked = self.look(&place, policy, &checks, question).await;
        looked.map(|sheet| Reply::families(sheet.into_families())).map_err(|reason| Reply::text(403, format!("{reason}\n")))
    }

    /// One look. An address that may not be reached is the only error: everything else is `redis_up 0`.
    async fn look(&self, place: &Place, policy: &Policy, checks: &Checks, question: &Question) -> Result<Sheet, String> {
        let patience = question.patience.filter(|p| !p.is_zero());
        let within = patience.map_or(TIMEOUT, |p| p.checked_sub(TIMEOUT_OFFSET).unwrap_or(p / 2)).min(TIMEOUT * 4);
        self.scrapes.inc();
        let mut sheet = Sheet::default();
        let (took, outcome) = measured(tokio::time::timeout(within, async {
            let _permit = self.permits.acquire().await.map_err(|e| LinkError::Failed(e.to_string()))?;
            let (connected, link) = measured(Link::open(&self.dialer, place, policy, within)).await;
            sheet.gauge("redis_exporter_last_scrape_connect_time_seconds", &[], connected.as_secs_f64());
            self.talk(&mut link?, checks, &mut sheet).await.map_err(LinkError::Failed)
        }))
        .await;
        let outcome = outcome.unwrap_or_else(|_| Err(LinkError::Failed(format!("no answer within {} s", within.as_secs_f64()))));
        if let Err(LinkError::Forbidden(reason)) = outcome {
            return Err(reason);
        }
        let reason = outcome.as_ref().err().map(|e| e.text().to_owned()).unwrap_or_default();
        if !reason.is_empty() {
            self.errors.inc();
            tracing::debug!(host = place.host, port = place.port, reason, "a look at Redis failed");
        }
        sheet.gauge("redis_up", &[], f64::from(u8::from(reason.is_empty())));
        sheet.gauge("redis_exporter_last_scrape_error", &[("err", &reason)], f64::from(u8::from(!reason.is_empty())));
        sheet.gauge("redis_exporter_last_scrape_duration_seconds", &[], took.as_secs_f64());
        sheet.counter("redis_exporter_scrapes_total", &[], self.scrapes.get() as f64);
        sheet.counter("redis_target_scrape_request_errors_total", &[], self.errors.get() as f64);
        sheet.gauge("redis_exporter_build_info", &[("version", env!("CARGO_PKG_VERSION")), ("program", "watchfire")], 1.0);
        Ok(sheet)
    }

    async fn talk(&self, link: &mut Link, checks: &Checks, sheet: &mut Sheet) -> Result<(), String> {
        // Settings, slow log and latency may be closed to us; what is open is told.
        let config = link.ask(&["CONFIG", "GET", "*"]).await.ok().map(pairs).unwrap_or_default();
        // As many as there usually are, where nobody tells.
        let told = config.iter().find(|(name, _)| name == "databases").and_then(|(_, n)| n.parse().ok());
        let databases = told.filter(|n| *n > 0).unwrap_or(DATABASES);
        for (name, value) in &config {
            if let (Some((_, metric)), Ok(value)) = (CONFIG.iter().find(|(known, _)| known == name), value.parse()) {
                sheet.gauge(metric, &[], value);
            }
        }
        let answer = match link.ask(&["INFO", "ALL"]).await {
            Ok(answer) => answer,
            Err(_) => link.ask(&["INFO"]).await?,
        };
        let info = text(&answer).ok_or("INFO is answered with something else")?;
        let info = Info::read(&info);
        let now = self.clock.now().secs_f64();
        let in_cluster = info.get("cluster_enabled") == Some("1") && cluster(link, sheet).await;
        // A cluster has one.
        info.metrics(if in_cluster { 1 } else { usize::min(databases, DATABASES_MAX) }, now, sheet);
        if info.get("sentinel_masters").is_some() {
            sentinel::measure(link, &info, sheet).await;
        }
        slow_log(link, sheet).await;
        latency(link, sheet).await;
        keys::measure(link, &checks.patterns, &checks.names, sheet).await?;
        streams::measure(link, &checks.stream_patterns, &checks.streams, sheet).await?;
        streams::count(link, &checks.counted, sheet).await
    }
}

impl Exporter for RedisExporter {
    fn ask(&self, question: Question) -> ViewFuture<'_, Reply> {
        Box::pin(self.answer(question))
    }
}

/// Names and values, however the protocol has them.
fn pairs(value: Value) -> Vec<(String, String)> {
    match value {
        Value::Map(map) => map.iter().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect(),
        Value::Array(items) => items.chunks_exact(2).filter_map(|pair| Some((text(&pair[0])?, text(&pair[1])?))).collect(),
        _ => Vec::new(),
    }
}

async fn slow_log(link: &mut Link, sheet: &mut Sheet) {
    if let Some(length) = link.ask(&["SLOWLOG", "LEN"]).await.ok().as_ref().and_then(number) {
        sheet.gauge("redis_slowlog_length", &[], length);
    }
    let Ok(Value::Array(entries)) = link.ask(&["SLOWLOG", "GET", "1"]).await else { return };
    let newest = match entries.first() {
        Some(Value::Array(parts)) => [parts.first().and_then(number), parts.get(2).and_then(number)],
        _ => [Some(0.0), Some(0.0)],
    };
    if let [Some(id), Some(usec)] = newest {
        sheet.gauge("redis_slowlog_last_id", &[], id);
        sheet.gauge("redis_last_slow_execution_duration_seconds", &[], usec / 1e6);
    }
}

async fn latency(link: &mut Link, sheet: &mut Sheet) {
    let Ok(Value::Array(events)) = link.ask(&["LATENCY", "LATEST"]).await else { return };
    for event in events.iter().take(EVENTS_MAX) {
        let Value::Array(parts) = event else { continue };
        let (Some(name), Some(at), Some(ms)) = (parts.first().and_then(text), parts.get(1).and_then(number), parts.get(2).and_then(number)) else { continue };
        sheet.gauge("redis_latency_spike_last", &[("event_name", &name)], at);
        sheet.gauge("redis_latency_spike_duration_seconds", &[("event_name", &name)], ms / 1e3);
    }
}

/// The state of a cluster; whether it was told.
async fn cluster(link: &mut Link, sheet: &mut Sheet) -> bool {
    let Some(answer) = link.ask(&["CLUSTER", "INFO"]).await.ok().as_ref().and_then(text) else { return false };
    for line in answer.lines().take(100) {
        let Some((name, value)) = line.trim_end().split_once(':') else { continue };
        let value = if value == "ok" { Some(1.0) } else { value.parse().ok().or((name == "cluster_state").then_some(0.0)) };
        if let (Some((_, metric)), Some(value)) = (CLUSTER.iter().find(|(known, _)| *known == name), value) {
            sheet.gauge(metric, &[], value);
        }
    }
    true
}

fn page(base: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Redis</title></head><body><h1>Redis</h1>\
         <p><a href=\"{base}/metrics\">Metrics</a></p></body></html>\n"
    )
}
