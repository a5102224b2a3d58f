//! Traces out of spans in memory: by id, by search, as a graph.

use watchfire_model::logs::{LogSource, StreamEntries};
use watchfire_model::read::{Budget, ReadError};
use watchfire_model::spans::{Event, NewSpan, Pair, SpanId, SpanKind, SpanStream, StatusCode, Value};
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_testkit::logs::Logs;

use super::*;

const SECOND: i64 = 1_000_000_000;

/// A span for tests: trace, own number, number of the parent (0 is none), service, name, start in seconds, duration in milliseconds.
struct Made(u8, u8, u8, &'static str, &'static str, i64, u64);

impl Made {
    fn entries(&self, change: impl FnOnce(&mut NewSpan<'static>)) -> StreamEntries {
        let Made(trace, own, parent, service, name, start, millis) = *self;
        let resource: [Pair<'static>; 2] = [("service.name".into(), Value::text(service)), ("host.name".into(), Value::text("node-1"))];
        let mut span = NewSpan {
            trace: TraceId([trace; 16]),
            span: SpanId([own; 8]),
            parent: (parent > 0).then_some(SpanId([parent; 8])),
            start: Nanos(start * SECOND),
            duration: millis * 1_000_000,
            ..NewSpan::default()
        };
        change(&mut span);
        let labels = SpanStream { resource: &resource, scope: "lib", name, kind: SpanKind::Server, ..SpanStream::default() }.labels();
        StreamEntries { labels, entries: vec![span.entry()] }
    }
}

fn budget() -> Budget {
    Budget::unlimited(ManualClock::new(Timestamp(0)))
}

/// Two traces through three services, and one of a single span.
fn source() -> Logs {
    let source = Logs::new();
    let add = |made: Made| source.add(made.entries(|_| {}));
    add(Made(1, 1, 0, "frontend", "GET /", 100, 900));
    source.add(Made(1, 2, 1, "backend", "detect", 100, 500).entries(|span| {
        span.attributes = vec![("camera_id".into(), Value::text("front_door")), ("http.status_code".into(), Value::Int(500))];
        (span.status, span.message) = (StatusCode::Error, "no camera");
        span.events = vec![Event { time: Nanos(0), name: "exception", attributes: vec![("exception.type".into(), Value::text("KeyError"))] }];
    }));
    add(Made(1, 3, 2, "database", "SELECT", 101, 100));
    add(Made(2, 4, 0, "frontend", "GET /", 200, 20));
    add(Made(2, 5, 4, "backend", "detect", 200, 10));
    add(Made(3, 6, 9, "backend", "cron", 300, 5_000));
    source
}

fn ids(traces: &[Trace]) -> Vec<u8> {
    traces.iter().map(|trace| trace.id.0[0]).collect()
}

fn found(search: Search) -> Vec<u8> {
    let source = source();
    ids(&find(&source, &Search { limit: if search.limit == 0 { 20 } else { search.limit }, ..search }, Range::ALL, &budget()).unwrap())
}

#[test]
fn a_trace_comes_whole_and_in_order() {
    let source = source();
    let trace = trace(&source, TraceId([1; 16]), Range::ALL, &budget()).unwrap().unwrap();
    let order: Vec<u8> = trace.spans.iter().map(|span| span.row().span().0[0]).collect();
    assert_eq!(order, [1, 2, 3], "of one moment the longer one is first");
    assert_eq!((trace.start(), trace.end(), trace.duration()), (Nanos(100 * SECOND), Nanos(101_100_000_000), 1_100_000_000));
    assert_eq!(trace.root().unwrap().row().name(), "GET /");
    assert_eq!(super::trace(&source, TraceId([9; 16]), Range::ALL, &budget()).unwrap(), None);
    let early = Range { start: Nanos(0), end: Nanos(101 * SECOND) };
    assert_eq!(super::trace(&source, TraceId([1; 16]), early, &budget()).unwrap().unwrap().spans.len(), 2);
    // The order of the answer is that of the question.
    assert_eq!(ids(&traces(&source, &[TraceId([3; 16]), TraceId([8; 16]), TraceId([1; 16])], Range::ALL, &budget()).unwrap()), [3, 1]);
    let orphan = super::trace(&source, TraceId([3; 16]), Range::ALL, &budget()).unwrap().unwrap();
    assert_eq!(orphan.root().unwrap().row().name(), "cron", "a parent that is not there does not take the root away");
}

#[test]
fn searches_find_the_newest_traces_that_have_such_a_span() {
    let of = |service: &str| Search { service: Some(service.to_owned()), ..Search::default() };
    assert_eq!(found(Search::default()), [3, 2, 1]);
    assert_eq!(found(of("backend")), [3, 2, 1]);
    assert_eq!(found(Search { limit: 2, ..of("backend") }), [3, 2]);
    assert_eq!(found(of("database")), [1]);
    assert_eq!(found(of("nobody")), Vec::<u8>::new());
    assert_eq!(found(Search { operation: Some("detect".to_owned()), ..of("backend") }), [2, 1]);
    assert_eq!(found(Search { operation: Some("detect".to_owned()), ..of("frontend") }), Vec::<u8>::new(), "one span must be all of it");
    assert_eq!(found(Search { min: Some(500_000_000), ..of("backend") }), [3, 1]);
    assert_eq!(found(Search { max: Some(10_000_000), ..of("backend") }), [2]);
    for (name, value) in [
        ("camera_id", "front_door"),
        ("http.status_code", "500"),
        ("error", "true"),
        ("otel.status_code", "ERROR"),
        ("otel.status_description", "no camera"),
        ("exception.type", "KeyError"),
        ("event", "exception"),
    ] {
        let tags = vec![(name.to_owned(), value.to_owned()), ("span.kind".to_owned(), "server".to_owned())];
        assert_eq!(found(Search { tags, ..of("backend") }), [1], "{name}");
    }
    let tags = |value: &str| vec![("host.name".to_owned(), "node-1".to_owned()), ("otel.scope.name".to_owned(), value.to_owned())];
    assert_eq!(found(Search { tags: tags("lib"), ..of("frontend") }), [2, 1], "tags of the process count, too");
    assert_eq!(found(Search { tags: tags("other"), ..of("frontend") }), Vec::<u8>::new());
    let range = Range { start: Nanos(150 * SECOND), end: Nanos(250 * SECOND) };
    let some = find(&source(), &Search { limit: 9, ..Search::default() }, range, &budget()).unwrap();
    assert_eq!((ids(&some), some[0].spans.len()), (vec![2], 2));
    assert_eq!(find(&source(), &Search::default(), Range::ALL, &budget()).unwrap(), Vec::new(), "nobody wants any");
}

#[test]
fn what_there_is_to_look_for() {
    let source = source();
    assert_eq!(services(&source, Range::ALL, &budget()).unwrap(), ["backend", "database", "frontend"]);
    let names = |kind| -> Vec<String> {
        let all = operations(&source, "backend", kind, Range::ALL, &budget()).unwrap();
        all.into_iter().map(|o| format!("{} {}", o.name, o.kind)).collect()
    };
    assert_eq!(names(None), ["cron server", "detect server"]);
    assert_eq!(names(Some(SpanKind::Client)), Vec::<String>::new());
    let calls: Vec<(String, String, u64)> =
        dependencies(&source, Range::ALL, &budget()).unwrap().into_iter().map(|d| (d.parent.to_string(), d.child.to_string(), d.calls)).collect();
    assert_eq!(calls, [("backend".into(), "database".into(), 1), ("frontend".into(), "backend".into(), 2)]);
}

#[test]
fn names_that_moved_to_the_spans_are_operations_all_the_same() {
    let source = Logs::new();
    let mut made = Made(1, 1, 0, "backend", "GET /item/1", 1, 1).entries(|_| {});
    // As the store keeps them when a service has thousands of names.
    let all: Vec<(String, String)> = made.labels.iter().filter(|(n, _)| n.starts_with(":name")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    made.entries[0].metadata = Labels::from_pairs(made.entries[0].metadata.iter().chain(all.iter().map(|(n, v)| (n.as_str(), v.as_str()))));
    made.labels = made.labels.without(":name");
    source.add(made);
    let operations = operations(&source, "backend", None, Range::ALL, &budget()).unwrap();
    assert_eq!(operations.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(), ["GET /item/1"]);
    let search = Search { operation: Some("GET /item/1".to_owned()), limit: 1, ..Search::default() };
    assert_eq!(find(&source, &search, Range::ALL, &budget()).unwrap().len(), 1);
}

#[test]
fn what_is_held_is_charged() {
    let clock = ManualClock::new(Timestamp(0));
    let small = Budget::new(clock, std::time::Duration::from_secs(60), 10, 500);
    let source: &dyn LogSource = &source();
    assert!(matches!(traces(source, &[TraceId([1; 16])], Range::ALL, &small), Err(ReadError::TooMuchMemory(_))));
}
