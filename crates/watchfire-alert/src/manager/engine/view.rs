//! What the API shows of alerts and groups. It changes nothing.

use std::sync::Arc;

use regex::Regex;
use watchfire_model::labels::Labels;
use watchfire_model::matcher::{Matcher, matches_all};
use watchfire_model::order::Order as _;

use super::Engine;
use super::alerts::Held;
use crate::manager::alert::{Alert, Fingerprint};
use crate::manager::config::Route;

/// Which alerts are asked for.
#[derive(Clone, Debug)]
pub struct AlertFilter {
    /// Those that nothing keeps quiet.
    pub active: bool,
    /// Those that a silence keeps quiet.
    pub silenced: bool,
    /// Those that another alert keeps quiet.
    pub inhibited: bool,
    /// Those that a time interval keeps quiet.
    pub muted: bool,
    /// What their labels must satisfy.
    pub matchers: Vec<Matcher>,
    /// Whom they go to, as an anchored expression.
    pub receiver: Option<Regex>,
}
impl Default for AlertFilter {
    fn default() -> AlertFilter {
        AlertFilter { active: true, silenced: true, inhibited: true, muted: true, matchers: Vec::new(), receiver: None }
    }
}

/// An alert as it is shown.
#[derive(Clone, Debug)]
pub struct AlertView {
    /// The alert.
    pub alert: Arc<Alert>,
    /// What names it.
    pub fingerprint: Fingerprint,
    /// Whom it goes to.
    pub receivers: Vec<String>,
    /// The silences that keep it quiet.
    pub silenced_by: Vec<String>,
    /// The alerts that keep it quiet.
    pub inhibited_by: Vec<Fingerprint>,
    /// The intervals that keep its group quiet.
    pub muted_by: Vec<String>,
}
impl AlertView {
    /// `active` or `suppressed`.
    pub fn state(&self) -> &'static str {
        let quiet = !self.silenced_by.is_empty() || !self.inhibited_by.is_empty() || !self.muted_by.is_empty();
        if quiet { "suppressed" } else { "active" }
    }
}

/// A group as it is shown.
#[derive(Clone, Debug)]
pub struct GroupView {
    /// Its labels.
    pub labels: Labels,
    /// Whom it goes to.
    pub receiver: String,
    /// Its alerts.
    pub alerts: Vec<AlertView>,
}

impl Engine {
    /// The alerts that have not ended, by fingerprint.
    pub fn alerts(&self, filter: &AlertFilter) -> Vec<AlertView> {
        let mut all: Vec<AlertView> = self
            .alerts
            .iter()
            .filter_map(|(fingerprint, held)| {
                let routes = self.config.route.ends(&held.alert.labels);
                self.view(*fingerprint, held, &routes, filter)
            })
            .collect();
        all.order_by_key(|view| view.fingerprint);
        all
    }

    /// The groups with such alerts, by labels and receiver.
    pub fn groups(&self, filter: &AlertFilter) -> Vec<GroupView> {
        let mut all = Vec::new();
        for ((index, labels), group) in &self.groups {
            let Some(route) = self.routes.get(*index) else { continue };
            if filter.receiver.as_ref().is_some_and(|r| !r.is_match(&route.receiver)) {
                continue;
            }
            let held = group.alerts.iter().filter_map(|f| Some((*f, self.alerts.get(f)?)));
            let alerts: Vec<AlertView> = held
                .filter_map(|(fingerprint, held)| {
                    let routes = self.config.route.ends(&held.alert.labels);
                    self.view(fingerprint, held, &routes, &AlertFilter { receiver: None, ..filter.clone() })
                })
                .collect();
            if !alerts.is_empty() {
                all.push(GroupView { labels: labels.clone(), receiver: route.receiver.clone(), alerts });
            }
        }
        all.order_by(|a, b| (&a.labels, &a.receiver).cmp(&(&b.labels, &b.receiver)));
        all
    }

    fn view(&self, fingerprint: Fingerprint, held: &Held, routes: &[Arc<Route>], filter: &AlertFilter) -> Option<AlertView> {
        let labels = &held.alert.labels;
        if held.is_resolved(self.clock.monotonic()) || !matches_all(&filter.matchers, labels) {
            return None;
        }
        if filter.receiver.as_ref().is_some_and(|expression| !routes.iter().any(|r| expression.is_match(&r.receiver))) {
            return None;
        }
        let now = self.clock.now();
        let mut receivers: Vec<String> = routes.iter().map(|r| r.receiver.clone()).collect();
        receivers.dedup();
        let mut muted_by: Vec<String> = routes.iter().flat_map(|r| self.quiet_intervals(r, now)).collect();
        muted_by.order();
        muted_by.dedup();
        let silenced_by = self.silences.silencing(labels, now);
        let inhibited_by: Vec<Fingerprint> = self.inhibiting(labels).into_iter().collect();
        let view = AlertView { alert: held.alert.clone(), fingerprint, receivers, silenced_by, inhibited_by, muted_by };
        let wanted = (filter.active || view.state() != "active")
            && (filter.silenced || view.silenced_by.is_empty())
            && (filter.inhibited || view.inhibited_by.is_empty())
            && (filter.muted || view.muted_by.is_empty());
        wanted.then_some(view)
    }
}
