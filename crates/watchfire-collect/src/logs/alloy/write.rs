//! `loki.write`: what leads to ourselves is kept; what leads elsewhere becomes an output.

use watchfire_model::document::{Key, Node, Value as Tree};

use super::flow::Flows;
use crate::logs::outputs::{self, is_ours};
use crate::logs::stages::{MissingLabels, Stage};

/// What Alloy's endpoint has by other names than Promtail's client.
const RENAMED: [(&str, &str); 3] = [("batch_wait", "batchwait"), ("batch_size", "batchsize"), ("remote_timeout", "timeout")];

/// The stages before lines are kept. The endpoints are read with the first source that leads here.
pub(super) fn stages(flows: &mut Flows<'_>, number: usize) -> Vec<Stage> {
    let Some(document) = flows.document(number, &["endpoint"]) else { return Vec::new() };
    let labels = document.get("external_labels").cloned();
    let mut outputs = Vec::new();
    let mut ours = false;
    let first = flows.once(number);
    for endpoint in document.get("endpoint").and_then(Node::items).unwrap_or(&[]) {
        let url = endpoint.get("url").and_then(Node::text).unwrap_or_default();
        if is_ours(url) {
            ours = true;
        }
        if first {
            outputs.extend(outputs::read(
                flows.context,
                &as_client(endpoint, labels.as_ref()),
                &format!("{}.endpoint", flows.id(number)),
                &flows.outside.lookup,
            ));
        }
    }
    let external = flows.read(number, &["endpoint"], |reader| {
        let external = reader.text_map("external_labels");
        if reader.list("endpoint").is_empty() && first {
            let node = reader.node();
            reader.context().warning(node.line, node.column, format!("{}: there is no endpoint; lines are kept here", flows.id(number)));
        }
        reader.allow(&["max_streams", "wal"]);
        external
    });
    if first {
        let from = flows.collected.outputs.len();
        flows.outputs_of.insert(number, (from..from + outputs.len()).collect());
        flows.collected.outputs.extend(outputs);
    }
    let outputs = flows.outputs_of.get(&number).cloned().unwrap_or_default();
    flows.leads_to.extend(outputs);
    match external.unwrap_or_default() {
        labels if ours && !labels.is_empty() => vec![Stage::step(MissingLabels(labels))],
        _ => Vec::new(),
    }
}

/// An endpoint in the form of Promtail's client.
fn as_client(endpoint: &Node, labels: Option<&Node>) -> Node {
    let mut client = Vec::new();
    let mut backoff = Vec::new();
    for (key, value) in endpoint.entries().unwrap_or(&[]) {
        let renamed = |text: &str| Key { text: text.into(), line: key.line, column: key.column };
        match &*key.text {
            "min_backoff_period" => backoff.push((renamed("min_period"), value.clone())),
            "max_backoff_period" => backoff.push((renamed("max_period"), value.clone())),
            "max_backoff_retries" => backoff.push((renamed("max_retries"), value.clone())),
            // What waits is on disk here in any case, and rate limits are waited for.
            "queue_config" | "retry_on_http_429" | "enable_http2" => {}
            other => {
                let theirs = RENAMED.iter().find(|(name, _)| *name == other).map_or(other, |(_, theirs)| theirs);
                client.push((renamed(theirs), value.clone()));
            }
        }
    }
    let named = |text: &str| Key { text: text.into(), line: endpoint.line, column: endpoint.column };
    if !backoff.is_empty() {
        client.push((named("backoff_config"), Node { value: Tree::Map(backoff), line: endpoint.line, column: endpoint.column }));
    }
    client.extend(labels.map(|labels| (named("external_labels"), labels.clone())));
    Node { value: Tree::Map(client), line: endpoint.line, column: endpoint.column }
}
