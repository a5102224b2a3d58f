//! Old data in a real store: samples go, their windows stay, and queries tell what the samples told.

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::batch::{Batch, Origin, Samples, SeriesSamples};
use watchfire_model::labels;
use watchfire_model::read::{Budget, Source};
use watchfire_model::sample::{Sample, stale_nan};
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::Sink;
use watchfire_query::promql::{Answer, Engine, Value};
use watchfire_store::{Options, Store, Tier};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;
/// A Thursday, as the weeks of tiers begin.
const START: i64 = 1_760_000_000_000 / WEEK * WEEK;
const STEP: i64 = 15 * MINUTE;

/// Three weeks and a half of a counter with resets, a gap and staleness markers, and of a gauge; every fourth sample is on a border.
fn fill(store: &Store, clock: &ManualClock) {
    for n in 0..(7 * WEEK / 2 / STEP) {
        let time = START + n * STEP;
        clock.jump_to(Timestamp(time));
        let mut batch = Batch::new(Origin::new("test"));
        let mut put = |labels, value| batch.series.push(SeriesSamples { labels, samples: Samples::One(Sample { time: Timestamp(time), value }) });
        put(labels!("__name__" => "gauge"), (n as f64 * 0.37).sin());
        match n % 400 {
            0..=300 => put(labels!("__name__" => "requests_total"), (n % 90) as f64),
            301 => put(labels!("__name__" => "requests_total"), stale_nan()),
            _ => {}
        }
        store.write(batch).expect("room");
        if n % 96 == 95 {
            store.flush().expect("room");
        }
    }
    store.flush().expect("room");
}

fn ask(store: &Store, query: &str, (start, end, step): (i64, i64, i64)) -> Answer {
    let budget = Budget::unlimited(ManualClock::new(Timestamp(START)));
    let answer = Engine::default().range(store, query, Timestamp(start), Timestamp(end), Duration::from_millis(step as u64), &budget);
    answer.unwrap_or_else(|e| panic!("{query}: {e}"))
}

fn points(answer: &Answer) -> Vec<(i64, f64)> {
    let Value::Matrix(series) = &answer.value else { panic!("a matrix") };
    series.iter().flat_map(|s| s.points.iter().map(|p| (p.time.0, p.value))).collect()
}

fn told(answer: &Answer, text: &str) -> usize {
    answer.infos.iter().filter(|info| info.contains(text)).count()
}

/// Asks again and compares with what was answered from samples; sums come out in another order.
fn check(store: &Store, queries: &[String], before: &[Answer], grid: (i64, i64, i64)) {
    for (query, before) in queries.iter().zip(before) {
        let (found, expected) = (ask(store, query, grid), points(before));
        assert_eq!((told(&found, "computed from windows of 1h"), told(&found, "are kept only")), (1, 0), "{query}: {:?}", found.infos);
        let found = points(&found);
        assert_eq!(found.len(), expected.len(), "{query}");
        let same = |(a, b): (&(i64, f64), &(i64, f64))| {
            a.0 == b.0 && (a.1 == b.1 || b.1.is_nan() && a.1.is_nan() || (a.1 - b.1).abs() <= 1e-12 * b.1.abs().max(1.0) && b.1.is_finite())
        };
        assert!(!expected.is_empty() && found.iter().zip(&expected).all(same), "{query}: {found:?}, expected {expected:?}");
    }
}

#[test]
fn queries_see_windows_where_samples_have_gone() {
    let dir = tempfile::tempdir().unwrap();
    let clock: Arc<ManualClock> = ManualClock::new(Timestamp(START));
    let options = || Options { keeper: false, min_free_bytes: 0, ..Options::new(dir.path(), clock.clone() as Arc<_>) };
    let store = Store::open(options()).unwrap();
    fill(&store, &clock);
    let end = START + 7 * WEEK / 2;
    let queries: Vec<String> = ["rate", "increase", "delta"]
        .map(|f| format!("{f}(requests_total[1d])"))
        .into_iter()
        .chain(["avg", "sum", "min", "max", "count", "first", "last", "present"].map(|f| format!("{f}_over_time(gauge[6h] offset 1h)")))
        .chain(["sum(rate(requests_total[2h]))".to_owned(), "max_over_time(gauge[4w] @ end())".to_owned()])
        .collect();
    let grid = (START + DAY, end, 6 * HOUR);
    let before: Vec<_> = queries.iter().map(|query| ask(&store, query, grid)).collect();
    assert!(before.iter().all(|answer| told(answer, "windows") == 0), "there are none yet");
    drop(store);
    // Windows of an hour are kept, samples for ten days.
    let tier = Tier { resolution: Duration::from_secs(3600), after: Duration::from_secs(86_400), keep: Some(Duration::from_secs(365 * 86_400)) };
    let store = Store::open(Options { tiers: vec![tier], retention: Some(Duration::from_secs(10 * 86_400)), ..options() }).unwrap();
    assert_eq!(points(&ask(&store, &queries[0], grid)), points(&before[0]), "none are written yet");
    while store.downsample().unwrap() {}
    assert_eq!((store.stats().tiers, store.kept_windows()[0].alone_until), (4, i64::MIN), "the first sample is in the week before");
    check(&store, &queries, &before, grid);
    for _ in 0..60 {
        clock.advance(Duration::from_secs(61));
        store.tick();
    }
    let alone_until = store.kept_windows()[0].alone_until;
    assert!(alone_until >= START + WEEK, "samples have gone: {:?}", store.kept_windows());
    check(&store, &queries, &before, grid);
    // What windows cannot tell is not guessed, and the answer says what there is.
    for query in ["gauge", "rate(requests_total[90m])", "quantile_over_time(0.9, gauge[1d])", "stddev_over_time(gauge[1h])"] {
        let found = ask(&store, query, (START + DAY, START + 2 * DAY, HOUR));
        assert_eq!((points(&found).len(), told(&found, "are kept only as windows of 1h")), (0, 1), "{query}: {:?}", found.infos);
    }
    let found = ask(&store, "gauge", (end - DAY, end, HOUR));
    assert_eq!((points(&found).is_empty(), found.infos.len()), (false, 0));
    // A year later the windows go, too.
    clock.advance(Duration::from_secs(366 * 86_400));
    for _ in 0..60 {
        clock.advance(Duration::from_secs(61));
        store.tick();
    }
    assert_eq!((store.kept_windows(), store.stats().tiers), (vec![], 0));
}
