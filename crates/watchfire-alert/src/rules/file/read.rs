//! The tree of a document → groups of rules. Messages follow those of Prometheus where it has one.

use watchfire_model::document::{Context, Node, Reader, Severity, parse_yaml};
use watchfire_model::order::Order as _;

use super::duplicates::warn_duplicates;
use super::{Language, Parsed, Place, Rule, RuleExpr, RuleFile, RuleGroup, RuleKind};
use crate::rules::Expand;

/// At most so many rules are taken from one file.
pub const RULES_MAX: usize = 10_000;

/// Reads a file from its text. Without something that expands them, templates are not looked at.
pub fn read(file: &str, text: &str, templates: Option<&dyn Expand>) -> Parsed {
    match parse_yaml(file, text) {
        Ok(root) => read_node(file, &root, templates),
        Err(finding) => Parsed { file: None, findings: vec![*finding] },
    }
}

/// Reads a file of rules over metrics from its tree.
pub fn read_node(file: &str, root: &Node, templates: Option<&dyn Expand>) -> Parsed {
    read_as(Language::Metrics, file, root, templates)
}

/// Reads a file of rules over logs from its tree.
pub fn read_logs(file: &str, root: &Node, templates: Option<&dyn Expand>) -> Parsed {
    read_as(Language::Logs, file, root, templates)
}

/// What a file is meant to be that nobody has named as one or the other: what has Loki in its name, and what is nothing but LogQL.
pub fn language_of(file: &str, root: &Node) -> Language {
    let named = std::path::Path::new(file).iter().rev().take(3).any(|part| part.to_string_lossy().to_lowercase().contains("loki"));
    let errors = |parsed: Parsed| parsed.findings.iter().filter(|f| f.severity == Severity::Error).count();
    let (metrics, logs) = (errors(read_node(file, root, None)), errors(read_logs(file, root, None)));
    let alike = metrics == logs && named;
    if logs < metrics || alike { Language::Logs } else { Language::Metrics }
}

fn read_as(language: Language, file: &str, root: &Node, templates: Option<&dyn Expand>) -> Parsed {
    let context = Context::new(file);
    let reader = Reader::new(&context, root, "");
    let groups = read_groups(&reader, &As { language, templates });
    reader.finish();
    warn_duplicates(&context, &groups);
    let findings = context.into_findings();
    let failed = findings.iter().any(|f| f.severity == Severity::Error);
    Parsed { file: (!failed).then(|| RuleFile { name: file.into(), language, groups }), findings }
}

/// How a file is read.
struct As<'a> {
    language: Language,
    templates: Option<&'a dyn Expand>,
}

fn read_groups(root: &Reader<'_>, read: &As<'_>) -> Vec<RuleGroup> {
    let mut groups: Vec<RuleGroup> = Vec::new();
    let mut rules = 0;
    for reader in root.maps("groups") {
        let node = reader.node();
        let group = read_group(reader, read);
        rules += group.rules.len();
        if rules > RULES_MAX {
            root.context().error(node.line, node.column, format!("more than {RULES_MAX} rules in one file"));
            break;
        }
        if groups.iter().any(|g| g.name == group.name) && !group.name.is_empty() {
            let place = node.get("name").map_or(place(node), place);
            root.context().error(place.line, place.column, format!("groupname: {:?} is repeated in the same file", group.name));
        }
        groups.push(group);
    }
    groups
}

fn place(node: &Node) -> Place {
    Place { line: node.line, column: node.column }
}

fn read_group(reader: Reader<'_>, read: &As<'_>) -> RuleGroup {
    let labels = read_labels(&reader);
    let group = RuleGroup {
        name: reader.required_text("name"),
        interval_ms: reader.duration_ms("interval").filter(|ms| *ms > 0),
        query_offset_ms: reader.duration_ms("query_offset"),
        limit: read_limit(&reader),
        rules: reader.maps("rules").into_iter().filter_map(|rule| read_rule(rule, &labels, read)).collect(),
        at: place(reader.node()),
    };
    for (key, program) in [("partial_response_strategy", "Thanos"), ("source_tenants", "Mimir"), ("remote_write", "older rulers")] {
        if reader.raw(key).is_some() {
            reader.warning_at(key, format!("means something to {program} only; Prometheus refuses a file with it, here it has no effect"));
        }
    }
    reader.finish();
    group
}

/// Zero and below are no limit, as in Prometheus.
fn read_limit(reader: &Reader<'_>) -> usize {
    let Some(node) = reader.raw("limit") else { return 0 };
    match node.text().and_then(|t| t.parse::<i64>().ok()) {
        Some(limit) => {
            if limit < 0 {
                reader.warning_at("limit", "a limit below zero is none");
            }
            usize::try_from(limit).unwrap_or(0)
        }
        None => {
            reader.error_at("limit", format!("must be a whole number, not {:?}", node.text().unwrap_or(node.value.shape())));
            0
        }
    }
}

/// The name and whether it is an alert's; `None` when it has none or two.
fn read_name(reader: &Reader<'_>) -> Option<(String, bool)> {
    let filled = |key| reader.text(key).filter(|t| !t.is_empty());
    let problem = match (filled("record"), filled("alert")) {
        (Some(record), None) => return Some((record, false)),
        (None, Some(alert)) => return Some((alert, true)),
        (Some(_), Some(_)) => "only one of 'record' and 'alert' must be set",
        (None, None) => "one of 'record' or 'alert' must be set",
    };
    error_at_rule(reader, problem);
    None
}

fn error_at_rule(reader: &Reader<'_>, message: &str) {
    let path = reader.path_of("");
    reader.context().error(reader.node().line, reader.node().column, format!("{}: {message}", path.trim_end_matches('.')));
}

fn read_rule(reader: Reader<'_>, of_group: &[(String, String)], read: &As<'_>) -> Option<Rule> {
    let name = read_name(&reader);
    let expr = read_expr(&reader, read.language);
    let for_ms = reader.duration_ms("for");
    let keep_firing_for_ms = reader.duration_ms("keep_firing_for");
    let mut labels = read_labels(&reader);
    let annotations = read_annotations(&reader);
    match &name {
        Some((record, false)) => check_record(&reader, record, for_ms, keep_firing_for_ms, !annotations.is_empty()),
        Some((alert, true)) => {
            if let Some(templates) = read.templates {
                check_templates(&reader, alert, templates);
            }
        }
        None => {}
    }
    let (at, expr_at) = (place(reader.node()), reader.node().get("expr").map(place).unwrap_or_default());
    reader.finish();
    labels.extend(of_group.iter().filter(|(name, _)| !labels.iter().any(|(own, _)| own == name)).cloned().collect::<Vec<_>>());
    labels.order();
    let (name, is_alert) = name?;
    let kind = if is_alert {
        RuleKind::Alert { for_ms: for_ms.unwrap_or(0), keep_firing_for_ms: keep_firing_for_ms.unwrap_or(0), annotations }
    } else {
        RuleKind::Record
    };
    Some(Rule { name, kind, expr: expr?, labels, at, expr_at })
}

fn read_expr(reader: &Reader<'_>, language: Language) -> Option<RuleExpr> {
    let text = reader.text("expr").filter(|t| !t.is_empty());
    let Some(text) = text else {
        error_at_rule(reader, "field 'expr' must be set in rule");
        return None;
    };
    let refused = match RuleExpr::parse(language, &text) {
        Ok(expr) => return Some(expr),
        Err(refused) => refused,
    };
    let message = format!("could not parse expression: {}", refused.message);
    match (refused.at, reader.node().get("expr")) {
        (Some((line, column)), Some(node)) => {
            // The first line begins where the node does, the others at the left of a block.
            let column = if line == 1 { node.column + column - 1 } else { column };
            reader.context().error(node.line + line - 1, column, format!("{}: {message}", reader.path_of("expr")));
        }
        _ => reader.error_at("expr", message),
    }
    None
}

/// Labels as they are written, with what is wrong with their names.
fn read_labels(reader: &Reader<'_>) -> Vec<(String, String)> {
    let labels = reader.text_map("labels");
    let node = reader.node().get("labels");
    for (key, _) in node.and_then(Node::entries).unwrap_or(&[]) {
        if key.text.is_empty() || &*key.text == "__name__" {
            reader.context().error(key.line, key.column, format!("invalid label name: {}", key.text));
        }
    }
    labels
}

fn read_annotations(reader: &Reader<'_>) -> Vec<(String, String)> {
    let mut annotations = reader.text_map("annotations");
    if annotations.iter().any(|(name, _)| name.is_empty()) {
        reader.error_at("annotations", "invalid annotation name: ");
    }
    annotations.order();
    annotations
}

fn check_record(reader: &Reader<'_>, record: &str, for_ms: Option<u64>, keep_firing_for_ms: Option<u64>, annotations: bool) {
    for (key, given) in [("annotations", annotations), ("for", for_ms.unwrap_or(0) > 0), ("keep_firing_for", keep_firing_for_ms.unwrap_or(0) > 0)] {
        if given {
            reader.error_at(key, format!("invalid field '{key}' in recording rule"));
        }
    }
    if record.contains(['{', '}']) {
        reader.error_at("record", format!("braces present in the recording rule name; should it be in expr?: {record}"));
    }
}

/// Parses every template of an alert, so that a misspelt one is known before the alert is needed.
fn check_templates(reader: &Reader<'_>, alert: &str, templates: &dyn Expand) {
    for (key, what) in [("labels", "label"), ("annotations", "annotation")] {
        for (name, value) in reader.node().get(key).and_then(Node::entries).unwrap_or(&[]) {
            if let Some(Err(reason)) = value.text().map(|text| templates.check(alert, text)) {
                reader.context().error(value.line, value.column, format!("{what} {:?}: {reason}", name.text));
            }
        }
    }
}
