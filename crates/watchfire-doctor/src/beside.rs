//! Alerts beside each other: one name for two, two for one condition, two of one severity for one quantity.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use watchfire_alert::rules::file::{Place, Rule};
use watchfire_model::number::format_short;
use watchfire_query::promql::{BinaryOp, Node, NodeKind};

use crate::report::{Code, Diagnosis};
use crate::routing::Inhibition;
use crate::routing::alerts::Alert;

/// An alert with what is known of it.
pub(crate) struct Known<'a> {
    pub(crate) file: Arc<str>,
    pub(crate) rule: &'a Rule,
    pub(crate) alert: Alert,
}
impl Known<'_> {
    fn place(&self) -> String {
        format!("{} ({}:{})", self.rule.name, self.file, self.rule.at.line)
    }
    fn severity(&self) -> &str {
        self.rule.labels.iter().find(|(n, _)| n == "severity").map_or("", |(_, v)| v)
    }
    fn say(&self, code: Code, message: String, suggestion: &str) -> Diagnosis {
        let Place { line, column } = self.rule.at;
        Diagnosis { code, file: self.file.clone(), line, column, subject: self.rule.name.clone(), message, suggestion: Some(suggestion.to_owned()) }
    }
    /// The metrics that its expression selects.
    fn metrics(&self) -> BTreeSet<&str> {
        self.rule.expr.selectors().into_iter().filter_map(|s| s.name.as_deref()).collect()
    }
}

/// Everything there is to say about alerts beside each other.
pub(crate) fn check(alerts: &[Known<'_>], inhibitions: &[Inhibition], found: &mut Vec<Diagnosis>) {
    names(alerts, found);
    let silences = |a: &Known<'_>, b: &Known<'_>| inhibitions.iter().any(|i| i.may_silence(&a.alert, &b.alert) || i.may_silence(&b.alert, &a.alert));
    let mut conditions: BTreeMap<String, Vec<&Known<'_>>> = BTreeMap::new();
    let mut quantities: BTreeMap<(String, &str), Vec<(f64, &Known<'_>)>> = BTreeMap::new();
    for known in alerts {
        let (root, text) = (known.rule.expr.root(), known.rule.expr.text());
        let same = conditions.entry(normal(root, text)).or_default();
        if let Some(first) = same.iter().find(|first| first.rule.name != known.rule.name && !silences(first, known)) {
            let message = format!("has the condition of {}, so one fault is told twice", first.place());
            found.push(known.say(Code::DuplicateCondition, message, "keep one of them, or let one inhibit the other"));
        }
        same.push(known);
        let Some((quantity, limit)) = threshold(root, text) else { continue };
        let others = quantities.entry((quantity, known.severity())).or_default();
        let other = others.iter().find(|(at, other)| *at != limit && other.rule.name != known.rule.name && !silences(other, known));
        if let Some((at, other)) = other {
            let message = format!(
                "watches what {} watches, with the same severity, at {} instead of {}: one fault is told twice",
                other.place(),
                format_short(limit),
                format_short(*at)
            );
            found.push(known.say(Code::OverlappingAlerts, message, "make them stages of different severity, or let one inhibit the other"));
        }
        others.push((limit, known));
    }
}

fn names(alerts: &[Known<'_>], found: &mut Vec<Diagnosis>) {
    let mut seen: BTreeMap<&str, Vec<&Known<'_>>> = BTreeMap::new();
    for known in alerts {
        let same = seen.entry(&known.rule.name).or_default();
        // Alerts of one name with different severities are stages of one alert, which is how it is meant to be written.
        if let Some(first) = same.iter().find(|first| first.severity() == known.severity()) {
            let message = format!("an alert of this name stands in {}:{} already, and both look the same where they arrive", first.file, first.rule.at.line);
            found.push(known.say(Code::DuplicateName, message, "give it another name or severity"));
        } else if let Some(first) = same.iter().find(|first| first.metrics().is_disjoint(&known.metrics()) && !known.metrics().is_empty()) {
            let message =
                format!("an alert of this name in {}:{} watches something else, so the name does not say which fired", first.file, first.rule.at.line);
            found.push(known.say(Code::DuplicateName, message, "give it another name"));
        }
        same.push(known);
    }
}

/// An expression with blanks and outer parentheses made equal.
fn normal(node: &Node, text: &str) -> String {
    if let NodeKind::Paren(inner) = &node.kind {
        return normal(inner, text);
    }
    text.get(node.start..node.end).unwrap_or("").chars().filter(|c| !c.is_whitespace()).collect()
}

fn number(node: &Node) -> Option<f64> {
    match &node.kind {
        NodeKind::Number { value, .. } => Some(*value),
        NodeKind::Paren(inner) => number(inner),
        _ => None,
    }
}

/// What is compared with a number and in which direction, and the number; factors count as part of the number.
fn threshold(node: &Node, text: &str) -> Option<(String, f64)> {
    let NodeKind::Binary(binary) = &node.unwrapped().kind else { return None };
    let above = match binary.op {
        BinaryOp::Greater | BinaryOp::GreaterOrEqual => true,
        BinaryOp::Less | BinaryOp::LessOrEqual => false,
        _ => return None,
    };
    let (side, limit, above) = match (number(&binary.lhs), number(&binary.rhs)) {
        (None, Some(limit)) => (&binary.lhs, limit, above),
        (Some(limit), None) => (&binary.rhs, limit, !above),
        _ => return None,
    };
    let (side, limit) = without_factor(side, limit);
    Some((format!("{}{}", normal(side, text), if above { ">" } else { "<" }), limit))
}

fn without_factor(node: &Node, limit: f64) -> (&Node, f64) {
    let node = node.unwrapped();
    let NodeKind::Binary(binary) = &node.kind else { return (node, limit) };
    match (binary.op, number(&binary.lhs), number(&binary.rhs)) {
        (BinaryOp::Mul, None, Some(factor)) if factor > 0.0 => without_factor(&binary.lhs, limit / factor),
        (BinaryOp::Mul, Some(factor), None) if factor > 0.0 => without_factor(&binary.rhs, limit / factor),
        (BinaryOp::Div, None, Some(factor)) if factor > 0.0 => without_factor(&binary.lhs, limit * factor),
        _ => (node, limit),
    }
}
