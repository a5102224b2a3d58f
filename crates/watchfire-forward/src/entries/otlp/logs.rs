//! Log lines as OTLP's records: the labels of the stream are attributes of the resource, under OpenTelemetry's names where these are known;
//! ids, severity and scope have places of their own, the other structured metadata are attributes.

use std::collections::HashMap;

use watchfire_ingest::otlp::stream_attributes;
use watchfire_ingest::protobuf::Writer;
use watchfire_model::labels::Labels;
use watchfire_model::level;

use super::{attribute, id};
use crate::entries::outcome::Item;

/// Structured metadata with places of their own in a record.
const OWN: [&str; 6] = ["trace_id", "span_id", "severity_number", "severity_text", "event_name", level::LABEL];
/// And in a scope.
const SCOPE: [&str; 2] = ["scope_name", "scope_version"];

/// `ExportLogsServiceRequest { 1: ResourceLogs* }`.
pub(super) fn encode(items: &[Item]) -> Vec<u8> {
    let mut streams: Vec<(&Labels, Vec<&Item>)> = Vec::new();
    let mut places: HashMap<&Labels, usize> = HashMap::new();
    for item in items {
        let at = *places.entry(&item.labels).or_insert(streams.len());
        match streams.get_mut(at) {
            Some((_, of_stream)) => of_stream.push(item),
            None => streams.push((&item.labels, vec![item])),
        }
    }
    let mut out = Writer::new();
    for (labels, items) in streams {
        // ResourceLogs { 1: Resource { 1: attribute* }, 2: ScopeLogs { 1: scope, 2: LogRecord* }* }.
        out.message(1, |of_resource| {
            of_resource.message(1, |resource| {
                for (name, value) in labels {
                    attribute(resource, 1, known_name(name), value);
                }
            });
            for of_scope in items.chunk_by(|a, b| SCOPE.iter().all(|name| a.metadata.get(name) == b.metadata.get(name))) {
                of_resource.message(2, |scope_logs| {
                    let [name, version] = SCOPE.map(|name| of_scope.first().and_then(|item| item.metadata.get(name)).unwrap_or(""));
                    if !name.is_empty() || !version.is_empty() {
                        scope_logs.message(1, |scope| {
                            scope.text(1, name);
                            scope.text(2, version);
                        });
                    }
                    for item in of_scope {
                        scope_logs.message(2, |out| record(out, item));
                    }
                });
            }
        });
    }
    out.into_bytes()
}

/// LogRecord { 1: time, 2: severity number, 3: severity text, 5: body, 6: attribute*, 9: trace id, 10: span id, 12: event name }.
fn record(out: &mut Writer, item: &Item) {
    let told = |name: &str| item.metadata.get(name).unwrap_or("");
    out.fixed64(1, u64::try_from(item.time.0).unwrap_or(0));
    let number = told("severity_number").parse().ok().filter(|n| (1..=24).contains(n));
    out.uint(2, number.or_else(|| level::noted(&item.metadata).and_then(severity)).unwrap_or(0));
    out.text(3, told("severity_text"));
    out.message(5, |body| body.always_bytes(1, item.line.as_bytes()));
    let (trace, span) = (id::<16>(told("trace_id")), id::<8>(told("span_id")));
    for (name, value) in &item.metadata {
        let elsewhere = match name {
            // What is no id stays as it is.
            "trace_id" => trace.is_some(),
            "span_id" => span.is_some(),
            _ => OWN.contains(&name) || SCOPE.contains(&name),
        };
        if !elsewhere {
            attribute(out, 6, name, value);
        }
    }
    for (field, id) in [(9, trace.as_ref().map(|id| &id[..])), (10, span.as_ref().map(|id| &id[..]))] {
        if let Some(id) = id {
            out.always_bytes(field, id);
        }
    }
    out.text(12, told("event_name"));
}

/// The number of a level.
fn severity(level: &str) -> Option<u64> {
    [("trace", 1), ("debug", 5), ("info", 9), ("warn", 13), ("error", 17), ("critical", 21), ("fatal", 21)]
        .into_iter()
        .find(|(name, _)| *name == level)
        .map(|(_, number)| number)
}

/// The attribute of a resource that a label was made of.
fn known_name(label: &str) -> &str {
    let made_of = |attribute: &&&str| attribute.len() == label.len() && attribute.bytes().zip(label.bytes()).all(|(a, l)| a == l || (a == b'.' && l == b'_'));
    stream_attributes().iter().find(made_of).copied().unwrap_or(label)
}
