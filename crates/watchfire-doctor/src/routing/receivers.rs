//! Receivers: where they deliver to, and whether that is the very program that is watched.

use std::collections::BTreeMap;

use watchfire_model::document::{Node, Value};

use crate::document::{Document, items, text};
use crate::report::{Code, Diagnosis};
use crate::scraping::{scrape_configs, targets};

/// A receiver.
pub(super) struct Receiver<'a> {
    pub(super) node: &'a Node,
    /// What tells the places apart, and what they are called.
    places: Vec<(String, String)>,
}
impl Receiver<'_> {
    pub(super) fn is_silent(&self) -> bool {
        self.places.is_empty()
    }
    /// What both deliver to.
    pub(super) fn shared_with(&self, other: &Receiver<'_>) -> Option<String> {
        self.places.iter().find(|(id, _)| other.places.iter().any(|(o, _)| o == id)).map(|(_, name)| name.clone())
    }
}

pub(super) fn read(document: &Document) -> BTreeMap<&str, Receiver<'_>> {
    let one = |node| Some((text(node, "name")?, Receiver { node, places: places(node) }));
    items(&document.node, "receivers").iter().filter_map(one).collect()
}

/// The integrations of a receiver.
fn integrations(receiver: &Node) -> impl Iterator<Item = (&str, &Node)> {
    let entries = receiver.entries().unwrap_or(&[]).iter();
    entries.filter_map(|(key, node)| Some((key.text.strip_suffix("_configs")?, node))).flat_map(|(kind, node)| {
        let items = node.items().unwrap_or(&[]);
        items.iter().map(move |item| (kind, item))
    })
}

fn places(receiver: &Node) -> Vec<(String, String)> {
    integrations(receiver)
        .map(|(kind, item)| {
            let mut id = format!("{kind} ");
            write_down(item, &mut id);
            let name = ["url", "channel", "to", "room_id", "chat_id", "service_key", "routing_key"].iter().find_map(|key| text(item, key)).unwrap_or(kind);
            (id, name.to_owned())
        })
        .collect()
}

/// The settings of an integration without those that do not say where to.
fn write_down(node: &Node, out: &mut String) {
    match &node.value {
        Value::Null => out.push('~'),
        Value::Scalar { text, .. } => out.extend(["\"", text, "\""]),
        Value::List(items) => items.iter().for_each(|item| write_down(item, out)),
        Value::Map(entries) => {
            let mut sorted: Vec<_> = entries.iter().filter(|(key, _)| &*key.text != "send_resolved").collect();
            sorted.sort_by_key(|(key, _)| key.text.clone());
            for (key, value) in sorted {
                out.extend([&key.text, ":"]);
                write_down(value, out);
            }
        }
    }
}

/// Receivers at an address that a job scrapes.
pub(super) fn watched(document: &Document, site: &[Document], found: &mut Vec<Diagnosis>) {
    for receiver in items(&document.node, "receivers") {
        let name = text(receiver, "name").unwrap_or_default();
        for (_, item) in integrations(receiver) {
            let Some((at, host)) = item.get("url").and_then(|at| Some((at, host_of(at.text()?)?))) else { continue };
            let job = site.iter().flat_map(scrape_configs).find(|config| targets(config).any(|t| t.text() == Some(host.as_str())));
            if let Some(job) = job.and_then(|config| text(config, "job_name")) {
                let message = format!("it tells {host}, which the job {job} watches: when that is down, nobody hears of it");
                let suggestion = "tell somebody outside of what is watched as well".to_owned();
                found.push(document.say(at, Code::ReceiverIsWatched, &format!("receiver {name}"), message, Some(suggestion)));
            }
        }
    }
}

/// Host and port of a URL.
fn host_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    Some(if has_port { host.to_owned() } else { format!("{host}:{}", if scheme == "https" { 443 } else { 80 }) })
}
