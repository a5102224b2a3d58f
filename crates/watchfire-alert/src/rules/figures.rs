//! Figures of one group, and how they are told: under our own names, and under those of Prometheus where a rule asks for them.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use watchfire_model::batch::MetricType;
use watchfire_model::meter::Family;
use watchfire_model::time::Timestamp;

use super::durations::Durations;
use super::group::Group;

/// What is counted of a group.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) evaluations: u64,
    pub(super) failures: u64,
    pub(super) iterations: u64,
    pub(super) missed: u64,
    pub(super) held: u64,
    pub(super) last: Option<Timestamp>,
    pub(super) last_duration: Duration,
    pub(super) last_rules_duration: Duration,
    pub(super) last_samples: usize,
}

/// The figures of one group.
#[derive(Debug, Default)]
pub(super) struct Figures(Mutex<Counts>);

impl Figures {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(super) fn get(&self) -> Counts {
        self.counts().clone()
    }
    pub(super) fn evaluated(&self, failed: bool) {
        let mut counts = self.counts();
        counts.evaluations += 1;
        counts.failures += u64::from(failed);
    }
    /// An iteration is about to begin; so many were left out before it.
    pub(super) fn scheduled(&self, missed: u64) {
        let mut counts = self.counts();
        counts.iterations += 1 + missed;
        counts.missed += missed;
    }
    /// An iteration was not carried out, because the clock had jumped.
    pub(super) fn held(&self) {
        self.counts().held += 1;
    }
    pub(super) fn finished(&self, at: Timestamp, duration: Duration, rules: Duration, samples: usize) {
        let mut counts = self.counts();
        counts.last = Some(at);
        counts.last_duration = duration;
        counts.last_rules_duration = rules;
        counts.last_samples = samples;
    }
    pub(super) fn take_over(&self, from: &Figures) {
        *self.counts() = from.get();
    }
}

/// One family: our name, that of Prometheus, and where the value comes from.
struct Told {
    ours: &'static str,
    theirs: &'static str,
    kind: MetricType,
    help: &'static str,
    value: fn(&Group, &Counts) -> Option<f64>,
}

const fn counter(ours: &'static str, theirs: &'static str, help: &'static str, value: fn(&Group, &Counts) -> Option<f64>) -> Told {
    Told { ours, theirs, kind: MetricType::Counter, help, value }
}
const fn gauge(ours: &'static str, theirs: &'static str, help: &'static str, value: fn(&Group, &Counts) -> Option<f64>) -> Told {
    Told { ours, theirs, kind: MetricType::Gauge, help, value }
}

const TOLD: [Told; 11] = [
    counter("watchfire_rule_evaluations_total", "prometheus_rule_evaluations_total", "Evaluations of rules.", |_, c| Some(c.evaluations as f64)),
    counter("watchfire_rule_evaluation_failures_total", "prometheus_rule_evaluation_failures_total", "Evaluations of rules that failed.", |_, c| {
        Some(c.failures as f64)
    }),
    counter(
        "watchfire_rule_group_iterations_total",
        "prometheus_rule_group_iterations_total",
        "Evaluations of groups that were due, those that were left out included.",
        |_, c| Some(c.iterations as f64),
    ),
    counter(
        "watchfire_rule_group_iterations_missed_total",
        "prometheus_rule_group_iterations_missed_total",
        "Evaluations of groups that were left out because the one before took too long.",
        |_, c| Some(c.missed as f64),
    ),
    counter(
        "watchfire_rule_group_iterations_held_total",
        "",
        "Evaluations of groups that were not carried out because the wall clock had just jumped.",
        |_, c| Some(c.held as f64),
    ),
    gauge("watchfire_rule_group_interval_seconds", "prometheus_rule_group_interval_seconds", "How often a group is evaluated.", |g, _| {
        Some(g.interval_ms as f64 / 1000.0)
    }),
    gauge("watchfire_rule_group_rules", "prometheus_rule_group_rules", "Rules of a group.", |g, _| Some(g.rules.len() as f64)),
    gauge(
        "watchfire_rule_group_last_duration_seconds",
        "prometheus_rule_group_last_duration_seconds",
        "How long the last evaluation of a group took.",
        |_, c| c.last.map(|_| c.last_duration.as_secs_f64()),
    ),
    gauge(
        "watchfire_rule_group_last_rule_duration_sum_seconds",
        "prometheus_rule_group_last_rule_duration_sum_seconds",
        "How long the rules of a group took together at its last evaluation.",
        |_, c| c.last.map(|_| c.last_rules_duration.as_secs_f64()),
    ),
    gauge(
        "watchfire_rule_group_last_evaluation_timestamp_seconds",
        "prometheus_rule_group_last_evaluation_timestamp_seconds",
        "When a group was last evaluated.",
        |_, c| c.last.map(Timestamp::secs_f64),
    ),
    gauge(
        "watchfire_rule_group_last_evaluation_samples",
        "prometheus_rule_group_last_evaluation_samples",
        "Samples that the rules of a group gave at its last evaluation.",
        |_, c| c.last.map(|_| c.last_samples as f64),
    ),
];

/// The names of metrics that rules of these groups select by name, as far as they are told here.
pub(super) fn asked_for<'a>(groups: impl Iterator<Item = &'a Group>) -> HashSet<&'static str> {
    let mut asked = HashSet::new();
    for rule in groups.flat_map(|g| &g.rules) {
        for selector in rule.rule.expr.metrics().map(|expr| expr.selectors()).unwrap_or_default() {
            let wanted = |name: &str| selector.matchers.iter().any(|m| m.name == watchfire_model::labels::METRIC_NAME && m.matches_value(name));
            asked.extend(TOLD.iter().map(|t| t.theirs).filter(|name| !name.is_empty() && wanted(name)));
            asked.extend(Durations::asked_for(&wanted));
        }
    }
    asked
}

/// All families of all groups.
pub(super) fn tell<'a>(groups: impl Iterator<Item = &'a Group> + Clone, asked: &HashSet<&'static str>, out: &mut Vec<Family>) {
    for told in &TOLD {
        let names = [told.ours, told.theirs];
        for name in names.into_iter().filter(|name| *name == told.ours || asked.contains(name)) {
            let mut family = Family::new(name, told.kind, told.help);
            for group in groups.clone() {
                if let Some(value) = (told.value)(group, &group.figures.get()) {
                    family.point(&[("rule_group", &format!("{};{}", group.file, group.name))], value);
                }
            }
            out.push(family);
        }
    }
}
