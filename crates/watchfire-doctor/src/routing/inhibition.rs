//! Inhibition: rules that no alert starts, that silence no alert, or whose labels are never equal.

use std::collections::BTreeMap;

use watchfire_model::document::Node;
use watchfire_model::matcher::Matcher;

use super::alerts::{Alert, Difference, differ};
use super::{matchers, unmet};
use crate::document::{Document, Kind, items, some_of};
use crate::report::{Code, Diagnosis};

/// One rule: which alerts keep which quiet.
pub(crate) struct Inhibition {
    source: Vec<Matcher>,
    target: Vec<Matcher>,
    equal: Vec<String>,
}
impl Inhibition {
    fn read(node: &Node) -> Inhibition {
        let plain = |matchers: super::Matchers<'_>| matchers.into_iter().map(|(m, _)| m).collect();
        Inhibition {
            source: plain(matchers(node, "source_match", "source_match_re", "source_matchers")),
            target: plain(matchers(node, "target_match", "target_match_re", "target_matchers")),
            equal: items(node, "equal").iter().filter_map(Node::text).map(str::to_owned).collect(),
        }
    }
    /// Whether one of the alerts may keep the other quiet.
    pub(crate) fn may_silence(&self, source: &Alert, target: &Alert) -> bool {
        let meets = |alert: &Alert, matchers: &[Matcher]| matchers.iter().all(|m| alert.may(m));
        meets(source, &self.source) && meets(target, &self.target) && self.difference(source, target).is_none()
    }
    /// The label of `equal` that never is.
    fn difference(&self, source: &Alert, target: &Alert) -> Option<(&str, Difference)> {
        self.equal.iter().find_map(|label| Some((label.as_str(), differ(source, target, label)?)))
    }
}

/// All rules of a site.
pub(crate) fn inhibitions(documents: &[Document]) -> Vec<Inhibition> {
    let managers = documents.iter().filter(|d| d.kind() == Kind::Alertmanager);
    managers.flat_map(|d| items(&d.node, "inhibit_rules")).map(Inhibition::read).collect()
}

/// What is never equal, and alerts of which that is said.
type Apart<'a> = BTreeMap<(&'a str, Difference), (Vec<&'a str>, &'a str)>;

pub(super) fn check(document: &Document, alerts: &[Alert], found: &mut Vec<Diagnosis>) {
    for (n, node) in items(&document.node, "inhibit_rules").iter().enumerate() {
        let subject = format!("inhibit_rules[{n}]");
        let source = matchers(node, "source_match", "source_match_re", "source_matchers");
        let target = matchers(node, "target_match", "target_match_re", "target_matchers");
        let mut dead = false;
        for (side, word) in [(&source, "starts"), (&target, "is silenced by")] {
            if let Some((at, message, suggestion)) = unmet(side, alerts).filter(|_| !side.is_empty()) {
                let message = format!("{message}, so none {word} it");
                found.push(document.say(at.unwrap_or(node), Code::InhibitionNeverMatches, &subject, message, suggestion));
                dead = true;
            }
        }
        if !dead {
            never_equal(document, node, &subject, alerts, found);
        }
    }
}

fn never_equal(document: &Document, node: &Node, subject: &str, alerts: &[Alert], found: &mut Vec<Diagnosis>) {
    let rule = Inhibition::read(node);
    let names = |matchers: &[Matcher]| matchers.iter().any(|m| m.name == "alertname");
    // Where the targets have no names, the rule is meant for whichever alerts happen to fit; our own count where names are.
    let named = names(&rule.target);
    let from_named = names(&rule.source);
    let sources: Vec<&Alert> = alerts.iter().filter(|a| (from_named || !a.own) && rule.source.iter().all(|m| a.may(m))).collect();
    let mut apart: Apart<'_> = BTreeMap::new();
    for target in alerts.iter().filter(|a| (named || !a.own) && rule.target.iter().all(|m| a.must(m))) {
        let others = || sources.iter().filter(|s| !std::ptr::eq(**s, target));
        if others().any(|source| rule.difference(source, target).is_none()) {
            if !named {
                return;
            }
            continue;
        }
        let Some(source) = others().next() else { continue };
        let Some((label, difference)) = rule.difference(source, target) else { continue };
        let entry = apart.entry((label, difference)).or_insert_with(|| (Vec::new(), &source.name));
        if !entry.0.contains(&target.name.as_str()) {
            entry.0.push(&target.name);
        }
    }
    let at = node.get("equal").unwrap_or(node);
    for ((label, difference), (targets, source)) in apart {
        let targets = some_of(targets);
        let (reason, suggestion) = match difference {
            Difference::Values(a, b) if label == "instance" => (
                format!("{label} is for example {a} there and {b} here"),
                "give both one value of instance: relabel it to the host without its port, or compare another label".to_owned(),
            ),
            Difference::Values(a, b) => (format!("{label} is for example {a} there and {b} here"), "compare a label that both share".to_owned()),
            Difference::MissingInTarget => (format!("these have no label {label}"), format!("keep it in the rule: by ({label}) (…)")),
            Difference::MissingInSource => (format!("{source} has no label {label}"), format!("keep it in the rule: by ({label}) (…)")),
        };
        let message = format!("{source} never silences {targets}: {reason}");
        found.push(document.say(at, Code::InhibitionNeverMatches, subject, message, Some(suggestion)));
    }
}
