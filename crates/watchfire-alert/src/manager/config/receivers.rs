//! `receivers`: who can be told, and by which integrations. What an integration's keys mean is known in its own folder.

use std::collections::HashSet;
use std::sync::Arc;

use watchfire_model::document::{Node, Reader};

use crate::receivers::{Integration, KINDS, Kind, Making, check_fields};

/// The most receivers.
const RECEIVERS_MAX: usize = 2_000;
/// The most integrations of one receiver.
const INTEGRATIONS_MAX: usize = 100;

/// Somebody who can be told.
pub struct Receiver {
    /// The name.
    pub name: String,
    /// The ways to tell, in Alertmanager's order.
    pub integrations: Vec<Configured>,
    /// Kinds that the file names and nobody delivers to.
    pub undelivered: Vec<&'static str>,
}

/// One way to tell a receiver.
#[derive(Clone)]
pub struct Configured {
    /// The kind's name.
    pub kind: &'static str,
    /// Its place among those of its kind.
    pub index: usize,
    /// Whether it hears of resolved alerts.
    pub send_resolved: bool,
    /// What delivers.
    pub integration: Arc<dyn Integration>,
}

/// The names of all receivers, before any is read: routes refer to them.
pub(super) fn names(root: &Node) -> HashSet<String> {
    let items = root.get("receivers").and_then(Node::items).unwrap_or(&[]);
    items.iter().filter_map(|item| item.get("name")?.text().map(str::to_owned)).collect()
}

/// Reads `receivers`.
pub(super) fn read(root: &Reader<'_>, making: &Making<'_>) -> Vec<Receiver> {
    let readers = root.maps("receivers");
    if readers.len() > RECEIVERS_MAX {
        root.error_at("receivers", format!("more than {RECEIVERS_MAX} receivers"));
        return Vec::new();
    }
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for reader in readers {
        let receiver = read_one(&reader, making);
        if !receiver.name.is_empty() && !seen.insert(receiver.name.clone()) {
            reader.error_at("name", format!("notification config name {:?} is not unique", receiver.name));
        }
        let nobody = KINDS.iter().all(|kind| reader.list(kind.key).is_empty());
        if nobody {
            reader.warning_at("name", format!("the receiver {:?} has no integration: alerts that go there reach nobody", receiver.name));
        }
        reader.finish();
        all.push(receiver);
    }
    all
}

fn read_one(reader: &Reader<'_>, making: &Making<'_>) -> Receiver {
    let mut receiver = Receiver { name: reader.required_text("name"), integrations: Vec::new(), undelivered: Vec::new() };
    for kind in &KINDS {
        let items = reader.maps(kind.key);
        if receiver.integrations.len() + items.len() > INTEGRATIONS_MAX {
            reader.error_at(kind.key, format!("more than {INTEGRATIONS_MAX} integrations in one receiver"));
            continue;
        }
        for (index, item) in items.into_iter().enumerate() {
            read_integration(kind, index, item, making, &mut receiver);
        }
    }
    receiver
}

fn read_integration(kind: &'static Kind, index: usize, reader: Reader<'_>, making: &Making<'_>, receiver: &mut Receiver) {
    let send_resolved = reader.bool("send_resolved").unwrap_or(kind.send_resolved);
    match kind.make {
        Some(make) => {
            let made = make(&reader, making);
            receiver.integrations.extend(made.map(|integration| Configured { kind: kind.name, index, send_resolved, integration }));
        }
        None => {
            making.http(&reader);
            check_fields(kind, &reader, making);
            let node = reader.node();
            let message = format!("{} is read but this version does not deliver to it: nobody is told by this entry", kind.key);
            reader.context().warning(node.line, node.column, message);
            receiver.undelivered.push(kind.name);
        }
    }
    reader.finish();
}
