//! Tests of what is derived from spans: the families, zeros before first values, exemplars, limits, edges of every kind.

use std::collections::BTreeMap;

use watchfire_model::batch::Batch;
use watchfire_model::logs::{LogEntry, Nanos};
use watchfire_model::sample::is_stale;
use watchfire_model::spans::{NewSpan, Pair, SpanId, SpanKind, SpanStream, StatusCode, TraceId, Value};
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::Written;

use super::*;
use crate::gate::Limits;

const NOW: Timestamp = Timestamp(1_767_089_700_000);

/// Takes everything, and keeps the last values and all exemplars.
#[derive(Default)]
struct Kept {
    values: Mutex<BTreeMap<String, Vec<f64>>>,
    exemplars: Mutex<Vec<(String, String)>>,
    seen: Mutex<std::collections::HashSet<u64>>,
}
impl Sink for Kept {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        let mut written = Written::default();
        let mut values = self.values.lock().unwrap();
        for series in batch.series {
            written.stored += series.samples.len() as u64;
            values.entry(series.labels.to_string()).or_default().extend(series.samples.as_slice().iter().map(|s| s.value));
        }
        for series in batch.exemplars {
            let traces = series.exemplars.iter().map(|e| (series.labels.to_string(), e.labels.to_string()));
            self.exemplars.lock().unwrap().extend(traces);
        }
        let mut at = 0;
        for stream in &batch.spans {
            for entry in &stream.entries {
                if self.seen.lock().unwrap().insert(stream.labels.hash_value() ^ entry.metadata.hash_value()) {
                    written.spans.stored += 1;
                } else {
                    written.spans.duplicates += 1;
                    written.spans.left_out.push(at);
                }
                at += 1;
            }
        }
        Ok(written)
    }
}

struct Bench {
    kept: Arc<Kept>,
    gate: Gate,
    clock: Arc<ManualClock>,
    meter: Meter,
    derived: SpanMetrics,
    _tap: LogTap,
}

fn bench(metrics: &MetricsSettings, graph: &GraphSettings) -> Bench {
    let (kept, clock, meter) = (Arc::new(Kept::default()), ManualClock::new(NOW), Meter::new());
    let gate = Gate::new(kept.clone(), clock.clone(), &meter, Limits::default());
    let derived = SpanMetrics::new(Some(metrics), Some(graph), "pi", clock.clone(), &meter);
    let _tap = derived.listen(&gate);
    Bench { kept, gate, clock, meter, derived, _tap }
}

impl Bench {
    fn send(&self, spans: Vec<StreamEntries>) {
        let mut batch = Batch::new(Origin::new("otlp/x"));
        batch.spans = spans;
        self.gate.write(batch).unwrap();
    }
    fn flush(&self) {
        self.derived.flush(&self.gate).unwrap();
        self.clock.advance(INTERVAL);
    }
    /// The values of series whose labels contain all of some texts, without those that every series has.
    fn values(&self, name: &str, texts: &[&str]) -> Vec<f64> {
        let values = self.kept.values.lock().unwrap();
        let found: Vec<_> = values.iter().filter(|(l, _)| l.starts_with(&format!("{name}{{")) && texts.iter().all(|t| l.contains(t))).collect();
        assert!(found.len() <= 1, "{found:?}");
        found
            .first()
            .map(|(labels, values)| {
                assert!(labels.contains("instance=\"pi\", job=\"watchfire\""), "{labels}");
                (*values).clone()
            })
            .unwrap_or_default()
    }
    fn own(&self, name: &str) -> f64 {
        self.meter.gather().iter().filter(|f| &*f.name == name).flat_map(|f| &f.points).map(|(_, v)| v).sum()
    }
}

/// A span of trace `trace`.
fn span(service: &str, name: &str, kind: SpanKind, (trace, id, parent): (u64, u64, u64), ms: u64, more: &[(&'static str, &'static str)]) -> StreamEntries {
    let resource: [Pair<'_>; 1] = [("service.name".into(), Value::text(service))];
    let stream = SpanStream { resource: &resource, name, kind, ..SpanStream::default() };
    let failed = more.iter().any(|(name, _)| *name == "failed");
    let new = NewSpan {
        trace: TraceId([[0; 8], trace.to_be_bytes()].concat().try_into().unwrap()),
        span: SpanId(id.to_be_bytes()),
        parent: (parent > 0).then(|| SpanId(parent.to_be_bytes())),
        start: Nanos::from_millis(NOW.0 - 1_000),
        duration: ms * 1_000_000,
        status: if failed { StatusCode::Error } else { StatusCode::Unset },
        attributes: more.iter().map(|(name, value)| ((*name).into(), Value::text(value))).collect(),
        ..NewSpan::default()
    };
    let entry: LogEntry = new.entry();
    StreamEntries { labels: stream.labels(), entries: vec![entry] }
}

#[test]
fn red_has_zeros_first_exemplars_and_every_span_once() {
    let bench = bench(&MetricsSettings { dimensions: vec!["http.method".to_owned()], ..MetricsSettings::default() }, &GraphSettings::default());
    let get = [("http.method", "GET")];
    let a = span("api", "GET /", SpanKind::Server, (1, 1, 0), 3, &get);
    let b = span("api", "GET /", SpanKind::Server, (2, 2, 0), 300, &get);
    bench.send(vec![a.clone()]);
    // One that comes again beside a new one is not counted again.
    bench.send(vec![a.clone(), b]);
    bench.send(vec![a]);
    bench.send(vec![span("api", "GET /", SpanKind::Server, (3, 3, 0), 20_000, &[("failed", "x"), get[0]])]);
    bench.flush();
    let ok = ["service=\"api\"", "span_name=\"GET /\"", "span_kind=\"SPAN_KIND_SERVER\"", "status_code=\"STATUS_CODE_UNSET\"", "http_method=\"GET\""];
    let bucket = |le: &str| bench.values("traces_spanmetrics_latency_bucket", &[&ok[..], &[le]].concat());
    assert_eq!(bench.values("traces_spanmetrics_calls_total", &ok), [0.0, 2.0]);
    assert_eq!(
        (bucket("le=\"0.002\""), bucket("le=\"0.004\""), bucket("le=\"0.512\""), bucket("le=\"+Inf\"")),
        (vec![0.0, 0.0], vec![0.0, 1.0], vec![0.0, 2.0], vec![0.0, 2.0])
    );
    assert_eq!(bench.values("traces_spanmetrics_latency_sum", &ok)[1], 0.303);
    assert_eq!(bench.values("traces_spanmetrics_latency_count", &ok), [0.0, 2.0]);
    assert!(bench.values("traces_spanmetrics_size_total", &ok)[1] > 100.0);
    let failed = ["status_code=\"STATUS_CODE_ERROR\""];
    assert_eq!(bench.values("traces_spanmetrics_calls_total", &failed), [0.0, 1.0]);
    let exemplars = bench.kept.exemplars.lock().unwrap().clone();
    let trace = |n: u64| format!("{{trace_id=\"{n:032x}\"}}");
    let of = |le: &str, status: &str| {
        exemplars.iter().filter(|(l, _)| l.contains("spanmetrics") && l.contains(le) && l.contains(status)).map(|(_, t)| t.clone()).collect::<Vec<_>>()
    };
    assert_eq!((of("le=\"0.004\"", "UNSET"), of("le=\"+Inf\"", "ERROR")), (vec![trace(1)], vec![trace(3)]));
    bench.flush();
    assert_eq!(bench.values("traces_spanmetrics_calls_total", &ok), [0.0, 2.0, 2.0], "each series goes on, without another zero");
}

#[test]
fn silent_series_end_and_make_room() {
    let bench = bench(&MetricsSettings { series_max: 1, ..MetricsSettings::default() }, &GraphSettings::default());
    bench.send(vec![span("a", "one", SpanKind::Internal, (1, 1, 0), 1, &[])]);
    bench.send(vec![span("a", "two", SpanKind::Internal, (1, 2, 1), 1, &[]), span("a", "three", SpanKind::Internal, (1, 3, 1), 1, &[])]);
    bench.flush();
    assert_eq!(bench.values("traces_spanmetrics_calls_total", &["span_name=\"one\""]), [0.0, 1.0]);
    assert_eq!(bench.values("traces_spanmetrics_calls_total", &["service=\"a\"", "span_name=\"…\""]), [0.0, 2.0]);
    assert_eq!(bench.own("watchfire_span_metrics_overflow_spans_total"), 2.0);
    for service in 0..200 {
        bench.send(vec![span(&format!("s{service}"), "x", SpanKind::Internal, (2, service + 1, 0), 1, &[])]);
    }
    bench.flush();
    let last = bench.values("traces_spanmetrics_calls_total", &["service=\"…\"", "span_name=\"…\""]);
    assert!(last.last().is_some_and(|calls| *calls > 100.0), "{last:?}");
    bench.clock.advance(Duration::from_secs(3_600));
    bench.flush();
    assert!(bench.values("traces_spanmetrics_calls_total", &["span_name=\"one\""]).last().is_some_and(|v| is_stale(*v)));
    bench.send(vec![span("a", "four", SpanKind::Internal, (9, 9, 0), 1, &[])]);
    bench.flush();
    assert_eq!(bench.values("traces_spanmetrics_calls_total", &["span_name=\"four\""]), [0.0, 1.0], "there is room again");
}

#[test]
fn edges_of_every_kind() {
    use SpanKind::{Client, Consumer, Producer, Server};
    let bench = bench(&MetricsSettings::default(), &GraphSettings::default());
    // The called one comes first, or last.
    bench.send(vec![span("back", "h", Server, (1, 11, 10), 5, &[("failed", "x")]), span("front", "c", Client, (1, 10, 9), 250, &[])]);
    bench.send(vec![span("front", "c", Client, (2, 20, 9), 50, &[("peer.service", "never used")]), span("back", "h", Server, (2, 21, 20), 40, &[])]);
    // A message with two receivers.
    bench.send(vec![
        span("front", "send", Producer, (3, 30, 9), 1, &[]),
        span("w1", "r", Consumer, (3, 31, 30), 1, &[]),
        span("w2", "r", Consumer, (3, 32, 30), 1, &[]),
    ]);
    bench.send(vec![span("back", "select", Client, (4, 40, 9), 7, &[("db.system", "postgresql"), ("db.name", "shop")])]);
    bench.send(vec![span("front", "GET", Client, (5, 50, 9), 7, &[("server.address", "example.org")])]);
    bench.send(vec![span("front", "page", Server, (6, 60, 0), 7, &[])]);
    bench.send(vec![span("front", "lost", Client, (7, 70, 9), 7, &[]), span("back", "lost", Server, (8, 81, 80), 7, &[])]);
    bench.clock.advance(Duration::from_secs(11));
    bench.flush();
    let edge = |client: &str, server: &str, kind: &str| {
        let labels = [
            format!("client=\"{client}\""),
            format!("server=\"{server}\""),
            if kind.is_empty() { String::new() } else { format!("connection_type=\"{kind}\"") },
        ];
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let last = |name: &str| bench.values(name, &labels).last().copied().unwrap_or(-1.0);
        (
            last("traces_service_graph_request_total"),
            last("traces_service_graph_request_failed_total"),
            last("traces_service_graph_request_server_seconds_sum"),
            last("traces_service_graph_request_client_seconds_sum"),
        )
    };
    assert_eq!(edge("front", "back", ""), (2.0, 1.0, 0.045, 0.3));
    assert_eq!((edge("front", "w1", "messaging_system").0, edge("front", "w2", "messaging_system").0), (1.0, 1.0));
    assert_eq!(edge("back", "shop", "database"), (1.0, 0.0, 0.007, 0.007));
    assert_eq!(edge("front", "example.org", "virtual_node").0, 1.0);
    assert_eq!(edge("user", "front", "virtual_node").0, 1.0);
    assert_eq!(bench.own("watchfire_service_graph_unpaired_spans_total"), 2.0);
    assert_eq!((bench.own("watchfire_service_graph_waiting_spans"), bench.own("watchfire_service_graph_evicted_spans_total")), (0.0, 0.0));
    let exemplars = bench.kept.exemplars.lock().unwrap().clone();
    assert!(exemplars.iter().any(|(l, t)| l.contains("client_seconds_bucket") && l.contains("le=\"0.4\"") && t.contains("00000001")), "{exemplars:?}");
}

#[test]
fn spans_that_wait_and_edges_are_limited() {
    let settings = GraphSettings { waiting_max: 3, series_max: 1, ..GraphSettings::default() };
    let bench = bench(&MetricsSettings::default(), &settings);
    for n in 1..=10 {
        bench.send(vec![span("front", "c", SpanKind::Client, (n, 10, 9), 1, &[])]);
    }
    assert_eq!((bench.own("watchfire_service_graph_waiting_spans"), bench.own("watchfire_service_graph_evicted_spans_total")), (3.0, 7.0));
    for n in 0..5 {
        bench.send(vec![span(&format!("s{n}"), "c", SpanKind::Client, (n + 20, 10, 9), 1, &[("db.system", "redis")])]);
    }
    bench.flush();
    assert_eq!(bench.values("traces_service_graph_request_total", &["client=\"s0\"", "server=\"redis\""]).last(), Some(&1.0));
    assert_eq!(bench.values("traces_service_graph_request_total", &["client=\"…\"", "server=\"…\""]).last(), Some(&4.0));
    assert_eq!(bench.own("watchfire_service_graph_overflow_calls_total"), 4.0);
}
