//! Diagnoses rule files: every expression, the texts beside it, and rules beside each other.

use std::sync::Arc;

use watchfire_alert::rules::file::{Place, Rule, RuleFile};

use crate::beside::{self, Known, Recorded};
use crate::expression::{Problem, Shape, diagnose};
use crate::knowledge::Knowledge;
use crate::report::Diagnosis;
use crate::routing::alerts::{Alert, OnTheWay};
use crate::texts;
use watchfire_model::order::Order as _;

/// Everything there is to say about rule files by themselves. The names that they record are known to all of them.
pub fn check(files: &[RuleFile], knowledge: &Knowledge) -> Vec<Diagnosis> {
    let recorded = files.iter().flat_map(of_file).filter(|r| !r.kind.is_alert()).map(|r| r.name.clone());
    let knowledge = knowledge.clone().with_recorded(recorded);
    let mut found = Vec::new();
    let (alerts, records) = alone(&files.iter().collect::<Vec<_>>(), &knowledge, &OnTheWay::default(), &mut found);
    beside::check(&alerts, &[], &mut found);
    beside::records(&records, &mut found);
    found.order_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    found
}

/// What is to be said of each rule alone, and what is known of alerts and of what is recorded.
pub(crate) fn alone<'a>(files: &[&'a RuleFile], knowledge: &Knowledge, way: &OnTheWay, found: &mut Vec<Diagnosis>) -> (Vec<Known<'a>>, Vec<Recorded<'a>>) {
    let (mut alerts, mut records) = (Vec::new(), Vec::new());
    for file in files.iter().copied() {
        for rule in of_file(file) {
            // Nothing is known of what logs hold.
            let (shape, problems) = rule.expr.metrics().map_or_else(|| (Shape::unknown(), Vec::new()), |expr| diagnose(expr, knowledge));
            found.extend(problems.into_iter().map(|p| placed(&file.name, rule, p)));
            texts::check(file, rule, &shape, found);
            if rule.kind.is_alert() {
                alerts.push(Known { file: file.name.clone(), rule, alert: Alert::new(rule, &shape, knowledge, way) });
            } else {
                let one = shape.labels.exact && shape.labels.names().next().is_none() && shape.labels.of_targets.is_empty();
                records.push(Recorded { file: file.name.clone(), rule, one });
            }
        }
    }
    (alerts, records)
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
