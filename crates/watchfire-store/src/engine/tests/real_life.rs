//! What real series do over days: they come and go, arrive late and twice, and the disk fills up meanwhile.

use watchfire_model::matcher::Matcher;

use super::*;
use crate::metrics::postings::Index;

#[test]
fn churn_over_days_does_not_grow_memory() {
    const SERIES: u64 = 60;
    const STEP: i64 = 10 * 60_000;
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(NOW));
    let keep = Options { retention: Some(Duration::from_secs(2 * 86_400)), exemplars_max: 500, ..options(&clock) };
    let engine = Engine::open(Arc::new(disk.clone()), keep).unwrap();
    let hours = 5 * 24;
    let (mut most_series, mut files) = (0, Vec::new());
    for step in 0..hours * 3_600_000 / STEP {
        let time = NOW + step * STEP;
        // A tenth of the series is replaced every hour.
        let first = (step * STEP / 3_600_000) as u64 * SERIES / 10;
        let samples: Vec<_> = (first..first + SERIES).map(|n| (series(n), time, n as f64 * 0.5 + step as f64)).collect();
        let batch = with_histogram(batch(&samples), series(first), time + 1, counter(step as u64));
        assert_eq!(engine.write(&batch).unwrap().stored, SERIES + 1);
        clock.advance(Duration::from_millis(STEP as u64));
        engine.tick();
        let stats = engine.stats();
        most_series = most_series.max(stats.series);
        if stats.head_samples == 0 {
            assert_eq!(stats.head_bytes, 0, "nothing is counted that is not there, step {step}");
        }
        let head = &engine.read().head;
        assert_eq!(head.value_count("n"), head.live(), "labels of dead series leave the index");
        assert!(head.places() < 1024 + 4 * 128, "{}", head.places());
        files.push(disk.files().values().map(Vec::len).sum::<usize>());
    }
    // Those of two hours until the flush, one hour of idleness, and what comes meanwhile.
    assert!(most_series < SERIES * 2, "{most_series}");
    let day = files.len() / 5;
    let (third, fifth) = (files[2 * day..3 * day].iter().max(), files[4 * day..].iter().max());
    assert!(fifth < third.map(|bytes| bytes * 5 / 4).as_ref(), "retention holds the size: {third:?}, {fifth:?}");
}

#[test]
fn a_crowd_that_has_gone_gives_its_memory_back() {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(NOW));
    let engine = Engine::open(Arc::new(disk.clone()), options(&clock)).unwrap();
    let crowd: Vec<_> = (0..20_000).map(|n| (series(n), NOW, 1.0)).collect();
    engine.write(&batch(&crowd)).unwrap();
    clock.advance(Duration::from_secs(2 * 3600));
    engine.write(&batch(&[(series(19_999), NOW + 2 * HOUR, 1.0), (series(3), NOW + 2 * HOUR, 1.0)])).unwrap();
    engine.flush().unwrap();
    clock.advance(Duration::from_secs(2 * 3600));
    for n in 4..10 {
        engine.write(&batch(&[(series(n), NOW + 4 * HOUR, 2.0)])).unwrap();
    }
    engine.flush().unwrap();
    assert_eq!(engine.stats().series, 6);
    assert!(engine.read().head.places() < 2000, "{}", engine.read().head.places());
    // Slots are taken again in a log that still knows who was who.
    for n in 4..200 {
        engine.write(&batch(&[(series(n), NOW + 4 * HOUR + 1, 3.0)])).unwrap();
    }
    let all = everything(&engine);
    assert_eq!(all.len(), 20_000);
    drop(engine);
    assert_eq!(everything(&open(&disk)), all);
}

#[test]
fn without_a_window_late_samples_are_out_of_order() {
    let clock = ManualClock::new(Timestamp(NOW));
    let engine = Engine::open(Arc::new(SimulatedDisk::default()), Options { out_of_order_window: Duration::ZERO, ..options(&clock) }).unwrap();
    engine.write(&batch(&[(series(1), NOW, 1.0)])).unwrap();
    assert_eq!(engine.write(&batch(&[(series(1), NOW - 1, 1.0)])).unwrap().rejected, [(Reason::OutOfOrder, 1)]);
    let late = with_histogram(batch(&[]), series(1), NOW - 1, counter(1));
    assert_eq!(engine.write(&late).unwrap().rejected, [(Reason::OutOfOrder, 1)]);
    assert_eq!(engine.write(&batch(&[(series(1), NOW, 1.0)])).unwrap().duplicates, 1);
}

#[test]
fn r13_on_a_full_disk_deletions_and_snapshots_fail_whole() {
    let (disk, whole) = full_disk();
    disk.set_room(Some(0));
    let engine = open(&disk);
    let all = [vec![Matcher::equal("n", "1")]];
    assert!(engine.delete_series(&all, i64::MIN, i64::MAX).is_err());
    assert!(engine.snapshot(Path::new("/data/snapshots/one"), false, &|_| Ok(())).is_err());
    assert_eq!(everything(&engine), whole);
    assert!(!disk.files().keys().any(|p| p.to_string_lossy().contains("snapshots") || p.to_string_lossy().ends_with(".tmp")));
    drop(engine);
    disk.heal();
    let engine = open(&disk);
    assert_eq!(everything(&engine), whole);
    engine.delete_series(&all, i64::MIN, i64::MAX).unwrap();
    assert_eq!(everything(&engine).len(), whole.len() - 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]
    /// Whatever the order of arrival within the window, the result is that of the order of time.
    #[test]
    fn r29_late_samples_end_where_they_belong(
        gaps in proptest::collection::vec(1i64..600_000, 2..80),
        order in proptest::collection::vec(0i64..7_000_000, 80),
        flushes in proptest::collection::btree_set(0usize..80, 0..5),
    ) {
        let mut time = NOW - 60_000_000;
        let samples: Vec<_> = gaps.iter().enumerate().map(|(n, gap)| { time += gap; (time, n as u64) }).collect();
        // Each comes at most two hours after its time, so it is never later than the window.
        let mut arrivals: Vec<_> = samples.iter().zip(order).map(|((time, n), delay)| (time + delay, *time, *n)).collect();
        arrivals.sort_unstable();
        let engine = open(&SimulatedDisk::default());
        let mut expected: BTreeMap<i64, u64> = BTreeMap::new();
        for (step, (_, time, n)) in arrivals.into_iter().enumerate() {
            let histogram = n % 3 == 0;
            let batch = if histogram { with_histogram(batch(&[]), series(1), time, counter(n)) } else { batch(&[(series(1), time, n as f64)]) };
            prop_assert_eq!(engine.write(&batch).unwrap().stored, 1);
            expected.insert(time, if histogram { fingerprint(&counter(n)) } else { (n as f64).to_bits() });
            if flushes.contains(&step) {
                engine.flush().unwrap();
            }
        }
        prop_assert_eq!(everything(&engine), Everything::from([(series(1).to_string(), expected.into_iter().collect())]));
    }
}
