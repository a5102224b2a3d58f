//! Metrics and log lines on by OTLP: what our own receiver makes of the requests is what was stored.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use watchfire_collect::discovery::glob::Lookup;
use watchfire_collect::logs::otlp::{Outputs, read_signals};
use watchfire_forward::entries::{EntryForwarder, Kind};
use watchfire_forward::write::Parts;
use watchfire_ingest::gate::{Gate, Limits as GateLimits};
use watchfire_ingest::otlp::{Format, Otlp, Settings};
use watchfire_model::batch::{Batch, Metadata, MetricType, Origin, Samples, SeriesExemplars, SeriesHistograms, SeriesSamples};
use watchfire_model::document::{Context, Reader, parse_yaml};
use watchfire_model::histogram::{Histogram, Span};
use watchfire_model::labels;
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, Nanos, StreamEntries};
use watchfire_model::meter::Meter;
use watchfire_model::sample::{Exemplar, HistogramSample, Sample, stale_nan};
use watchfire_model::time::{SystemClock, Timestamp};
use watchfire_model::write::{Sink, WriteError, Written};
use watchfire_net::client::Caller;
use watchfire_net::inflate::{Encoding, Limits, decode};
use watchfire_store::{Options, Store};

use crate::stub::{Asked, Receiver, until};

/// A store and what sends from it.
struct House {
    store: Arc<Store>,
    metrics: EntryForwarder,
    logs: EntryForwarder,
    meter: Meter,
    runtime: tokio::runtime::Runtime,
}

impl House {
    fn open(dir: &Path, places: &Outputs) -> House {
        let clock = SystemClock::shared();
        let options = Options { min_free_bytes: 0, flush_on_close_samples: u64::MAX, ..Options::new(dir, clock.clone()) };
        let store = Arc::new(Store::open(options).expect("a store"));
        store.set_tail_bytes_max(u64::MAX);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let meter = Meter::new();
        let parts = || {
            let caller = Arc::new(Caller::new(clock.clone()));
            Parts { store: store.clone(), caller, clock: clock.clone(), meter: meter.clone(), runtime: runtime.handle().clone() }
        };
        let house = House { metrics: EntryForwarder::new(Kind::Metrics, parts()), logs: EntryForwarder::new(Kind::Logs, parts()), store, meter, runtime };
        house.metrics.apply(&places.metrics).expect("outputs");
        house.logs.apply(&places.logs).expect("outputs");
        // Remote write looks after readers of its own and leaves these alone.
        house.store.forget_other_tails(&[]).expect("a state");
        house
    }
    fn figure(&self, name: &str, part: &str) -> f64 {
        let families = self.meter.gather();
        let name = format!("watchfire_forward_{name}");
        families.iter().flat_map(|f| &f.points).filter(|(l, _)| l.metric_name() == name && l.to_string().contains(part)).map(|(_, v)| v).sum()
    }
    fn close(self) {
        self.metrics.stop();
        self.logs.stop();
        self.store.close();
        drop(self.runtime);
    }
}

fn places(address: &str, more: &str) -> Outputs {
    let text = format!("{{endpoint: 'http://{address}/otlp/', protocol: http, name: far, batch_wait: 20ms, min_backoff: 5ms, max_backoff: 30ms{more}}}");
    let context = Context::new("w.yml");
    let node = parse_yaml("w.yml", &text).expect("YAML");
    let mut outputs = Outputs::default();
    read_signals(Reader::new(&context, &node, "otlp[0]"), &Lookup::default(), &mut outputs);
    assert!(!context.has_errors(), "{:?}", context.into_findings());
    outputs
}

/// Keeps what comes.
#[derive(Default)]
struct Kept {
    samples: Mutex<BTreeMap<(String, i64), u64>>,
    histograms: Mutex<Vec<(String, HistogramSample)>>,
    exemplars: Mutex<Vec<(String, Exemplar)>>,
    families: Mutex<BTreeMap<String, (MetricType, String)>>,
    lines: Mutex<Vec<(String, LogEntry)>>,
}
impl Sink for Kept {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        for series in &batch.series {
            let mut samples = self.samples.lock().expect("samples");
            for sample in series.samples.as_slice() {
                samples.insert((series.labels.to_string(), sample.time.millis()), sample.value.to_bits());
            }
        }
        let mut histograms = self.histograms.lock().expect("histograms");
        batch.histograms.iter().for_each(|series| histograms.extend(series.samples.iter().map(|s| (series.labels.to_string(), s.clone()))));
        let mut exemplars = self.exemplars.lock().expect("exemplars");
        batch.exemplars.iter().for_each(|series| exemplars.extend(series.exemplars.iter().map(|e| (series.labels.to_string(), e.clone()))));
        let mut families = self.families.lock().expect("families");
        families.extend(batch.metadata.iter().map(|m| (m.family.to_string(), (m.kind, m.help.to_string()))));
        let mut lines = self.lines.lock().expect("lines");
        batch.logs.iter().for_each(|stream| lines.extend(stream.entries.iter().map(|e| (stream.labels.to_string(), e.clone()))));
        Ok(Written::default())
    }
}

/// What our own receiver makes of requests.
fn received(requests: &[Asked]) -> Arc<Kept> {
    let (kept, meter, clock) = (Arc::new(Kept::default()), Meter::new(), SystemClock::shared());
    let otlp = Otlp::new(Arc::new(Gate::new(kept.clone(), clock.clone(), &meter, GateLimits::default())), clock, &meter, Settings::default());
    for asked in requests {
        let body = decode(Encoding::Gzip, &asked.body, Limits::default()).expect("gzip");
        match asked.head.lines().next() {
            Some("post /otlp/v1/metrics http/1.1") => drop(otlp.metrics(&body, Format::Protobuf, Origin::new("x")).expect("a request")),
            Some("post /otlp/v1/logs http/1.1") => drop(otlp.logs(&body, Format::Protobuf, Origin::new("x")).expect("a request")),
            other => panic!("{other:?}"),
        }
    }
    kept
}

fn now() -> i64 {
    SystemClock::shared().now().millis() / 1_000 * 1_000
}

fn series(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs([("instance", "pi:80"), ("job", "shop/api")].iter().chain(pairs).copied())
}

/// Series of every kind at one time: each with its value.
fn floats(step: f64) -> Vec<(Labels, f64)> {
    let mut all = vec![
        (series(&[("__name__", "depth"), ("queue", "a")]), 7.5 + step),
        (series(&[("__name__", "jobs_total")]), 100.0 + step),
        (series(&[("__name__", "unsaid_total")]), 3.0 + step),
        (series(&[("__name__", "unsaid")]), -0.25),
        (series(&[("__name__", "wait_seconds"), ("quantile", "0.5")]), 0.125),
        (series(&[("__name__", "wait_seconds"), ("quantile", "0.99")]), 1.5),
        (series(&[("__name__", "wait_seconds_sum")]), 12.0 + step),
        (series(&[("__name__", "wait_seconds_count")]), 40.0 + step),
        // Without a count and the last bucket it is no histogram.
        (series(&[("__name__", "odd_seconds_bucket"), ("le", "1.0")]), 4.0),
    ];
    for (le, count) in [("0.1", 1.0), ("1", 5.0), ("+Inf", 6.0)] {
        all.push((series(&[("__name__", "took_seconds_bucket"), ("le", le), ("route", "/a")]), count + step));
    }
    all.push((series(&[("__name__", "took_seconds_sum"), ("route", "/a")]), 9.75));
    all.push((series(&[("__name__", "took_seconds_count"), ("route", "/a")]), 6.0 + step));
    all
}

fn batch(time: i64, step: f64) -> Batch {
    let mut batch = Batch::new(Origin::new("test"));
    for (labels, value) in floats(step) {
        batch.series.push(SeriesSamples { labels, samples: Samples::One(Sample { time: Timestamp(time), value }) });
    }
    let family = |family: &str, kind| Metadata { family: family.into(), kind, help: format!("What {family} is.").into(), unit: "".into() };
    batch.metadata = vec![
        family("depth", MetricType::Gauge),
        family("jobs_total", MetricType::Counter),
        family("wait_seconds", MetricType::Summary),
        family("took_seconds", MetricType::Histogram),
        family("odd_seconds", MetricType::Histogram),
        family("native_seconds", MetricType::Histogram),
    ];
    batch
}

fn native(schema: i8, count: f64) -> Histogram {
    Histogram {
        schema,
        integer: count.fract() == 0.0,
        count,
        sum: 5.5,
        zero_count: 1.0,
        zero_threshold: 0.001,
        positive_spans: vec![Span { offset: -2, length: 2 }, Span { offset: 3, length: 1 }],
        positive_buckets: vec![2.0, 1.0, count - 5.0],
        negative_spans: vec![Span { offset: 4, length: 1 }],
        negative_buckets: vec![1.0],
        ..Histogram::default()
    }
}

#[test]
fn metrics_arrive_as_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    // It is busy at first.
    let receiver = Receiver::start(|n, _| Some(if n < 2 { (503, "Retry-After: 0\r\n") } else { (200, "") }));
    let house = House::open(dir.path(), &places(&receiver.address.to_string(), ", signals: [metrics]"));
    let time = now();
    let mut first = batch(time, 0.0);
    let histogram = |name: &str, value: Histogram| SeriesHistograms {
        labels: series(&[("__name__", name)]),
        samples: vec![HistogramSample { time: Timestamp(time), value: Arc::new(value) }],
    };
    first.histograms = vec![histogram("native_seconds", native(3, 9.0)), histogram("halves_seconds", native(3, 9.5))];
    let exemplar = Exemplar { labels: labels!("trace_id" => "0123456789abcdef0123456789abcdef"), time: Timestamp(time), value: 0.75 };
    first.exemplars = vec![SeriesExemplars { labels: series(&[("__name__", "jobs_total")]), exemplars: vec![exemplar.clone()] }];
    house.store.write(first).unwrap();
    let mut second = batch(time + 1_000, 1.0);
    second.metadata.clear();
    let stale = Sample { time: Timestamp(time + 1_000), value: stale_nan() };
    second.series[0].samples = Samples::One(stale);
    house.store.write(second).unwrap();

    let expected: BTreeMap<(String, i64), u64> = [(time, 0.0), (time + 1_000, 1.0)]
        .into_iter()
        .flat_map(|(at, step)| floats(step).into_iter().map(move |(labels, value)| ((labels.to_string(), at), value.to_bits())))
        .map(|(key, bits)| if key.1 > time && key.0.contains("depth") { (key, stale.value.to_bits()) } else { (key, bits) })
        .collect();
    until("all are there", || received(&receiver.taken()).samples.lock().unwrap().len(), |n| *n >= expected.len());
    let kept = received(&receiver.taken());
    assert_eq!(*kept.samples.lock().unwrap(), expected);
    let histograms = kept.histograms.lock().unwrap();
    assert_eq!(histograms.len(), 1, "of halves OTLP knows nothing");
    let (labels, found) = &histograms[0];
    assert!(labels.contains("native_seconds"));
    // Two empty buckets between two others are written out by receivers.
    let counts = |h: &Histogram| (h.schema, h.count, h.sum, h.zero_count, h.zero_threshold, h.negative_spans.clone(), h.negative_buckets.clone());
    assert_eq!(counts(&found.value), counts(&native(3, 9.0)));
    assert_eq!((&found.value.positive_spans, &found.value.positive_buckets), (&native(3, 9.0).positive_spans, &vec![2.0, 1.0, 4.0]));
    assert_eq!(*kept.exemplars.lock().unwrap(), [(series(&[("__name__", "jobs_total")]).to_string(), exemplar)]);
    let families = kept.families.lock().unwrap();
    let told = |name: &str| families.get(name).map(|(kind, help)| (*kind, help.as_str()));
    assert_eq!(told("depth"), Some((MetricType::Gauge, "What depth is.")));
    assert_eq!(told("jobs_total"), Some((MetricType::Counter, "What jobs_total is.")));
    assert_eq!(told("took_seconds"), Some((MetricType::Histogram, "What took_seconds is.")));
    assert_eq!(told("wait_seconds"), Some((MetricType::Summary, "What wait_seconds is.")));
    assert_eq!((told("unsaid_total").map(|t| t.0), told("unsaid").map(|t| t.0)), (Some(MetricType::Counter), Some(MetricType::Gauge)));
    assert_eq!((house.figure("metrics_dropped_points_total", "not_whole"), house.figure("metrics_dropped_points_total", "")), (1.0, 1.0));
    until("the log is free", || house.figure("metrics_buffered_bytes", "far"), |n| *n == 0.0);
    assert!(house.figure("metrics_retried_points_total", "far") > 0.0);
    house.close();
}

#[test]
fn metrics_go_on_where_they_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let address = watchfire_testkit::ports::nobody();
    let places = places(&address.to_string(), "");
    let house = House::open(dir.path(), &places);
    let time = now() - 10_000;
    house.store.write(batch(time, 0.0)).unwrap();
    until("it is tried", || house.figure("metrics_failed_requests_total", "far"), |n| *n > 1.0);
    house.close();
    let house = House::open(dir.path(), &places);
    let receiver = Receiver::at(address, |_, _| Some((200, "")));
    house.store.write(batch(time + 1_000, 1.0)).unwrap();
    let expected = 2 * floats(0.0).len();
    until("all are there", || received(&receiver.taken()).samples.lock().unwrap().len(), |n| *n >= expected);
    until("it is told", || house.figure("metrics_buffered_bytes", "far"), |n| *n == 0.0);
    assert_eq!(house.figure("metrics_dropped_points_total", ""), 0.0);
    house.close();
}

#[test]
fn log_lines_of_all_senders_arrive_with_ids_and_severity() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|n, _| Some(if n == 0 { (503, "Retry-After: 0\r\n") } else { (200, "") }));
    let house = House::open(dir.path(), &places(&receiver.address.to_string(), ", signals: [logs]"));
    let time = now();
    let entry = |n: i64, line: &str, metadata: Labels| LogEntry { time: Nanos::from_millis(time + n), line: line.into(), metadata };
    let ids = labels!("detected_level" => "warn", "trace_id" => "0123456789abcdef0123456789abcdef", "span_id" => "0123456789abcdef", "user" => "u1");
    let scoped = labels!("scope_name" => "s", "scope_version" => "2", "severity_number" => "17", "severity_text" => "ERROR", "trace_id" => "no id");
    for (sender, entries) in [("promtail", vec![entry(0, "one", ids), entry(1, "", Labels::empty())]), ("loki", vec![entry(2, "zwei ü", scoped)])] {
        let mut batch = Batch::new(Origin::new(sender));
        batch.logs.push(StreamEntries { labels: labels!("service_name" => "api", "camera" => "front"), entries });
        house.store.write(batch).unwrap();
    }
    until("all are there", || received(&receiver.taken()).lines.lock().unwrap().len(), |n| *n >= 3);
    let kept = received(&receiver.taken());
    let mut lines = kept.lines.lock().unwrap().clone();
    lines.sort_by_key(|(_, entry)| entry.time);
    let found: Vec<(i64, &str, String)> = lines
        .iter()
        .map(|(stream, entry)| {
            assert_eq!(stream, r#"{service_name="api"}"#, "what OpenTelemetry does not call an identity is structured metadata there");
            (entry.time.millis() - time, &*entry.line, entry.metadata.without("detected_level").to_string())
        })
        .collect();
    let expected = [
        (0, "one", r#"{camera="front", severity_number="13", span_id="0123456789abcdef", trace_id="0123456789abcdef0123456789abcdef", user="u1"}"#.to_owned()),
        (1, "", r#"{camera="front"}"#.to_owned()),
        (2, "zwei ü", r#"{camera="front", scope_name="s", scope_version="2", severity_number="17", severity_text="ERROR", trace_id="no id"}"#.to_owned()),
    ];
    assert_eq!(found, expected);
    until("it is told", || house.figure("logs_sent_entries_total", "far"), |n| *n == 3.0);
    house.close();
}
