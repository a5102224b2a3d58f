//! A test of one receiver: every integration is told of one alert that says what it is. Nothing is stored, waited for or tried
//! again; who asked hears what came back.

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::labels::Labels;

use super::{DELIVERY_TIME_MAX, DeliveryError, Outside};
use crate::manager::alert::Alert;
use crate::manager::config::Receiver;
use crate::manager::notification::{Notification, Told};

/// The name of the alert.
const NAME: &str = "WatchfireTest";

/// How one integration answered.
pub struct Trial {
    /// The kind of integration.
    pub kind: &'static str,
    /// Its place among those of its kind.
    pub index: usize,
    /// Whether it is told of ends when it is no test.
    pub send_resolved: bool,
    /// What came back.
    pub outcome: Result<(), DeliveryError>,
    /// How long it took.
    pub took: Duration,
}

/// Tells every integration of a receiver that there is an alert, or that it has ended.
pub async fn try_receiver(receiver: &Receiver, resolved: bool, external_url: &str, outside: &Outside) -> Vec<Trial> {
    let notification = test_notification(&receiver.name, resolved, external_url, outside);
    let mut trials = Vec::new();
    for configured in &receiver.integrations {
        let begun = outside.clock.monotonic();
        let limit = DELIVERY_TIME_MAX + Duration::from_secs(5);
        let tried = tokio::time::timeout(limit, configured.integration.deliver(&notification, outside)).await;
        let outcome = tried.unwrap_or_else(|_| Err(DeliveryError::Later { reason: format!("no answer within {} s", limit.as_secs()), after: None }));
        let took = outside.clock.monotonic().saturating_sub(begun);
        trials.push(Trial { kind: configured.kind, index: configured.index, send_resolved: configured.send_resolved, outcome, took });
    }
    trials
}

fn test_notification(receiver: &str, resolved: bool, external_url: &str, outside: &Outside) -> Notification {
    let now = outside.clock.now();
    let labels = Labels::from_pairs([("alertname", NAME), ("receiver", receiver), ("severity", "info")]);
    let alert = Alert {
        labels,
        annotations: Labels::from_pairs([
            ("summary", "This is a test of a receiver."),
            ("description", "Somebody tried whether this receiver can be told. Nothing is wrong."),
        ]),
        starts_at: now.plus_ms(-60_000),
        ends_at: now,
        updated_at: now,
        timeout: false,
        generator_url: external_url.to_owned(),
    };
    Notification {
        id: format!("test{:x}{}", now.millis(), u8::from(resolved)),
        receiver: receiver.to_owned(),
        group_key: format!("{{}}:{{alertname={NAME:?}}}"),
        group_labels: Labels::from_pairs([("alertname", NAME)]),
        alerts: vec![Told { alert: Arc::new(alert), resolved }],
        external_url: external_url.to_owned(),
    }
}
