//! `pipeline_stages`: each item is a mapping of one stage's name to its settings. What Promtail would refuse is an error; what has no
//! meaning here is a warning, and the stage is left out.

mod rarer;

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::document::{Context, Node, Reader, nearest};
use watchfire_model::labels::{is_classic_label_name, is_classic_metric_name};

use super::super::stages::{
    Blocks, Decolorize, Drop, Formats, Join, Json, JsonPath, Labels, Limit, Logfmt, Match, Metadata, Metric, MetricAction, MetricKind, Metrics, OnFailure,
    Output, Pack, Parts, Prune, Regex, Replace, Sampling, Selector, Stage, StaticLabels, Template, Time, compile,
};

/// The most stages of one pipeline.
const STAGES_MAX: usize = 1_000;
/// How deep `match` may stand in `match`.
const DEPTH_MAX: usize = 8;
/// What a container runtime writes before a line.
const CRI: &str = r"^(?s)(?P<time>\S+?) (?P<stream>stdout|stderr) (?P<flags>\S+?) (?P<content>.*)$";

/// Every stage by its name.
const NAMES: [&str; 31] = [
    "docker",
    "cri",
    "json",
    "logfmt",
    "regex",
    "replace",
    "template",
    "timestamp",
    "labels",
    "labeldrop",
    "labelallow",
    "static_labels",
    "structured_metadata",
    "non_indexed_labels",
    "output",
    "drop",
    "match",
    "multiline",
    "pack",
    "limit",
    "metrics",
    "tenant",
    "decolorize",
    "geoip",
    "sampling",
    "eventlogmessage",
    "pattern",
    // Alloy has these besides.
    "luhn",
    "structured_metadata_drop",
    "structured_metadata_regex",
    "truncate",
];

/// A pipeline that was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pipeline {
    pub(crate) stages: Vec<Stage>,
    /// The stages that make metrics, those within others too.
    pub(crate) metrics: Vec<Arc<Metrics>>,
    /// The names that stages extract so far, and the last JSON stage over the line, for times that nobody extracts.
    extracted: Vec<String>,
    json_at: Option<usize>,
}

/// Reads the value of a key that holds stages.
pub(crate) fn read(context: &Context, node: Option<&Node>, path: &str) -> Pipeline {
    let mut pipeline = Pipeline::default();
    read_into(&mut pipeline, context, node, path, 0);
    pipeline
}

fn read_into(pipeline: &mut Pipeline, context: &Context, node: Option<&Node>, path: &str, depth: usize) {
    let Some(node) = node else { return };
    let Some(items) = node.items() else {
        if !node.is_null() {
            context.error(node.line, node.column, format!("{path} must be a list, not {}", node.value.shape()));
        }
        return;
    };
    if items.len() > STAGES_MAX || depth > DEPTH_MAX {
        context.error(node.line, node.column, format!("{path}: these are too many stages"));
        return;
    }
    for (i, item) in items.iter().enumerate() {
        let entries = item.entries().unwrap_or(&[]);
        let [(key, settings)] = entries else {
            context.error(item.line, item.column, format!("{path}[{i}] must be a mapping of one stage's name to its settings"));
            continue;
        };
        let reader = Reading { context, path: format!("{path}[{i}].{}", key.text), node: settings, line: key.line, column: key.column };
        if NAMES.contains(&&*key.text) {
            reader.stage(&key.text, pipeline, depth);
        } else {
            let hint = nearest(&key.text, NAMES).map(|n| format!("; did you mean {n:?}?")).unwrap_or_default();
            context.error(key.line, key.column, format!("{path}[{i}]: unknown stage {:?}{hint}", key.text));
        }
    }
}

struct Reading<'a> {
    context: &'a Context,
    path: String,
    node: &'a Node,
    line: usize,
    column: usize,
}

impl<'a> Reading<'a> {
    fn reader(&self) -> Reader<'a> {
        Reader::new(self.context, self.node, &self.path)
    }
    fn warn(&self, why: &str) {
        self.context.warning(self.line, self.column, format!("{}: {why}", self.path));
    }
    fn error(&self, why: impl std::fmt::Display) {
        self.context.error(self.node.line, self.node.column, format!("{}: {why}", self.path));
    }

    fn stage(&self, name: &str, pipeline: &mut Pipeline, depth: usize) {
        match name {
            "docker" => self.docker(pipeline),
            "cri" => self.cri(pipeline),
            "json" => self.json(pipeline),
            "logfmt" => self.logfmt(pipeline),
            "regex" => self.regex(pipeline),
            "replace" => self.replace(pipeline),
            "template" => self.template(pipeline),
            "timestamp" => self.timestamp(pipeline),
            "labels" => pipeline.push(Labels(self.pairs(true))),
            "structured_metadata" | "non_indexed_labels" => pipeline.push(Metadata(self.pairs(false))),
            "labeldrop" => pipeline.push(Prune::These(self.names())),
            "labelallow" => pipeline.push(Prune::AllBut(self.names())),
            "static_labels" => pipeline.push(StaticLabels(self.pairs(true).into_iter().collect())),
            "output" => self.output(pipeline),
            "drop" => self.drop(pipeline),
            "match" => self.matching(pipeline, depth),
            "multiline" => self.multiline(pipeline),
            "pack" => self.pack(pipeline),
            "limit" => self.limit(pipeline),
            "metrics" => self.metrics(pipeline),
            "decolorize" => pipeline.push(Decolorize),
            "sampling" => self.sampling(pipeline),
            "tenant" => self.tenant(),
            "pattern" => self.pattern(pipeline),
            "eventlogmessage" => self.event_message(pipeline),
            "luhn" => self.luhn(pipeline),
            "structured_metadata_drop" => self.drop_metadata(pipeline),
            "geoip" => self.geoip(pipeline),
            "structured_metadata_regex" => self.metadata_matching(pipeline),
            "truncate" => self.truncate(pipeline),
            _ => self.warn("this stage is not carried out"),
        }
    }

    fn docker(&self, pipeline: &mut Pipeline) {
        let all = [("output", "log"), ("stream", "stream"), ("timestamp", "time")];
        let expressions = all.map(|(to, from)| (to.to_owned(), JsonPath::name(from))).into();
        pipeline.push(Json { expressions, source: None, drop_malformed: false });
        pipeline.push(Labels(vec![("stream".to_owned(), "stream".to_owned())]));
        self.runtime_time(pipeline, "timestamp");
        pipeline.push(Output("output".to_owned()));
        pipeline.extracted.extend(["output", "stream", "timestamp"].map(str::to_owned));
    }

    fn cri(&self, pipeline: &mut Pipeline) {
        let reader = self.reader();
        let max_streams = reader.u64("max_partial_lines").unwrap_or(100) as usize;
        let max_bytes = reader.bytes("max_partial_line_size").filter(|n| *n > 0).unwrap_or(super::super::files::LINE_BYTES_MAX as u64) as usize;
        reader.allow(&["max_partial_line_size_truncate"]);
        reader.finish();
        if let Ok(expression) = compile(CRI) {
            pipeline.push(Regex { expression, source: None, labels: false });
        }
        pipeline.push(Labels(vec![("stream".to_owned(), "stream".to_owned())]));
        self.runtime_time(pipeline, "time");
        pipeline.push(Output("content".to_owned()));
        pipeline.stages.push(Stage::Parts(Arc::new(Parts { max_streams, max_bytes })));
        pipeline.extracted.extend(["time", "stream", "flags", "content"].map(str::to_owned));
    }

    fn runtime_time(&self, pipeline: &mut Pipeline, source: &str) {
        if let Ok(formats) = Formats::new(&["RFC3339Nano".to_owned()], "UTC") {
            pipeline.push(Time::new(source, formats, OnFailure::Fudge));
        }
    }

    fn json(&self, pipeline: &mut Pipeline) {
        let reader = self.reader();
        let mut expressions = Vec::new();
        for (name, text) in reader.text_map("expressions") {
            match JsonPath::parse(if text.is_empty() { &name } else { &text }) {
                Ok(path) => expressions.push((name, path)),
                Err(error) => reader.error_at("expressions", error),
            }
        }
        if !reader.has("expressions") {
            self.error("expressions is missing");
        }
        let source = reader.text("source").filter(|s| !s.is_empty());
        let drop_malformed = reader.bool("drop_malformed").unwrap_or(false);
        reader.finish();
        pipeline.extracted.extend(expressions.iter().map(|(name, _)| name.clone()));
        if source.is_none() {
            pipeline.json_at = Some(pipeline.stages.len());
        }
        pipeline.push(Json { expressions, source, drop_malformed });
    }

    fn logfmt(&self, pipeline: &mut Pipeline) {
        let reader = self.reader();
        let mapping: Vec<(String, String)> =
            reader.text_map("mapping").into_iter().map(|(to, from)| (to.clone(), if from.is_empty() { to } else { from })).collect();
        let source = reader.text("source").filter(|s| !s.is_empty());
        reader.finish();
        pipeline.extracted.extend(mapping.iter().map(|(to, _)| to.clone()));
        pipeline.push(Logfmt { mapping, source });
    }

    fn expression(&self, reader: &Reader<'_>, key: &'static str) -> Option<regex::Regex> {
        let text = reader.required_text(key);
        compile(&text).map_err(|error| reader.error_at(key, error)).ok()
    }

    fn regex(&self, pipeline: &mut Pipeline) {
        let reader = self.reader();
        let expression = self.expression(&reader, "expression");
        let source = reader.text("source").filter(|s| !s.is_empty());
        let labels = reader.bool("labels_from_groups").unwrap_or(false);
        if let Some(expression) = expression {
            // Promtail runs with it.
            if expression.capture_names().flatten().next().is_none() {
                reader.warning_at("expression", "has no named group, (?P<name>…), so nothing is extracted");
            }
            pipeline.extracted.extend(expression.capture_names().flatten().map(str::to_owned));
            pipeline.push(Regex { expression, source, labels });
        }
        reader.finish();
    }

    fn replace(&self, pipeline: &mut Pipeline) {
        let reader = self.reader();
        let expression = self.expression(&reader, "expression");
        let source = reader.text("source").filter(|s| !s.is_empty());
        let replacement = Template::new("", &reader.text("replace").unwrap_or_default()).map_err(|error| reader.error_at("replace", error));
        reader.finish();
        if let (Some(expression), Ok(replacement)) = (expression, replacement) {
            pipeline.extracted.extend(expression.capture_names().flatten().map(str::to_owned));
            pipeline.push(Replace { expression, source, replacement });
        }
    }

    fn template(&self, pipeline: &mut Pipeline) {
        let reader = self.reader();
        let source = reader.required_text("source");
        match Template::new(&source, &reader.required_text("template")) {
            Ok(template) => pipeline.push(template),
            Err(error) => reader.error_at("template", error),
        }
        reader.finish();
        pipeline.extracted.push(source);
    }

    fn timestamp(&self, pipeline: &mut Pipeline) {
        let reader = self.reader();
        let source = reader.required_text("source");
        let mut formats = vec![reader.required_text("format")];
        formats.extend(reader.texts("fallback_formats", false));
        let zone = reader.text("location").unwrap_or_default();
        let on_failure = match reader.word("action_on_failure", &["fudge", "skip"]) {
            Some("skip") => OnFailure::Skip,
            _ => OnFailure::Fudge,
        };
        match Formats::new(&formats, &zone) {
            Ok(formats) => {
                pipeline.extract_for_time(self, &source);
                pipeline.push(Time::new(&source, formats, on_failure));
            }
            Err(error) => reader.error_at("location", error),
        }
        reader.finish();
    }

    fn output(&self, pipeline: &mut Pipeline) {
        let reader = self.reader();
        let source = reader.required_text("source");
        reader.finish();
        pipeline.push(Output(source));
    }

    /// Names with what they are made of: themselves where nothing is said.
    fn pairs(&self, labels: bool) -> Vec<(String, String)> {
        let Some(entries) = self.node.entries() else {
            self.error(format!("must be a mapping, not {}", self.node.value.shape()));
            return Vec::new();
        };
        let mut pairs = Vec::new();
        for (key, value) in entries {
            if labels && !is_classic_label_name(&key.text) {
                self.context.error(key.line, key.column, format!("{}: {:?} is not the name of a label", self.path, key.text));
            }
            match (value.text(), value.is_null()) {
                (Some(text), _) if !text.is_empty() => pairs.push((key.text.to_string(), text.to_owned())),
                (Some(_), _) | (None, true) => pairs.push((key.text.to_string(), key.text.to_string())),
                _ => self.context.error(value.line, value.column, format!("{}.{} must be a text, not {}", self.path, key.text, value.value.shape())),
            }
        }
        pairs
    }

    fn names(&self) -> Vec<String> {
        let Some(items) = self.node.items() else {
            self.error(format!("must be a list, not {}", self.node.value.shape()));
            return Vec::new();
        };
        items.iter().filter_map(|item| item.text().map(str::to_owned)).collect()
    }

    fn drop(&self, pipeline: &mut Pipeline) {
        let reader = self.reader();
        let expression = reader.text("expression").and_then(|text| compile(&text).map_err(|error| reader.error_at("expression", error)).ok());
        let stage = Drop {
            sources: reader.texts("source", true),
            separator: reader.text("separator").unwrap_or_else(|| ";".to_owned()),
            value: reader.text("value"),
            older_than: reader.duration_ms("older_than").map(Duration::from_millis),
            longer_than: reader.bytes("longer_than"),
            inverted: false,
            reason: reader.text("drop_counter_reason").unwrap_or_else(|| "drop_stage".to_owned()).into(),
            expression,
        };
        let has_condition = ["source", "expression", "value", "older_than", "longer_than"].iter().any(|key| reader.has(key));
        if !has_condition {
            self.error("needs at least one of source, expression, value, older_than and longer_than");
        }
        reader.finish();
        pipeline.push(stage);
    }

    fn matching(&self, pipeline: &mut Pipeline, depth: usize) {
        let reader = self.reader();
        let selector = Selector::parse(&reader.required_text("selector")).map_err(|error| reader.error_at("selector", error.to_string()));
        let action = reader.word("action", &["keep", "drop"]);
        reader.allow(&["pipeline_name"]);
        let reason = reader.text("drop_counter_reason").unwrap_or_else(|| "match_stage".to_owned());
        let mut inner = Pipeline { extracted: pipeline.extracted.clone(), ..Pipeline::default() };
        read_into(&mut inner, self.context, reader.raw("stages"), &format!("{}.stages", self.path), depth + 1);
        reader.finish();
        pipeline.metrics.append(&mut inner.metrics);
        pipeline.extracted = inner.extracted;
        if let Ok(selector) = selector {
            let drop = (action == Some("drop")).then(|| reason.into());
            pipeline.stages.push(Stage::Match(Arc::new(Match { selector, stages: inner.stages, drop })));
        }
    }

    fn multiline(&self, pipeline: &mut Pipeline) {
        let reader = self.reader();
        let pattern = self.expression(&reader, "firstline");
        let max_wait = Duration::from_millis(reader.duration_ms("max_wait_time").unwrap_or(3_000));
        let max_lines = reader.u64("max_lines").unwrap_or(128).max(1) as usize;
        reader.allow(&["trim_newlines"]);
        reader.finish();
        if let Some(pattern) = pattern {
            let blocks = Blocks { pattern, negate: false, join: Join::Begins, max_wait, max_lines, cut: true, newline: true, flush_pattern: None };
            pipeline.stages.push(Stage::Blocks(Arc::new(blocks)));
        }
    }

    fn pack(&self, pipeline: &mut Pipeline) {
        let reader = self.reader();
        let stage = Pack { labels: reader.texts("labels", false), ingest_timestamp: reader.bool("ingest_timestamp").unwrap_or(true) };
        reader.finish();
        pipeline.push(stage);
    }

    fn limit(&self, pipeline: &mut Pipeline) {
        let reader = self.reader();
        let (rate, burst) = (reader.f64("rate").unwrap_or(0.0), reader.f64("burst").unwrap_or(0.0));
        if rate <= 0.0 || burst < 1.0 {
            self.error("rate must be above 0 and burst at least 1");
        }
        let drop = reader.bool("drop").unwrap_or(false);
        let by_label = reader.text("by_label_name").filter(|name| !name.is_empty());
        let values_max = reader.u64("max_distinct_labels").unwrap_or(10_000).min(100_000) as usize;
        reader.finish();
        pipeline.push(Limit::new(rate, burst, drop, by_label, values_max));
    }

    fn sampling(&self, pipeline: &mut Pipeline) {
        let reader = self.reader();
        let rate = reader.f64("rate").unwrap_or(1.0);
        if !(0.0..=1.0).contains(&rate) {
            reader.error_at("rate", "must be between 0 and 1");
        }
        let reason = reader.text("drop_counter_reason").unwrap_or_else(|| "sampling".to_owned()).into();
        reader.finish();
        pipeline.push(Sampling { rate, reason });
    }

    fn metrics(&self, pipeline: &mut Pipeline) {
        let Some(entries) = self.node.entries() else {
            self.error(format!("must be a mapping, not {}", self.node.value.shape()));
            return;
        };
        let mut metrics = Vec::new();
        for (key, node) in entries {
            let reader = Reader::new(self.context, node, &format!("{}.{}", self.path, key.text));
            if let Some(metric) = metric(&key.text, &reader) {
                metrics.push(metric);
            }
            reader.finish();
        }
        let stage = Metrics::new(metrics);
        pipeline.metrics.push(Arc::clone(&stage));
        pipeline.stages.push(Stage::Step(stage));
    }
}

fn metric(key: &str, reader: &Reader<'_>) -> Option<Metric> {
    let name = format!("{}{key}", reader.text("prefix").unwrap_or_else(|| "promtail_custom_".to_owned()));
    if !is_classic_metric_name(&name) {
        let node = reader.node();
        reader.context().error(node.line, node.column, format!("{name:?} is not the name of a metric"));
    }
    let kind = reader.required_text("type").to_lowercase();
    let help = reader.text("description").unwrap_or_default();
    let source = reader.text("source").filter(|s| !s.is_empty()).unwrap_or_else(|| key.to_owned());
    let max_idle = Duration::from_millis(reader.duration_ms("max_idle_duration").unwrap_or(300_000));
    let nothing = Node { value: watchfire_model::document::Value::Null, line: reader.node().line, column: reader.node().column };
    let config = reader.map("config").unwrap_or_else(|| Reader::new(reader.context(), &nothing, "config"));
    let (value, match_all) = (config.text("value"), config.bool("match_all").unwrap_or(false));
    let bytes = config.bool("count_entry_bytes").unwrap_or(false);
    let buckets: Vec<f64> = config.list("buckets").iter().filter_map(|n| n.text()?.parse().ok()).collect();
    let action = config.word("action", &["inc", "dec", "set", "add", "sub"]);
    let kind = match kind.as_str() {
        "counter" => MetricKind::Counter,
        "gauge" => MetricKind::Gauge,
        "histogram" => {
            if buckets.is_empty() || !buckets.is_sorted() {
                config.error_at("buckets", "must be a list of ascending numbers");
            }
            MetricKind::Histogram(buckets)
        }
        other => {
            reader.error_at("type", format!("must be Counter, Gauge or Histogram, not {other:?}"));
            config.finish();
            return None;
        }
    };
    let action = match action {
        _ if bytes => MetricAction::Bytes,
        Some("dec") => MetricAction::Dec,
        Some("set") => MetricAction::Set,
        Some("add") => MetricAction::Add,
        Some("sub") => MetricAction::Sub,
        _ => MetricAction::Inc,
    };
    if kind == MetricKind::Counter && !matches!(action, MetricAction::Inc | MetricAction::Add | MetricAction::Bytes) {
        config.error_at("action", "a counter takes inc or add");
    }
    config.finish();
    Some(Metric { name, help, kind, source, value, match_all, action, max_idle })
}

impl Pipeline {
    fn push(&mut self, step: impl super::super::stages::Step + 'static) {
        self.stages.push(Stage::step(step));
    }

    /// A time that no stage extracts would never be read. When lines are JSON, it is clear where it was meant to come from.
    fn extract_for_time(&mut self, place: &Reading<'_>, source: &str) {
        if self.extracted.iter().any(|name| name == source) {
            return;
        }
        // Labels are there from the beginning; what is never there is for the doctor to say.
        let Some(at) = self.json_at else { return };
        place.warn(&format!("the stage json does not extract {source:?}; it is read from the JSON of the line all the same"));
        let json = Json { expressions: vec![(source.to_owned(), JsonPath::name(source))], source: None, drop_malformed: false };
        self.stages.insert(at + 1, Stage::step(json));
        self.extracted.push(source.to_owned());
    }
}
