//! Points as OTLP's metrics: by resource (`job` and `instance`), then by metric. Everything is cumulative, as it is kept here.

use std::collections::HashMap;

use watchfire_ingest::protobuf::Writer;
use watchfire_model::histogram::{Histogram, Span};
use watchfire_model::labels::Labels;
use watchfire_model::sample::{Exemplar, is_stale};

use super::attribute;
use crate::entries::outcome::Item;
use crate::entries::points::{Buckets, Data, Point, Quantiles};

const CUMULATIVE: u64 = 2;
/// The flag of a point without a value.
const NO_VALUE: u64 = 1;

/// A metric of a resource with its points.
struct Metric<'a> {
    point: &'a Point,
    items: Vec<&'a Item>,
}

/// `ExportMetricsServiceRequest { 1: ResourceMetrics* }`.
pub(super) fn encode(items: &[Item]) -> Vec<u8> {
    let mut resources: Vec<((&str, &str), Vec<Metric<'_>>)> = Vec::new();
    let mut places: HashMap<(&str, &str), usize> = HashMap::new();
    let mut metrics: HashMap<(usize, &str, u8), usize> = HashMap::new();
    for item in items {
        let Some(point) = item.point.as_deref() else { continue };
        let resource = (item.labels.get("job").unwrap_or(""), item.labels.get("instance").unwrap_or(""));
        let at = *places.entry(resource).or_insert(resources.len());
        if at == resources.len() {
            resources.push((resource, Vec::new()));
        }
        let Some((_, of_resource)) = resources.get_mut(at) else { continue };
        let metric = *metrics.entry((at, &*point.name, form(&point.data))).or_insert(of_resource.len());
        match of_resource.get_mut(metric) {
            Some(metric) => metric.items.push(item),
            None => of_resource.push(Metric { point, items: vec![item] }),
        }
    }
    let mut out = Writer::new();
    for ((job, instance), metrics) in &resources {
        // ResourceMetrics { 1: Resource { 1: attribute* }, 2: ScopeMetrics { 2: Metric* } }.
        out.message(1, |of_resource| {
            of_resource.message(1, |resource| {
                let (namespace, name) = job.rsplit_once('/').unwrap_or(("", job));
                for (key, value) in [("service.namespace", namespace), ("service.name", name), ("service.instance.id", instance)] {
                    if !value.is_empty() {
                        attribute(resource, 1, key, value);
                    }
                }
            });
            of_resource.message(2, |scope| metrics.iter().for_each(|metric| scope.message(2, |out| metric_message(out, metric))));
        });
    }
    out.into_bytes()
}

/// The number of the field in which a metric of this form stands.
fn form(data: &Data) -> u8 {
    match data {
        Data::Gauge(_) => 5,
        Data::Sum(_) => 7,
        Data::Buckets(_) => 9,
        Data::Exponential(_) => 10,
        Data::Quantiles(_) => 11,
    }
}

/// Metric { 1: name, 2: description, 3: unit, 5: gauge, 7: sum, 9: histogram, 10: exponential histogram, 11: summary }; each of the forms
/// { 1: point*, 2: temporality, 3: monotonic }.
fn metric_message(out: &mut Writer, metric: &Metric<'_>) {
    out.text(1, &metric.point.name);
    out.text(2, &metric.point.help);
    out.text(3, &metric.point.unit);
    let field = form(&metric.point.data);
    out.message(u32::from(field), |of_form| {
        for item in &metric.items {
            let Some(point) = item.point.as_deref() else { continue };
            of_form.message(1, |out| match &point.data {
                Data::Gauge(value) | Data::Sum(value) => number(out, item, *value, &point.exemplars),
                Data::Buckets(buckets) => histogram(out, item, buckets, &point.exemplars),
                Data::Exponential(value) => exponential(out, item, value, &point.exemplars),
                Data::Quantiles(quantiles) => summary(out, item, quantiles),
            });
        }
        if (7..=10).contains(&field) {
            of_form.uint(2, CUMULATIVE);
        }
        if field == 7 {
            of_form.uint(3, 1);
        }
    });
}

fn labels(out: &mut Writer, field: u32, labels: &Labels) {
    for (name, value) in labels {
        if !matches!(name, "job" | "instance") {
            attribute(out, field, name, value);
        }
    }
}

fn time(out: &mut Writer, item: &Item) {
    out.fixed64(3, u64::try_from(item.time.0).unwrap_or(0));
}

/// NumberDataPoint { 3: time, 4: value, 5: exemplar*, 7: attribute*, 8: flags }.
fn number(out: &mut Writer, item: &Item, value: f64, exemplars: &[Exemplar]) {
    time(out, item);
    if is_stale(value) {
        out.uint(8, NO_VALUE);
    } else {
        out.always_double(4, value);
    }
    exemplars.iter().for_each(|exemplar| out.message(5, |out| of_exemplar(out, exemplar)));
    labels(out, 7, &item.labels);
}

/// HistogramDataPoint { 3: time, 4: count, 5: sum, 6: bucket counts, 7: bounds, 8: exemplar*, 9: attribute*, 10: flags }.
fn histogram(out: &mut Writer, item: &Item, buckets: &Buckets, exemplars: &[Exemplar]) {
    time(out, item);
    if buckets.stale {
        out.uint(10, NO_VALUE);
    } else {
        out.fixed64(4, buckets.count);
        if let Some(sum) = buckets.sum {
            out.always_double(5, sum);
        }
        let counts: Vec<u8> = buckets.counts.iter().flat_map(|count| count.to_le_bytes()).collect();
        out.always_bytes(6, &counts);
        out.packed_doubles(7, &buckets.bounds);
    }
    exemplars.iter().for_each(|exemplar| out.message(8, |out| of_exemplar(out, exemplar)));
    labels(out, 9, &item.labels);
}

/// ExponentialHistogramDataPoint { 1: attribute*, 3: time, 4: count, 5: sum, 6: scale, 7: zero count, 8: positive, 9: negative, 10: flags,
/// 11: exemplar*, 14: zero threshold }.
fn exponential(out: &mut Writer, item: &Item, value: &Histogram, exemplars: &[Exemplar]) {
    labels(out, 1, &item.labels);
    time(out, item);
    if value.is_stale() {
        out.uint(10, NO_VALUE);
    } else {
        out.fixed64(4, value.count as u64);
        out.always_double(5, value.sum);
        out.sint(6, i64::from(value.schema));
        out.fixed64(7, value.zero_count as u64);
        for (field, spans, counts) in [(8, &value.positive_spans, &value.positive_buckets), (9, &value.negative_spans, &value.negative_buckets)] {
            if let Some((offset, dense)) = dense(spans, counts) {
                // Buckets { 1: offset, 2: counts }.
                out.message(field, |out| {
                    out.sint(1, offset);
                    out.packed(2, dense.iter().copied());
                });
            }
        }
        out.double(14, value.zero_threshold);
    }
    exemplars.iter().for_each(|exemplar| out.message(11, |out| of_exemplar(out, exemplar)));
}

/// The index of the first bucket as OTLP counts them, which is one less than here, and the counts of all up to the last.
fn dense(spans: &[Span], counts: &[f64]) -> Option<(i64, Vec<u64>)> {
    let mut index = 0i64;
    let indexes = spans.iter().flat_map(|span| {
        let from = index + i64::from(span.offset);
        index = from + i64::from(span.length);
        from..index
    });
    let full: Vec<(i64, u64)> = indexes.zip(counts).map(|(index, count)| (index, *count as u64)).collect();
    let (first, last) = (full.first()?.0, full.last()?.0);
    // How far apart they may be is seen to where points are made.
    let mut dense = vec![0; usize::try_from(last - first + 1).ok()?];
    for (index, count) in full {
        if let Some(place) = usize::try_from(index - first).ok().and_then(|at| dense.get_mut(at)) {
            *place = count;
        }
    }
    Some((first - 1, dense))
}

/// SummaryDataPoint { 3: time, 4: count, 5: sum, 6: { 1: quantile, 2: value }*, 7: attribute*, 8: flags }.
fn summary(out: &mut Writer, item: &Item, quantiles: &Quantiles) {
    time(out, item);
    if quantiles.stale {
        out.uint(8, NO_VALUE);
    } else {
        out.fixed64(4, quantiles.count);
        out.double(5, quantiles.sum);
        for (quantile, value) in &quantiles.values {
            out.message(6, |out| {
                out.double(1, *quantile);
                out.double(2, *value);
            });
        }
    }
    labels(out, 7, &item.labels);
}

/// Exemplar { 2: time, 3: value, 4: span id, 5: trace id, 7: attribute* }.
fn of_exemplar(out: &mut Writer, exemplar: &Exemplar) {
    out.fixed64(2, u64::try_from(exemplar.time.millis()).unwrap_or(0).saturating_mul(1_000_000));
    out.always_double(3, exemplar.value);
    for (name, value) in &exemplar.labels {
        match (name, super::id::<8>(value), super::id::<16>(value)) {
            ("span_id", Some(id), _) => out.always_bytes(4, &id),
            ("trace_id", _, Some(id)) => out.always_bytes(5, &id),
            _ => attribute(out, 7, name, value),
        }
    }
}
