//! Figures about the Alertmanager inside: under our own names, and under Alertmanager's where rules and dashboards ask for them.

use watchfire_model::meter::{Counter, Gauge, Meter};

use super::engine::Outcome;
use super::silences::SilenceState;
use crate::receivers::DeliveryError;

/// All of them.
pub(super) struct Meters {
    meter: Meter,
    pub(super) state_errors: Counter,
    pub(super) coalesced: Counter,
    pub(super) given_up: Counter,
    pub(super) dead_dropped: Counter,
    pub(super) groups: Gauge,
    pub(super) queued: Gauge,
    pub(super) dead: Gauge,
    pub(super) alerts_firing: Gauge,
    pub(super) alerts_resolved: Gauge,
    pub(super) silences: Vec<(SilenceState, Gauge)>,
}

impl Meters {
    pub(super) fn new(meter: &Meter) -> Meters {
        let alerts = |state| meter.gauge("alertmanager_alerts", "How many alerts are held, by state.", &[("state", state)]);
        let silences = |state: SilenceState| {
            let gauge = meter.gauge("alertmanager_silences", "How many silences there are, by state.", &[("state", state.word())]);
            (state, gauge)
        };
        Meters {
            state_errors: meter.counter("watchfire_alert_state_errors_total", "Changes of the alert state that could not be stored.", &[]),
            coalesced: meter.counter(
                "watchfire_alert_notifications_coalesced_total",
                "Notifications that were replaced by a newer one of the same group because too many waited.",
                &[],
            ),
            given_up: meter.counter("watchfire_alert_notifications_given_up_total", "Notifications that became dead letters.", &[]),
            dead_dropped: meter.counter("watchfire_alert_dead_letters_dropped_total", "Dead letters that made room for newer ones.", &[]),
            groups: meter.gauge("alertmanager_dispatcher_aggregation_groups", "How many groups of alerts there are.", &[]),
            queued: meter.gauge("watchfire_alert_notifications_queued", "Notifications that were decided and are not delivered yet.", &[]),
            dead: meter.gauge("watchfire_alert_dead_letters", "Notifications that nobody could be told.", &[]),
            alerts_firing: alerts("active"),
            alerts_resolved: alerts("resolved"),
            silences: [SilenceState::Active, SilenceState::Pending, SilenceState::Expired].map(silences).to_vec(),
            meter: meter.clone(),
        }
    }
    /// An alert came in.
    pub(super) fn received(&self, resolved: bool) {
        let status = if resolved { "resolved" } else { "firing" };
        self.meter.counter("alertmanager_alerts_received_total", "Alerts that were taken.", &[("status", status), ("version", "v2")]).inc();
    }
    /// An alert was refused.
    pub(super) fn refused(&self, reason: &str) {
        self.refused_many(reason, 1);
    }
    /// Several were, for one reason.
    pub(super) fn refused_many(&self, reason: &str, count: u64) {
        self.meter.counter("alertmanager_alerts_invalid_total", "Alerts that were not taken.", &[("version", "v2")]).add(count);
        self.meter.counter("watchfire_alert_refused_total", "Alerts that were not taken, by reason.", &[("reason", reason)]).add(count);
    }
    /// All alerts of a group were kept quiet.
    pub(super) fn suppressed(&self, reason: &str) {
        let help = "Times that nobody was told of a group because all of it was kept quiet, by reason.";
        self.meter.counter("alertmanager_notifications_suppressed_total", help, &[("reason", reason)]).inc();
    }
    /// A stored record cannot be read.
    pub(super) fn damaged(&self, table: &str) {
        self.meter.counter("watchfire_alert_state_damaged_total", "Stored records that could not be read at the start.", &[("table", table)]).inc();
    }
    /// A try ended.
    pub(super) fn tried(&self, kind: &str, outcome: &Outcome) {
        let labels = [("integration", kind)];
        self.meter.counter("alertmanager_notifications_total", "Tries to tell somebody, by kind of integration.", &labels).inc();
        let reason = match outcome {
            Ok(()) => return,
            Err(DeliveryError::Later { .. }) => "later",
            Err(DeliveryError::Never(_)) => "refused",
        };
        let labels = [("integration", kind), ("reason", reason)];
        self.meter.counter("alertmanager_notifications_failed_total", "Tries that did not succeed.", &labels).inc();
    }
    /// How long a try took.
    pub(super) fn took(&self, kind: &str, seconds: f64) {
        let bounds = [1.0, 5.0, 10.0, 15.0, 20.0, 30.0];
        let help = "How long tries took.";
        self.meter.histogram("alertmanager_notification_latency_seconds", help, &bounds, &[("integration", kind)]).observe(seconds);
    }
}
