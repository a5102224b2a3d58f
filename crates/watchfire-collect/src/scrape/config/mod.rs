//! `prometheus.yml`, the whole of it, read as strictly as Prometheus reads it: a key that Prometheus does not know is an
//! error with its place. What is valid but not carried out here is a warning, so that nobody is left to guess.
//! It reads the files that the configuration names (`scrape_config_files`), and no others.

mod effective;
mod global;
mod histograms;
mod http;
mod job;
mod remote;
mod render;
mod sections;
#[cfg(test)]
mod tests;
mod url_target;

use std::collections::HashMap;
use std::sync::Arc;

use watchfire_model::document::{Context, Finding, Node, Reader, Severity, Value, parse_yaml};

use crate::discovery::glob::{Lookup, is_pattern};

pub use global::{Global, Limits, NameValidation, Protocol};
pub use histograms::Histograms;
pub use job::{Extras, ScrapeConfig};
pub use remote::{RemoteMetadata, RemoteQueue, RemoteRead, RemoteWrite, WriteProtocol};
pub use sections::{Alerting, Alertmanager, Storage};
pub use watchfire_net::client::{Authorization, HttpOptions, Oauth2Options, ProxyOptions, SecretSource, TlsOptions};

/// At most so many scrape configurations are taken from one configuration.
pub const JOBS_MAX: usize = 10_000;
/// At most so many bytes are read from one file that the configuration names.
pub const FILE_BYTES_MAX: u64 = 16 << 20;

/// What reading needs from outside.
pub struct Outside<'a> {
    /// The environment, for `${NAME}` in external labels.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// Where the paths of the configuration are looked up.
    pub lookup: Lookup,
}

/// A valid `prometheus.yml`.
#[derive(Clone, Debug)]
pub struct PrometheusConfig {
    /// The global settings, defaults filled in.
    pub global: Global,
    /// All scrape configurations, those of `scrape_config_files` included.
    pub jobs: Vec<Arc<ScrapeConfig>>,
    /// The patterns of rule files as they are written.
    pub rule_files: Vec<String>,
    /// Where alerts go.
    pub alerting: Alerting,
    /// Retention and the out-of-order window, where the file sets them.
    pub storage: Storage,
    /// How OTLP metrics are translated.
    pub otlp: watchfire_ingest::otlp::Settings,
    /// Where copies of everything go.
    pub remote_write: Vec<Arc<RemoteWrite>>,
    /// Where queries read from as well.
    pub remote_read: Vec<Arc<RemoteRead>>,
    /// Where the paths of the configuration are looked up.
    pub lookup: Lookup,
    /// The effective configuration as YAML, defaults filled in and secrets replaced, as `/api/v1/status/config` shows it.
    pub rendered: String,
}

/// What came of reading: the configuration unless there was an error, and everything there is to say.
pub struct Parsed {
    /// The configuration; `None` when a finding is an error.
    pub config: Option<PrometheusConfig>,
    /// Errors and warnings in the order of the files.
    pub findings: Vec<Finding>,
}

/// Reads a configuration from its text.
pub fn parse(file: &str, text: &str, outside: &Outside<'_>) -> Parsed {
    match parse_yaml(file, text) {
        Ok(root) => parse_node(file, &root, outside),
        Err(finding) => Parsed { config: None, findings: vec![*finding] },
    }
}

/// Reads a configuration from a document that is already a tree (one that stands inside another file).
pub fn parse_node(file: &str, root: &Node, outside: &Outside<'_>) -> Parsed {
    let context = Context::new(file);
    let wrapped = match root.items() {
        Some(_) => {
            context.warning(root.line, root.column, "this is a bare list; it is read as the list of scrape_configs");
            Some(as_scrape_configs(root))
        }
        None => None,
    };
    let mut reading = read(&context, wrapped.as_ref().unwrap_or(root), outside);
    let mut findings = context.into_findings();
    findings.append(&mut reading.findings);
    let failed = findings.iter().any(|f| f.severity == Severity::Error);
    Parsed { config: (!failed).then_some(reading.config), findings }
}

fn as_scrape_configs(list: &Node) -> Node {
    let key = watchfire_model::document::Key { text: "scrape_configs".into(), line: list.line, column: list.column };
    Node { value: Value::Map(vec![(key, list.clone())]), line: list.line, column: list.column }
}

struct Reading {
    config: PrometheusConfig,
    /// Findings about further files.
    findings: Vec<Finding>,
}

fn read(context: &Context, root: &Node, outside: &Outside<'_>) -> Reading {
    let reader = Reader::new(context, root, "");
    let global = global::read(&reader, outside);
    let mut jobs = Jobs::default();
    for item in reader.maps("scrape_configs") {
        jobs.read(item, &global, &outside.lookup, context.file());
    }
    let rule_files = patterns(&reader, "rule_files");
    warn_missing(&reader, "rule_files", &rule_files, &outside.lookup);
    let mut findings = Vec::new();
    for pattern in patterns(&reader, "scrape_config_files") {
        findings.append(&mut jobs.read_files(&pattern, &global, outside));
    }
    let alerting = sections::read_alerting(&reader, &outside.lookup);
    let storage = sections::read_storage(&reader);
    let otlp = sections::read_otlp(&reader, global.validation);
    let remote_write = remote::read_writes(&reader, &outside.lookup);
    let remote_read = remote::read_reads(&reader, &outside.lookup);
    sections::read_others(&reader, &outside.lookup);
    reader.finish();
    let rendered = render::yaml(&effective::of(root, &global, &jobs.list));
    let lookup = outside.lookup.clone();
    let config = PrometheusConfig { global, jobs: jobs.list, rule_files, alerting, storage, otlp, remote_write, remote_read, lookup, rendered };
    Reading { config, findings }
}

/// A list of file patterns; a star may stand in the last part only, as Prometheus has it.
fn patterns(reader: &Reader<'_>, key: &'static str) -> Vec<String> {
    let items = reader.texts(key, false);
    for (node, pattern) in reader.list(key).iter().zip(&items) {
        let bad = pattern.split_once('*').is_some_and(|(_, rest)| rest.contains('/'));
        if bad {
            reader.context().error(node.line, node.column, format!("{key}: {pattern:?} has a star before its last part; only the file name may have one"));
        }
    }
    items
}

/// A literal file that does not exist is skipped silently by Prometheus; we say so.
fn warn_missing(reader: &Reader<'_>, key: &'static str, patterns: &[String], lookup: &Lookup) {
    for (node, pattern) in reader.list(key).iter().zip(patterns) {
        if !is_pattern(pattern) && lookup.files(pattern).is_empty() {
            reader.context().warning(node.line, node.column, format!("{key}: there is no file {pattern:?}; Prometheus would skip it without a word"));
        }
    }
}

/// The scrape configurations read so far.
#[derive(Default)]
struct Jobs {
    list: Vec<Arc<ScrapeConfig>>,
    named: HashMap<String, String>,
}
impl Jobs {
    fn read(&mut self, item: Reader<'_>, global: &Global, lookup: &Lookup, file: &str) {
        let (context, node) = (item.context(), item.node());
        if node.is_null() {
            context.error(node.line, node.column, "a scrape configuration must not be empty");
            return;
        }
        let name_at = node.get("job_name").map_or((node.line, node.column), |n| (n.line, n.column));
        let job = job::read(item, global, lookup);
        let place = format!("{file}:{}", name_at.0);
        match self.named.get(&job.name) {
            Some(first) => context.error(
                name_at.0,
                name_at.1,
                format!("there is more than one scrape configuration with job_name {:?}; the first is at {first}", job.name),
            ),
            None if self.list.len() >= JOBS_MAX => context.error(node.line, node.column, format!("more than {JOBS_MAX} scrape configurations")),
            None => {
                self.named.insert(job.name.clone(), place);
                self.list.push(Arc::new(job));
            }
        }
    }

    /// Reads the files of one pattern of `scrape_config_files`.
    fn read_files(&mut self, pattern: &str, global: &Global, outside: &Outside<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for path in outside.lookup.files(pattern) {
            let file = path.display().to_string();
            let context = Context::new(&file);
            match read_text(&path).map_err(|e| context.error(0, 0, e)).ok().map(|text| parse_yaml(&file, &text)) {
                Some(Ok(root)) => {
                    let reader = Reader::new(&context, &root, "");
                    let lookup = Lookup::beside(&path, outside.lookup.monitoring_dir.as_deref());
                    for item in reader.maps("scrape_configs") {
                        self.read(item, global, &lookup, &file);
                    }
                    reader.finish();
                }
                Some(Err(finding)) => findings.push(*finding),
                None => {}
            }
            findings.append(&mut context.into_findings());
        }
        findings
    }
}

/// Reads the keys of an HTTP client from among other keys.
pub(crate) fn read_http_options(reader: &Reader<'_>, lookup: &Lookup) -> HttpOptions {
    http::read(reader, lookup)
}

/// A document as YAML that may be shown: secrets are replaced.
pub(crate) fn shown_yaml(node: &Node) -> String {
    render::yaml(node)
}

/// Reads a whole file as text, up to a limit.
pub(crate) fn read_text(path: &std::path::Path) -> Result<String, String> {
    use std::io::Read;
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|e| format!("cannot open {}: {e}", path.display()))?;
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(format!("cannot read {}: it is larger than {FILE_BYTES_MAX} bytes", path.display()));
    }
    Ok(text)
}
