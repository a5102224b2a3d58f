//! Requests of OTLP traces and the spans that come of them, in both formats; refusals; bounds; garbage.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use watchfire_model::batch::Batch;
use watchfire_model::logs::StreamEntries;
use watchfire_model::spans::{SpanKind, SpanRow, StatusCode, Value};
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::{LogsWritten, Reason, Sink};

use super::traces::BATCH_SPANS;
use super::*;
use crate::gate::Limits;
use crate::protobuf::Writer;

const NOW: Timestamp = Timestamp(1_767_089_700_000);
const T: u64 = 1_767_089_700_000_000_000;

/// Keeps batches of spans, or is busy.
#[derive(Default)]
struct Kept(Mutex<Vec<Vec<StreamEntries>>>, AtomicBool);
impl Sink for Kept {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        if self.1.load(Ordering::Relaxed) {
            return Err(WriteError::Busy("test".to_owned()));
        }
        let stored = batch.spans.iter().map(|s| s.entries.len() as u64).sum();
        self.0.lock().unwrap().push(batch.spans);
        Ok(Written { spans: LogsWritten { stored, ..LogsWritten::default() }, ..Written::default() })
    }
}
impl Kept {
    /// Looks at all spans, sorted by their ids.
    fn each(&self, mut look: impl FnMut(SpanRow<'_>)) {
        let batches = self.0.lock().unwrap();
        let mut rows: Vec<SpanRow<'_>> = batches.iter().flatten().flat_map(|s| s.entries.iter().map(|e| SpanRow::from_parts(&s.labels, e))).collect();
        rows.sort_by_key(|row| row.span());
        rows.into_iter().for_each(&mut look);
    }
}

fn house(meter: &Meter) -> (Otlp, Arc<Kept>) {
    let (kept, clock) = (Arc::new(Kept::default()), ManualClock::new(NOW));
    let gate = Arc::new(Gate::new(kept.clone(), clock.clone(), meter, Limits::default()));
    (Otlp::new(gate, clock, meter, Settings::default()), kept)
}

/// A span as JSON.
fn span(id: u64, more: &str) -> String {
    format!(
        r#"{{"traceId":"1234abcd5678ef901234abcd5678ef90","spanId":"{id:016x}","name":"detect_objects","kind":2,"startTimeUnixNano":"{T}","endTimeUnixNano":"{}"{more}}}"#,
        T + 5_000_000
    )
}
fn request(spans: &str) -> String {
    format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"nemotron-backend"}}}},{{"key":"process.pid","value":{{"intValue":"7"}}}}]}},
        "scopeSpans":[{{"scope":{{"name":"lib","version":"2"}},"spans":[{spans}]}}]}}]}}"#
    )
}

#[test]
fn spans_are_kept_whole() {
    let (otlp, kept) = house(&Meter::new());
    let more = r#","parentSpanId":"00000000000000aa","traceState":"a=b","flags":257,"status":{"code":"STATUS_CODE_ERROR","message":"no camera"},"droppedEventsCount":3,
        "attributes":[{"key":"camera_id","value":{"stringValue":"front_door"}},{"key":"http.status_code","value":{"intValue":"500"}},{"key":"score","value":{"doubleValue":0.5}},
            {"key":"ok","value":{"boolValue":false}},{"key":"tags","value":{"arrayValue":{"values":[{"stringValue":"a"},{"intValue":"1"}]}}}],
        "events":[{"timeUnixNano":"1767089700001000000","name":"exception","attributes":[{"key":"exception.type","value":{"stringValue":"ValueError"}}]}],
        "links":[{"traceId":"ffffffffffffffffffffffffffffffff","spanId":"00000000000000bb"}]"#;
    let body = request(&format!("{},{}", span(1, more), span(2, "")));
    let received = otlp.traces(body.as_bytes(), Format::Json, Origin::new("otlp/a")).unwrap();
    assert_eq!((received.counts.stored, received.answer(Format::Json), received.answer(Format::Protobuf)), (2, b"{}".to_vec(), Vec::new()));
    assert_eq!(kept.0.lock().unwrap()[0].len(), 1, "spans of one name and kind are one stream");
    let mut seen = 0;
    kept.each(|row| {
        seen += 1;
        assert_eq!((row.service(), row.name(), row.kind(), row.scope()), ("nemotron-backend", "detect_objects", SpanKind::Server, ("lib", "2")));
        assert_eq!((row.start().0, row.duration(), row.trace().to_string().as_str()), (T as i64, 5_000_000, "1234abcd5678ef901234abcd5678ef90"));
        assert_eq!(row.resource_attribute("process.pid"), Some(Value::Int(7)));
        if row.span().0[7] == 2 {
            assert_eq!((row.parent(), row.status(), row.attributes().len(), row.events().len()), (None, StatusCode::Unset, 0, 0));
            return;
        }
        assert_eq!((row.parent().unwrap().to_string().as_str(), row.state(), row.flags(), row.dropped()), ("00000000000000aa", "a=b", 257, [0, 3, 0]));
        assert_eq!((row.status(), row.message()), (StatusCode::Error, "no camera"));
        let attributes: Vec<(String, Value<'_>)> = row.attributes().into_iter().map(|(n, v)| (n.into_owned(), v)).collect();
        let expected = [
            ("camera_id", Value::text("front_door")),
            ("http.status_code", Value::Int(500)),
            ("ok", Value::Bool(false)),
            ("score", Value::Double(0.5)),
            ("tags", Value::Json(r#"["a",1]"#.into())),
        ];
        assert_eq!(attributes, expected.map(|(n, v)| (n.to_owned(), v)));
        let events = row.events();
        assert_eq!((events.len(), events[0].name, events[0].time.0 - T as i64), (1, "exception", 1_000_000));
        assert_eq!(events[0].attributes, [("exception.type".into(), Value::text("ValueError"))]);
        assert_eq!(row.links()[0].trace.to_string(), "f".repeat(32));
    });
    assert_eq!(seen, 2);
}

#[test]
fn what_cannot_be_kept_is_counted_and_the_rest_is() {
    let meter = Meter::new();
    let (otlp, kept) = house(&meter);
    let zero = span(3, "").replace("1234abcd5678ef901234abcd5678ef90", &"0".repeat(32));
    let beginless = span(4, "").replace(&format!(r#""startTimeUnixNano":"{T}","#), "");
    let future = span(5, "").replace(&T.to_string(), &(T + 3_600_000_000_000).to_string());
    let body = request(&[span(1, ""), zero, beginless, future].join(","));
    let received = otlp.traces(body.as_bytes(), Format::Json, Origin::new("otlp/a")).unwrap();
    assert_eq!(received.counts.stored, 1);
    let mut rejected = received.counts.rejected.clone();
    rejected.sort();
    assert_eq!(rejected, [(Reason::TooFarFuture, 1), (Reason::InvalidValue, 1), (Reason::InvalidId, 1)]);
    let answer: serde_json::Value = serde_json::from_slice(&received.answer(Format::Json)).unwrap();
    assert_eq!(answer["partialSuccess"]["rejectedSpans"], "3");
    assert!(answer["partialSuccess"]["errorMessage"].as_str().unwrap().starts_with("3 of 4 spans were refused"), "{answer}");
    let text = watchfire_model::meter::Meter::gather(&meter).into_iter().map(|f| format!("{f:?}")).collect::<String>();
    assert!(text.contains("watchfire_ingest_spans_rejected_total"), "{text}");
    kept.each(|row| assert_eq!(row.span().0[7], 1));
}

#[test]
fn a_resource_without_a_name_is_an_unknown_service() {
    let (otlp, kept) = house(&Meter::new());
    let body = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}]}}]}}]}}"#, span(1, ""));
    otlp.traces(body.as_bytes(), Format::Json, Origin::new("otlp/a")).unwrap();
    kept.each(|row| assert_eq!(row.service(), "unknown_service"));
}

/// A request with so many spans, each with a name of its own where that is wanted.
fn many(spans: usize, names: bool, resource: &str) -> Vec<u8> {
    let mut out = Writer::new();
    out.message(1, |of_resource| {
        of_resource.message(1, |out| {
            out.message(1, |pair| {
                pair.text(1, "big");
                pair.message(2, |value| value.text(1, resource));
            });
        });
        of_resource.message(2, |scope| {
            for number in 1..=spans as u64 {
                scope.message(2, |span| {
                    span.always_bytes(1, &[7; 16]);
                    span.always_bytes(2, &number.to_be_bytes());
                    span.text(5, &if names { format!("name {number}") } else { "name".to_owned() });
                    span.fixed64(7, T);
                    span.fixed64(8, T + number);
                });
            }
        });
    });
    out.into_bytes()
}

#[test]
fn large_requests_become_several_batches() {
    let (otlp, kept) = house(&Meter::new());
    let received = otlp.traces(&many(BATCH_SPANS * 2 + 1, false, "x"), Format::Protobuf, Origin::new("otlp/a")).unwrap();
    assert_eq!(received.counts.stored, BATCH_SPANS as u64 * 2 + 1);
    let sizes: Vec<usize> = kept.0.lock().unwrap().iter().map(|batch| batch.iter().map(|s| s.entries.len()).sum()).collect();
    assert_eq!(sizes, [BATCH_SPANS, BATCH_SPANS, 1]);
}

#[test]
fn a_large_resource_that_many_streams_share_is_bounded() {
    let (otlp, kept) = house(&Meter::new());
    let resource = "r".repeat(60_000);
    let received = otlp.traces(&many(1_000, true, &resource), Format::Protobuf, Origin::new("otlp/a")).unwrap();
    assert_eq!(received.counts.stored, 1_000);
    let held = |batch: &Vec<StreamEntries>| batch.iter().map(|s| s.labels.packed().len()).sum::<usize>();
    assert!(kept.0.lock().unwrap().iter().map(held).max().unwrap() < 9 << 20, "streams are handed over before they take much memory");
}

#[test]
fn who_is_busy_is_asked_later_and_nothing_counts() {
    let meter = Meter::new();
    let (otlp, kept) = house(&meter);
    kept.1.store(true, Ordering::Relaxed);
    let error = otlp.traces(request(&span(1, "")).as_bytes(), Format::Json, Origin::new("otlp/a")).unwrap_err();
    assert!(matches!(error, OtlpError::Later(WriteError::Busy(_))));
}

proptest! {
    #[test]
    fn garbage_never_panics(mut body in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..400, byte in any::<u8>()) {
        let (otlp, _) = house(&Meter::new());
        let _refused = otlp.traces(&body, Format::Protobuf, Origin::new("otlp/a")).is_err();
        let _refused = otlp.traces(&body, Format::Json, Origin::new("otlp/a")).is_err();
        body = many(2, false, "resource");
        let at = at % body.len();
        body[at] = byte;
        let _some = otlp.traces(&body, Format::Protobuf, Origin::new("otlp/a")).is_ok();
    }
}
