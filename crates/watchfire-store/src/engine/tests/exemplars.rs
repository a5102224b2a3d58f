//! Exemplars in the engine: kept beside their series, across restarts and flushes, without ever being in the way.

use watchfire_model::batch::SeriesExemplars;
use watchfire_model::matcher::Matcher;
use watchfire_model::sample::Exemplar;

use super::*;

fn exemplar(time: i64, value: f64) -> Exemplar {
    Exemplar { labels: Labels::from_pairs([("trace_id", format!("{time}-{value}"))]), time: Timestamp(time), value }
}

fn with_exemplars(samples: &[(Labels, i64, f64)], exemplars: &[(Labels, Exemplar)]) -> Batch {
    let mut batch = batch(samples);
    batch.exemplars = exemplars.iter().map(|(labels, e)| SeriesExemplars { labels: labels.clone(), exemplars: vec![e.clone()] }).collect();
    batch
}

fn found(engine: &Engine, matchers: Vec<Matcher>, start: i64, end: i64) -> Vec<(String, i64, f64)> {
    let selection = Selection { matchers, start: Timestamp(start), end: Timestamp(end) };
    let found = engine.exemplars(&selection, &Budget::unlimited(ManualClock::new(Timestamp(NOW)))).unwrap();
    found.iter().flat_map(|s| s.exemplars.iter().map(|e| (s.labels.to_string(), e.time.0, e.value))).collect()
}

fn all(engine: &Engine) -> Vec<(String, i64, f64)> {
    found(engine, vec![], i64::MIN, i64::MAX)
}

fn dropped(engine: &Engine) -> BTreeMap<&'static str, u64> {
    let counts = crate::exemplars::Dropped::ALL.into_iter().zip(&engine.counters.exemplars_dropped);
    counts.map(|(reason, counter)| (reason.name(), counter.get())).filter(|(_, n)| *n > 0).collect()
}

#[test]
fn exemplars_are_kept_across_restarts_and_flushes() {
    let disk = SimulatedDisk::default();
    let mut engine = open(&disk);
    let mut expected = Vec::new();
    for n in 0..12i64 {
        let samples = [(series(1), NOW + n, 1.0), (series(2), NOW + n, 1.0)];
        let exemplars = [(series(1), exemplar(NOW + n, 1.0)), (series(2), exemplar(NOW + n, 2.0))];
        engine.write(&with_exemplars(&samples, &exemplars)).unwrap();
        expected.extend([(series(1).to_string(), NOW + n, 1.0), (series(2).to_string(), NOW + n, 2.0)]);
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        match n % 4 {
            1 => engine.flush().unwrap(),
            2 => {
                drop(engine);
                engine = open(&disk);
            }
            _ => {}
        }
        assert_eq!(all(&engine), expected, "after batch {n}");
    }
    assert_eq!(
        found(&engine, vec![Matcher::equal("n", "2")], NOW + 3, NOW + 4),
        [(series(2).to_string(), NOW + 3, 2.0), (series(2).to_string(), NOW + 4, 2.0)]
    );
    engine.delete_series(&[vec![Matcher::equal("n", "2")]], i64::MIN, NOW + 9).unwrap();
    expected.retain(|(labels, time, _)| *labels == series(1).to_string() || *time > NOW + 9);
    assert_eq!(all(&engine), expected);
    drop(engine);
    assert_eq!(all(&open(&disk)), expected);
    // Damage to their file costs exemplars, never the start.
    disk.put(Path::new("/data/exemplars"), vec![1, 2, 3]);
    let engine = open(&disk);
    assert_eq!(engine.stats().quarantined, 1);
}

#[test]
fn exemplars_that_are_not_kept_are_counted_and_refuse_nothing() {
    let disk = SimulatedDisk::default();
    let engine = open(&disk);
    let send = |exemplars: &[(Labels, Exemplar)]| engine.write(&with_exemplars(&[], exemplars)).unwrap().exemplars;
    engine.write(&batch(&[(series(1), NOW, 1.0)])).unwrap();
    assert_eq!(send(&[(series(1), exemplar(NOW, 1.0))]), 1);
    assert_eq!(send(&[(series(1), exemplar(NOW, 1.0))]), 1, "it is there");
    assert_eq!(send(&[(series(1), exemplar(NOW - 1, 1.0))]), 0);
    send(&[(series(2), exemplar(NOW, 1.0))]);
    send(&[(series(1), exemplar(NOW + HOUR, 1.0))]);
    send(&[(series(1), Exemplar { labels: Labels::from_pairs([("a", "x".repeat(200))]), ..exemplar(NOW + 1, 1.0) })]);
    let mut many = batch(&[]);
    many.exemplars.push(SeriesExemplars { labels: series(1), exemplars: (0..20).rev().map(|n| exemplar(NOW + 10 + n, 1.0)).collect() });
    assert_eq!(engine.write(&many).unwrap().exemplars, 16);
    let expected =
        [("duplicate", 1), ("labels_too_long", 1), ("out_of_order", 1), ("too_far_future", 1), ("too_many", 4), ("unknown_series", 1)].into_iter().collect();
    assert_eq!(dropped(&engine), expected);
    assert_eq!(all(&engine).len(), 17);
    // A series that is known from an earlier epoch is defined again for an exemplar alone.
    engine.flush().unwrap();
    send(&[(series(1), exemplar(NOW + 100, 5.0))]);
    drop(engine);
    assert_eq!(all(&open(&disk)).len(), 18);
    let none = Engine::open(Arc::new(disk.clone()), Options { exemplars_max: 0, ..options(&ManualClock::new(Timestamp(NOW))) }).unwrap();
    assert_eq!(all(&none), []);
}
