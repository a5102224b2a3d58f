//! Configurations, notifications and deliveries of these tests.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use watchfire_alert::manager::alert::NewAlert;
use watchfire_alert::manager::config::{Config, Parsed, Surroundings, parse};
use watchfire_alert::manager::notification::{Notification, Told};
use watchfire_alert::receivers::{DeliveryError, Outside};
use watchfire_model::labels::Labels;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_net::client::Caller;

/// 2026-01-02T03:04:05Z
pub(crate) const NOW: Timestamp = Timestamp(1_767_323_045_000);

pub(crate) fn read(text: &str) -> Parsed {
    parse("a.yml", text, &Surroundings { files: &|_| Vec::new(), file: &|f| PathBuf::from(f), clock: ManualClock::new(NOW) })
}

pub(crate) fn config(text: &str) -> Config {
    let parsed = read(text);
    let Some(config) = parsed.config else { panic!("{:#?}\n{text}", parsed.findings) };
    config
}

/// A configuration with one receiver `r`, whose integrations stand there as they are written at the beginning of a line.
pub(crate) fn one(integrations: &str) -> String {
    let indented: String = integrations.lines().map(|line| format!("  {line}\n")).collect();
    format!("route: {{receiver: r, group_by: [alertname]}}\nreceivers:\n- name: r\n{indented}")
}

/// The errors of such a configuration.
pub(crate) fn errors(integrations: &str) -> Vec<String> {
    read(&one(integrations)).findings.iter().filter(|f| f.severity == watchfire_model::document::Severity::Error).map(ToString::to_string).collect()
}

pub(crate) fn outside() -> Outside {
    let clock = ManualClock::new(NOW);
    Outside { caller: Arc::new(Caller::new(clock.clone())), clock, pictures: Arc::default() }
}

pub(crate) fn told(labels: &[(&str, &str)], annotations: &[(&str, &str)], resolved: bool) -> Told {
    let owned = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let alert = NewAlert {
        labels: owned(labels),
        annotations: owned(annotations),
        starts_at: Some(Timestamp(NOW.0 - 60_000)),
        ends_at: Some(NOW),
        ..NewAlert::default()
    };
    Told { alert: Arc::new(alert.complete(NOW, 1).unwrap()), resolved }
}

/// A notification of the receiver `r`, grouped by `alertname`.
pub(crate) fn notification(alerts: Vec<Told>) -> Notification {
    let name = alerts[0].alert.labels.get("alertname").unwrap().to_owned();
    Notification {
        id: "0123456789abcdef0123456789abcdef".into(),
        receiver: "r".into(),
        group_key: format!("{{}}:{{alertname={name:?}}}"),
        group_labels: Labels::from_pairs([("alertname", name.as_str())]),
        alerts,
        external_url: "http://watchfire.example".into(),
    }
}

pub(crate) fn high_cpu(resolved: bool) -> Notification {
    notification(vec![told(&[("alertname", "HighCPU"), ("instance", "a<b"), ("severity", "critical")], &[("summary", "x & y")], resolved)])
}

/// Every integration of the receiver `r` tries once.
pub(crate) async fn deliver(text: &str, notification: &Notification) -> Vec<(&'static str, Result<(), DeliveryError>)> {
    deliver_from(&config(text), "r", notification).await
}

pub(crate) async fn deliver_from(config: &Config, receiver: &str, notification: &Notification) -> Vec<(&'static str, Result<(), DeliveryError>)> {
    let outside = outside();
    let mut all = Vec::new();
    for integration in &config.receiver(receiver).unwrap().integrations {
        let tried = tokio::time::timeout(Duration::from_secs(40), integration.integration.deliver(notification, &outside)).await;
        all.push((integration.kind, tried.expect("a try has an end")));
    }
    all
}

/// The same of a configuration with one integration.
pub(crate) async fn deliver_one(integrations: &str, notification: &Notification) -> Result<(), DeliveryError> {
    deliver(&one(integrations), notification).await.remove(0).1
}
