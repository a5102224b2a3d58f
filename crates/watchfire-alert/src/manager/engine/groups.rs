//! Groups: alerts of one route with the same group labels, and the moments at which it is decided whether somebody is told.

use std::collections::BTreeSet;
use std::time::Duration;

use watchfire_model::labels::Labels;
use watchfire_model::state::Change;
use watchfire_model::time::Timestamp;

use super::Engine;
use crate::manager::alert::Fingerprint;
use crate::manager::config::Route;
use crate::manager::notification::{Told, sort};

/// A route's place in the tree, and the labels of the group.
pub(super) type GroupId = (usize, Labels);

/// A group.
pub(super) struct Group {
    pub(super) key: String,
    pub(super) alerts: BTreeSet<Fingerprint>,
    next: Duration,
    flushed: bool,
}

impl Engine {
    /// Puts an alert into its groups.
    pub(super) fn place(&mut self, fingerprint: Fingerprint) {
        let (clock, monotonic) = (self.clock.now(), self.clock.monotonic());
        let Some(held) = self.alerts.get_mut(&fingerprint) else { return };
        let mut ids = Vec::new();
        for route in self.config.route.ends(&held.alert.labels) {
            let labels = route.group_labels(&held.alert.labels);
            let id = (route.index, labels);
            let wait = Duration::from_millis(route.group_wait_ms);
            let group = self.groups.entry(id.clone()).or_insert_with(|| {
                let next = monotonic + wait;
                self.flushes.insert((next, id.clone()));
                Group { key: route.group_key(&id.1), alerts: BTreeSet::new(), next, flushed: false }
            });
            group.alerts.insert(fingerprint);
            // An alert that waited long enough elsewhere does not wait here, too.
            let waited = held.alert.starts_at.plus_ms(i64::try_from(route.group_wait_ms).unwrap_or(i64::MAX)) < clock;
            if !group.flushed && waited && group.next > monotonic {
                self.flushes.remove(&(group.next, id.clone()));
                group.next = monotonic;
                self.flushes.insert((monotonic, id.clone()));
            }
            ids.push(id);
        }
        held.groups = ids;
    }

    /// Decides whether somebody is told of a group. All of it is stored at once, before anybody is told.
    pub(super) fn flush(&mut self, id: &GroupId) {
        let monotonic = self.clock.monotonic();
        let Some(route) = self.routes.get(id.0).cloned() else { return };
        let Some(group) = self.groups.get_mut(id) else { return };
        group.flushed = true;
        group.next = monotonic + Duration::from_millis(route.group_interval_ms);
        self.flushes.insert((group.next, id.clone()));
        let key = group.key.clone();
        let mut all: Vec<Told> = Vec::with_capacity(group.alerts.len());
        for held in group.alerts.iter().filter_map(|f| self.alerts.get(f)) {
            all.push(Told { alert: held.alert.clone(), resolved: held.is_resolved(monotonic) });
        }
        sort(&mut all);
        let audible = self.audible(&route, &all);
        let mut changes = Vec::new();
        if !audible.is_empty() {
            self.tell(&route, &key, &id.1, &audible, &mut changes);
        }
        for told in all.iter().filter(|told| told.resolved) {
            changes.extend(self.leave(id, told.alert.fingerprint()));
        }
        self.save(&changes);
    }

    /// An alert that has ended leaves a group that knows it; without any group it is let go.
    fn leave(&mut self, id: &GroupId, fingerprint: Fingerprint) -> Option<Change> {
        let group = self.groups.get_mut(id)?;
        group.alerts.remove(&fingerprint);
        if group.alerts.is_empty() {
            let next = group.next;
            self.groups.remove(id);
            self.flushes.remove(&(next, id.clone()));
        }
        let held = self.alerts.get_mut(&fingerprint)?;
        held.groups.retain(|group| group != id);
        if held.groups.is_empty() {
            return self.let_go(fingerprint);
        }
        // Others still have to hear of its end. Stored as ended, it does not fire again after a restart.
        held.resolved = true;
        (held.stored != Some(true)).then(|| self.remember(fingerprint))
    }

    /// The alerts of a group that are not kept quiet.
    fn audible(&self, route: &Route, all: &[Told]) -> Vec<Told> {
        let now = self.clock.now();
        let mut left: Vec<Told> = all.to_vec();
        let count = |left: &mut Vec<Told>, reason: &str, quiet: &dyn Fn(&Labels) -> bool| {
            let before = left.len();
            left.retain(|told| !quiet(&told.alert.labels));
            if left.is_empty() && before > 0 {
                self.meters.suppressed(reason);
            }
        };
        count(&mut left, "inhibition", &|labels| self.inhibiting(labels).is_some());
        if !left.is_empty() && !self.quiet_intervals(route, now).is_empty() {
            self.meters.suppressed("time_interval");
            left.clear();
        }
        count(&mut left, "silence", &|labels| !self.silences.silencing(labels, now).is_empty());
        left
    }

    /// The firing alert that keeps one with these labels quiet.
    pub(super) fn inhibiting(&self, labels: &Labels) -> Option<Fingerprint> {
        let monotonic = self.clock.monotonic();
        self.inhibitor.inhibiting(labels, |f| self.alerts.get(&f).filter(|held| !held.is_resolved(monotonic)).map(|held| &held.alert.labels))
    }

    /// The names of the intervals that keep a route quiet now.
    pub(super) fn quiet_intervals(&self, route: &Route, now: Timestamp) -> Vec<String> {
        let within = |name: &String| self.config.intervals.get(name).is_some_and(|all| all.iter().any(|i| i.contains(now)));
        let mut quiet: Vec<String> = route.mute.iter().filter(|name| within(name)).cloned().collect();
        if !route.active.is_empty() && !route.active.iter().any(within) {
            quiet.extend(route.active.iter().cloned());
        }
        quiet
    }
}
