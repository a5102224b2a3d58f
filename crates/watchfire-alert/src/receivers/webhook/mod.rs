//! `webhook_configs`: posts a notification as JSON to a fixed address, in version 4 of the form that everybody's receivers read.
//! The address never comes from labels, and the answer's body only serves messages.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use watchfire_model::document::Reader;
use watchfire_model::labels::Labels;
use watchfire_net::backoff::retry_after;
use watchfire_net::client::{HttpOptions, Request, SecretSource, read_secret};
use watchfire_net::inflate::Limits;
use watchfire_net::secret::Secret;

use super::{DELIVERY_TIME_MAX, Delivered, DeliveryError, Integration, Kind, Making, Outside};
use crate::manager::notification::{Notification, Told};

pub(super) const KIND: Kind = Kind { key: "webhook_configs", name: "webhook", send_resolved: true, fields: &[], templates: "", make: Some(make) };

/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How much of an answer stands in a message.
const SHOWN_CHARS_MAX: usize = 200;

/// One address.
struct Webhook {
    url: SecretSource,
    http: Arc<HttpOptions>,
    /// Alerts per message; zero is all.
    alerts_max: usize,
    timeout: Duration,
}

fn make(reader: &Reader<'_>, making: &Making<'_>) -> Option<Arc<dyn Integration>> {
    let url = read_secret(reader, "url", "url_file", making.locate);
    let node = reader.node();
    match &url {
        None => {
            reader.context().error(node.line, node.column, format!("{}: one of url and url_file must be set", reader.path_of("url").trim_end_matches(".url")))
        }
        Some(SecretSource::Inline(url)) if url.expose() != "<secret>" => check_url(reader, url.expose()),
        Some(_) => {}
    }
    let timeout = reader.duration_ms("timeout").filter(|ms| *ms > 0).map_or(DELIVERY_TIME_MAX, Duration::from_millis);
    if timeout > DELIVERY_TIME_MAX {
        reader.warning_at("timeout", format!("one try takes at most {} s here", DELIVERY_TIME_MAX.as_secs()));
    }
    if reader.raw("payload").is_some() {
        reader.warning_at("payload", "is read but not carried out: the usual message is sent");
    }
    let alerts_max = reader.u64("max_alerts").unwrap_or(0) as usize;
    let http = making.http(reader);
    Some(Arc::new(Webhook { url: url?, http, alerts_max, timeout: timeout.min(DELIVERY_TIME_MAX) }))
}

/// The text of an address must not stand in a message: it often is the secret.
fn check_url(reader: &Reader<'_>, url: &str) {
    let scheme = url.split_once("://").map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest.is_empty() || rest.starts_with('/')));
    match scheme {
        _ if url.contains("{{") => reader.error_at("url", "must not be a template: destinations are never built from labels"),
        Some((scheme, false)) if scheme == "http" || scheme == "https" => {}
        _ => reader.error_at("url", "must be a URL with http:// or https:// and a host"),
    }
}

impl Integration for Webhook {
    fn deliver<'a>(&'a self, notification: &'a Notification, outside: &'a Outside) -> Delivered<'a> {
        Box::pin(async move {
            let url = read_url(&self.url).await?;
            let mut request = Request::get(url.expose(), self.timeout);
            request.method = http::Method::POST;
            request.headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
            request.headers.push(("Idempotency-Key".to_owned(), notification.id.clone()));
            request.body = message(notification, self.alerts_max).to_string().into();
            request.limits = Limits::both(ANSWER_BYTES_MAX);
            let answer = match outside.caller.send(&self.http, request).await {
                Ok(answer) => answer,
                Err(error) => return Err(DeliveryError::Later { reason: hide(&url, &error.to_string()), after: None }),
            };
            let status = answer.status;
            if status.is_success() {
                return Ok(());
            }
            let said: String = String::from_utf8_lossy(&answer.body).chars().filter(|c| !c.is_control()).take(SHOWN_CHARS_MAX).collect();
            let reason = hide(&url, format!("it answered {status}: {said}").trim_end_matches([' ', ':']));
            if status.is_server_error() || matches!(status.as_u16(), 408 | 429) {
                let after = answer.header("retry-after").and_then(|value| retry_after(value, outside.clock.now()));
                return Err(DeliveryError::Later { reason, after });
            }
            Err(DeliveryError::Never(reason))
        })
    }
}

/// The address is read from its file at each use, so that a new one needs no reload.
async fn read_url(source: &SecretSource) -> Result<Secret, DeliveryError> {
    let path: PathBuf = match source {
        SecretSource::Inline(url) => return Ok(url.clone()),
        SecretSource::File(path) => path.clone(),
    };
    let later = |reason: String| DeliveryError::Later { reason, after: None };
    let read = tokio::task::spawn_blocking(move || Secret::from_file(&path)).await;
    read.map_err(|_| later("reading the address panicked".to_owned()))?.map_err(|e| later(e.to_string()))
}

/// What a message says, without the address in it.
fn hide(url: &Secret, message: &str) -> String {
    let bare = watchfire_net::client::without_credentials(url.expose());
    message.replace(url.expose(), "<secret>").replace(&bare, "<secret>")
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
