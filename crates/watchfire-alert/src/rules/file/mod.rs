//! Rule files of Prometheus and of Loki's ruler as they are: groups of rules with the places where they stand. Reading is as strict as there, and
//! collects every finding at once. Whether a rule can ever give anything is not asked here.

mod duplicates;
mod expr;
mod read;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use watchfire_model::document::Finding;

pub use expr::{Language, LogQuery, RuleExpr};
pub use read::{RULES_MAX, language_of, read, read_logs, read_node};

/// A place in a file, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A valid rule file.
#[derive(Clone, Debug)]
pub struct RuleFile {
    /// Its name as the user knows it.
    pub name: Arc<str>,
    /// The language of its expressions.
    pub language: Language,
    /// Its groups in the order of the file; no two have one name.
    pub groups: Vec<RuleGroup>,
}

/// Rules that are evaluated together, one after another.
#[derive(Clone, Debug)]
pub struct RuleGroup {
    /// The name.
    pub name: String,
    /// How often, in milliseconds, if the group says so itself.
    pub interval_ms: Option<u64>,
    /// How far behind it looks, in milliseconds, if the group says so itself.
    pub query_offset_ms: Option<u64>,
    /// At most so many series or alerts of one rule; zero is any number.
    pub limit: usize,
    /// The rules.
    pub rules: Vec<Rule>,
    /// Where it begins.
    pub at: Place,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The name of the metric that it records, or of the alert.
    pub name: String,
    /// What it does.
    pub kind: RuleKind,
    /// What it computes.
    pub expr: RuleExpr,
    /// Labels that it sets, ascending by name, the group's among them. An empty text takes a label away.
    pub labels: Vec<(String, String)>,
    /// Where it begins.
    pub at: Place,
    /// Where its expression begins.
    pub expr_at: Place,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleKind {
    /// It stores what it computes.
    Record,
    /// It raises an alert for every series that it computes.
    Alert {
        /// How long the condition must hold, in milliseconds.
        for_ms: u64,
        /// How long the alert goes on firing without the condition, in milliseconds.
        keep_firing_for_ms: u64,
        /// What is said of an alert, ascending by name.
        annotations: Vec<(String, String)>,
    },
}
impl RuleKind {
    /// Whether it raises alerts.
    pub fn is_alert(&self) -> bool {
        matches!(self, RuleKind::Alert { .. })
    }
}

/// What came of reading: the file unless there was an error, and everything there is to say.
pub struct Parsed {
    /// The file; `None` when a finding is an error.
    pub file: Option<RuleFile>,
    /// Errors and warnings in the order of the file.
    pub findings: Vec<Finding>,
}
