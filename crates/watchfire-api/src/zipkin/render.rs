//! Traces in Zipkin's JSON: times in microseconds, all tags as text.

use std::collections::BTreeMap;

use serde::Serialize;
use watchfire_model::logs::Nanos;
use watchfire_model::spans::{Pair, SpanKind, SpanRow, StatusCode, Value};
use watchfire_query::traces::Trace;

/// Attributes that are fields of endpoints.
const LOCAL: [&str; 2] = ["network.local.address", "network.local.port"];
const REMOTE: [&str; 3] = ["network.peer.address", "network.peer.port", "peer.service"];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SpanJson {
    trace_id: String,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    name: String,
    timestamp: i64,
    duration: u64,
    local_endpoint: EndpointJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_endpoint: Option<EndpointJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<AnnotationJson>,
    tags: BTreeMap<String, String>,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct EndpointJson {
    #[serde(skip_serializing_if = "String::is_empty")]
    service_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv4: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv6: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<i64>,
}

#[derive(Serialize)]
struct AnnotationJson {
    timestamp: i64,
    value: String,
}

fn micros(time: Nanos) -> i64 {
    time.0.div_euclid(1_000)
}

fn kind(kind: SpanKind) -> Option<&'static str> {
    match kind {
        SpanKind::Server => Some("SERVER"),
        SpanKind::Client => Some("CLIENT"),
        SpanKind::Producer => Some("PRODUCER"),
        SpanKind::Consumer => Some("CONSUMER"),
        SpanKind::Internal | SpanKind::Unspecified => None,
    }
}

fn endpoint(attributes: &[Pair<'_>], service: &str, [address, port]: [&str; 2]) -> EndpointJson {
    let value = |name: &str| attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value);
    let address = value(address).map(|value| value.as_text().into_owned());
    let (ipv6, ipv4) = if address.as_deref().is_some_and(|address| address.contains(':')) { (address, None) } else { (None, address) };
    let port = value(port).and_then(|value| if let Value::Int(port) = value { Some(*port) } else { value.as_text().parse().ok() });
    EndpointJson { service_name: service.to_owned(), ipv4, ipv6, port }
}

fn span(row: &SpanRow<'_>) -> SpanJson {
    let attributes = row.attributes();
    let peer = attributes.iter().find(|(name, _)| name == REMOTE[2]).map(|(_, value)| value.as_text().into_owned());
    let remote = attributes.iter().any(|(name, _)| REMOTE.contains(&&**name));
    let own = attributes.iter().filter(|(name, _)| !LOCAL.contains(&&**name) && !REMOTE.contains(&&**name));
    let mut tags: BTreeMap<String, String> = own.map(|(name, value)| (name.to_string(), value.as_text().into_owned())).collect();
    if row.status() == StatusCode::Error {
        tags.entry("error".to_owned()).or_insert_with(|| if row.message().is_empty() { "true" } else { row.message() }.to_owned());
    }
    let (scope, version) = row.scope();
    for (name, value) in [("otel.scope.name", scope), ("otel.scope.version", version)] {
        if !value.is_empty() {
            tags.insert(name.to_owned(), value.to_owned());
        }
    }
    SpanJson {
        trace_id: row.trace().to_string(),
        id: row.span().to_string(),
        parent_id: row.parent().map(|parent| parent.to_string()),
        kind: kind(row.kind()),
        name: row.name().to_owned(),
        timestamp: micros(row.start()),
        // Zipkin has no spans that take no time.
        duration: (row.duration() / 1_000).max(1),
        local_endpoint: endpoint(&attributes, row.service(), LOCAL),
        remote_endpoint: remote.then(|| endpoint(&attributes, peer.as_deref().unwrap_or(""), [REMOTE[0], REMOTE[1]])),
        annotations: row.events().into_iter().map(|event| AnnotationJson { timestamp: micros(event.time), value: event.name.to_owned() }).collect(),
        tags,
    }
}

/// A trace: a list of its spans.
pub(super) fn trace(trace: &Trace) -> Vec<SpanJson> {
    trace.spans.iter().map(|one| span(&one.row())).collect()
}
