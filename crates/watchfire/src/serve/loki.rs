//! What a `loki.yml` says, carried out: how long lines are kept, what may come in, what may be asked. All of it changes with a reload.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use watchfire_ingest::gate::{Gate, LogLimits, Rate};
use watchfire_ingest::loki::Loki;
use watchfire_ingest::loki::config::{self, FUTURE_MAX, LINE_BYTES_MAX, LokiConfig, Parsed};
use watchfire_model::document::{Finding, Severity};
use watchfire_store::{LogOptions, LogRetention, Store};

use crate::settings::{ForeignFile, Settings, StorageSettings};

/// Reads the configuration that the settings name; an empty one when they name none.
pub(crate) fn read(settings: &Settings) -> Parsed {
    let mut parsed = match settings.foreign_of("loki").map(|f| &f.source) {
        Some(ForeignFile::Path(path)) => read_file(path),
        Some(ForeignFile::Content(node)) => config::parse_node(&settings.file.display().to_string(), node),
        None => Parsed { config: Some(LokiConfig::default()), findings: Vec::new() },
    };
    let overruled = |config: &&LokiConfig| config.retention.is_some_and(|keep| keep != settings.storage.logs_kept(config.retention));
    if let Some(config) = parsed.config.as_ref().filter(overruled) {
        let said = config.retention.flatten().map_or_else(|| "unlimited".to_owned(), shown);
        let message = format!("storage.retention.logs counts, and not the {said} of loki.yml");
        parsed.findings.push(Finding { severity: Severity::Warning, file: settings.file.display().to_string().into(), line: 0, column: 0, message });
    }
    parsed
}

fn read_file(path: &Path) -> Parsed {
    let name = path.display().to_string();
    match crate::text_file::read(path) {
        Ok(text) => config::parse(&name, &text),
        Err(finding) => Parsed { config: None, findings: vec![*finding] },
    }
}

fn shown(duration: Duration) -> String {
    watchfire_model::duration::format_millis(duration.as_millis() as u64)
}

/// How the store keeps log entries.
pub(super) fn policy(storage: &StorageSettings, config: &LokiConfig) -> LogOptions {
    let default = LogOptions::default();
    let limits = &config.limits;
    LogOptions {
        retention: storage.logs_kept(config.retention),
        rules: config.streams.iter().map(|rule| LogRetention { matchers: rule.matchers.clone(), keep: rule.keep }).collect(),
        labels_max: limits.labels.unwrap_or(default.labels_max),
        name_bytes_max: limits.name_bytes.unwrap_or(default.name_bytes_max),
        label_value_bytes_max: limits.value_bytes.unwrap_or(default.label_value_bytes_max),
        metadata_bytes_max: limits.metadata.1.unwrap_or(default.metadata_bytes_max),
        ..default
    }
}

/// What the gate takes of log entries.
pub(super) fn limits(policy: &LogOptions, config: &LokiConfig) -> LogLimits {
    let default = LogLimits::default();
    let limits = &config.limits;
    let rate = |rate: Option<(f64, f64)>| rate.map(|(per_second, burst)| Rate { per_second, burst });
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    // Where rules keep some streams for another time, the store knows which; the longest counts here.
    let kept = policy.rules.iter().map(|rule| rule.keep).chain([policy.retention]).reduce(|a, b| Some(a?.max(b?))).flatten();
    LogLimits {
        future_ms_max: limits.future.map_or(default.future_ms_max, |future| millis(future.min(FUTURE_MAX))),
        age_ms_max: kept.into_iter().chain(limits.age).min().map(millis),
        line_bytes_max: limits.line_bytes.map_or(default.line_bytes_max, |most| most.min(LINE_BYTES_MAX as usize)),
        truncate_lines: limits.truncate.unwrap_or(default.truncate_lines),
        labels_max: limits.labels.map_or(default.labels_max, |labels| labels.max(default.labels_max)),
        name_bytes_max: policy.name_bytes_max,
        value_bytes_max: policy.label_value_bytes_max,
        metadata_max: limits.metadata.0.unwrap_or(default.metadata_max),
        metadata_bytes_max: policy.metadata_bytes_max,
        allow_metadata: limits.allow_metadata.unwrap_or(default.allow_metadata),
        // Where senders may bring no structured metadata, Loki keeps none.
        detect_levels: limits.detect_levels.unwrap_or(default.detect_levels) && limits.allow_metadata.unwrap_or(true),
        streams_per_origin_max: limits.streams.unwrap_or(default.streams_per_origin_max),
        rate: rate(limits.rate),
        stream_rate: rate(limits.stream_rate),
        moved_labels: policy.moved_labels.clone(),
    }
}

/// Who carries it out.
pub(crate) struct LogRoom {
    pub(super) store: Arc<Store>,
    pub(super) gate: Arc<Gate>,
    pub(super) loki: Arc<Loki>,
    pub(super) storage: StorageSettings,
}
impl LogRoom {
    /// Takes another configuration over.
    pub(super) fn apply(&self, config: &LokiConfig) {
        let policy = policy(&self.storage, config);
        self.gate.set_log_limits(limits(&policy, config));
        self.store.set_log_policy(&policy);
        self.loki.set_queries(config.queries.clone());
    }
}
