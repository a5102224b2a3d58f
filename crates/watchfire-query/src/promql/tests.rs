//! Tests of the front door: parsing, printing and evaluating as other crates do it.

use std::time::Duration;

use watchfire_model::labels;
use watchfire_model::read::Budget;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_testkit::memory::Memory;

use super::*;

fn budget() -> Budget {
    Budget::unlimited(ManualClock::new(Timestamp(0)))
}

#[test]
fn an_instant_and_a_range_query() {
    let memory = Memory::new();
    for (job, factor) in [("a", 1.0), ("b", 2.0)] {
        memory.add_series(&labels!("__name__" => "requests_total", "job" => job), (0..100).map(|i| (i * 15_000, i as f64 * factor)));
    }
    let engine = Engine::default();
    let answer = engine.instant(&memory, "sum(rate(requests_total[5m])) * 60", Timestamp(600_000), &budget()).unwrap();
    let Value::Vector(samples) = answer.value else { panic!("vector expected") };
    assert_eq!(samples.len(), 1);
    assert!((samples[0].value - 12.0).abs() < 1e-9, "{samples:?}");
    let expr = parse("requests_total{job='b'} > 50").unwrap();
    let answer = engine.range(&memory, &expr, Timestamp(0), Timestamp(600_000), Duration::from_secs(60), &budget()).unwrap();
    let Value::Matrix(series) = answer.value else { panic!("matrix expected") };
    assert_eq!(series.len(), 1);
    assert_eq!(series[0].points.len(), 4);
    assert_eq!(series[0].points[0].value, 56.0);
}
