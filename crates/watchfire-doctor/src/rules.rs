//! Diagnoses rule files: every expression, the texts beside it, and rules beside each other.

use std::sync::Arc;

use watchfire_alert::rules::file::{Place, Rule, RuleFile, RuleKind};

use crate::beside::{self, Known};
use crate::expression::{Problem, Quantity, Shape, diagnose};
use crate::knowledge::Knowledge;
use crate::report::{Code, Diagnosis};
use crate::routing::alerts::{Alert, OnTheWay};

/// Everything there is to say about rule files by themselves. The names that they record are known to all of them.
pub fn check(files: &[RuleFile], knowledge: &Knowledge) -> Vec<Diagnosis> {
    let recorded = files.iter().flat_map(of_file).filter(|r| !r.kind.is_alert()).map(|r| r.name.clone());
    let knowledge = knowledge.clone().with_recorded(recorded);
    let mut found = Vec::new();
    let alerts = alone(&files.iter().collect::<Vec<_>>(), &knowledge, &OnTheWay::default(), &mut found);
    beside::check(&alerts, &[], &mut found);
    found.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    found
}

/// What is to be said of each rule alone, and what is known of the alerts.
pub(crate) fn alone<'a>(files: &[&'a RuleFile], knowledge: &Knowledge, way: &OnTheWay, found: &mut Vec<Diagnosis>) -> Vec<Known<'a>> {
    let mut alerts = Vec::new();
    for file in files.iter().copied() {
        for rule in of_file(file) {
            let (shape, problems) = diagnose(&rule.expr, knowledge);
            found.extend(problems.into_iter().map(|p| placed(&file.name, rule, p)));
            texts(file, rule, &shape, found);
            if rule.kind.is_alert() {
                alerts.push(Known { file: file.name.clone(), rule, alert: Alert::new(rule, &shape, knowledge, way) });
            }
        }
    }
    alerts
}

pub(crate) fn of_file(file: &RuleFile) -> impl Iterator<Item = &Rule> {
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
