//! What is held of alerts: taken in, merged with what was known, placed into their groups, let go when everybody knows their end.

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::labels::Labels;
use watchfire_model::state::Change;

use super::groups::GroupId;
use super::{ALERTS_BYTES_MAX, ALERTS_MAX, Engine};
use crate::manager::alert::{Alert, AlertError, Fingerprint, NewAlert};
use crate::manager::record::{ALERTS, AlertRecord, encode};

/// An alert that is held.
pub(super) struct Held {
    pub(super) alert: Arc<Alert>,
    /// Whether somebody said that it ended.
    pub(super) resolved: bool,
    /// When it counts as ended on the monotonic clock, unless it is sent again.
    pub(super) expires: Duration,
    /// What of it is stored: whether it had ended; nothing when it is not stored.
    pub(super) stored: Option<bool>,
    /// The groups that hold it.
    pub(super) groups: Vec<GroupId>,
}
impl Held {
    pub(super) fn is_resolved(&self, monotonic: Duration) -> bool {
        self.resolved || monotonic >= self.expires
    }
}

/// What became of alerts that were sent.
#[derive(Debug)]
pub struct Taken {
    /// Those that were not taken: place in the list and reason.
    pub refused: Vec<(usize, AlertError)>,
    /// Whether what was taken will survive this process.
    pub stored: bool,
}

impl Engine {
    /// Takes alerts. What is good is taken even if others are not; it is stored when this returns.
    pub fn take(&mut self, alerts: Vec<NewAlert>) -> Taken {
        let (now, resolve_timeout) = (self.clock.now(), self.config.global.resolve_timeout_ms);
        let mut taken = Taken { refused: Vec::new(), stored: true };
        let mut changes = Vec::new();
        for (index, new) in alerts.into_iter().enumerate() {
            let outcome = new.complete(now, resolve_timeout).and_then(|alert| self.take_one(alert, &mut changes));
            if let Err(error) = outcome {
                self.meters.refused(error.reason());
                taken.refused.push((index, error));
            }
        }
        taken.stored = self.save(&changes);
        taken
    }

    fn take_one(&mut self, alert: Alert, changes: &mut Vec<Change>) -> Result<(), AlertError> {
        let (now, monotonic) = (self.clock.now(), self.clock.monotonic());
        let fingerprint = alert.fingerprint();
        let resolved = alert.ends_at <= now;
        self.meters.received(resolved);
        let (alert, before) = match self.alerts.get(&fingerprint) {
            Some(held) if alert.overlaps(&held.alert) => (alert.merged((&held.alert, held.is_resolved(monotonic)), resolved), true),
            Some(_) => (alert, true),
            // Its end was told already, or nobody ever heard of it: nothing changes for anybody.
            None if resolved && !self.somebody_knows(fingerprint, &alert.labels) => return Ok(()),
            None if self.alerts.len() >= ALERTS_MAX || self.alerts_bytes + alert.bytes() > ALERTS_BYTES_MAX => return Err(AlertError::Full),
            None => (alert, false),
        };
        let resolved = alert.ends_at <= now;
        let expires = monotonic + Duration::from_millis(u64::try_from(alert.ends_at.millis().saturating_sub(now.millis())).unwrap_or(0));
        let changed = self.hold(fingerprint, alert, resolved, expires, before);
        if changed {
            changes.push(self.remember(fingerprint));
        }
        self.place(fingerprint);
        Ok(())
    }

    /// Holds what is now known; says whether more than the expected end is new.
    fn hold(&mut self, fingerprint: Fingerprint, alert: Alert, resolved: bool, expires: Duration, before: bool) -> bool {
        self.alerts_bytes += alert.bytes();
        let alert = Arc::new(alert);
        if !before {
            self.inhibitor.insert(fingerprint, &alert.labels);
            self.alerts.insert(fingerprint, Held { alert, resolved, expires, stored: None, groups: Vec::new() });
            return true;
        }
        let Some(held) = self.alerts.get_mut(&fingerprint) else { return false };
        self.alerts_bytes = self.alerts_bytes.saturating_sub(held.alert.bytes());
        let (old, new) = (&held.alert, &alert);
        let changed = held.stored != Some(resolved)
            || old.annotations != new.annotations
            || old.starts_at != new.starts_at
            || old.generator_url != new.generator_url
            || (resolved && old.ends_at != new.ends_at);
        held.alert = alert;
        held.resolved = resolved;
        held.expires = expires;
        changed
    }

    /// The change that stores an alert as it is.
    pub(super) fn remember(&mut self, fingerprint: Fingerprint) -> Change {
        let monotonic = self.clock.monotonic();
        match self.alerts.get_mut(&fingerprint) {
            Some(held) => {
                let resolved = held.is_resolved(monotonic);
                held.stored = Some(resolved);
                Change::Put(ALERTS, fingerprint.to_string(), encode(AlertRecord::of(&held.alert, resolved)))
            }
            None => Change::Delete(ALERTS, fingerprint.to_string()),
        }
    }

    /// Lets an alert go.
    pub(super) fn let_go(&mut self, fingerprint: Fingerprint) -> Option<Change> {
        let held = self.alerts.remove(&fingerprint)?;
        self.alerts_bytes = self.alerts_bytes.saturating_sub(held.alert.bytes());
        self.inhibitor.remove(fingerprint, &held.alert.labels);
        held.stored.map(|_| Change::Delete(ALERTS, fingerprint.to_string()))
    }

    /// Whether somebody was told that an alert fires, and not yet that it ended.
    fn somebody_knows(&self, fingerprint: Fingerprint, labels: &Labels) -> bool {
        self.config.route.ends(labels).iter().any(|route| {
            let group = route.group_key(&route.group_labels(labels));
            self.lanes.of_group(&group, &route.receiver).any(|lane| lane.last().is_some_and(|sets| sets.firing.contains(&fingerprint)))
        })
    }
}
