//! Spans in the store alone: bytes a span, and how long traces take by their ids, one by one and in lots as searches read them.
//!
//! `cargo run --release -p watchfire-store --example spans_bench -- [traces]`

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use watchfire_model::batch::{Batch, Origin};
use watchfire_model::logs::{LogSelection, LogSource, Nanos, StreamEntries};
use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::read::Budget;
use watchfire_model::spans::{NewSpan, SpanId, SpanKind, SpanStream, StatusCode, TraceId, Value, key};
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::Sink;
use watchfire_store::{Options, Store};

const START_NS: i64 = 1_767_052_800_000_000_000;
const HOUR_NS: u64 = 3_600_000_000_000;
const SPANS: u64 = 8;
/// Traces of a batch, as senders gather them.
const BATCH: u64 = 50;
/// Questions of each kind.
const ASKED: u64 = 200;

fn mix(n: u64) -> u64 {
    let z = (n.wrapping_add(1)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) ^ (z >> 31)
}

fn trace_id(n: u64) -> TraceId {
    TraceId((u128::from(mix(n)) << 64 | u128::from(mix(n ^ 0xabcd_ef01))).to_be_bytes())
}

/// Span `at` of trace `n`: half of them calls with a route, half of them statements.
fn span(n: u64, at: u64, traces: u64) -> (Vec<(&'static str, Value<'static>)>, NewSpan<'static>) {
    let dice = mix(n * SPANS + at);
    let began = START_NS + (u128::from(HOUR_NS) * u128::from(n) / u128::from(traces)) as i64;
    let attributes = if at.is_multiple_of(2) {
        vec![
            ("http.request.method".into(), Value::text("GET")),
            ("http.route".into(), Value::text(["/api/orders", "/api/cart", "/api/search"][dice as usize % 3])),
            ("http.response.status_code".into(), Value::Int([200, 200, 200, 404, 500][dice as usize % 5])),
        ]
    } else {
        vec![
            ("db.system".into(), Value::text("postgresql")),
            ("db.statement".into(), Value::Text(format!("SELECT * FROM orders WHERE id = {}", dice % 100_000).into())),
        ]
    };
    let new = NewSpan {
        trace: trace_id(n),
        span: SpanId(mix(dice).to_be_bytes()),
        parent: (at > 0).then(|| SpanId(mix(mix(n * SPANS + at - 1)).to_be_bytes())),
        start: Nanos(began + (at * 1_000_000) as i64),
        duration: dice % 200_000_000,
        status: if dice.is_multiple_of(12) { StatusCode::Error } else { StatusCode::Unset },
        attributes,
        ..NewSpan::default()
    };
    (vec![("service.name", Value::text(["frontend", "checkout", "payment", "inventory"][at as usize / 2])), ("service.version", Value::text("1.4.2"))], new)
}

fn batch(from: u64, traces: u64) -> Batch {
    let mut batch = Batch::new(Origin::new("bench"));
    for at in 0..SPANS {
        let entries: Vec<_> = (from..(from + BATCH).min(traces)).map(|n| span(n, at, traces).1.entry()).collect();
        let resource: Vec<_> = span(from, at, traces).0.into_iter().map(|(name, value)| (name.into(), value)).collect();
        let name = format!("operation {at}");
        let labels = SpanStream { resource: &resource, name: &name, kind: SpanKind::Server, ..SpanStream::default() }.labels();
        batch.spans.push(StreamEntries { labels, entries });
    }
    batch
}

/// CPU milliseconds of this process; none where the system does not tell.
fn cpu_ms() -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<f64>().ok()).sum::<f64>() * 1000.0 / TICKS_PER_SECOND
}

fn ask(source: &Arc<dyn LogSource>, matcher: Matcher, budget: &Budget) -> usize {
    let mut found = 0;
    let selection = LogSelection::new(vec![matcher], Nanos::MIN, Nanos::MAX);
    let read = source.select_logs(&selection, budget, &mut |_| {
        found += 1;
        Ok(ControlFlow::Continue(()))
    });
    read.expect("a readable store");
    found
}

fn main() {
    let traces: u64 = std::env::args().nth(1).map_or(100_000, |text| text.parse().expect("a number"));
    let dir = tempfile::tempdir().expect("a directory");
    let clock = ManualClock::new(Timestamp(START_NS / 1_000_000 + 3_600_000));
    let store = Store::open(Options { keeper: false, min_free_bytes: 0, ..Options::new(dir.path(), clock.clone()) }).expect("a store");
    let began = Instant::now();
    for (at, from) in (0..traces).step_by(BATCH as usize).enumerate() {
        store.write(batch(from, traces)).expect("room");
        // As often as the keeper does with this much.
        if at % 600 == 599 {
            store.flush().expect("room");
        }
    }
    store.flush().expect("room");
    let (spans, stats) = (traces * SPANS, store.stats().spans);
    println!(
        "{spans} spans in {:.1} s, {} segments, {:.2} bytes a span",
        began.elapsed().as_secs_f64(),
        stats.segments,
        stats.segment_bytes as f64 / spans as f64
    );
    let (source, budget) = (store.spans(), Budget::unlimited(clock));
    let one = |n: u64| Matcher::equal(key::TRACE, &trace_id(n).to_string());
    let lot = |n: u64, size: u64| {
        let ids: Vec<String> = (0..size).map(|more| trace_id((n * 977 + more * 499) % traces).to_string()).collect();
        Matcher::new(key::TRACE, MatchOp::Regex, &ids.join("|")).expect("plain ids")
    };
    let time = |what: &str, rounds: u64, question: &dyn Fn(u64) -> Matcher| {
        ask(&source, question(0), &budget);
        let (began, cpu) = (Instant::now(), cpu_ms());
        let found: usize = (0..rounds).map(|round| ask(&source, question(round), &budget)).sum();
        let per = |of: f64| of / rounds as f64;
        println!("{what}: {:.3} ms, {:.2} of CPU, {:.1} spans each", per(began.elapsed().as_secs_f64() * 1000.0), per(cpu_ms() - cpu), per(found as f64));
    };
    time("a trace by its id", ASKED, &|n| one(n * 7_919 % traces));
    time("an id that no trace has", ASKED, &|n| one(traces + n));
    time("20 traces by their ids", 10, &|n| lot(n, 20));
    time("200 traces by their ids", 10, &|n| lot(n, 200));
    time("failed spans by an attribute", 10, &|_| Matcher::equal("http.response.status_code", "500"));
}
