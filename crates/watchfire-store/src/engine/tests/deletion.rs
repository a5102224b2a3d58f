//! Deleting series: gone for every reader at once and for good, and nothing else with them.

use watchfire_model::matcher::Matcher;

use super::*;

fn of(n: u64) -> Vec<Vec<Matcher>> {
    vec![vec![Matcher::equal("n", &n.to_string())]]
}

/// Three series of floats and histograms, in a merged segment, a fresh one and memory.
fn filled(disk: &SimulatedDisk) -> (Engine, Everything) {
    let engine = open(disk);
    for n in 0..30i64 {
        let samples: Vec<_> = (0..3).map(|s| (series(s), NOW - 30_000 + n * 1000, n as f64)).collect();
        engine.write(&with_histogram(batch(&samples), series(1000), NOW - 30_000 + n * 1000, counter(n as u64))).unwrap();
        match n {
            8 | 16 => engine.flush().unwrap(),
            17 => drop(engine.merge_all().unwrap()),
            24 => engine.flush().unwrap(),
            _ => {}
        }
    }
    let all = everything(&engine);
    (engine, all)
}

fn without(all: &Everything, n: u64, start: i64, end: i64) -> Everything {
    let mut left = all.clone();
    if let Some(samples) = left.get_mut(&series(n).to_string()) {
        samples.retain(|(time, _)| *time < start || *time > end);
    }
    left.retain(|_, samples| !samples.is_empty());
    left
}

fn selection(start: i64, end: i64) -> Selection {
    Selection { matchers: vec![], start: Timestamp(start), end: Timestamp(end) }
}

#[test]
fn what_is_deleted_is_gone_for_every_read_and_for_good() {
    for (n, start, end) in [(1, i64::MIN, i64::MAX), (1, NOW - 20_000, NOW - 10_000), (1000, NOW - 25_000, NOW - 24_000), (1000, i64::MIN, i64::MAX)] {
        let disk = SimulatedDisk::default();
        let (engine, all) = filled(&disk);
        let expected = without(&all, n, start, end);
        let deletion = engine.delete_series(&of(n), start, end).unwrap();
        assert_eq!(deletion.series, 1);
        let budget = Budget::unlimited(ManualClock::new(Timestamp(NOW)));
        let check = |engine: &Engine, when: &str| {
            assert_eq!(everything(engine), expected, "{when}");
            let whole = selection(i64::MIN, i64::MAX);
            let listed: Vec<String> = engine.series(&whole, &budget).unwrap().iter().map(Labels::to_string).collect();
            assert_eq!(listed.len(), expected.len(), "{when}: {listed:?}");
            let values = engine.label_values("n", &whole, &budget).unwrap();
            assert_eq!(values.contains(&n.to_string()), expected.contains_key(&series(n).to_string()), "{when}");
            let names = engine.label_names(&whole, &budget).unwrap();
            assert_eq!(names, ["__name__", "n"]);
        };
        check(&engine, "at once");
        let within = selection(start.max(NOW - 24_500), end.min(NOW - 12_000));
        let listed = engine.series(&within, &budget).unwrap();
        assert!(within.start > within.end || !listed.contains(&series(n)), "nothing but deleted moments: the series is not there");
        drop(engine);
        let engine = open(&disk);
        check(&engine, "after a restart");
        assert_eq!(engine.delete_series(&of(n), start, end).unwrap().series, 0, "nothing is left to delete");
        let marked = engine.stats().tombstones;
        assert_eq!(marked, 1);
        assert!(engine.clean_tombstones().unwrap() > 0);
        check(&engine, "after cleaning");
        engine.prune_tombstones().unwrap();
        assert_eq!(engine.stats().tombstones, 0);
        assert!(!disk.files().contains_key(Path::new("/data/tombstones")));
        drop(engine);
        check(&open(&disk), "cleaned, after a restart");
        open(&disk).merge_all().unwrap();
        check(&open(&disk), "merged");
    }
}

#[test]
fn a_merge_leaves_out_what_is_deleted() {
    let disk = SimulatedDisk::default();
    let (engine, all) = filled(&disk);
    engine.delete_series(&of(2), NOW - 22_000, NOW).unwrap();
    engine.delete_series(&of(0), i64::MIN, i64::MAX).unwrap();
    let expected = without(&without(&all, 2, NOW - 22_000, NOW), 0, i64::MIN, i64::MAX);
    engine.merge_all().unwrap();
    assert_eq!(everything(&engine), expected);
    assert_eq!(engine.stats().segment_samples, expected.values().map(Vec::len).sum::<usize>() as u64);
    engine.prune_tombstones().unwrap();
    assert_eq!(engine.stats().tombstones, 0);
    // Everything deleted: no file is left.
    engine.delete_series(&[vec![]], i64::MIN, i64::MAX).unwrap();
    assert_eq!(everything(&engine), Everything::new());
    engine.clean_tombstones().unwrap();
    assert_eq!(engine.stats().segments, 0);
    assert!(!disk.files().keys().any(|p| p.extension().is_some_and(|e| e == "seg")));
    assert_eq!(everything(&open(&disk)), Everything::new());
}

#[test]
fn what_is_written_after_a_deletion_stays() {
    let disk = SimulatedDisk::default();
    let (engine, all) = filled(&disk);
    engine.delete_series(&of(1), i64::MIN, i64::MAX).unwrap();
    let again = batch(&[(series(1), NOW - 15_000, 7.0), (series(1), NOW + 1, 8.0)]);
    assert_eq!(engine.write(&again).unwrap().stored, 2, "what is deleted is no duplicate");
    assert_eq!(engine.write(&again).unwrap().duplicates, 2);
    let mut expected = without(&all, 1, i64::MIN, i64::MAX);
    expected.insert(series(1).to_string(), vec![(NOW - 15_000, 7f64.to_bits()), (NOW + 1, 8f64.to_bits())]);
    assert_eq!(everything(&engine), expected);
    drop(engine);
    let engine = open(&disk);
    assert_eq!(everything(&engine), expected);
    engine.flush().unwrap();
    assert_eq!(everything(&engine), expected);
    engine.merge_all().unwrap();
    assert_eq!(everything(&engine), expected);
    drop(engine);
    assert_eq!(everything(&open(&disk)), expected);
    assert!(open(&disk).delete_series(&[], 0, 1).is_err());
    assert!(open(&disk).delete_series(&of(1), 1, 0).is_err());
}

#[test]
fn r02_death_at_every_step_of_a_deletion_leaves_all_or_nothing() {
    let scenario = |disk: &SimulatedDisk| -> Option<bool> {
        let engine = Engine::open(Arc::new(disk.clone()), options(&ManualClock::new(Timestamp(NOW)))).ok()?;
        let done = engine.delete_series(&of(1), i64::MIN, NOW - 10_000).is_ok();
        if done {
            let _cleaned = engine.clean_tombstones();
            engine.close();
        }
        Some(done)
    };
    let start = SimulatedDisk::default();
    let (engine, all) = filled(&start);
    drop(engine);
    let expected = without(&all, 1, i64::MIN, NOW - 10_000);
    let whole = start.copy();
    assert_eq!(scenario(&whole), Some(true));
    for step in 0..whole.changes() {
        let disk = start.copy();
        disk.die_after(step);
        let done = scenario(&disk);
        let disk = disk.copy();
        let engine = open(&disk);
        let found = everything(&engine);
        assert!(found == expected || (found == all && done != Some(true)), "step {step}, done: {done:?}");
        assert_eq!(engine.stats().quarantined, 0, "step {step}");
        engine.clean_tombstones().unwrap();
        assert_eq!(everything(&engine), found, "step {step}");
    }
}

#[test]
fn a_damaged_list_of_deletions_goes_into_quarantine() {
    let disk = SimulatedDisk::default();
    let (engine, all) = filled(&disk);
    engine.delete_series(&of(1), i64::MIN, i64::MAX).unwrap();
    drop(engine);
    let path = Path::new("/data/tombstones");
    let mut bytes = disk.files()[path].clone();
    bytes[8] = 2;
    let crc = crc32fast::hash(&bytes[..20]);
    bytes[20..24].copy_from_slice(&crc.to_le_bytes());
    disk.put(path, bytes.clone());
    let opened = Engine::open(Arc::new(disk.clone()), options(&ManualClock::new(Timestamp(NOW))));
    assert!(matches!(opened, Err(OpenError::Newer { found: 2, known: 1, .. })));
    bytes[22] ^= 1;
    disk.put(path, bytes);
    let engine = open(&disk);
    assert_eq!(engine.stats().quarantined, 1);
    assert_eq!(everything(&engine), all);
}

#[test]
fn a_snapshot_holds_what_was_acknowledged_and_has_its_name_when_it_is_whole() {
    let start = SimulatedDisk::default();
    let (engine, all) = filled(&start);
    engine.delete_series(&of(2), NOW - 20_000, NOW - 10_000).unwrap();
    drop(engine);
    let all = without(&all, 2, NOW - 20_000, NOW - 10_000);
    let into = Path::new("/backup/one");
    let opened = |disk: &SimulatedDisk| {
        let clock = ManualClock::new(Timestamp(NOW));
        Engine::open(Arc::new(disk.clone()), Options { dir: into.to_owned(), ..options(&clock) }).expect("a snapshot")
    };
    let take = |disk: &SimulatedDisk, skip_head: bool| -> io::Result<()> {
        let engine = Engine::open(Arc::new(disk.clone()), options(&ManualClock::new(Timestamp(NOW)))).map_err(io::Error::other)?;
        engine.write(&nth_unique(100)).map_err(io::Error::other)?;
        engine.snapshot(into, skip_head, &|_| Ok(())).map(drop)
    };
    let disk = start.copy();
    let mut with_head = everything(&open(&disk));
    assert_eq!(with_head, all);
    take(&disk, false).unwrap();
    with_head = everything(&open(&disk));
    assert_ne!(with_head, all);
    assert_eq!(everything(&opened(&disk)), with_head);
    assert_eq!(take(&disk, false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    let steps = disk.changes();
    let disk = start.copy();
    take(&disk, true).unwrap();
    let mut in_segments = all.clone();
    in_segments.values_mut().for_each(|samples| samples.retain(|(time, _)| *time <= NOW - 6000));
    assert_eq!(everything(&opened(&disk)), in_segments);
    for step in 0..steps {
        let disk = start.copy();
        disk.die_after(step);
        let done = take(&disk, false).is_ok();
        let disk = disk.copy();
        if disk.exists(into).unwrap() {
            assert_eq!(everything(&opened(&disk)), with_head, "step {step}: never half a snapshot under its name");
        } else {
            assert!(!done, "step {step}");
        }
        let found = everything(&open(&disk));
        assert!(found == with_head || found == all, "step {step}: the store itself");
        if !done {
            // The next try is not in the way of the last one.
            disk.remove_dir(into).unwrap();
            let engine = open(&disk);
            engine.snapshot(into, false, &|_| Ok(())).unwrap();
            assert_eq!(everything(&opened(&disk)), everything(&engine), "step {step}");
        }
    }
}

#[test]
fn a_deletion_survives_that_others_are_forgotten_meanwhile() {
    let disk = SimulatedDisk::default();
    let (engine, all) = filled(&disk);
    let engine = Arc::new(engine);
    // The first deletion is of a file that is gone, so that its mark can go.
    engine.delete_series(&of(0), i64::MIN, i64::MAX).unwrap();
    engine.merge_all().unwrap();
    let keeper = engine.clone();
    // As the keeper does after a merge; only its thread is another one.
    disk.when_named(Path::new("/data/tombstones"), move || keeper.prune_tombstones().unwrap());
    engine.delete_series(&of(1), i64::MIN, i64::MAX).unwrap();
    let expected = without(&without(&all, 0, i64::MIN, i64::MAX), 1, i64::MIN, i64::MAX);
    assert_eq!(everything(&engine), expected);
    drop(engine);
    assert_eq!(everything(&open(&disk)), expected, "after a restart");
    let engine = open(&disk);
    engine.prune_tombstones().unwrap();
    assert_eq!(engine.stats().tombstones, 1);
}

#[test]
fn a_flush_that_fails_leaves_nothing_that_brings_deleted_samples_back() {
    let segments = |disk: &SimulatedDisk| disk.files().into_keys().filter(|path| path.starts_with("/data/metrics")).collect::<Vec<_>>();
    let mut failed = 0;
    for writes in 0.. {
        let disk = SimulatedDisk::default();
        let engine = open(&disk);
        for day in [2, 1, 0] {
            engine.write(&batch(&[(series(0), NOW - day * DAY, 1.0), (series(1), NOW - day * DAY, 2.0)])).unwrap();
        }
        disk.fail_write_after(writes);
        if engine.flush().is_ok() {
            break;
        }
        failed += 1;
        assert_eq!(segments(&disk), Vec::<std::path::PathBuf>::new(), "tries on a full disk must not fill it further");
        disk.heal();
        let expected = without(&everything(&engine), 1, i64::MIN, i64::MAX);
        engine.delete_series(&of(1), i64::MIN, i64::MAX).unwrap();
        drop(engine);
        assert_eq!(everything(&open(&disk)), expected, "write {writes}");
    }
    assert!(failed > 10, "{failed}");
}

#[test]
fn label_values_at_once_are_all_or_none() {
    let disk = SimulatedDisk::default();
    let (engine, _) = filled(&disk);
    let budget = Budget::unlimited(ManualClock::new(Timestamp(NOW)));
    let whole = selection(i64::MIN, i64::MAX);
    engine.read().segments.iter().for_each(|s| s.unload());
    assert_eq!(engine.label_values_at_once("n", &whole), None, "the segments would have to be read");
    let values = engine.label_values("n", &whole, &budget).unwrap();
    assert_eq!(values, ["0", "1", "1000", "2"]);
    assert_eq!(engine.label_values_at_once("n", &whole), Some(values));
    assert_eq!(engine.label_values_at_once("none", &whole), Some(vec![]));
    assert_eq!(engine.label_values_at_once("n", &Selection { matchers: vec![Matcher::equal("n", "1")], ..whole.clone() }), None);
    let later = selection(NOW + HOUR, i64::MAX);
    assert_eq!(engine.label_values_at_once("n", &later), Some(vec![]));
    engine.delete_series(&of(1), i64::MIN, i64::MAX).unwrap();
    assert_eq!(engine.label_values_at_once("n", &whole), None, "what is deleted has to be left out");
}

#[test]
fn what_an_empty_merge_left_out_does_not_come_back_with_a_log_that_is_held() {
    let disk = SimulatedDisk::default();
    let held = |disk: &SimulatedDisk| {
        let clock = ManualClock::new(Timestamp(NOW));
        Engine::open_with(Arc::new(disk.clone()), options(&clock), true).expect("an engine")
    };
    let engine = held(&disk);
    engine.write(&batch(&[(series(1), NOW, 1.0)])).unwrap();
    engine.delete_series(&of(1), i64::MIN, i64::MAX).unwrap();
    assert_eq!(engine.clean_tombstones().unwrap(), 1);
    assert!(everything(&engine).is_empty() && engine.stats().segments == 0);
    drop(engine);
    for seed in 0..10 {
        assert!(everything(&held(&disk.cut_power(&mut Random(seed)))).is_empty(), "seed {seed}");
    }
}
