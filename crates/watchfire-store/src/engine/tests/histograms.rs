//! Native histograms in the engine: judged as floats are, kept to the last bit, and honest about counter resets.

use super::*;

fn written(engine: &Engine, labels: Labels, time: i64, value: Histogram) -> (u64, u64, Vec<(Reason, u64)>) {
    let written = engine.write(&with_histogram(batch(&[]), labels, time, value)).expect("room");
    assert_eq!(written.histograms, written.stored + written.duplicates);
    (written.stored, written.duplicates, written.rejected)
}

fn read(engine: &Engine, start: i64, end: i64) -> Vec<Series> {
    let selection = Selection { matchers: vec![], start: Timestamp(start), end: Timestamp(end) };
    let mut found = Vec::new();
    let read = engine.select(&selection, &Budget::unlimited(ManualClock::new(Timestamp(NOW))), &mut |series| {
        found.push(series);
        Ok(ControlFlow::Continue(()))
    });
    read.expect("a readable engine");
    found
}

#[test]
fn histograms_are_judged_as_floats_are() {
    let engine = open(&SimulatedDisk::default());
    let refused = |reason| (0, 0, vec![(reason, 1)]);
    assert_eq!(written(&engine, series(1), NOW, counter(5)), (1, 0, vec![]));
    for flushed in [false, true] {
        if flushed {
            engine.flush().unwrap();
        }
        assert_eq!(written(&engine, series(1), NOW, counter(5)), (0, 1, vec![]));
        assert_eq!(written(&engine, series(1), NOW, Histogram { reset: CounterReset::Reset, ..counter(5) }), (0, 1, vec![]), "resets are known of neighbours");
        assert_eq!(written(&engine, series(1), NOW, counter(6)), refused(Reason::DuplicateConflict));
        assert_eq!(engine.write(&batch(&[(series(1), NOW, 1.0)])).unwrap().rejected, [(Reason::DuplicateConflict, 1)], "a float is another value");
        assert_eq!(written(&engine, series(1), NOW + HOUR, counter(6)), refused(Reason::TooFarFuture));
        assert_eq!(written(&engine, series(1), NOW - 3 * HOUR, counter(6)), refused(Reason::TooOld));
    }
    assert_eq!(written(&engine, series(1), NOW - HOUR, counter(4)), (1, 0, vec![]));
    assert_eq!(written(&engine, series(1), NOW + 1, Histogram { schema: 20, ..counter(6) }), refused(Reason::InvalidHistogram));
    // In one batch the first counts, and a float counts before a histogram.
    let both = with_histogram(batch(&[(series(2), NOW, 1.0)]), series(2), NOW, counter(1));
    let both = with_histogram(with_histogram(both, series(2), NOW + 1, counter(2)), series(2), NOW + 1, counter(3));
    let both = with_histogram(both, series(2), NOW + 1, counter(2));
    let outcome = engine.write(&both).unwrap();
    assert_eq!((outcome.stored, outcome.duplicates, outcome.rejected), (2, 1, vec![(Reason::DuplicateConflict, 2)]));
    assert_eq!(outcome.histograms, 2, "one stored, one repeated");
    let limited = Engine::open(Arc::new(SimulatedDisk::default()), Options { series_max: 1, ..options(&ManualClock::new(Timestamp(NOW))) }).unwrap();
    assert_eq!(written(&limited, series(1), NOW, counter(1)), (1, 0, vec![]));
    assert_eq!(written(&limited, series(2), NOW, counter(1)), refused(Reason::SeriesLimit));
}

#[test]
fn a_series_of_histograms_ends_with_a_histogram() {
    let engine = open(&SimulatedDisk::default());
    let stale = watchfire_model::sample::stale_nan();
    engine.write(&with_histogram(batch(&[(series(2), NOW, 1.0)]), series(1), NOW, counter(1))).unwrap();
    for repeated in [false, true] {
        let outcome = engine.write(&batch(&[(series(1), NOW + 1, stale), (series(2), NOW + 1, stale)])).unwrap();
        assert_eq!((outcome.stored, outcome.duplicates), if repeated { (0, 2) } else { (2, 0) });
    }
    let found = read(&engine, NOW + 1, NOW + 1);
    let (histograms, floats): (Vec<_>, Vec<_>) = found.into_iter().partition(|s| s.times.is_empty());
    assert!(histograms[0].histograms[0].value.is_stale());
    assert_eq!(floats[0].values[0].to_bits(), stale.to_bits());
}

#[test]
fn resets_are_remembered_as_they_were_found() {
    let engine = open(&SimulatedDisk::default());
    let of = |count: f64, reset| Histogram { count, zero_count: count, integer: true, reset, ..Histogram::default() };
    use CounterReset::{Gauge, NotReset, Reset, Unknown};
    for (time, count, reset) in [(10, 1.0, NotReset), (20, 2.0, Unknown), (30, 1.0, NotReset), (40, 5.0, Reset), (50, 6.0, Unknown)] {
        written(&engine, series(1), NOW + time, of(count, reset));
        written(&engine, series(2), NOW + time, of(count, Gauge));
    }
    let resets = |engine: &Engine, n: u64| -> Vec<CounterReset> {
        let all = read(engine, i64::MIN, i64::MAX);
        all.iter().filter(|s| s.labels == series(n)).flat_map(|s| s.histograms.iter().map(|h| h.value.reset)).collect()
    };
    assert_eq!(resets(&engine, 1), [Unknown, NotReset, Reset, Reset, NotReset]);
    assert_eq!(resets(&engine, 2), [Gauge; 5]);
    // A late histogram and a late float make the next one uncertain.
    written(&engine, series(1), NOW + 25, of(0.0, NotReset));
    engine.write(&batch(&[(series(1), NOW + 35, 1.0)])).unwrap();
    let expected = [Unknown, NotReset, Unknown, Unknown, Unknown, NotReset];
    assert_eq!(resets(&engine, 1), expected);
    engine.flush().unwrap();
    assert_eq!(resets(&engine, 1), expected);
}

/// What a random run does next.
#[derive(Clone, Debug)]
enum Step {
    Histogram { late: bool, value: Histogram },
    Float { late: bool },
    Flush,
    Merge,
    Reopen,
}

fn any_step() -> impl Strategy<Value = Step> {
    let value = (0u64..40).prop_map(counter);
    prop_oneof![
        6 => (proptest::bool::weighted(0.2), value).prop_map(|(late, value)| Step::Histogram { late, value }),
        1 => proptest::bool::weighted(0.3).prop_map(|late| Step::Float { late }),
        1 => Just(Step::Flush),
        1 => Just(Step::Merge),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn r31_histograms_survive_everything_and_resets_are_true(steps in proptest::collection::vec(any_step(), 1..60), cut in 0usize..60) {
        let disk = SimulatedDisk::default();
        let mut engine = open(&disk);
        let mut floats: BTreeMap<i64, f64> = BTreeMap::new();
        let mut histograms: BTreeMap<i64, Histogram> = BTreeMap::new();
        let mut newest = NOW - 1_000_000;
        for (n, step) in steps.into_iter().enumerate() {
            let time = |late: bool, newest: &mut i64| {
                if late { return *newest - 1500 * (1 + n as i64 % 7) + 1 + n as i64 }
                *newest += 1000;
                *newest
            };
            match step {
                Step::Histogram { late, value } => {
                    let time = time(late, &mut newest);
                    if !floats.contains_key(&time) && !histograms.contains_key(&time) {
                        prop_assert_eq!(written(&engine, series(1), time, value.clone()), (1, 0, vec![]));
                        histograms.insert(time, value);
                    }
                }
                Step::Float { late } => {
                    let time = time(late, &mut newest);
                    if !floats.contains_key(&time) && !histograms.contains_key(&time) {
                        prop_assert_eq!(engine.write(&batch(&[(series(1), time, 1.5)])).unwrap().stored, 1);
                        floats.insert(time, 1.5);
                    }
                }
                Step::Flush => engine.flush().unwrap(),
                Step::Merge => drop(engine.read().segments.len() > 1 && engine.merge_all().unwrap()),
                Step::Reopen => {
                    drop(engine);
                    engine = open(&disk);
                }
            }
        }
        let from = histograms.keys().nth(cut % histograms.len().max(1)).copied().unwrap_or(NOW);
        for start in [i64::MIN, from] {
            let found = read(&engine, start, i64::MAX).pop().unwrap_or_default();
            let times: Vec<i64> = floats.range(start..).map(|(t, _)| *t).collect();
            prop_assert_eq!(&found.times, &times);
            let plain: Vec<_> = found.histograms.iter().map(|h| (h.time.0, Histogram { reset: CounterReset::Unknown, ..Histogram::clone(&h.value) })).collect();
            prop_assert_eq!(plain, histograms.range(start..).map(|(t, h)| (*t, h.clone())).collect::<Vec<_>>());
            for pair in found.histograms.windows(2) {
                let truth = crate::metrics::histogram::judge_reset(Some(&pair[0].value), &Histogram { reset: CounterReset::Unknown, ..Histogram::clone(&pair[1].value) });
                let told = pair[1].value.reset;
                prop_assert!(told == CounterReset::Unknown || told == truth, "{told:?} is not {truth:?} at {:?}", pair[1].time);
            }
        }
    }
}
