//! One span in Zipkin's JSON, and what it is in ours. Zipkin knows no types: all tags are text.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use watchfire_model::logs::Nanos;
use watchfire_model::spans::{Event, NewSpan, Pair, SpanId, SpanKind, StatusCode, TraceId, Value};
use watchfire_model::write::Reason;

use super::Text;

/// Makes ids of shared spans others than those that are there.
pub(super) const SHARED: u64 = 0x005a_4950_4b49_4e00;
/// More tags or annotations than these has no span.
const TAGS_MAX: usize = 1_024;
/// Tags that say what other fields of a span say.
const STATUS: &str = "otel.status_code";
const DESCRIPTION: &str = "otel.status_description";
const SCOPES: [(&str, &str); 2] = [("otel.scope.name", "otel.scope.version"), ("otel.library.name", "otel.library.version")];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JsonSpan<'a> {
    #[serde(borrow)]
    pub(super) trace_id: Text<'a>,
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    parent_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    kind: Option<Text<'a>>,
    /// Microseconds since 1970.
    #[serde(default)]
    timestamp: Option<u64>,
    /// Microseconds.
    #[serde(default)]
    duration: Option<u64>,
    #[serde(borrow, default)]
    local_endpoint: Option<Endpoint<'a>>,
    #[serde(borrow, default)]
    remote_endpoint: Option<Endpoint<'a>>,
    #[serde(borrow, default)]
    annotations: Option<Vec<Annotation<'a>>>,
    #[serde(default, deserialize_with = "tags")]
    tags: Vec<(String, String)>,
    #[serde(default, deserialize_with = "flag")]
    debug: bool,
    #[serde(default, deserialize_with = "flag")]
    pub(super) shared: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint<'a> {
    #[serde(borrow, default)]
    service_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    ipv4: Option<Text<'a>>,
    #[serde(borrow, default)]
    ipv6: Option<Text<'a>>,
    #[serde(default)]
    port: Option<i64>,
}

#[derive(Deserialize)]
struct Annotation<'a> {
    timestamp: u64,
    #[serde(borrow)]
    value: Text<'a>,
}

fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::<bool>::deserialize(deserializer)?.unwrap_or_default())
}

/// Names and texts. Numbers and truth values, which some senders write, are what they are as text.
fn tags<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    let object = Option::<serde_json::Map<String, serde_json::Value>>::deserialize(deserializer)?.unwrap_or_default();
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(object.into_iter().map(|(name, value)| (name, text(value))).collect())
}

impl JsonSpan<'_> {
    /// The service that it comes from.
    pub(super) fn service(&self) -> Option<&str> {
        self.local_endpoint.as_ref()?.service_name.as_deref().filter(|name| !name.is_empty())
    }

    fn tag(&self, name: &str) -> Option<&str> {
        self.tags.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Name and version of the library that made it, as OpenTelemetry writes them for Zipkin.
    pub(super) fn scope(&self) -> (&str, &str) {
        let names = SCOPES.iter().find(|(name, _)| self.tag(name).is_some());
        names.map_or(("", ""), |(name, version)| (self.tag(name).unwrap_or(""), self.tag(version).unwrap_or("")))
    }

    fn status(&self) -> (StatusCode, &str) {
        let described = self.tag(DESCRIPTION);
        match (self.tag(STATUS), self.tag("error")) {
            (Some("OK" | "Ok"), None) => (StatusCode::Ok, ""),
            (Some("ERROR" | "Error"), error) => (StatusCode::Error, described.or(error).unwrap_or("")),
            // The value of the tag is the message, where it is more than that there was an error.
            (_, Some(message)) if message != "false" => (StatusCode::Error, if message == "true" { described.unwrap_or("") } else { message }),
            _ => (StatusCode::Unset, ""),
        }
    }

    fn attributes(&self) -> Vec<Pair<'_>> {
        let told = |name: &str| name == STATUS || name == DESCRIPTION || SCOPES.iter().any(|(n, version)| name == *n || name == *version);
        let mut attributes: Vec<Pair<'_>> =
            self.tags.iter().filter(|(name, _)| !told(name)).map(|(name, value)| (Cow::Borrowed(name.as_str()), Value::text(value))).collect();
        let mut add = |name: &'static str, value: Option<Value<'static>>| attributes.extend(value.map(|value| (Cow::Borrowed(name), value)));
        let text = |text: &Option<Text<'_>>| text.as_deref().filter(|text| !text.is_empty()).map(|text| Value::Text(Cow::Owned(text.to_owned())));
        let port = |endpoint: &Endpoint<'_>| endpoint.port.filter(|port| *port > 0).map(Value::Int);
        if let Some(local) = &self.local_endpoint {
            add("network.local.address", text(&local.ipv4).or_else(|| text(&local.ipv6)));
            add("network.local.port", port(local));
        }
        if let Some(remote) = &self.remote_endpoint {
            add("peer.service", text(&remote.service_name));
            add("network.peer.address", text(&remote.ipv4).or_else(|| text(&remote.ipv6)));
            add("network.peer.port", port(remote));
        }
        add("zipkin.debug", self.debug.then_some(Value::Bool(true)));
        attributes
    }
}

/// Nanoseconds of microseconds.
fn nanos(micros: u64) -> Option<Nanos> {
    i64::try_from(micros).ok()?.checked_mul(1_000).map(Nanos)
}

/// As much of an id as belongs in an error.
fn shown(id: &str) -> String {
    id.chars().take(40).collect()
}

type Refusal = (Reason, String);

/// Name and kind of a span, and the rest.
pub(super) fn read<'a>(json: &'a JsonSpan<'_>) -> Result<(Cow<'a, str>, SpanKind, NewSpan<'a>), Refusal> {
    let invalid = |what: &str, id: &str, digits: usize| {
        (Reason::InvalidId, format!("{what} must be up to {digits} hexadecimal digits, not all of them zero, not {:?}", shown(id)))
    };
    let trace = TraceId::parse(&json.trace_id).ok_or_else(|| invalid("traceId", &json.trace_id, 32))?;
    let span = SpanId::parse(&json.id).ok_or_else(|| invalid("id", &json.id, 16))?;
    let parent = match json.parent_id.as_deref().filter(|id| !id.is_empty() && id.bytes().any(|digit| digit != b'0')) {
        Some(id) => Some(SpanId::parse(id).ok_or_else(|| invalid("parentId", id, 16))?),
        None => None,
    };
    let kind = match json.kind.as_deref().unwrap_or("") {
        "CLIENT" => SpanKind::Client,
        "SERVER" => SpanKind::Server,
        "PRODUCER" => SpanKind::Producer,
        "CONSUMER" => SpanKind::Consumer,
        "" => SpanKind::Internal,
        other => return Err((Reason::InvalidValue, format!("kind must be CLIENT, SERVER, PRODUCER or CONSUMER, not {:?}", shown(other)))),
    };
    let annotations = json.annotations.as_deref().unwrap_or_default();
    if json.tags.len() > TAGS_MAX || annotations.len() > TAGS_MAX {
        return Err((Reason::MetadataSize, format!("a span has more than {TAGS_MAX} tags or annotations")));
    }
    let begin = json.timestamp.filter(|micros| *micros > 0).or_else(|| annotations.iter().map(|a| a.timestamp).min());
    let start = begin.and_then(nanos).filter(|start| start.0 > 0).ok_or_else(|| (Reason::InvalidValue, format!("span {span} has no timestamp")))?;
    let event = |annotation: &'a Annotation<'_>| Event { time: nanos(annotation.timestamp).unwrap_or(start), name: &annotation.value, attributes: Vec::new() };
    let (status, message) = json.status();
    let new = NewSpan {
        trace,
        span,
        parent,
        start,
        duration: json.duration.unwrap_or(0).saturating_mul(1_000),
        status,
        message,
        attributes: json.attributes(),
        events: annotations.iter().map(event).collect(),
        ..NewSpan::default()
    };
    Ok((Cow::Borrowed(json.name.as_deref().unwrap_or("")), kind, new))
}
