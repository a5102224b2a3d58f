//! `homeassistant_configs`: each group of alerts is a binary sensor of Home Assistant, announced by MQTT discovery: on while an
//! alert fires, with the alerts as attributes. The kind is ours: Alertmanager has none of that name.

mod mqtt;

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};
use watchfire_model::document::Reader;
use watchfire_model::labels::Labels;
use watchfire_net::client::{SecretSource, TlsOptions, read_client_tls, read_secret, read_tls_options};
use watchfire_net::secret::Secret;

use self::mqtt::{Broker, Message};
use super::exchange::{group_name, missing, read_secret_text, read_timeout};
use super::texts::{Writer, cut, cut_bytes};
use super::{Delivered, DeliveryError, Integration, Kind, Making, Outside, TemplateText};
use crate::manager::notification::{Notification, Told};

pub(super) const KIND: Kind =
    Kind { key: "homeassistant_configs", name: "homeassistant", send_resolved: true, fields: &[], templates: include_str!("default.tmpl"), make: Some(make) };

/// Ports of brokers, in the clear and with TLS.
const PORTS: (u16, u16) = (1883, 8883);
/// Alerts that stand in the attributes.
const ALERTS_MAX: usize = 20;
/// Home Assistant shows states of this length; attributes may be longer, and this is enough for a phone.
const TITLE_CHARS_MAX: usize = 255;
const MESSAGE_BYTES_MAX: usize = 8 << 10;
/// What a client may be called everywhere.
const CLIENT_ID_CHARS_MAX: usize = 23;

struct HomeAssistant {
    host: String,
    port: u16,
    tls: Option<TlsOptions>,
    username: Option<String>,
    password: Option<SecretSource>,
    topic: String,
    discovery_prefix: String,
    name: TemplateText,
    title: TemplateText,
    message: TemplateText,
    timeout: std::time::Duration,
}

fn make(reader: &Reader<'_>, making: &Making<'_>) -> Option<Arc<dyn Integration>> {
    let is_encrypted = reader.bool("tls").unwrap_or(reader.raw("tls_config").is_some());
    let tls = read_tls_options(reader, "tls_config", making.locate);
    let broker = reader.required_text("broker");
    let place = host_and_port(&broker, if is_encrypted { PORTS.1 } else { PORTS.0 });
    if place.is_none() && !broker.is_empty() {
        reader.error_at("broker", "must be host or host:port");
    }
    let username = reader.text("username").filter(|name| !name.is_empty());
    let password = read_secret(reader, "password", "password_file", making.locate);
    if password.is_some() && username.is_none() {
        missing(reader, "a password needs its username");
    }
    let topic = read_topic(reader, "topic", "watchfire/alerts");
    let discovery_prefix = read_topic(reader, "discovery_prefix", "homeassistant");
    let name = making.template(reader, "name", r#"{{ template "homeassistant.default.name" . }}"#);
    let title = making.template(reader, "title", r#"{{ template "homeassistant.default.title" . }}"#);
    let message = making.template(reader, "message", r#"{{ template "homeassistant.default.message" . }}"#);
    let timeout = read_timeout(reader);
    let (host, port) = place?;
    let tls = is_encrypted.then_some(tls);
    Some(Arc::new(HomeAssistant { host, port, tls, username, password, topic, discovery_prefix, name, title, message, timeout }))
}

fn host_and_port(text: &str, default_port: u16) -> Option<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().ok()?),
        _ => (text, default_port),
    };
    let fits = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']'));
    fits.then(|| (host.to_owned(), port))
}

fn read_topic(reader: &Reader<'_>, key: &'static str, default: &str) -> String {
    let topic = reader.text(key).filter(|topic| !topic.is_empty()).unwrap_or_else(|| default.to_owned());
    let fits =
        topic.len() <= 200 && !topic.starts_with('/') && !topic.ends_with('/') && !topic.contains(['+', '#', '{', '$']) && !topic.chars().any(char::is_control);
    if !fits {
        reader.error_at(key, "must be a topic without wildcards and without / at its ends");
    }
    topic
}

impl HomeAssistant {
    /// What is published, in an order in which Home Assistant never sees a state without a sensor.
    fn messages(&self, notification: &Notification) -> Result<Vec<Message>, DeliveryError> {
        let writer = Writer::new(notification);
        let group = group_name(notification);
        let group: String = group.chars().take(16).collect();
        let below = format!("{}/{group}", self.topic);
        let name = cut(writer.text(&self.name)?.trim().to_owned(), TITLE_CHARS_MAX);
        let name = if name.is_empty() { notification.receiver.clone() } else { name };
        let sensor = json!({
            "name": name,
            "unique_id": format!("watchfire_{group}"),
            "object_id": format!("watchfire_{group}"),
            "device_class": "problem",
            "state_topic": format!("{below}/state"),
            "payload_on": "ON",
            "payload_off": "OFF",
            "json_attributes_topic": format!("{below}/attributes"),
            "device": {"identifiers": ["watchfire"], "name": "Watchfire", "manufacturer": "Watchfire"},
        });
        let fires = notification.status() == "firing";
        Ok(vec![
            Message { topic: format!("{}/binary_sensor/watchfire/{group}/config", self.discovery_prefix), payload: sensor.to_string() },
            Message { topic: format!("{below}/attributes"), payload: self.attributes(notification, &writer)?.to_string() },
            Message { topic: format!("{below}/state"), payload: if fires { "ON" } else { "OFF" }.to_owned() },
        ])
    }

    fn attributes(&self, notification: &Notification, writer: &Writer) -> Result<Json, DeliveryError> {
        let alerts: Vec<Json> = notification.alerts.iter().take(ALERTS_MAX).map(alert).collect();
        Ok(json!({
            "status": notification.status(),
            "title": cut(writer.text(&self.title)?, TITLE_CHARS_MAX),
            "message": cut_bytes(writer.text(&self.message)?.trim().to_owned(), MESSAGE_BYTES_MAX),
            "receiver": notification.receiver,
            "url": notification.external_url,
            "notification_id": notification.id,
            "alerts_total": notification.alerts.len(),
            "alerts": alerts,
        }))
    }

    async fn password(&self) -> Result<Option<Secret>, DeliveryError> {
        match &self.password {
            Some(source) => Ok(Some(read_secret_text(source).await?)),
            None => Ok(None),
        }
    }
}

fn alert(told: &Told) -> Json {
    let object = |labels: &Labels| labels.iter().map(|(name, value)| (name.to_owned(), Json::from(value))).collect::<Map<_, _>>();
    json!({
        "status": told.status(),
        "labels": object(&told.alert.labels),
        "annotations": object(&told.alert.annotations),
        "starts_at": told.alert.starts_at.rfc3339(),
    })
}

impl Integration for HomeAssistant {
    fn deliver<'a>(&'a self, notification: &'a Notification, _: &'a Outside) -> Delivered<'a> {
        Box::pin(async move {
            let later = |reason: String| DeliveryError::Later { reason, after: None };
            let messages = self.messages(notification)?;
            let tls = match &self.tls {
                Some(options) => Some(read_client_tls(options).await.map_err(|error| later(error.to_string()))?),
                None => None,
            };
            let client_id: String = format!("watchfire-{}", notification.id).chars().take(CLIENT_ID_CHARS_MAX).collect();
            let broker =
                Broker { host: &self.host, port: self.port, tls, client_id: &client_id, username: self.username.as_deref(), password: self.password().await? };
            let published = tokio::time::timeout(self.timeout, broker.publish(&messages)).await;
            published.unwrap_or_else(|_| Err(later(format!("the MQTT broker did not take the messages within {} s", self.timeout.as_secs_f64()))))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        for (text, expected) in [
            ("ha.lan", Some(("ha.lan", 1883))),
            ("ha.lan:1884", Some(("ha.lan", 1884))),
            ("[::1]:1884", Some(("[::1]", 1884))),
            ("ha.lan:x", None),
            ("mqtt://ha.lan", None),
            ("", None),
        ] {
            assert_eq!(host_and_port(text, 1883), expected.map(|(host, port)| (host.to_owned(), port)), "{text}");
        }
    }
}
