//! `static_configs`: targets that stand in the configuration itself. They never change while it runs.

use std::sync::Arc;

use serde_json::Value as Json;
use tokio::sync::mpsc;
use watchfire_model::document::{Context, Key, Node, Reader, Severity, Value};
use watchfire_model::meter::Meter;

use super::glob::Lookup;
use super::{ADDRESS, Discovery, Mechanism, Place, Running, Surroundings, TargetGroup, Update};

/// The registry entry.
pub const MECHANISM: Mechanism = Mechanism { key: "static_configs", read };

/// One list of static groups.
pub struct Static {
    groups: Vec<TargetGroup>,
}
impl Static {
    /// Targets known beforehand.
    pub fn new(groups: Vec<TargetGroup>) -> Static {
        Static { groups }
    }
}

fn read(place: &Place<'_>, node: &Node) -> Vec<Arc<dyn Discovery>> {
    vec![Arc::new(Static::new(read_groups(place, node, "")))]
}

/// Reads a list of groups, `[{targets: [...], labels: {...}}]`, as static configurations and target files have it.
pub fn read_groups(place: &Place<'_>, node: &Node, source: &str) -> Vec<TargetGroup> {
    let Some(items) = node.items() else {
        place.context.error(node.line, node.column, format!("{} must be a list, not {}", place.path, node.value.shape()));
        return Vec::new();
    };
    let group = |(i, item): (usize, &Node)| {
        if item.is_null() {
            place.context.error(item.line, item.column, format!("{}[{i}] is empty", place.path));
        }
        let reader = Reader::new(place.context, item, &format!("{}[{i}]", place.path));
        let targets = reader.texts("targets", false).into_iter().map(|t| vec![(ADDRESS.to_owned(), t)]).collect();
        let labels = read_labels(&reader);
        reader.finish();
        TargetGroup { source: format!("{source}{i}"), targets, labels }
    };
    items.iter().enumerate().map(group).collect()
}

/// Reads a list of groups that another program wrote, in which nothing may be wrong.
pub fn groups_of(name: &str, root: &Node) -> Result<Vec<TargetGroup>, String> {
    let context = Context::new(name);
    let lookup = Lookup::default();
    let groups = read_groups(&Place { context: &context, lookup: &lookup, path: String::new() }, root, &format!("{name}:"));
    let wrong = context.into_findings().into_iter().find(|finding| finding.severity == Severity::Error);
    wrong.map_or(Ok(groups), |first| Err(first.to_string()))
}

/// Reads JSON. It is no YAML: characters may be escaped in halves, and an empty text is none.
pub fn parse_json(name: &str, text: &[u8]) -> Result<Node, String> {
    serde_json::from_slice(text).map(node_of).map_err(|error| format!("{name}: it is no JSON: {error}"))
}

fn node_of(json: Json) -> Node {
    let plain = |text: &str| Value::Scalar { text: text.into(), plain: true };
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => plain(if flag { "true" } else { "false" }),
        Json::Number(number) => plain(&number.to_string()),
        Json::String(text) => Value::Scalar { text: text.into(), plain: false },
        Json::Array(items) => Value::List(items.into_iter().map(node_of).collect()),
        Json::Object(entries) => {
            let key = |text: String| Key { text: text.as_str().into(), line: 0, column: 0 };
            Value::Map(entries.into_iter().map(|(name, value)| (key(name), node_of(value))).collect())
        }
    };
    Node { value, line: 0, column: 0 }
}

fn read_labels(reader: &Reader<'_>) -> Vec<(String, String)> {
    let labels = reader.text_map("labels");
    for (name, _) in &labels {
        if name.is_empty() {
            reader.error_at("labels", "a label name must not be empty");
        }
    }
    labels
}

impl Discovery for Static {
    fn initial(&self, _meter: &Meter) -> Option<Vec<TargetGroup>> {
        Some(self.groups.clone())
    }
    fn run(self: Arc<Self>, _from: usize, _surroundings: Surroundings, _updates: mpsc::Sender<Update>) -> Option<Running> {
        None
    }
}
