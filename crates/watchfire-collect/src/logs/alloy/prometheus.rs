//! Prometheus' components: a `prometheus.scrape` becomes the job that `prometheus.yml` would have for it, read as that one is. Samples are
//! kept here; what would send them on is said.

use std::collections::HashSet;

use watchfire_model::document::{Key, Node, Value as Tree};

use super::flow::Flows;
use super::kinds::Kind;
use super::syntax::Place;
use super::targets::Origin;
use super::value::{Export, Settings, node};
use crate::scrape::config::{self, parse_node};

/// Names of machines that we stand in for.
const OURS: [&str; 3] = ["prometheus", "watchfire", "localhost"];
/// Attributes and blocks that mean nothing for a job.
const LEFT_OUT: [&str; 6] = ["targets", "forward_to", "clustering", "job_name", "extra_metrics", "enable_protobuf_negotiation"];

/// Reads a job, where this is one.
pub(super) fn read(flows: &mut Flows<'_>, number: usize) {
    let Some(settings) = flows.settings[number].clone().filter(|_| flows.kind(number) == Kind::Scrape) else { return };
    let mut rules = Vec::new();
    if !follow(flows, number, &mut rules, &mut HashSet::new()) {
        flows.warn(flows.place(number), format!("{}: its samples lead nowhere, so nothing is scraped", flows.id(number)));
        return;
    }
    let groups = groups(flows, number);
    if groups.is_empty() {
        return;
    }
    let at = settings.at;
    let name = settings.get("job_name").and_then(|name| name.node().text().map(str::to_owned)).unwrap_or_else(|| flows.id(number).to_owned());
    let mut entries = vec![(named("job_name", at), text(&name, at))];
    let own = settings.node(&[]);
    let theirs = own.entries().unwrap_or(&[]).iter().filter(|(key, _)| !LEFT_OUT.contains(&&*key.text));
    entries.extend(theirs.cloned());
    entries.push((named("static_configs", at), node(Tree::List(groups), at)));
    if !rules.is_empty() {
        entries.push((named("metric_relabel_configs", at), node(Tree::List(rules), at)));
    }
    let jobs = node(Tree::List(vec![node(Tree::Map(entries), at)]), at);
    let document = node(Tree::Map(vec![(named("scrape_configs", at), jobs)]), at);
    let outside = config::Outside { environment: flows.outside.environment, lookup: flows.outside.lookup.clone() };
    let parsed = parse_node(flows.context.file(), &document, &outside);
    for finding in parsed.findings {
        let say = if finding.severity == watchfire_model::document::Severity::Error { Flows::error } else { Flows::warn };
        say(flows, Place { line: finding.line, column: finding.column }, finding.message.replace("scrape_configs[0]", flows.id(number)));
    }
    flows.collected.jobs.extend(parsed.config.into_iter().flat_map(|config| config.jobs));
}

/// Follows samples to where they are written, with the rules on the way; tells whether there is such a place.
fn follow(flows: &mut Flows<'_>, number: usize, rules: &mut Vec<Node>, seen: &mut HashSet<usize>) -> bool {
    let forward = flows.settings[number].as_ref().and_then(|settings| settings.get("forward_to")).cloned();
    let mut kept = false;
    let to = flows.named(number, forward.as_ref(), Export::Receiver);
    let several = to.len() > 1;
    for (to, at) in to {
        flows.reach(to);
        if !seen.insert(to) || flows.settings[to].is_none() {
            continue;
        }
        match flows.kind(to) {
            Kind::RemoteWrite => {
                kept = true;
                endpoints(flows, to);
            }
            Kind::MetricRelabel => {
                if several {
                    flows.warn(at, format!("{}: its rules are for everything that {} scrapes, because it is kept once", flows.id(to), flows.id(number)));
                }
                rules.extend(flows.settings[to].iter().flat_map(|settings| settings.blocks_of("rule")).map(|rule: &Settings| rule.node(&[])));
                kept |= follow(flows, to, rules, seen);
            }
            _ => flows.error(at, format!("{} takes no samples", flows.id(to))),
        }
    }
    kept
}

/// Where samples would be sent on to.
fn endpoints(flows: &mut Flows<'_>, number: usize) {
    if !flows.once(number) {
        return;
    }
    let endpoints: Vec<Settings> = flows.settings[number].iter().flat_map(|settings| settings.blocks_of("endpoint")).cloned().collect();
    for endpoint in endpoints {
        let Some(url) = endpoint.get("url") else {
            flows.error(endpoint.at, format!("{}: url is missing", flows.id(number)));
            continue;
        };
        let node = url.node();
        let authority = node.text().and_then(|url| url.split_once("://")).and_then(|(_, rest)| rest.split(['/', '?', '#']).next()).unwrap_or_default();
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host).split(':').next().unwrap_or_default();
        if !OURS.contains(&host) {
            flows.warn(url.at, format!("{}: samples are kept here; to send them on to {host}, name it in remote_write of prometheus.yml", flows.id(number)));
        }
    }
}

/// The targets as static ones.
fn groups(flows: &mut Flows<'_>, number: usize) -> Vec<Node> {
    let mut groups = Vec::new();
    for targets in flows.targets(number, "targets") {
        let at = targets.at;
        match targets.origin {
            Origin::Fixed(labels) => {
                let address = labels.get("__address__").cloned().unwrap_or_default();
                let labels = labels.iter().filter(|(name, _)| *name != "__address__").map(|(name, value)| (named(name, at), text(value, at))).collect();
                let list = node(Tree::List(vec![text(&address, at)]), at);
                let group = vec![(named("targets", at), list), (named("labels", at), node(Tree::Map(labels), at))];
                groups.push(node(Tree::Map(group), at));
            }
            // Our own metrics and those of the machine are always collected.
            Origin::Found(from) if flows.kind(from) == Kind::SelfExporter => {}
            Origin::Found(from) => flows.warn(at, format!("{}: targets that {} finds are not scraped", flows.id(number), flows.id(from))),
        }
    }
    groups
}

fn named(text: &str, at: Place) -> Key {
    Key { text: text.into(), line: at.line, column: at.column }
}
fn text(text: &str, at: Place) -> Node {
    node(Tree::Scalar { text: text.into(), plain: false }, at)
}
