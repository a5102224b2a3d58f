//! Tests of lines of JSON: fields and their parameters, times, refusals, parts.

use std::sync::Mutex;

use proptest::prelude::*;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::{LogsWritten, Reason};

use super::*;
use crate::gate::Limits;

const NOW: i64 = 1_767_089_700_000_000_000;

#[derive(Default)]
struct Kept(Mutex<Vec<usize>>);
impl Sink for Kept {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        let entries: usize = batch.logs.iter().map(|s| s.entries.len()).sum();
        self.0.lock().unwrap().push(entries);
        Ok(Written { logs: LogsWritten { stored: entries as u64, ..LogsWritten::default() }, ..Written::default() })
    }
}

fn receiver() -> (Jsonline, Arc<Kept>) {
    let (clock, meter, kept) = (ManualClock::new(Timestamp(NOW / 1_000_000)), Meter::new(), Arc::new(Kept::default()));
    let gate = Arc::new(Gate::new(kept.clone(), clock.clone(), &meter, Limits::default()));
    (Jsonline::new(gate, clock, &meter), kept)
}

fn parameters(query: &str) -> Parameters {
    let pairs: Vec<(&str, &str)> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    Parameters::read(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| *v))
}

fn shown(line: &str, query: &str) -> String {
    match line::read(line.as_bytes(), &parameters(query), Nanos(NOW)) {
        Ok((labels, entry)) => format!("{labels} {} {} {}", entry.time.0 - NOW, entry.line, entry.metadata),
        Err((reason, words)) => format!("{reason}: {words}"),
    }
}

#[test]
fn fields_become_what_the_parameters_say() {
    for (line, query, expected) in [
        (
            r#"{"_msg":"hello","_time":"2025-12-30T10:15:00.000000001Z","app":"x","log":{"level":"info","n":[1,{"a":2}]},"id":12345678901234567890,"none":null}"#,
            "_stream_fields=app,log.level",
            r#"{app="x", log_level="info"} 1 hello {id="12345678901234567890", log_n="[1,{\"a\":2}]"}"#,
        ),
        (r#"{"message":"m","ts":1767089700,"b":true}"#, "_msg_field=text,message&_time_field=ts", r#"{job="jsonline"} 0 m {b="true"}"#),
        (r#"{"_msg":"m","a":"1","b":"2"}"#, "ignore_fields=a&extra_fields=env=prod,zone=z&_stream_fields=env", r#"{env="prod"} 0 m {b="2", zone="z"}"#),
        (r#"{"a":"1"}"#, "", r#"{job="jsonline"} 0 {"a":"1"} {}"#),
        (r#"{"_msg":"m","1a":"x"}"#, "", r#"{job="jsonline"} 0 m {_1a="x"}"#),
        (r#"{"_msg":"m","_time":"soon"}"#, "", r#"invalid_value: "soon" is no time"#),
        ("[1]", "", "invalid_value: cannot read it as an object: invalid type: sequence, expected a map at line 1 column 0"),
    ] {
        assert_eq!(shown(line, query), expected, "{line} {query}");
    }
    let many: String = (0..300).map(|i| format!(",\"f{i}\":1")).collect();
    assert_eq!(shown(&format!("{{\"_msg\":\"m\"{many}}}"), ""), "metadata_size: more than 256 fields");
}

#[test]
fn times_in_their_units() {
    for (time, expected) in [
        ("1767089700", 0),
        ("1767089700.25", 250_000_000),
        ("1767089700001", 1_000_000),
        ("1767089700001.5", 1_500_000),
        ("1767089700000001", 1_000),
        ("1767089700000000001", 1),
        ("\"0\"", 0),
        ("\"2025-12-30T11:15:00+01:00\"", 0),
        ("\"2025-12-30T10:15:00\"", 0),
    ] {
        assert_eq!(shown(&format!("{{\"_msg\":\"m\",\"_time\":{time}}}"), ""), format!("{{job=\"jsonline\"}} {expected} m {{}}"), "{time}");
    }
}

#[test]
fn bad_lines_are_refused_alone_and_much_is_stored_in_parts() {
    let (jsonline, kept) = receiver();
    let body = format!("{}oops\n\n  \n{{\"_msg\":\"last\"}}", (0..20_000).map(|i| format!("{{\"_msg\":\"{i}\"}}\r\n")).collect::<String>());
    let written = jsonline.take(body.as_bytes(), &Parameters::default(), Origin::new("lines/test")).unwrap();
    assert_eq!((written.logs.stored, &*written.logs.rejected), (20_001, &[(Reason::InvalidValue, 1)][..]));
    assert!(written.example.unwrap().starts_with("invalid_value: line 20001: cannot read"));
    assert_eq!(*kept.0.lock().unwrap(), [8_192, 8_192, 3_617]);
    assert_eq!(jsonline.take(b"", &Parameters::default(), Origin::new("lines/test")).unwrap().logs.stored, 0);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[{}\\[\\]\":,a-z0-9_ .\n]{0,80}") {
        let (jsonline, _) = receiver();
        for body in [bytes, text.into_bytes()] {
            jsonline.take(&body, &Parameters::default(), Origin::new("lines/test")).unwrap();
        }
    }
}
