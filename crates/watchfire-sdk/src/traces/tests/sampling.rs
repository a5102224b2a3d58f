//! How many traces are kept, measured.

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::Program;
use crate::trace_span;
use crate::traces::Protocol;

const TRACES: usize = 4_000;

fn below(trace: TraceId, sampled: bool, name: &str) {
    let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let remote = SpanContext::new(trace, SpanId::from(7), flags, true, TraceState::default());
    let span = trace_span(name);
    span.inner().set_parent(opentelemetry::Context::new().with_remote_span_context(remote)).unwrap();
    span.in_scope(|| ());
}

#[test]
fn trc_07_rates_keep_none_about_one_in_ten_and_all() {
    for (rate, expected) in [(0.0, 0.0), (0.1, 400.0), (1.0, 4_000.0)] {
        let program = Program::start(Protocol::Grpc, rate);
        program.run(|| {
            for _ in 0..TRACES {
                trace_span("root").in_scope(|| trace_span("child").in_scope(|| ()));
            }
        });
        let all = program.spans.all();
        let count = |name: &str| all.iter().filter(|(_, span)| span.name == name).count();
        let kept = count("root");
        // Five standard deviations of the binomial distribution: one run in two million is beyond.
        let allowed = 5.0 * (TRACES as f64 * rate * (1.0 - rate)).sqrt();
        assert!((kept as f64 - expected).abs() <= allowed, "rate {rate}: {kept} of {TRACES} kept, {expected} ± {allowed:.0} expected");
        assert_eq!(count("child"), kept, "a trace is kept whole or not at all");
    }
}

#[test]
fn trc_07_who_begins_a_trace_decides_for_all() {
    let trace = TraceId::from(0x1234_5678_9abc_def0_1234_5678_9abc_def0);
    for (rate, sampled) in [(0.0, true), (1.0, false)] {
        let program = Program::start(Protocol::Grpc, rate);
        program.run(|| below(trace, sampled, "s"));
        assert_eq!(program.spans.all().len(), usize::from(sampled), "rate {rate}");
    }
}
