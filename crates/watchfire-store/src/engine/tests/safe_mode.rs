//! Starts that die: the log is read back in little memory, then without its oldest part, and nothing is lost on the way.

use crate::logs::Signal;
use std::path::PathBuf;

use watchfire_model::batch::{Metadata, MetricType, SeriesExemplars};
use watchfire_model::logs::StreamEntries;
use watchfire_model::sample::Exemplar;
use watchfire_model::write::Written;

use super::*;
use crate::engine::starts;
use crate::file::RealDisk;

/// Much less than the log below needs.
const LITTLE: usize = 24 << 10;
const BATCHES: u64 = 120;

fn open_with(disk: &SimulatedDisk, memory_max: usize) -> Result<Engine, OpenError> {
    let clock = ManualClock::new(Timestamp(NOW));
    Engine::open(Arc::new(disk.clone()), Options { memory_max, wal_file_bytes: 8 << 10, ..options(&clock) })
}

fn open_little(disk: &SimulatedDisk) -> Engine {
    open_with(disk, LITTLE).expect("an engine")
}

/// Fifty series, late samples, histograms, exemplars and metadata.
fn large(n: u64) -> Batch {
    let time = NOW - 3_000_000 + n as i64 * 15_000;
    let samples: Vec<_> = (0..50).map(|s| (series(s), time, f64::from_bits((n + s).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2))).collect();
    let mut batch = with_histogram(batch(&samples), series(2000 + n % 3), time, counter(n));
    if n % 9 == 8 {
        batch.series.push(SeriesSamples { labels: series(3000), samples: Samples::One(Sample { time: Timestamp(time - 700_000), value: n as f64 }) });
    } else {
        batch.series.push(SeriesSamples { labels: series(3000), samples: Samples::One(Sample { time: Timestamp(time), value: n as f64 }) });
    }
    let labels = Labels::from_pairs([("trace_id", n.to_string())]);
    let exemplar = Exemplar { labels, time: Timestamp(time), value: n as f64 };
    batch.exemplars.push(SeriesExemplars { labels: series(7), exemplars: vec![exemplar] });
    let lines = vec![logs::entry(time * 1_000_000, &format!("line {n}"), &[]), logs::entry(time * 1_000_000, &format!("the same time {n}"), &[])];
    batch.logs.push(StreamEntries { labels: Labels::from_pairs([("app", "a")]), entries: lines });
    batch.metadata.push(Metadata { family: format!("family_{}", n / 10).into(), kind: MetricType::Gauge, help: "".into(), unit: "".into() });
    batch
}

fn exemplars(engine: &Engine) -> usize {
    let selection = Selection { matchers: vec![], start: Timestamp::MIN, end: Timestamp::MAX };
    let found = engine.exemplars(&selection, &Budget::unlimited(ManualClock::new(Timestamp(NOW)))).expect("exemplars");
    found.iter().map(|s| s.exemplars.len()).sum()
}

/// A log that was written with plenty of memory and not flushed, and what is in it.
fn written() -> (SimulatedDisk, Everything, u64) {
    let disk = SimulatedDisk::default();
    let engine = open_with(&disk, 64 << 20).expect("an engine");
    let mut stored = 0;
    for n in 0..BATCHES {
        stored += engine.write(&large(n)).expect("room").stored;
        // The log's entries are in segments before its samples are.
        if n == 40 {
            engine.flush_entries(Signal::Logs).expect("room");
        }
    }
    assert_eq!(logs::all(&engine), lines());
    (disk, everything(&engine), stored)
}

/// All log entries, sorted.
fn lines() -> Vec<logs::Line> {
    let mut lines: Vec<_> = (0..BATCHES)
        .flat_map(|n| large(n).logs)
        .flat_map(|s| s.entries.into_iter().map(move |e| (s.labels.to_string(), e.time.0, e.line.to_string(), e.metadata.to_string())))
        .collect();
    lines.sort();
    lines
}

fn samples_in(engine: &Engine) -> u64 {
    let stats = engine.stats();
    stats.head_samples + stats.segment_samples
}

fn log_files(disk: &SimulatedDisk, dir: &str) -> Vec<String> {
    disk.list(Path::new(dir)).expect("a directory").into_iter().map(|e| e.name).collect()
}

fn check_all(engine: &Engine, expected: &Everything) {
    assert!(everything(engine) == *expected, "something is lost, invented or changed");
    assert_eq!((exemplars(engine), engine.metadata().len()), (BATCHES as usize, 12));
    assert_eq!(logs::all(engine), lines());
    assert_eq!(engine.stats().quarantined, 0);
}

#[test]
fn r10_a_log_of_a_larger_memory_starts_under_a_small_one() {
    let (disk, expected, stored) = written();
    let old = log_files(&disk, "/data/wal");
    let engine = open_little(&disk);
    assert!(engine.stats().replay.spilled >= 3, "{:?}", engine.stats().replay);
    check_all(&engine, &expected);
    assert_eq!((samples_in(&engine), engine.stats().head_samples), (stored, 0), "nothing twice, nothing in memory");
    assert!(log_files(&disk, "/data/wal").iter().all(|name| !old.contains(name)), "the old log is not needed");
    // What comes again is known, and what is new goes on.
    assert_eq!(engine.write(&large(3)).unwrap(), Written { duplicates: 52, histograms: 1, exemplars: 0, ..engine.write(&large(3)).unwrap() });
    assert!(engine.write(&large(BATCHES)).unwrap().stored >= 51);
    drop(engine);
    let engine = open_little(&disk);
    assert_eq!((engine.stats().replay.spilled, samples_in(&engine)), (0, stored + 52));
}

#[test]
fn r10_after_three_deaths_the_log_is_read_in_parts() {
    let (disk, expected, stored) = written();
    starts::pretend(&disk, Path::new("/data"), 3, 3);
    // Fifty series do not fit at once.
    let engine = open_little(&disk);
    assert_eq!(engine.stats().replay.deaths, 3);
    assert!(engine.stats().replay.spilled > 5, "{:?}", engine.stats().replay);
    check_all(&engine, &expected);
    assert_eq!((samples_in(&engine), engine.stats().replay.samples), (stored, stored));
    assert_eq!(engine.stats().offline, None);
}

#[test]
fn r10_new_series_are_looked_up_without_all_indexes_in_memory() {
    let (disk, ..) = written();
    starts::pretend(&disk, Path::new("/data"), 3, 3);
    let engine = open_little(&disk);
    let indexes = |engine: &Engine| engine.read().segments.iter().map(|s| s.index_memory()).sum::<usize>();
    let all: usize = {
        let shared = engine.read();
        shared.segments.iter().for_each(|s| drop(s.load(0).unwrap()));
        shared.segments.iter().map(|s| s.index_memory()).sum()
    };
    assert!(all > LITTLE / 2, "{all}");
    assert_eq!(engine.write(&large(3)).unwrap().stored, 0, "nothing is known of the series but what the segments say");
    assert!(indexes(&engine) <= LITTLE / 2, "{} of {all}", indexes(&engine));
}

#[test]
fn r10_a_merge_takes_no_more_at_once_than_fits() {
    let disk = SimulatedDisk::default();
    // 24 KiB are enough for 48 series.
    let engine = open_little(&disk);
    for part in 0..20u64 {
        engine.write(&batch(&(0..10).map(|n| (series(part * 10 + n), NOW, n as f64)).collect::<Vec<_>>())).unwrap();
        engine.flush().unwrap();
    }
    let before = everything(&engine);
    let count = || engine.stats().segments;
    assert_eq!(count(), 20);
    assert!(engine.merge().unwrap());
    assert_eq!(count(), 17, "four of ten series each");
    assert!(engine.merge().unwrap());
    assert_eq!((count(), engine.merge().unwrap()), (14, false), "few enough for a day that goes on");
    assert_eq!(everything(&engine), before);
    assert!(engine.merge_all().unwrap());
    assert_eq!((count(), everything(&engine)), (1, before));
}

/// Dies at every step of a start in little memory, and looks at what the next start finds.
fn deaths_while_reading(unready: u32, power: bool) {
    let (whole, expected, stored) = written();
    starts::pretend(&whole, Path::new("/data"), 3, unready);
    let mut random = Random(10);
    let mut died = 0;
    for step in (0..).step_by(rounds(5, 1) as usize) {
        let disk = whole.copy();
        disk.die_after(step);
        drop(open_with(&disk, LITTLE));
        let dead = disk.is_dead();
        let left = if power { disk.cut_power(&mut random) } else { disk.copy() };
        let engine = open_little(&left);
        check_all(&engine, &expected);
        // A death between the names of the first and the last segment leaves both log and segments; nobody sees it.
        assert!(samples_in(&engine) >= stored, "step {step}");
        let unfinished = log_files(&left, "/data/metrics").into_iter().filter(|name| name.ends_with(".tmp")).count();
        assert_eq!(unfinished, 0, "step {step}");
        engine.flush().unwrap();
        check_all(&engine, &expected);
        if !dead {
            break;
        }
        died += 1;
    }
    assert!(died > 20, "only {died} starts died");
}

#[test]
fn r10_death_at_every_step_of_reading_in_little_memory_loses_nothing() {
    deaths_while_reading(3, false);
    deaths_while_reading(0, false);
}

#[test]
fn r10_a_power_cut_while_reading_in_little_memory_loses_nothing() {
    if !cfg!(feature = "canary-nofsync") {
        deaths_while_reading(3, true);
    }
}

#[test]
fn r10_what_kills_every_start_is_set_aside_whole_and_comes_back() {
    for unready in [6, 7] {
        let (disk, expected, stored) = written();
        let old = log_files(&disk, "/data/wal");
        starts::pretend(&disk, Path::new("/data"), unready, unready);
        let engine = open_little(&disk);
        let offline = engine.stats().offline.expect("something offline");
        let there: Vec<String> = log_files(&disk, "/data/offline").into_iter().filter(|name| name.ends_with(".log")).collect();
        assert_eq!((offline.files, there), (old.len() as u64, old.clone()));
        assert!(offline.to_string().contains("/data/offline") && offline.to_string().contains("returned"), "{offline}");
        assert_eq!(samples_in(&engine), 0);
        // It serves, and what is written meanwhile stays apart from what is offline.
        let meanwhile = engine.write(&batch(&[(series(9000), NOW, 1.0)])).unwrap().stored;
        engine.flush().unwrap();
        engine.close();
        let engine = open_little(&disk);
        assert!(engine.stats().offline.is_some() && engine.stats().replay.deaths == 0);
        engine.close();
        let new = log_files(&disk, "/data/wal");
        assert!(new.iter().all(|name| !old.contains(name)), "no number is used twice: {new:?}");

        disk.rename(Path::new("/data/offline"), Path::new("/data/returned")).unwrap();
        let engine = open_little(&disk);
        assert_eq!(engine.stats().offline, None);
        assert_eq!(samples_in(&engine), stored + meanwhile);
        let mut all = everything(&engine);
        all.remove(&series(9000).to_string()).expect("what was written meanwhile");
        assert!(all == expected, "something is lost, invented or changed");
        assert!(log_files(&disk, "/data/returned").is_empty());
        assert_eq!(logs::all(&engine), lines());
        engine.close();
        assert_eq!(samples_in(&open_little(&disk)), stored + meanwhile, "not again");
    }
}

/// Dies at every step of a start, and looks at what the next one finds after `between`. Returns how many starts died.
fn deaths_of_a_start(whole: &SimulatedDisk, expected: &Everything, between: impl Fn(&SimulatedDisk)) -> u64 {
    for step in (0..).step_by(rounds(3, 1) as usize) {
        let disk = whole.copy();
        disk.die_after(step);
        drop(open_with(&disk, LITTLE));
        let dead = disk.is_dead();
        let disk = disk.copy();
        between(&disk);
        // Twice, because what the first one leaves behind must not be there again in the second.
        for _ in 0..2 {
            let engine = open_little(&disk);
            assert!(everything(&engine) == *expected, "step {step}");
            assert_eq!(logs::all(&engine), lines(), "step {step}");
        }
        if !dead {
            return step;
        }
    }
    unreachable!("a start has an end")
}

#[test]
fn r10_death_at_every_step_of_setting_aside_and_of_coming_back_loses_nothing() {
    let (whole, expected, _) = written();
    starts::pretend(&whole, Path::new("/data"), 6, 6);
    let returns = |disk: &SimulatedDisk| {
        drop(open_with(disk, LITTLE));
        if disk.exists(Path::new("/data/offline")).unwrap() {
            disk.rename(Path::new("/data/offline"), Path::new("/data/returned")).unwrap();
        }
    };
    let died = deaths_of_a_start(&whole, &expected, returns);
    returns(&whole);
    assert!(!log_files(&whole, "/data/returned").is_empty());
    let died_coming_back = deaths_of_a_start(&whole, &expected, |_| {});
    assert!(died > 10 && died_coming_back > 20, "{died} {died_coming_back}");
}

#[test]
fn r10_log_entries_that_came_back_are_stored_once_though_samples_find_no_room() {
    let (disk, expected, _) = written();
    starts::pretend(&disk, Path::new("/data"), 6, 6);
    drop(open_with(&disk, LITTLE));
    disk.rename(Path::new("/data/offline"), Path::new("/data/returned")).unwrap();
    disk.set_room(Some(3000));
    let engine = open_little(&disk);
    assert_eq!(logs::all(&engine), lines());
    disk.set_room(None);
    engine.flush().unwrap();
    assert!(!log_files(&disk, "/data/returned").is_empty(), "the samples are still to come");
    drop(engine);
    let engine = open_little(&disk);
    assert_eq!(logs::all(&engine), lines());
    assert!(everything(&engine) == expected && log_files(&disk, "/data/returned").is_empty());
}

#[test]
fn r10_a_start_that_is_stopped_is_no_death() {
    let (disk, expected, _) = written();
    let clock = ManualClock::new(Timestamp(NOW));
    for _ in 0..9 {
        let options = options(&clock);
        options.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(matches!(Engine::open(Arc::new(disk.clone()), options), Err(OpenError::Stopped)));
    }
    let engine = open_little(&disk);
    assert_eq!((engine.stats().replay.deaths, engine.stats().offline.is_none()), (1, true), "that of the process that wrote");
    check_all(&engine, &expected);
}

#[test]
fn r10_only_whole_epochs_go_and_the_newest_that_fit_stay() {
    let (disk, expected, _) = written();
    // A new epoch, small enough to stay.
    let engine = open_with(&disk, 64 << 20).expect("an engine");
    engine.write(&batch(&[(series(9000), NOW, 1.0)])).unwrap();
    drop(engine);
    starts::pretend(&disk, Path::new("/data"), 6, 6);
    let engine = open_little(&disk);
    let found = everything(&engine);
    assert_eq!(found.keys().collect::<Vec<_>>(), [&series(9000).to_string()]);
    assert_eq!(engine.stats().replay.orphans, 0);
    drop(engine);
    disk.rename(Path::new("/data/offline"), Path::new("/data/returned")).unwrap();
    let mut all = everything(&open_little(&disk));
    all.remove(&series(9000).to_string());
    assert!(all == expected);
}

#[test]
fn r10_a_full_disk_does_not_prevent_a_start_in_little_memory() {
    let (disk, expected, stored) = written();
    disk.set_room(Some(3000));
    let engine = open_little(&disk);
    check_all(&engine, &expected);
    assert!(samples_in(&engine) >= stored);
    drop(engine);
    disk.set_room(None);
    let engine = open_little(&disk);
    check_all(&engine, &expected);
}

#[test]
fn r10_deaths_are_counted_until_a_start_is_survived() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(Timestamp(NOW));
    let open = || Engine::open(Arc::new(RealDisk), Options { dir: dir.path().to_owned(), ..options(&clock) }).unwrap();
    let deaths = |engine: &Engine| engine.stats().replay.deaths;
    let file: PathBuf = dir.path().join("starts");
    for n in 0..4 {
        assert_eq!(deaths(&open()), n, "dropped without an end, as a killed process");
    }
    let engine = open();
    clock.advance(Duration::from_secs(59));
    engine.tick();
    assert!(file.exists());
    clock.advance(Duration::from_secs(2));
    engine.tick();
    assert!(!file.exists());
    drop(engine);
    assert_eq!(deaths(&open()), 0, "it had lived long enough");
    let engine = open();
    assert_eq!(deaths(&engine), 1);
    engine.close();
    assert!(!file.exists());
    std::fs::write(&file, "watchfire starts 9 9\ncrc32 00000000\n").unwrap();
    assert_eq!(deaths(&open()), 0, "damage counts for nothing");
    // A start that ends with an error of its own is no death.
    std::fs::write(dir.path().join("metrics/00000001.seg"), b"damaged").unwrap();
    std::fs::remove_dir(dir.path().join("quarantine")).unwrap();
    std::fs::write(dir.path().join("quarantine"), b"in the way").unwrap();
    assert!(Engine::open(Arc::new(RealDisk), Options { dir: dir.path().to_owned(), ..options(&clock) }).is_err());
    std::fs::remove_file(dir.path().join("quarantine")).unwrap();
    assert_eq!(deaths(&open()), 1);
}
