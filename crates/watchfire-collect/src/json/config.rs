//! The configuration of json_exporter, read as leniently as the original reads it: a key that it does not know is a warning and nothing
//! else. It fetches nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use watchfire_model::batch::MetricType;
use watchfire_model::document::{Context, Finding, Node, Reader, Severity, parse_yaml};
use watchfire_model::labels::{is_classic_label_name, is_classic_metric_name};
use watchfire_net::client::{HttpOptions, Locate, read_http_options};

use super::path::Path;
use crate::logs::stages::BodyTemplate;
use crate::scrape::config::shown_yaml;

/// Modules of one configuration.
pub const MODULES_MAX: usize = 1_000;
/// Metrics of one module.
pub const METRICS_MAX: usize = 1_000;

/// How a target's JSON becomes metrics.
#[derive(Clone, Debug)]
pub struct Module {
    pub(super) metrics: Vec<Metric>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) client: Arc<HttpOptions>,
    pub(super) body: Body,
    pub(super) valid_status_codes: Vec<u16>,
}

/// What is sent.
#[derive(Clone, Debug)]
pub(super) enum Body {
    Nothing,
    Text(String),
    /// What a template makes of the parameters, or else its own text.
    Template(BodyTemplate, String),
}

/// One metric, or one for each of the values of an object.
#[derive(Clone, Debug)]
pub(super) struct Metric {
    pub(super) name: String,
    pub(super) help: String,
    pub(super) kind: MetricType,
    pub(super) path: Path,
    pub(super) labels: Vec<(String, Path)>,
    pub(super) time: Option<Path>,
    /// Names and paths below each object that the path selects; none for a value.
    pub(super) values: Option<Vec<(String, Path)>>,
    /// Words of the selected value and the numbers that they were meant to become.
    pub(super) words: Vec<(String, f64)>,
}

/// All modules.
#[derive(Clone, Debug, Default)]
pub struct Modules {
    /// By name.
    pub list: BTreeMap<String, Arc<Module>>,
    /// The configuration as it may be shown, secrets replaced.
    pub rendered: String,
}

/// Reads a configuration from its text.
pub fn parse(file: &str, text: &str, locate: Locate<'_>) -> (Option<Modules>, Vec<Finding>) {
    match parse_yaml(file, text) {
        Ok(root) => parse_node(file, &root, locate),
        Err(finding) => (None, vec![*finding]),
    }
}

/// Reads a configuration from a document.
pub fn parse_node(file: &str, root: &Node, locate: Locate<'_>) -> (Option<Modules>, Vec<Finding>) {
    let context = Context::new(file);
    let reader = Reader::new(&context, root, "");
    let mut list = BTreeMap::new();
    if let Some(modules) = reader.map("modules") {
        for (key, node) in modules.entries() {
            if list.len() >= MODULES_MAX {
                context.error(key.line, key.column, format!("more than {MODULES_MAX} modules"));
                break;
            }
            let module = read_module(&Reader::new(&context, node, &modules.path_of(&key.text)), locate);
            list.insert(key.text.to_string(), Arc::new(module));
        }
    }
    reader.warn_of_others(&["modules"], "json_exporter");
    let findings = context.into_findings();
    let failed = findings.iter().any(|f| f.severity == Severity::Error);
    ((!failed).then(|| Modules { list, rendered: shown_yaml(root) }), findings)
}

fn read_module(module: &Reader<'_>, locate: Locate<'_>) -> Module {
    let metrics = module.maps("metrics");
    if metrics.len() > METRICS_MAX {
        module.error_at("metrics", format!("more than {METRICS_MAX} metrics"));
    }
    let client = match module.map("http_client_config") {
        Some(client) => {
            let options = read_http_options(&client, locate);
            client.finish();
            options
        }
        None => HttpOptions { follow_redirects: true, ..HttpOptions::default() },
    };
    let codes = module.texts("valid_status_codes", true);
    let code = |text: &String| text.parse().map_err(|_| module.error_at("valid_status_codes", format!("{text:?} is no status code"))).ok();
    module.warn_of_others(&["metrics", "headers", "http_client_config", "body", "valid_status_codes"], "json_exporter");
    Module {
        metrics: metrics.iter().take(METRICS_MAX).filter_map(read_metric).collect(),
        headers: module.text_map("headers"),
        client: Arc::new(client),
        body: module.map("body").map_or(Body::Nothing, |body| read_body(&body)),
        valid_status_codes: codes.iter().filter_map(code).collect(),
    }
}

fn read_body(body: &Reader<'_>) -> Body {
    let content = body.text("content").unwrap_or_default();
    let template = body.bool("templatize").unwrap_or(false);
    body.warn_of_others(&["content", "templatize"], "json_exporter");
    if content.is_empty() {
        return Body::Nothing;
    }
    if !template {
        return Body::Text(content);
    }
    match BodyTemplate::new(&content) {
        Ok(template) => Body::Template(template, content),
        Err(reason) => {
            body.warning_at("content", format!("{reason}; it is sent as it stands"));
            Body::Text(content)
        }
    }
}

fn read_metric(metric: &Reader<'_>) -> Option<Metric> {
    let name = metric.required_text("name");
    let shape = metric.word("type", &["value", "object"]).unwrap_or("value");
    let kind = value_type(metric);
    if !name.is_empty() && !is_classic_metric_name(&name) {
        metric.error_at("name", format!("{name:?} is no name of a metric"));
    }
    let path = |key: &'static str| read_path(metric, key, &metric.text(key)?, "");
    let path_text = metric.required_text("path");
    let found = read_path(metric, "path", &path_text, "; the metric is left out");
    let labels: Vec<(String, Option<Path>)> =
        metric.text_map("labels").into_iter().map(|(label, text)| (label, read_path(metric, "labels", &text, "; the label is left out"))).collect();
    for (label, _) in labels.iter().filter(|(label, _)| !is_classic_label_name(label) || label.starts_with("__")) {
        metric.error_at("labels", format!("{label:?} is no name of a label"));
    }
    let pairs: Vec<(String, Option<Path>)> =
        metric.text_map("values").into_iter().map(|(key, text)| (key, read_path(metric, "values", &text, "; the value is left out"))).collect();
    let values: Vec<(String, Path)> = pairs.into_iter().filter_map(|(key, path)| Some((key, path?))).collect();
    for (key, _) in values.iter().filter(|(key, _)| !is_classic_metric_name(&format!("{name}_{key}"))) {
        metric.error_at("values", format!("\"{name}_{key}\" is no name of a metric"));
    }
    let time = path("epochTimestamp");
    let help = metric.text("help").filter(|h| !h.is_empty()).unwrap_or_else(|| name.clone());
    metric.warn_of_others(&["name", "path", "labels", "type", "valuetype", "epochTimestamp", "help", "values"], "json_exporter");
    let words = if shape == "object" { words(&values) } else { Vec::new() };
    if !words.is_empty() {
        metric.warning_at(
            "values",
            format!("numbers stand here where paths are expected, so {name}_{} and its like are constant; {name} says which word it is", words[0].0),
        );
    }
    if shape == "value" && !values.is_empty() {
        metric.warning_at("values", "has no effect on the type value");
    }
    let labels = labels.into_iter().filter_map(|(label, path)| Some((label, path?))).collect();
    Some(Metric { name, help, kind, path: found?, labels, time, values: (shape == "object").then_some(values), words })
}

/// Words with numbers: every entry is a number that stands for itself.
fn words(values: &[(String, Path)]) -> Vec<(String, f64)> {
    let number = |(word, path): &(String, Path)| Some((word.clone(), path.literal()?.trim().parse().ok()?));
    values.iter().map(number).collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// The type in the answer. A word that is none means the same as no word, as there.
fn value_type(metric: &Reader<'_>) -> MetricType {
    match metric.text("valuetype").as_deref() {
        Some("gauge") => MetricType::Gauge,
        Some("counter") => MetricType::Counter,
        None | Some("untyped" | "") => MetricType::Unknown,
        Some(other) => {
            metric.warning_at("valuetype", format!("{other:?} is none of untyped, gauge, counter and means untyped"));
            MetricType::Unknown
        }
    }
}

/// The original looks at a path when it is followed: a wrong one leaves out its metric, and everything else is answered.
fn read_path(reader: &Reader<'_>, key: &'static str, text: &str, so: &str) -> Option<Path> {
    Path::parse(text).map_err(|error| reader.warning_at(key, format!("{error}{so}"))).ok()
}
