//! Events and the series that are stored of them.

use std::ops::ControlFlow;

use proptest::prelude::*;
use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::read::{Budget, Selection, Source};
use watchfire_model::sample::is_stale;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_testkit::memory::Memory;

use super::*;
use crate::gate::Limits;

struct House {
    memory: Arc<Memory>,
    clock: Arc<ManualClock>,
    meter: Meter,
    statsd: Statsd,
}
impl House {
    fn new() -> House {
        let (memory, clock, meter) = (Arc::new(Memory::new()), ManualClock::new(Timestamp(1_767_089_700_000)), Meter::new());
        let gate = Arc::new(Gate::new(memory.clone(), clock.clone(), &meter, Limits::default()));
        House { statsd: Statsd::new(gate, clock.clone(), &meter), memory, clock, meter }
    }
    /// Stores and gives the newest values.
    fn flushed(&self) -> Vec<String> {
        self.clock.advance(INTERVAL);
        self.statsd.flush().unwrap();
        let selection = Selection { matchers: vec![Matcher::new("__name__", MatchOp::Regex, ".+").unwrap()], start: Timestamp(0), end: Timestamp(i64::MAX) };
        let mut lines = Vec::new();
        self.memory
            .select(&selection, &Budget::unlimited(self.clock.clone()), &mut |series| {
                let value = *series.values.last().unwrap();
                lines.push(if is_stale(value) { format!("{} ended", series.labels) } else { format!("{} {value}", series.labels) });
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
        lines
    }
    fn dropped(&self, reason: &str) -> u64 {
        self.meter.counter("watchfire_statsd_lines_dropped_total", "", &[("reason", reason)]).get()
    }
}

#[test]
fn events_add_up() {
    let house = House::new();
    house.statsd.take(b"views:1|c|#page:home\nviews:2|c|@0.5|#page:home\nfuel:10|g\nfuel:-3|g\nusers:ann|s\nusers:bob|s\nusers:ann|s\n");
    let first = [r#"fuel 7"#, "users 2", r#"views{page="home"} 5"#];
    assert_eq!(house.flushed(), first);
    house.statsd.take(b"views:1|c|#page:home\r\nusers:ann|s");
    assert_eq!(house.flushed(), ["fuel 7", "users 1", r#"views{page="home"} 6"#]);
    house.clock.advance(IDLE);
    assert_eq!(house.flushed(), ["fuel ended", "users ended", r#"views{page="home"} ended"#]);
}

#[test]
fn timers_are_histograms_in_seconds() {
    let house = House::new();
    house.statsd.take(b"t:320:20|ms\nt:5000|ms|@0.5\nsize:300|h\nsize:3|d");
    let lines = house.flushed();
    for line in [
        r#"t_bucket{le="0.025"} 1"#,
        r#"t_bucket{le="0.5"} 2"#,
        r#"t_bucket{le="5.0"} 4"#,
        r#"t_bucket{le="+Inf"} 4"#,
        "t_sum 10.34",
        "t_count 4",
        r#"size_bucket{le="5.0"} 1"#,
        r#"size_bucket{le="500.0"} 2"#,
        "size_sum 303",
    ] {
        assert!(lines.contains(&line.to_owned()), "{line}: {lines:#?}");
    }
}

#[test]
fn what_counts_for_nothing_is_counted() {
    let house = House::new();
    house.statsd.take(b"a:1|c\na:1|g\na:x|c\nnonsense\n_sc|redis|0\n_e{5,4}:title|text\n\xff:1|c\n");
    assert_eq!(house.flushed(), ["a 1"]);
    assert_eq!(["malformed", "conflicting_type", "unsupported"].map(|r| house.dropped(r)), [3, 1, 2]);
    for n in 0..SERIES_MAX + 5 {
        house.statsd.take(format!("s:1|c|#n:{n}").as_bytes());
    }
    assert_eq!(house.dropped("series_limit"), 6);
}

proptest! {
    #[test]
    fn garbage_never_panics(lines in prop::collection::vec(prop_oneof![any::<Vec<u8>>(), r"[a-c]:[0-9+\-.]{1,5}\|(c|g|s|ms|h|d)(\|@0\.[1-9])?(\|#[a-z:,]{0,8})?".prop_map(String::into_bytes)], 0..20)) {
        let house = House::new();
        house.statsd.take(&lines.join(&b'\n'));
        house.flushed();
    }
}
