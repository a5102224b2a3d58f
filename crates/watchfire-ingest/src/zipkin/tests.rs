//! Zipkin's spans and what becomes of them; shared spans; refusals; garbage.

use std::sync::Mutex;

use proptest::prelude::*;
use watchfire_model::batch::Batch;
use watchfire_model::logs::StreamEntries;
use watchfire_model::meter::Meter;
use watchfire_model::spans::{SpanKind, SpanRow, StatusCode};
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::{Sink, Written};

use super::*;
use crate::gate::Limits;

const NOW: Timestamp = Timestamp(1_767_089_700_000);

/// Keeps the spans that come.
#[derive(Default)]
struct Kept(Mutex<Vec<StreamEntries>>);
impl Sink for Kept {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        let mut written = Written::default();
        written.spans.stored = batch.spans.iter().map(|s| s.entries.len() as u64).sum();
        self.0.lock().unwrap().extend(batch.spans);
        Ok(written)
    }
}

fn house() -> (Zipkin, Arc<Kept>) {
    let kept = Arc::new(Kept::default());
    let gate = Gate::new(kept.clone(), ManualClock::new(NOW), &Meter::new(), Limits::default());
    (Zipkin::new(Arc::new(gate)), kept)
}

impl Kept {
    fn each(&self, mut look: impl FnMut(SpanRow<'_>)) {
        let streams = self.0.lock().unwrap();
        let mut rows: Vec<SpanRow<'_>> = streams.iter().flat_map(|s| s.entries.iter().map(|e| SpanRow::from_parts(&s.labels, e))).collect();
        rows.sort_by_key(SpanRow::start);
        rows.into_iter().for_each(&mut look);
    }
}

#[test]
fn a_span_is_kept_whole() {
    let (zipkin, kept) = house();
    let body = r#"[{"traceId":"5982fe77008310cc80f1da5e10147517","parentId":"90394f6bcffb5d13","id":"67fae42571535f60","kind":"SERVER","name":"/m/n/2.6.1",
        "timestamp":1767089699000001,"duration":26000,"localEndpoint":{"serviceName":"api","ipv4":"10.0.0.5","port":8080},
        "remoteEndpoint":{"serviceName":"edge","ipv6":"2001:db8::1","port":0},"annotations":[{"timestamp":1767089699000101,"value":"ws"}],
        "tags":{"http.path":"/a","otel.scope.name":"lib","otel.scope.version":"2","error":"no camera","n":5},"debug":true,"new.field":{}}]"#;
    let received = zipkin.spans(body.as_bytes(), Origin::new("zipkin")).unwrap();
    assert_eq!((received.counts.stored, received.counts.rejected_total()), (1, 0));
    kept.each(|row| {
        assert_eq!(row.trace().to_string(), "5982fe77008310cc80f1da5e10147517");
        assert_eq!((row.span().to_string().as_str(), row.parent().unwrap().to_string().as_str()), ("67fae42571535f60", "90394f6bcffb5d13"));
        assert_eq!((row.service(), row.name(), row.kind(), row.scope()), ("api", "/m/n/2.6.1", SpanKind::Server, ("lib", "2")));
        assert_eq!((row.start().0, row.duration()), (1_767_089_699_000_001_000, 26_000_000));
        assert_eq!((row.status(), row.message()), (StatusCode::Error, "no camera"));
        let attributes: Vec<String> = row.attributes().iter().map(|(n, v)| format!("{n}={}", v.as_text())).collect();
        let expected = [
            "error=no camera",
            "http.path=/a",
            "n=5",
            "network.local.address=10.0.0.5",
            "network.local.port=8080",
            "network.peer.address=2001:db8::1",
            "peer.service=edge",
            "zipkin.debug=true",
        ];
        assert_eq!(attributes, expected);
        assert_eq!(row.events().iter().map(|e| (e.name, e.time.0 - row.start().0)).collect::<Vec<_>>(), [("ws", 100_000)]);
    });
}

#[test]
fn ids_of_64_bits_and_spans_that_say_little() {
    let (zipkin, kept) = house();
    let body = r#"[{"traceId":"80f1da5e10147517","id":"1","parentId":"0000000000000000","name":null,"kind":null,"tags":null,"annotations":[{"timestamp":1767089699000000,"value":"x"}]}]"#;
    assert_eq!(zipkin.spans(body.as_bytes(), Origin::new("zipkin")).unwrap().counts.stored, 1);
    kept.each(|row| {
        assert_eq!((row.trace().to_string().as_str(), row.parent()), ("000000000000000080f1da5e10147517", None));
        assert_eq!((row.service(), row.name(), row.kind(), row.start().0), ("unknown_service", "", SpanKind::Internal, 1_767_089_699_000_000_000));
    });
    assert_eq!(zipkin.spans(b"[]", Origin::new("zipkin")).unwrap().counts.stored, 0);
}

#[test]
fn a_shared_span_becomes_two_and_what_the_server_did_is_below_its_own() {
    let (zipkin, kept) = house();
    let span = |id: &str, parent: &str, service: &str, more: &str, at: u64| {
        format!(
            r#"{{"traceId":"a1","id":"{id}","parentId":"{parent}","localEndpoint":{{"serviceName":"{service}"}},"timestamp":{},"duration":5{more}}}"#,
            1_767_089_699_000_000 + at
        )
    };
    let client = span("b", "a", "front", r#","kind":"CLIENT""#, 0);
    let server = [span("b", "a", "back", r#","kind":"SERVER","shared":true"#, 1), span("c", "b", "back", "", 2), span("d", "b", "front", "", 3)];
    zipkin.spans(format!("[{client}]").as_bytes(), Origin::new("zipkin")).unwrap();
    zipkin.spans(format!("[{}]", server.join(",")).as_bytes(), Origin::new("zipkin")).unwrap();
    let mut ids = Vec::new();
    kept.each(|row| ids.push((row.span(), row.parent())));
    let id = |text: &str| SpanId::parse(text).unwrap();
    let own = ids[1].0;
    assert_ne!(own, id("b"));
    assert_eq!(ids, [(id("b"), Some(id("a"))), (own, Some(id("b"))), (id("c"), Some(own)), (id("d"), Some(id("b")))]);
}

#[test]
fn what_is_wrong_is_told_and_what_is_right_is_kept() {
    let (zipkin, _) = house();
    let check = |body: &str, words: &str| {
        let error = zipkin.spans(body.as_bytes(), Origin::new("zipkin")).unwrap_err().to_string();
        assert!(error.starts_with("cannot read the spans as Zipkin's JSON, version 2: ") && error.contains(words), "{body}: {error}");
    };
    check("", "EOF");
    check("{}", "expected a sequence");
    check(r#"[{"id":"1"}]"#, "missing field `traceId`");
    check(r#"[{"traceId":"1","id":"1","timestamp":"now"}]"#, "expected u64");
    let good = r#"{"traceId":"1","id":"1","timestamp":1767089699000000}"#;
    for (bad, reason, words) in [
        (r#"{"traceId":"xyz","id":"1","timestamp":1}"#, Reason::InvalidId, "traceId must be up to 32 hexadecimal digits, not all of them zero, not \"xyz\""),
        (r#"{"traceId":"1","id":"0","timestamp":1}"#, Reason::InvalidId, "id must be"),
        (r#"{"traceId":"1","id":"1","parentId":"q","timestamp":1}"#, Reason::InvalidId, "parentId"),
        (r#"{"traceId":"1","id":"1"}"#, Reason::InvalidValue, "span 0000000000000001 has no timestamp"),
        (r#"{"traceId":"1","id":"1","timestamp":1,"kind":"BIG"}"#, Reason::InvalidValue, "kind must be CLIENT"),
    ] {
        let received = zipkin.spans(format!("[{good},{bad}]").as_bytes(), Origin::new("zipkin")).unwrap();
        assert_eq!((received.counts.stored, received.counts.rejected.as_slice()), (1, &[(reason, 1)][..]), "{bad}");
        assert!(received.message().contains(words), "{}", received.message());
    }
}

proptest! {
    #[test]
    fn garbage_never_panics(body in proptest::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}\":,a-f0-9trueIdspan]{0,120}") {
        let (zipkin, _) = house();
        drop(zipkin.spans(&body, Origin::new("zipkin")));
        drop(zipkin.spans(text.as_bytes(), Origin::new("zipkin")));
        drop(zipkin.spans(format!(r#"[{{"traceId":"{text}","id":"1","timestamp":{},"duration":{}}}]"#, u64::MAX, u64::MAX).as_bytes(), Origin::new("zipkin")));
    }
}
