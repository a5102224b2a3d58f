//! Spans beside logs in the engine: the same machinery, but two rooms. Whatever befalls one is nothing to the other.

use watchfire_model::logs::{LogEntry, LogSelection, Nanos, StreamEntries};
use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::spans::{NewSpan, SpanId, SpanKind, SpanRow, SpanStream, TraceId, Value, key};

use super::logs::{all, entry};
use super::*;
use crate::logs::Signal;

mod ids;

/// A span of a trace, as a batch brings it.
fn span(trace: u8, number: u8, name: &str) -> StreamEntries {
    let resource = [("service.name".into(), Value::text("backend")), ("process.pid".into(), Value::Int(7))];
    let labels = SpanStream { resource: &resource, name, kind: SpanKind::Server, ..SpanStream::default() }.labels();
    let new = NewSpan {
        trace: TraceId([trace; 16]),
        span: SpanId([number; 8]),
        start: Nanos(NOW * 1_000_000 + i64::from(number)),
        duration: 1_000 * u64::from(number),
        attributes: vec![("camera_id".into(), Value::text("front_door"))],
        ..NewSpan::default()
    };
    StreamEntries { labels, entries: vec![new.entry()] }
}

fn batch(spans: Vec<StreamEntries>, logs: Vec<LogEntry>) -> Batch {
    let mut batch = Batch::new(Origin::new("test"));
    batch.spans = spans;
    batch.logs = vec![StreamEntries { labels: watchfire_model::labels!("app" => "a"), entries: logs }];
    batch
}

/// Trace, span, name and service of everything that matches, sorted.
fn found(engine: &Engine, matchers: Vec<Matcher>) -> Vec<(String, String, String, String)> {
    let mut found = Vec::new();
    let budget = Budget::unlimited(ManualClock::new(Timestamp(NOW)));
    let selection = LogSelection::new(matchers, Nanos::MIN, Nanos::MAX);
    let read = engine.select_entries(Signal::Spans, &selection, &budget, &mut |line| {
        let row = SpanRow::new(line);
        found.push((row.trace().to_string(), row.span().to_string(), row.name().to_owned(), row.service().to_owned()));
        Ok(ControlFlow::Continue(()))
    });
    read.expect("a readable engine");
    found.sort();
    found
}

fn of_trace(engine: &Engine, trace: u8) -> usize {
    found(engine, vec![Matcher::new(key::TRACE, MatchOp::Equal, &TraceId([trace; 16]).to_string()).unwrap()]).len()
}

#[test]
fn spans_and_logs_share_a_log_and_nothing_else() {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(NOW));
    let open = |disk: &SimulatedDisk| Engine::open(Arc::new(disk.clone()), options(&clock)).expect("an engine");
    let engine = open(&disk);
    let line = entry(NOW * 1_000_000, "a line", &[]);
    let written = engine.write(&batch(vec![span(1, 1, "detect"), span(1, 2, "query"), span(2, 3, "detect")], vec![line.clone()])).unwrap();
    assert_eq!((written.spans.stored, written.spans.new_streams, written.logs.stored, written.stored), (3, 2, 1, 0));
    let again = engine.write(&batch(vec![span(2, 3, "detect")], vec![])).unwrap();
    assert_eq!((again.spans.stored, again.spans.duplicates), (0, 1), "what comes again is not there twice");
    let expected = found(&engine, vec![]);
    assert_eq!(expected.len(), 3);
    assert_eq!((of_trace(&engine, 1), of_trace(&engine, 2), of_trace(&engine, 9)), (2, 1, 0));
    assert_eq!(all(&engine).len(), 1, "logs know nothing of spans");
    drop(engine);

    // The log alone has them; then a segment of their own, with the logs still in memory.
    let engine = open(&disk);
    assert_eq!((engine.stats().replay.spans, engine.stats().replay.log_entries), (3, 1));
    assert_eq!(found(&engine, vec![]), expected);
    engine.flush_entries(Signal::Spans).unwrap();
    let stats = engine.stats();
    assert_eq!((stats.spans.segments, stats.spans.segment_entries, stats.spans.head_entries), (1, 3, 0));
    assert_eq!((stats.logs.segments, stats.logs.head_entries), (0, 1));
    assert_eq!(found(&engine, vec![]), expected);
    drop(engine);

    // What is in a segment does not come from the log a second time, and the logs do come.
    let engine = open(&disk);
    assert_eq!((engine.stats().replay.spans, engine.stats().replay.log_entries), (0, 1));
    assert_eq!(engine.write(&batch(vec![span(1, 1, "detect")], vec![line])).unwrap().spans.duplicates, 1, "it is known when it comes again");
    let name = Matcher::new(key::NAME, MatchOp::Equal, "detect").unwrap();
    let camera = Matcher::new("camera_id", MatchOp::Equal, "front_door").unwrap();
    assert_eq!(found(&engine, vec![name, camera]).len(), 2);
    engine.write(&batch(vec![span(3, 4, "late")], vec![])).unwrap();
    engine.flush().unwrap();
    engine.merge_all_entries(Signal::Spans).unwrap();
    assert_eq!(engine.stats().spans.segments, 1);
    assert_eq!(found(&engine, vec![]).len(), 4);
    let report = engine.snapshot(Path::new("/copy/of"), false, &|_| Ok(())).unwrap();
    assert_eq!((report.span_segments, report.spans, report.log_entries), (1, 4, 1));
    let copy = Engine::open(Arc::new(disk.clone()), Options { dir: "/copy/of".into(), ..options(&clock) }).unwrap();
    assert_eq!(found(&copy, vec![]).len(), 4);
}

#[test]
fn spans_go_with_age_by_a_rule_of_their_own() {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(NOW));
    let mut options = options(&clock);
    options.spans.retention = Some(std::time::Duration::from_secs(3600));
    let engine = Engine::open(Arc::new(disk), options).expect("an engine");
    engine.write(&batch(vec![span(1, 1, "detect")], vec![entry(NOW * 1_000_000, "stays", &[])])).unwrap();
    engine.flush().unwrap();
    clock.advance(std::time::Duration::from_secs(7200));
    let removed = engine.cleanup();
    assert_eq!(removed.files.len(), 1);
    assert!(removed.files[0].name.starts_with("traces/"), "{removed:?}");
    assert_eq!((found(&engine, vec![]).len(), all(&engine).len()), (0, 1));
    let old = engine.write(&batch(vec![span(2, 1, "detect")], vec![])).unwrap();
    assert_eq!(old.spans.rejected, [(watchfire_model::write::Reason::TooOld, 1)], "what would go at once does not come in");
}

#[test]
fn what_is_not_kept_of_a_batch_is_told_by_its_places() {
    let clock = ManualClock::new(Timestamp(NOW));
    let engine = Engine::open(Arc::new(SimulatedDisk::default()), options(&clock)).expect("an engine");
    engine.write(&batch(vec![span(1, 2, "b")], vec![])).unwrap();
    let mut late = span(1, 4, "d");
    late.entries[0].time = Nanos(i64::MAX);
    let mut two = span(1, 1, "a");
    two.entries.push(span(1, 2, "b").entries.remove(0));
    let mut nameless = span(1, 9, "x");
    nameless.labels = Labels::from_pairs([("x", "y".repeat(1 << 20).as_str())]);
    nameless.entries.push(span(1, 10, "x").entries.remove(0));
    let written = engine.write(&batch(vec![two, span(1, 2, "b"), nameless, late, span(1, 5, "e")], vec![])).unwrap().spans;
    assert_eq!((written.stored, written.duplicates, written.rejected_total()), (3, 1, 3));
    assert_eq!(written.left_out, [2, 3, 4, 5]);
}

/// What is in segments already makes the log no shorter: only a flush of everything does.
#[test]
fn a_stop_leaves_no_long_log_whose_spans_are_in_segments() {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(NOW));
    let open = |bytes: u64| Engine::open(Arc::new(disk.clone()), Options { flush_on_close_log_bytes: bytes, ..options(&clock) }).expect("an engine");
    let log_bytes = || disk.files().into_iter().filter(|(path, _)| path.starts_with("/data/wal")).map(|(_, bytes)| bytes.len()).sum::<usize>();
    let engine = open(1_000);
    for trace in 0..40 {
        engine.write(&batch(vec![span(trace, 1, "detect")], vec![])).unwrap();
    }
    engine.flush_entries(Signal::Spans).unwrap();
    engine.write(&batch(vec![span(40, 1, "detect")], vec![])).unwrap();
    let before = log_bytes();
    assert!(before > 2_000, "{before}");
    engine.close();
    drop(engine);
    assert!(log_bytes() < before / 2, "{} of {before}", log_bytes());
    let engine = open(1_000_000);
    assert_eq!((engine.stats().replay.spans, found(&engine, vec![]).len()), (0, 41));
    engine.write(&batch(vec![span(41, 1, "detect")], vec![])).unwrap();
    engine.close();
    drop(engine);
    assert_eq!(open(1_000_000).stats().replay.spans, 1, "a short log is read at the next start");
}
