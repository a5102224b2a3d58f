//! Static targets that are whole URLs (`http://backend:8000/metrics`). Prometheus refuses them unless the job has
//! `relabel_configs`. Where one meaning only is possible we take it, with a warning; otherwise it is an error as there.

use watchfire_model::document::{Context, Key, Node, Reader, Value};

use super::job::ScrapeConfig;
use crate::discovery::ADDRESS;

/// What a target with a slash in it means.
#[derive(Debug, PartialEq)]
enum Meaning {
    /// An address with scheme and path, written as one.
    Parts { scheme: Option<&'static str>, address: String, path: Option<String>, query: Vec<(String, String)> },
    /// A URL to be probed by this exporter.
    Probed { exporter: &'static str },
    /// Nobody can tell.
    Unclear,
}

fn meaning(target: &str, job: &ScrapeConfig) -> Meaning {
    let (scheme, rest) = match target.split_once("://") {
        Some(("http", rest)) => (Some("http"), rest),
        Some(("https", rest)) => (Some("https"), rest),
        Some(_) => (None, target),
        None => (None, target),
    };
    if job.metrics_path == "/probe" && !job.params.contains_key("target") {
        return probe_exporter(job).map_or(Meaning::Unclear, |exporter| Meaning::Probed { exporter });
    }
    let (address, path) = rest.split_once('/').map_or((rest, None), |(a, p)| (a, Some(format!("/{p}"))));
    let odd = address.is_empty() || address.contains(['@', ' ']) || target.contains("://") && scheme.is_none();
    // A path in the target and another one in the job contradict each other.
    let (path, query) = split_query(path);
    let contradicts = path.as_deref().is_some_and(|p| p != "/" && job.metrics_path != "/metrics" && p != job.metrics_path);
    if odd || contradicts {
        return Meaning::Unclear;
    }
    Meaning::Parts { scheme, address: address.to_owned(), path: path.filter(|p| p != "/"), query }
}

fn split_query(path: Option<String>) -> (Option<String>, Vec<(String, String)>) {
    let Some((before, query)) = path.as_deref().and_then(|p| p.split_once('?')) else { return (path, Vec::new()) };
    let pairs = query.split('&').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    (Some(before.to_owned()), pairs)
}

/// The exporter that a probing job means, told by its name and its module.
fn probe_exporter(job: &ScrapeConfig) -> Option<&'static str> {
    let name = job.name.to_ascii_lowercase();
    let module = job.params.get("module").and_then(|m| m.first()).map(String::as_str).unwrap_or("");
    let by_module = ["http", "tcp", "icmp", "dns", "grpc"].iter().any(|prober| module.starts_with(prober));
    if name.contains("json") {
        Some("json-exporter:7979")
    } else if name.contains("blackbox") || by_module {
        Some("blackbox-exporter:9115")
    } else {
        None
    }
}

/// Says what becomes of the URLs among the static targets.
pub(super) fn check(reader: &Reader<'_>, job: &ScrapeConfig) {
    if !job.relabel.is_empty() {
        return;
    }
    for target in targets(reader.raw("static_configs")) {
        let text = target.text().unwrap_or("");
        if text.contains('/') {
            report(reader.context(), target, text, &meaning(text, job));
        }
    }
}

fn report(context: &Context, at: &Node, text: &str, meaning: &Meaning) {
    match meaning {
        Meaning::Parts { address, .. } => context.warning(
            at.line,
            at.column,
            format!("{text:?} is not a valid hostname and Prometheus refuses it; it is read as address {address:?} with its own scheme and path"),
        ),
        Meaning::Probed { exporter } => context.warning(
            at.line,
            at.column,
            format!("{text:?} is not a valid hostname and Prometheus refuses it: relabel_configs that set __param_target and the exporter's address are missing; it is read as a URL to be probed by {exporter}"),
        ),
        Meaning::Unclear => context.error(
            at.line,
            at.column,
            format!("{text:?} is not a valid hostname; write host:port, and the rest as scheme, metrics_path and params"),
        ),
    }
}

fn targets(node: Option<&Node>) -> impl Iterator<Item = &Node> {
    node.and_then(Node::items).unwrap_or(&[]).iter().filter_map(|g| g.get("targets")?.items()).flatten()
}

/// The static configurations with every URL put into groups of its own, with the labels that say what it means.
pub(super) fn rewrite(node: &Node, job: &ScrapeConfig) -> Node {
    let Some(groups) = node.items().filter(|_| job.relabel.is_empty()) else { return node.clone() };
    let mut out = Vec::new();
    for group in groups {
        let Some(items) = group.get("targets").and_then(Node::items) else {
            out.push(group.clone());
            continue;
        };
        let (urls, plain): (Vec<&Node>, Vec<&Node>) = items.iter().partition(|t| t.text().is_some_and(|t| t.contains('/')));
        out.push(with_targets(group, plain.into_iter().cloned().collect(), &[]));
        for url in urls {
            let labels = labels_of(url.text().unwrap_or(""), job);
            let address = labels.iter().find(|(n, _)| n == ADDRESS).map_or("", |(_, v)| v.as_str());
            let target = Node { value: Value::Scalar { text: address.into(), plain: false }, ..url.clone() };
            out.push(with_targets(group, vec![target], &labels));
        }
    }
    Node { value: Value::List(out), ..node.clone() }
}

fn labels_of(target: &str, job: &ScrapeConfig) -> Vec<(String, String)> {
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    match meaning(target, job) {
        Meaning::Probed { exporter } => vec![own(ADDRESS, exporter), own("__param_target", target), own("instance", target)],
        Meaning::Parts { scheme, address, path, query } => {
            let mut labels = vec![own(ADDRESS, &address)];
            labels.extend(scheme.map(|s| own("__scheme__", s)));
            labels.extend(path.map(|p| own("__metrics_path__", &p)));
            labels.extend(query.iter().map(|(k, v)| own(&format!("__param_{k}"), v)));
            labels
        }
        Meaning::Unclear => vec![own(ADDRESS, target)],
    }
}

/// A copy of a group with other targets and more labels; labels that the group sets itself win.
fn with_targets(group: &Node, targets: Vec<Node>, more: &[(String, String)]) -> Node {
    let at = |value| Node { value, line: group.line, column: group.column };
    let key = |text: &str| Key { text: text.into(), line: group.line, column: group.column };
    let mut entries = group.entries().unwrap_or(&[]).to_vec();
    entries.retain(|(k, _)| &*k.text != "targets" && &*k.text != "labels");
    entries.push((key("targets"), at(Value::List(targets))));
    let written = group.get("labels");
    let mut labels = written.and_then(Node::entries).unwrap_or(&[]).to_vec();
    for (name, value) in more.iter().filter(|(n, _)| n != ADDRESS) {
        if !labels.iter().any(|(k, _)| *k.text == **name) {
            labels.push((key(name), at(Value::Scalar { text: value.as_str().into(), plain: false })));
        }
    }
    match written {
        // A value of the wrong shape is kept, so that its reader can report it.
        Some(wrong) if wrong.entries().is_none() => entries.push((key("labels"), wrong.clone())),
        _ => entries.push((key("labels"), at(Value::Map(labels)))),
    }
    at(Value::Map(entries))
}
