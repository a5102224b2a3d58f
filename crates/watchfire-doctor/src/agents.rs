//! Files of the programs around: Promtail, Loki, Filebeat, `grafana.ini`. Only what is certain from the file itself is said.

use std::collections::BTreeSet;

use watchfire_model::document::Node;

use crate::document::{Document, items, some_of, text};
use crate::report::{Code, Diagnosis};

/// How deep stages may stand in each other.
const STAGES_DEPTH_MAX: usize = 10;

/// Stages that read fields which no stage before them has extracted.
pub(crate) fn promtail(document: &Document, found: &mut Vec<Diagnosis>) {
    for config in items(&document.node, "scrape_configs") {
        let job = text(config, "job_name").unwrap_or("a job");
        // The labels of a target are there from the beginning.
        let mut known: BTreeSet<String> = ["filename", "job"].map(str::to_owned).into();
        for group in items(config, "static_configs") {
            known.extend(group.get("labels").and_then(Node::entries).unwrap_or(&[]).iter().map(|(key, _)| key.text.to_string()));
        }
        // Discovery brings labels that nobody knows of.
        let open = config.entries().unwrap_or(&[]).iter().any(|(key, _)| key.text.ends_with("_sd_configs") || key.text.as_ref() == "relabel_configs");
        let mut stages = Stages { document, job, known, open, found };
        stages.walk(items(config, "pipeline_stages"), 0);
    }
}

struct Stages<'a> {
    document: &'a Document,
    job: &'a str,
    known: BTreeSet<String>,
    /// Whether fields may be there that nobody knows of.
    open: bool,
    found: &'a mut Vec<Diagnosis>,
}
impl Stages<'_> {
    fn walk(&mut self, stages: &[Node], depth: usize) {
        for (key, body) in stages.iter().filter_map(Node::entries).flatten() {
            self.stage(&key.text, body, depth);
        }
    }

    fn stage(&mut self, kind: &str, body: &Node, depth: usize) {
        match kind {
            "json" => self.learn_keys(body.get("expressions")),
            "logfmt" => self.learn_keys(body.get("mapping")),
            "regex" => self.learn_groups(text(body, "expression").unwrap_or_default()),
            "template" => self.known.extend(text(body, "source").map(str::to_owned)),
            "cri" => self.known.extend(["stream", "flags", "time", "timestamp", "content"].map(str::to_owned)),
            "docker" => self.known.extend(["output", "stream", "timestamp"].map(str::to_owned)),
            "static_labels" => self.learn_keys(Some(body)),
            "timestamp" | "output" => {
                if let Some(source) = body.get("source") {
                    self.need(kind, source, source.text().unwrap_or_default());
                }
            }
            "labels" | "structured_metadata" => {
                for (name, source) in body.entries().unwrap_or(&[]) {
                    let at = Node { line: name.line, column: name.column, ..source.clone() };
                    self.need(kind, &at, source.text().filter(|s| !s.is_empty()).unwrap_or(&name.text));
                }
            }
            "match" if depth < STAGES_DEPTH_MAX => self.walk(items(body, "stages"), depth + 1),
            "drop" | "limit" | "multiline" | "replace" | "tenant" | "metrics" | "labelallow" | "labeldrop" | "decolorize" | "sampling" => {}
            _ => self.open = true,
        }
    }

    fn learn_keys(&mut self, node: Option<&Node>) {
        self.known.extend(node.and_then(Node::entries).unwrap_or(&[]).iter().map(|(key, _)| key.text.to_string()));
    }
    /// Named groups: `(?P<name>…)` and `(?<name>…)`.
    fn learn_groups(&mut self, expression: &str) {
        for part in expression.split("(?").skip(1) {
            let name = part.trim_start_matches('P').strip_prefix('<').and_then(|rest| rest.split_once('>'));
            self.known.extend(name.map(|(name, _)| name.to_owned()));
        }
    }
    fn need(&mut self, kind: &str, at: &Node, field: &str) {
        if self.open || self.known.contains(field) || field.is_empty() {
            return;
        }
        let effect = match kind {
            "timestamp" => "so every line gets the time at which it was read",
            "output" => "so the line stays as it is",
            _ => "so the label is never set",
        };
        let message = format!("the stage {kind} reads {field}, which no stage before it extracts, {effect}");
        let suggestion = format!("extract it first, for example json: {{expressions: {{{field}: {field}}}}}");
        self.found.push(self.document.say(at, Code::FieldNotExtracted, self.job, message, Some(suggestion)));
    }
}

/// A retention that the compactor does not apply, and a schema that newer versions refuse.
pub(crate) fn loki(document: &Document, found: &mut Vec<Diagnosis>) {
    let root = &document.node;
    let flag = |section: &str, key: &str| root.get(section).and_then(|s| s.get(key)).and_then(Node::as_bool);
    let tables = flag("table_manager", "retention_deletes_enabled") == Some(true);
    if let Some(period) = root.get("limits_config").and_then(|l| l.get("retention_period"))
        && flag("compactor", "retention_enabled") != Some(true)
        && !tables
        && period.text() != Some("0s")
    {
        let message = "nothing is deleted by it: Loki's compactor applies it only with retention_enabled (Watchfire applies it by itself)".to_owned();
        let suggestion = "add compactor: {retention_enabled: true, delete_request_store: filesystem}".to_owned();
        found.push(document.say(period, Code::RetentionNotApplied, "retention_period", message, Some(suggestion)));
    }
    if flag("limits_config", "allow_structured_metadata") == Some(false) {
        return;
    }
    let Some(last) = root.get("schema_config").and_then(|s| items(s, "configs").last()) else { return };
    let (store, schema) = (text(last, "store").unwrap_or_default(), text(last, "schema").unwrap_or_default());
    if (store != "tsdb" && !store.is_empty()) || matches!(schema, "v9" | "v10" | "v11" | "v12") {
        let at = last.get("schema").or_else(|| last.get("store")).unwrap_or(last);
        let message = format!("Loki 3 does not start with schema {schema} and store {store}, because structured metadata need v13 and tsdb");
        let suggestion = "add a newer entry with store: tsdb, schema: v13, or set limits_config.allow_structured_metadata: false".to_owned();
        found.push(document.say(at, Code::SchemaRefused, "schema_config", message, Some(suggestion)));
    }
}

/// Own fields that Filebeat writes below `fields`, where nobody looks for them.
pub(crate) fn filebeat(document: &Document, found: &mut Vec<Diagnosis>) {
    let inputs = document.node.get("filebeat.inputs").or_else(|| document.node.get("filebeat").and_then(|f| f.get("inputs")));
    for input in inputs.and_then(Node::items).unwrap_or(&[]) {
        let Some(fields) = input.get("fields") else { continue };
        if input.get("fields_under_root").and_then(Node::as_bool) == Some(true) {
            continue;
        }
        let names: Vec<&str> = fields.entries().unwrap_or(&[]).iter().map(|(key, _)| &*key.text).collect();
        let Some(first) = names.first() else { continue };
        let subject = items(input, "paths").first().and_then(Node::text).unwrap_or("an input");
        let message = format!("{} end up below fields, so a query for {first}: finds nothing", some_of(names.iter().copied()));
        let suggestion = format!("set fields_under_root: true, or ask for fields.{first}");
        found.push(document.say(fields, Code::FieldsBelow, subject, message, Some(suggestion)));
    }
}
