//! The routing tree: routes that no alert takes, alerts that end where nobody is told, alerts that are told twice.

use std::collections::BTreeMap;

use watchfire_model::document::Node;
use watchfire_model::matcher::Matcher;

use super::alerts::Alert;
use super::receivers::{Receiver, read};
use super::{matchers, unmet};
use crate::document::{Document, items, some_of, text};
use crate::report::{Code, Diagnosis};

/// How deep a tree is followed.
const DEPTH_MAX: usize = 30;

/// A route.
struct Route<'a> {
    node: &'a Node,
    matchers: Vec<Matcher>,
    receiver: String,
    goes_on: bool,
    routes: Vec<Route<'a>>,
}

impl<'a> Route<'a> {
    fn read(node: &'a Node, parent: &str, depth: usize) -> Route<'a> {
        let receiver = text(node, "receiver").filter(|r| !r.is_empty()).unwrap_or(parent).to_owned();
        let children = if depth < DEPTH_MAX { items(node, "routes") } else { &[] };
        Route {
            node,
            matchers: matchers(node, "match", "match_re", "matchers").into_iter().map(|(m, _)| m).collect(),
            routes: children.iter().map(|child| Route::read(child, &receiver, depth + 1)).collect(),
            goes_on: node.get("continue").and_then(Node::as_bool) == Some(true),
            receiver,
        }
    }

    /// Where an alert ends, as Alertmanager goes through the tree. `None` when it cannot be told; false when it does not come here.
    fn ends<'r>(&'r self, alert: &Alert, found: &mut Vec<&'r Route<'a>>) -> Option<bool> {
        if self.matchers.iter().any(|m| !alert.may(m)) {
            return Some(false);
        }
        if !self.matchers.iter().all(|m| alert.must(m)) {
            return None;
        }
        let before = found.len();
        for route in &self.routes {
            if route.ends(alert, found)? && !route.goes_on {
                break;
            }
        }
        if found.len() == before {
            found.push(self);
        }
        Some(true)
    }
}

pub(super) fn check(document: &Document, root: &Node, alerts: &[Alert], found: &mut Vec<Diagnosis>) {
    let tree = Route::read(root, "", 0);
    dead(document, &tree, alerts, found);
    let receivers = read(document);
    let mut silent: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut twice: BTreeMap<(usize, usize), Twice<'_, '_>> = BTreeMap::new();
    for alert in alerts.iter().filter(|alert| !alert.own) {
        let mut ends = Vec::new();
        if tree.ends(alert, &mut ends) != Some(true) {
            continue;
        }
        for end in &ends {
            if receivers.get(end.receiver.as_str()).is_some_and(Receiver::is_silent) {
                silent.entry(&end.receiver).or_default().push(&alert.name);
            }
        }
        for (n, later) in ends.iter().enumerate() {
            for earlier in ends.iter().take(n) {
                let pair = (receivers.get(earlier.receiver.as_str()), receivers.get(later.receiver.as_str()));
                let Some(shared) = pair.0.zip(pair.1).and_then(|(a, b)| a.shared_with(b)) else { continue };
                let entry = twice.entry((later.node.line, later.node.column)).or_insert_with(|| Twice { earlier, later, shared, alerts: Vec::new() });
                entry.alerts.push(&alert.name);
            }
        }
    }
    for (name, alerts) in silent {
        let Some(receiver) = receivers.get(name) else { continue };
        let message = format!("{} end here, and it has no channel: nobody is told", some_of(alerts));
        let suggestion = "give it one, such as webhook_configs, or send them to another receiver".to_owned();
        found.push(document.say(receiver.node, Code::SilentReceiver, &format!("receiver {name}"), message, Some(suggestion)));
    }
    for Twice { earlier, later, shared, mut alerts } in twice.into_values() {
        alerts.dedup();
        let message = format!("{} come here although the route in line {} has told {shared} of them", some_of(alerts), earlier.node.line);
        let suggestion = "take continue out of the earlier route, or tell somebody else".to_owned();
        found.push(document.say(later.node, Code::DeliveredTwice, &format!("route to {}", later.receiver), message, Some(suggestion)));
    }
}

/// Alerts that two routes tell to one place.
struct Twice<'r, 'a> {
    earlier: &'r Route<'a>,
    later: &'r Route<'a>,
    shared: String,
    alerts: Vec<&'r str>,
}

/// Routes below one that no alert takes are not named again.
fn dead(document: &Document, route: &Route<'_>, alerts: &[Alert], found: &mut Vec<Diagnosis>) {
    for child in &route.routes {
        match unmet(&matchers(child.node, "match", "match_re", "matchers"), alerts) {
            Some((at, message, suggestion)) => {
                let at = at.unwrap_or(child.node);
                found.push(document.say(at, Code::RouteNeverMatches, &format!("route to {}", child.receiver), message, suggestion));
            }
            None => dead(document, child, alerts, found),
        }
    }
}
