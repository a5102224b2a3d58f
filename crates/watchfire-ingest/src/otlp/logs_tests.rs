//! Requests of OTLP logs and the entries that come of them, in both formats; refusals; bounds; garbage.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use proptest::prelude::*;
use watchfire_model::batch::Batch;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::{LogsWritten, Reason, Sink};

use super::logs::BATCH_ENTRIES;
use super::*;
use crate::gate::{Limits, LogLimits};
use crate::label_bytes::LABELS_MAX;
use crate::protobuf::Writer;

const NOW: Timestamp = Timestamp(1_767_089_700_000);
const T: u64 = 1_767_089_700_000_000_000;

/// Keeps entries as text and counts batches, or is busy.
#[derive(Default)]
struct Kept(Mutex<Vec<String>>, AtomicUsize, AtomicBool);
impl Sink for Kept {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        if self.2.load(Ordering::Relaxed) {
            return Err(WriteError::Busy("test".to_owned()));
        }
        self.1.fetch_add(1, Ordering::Relaxed);
        let mut logs = LogsWritten::default();
        for stream in batch.logs {
            for entry in &stream.entries {
                logs.stored += 1;
                self.0.lock().unwrap().push(format!("{} {} {:?} {}", stream.labels, entry.time.0 - T as i64, entry.line, entry.metadata));
            }
        }
        Ok(Written { logs, ..Written::default() })
    }
}

fn house() -> (Otlp, Arc<Kept>) {
    house_counting(&Meter::new())
}
fn house_counting(meter: &Meter) -> (Otlp, Arc<Kept>) {
    let (kept, clock) = (Arc::new(Kept::default()), ManualClock::new(NOW));
    let limits = Limits { logs: LogLimits { metadata_max: LABELS_MAX, detect_levels: false, ..LogLimits::default() }, ..Limits::default() };
    let gate = Arc::new(Gate::new(kept.clone(), clock.clone(), meter, limits));
    (Otlp::new(gate, clock, meter, Settings::default()), kept)
}

fn json_request(records: &str) -> String {
    format!(
        r#"{{"resourceLogs":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"shop"}}}},{{"key":"host.name","value":{{"stringValue":"h1"}}}}]}},
        "scopeLogs":[{{"scope":{{"name":"lib","version":"2"}},"logRecords":[{records}]}}]}}]}}"#
    )
}

#[test]
fn records_become_entries() {
    let (otlp, kept) = house();
    let records = format!(
        r#"{{"timeUnixNano":"{}","severityNumber":"SEVERITY_NUMBER_ERROR","severityText":"ERROR","body":{{"stringValue":"it broke"}},"traceId":"0af7651916cd43dd8448eb211c80319c",
            "spanId":"b7ad6b7169203331","attributes":[{{"key":"http.status","value":{{"intValue":"500"}}}},{{"key":"host.name","value":{{"stringValue":"own"}}}}]}},
           {{"observedTimeUnixNano":{},"body":{{"kvlistValue":{{"values":[{{"key":"a","value":{{"intValue":1}}}}]}}}}}},
           {{"body":{{"stringValue":"now"}}}}"#,
        T + 1,
        T + 2
    );
    let received = otlp.logs(json_request(&records).as_bytes(), Format::Json, Origin::new("otlp/a")).unwrap();
    assert_eq!((received.counts.stored, received.answer(Format::Json), received.answer(Format::Protobuf)), (3, b"{}".to_vec(), Vec::new()));
    assert_eq!(
        *kept.0.lock().unwrap(),
        [
            concat!(
                r#"{service_name="shop"} 1 "it broke" {host_name="own", http_status="500", scope_name="lib", scope_version="2", severity_number="17", "#,
                r#"severity_text="ERROR", span_id="b7ad6b7169203331", trace_id="0af7651916cd43dd8448eb211c80319c"}"#
            ),
            r#"{service_name="shop"} 2 "{\"a\":1}" {host_name="h1", scope_name="lib", scope_version="2"}"#,
            r#"{service_name="shop"} 0 "now" {host_name="h1", scope_name="lib", scope_version="2"}"#,
        ]
    );
}

#[test]
fn a_stream_without_a_service_has_an_unknown_one_and_refusals_are_told() {
    let (otlp, kept) = house();
    let far = T + 86_400_000_000_000;
    let body = format!(
        r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"timeUnixNano":"{far}","body":{{"stringValue":"secret"}}}},{{"body":{{"stringValue":"x"}}}}]}}]}}]}}"#
    );
    let received = otlp.logs(body.as_bytes(), Format::Json, Origin::new("otlp/a")).unwrap();
    assert_eq!((received.counts.stored, received.counts.rejected.clone()), (1, vec![(Reason::TooFarFuture, 1)]));
    let answer: serde_json::Value = serde_json::from_slice(&received.answer(Format::Json)).unwrap();
    assert_eq!(answer["partialSuccess"]["rejectedLogRecords"], "1");
    assert!(answer["partialSuccess"]["errorMessage"].as_str().unwrap().starts_with("1 of 2 log records were refused (too_far_future: 1)"));
    assert!(!answer.to_string().contains("secret"));
    assert_eq!(received.answer(Format::Protobuf)[..2], [0x0a, received.answer(Format::Protobuf)[1]]);
    assert_eq!(*kept.0.lock().unwrap(), [r#"{service_name="unknown_service"} 0 "x" {}"#]);
}

#[test]
fn what_is_no_request_is_refused_whole() {
    let (otlp, _) = house();
    for (format, body) in [(Format::Json, &b"{"[..]), (Format::Json, br#"{"resourceLogs":3}"#), (Format::Protobuf, &[0x0a, 9])] {
        assert!(matches!(otlp.logs(body, format, Origin::new("otlp/a")), Err(OtlpError::Malformed(_))));
    }
}

#[test]
fn attributes_of_a_resource_are_bounded_before_they_are_copied() {
    let request = |value_bytes: usize, records: usize| {
        let mut out = Writer::new();
        out.message(1, |resource_logs| {
            resource_logs.message(1, |resource| {
                resource.message(1, |attribute| {
                    attribute.text(1, "big");
                    attribute.message(2, |value| value.text(1, &"x".repeat(value_bytes)));
                });
            });
            resource_logs.message(2, |scope| (0..records).for_each(|_| scope.message(2, |record| record.message(5, |body| body.text(1, "l")))));
        });
        out.into_bytes()
    };
    let (otlp, _) = house();
    let one = otlp.logs(&request(300 << 10, 2), Format::Protobuf, Origin::new("otlp/a")).unwrap();
    assert_eq!((one.counts.stored, one.counts.rejected), (0, vec![(Reason::MetadataSize, 2)]));
}

/// A request with so many empty attributes of resource, scope and record, and so many records.
fn empty_attributes(resource: usize, scope: usize, record: usize, records: usize) -> Vec<u8> {
    let mut out = Writer::new();
    out.message(1, |resource_logs| {
        resource_logs.message(1, |it| (0..resource).for_each(|_| it.always_bytes(1, b"")));
        resource_logs.message(2, |scope_logs| {
            scope_logs.message(1, |it| (0..scope).for_each(|_| it.always_bytes(3, b"")));
            for _ in 0..records {
                scope_logs.message(2, |it| {
                    it.message(5, |body| body.text(1, "l"));
                    (0..record).for_each(|_| it.always_bytes(6, b""));
                });
            }
        });
    });
    out.into_bytes()
}

#[test]
fn attributes_are_counted_before_they_are_joined_even_when_they_are_empty() {
    let check = |resource: usize, scope: usize, record: usize, fits: bool| {
        let (otlp, _) = house();
        let got = otlp.logs(&empty_attributes(resource, scope, record, 3), Format::Protobuf, Origin::new("otlp/a")).unwrap();
        assert_eq!(
            (got.counts.stored, got.counts.rejected),
            if fits { (3, vec![]) } else { (0, vec![(Reason::MetadataSize, 3)]) },
            "{resource} {scope} {record}"
        );
        assert!(fits || got.example.unwrap().contains("257 labels, more than 256"));
    };
    for (resource, scope, record) in [(256, 0, 0), (0, 256, 0), (0, 0, 256), (100, 100, 56)] {
        check(resource, scope, record, true);
        check(resource + usize::from(resource > 0), scope + usize::from(resource == 0 && scope > 0), record + usize::from(resource + scope == 0), false);
    }
    // What is empty takes room in a batch all the same.
    let (otlp, kept) = house();
    assert_eq!(otlp.logs(&empty_attributes(256, 0, 0, BATCH_ENTRIES - 1), Format::Protobuf, Origin::new("otlp/a")).unwrap().counts.stored, 19_999);
    assert_eq!(kept.1.load(Ordering::Relaxed), 2);
}

#[test]
fn refusals_of_a_request_that_comes_again_count_once() {
    let meter = Meter::new();
    let (otlp, kept) = house_counting(&meter);
    let rejected = || {
        let family = meter.gather().into_iter().find(|f| &*f.name == "watchfire_ingest_log_entries_rejected_total").unwrap();
        family.points.iter().map(|(_, v)| *v as u64).sum::<u64>()
    };
    let body = [empty_attributes(257, 0, 0, 2), empty_attributes(0, 0, 0, 1)].concat();
    let send = || otlp.logs(&body, Format::Protobuf, Origin::new("otlp/a"));
    kept.2.store(true, Ordering::Relaxed);
    assert!(matches!(send(), Err(OtlpError::Later(_))));
    assert_eq!(rejected(), 0);
    kept.2.store(false, Ordering::Relaxed);
    assert_eq!((send().unwrap().counts.stored, rejected()), (1, 2));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (otlp, _) = house();
        drop(otlp.logs(&bytes, Format::Protobuf, Origin::new("x")));
        drop(otlp.logs(&bytes, Format::Json, Origin::new("x")));
    }
}
