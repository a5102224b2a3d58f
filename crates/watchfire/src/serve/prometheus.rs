//! The part of the configuration that is a `prometheus.yml`, and with it what else changes while we run (rules, the Alertmanager inside, log
//! lines that are collected): read it, hand it to those who carry it out, and do so again on reload. All or nothing: an error leaves what runs
//! as it is.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use watchfire_alert::rules::file::RuleFile;
use watchfire_collect::discovery::glob::Lookup;
use watchfire_collect::logs::{Collected, Collector};
use watchfire_collect::scrape::Manager;
use watchfire_collect::scrape::config::{Outside, Parsed, PrometheusConfig, parse, parse_node};
use watchfire_forward::read::RemoteSource;
use watchfire_forward::write::Forwarder;
use watchfire_ingest::loki::config::LokiConfig;
use watchfire_model::document::{Finding, Node, Severity};
use watchfire_model::meter::Gauge;
use watchfire_model::time::{SharedClock, Timestamp};
use watchfire_pipeline::supervision::{self, Supervisor};

use super::alerting::Alerting;
use super::exporters::{Answering, Looks};
use super::grafana::Dashboards;
use super::grafana::files::Plan;
use super::protocols::Protocols;
use crate::settings::{self, Environment, Flags, ForeignFile, Settings};
use crate::{log_rules, rule_files};

/// Reads the Prometheus configuration that the settings name; an empty one when they name none.
pub(crate) fn read(settings: &Settings, environment: &Environment) -> Parsed {
    let monitoring_dir = settings.monitoring_dir.as_deref();
    match settings.foreign_of("prometheus").map(|f| &f.source) {
        Some(ForeignFile::Path(path)) => read_file(path, monitoring_dir, environment),
        Some(ForeignFile::Content(node)) => read_node(&settings.file.display().to_string(), node, &settings.file, monitoring_dir, environment),
        None => read_node(
            "prometheus.yml",
            &Node { value: watchfire_model::document::Value::Null, line: 0, column: 0 },
            Path::new("prometheus.yml"),
            None,
            environment,
        ),
    }
}

/// A `prometheus.yml`, its rules, and who is told of alerts.
pub(crate) struct Configured {
    pub(crate) alertmanager: Arc<watchfire_alert::manager::config::Config>,
    pub(crate) prometheus: PrometheusConfig,
    pub(crate) rules: Vec<RuleFile>,
    pub(crate) logs: Collected,
    pub(crate) loki: LokiConfig,
    pub(crate) looks: Looks,
    pub(crate) cameras: super::cameras::Named,
    /// Dashboards of files, and the packs that are enabled.
    pub(crate) dashboards: (Plan, Vec<String>),
}

/// What could be read of all that, with everything there is to say of it.
pub(crate) struct Pieces {
    pub(crate) prometheus: Option<PrometheusConfig>,
    alertmanager: Option<watchfire_alert::manager::config::Config>,
    pub(crate) logs: Option<Collected>,
    loki: Option<LokiConfig>,
    looks: Option<Looks>,
    dashboards: Plan,
    /// The rule files that are valid.
    pub(crate) rules: Vec<RuleFile>,
    pub(crate) findings: Vec<Finding>,
}

/// Reads the configurations of Prometheus and Alertmanager that the settings name, and all rules.
pub(crate) fn read_pieces(settings: &Settings, environment: &Environment) -> Pieces {
    let Parsed { config: prometheus, mut findings } = read(settings, environment);
    let inside = super::alertmanager::read(settings);
    findings.extend(inside.findings);
    let logs = super::logs::read(settings, environment);
    findings.extend(logs.findings);
    let loki = super::loki::read(settings);
    findings.extend(loki.findings);
    let (looks, of_looks) = super::exporters::read(settings);
    findings.extend(of_looks);
    let (dashboards, of_dashboards) = super::grafana::files::read(settings, environment);
    findings.extend(of_dashboards);
    let declared_in = settings.file.display().to_string();
    let wanted = rule_files::Wanted { packs: &settings.packs, slos: (&declared_in, &settings.slos) };
    let loaded = prometheus.as_ref().map(|config| rule_files::load(config, settings.monitoring_dir.as_deref(), wanted)).unwrap_or_default();
    findings.extend(loaded.findings);
    let over_logs = log_rules::load(settings);
    findings.extend(over_logs.findings);
    let rules = loaded.files.into_iter().chain(over_logs.files).collect();
    Pieces { prometheus, alertmanager: inside.config, logs: logs.config, loki: loki.config, looks, dashboards, rules, findings }
}

/// The same as one; nothing when a finding is an error.
pub(crate) fn read_all(settings: &Settings, environment: &Environment) -> (Option<Configured>, Vec<Finding>) {
    let Pieces { prometheus, alertmanager, logs, loki, looks, dashboards, rules, mut findings } = read_pieces(settings, environment);
    let failed = findings.iter().any(|f| f.severity == Severity::Error);
    let (Some(mut prometheus), Some(alertmanager), Some(mut logs), Some(loki), Some(looks), false) = (prometheus, alertmanager, logs, loki, looks, failed)
    else {
        return (None, findings);
    };
    add_jobs(&mut prometheus, &mut logs, settings, &mut findings);
    let refused = add_probes(&mut prometheus, settings);
    if !refused.is_empty() {
        findings.extend(refused);
        return (None, findings);
    }
    findings.extend(crowded_probes(&looks, settings));
    let dashboards = (dashboards, settings.packs.clone());
    let cameras = super::cameras::Named::of(settings);
    (Some(Configured { alertmanager: Arc::new(alertmanager), prometheus, rules, logs, loki, looks, cameras, dashboards }), findings)
}

/// Adds scrape jobs that another configuration brought along.
fn add_jobs(prometheus: &mut PrometheusConfig, logs: &mut Collected, settings: &Settings, findings: &mut Vec<Finding>) {
    for job in logs.jobs.drain(..) {
        if prometheus.jobs.iter().any(|known| known.name == job.name) {
            let message = format!("the scrape job {:?} of config.alloy stands in prometheus.yml, too, which counts", job.name);
            findings.push(Finding { severity: Severity::Warning, file: settings.file.display().to_string().into(), line: 0, column: 0, message });
        } else {
            prometheus.jobs.push(job);
        }
    }
}

/// Entries of our own `probes:` whose targets have more series than a job may.
fn crowded_probes(looks: &Looks, settings: &Settings) -> Vec<Finding> {
    let (_, limit) = super::bounds::series(settings);
    let crowded = settings.probes.iter().filter_map(|entry| {
        let each = looks.series_of(&entry.module)?;
        let (targets, all) = (entry.targets.len(), entry.targets.len() * each);
        let message = format!(
            "probes: the {targets} targets of {:?} have up to {each} series each, together more than the {limit} of one job: \
             set storage.series_max to {} or more, or make several entries of it; else series are refused, but for probe_success and the like",
            entry.name,
            2 * all
        );
        (all > limit).then(|| Finding { severity: Severity::Warning, file: settings.file.display().to_string().into(), line: 0, column: 0, message })
    });
    crowded.collect()
}

/// Adds the jobs of our own `probes:`; what cannot be one is an error.
fn add_probes(prometheus: &mut PrometheusConfig, settings: &Settings) -> Vec<Finding> {
    let file: Arc<str> = settings.file.display().to_string().into();
    let mut refused = Vec::new();
    for entry in &settings.probes {
        let taken = prometheus.jobs.iter().any(|known| known.name == entry.name);
        let message = match entry.job() {
            _ if taken => format!("probes: the name {:?} is that of a scrape job", entry.name),
            Err(reason) => format!("probes: {:?} cannot be carried out: {reason}", entry.name),
            Ok(job) => {
                prometheus.jobs.push(job);
                continue;
            }
        };
        refused.push(Finding { severity: Severity::Error, file: file.clone(), line: 0, column: 0, message });
    }
    refused
}

/// Reads one file.
pub(crate) fn read_file(path: &Path, monitoring_dir: Option<&Path>, environment: &Environment) -> Parsed {
    let name = path.display().to_string();
    match crate::text_file::read(path) {
        Ok(text) => parse(&name, &text, &outside(path, monitoring_dir, &|name| environment.get(name).map(str::to_owned))),
        Err(finding) => Parsed { config: None, findings: vec![*finding] },
    }
}

/// Reads a document.
pub(crate) fn read_node(name: &str, node: &Node, path: &Path, monitoring_dir: Option<&Path>, environment: &Environment) -> Parsed {
    parse_node(name, node, &outside(path, monitoring_dir, &|name| environment.get(name).map(str::to_owned)))
}

fn outside<'a>(path: &Path, monitoring_dir: Option<&Path>, environment: &'a dyn Fn(&str) -> Option<String>) -> Outside<'a> {
    Outside { environment, lookup: Lookup::beside(path, monitoring_dir) }
}

/// Who does what the configuration says.
pub(crate) struct CarriedOutBy {
    pub(crate) manager: Arc<Manager>,
    pub(crate) protocols: Arc<Protocols>,
    pub(crate) forwarder: Arc<Forwarder>,
    pub(crate) remote: Arc<RemoteSource>,
    pub(crate) supervisor: Supervisor,
    pub(crate) alerting: Arc<Alerting>,
    pub(crate) alertmanager: Arc<watchfire_alert::manager::Manager>,
    pub(crate) logs: Arc<Collector>,
    pub(crate) sending: Arc<super::logs::Sending>,
    pub(crate) loki: super::loki::LogRoom,
    pub(crate) answering: Arc<Answering>,
    pub(crate) cameras: super::cameras::Watching,
    pub(crate) dashboards: Arc<Dashboards>,
}
impl CarriedOutBy {
    fn apply(&self, configured: &Configured) {
        let config = &configured.prometheus;
        self.answering.apply(&configured.looks);
        self.manager.apply(config);
        self.cameras.apply(&configured.cameras);
        self.protocols.apply(config);
        self.remote.apply(&config.remote_read, &config.global.external_labels);
        if let Err(error) = self.forwarder.apply(&config.remote_write, &config.global.external_labels) {
            tracing::error!(%error, "remote_write is not carried out; the next reload tries again");
        }
        self.alertmanager.apply(configured.alertmanager.clone());
        self.alerting.apply(config, &configured.rules);
        self.loki.apply(&configured.loki);
        // First who sends lines on, so that none is collected before.
        self.sending.apply(&configured.logs);
        self.logs.apply(configured.logs.clone());
        let (plan, packs) = &configured.dashboards;
        self.dashboards.apply(plan, packs);
    }
}

/// What runs, and how to change it.
pub(crate) struct Reloader {
    /// The settings of the start, which a reload does not change, section by section.
    started_with: Vec<(&'static str, String)>,
    flags: Flags,
    environment: Environment,
    carried_out_by: CarriedOutBy,
    clock: SharedClock,
    successful: Gauge,
    at: Gauge,
    current: Mutex<Current>,
    /// What else is read again, such as certificates. A failure is the reload's.
    also: Mutex<Vec<Box<Again>>>,
    /// Held while a reload runs.
    turn: Mutex<()>,
}

/// Reads something again; an error leaves what was read before in use.
type Again = dyn Fn() -> Result<(), String> + Send + Sync;

/// The configuration that runs.
struct Current {
    prometheus: PrometheusConfig,
    loaded: Timestamp,
    last_went_well: bool,
}

impl Reloader {
    /// Starts the jobs of the first configuration.
    pub(crate) fn start(
        flags: Flags,
        environment: Environment,
        carried_out_by: CarriedOutBy,
        clock: SharedClock,
        meter: &watchfire_model::meter::Meter,
        configured: Configured,
    ) -> Reloader {
        let successful = meter.gauge("watchfire_config_last_reload_successful", "Whether the last attempt to load the configuration went well.", &[]);
        let at = meter.gauge("watchfire_config_last_reload_success_timestamp_seconds", "When the configuration was last loaded.", &[]);
        carried_out_by.apply(&configured);
        let loaded = clock.now();
        successful.set(1.0);
        at.set(loaded.secs_f64());
        let current = Mutex::new(Current { prometheus: configured.prometheus, loaded, last_went_well: true });
        let started_with = settings::load(&flags, &environment).map(|l| l.settings.sections()).unwrap_or_default();
        Reloader { started_with, flags, environment, carried_out_by, clock, successful, at, current, also: Mutex::default(), turn: Mutex::default() }
    }

    /// Reads something else again with every reload, before anything is changed.
    pub(crate) fn also(&self, again: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        self.also.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(again));
    }

    /// Loads everything anew. What the running process cannot change (addresses, directories, limits) keeps its value.
    pub(crate) fn reload(&self) -> Result<(), String> {
        // One after another: of two at once, the earlier one must not have the last word.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = self.try_reload();
        if let Ok((configured, services)) = &outcome {
            self.carried_out_by.apply(configured);
            if let Err(error) = self.carried_out_by.supervisor.apply(services) {
                tracing::error!(%error, "services are not all supervised as configured; the next reload tries again");
            }
        }
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.last_went_well = outcome.is_ok();
        self.successful.set(f64::from(u8::from(outcome.is_ok())));
        match outcome {
            Ok((configured, _)) => {
                current.prometheus = configured.prometheus;
                current.loaded = self.clock.now();
                self.at.set(current.loaded.secs_f64());
                tracing::info!("configuration loaded anew");
                Ok(())
            }
            Err(findings) => {
                let text = findings.iter().filter(|f| f.severity == Severity::Error).map(ToString::to_string).collect::<Vec<_>>().join("\n");
                tracing::error!(errors = %text, "configuration not loaded; the one before runs on");
                Err(text)
            }
        }
    }

    fn try_reload(&self) -> Result<(Configured, supervision::Settings), Vec<Finding>> {
        let loaded = settings::load(&self.flags, &self.environment)?;
        let (configured, findings) = read_all(&loaded.settings, &self.environment);
        for section in changed_sections(&self.started_with, &loaded.settings.sections()) {
            tracing::warn!(section, "changed in the file; takes effect at the next start");
        }
        for finding in loaded.findings.iter().chain(&findings).filter(|f| f.severity == Severity::Warning) {
            tracing::warn!("{finding}");
        }
        let configured = configured.ok_or(findings)?;
        let file: std::sync::Arc<str> = loaded.settings.file.display().to_string().into();
        let refused = |message| Finding { severity: Severity::Error, file: file.clone(), line: 0, column: 0, message };
        let failures: Vec<Finding> = self.also.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(|again| again().err().map(refused)).collect();
        if failures.is_empty() { Ok((configured, loaded.settings.services)) } else { Err(failures) }
    }

    /// The effective Prometheus configuration with secrets replaced.
    pub(crate) fn rendered(&self) -> String {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).prometheus.rendered.clone()
    }

    /// Labels that federation adds.
    pub(crate) fn external_labels(&self) -> watchfire_model::labels::Labels {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).prometheus.global.external_labels.clone()
    }

    /// When the running configuration was loaded, and whether the last attempt went well.
    pub(crate) fn last(&self) -> (Timestamp, bool) {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        (current.loaded, current.last_went_well)
    }
}

/// The names of sections that differ from those of the start.
fn changed_sections(before: &[(&'static str, String)], now: &[(&'static str, String)]) -> Vec<&'static str> {
    before.iter().zip(now).filter(|(before, now)| before != now).map(|(before, _)| before.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r62_what_a_reload_cannot_change_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let sections = |text: &str| {
            let path = dir.path().join("w.yml");
            std::fs::write(&path, text).unwrap();
            settings::load(&Flags { config: Some(path), ..Flags::default() }, &Environment::default()).ok().unwrap().settings.sections()
        };
        let before = sections("query: {parallel: 2}\n");
        assert!(changed_sections(&before, &sections("query: {parallel: 2}\nprometheus: {global: {}}\n")).is_empty());
        let slos = "slos: [{name: a, objective: 99, ratio: 'avg_over_time(up[$window])'}]";
        assert!(changed_sections(&before, &sections(&format!("query: {{parallel: 2}}\npacks: [hsi]\n{slos}\n"))).is_empty());
        assert_eq!(changed_sections(&before, &sections("query: {parallel: 3}\ngpu: {http_timeout: 1}\n")), ["query", "gpu"]);
    }

    #[test]
    fn probes_that_have_more_series_than_a_job_may_are_said_when_they_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let said = |targets: usize, more: &str| {
            let path = dir.path().join("w.yml");
            let targets: Vec<String> = (0..targets).map(|n| format!("'http://10.0.0.1/{n}'")).collect();
            std::fs::write(&path, format!("probes: [{{module: http_2xx, targets: [{}]}}]\n{more}", targets.join(","))).unwrap();
            let settings = settings::load(&Flags { config: Some(path), ..Flags::default() }, &Environment::default()).ok().unwrap().settings;
            let looks = super::super::exporters::read(&settings).0.unwrap();
            crowded_probes(&looks, &settings).iter().map(|finding| finding.message.clone()).collect::<Vec<_>>()
        };
        assert_eq!(said(1_000, ""), [""; 0]);
        let messages = said(2_000, "");
        assert!(messages.len() == 1 && messages[0].contains("the 2000 targets of \"probe-http_2xx\" have up to 28 series each"), "{messages:?}");
        assert!(messages[0].contains("set storage.series_max to 112000"), "{messages:?}");
        assert_eq!(said(2_000, "storage: {series_max: 112000}\n"), [""; 0]);
        assert_eq!(said(2_000, "storage: {source_series_max: 56000}\n"), [""; 0]);
    }
}
