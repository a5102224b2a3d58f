//! Traces in Jaeger's JSON: times in microseconds, tags with types, processes beside the spans.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use watchfire_model::labels::Labels;
use watchfire_model::logs::Nanos;
use watchfire_model::spans::{Pair, SpanRow, Value};
use watchfire_query::traces::{Span, Trace, event_fields, process_tags, span_tags};

/// The largest whole number that programs which know one type of numbers read without loss.
const EXACT_MAX: u64 = 1 << 53;

/// A trace.
#[derive(Serialize)]
pub(super) struct TraceJson {
    #[serde(rename = "traceID")]
    id: String,
    spans: Vec<SpanJson>,
    processes: BTreeMap<String, ProcessJson>,
    warnings: Option<()>,
}

#[derive(Serialize)]
struct SpanJson {
    #[serde(rename = "traceID")]
    trace: String,
    #[serde(rename = "spanID")]
    id: String,
    flags: u32,
    #[serde(rename = "operationName")]
    name: String,
    references: Vec<ReferenceJson>,
    #[serde(rename = "startTime")]
    start: i64,
    duration: u64,
    tags: Vec<TagJson>,
    logs: Vec<LogJson>,
    #[serde(rename = "processID")]
    process: String,
    warnings: Option<()>,
}

#[derive(Serialize)]
struct ReferenceJson {
    #[serde(rename = "refType")]
    kind: &'static str,
    #[serde(rename = "traceID")]
    trace: String,
    #[serde(rename = "spanID")]
    span: String,
}

#[derive(Serialize)]
struct LogJson {
    timestamp: i64,
    fields: Vec<TagJson>,
}

#[derive(Serialize, PartialEq)]
struct ProcessJson {
    #[serde(rename = "serviceName")]
    service: String,
    tags: Vec<TagJson>,
}

#[derive(Serialize, PartialEq)]
struct TagJson {
    key: String,
    #[serde(rename = "type")]
    kind: &'static str,
    value: TagValue,
}

#[derive(PartialEq)]
struct TagValue(Value<'static>);
impl Serialize for TagValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) if value.unsigned_abs() <= EXACT_MAX => serializer.serialize_i64(*value),
            Value::Double(value) if value.is_finite() => serializer.serialize_f64(*value),
            // As text they lose nothing.
            value => serializer.serialize_str(&value.as_text()),
        }
    }
}

fn tag((name, value): Pair<'_>) -> TagJson {
    let kind = match &value {
        Value::Text(_) | Value::Json(_) => "string",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Double(_) => "float64",
        Value::Bytes(_) => "binary",
    };
    TagJson { key: name.into_owned(), kind, value: TagValue(value.into_owned()) }
}

fn tags(pairs: Vec<Pair<'_>>) -> Vec<TagJson> {
    pairs.into_iter().map(tag).collect()
}

fn micros(time: Nanos) -> i64 {
    time.0.div_euclid(1_000)
}

/// The processes of a trace, each once.
#[derive(Default)]
struct Processes {
    known: Vec<(Labels, String)>,
    all: BTreeMap<String, ProcessJson>,
}

impl Processes {
    fn of(&mut self, row: &SpanRow<'_>) -> String {
        // Spans of one stream are of one process, unless attributes of the resource have moved to the spans; then the rest tells.
        let process = ProcessJson { service: row.service().to_owned(), tags: tags(process_tags(row)) };
        if let Some((_, id)) = self.known.iter().find(|(labels, id)| labels.is_copy_of(row.labels()) && self.all.get(id) == Some(&process)) {
            return id.clone();
        }
        let id = match self.all.iter().find(|(_, other)| **other == process) {
            Some((id, _)) => id.clone(),
            None => {
                let id = format!("p{}", self.all.len() + 1);
                self.all.insert(id.clone(), process);
                id
            }
        };
        self.known.push((row.labels().clone(), id.clone()));
        id
    }
}

fn references(row: &SpanRow<'_>) -> Vec<ReferenceJson> {
    let parent = row.parent().map(|parent| ReferenceJson { kind: "CHILD_OF", trace: row.trace().to_string(), span: parent.to_string() });
    let link = |link: watchfire_model::spans::Link<'_>| {
        let child = link.attributes.iter().any(|(name, value)| name == "opentracing.ref_type" && value.as_text() == "child_of");
        ReferenceJson { kind: if child { "CHILD_OF" } else { "FOLLOWS_FROM" }, trace: link.trace.to_string(), span: link.span.to_string() }
    };
    parent.into_iter().chain(row.links().into_iter().map(link)).collect()
}

fn span(span: &Span, processes: &mut Processes) -> SpanJson {
    let row = span.row();
    let log = |event: watchfire_model::spans::Event<'_>| LogJson { timestamp: micros(event.time), fields: tags(event_fields(&event)) };
    SpanJson {
        trace: row.trace().to_string(),
        id: row.span().to_string(),
        // The lower byte is that of the context; bits above tell of a remote parent, which Jaeger does not know.
        flags: row.flags() & 0xff,
        name: row.name().to_owned(),
        references: references(&row),
        start: micros(row.start()),
        duration: row.duration() / 1_000,
        tags: tags(span_tags(&row)),
        logs: row.events().into_iter().map(log).collect(),
        process: processes.of(&row),
        warnings: None,
    }
}

/// A trace in Jaeger's form.
pub(super) fn trace(trace: &Trace) -> TraceJson {
    let mut processes = Processes::default();
    let spans = trace.spans.iter().map(|one| span(one, &mut processes)).collect();
    TraceJson { id: trace.id.to_string(), spans, processes: processes.all, warnings: None }
}

/// What a service does.
#[derive(Serialize)]
pub(super) struct OperationJson {
    name: String,
    #[serde(rename = "spanKind")]
    kind: &'static str,
}
impl OperationJson {
    pub(super) fn new(operation: watchfire_query::traces::Operation) -> OperationJson {
        OperationJson { name: operation.name, kind: operation.kind }
    }
}
