//! Tracing as a program has it, against a stand-in for a collector.

mod collector;
mod http;
mod sampling;
mod settings;

use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use crate::logs::Output;
use crate::logs::tests::Lines;
use crate::traces::Protocol;
use crate::{END_PATIENCE, Lost, Setup, Telemetry, TraceSettings, get_trace_id, trace_function, trace_span};
use collector::{Spans, attribute};

/// A program whose spans go to a collector and whose lines are kept.
struct Program {
    dispatch: tracing::Dispatch,
    telemetry: Telemetry,
    spans: Spans,
    lines: Lines,
}
impl Program {
    fn start(protocol: Protocol, sample_rate: f64) -> Program {
        let (endpoint, spans) = collector::start(protocol);
        let lines = Lines::default();
        let traces = TraceSettings { enabled: true, endpoint, protocol, sample_rate, ..TraceSettings::default() };
        let (dispatch, telemetry) = Setup { traces, output: Output::Writer(Box::new(lines.clone())), ..Setup::default() }.build().unwrap();
        Program { dispatch, telemetry, spans, lines }
    }
    /// Does something in the program and waits until its telemetry has arrived.
    fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        let done = tracing::dispatcher::with_default(&self.dispatch, work);
        self.flush();
        done
    }
    fn flush(&self) {
        assert!(self.telemetry.flush(4 * END_PATIENCE), "not sent in time: {:?}", self.telemetry.lost());
        assert_eq!(self.telemetry.lost(), Lost::default());
    }
}

#[test]
fn trc_05_spans_arrive_over_grpc_and_over_http() {
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        let program = Program::start(protocol, 1.0);
        let id = program.run(|| trace_span("detect_objects").in_scope(|| get_trace_id().unwrap()));
        let all = program.spans.all();
        assert_eq!(all.len(), 1, "{protocol:?}");
        assert_eq!((all[0].0.as_str(), all[0].1.name.as_str()), ("nemotron-backend", "detect_objects"));
        assert_eq!(hex(&all[0].1.trace_id), id);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn trc_08_a_span_is_a_scope_with_attributes_and_more_can_be_added() {
    let program = Program::start(Protocol::Grpc, 1.0);
    program.run(|| {
        let span = trace_span("detect_objects").with("camera_id", "front_door");
        let found = span.in_scope(|| {
            trace_span("inner").in_scope(|| ());
            vec![1, 2, 3]
        });
        span.set_attribute("detection_count", found.len() as i64);
    });
    let (outer, inner) = (program.spans.named("detect_objects"), program.spans.named("inner"));
    assert_eq!(attribute(&outer.attributes, "camera_id").as_deref(), Some("front_door"));
    assert_eq!(attribute(&outer.attributes, "detection_count").as_deref(), Some("3"));
    assert_eq!((inner.trace_id, inner.parent_span_id), (outer.trace_id, outer.span_id));
    assert!(outer.parent_span_id.is_empty() && inner.end_time_unix_nano <= outer.end_time_unix_nano);
}

#[test]
fn a_failed_span_says_why() {
    let program = Program::start(Protocol::Grpc, 1.0);
    let failed = program.run(|| trace_span("llm_inference").client().attempt(|| Err::<(), _>("no answer")));
    assert_eq!(failed, Err("no answer"));
    let span = program.spans.named("llm_inference");
    let status = span.status.unwrap();
    assert_eq!((status.code, status.message.as_str()), (StatusCode::Error as i32, "no answer"));
    assert_eq!(span.kind, 3, "a client");
    assert_eq!((span.events[0].name.as_str(), attribute(&span.events[0].attributes, "exception.message").as_deref()), ("exception", Some("no answer")));
}

#[tokio::test]
async fn trc_09_every_call_of_a_traced_function_is_a_span() {
    let program = Program::start(Protocol::Grpc, 1.0);
    let guard = tracing::dispatcher::set_default(&program.dispatch);
    let analyze_batch = trace_function("analyze_batch", |batch: &'static str| async move {
        tokio::task::yield_now().await;
        trace_span("within").in_scope(|| ());
        batch.len()
    });
    let lengths = tokio::join!(analyze_batch("a"), analyze_batch("bc"));
    drop(guard);
    program.flush();
    assert_eq!(lengths, (1, 2));
    let all = program.spans.all();
    let calls: Vec<_> = all.iter().filter(|(_, span)| span.name == "analyze_batch").collect();
    assert_eq!(calls.len(), 2);
    assert_ne!(calls[0].1.trace_id, calls[1].1.trace_id, "calls side by side are not mixed up");
    for (_, call) in calls {
        assert!(all.iter().any(|(_, span)| span.name == "within" && span.parent_span_id == call.span_id));
    }
}

#[test]
fn trc_10_the_id_of_the_current_trace_is_32_digits_and_fits_into_a_line() {
    let program = Program::start(Protocol::Grpc, 1.0);
    let (outside, inside) = program.run(|| {
        let id = trace_span("s").in_scope(|| {
            let id = get_trace_id().unwrap();
            tracing::info!(about = id, "Processing");
            id
        });
        (get_trace_id(), id)
    });
    assert_eq!(outside, None);
    assert!(inside.len() == 32 && inside.bytes().all(|b| b.is_ascii_hexdigit()) && inside.bytes().any(|b| b != b'0'), "{inside}");
    let line = &program.lines.all()[0];
    assert_eq!((&line["about"], &line["trace_id"]), (&inside.as_str().into(), &inside.as_str().into()));
    assert_eq!(hex(&program.spans.named("s").trace_id), inside);
}

#[test]
fn a_collector_that_is_away_stops_nobody_and_losses_are_counted() {
    let lines = Lines::default();
    let traces = TraceSettings { enabled: true, endpoint: "http://127.0.0.1:9".to_owned(), ..TraceSettings::default() };
    let (dispatch, telemetry) = Setup { traces, output: Output::Writer(Box::new(lines.clone())), ..Setup::default() }.build().unwrap();
    tracing::dispatcher::with_default(&dispatch, || (0..3).for_each(|_| drop(trace_span("lost"))));
    assert!(telemetry.flush(Duration::from_secs(60)));
    assert_eq!(telemetry.lost(), Lost { spans_failed: 3, ..Lost::default() });
}

#[test]
fn a_queue_of_spans_is_bounded() {
    let (endpoint, spans) = collector::start(Protocol::HttpProtobuf);
    let traces = TraceSettings { enabled: true, endpoint, protocol: Protocol::HttpProtobuf, ..TraceSettings::default() };
    let (dispatch, telemetry) = Setup { traces, ..Setup::default() }.build().unwrap();
    let large = "x".repeat(6 << 20);
    tracing::dispatcher::with_default(&dispatch, || {
        for _ in 0..20 {
            drop(trace_span("large").with("text", large.clone()));
        }
    });
    assert!(telemetry.flush(Duration::from_secs(60)));
    let lost = telemetry.lost();
    assert_eq!(lost.spans_full + spans.all().len() as u64, 20, "each arrived or is counted: {lost:?}");
    assert!(lost.spans_full > 0, "{lost:?}");
}
