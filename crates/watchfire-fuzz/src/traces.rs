//! TraceQL: whatever is written is refused with a place, or evaluated within its budget; printed again it means the same.

use watchfire_model::logs::{Nanos, StreamEntries};
use watchfire_model::spans::{Event, NewSpan, Pair, SpanId, SpanKind, SpanStream, StatusCode, TraceId, Value};
use watchfire_query::traces::Range;
use watchfire_query::traces::traceql::{Steps, Wanted, measure, parse, search};
use watchfire_testkit::logs::Logs;

use crate::logs::budget;

const SECOND: i64 = 1_000_000_000;

/// A small tree, a circle, and a span whose parent is missing.
fn data() -> Logs {
    let spans = Logs::honouring_hints();
    for (trace, own, parent) in [(1u8, 1u8, 0u8), (1, 2, 1), (1, 3, 1), (1, 4, 3), (2, 5, 6), (2, 6, 5), (3, 7, 99)] {
        let resource: [Pair<'_>; 1] = [("service.name".into(), Value::text(if own % 2 == 0 { "a" } else { "b" }))];
        let start = Nanos(i64::from(own) * 15 * SECOND);
        let span = NewSpan {
            trace: TraceId([trace; 16]),
            span: SpanId([own; 8]),
            parent: (parent > 0).then_some(SpanId([parent; 8])),
            start,
            duration: u64::from(own) * 300_000_000,
            status: if own == 4 { StatusCode::Error } else { StatusCode::Unset },
            attributes: vec![("n".into(), Value::Int(i64::from(own))), ("x".into(), Value::text("b1")), ("f".into(), Value::Double(f64::NAN))],
            events: vec![Event { time: start, name: "e", attributes: vec![("d".into(), Value::Bool(true))] }],
            ..NewSpan::default()
        };
        let labels = SpanStream { resource: &resource, name: "GET /", kind: SpanKind::Server, ..SpanStream::default() }.labels();
        spans.add(StreamEntries { labels, entries: vec![span.entry()] });
    }
    spans
}

pub(crate) fn traceql(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(query) = parse(text) else { return };
    let printed = query.to_string();
    match parse(&printed) {
        Ok(parsed) => assert_eq!(parsed.to_string(), printed, "printed again, {text:?} is another query"),
        Err(error) => panic!("{text:?} is printed as {printed:?}, which does not parse: {error}"),
    }
    let spans = data();
    if query.metrics.is_none() {
        drop(search(&spans, &query, &Wanted { range: Range::ALL, limit: 20, spans: 3 }, &budget()));
    } else if let Ok(steps) = Steps::new(Nanos(0), Nanos(120 * SECOND), 30 * SECOND) {
        drop(measure(&spans, &query, &steps, &budget()));
    }
}
