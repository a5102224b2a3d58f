//! Rules and alerts at work: what the configuration says of them, handed to the rooms that carry it out.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::runtime::Handle;
use watchfire_alert::rules::file::RuleFile;
use watchfire_alert::rules::{Asker, Common, GroupView, Limits, Manager, Notify, Restore, Surroundings};
use watchfire_alert::sender::{self, Sender};
use watchfire_collect::scrape::Aliases;
use watchfire_collect::scrape::config::PrometheusConfig;
use watchfire_model::logs::LogSource;
use watchfire_model::meter::Meter;
use watchfire_model::read::{MemoryPool, Source};
use watchfire_model::time::SharedClock;
use watchfire_model::write::Sink;
use watchfire_net::client::Caller;
use watchfire_net::tasks::Tasks;
use watchfire_query::promql::Engine;

use super::alertmanagers::{Discoverer, relabel_with};
use crate::settings::Settings;

/// What alerting needs of the other rooms.
pub(super) struct Parts {
    pub(super) source: Arc<dyn Source>,
    pub(super) logs: Arc<dyn LogSource>,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) memory: MemoryPool,
    pub(super) caller: Arc<Caller>,
    pub(super) aliases: Aliases,
    pub(super) tasks: Tasks,
    pub(super) meter: Meter,
    pub(super) clock: SharedClock,
    /// Where we are reached when nobody says so.
    pub(super) own_url: String,
    /// Who takes alerts while no Alertmanager outside is configured.
    pub(super) inside: Arc<watchfire_alert::manager::Manager>,
}

/// Rules, and who is told of alerts.
pub(crate) struct Alerting {
    rules: Manager,
    sender: Sender,
    discoverer: Discoverer,
    external_url: String,
    resend_ms: i64,
    restore: Restore,
}

impl Alerting {
    pub(super) fn new(parts: Parts, settings: &Settings) -> Alerting {
        let asker = asker(settings, parts.source, parts.logs, parts.memory, parts.clock.clone());
        let runtime = Handle::current();
        let sender = Sender::new(parts.caller.clone(), runtime.clone(), parts.tasks.clone(), &parts.meter);
        sender.set_inside(Arc::new(sender::Inside(parts.inside)));
        let surroundings = Surroundings {
            asker,
            sink: parts.sink,
            notify: Arc::new(sender.clone()),
            templates: crate::rule_files::templates(),
            clock: parts.clock,
            durations: Arc::default(),
        };
        let discoverer = Discoverer::new(sender.clone(), parts.caller, parts.aliases, parts.tasks.clone(), parts.meter.clone(), runtime.clone());
        Alerting {
            rules: Manager::new(surroundings, runtime, parts.tasks, &parts.meter),
            sender,
            discoverer,
            external_url: settings.rules.external_url.clone().unwrap_or(parts.own_url),
            resend_ms: settings.rules.resend_delay.as_millis() as i64,
            restore: Restore {
                outage_ms: settings.rules.for_outage_tolerance.as_millis() as i64,
                grace_ms: settings.rules.for_grace_period.as_millis() as i64,
            },
        }
    }

    /// Carries a configuration out.
    pub(crate) fn apply(&self, config: &PrometheusConfig, files: &[RuleFile]) {
        let global = &config.global;
        let asked: HashSet<String> =
            files.iter().flat_map(|f| &f.groups).flat_map(|g| &g.rules).flat_map(|r| r.expr.metrics().map(names).unwrap_or_default()).collect();
        let common = sender::Common { external_labels: global.external_labels.clone(), relabel: relabel_with(&config.alerting.relabel) };
        self.sender.set_common(common, asked);
        self.discoverer.apply(&config.alerting.alertmanagers);
        self.rules.apply(
            files,
            Common {
                interval_ms: global.evaluation_interval_ms,
                query_offset_ms: global.rule_query_offset_ms,
                external_labels: global.external_labels.clone(),
                external_url: self.external_url.clone(),
                resend_ms: self.resend_ms,
                restore: self.restore,
            },
        );
    }

    /// What is shown of groups.
    pub(crate) fn groups(&self) -> Vec<GroupView> {
        self.rules.groups()
    }
    /// Which way alerts take at this moment.
    pub(super) fn way(&self) -> sender::Way {
        self.sender.way()
    }
    /// Who takes alerts: with external labels and relabelled, those outside or the one inside.
    pub(super) fn notify(&self) -> Arc<dyn Notify> {
        Arc::new(self.sender.clone())
    }
    /// The addresses of Alertmanagers outside.
    pub(crate) fn alertmanagers(&self) -> Vec<String> {
        self.sender.urls()
    }
}

/// Who answers queries of rules and of reports.
pub(super) fn asker(settings: &Settings, source: Arc<dyn Source>, logs: Arc<dyn LogSource>, memory: MemoryPool, clock: SharedClock) -> Asker {
    let query = &settings.query;
    let memory_max = query.memory_max.min(crate::memory::shares(settings.memory_limit).queries);
    Asker {
        source,
        logs: Some(logs),
        engine: Engine { lookback: query.lookback, ..Engine::default() },
        pool: Some(memory),
        limits: Limits { timeout: query.timeout, samples_max: query.samples_max, memory_max },
        clock,
    }
}

/// The names of metrics that an expression selects.
fn names(expr: &watchfire_query::promql::Expr) -> Vec<String> {
    let of = |m: &watchfire_model::matcher::Matcher| (m.name == watchfire_model::labels::METRIC_NAME).then(|| m.value_set().map(<[String]>::to_vec)).flatten();
    expr.selectors().iter().flat_map(|s| s.matchers.iter().filter_map(of).flatten().collect::<Vec<_>>()).collect()
}
