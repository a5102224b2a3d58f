//! What was before a restart: since when conditions held is read back from the series `ALERTS_FOR_STATE`, so that an outage does
//! not make alerts wait again. It follows Prometheus where `for` is at least the grace period. Below that Prometheus forgets; here
//! the wait goes on, and what fired fires on, because a restart alone must not end an alert or begin one anew.

use std::collections::HashMap;
use std::ops::ControlFlow;

use watchfire_model::labels::{Labels, METRIC_NAME};
use watchfire_model::matcher::Matcher;
use watchfire_model::read::{ReadError, Selection};
use watchfire_model::sample::is_stale;
use watchfire_model::time::Timestamp;

use super::ALERT_NAME;
use super::alerting::{ALERTS_FOR_STATE, outgoing};
use super::file::RuleKind;
use super::group::{Group, RuleAtWork, Surroundings};
use super::schedule::Tick;

/// How long an outage may be, and how soon after it an alert may fire, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restore {
    /// What was longer ago is forgotten.
    pub outage_ms: i64,
    /// An alert that was pending, and whose `for` is at least so long, waits at least so long after the outage.
    pub grace_ms: i64,
}
impl Default for Restore {
    /// One hour and ten minutes, as in Prometheus.
    fn default() -> Restore {
        Restore { outage_ms: 3_600_000, grace_ms: 600_000 }
    }
}

/// The last word on an alert before the outage.
#[derive(Clone, Copy, Debug)]
struct LastWord {
    at: i64,
    active_at: i64,
}

impl Restore {
    /// Since when the condition counts as holding now.
    fn active_at(self, word: LastWord, for_ms: i64, now: i64) -> i64 {
        let remaining = for_ms - (word.at - word.active_at);
        if remaining <= 0 {
            // It fired before.
            word.active_at
        } else if for_ms >= self.grace_ms && remaining < self.grace_ms {
            now + self.grace_ms - for_ms
        } else {
            // The time of the outage does not count.
            word.active_at + (now - word.at)
        }
    }
}

impl Group {
    /// Takes up what was before a restart and tells at once what still fires. It comes after the second evaluation, when targets
    /// have been scraped; no alert is written before.
    pub fn restore(&self, tick: &Tick, surroundings: &Surroundings) {
        for rule in &self.rules {
            if let RuleKind::Alert { for_ms, .. } = rule.rule.kind {
                self.restore_rule(rule, i64::try_from(for_ms).unwrap_or(i64::MAX), tick, surroundings);
            }
        }
        self.set_restored();
    }

    fn restore_rule(&self, rule: &RuleAtWork, for_ms: i64, tick: &Tick, surroundings: &Surroundings) {
        if rule.progress().alerts.active().next().is_none() {
            return;
        }
        let words = match last_words(&rule.rule.name, self.common.restore.outage_ms, tick.at, surroundings) {
            Ok(words) => words,
            Err(error) => {
                tracing::error!(alert = rule.rule.name, %error, "cannot read what the alert was before the restart; it begins anew");
                return;
            }
        };
        let mut progress = rule.progress();
        let known: Vec<Labels> = progress.alerts.active().map(|a| a.labels.clone()).collect();
        for labels in known {
            if let Some(word) = words.get(&labels) {
                let active_at = self.common.restore.active_at(*word, for_ms, tick.at.millis());
                progress.alerts.restore(&labels, active_at.saturating_sub(tick.skew_ms()));
            }
        }
        progress.alerts.promote(tick.line, for_ms);
        let due = progress.alerts.due(tick.line, self.common.resend_ms, self.interval_ms as i64);
        drop(progress);
        if !due.is_empty() {
            surroundings.notify.notify(due.into_iter().map(|(a, ends)| outgoing(&rule.rule, &self.common, a, ends, tick.skew_ms())).collect());
        }
    }
}

/// The last sample of every alert of a name within the outage that is allowed; those that had ended are not among them.
fn last_words(alert: &str, outage_ms: i64, now: Timestamp, surroundings: &Surroundings) -> Result<HashMap<Labels, LastWord>, ReadError> {
    let asker = &surroundings.asker;
    let budget = asker.budget(asker.deadline());
    let matchers = vec![Matcher::equal(METRIC_NAME, ALERTS_FOR_STATE), Matcher::equal(ALERT_NAME, alert)];
    let selection = Selection { matchers, start: now.plus_ms(-outage_ms), end: now };
    let mut words = HashMap::new();
    asker.source.select(&selection, &budget, &mut |series| {
        budget.release_samples(series.cost());
        if let (Some(at), Some(value)) = (series.times.last(), series.values.last())
            && !is_stale(*value)
        {
            // The value has whole seconds only, so the moment is compared in seconds, too.
            let word = LastWord { at: at.div_euclid(1_000) * 1_000, active_at: Timestamp::from_secs_f64(*value).millis() };
            words.insert(series.labels.without(METRIC_NAME), word);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn check(for_min: i64, held_min: i64, outage_min: i64, expected_wait_min: i64) {
        let word = LastWord { at: held_min * MINUTE, active_at: 0 };
        let now = (held_min + outage_min) * MINUTE;
        let active_at = Restore::default().active_at(word, for_min * MINUTE, now);
        assert_eq!((active_at + for_min * MINUTE - now).max(0) / MINUTE, expected_wait_min, "for {for_min}, held {held_min}, outage {outage_min}");
    }

    #[test]
    fn an_outage_counts_for_nobody() {
        check(60, 20, 30, 40);
        check(60, 59, 30, 10);
        check(60, 60, 30, 0);
        check(10, 4, 30, 10);
        // Below the grace period Prometheus would wait for the whole time again.
        check(5, 2, 30, 3);
        check(5, 5, 30, 0);
        check(0, 0, 30, 0);
    }
}
