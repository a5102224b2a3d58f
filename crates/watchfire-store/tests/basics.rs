//! The store as other rooms see it: what is written is read back, before and after a restart.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use watchfire_model::batch::{Batch, Metadata, MetricType, Origin, Samples, SeriesSamples};
use watchfire_model::labels;
use watchfire_model::labels::Labels;
use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::read::{Budget, ReadError, Selection, Series, Source};
use watchfire_model::sample::Sample;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::{Reason, Sink};
use watchfire_store::{OpenError, Options, Store};

const NOW: i64 = 1_767_089_700_000;

fn options(dir: &std::path::Path, clock: &Arc<ManualClock>) -> Options {
    Options { keeper: false, min_free_bytes: 0, ..Options::new(dir, clock.clone()) }
}

fn batch(samples: &[(Labels, i64, f64)]) -> Batch {
    let mut batch = Batch::new(Origin::new("test"));
    for (labels, time, value) in samples {
        let sample = Sample { time: Timestamp(*time), value: *value };
        batch.series.push(SeriesSamples { labels: labels.clone(), samples: Samples::One(sample) });
    }
    batch
}

fn select(store: &Store, matchers: Vec<Matcher>, start: i64, end: i64) -> Vec<Series> {
    let selection = Selection { matchers, start: Timestamp(start), end: Timestamp(end) };
    let budget = Budget::unlimited(ManualClock::new(Timestamp(NOW)));
    let mut found = Vec::new();
    store
        .select(&selection, &budget, &mut |series| {
            found.push(series);
            Ok(ControlFlow::Continue(()))
        })
        .expect("a readable store");
    found.sort_by(|a, b| a.labels.cmp(&b.labels));
    found
}

fn up(instance: &str) -> Labels {
    labels!("__name__" => "up", "instance" => instance)
}

#[test]
fn what_is_written_is_read_back_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(Timestamp(NOW));
    let store = Store::open(options(dir.path(), &clock)).unwrap();
    let written = store.write(batch(&[(up("a"), NOW, 1.0), (up("b"), NOW, f64::NAN)])).unwrap();
    assert_eq!((written.stored, written.new_series), (2, 2));
    let written = store.write(batch(&[(up("a"), NOW, 1.0), (up("b"), NOW, 2.0), (up("a"), NOW + 1, 5.0)])).unwrap();
    assert_eq!((written.stored, written.duplicates, written.rejected), (1, 1, vec![(Reason::DuplicateConflict, 1)]));
    for _ in 0..2 {
        let found = select(&store, vec![Matcher::equal("__name__", "up")], NOW - 10, NOW + 10);
        assert_eq!(found.len(), 2);
        assert_eq!((&found[0].labels, &found[0].times[..], &found[0].values[..]), (&up("a"), &[NOW, NOW + 1][..], &[1.0, 5.0][..]));
        assert!(found[1].values[0].is_nan());
    }
    store.close();
    drop(store);
    let store = Store::open(options(dir.path(), &clock)).unwrap();
    assert!(store.stats().replay.clean);
    assert_eq!(store.stats().replay.samples, 3);
    assert_eq!(select(&store, vec![], NOW, NOW).len(), 2);
}

#[test]
fn a_directory_belongs_to_one_store() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(Timestamp(NOW));
    let store = Store::open(options(dir.path(), &clock)).unwrap();
    assert!(matches!(Store::open(options(dir.path(), &clock)), Err(OpenError::Locked(_))));
    drop(store);
    Store::open(options(dir.path(), &clock)).unwrap();
}

#[test]
fn matchers_choose_series() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(Timestamp(NOW));
    let store = Store::open(options(dir.path(), &clock)).unwrap();
    let series = [up("a"), up("b"), labels!("__name__" => "up"), labels!("__name__" => "down", "instance" => "a", "x" => "1")];
    store.write(batch(&series.iter().map(|l| (l.clone(), NOW, 1.0)).collect::<Vec<_>>())).unwrap();
    for from in ["the head", "a segment"] {
        if from == "a segment" {
            store.flush().unwrap();
        }
        let check = |matchers: &[(&str, MatchOp, &str)], expected: &[usize]| {
            let matchers: Vec<_> = matchers.iter().map(|(n, op, v)| Matcher::new(n, *op, v).unwrap()).collect();
            let mut expected: Vec<_> = expected.iter().map(|i| series[*i].clone()).collect();
            expected.sort();
            assert_eq!(select(&store, matchers.clone(), NOW, NOW).into_iter().map(|s| s.labels).collect::<Vec<_>>(), expected, "{matchers:?} in {from}");
        };
        use MatchOp::{Equal, NotEqual, NotRegex, Regex};
        check(&[], &[0, 1, 2, 3]);
        check(&[("__name__", Equal, "up")], &[0, 1, 2]);
        check(&[("__name__", Equal, "up"), ("instance", NotEqual, "a")], &[1, 2]);
        check(&[("instance", Equal, "")], &[2]);
        check(&[("instance", Regex, ".+")], &[0, 1, 3]);
        check(&[("instance", Regex, "a|c")], &[0, 3]);
        check(&[("instance", Regex, "|b")], &[1, 2]);
        check(&[("instance", NotRegex, "|b")], &[0, 3]);
        check(&[("x", Equal, ""), ("instance", Regex, ".*a")], &[0]);
        check(&[("instance", Equal, "nope")], &[]);
    }
}

#[test]
fn names_values_and_metadata() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(Timestamp(NOW));
    let metadata = Metadata { family: "up".into(), kind: MetricType::Gauge, help: "Alive.".into(), unit: "".into() };
    {
        let store = Store::open(options(dir.path(), &clock)).unwrap();
        let mut batch = batch(&[(up("a"), NOW, 1.0), (labels!("__name__" => "x", "k" => "v"), NOW, 1.0)]);
        batch.metadata.push(metadata.clone());
        store.write(batch).unwrap();
    }
    let budget = Budget::unlimited(clock.clone());
    let all = Selection { matchers: vec![], start: Timestamp(NOW), end: Timestamp(NOW) };
    let ups = Selection { matchers: vec![Matcher::equal("__name__", "up")], ..all.clone() };
    let before = Selection { start: Timestamp(NOW - 10), end: Timestamp(NOW - 1), ..all.clone() };
    let mut store = Store::open(options(dir.path(), &clock)).unwrap();
    // From the log, from a segment, after a restart with nothing but the segment, from segment and head together.
    for step in 0..4 {
        match step {
            0 => {}
            1 => store.flush().unwrap(),
            2 => {
                drop(store);
                store = Store::open(options(dir.path(), &clock)).unwrap();
            }
            _ => assert_eq!(store.write(batch(&[(up("a"), NOW + 1, 1.0)])).unwrap().stored, 1),
        }
        assert_eq!(store.label_names(&all, &budget).unwrap(), ["__name__", "instance", "k"], "step {step}");
        assert_eq!(store.label_names(&ups, &budget).unwrap(), ["__name__", "instance"]);
        assert_eq!(store.label_values("__name__", &all, &budget).unwrap(), ["up", "x"]);
        assert_eq!(store.label_values("__name__", &ups, &budget).unwrap(), ["up"]);
        assert_eq!(store.label_values("nothing", &all, &budget).unwrap(), [""; 0]);
        assert_eq!(store.label_values("__name__", &before, &budget).unwrap(), [""; 0]);
        assert_eq!(store.series(&ups, &budget).unwrap(), [up("a")]);
        assert_eq!(store.series(&before, &budget).unwrap(), []);
        assert_eq!(store.metadata(), std::slice::from_ref(&metadata));
    }
}

#[test]
fn out_of_order_within_the_window() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(Timestamp(NOW));
    let store = Store::open(options(dir.path(), &clock)).unwrap();
    let hour = 3_600_000;
    store.write(batch(&[(up("a"), NOW, 1.0)])).unwrap();
    let written = store.write(batch(&[(up("a"), NOW - hour, 2.0), (up("a"), NOW - 2 * hour - 1, 3.0), (up("a"), NOW + hour, 4.0)])).unwrap();
    assert_eq!(written.stored, 1);
    assert_eq!(written.rejected, [(Reason::TooOld, 1), (Reason::TooFarFuture, 1)]);
    assert_eq!(select(&store, vec![], i64::MIN, i64::MAX)[0].times, [NOW - hour, NOW]);
    // An empty series takes any age.
    assert_eq!(store.write(batch(&[(up("b"), 0, 2.0)])).unwrap().stored, 1);
}

#[test]
fn limits_of_series() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(Timestamp(NOW));
    let store = Store::open(Options { series_max: 2, retention: Some(Duration::from_secs(60)), ..options(dir.path(), &clock) }).unwrap();
    let written = store.write(batch(&[(up("a"), NOW, 1.0), (up("b"), NOW, 1.0), (up("c"), NOW, 1.0), (up("a"), NOW - 61_000, 0.0)])).unwrap();
    assert_eq!(written.stored, 2);
    assert_eq!(written.rejected, [(Reason::TooOld, 1), (Reason::SeriesLimit, 1)]);
    assert!(written.example.is_some());
}

#[test]
fn series_that_say_how_a_source_is_doing_have_room_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(Timestamp(NOW));
    let store = Store::open(Options { series_max: 8, ..options(dir.path(), &clock) }).unwrap();
    let named = |n: usize| (up(&n.to_string()), NOW, 1.0);
    let scrape = |from: usize, n: usize, vital: usize| Batch { vital, ..batch(&(from..from + n).map(named).collect::<Vec<_>>()) };
    assert_eq!(store.write(scrape(0, 8, 0)).unwrap().stored, 8);
    // Of two further ones the last says whether the target is up.
    let written = store.write(scrape(10, 2, 1)).unwrap();
    assert_eq!((written.stored, written.rejected), (1, vec![(Reason::SeriesLimit, 1)]));
    assert_eq!(select(&store, vec![], NOW, NOW).len(), 9);
    // That room has an end, too.
    assert_eq!(store.write(scrape(20, 1, 1)).unwrap().rejected, [(Reason::SeriesLimit, 1)]);
}

/// Samples of one series that exercise every codec.
fn wild() -> Vec<(i64, f64)> {
    let bits = [0x7ff0_0000_0000_0002u64, 0x7ff8_0000_0000_0001, 0xfff0_0000_0000_0001, (-0.0f64).to_bits(), 5e-324f64.to_bits(), f64::INFINITY.to_bits()];
    (0..2000i64)
        .map(|i| {
            let value = match i {
                0..500 => i as f64,
                500..1000 => 0.1 * i as f64,
                1000..1500 => (i as f64).sin(),
                _ => f64::from_bits(bits[i as usize % bits.len()]),
            };
            (NOW - 20_000_000 + i * 10_000 + i % 7, value)
        })
        .collect()
}

fn bits(series: &Series) -> Vec<(i64, u64)> {
    series.times.iter().copied().zip(series.values.iter().map(|v| v.to_bits())).collect()
}

#[test]
fn r31_values_survive_flush_merge_and_reopening_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(Timestamp(NOW));
    let expected: Vec<_> = wild().into_iter().map(|(t, v)| (t, v.to_bits())).collect();
    let mut store = Store::open(options(dir.path(), &clock)).unwrap();
    let check = |store: &Store| {
        let found = select(store, vec![], i64::MIN, i64::MAX);
        assert_eq!(found.len(), 3);
        for series in &found {
            assert_eq!(bits(series), expected);
        }
        let (from, to) = (expected[700].0, expected[703].0);
        assert_eq!(bits(&select(store, vec![Matcher::equal("instance", "b")], from, to)[0]), expected[700..=703]);
    };
    for (i, part) in wild().chunks(450).enumerate() {
        for (time, value) in part {
            store.write(batch(&[(up("a"), *time, *value), (up("b"), *time, *value), (up("c"), *time, *value)])).unwrap();
        }
        if i < 4 {
            store.flush().unwrap();
        }
    }
    check(&store);
    store.flush().unwrap();
    check(&store);
    assert_eq!(store.stats().head_samples, 0);
    assert!(store.stats().segments >= 5);
    drop(store);
    store = Store::open(options(dir.path(), &clock)).unwrap();
    check(&store);
    // Days that are over are merged when newer data is there.
    clock.advance(Duration::from_secs(3 * 86_400));
    store.write(batch(&[(up("later"), NOW + 3 * 86_400_000, 1.0)])).unwrap();
    store.flush().unwrap();
    while store.merge().unwrap() {}
    assert!(store.stats().segments <= 3, "{:?}", store.stats());
    let found = select(&store, vec![Matcher::equal("instance", "a")], i64::MIN, i64::MAX);
    assert_eq!(bits(&found[0]), expected);
    drop(store);
    store = Store::open(options(dir.path(), &clock)).unwrap();
    assert_eq!(bits(&select(&store, vec![Matcher::equal("instance", "a")], i64::MIN, i64::MAX)[0]), expected);
}

#[test]
fn r30_duplicates_are_found_in_segments_too() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(Timestamp(NOW));
    let request = batch(&[(up("a"), NOW - 5000, 1.0), (up("a"), NOW, 2.0), (up("b"), NOW, f64::NAN)]);
    let mut store = Store::open(options(dir.path(), &clock)).unwrap();
    assert_eq!(store.write(request.clone()).unwrap().stored, 3);
    for step in 0..4 {
        match step {
            0 => {}
            1 => store.flush().unwrap(),
            2 => {
                drop(store);
                store = Store::open(options(dir.path(), &clock)).unwrap();
            }
            _ => store.flush().unwrap(),
        }
        let written = store.write(request.clone()).unwrap();
        assert_eq!((written.stored, written.duplicates), (0, 3), "step {step}");
        let written = store.write(batch(&[(up("a"), NOW, 3.0)])).unwrap();
        assert_eq!((written.stored, written.rejected), (0, vec![(Reason::DuplicateConflict, 1)]), "step {step}");
    }
    let found = select(&store, vec![Matcher::equal("instance", "a")], i64::MIN, i64::MAX);
    assert_eq!((&found[0].times[..], &found[0].values[..]), (&[NOW - 5000, NOW][..], &[1.0, 2.0][..]));
}

#[test]
fn reads_writes_flushes_and_merges_at_the_same_time() {
    let dir = tempfile::tempdir().unwrap();
    // A real clock and a keeper; tiny limits keep it busy. Every write is synced, so writers share syncs.
    let clock = watchfire_model::time::SystemClock::shared();
    let busy =
        Options { memory_max: 1 << 20, wal_file_bytes: 64 << 10, sync_interval: Duration::ZERO, min_free_bytes: 0, ..Options::new(dir.path(), clock.clone()) };
    let meter = busy.meter.clone();
    let store = Store::open(busy).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..100 {
                    let samples: Vec<_> = (0..10).map(|s| (up(&format!("{writer}-{s}")), NOW + n * 1000, n as f64)).collect();
                    assert_eq!(store.write(batch(&samples)).unwrap().stored, 10);
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..20 {
                store.flush().unwrap();
                store.merge().unwrap();
            }
        });
        scope.spawn(|| {
            let mut least = 0;
            for _ in 0..50 {
                let found = select(&store, vec![Matcher::equal("instance", "1-5")], NOW, NOW + 1_000_000);
                let times = found.first().map_or(&[][..], |s| &s.times);
                assert!(times.len() >= least, "samples never vanish while files move");
                assert!(times.iter().enumerate().all(|(n, t)| *t == NOW + n as i64 * 1000));
                least = times.len();
            }
        });
    });
    let found = select(&store, vec![], NOW, NOW + 1_000_000);
    assert_eq!(found.len(), 30);
    assert!(found.iter().all(|s| s.times.len() == 100));
    let families = meter.gather();
    let value = |name: &str| families.iter().find(|f| &*f.name == name).unwrap().points[0].1;
    assert_eq!(value("watchfire_storage_samples_appended_total"), 3000.0);
    assert_eq!(value("watchfire_storage_writable"), 1.0);
    store.close();
    assert!(matches!(store.write(batch(&[(up("a"), NOW, 1.0)])), Err(watchfire_model::write::WriteError::Closed)));
    assert_eq!(select(&store, vec![], NOW, NOW + 1_000_000).len(), 30);
}

#[test]
fn a_damaged_state_file_does_not_prevent_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(Timestamp(NOW));
    drop(Store::open(options(dir.path(), &clock)).unwrap());
    std::fs::write(dir.path().join("state.redb"), b"nonsense").unwrap();
    let store = Store::open(options(dir.path(), &clock)).unwrap();
    assert!(store.stats().state_reset);
    assert_eq!(store.stats().quarantined, 1);
    assert_eq!(std::fs::read(dir.path().join("quarantine/state.redb")).unwrap(), b"nonsense");
    drop(store);
    assert!(!Store::open(options(dir.path(), &clock)).unwrap().stats().state_reset);
}

#[test]
fn a_budget_ends_a_read_early() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(Timestamp(NOW));
    let store = Store::open(options(dir.path(), &clock)).unwrap();
    let samples = (0..60_000).map(|n| Sample { time: Timestamp(NOW - 60_000_000 + n * 1000), value: n as f64 }).collect();
    let mut long = Batch::new(Origin::new("test"));
    long.series.push(SeriesSamples { labels: up("long"), samples: Samples::Many(samples) });
    long.series.extend(batch(&[(up("a"), NOW, 1.0), (up("b"), NOW, 1.0)]).series);
    store.write(long).unwrap();
    let all = Selection { matchers: vec![], start: Timestamp::MIN, end: Timestamp::MAX };
    for from in ["head", "segment"] {
        let read = |budget: &Budget| {
            let mut count = 0;
            let result = store.select(&all, budget, &mut |_| {
                count += 1;
                Ok(ControlFlow::Continue(()))
            });
            (result.map(|()| count), count)
        };
        let budget = |samples, memory| Budget::new(clock.clone(), Duration::from_secs(60), samples, memory);
        assert!(matches!(read(&budget(60_002, u64::MAX)).0, Ok(3)), "{from}");
        assert!(matches!(read(&budget(60_001, u64::MAX)).0, Err(ReadError::TooManySamples(60_001))), "{from}");
        assert!(matches!(read(&budget(20_000, u64::MAX)).0, Err(ReadError::TooManySamples(_))), "{from}");
        assert!(matches!(read(&budget(u64::MAX, 100_000)).0, Err(ReadError::TooMuchMemory(_))), "{from}");
        let cancelled = budget(u64::MAX, u64::MAX);
        cancelled.cancel();
        assert!(matches!(read(&cancelled), (Err(ReadError::Cancelled), 0)), "{from}");
        let mut seen = 0;
        let stopped = store.select(&all, &budget(u64::MAX, u64::MAX), &mut |_| {
            seen += 1;
            Ok(ControlFlow::Break(()))
        });
        assert!(stopped.is_ok() && seen == 1);
        store.flush().unwrap();
    }
}
