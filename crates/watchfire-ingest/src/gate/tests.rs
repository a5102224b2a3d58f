//! Tests of the gate: each limit, one origin against another, the books.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use proptest::prelude::*;
use watchfire_model::batch::{Metadata, MetricType, SeriesExemplars};
use watchfire_model::sample::Exemplar;
use watchfire_model::time::{Clock, ManualClock};

use super::*;

const NOW: Timestamp = Timestamp(1_767_089_700_000);

/// Keeps samples by series and time; refuses what it is told to refuse.
#[derive(Default)]
struct Memory {
    kept: Mutex<HashSet<(Labels, i64)>>,
    metadata: Mutex<Vec<Metadata>>,
    exemplars: Mutex<Vec<SeriesExemplars>>,
    fail: Mutex<Option<fn() -> WriteError>>,
}
impl Sink for Memory {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        if let Some(error) = *self.fail.lock().unwrap() {
            return Err(error());
        }
        let mut written = Written::default();
        for item in batch.series {
            for sample in item.samples.as_slice() {
                if sample.time.0 < 0 {
                    written.reject(Reason::TooOld, 1);
                } else if self.kept.lock().unwrap().insert((item.labels.clone(), sample.time.0)) {
                    written.stored += 1;
                } else {
                    written.duplicates += 1;
                }
            }
        }
        self.metadata.lock().unwrap().extend(batch.metadata);
        written.exemplars = batch.exemplars.iter().map(|e| e.exemplars.len() as u64).sum();
        self.exemplars.lock().unwrap().extend(batch.exemplars);
        Ok(written)
    }
}

struct Bench {
    gate: Gate,
    memory: Arc<Memory>,
    clock: Arc<ManualClock>,
    meter: Meter,
}
fn bench(limits: Limits) -> Bench {
    let (memory, clock, meter) = (Arc::new(Memory::default()), ManualClock::new(NOW), Meter::new());
    let gate = Gate::new(Arc::clone(&memory) as _, Arc::clone(&clock) as SharedClock, &meter, limits);
    Bench { gate, memory, clock, meter }
}
impl Bench {
    fn send(&self, origin: &str, series: Vec<(Labels, Vec<i64>)>) -> Written {
        let mut batch = Batch::new(Origin::new(origin));
        for (labels, times) in series {
            let samples = times.iter().map(|t| Sample { time: Timestamp(*t), value: 1.0 }).collect();
            batch.series.push(SeriesSamples { labels, samples: Samples::Many(samples) });
        }
        self.gate.write(batch).unwrap()
    }
    fn sum(&self, family: &str, label: (&str, &str)) -> u64 {
        let families = self.meter.gather();
        let family = families.iter().find(|f| &*f.name == family).unwrap();
        family.points.iter().filter(|(l, _)| label.0.is_empty() || l.get(label.0) == Some(label.1)).map(|(_, v)| *v as u64).sum()
    }
    fn assert_books_balance(&self) {
        let all = ("", "");
        let [received, stored, duplicate, rejected] =
            ["received", "stored", "duplicate", "rejected"].map(|w| self.sum(&format!("watchfire_ingest_samples_{w}_total"), all));
        assert_eq!(received, stored + duplicate + rejected);
    }
}

fn named(name: &str) -> Labels {
    Labels::from_pairs([(METRIC_NAME, name)])
}

#[test]
fn r25_samples_from_the_future_are_refused_and_the_next_good_one_is_stored() {
    let minute = 60_000;
    for (ahead, taken) in [
        (0, true),
        (9 * minute, true),
        (10 * minute, true),
        (10 * minute + 1, false),
        (11 * minute, false),
        (10 * 365 * 24 * 60 * minute, false),
        (i64::MAX - NOW.0, false),
    ] {
        let bench = bench(Limits::default());
        let written = bench.send("scrape/x", vec![(named("a"), vec![NOW.0 + ahead])]);
        assert_eq!(written.stored == 1, taken, "{ahead}");
        assert_eq!(written.rejected, if taken { vec![] } else { vec![(Reason::TooFarFuture, 1)] });
        assert_eq!(written.example.is_some(), !taken);
        assert_eq!(bench.send("scrape/x", vec![(named("a"), vec![NOW.0 + 1])]).stored, 1);
        bench.assert_books_balance();
    }
}

#[test]
fn r23_limits_on_labels_hold() {
    let long = |n: usize| "x".repeat(n);
    let many = |n: usize| Labels::from_pairs((0..n - 1).map(|i| (format!("l{i}"), "v".to_owned())).chain([(METRIC_NAME.to_owned(), "m".to_owned())]));
    for (labels, reason) in [
        (many(40), None),
        (many(41), Some(Reason::LabelCount)),
        (named(&long(256)), None),
        (named(&long(257)), Some(Reason::LabelNameLength)),
        (named("m").with(&long(256), "v"), None),
        (named("m").with(&long(257), "v"), Some(Reason::LabelNameLength)),
        (named("m").with("l", &long(4096)), None),
        (named("m").with("l", &long(4097)), Some(Reason::LabelValueLength)),
        (Labels::from_pairs([("l", "v")]), Some(Reason::InvalidLabels)),
        (named("m").with("", "v"), Some(Reason::InvalidLabels)),
    ] {
        let bench = bench(Limits::default());
        let written = bench.send("remote_write/x", vec![(labels.clone(), vec![1, 2]), (named("good"), vec![1])]);
        assert_eq!(written.rejected.first(), reason.map(|r| (r, 2)).as_ref());
        assert_eq!(written.stored, if reason.is_some() { 1 } else { 3 });
        assert!(written.example.is_none_or(|e| e.len() < 500));
        bench.assert_books_balance();
    }
}

#[test]
fn r23_one_origin_fills_its_own_allowance_only() {
    let bench = bench(Limits { series_per_origin_max: 100, ..Limits::default() });
    let flood = |from: usize, n: usize| (from..from + n).map(|i| (named(&format!("m{i}")), vec![1])).collect::<Vec<_>>();
    let written = bench.send("remote_write/bad", flood(0, 250));
    assert_eq!((written.stored, written.rejected), (100, vec![(Reason::SourceSeriesLimit, 150)]));
    assert_eq!(bench.send("remote_write/good", flood(0, 100)).stored, 0, "same series, same time: duplicates");
    assert_eq!(bench.send("scrape/good", flood(1000, 100)).stored, 100);
    // Known series go on although the allowance is used up, and idle ones make room.
    assert_eq!(bench.send("remote_write/bad", vec![(named("m5"), vec![2])]).stored, 1);
    bench.clock.advance(Duration::from_secs(1800));
    bench.send("remote_write/bad", vec![(named("m5"), vec![3])]);
    bench.clock.advance(Duration::from_secs(1801));
    assert_eq!(bench.send("remote_write/bad", flood(300, 100)).stored, 99);
    assert_eq!(bench.gate.active_series("remote_write/bad"), 100);
    bench.assert_books_balance();
}

#[test]
fn a_batch_that_is_turned_away_is_not_received() {
    let bench = bench(Limits::default());
    *bench.memory.fail.lock().unwrap() = Some(|| WriteError::Full("test".to_owned()));
    let mut batch = Batch::new(Origin::new("scrape/x"));
    batch.series.push(SeriesSamples { labels: named("a"), samples: Samples::One(Sample { time: NOW, value: 1.0 }) });
    assert!(bench.gate.write(batch.clone()).is_err());
    assert_eq!(bench.sum("watchfire_ingest_samples_received_total", ("", "")), 0);
    assert_eq!(bench.sum("watchfire_ingest_samples_turned_away_total", ("reason", "full")), 1);
    *bench.memory.fail.lock().unwrap() = None;
    assert_eq!(bench.gate.write(batch).unwrap().stored, 1);
    assert_eq!(bench.sum("watchfire_ingest_samples_received_total", ("origin_kind", "scrape")), 1);
}

#[test]
fn what_a_decoder_refused_is_booked_too() {
    let bench = bench(Limits::default());
    let mut refused = Written::default();
    refused.reject(Reason::UnsupportedType, 3);
    bench.gate.book_refused(&Origin::new("remote_write/x"), &refused);
    assert_eq!(bench.sum("watchfire_ingest_samples_received_total", ("origin_kind", "remote_write")), 3);
    assert_eq!(bench.sum("watchfire_ingest_samples_rejected_total", ("reason", "unsupported_type")), 3);
    bench.assert_books_balance();
}

#[test]
fn metadata_is_trimmed() {
    let bench = bench(Limits::default());
    let mut batch = Batch::new(Origin::new("scrape/x"));
    for (family, help) in [("a", "é".repeat(3000)), ("", String::new()), (&*"x".repeat(300), String::new())] {
        batch.metadata.push(Metadata { family: family.into(), kind: MetricType::Gauge, help: help.as_str().into(), unit: "".into() });
    }
    bench.gate.write(batch).unwrap();
    let kept = bench.memory.metadata.lock().unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].help.len(), 4096);
}

#[test]
fn kinds_of_origins_are_bounded() {
    for (origin, kind) in [
        ("scrape/node", "scrape"),
        ("remote_write/10.0.0.7", "remote_write"),
        ("gpu", "gpu"),
        ("record", "record"),
        ("self", "self"),
        ("evil/x", "other"),
        ("", "other"),
    ] {
        assert_eq!(origin_kind(origin), kind);
    }
}

proptest! {
    #[test]
    fn r22_every_sample_is_stored_a_duplicate_or_refused_with_a_reason(
        batches in proptest::collection::vec((0..4usize, proptest::collection::vec((0..40usize, 0..3usize, proptest::collection::vec(prop_oneof![Just(-5i64), 0..20i64, Just(i64::MAX), Just(NOW.0 + 600_001), Just(NOW.0)], 0..4)), 0..12)), 1..20),
    ) {
        let bench = bench(Limits { series_per_origin_max: 12, labels_max: 3, value_bytes_max: 8, ..Limits::default() });
        for (origin, series) in batches {
            let series: Vec<_> = series.into_iter().map(|(id, odd, times)| {
                let name = format!("m{id}");
                let labels = match odd {
                    0 => named(&name),
                    1 => named(&name).with("l", "value too long").with("k", "v"),
                    _ => Labels::from_pairs([("l", name.as_str())]),
                };
                (labels, times)
            }).collect();
            let sent: u64 = series.iter().map(|(_, t)| t.len() as u64).sum();
            let written = bench.send(["scrape/a", "scrape/b", "record", "x"][origin], series);
            prop_assert_eq!(sent, written.stored + written.duplicates + written.rejected_total());
        }
        bench.assert_books_balance();
        let stored = bench.sum("watchfire_ingest_samples_stored_total", ("", ""));
        prop_assert_eq!(stored, bench.memory.kept.lock().unwrap().len() as u64);
        prop_assert!(bench.clock.now() == NOW);
    }
}

#[test]
fn exemplars_are_judged_and_counted() {
    let bench = bench(Limits::default());
    let exemplar = |chars: usize, time: i64| Exemplar { labels: Labels::from_pairs([("trace_id", "x".repeat(chars - 8))]), time: Timestamp(time), value: 1.0 };
    let mut batch = Batch::new(Origin::new("remote_write/x"));
    let good = exemplar(128, NOW.0);
    let item = |labels, exemplars| SeriesExemplars { labels, exemplars };
    batch.exemplars.push(item(named("a"), vec![good.clone(), exemplar(129, NOW.0), exemplar(20, NOW.0 + 86_400_000)]));
    batch.exemplars.push(item(Labels::empty(), vec![good.clone()]));
    bench.gate.write(batch).unwrap();
    assert_eq!(*bench.memory.exemplars.lock().unwrap(), [item(named("a"), vec![good])]);
    let count = |word: &str| bench.sum(&format!("watchfire_ingest_exemplars_{word}_total"), ("origin_kind", "remote_write"));
    assert_eq!((count("received"), count("stored")), (4, 1));
}
