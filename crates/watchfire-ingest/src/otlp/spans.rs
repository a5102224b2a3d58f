//! Spans as OTLP has them: grouped by resource and scope, in JSON and in protobuf. What stands around them (`resourceSpans`, `batches`)
//! is the face's. Nothing is read here.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};
use watchfire_model::read::{Budget, ReadError};
use watchfire_model::spans::{Event, Link, Pair, SpanId, SpanKind, SpanRow, StatusCode, TraceId, Value};

use crate::protobuf::Writer;

/// The two ways in which OTLP is written as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As OTLP over HTTP wants it: ids in hexadecimal digits, enumerations as numbers.
    Otlp,
    /// As protobuf maps to JSON: ids in base64, enumerations as names. Tempo answers so.
    Protojson,
}

/// Spans of one resource.
struct Resource<'a> {
    attributes: Vec<Pair<'a>>,
    scopes: Vec<Scope<'a>>,
}
/// Spans of one scope of a resource.
struct Scope<'a> {
    name: &'a str,
    version: &'a str,
    attributes: Vec<Pair<'a>>,
    rows: Vec<SpanRow<'a>>,
}

/// What has been seen of resources and scopes, in the order in which their first spans came.
#[derive(Default)]
struct Groups<'a> {
    resources: Vec<Resource<'a>>,
    known_resources: HashMap<String, usize>,
    known_scopes: HashMap<(usize, String), usize>,
}

impl<'a> Groups<'a> {
    /// Where the spans that share resource and scope with this one are.
    fn place(&mut self, row: &SpanRow<'a>) -> (usize, usize) {
        let attributes = row.resource();
        let next = self.resources.len();
        let at = *self.known_resources.entry(format!("{attributes:?}")).or_insert(next);
        if at == next {
            self.resources.push(Resource { attributes, scopes: Vec::new() });
        }
        let Some(resource) = self.resources.get_mut(at) else { return (at, 0) };
        let ((name, version), attributes) = (row.scope(), row.scope_attributes());
        let next = resource.scopes.len();
        let scope = *self.known_scopes.entry((at, format!("{name:?}{version:?}{attributes:?}"))).or_insert(next);
        if scope == next {
            resource.scopes.push(Scope { name, version, attributes, rows: Vec::new() });
        }
        (at, scope)
    }
}

fn grouped<'a>(rows: impl Iterator<Item = SpanRow<'a>>) -> Vec<Resource<'a>> {
    let mut groups = Groups::default();
    let mut of_streams: HashMap<&'a str, (usize, usize)> = HashMap::new();
    for row in rows {
        // What was moved from a stream to its spans is looked at for each of them.
        let place = if row.shares_all() { *of_streams.entry(row.labels().packed()).or_insert_with(|| groups.place(&row)) } else { groups.place(&row) };
        if let Some(scope) = groups.resources.get_mut(place.0).and_then(|resource| resource.scopes.get_mut(place.1)) {
            scope.rows.push(row);
        }
    }
    groups.resources
}

/// The list of `ResourceSpans` as JSON, charged to the budget.
pub fn json<'a>(rows: impl Iterator<Item = SpanRow<'a>>, form: Form, budget: &Budget) -> Result<Vec<u8>, ReadError> {
    let mut out = b"[".to_vec();
    for (at, resource) in grouped(rows).iter().enumerate() {
        comma(&mut out, at);
        out.extend_from_slice(b"{\"resource\":");
        out.extend(to_json(&json!({"attributes": attributes(&resource.attributes)})));
        out.extend_from_slice(b",\"scopeSpans\":[");
        for (at, scope) in resource.scopes.iter().enumerate() {
            comma(&mut out, at);
            out.extend_from_slice(b"{\"scope\":");
            out.extend(to_json(&scope_json(scope)));
            out.extend_from_slice(b",\"spans\":[");
            for (at, row) in scope.rows.iter().enumerate() {
                let span = to_json(&span_json(row, form));
                budget.check()?;
                budget.charge_memory(span.len() as u64)?;
                comma(&mut out, at);
                out.extend(span);
            }
            out.extend_from_slice(b"]}");
        }
        out.extend_from_slice(b"]}");
    }
    out.push(b']');
    Ok(out)
}

/// A tree as JSON, which cannot fail.
fn to_json(value: &Json) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn comma(out: &mut Vec<u8>, at: usize) {
    if at > 0 {
        out.push(b',');
    }
}

fn attributes(pairs: &[Pair<'_>]) -> Json {
    pairs.iter().map(|(name, value)| json!({"key": name, "value": any_json(value)})).collect()
}

/// An attribute's value as `AnyValue`.
pub fn any_json(value: &Value<'_>) -> Json {
    match value {
        Value::Text(text) => json!({"stringValue": text}),
        Value::Int(number) => json!({"intValue": number.to_string()}),
        Value::Double(number) => json!({"doubleValue": double(*number)}),
        Value::Bool(value) => json!({"boolValue": value}),
        Value::Bytes(text) => json!({"bytesValue": text}),
        Value::Json(text) => match serde_json::from_str(text) {
            Ok(tree) => tree_json(&tree),
            Err(_) => json!({"stringValue": text}),
        },
    }
}

/// What JSON has no numbers for has names.
fn double(number: f64) -> Json {
    match number {
        n if n.is_nan() => json!("NaN"),
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        n => json!(n),
    }
}

/// Lists and maps came in nested at most as deep as the reader of JSON allows.
fn tree_json(tree: &Json) -> Json {
    match tree {
        Json::Null => json!({}),
        Json::Bool(value) => json!({"boolValue": value}),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => json!({"intValue": whole.to_string()}),
            None => json!({"doubleValue": number}),
        },
        Json::String(text) => json!({"stringValue": text}),
        Json::Array(items) => json!({"arrayValue": {"values": items.iter().map(tree_json).collect::<Vec<_>>()}}),
        Json::Object(items) => {
            let pairs: Vec<Json> = items.iter().map(|(name, item)| json!({"key": name, "value": tree_json(item)})).collect();
            json!({"kvlistValue": {"values": pairs}})
        }
    }
}

fn trace_id(id: TraceId, form: Form) -> String {
    if form == Form::Otlp { id.to_string() } else { STANDARD.encode(id.0) }
}
fn span_id(id: SpanId, form: Form) -> String {
    if form == Form::Otlp { id.to_string() } else { STANDARD.encode(id.0) }
}

/// Fields that have their usual value are left out, as in all JSON of protobuf.
fn put(object: &mut Map<String, Json>, name: &str, value: Json) {
    let usual = match &value {
        Json::String(text) => text.is_empty(),
        Json::Number(number) => number.as_u64() == Some(0),
        Json::Array(items) => items.is_empty(),
        _ => false,
    };
    if !usual {
        object.insert(name.to_owned(), value);
    }
}

fn scope_json(scope: &Scope<'_>) -> Json {
    let mut object = Map::new();
    put(&mut object, "name", json!(scope.name));
    put(&mut object, "version", json!(scope.version));
    put(&mut object, "attributes", attributes(&scope.attributes));
    Json::Object(object)
}

fn kind(kind: SpanKind, form: Form) -> Json {
    if form == Form::Otlp { json!(kind as u8) } else { json!(format!("SPAN_KIND_{}", kind.name().to_ascii_uppercase())) }
}

fn status(row: &SpanRow<'_>, form: Form) -> Json {
    let mut object = Map::new();
    put(&mut object, "message", json!(row.message()));
    match (row.status(), form) {
        (StatusCode::Unset, _) => {}
        (code, Form::Otlp) => put(&mut object, "code", json!(code as u8)),
        (code, Form::Protojson) => put(&mut object, "code", json!(format!("STATUS_CODE_{}", code.name().to_ascii_uppercase()))),
    }
    Json::Object(object)
}

fn span_json(row: &SpanRow<'_>, form: Form) -> Json {
    let mut object = Map::new();
    let [attributes_dropped, events_dropped, links_dropped] = row.dropped();
    let mut add = |name: &str, value: Json| put(&mut object, name, value);
    add("traceId", json!(trace_id(row.trace(), form)));
    add("spanId", json!(span_id(row.span(), form)));
    add("traceState", json!(row.state()));
    add("parentSpanId", json!(row.parent().map_or_else(String::new, |parent| span_id(parent, form))));
    add("flags", json!(row.flags()));
    add("name", json!(row.name()));
    add("kind", kind(row.kind(), form));
    add("startTimeUnixNano", json!(row.start().0.to_string()));
    add("endTimeUnixNano", json!(row.end().0.to_string()));
    add("attributes", attributes(&row.attributes()));
    add("droppedAttributesCount", json!(attributes_dropped));
    add("events", row.events().iter().map(event_json).collect());
    add("droppedEventsCount", json!(events_dropped));
    add("links", row.links().iter().map(|link| link_json(link, form)).collect());
    add("droppedLinksCount", json!(links_dropped));
    add("status", status(row, form));
    Json::Object(object)
}

fn event_json(event: &Event<'_>) -> Json {
    let mut object = Map::new();
    put(&mut object, "timeUnixNano", json!(event.time.0.to_string()));
    put(&mut object, "name", json!(event.name));
    put(&mut object, "attributes", attributes(&event.attributes));
    Json::Object(object)
}

fn link_json(link: &Link<'_>, form: Form) -> Json {
    let mut object = Map::new();
    put(&mut object, "traceId", json!(trace_id(link.trace, form)));
    put(&mut object, "spanId", json!(span_id(link.span, form)));
    put(&mut object, "traceState", json!(link.state));
    put(&mut object, "attributes", attributes(&link.attributes));
    Json::Object(object)
}

/// Writes each `ResourceSpans` as a field of a message: of `TracesData`, and of Tempo's `Trace`, it is field 1.
pub fn protobuf<'a>(out: &mut Writer, field: u32, rows: impl Iterator<Item = SpanRow<'a>>) {
    for resource in grouped(rows) {
        out.message(field, |out| {
            out.message(1, |out| write_attributes(out, 1, &resource.attributes));
            for scope in &resource.scopes {
                out.message(2, |out| {
                    out.message(1, |out| {
                        out.text(1, scope.name);
                        out.text(2, scope.version);
                        write_attributes(out, 3, &scope.attributes);
                    });
                    scope.rows.iter().for_each(|row| out.message(2, |out| write_span(out, row)));
                });
            }
        });
    }
}

fn write_attributes(out: &mut Writer, field: u32, pairs: &[Pair<'_>]) {
    for (name, value) in pairs {
        out.message(field, |out| {
            out.text(1, name);
            out.message(2, |out| write_any(out, value));
        });
    }
}

fn write_any(out: &mut Writer, value: &Value<'_>) {
    match value {
        Value::Text(text) => out.always_bytes(1, text.as_bytes()),
        Value::Bool(value) => out.always_uint(2, u64::from(*value)),
        Value::Int(number) => out.always_uint(3, number.cast_unsigned()),
        Value::Double(number) => out.always_double(4, *number),
        Value::Bytes(text) => match STANDARD.decode(text.as_bytes()) {
            Ok(bytes) => out.always_bytes(7, &bytes),
            Err(_) => out.always_bytes(1, text.as_bytes()),
        },
        Value::Json(text) => match serde_json::from_str(text) {
            Ok(tree) => write_tree(out, &tree),
            Err(_) => out.always_bytes(1, text.as_bytes()),
        },
    }
}

fn write_tree(out: &mut Writer, tree: &Json) {
    match tree {
        Json::Null => {}
        Json::Bool(value) => out.always_uint(2, u64::from(*value)),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => out.always_uint(3, whole.cast_unsigned()),
            None => out.always_double(4, number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => out.always_bytes(1, text.as_bytes()),
        Json::Array(items) => out.message(5, |out| items.iter().for_each(|item| out.message(1, |out| write_tree(out, item)))),
        Json::Object(items) => out.message(6, |out| {
            for (name, item) in items {
                out.message(1, |out| {
                    out.text(1, name);
                    out.message(2, |out| write_tree(out, item));
                });
            }
        }),
    }
}

fn write_span(out: &mut Writer, row: &SpanRow<'_>) {
    let [attributes_dropped, events_dropped, links_dropped] = row.dropped();
    out.always_bytes(1, &row.trace().0);
    out.always_bytes(2, &row.span().0);
    out.text(3, row.state());
    if let Some(parent) = row.parent() {
        out.always_bytes(4, &parent.0);
    }
    out.text(5, row.name());
    out.uint(6, row.kind() as u64);
    out.fixed64(7, row.start().0.cast_unsigned());
    out.fixed64(8, row.end().0.cast_unsigned());
    write_attributes(out, 9, &row.attributes());
    out.uint(10, attributes_dropped.into());
    for event in row.events() {
        out.message(11, |out| {
            out.fixed64(1, event.time.0.cast_unsigned());
            out.text(2, event.name);
            write_attributes(out, 3, &event.attributes);
        });
    }
    out.uint(12, events_dropped.into());
    for link in row.links() {
        out.message(13, |out| {
            out.always_bytes(1, &link.trace.0);
            out.always_bytes(2, &link.span.0);
            out.text(3, link.state);
            write_attributes(out, 4, &link.attributes);
        });
    }
    out.uint(14, links_dropped.into());
    out.message(15, |out| {
        out.text(2, row.message());
        out.uint(3, row.status() as u64);
    });
    out.fixed32(16, row.flags());
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use watchfire_model::batch::{Batch, Origin};
    use watchfire_model::logs::StreamEntries;
    use watchfire_model::meter::Meter;
    use watchfire_model::time::{ManualClock, Timestamp};
    use watchfire_model::write::{Sink, WriteError, Written};

    use super::*;
    use crate::gate::{Gate, Limits};
    use crate::otlp::{Format, Otlp, Settings};

    const NOW: Timestamp = Timestamp(1_767_089_700_000);

    #[derive(Default)]
    struct Kept(Mutex<Vec<StreamEntries>>);
    impl Sink for Kept {
        fn write(&self, batch: Batch) -> Result<Written, WriteError> {
            self.0.lock().unwrap().extend(batch.spans);
            Ok(Written::default())
        }
    }

    /// What came in as OTLP, as it is written again.
    fn again<T>(body: &[u8], format: Format, write: impl FnOnce(Vec<SpanRow<'_>>) -> T) -> T {
        let (kept, clock, meter) = (Arc::new(Kept::default()), ManualClock::new(NOW), Meter::new());
        let gate = Arc::new(Gate::new(kept.clone(), clock.clone(), &meter, Limits::default()));
        let otlp = Otlp::new(gate, clock, &meter, Settings::default());
        otlp.traces(body, format, Origin::new("test")).unwrap();
        let streams = kept.0.lock().unwrap();
        let mut rows: Vec<SpanRow<'_>> = streams.iter().flat_map(|s| s.entries.iter().map(|e| SpanRow::from_parts(&s.labels, e))).collect();
        rows.sort_by_key(|row| row.span());
        write(rows)
    }

    fn request() -> Json {
        let t = NOW.millis() * 1_000_000;
        let own = |id: u8, more: Json| {
            let mut span = json!({"traceId": "0123456789abcdef0123456789abcdef", "spanId": format!("{id:016x}"), "name": format!("span {}", id % 2),
                "kind": 2, "startTimeUnixNano": t.to_string(), "endTimeUnixNano": (t + 5).to_string(), "status": {}});
            span.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            span
        };
        let list = json!({"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "a"}, {}, {"doubleValue": 1.5}, {"boolValue": false}]}});
        let full = own(
            2,
            json!({
                "parentSpanId": "0000000000000001", "traceState": "a=b", "flags": 257, "droppedAttributesCount": 1, "droppedEventsCount": 2, "droppedLinksCount": 3,
                "attributes": [
                    {"key": "bool", "value": {"boolValue": true}}, {"key": "bytes", "value": {"bytesValue": "AQI="}}, {"key": "double", "value": {"doubleValue": 0.5}},
                    {"key": "empty", "value": {"stringValue": ""}}, {"key": "int", "value": {"intValue": "-7"}}, {"key": "list", "value": list},
                    {"key": "map", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"intValue": "1"}}]}}}, {"key": "nan", "value": {"doubleValue": "NaN"}},
                ],
                "events": [{"timeUnixNano": (t + 1).to_string(), "name": "e", "attributes": [{"key": "n", "value": {"intValue": "1"}}]}],
                "links": [{"traceId": "ffffffffffffffffffffffffffffffff", "spanId": "00000000000000ff", "traceState": "x=y",
                    "attributes": [{"key": "n", "value": {"stringValue": "v"}}]}],
                "status": {"message": "broken", "code": 2},
            }),
        );
        let resource = |name: &str| json!({"attributes": [{"key": "service.name", "value": {"stringValue": name}}]});
        json!([
            {"resource": resource("a"), "scopeSpans": [
                {"scope": {"name": "lib", "version": "1", "attributes": [{"key": "s", "value": {"intValue": "1"}}]}, "spans": [own(1, json!({})), full, own(3, json!({}))]},
                {"scope": {}, "spans": [own(4, json!({}))]},
            ]},
            {"resource": resource("b"), "scopeSpans": [{"scope": {"name": "lib"}, "spans": [own(5, json!({}))]}]},
        ])
    }

    fn budget() -> Budget {
        Budget::unlimited(ManualClock::new(NOW))
    }

    #[test]
    fn what_came_in_goes_out_again_in_both_encodings() {
        let sent = request();
        let body = json!({"resourceSpans": sent}).to_string();
        let read = |bytes: Vec<u8>| serde_json::from_slice::<Json>(&bytes).unwrap();
        let (as_json, as_protobuf) = again(body.as_bytes(), Format::Json, |rows| {
            let mut out = Writer::new();
            protobuf(&mut out, 1, rows.iter().copied());
            (read(json(rows.into_iter(), Form::Otlp, &budget()).unwrap()), out.into_bytes())
        });
        assert_eq!(as_json, sent);
        let once_more = again(&as_protobuf, Format::Protobuf, |rows| read(json(rows.into_iter(), Form::Otlp, &budget()).unwrap()));
        assert_eq!(once_more, sent);
    }

    #[test]
    fn tempo_has_ids_in_base64_and_names_of_enumerations() {
        let body = json!({"resourceSpans": request()}).to_string();
        let out: Json =
            again(body.as_bytes(), Format::Json, |rows| serde_json::from_slice(&json(rows.into_iter(), Form::Protojson, &budget()).unwrap()).unwrap());
        let span = &out[0]["scopeSpans"][0]["spans"][1];
        let ids = ["traceId", "spanId", "parentSpanId"].map(|name| span[name].as_str().unwrap().to_owned());
        assert_eq!(ids, ["ASNFZ4mrze8BI0VniavN7w==", "AAAAAAAAAAI=", "AAAAAAAAAAE="]);
        assert_eq!((&span["kind"], &span["status"]["code"]), (&json!("SPAN_KIND_SERVER"), &json!("STATUS_CODE_ERROR")));
    }

    #[test]
    fn what_is_written_is_charged() {
        let small = Budget::new(ManualClock::new(NOW), std::time::Duration::from_secs(1), 10, 1_000);
        let body = json!({"resourceSpans": request()}).to_string();
        let refused = again(body.as_bytes(), Format::Json, |rows| json(rows.into_iter(), Form::Otlp, &small));
        assert!(matches!(refused, Err(ReadError::TooMuchMemory(1_000))));
    }
}
