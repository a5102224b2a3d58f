//! The `global` section and the settings that a job shares with it: limits, protocols, validation of names.

use watchfire_model::document::{Node, Reader, nearest};
use watchfire_model::labels::{Labels, is_classic_label_name};

use super::Outside;
use super::histograms::{self, Histograms};

/// The interval when nobody sets one.
const INTERVAL_MS_DEFAULT: u64 = 60_000;
/// The timeout when nobody sets one.
const TIMEOUT_MS_DEFAULT: u64 = 10_000;
/// The largest body when nobody sets a limit. Prometheus has none; an endless answer must not take the machine down.
const BODY_BYTES_MAX_DEFAULT: u64 = 32 << 20;

/// The global settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Global {
    /// How often to scrape, in milliseconds.
    pub scrape_interval_ms: u64,
    /// How long a scrape may take, in milliseconds.
    pub scrape_timeout_ms: u64,
    /// How often to evaluate rules, in milliseconds.
    pub evaluation_interval_ms: u64,
    /// How far rules look behind, in milliseconds.
    pub rule_query_offset_ms: u64,
    /// Labels for everything that leaves this machine (alerts, federation, remote write).
    pub external_labels: Labels,
    /// Limits that jobs inherit.
    pub limits: Limits,
    /// The formats to ask for, the most wanted first; `None` when the file does not say.
    pub protocols: Option<Vec<Protocol>>,
    /// Which names are valid.
    pub validation: NameValidation,
    /// The escaping of names to ask for; `None` when the file does not say.
    pub escaping: Option<&'static str>,
    /// Whether three more series per target are written.
    pub extra_scrape_metrics: bool,
    /// What is wanted of histograms.
    pub histograms: Histograms,
}

/// Limits of a scrape; zero is "none" as in Prometheus (except for the body, which has our own default then).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body after decompression.
    pub body_bytes: u64,
    /// Samples after relabelling.
    pub samples: u64,
    /// Targets after relabelling.
    pub targets: u64,
    /// Labels of one series.
    pub labels: u64,
    /// Bytes of a label name.
    pub label_name_bytes: u64,
    /// Bytes of a label value.
    pub label_value_bytes: u64,
    /// Dropped targets that are remembered for the list of targets.
    pub dropped_targets: u64,
}
impl Limits {
    /// The number of bytes at which a body is cut off.
    pub fn body_bytes_or_default(&self) -> u64 {
        if self.body_bytes == 0 { BODY_BYTES_MAX_DEFAULT } else { self.body_bytes }
    }
    fn or(self, other: Limits) -> Limits {
        let pick = |own: u64, other: u64| if own == 0 { other } else { own };
        Limits {
            body_bytes: pick(self.body_bytes, other.body_bytes),
            samples: pick(self.samples, other.samples),
            targets: pick(self.targets, other.targets),
            labels: pick(self.labels, other.labels),
            label_name_bytes: pick(self.label_name_bytes, other.label_name_bytes),
            label_value_bytes: pick(self.label_value_bytes, other.label_value_bytes),
            dropped_targets: pick(self.dropped_targets, other.dropped_targets),
        }
    }
}

/// A format that a target may answer in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Delimited protocol buffers.
    PrometheusProto,
    /// OpenMetrics 1.0.0.
    OpenMetrics100,
    /// OpenMetrics 0.0.1.
    OpenMetrics001,
    /// The text format with quoted names.
    Text100,
    /// The classic text format.
    Text004,
}
impl Protocol {
    /// What is asked for when the file does not say, the most wanted first.
    pub const DEFAULT: [Protocol; 4] = [Protocol::OpenMetrics100, Protocol::OpenMetrics001, Protocol::Text100, Protocol::Text004];
    /// The same where something is wanted that only protocol buffers carry.
    pub const DEFAULT_PROTO_FIRST: [Protocol; 5] =
        [Protocol::PrometheusProto, Protocol::OpenMetrics100, Protocol::OpenMetrics001, Protocol::Text100, Protocol::Text004];
    const NAMES: [(&'static str, Protocol); 5] = [
        ("PrometheusProto", Protocol::PrometheusProto),
        ("OpenMetricsText1.0.0", Protocol::OpenMetrics100),
        ("OpenMetricsText0.0.1", Protocol::OpenMetrics001),
        ("PrometheusText1.0.0", Protocol::Text100),
        ("PrometheusText0.0.4", Protocol::Text004),
    ];
    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, p)| *p == self).map_or("", |(name, _)| name)
    }
    fn from_name(name: &str) -> Option<Protocol> {
        Self::NAMES.iter().find(|(n, _)| *n == name).map(|(_, p)| *p)
    }
}

/// Which metric and label names are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameValidation {
    /// Any text.
    #[default]
    Utf8,
    /// The classic characters only.
    Legacy,
}
impl NameValidation {
    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            NameValidation::Utf8 => "utf8",
            NameValidation::Legacy => "legacy",
        }
    }
    /// Whether a label may be called so.
    pub fn accepts_label(self, name: &str) -> bool {
        match self {
            NameValidation::Utf8 => !name.is_empty(),
            NameValidation::Legacy => is_classic_label_name(name),
        }
    }
}

/// Reads the section; a missing one reads like an empty one.
pub(super) fn read(root: &Reader<'_>, outside: &Outside<'_>) -> Global {
    let empty = Node { value: watchfire_model::document::Value::Null, line: 1, column: 1 };
    let context = root.context();
    let node = root.raw("global");
    // An absent section has no place of its own; nothing is ever found in it.
    let reader = Reader::new(context, node.unwrap_or(&empty), "global");
    let (scrape_interval_ms, scrape_timeout_ms) = read_times(&reader, INTERVAL_MS_DEFAULT, TIMEOUT_MS_DEFAULT);
    let validation = read_validation(&reader).unwrap_or_default();
    let global = Global {
        scrape_interval_ms,
        scrape_timeout_ms,
        evaluation_interval_ms: reader.duration_ms("evaluation_interval").filter(|ms| *ms > 0).unwrap_or(INTERVAL_MS_DEFAULT),
        rule_query_offset_ms: reader.duration_ms("rule_query_offset").unwrap_or(0),
        external_labels: read_external_labels(&reader, validation, outside),
        limits: read_limits(&reader),
        protocols: read_protocols(&reader),
        validation,
        escaping: read_escaping(&reader),
        extra_scrape_metrics: reader.bool("extra_scrape_metrics").unwrap_or(false),
        histograms: histograms::read_switches(&reader, Histograms::default()),
    };
    warn_not_carried_out(&reader, &["query_log_file", "scrape_failure_log_file"]);
    reader.finish();
    global
}

/// Interval and timeout; zero or nothing means the inherited value, and the timeout never exceeds the interval.
pub(super) fn read_times(reader: &Reader<'_>, interval_ms: u64, timeout_ms: u64) -> (u64, u64) {
    let interval = reader.duration_ms("scrape_interval").filter(|ms| *ms > 0).unwrap_or(interval_ms);
    let timeout = reader.duration_ms("scrape_timeout").filter(|ms| *ms > 0);
    if timeout.is_some_and(|t| t > interval) {
        reader.error_at("scrape_timeout", "the timeout must not be greater than the scrape interval");
    }
    (interval, timeout.unwrap_or(timeout_ms.min(interval)))
}

pub(super) fn read_limits(reader: &Reader<'_>) -> Limits {
    let count = |key| reader.u64(key).unwrap_or(0);
    Limits {
        body_bytes: reader.bytes("body_size_limit").unwrap_or(0),
        samples: count("sample_limit"),
        targets: count("target_limit"),
        labels: count("label_limit"),
        label_name_bytes: count("label_name_length_limit"),
        label_value_bytes: count("label_value_length_limit"),
        dropped_targets: count("keep_dropped_targets"),
    }
}

/// The limits of a job over those of the global section.
pub(super) fn read_job_limits(reader: &Reader<'_>, global: &Global) -> Limits {
    read_limits(reader).or(global.limits)
}

pub(super) fn read_protocols(reader: &Reader<'_>) -> Option<Vec<Protocol>> {
    reader.raw("scrape_protocols")?;
    let mut found: Vec<Protocol> = Vec::new();
    for (node, name) in reader.list("scrape_protocols").iter().zip(reader.texts("scrape_protocols", false)) {
        match Protocol::from_name(&name) {
            Some(protocol) if found.contains(&protocol) => {
                reader.context().error(node.line, node.column, format!("scrape_protocols: {name:?} stands here twice"));
            }
            Some(protocol) => found.push(protocol),
            None => {
                let near = nearest(&name, Protocol::NAMES.iter().map(|(n, _)| *n)).map(|n| format!("; did you mean {n:?}?")).unwrap_or_default();
                reader.context().error(node.line, node.column, format!("scrape_protocols: {name:?} is not a protocol{near}"));
            }
        }
    }
    if found.is_empty() && reader.list("scrape_protocols").is_empty() {
        reader.error_at("scrape_protocols", "must not be empty");
    }
    // What is wrong in the list is said already.
    Some(if found.is_empty() { Protocol::DEFAULT.to_vec() } else { found })
}

pub(super) fn read_fallback(reader: &Reader<'_>) -> Option<Protocol> {
    let names = Protocol::NAMES.map(|(name, _)| name);
    Protocol::from_name(reader.word("fallback_scrape_protocol", &names)?)
}

pub(super) fn read_validation(reader: &Reader<'_>) -> Option<NameValidation> {
    match reader.word("metric_name_validation_scheme", &["utf8", "legacy", ""])? {
        "legacy" => Some(NameValidation::Legacy),
        "utf8" => Some(NameValidation::Utf8),
        _ => None,
    }
}

pub(super) fn read_escaping(reader: &Reader<'_>) -> Option<&'static str> {
    reader.word("metric_name_escaping_scheme", &["allow-utf-8", "underscores", "dots", "values", ""]).filter(|w| !w.is_empty())
}

/// Says of keys that Prometheus knows that nothing happens with them here.
pub(super) fn warn_not_carried_out(reader: &Reader<'_>, keys: &[&'static str]) {
    for key in keys {
        if reader.text(key).is_some_and(|t| !t.is_empty()) {
            reader.warning_at(key, "is read but not carried out here");
        }
    }
}

fn read_external_labels(reader: &Reader<'_>, validation: NameValidation, outside: &Outside<'_>) -> Labels {
    let mut labels = Vec::new();
    for (name, value) in reader.text_map("external_labels") {
        if !validation.accepts_label(&name) {
            reader.error_at("external_labels", format!("{name:?} is not a valid label name"));
        }
        let expanded = expand(&value, &mut |variable| {
            let found = (outside.environment)(variable).filter(|v| !v.is_empty());
            if found.is_none() {
                reader.warning_at("external_labels", format!("the environment variable {variable:?} in {name} is empty or not set"));
            }
            found.unwrap_or_default()
        });
        labels.push((name, expanded));
    }
    Labels::from_pairs(labels)
}

/// Replaces `$NAME` and `${NAME}` as Go's `os.Expand` does; `$$` is a dollar sign.
fn expand(text: &str, lookup: &mut dyn FnMut(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some((name, tail)) = after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            out.push_str(&if name == "$" { "$".to_owned() } else { lookup(name) });
            rest = tail;
        } else {
            let end = after.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(after.len());
            let (name, tail) = after.split_at(end);
            match name {
                "" => out.push('$'),
                name => out.push_str(&lookup(name)),
            }
            rest = tail;
        }
    }
    out + rest
}
