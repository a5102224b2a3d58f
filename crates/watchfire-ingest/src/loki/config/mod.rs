//! `loki.yml`: how long lines are kept, what a push and a query may have. Rules are read by whoever evaluates them. What says how Loki stores, shares out and finds
//! its data is not needed here, which is said. A key that Loki does not know is an error with its place.

mod keys;
#[cfg(test)]
mod tests;

use std::time::Duration;

use watchfire_model::document::{Context, Finding, Node, Reader, Severity, Value, parse_yaml};
use watchfire_model::matcher::Matcher;
use watchfire_model::order::Order as _;

use super::selector::matchers;

/// The most rules of retention.
const STREAMS_MAX: usize = 1_000;
/// Loki itself keeps nothing for less than this.
const SHORTEST: Duration = Duration::from_secs(86_400);
/// No entry may be further ahead of our clock, whatever a file says: with a wrong clock, retention would go wrong.
pub const FUTURE_MAX: Duration = Duration::from_secs(600);
/// No line may be longer.
pub const LINE_BYTES_MAX: u64 = 256 << 10;

/// What a file says. What it does not say is left as it is.
#[derive(Clone, Debug, Default)]
pub struct LokiConfig {
    /// How long lines are kept; within, `None` is for ever.
    pub retention: Option<Option<Duration>>,
    /// How long lines of some streams are kept; the first one that is about a stream counts.
    pub streams: Vec<StreamRetention>,
    /// What may come in.
    pub limits: IngestLimits,
    /// What may be asked.
    pub queries: QueryLimits,
}

/// How long lines of some streams are kept.
#[derive(Clone, Debug)]
pub struct StreamRetention {
    /// The streams: all must hold.
    pub matchers: Vec<Matcher>,
    /// How long; `None` is for ever.
    pub keep: Option<Duration>,
}

/// Limits of what comes in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IngestLimits {
    /// Bytes a second of all senders together, and how many at once.
    pub rate: Option<(f64, f64)>,
    /// Bytes a second of one stream, and how many at once.
    pub stream_rate: Option<(f64, f64)>,
    /// Streams of one sender.
    pub streams: Option<usize>,
    /// The longest line, in bytes.
    pub line_bytes: Option<usize>,
    /// Whether longer ones lose their end instead of being refused.
    pub truncate: Option<bool>,
    /// Labels of a stream.
    pub labels: Option<usize>,
    /// The longest name of a label, in bytes.
    pub name_bytes: Option<usize>,
    /// The longest value of a label, in bytes.
    pub value_bytes: Option<usize>,
    /// Names of structured metadata of an entry, and their bytes.
    pub metadata: (Option<usize>, Option<usize>),
    /// Whether entries may have structured metadata of their own.
    pub allow_metadata: Option<bool>,
    /// Whether levels of lines are noted.
    pub detect_levels: Option<bool>,
    /// How old an entry may be.
    pub age: Option<Duration>,
    /// How far ahead of our clock it may be.
    pub future: Option<Duration>,
}

/// Limits of what is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryLimits {
    /// The most lines of one answer.
    pub entries: Option<usize>,
    /// The longest range of one query.
    pub length: Option<Duration>,
    /// How far back queries reach.
    pub lookback: Option<Duration>,
    /// The most series of one answer.
    pub series: Option<usize>,
}

/// What came of reading.
pub struct Parsed {
    /// The configuration; `None` when a finding is an error.
    pub config: Option<LokiConfig>,
    /// Errors and warnings in the order of the file.
    pub findings: Vec<Finding>,
}

/// Reads a configuration from its text.
pub fn parse(file: &str, text: &str) -> Parsed {
    match parse_yaml(file, text) {
        Ok(root) => parse_node(file, &root),
        Err(finding) => Parsed { config: None, findings: vec![*finding] },
    }
}

/// Reads a configuration from a document that is already a tree.
pub fn parse_node(file: &str, root: &Node) -> Parsed {
    let context = Context::new(file);
    let config = read(&context, root);
    let findings = context.into_findings();
    let failed = findings.iter().any(|finding| finding.severity == Severity::Error);
    Parsed { config: (!failed).then_some(config), findings }
}

fn read(context: &Context, root: &Node) -> LokiConfig {
    let root = Reader::new(context, root, "");
    let mut config = LokiConfig::default();
    if root.bool("auth_enabled") == Some(true) {
        root.warning_at("auth_enabled", "there are no tenants here: X-Scope-OrgID is taken and not looked at; who may do what is set by auth in watchfire.yml");
    }
    if let Some(server) = root.map("server") {
        // What else is set there is about Loki's own process.
        if server.u64("http_listen_port").is_some_and(|port| port != 3100) {
            server.warning_at("http_listen_port", "is not opened; Loki's interface is below /loki on our own port, and on 3100 with --drop-in");
        }
    }
    for (section, message) in keys::NOT_NEEDED {
        if root.raw(section).is_some() && !message.is_empty() {
            root.warning_at(section, *message);
        }
    }
    read_common(&root);
    if let Some(node) = root.raw("limits_config") {
        let node = without_families(node);
        read_limits(Reader::new(context, &node, "limits_config"), &mut config);
    }
    read_tables(&root, &mut config);
    root.finish();
    config
}

/// What all parts share: where their data lie and how they find each other.
fn read_common(root: &Reader<'_>) {
    if let Some(common) = root.map("common") {
        common.allow(&keys::COMMON);
        if let Some((place, _)) = common.raw("storage").and_then(|storage| storage.entries()?.iter().find(|(place, _)| &*place.text != "filesystem")) {
            let message = format!("common.storage.{}: is not needed: our own store keeps lines in the data directory", place.text);
            root.context().warning(place.line, place.column, message);
        }
        common.finish();
    }
}

/// Retention as older versions had it.
fn read_tables(root: &Reader<'_>, config: &mut LokiConfig) {
    let Some(tables) = root.map("table_manager") else { return };
    let deletes = tables.bool("retention_deletes_enabled").unwrap_or(false);
    let period = tables.duration_ms("retention_period").map(Duration::from_millis);
    if deletes && config.retention.is_none() {
        config.retention = period.map(for_ever);
    }
}

fn for_ever(period: Duration) -> Option<Duration> {
    (!period.is_zero()).then_some(period)
}

fn read_limits(limits: Reader<'_>, config: &mut LokiConfig) {
    let count = |key: &'static str| limits.u64(key).filter(|n| *n > 0).map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    let bytes = |key: &'static str| limits.bytes(key).filter(|n| *n > 0).map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    let duration = |key: &'static str| limits.duration_ms(key).map(Duration::from_millis);
    if let Some(period) = duration("retention_period") {
        short(&limits, "retention_period", period);
        config.retention = Some(for_ever(period));
    }
    config.streams = read_streams(&limits);
    let megabytes = |key: &'static str| limits.f64(key).map(|mb| mb * f64::from(1 << 20));
    let (rate, burst) = (megabytes("ingestion_rate_mb"), megabytes("ingestion_burst_size_mb"));
    for (key, value) in [("ingestion_rate_mb", rate), ("ingestion_burst_size_mb", burst)] {
        if value.is_some_and(|value| value.is_nan() || value <= 0.0) {
            limits.error_at(key, "must be above 0");
        }
    }
    config.limits = IngestLimits {
        rate: rate.map(|rate| (rate, burst.unwrap_or(rate.max(f64::from(6 << 20))))),
        stream_rate: limits.bytes("per_stream_rate_limit").filter(|n| *n > 0).map(|rate| {
            let burst = limits.bytes("per_stream_rate_limit_burst").unwrap_or(15 << 20);
            (rate as f64, burst.max(1) as f64)
        }),
        streams: match (count("max_streams_per_user"), count("max_global_streams_per_user")) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        },
        line_bytes: bytes("max_line_size"),
        truncate: limits.bool("max_line_size_truncate"),
        labels: count("max_label_names_per_series"),
        name_bytes: count("max_label_name_length"),
        value_bytes: count("max_label_value_length"),
        metadata: (count("max_structured_metadata_entries_count"), bytes("max_structured_metadata_size")),
        allow_metadata: limits.bool("allow_structured_metadata"),
        detect_levels: limits.bool("discover_log_levels"),
        age: read_age(&limits),
        future: duration("creation_grace_period"),
    };
    limits.allow(&["per_stream_rate_limit_burst"]);
    if burst.is_some() && rate.is_none() {
        limits.warning_at("ingestion_burst_size_mb", "has no effect without ingestion_rate_mb");
    }
    if config.limits.line_bytes.is_some_and(|n| n as u64 > LINE_BYTES_MAX) {
        limits.warning_at("max_line_size", format!("no line may have more than {LINE_BYTES_MAX} bytes here"));
    }
    if config.limits.future.is_some_and(|future| future > FUTURE_MAX) {
        limits.warning_at("creation_grace_period", "no entry may be more than ten minutes ahead of our clock");
    }
    config.queries = QueryLimits {
        entries: count("max_entries_limit_per_query"),
        length: duration("max_query_length").filter(|length| !length.is_zero()),
        lookback: duration("max_query_lookback").filter(|lookback| !lookback.is_zero()),
        series: count("max_query_series"),
    };
    for key in keys::WITHOUT_EFFECT {
        if limits.raw(key).is_some() {
            limits.warning_at(key, "has no effect here");
        }
    }
    limits.allow(&keys::LIMITS);
    limits.finish();
}

/// The same limits without those of parts that are not here.
fn without_families(limits: &Node) -> Node {
    let mut limits = limits.clone();
    if let Value::Map(entries) = &mut limits.value {
        entries.retain(|(key, _)| !keys::FAMILIES.iter().any(|family| key.text.starts_with(family)));
    }
    limits
}

/// Old entries are refused unless that is switched off; where nothing is said of it, retention alone counts.
fn read_age(limits: &Reader<'_>) -> Option<Duration> {
    let refused = limits.bool("reject_old_samples");
    let age = limits.duration_ms("reject_old_samples_max_age").map(Duration::from_millis);
    match (refused, age) {
        (Some(false), _) | (None, None) => None,
        (Some(true), None) => Some(Duration::from_secs(7 * 86_400)),
        (_, Some(age)) => Some(age),
    }
}

fn short(reader: &Reader<'_>, key: &str, period: Duration) {
    if !period.is_zero() && period < SHORTEST {
        reader.warning_at(key, "Loki takes nothing shorter than 24h; here it counts as it is written");
    }
}

/// Rules about streams, the most important one first.
fn read_streams(limits: &Reader<'_>) -> Vec<StreamRetention> {
    let mut all: Vec<(i64, StreamRetention)> = Vec::new();
    let items = limits.maps("retention_stream");
    if items.len() > STREAMS_MAX {
        limits.error_at("retention_stream", format!("these are more than {STREAMS_MAX} rules"));
        return Vec::new();
    }
    for item in items {
        let selector = matchers(&item.required_text("selector")).map_err(|error| item.error_at("selector", error));
        let period = item.duration_ms("period").map(Duration::from_millis);
        if period.is_none() && !item.has("period") {
            let node = item.node();
            item.context().error(node.line, node.column, format!("{} is missing", item.path_of("period")));
        }
        if let Some(period) = period {
            short(&item, "period", period);
        }
        let priority = item.f64("priority").unwrap_or(0.0) as i64;
        item.finish();
        if let (Ok(matchers), Some(period)) = (selector, period) {
            all.push((priority, StreamRetention { matchers, keep: for_ever(period) }));
        }
    }
    // Of two with the same priority, the one with the shorter time counts, as in Loki.
    all.order_by_key(|(priority, rule)| (std::cmp::Reverse(*priority), rule.keep.unwrap_or(Duration::MAX)));
    all.into_iter().map(|(_, rule)| rule).collect()
}
