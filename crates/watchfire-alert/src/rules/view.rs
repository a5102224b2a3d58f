//! What is shown of groups, rules and alerts: plain copies, so that nobody who looks holds anything up.

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::labels::Labels;
use watchfire_model::time::Timestamp;

use super::SampleValue;
use super::file::{Language, RuleKind};
use super::group::{Group, Health, RuleAtWork};
use super::state::{Alert, AlertState};

/// A group.
#[derive(Clone, Debug)]
pub struct GroupView {
    /// Its name.
    pub name: String,
    /// The file it stands in.
    pub file: Arc<str>,
    /// The language of its expressions.
    pub language: Language,
    /// How often it is evaluated.
    pub interval: Duration,
    /// At most so many series or alerts of one rule; zero is any number.
    pub limit: usize,
    /// How long the last evaluation took.
    pub duration: Duration,
    /// When it was.
    pub last_evaluation: Option<Timestamp>,
    /// The rules.
    pub rules: Vec<RuleView>,
}

/// A rule.
#[derive(Clone, Debug)]
pub struct RuleView {
    /// The metric that it records, or the alert.
    pub name: String,
    /// Its expression in the canonical form.
    pub query: String,
    /// Labels as they are written, templates included.
    pub labels: Vec<(String, String)>,
    /// How the last evaluation went.
    pub health: Health,
    /// Why it failed.
    pub last_error: Option<String>,
    /// Since when every evaluation failed; nothing after one that went well.
    pub failing_since: Option<Timestamp>,
    /// How long it took.
    pub duration: Duration,
    /// When it was.
    pub last_evaluation: Option<Timestamp>,
    /// What it does.
    pub kind: RuleKind,
    /// The greatest state of its alerts.
    pub state: AlertState,
    /// Its alerts that are not over.
    pub alerts: Vec<AlertView>,
}

/// An alert.
#[derive(Clone, Debug)]
pub struct AlertView {
    /// What it is.
    pub labels: Labels,
    /// What is said of it.
    pub annotations: Labels,
    /// What it does.
    pub state: AlertState,
    /// Since when its condition holds.
    pub active_at: Timestamp,
    /// Since when it fires without its condition.
    pub keep_firing_since: Option<Timestamp>,
    /// The value that it was last raised for; zero for a histogram, as in Prometheus.
    pub value: f64,
}

impl Group {
    /// What is shown of it.
    pub fn view(&self) -> GroupView {
        let counts = self.figures.get();
        GroupView {
            name: self.name.clone(),
            file: self.file.clone(),
            language: self.language,
            interval: Duration::from_millis(self.interval_ms),
            limit: self.limit,
            duration: counts.last_duration,
            last_evaluation: counts.last,
            rules: self.rules.iter().map(rule_view).collect(),
        }
    }
}

fn rule_view(at_work: &RuleAtWork) -> RuleView {
    let (rule, progress) = (&at_work.rule, at_work.progress());
    RuleView {
        name: rule.name.clone(),
        query: rule.expr.to_string(),
        labels: rule.labels.clone(),
        health: progress.health,
        last_error: progress.last_error.clone(),
        failing_since: progress.failing_since,
        duration: progress.duration,
        last_evaluation: progress.last_evaluation,
        kind: rule.kind.clone(),
        state: progress.alerts.state(),
        alerts: progress.alerts.active().map(|alert| alert_view(alert, progress.skew_ms)).collect(),
    }
}

fn alert_view(alert: &Alert, skew_ms: i64) -> AlertView {
    let wall = |line: i64| Timestamp(line.saturating_add(skew_ms));
    AlertView {
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
        state: alert.state,
        active_at: wall(alert.active_at),
        keep_firing_since: alert.keep_firing_since.map(wall),
        value: match alert.value {
            SampleValue::Float(value) => value,
            SampleValue::Histogram(_) => 0.0,
        },
    }
}
