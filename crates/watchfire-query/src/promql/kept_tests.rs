//! Windows answer as samples do, wherever a range is made of whole ones; where it is not, samples are read.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use watchfire_model::labels;
use watchfire_model::labels::Labels;
use watchfire_model::read::{Budget, ReadError, Selection, Source, Visitor, WindowVisitor, window_range};
use watchfire_model::sample::stale_nan;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::windows::Kept;
use watchfire_testkit::memory::Memory;

use super::*;

const MINUTE: i64 = 60_000;
const RESOLUTION: i64 = 5 * MINUTE;
const STEPS: i64 = 6;

/// A source that keeps windows, and counts who asks for them. Samples before a moment can be hidden, as retention does.
struct Keeping<'a> {
    memory: &'a Memory,
    kept: Vec<Kept>,
    samples_from: i64,
    asked: AtomicU32,
}

impl<'a> Keeping<'a> {
    fn new(memory: &'a Memory, samples_from: i64) -> Keeping<'a> {
        let kept = Kept { resolution_ms: RESOLUTION, since: i64::MIN, until: i64::MAX, alone_until: samples_from - 1 };
        Keeping { memory, kept: vec![kept], samples_from, asked: AtomicU32::new(0) }
    }
}

impl Source for Keeping<'_> {
    fn select(&self, selection: &Selection, budget: &Budget, visit: &mut Visitor<'_>) -> Result<(), ReadError> {
        let start = selection.start.max(Timestamp(self.samples_from));
        self.memory.select(&Selection { start, ..selection.clone() }, budget, visit)
    }
    fn series(&self, selection: &Selection, budget: &Budget) -> Result<Vec<Labels>, ReadError> {
        self.memory.series(selection, budget)
    }
    fn kept_windows(&self) -> Vec<Kept> {
        self.kept.clone()
    }
    fn windows(&self, selection: &Selection, resolution_ms: i64, budget: &Budget, visit: &mut WindowVisitor<'_>) -> Result<(), ReadError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        assert_eq!(window_range(selection, resolution_ms), Some((selection.start, selection.end)), "whole windows only");
        self.memory.windows(selection, resolution_ms, budget, visit)
    }
}

fn ask(source: &dyn Source, query: &str, (start, step): (i64, i64)) -> Answer {
    let budget = Budget::unlimited(ManualClock::new(Timestamp(0)));
    let (start, end) = (Timestamp(start), Timestamp(start + (STEPS - 1) * step));
    let answer = Engine::default().range(source, query, start, end, Duration::from_millis(step as u64), &budget);
    answer.unwrap_or_else(|e| panic!("{query}: {e}"))
}

type Points = Vec<(String, Vec<(i64, f64)>)>;

fn points(answer: &Answer) -> Points {
    let Value::Matrix(series) = &answer.value else { panic!("a matrix") };
    series.iter().map(|s| (s.labels.to_string(), s.points.iter().map(|p| (p.time.0, p.value)).collect())).collect()
}

/// The same but for the last digits, as sums come out in another order.
fn close(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a.is_finite() && b.is_finite()) && (a - b).abs() <= 1e-12 * a.abs().max(b.abs()).max(1e3)
}

fn assert_same(found: &Points, expected: &Points, what: &str) {
    let shape = |points: &Points| points.iter().map(|(labels, points)| (labels.clone(), points.iter().map(|p| p.0).collect::<Vec<_>>())).collect::<Vec<_>>();
    assert_eq!(shape(found), shape(expected), "{what}");
    for ((labels, found), (_, expected)) in found.iter().zip(expected) {
        assert!(found.iter().zip(expected).all(|(a, b)| close(a.1, b.1)), "{what} of {labels}: {found:?}, expected {expected:?}");
    }
}

fn told(answer: &Answer, text: &str) -> usize {
    answer.infos.iter().filter(|info| info.contains(text)).count()
}

const FROM_WINDOWS: &str = "computed from windows of 5m";
const ONLY_WINDOWS: &str = "are kept only as windows of 5m";
const EXACT: [&str; 14] = [
    "rate(a_total[W])",
    "increase(a_total[W])",
    "delta(a_total[W])",
    "avg_over_time(a_total[W])",
    "count_over_time(a_total[W])",
    "first_over_time(a_total[W])",
    "last_over_time(a_total[W])",
    "max_over_time(a_total[W])",
    "min_over_time(a_total[W])",
    "present_over_time(a_total[W])",
    "sum_over_time(a_total[W])",
    "ts_of_first_over_time(a_total[W])",
    "ts_of_last_over_time(a_total[W])",
    "absent_over_time(a_total[W])",
];
const OF_SAMPLES: [&str; 6] = [
    "changes(a_total[W])",
    "quantile_over_time(0.5, a_total[W])",
    "irate(a_total[W])",
    "rate(a_total[W] anchored)",
    "max_over_time(rate(a_total[3m])[W:1m])",
    "stddev_over_time(a_total[W])",
];

/// What stands at a sample: a whole or a broken number, a number that is none, a marker.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (0i32..60).prop_map(f64::from),
        4 => (-50i32..50).prop_map(|n| f64::from(n) / 7.0),
        1 => Just(stale_nan()),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, -0.0, 1e6]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Counters with resets, gaps and markers; many samples lie on borders of windows.
    #[test]
    fn windows_answer_as_samples_do(
        series in prop::collection::vec(prop::collection::vec((prop_oneof![Just(30_000i64), Just(MINUTE), 1i64..900_000], value()), 1..60), 1..4),
        windows in 1i64..4,
        (step, start, offset) in (1i64..4, -2i64..8, -2i64..3),
    ) {
        let memory = Memory::new();
        for (n, samples) in series.iter().enumerate() {
            let mut time = 0;
            for (distance, value) in samples {
                time += distance;
                memory.add(&labels!("__name__" => "a_total", "n" => &n.to_string()), Timestamp(time), *value);
            }
        }
        let keeping = Keeping::new(&memory, i64::MIN + 1);
        let grid = (start * RESOLUTION, step * RESOLUTION);
        let window = format!("{}m", windows * 5);
        for query in EXACT {
            let query = format!("{} ", query.replace('W', &window)).replace(")", &format!(" offset {}m)", offset * 5));
            let before = keeping.asked.load(Ordering::Relaxed);
            let (found, expected) = (ask(&keeping, &query, grid), ask(&memory, &query, grid));
            prop_assert!(keeping.asked.load(Ordering::Relaxed) > before, "{query} asks for windows");
            assert_same(&points(&found), &points(&expected), &query);
            prop_assert!(told(&found, FROM_WINDOWS) <= 1 && told(&found, ONLY_WINDOWS) == 0);
        }
        // Whatever is not aligned, and functions that need single samples, read samples.
        let before = keeping.asked.load(Ordering::Relaxed);
        let unaligned = [("6m", grid), ("5m", (grid.0 + 1, grid.1)), ("5m", (grid.0, grid.1 + MINUTE)), ("5m offset 1m", grid)];
        let of_samples = OF_SAMPLES.iter().map(|query| (query.replace('W', &window), grid));
        for (query, grid) in unaligned.iter().map(|(range, grid)| (format!("rate(a_total[{}", range.replacen('m', "m]", 1) + ")"), *grid)).chain(of_samples) {
            assert_same(&points(&ask(&keeping, &query, grid)), &points(&ask(&memory, &query, grid)), &query);
        }
        prop_assert_eq!(keeping.asked.load(Ordering::Relaxed), before);
    }
}

/// A counter of one every half minute over an hour and a half, the last sample of a window on its border.
fn filled() -> Memory {
    let memory = Memory::new();
    for n in 0..180 {
        memory.add(&labels!("__name__" => "a_total"), Timestamp(n * 30_000), n as f64);
    }
    memory
}

#[test]
fn removed_samples_are_seen_through_windows_or_said_to_be_removed() {
    let memory = filled();
    let removed = Keeping::new(&memory, 50 * MINUTE);
    let grid = (2 * RESOLUTION, 2 * RESOLUTION);
    for query in EXACT {
        let query = query.replace('W', "10m");
        let (found, expected) = (ask(&removed, &query, grid), ask(&memory, &query, grid));
        assert_same(&points(&found), &points(&expected), &query);
        assert_eq!((told(&found, FROM_WINDOWS), told(&found, ONLY_WINDOWS)), (1, 0), "{query}");
    }
    for (query, grid) in
        [("a_total", grid), ("rate(a_total[7m])", grid), ("changes(a_total[10m]) + changes(a_total[5m])", grid), ("rate(a_total[5m])", (grid.0 + 1, grid.1))]
    {
        let found = ask(&removed, query, grid);
        assert_eq!((told(&found, FROM_WINDOWS), told(&found, ONLY_WINDOWS)), (0, 1), "{query}: {:?}", found.infos);
        assert!(points(&found).iter().all(|(_, points)| points.iter().all(|(time, _)| *time >= 50 * MINUTE)), "{query}: nothing where samples have gone");
    }
    let found = ask(&removed, "a_total", (60 * MINUTE, MINUTE));
    assert_eq!(found.infos, Vec::<String>::new(), "nobody asks for what was removed");
}

#[test]
fn native_histograms_are_asked_of_samples() {
    let memory = filled();
    memory.add_histogram(&labels!("__name__" => "h_total"), Timestamp(20 * MINUTE), Default::default());
    let keeping = Keeping::new(&memory, i64::MIN + 1);
    let query = "sum(count_over_time({__name__=~'a_total|h_total'}[10m]))";
    let found = ask(&keeping, query, (20 * MINUTE, 10 * MINUTE));
    assert_same(&points(&found), &points(&ask(&memory, query, (20 * MINUTE, 10 * MINUTE))), query);
    assert_eq!((points(&found).len(), told(&found, FROM_WINDOWS)), (1, 0));
    assert_eq!(points(&found)[0].1[0], (20 * MINUTE, 21.0));
}

#[test]
fn of_several_tiers_the_one_that_tells_all_is_read() {
    let memory = filled();
    let kept = |minutes: i64, since: i64| Kept { resolution_ms: minutes * MINUTE, since, until: 60 * MINUTE, alone_until: 45 * MINUTE };
    let with = |kept: Vec<Kept>| Keeping { kept, ..Keeping::new(&memory, i64::MIN + 1) };
    let query = "increase(a_total[30m])";
    let read = |kept: Vec<Kept>| ask(&with(kept), query, (30 * MINUTE, 30 * MINUTE)).infos;
    let from = |length: &str| vec![format!("PromQL info: computed from windows of {length}, which tell the same as the samples (1:10)")];
    assert_eq!(read(vec![kept(5, i64::MIN), kept(15, i64::MIN)]), from("15m"), "fewer windows");
    assert_eq!(read(vec![kept(5, i64::MIN), kept(15, 30 * MINUTE)]), from("5m"), "it reaches further back");
    assert_eq!(read(vec![kept(5, i64::MIN), kept(60, i64::MIN)]), from("5m"), "hours do not fit");
    let short = read(vec![kept(5, 30 * MINUTE + 1), kept(60, i64::MIN)]);
    assert_eq!((short.len(), &short[..1]), (2, &from("5m")[..]));
    assert!(short[1].contains("samples up to 1970-01-01T00:30:00Z are kept only as windows of 5m, 1h"), "{short:?}");
    let late = Kept { until: 0, alone_until: 0, ..kept(5, i64::MIN) };
    assert_eq!(read(vec![late]), Vec::<String>::new(), "no window of the range is stored");
}
