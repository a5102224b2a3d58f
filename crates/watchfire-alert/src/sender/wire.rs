//! Alerts as Alertmanager's interface, version 2, takes them: a list of objects.

use std::collections::BTreeMap;

use serde::Serialize;
use watchfire_model::labels::Labels;

use crate::rules::OutgoingAlert;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Posted<'a> {
    annotations: BTreeMap<&'a str, &'a str>,
    ends_at: String,
    starts_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "str::is_empty")]
    generator_url: &'a str,
    labels: BTreeMap<&'a str, &'a str>,
}

fn map(labels: &Labels) -> BTreeMap<&str, &str> {
    labels.iter().collect()
}

/// The body of one request.
pub(super) fn body(alerts: &[OutgoingAlert]) -> Result<Vec<u8>, String> {
    let posted: Vec<Posted<'_>> = alerts
        .iter()
        .map(|alert| Posted {
            annotations: map(&alert.annotations),
            ends_at: alert.ends_at.rfc3339_millis(),
            starts_at: alert.starts_at.rfc3339_millis(),
            generator_url: &alert.generator_url,
            labels: map(&alert.labels),
        })
        .collect();
    serde_json::to_vec(&posted).map_err(|e| format!("cannot write alerts: {e}"))
}
