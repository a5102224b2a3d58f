//! Probes: looks at targets from outside, as blackbox_exporter does with the same configuration, and says how they are. `config` reads
//! `blackbox.yml`; a prober is a folder (`http`, `tcp`, `dns`, `icmp`, `grpc`); `access` knows who may have what looked at; `native` makes
//! scrape jobs of our own `probes:`. It keeps no sample and serves no route.

pub mod access;
pub mod config;
pub(crate) mod dns;
mod grpc;
mod http;
mod icmp;
pub mod native;
mod page;
mod sheet;
mod target;
mod tcp;
#[cfg(test)]
pub(crate) mod tests;
mod web;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use watchfire_ingest::exposition::{Format, render};
use watchfire_model::batch::MetricType;
use watchfire_model::exporter::{Asker, Exporter, Question, Reply, Said};
use watchfire_model::live::ViewFuture;
use watchfire_model::meter::{Counter, Family, Meter};
use watchfire_model::time::{SharedClock, Timestamp};
use watchfire_net::client::Caller;
use watchfire_net::timed::{Dialer, measured};

pub use self::access::Access;
use self::config::Kind;
pub use self::config::{Module, Modules};
pub use self::dns::{Message as DnsMessage, MessageError as DnsMessageError};
use self::sheet::Sheet;
use self::target::Probe;
pub use self::target::Trust;
pub(crate) use self::web::{Web, WebRequest};

/// Probes that run at once; further ones wait, and the wait counts.
const PARALLEL_MAX: usize = 512;
/// The longest that a probe takes when nobody says how long.
const TIMEOUT_MAX: Duration = Duration::from_secs(120);
/// What is left of a scrape's time for its answer.
const TIMEOUT_OFFSET: Duration = Duration::from_millis(500);
/// Probes that are remembered with their logs.
const HISTORY_MAX: usize = 100;
/// Bytes of one remembered log.
const LOG_BYTES_MAX: usize = 16 << 10;
/// The module when a request names none.
const DEFAULT_MODULE: &str = "http_2xx";

/// What probing needs from outside.
pub struct Surroundings {
    /// Makes requests for tokens.
    pub caller: Arc<Caller>,
    /// The time.
    pub clock: SharedClock,
    /// Our own metrics.
    pub meter: Meter,
    /// Who may have what looked at.
    pub access: Arc<Access>,
}

/// Makes probes.
pub struct Prober {
    outside: Surroundings,
    dialer: Dialer,
    modules: Mutex<(Arc<Modules>, Timestamp)>,
    permits: Semaphore,
    history: Mutex<History>,
    unknown: Counter,
    counts: [[Counter; 2]; 5],
}

/// The newest probes.
#[derive(Default)]
struct History {
    next: u64,
    list: VecDeque<Past>,
}
/// A probe that was made.
struct Past {
    id: u64,
    at: Timestamp,
    module: String,
    target: String,
    good: bool,
    took: Duration,
    log: String,
}

/// What became of a probe.
struct Outcome {
    good: bool,
    families: Vec<Family>,
    lines: Vec<String>,
    forbidden: Option<String>,
}

/// The kinds of probers in the order of their counters.
const KINDS: [&str; 5] = ["http", "tcp", "dns", "icmp", "grpc"];

impl Prober {
    /// A prober with its modules.
    pub fn new(outside: Surroundings, modules: Modules) -> Prober {
        let meter = outside.meter.clone();
        let count = |prober, result| meter.counter("watchfire_probes_total", "Probes by prober and result.", &[("prober", prober), ("result", result)]);
        let loaded = outside.clock.now();
        Prober {
            dialer: Dialer::new(),
            modules: Mutex::new((Arc::new(modules), loaded)),
            permits: Semaphore::new(PARALLEL_MAX),
            history: Mutex::default(),
            unknown: meter.counter("watchfire_probe_unknown_modules_total", "Probes that were asked for with a module that there is not.", &[]),
            counts: KINDS.map(|kind| [count(kind, "failure"), count(kind, "success")]),
            outside,
        }
    }

    /// Takes other modules. Probes that run go on with theirs.
    pub fn apply(&self, modules: Modules) {
        let loaded = self.outside.clock.now();
        *self.modules.lock().unwrap_or_else(PoisonError::into_inner) = (Arc::new(modules), loaded);
    }

    fn modules(&self) -> (Arc<Modules>, Timestamp) {
        self.modules.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn answer(&self, question: Question) -> Reply {
        match question.path.as_str() {
            "/probe" => self.probe(&question).await.unwrap_or_else(|refusal| refusal),
            "/metrics" => Reply::families(self.own_families()),
            "/config" => Reply::text(200, self.modules().0.rendered.clone()),
            "/logs" => self.log(&question),
            "/" => Reply { status: 200, said: Said::Html(self.page(question.base)) },
            _ => Reply::text(404, "there is no such page\n"),
        }
    }

    async fn probe(&self, question: &Question) -> Result<Reply, Reply> {
        let modules = self.modules().0;
        let name = question.param("module").unwrap_or(DEFAULT_MODULE);
        let Some(module) = modules.list.get(name) else {
            self.unknown.inc();
            return Err(Reply::text(400, format!("Unknown module {name:?}\n")));
        };
        let target = question.param("target").ok_or_else(|| Reply::text(400, "Target parameter is missing\n"))?;
        let debug = question.param("debug") == Some("true");
        if debug && question.asker < Asker::Admin {
            return Err(Reply::text(403, "debug shows what targets answer, and is for admins\n"));
        }
        let access = self.outside.access.judge(target, question.asker)?;
        let timeout = timeout_of(module, question.patience);
        let begin = self.outside.clock.now();
        let (took, outcome) = measured(self.run(module, (target, question.param("hostname")), access, timeout)).await;
        let Outcome { good, families, lines, forbidden } = outcome;
        self.remember(begin, (name, target), (good, took), &lines);
        if let Some(reason) = forbidden {
            return Err(Reply::text(403, format!("{reason}\n")));
        }
        let kind = KINDS.iter().position(|kind| *kind == module.kind.word()).unwrap_or(0);
        self.counts[kind][usize::from(good)].inc();
        if !debug {
            return Ok(Reply::families(families));
        }
        let shown = render(Format::PrometheusText, &families);
        let (lines, options) = (lines.join("\n"), &module.rendered);
        let text = format!("Logs for the probe:\n{lines}\n\n\n\nMetrics that would have been returned:\n{shown}\n\n\nModule configuration:\n{options}");
        Ok(Reply::text(200, text))
    }

    /// Looks at one target. What is known when the time is over is kept.
    async fn run(
        &self,
        module: &Module,
        (target, hostname): (&str, Option<&str>),
        (trust, policy): (Trust, &watchfire_net::policy::Policy),
        timeout: Duration,
    ) -> Outcome {
        let mut sheet = Sheet::default();
        let mut forbidden = None;
        let deadline = tokio::time::Instant::now() + timeout;
        sheet.say(format!("probing {target} by {} within {} s", module.kind.word(), timeout.as_secs_f64()));
        let (took, good) = {
            let mut work = Probe {
                dialer: &self.dialer,
                policy,
                caller: &self.outside.caller,
                target,
                hostname,
                trust,
                timeout,
                deadline,
                sheet: &mut sheet,
                last_tls: None,
                forbidden: &mut forbidden,
            };
            let looking = async {
                let Ok(_permit) = self.permits.acquire().await else { return false };
                match &module.kind {
                    Kind::Http(module) => http::probe(&mut work, module).await,
                    Kind::Tcp(module) => tcp::probe(&mut work, module).await,
                    Kind::Dns(module) => dns::probe(&mut work, module).await,
                    Kind::Icmp(module) => icmp::probe(&mut work, module).await,
                    Kind::Grpc(module) => grpc::probe(&mut work, module).await,
                }
            };
            let (took, outcome) = measured(tokio::time::timeout_at(deadline, Box::pin(looking))).await;
            (took, outcome.ok())
        };
        if good.is_none() {
            sheet.say("the time was over");
        }
        let good = good.unwrap_or(false);
        sheet.say(format!("the probe {} after {} s", if good { "succeeded" } else { "failed" }, took.as_secs_f64()));
        sheet.set("probe_success", &[], f64::from(u8::from(good)));
        sheet.set("probe_duration_seconds", &[], took.as_secs_f64());
        let (families, lines) = sheet.into_parts();
        Outcome { good, families, lines, forbidden }
    }

    fn remember(&self, at: Timestamp, (module, target): (&str, &str), (good, took): (bool, Duration), lines: &[String]) {
        let mut log = lines.join("\n");
        log.truncate(log.floor_char_boundary(LOG_BYTES_MAX));
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.next += 1;
        let id = history.next;
        if history.list.len() >= HISTORY_MAX {
            history.list.pop_front();
        }
        history.list.push_back(Past { id, at, module: module.to_owned(), target: watchfire_net::client::without_credentials(target), good, took, log });
    }

    fn log(&self, question: &Question) -> Reply {
        if question.asker < Asker::Admin {
            return Reply::text(403, "logs show what targets answer, and are for admins\n");
        }
        let id = question.param("id").and_then(|id| id.parse::<u64>().ok());
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        match history.list.iter().find(|past| Some(past.id) == id) {
            Some(past) => Reply::text(200, format!("{}\n", past.log)),
            None => Reply::text(404, "there is no probe with this id, or it is forgotten\n"),
        }
    }

    fn page(&self, base: &str) -> String {
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        page::of(base, &self.modules().0, history.list.iter().rev())
    }

    fn own_families(&self) -> Vec<Family> {
        let (_, loaded) = self.modules();
        let gauge = |name: &str, help: &str, value: f64| Family::new(name, MetricType::Gauge, help).with(&[], value);
        vec![
            Family::new("blackbox_exporter_build_info", MetricType::Gauge, "What answers here: 1 for it.")
                .with(&[("version", env!("CARGO_PKG_VERSION")), ("program", "watchfire")], 1.0),
            gauge("blackbox_exporter_config_last_reload_success_timestamp_seconds", "When the modules were last loaded.", loaded.secs_f64()),
            gauge("blackbox_exporter_config_last_reload_successful", "Whether the modules are those of the configuration.", 1.0),
            Family::new("blackbox_module_unknown_total", MetricType::Counter, "Probes that were asked for with a module that there is not.")
                .with(&[], self.unknown.get() as f64),
        ]
    }
}

impl Exporter for Prober {
    fn ask(&self, question: Question) -> ViewFuture<'_, Reply> {
        Box::pin(self.answer(question))
    }
}

/// The shorter of what the module allows and what whoever asks waits for, less what the answer takes.
fn timeout_of(module: &Module, patience: Option<Duration>) -> Duration {
    let asked = patience.filter(|p| !p.is_zero()).map_or(TIMEOUT_MAX, |patience| patience.checked_sub(TIMEOUT_OFFSET).unwrap_or(patience / 2));
    module.timeout.map_or(asked, |own| own.min(asked)).min(TIMEOUT_MAX)
}
