//! One item of `filebeat.inputs`: which files, how lines become events.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use watchfire_model::document::Reader;

use super::container::ContainerLine;
use super::event::{Event, JsonOptions};
use super::processors::{self, Processor};
use super::rarer;
use super::tree::to_json;
use crate::logs::Collected;
use crate::logs::files::{Encoding, Glob, Group, LINE_BYTES_MAX, Source};
use crate::logs::stages::{Blocks, Drop, Join, Parts, Stage, compile};

/// The most streams whose lines wait for their rest.
const STREAMS_MAX: usize = 100;
/// Settings about how files are watched: what they are for is done here in its own way.
const WATCHING: [&str; 40] = [
    "allow_deprecated_use",
    "backoff",
    "backoff_factor",
    "buffer_size",
    "clean",
    "clean_inactive",
    "clean_removed",
    "close",
    "close_eof",
    "close_inactive",
    "close_removed",
    "close_renamed",
    "close_timeout",
    "combine_partial",
    "compression",
    "data_stream",
    "delete",
    "file_identity",
    "gzip_experimental",
    "harvester_buffer_size",
    "harvester_limit",
    "include_files",
    "index",
    "keep_null",
    "line_terminator",
    "max_backoff",
    "message_max_bytes",
    "path",
    "pipeline",
    "publisher_pipeline",
    "recursive_glob",
    "rotation",
    "scan",
    "scan_frequency",
    "service",
    "symlinks",
    "take_over",
    "timeout",
    "id",
    "format",
];

/// What the whole file says.
pub(super) struct Common {
    pub(super) fields: Option<Value>,
    pub(super) fields_under_root: bool,
    pub(super) tags: Vec<String>,
    pub(super) processors: Vec<Arc<Processor>>,
    pub(super) host: String,
}

/// Reads one input.
pub(super) fn read(input: Reader<'_>, common: &Common, host: &str, out: &mut Collected) {
    let kind = match input.required_text("type").as_str() {
        "log" => "log",
        "filestream" => "filestream",
        "container" => "container",
        "" => return,
        other => {
            input.warning_at("type", format!("inputs of the type {other:?} are not carried out; nothing is read from there"));
            return;
        }
    };
    let enabled = input.bool("enabled").unwrap_or(true);
    let (group, paths) = read_group(&input);
    // Without a name of its own an input is known by what it reads: its place among others may change.
    let name = input.text("id").unwrap_or(paths);
    let mut stages = Vec::new();
    if kind == "container" {
        container(&input, &mut stages);
    }
    let mut json = input.map("json").map(read_json);
    if let Some(multiline) = input.map("multiline") {
        stages.extend(read_multiline(multiline));
    }
    // What is done to the message before all processors.
    let mut parsed = Vec::new();
    for parser in input.maps("parsers") {
        if let Some(multiline) = parser.map("multiline") {
            stages.extend(read_multiline(multiline));
        }
        json = parser.map("ndjson").map(read_ndjson).or(json);
        if let Some(inner) = parser.map("container") {
            container(&inner, &mut stages);
            inner.finish();
        }
        // It may stand there without any settings.
        if parser.has("syslog")
            && let Some(node) = parser.node().get("syslog")
        {
            let inner = Reader::new(parser.context(), node, &parser.path_of("syslog"));
            parsed.push(Arc::new(Processor::parser(rarer::Rarer::syslog(&inner))));
            inner.finish();
        }
        if let Some(inner) = parser.map("include_message") {
            lines(&inner, "patterns", true, &mut stages);
            inner.finish();
        }
        parser.finish();
    }
    lines(&input, "include_lines", true, &mut stages);
    lines(&input, "exclude_lines", false, &mut stages);
    let mut fields: Vec<(Value, bool)> = common.fields.iter().map(|fields| (fields.clone(), common.fields_under_root)).collect();
    fields.extend(input.raw("fields").map(|node| (to_json(node), input.bool("fields_under_root").unwrap_or(false))));
    input.allow(&["fields_under_root"]);
    let mut own = parsed;
    own.extend(processors::read_list(&input, host));
    own.extend(common.processors.iter().cloned());
    let tags = common.tags.iter().cloned().chain(input.texts("tags", true)).collect();
    stages.push(Stage::step(Event { kind, host: common.host.clone(), fields, tags, json, processors: own }));
    let encoding = input.text("encoding").map_or(Encoding::Utf8, |text| {
        Encoding::from_name(&text).unwrap_or_else(|| {
            input.warning_at("encoding", format!("lines in {text} are not read here; they are taken for UTF-8"));
            Encoding::Utf8
        })
    });
    let line_bytes_max = input.bytes("max_bytes").map_or(LINE_BYTES_MAX, |n| (n as usize).clamp(1, LINE_BYTES_MAX));
    input.allow(&WATCHING);
    input.allow(&["prospector", "ignore_inactive"]);
    input.finish();
    if enabled && !group.paths.is_empty() {
        out.files.push(Source {
            name: out.free_name(format!("filebeat/{name}")),
            groups: vec![group],
            stages,
            encoding,
            line_bytes_max,
            skip_empty: true,
            path_label: Some("filename".to_owned()),
            foreign_positions: std::collections::BTreeMap::new(),
        });
    }
}

/// The files, and how the configuration writes them.
fn read_group(input: &Reader<'_>) -> (Group, String) {
    let glob = |text: String| match Glob::new(&text) {
        Ok(glob) => Some(glob),
        Err(error) => {
            input.error_at("paths", error.to_string());
            None
        }
    };
    let paths = input.texts("paths", true);
    if paths.is_empty() {
        let node = input.node();
        input.context().error(node.line, node.column, format!("{} is missing", input.path_of("paths")));
    }
    let mut patterns = input.texts("exclude_files", true);
    let tail = input.bool("tail_files").unwrap_or(false);
    if let Some(scanner) = input.map("prospector").and_then(|prospector| prospector.map("scanner")) {
        patterns.extend(scanner.texts("exclude_files", true));
    }
    let exclude = patterns.iter().filter_map(|text| compile(text).map_err(|error| input.error_at("exclude_files", error)).ok());
    let written = paths.join(",");
    let group = Group {
        exclude_patterns: exclude.collect(),
        paths: paths.into_iter().filter_map(glob).collect(),
        labels: [("job".to_owned(), "filebeat".to_owned())].into(),
        ignore_older: input.duration_ms("ignore_older").filter(|ms| *ms > 0).map(Duration::from_millis),
        from_end: tail,
        ..Group::default()
    };
    (group, written)
}

fn container(reader: &Reader<'_>, stages: &mut Vec<Stage>) {
    let stream = reader.text("stream").filter(|stream| stream != "all");
    reader.allow(&["format"]);
    stages.push(Stage::step(ContainerLine { stream }));
    stages.push(Stage::Parts(Arc::new(Parts { max_streams: STREAMS_MAX, max_bytes: LINE_BYTES_MAX })));
}

fn read_json(json: Reader<'_>) -> JsonOptions {
    let flag = |key| json.bool(key).unwrap_or(false);
    let options = JsonOptions {
        keys_under_root: flag("keys_under_root"),
        overwrite_keys: flag("overwrite_keys"),
        add_error_key: flag("add_error_key"),
        message_key: json.text("message_key"),
        target: "json".to_owned(),
        ignore_errors: flag("ignore_decoding_error"),
    };
    json.allow(&["expand_keys", "document_id"]);
    json.finish();
    options
}

fn read_ndjson(json: Reader<'_>) -> JsonOptions {
    let flag = |key| json.bool(key).unwrap_or(false);
    let target = json.text("target").unwrap_or_default();
    let options = JsonOptions {
        keys_under_root: target.is_empty(),
        overwrite_keys: flag("overwrite_keys"),
        add_error_key: flag("add_error_key"),
        message_key: json.text("message_key"),
        target,
        ignore_errors: flag("ignore_decoding_error"),
    };
    json.allow(&["expand_keys", "document_id", "keys_under_root"]);
    json.finish();
    options
}

fn read_multiline(multiline: Reader<'_>) -> Option<Stage> {
    let kind = multiline.word("type", &["pattern", "count", "while_pattern"]).unwrap_or("pattern");
    let (pattern, count) = match kind {
        // Every line counts.
        "count" => (compile("").ok(), multiline.u64("count_lines").filter(|lines| *lines > 0)),
        _ => (compile(&multiline.required_text("pattern")).map_err(|error| multiline.error_at("pattern", error)).ok(), None),
    };
    if kind == "count" && count.is_none() {
        multiline.error_at("count_lines", "must say how many lines belong together");
    }
    let flush = multiline.text("flush_pattern").and_then(|text| compile(&text).map_err(|error| multiline.error_at("flush_pattern", error)).ok());
    let join = match (kind, multiline.word("match", &["after", "before"])) {
        ("count", _) => Join::Together,
        ("while_pattern", _) => Join::While,
        (_, Some("before")) => Join::Before,
        _ => Join::After,
    };
    let max_lines = multiline.u64("max_lines").unwrap_or(500).max(1);
    let blocks = Blocks {
        pattern: pattern?,
        negate: kind != "count" && multiline.bool("negate").unwrap_or(false),
        join,
        max_wait: Duration::from_millis(multiline.duration_ms("timeout").unwrap_or(5_000)),
        max_lines: count.map_or(max_lines, |count| count.min(max_lines)) as usize,
        cut: kind == "count",
        newline: !multiline.bool("skip_newline").unwrap_or(false),
        flush_pattern: flush,
    };
    multiline.allow(&["count_lines", "pattern", "negate"]);
    multiline.finish();
    Some(Stage::Blocks(Arc::new(blocks)))
}

/// Lines that are wanted, or not.
fn lines(input: &Reader<'_>, key: &'static str, wanted: bool, stages: &mut Vec<Stage>) {
    let patterns: Vec<String> = input.texts(key, true).into_iter().map(|text| format!("(?:{text})")).collect();
    if patterns.is_empty() {
        return;
    }
    match compile(&patterns.join("|")) {
        Err(error) => input.error_at(key, error),
        Ok(expression) => stages.push(Stage::step(Drop {
            sources: Vec::new(),
            separator: String::new(),
            expression: Some(expression),
            value: None,
            older_than: None,
            longer_than: None,
            inverted: wanted,
            reason: key.into(),
        })),
    }
}
