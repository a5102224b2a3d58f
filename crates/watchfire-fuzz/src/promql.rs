//! PromQL: whatever is written is refused with a place, or evaluated within its budget; printed again it means the same.

use std::time::Duration;

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
