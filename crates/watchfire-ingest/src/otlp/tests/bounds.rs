//! What a request may ask for in memory, and what stays of one that the store did not take.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use watchfire_model::batch::Batch;
use watchfire_model::write::Sink;

use super::*;
use crate::label_bytes::LABEL_BYTES_PER_BATCH;

/// A sink that measures batches, and is busy when told so.
#[derive(Default)]
struct Measuring {
    memory: Memory,
    busy: AtomicBool,
    largest: AtomicUsize,
}
impl Sink for Measuring {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        if self.busy.load(Ordering::Relaxed) {
            return Err(WriteError::Busy("test".to_owned()));
        }
        let floats: usize = batch.series.iter().map(|s| s.labels.memory()).sum();
        let histograms: usize = batch.histograms.iter().map(|s| s.labels.memory()).sum();
        self.largest.fetch_max(floats + histograms, Ordering::Relaxed);
        self.memory.write(batch)
    }
}

/// A receiver in front of it, whose gate lets long labels in.
fn receiver(settings: Settings) -> (Arc<Measuring>, Otlp) {
    receiver_counting(settings, &Meter::new())
}
fn receiver_counting(settings: Settings, meter: &Meter) -> (Arc<Measuring>, Otlp) {
    let (sink, clock) = (Arc::new(Measuring::default()), ManualClock::new(NOW));
    let limits = Limits { value_bytes_max: usize::MAX, ..Limits::default() };
    let gate = Arc::new(Gate::new(sink.clone(), clock.clone(), meter, limits));
    (sink, Otlp::new(gate, clock, meter, settings))
}
fn send(otlp: &Otlp, json: &str) -> Result<Received, OtlpError> {
    otlp.metrics(json.as_bytes(), Format::Json, Origin::new("otlp/test"))
}
fn gauge(points: usize) -> String {
    let points: Vec<String> = (0..points).map(|i| format!(r#"{{"timeUnixNano":"{}","asInt":1}}"#, (T_MS + i as i64) * 1_000_000)).collect();
    format!(r#"{{"name":"g","gauge":{{"dataPoints":[{}]}}}}"#, points.join(","))
}
fn promoting() -> Settings {
    Settings { promoted: Promoted::AllBut(Vec::new()), ..Settings::default() }
}

#[test]
fn what_a_resource_says_once_is_not_copied_without_bound() {
    let (sink, otlp) = receiver(promoting());
    let long = |kib: usize| format!("long={}", "x".repeat(kib << 10));
    let received = send(&otlp, &request(&long(200), &gauge(1_000))).unwrap();
    assert_eq!((received.rejected, received.written.stored), (0, 1_000));
    let largest = sink.largest.load(Ordering::Relaxed);
    assert!(largest <= LABEL_BYTES_PER_BATCH + (300 << 10), "{largest}");

    let received = send(&otlp, &request(&long(300), &gauge(10))).unwrap();
    assert_eq!((received.rejected, received.written.rejected.as_slice()), (10, &[(Reason::LabelBytes, 10)][..]));
    assert!(received.message().contains("labels of too many bytes"), "{}", received.message());
    // `target_info` of such a resource counts, too.
    let received = send(&otlp, &request(&format!("service.name=a,{}", long(300)), &gauge(10))).unwrap();
    assert_eq!(received.written.rejected, [(Reason::LabelBytes, 11)]);
    let many: Vec<String> = (0..300).map(|i| format!("a{i}=b")).collect();
    let received = send(&otlp, &request(&many.join(","), &gauge(10))).unwrap();
    assert_eq!(received.written.rejected, [(Reason::LabelCount, 10)]);
}

#[test]
fn the_buckets_of_one_point_are_not_copied_without_bound() {
    let (sink, otlp) = receiver(promoting());
    let bounds: Vec<String> = (0..1_000).map(|i| i.to_string()).collect();
    let counts = vec!["0"; 1_001].join(",");
    let point = format!(r#"{{"timeUnixNano":T+0,"count":0,"bucketCounts":[{counts}],"explicitBounds":[{}]}}"#, bounds.join(","));
    let histogram = format!(r#"{{"name":"h","histogram":{{"aggregationTemporality":2,"dataPoints":[{point}]}}}}"#);
    let send = |kib: usize| send(&otlp, &request(&format!("long={}", "x".repeat(kib << 10)), &histogram)).unwrap();
    assert_eq!(send(10).rejected, 0);
    assert_eq!(send(100).written.rejected, [(Reason::LabelBytes, 1)]);
    assert!(sink.largest.load(Ordering::Relaxed) < 16 << 20);
}

#[test]
fn deltas_that_the_store_did_not_take_can_be_sent_again() {
    let (sink, otlp) = receiver(Settings::default());
    let points = [(0, 10, 5), (10, 20, 2)].map(|(start, end, value)| format!(r#"{{"startTimeUnixNano":T+{start},"timeUnixNano":T+{end},"asInt":{value}}}"#));
    let metric = format!(r#"{{"name":"n","sum":{{"aggregationTemporality":1,"isMonotonic":true,"dataPoints":[{}]}}}}"#, points.join(","));
    sink.busy.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        assert!(matches!(send(&otlp, &request("", &metric)), Err(OtlpError::Later(_))));
    }
    sink.busy.store(false, Ordering::Relaxed);
    let received = send(&otlp, &request("", &metric)).unwrap();
    assert_eq!((received.rejected, received.written.stored), (0, 2));
    assert_eq!(stored(&sink.memory), ["n_total 10 5", "n_total 20 7"]);
}

#[test]
fn refusals_of_a_request_that_comes_again_count_once() {
    let meter = Meter::new();
    let (sink, otlp) = receiver_counting(Settings::default(), &meter);
    let sum = |name: &str| meter.gather().iter().find(|f| *f.name == *name).unwrap().points.iter().map(|(_, v)| *v as u64).sum::<u64>();
    let counts = || ["watchfire_ingest_samples_rejected_total", "watchfire_otlp_points_rejected_total"].map(sum);
    let nameless = r#"{"name":"","gauge":{"dataPoints":[{"timeUnixNano":T+0,"asInt":1}]}}"#;
    let body = request("", &format!("{nameless},{GAUGE}"));
    sink.busy.store(true, Ordering::Relaxed);
    assert!(matches!(send(&otlp, &body), Err(OtlpError::Later(_))));
    assert_eq!(counts(), [0, 0]);
    sink.busy.store(false, Ordering::Relaxed);
    assert_eq!(send(&otlp, &body).unwrap().rejected, 1);
    assert_eq!(counts(), [1, 1]);
}
