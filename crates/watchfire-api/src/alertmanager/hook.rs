//! Messages that an Alertmanager elsewhere posts to a webhook, in version 4: their alerts are taken like those of any sender. What
//! we ourselves have told is not taken back.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
#[cfg(test)]
use schemars::JsonSchema;
use serde::Deserialize;
use watchfire_alert::manager::alert::NewAlert;
use watchfire_model::text::shortened;
use watchfire_net::inflate::DECOMPRESSED_BYTES_MAX;

use super::shapes::time;
use super::{blocking, refused_some};
use crate::app::App;
use crate::server::Refusal;

/// The most alerts of one message.
const ALERTS_MAX: usize = 20_000;
/// How long an alert counts as firing whose end nobody says. Its sender repeats itself after hours, not after minutes.
const HOLDS_MS: i64 = 86_400_000;

type Pairs = BTreeMap<String, String>;

/// A message. What a template of the receiver would need beside the alerts is not read.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct Message {
    version: String,
    #[serde(default, rename = "externalURL")]
    external_url: String,
    alerts: Vec<HookAlert>,
}

/// An alert of a message.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
struct HookAlert {
    status: String,
    labels: Pairs,
    #[serde(default)]
    annotations: Option<Pairs>,
    #[serde(default)]
    starts_at: Option<String>,
    #[serde(default)]
    ends_at: Option<String>,
    #[serde(default, rename = "generatorURL")]
    generator_url: Option<String>,
}

/// Good alerts are taken even if others are not, as from any other sender.
pub(super) async fn take(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refusal> {
    let body = axum::body::to_bytes(request.into_body(), DECOMPRESSED_BYTES_MAX).await.map_err(|_| Refusal::bad_request("the body broke off"))?;
    let message: Message =
        serde_json::from_slice(&body).map_err(|e| Refusal::bad_request(format!("cannot read the message: {}", shortened(&e.to_string()))))?;
    if message.version != "4" {
        return Err(Refusal::bad_request(format!("cannot read a message of version {:?}, only of 4", shortened(&message.version))));
    }
    if message.alerts.len() > ALERTS_MAX {
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("more than {ALERTS_MAX} alerts at once")));
    }
    let (manager, count) = (app.rooms.alertmanager.clone(), message.alerts.len());
    if blocking(move || manager.refuse_own(&message.external_url, count)).await? {
        return Ok((StatusCode::OK, "these alerts are ours; they are known").into_response());
    }
    let (mut good, mut refused) = (Vec::with_capacity(message.alerts.len()), Vec::new());
    for alert in message.alerts {
        match new_alert(alert, app.now().plus_ms(HOLDS_MS)) {
            Ok(alert) => good.push(alert),
            Err(error) => refused.push(error),
        }
    }
    let taken = blocking(move || app.rooms.alertmanager.take(good)).await?;
    refused.extend(taken.refused.iter().map(|(_, error)| error.to_string()));
    if !taken.stored {
        return Err(Refusal::unavailable("the alerts could not be stored; people are told of them all the same", 5));
    }
    refused_some(&refused)
}

fn new_alert(alert: HookAlert, holds: watchfire_model::time::Timestamp) -> Result<NewAlert, String> {
    let ends_at = match alert.status.as_str() {
        "resolved" => time(alert.ends_at.as_deref())?.ok_or("an alert that is resolved has no endsAt")?,
        "firing" => holds,
        other => return Err(format!("the status of an alert is firing or resolved, not {:?}", shortened(other))),
    };
    Ok(NewAlert {
        labels: alert.labels.into_iter().collect(),
        annotations: alert.annotations.unwrap_or_default().into_iter().collect(),
        starts_at: time(alert.starts_at.as_deref())?,
        ends_at: Some(ends_at),
        generator_url: alert.generator_url.unwrap_or_default(),
    })
}
