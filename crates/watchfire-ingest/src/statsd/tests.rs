//! Events and the series that are stored of them.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::read::{Budget, Selection, Source};
use watchfire_model::sample::is_stale;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_testkit::memory::Memory;

use super::sum::MEMBERS_MAX;
use super::*;
use crate::gate::Limits;

/// A store that can be told to take nothing, and what is done while it is asked.
#[derive(Default)]
struct Disk {
    memory: Memory,
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    broken: AtomicBool,
}
impl Sink for Disk {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        if let Some(meanwhile) = self.meanwhile.lock().unwrap().take() {
            meanwhile();
        }
        if self.broken.load(Ordering::Relaxed) { Err(WriteError::Failed("test".to_owned())) } else { self.memory.write(batch) }
    }
}

struct House {
    disk: Arc<Disk>,
    clock: Arc<ManualClock>,
    meter: Meter,
    statsd: Arc<Statsd>,
}
impl House {
    fn new() -> House {
        let (disk, clock, meter) = (Arc::new(Disk::default()), ManualClock::new(Timestamp(1_767_089_700_000)), Meter::new());
        let gate = Arc::new(Gate::new(disk.clone(), clock.clone(), &meter, Limits::default()));
        House { statsd: Arc::new(Statsd::new(gate, clock.clone(), &meter)), disk, clock, meter }
    }
    /// A try that the store does not take; lines come in while it is under way.
    fn fails(&self, meanwhile: &'static [u8]) {
        let statsd = self.statsd.clone();
        *self.disk.meanwhile.lock().unwrap() = Some(Box::new(move || statsd.take(meanwhile)));
        self.disk.broken.store(true, Ordering::Relaxed);
        self.clock.advance(INTERVAL);
        self.statsd.flush().unwrap_err();
        self.disk.broken.store(false, Ordering::Relaxed);
    }
    /// Stores and gives the newest values.
    fn flushed(&self) -> Vec<String> {
        self.clock.advance(INTERVAL);
        self.statsd.flush().unwrap();
        let selection = Selection { matchers: vec![Matcher::new("__name__", MatchOp::Regex, ".+").unwrap()], start: Timestamp(0), end: Timestamp(i64::MAX) };
        let mut lines = Vec::new();
        self.disk
            .memory
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
    house.statsd.take(b"b:x|c\na:1|c\na:1|g\na:x|c\nnonsense\n_sc|redis|0\n_e{5,4}:title|text\n\xff:1|c\n");
    assert_eq!(house.flushed(), ["a 1"]);
    assert_eq!(["malformed", "conflicting_type", "unsupported"].map(|r| house.dropped(r)), [4, 1, 2]);
    for n in 0..SERIES_MAX + 5 {
        house.statsd.take(format!("s:1|c|#n:{n}").as_bytes());
    }
    assert_eq!(house.dropped("series_limit"), 6);
}

#[test]
fn what_could_not_be_stored_comes_with_the_next_try() {
    let house = House::new();
    house.statsd.take(b"views:1|c\nusers:ann|s\nusers:bob|s\nt:20|ms");
    house.fails(b"views:2|c\nusers:bob|s\nusers:eve|s\nt:20|ms");
    let lines = house.flushed();
    for line in ["views 3", "users 3", "t_count 2"] {
        assert!(lines.contains(&line.to_owned()), "{line}: {lines:#?}");
    }
    house.statsd.take(b"users:eve|s");
    assert!(house.flushed().contains(&"users 1".to_owned()), "what was stored is not counted again");
}

#[test]
fn a_series_ends_only_when_its_end_is_stored() {
    let house = House::new();
    house.statsd.take(b"views:1|c\nusers:ann|s");
    assert_eq!(house.flushed(), ["users 1", "views 1"]);
    house.clock.advance(IDLE);
    house.fails(b"");
    assert_eq!(house.flushed(), ["users ended", "views ended"]);
    // Events that come while the end is stored go on with the sum.
    house.statsd.take(b"views:1|c");
    house.clock.advance(IDLE);
    house.fails(b"views:4|c");
    assert_eq!(house.flushed(), ["users ended", "views 5"]);
    house.clock.advance(IDLE);
    assert_eq!(house.flushed(), ["users ended", "views ended"]);
    let state = house.statsd.state();
    assert_eq!((state.series.len(), state.kinds.len(), state.label_bytes), (0, 0, 0));
}

#[test]
fn nothing_waits_for_the_store() {
    let house = House::new();
    house.statsd.take(b"a:1|c");
    // Taken by the very thread that stores: were the lock held, it would wait for ever.
    house.fails(b"b:1|c");
    assert_eq!(house.flushed(), ["a 1", "b 1"]);
}

#[test]
fn values_that_would_spoil_a_sum_are_refused() {
    let check = |lines: &str, stored: &[&str], reason: &str| {
        let house = House::new();
        house.statsd.take(lines.as_bytes());
        assert_eq!(house.flushed(), stored, "{lines}");
        assert_eq!(house.dropped(reason), 1, "{lines}: {reason}");
    };
    check("a:1|c\na:1|c|@1e-320", &["a 1"], "sample_rate");
    check("a:1|c|@0.0000009", &[], "sample_rate");
    check("a:1|c\na:-1|c\na:-0|c", &["a 1"], "negative_counter");
    check("a:-1|c", &[], "negative_counter");
    check("a:1e308|c\na:1e308|c", &[&format!("a {}", 1e308)], "overflow");
    check("a:-1e308|g\na:-1e308|g", &[&format!("a -{}", 1e308)], "overflow");
    let house = House::new();
    house.statsd.take(b"t:1|ms\nt:1|ms|@1e-300\nh:1e308|h|@0.1");
    let lines = house.flushed();
    assert!(lines.contains(&"t_count 1".to_owned()) && !lines.iter().any(|line| line.starts_with('h')), "{lines:?}");
    assert_eq!(["sample_rate", "overflow"].map(|r| house.dropped(r)), [1, 1]);
}

#[test]
fn labels_are_bounded_before_they_are_kept() {
    let house = House::new();
    let tags = |n: usize| (0..n).map(|i| format!("t{i}")).collect::<Vec<_>>().join(",");
    for (line, dropped) in [
        (format!("a:1|c|#v:{}", "x".repeat(4096)), 0),
        (format!("a:1|c|#v:{}", "x".repeat(4097)), 1),
        (format!("{}:1|c", "x".repeat(257)), 2),
        (format!("a:1|c|#{}", tags(39)), 2),
        (format!("a:1|c|#{}", tags(40)), 3),
    ] {
        house.statsd.take(line.as_bytes());
        assert_eq!(house.dropped("label_limit"), dropped);
    }
    assert_eq!(house.statsd.state().series.len(), 2);
    let wide = (0..39).map(|i| format!("t{i}:{}", "x".repeat(4000))).collect::<Vec<_>>().join(",");
    for n in 0..LABEL_BYTES_MAX / (39 * 4000) + 1 {
        house.statsd.take(format!("w{n}:1|c|#{wide}").as_bytes());
    }
    assert!(house.dropped("series_limit") > 0);
    assert!(house.statsd.state().label_bytes <= LABEL_BYTES_MAX);
}

#[test]
fn members_of_a_set_are_bounded() {
    let house = House::new();
    for n in 0..MEMBERS_MAX + 2 {
        house.statsd.take(format!("users:{n}|s").as_bytes());
    }
    house.statsd.take(b"users:0|s");
    assert_eq!(house.dropped("member_limit"), 2);
    house.fails(b"users:other|s");
    assert_eq!(house.flushed(), [format!("users {MEMBERS_MAX}")]);
}

proptest! {
    #[test]
    fn garbage_never_panics(lines in prop::collection::vec(prop_oneof![any::<Vec<u8>>(), r"[a-c]:[0-9+\-.]{1,5}\|(c|g|s|ms|h|d)(\|@0\.[1-9])?(\|#[a-z:,]{0,8})?".prop_map(String::into_bytes)], 0..20)) {
        let house = House::new();
        house.statsd.take(&lines.join(&b'\n'));
        house.flushed();
    }
}
