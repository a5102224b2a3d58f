//! How long evaluations took lately: quantiles of single rules and of groups, as Prometheus tells them of itself. What is older than
//! some minutes no longer counts; sums and counts go on.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use watchfire_model::batch::MetricType;
use watchfire_model::labels::{Labels, METRIC_NAME};
use watchfire_model::meter::Family;
use watchfire_model::order::Order as _;

/// How long a duration counts.
const AGE_MAX: Duration = Duration::from_secs(600);
/// At most so many count, the newest.
const KEPT_MAX: usize = 4_096;

#[derive(Debug, Default)]
struct Lately {
    /// When it was, and how long it took in seconds.
    kept: VecDeque<(Duration, f64)>,
    sum: f64,
    count: u64,
}
impl Lately {
    fn add(&mut self, now: Duration, took: Duration) {
        let seconds = took.as_secs_f64();
        if self.kept.len() >= KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back((now, seconds));
        self.sum += seconds;
        self.count += 1;
    }
    /// The values that still count, ascending.
    fn sorted(&mut self, now: Duration) -> Vec<f64> {
        while self.kept.front().is_some_and(|(at, _)| now.saturating_sub(*at) > AGE_MAX) {
            self.kept.pop_front();
        }
        let mut values: Vec<f64> = self.kept.iter().map(|(_, seconds)| *seconds).collect();
        values.order_by(f64::total_cmp);
        values
    }
}

/// Durations of all groups of a manager.
#[derive(Debug, Default)]
pub struct Durations {
    rules: Mutex<Lately>,
    groups: Mutex<Lately>,
}

/// One summary: our name, Prometheus' name, help and quantiles.
type Summary = (&'static str, &'static str, &'static str, &'static [f64]);
const RULES: Summary = (
    "watchfire_rule_evaluation_duration_seconds",
    "prometheus_rule_evaluation_duration_seconds",
    "How long evaluations of rules took, over ten minutes.",
    &[0.5, 0.9, 0.99],
);
const GROUPS: Summary = (
    "watchfire_rule_group_duration_seconds",
    "prometheus_rule_group_duration_seconds",
    "How long evaluations of groups took, over ten minutes.",
    &[0.01, 0.05, 0.5, 0.9, 0.99],
);

impl Durations {
    pub(super) fn rule(&self, now: Duration, took: Duration) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).add(now, took);
    }
    pub(super) fn group(&self, now: Duration, took: Duration) {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).add(now, took);
    }

    /// The names of Prometheus under which they are told, where `wanted` says so.
    pub(super) fn asked_for(wanted: &dyn Fn(&str) -> bool) -> impl Iterator<Item = &'static str> {
        let any = |name: &&str| wanted(name) || wanted(&format!("{name}_sum")) || wanted(&format!("{name}_count"));
        [RULES.1, GROUPS.1].into_iter().filter(any).collect::<Vec<_>>().into_iter()
    }

    pub(super) fn tell(&self, now: Duration, asked: &HashSet<&'static str>, out: &mut Vec<Family>) {
        for ((ours, theirs, help, quantiles), lately) in [(RULES, &self.rules), (GROUPS, &self.groups)] {
            let mut lately = lately.lock().unwrap_or_else(PoisonError::into_inner);
            let values = lately.sorted(now);
            for name in [ours, theirs].into_iter().filter(|name| *name == ours || asked.contains(name)) {
                let mut family = Family::new(name, MetricType::Summary, help);
                for quantile in quantiles {
                    family.point(&[("quantile", &quantile.to_string())], at_quantile(&values, *quantile));
                }
                for (suffix, value) in [("_sum", lately.sum), ("_count", lately.count as f64)] {
                    family.points.push((Labels::from_pairs([(METRIC_NAME, format!("{name}{suffix}").as_str())]), value));
                }
                out.push(family);
            }
        }
    }
}

/// The smallest value that so large a part does not exceed; NaN when there is none.
fn at_quantile(sorted: &[f64], quantile: f64) -> f64 {
    let rank = (quantile * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(durations: &Durations, now: u64, name: &str) -> Vec<f64> {
        let mut out = Vec::new();
        durations.tell(Duration::from_secs(now), &[RULES.1].into(), &mut out);
        out.into_iter().find(|f| &*f.name == name).map(|f| f.points.into_iter().map(|(_, v)| v).collect()).unwrap_or_default()
    }

    #[test]
    fn quantiles_are_of_the_last_ten_minutes() {
        let durations = Durations::default();
        assert!(told(&durations, 0, RULES.0)[0].is_nan());
        for n in 1..=100 {
            durations.rule(Duration::from_secs(n), Duration::from_secs(n));
        }
        assert_eq!(told(&durations, 100, RULES.0), [50.0, 90.0, 99.0, 5_050.0, 100.0]);
        assert_eq!(told(&durations, 100, RULES.1), [50.0, 90.0, 99.0, 5_050.0, 100.0]);
        assert_eq!(told(&durations, 100, GROUPS.1), [0.0; 0], "nobody asks for it");
        // The first ninety are too old; sums and counts go on.
        assert_eq!(told(&durations, 691, RULES.0), [95.0, 99.0, 100.0, 5_050.0, 100.0]);
        durations.group(Duration::from_secs(1), Duration::from_secs(7));
        assert_eq!(told(&durations, 1, GROUPS.0), [7.0, 7.0, 7.0, 7.0, 7.0, 7.0, 1.0]);
    }

    #[test]
    fn few_are_kept_of_many() {
        let durations = Durations::default();
        for n in 0..KEPT_MAX as u64 + 10 {
            durations.rule(Duration::from_secs(1), Duration::from_secs(n));
        }
        assert_eq!(durations.rules.lock().unwrap().kept.len(), KEPT_MAX);
    }
}
