//! Tests of bulk requests: their lines, what becomes of documents, the order of results.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use watchfire_model::meter::Meter;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::LogsWritten;

use super::*;
use crate::gate::{Limits, LogLimits};

const NOW: Timestamp = Timestamp(1_767_089_700_000);

/// Keeps what comes; refuses everything when told to.
#[derive(Default)]
struct Kept {
    streams: Mutex<Vec<StreamEntries>>,
    refuses: bool,
}
impl Sink for Kept {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        let entries = batch.logs.iter().map(|s| s.entries.len() as u64).sum();
        let mut logs = LogsWritten::default();
        if self.refuses {
            logs.reject(Reason::StreamLimit, entries);
        } else {
            logs.stored = entries;
            self.streams.lock().unwrap().extend(batch.logs);
        }
        Ok(Written { logs, ..Written::default() })
    }
}

fn receiver(kept: Kept) -> (Elasticsearch, Arc<Kept>) {
    let (kept, clock) = (Arc::new(kept), ManualClock::new(NOW));
    let limits = Limits { logs: LogLimits { line_bytes_max: 200, detect_levels: false, ..LogLimits::default() }, ..Limits::default() };
    let gate = Arc::new(Gate::new(kept.clone(), clock.clone(), &Meter::new(), limits));
    (Elasticsearch::new(gate, clock, &Meter::new()), kept)
}

/// What becomes of a body: verbs with places, and the refusals.
fn outcome(body: &str) -> Vec<String> {
    let (receiver, _) = receiver(Kept::default());
    let mut items = receiver.read(body.as_bytes(), Some("default")).unwrap();
    receiver.store(&mut items, Origin::new("elasticsearch/a")).unwrap();
    let words = |item: &Item| match &item.entry {
        Ok(_) => format!("{} {} ok", item.verb.name(), item.index),
        Err(refused) => format!("{} {} {} {}", item.verb.name(), item.index, refused.status, refused.kind),
    };
    items.iter().map(words).collect()
}

#[test]
fn documents_become_entries() {
    let (receiver, kept) = receiver(Kept::default());
    let body = r#"{"create": {"_index": "vms", "pipeline": "x"}}
{"@timestamp": "2025-12-30T10:15:00.001Z", "component": "recording", "level": "ERROR", "message": "connection failed", "response_time": 900}

{"index": {"_id": 7}}
{"@timestamp": 1767089700002, "host": {"name": "cam-1"}, "service": {"name": "api"}, "fields": {"component": "x"}}

{"index": {}}
{"message": "now"}"#;
    let mut items = receiver.read(body.as_bytes(), Some("default")).unwrap();
    receiver.store(&mut items, Origin::new("elasticsearch/a")).unwrap();
    let streams = kept.streams.lock().unwrap();
    let shown: Vec<String> =
        streams.iter().map(|s| format!("{} {} {}", s.labels, s.entries[0].time.0 - NOW.millis() * 1_000_000, s.entries[0].metadata)).collect();
    assert_eq!(
        shown,
        [
            r#"{_index="vms", component="recording", level="ERROR"} 1000000 {}"#,
            r#"{_index="default", host="cam-1", service="api"} 2000000 {_id="7"}"#,
            r#"{_index="default"} 0 {}"#
        ]
    );
    assert!(streams[0].entries[0].line.starts_with(r#"{"@timestamp": "2025-12-30"#), "the document is kept as it came");
}

#[test]
fn results_come_in_the_order_of_items() {
    let long = "x".repeat(300);
    let body = format!(
        "{}\n{}\n",
        r#"{"create":{"_index":"a"}}
{"ok": 1}
{"create":{"_index":"a"}}
not json
{"create":{"_index":"a"}}
[1]
{"delete":{"_index":"a","_id":"1"}}
{"update":{"_index":"a","_id":"1"}}
{"doc":{}}
{"create":{"_index":"Bad"}}
{}
{"create":{"_index":"a"}}
{"@timestamp": "yesterday"}
{"create":{"_index":"a"}}
{"@timestamp": "2026-12-30T10:15:00Z"}
{"create":{"_index":"a","_id":""}}
{}
{"index":{}}
{"ok": 2}
{"index":{}}"#,
        format_args!("{{\"long\": \"{long}\"}}")
    );
    assert_eq!(
        outcome(&body),
        [
            "create a ok",
            "create a 400 document_parsing_exception",
            "create a 400 document_parsing_exception",
            "delete a 400 illegal_argument_exception",
            "update a 400 illegal_argument_exception",
            "create Bad 400 invalid_index_name_exception",
            "create a 400 document_parsing_exception",
            "create a 400 illegal_argument_exception",
            "create a 400 illegal_argument_exception",
            "index default ok",
            "index default 400 illegal_argument_exception",
        ]
    );
}

#[test]
fn equal_documents_of_one_request_are_several() {
    let (receiver, kept) = receiver(Kept::default());
    let body = "{\"index\":{\"_index\":\"a\"}}\n{\"x\":1}\n".repeat(3);
    let mut items = receiver.read(body.as_bytes(), None).unwrap();
    receiver.store(&mut items, Origin::new("elasticsearch/a")).unwrap();
    let streams = kept.streams.lock().unwrap();
    let ids: std::collections::BTreeSet<_> = streams[0].entries.iter().map(|e| e.metadata.to_string()).collect();
    assert_eq!((streams[0].entries.len(), ids.len()), (3, 3));
}

#[test]
fn too_many_streams_may_come_again() {
    let (receiver, _) = receiver(Kept { refuses: true, ..Kept::default() });
    let mut items = receiver.read(b"{\"index\":{\"_index\":\"a\"}}\n{\"x\":1}\n", None).unwrap();
    receiver.store(&mut items, Origin::new("elasticsearch/a")).unwrap();
    assert_eq!(items[0].entry.as_ref().unwrap_err().status, 429);
}

#[test]
fn what_is_no_bulk_request_is_refused_whole() {
    let check = |body: &str, words: &str| {
        let error = receiver(Kept::default()).0.read(body.as_bytes(), None).unwrap_err().to_string();
        assert!(error.contains(words), "{body}: {error}");
    };
    check("", "request body is required");
    check("\n \n", "request body is required");
    check("{\"create\":{}}", "the document of the action in line [1] is missing");
    check("{\"create\":{}}\n{}\nnonsense\n{}", "Malformed action/metadata line [3]");
    check("{\"remove\":{}}\n{}", "expected field [create], [delete], [index] or [update]");
    assert_eq!(outcome("{\"create\":{}}\n{\"a\":1}"), ["create default ok"], "the last line break may be missing");
}

#[test]
fn refusals_show_only_the_ends_of_what_was_sent() {
    let long = "z".repeat(100_000);
    for body in [format!("\"{long}\"\n{{}}"), format!("{{\"{long}\":{{}}}}\n{{}}"), format!("{{\"index\":\"{long}\"}}\n{{}}")] {
        let words = bulk::read(body.as_bytes(), None, Nanos(0)).unwrap_err().to_string();
        assert!(words.contains("zzz") && words.len() < 1_000, "{} bytes", words.len());
    }
    for document in [format!("\"{long}\""), format!("{{\"@timestamp\":\"{long}\"}}")] {
        let Err(refused) = Item::single(Verb::Index, "i", None, document.as_bytes(), Nanos(0)).entry else { panic!("taken") };
        assert!(refused.message.contains("zzz") && refused.message.len() < 1_000, "{} bytes", refused.message.len());
    }
}

#[test]
fn documents_of_several_lines_are_kept_on_one() {
    assert_eq!(compact("{\n  \"a b\": \"c \\\" d\",\r\n\t\"e\": [1, 2]\n}"), r#"{"a b":"c \" d","e":[1,2]}"#);
    assert_eq!(compact(r#"{"a": 1}"#), r#"{"a": 1}"#);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), lines in proptest::collection::vec("[{}\\[\\]\":,a-z0-9@_ ]{0,30}", 0..6)) {
        let (receiver, _) = receiver(Kept::default());
        for body in [bytes, format!("{{\"index\":{{}}}}\n{}", lines.join("\n")).into_bytes()] {
            if let Ok(mut items) = receiver.read(&body, Some("i")) {
                receiver.store(&mut items, Origin::new("elasticsearch/a")).unwrap();
            }
        }
    }
}
