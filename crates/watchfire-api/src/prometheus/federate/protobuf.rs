//! Families as delimited protobuf messages of the Prometheus client model. They carry native histograms, always with float
//! counts, as Prometheus federates them.
//!
//! Field numbers: MetricFamily { 1: name, 3: type, 4: Metric* }, Metric { 1: LabelPair*, 5: Untyped { 1: value }, 6: time ms,
//! 7: Histogram }, LabelPair { 1: name, 2: value }, Histogram { 2: sum, 3: Bucket*, 4: count, 5: schema, 6: zero threshold,
//! 8: zero count, 9: negative span*, 11: negative count*, 12: positive span*, 14: positive count* }, Bucket { 2: bound,
//! 4: cumulative count }, BucketSpan { 1: offset, 2: length }.

use watchfire_ingest::protobuf::Writer;
use watchfire_model::histogram::{CounterReset, Histogram, Span};

use super::{Families, Newest, Series};

/// What this is called in headers.
pub(super) const CONTENT_TYPE: &str = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// The types of families by their numbers.
const UNTYPED: u64 = 3;
const HISTOGRAM: u64 = 4;
const GAUGE_HISTOGRAM: u64 = 5;

/// Whether a scraper takes it before the text format.
pub(super) fn is_wanted(accept: &str) -> bool {
    // Scrapers name what they prefer first, and weigh it highest.
    let first = accept.split(',').next().unwrap_or("");
    first.contains("application/vnd.google.protobuf") && first.contains("io.prometheus.client.MetricFamily") && first.contains("delimited")
}

fn kind(series: &Series) -> u64 {
    match &series.sample {
        Newest::Float(_) => UNTYPED,
        Newest::Histogram(histogram) if histogram.reset == CounterReset::Gauge => GAUGE_HISTOGRAM,
        Newest::Histogram(_) => HISTOGRAM,
    }
}

/// Writes all families. One whose series are of several types comes once for each.
pub(super) fn render(families: &Families) -> Vec<u8> {
    let mut out = Writer::new();
    for (name, series) in families {
        for wanted in [UNTYPED, HISTOGRAM, GAUGE_HISTOGRAM] {
            let mut of_kind = series.iter().filter(|s| kind(s) == wanted).peekable();
            if of_kind.peek().is_none() {
                continue;
            }
            let mut family = Writer::new();
            family.text(1, name);
            family.uint(3, wanted);
            for one in of_kind {
                family.message(4, |out| metric(one, out));
            }
            out.varint(family.len() as u64);
            out.append(&family);
        }
    }
    out.into_bytes()
}

fn metric(series: &Series, out: &mut Writer) {
    for (name, value) in &series.labels {
        out.message(1, |pair| {
            pair.text(1, name);
            pair.text(2, value);
        });
    }
    match &series.sample {
        Newest::Float(value) => out.message(5, |untyped| untyped.double(1, *value)),
        Newest::Histogram(value) => out.message(7, |message| histogram(value, message)),
    }
    out.int(6, series.time);
}

fn histogram(histogram: &Histogram, out: &mut Writer) {
    out.double(2, histogram.sum);
    if histogram.has_custom_bounds() {
        // The message has no place for own bounds: what it has is classic buckets.
        for (bound, count) in cumulative(histogram) {
            out.message(3, |bucket| {
                bucket.double(2, bound);
                bucket.double(4, count);
            });
        }
        out.always_double(4, histogram.count);
        return;
    }
    out.always_double(4, histogram.count);
    out.sint(5, i64::from(histogram.schema));
    out.double(6, histogram.zero_threshold);
    out.always_double(8, histogram.zero_count);
    spans(9, &histogram.negative_spans, out);
    out.packed_doubles(11, &histogram.negative_buckets);
    spans(12, &histogram.positive_spans, out);
    out.packed_doubles(14, &histogram.positive_buckets);
    if histogram.positive_spans.is_empty() && histogram.negative_spans.is_empty() {
        // An empty span says that this is a native histogram all the same.
        out.message(12, |_| {});
    }
}

fn spans(field: u32, spans: &[Span], out: &mut Writer) {
    for span in spans {
        out.message(field, |message| {
            message.sint(1, i64::from(span.offset));
            message.uint(2, u64::from(span.length));
        });
    }
}

/// Upper bounds with the count of everything up to them, the last one infinite.
fn cumulative(histogram: &Histogram) -> Vec<(f64, f64)> {
    let mut counts = vec![0.0; histogram.custom_bounds.len() + 1];
    let (mut at, mut buckets) = (0i64, histogram.positive_buckets.iter());
    for span in &histogram.positive_spans {
        at += i64::from(span.offset);
        for count in buckets.by_ref().take(span.length as usize) {
            if let Some(place) = usize::try_from(at).ok().and_then(|at| counts.get_mut(at)) {
                *place += count;
            }
            at += 1;
        }
    }
    let bounds = histogram.custom_bounds.iter().copied().chain([f64::INFINITY]);
    bounds
        .zip(counts)
        .scan(0.0, |total, (bound, count)| {
            *total += count;
            Some((bound, *total))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use watchfire_model::histogram::{CUSTOM_SCHEMA, Histogram, Span};
    use watchfire_model::labels;
    use watchfire_model::sample::HistogramSample;

    use super::*;
    use crate::testing::{Faces, NOW};

    #[test]
    fn scrapers_that_prefer_it() {
        let native =
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8";
        assert!(is_wanted(native));
        assert!(!is_wanted("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"));
    }

    #[test]
    fn own_bounds_become_classic_buckets() {
        let histogram = Histogram {
            schema: CUSTOM_SCHEMA,
            count: 6.0,
            custom_bounds: [0.5, 1.0, 2.0].into(),
            positive_spans: vec![Span { offset: 0, length: 1 }, Span { offset: 1, length: 2 }],
            positive_buckets: vec![1.0, 2.0, 3.0],
            ..Histogram::default()
        };
        assert_eq!(cumulative(&histogram), [(0.5, 1.0), (1.0, 1.0), (2.0, 3.0), (f64::INFINITY, 6.0)]);
    }

    #[tokio::test]
    async fn histograms_leave_by_protobuf_alone() {
        let faces = Faces::new();
        let value = Histogram {
            schema: 1,
            count: 3.0,
            sum: 4.5,
            positive_spans: vec![Span { offset: 2, length: 1 }],
            positive_buckets: vec![3.0],
            ..Histogram::default()
        };
        faces.house.held().histograms.insert(labels!("__name__" => "h"), vec![HistogramSample { time: NOW, value: Arc::new(value) }]);
        faces.house.put(labels!("__name__" => "up"), &[(0, 1.0)]);
        let path = "/federate?match[]=h&match[]=up";
        assert!(!faces.get(path).await.text().contains("TYPE h "));
        let answer = faces.get_with(path, &[("accept", CONTENT_TYPE)]).await;
        assert_eq!(answer.header("content-type"), CONTENT_TYPE);
        // Two messages: the histogram's begins with its length, its name and its type.
        assert_eq!(answer.body[1..6], [0x0a, 1, b'h', 0x18, 4]);
        let next = 1 + usize::from(answer.body[0]);
        assert_eq!(answer.body[next + 1..next + 7], [0x0a, 2, b'u', b'p', 0x18, 3]);
    }
}
