//! One scrape configuration: everything about a job.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use watchfire_ingest::relabel::{self, RelabelConfig};
use watchfire_model::document::{Context, Node, Reader};
use watchfire_model::meter::Meter;

use super::global::{
    Global, Limits, NameValidation, Protocol, read_escaping, read_fallback, read_job_limits, read_protocols, read_times, read_validation, warn_not_carried_out,
};
use super::histograms::{self, Histograms};
use super::{http, url_target};
use crate::discovery::glob::Lookup;
use crate::discovery::{Discovery, MECHANISMS, Place, UNSUPPORTED};
use crate::scrape::target::{Outcome, build};

/// A job: what to scrape and how. Inherited settings are filled in.
#[derive(Clone)]
pub struct ScrapeConfig {
    /// The name, which becomes the `job` label.
    pub name: String,
    /// How often, in milliseconds.
    pub interval_ms: u64,
    /// How long a scrape may take, in milliseconds.
    pub timeout_ms: u64,
    /// Whether labels of the target win over ours.
    pub honor_labels: bool,
    /// Whether timestamps of the target are used.
    pub honor_timestamps: bool,
    /// Whether series with timestamps of their own end with a staleness marker too.
    pub track_timestamps_staleness: bool,
    /// Query parameters by name.
    pub params: BTreeMap<String, Vec<String>>,
    /// `http` or `https`.
    pub scheme: String,
    /// The path.
    pub metrics_path: String,
    /// Whether compressed answers are asked for.
    pub enable_compression: bool,
    /// Limits.
    pub limits: Limits,
    /// The formats to ask for, the most wanted first.
    pub protocols: Vec<Protocol>,
    /// The format to assume when the target does not say.
    pub fallback_protocol: Option<Protocol>,
    /// Which names are valid.
    pub validation: NameValidation,
    /// The escaping of names that is asked for.
    pub escaping: &'static str,
    /// Whether three more series per target are written.
    pub extra_scrape_metrics: bool,
    /// What is wanted of histograms.
    pub histograms: Histograms,
    /// What our own settings say about all jobs.
    pub extras: Extras,
    /// Whether the formats to ask for stand in the file.
    protocols_given: bool,
    /// Rules for targets.
    pub relabel: Vec<RelabelConfig>,
    /// Rules for samples.
    pub metric_relabel: Vec<RelabelConfig>,
    /// How requests are made.
    pub client: Arc<watchfire_net::client::HttpOptions>,
    /// Where targets come from.
    pub discovery: Vec<Arc<dyn Discovery>>,
    /// Tells whether two configurations are the same: a hash over the text of the job (secrets included) and what it inherits.
    pub fingerprint: u64,
    /// The job's text as a tree, for rendering.
    pub(super) source: Node,
}

/// What our own settings say about the extras that targets of all jobs show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// Whether type and unit of a metric become the labels `__type__` and `__unit__`.
    pub type_and_unit_labels: bool,
    /// Whether the time at which a counter began becomes a sample of value 0.
    pub created_timestamps: bool,
}

impl fmt::Debug for ScrapeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScrapeConfig").field("name", &self.name).field("interval_ms", &self.interval_ms).finish_non_exhaustive()
    }
}

/// Reads one item of `scrape_configs`.
pub(super) fn read(reader: Reader<'_>, global: &Global, lookup: &Lookup) -> ScrapeConfig {
    let name = reader.required_text("job_name");
    let (interval_ms, timeout_ms) = read_times(&reader, global.scrape_interval_ms, global.scrape_timeout_ms);
    let own_validation = read_validation(&reader);
    let validation = own_validation.unwrap_or(global.validation);
    let flag = |key, default| reader.bool(key).unwrap_or(default);
    let histograms = histograms::read_job(&reader, global.histograms);
    let protocols = read_protocols(&reader).or_else(|| global.protocols.clone());
    let mut job = ScrapeConfig {
        name,
        interval_ms,
        timeout_ms,
        honor_labels: flag("honor_labels", false),
        honor_timestamps: flag("honor_timestamps", true),
        track_timestamps_staleness: flag("track_timestamps_staleness", false),
        params: read_params(&reader),
        scheme: read_scheme(&reader),
        metrics_path: reader.text("metrics_path").filter(|p| !p.is_empty()).unwrap_or_else(|| "/metrics".to_owned()),
        enable_compression: flag("enable_compression", true),
        limits: read_job_limits(&reader, global),
        protocols_given: protocols.is_some(),
        protocols: protocols.unwrap_or_else(|| default_protocols(histograms.native)),
        fallback_protocol: read_fallback(&reader),
        validation,
        escaping: escaping(&reader, global, own_validation),
        extra_scrape_metrics: flag("extra_scrape_metrics", global.extra_scrape_metrics),
        histograms,
        extras: Extras::default(),
        relabel: relabel_rules(&reader, "relabel_configs"),
        metric_relabel: relabel_rules(&reader, "metric_relabel_configs"),
        client: Arc::new(http::read(&reader, lookup)),
        discovery: Vec::new(),
        fingerprint: 0,
        source: reader.node().clone(),
    };
    warn_not_carried_out(&reader, &["scrape_failure_log_file"]);
    if job.histograms.native && !job.protocols.contains(&Protocol::PrometheusProto) {
        let key = if reader.has("scrape_protocols") { "scrape_protocols" } else { "scrape_native_histograms" };
        reader.warning_at(key, "native histograms come by PrometheusProto only, which is not among the scrape protocols");
    }
    url_target::check(&reader, &job);
    job.discovery = read_discovery(&reader, lookup, &job);
    warn_invalid_targets(&reader, &job);
    job.fingerprint = fingerprint(&job, lookup);
    if job.discovery.is_empty() {
        let node = reader.node();
        reader.context().warning(node.line, node.column, format!("job {:?} has no targets: none of its keys says where they come from", job.name));
    }
    reader.finish();
    job
}

/// Prometheus takes any word here and then fails to scrape.
fn read_scheme(reader: &Reader<'_>) -> String {
    let scheme = reader.text("scheme").filter(|s| !s.is_empty()).unwrap_or_else(|| "http".to_owned());
    if scheme != "http" && scheme != "https" {
        reader.warning_at("scheme", format!("nothing can be scraped with the scheme {scheme:?}; http and https are known"));
    }
    scheme
}

fn read_params(reader: &Reader<'_>) -> BTreeMap<String, Vec<String>> {
    let Some(params) = reader.map("params") else { return BTreeMap::new() };
    let values = |(key, node): &(watchfire_model::document::Key, Node)| {
        let texts: Option<Vec<String>> = match node.items() {
            Some(items) => items.iter().map(|n| n.text().map(str::to_owned)).collect(),
            None => None,
        };
        if texts.is_none() && !node.is_null() {
            reader.context().error(node.line, node.column, format!("{}.{} must be a list of texts", reader.path_of("params"), key.text));
        }
        (key.text.to_string(), texts.unwrap_or_default())
    };
    params.entries().iter().map(values).collect()
}

fn escaping(reader: &Reader<'_>, global: &Global, own: Option<NameValidation>) -> &'static str {
    let by_validation = |v| if v == NameValidation::Legacy { "underscores" } else { "allow-utf-8" };
    let inherited = global.escaping.unwrap_or_else(|| by_validation(global.validation));
    let chosen = read_escaping(reader).unwrap_or_else(|| own.map_or(inherited, by_validation));
    if chosen == "allow-utf-8" && own.unwrap_or(global.validation) == NameValidation::Legacy {
        reader.error_at("metric_name_escaping_scheme", "allow-utf-8 needs metric_name_validation_scheme: utf8");
    }
    chosen
}

/// Reads a list of relabelling rules.
pub(super) fn relabel_rules(reader: &Reader<'_>, key: &'static str) -> Vec<RelabelConfig> {
    relabel::read_list(reader.context(), reader.raw(key), &reader.path_of(key))
}

fn read_discovery(reader: &Reader<'_>, lookup: &Lookup, job: &ScrapeConfig) -> Vec<Arc<dyn Discovery>> {
    let mut found: Vec<Arc<dyn Discovery>> = Vec::new();
    for mechanism in MECHANISMS {
        let Some(node) = reader.raw(mechanism.key) else { continue };
        let node = if mechanism.key == "static_configs" { url_target::rewrite(node, job) } else { node.clone() };
        let place = Place { context: reader.context(), lookup, path: reader.path_of(mechanism.key) };
        found.extend((mechanism.read)(&place, &node));
    }
    warn_unsupported_discovery(reader);
    found
}

/// Static targets that relabelling leaves unfit are known before anything runs.
fn warn_invalid_targets(reader: &Reader<'_>, job: &ScrapeConfig) {
    if reader.context().has_errors() || job.relabel.is_empty() || !reader.has("static_configs") {
        return;
    }
    let groups = job.discovery.first().and_then(|d| d.initial(&Meter::new())).unwrap_or_default();
    for (group, own) in groups.iter().flat_map(|g| g.targets.iter().map(move |t| (g, t))) {
        if let Outcome::Invalid(_, reason) = build(job, group, own) {
            let address = own.first().map_or("", |(_, v)| v.as_str());
            reader.warning_at("static_configs", format!("the target {address:?} cannot be scraped: {reason}"));
        }
    }
}

/// Discovery that Prometheus has and we do not: known by name, said to do nothing.
pub(super) fn warn_unsupported_discovery(reader: &Reader<'_>) {
    for key in UNSUPPORTED {
        if reader.raw(key).is_some() {
            // The list itself must be a list, whatever stands in it.
            let _items = reader.list(key);
            reader.warning_at(key, "this kind of discovery is not supported here: no targets come from it");
        }
    }
}

fn fingerprint(job: &ScrapeConfig, lookup: &Lookup) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut hasher = std::hash::DefaultHasher::new();
    super::render::yaml_with_secrets(&job.source).hash(&mut hasher);
    (job.interval_ms, job.timeout_ms, job.escaping, job.validation.name(), job.extra_scrape_metrics).hash(&mut hasher);
    let limits = &job.limits;
    (limits.body_bytes, limits.samples, limits.targets, limits.labels, limits.label_name_bytes, limits.label_value_bytes, limits.dropped_targets)
        .hash(&mut hasher);
    (&job.protocols, job.histograms).hash(&mut hasher);
    lookup.directory.hash(&mut hasher);
    lookup.monitoring_dir.hash(&mut hasher);
    hasher.finish()
}

fn default_protocols(proto_first: bool) -> Vec<Protocol> {
    if proto_first { Protocol::DEFAULT_PROTO_FIRST.to_vec() } else { Protocol::DEFAULT.to_vec() }
}

impl ScrapeConfig {
    /// The same with what our own settings say. When counts began is best said in protocol buffers: they are asked for first
    /// where the file does not say otherwise.
    pub(crate) fn with_extras(mut self, extras: Extras) -> ScrapeConfig {
        self.extras = extras;
        if extras.created_timestamps && !self.protocols_given {
            self.protocols = default_protocols(true);
        }
        self
    }
}

/// A scrape configuration without any text behind it, for jobs that other rooms make up (and for tests).
impl ScrapeConfig {
    /// Reads one job from YAML text that is known to be right; used by tests and built-in jobs.
    pub fn from_yaml(text: &str) -> Result<ScrapeConfig, String> {
        let context = Context::new("job");
        let node = watchfire_model::document::parse_yaml("job", text).map_err(|f| f.to_string())?;
        let empty = Node { value: watchfire_model::document::Value::Null, line: 1, column: 1 };
        let outside = super::Outside { environment: &|_| None, lookup: Lookup::default() };
        let global = super::global::read(&Reader::new(&context, &empty, ""), &outside);
        let job = read(Reader::new(&context, &node, ""), &global, &outside.lookup);
        match context.has_errors() {
            true => Err(context.into_findings().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
            false => Ok(job),
        }
    }
}
