//! Diagnoses `alertmanager.yml` beside the rules that raise alerts: routes, receivers, inhibition. What is wrong with the file
//! alone is said by whoever reads it for work.

pub(crate) mod alerts;
mod inhibition;
mod receivers;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;

use watchfire_alert::manager::config::matcher::parse_matchers;
use watchfire_alert::own;
use watchfire_model::document::{Node, nearest};
use watchfire_model::matcher::{MatchOp, Matcher};

use self::alerts::{Alert, Value};
use crate::document::{Document, items, some_of};
use crate::report::Diagnosis;

pub(crate) use inhibition::{Inhibition, inhibitions};

/// Everything there is to say about one `alertmanager.yml`.
pub(crate) fn check(document: &Document, sites: &[Document], alerts: &[Alert], found: &mut Vec<Diagnosis>) {
    receivers::watched(document, sites, found);
    // Without rules at hand, nobody knows what alerts there are beside our own.
    if alerts.iter().all(|alert| alert.own) {
        return;
    }
    if let Some(root) = document.node.get("route") {
        tree::check(document, root, alerts, found);
    }
    inhibition::check(document, alerts, found);
}

/// Matchers with the nodes where they stand.
type Matchers<'a> = Vec<(Matcher, &'a Node)>;

/// Matchers by their three keys. What cannot be read is said elsewhere and left out here.
fn matchers<'a>(node: &'a Node, equal: &str, regex: &str, list: &str) -> Matchers<'a> {
    let mut all = Vec::new();
    for (key, op) in [(equal, MatchOp::Equal), (regex, MatchOp::Regex)] {
        for (name, value) in node.get(key).and_then(Node::entries).unwrap_or(&[]) {
            let matcher = Matcher::new(&name.text, op, value.text().unwrap_or_default());
            all.extend(matcher.ok().map(|matcher| (matcher, value)));
        }
    }
    for item in items(node, list) {
        let parsed = item.text().and_then(|text| parse_matchers(text).ok());
        all.extend(parsed.into_iter().flat_map(|p| p.matchers).map(|matcher| (matcher, item)));
    }
    all
}

/// Why no alert meets all of the matchers: where it stands and what to say; nothing when one may.
fn unmet<'a>(matchers: &Matchers<'a>, alerts: &[Alert]) -> Option<(Option<&'a Node>, String, Option<String>)> {
    if alerts.iter().any(|alert| matchers.iter().all(|(m, _)| alert.may(m))) {
        return None;
    }
    let Some((matcher, at)) = matchers.iter().find(|(m, _)| !alerts.iter().any(|alert| alert.may(m))) else {
        let all = matchers.iter().map(|(m, _)| shown(m)).collect::<Vec<_>>().join(", ");
        return Some((None, format!("no alert of the rules has {all} together"), None));
    };
    let mut values: BTreeMap<&str, ()> = BTreeMap::new();
    for alert in alerts.iter().filter(|alert| !alert.own) {
        if let Value::OneOf(known) = alert.value(&matcher.name) {
            values.extend(known.iter().map(|v| (v.as_str(), ())));
        }
    }
    let own_names = own::ALL.iter().map(|alert| alert.name).filter(|_| matcher.name == "alertname");
    let suggestion = match nearest(&matcher.value, values.keys().copied().chain(own_names)) {
        Some(near) => Some(format!("did you mean {near:?}?")),
        None if values.is_empty() => Some(format!("set the label {} in the rules", matcher.name)),
        None => Some(format!("{} is {}", matcher.name, some_of(values.keys().copied()))),
    };
    Some((Some(at), format!("no alert of the rules has {}", shown(matcher)), suggestion))
}

fn shown(matcher: &Matcher) -> String {
    format!("{}{}{:?}", matcher.name, matcher.op.symbol(), matcher.value)
}
