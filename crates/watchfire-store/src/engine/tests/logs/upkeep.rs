//! Merges, deletions and rules of retention: what stays is the same, what goes is gone for good.

use super::*;
use crate::logs::Signal;
use crate::options::LogRetention;
use watchfire_model::logs::LogLine;

fn matchers(pairs: &[(&str, &str)]) -> Vec<Matcher> {
    pairs.iter().map(|(name, value)| Matcher::equal(name, value)).collect()
}

#[test]
fn merges_keep_files_few_and_entries_as_they_are() {
    let disk = SimulatedDisk::default();
    let engine = open_small(&disk);
    for n in 0..120 {
        engine.write(&nth_logs(n)).unwrap();
        if n % 3 == 2 {
            engine.flush_entries(Signal::Logs).unwrap();
        }
    }
    let before = select(&engine, &whole(LogOrder::Forward));
    let segments = engine.stats().logs.segments;
    let mut merges = 0;
    while engine.merge_entries(Signal::Logs).unwrap() {
        merges += 1;
        assert_eq!(select(&engine, &whole(LogOrder::Forward)), before, "after merge {merges}");
    }
    let stats = engine.stats().logs;
    assert!(merges > 1 && stats.segments < segments / 4, "{segments} became {} by {merges} merges", stats.segments);
    assert_eq!(disk.files().keys().filter(|path| path.starts_with("/data/logs")).count() as u64, stats.segments);
    assert_eq!(select(&open_small(&disk.copy()), &whole(LogOrder::Forward)), before);
}

#[test]
fn a_long_merge_does_not_keep_entries_in_memory() {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(NOW));
    let engine = Engine::open(Arc::new(disk.clone()), Options { logs: LogOptions { memory_max: 60_000, ..small() }, ..options(&clock) }).unwrap();
    let batch =
        |n: i64| logs(vec![(labels!("app" => "a"), (0..20).map(|i| entry(NOW * MS + n * MS, &format!("line {n} {i} {}", "x".repeat(40)), &[])).collect())]);
    for n in 0..16 {
        engine.write(&batch(n)).unwrap();
        engine.flush_entries(Signal::Logs).unwrap();
    }
    // More than half of what may be in memory comes before the merge is done.
    let mut n = 16;
    while !engine.entries_are_due(Signal::Logs) {
        engine.write(&batch(n)).unwrap();
        n += 1;
    }
    let before = select(&engine, &whole(LogOrder::Forward));
    let head = engine.stats().logs.head_entries;
    assert!(engine.merge_entries(Signal::Logs).unwrap());
    assert_eq!((head > 0, engine.stats().logs.head_entries), (true, 0));
    assert_eq!(select(&engine, &whole(LogOrder::Forward)), before);
    assert_eq!(select(&open_small(&disk.copy()), &whole(LogOrder::Forward)), before);
}

#[test]
fn small_blocks_are_packed_anew_and_full_ones_are_copied() {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(NOW));
    let large = LogOptions { block_bytes: 100_000, unit_bytes: 200_000, ..LogOptions::default() };
    let engine = Engine::open(Arc::new(disk.clone()), Options { logs: large, ..options(&clock) }).unwrap();
    for n in 0..24 {
        engine.write(&logs(vec![(labels!("app" => "a"), (0..5).map(|i| entry(NOW * MS + n * MS, &line_of(n as u64 * 5 + i), &[])).collect())])).unwrap();
        engine.flush_entries(Signal::Logs).unwrap();
    }
    let before = select(&engine, &whole(LogOrder::Forward));
    let bytes = engine.stats().logs.segment_bytes;
    while engine.merge_entries(Signal::Logs).unwrap() {}
    assert_eq!(select(&engine, &whole(LogOrder::Forward)), before);
    assert!(engine.stats().logs.segment_bytes < bytes / 3, "{} of {bytes}", engine.stats().logs.segment_bytes);
}

#[test]
fn deletions_reach_memory_and_segments_and_nothing_else() {
    let disk = SimulatedDisk::default();
    let engine = open_small(&disk);
    for n in 0..60 {
        engine.write(&nth_logs(n)).unwrap();
        if n == 30 {
            engine.flush_entries(Signal::Logs).unwrap();
        }
    }
    let (start, end) = ((NOW + 20_000) * MS, (NOW + 40_000) * MS);
    let deletion = engine.delete_entries(Signal::Logs, &[matchers(&[("app", "b"), ("n", "1")])], start, end, None).unwrap();
    assert_eq!(deletion.entries, 5);
    let warnings = |line: LogLine<'_>| line.line.contains("warn");
    let filtered = engine.delete_entries(Signal::Logs, &[matchers(&[("app", "a")])], i64::MIN, i64::MAX, Some(&warnings)).unwrap();
    let by_metadata = engine.delete_entries(Signal::Logs, &[matchers(&[("trace_id", &format!("{:032x}", 7))])], i64::MIN, i64::MAX, None).unwrap();
    assert_eq!(by_metadata.entries, 1);
    let stays = |(labels, time, line, metadata): &Line| {
        let first = labels.contains("n=\"1\"") && (start..end).contains(time);
        let second = labels.contains("app=\"a\"") && line.contains("warn");
        let third = metadata.contains(&format!("{:032x}", 7));
        !(first || second || third)
    };
    let expected: Vec<Line> = expected_logs(60).into_iter().filter(stays).collect();
    assert_eq!(240 - expected.len() as u64, deletion.entries + filtered.entries + by_metadata.entries);
    assert_eq!(all(&engine), expected);
    assert_eq!(engine.delete_entries(Signal::Logs, &[matchers(&[("app", "nobody")])], i64::MIN, i64::MAX, None).unwrap().segments, 0);
    assert!(engine.delete_entries(Signal::Logs, &[], 0, 1, None).is_err() && engine.delete_entries(Signal::Logs, &[vec![]], 1, 1, None).is_err());
    // Not even a power cut brings anything back.
    for seed in 0..20 {
        assert_eq!(all(&open_small(&disk.cut_power(&mut Random(seed)))), expected, "seed {seed}");
    }
    engine.delete_entries(Signal::Logs, &[vec![]], i64::MIN, i64::MAX, None).unwrap();
    assert_eq!(all(&engine), []);
    for seed in 0..20 {
        assert_eq!(all(&open_small(&disk.cut_power(&mut Random(seed)))), [], "seed {seed}");
    }
    engine.write(&nth_logs(60)).unwrap();
    assert_eq!(all(&engine).len(), 4, "what is written later stays");
}

#[test]
fn rules_keep_streams_shorter_and_longer() {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(NOW));
    let day = |n: u64| Some(Duration::from_secs(n * 86_400));
    let rules =
        vec![LogRetention { matchers: matchers(&[("app", "short")]), keep: day(1) }, LogRetention { matchers: matchers(&[("app", "long")]), keep: day(9) }];
    let limits = LogOptions { retention: day(4), rules, ..small() };
    let engine = Engine::open(Arc::new(disk.clone()), Options { logs: limits, ..options(&clock) }).unwrap();
    let streams = ["short", "long", "other"];
    engine.write(&logs(streams.iter().map(|app| (labels!("app" => *app), vec![entry(NOW * MS, "line", &[])])).collect())).unwrap();
    engine.flush_entries(Signal::Logs).unwrap();
    let left = || select(&engine, &whole(LogOrder::Any)).into_iter().map(|(labels, ..)| labels).collect::<Vec<_>>();
    for (hours, expected) in [(12, 3), (30, 2), (5 * 24, 1), (10 * 24, 0)] {
        let to = NOW + hours * HOUR;
        while clock.now().millis() < to {
            clock.advance(Duration::from_secs(1800));
            engine.tick();
        }
        assert_eq!(left().len(), expected, "after {hours} hours: {:?}", left());
    }
}

#[test]
fn log_24_how_long_lines_are_kept_changes_while_the_store_is_open() {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(NOW));
    let days = |n: u64| Some(Duration::from_secs(n * 86_400));
    let engine = Engine::open(Arc::new(disk), Options { logs: LogOptions { retention: days(30), ..small() }, ..options(&clock) }).unwrap();
    engine.write(&logs(["a", "b"].iter().map(|app| (labels!("app" => *app), vec![entry(NOW * MS, "line", &[])])).collect())).unwrap();
    engine.flush_entries(Signal::Logs).unwrap();
    let left = || select(&engine, &whole(LogOrder::Any)).len();
    let pass = |hours: u64| {
        for _ in 0..hours * 2 {
            clock.advance(Duration::from_secs(1800));
            engine.tick();
        }
    };
    pass(4 * 24);
    assert_eq!(left(), 2);
    // A rule about one stream, then less time for all.
    let rules = vec![LogRetention { matchers: matchers(&[("app", "a")]), keep: days(3) }];
    engine.set_log_policy(&LogOptions { retention: days(7), rules, ..small() });
    pass(3);
    assert_eq!(left(), 1);
    let old = || engine.write(&logs(vec![(labels!("app" => "c"), vec![entry(NOW * MS, "old", &[])])])).unwrap().logs;
    assert_eq!(old().stored, 1);
    pass(3 * 24);
    engine.flush_entries(Signal::Logs).unwrap();
    assert_eq!(left(), 0, "seven days are over");
    assert_eq!(old().rejected, [(Reason::TooOld, 1)]);
}

#[test]
fn a_damaged_block_does_not_stop_the_rules_for_others() {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(NOW));
    let rules = vec![LogRetention { matchers: matchers(&[("app", "short")]), keep: Some(Duration::from_secs(86_400)) }];
    let open = || Engine::open(Arc::new(disk.clone()), Options { logs: LogOptions { rules: rules.clone(), ..small() }, ..options(&clock) }).unwrap();
    let engine = open();
    for n in 0..3 {
        engine.write(&logs(vec![(labels!("app" => "short", "n" => n.to_string().as_str()), vec![entry(NOW * MS + n, "line", &[])])])).unwrap();
        engine.flush_entries(Signal::Logs).unwrap();
    }
    let index = engine.read().entries[Signal::Logs].segments[0].index(0).unwrap().unwrap();
    let at = (index.blocks[0].offset + u64::from(index.blocks[0].info.filter.len)) as usize;
    engine.close();
    let (first, mut bytes) = disk.files().into_iter().find(|(path, _)| path.starts_with("/data/logs")).expect("a segment");
    bytes[at..at + 8].fill(0xff);
    disk.put(&first, bytes);
    clock.advance(Duration::from_secs(2 * 86_400));
    let engine = open();
    let entries = || engine.read().entries[Signal::Logs].segments.iter().map(|s| s.footer.entries).sum::<u64>();
    assert_eq!(entries(), 3);
    for _ in 0..10 {
        engine.apply_rules(Signal::Logs).unwrap();
    }
    assert_eq!((entries(), engine.stats().quarantined), (1, 0), "the damaged one stays until its time is over");
    // What was looked at is known: nobody reads its index again before it is due.
    engine.read().entries[Signal::Logs].segments.iter().for_each(|segment| segment.unload());
    engine.apply_rules(Signal::Logs).unwrap();
    assert_eq!(engine.read().entries[Signal::Logs].segments.iter().map(|segment| segment.index_memory()).sum::<usize>(), 0);
}

/// Entries in two segments, of which the older one in time knows most of the log, which nobody drops.
fn held(disk: &SimulatedDisk, size_max: Option<u64>) -> Engine {
    let clock = ManualClock::new(Timestamp(NOW));
    Engine::open_with(Arc::new(disk.clone()), Options { logs: small(), size_max, ..options(&clock) }, true).expect("an engine")
}

fn two_segments(engine: &Engine) {
    for (app, time) in [("new", NOW), ("old", NOW - 30 * HOUR)] {
        engine.write(&logs(vec![(labels!("app" => app), vec![entry(time * MS, "a line", &[])])])).unwrap();
        engine.flush_entries(Signal::Logs).unwrap();
    }
}

#[test]
fn what_retention_by_size_removed_does_not_come_back_with_the_log() {
    let disk = SimulatedDisk::default();
    two_segments(&held(&disk, None));
    let bytes: u64 = disk.files().values().map(|bytes| bytes.len() as u64).sum();
    let engine = held(&disk, Some(bytes - 300));
    assert_eq!(engine.cleanup().files.len(), 1);
    let left = all(&engine);
    assert!(left.len() == 1 && left[0].0.contains("new"), "{left:?}");
    drop(engine);
    assert_eq!(all(&held(&disk.copy(), None)), left);
    // Without the file the footers count: what is there is there once, what was removed may be seen again.
    disk.put(Path::new("/data/flushed"), b"damaged".to_vec());
    let engine = held(&disk, None);
    assert_eq!((engine.stats().quarantined, all(&engine).len()), (1, 2));
}

#[test]
fn what_is_deleted_does_not_come_back_when_the_segment_without_it_is_lost() {
    let disk = SimulatedDisk::default();
    let engine = held(&disk, None);
    two_segments(&engine);
    assert_eq!(engine.delete_entries(Signal::Logs, &[matchers(&[("app", "old")])], i64::MIN, i64::MAX, None).unwrap().entries, 1);
    drop(engine);
    let newest = disk.files().keys().filter(|path| path.starts_with("/data/logs")).max().cloned().expect("a segment");
    disk.put(&newest, b"damaged".to_vec());
    let left = all(&held(&disk, None));
    assert!(left.iter().all(|(labels, ..)| labels.contains("new")), "{left:?}");
}
