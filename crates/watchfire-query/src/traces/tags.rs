//! A span in the terms of Jaeger: tags, fields of logs, tags of the process. They are what a search for tags looks at.

use std::borrow::Cow;

use watchfire_model::spans::{Event, Pair, SpanKind, SpanRow, StatusCode, Value};

const SERVICE_NAME: &str = "service.name";

/// The tags of a span: its attributes, and its kind, status and scope as Jaeger writes them.
pub fn span_tags<'a>(row: &SpanRow<'a>) -> Vec<Pair<'a>> {
    let mut tags = row.attributes();
    let mut add = |name: &'static str, value: Value<'a>| tags.push((Cow::Borrowed(name), value));
    let (scope, version) = row.scope();
    if !scope.is_empty() {
        add("otel.scope.name", Value::text(scope));
    }
    if !version.is_empty() {
        add("otel.scope.version", Value::text(version));
    }
    if row.kind() != SpanKind::Unspecified {
        add("span.kind", Value::text(row.kind().name()));
    }
    match row.status() {
        StatusCode::Unset => {}
        StatusCode::Ok => add("otel.status_code", Value::text("OK")),
        StatusCode::Error => {
            add("otel.status_code", Value::text("ERROR"));
            add("error", Value::Bool(true));
        }
    }
    if !row.message().is_empty() {
        add("otel.status_description", Value::text(row.message()));
    }
    if !row.state().is_empty() {
        add("w3c.tracestate", Value::text(row.state()));
    }
    tags
}

/// The tags of the process: the attributes of the resource but the name of the service, which stands beside them.
pub fn process_tags<'a>(row: &SpanRow<'a>) -> Vec<Pair<'a>> {
    let mut tags = row.resource();
    tags.retain(|(name, _)| name != SERVICE_NAME);
    tags
}

/// The fields of a log: the name of the event, and its attributes.
pub fn event_fields<'a>(event: &Event<'a>) -> Vec<Pair<'a>> {
    let name = (!event.name.is_empty()).then(|| (Cow::Borrowed("event"), Value::text(event.name)));
    name.into_iter().chain(event.attributes.iter().cloned()).collect()
}

/// Whether a tag of span or process, or a field of an event, has a value. Values are compared as text, whatever their type.
pub(super) fn has_tag(row: &SpanRow<'_>, name: &str, value: &str) -> bool {
    let has = |pairs: Vec<Pair<'_>>| pairs.iter().any(|(n, v)| n == name && v.as_text() == value);
    has(span_tags(row)) || has(process_tags(row)) || row.events().iter().any(|event| has(event_fields(event)))
}
