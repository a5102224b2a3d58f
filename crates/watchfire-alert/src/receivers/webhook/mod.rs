//! `webhook_configs`: posts a notification as JSON to a fixed address, in version 4 of the form that everybody's receivers read.
//! The address never comes from labels, and the answer's body only serves messages.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use watchfire_model::document::Reader;
use watchfire_model::labels::Labels;
use watchfire_net::client::SecretSource;

use super::exchange::{Call, Http, missing, read_secret_text, secret_url, send};
use super::{Delivered, Integration, Kind, Making, Outside};
use crate::manager::notification::{Notification, Told};

pub(super) const KIND: Kind = Kind { key: "webhook_configs", name: "webhook", send_resolved: true, fields: &[], templates: "", make: Some(make) };

/// One address.
struct Webhook {
    url: SecretSource,
    http: Http,
    /// Alerts per message; zero is all.
    alerts_max: usize,
}

fn make(reader: &Reader<'_>, making: &Making<'_>) -> Option<Arc<dyn Integration>> {
    let url = secret_url(reader, making, "url", "url_file");
    if url.is_none() {
        missing(reader, "one of url and url_file must be set");
    }
    if reader.raw("payload").is_some() {
        reader.warning_at("payload", "is read but not carried out: the usual message is sent");
    }
    let alerts_max = reader.u64("max_alerts").unwrap_or(0) as usize;
    let http = Http::read(reader, making, true);
    Some(Arc::new(Webhook { url: url?, http, alerts_max }))
}

impl Integration for Webhook {
    fn deliver<'a>(&'a self, notification: &'a Notification, outside: &'a Outside) -> Delivered<'a> {
        Box::pin(async move {
            let url = read_secret_text(&self.url).await?;
            let call = Call::secret_json(&url, &message(notification, self.alerts_max)).header("Idempotency-Key", &notification.id);
            send(outside, &self.http, call).await.map(drop)
        })
    }
}

/// The message in version 4.
fn message(notification: &Notification, alerts_max: usize) -> Value {
    let alerts = &notification.alerts;
    let shown = if alerts_max == 0 { alerts.len() } else { alerts.len().min(alerts_max) };
    json!({
        "receiver": notification.receiver,
        "status": notification.status(),
        "alerts": alerts.iter().take(shown).map(one).collect::<Vec<_>>(),
        "groupLabels": object(&notification.group_labels),
        "commonLabels": object(&notification.common_labels()),
        "commonAnnotations": object(&notification.common_annotations()),
        "externalURL": notification.external_url,
        "version": "4",
        "groupKey": notification.group_key,
        "truncatedAlerts": alerts.len() - shown,
    })
}

fn one(told: &Told) -> Value {
    let alert = &told.alert;
    json!({
        "status": told.status(),
        "labels": object(&alert.labels),
        "annotations": object(&alert.annotations),
        "startsAt": alert.starts_at.rfc3339(),
        "endsAt": told.ends_at_text(),
        "generatorURL": alert.generator_url,
        "fingerprint": alert.fingerprint().to_string(),
    })
}

fn object(labels: &Labels) -> Map<String, Value> {
    labels.iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
}
