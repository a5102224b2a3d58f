//! The engine on a disk that fails: torn and reordered writes, full disks, failed syncs, damaged files, clocks that jump.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use watchfire_model::batch::{Batch, Origin, Samples, SeriesHistograms, SeriesSamples};
use watchfire_model::histogram::{CounterReset, Histogram, Span};
use watchfire_model::labels::Labels;
use watchfire_model::read::{Budget, Selection, Series};
use watchfire_model::sample::{HistogramSample, Sample};
use watchfire_model::time::{Clock, ManualClock, Timestamp};
use watchfire_model::write::{Reason, WriteError};

use super::Engine;
use crate::error::OpenError;
use crate::file::Disk;
use crate::file::simulated::{Random, SimulatedDisk};
use crate::metrics::histogram::put_row;
use crate::options::Options;

mod clocks;
mod crashes;
mod deletion;
mod exemplars;
mod histograms;
mod logs;
mod profiles;
mod real_life;
mod safe_mode;
mod spans;
mod tiers;
mod withdrawn;

const NOW: i64 = 1_767_089_700_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// How often something is done: as usual, or as `make crash` does it.
fn rounds(usual: u64, long: u64) -> u64 {
    if std::env::var_os("WATCHFIRE_CRASH_LONG").is_some() { long } else { usual }
}

fn options(clock: &Arc<ManualClock>) -> Options {
    Options { keeper: false, min_free_bytes: 1000, flush_on_close_samples: u64::MAX, ..Options::new("/data", clock.clone()) }
}

fn open(disk: &SimulatedDisk) -> Engine {
    let clock = ManualClock::new(Timestamp(NOW));
    Engine::open(Arc::new(disk.clone()), options(&clock)).expect("an engine")
}

fn series(n: u64) -> Labels {
    Labels::from_pairs([("__name__", "m".to_owned()), ("n", n.to_string())])
}

fn batch(samples: &[(Labels, i64, f64)]) -> Batch {
    let mut batch = Batch::new(Origin::new("test"));
    for (labels, time, value) in samples {
        batch.series.push(SeriesSamples { labels: labels.clone(), samples: Samples::One(Sample { time: Timestamp(*time), value: *value }) });
    }
    batch
}

/// Samples by series: times, and the bits of floats or the checksums of histograms.
type Everything = BTreeMap<String, Vec<(i64, u64)>>;

/// All bits of a histogram but what is known of a reset.
fn fingerprint(histogram: &Histogram) -> u64 {
    let mut bytes = Vec::new();
    put_row(&mut bytes, histogram, CounterReset::Unknown, None);
    crc32fast::hash(&bytes).into()
}

fn samples_of(series: &Series) -> Vec<(i64, u64)> {
    let floats = series.times.iter().copied().zip(series.values.iter().map(|v| v.to_bits()));
    let mut samples: Vec<_> = floats.chain(series.histograms.iter().map(|h| (h.time.0, fingerprint(&h.value)))).collect();
    samples.sort_by_key(|(time, _)| *time);
    assert!(samples.is_sorted_by(|a, b| a.0 < b.0), "no time twice");
    samples
}

/// The `n`th state of a counter that is a histogram: it grows, gets new buckets, and begins anew now and then.
fn counter(n: u64) -> Histogram {
    let grown = n % 11 + 1;
    let buckets: Vec<f64> = (0..1 + n % 13 / 4).map(|i| (grown * (i + 1)) as f64).collect();
    let spans = vec![Span { offset: -1, length: buckets.len() as u32 }];
    let count = buckets.iter().sum::<f64>() + 2.0;
    let sum = n as f64 / 8.0;
    Histogram { schema: 2, integer: true, count, sum, zero_count: 2.0, positive_spans: spans, positive_buckets: buckets, ..Histogram::default() }
}

fn with_histogram(mut batch: Batch, labels: Labels, time: i64, value: Histogram) -> Batch {
    batch.histograms.push(SeriesHistograms { labels, samples: vec![HistogramSample { time: Timestamp(time), value: Arc::new(value) }] });
    batch
}

fn everything(engine: &Engine) -> Everything {
    let selection = Selection { matchers: vec![], start: Timestamp::MIN, end: Timestamp::MAX };
    let mut all = Everything::new();
    engine
        .select(&selection, &Budget::unlimited(ManualClock::new(Timestamp(NOW))), &mut |s| {
            assert!(s.times.is_sorted_by(|a, b| a < b), "times ascend strictly");
            assert!(s.histograms.is_sorted_by(|a, b| a.time < b.time), "times ascend strictly");
            assert!(all.insert(s.labels.to_string(), samples_of(&s)).is_none(), "every series once");
            Ok(ControlFlow::Continue(()))
        })
        .expect("a readable engine");
    all
}

/// The `n`th batch of a run: a few series, one new series now and then.
fn nth(n: u64) -> Vec<(Labels, i64, f64)> {
    (0..4).map(|s| (series(s * (1 + n / 7)), NOW - 100_000 + n as i64 * 1000, (n * 10 + s) as f64 / 4.0)).collect()
}

fn nth_unique(n: u64) -> Batch {
    let mut samples = nth(n);
    samples.dedup_by_key(|(labels, ..)| labels.clone());
    with_histogram(batch(&samples), series(1000), samples[0].1, counter(n))
}

fn expected(batches: u64) -> Everything {
    let mut all = Everything::new();
    for n in 0..batches {
        let mut samples = nth(n);
        samples.dedup_by_key(|(labels, ..)| labels.clone());
        for (labels, time, value) in samples {
            all.entry(labels.to_string()).or_default().push((time, value.to_bits()));
        }
        all.entry(series(1000).to_string()).or_default().push((nth(n)[0].1, fingerprint(&counter(n))));
    }
    all
}

/// One run with random syncs and flushes up to a power cut; what comes back must be a prefix that includes everything synced.
fn power_cut(seed: u64) -> Result<(), String> {
    let mut random = Random(seed);
    let disk = SimulatedDisk::default();
    let mut written = 0;
    let mut synced = 0;
    {
        let engine = open(&disk);
        for _ in 0..random.below(30) {
            engine.write(&nth_unique(written)).expect("room");
            written += 1;
            match random.below(8) {
                0 | 1 => {
                    engine.sync();
                    synced = written;
                }
                2 => {
                    engine.flush().expect("room");
                    synced = written;
                }
                _ => {}
            }
        }
    }
    let mut disk = disk;
    // A second cut right after the first start, or in the middle of it, must not change anything.
    for round in 0..3 {
        disk = disk.cut_power(&mut random);
        let engine = open(&disk);
        let found = everything(&engine);
        let prefix = (synced..=written).find(|n| found == expected(*n));
        let Some(prefix) = prefix else { return Err(format!("seed {seed}, round {round}: {written} written, {synced} synced, found {found:?}")) };
        if round == 0 {
            // What was recovered once is there from then on.
            engine.sync();
            synced = prefix;
            written = prefix;
        }
    }
    Ok(())
}

#[cfg(not(feature = "canary-nofsync"))]
#[test]
fn r07_after_a_power_cut_a_prefix_comes_back() {
    for seed in 0..rounds(1000, 50_000) {
        power_cut(seed).unwrap();
    }
}

/// The canary build must be caught by the very same test.
#[cfg(feature = "canary-nofsync")]
#[test]
fn r04_a_build_without_syncs_is_caught() {
    let caught = (0..200).filter(|seed| std::panic::catch_unwind(|| power_cut(*seed)).map_or(true, |r| r.is_err())).count();
    assert!(caught > 20, "only {caught} of 200 power cuts noticed that nothing is synced");
}

#[test]
fn a_full_disk_refuses_and_resumes() {
    let disk = SimulatedDisk::default();
    let engine = open(&disk);
    engine.write(&nth_unique(0)).unwrap();
    // Not full enough to be refused beforehand: the write itself hits the end.
    disk.set_room(Some(10));
    assert!(matches!(engine.write(&nth_unique(1)), Err(WriteError::Full(_))));
    assert_eq!(everything(&engine), expected(1), "a refused batch leaves no trace");
    assert!(matches!(engine.write(&nth_unique(1)), Err(WriteError::Full(_))));
    assert!(engine.stats().refusing.is_some());
    disk.heal();
    engine.options.clock.monotonic();
    engine.look_for_room();
    assert_eq!(engine.write(&nth_unique(1)).unwrap().duplicates, 0);
    assert_eq!(everything(&open(&disk.copy())), expected(2), "the log has no torn frame in its middle");
    assert_eq!(open(&disk.copy()).stats().replay.torn_bytes, 0);
}

#[test]
fn a_small_volume_is_full_below_a_tenth() {
    let disk = SimulatedDisk::default();
    disk.set_size(Some(5000));
    disk.set_room(Some(900));
    let engine = open(&disk);
    engine.write(&nth_unique(0)).unwrap();
    disk.set_room(Some(499));
    engine.look_for_room();
    assert!(matches!(engine.write(&nth_unique(1)), Err(WriteError::Full(_))));
    disk.set_size(Some(4000));
    engine.look_for_room();
    engine.write(&nth_unique(1)).unwrap();
    assert_eq!(everything(&engine), expected(2));
}

#[test]
fn a_data_directory_that_vanished_is_no_place_to_write() {
    let disk = SimulatedDisk::default();
    let engine = open(&disk);
    engine.write(&nth_unique(0)).unwrap();
    disk.lose_directories();
    engine.look_for_room();
    assert!(matches!(engine.write(&nth_unique(1)), Err(WriteError::Failed(_))));
    assert_eq!(engine.stats().refusing.as_deref(), Some("the data directory is gone"));
}

#[test]
fn a_nearly_full_disk_refuses_before_the_end() {
    let disk = SimulatedDisk::default();
    let engine = open(&disk);
    disk.set_room(Some(999));
    engine.look_for_room();
    assert!(matches!(engine.write(&nth_unique(0)), Err(WriteError::Full(_))));
    // A flush that does not fit changes nothing.
    disk.set_room(Some(2000));
    engine.look_for_room();
    for n in 0..2 {
        engine.write(&nth_unique(n)).unwrap();
    }
    disk.set_room(Some(40));
    assert!(engine.flush().is_err());
    disk.heal();
    assert_eq!(everything(&engine), expected(2));
    assert_eq!(everything(&open(&disk.copy())), expected(2));
    engine.look_for_room();
    if engine.failure().is_none() {
        engine.flush().unwrap();
        assert_eq!(everything(&open(&disk.copy())), expected(2));
    }
}

#[test]
fn r08_a_failed_sync_or_write_stops_writing() {
    for sync in [true, false] {
        let disk = SimulatedDisk::default();
        let engine = open(&disk);
        engine.write(&nth_unique(0)).unwrap();
        if sync {
            disk.fail_sync_after(0);
            engine.sync();
        } else {
            disk.fail_write_after(0);
            assert!(matches!(engine.write(&nth_unique(1)), Err(WriteError::Failed(_))));
        }
        disk.heal();
        assert!(matches!(engine.write(&nth_unique(1)), Err(WriteError::Failed(_))), "a failed sync is never retried as if nothing had happened");
        assert_eq!(everything(&engine), expected(1), "reading goes on");
        assert!(engine.stats().refusing.is_some());
    }
}

#[test]
fn without_an_interval_a_write_is_synced_before_it_is_acknowledged() {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(NOW));
    let engine = Engine::open(Arc::new(disk.clone()), Options { sync_interval: Duration::ZERO, ..options(&clock) }).unwrap();
    for n in 0..5 {
        engine.write(&nth_unique(n)).unwrap();
        let after = open(&disk.cut_power(&mut Random(n)));
        if cfg!(not(feature = "canary-nofsync")) {
            assert_eq!(everything(&after), expected(n + 1));
        }
    }
    disk.fail_sync_after(0);
    assert!(matches!(engine.write(&nth_unique(5)), Err(WriteError::Failed(_))));
}

/// A directory with everything in it: two merged days, a fresh segment, a log.
fn full_disk() -> (SimulatedDisk, Everything) {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(NOW - 2 * DAY));
    let engine = Engine::open(Arc::new(disk.clone()), options(&clock)).expect("an engine");
    let mut n = 0u64;
    for step in 0..6 {
        for _ in 0..40 {
            let time = NOW - 2 * DAY + step * 10 * HOUR + (n as i64 % 40) * 15_000 + n as i64 % 3;
            let samples: Vec<_> = (0..5)
                .map(|s| {
                    (
                        series(s),
                        time,
                        match s {
                            0 => 1.0,
                            1 => n as f64,
                            2 => n as f64 * 0.1,
                            3 => (n as f64).sqrt(),
                            _ => f64::NAN,
                        },
                    )
                })
                .collect();
            engine.write(&with_histogram(batch(&samples), series(1000), time, counter(n))).expect("room");
            n += 1;
        }
        clock.advance(Duration::from_secs(10 * 3600));
        if step < 5 {
            engine.flush().expect("room");
        }
    }
    while engine.merge().expect("room") {}
    engine.sync();
    let all = everything(&engine);
    drop(engine);
    (disk, all)
}

#[test]
fn r06_damage_costs_at_most_what_it_hits() {
    let (disk, whole) = full_disk();
    let files: Vec<_> = disk.files().into_iter().collect();
    let mut random = Random(6);
    for round in 0..rounds(300, 5000) {
        let copy = disk.copy();
        let (path, bytes) = &files[random.below(files.len() as u64) as usize];
        let mut bytes = bytes.clone();
        if bytes.is_empty() {
            continue;
        }
        let at = random.below(bytes.len() as u64) as usize;
        match random.below(5) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes.truncate(at),
            2 => bytes.iter_mut().skip(at & !4095).take(4096).for_each(|b| *b = 0),
            3 => {
                let page: Vec<u8> = bytes.iter().copied().skip(at & !4095).take(4096).collect();
                bytes.splice(at..at, page);
            }
            _ => bytes.iter_mut().skip(at).take(16).for_each(|b| *b = random.next() as u8),
        }
        copy.put(path, bytes);
        let found = match Engine::open(Arc::new(copy.clone()), options(&ManualClock::new(Timestamp(NOW)))) {
            Ok(engine) => everything(&engine),
            // The layout's number has no checksum: a flipped bit in it looks like a newer version, which is refused, not touched.
            Err(OpenError::Newer { .. }) if path.ends_with("format") => continue,
            Err(error) => panic!("round {round}: damage to {} must not prevent the start: {error}", path.display()),
        };
        let samples = |all: &Everything| all.values().map(Vec::len).sum::<usize>();
        for (series, samples) in &found {
            let wanted = whole.get(series).unwrap_or_else(|| panic!("round {round}: {series} was invented by damage to {}", path.display()));
            assert!(samples.iter().all(|s| wanted.contains(s)), "round {round}: a value of {series} was changed by damage to {}", path.display());
        }
        let lost = samples(&whole) - samples(&found);
        assert!(lost < samples(&whole), "round {round}: damage to {} cost everything", path.display());
        // Whatever was damaged, the next start finds everything the same and writing works.
        let engine = open(&copy);
        assert_eq!(everything(&engine), found, "round {round}: {}", path.display());
        engine.write(&nth_unique(0)).unwrap();
    }
}

#[test]
fn damaged_log_files_go_into_quarantine_and_the_rest_of_them_is_kept() {
    let disk = SimulatedDisk::default();
    let engine = open(&disk);
    for n in 0..20 {
        engine.write(&nth_unique(n)).unwrap();
        engine.sync();
    }
    let all = everything(&engine);
    drop(engine);
    let (path, mut bytes) = disk.files().into_iter().find(|(p, _)| p.ends_with("wal/00000001.log")).unwrap();
    // Well after the frame that defines the series.
    let at = bytes.len() / 2;
    bytes[at] ^= 0x55;
    disk.put(&path, bytes);
    let engine = open(&disk);
    let samples = |all: &Everything| all.values().map(Vec::len).sum::<usize>();
    let lost = samples(&all) - samples(&everything(&engine));
    assert!(lost <= 5, "one frame at most: {lost}");
    assert_eq!(engine.stats().quarantined, 1);
    assert_eq!(disk.list(Path::new("/data/quarantine")).unwrap()[0].name, "00000001.log");
    let found = everything(&engine);
    drop(engine);
    assert_eq!(everything(&open(&disk)), found);
}

#[test]
fn retention_by_size_removes_the_oldest_first_and_the_preview_says_so() {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(NOW));
    let engine = Engine::open(Arc::new(disk.clone()), Options { size_max: Some(2000), ..options(&clock) }).unwrap();
    for day in 0..8 {
        let samples: Vec<_> = (0..20).map(|s| (series(s), NOW - (8 - day) * DAY, s as f64)).collect();
        engine.write(&batch(&samples)).unwrap();
        engine.flush().unwrap();
    }
    let preview = engine.cleanup_preview();
    assert!(!preview.files.is_empty() && preview.files.len() < 8, "{preview:?}");
    assert_eq!(preview.oldest, Some(NOW - 8 * DAY));
    assert_eq!(preview.files[0].reason, "size");
    let left = 8 - preview.files.len() as u64;
    for _ in 0..10 {
        engine.tick();
    }
    assert_eq!(engine.stats().segments, left);
    assert_eq!(engine.cleanup_preview().files, []);
    assert_eq!(engine.stats().oldest, Some(NOW - left as i64 * DAY));
}

#[test]
fn r63_newer_data_are_refused_and_left_untouched() {
    let (disk, _) = full_disk();
    let check = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let copy = disk.copy();
        let (path, mut bytes) = copy.files().into_iter().find(|(p, _)| p.to_string_lossy().contains(name)).expect("such a file");
        change(&mut bytes);
        copy.put(&path, bytes);
        let before = copy.files();
        let opened = Engine::open(Arc::new(copy.clone()), options(&ManualClock::new(Timestamp(NOW))));
        assert!(matches!(opened, Err(OpenError::Newer { found, known, .. }) if found == known + 1), "{name}");
        assert!(copy.files() == before, "{name}: files were touched");
    };
    check(".log", &|bytes| {
        bytes[8] = crate::wal::MAJOR as u8 + 1;
        let crc = crc32fast::hash(&bytes[..32]);
        bytes[32..36].copy_from_slice(&crc.to_le_bytes());
    });
    check(".seg", &|bytes| {
        bytes[8] = 4;
        let at = bytes.len() - 16;
        bytes[at] = 4;
    });
    check("/data/format", &|bytes| *bytes = b"watchfire data 2\ncrc32 c535483f\n".to_vec());
}

#[test]
fn r06_a_flipped_bit_in_the_number_of_the_layout_is_no_newer_layout() {
    let (disk, _) = full_disk();
    let path = Path::new("/data/format");
    let (_, whole) = disk.files().into_iter().find(|(p, _)| p == path).expect("a layout");
    let open = |copy: &SimulatedDisk| Engine::open(Arc::new(copy.clone()), options(&ManualClock::new(Timestamp(NOW))));
    for bit in 0..whole.len() * 8 {
        let copy = disk.copy();
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        copy.put(path, bytes);
        assert!(open(&copy).is_ok(), "bit {bit}");
        assert!(copy.files().into_iter().any(|(p, bytes)| p == path && bytes == whole), "bit {bit}: it is whole again");
    }
    // Directories of the first version have the line alone.
    let copy = disk.copy();
    copy.put(path, b"watchfire data 1\n".to_vec());
    assert!(open(&copy).is_ok());
}

#[test]
fn series_that_have_ended_leave_memory() {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(NOW));
    let engine = Engine::open(Arc::new(disk.clone()), Options { series_max: 10, ..options(&clock) }).unwrap();
    let ten: Vec<_> = (0..10).map(|s| (series(s), NOW, 1.0)).collect();
    engine.write(&batch(&ten)).unwrap();
    let refused = engine.write(&batch(&[(series(99), NOW, 1.0)])).unwrap();
    assert_eq!(refused.rejected, [(Reason::SeriesLimit, 1)]);
    clock.advance(Duration::from_secs(2 * 3600));
    engine.write(&batch(&[(series(0), NOW + 2 * HOUR, 2.0)])).unwrap();
    engine.flush().unwrap();
    assert_eq!(engine.stats().series, 1);
    // The places are taken again, in a log that still knows who was who.
    let others: Vec<_> = (20..29).map(|s| (series(s), NOW + 2 * HOUR, s as f64)).collect();
    assert_eq!(engine.write(&batch(&others)).unwrap().new_series, 9);
    let all = everything(&engine);
    assert_eq!(all.len(), 19);
    drop(engine);
    assert_eq!(everything(&open(&disk)), all);
}

#[test]
fn r30_replaying_the_log_again_changes_nothing() {
    let disk = SimulatedDisk::default();
    let engine = open(&disk);
    for n in 0..10 {
        engine.write(&nth_unique(n)).unwrap();
    }
    engine.sync();
    let before = disk.copy();
    engine.flush().unwrap();
    // The segment is there, and so is the log that it stands for: a crash before the log was removed.
    let both = before.copy();
    for (path, bytes) in disk.files() {
        both.put(&path, bytes);
    }
    let engine = open(&both);
    assert_eq!(everything(&engine), expected(10));
    assert_eq!(engine.stats().head_samples, 0, "files before the mark of the segment are not read again");
    // Even if they were read again: what both have is told once.
    engine.flush().unwrap();
    assert_eq!(everything(&engine), expected(10));
}

#[test]
fn a_crash_after_a_merge_leaves_no_twins() {
    let (disk, whole) = full_disk();
    let engine = open(&disk);
    let merged: Vec<_> = engine.read().segments.iter().filter(|s| !s.footer.origin.replaces.is_empty()).map(|s| s.footer.origin.replaces.clone()).collect();
    assert!(!merged.is_empty());
    drop(engine);
    let replaced = Path::new("/data/metrics").join(format!("{:08}.seg", merged[0][0]));
    let some_segment = disk.files().into_iter().find(|(p, _)| p.extension().is_some_and(|e| e == "seg")).unwrap().1;
    disk.put(&replaced, some_segment);
    disk.put(Path::new("/data/metrics/00000099.seg.tmp"), vec![1, 2, 3]);
    assert_eq!(everything(&open(&disk)), whole);
    assert!(!disk.files().contains_key(&replaced));
    assert!(!disk.files().keys().any(|p| p.to_string_lossy().ends_with(".tmp")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn r29_the_order_within_a_batch_does_not_matter(
        offsets in proptest::collection::btree_set(0i64..200_000_000, 1..30),
        order in proptest::collection::vec(any::<u32>(), 30),
        before in proptest::option::of(0i64..200_000_000),
    ) {
        let samples: Vec<_> = offsets.iter().map(|o| (series(*o as u64 % 3), NOW - 200_000_000 + o, *o as f64)).collect();
        let mut shuffled: Vec<_> = samples.iter().cloned().zip(order).collect();
        shuffled.sort_by_key(|(_, key)| *key);
        let shuffled: Vec<_> = shuffled.into_iter().map(|(s, _)| s).collect();
        let run = |samples: &[(Labels, i64, f64)]| {
            let engine = open(&SimulatedDisk::default());
            if let Some(before) = before {
                engine.write(&batch(&[(series(0), NOW - 200_000_000 + before, -1.0)])).unwrap();
            }
            let written = engine.write(&batch(samples)).unwrap();
            prop_assert_eq!(written.stored + written.duplicates + written.rejected_total(), samples.len() as u64);
            Ok((everything(&engine), written.stored))
        };
        prop_assert_eq!(run(&samples)?, run(&shuffled)?);
    }

    #[test]
    fn r31_any_bits_and_times_survive_everything(raw in proptest::collection::btree_map(any::<i64>().prop_map(|t| t.min(NOW)), any::<u64>(), 1..300)) {
        let disk = SimulatedDisk::default();
        let engine = open(&disk);
        let samples = raw.iter().map(|(t, b)| Sample { time: Timestamp(*t), value: f64::from_bits(*b) }).collect();
        let mut batch = Batch::new(Origin::new("test"));
        batch.series.push(SeriesSamples { labels: series(1), samples: Samples::Many(samples) });
        prop_assert_eq!(engine.write(&batch).unwrap().stored, raw.len() as u64);
        let expected: Everything = [(series(1).to_string(), raw.into_iter().collect())].into();
        prop_assert_eq!(&everything(&engine), &expected);
        drop(engine);
        let engine = open(&disk);
        prop_assert_eq!(&everything(&engine), &expected);
        engine.flush().unwrap();
        prop_assert_eq!(&everything(&engine), &expected);
        drop(engine);
        prop_assert_eq!(&everything(&open(&disk)), &expected);
    }
}

#[test]
fn r13_a_start_on_a_full_disk_succeeds_and_reads() {
    let (disk, whole) = full_disk();
    disk.set_room(Some(0));
    let engine = open(&disk);
    assert_eq!(everything(&engine), whole);
    assert!(matches!(engine.write(&nth_unique(0)), Err(WriteError::Full(_))));
    assert!(engine.flush().is_err());
    assert_eq!(everything(&engine), whole);
    let unfinished = disk.files().keys().filter(|p| p.to_string_lossy().ends_with(".tmp")).count();
    assert_eq!(unfinished, 0, "a flush that failed leaves nothing behind");
    drop(engine);
    disk.heal();
    assert_eq!(everything(&open(&disk)), whole);
}
