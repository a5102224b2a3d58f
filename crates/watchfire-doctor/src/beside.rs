//! Rules beside each other: one name for two alerts, two alerts for one condition, two of one severity for one quantity, two rules
//! that record the same series.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use watchfire_alert::rules::file::{Place, Rule};
use watchfire_model::number::format_short;
use watchfire_model::order::Order as _;
use watchfire_query::promql::{BinaryOp, Node, NodeKind, VectorSelector};

use crate::expression::selector_end;
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
        self.rule.expr.metrics().map(|expr| expr.selectors()).unwrap_or_default().into_iter().filter_map(|s| s.name.as_deref()).collect()
    }
}

/// A rule that records.
pub(crate) struct Recorded<'a> {
    pub(crate) file: Arc<str>,
    pub(crate) rule: &'a Rule,
    /// Whether its result has no labels, so that there is one series of it at most.
    pub(crate) one: bool,
}

/// Rules of different files that record the same series; within one file it is said by whoever reads it.
pub(crate) fn records(records: &[Recorded<'_>], found: &mut Vec<Diagnosis>) {
    let mut seen: BTreeMap<String, Vec<&Recorded<'_>>> = BTreeMap::new();
    for record in records {
        let same = seen.entry(format!("{}{:?}", record.rule.name, record.rule.labels)).or_default();
        let condition = |r: &Recorded<'_>| condition(r.rule);
        let other = same.iter().find(|other| other.file != record.file && ((other.one && record.one) || condition(other) == condition(record)));
        if let Some(other) = other {
            let Place { line, column } = record.rule.at;
            let message = format!("{}:{} records the same series, so their values take turns", other.file, other.rule.at.line);
            let (file, subject) = (record.file.clone(), record.rule.name.clone());
            found.push(Diagnosis { code: Code::DuplicateName, file, line, column, subject, message, suggestion: Some("keep one of them".to_owned()) });
        }
        same.push(record);
    }
}

/// Everything there is to say about alerts beside each other.
pub(crate) fn check(alerts: &[Known<'_>], inhibitions: &[Inhibition], found: &mut Vec<Diagnosis>) {
    names(alerts, found);
    let silences = |a: &Known<'_>, b: &Known<'_>| inhibitions.iter().any(|i| i.may_silence(&a.alert, &b.alert) || i.may_silence(&b.alert, &a.alert));
    let mut conditions: BTreeMap<String, Vec<&Known<'_>>> = BTreeMap::new();
    let mut quantities: BTreeMap<(String, &str), Vec<(f64, &Known<'_>)>> = BTreeMap::new();
    for known in alerts {
        let compared = known.rule.expr.metrics().and_then(|expr| Some((threshold(expr.root(), expr.text())?, or_equal(expr.root()))));
        let condition = match &compared {
            Some(((quantity, limit), or_equal)) => format!("{quantity}{}{limit}", if *or_equal { "=" } else { "" }),
            None => condition(known.rule),
        };
        let same = conditions.entry(condition).or_default();
        if let Some(first) = same.iter().find(|first| first.rule.name != known.rule.name && !silences(first, known)) {
            let message = format!("has the condition of {}, so one fault is told twice", first.place());
            found.push(known.say(Code::DuplicateCondition, message, "keep one of them, or let one inhibit the other"));
        }
        same.push(known);
        let Some(((quantity, limit), _)) = compared else { continue };
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

/// What a rule computes, however it is written. LogQL is no PromQL, even where both are written alike.
fn condition(rule: &Rule) -> String {
    match rule.expr.metrics() {
        Some(expr) => normal(expr.root(), expr.text()),
        None => format!("logs {}", rule.expr),
    }
}

/// An expression with blanks, outer parentheses and the order of matchers made equal.
fn normal(node: &Node, text: &str) -> String {
    let stripped = |from: usize, to: usize| text.get(from..to).unwrap_or("").chars().filter(|c| !c.is_whitespace());
    match &node.kind {
        NodeKind::Paren(inner) => return normal(inner, text),
        NodeKind::Binary(binary) => {
            let operator: String = stripped(binary.lhs.end, binary.rhs.start).collect();
            return format!("({}{operator}{})", normal(&binary.lhs, text), normal(&binary.rhs, text));
        }
        _ => {}
    }
    let mut selectors: Vec<(&Node, &VectorSelector)> = Vec::new();
    node.walk(&mut |inner| match &inner.kind {
        NodeKind::Vector(selector) => selectors.push((inner, selector)),
        NodeKind::Matrix(matrix) => selectors.push((inner, &matrix.selector)),
        _ => {}
    });
    selectors.order_by_key(|(inner, _)| inner.start);
    let (mut out, mut at) = (String::new(), node.start);
    let plain = |out: &mut String, from: usize, to: usize| out.extend(stripped(from, to));
    for (inner, selector) in selectors {
        plain(&mut out, at, inner.start);
        let mut matchers: Vec<String> = selector.matchers.iter().map(|m| format!("{}{}{:?}", m.name, m.op.symbol(), m.value)).collect();
        matchers.order();
        out.push_str(&format!("{{{}}}", matchers.join(",")));
        plain(&mut out, selector_end(inner, text), inner.end);
        at = inner.end;
    }
    plain(&mut out, at, node.end);
    out
}

/// Whether the comparison at the root takes the limit itself, too.
fn or_equal(node: &Node) -> bool {
    matches!(&node.unwrapped().kind, NodeKind::Binary(binary) if matches!(binary.op, BinaryOp::GreaterOrEqual | BinaryOp::LessOrEqual))
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
    let (side, limit, above) = without_factor(side, limit, above);
    Some((format!("{}{}", normal(side, text), if above { ">" } else { "<" }), limit))
}

/// The part without constants around it; subtracted from one, it is compared in the other direction.
fn without_factor(node: &Node, limit: f64, above: bool) -> (&Node, f64, bool) {
    let node = node.unwrapped();
    let NodeKind::Binary(binary) = &node.kind else { return (node, limit, above) };
    match (binary.op, number(&binary.lhs), number(&binary.rhs)) {
        (BinaryOp::Mul, None, Some(factor)) if factor > 0.0 => without_factor(&binary.lhs, rounded(limit / factor), above),
        (BinaryOp::Mul, Some(factor), None) if factor > 0.0 => without_factor(&binary.rhs, rounded(limit / factor), above),
        (BinaryOp::Div, None, Some(factor)) if factor > 0.0 => without_factor(&binary.lhs, rounded(limit * factor), above),
        (BinaryOp::Sub, Some(whole), None) => without_factor(&binary.rhs, rounded(whole - limit), !above),
        _ => (node, limit, above),
    }
}

/// Without what arithmetic adds in the last digits.
fn rounded(value: f64) -> f64 {
    format!("{value:.12e}").parse().unwrap_or(value)
}
