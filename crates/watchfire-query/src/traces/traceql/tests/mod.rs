//! TraceQL: its text, what it finds among spans in memory, numbers over time, and what is left out for the sake of others.

mod finding;
mod measuring;
mod parsing;

use std::time::Duration;

use watchfire_model::logs::{LogSource, Nanos, StreamEntries};
use watchfire_model::read::Budget;
use watchfire_model::spans::{Event, Link, NewSpan, Pair, SpanId, SpanKind, SpanStream, StatusCode, TraceId, Value};
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_testkit::logs::Logs;

use super::*;
use crate::traces::Range;

const SECOND: i64 = 1_000_000_000;

/// A span for tests: trace, own number, number of the parent (0 is none), service, name, start in seconds, duration in milliseconds.
struct Made(u8, u8, u8, &'static str, &'static str, i64, u64);

impl Made {
    fn put(&self, source: &Logs, change: impl FnOnce(&mut NewSpan<'static>, &mut SpanKind)) {
        let Made(trace, own, parent, service, name, start, millis) = *self;
        let resource: [Pair<'static>; 3] =
            [("service.name".into(), Value::text(service)), ("host.name".into(), Value::text("node-1")), ("pid".into(), Value::Int(i64::from(own)))];
        let mut span = NewSpan {
            trace: TraceId([trace; 16]),
            span: SpanId([own; 8]),
            parent: (parent > 0).then_some(SpanId([parent; 8])),
            start: Nanos(start * SECOND),
            duration: millis * 1_000_000,
            ..NewSpan::default()
        };
        let mut kind = SpanKind::Server;
        change(&mut span, &mut kind);
        let scope_attributes = [("team".into(), Value::text("a"))];
        let scope = SpanStream { resource: &resource, scope: "lib", scope_version: "1.2", scope_attributes: &scope_attributes, name, kind };
        source.add(StreamEntries { labels: scope.labels(), entries: vec![span.entry()] });
    }
}

/// A trace of four spans, a smaller one, one whose root is missing, and one that goes around in a circle.
fn source() -> Logs {
    let source = Logs::honouring_hints();
    let add = |made: Made| made.put(&source, |_, _| {});
    add(Made(1, 1, 0, "frontend", "GET /", 100, 900));
    Made(1, 2, 1, "backend", "detect", 101, 500).put(&source, |span, kind| {
        *kind = SpanKind::Client;
        let text = |name: &'static str, value: &'static str| (name.into(), Value::text(value));
        span.attributes = vec![
            text("camera_id", "front_door"),
            ("http.status_code".into(), Value::Int(500)),
            ("ratio".into(), Value::Double(0.5)),
            ("cached".into(), Value::Bool(true)),
            text("empty", ""),
            text("a \"b\"", "odd"),
        ];
        (span.status, span.message) = (StatusCode::Error, "no camera");
        let event =
            |ms: i64, name, kind| Event { time: Nanos(101 * SECOND + ms * 1_000_000), name, attributes: vec![("exception.type".into(), Value::text(kind))] };
        span.events = vec![event(10, "exception", "KeyError"), event(20, "retry", "ValueError")];
        span.links = vec![Link { trace: TraceId([9; 16]), span: SpanId([9; 8]), state: "", attributes: vec![("why".into(), Value::text("batch"))] }];
    });
    Made(1, 3, 2, "database", "SELECT", 102, 100).put(&source, |span, _| span.attributes = vec![("rows".into(), Value::Int(7))]);
    Made(1, 4, 2, "database", "INSERT", 103, 50).put(&source, |span, _| span.attributes = vec![("rows".into(), Value::Int(1))]);
    add(Made(2, 5, 0, "frontend", "GET /", 200, 20));
    Made(2, 6, 5, "backend", "detect", 201, 10).put(&source, |span, _| span.attributes = vec![("http.status_code".into(), Value::Int(200))]);
    add(Made(3, 7, 77, "backend", "cron", 300, 5_000));
    add(Made(4, 8, 9, "backend", "loop", 400, 3));
    add(Made(4, 9, 8, "backend", "loop", 400, 2));
    source
}

fn budget() -> Budget {
    Budget::unlimited(ManualClock::new(Timestamp(0)))
}

const WANTED: Wanted = Wanted { range: Range::ALL, limit: 100, spans: 100 };

fn query(text: &str) -> Query {
    parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// What is found, newest first: the number of the trace and those of the spans of its sets.
fn found_in(source: &dyn LogSource, text: &str, wanted: &Wanted) -> String {
    let set = |set: &FoundSet| set.spans.iter().map(|span| span.id.0[0].to_string()).collect::<Vec<_>>().join(",");
    let trace = |found: &Found| format!("{}:{}", found.id.0[0], found.sets.iter().map(set).collect::<Vec<_>>().join("|"));
    search(source, &query(text), wanted, &budget()).unwrap().iter().map(trace).collect::<Vec<_>>().join(" ")
}
fn found(text: &str) -> String {
    found_in(&source(), text, &WANTED)
}

#[test]
fn ten_thousand_spans_in_a_row_and_in_a_circle_take_no_stack_and_little_time() {
    let source = Logs::new();
    let id = |n: u64| SpanId((n + 1).to_be_bytes());
    let count = 10_000u64;
    for (trace, first) in [(1u8, None), (2, Some(id(count - 1)))] {
        let labels = SpanStream { name: "deep", ..SpanStream::default() }.labels();
        let span = |n: u64| NewSpan {
            trace: TraceId([trace; 16]),
            span: id(n),
            parent: if n == 0 { first } else { Some(id(n - 1)) },
            start: Nanos(i64::from(trace) * SECOND + n as i64),
            ..NewSpan::default()
        };
        source.add(StreamEntries { labels, entries: (0..count).map(|n| span(n).entry()).collect() });
    }
    let matched = |text: &str| -> Vec<usize> {
        search(&source, &query(text), &Wanted { spans: 1, ..WANTED }, &budget()).unwrap().iter().map(|found| found.sets[0].matched).collect()
    };
    assert_eq!(matched("{ } >> { }"), [9_999, 9_999]);
    assert_eq!(matched("{ } << { }"), [9_999, 9_999]);
    assert_eq!(matched("{ } > { }"), [9_999, 9_999]);
    assert_eq!(matched("{ nestedSetParent < 0 }"), [1]);
    assert_eq!(matched("{ nestedSetParent <= 0 }"), [1, 1], "of a circle one is a root whose parent is not there");
}

#[test]
fn what_is_held_is_charged_and_time_is_limited() {
    let clock = ManualClock::new(Timestamp(0));
    let small = Budget::new(clock.clone(), Duration::from_secs(60), 10, 500);
    assert!(matches!(search(&source(), &query("{}"), &WANTED, &small), Err(TraceqlError::Read(_))));
    let late = Budget::new(clock.clone(), Duration::from_secs(1), 10, 1 << 30);
    clock.advance(Duration::from_secs(2));
    assert!(matches!(search(&source(), &query("{}"), &WANTED, &late), Err(TraceqlError::Read(_))));
    assert!(matches!(search(&source(), &query("{} | rate()"), &WANTED, &budget()), Err(TraceqlError::Invalid(_))));
    assert!(matches!(measure(&source(), &query("{}"), &Steps::new(Nanos(0), Nanos(9), 1).unwrap(), &budget()), Err(TraceqlError::Invalid(_))));
}

#[test]
fn names_and_values_that_can_be_asked_for() {
    let source = source();
    let names = |scope, filter: Option<&str>| -> Vec<String> {
        let filter = filter.map(query);
        let all = super::names(&source, &[scope], filter.as_ref(), Range::ALL, &budget()).unwrap();
        all.into_values().flatten().collect()
    };
    assert_eq!(names(NameScope::Resource, None), ["host.name", "pid", "service.name"]);
    assert_eq!(names(NameScope::Instrumentation, None), ["team"]);
    assert_eq!(names(NameScope::Span, None), ["a \"b\"", "cached", "camera_id", "empty", "http.status_code", "ratio", "rows"]);
    assert_eq!(names(NameScope::Event, None), ["exception.type"]);
    assert_eq!(names(NameScope::Link, None), ["why"]);
    assert_eq!(names(NameScope::Span, Some(r#"{ resource.service.name = "database" }"#)), ["rows"]);
    assert_eq!(names(NameScope::Resource, Some(r#"{ name = "nothing" }"#)), Vec::<String>::new());
    let values = |field: &str, filter: Option<&str>, limit| -> Vec<String> {
        let filter = filter.map(query);
        let all = super::values(&source, &field_of(field), filter.as_ref(), Range::ALL, limit, &budget()).unwrap();
        all.iter().map(ToString::to_string).collect()
    };
    assert_eq!(values("resource.service.name", None, 9), [r#""backend""#, r#""database""#, r#""frontend""#]);
    assert_eq!(values("resource.pid", None, 3).len(), 3);
    assert!(values("resource.pid", None, 1)[0].parse::<u8>().is_ok(), "numbers stay numbers");
    assert_eq!(values("span.http.status_code", None, 9), ["200", "500"]);
    assert_eq!(values(".http.status_code", Some("{ status = error }"), 9), ["500"]);
    assert_eq!(values("resource.service.name", Some("{ span.rows > 0 }"), 9), [r#""database""#]);
    assert_eq!(values("name", None, 9).len(), 6);
    assert_eq!(values("status", None, 9), ["error", "ok", "unset"]);
    assert_eq!(values("kind", None, 9).len(), 6);
    assert_eq!(values("event.exception.type", None, 9), [r#""KeyError""#, r#""ValueError""#]);
    assert_eq!(values("event:name", None, 9), [r#""exception""#, r#""retry""#]);
    assert_eq!(values("rootServiceName", None, 9).len(), 3);
}
