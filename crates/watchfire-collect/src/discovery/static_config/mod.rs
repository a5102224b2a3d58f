//! `static_configs`: targets that stand in the configuration itself. They never change while it runs.

use std::sync::Arc;

use tokio::sync::mpsc;
use watchfire_model::document::{Node, Reader};
use watchfire_model::meter::Meter;

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
        let reader = Reader::new(place.context, item, &format!("{}[{i}]", place.path));
        let targets = reader.texts("targets", false).into_iter().map(|t| vec![(ADDRESS.to_owned(), t)]).collect();
        let labels = read_labels(&reader);
        reader.finish();
        TargetGroup { source: format!("{source}{i}"), targets, labels }
    };
    items.iter().enumerate().map(group).collect()
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
