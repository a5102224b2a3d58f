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
    /// How many of each batch were vital, where any were.
    vital: Mutex<Vec<usize>>,
    fail: Mutex<Option<fn() -> WriteError>>,
}
impl Sink for Memory {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        if let Some(error) = *self.fail.lock().unwrap() {
            return Err(error());
        }
        let mut written = Written::default();
        self.vital.lock().unwrap().extend(Some(batch.vital).filter(|vital| *vital > 0));
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
        self.send_part(origin, 0, 0, series)
    }
    fn send_part(&self, origin: &str, part: u32, vital: usize, series: Vec<(Labels, Vec<i64>)>) -> Written {
        let mut batch = Batch { part, vital, ..Batch::new(Origin::new(origin)) };
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
fn who_sends_more_series_than_it_may_is_told_by_name_for_a_while() {
    let bench = bench(Limits { series_per_origin_max: 100, ..Limits::default() });
    let flood = |n: usize| (0..n).map(|i| (named(&format!("m{i}")), vec![1])).collect::<Vec<_>>();
    bench.send("scrape/good", flood(100));
    assert_eq!((bench.gate.over_limit(), bench.sum("watchfire_ingest_sources_over_limit", ("", ""))), (Vec::new(), 0));
    let written = bench.send("scrape/probes", flood(150));
    assert!(written.example.is_some_and(|example| example.contains("more than 100 series (storage.source_series_max) from scrape/probes")));
    let over = OverLimit { origin: "scrape/probes".into(), whose: Whose::Origin, active: 100, limit: 100, refused: 50 };
    assert_eq!(bench.gate.over_limit(), [over]);
    assert_eq!(bench.sum("watchfire_ingest_sources_over_limit", ("", "")), 1);
    assert_eq!(bench.sum("watchfire_ingest_source_series_refused", ("source", "scrape/probes")), 50);
    bench.clock.advance(Duration::from_secs(601));
    assert_eq!((bench.gate.over_limit(), bench.sum("watchfire_ingest_sources_over_limit", ("", ""))), (Vec::new(), 0));
}

#[test]
fn parts_of_an_origin_have_an_allowance_each_and_one_in_common() {
    let bench = bench(Limits { series_per_origin_max: 100, series_of_parts_max: 250, ..Limits::default() });
    let flood = |part: usize, n: usize| (0..n).map(|i| (named(&format!("p{part}_{i}")), vec![1])).collect::<Vec<_>>();
    let send = |part: u32, series| bench.send_part("scrape/job", part, 0, series);
    assert_eq!(send(1, flood(1, 150)).stored, 100);
    let over = |whose, active, limit, refused| OverLimit { origin: "scrape/job".into(), whose, active, limit, refused };
    assert_eq!(bench.gate.over_limit(), [over(Whose::Part, 100, 100, 50)]);
    // What one has used up is not missing to another, until all of them have what there is for all.
    assert_eq!(send(2, flood(2, 100)).stored, 100);
    let last = send(3, flood(3, 60));
    assert_eq!((last.stored, last.rejected), (50, vec![(Reason::SourceSeriesLimit, 10)]));
    assert!(last.example.is_some_and(|example| example.contains("more than 250 series (half of storage.series_max) from all targets of scrape/job")));
    assert_eq!(bench.gate.over_limit(), [over(Whose::AllParts, 250, 250, 60)]);
    // Known series go on, and what has not been sent for an hour makes room.
    assert_eq!(send(1, vec![(named("p1_5"), vec![2])]).stored, 1);
    bench.clock.advance(Duration::from_secs(3602));
    assert_eq!(send(3, flood(4, 150)).stored, 100);
    assert_eq!(bench.gate.active_series("scrape/job"), 100);
    bench.assert_books_balance();
}

#[test]
fn whether_a_target_is_up_is_taken_where_nothing_else_is() {
    let bench = bench(Limits { series_per_origin_max: 20, series_of_parts_max: 30, ..Limits::default() });
    let flood = |n: usize| (0..n).map(|i| (named(&format!("m{i}")), vec![1]));
    let up = |part: u32| named("up").with("instance", &part.to_string());
    let scrape =
        |part: u32| bench.send_part("scrape/job", part, 1, flood(40 * part as usize).skip(40 * (part as usize - 1)).chain([(up(part), vec![1])]).collect());
    // One target fills its own allowance, the next one what there is in common, and a hundred more are still seen.
    assert_eq!((scrape(1).stored, scrape(2).stored), (21, 10));
    for part in 3..=100 {
        let written = scrape(part);
        assert_eq!((written.stored, written.rejected), (1, vec![(Reason::SourceSeriesLimit, 40)]), "{part}");
        assert!(bench.gate.is_active(&Origin::new("scrape/job"), &up(part)));
    }
    // They are refused for what is wrong with them, and no batch can call all it has vital.
    let bad = bench.send_part("scrape/job", 1, 1, vec![(Labels::from_pairs([("l", "v")]), vec![1])]);
    assert_eq!(bad.rejected, [(Reason::InvalidLabels, 1)]);
    let written = bench.send_part("scrape/job", 200, 500, (1_000..1_500).map(|i| (named(&format!("m{i}")), vec![1])).collect());
    assert_eq!(written.stored, 16);
    assert_eq!(*bench.memory.vital.lock().unwrap(), [vec![1; 100], vec![16]].concat());
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
