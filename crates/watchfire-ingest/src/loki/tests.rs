//! Tests of the decoders of Loki's push, and of what becomes of their batches.

use std::sync::Arc;

use proptest::prelude::*;
use watchfire_model::batch::Origin;
use watchfire_model::labels::Labels;
use watchfire_model::logs::StreamEntries;
use watchfire_model::meter::Meter;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::Reason;
use watchfire_testkit::memory::Memory;

use super::*;
use crate::gate::Limits;
use crate::protobuf::Writer;

/// Time, line, metadata.
type Pushed<'a> = (i64, &'a str, &'a [(&'a str, &'a str)]);

/// A push request in protobuf.
fn request(streams: &[(&str, &[Pushed<'_>])]) -> Vec<u8> {
    let mut out = Writer::new();
    for (labels, entries) in streams {
        out.message(1, |stream| {
            stream.text(1, labels);
            for (nanos, line, metadata) in *entries {
                stream.message(2, |entry| {
                    entry.message(1, |time| {
                        time.uint(1, nanos.div_euclid(1_000_000_000).cast_unsigned());
                        time.uint(2, nanos.rem_euclid(1_000_000_000).cast_unsigned());
                    });
                    entry.text(2, line);
                    for (name, value) in *metadata {
                        entry.message(3, |pair| {
                            pair.text(1, name);
                            pair.text(2, value);
                        });
                    }
                });
            }
        });
    }
    out.into_bytes()
}

fn read(format: Format, body: &[u8]) -> Vec<StreamEntries> {
    decode(format, body, Origin::new("loki")).unwrap().batch.logs
}

/// Streams as text: labels, then entries.
fn shown(streams: &[StreamEntries]) -> Vec<String> {
    let entry = |e: &LogEntry| format!(" {} {:?} {}", e.time.0, e.line, e.metadata);
    streams.iter().map(|s| format!("{}{}", s.labels, s.entries.iter().map(entry).collect::<String>())).collect()
}

#[test]
fn both_formats_say_the_same() {
    let protobuf = request(&[
        (r#"{app="api", host="a"}"#, &[(1_767_089_700_000_000_001, "one", &[("trace_id", "x")]), (5, "two", &[])]),
        (r#"{app="b"}"#, &[(-1, "before 1970", &[])]),
    ]);
    let json = br#"{"more": [1], "streams": [
        {"stream": {"app": "api", "host": "a"}, "values": [["1767089700000000001", "one", {"trace_id": "x"}], [5, "two"]]},
        {"stream": {"app": "b"}, "values": [["-1", "before 1970", null, 7]]},
        {"stream": {"app": "empty"}, "values": []}]}"#;
    let legacy = br#"{"streams": [
        {"labels": "{app=\"api\",host=\"a\"}", "entries": [
            {"ts": "2025-12-30T10:15:00.000000001Z", "line": "one", "structuredMetadata": {"trace_id": "x"}}, {"ts": "1970-01-01T00:00:00.000000005Z", "line": "two"}]},
        {"labels": "{app=\"b\"}", "entries": [{"ts": "1969-12-31T23:59:59.999999999Z", "line": "before 1970", "unknown": {}}]}]}"#;
    let expected = [r#"{app="api", host="a"} 1767089700000000001 "one" {trace_id="x"} 5 "two" {}"#, r#"{app="b"} -1 "before 1970" {}"#];
    assert_eq!(shown(&read(Format::Protobuf, &protobuf)), expected);
    assert_eq!(shown(&read(Format::Json, json)), expected);
    assert_eq!(shown(&read(Format::Json, legacy)), expected);
}

#[test]
fn values_of_labels_that_are_no_texts_count_as_texts() {
    let json = br#"{"streams": [{"stream": {"port": 80, "tls": true, "empty": ""}, "values": [["1", "x", {"ms": 1.5}]]}]}"#;
    assert_eq!(shown(&read(Format::Json, json)), [r#"{port="80", tls="true"} 1 "x" {ms="1.5"}"#]);
}

#[test]
fn what_is_no_request_is_refused_whole() {
    for body in [
        r#"{not json"#,
        r#"[]"#,
        r#"{"streams": 3}"#,
        r#"{"streams": [{"stream": {"a": "b"}, "values": [["x", "line"]]}]}"#,
        r#"{"streams": [{"stream": {"a": "b"}, "values": [["1"]]}]}"#,
        r#"{"streams": [{"stream": {"a": {}}, "values": [["1", "x"]]}]}"#,
        r#"{"streams": [{"stream": {"a": "b"}, "values": [["1", "x", {"m": []}]]}]}"#,
        r#"{"streams": []} behind"#,
    ] {
        assert!(matches!(decode(Format::Json, body.as_bytes(), Origin::new("x")), Err(DecodeError::Json(_))), "{body}");
    }
    assert!(matches!(decode(Format::Protobuf, &[0x0a, 9], Origin::new("x")), Err(DecodeError::Wire(_))));
    assert!(read(Format::Json, b"{}").is_empty());
    assert!(read(Format::Protobuf, b"").is_empty());
}

#[test]
fn refusals_show_only_the_ends_of_what_was_sent() {
    let long = "z".repeat(100_000);
    for body in [format!("\"{long}\""), format!("{{\"streams\":\"{long}\"}}"), format!("{{\"streams\":[{{\"stream\":{{}},\"values\":[[\"{long}\",\"x\"]]}}]}}")]
    {
        let words = decode(Format::Json, body.as_bytes(), Origin::new("test")).unwrap_err().to_string();
        assert!(words.contains("zzz") && words.len() < 1_000, "{} bytes", words.len());
    }
}

#[test]
fn labels_as_text() {
    let check = |text: &str, expected: Result<&str, &str>| {
        let got = selector::labels(text).map(|l| l.to_string()).map_err(|e| e.to_string());
        assert_eq!(got, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
    };
    check(r#"{a="b"}"#, Ok(r#"{a="b"}"#));
    check(r#" { a = "b" , c=`d\n`, } "#, Ok(r#"{a="b", c="d\\n"}"#));
    check(r#"{a="\"\\\n\t\x41\u00e9"}"#, Ok(r#"{a="\"\\\n\tAé"}"#));
    check(r#"{"dotted.name"="x"}"#, Ok(r#"{"dotted.name"="x"}"#));
    check("{}", Ok("{}"));
    check("", Err("expected an opening brace at column 1"));
    check("{a}", Err("expected an equals sign at column 3"));
    check(r#"{a="b""#, Err("expected a comma or a closing brace at column 7"));
    check(r#"{a="b} "#, Err("expected a closing quote at column 8"));
    check(r#"{a=b}"#, Err("expected a quoted value at column 4"));
    check(r#"{a="b"} x"#, Err("expected the end at column 9"));
    check(r#"{a="\q"}"#, Err("expected a known escape at column 5"));
    check(r#"{a="1", a="2"}"#, Err(r#"the label "a" stands there twice"#));
}

#[test]
fn a_stream_that_cannot_be_is_refused_alone() {
    let memory = Arc::new(Memory::new());
    let gate = Arc::new(Gate::new(memory, ManualClock::new(Timestamp(1_767_089_700_000)), &Meter::new(), Limits::default()));
    let loki = Loki::new(gate, &Meter::new());
    let body = request(&[("{a=", &[(1, "x", &[]), (2, "y", &[])]), (r#"{a="b"}"#, &[(1, "z", &[])]), ("{}", &[(1, "none", &[])])]);
    let received = loki.push(Format::Protobuf, &body, Origin::new("loki/a")).unwrap();
    assert_eq!(received.logs.rejected, [(Reason::InvalidLabels, 3)]);
    assert!(received.example.unwrap().contains("at least one label pair is required per stream"));
    assert!(matches!(loki.push(Format::Json, b"{", Origin::new("loki/a")), Err(PushError::Malformed(_))));
}

/// What no query could ask for must not be kept under its name.
#[test]
fn names_that_no_query_can_write() {
    let body = r#"{"streams":[
        {"stream":{"app.name":"x"},"values":[["1","a"],["2","b"]]}, {"stream":{"9a":"x"},"values":[["1","c"]]},
        {"stream":{"app":"y"},"values":[["1","d",{"http.status":"200","2nd":"z","plain":"p"}]]}
    ]}"#;
    let decoded = decode(Format::Json, body.as_bytes(), Origin::new("test")).unwrap();
    assert_eq!(decoded.refused.logs.rejected, [(Reason::InvalidLabels, 3)]);
    assert!(decoded.refused.example.unwrap().contains("\"app.name\" is no name of a label"));
    let kept: Vec<String> = decoded.batch.logs.iter().flat_map(|s| s.entries.iter().map(|e| format!("{} {}", s.labels, e.metadata))).collect();
    assert_eq!(kept, [r#"{app="y"} {_2nd="z", http_status="200", plain="p"}"#]);
    let body = request(&[(r#"{a-b="c"}"#, &[(1, "x", &[])]), (r#"{a="b"}"#, &[(1, "y", &[("k.v", "w")])])]);
    let decoded = decode(Format::Protobuf, &body, Origin::new("test")).unwrap();
    assert_eq!(
        (&*decoded.refused.logs.rejected, decoded.batch.logs[0].entries[0].metadata.to_string()),
        (&[(Reason::InvalidLabels, 1)][..], r#"{k_v="w"}"#.to_owned())
    );
}

/// `count` pairs as an object of JSON.
fn object(count: usize) -> String {
    let pairs: Vec<String> = (0..count).map(|i| format!("\"n{i}\":\"\"")).collect();
    format!("{{{}}}", pairs.join(","))
}

#[test]
fn labels_and_structured_metadata_are_counted_before_a_set_is_made_of_them() {
    let check = |format: Format, body: &[u8], streams: usize, refused: &[(Reason, u64)]| {
        let decoded = decode(format, body, Origin::new("loki")).unwrap();
        assert_eq!((decoded.batch.logs.iter().map(|s| s.entries.len()).sum::<usize>(), &*decoded.refused.logs.rejected), (streams, refused));
        assert!(decoded.refused.example.unwrap_or_default().len() < 300);
    };
    let (most, more) = (object(LABELS_MAX), object(LABELS_MAX + 1));
    // Names count whose values are empty, and would be no labels.
    let metadata = |m: &str| format!(r#"{{"streams":[{{"stream":{{"a":"b"}},"values":[["1","x",{m}],["2","y"]]}}]}}"#);
    check(Format::Json, metadata(&most).as_bytes(), 2, &[]);
    check(Format::Json, metadata(&more).as_bytes(), 1, &[(Reason::MetadataSize, 1)]);
    let stream = |s: &str| format!(r#"{{"streams":[{{"values":[["1","x"],["2","y"]],"stream":{s}}},{{"stream":{{"a":"b"}},"values":[["1","x"]]}}]}}"#);
    check(Format::Json, stream(&most).as_bytes(), 3, &[]);
    check(Format::Json, stream(&more).as_bytes(), 1, &[(Reason::LabelCount, 2)]);
    let names: Vec<String> = (0..=LABELS_MAX).map(|i| format!("n{i}")).collect();
    let pairs: Vec<(&str, &str)> = names.iter().map(|n| (n.as_str(), "")).collect();
    check(Format::Protobuf, &request(&[(r#"{a="b"}"#, &[(1, "x", &pairs[1..])])]), 1, &[]);
    check(Format::Protobuf, &request(&[(r#"{a="b"}"#, &[(1, "x", &pairs), (2, "y", &[])])]), 1, &[(Reason::MetadataSize, 1)]);
    let text = |count: usize| format!("{{{}}}", names[..count].iter().map(|n| format!("{n}=\"v\"")).collect::<Vec<_>>().join(","));
    check(Format::Protobuf, &request(&[(&text(LABELS_MAX), &[(1, "x", &[])])]), 1, &[]);
    check(Format::Protobuf, &request(&[(&text(LABELS_MAX + 1), &[(1, "x", &[])])]), 0, &[(Reason::LabelCount, 1)]);
}

#[test]
fn entries_are_counted_while_they_are_read() {
    // What stands behind the last entry that is allowed is not looked at.
    let body = format!("{{\"streams\":[{{\"values\":[{}nonsense", "[1,\"\"],".repeat(ENTRIES_MAX + 1));
    assert!(matches!(decode(Format::Json, body.as_bytes(), Origin::new("x")), Err(DecodeError::TooMany)));
}

proptest! {
    #[test]
    fn any_labels_survive_their_text(pairs in proptest::collection::btree_map("[a-z_][a-z0-9_]{0,8}", ".{1,12}", 0..6)) {
        let labels = Labels::from_pairs(&pairs);
        prop_assert_eq!(selector::labels(&labels.to_string()).unwrap(), labels);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[{}\\[\\]\":,a-z0-9 ]{0,80}") {
        drop(decode(Format::Protobuf, &bytes, Origin::new("x")));
        drop(decode(Format::Json, &bytes, Origin::new("x")));
        drop(decode(Format::Json, text.as_bytes(), Origin::new("x")));
        drop(selector::labels(&text));
    }
}
