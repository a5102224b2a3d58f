//! Diagnoses rule files: every expression, the texts beside it, and rules beside each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use watchfire_alert::rules::file::{Place, Rule, RuleFile, RuleKind};
use watchfire_query::promql::{Node, NodeKind};

use crate::expression::{Problem, Quantity, Shape, diagnose};
use crate::knowledge::Knowledge;
use crate::report::{Code, Diagnosis};

/// Everything there is to say about rule files. The names that they record are known to all of them.
pub fn check(files: &[RuleFile], knowledge: &Knowledge) -> Vec<Diagnosis> {
    let recorded = files.iter().flat_map(rules_of).filter(|r| !r.kind.is_alert()).map(|r| r.name.clone());
    let knowledge = knowledge.clone().with_recorded(recorded);
    let mut found = Vec::new();
    for file in files {
        for rule in rules_of(file) {
            let (shape, problems) = diagnose(&rule.expr, &knowledge);
            found.extend(problems.into_iter().map(|p| placed(&file.name, rule, p)));
            texts(file, rule, &shape, &mut found);
        }
    }
    beside_each_other(files, &mut found);
    found.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    found
}

fn rules_of(file: &RuleFile) -> impl Iterator<Item = &Rule> {
    file.groups.iter().flat_map(|g| &g.rules)
}

/// The place of a byte of a rule's expression, which may stand over several lines.
fn place(rule: &Rule, at: usize) -> Place {
    let before = rule.expr.text().get(..at).unwrap_or("");
    match before.matches('\n').count() {
        0 => Place { line: rule.expr_at.line, column: rule.expr_at.column + before.chars().count() },
        lines => Place { line: rule.expr_at.line + lines, column: before.rsplit('\n').next().map_or(1, |l| l.chars().count() + 1) },
    }
}

fn placed(file: &Arc<str>, rule: &Rule, problem: Problem) -> Diagnosis {
    let Place { line, column } = place(rule, problem.at);
    let Problem { code, message, suggestion, .. } = problem;
    Diagnosis { code, file: file.clone(), line, column, subject: rule.name.clone(), message, suggestion }
}

/// Annotations that speak of other units than the expression has, or of labels that its series never have.
fn texts(file: &RuleFile, rule: &Rule, shape: &Shape, found: &mut Vec<Diagnosis>) {
    let RuleKind::Alert { annotations, .. } = &rule.kind else { return };
    let mut say = |code, message: String, suggestion: Option<String>| {
        let Place { line, column } = rule.at;
        found.push(Diagnosis { code, file: file.name.clone(), line, column, subject: rule.name.clone(), message, suggestion });
    };
    for (name, text) in annotations {
        let lower = text.to_lowercase();
        if shape.quantity == Quantity::Rate {
            for (unit, factor) in [("hour", 3600), ("minute", 60), ("day", 86_400)] {
                if lower.contains(&format!("/{unit}")) || lower.contains(&format!("per {unit}")) || lower.contains(&format!("/ {unit}")) {
                    let message = format!("{name} says per {unit}, but the expression is per second");
                    say(Code::UnitMismatch, message, Some(format!("multiply by {factor} or use increase() over that time, threshold too")));
                }
            }
            if text.contains("humanizePercentage") {
                let message = format!("{name} shows a percentage, but the expression is a number per second and no share");
                say(Code::UnitMismatch, message, Some("divide by the rate of the whole, or show it with humanize".to_owned()));
            }
        }
        for label in asked_labels(text).filter(|l| !shape.labels.may_have(l) && !rule.labels.iter().any(|(n, _)| n == l)) {
            let known: Vec<&str> = shape.labels.names().collect();
            let suggestion = if known.is_empty() { "keep it with by (…)".to_owned() } else { format!("the labels are {}", known.join(", ")) };
            say(Code::UnknownLabel, format!("{name} asks for the label {label}, which the result of the expression never has"), Some(suggestion));
        }
    }
}

/// `$labels.name` and `.Labels.name` of a template.
fn asked_labels(text: &str) -> impl Iterator<Item = &str> {
    ["$labels.", ".Labels."].into_iter().flat_map(move |prefix| {
        text.match_indices(prefix).filter_map(move |(at, _)| {
            let rest = text.get(at + prefix.len()..)?;
            let len = rest.len() - rest.trim_start_matches(|c: char| c == '_' || c.is_ascii_alphanumeric()).len();
            rest.get(..len).filter(|name| !name.is_empty())
        })
    })
}

/// Rules of one name, and alerts for one condition.
fn beside_each_other(files: &[RuleFile], found: &mut Vec<Diagnosis>) {
    let mut names: BTreeMap<(String, bool), (Arc<str>, &Rule)> = BTreeMap::new();
    let mut conditions: BTreeMap<String, (Arc<str>, &Rule)> = BTreeMap::new();
    for file in files {
        for rule in rules_of(file).filter(|r| r.kind.is_alert()) {
            let Place { line, column } = rule.at;
            let mut say = |code, message, suggestion| {
                found.push(Diagnosis { code, file: file.name.clone(), line, column, subject: rule.name.clone(), message, suggestion });
            };
            // Alerts of one name with different severities are stages of one alert, which is how it is meant to be written.
            let severity = rule.labels.iter().find(|(n, _)| n == "severity").map(|(_, v)| v.as_str()).unwrap_or("");
            let condition = normal(rule.expr.root(), rule.expr.text());
            match names.get(&(format!("{}\u{0}{severity}", rule.name), true)) {
                Some((other, first)) => {
                    let message = format!("an alert of this name stands in {other}:{} already, and both look the same where they arrive", first.at.line);
                    say(Code::DuplicateName, message, Some("give it another name or severity".to_owned()));
                }
                None => {
                    names.insert((format!("{}\u{0}{severity}", rule.name), true), (file.name.clone(), rule));
                }
            }
            match conditions.get(&condition) {
                Some((other, first)) if first.name != rule.name => {
                    let message = format!("has the condition of {} ({other}:{}), so one fault is told twice", first.name, first.at.line);
                    say(Code::DuplicateCondition, message, Some("keep one of them, or let one inhibit the other".to_owned()));
                }
                Some(_) => {}
                None => {
                    conditions.insert(condition, (file.name.clone(), rule));
                }
            }
        }
    }
}

/// An expression with blanks and outer parentheses made equal.
fn normal(node: &Node, text: &str) -> String {
    if let NodeKind::Paren(inner) = &node.kind {
        return normal(inner, text);
    }
    text.get(node.start..node.end).unwrap_or("").chars().filter(|c| !c.is_whitespace()).collect()
}
