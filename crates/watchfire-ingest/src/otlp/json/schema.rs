//! The messages of OTLP metrics, logs and traces as tables: names, numbers and types of their fields. A further signal is a further table.

/// A message.
pub(crate) type Schema = [Field];

/// A field of a message.
pub(crate) struct Field {
    /// Its name in lower camel case.
    pub(super) name: &'static str,
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) repeated: bool,
}

/// The type of a field.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Double,
    Int64,
    Uint64,
    Fixed32,
    Fixed64,
    Sfixed64,
    Uint32,
    Sint32,
    Bool,
    Text,
    Bytes,
    /// Bytes of this length in hexadecimal.
    Id(usize),
    /// Names and numbers.
    Enum(&'static [(&'static str, u64)]),
    /// A function, because messages contain each other.
    Message(fn() -> &'static Schema),
}
impl Kind {
    /// What a value must be, for people.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Kind::Double => "a number, \"NaN\", \"Infinity\" or \"-Infinity\"",
            Kind::Int64 | Kind::Sfixed64 => "a whole number of 64 bits",
            Kind::Uint64 | Kind::Fixed64 => "a whole number of 64 bits, not negative",
            Kind::Fixed32 | Kind::Uint32 => "a whole number of 32 bits, not negative",
            Kind::Sint32 => "a whole number of 32 bits",
            Kind::Bool => "true or false",
            Kind::Text => "text",
            Kind::Bytes => "bytes in base64",
            Kind::Id(_) => "an id in hexadecimal",
            Kind::Enum(_) => "a number or a name of the enumeration",
            Kind::Message(_) => "an object",
        }
    }
}

impl Field {
    const fn one(name: &'static str, number: u32, kind: Kind) -> Field {
        Field { name, number, kind, repeated: false }
    }
    const fn many(name: &'static str, number: u32, kind: Kind) -> Field {
        Field { name, number, kind, repeated: true }
    }
    const fn message(name: &'static str, number: u32, schema: fn() -> &'static Schema) -> Field {
        Field::one(name, number, Kind::Message(schema))
    }
    const fn messages(name: &'static str, number: u32, schema: fn() -> &'static Schema) -> Field {
        Field::many(name, number, Kind::Message(schema))
    }

    /// Whether a key names this field: as it is, or in snake case.
    pub(super) fn is_named(&self, key: &str) -> bool {
        if key == self.name {
            return true;
        }
        let mut snake = key.bytes();
        for c in self.name.bytes() {
            let same =
                if c.is_ascii_uppercase() { snake.next() == Some(b'_') && snake.next() == Some(c.to_ascii_lowercase()) } else { snake.next() == Some(c) };
            if !same {
                return false;
            }
        }
        snake.next().is_none()
    }
}

/// ExportMetricsServiceRequest.
pub(crate) static METRICS_REQUEST: [Field; 1] = [Field::messages("resourceMetrics", 1, || &RESOURCE_METRICS)];

/// ExportLogsServiceRequest.
pub(crate) static LOGS_REQUEST: [Field; 1] = [Field::messages("resourceLogs", 1, || &RESOURCE_LOGS)];
static RESOURCE_LOGS: [Field; 3] =
    [Field::message("resource", 1, || &RESOURCE), Field::messages("scopeLogs", 2, || &SCOPE_LOGS), Field::one("schemaUrl", 3, Kind::Text)];
static SCOPE_LOGS: [Field; 3] =
    [Field::message("scope", 1, || &SCOPE), Field::messages("logRecords", 2, || &LOG_RECORD), Field::one("schemaUrl", 3, Kind::Text)];
static LOG_RECORD: [Field; 10] = [
    Field::one("timeUnixNano", 1, Kind::Fixed64),
    Field::one("severityNumber", 2, Kind::Enum(&SEVERITIES)),
    Field::one("severityText", 3, Kind::Text),
    Field::message("body", 5, || &ANY_VALUE),
    Field::messages("attributes", 6, || &KEY_VALUE),
    Field::one("droppedAttributesCount", 7, Kind::Uint32),
    Field::one("traceId", 9, Kind::Id(16)),
    Field::one("spanId", 10, Kind::Id(8)),
    Field::one("observedTimeUnixNano", 11, Kind::Fixed64),
    Field::one("eventName", 12, Kind::Text),
];
static SEVERITIES: [(&str, u64); 25] = [
    ("SEVERITY_NUMBER_UNSPECIFIED", 0),
    ("SEVERITY_NUMBER_TRACE", 1),
    ("SEVERITY_NUMBER_TRACE2", 2),
    ("SEVERITY_NUMBER_TRACE3", 3),
    ("SEVERITY_NUMBER_TRACE4", 4),
    ("SEVERITY_NUMBER_DEBUG", 5),
    ("SEVERITY_NUMBER_DEBUG2", 6),
    ("SEVERITY_NUMBER_DEBUG3", 7),
    ("SEVERITY_NUMBER_DEBUG4", 8),
    ("SEVERITY_NUMBER_INFO", 9),
    ("SEVERITY_NUMBER_INFO2", 10),
    ("SEVERITY_NUMBER_INFO3", 11),
    ("SEVERITY_NUMBER_INFO4", 12),
    ("SEVERITY_NUMBER_WARN", 13),
    ("SEVERITY_NUMBER_WARN2", 14),
    ("SEVERITY_NUMBER_WARN3", 15),
    ("SEVERITY_NUMBER_WARN4", 16),
    ("SEVERITY_NUMBER_ERROR", 17),
    ("SEVERITY_NUMBER_ERROR2", 18),
    ("SEVERITY_NUMBER_ERROR3", 19),
    ("SEVERITY_NUMBER_ERROR4", 20),
    ("SEVERITY_NUMBER_FATAL", 21),
    ("SEVERITY_NUMBER_FATAL2", 22),
    ("SEVERITY_NUMBER_FATAL3", 23),
    ("SEVERITY_NUMBER_FATAL4", 24),
];

/// ExportTraceServiceRequest.
pub(crate) static TRACES_REQUEST: [Field; 1] = [Field::messages("resourceSpans", 1, || &RESOURCE_SPANS)];
static RESOURCE_SPANS: [Field; 3] =
    [Field::message("resource", 1, || &RESOURCE), Field::messages("scopeSpans", 2, || &SCOPE_SPANS), Field::one("schemaUrl", 3, Kind::Text)];
static SCOPE_SPANS: [Field; 3] = [Field::message("scope", 1, || &SCOPE), Field::messages("spans", 2, || &SPAN), Field::one("schemaUrl", 3, Kind::Text)];
static SPAN: [Field; 16] = [
    Field::one("traceId", 1, Kind::Id(16)),
    Field::one("spanId", 2, Kind::Id(8)),
    Field::one("traceState", 3, Kind::Text),
    Field::one("parentSpanId", 4, Kind::Id(8)),
    Field::one("name", 5, Kind::Text),
    Field::one("kind", 6, Kind::Enum(&SPAN_KINDS)),
    Field::one("startTimeUnixNano", 7, Kind::Fixed64),
    Field::one("endTimeUnixNano", 8, Kind::Fixed64),
    Field::messages("attributes", 9, || &KEY_VALUE),
    Field::one("droppedAttributesCount", 10, Kind::Uint32),
    Field::messages("events", 11, || &SPAN_EVENT),
    Field::one("droppedEventsCount", 12, Kind::Uint32),
    Field::messages("links", 13, || &SPAN_LINK),
    Field::one("droppedLinksCount", 14, Kind::Uint32),
    Field::message("status", 15, || &SPAN_STATUS),
    Field::one("flags", 16, Kind::Fixed32),
];
static SPAN_KINDS: [(&str, u64); 6] = [
    ("SPAN_KIND_UNSPECIFIED", 0),
    ("SPAN_KIND_INTERNAL", 1),
    ("SPAN_KIND_SERVER", 2),
    ("SPAN_KIND_CLIENT", 3),
    ("SPAN_KIND_PRODUCER", 4),
    ("SPAN_KIND_CONSUMER", 5),
];
static SPAN_EVENT: [Field; 4] = [
    Field::one("timeUnixNano", 1, Kind::Fixed64),
    Field::one("name", 2, Kind::Text),
    Field::messages("attributes", 3, || &KEY_VALUE),
    Field::one("droppedAttributesCount", 4, Kind::Uint32),
];
static SPAN_LINK: [Field; 6] = [
    Field::one("traceId", 1, Kind::Id(16)),
    Field::one("spanId", 2, Kind::Id(8)),
    Field::one("traceState", 3, Kind::Text),
    Field::messages("attributes", 4, || &KEY_VALUE),
    Field::one("droppedAttributesCount", 5, Kind::Uint32),
    Field::one("flags", 6, Kind::Fixed32),
];
static SPAN_STATUS: [Field; 2] =
    [Field::one("message", 2, Kind::Text), Field::one("code", 3, Kind::Enum(&[("STATUS_CODE_UNSET", 0), ("STATUS_CODE_OK", 1), ("STATUS_CODE_ERROR", 2)]))];

/// AnyValue.
pub(crate) static ANY_VALUE: [Field; 7] = [
    Field::one("stringValue", 1, Kind::Text),
    Field::one("boolValue", 2, Kind::Bool),
    Field::one("intValue", 3, Kind::Int64),
    Field::one("doubleValue", 4, Kind::Double),
    Field::message("arrayValue", 5, || &ARRAY_VALUE),
    Field::message("kvlistValue", 6, || &KEY_VALUE_LIST),
    Field::one("bytesValue", 7, Kind::Bytes),
];
static ARRAY_VALUE: [Field; 1] = [Field::messages("values", 1, || &ANY_VALUE)];
static KEY_VALUE_LIST: [Field; 1] = [Field::messages("values", 1, || &KEY_VALUE)];
static KEY_VALUE: [Field; 2] = [Field::one("key", 1, Kind::Text), Field::message("value", 2, || &ANY_VALUE)];
static RESOURCE: [Field; 2] = [Field::messages("attributes", 1, || &KEY_VALUE), Field::one("droppedAttributesCount", 2, Kind::Uint32)];
static SCOPE: [Field; 4] = [
    Field::one("name", 1, Kind::Text),
    Field::one("version", 2, Kind::Text),
    Field::messages("attributes", 3, || &KEY_VALUE),
    Field::one("droppedAttributesCount", 4, Kind::Uint32),
];

static RESOURCE_METRICS: [Field; 3] =
    [Field::message("resource", 1, || &RESOURCE), Field::messages("scopeMetrics", 2, || &SCOPE_METRICS), Field::one("schemaUrl", 3, Kind::Text)];
static SCOPE_METRICS: [Field; 3] = [Field::message("scope", 1, || &SCOPE), Field::messages("metrics", 2, || &METRIC), Field::one("schemaUrl", 3, Kind::Text)];
static METRIC: [Field; 9] = [
    Field::one("name", 1, Kind::Text),
    Field::one("description", 2, Kind::Text),
    Field::one("unit", 3, Kind::Text),
    Field::message("gauge", 5, || &GAUGE),
    Field::message("sum", 7, || &SUM),
    Field::message("histogram", 9, || &HISTOGRAM),
    Field::message("exponentialHistogram", 10, || &EXPONENTIAL_HISTOGRAM),
    Field::message("summary", 11, || &SUMMARY),
    Field::messages("metadata", 12, || &KEY_VALUE),
];
const TEMPORALITY: Field = Field::one(
    "aggregationTemporality",
    2,
    Kind::Enum(&[("AGGREGATION_TEMPORALITY_UNSPECIFIED", 0), ("AGGREGATION_TEMPORALITY_DELTA", 1), ("AGGREGATION_TEMPORALITY_CUMULATIVE", 2)]),
);
static GAUGE: [Field; 1] = [Field::messages("dataPoints", 1, || &NUMBER_POINT)];
static SUM: [Field; 3] = [Field::messages("dataPoints", 1, || &NUMBER_POINT), TEMPORALITY, Field::one("isMonotonic", 3, Kind::Bool)];
pub(super) static HISTOGRAM: [Field; 2] = [Field::messages("dataPoints", 1, || &HISTOGRAM_POINT), TEMPORALITY];
static EXPONENTIAL_HISTOGRAM: [Field; 2] = [Field::messages("dataPoints", 1, || &EXPONENTIAL_POINT), TEMPORALITY];
static SUMMARY: [Field; 1] = [Field::messages("dataPoints", 1, || &SUMMARY_POINT)];

const START: Field = Field::one("startTimeUnixNano", 2, Kind::Fixed64);
const TIME: Field = Field::one("timeUnixNano", 3, Kind::Fixed64);

static NUMBER_POINT: [Field; 7] = [
    START,
    TIME,
    Field::one("asDouble", 4, Kind::Double),
    Field::messages("exemplars", 5, || &EXEMPLAR),
    Field::one("asInt", 6, Kind::Sfixed64),
    Field::messages("attributes", 7, || &KEY_VALUE),
    Field::one("flags", 8, Kind::Uint32),
];
static HISTOGRAM_POINT: [Field; 11] = [
    START,
    TIME,
    Field::one("count", 4, Kind::Fixed64),
    Field::one("sum", 5, Kind::Double),
    Field::many("bucketCounts", 6, Kind::Fixed64),
    Field::many("explicitBounds", 7, Kind::Double),
    Field::messages("exemplars", 8, || &EXEMPLAR),
    Field::messages("attributes", 9, || &KEY_VALUE),
    Field::one("flags", 10, Kind::Uint32),
    Field::one("min", 11, Kind::Double),
    Field::one("max", 12, Kind::Double),
];
pub(super) static EXPONENTIAL_POINT: [Field; 14] = [
    Field::messages("attributes", 1, || &KEY_VALUE),
    START,
    TIME,
    Field::one("count", 4, Kind::Fixed64),
    Field::one("sum", 5, Kind::Double),
    Field::one("scale", 6, Kind::Sint32),
    Field::one("zeroCount", 7, Kind::Fixed64),
    Field::message("positive", 8, || &BUCKETS),
    Field::message("negative", 9, || &BUCKETS),
    Field::one("flags", 10, Kind::Uint32),
    Field::messages("exemplars", 11, || &EXEMPLAR),
    Field::one("min", 12, Kind::Double),
    Field::one("max", 13, Kind::Double),
    Field::one("zeroThreshold", 14, Kind::Double),
];
static BUCKETS: [Field; 2] = [Field::one("offset", 1, Kind::Sint32), Field::many("bucketCounts", 2, Kind::Uint64)];
static SUMMARY_POINT: [Field; 7] = [
    START,
    TIME,
    Field::one("count", 4, Kind::Fixed64),
    Field::one("sum", 5, Kind::Double),
    Field::messages("quantileValues", 6, || &QUANTILE),
    Field::messages("attributes", 7, || &KEY_VALUE),
    Field::one("flags", 8, Kind::Uint32),
];
static QUANTILE: [Field; 2] = [Field::one("quantile", 1, Kind::Double), Field::one("value", 2, Kind::Double)];
static EXEMPLAR: [Field; 6] = [
    Field::one("timeUnixNano", 2, Kind::Fixed64),
    Field::one("asDouble", 3, Kind::Double),
    Field::one("spanId", 4, Kind::Id(8)),
    Field::one("traceId", 5, Kind::Id(16)),
    Field::one("asInt", 6, Kind::Sfixed64),
    Field::messages("filteredAttributes", 7, || &KEY_VALUE),
];
