//! The life of the alerts of one rule: pending, firing, resolved. It knows one line of time and no clock, no query and no file;
//! what it does is what Prometheus does.

use std::collections::{BTreeMap, BTreeSet};

use watchfire_model::labels::Labels;

use super::SampleValue;

/// How long a resolved alert is remembered, so that a lost message about its end is sent again.
pub const RESOLVED_KEPT_MS: i64 = 15 * 60 * 1000;
/// An alert that fires counts as resolved after so many intervals without a word.
const INTERVALS_VALID: i64 = 4;

/// What an alert does. The greatest state of its alerts is a rule's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertState {
    /// It is over.
    Inactive,
    /// Its condition holds, but not for long enough yet.
    Pending,
    /// It fires.
    Firing,
}
impl AlertState {
    /// The name that series and answers carry.
    pub fn name(self) -> &'static str {
        match self {
            AlertState::Inactive => "inactive",
            AlertState::Pending => "pending",
            AlertState::Firing => "firing",
        }
    }
}

/// One alert. All times are milliseconds of its group's own line of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// What it is.
    pub labels: Labels,
    /// What is said of it.
    pub annotations: Labels,
    /// The value that it was last raised for.
    pub value: SampleValue,
    /// What it does.
    pub state: AlertState,
    /// Since when its condition holds.
    pub active_at: i64,
    /// When it began to fire.
    pub fired_at: Option<i64>,
    /// When it ended.
    pub resolved_at: Option<i64>,
    /// Since when it fires without its condition.
    pub keep_firing_since: Option<i64>,
    last_sent_at: Option<i64>,
    valid_until: i64,
}

/// What an evaluation found for one alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Raised {
    /// What it is.
    pub labels: Labels,
    /// What is said of it.
    pub annotations: Labels,
    /// The value.
    pub value: SampleValue,
}

/// How long conditions must hold and alerts go on, in milliseconds, and how many alerts there may be (zero: any number).
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    /// `for`.
    pub for_ms: i64,
    /// `keep_firing_for`.
    pub keep_firing_for_ms: i64,
    /// `limit`.
    pub limit: usize,
}

/// There were more alerts than the group's limit allows; all of them are forgotten.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("exceeded limit of {limit} with {alerts} alerts")]
pub struct LimitExceeded {
    /// The limit.
    pub limit: usize,
    /// How many there were.
    pub alerts: usize,
}

/// The alerts of one rule, by their labels.
#[derive(Clone, Debug, Default)]
pub struct AlertBook {
    alerts: BTreeMap<Labels, Alert>,
}

impl AlertBook {
    /// Takes the result of one evaluation. What it gives is active now: its labels, its state and since when.
    pub fn step(&mut self, now: i64, raised: Vec<Raised>, terms: Terms) -> Result<Vec<(Labels, AlertState, i64)>, LimitExceeded> {
        let holds: BTreeSet<Labels> = raised.iter().map(|one| one.labels.clone()).collect();
        for one in raised {
            self.take(now, one);
        }
        let mut active = Vec::new();
        self.alerts.retain(|labels, alert| {
            let kept = advance(alert, now, holds.contains(labels), terms);
            if kept && alert.state != AlertState::Inactive {
                active.push((labels.clone(), alert.state, alert.active_at));
            }
            kept
        });
        if terms.limit > 0 && active.len() > terms.limit {
            self.alerts.clear();
            return Err(LimitExceeded { limit: terms.limit, alerts: active.len() });
        }
        Ok(active)
    }

    /// A known alert gets its new value and texts; one that is over, or unknown, begins.
    fn take(&mut self, now: i64, raised: Raised) {
        if let Some(known) = self.alerts.get_mut(&raised.labels).filter(|a| a.state != AlertState::Inactive) {
            known.value = raised.value;
            known.annotations = raised.annotations;
            return;
        }
        let alert = Alert {
            labels: raised.labels.clone(),
            annotations: raised.annotations,
            value: raised.value,
            state: AlertState::Pending,
            active_at: now,
            fired_at: None,
            resolved_at: None,
            keep_firing_since: None,
            last_sent_at: None,
            valid_until: now,
        };
        self.alerts.insert(raised.labels, alert);
    }

    /// The alerts that somebody must be told of now, with the moment until which the word is good. They count as told.
    pub fn due(&mut self, now: i64, resend_ms: i64, interval_ms: i64) -> Vec<(Alert, i64)> {
        self.tell(now, resend_ms, interval_ms, needs_sending)
    }

    /// All that fires, whether it is due or not: after the clock jumped, the words of before are worth nothing.
    pub fn firing_again(&mut self, now: i64, resend_ms: i64, interval_ms: i64) -> Vec<(Alert, i64)> {
        self.tell(now, resend_ms, interval_ms, |alert, _, _| alert.state == AlertState::Firing)
    }

    fn tell(&mut self, now: i64, resend_ms: i64, interval_ms: i64, wanted: impl Fn(&Alert, i64, i64) -> bool) -> Vec<(Alert, i64)> {
        let mut told = Vec::new();
        for alert in self.alerts.values_mut().filter(|a| wanted(a, now, resend_ms)) {
            alert.last_sent_at = Some(now);
            alert.valid_until = now.saturating_add(interval_ms.max(resend_ms).saturating_mul(INTERVALS_VALID));
            told.push((alert.clone(), alert.resolved_at.unwrap_or(alert.valid_until)));
        }
        told
    }

    /// Moves the beginning of an alert, because what was before a restart is known again.
    pub fn restore(&mut self, labels: &Labels, active_at: i64) {
        if let Some(alert) = self.alerts.get_mut(labels).filter(|a| a.state != AlertState::Inactive) {
            alert.active_at = active_at;
        }
    }

    /// Lets alerts fire whose condition has held long enough, which after a restore some have.
    pub fn promote(&mut self, now: i64, for_ms: i64) {
        for alert in self.alerts.values_mut() {
            begin_to_fire(alert, now, for_ms);
        }
    }

    /// Takes over the alerts of the same rule before a reload.
    pub fn take_over(&mut self, from: &AlertBook, shift_ms: i64) {
        for (labels, alert) in &from.alerts {
            let moved = |t: i64| t.saturating_add(shift_ms);
            let alert = Alert {
                active_at: moved(alert.active_at),
                fired_at: alert.fired_at.map(moved),
                resolved_at: alert.resolved_at.map(moved),
                keep_firing_since: alert.keep_firing_since.map(moved),
                last_sent_at: alert.last_sent_at.map(moved),
                valid_until: moved(alert.valid_until),
                ..alert.clone()
            };
            self.alerts.insert(labels.clone(), alert);
        }
    }

    /// The alerts that are not over, ascending by labels.
    pub fn active(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values().filter(|a| a.resolved_at.is_none())
    }

    /// The greatest state of all alerts.
    pub fn state(&self) -> AlertState {
        self.alerts.values().map(|a| a.state).max().unwrap_or(AlertState::Inactive)
    }
}

/// One step of one alert's life; `false` when it can be forgotten.
fn advance(alert: &mut Alert, now: i64, holds: bool, terms: Terms) -> bool {
    if holds {
        alert.keep_firing_since = None;
        begin_to_fire(alert, now, terms.for_ms);
        return true;
    }
    if alert.state == AlertState::Firing && terms.keep_firing_for_ms > 0 {
        let since = *alert.keep_firing_since.get_or_insert(now);
        if now - since < terms.keep_firing_for_ms {
            return true;
        }
    }
    let forgotten = alert.state == AlertState::Pending || alert.resolved_at.is_some_and(|at| now - at > RESOLVED_KEPT_MS);
    if alert.state != AlertState::Inactive {
        alert.state = AlertState::Inactive;
        alert.resolved_at = Some(now);
    }
    !forgotten
}

fn begin_to_fire(alert: &mut Alert, now: i64, for_ms: i64) {
    if alert.state == AlertState::Pending && now.saturating_sub(alert.active_at) >= for_ms {
        alert.state = AlertState::Firing;
        alert.fired_at = Some(now);
    }
}

fn needs_sending(alert: &Alert, now: i64, resend_ms: i64) -> bool {
    match (alert.state, alert.last_sent_at) {
        (AlertState::Pending, _) => false,
        (_, None) => true,
        (_, Some(sent)) => alert.resolved_at.is_some_and(|at| at > sent) || sent.saturating_add(resend_ms) < now,
    }
}
