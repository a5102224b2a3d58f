//! Spans of declared work, without a server.

use std::sync::Arc;

use tracing::field::Empty;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;
use watchfire_model::spans::{SpanKind, StatusCode};
use watchfire_model::time::{ManualClock, Timestamp};

use super::{Attribute, Place, Span, SpanLayer, Spans, WAITING_MAX, carried};

const TRACE: &str = "1234abcd5678ef901234abcd5678ef90";
const PARENT: &str = "abcdef1234567890";

fn recorded(sample_rate: f64, work: impl FnOnce(&ManualClock)) -> (Vec<Span>, Arc<Spans>) {
    let clock = ManualClock::new(Timestamp(1_767_089_700_000));
    let spans = Spans::new(clock.clone(), sample_rate);
    let subscriber = Registry::default().with(SpanLayer(spans.clone()));
    tracing::subscriber::with_default(subscriber, || work(&clock));
    (spans.take(usize::MAX), spans)
}

fn request(sampled: &str) -> tracing::Span {
    let parent = format!("00-{TRACE}-{PARENT}-{sampled}");
    tracing::info_span!(
        "request",
        otel.kind = "server",
        otel.name = "GET /x",
        otel.parent = parent,
        otel.state = "vendor=value",
        otel.status_code = Empty,
        code = Empty
    )
}

#[test]
fn trc_03_a_span_stands_below_its_caller_and_goes_on_in_the_same_form() {
    let mut headers = Vec::new();
    let (spans, _) = recorded(0.0, |clock| {
        let request = request("01");
        let _in = request.enter();
        clock.advance(std::time::Duration::from_millis(5));
        tracing::info_span!("lends its ids only").in_scope(|| {
            tracing::info_span!("call", otel.kind = "client", port = 80u64).in_scope(|| headers = carried());
        });
        request.record("code", 500u64);
        request.record("otel.status_code", "ERROR");
    });
    let (call, server) = (&spans[0], &spans[1]);
    assert_eq!((server.name.as_str(), server.kind, server.parent.unwrap().to_string()), ("GET /x", SpanKind::Server, PARENT.to_owned()));
    assert_eq!((server.status, &server.attributes[..]), (StatusCode::Error, &[("code", Attribute::Int(500))][..]));
    assert_eq!((server.ended - server.began, call.began - server.began), (5_000_000, 5_000_000));
    assert_eq!((call.parent, call.place.trace.to_string(), &*call.place.state), (Some(server.place.span), TRACE.to_owned(), "vendor=value"));
    assert_eq!(headers, [("traceparent", format!("00-{TRACE}-{}-01", call.place.span)), ("tracestate", "vendor=value".to_owned())]);
}

#[test]
fn trc_03_only_whole_contexts_are_taken() {
    let whole = format!("00-{TRACE}-{PARENT}-01");
    for (text, taken) in [
        (whole.as_str(), true),
        (&format!("cc-{TRACE}-{PARENT}-01-more"), true),
        (&format!("{whole}-more"), false),
        (&format!("ff-{TRACE}-{PARENT}-01"), false),
        (&format!("00-{}-{PARENT}-01", "0".repeat(32)), false),
        (&format!("00-{TRACE}-{}-01", "0".repeat(16)), false),
        (&format!("00-{}-{PARENT}-01", TRACE.to_uppercase()), false),
        (&format!("00-{TRACE}-{PARENT}"), false),
        (&format!("00-{TRACE}-{PARENT}-0é"), false),
        ("", false),
    ] {
        assert_eq!(Place::parse(text, "").is_some(), taken, "{text}");
    }
    assert_eq!(&*Place::parse(&whole, "a\nb").unwrap().state, "", "no state that could break a header");
}

#[test]
fn trc_07_rates_keep_none_about_one_in_ten_and_all_and_callers_decide() {
    const TRACES: usize = 3_000;
    for (rate, expected) in [(0.0, 0.0), (0.1, 300.0), (1.0, 3_000.0)] {
        let (spans, book) = recorded(rate, |_| {
            for _ in 0..TRACES {
                let _root = tracing::info_span!("root", otel.kind = "internal").entered();
            }
        });
        let allowed = 5.0 * (TRACES as f64 * rate * (1.0 - rate)).sqrt();
        assert!((spans.len() as f64 - expected).abs() <= allowed, "rate {rate}: {} of {TRACES}", spans.len());
        assert!(spans.iter().all(|span| book.keeps(span.place.trace)), "the same trace has the same answer");
        for (flags, kept) in [("01", 1), ("00", 0)] {
            assert_eq!(recorded(rate, |_| drop(request(flags))).0.len(), kept, "rate {rate}, flags {flags}");
        }
    }
}

#[test]
fn a_trace_is_kept_whole_or_not_at_all_and_goes_on_either_way() {
    let (spans, _) = recorded(0.0, |_| {
        tracing::info_span!("root", otel.kind = "internal").in_scope(|| {
            assert!(carried()[0].1.ends_with("-00"));
            drop(tracing::info_span!("child", otel.kind = "client"));
        });
        assert_eq!(carried(), []);
    });
    assert!(spans.is_empty());
}

#[test]
fn what_waits_is_bounded_and_what_is_lost_is_counted() {
    let (spans, book) = recorded(1.0, |_| (0..WAITING_MAX + 7).for_each(|_| drop(tracing::info_span!("s", otel.kind = "internal"))));
    assert_eq!((spans.len(), book.full.load(std::sync::atomic::Ordering::Relaxed)), (WAITING_MAX, 7));
}
