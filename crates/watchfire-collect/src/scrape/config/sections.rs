//! The sections beside `global` and `scrape_configs`: alerting, storage, and those that are checked for their shape and
//! carried out by nobody here yet (tracing, runtime).

use std::fmt;
use std::sync::Arc;

use watchfire_ingest::otlp;
use watchfire_ingest::relabel::RelabelConfig;
use watchfire_model::document::{Node, Reader, Value};
use watchfire_net::client::HttpOptions;

use super::global::NameValidation;
use super::http;
use super::job::{relabel_rules, warn_unsupported_discovery};
use crate::discovery::glob::Lookup;
use crate::discovery::{Discovery, MECHANISMS, Place};

/// Where alerts are sent and how they are relabelled.
#[derive(Clone, Debug, Default)]
pub struct Alerting {
    /// Rules for the labels of every alert.
    pub relabel: Vec<RelabelConfig>,
    /// The receivers.
    pub alertmanagers: Vec<Alertmanager>,
}

/// One group of Alertmanagers.
#[derive(Clone)]
pub struct Alertmanager {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// What stands before `/api/v2/alerts`.
    pub path_prefix: String,
    /// How long a request may take, in milliseconds.
    pub timeout_ms: u64,
    /// How they are found.
    pub discovery: Vec<Arc<dyn Discovery>>,
    /// Rules for what was found.
    pub relabel: Vec<RelabelConfig>,
    /// Rules for the labels of alerts for these.
    pub alert_relabel: Vec<RelabelConfig>,
    /// How requests are made.
    pub http: Arc<HttpOptions>,
}
impl fmt::Debug for Alertmanager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Alertmanager({}, {:?}, {} mechanisms)", self.scheme, self.path_prefix, self.discovery.len())
    }
}

/// What the file says about storage; `None` where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Storage {
    /// How long samples are kept, in milliseconds.
    pub retention_ms: Option<u64>,
    /// How many bytes they may take.
    pub retention_bytes: Option<u64>,
    /// How far out of order a sample may come, in milliseconds.
    pub out_of_order_window_ms: Option<u64>,
    /// How many exemplars are kept; zero keeps none.
    pub max_exemplars: Option<u64>,
}

/// Reads `alerting`.
pub(super) fn read_alerting(root: &Reader<'_>, lookup: &Lookup) -> Alerting {
    let Some(reader) = root.map("alerting") else { return Alerting::default() };
    let relabel = relabel_rules(&reader, "alert_relabel_configs");
    let alertmanagers: Vec<_> = reader.maps("alertmanagers").into_iter().map(|item| read_alertmanager(item, lookup)).collect();
    reader.finish();
    Alerting { relabel, alertmanagers }
}

fn read_alertmanager(reader: Reader<'_>, lookup: &Lookup) -> Alertmanager {
    reader.word("api_version", &["v2", "v1"]);
    if reader.text("api_version").as_deref() == Some("v1") {
        reader.warning_at("api_version", "version v1 of this API was removed from Prometheus and Alertmanager; v2 is used");
    }
    check_addresses(&reader);
    warn_unsupported_discovery(&reader);
    let alertmanager = Alertmanager {
        scheme: reader.word("scheme", &["http", "https"]).unwrap_or("http"),
        path_prefix: reader.text("path_prefix").unwrap_or_default(),
        timeout_ms: reader.duration_ms("timeout").unwrap_or(10_000),
        discovery: MECHANISMS
            .iter()
            .filter_map(|mechanism| {
                let place = Place { context: reader.context(), lookup, path: reader.path_of(mechanism.key) };
                Some((mechanism.read)(&place, reader.raw(mechanism.key)?))
            })
            .flatten()
            .collect(),
        relabel: relabel_rules(&reader, "relabel_configs"),
        alert_relabel: relabel_rules(&reader, "alert_relabel_configs"),
        http: Arc::new(http::read(&reader, lookup)),
    };
    read_sigv4(&reader);
    reader.finish();
    alertmanager
}

fn check_addresses(reader: &Reader<'_>) {
    if !reader.list("relabel_configs").is_empty() {
        return;
    }
    let groups = reader.list("static_configs").iter();
    for target in groups.filter_map(|g| g.get("targets").and_then(Node::items)).flatten() {
        if target.text().is_some_and(|t| t.contains('/')) {
            reader.context().error(
                target.line,
                target.column,
                format!("{:?} is not a valid hostname; write host:port, and the rest as scheme and path_prefix", target.text().unwrap_or("")),
            );
        }
    }
}

/// Reads `storage`. `retention.time: 3d` as one key is written in real files although Prometheus refuses it.
pub(super) fn read_storage(root: &Reader<'_>) -> Storage {
    let Some(reader) = root.map("storage") else { return Storage::default() };
    let mut storage = reader.map("tsdb").map_or_else(Storage::default, read_tsdb);
    if let Some(exemplars) = reader.map("exemplars") {
        // Prometheus takes any integer; nothing below zero can be kept.
        storage.max_exemplars = exemplars.f64("max_exemplars").map(|n| n.max(0.0) as u64);
        exemplars.finish();
    }
    reader.finish();
    storage
}

fn read_tsdb(reader: Reader<'_>) -> Storage {
    let mut storage = Storage { out_of_order_window_ms: reader.duration_ms("out_of_order_time_window"), ..Storage::default() };
    if let Some(retention) = reader.map("retention") {
        storage.retention_ms = retention.duration_ms("time");
        storage.retention_bytes = retention.bytes("size");
        if retention.f64("percentage").is_some() {
            retention.warning_at("percentage", "is read but not carried out here; set a size instead");
        }
        retention.finish();
    }
    let flat_ms = reader.duration_ms("retention.time");
    let flat_bytes = reader.bytes("retention.size");
    for (key, present) in [("retention.time", flat_ms.is_some()), ("retention.size", flat_bytes.is_some())] {
        if present {
            let name = key.trim_start_matches("retention.");
            reader.warning_at(key, format!("Prometheus refuses a file with this key; it is read as retention: {{{name}: …}}"));
        }
    }
    storage.retention_ms = storage.retention_ms.or(flat_ms).filter(|ms| *ms > 0);
    storage.retention_bytes = storage.retention_bytes.or(flat_bytes).filter(|n| *n > 0);
    reader.finish();
    storage
}

/// Reads the sections that nothing here acts on.
pub(super) fn read_others(root: &Reader<'_>, lookup: &Lookup) {
    if let Some(runtime) = root.map("runtime") {
        integer(&runtime, "gogc");
        runtime.finish();
        root.warning_at("runtime", "has no effect: it tunes the garbage collector of Go");
    }
    read_tracing(root, lookup);
}

pub(super) fn read_sigv4(reader: &Reader<'_>) {
    if let Some(sigv4) = reader.map("sigv4") {
        for key in ["region", "access_key", "secret_key", "profile", "role_arn", "external_id", "service_name"] {
            sigv4.text(key);
        }
        sigv4.bool("use_fips_sts_endpoint");
        sigv4.finish();
    }
}

/// Headers that are set by hand; those that a request sets itself must not be among them.
pub(super) fn read_headers(reader: &Reader<'_>) -> Vec<(String, String)> {
    const RESERVED: [&str; 14] = [
        "authorization",
        "host",
        "content-encoding",
        "content-length",
        "content-type",
        "user-agent",
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "www-authenticate",
        "accept-encoding",
        "x-prometheus-remote-write-version",
        "x-prometheus-remote-read-version",
    ];
    let headers = reader.text_map("headers");
    for (name, _) in &headers {
        if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
            reader.error_at("headers", format!("the header {name:?} is reserved and must not be set here"));
        }
    }
    headers
}

fn read_tracing(root: &Reader<'_>, lookup: &Lookup) {
    let Some(reader) = root.map("tracing") else { return };
    reader.word("client_type", &["http", "grpc"]);
    reader.required_text("endpoint");
    reader.f64("sampling_fraction");
    reader.bool("insecure");
    read_headers(&reader);
    reader.word("compression", &["gzip", ""]);
    reader.duration_ms("timeout");
    http::read_tls(&reader, lookup);
    reader.finish();
    root.warning_at("tracing", "is read but not carried out yet");
}

/// Reads `otlp`.
pub(super) fn read_otlp(root: &Reader<'_>, validation: NameValidation) -> otlp::Settings {
    let mut settings = otlp::Settings::default();
    let Some(reader) = root.map("otlp") else { return settings };
    let all = reader.bool("promote_all_resource_attributes") == Some(true);
    let promoted = attributes(&reader, "promote_resource_attributes");
    let ignored = attributes(&reader, "ignore_resource_attributes");
    if all && !promoted.is_empty() {
        reader.error_at("promote_resource_attributes", "must not stand beside promote_all_resource_attributes: true");
    }
    if !all && !ignored.is_empty() {
        reader.error_at("ignore_resource_attributes", "needs promote_all_resource_attributes: true");
    }
    settings.promoted = if all { otlp::Promoted::AllBut(ignored) } else { otlp::Promoted::Only(promoted) };
    let names = otlp::TranslationStrategy::NAMES.map(|(name, _)| name);
    let strategy = reader.word("translation_strategy", &[names[0], names[1], names[2], names[3], ""]);
    settings.strategy = strategy.and_then(otlp::TranslationStrategy::from_name).unwrap_or_default();
    if !settings.strategy.escapes() && validation == NameValidation::Legacy {
        reader.error_at("translation_strategy", "keeps names as they are, which metric_name_validation_scheme: legacy does not allow");
    }
    for (key, setting) in [
        ("keep_identifying_resource_attributes", &mut settings.keep_identifying),
        ("convert_histograms_to_nhcb", &mut settings.convert_to_custom_buckets),
        ("promote_scope_metadata", &mut settings.promote_scope),
        ("label_name_underscore_sanitization", &mut settings.label_underscore_prefix),
        ("label_name_preserve_multiple_underscores", &mut settings.label_keep_underscores),
    ] {
        *setting = reader.bool(key).unwrap_or(*setting);
    }
    reader.finish();
    settings
}

/// Names of resource attributes: none empty, none twice.
fn attributes(reader: &Reader<'_>, key: &'static str) -> Vec<String> {
    let names = reader.texts(key, false);
    for (at, name) in names.iter().enumerate() {
        if name.is_empty() {
            reader.error_at(key, "must not hold an empty name");
        } else if names[..at].contains(name) {
            reader.error_at(key, format!("holds {name:?} twice"));
        }
    }
    names
}

/// A whole number that may be negative.
fn integer(reader: &Reader<'_>, key: &'static str) {
    let Some(node) = reader.raw(key) else { return };
    match &node.value {
        Value::Scalar { text, plain: true } if text.parse::<i64>().is_ok() => {}
        value => reader.error_at(key, format!("must be a whole number, not {}", node.text().unwrap_or(value.shape()))),
    }
}
