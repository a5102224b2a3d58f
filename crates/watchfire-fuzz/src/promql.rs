//! PromQL: whatever is written is refused with a place, or evaluated within its budget; printed again it means the same.

use std::time::Duration;

use watchfire_model::histogram::{CUSTOM_SCHEMA, Histogram, Span};
use watchfire_model::labels::Labels;
use watchfire_model::read::Budget;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_query::promql::{Engine, parse};
use watchfire_testkit::memory::Memory;

const SAMPLES_MAX: u64 = 100_000;
const MEMORY_MAX: u64 = 8 << 20;

fn data() -> Memory {
    let memory = Memory::new();
    for (name, job, step) in [("a_total", "x", 1.0), ("a_total", "y", 2.5), ("b", "x", -1.0), ("c_bucket", "x", 3.0)] {
        let labels = Labels::from_pairs([("__name__", name), ("job", job), ("le", if name == "c_bucket" { "+Inf" } else { "" })]);
        memory.add_series(&labels, (0..20i64).map(|i| (i * 15_000, i as f64 * step)));
    }
    let native = |labels: &[(&str, &str)], schema: i8, bounds: &[f64]| {
        let labels = Labels::from_pairs(labels.iter().copied());
        for i in 0..20u32 {
            let n = f64::from(i % 9);
            let spans = vec![Span { offset: 0, length: 2 }, Span { offset: 1, length: 1 }];
            let zero = if schema == CUSTOM_SCHEMA { 0.0 } else { n };
            let histogram = Histogram {
                schema,
                zero_threshold: if schema == 3 { 0.01 } else { 0.0 },
                zero_count: zero,
                count: zero + 3.0 * n + 3.0,
                sum: n * 2.5,
                positive_spans: spans,
                positive_buckets: vec![n, n + 1.0, n + 2.0],
                custom_bounds: bounds.into(),
                ..Histogram::default()
            };
            memory.add_histogram(&labels, Timestamp(i64::from(i) * 15_000), histogram);
        }
    };
    native(&[("__name__", "h"), ("job", "x")], 0, &[]);
    native(&[("__name__", "h"), ("job", "y")], 3, &[]);
    native(&[("__name__", "h"), ("job", "z")], CUSTOM_SCHEMA, &[0.5, 1.0, 2.0]);
    memory.add(&Labels::from_pairs([("__name__", "h"), ("job", "x")]), Timestamp(7_000), 1.0);
    memory
}

pub(crate) fn promql(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(expr) = parse(text) else { return };
    let printed = expr.to_string();
    match parse(&printed) {
        Ok(again) => assert_eq!(again.to_string(), printed, "printed again, {text:?} is another query"),
        Err(error) => panic!("{text:?} is printed as {printed:?}, which does not parse: {error}"),
    }
    let memory = data();
    let engine = Engine::default();
    let budget = || Budget::new(ManualClock::new(Timestamp(0)), Duration::from_secs(1), SAMPLES_MAX, MEMORY_MAX);
    drop(engine.instant(&memory, &expr, Timestamp(200_000), &budget()));
    drop(engine.range(&memory, &expr, Timestamp(0), Timestamp(300_000), Duration::from_secs(30), &budget()));
}
