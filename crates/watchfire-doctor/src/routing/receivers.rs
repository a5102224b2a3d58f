//! Receivers: where they deliver to, and whether that is the very program that is watched.

use std::collections::BTreeMap;

use watchfire_model::document::{Node, Value};
use watchfire_model::order::Order as _;

use crate::document::{Document, Kind, host_of_url, items, text};
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
            (id, shown_place(kind, item))
        })
        .collect()
}

/// Keys of an integration that name a place and are no secret.
const NAMING_KEYS: [&str; 4] = ["channel", "to", "chat_id", "room_id"];

/// What a place is called. Findings are read by whoever may read, and keys and whole addresses of webhooks let tell or read
/// things there, so the host has to do, and where there is none, the kind.
fn shown_place(kind: &str, item: &Node) -> String {
    let named = NAMING_KEYS.iter().find_map(|key| text(item, key)).filter(|name| !name.contains("://"));
    let host = || PLACE_KEYS.iter().find_map(|key| host_of_url(text(item, key)?));
    named.or_else(host).unwrap_or(kind).to_owned()
}

/// The settings of an integration without those that do not say where to.
fn write_down(node: &Node, out: &mut String) {
    match &node.value {
        Value::Null => out.push('~'),
        Value::Scalar { text, .. } => out.extend(["\"", text, "\""]),
        Value::List(items) => items.iter().for_each(|item| write_down(item, out)),
        Value::Map(entries) => {
            let mut sorted: Vec<_> = entries.iter().filter(|(key, _)| &*key.text != "send_resolved").collect();
            sorted.order_by_key(|(key, _)| key.text.clone());
            for (key, value) in sorted {
                out.extend([&key.text, ":"]);
                write_down(value, out);
            }
        }
    }
}

/// Keys of an integration that say where it delivers to: addresses, and hosts with ports.
const PLACE_KEYS: [&str; 6] = ["url", "api_url", "app_url", "webhook_url", "smarthost", "broker"];

/// Receivers at an address that a job scrapes or probes, or where a supervised service is.
pub(super) fn watched(document: &Document, site: &[Document], found: &mut Vec<Diagnosis>) {
    let watched = all_watched(site);
    let smarthost = document.node.get("global").and_then(|global| global.get("smtp_smarthost"));
    for receiver in items(&document.node, "receivers") {
        let name = text(receiver, "name").unwrap_or_default();
        for (kind, item) in integrations(receiver) {
            let own = PLACE_KEYS.iter().find_map(|key| item.get(key));
            let Some(at) = own.or(smarthost.filter(|_| kind == "email")) else { continue };
            let Some(host) = at.text().and_then(host_of) else { continue };
            if let Some(by) = watched.get(&host) {
                let message = format!("it tells {host}, which {by} watches: when that is down, nobody hears of it");
                let suggestion = "tell somebody outside of what is watched as well".to_owned();
                found.push(document.say(at, Code::ReceiverIsWatched, &format!("receiver {name}"), message, Some(suggestion)));
            }
        }
    }
}

/// Every host and port that is watched, and by whom.
fn all_watched(site: &[Document]) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for config in site.iter().flat_map(scrape_configs) {
        let job = format!("the job {}", text(config, "job_name").unwrap_or_default());
        for target in targets(config).filter_map(Node::text) {
            let host = host_of(target).unwrap_or_else(|| format!("{target}:80"));
            all.entry(host).or_insert_with(|| job.clone());
        }
    }
    for document in site.iter().filter(|d| matches!(d.kind(), Kind::Other)) {
        for service in document.node.get("services").map_or(&[][..], |services| items(services, "watch")) {
            if let Some(host) = text(service, "health_url").and_then(host_of) {
                all.entry(host).or_insert_with(|| format!("the supervision of {}", text(service, "name").unwrap_or_default()));
            }
        }
    }
    all
}

/// Host and port of an address; what has no scheme must name its port.
fn host_of(address: &str) -> Option<String> {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let has_port = host.rsplit_once(':').is_some_and(|(name, port)| !name.is_empty() && !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    match scheme {
        _ if has_port => Some(host.to_owned()),
        "https" => Some(format!("{host}:443")),
        "http" => Some(format!("{host}:80")),
        _ => None,
    }
}
