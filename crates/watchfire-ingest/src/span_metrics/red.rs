//! Rate, errors and duration of spans by service, name, kind and status. Names of metrics and labels are those of Tempo's generator.

use std::time::Duration;

use watchfire_model::labels::LabelsBuilder;
use watchfire_model::logs::StreamEntries;
use watchfire_model::meter::{Counter, Meter};
use watchfire_model::spans::{SpanKind, SpanRow, StatusCode, key};

use super::table::{Families, Row, Table};
use super::{Counted, MetricsSettings, clipped};

const FAMILIES: Families = Families {
    counters: &[
        ("traces_spanmetrics_calls_total", "", "Spans, by service, name, kind and status."),
        ("traces_spanmetrics_size_total", "bytes", "Bytes of spans as they are kept, without what they share."),
    ],
    histograms: &[("traces_spanmetrics_latency", "seconds", "How long spans took.")],
};
const CALLS: usize = 0;
const SIZE: usize = 1;
const LATENCY: usize = 0;

/// What stands for names, and then for services, that there is no room for.
pub(super) const OVERFLOW: &str = "…";
/// So many rows may be made beyond the limit for spans whose own row has no room: by service, kind and status.
const OVERFLOW_ROWS_MAX: usize = 64;
/// And so many for those whose service has none: as many as there are kinds and statuses.
const LAST_ROWS: usize = 18;

/// Spans as they are counted.
pub(super) struct Red {
    table: Table,
    dimensions: Vec<(String, String)>,
    key: String,
    overflowed: Counter,
}

impl Red {
    pub(super) fn new(settings: &MetricsSettings, instance: &str, meter: &Meter) -> Red {
        let help = "Spans that were counted under another name, because there are as many series of them as may be.";
        Red {
            table: Table::new(FAMILIES, instance, &settings.buckets, settings.series_max, settings.idle),
            dimensions: settings.dimensions.iter().map(|name| (label_of(name), name.clone())).collect(),
            key: String::new(),
            overflowed: meter.counter("watchfire_span_metrics_overflow_spans_total", help, &[]),
        }
    }

    pub(super) fn table(&mut self) -> &mut Table {
        &mut self.table
    }

    /// Counts the spans of a stream.
    pub(super) fn observe(&mut self, stream: &StreamEntries, now: Duration) {
        let label = |name| clipped(stream.labels.get(name).unwrap_or(""));
        let kind = stream.labels.get(key::KIND).and_then(SpanKind::from_name).unwrap_or_default();
        let shared = Shared { service: label(key::SERVICE), name: label(key::NAME), kind: kind_name(kind) };
        self.key.clear();
        [shared.service, "\0", shared.name, "\0", shared.kind].into_iter().for_each(|part| self.key.push_str(part));
        let prefix = self.key.len();
        for entry in &stream.entries {
            self.key.truncate(prefix);
            self.span(&shared, stream, &Counted::of(entry), now);
        }
    }

    /// Counts a span; the key holds what it shares.
    fn span(&mut self, shared: &Shared<'_>, stream: &StreamEntries, span: &Counted<'_>, now: Duration) {
        let status = status_name(span.status);
        self.key.push_str(status);
        let row = SpanRow::from_parts(&stream.labels, span.entry);
        let values: Vec<String> = self.dimensions.iter().map(|(_, name)| dimension(&row, name)).collect();
        values.iter().flat_map(|value| ["\0", value.as_str()]).for_each(|part| self.key.push_str(part));
        if let Some((row, bounds)) = self.table.known(&self.key, now) {
            return add(row, bounds, span);
        }
        let dimensions = &self.dimensions;
        let labels = |service: &str, name: &str, values: &[String]| {
            let mut labels = LabelsBuilder::new();
            labels.set("service", service).set("span_name", name).set("span_kind", shared.kind).set("status_code", status);
            for ((label, _), value) in dimensions.iter().zip(values) {
                labels.set(label, value);
            }
            labels
        };
        if let Some((row, bounds)) = self.table.row(&self.key, 0, now, || labels(shared.service, shared.name, &values)) {
            return add(row, bounds, span);
        }
        self.overflowed.inc();
        let mut other = String::new();
        for (service, more) in [(shared.service, OVERFLOW_ROWS_MAX), (OVERFLOW, OVERFLOW_ROWS_MAX + LAST_ROWS)] {
            other.clear();
            [service, "\0", OVERFLOW, "\0", shared.kind, status].into_iter().for_each(|part| other.push_str(part));
            if let Some((row, bounds)) = self.table.row(&other, more, now, || labels(service, OVERFLOW, &[])) {
                return add(row, bounds, span);
            }
        }
    }
}

/// What the spans of a stream share.
struct Shared<'a> {
    service: &'a str,
    name: &'a str,
    kind: &'static str,
}

fn add(row: &mut Row, bounds: &[f64], span: &Counted<'_>) {
    row.count(CALLS, 1.0);
    row.count(SIZE, span.bytes() as f64);
    row.observe(LATENCY, span.seconds(), bounds, || span.trace.into(), span.end());
}

/// The value of an attribute of the span, else of its resource.
fn dimension(span: &SpanRow<'_>, name: &str) -> String {
    let value = span.attribute(name).or_else(|| span.resource_attribute(name));
    value.map(|value| clipped(&value.as_text()).to_owned()).unwrap_or_default()
}

/// The label for an attribute.
fn label_of(attribute: &str) -> String {
    let mut label: String = attribute.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if label.starts_with(|c: char| c.is_ascii_digit()) {
        label.insert(0, '_');
    }
    label
}

fn kind_name(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified => "SPAN_KIND_UNSPECIFIED",
        SpanKind::Internal => "SPAN_KIND_INTERNAL",
        SpanKind::Server => "SPAN_KIND_SERVER",
        SpanKind::Client => "SPAN_KIND_CLIENT",
        SpanKind::Producer => "SPAN_KIND_PRODUCER",
        SpanKind::Consumer => "SPAN_KIND_CONSUMER",
    }
}

fn status_name(status: StatusCode) -> &'static str {
    match status {
        StatusCode::Unset => "STATUS_CODE_UNSET",
        StatusCode::Ok => "STATUS_CODE_OK",
        StatusCode::Error => "STATUS_CODE_ERROR",
    }
}
