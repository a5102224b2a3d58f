//! `filebeat.yml`: inputs that read files, what is added to their events, and processors. Events are kept as Elasticsearch would show them,
//! as JSON documents, so that Kibana's questions find their fields. Filebeat passes over keys that it does not know; here each is a warning.

mod condition;
mod container;
mod dissect;
mod event;
mod inputs;
mod outputs;
mod processors;
mod rarer;
#[cfg(test)]
mod tests;
mod tree;

use watchfire_model::document::{Context, Finding, Node, Reader, Severity, parse_yaml};

use super::Collected;
use super::promtail::Parsed;

/// What reading needs from outside.
pub struct Outside<'a> {
    /// The environment, for `${NAME:default}`.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// The name of this machine.
    pub host: &'a str,
}

/// Reads a configuration from its text.
pub fn parse(file: &str, text: &str, outside: &Outside<'_>) -> Parsed {
    match parse_yaml(file, text) {
        Ok(root) => parse_node(file, &root, outside),
        Err(finding) => Parsed { config: None, findings: vec![*finding] },
    }
}

/// Reads a configuration from a document that is already a tree.
pub fn parse_node(file: &str, root: &Node, outside: &Outside<'_>) -> Parsed {
    let context = Context::new(file);
    let root = tree::expand(root, outside.environment);
    let config = read(&context, &root, outside);
    let mut findings = context.into_findings();
    for finding in &mut findings {
        // Filebeat starts with them.
        if finding.message.starts_with("unknown key") {
            finding.severity = Severity::Warning;
        }
    }
    let failed = findings.iter().any(|f: &Finding| f.severity == Severity::Error);
    Parsed { config: (!failed).then_some(config), findings }
}

fn read(context: &Context, root: &Node, outside: &Outside<'_>) -> Collected {
    let root = Reader::new(context, root, "");
    let mut collected = Collected::default();
    let common = inputs::Common {
        fields: root.raw("fields").map(tree::to_json),
        fields_under_root: root.bool("fields_under_root").unwrap_or(false),
        tags: root.texts("tags", true),
        processors: processors::read_list(&root, outside.host),
        host: root.text("name").unwrap_or_else(|| outside.host.to_owned()),
    };
    if let Some(filebeat) = root.map("filebeat") {
        for input in filebeat.maps("inputs") {
            inputs::read(input, &common, outside.host, &mut collected);
        }
        for key in ["modules", "autodiscover", "config"] {
            if filebeat.raw(key).is_some() {
                filebeat.warning_at(key, "is not carried out; nothing is read from there");
            }
        }
        filebeat.allow(&["registry", "shutdown_timeout", "overwrite_pipelines"]);
        filebeat.finish();
    }
    if let Some(output) = root.map("output") {
        collected.outputs = outputs::read(output);
    }
    root.allow(&["setup", "logging", "queue", "http", "monitoring", "path", "max_procs", "timestamp", "instrumentation", "cloud", "seccomp", "features"]);
    root.finish();
    collected
}
