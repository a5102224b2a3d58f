//! Lines as a program writes them.

use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::logs::Output;
use crate::{END_PATIENCE, Setup, Telemetry, TraceSettings};

/// A place for lines.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);
impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
impl Lines {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
    pub(crate) fn all(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// What was logged, with tracing on or off. Spans lead nowhere.
fn logged(tracing_on: bool, filter: &str, work: impl FnOnce(&Telemetry)) -> Vec<Value> {
    let lines = Lines::default();
    let traces = TraceSettings { enabled: tracing_on, endpoint: "http://127.0.0.1:9".to_owned(), sample_rate: 0.0, ..TraceSettings::default() };
    let setup = Setup { log_filter: filter.to_owned(), output: Output::Writer(Box::new(lines.clone())), traces };
    let (dispatch, telemetry) = setup.build().unwrap();
    tracing::dispatcher::with_default(&dispatch, || work(&telemetry));
    assert!(telemetry.flush(END_PATIENCE));
    lines.all()
}

fn is_hex(value: &Value, digits: usize) -> bool {
    value.as_str().is_some_and(|text| text.len() == digits && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
}

#[test]
fn log_01_a_line_is_one_json_object_with_time_level_and_message() {
    let lines = logged(false, "info", |_| {
        tracing::info!("Detection complete");
        tracing::warn!("two\nlines \u{1b}[31m\"quoted\"");
        tracing::debug!("not asked for");
    });
    assert_eq!(lines.len(), 2);
    let time = lines[0]["timestamp"].as_str().unwrap();
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!((shape.as_str(), &lines[0]["level"], &lines[0]["message"]), ("0000-00-00T00:00:00.000Z", &"INFO".into(), &"Detection complete".into()));
    assert_eq!((&lines[1]["level"], &lines[1]["message"]), (&"WARN".into(), &"two\nlines \u{1b}[31m\"quoted\"".into()));
}

#[test]
fn log_02_with_tracing_on_every_line_within_a_span_has_its_ids() {
    let lines = logged(true, "info", |_| {
        let outer = crate::trace_span("outer");
        outer.in_scope(|| {
            tracing::info!("first");
            crate::trace_span("inner").in_scope(|| tracing::info!("second"));
        });
        tracing::info!("outside");
    });
    assert!(lines[..2].iter().all(|line| is_hex(&line["trace_id"], 32) && is_hex(&line["span_id"], 16)), "{lines:?}");
    assert_eq!(lines[0]["trace_id"], lines[1]["trace_id"], "one trace");
    assert_ne!(lines[0]["span_id"], lines[1]["span_id"], "two spans");
    assert_eq!((lines[2].get("trace_id"), lines[2].get("span_id")), (None, None));
}

#[test]
fn log_03_lines_of_a_request_have_both_its_ids_also_with_tracing_off() {
    for tracing_on in [false, true] {
        let lines = logged(tracing_on, "warn", |_| {
            let _request = tracing::info_span!("request", request_id = "r-1", correlation_id = %"req-abc123").entered();
            crate::trace_span("inner").in_scope(|| tracing::warn!("within"));
        });
        assert_eq!((&lines[0]["request_id"], &lines[0]["correlation_id"]), (&"r-1".into(), &"req-abc123".into()), "{tracing_on}");
        assert_eq!(lines[0].get("trace_id").is_some(), tracing_on);
    }
}

#[test]
fn log_06_further_fields_are_added_to_the_line() {
    let lines = logged(true, "info", |_| {
        crate::trace_span("s")
            .in_scope(|| tracing::info!(camera_id = "front_door", count = 3, share = 0.5, ok = true, trace_id = "not this one", "Detection complete"));
        tracing::info!(trace_id = "as given", "outside of a span");
    });
    let line = &lines[0];
    assert_eq!((&line["camera_id"], &line["count"], &line["share"], &line["ok"]), (&"front_door".into(), &3.into(), &0.5.into(), &true.into()));
    assert!(is_hex(&line["trace_id"], 32), "the trace that is, not one that is said");
    assert_eq!(lines[1]["trace_id"], "as given");
}

#[test]
fn log_07_grep_finds_lines_by_trace_id() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("backend.log");
    let traces = TraceSettings { enabled: true, endpoint: "http://127.0.0.1:9".to_owned(), sample_rate: 0.0, ..TraceSettings::default() };
    let (dispatch, telemetry) = Setup { output: Output::File(path.clone()), traces, ..Setup::default() }.build().unwrap();
    let mut id = String::new();
    tracing::dispatcher::with_default(&dispatch, || {
        tracing::info!("before");
        crate::trace_span("s").in_scope(|| {
            id = crate::get_trace_id().unwrap();
            tracing::info!("within");
        });
    });
    drop(telemetry);
    let grep = |word: &str| {
        let output = std::process::Command::new("grep").arg(word).arg(&path).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().count()
    };
    assert_eq!((grep("trace_id"), grep(&id)), (1, 1));
}

#[test]
fn pis_25_lines_have_level_message_target_request_id_and_timestamp() {
    let lines = logged(false, "info", |_| {
        let _request = tracing::info_span!("request", request_id = "r-1").entered();
        tracing::info!(target: "pisovereign::chat", "answered");
    });
    let line = &lines[0];
    assert!(["level", "message", "target", "request_id", "timestamp"].iter().all(|key| line[*key].is_string()), "{line}");
    assert_eq!((&line["target"], &line["request_id"]), (&"pisovereign::chat".into(), &"r-1".into()));
}

/// A reader that never reads.
struct Stuck(std::sync::mpsc::Receiver<()>);
impl std::io::Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        assert!(self.0.recv().is_err(), "nobody sends; it ends with the test");
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_slow_reader_costs_lines_and_they_are_counted() {
    let (go_on, waits) = std::sync::mpsc::channel();
    let (dispatch, telemetry) = Setup { output: Output::Writer(Box::new(Stuck(waits))), ..Setup::default() }.build().unwrap();
    let long = "x".repeat(super::MESSAGE_BYTES_MAX / 2);
    tracing::dispatcher::with_default(&dispatch, || (0..1_000).for_each(|_| tracing::info!("{long}")));
    assert!((500..1_000).contains(&telemetry.lost().lines), "{:?}", telemetry.lost());
    drop(go_on);
}
