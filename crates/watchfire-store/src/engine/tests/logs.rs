//! Logs in the engine: every entry once, in order, whatever is flushed, restarted, torn or damaged meanwhile.

use crate::logs::Signal;
use watchfire_model::labels;
use watchfire_model::logs::{LogEntry, LogOrder, LogSelection, Nanos, StreamEntries};
use watchfire_model::matcher::{MatchOp, Matcher};

use super::*;
use crate::options::LogOptions;

mod crashes;
mod upkeep;

const MS: i64 = 1_000_000;

/// An entry as tests compare it.
pub(super) type Line = (String, i64, String, String);

pub(super) fn entry(time: i64, line: &str, metadata: &[(&str, &str)]) -> LogEntry {
    LogEntry { time: Nanos(time), line: line.into(), metadata: Labels::from_pairs(metadata.iter().copied()) }
}

fn logs(streams: Vec<(Labels, Vec<LogEntry>)>) -> Batch {
    let mut batch = Batch::new(Origin::new("test"));
    batch.logs = streams.into_iter().map(|(labels, entries)| StreamEntries { labels, entries }).collect();
    batch
}

fn whole(order: LogOrder) -> LogSelection {
    LogSelection { order, ..LogSelection::new(vec![], Nanos::MIN, Nanos::MAX) }
}

fn select(engine: &Engine, selection: &LogSelection) -> Vec<Line> {
    let mut found = Vec::new();
    let budget = Budget::unlimited(ManualClock::new(Timestamp(NOW)));
    let read = engine.select_entries(Signal::Logs, selection, &budget, &mut |line| {
        found.push((line.labels.to_string(), line.time.0, line.line.to_owned(), line.metadata.to_string()));
        Ok(ControlFlow::Continue(()))
    });
    read.expect("a readable engine");
    found
}

/// Everything, sorted: for comparisons.
pub(super) fn all(engine: &Engine) -> Vec<Line> {
    let mut found = select(engine, &whole(LogOrder::Any));
    found.sort();
    let forward = select(engine, &whole(LogOrder::Forward));
    assert!(forward.is_sorted_by_key(|(_, time, ..)| *time));
    let mut backward = select(engine, &whole(LogOrder::Backward));
    backward.reverse();
    assert_eq!(forward, backward, "backward is exactly the reverse");
    let mut forward = forward;
    forward.sort();
    assert_eq!(found, forward, "the order changes nothing else");
    found
}

/// Small units and blocks, so that a few entries are many.
fn small() -> LogOptions {
    LogOptions { block_bytes: 400, unit_bytes: 2_000, ..LogOptions::default() }
}

fn open_small(disk: &SimulatedDisk) -> Engine {
    let clock = ManualClock::new(Timestamp(NOW));
    Engine::open(Arc::new(disk.clone()), Options { logs: small(), ..options(&clock) }).expect("an engine")
}

fn line_of(n: u64) -> String {
    match n % 3 {
        0 => format!(r#"{{"level":"info","n":{n},"trace":"{:032x}"}}"#, u128::from(n) * 0x1234_5678_9abc_def1),
        1 => format!("level=warn msg=\"number {n}\" n={n}"),
        _ => format!("plain words {n} and ümläute"),
    }
}

/// The `n`th batch of a run: some streams, late entries, several days now and then.
fn nth_logs(n: u64) -> Batch {
    let time = NOW * MS + n as i64 * 1_000 * MS;
    let late = if n % 7 == 6 { -2 * DAY * MS } else { -5_000 * MS };
    let level = ["info", "warn"][n as usize % 2];
    logs(vec![
        (
            labels!("app" => "a"),
            vec![entry(time, &line_of(n), &[("detected_level", level)]), entry(time, "same time", &[]), entry(time + late, &line_of(n + 1), &[])],
        ),
        (labels!("app" => "b", "n" => (n % 4).to_string().as_str()), vec![entry(time, &line_of(n), &[("trace_id", &format!("{n:032x}"))])]),
    ])
}

fn expected_logs(batches: u64) -> Vec<Line> {
    let mut lines: Vec<Line> = (0..batches)
        .flat_map(|n| nth_logs(n).logs)
        .flat_map(|s| s.entries.into_iter().map(move |e| (s.labels.to_string(), e.time.0, e.line.to_string(), e.metadata.to_string())))
        .collect();
    lines.sort();
    lines
}

#[test]
fn entries_are_found_once_wherever_they_are() {
    let disk = SimulatedDisk::default();
    let engine = open_small(&disk);
    for n in 0..60 {
        let written = engine.write(&nth_logs(n)).unwrap();
        assert_eq!((written.logs.stored, written.stored), (4, 0));
        match n {
            20 => engine.flush_entries(Signal::Logs).unwrap(),
            40 => engine.flush().unwrap(),
            45 => engine.flush_entries(Signal::Logs).unwrap(),
            _ => {}
        }
        if n % 9 == 0 {
            assert_eq!(all(&engine), expected_logs(n + 1), "after {n}");
        }
    }
    assert_eq!(all(&engine), expected_logs(60));
    let stats = engine.stats().logs;
    assert_eq!((stats.appended, stats.head_entries + stats.segment_entries), (240, 240));
    assert_eq!(all(&open_small(&disk.copy())), expected_logs(60), "the log has the rest");
    // A batch that was not acknowledged comes again.
    for engine in [&engine, &open_small(&disk.copy())] {
        let again = engine.write(&nth_logs(59)).unwrap().logs;
        assert_eq!((again.stored, again.duplicates), (0, 4));
        assert_eq!(all(engine), expected_logs(60));
    }
}

#[test]
fn an_entry_that_comes_again_is_known_after_a_flush_and_a_start() {
    let disk = SimulatedDisk::default();
    let engine = open_small(&disk);
    engine.write(&nth_logs(0)).unwrap();
    engine.flush().unwrap();
    engine.write(&nth_logs(1)).unwrap();
    engine.flush_entries(Signal::Logs).unwrap();
    for disk in [disk.copy(), disk.cut_power(&mut Random(1)), disk.cut_power(&mut Random(2))] {
        let engine = open_small(&disk);
        for n in 0..2 {
            assert_eq!(engine.write(&nth_logs(n)).unwrap().logs.duplicates, 4);
        }
        assert_eq!(all(&engine), expected_logs(2));
    }
}

#[test]
fn entries_of_one_stream_and_time_keep_their_order() {
    let disk = SimulatedDisk::default();
    let engine = open_small(&disk);
    for n in 0..30 {
        engine.write(&logs(vec![(labels!("app" => "a"), vec![entry(NOW * MS, &format!("line {n}"), &[])])])).unwrap();
        if n % 7 == 3 {
            engine.flush_entries(Signal::Logs).unwrap();
        }
    }
    let numbers = |order| select(&engine, &whole(order)).iter().map(|(.., line, _)| line.clone()).collect::<Vec<_>>();
    let expected: Vec<String> = (0..30).map(|n| format!("line {n}")).collect();
    assert_eq!(numbers(LogOrder::Forward), expected);
    assert_eq!(numbers(LogOrder::Backward), expected.into_iter().rev().collect::<Vec<_>>());
}

#[test]
fn matchers_times_and_hints_choose() {
    let disk = SimulatedDisk::default();
    let engine = open_small(&disk);
    for n in 0..50 {
        engine.write(&nth_logs(n)).unwrap();
        if n == 25 {
            engine.flush_entries(Signal::Logs).unwrap();
        }
    }
    let every = expected_logs(50);
    let check = |selection: &LogSelection, wanted: &dyn Fn(&Line) -> bool| {
        let mut found = select(&engine, selection);
        found.sort();
        let expected: Vec<Line> = every.iter().filter(|line| wanted(line)).cloned().collect();
        assert!(!expected.is_empty());
        assert_eq!(found, expected, "{selection:?}");
    };
    let matching = |matchers| LogSelection { matchers, ..whole(LogOrder::Any) };
    check(&matching(vec![Matcher::equal("app", "b"), Matcher::new("n", MatchOp::Regex, "1|3").unwrap()]), &|(labels, ..)| {
        labels.contains("n=\"1\"") || labels.contains("n=\"3\"")
    });
    // What no stream has as a label is looked for in the metadata.
    check(&matching(vec![Matcher::equal("trace_id", &format!("{:032x}", 17))]), &|(.., metadata)| metadata.contains("00011\""));
    check(&matching(vec![Matcher::equal("detected_level", "warn")]), &|(.., metadata)| metadata.contains("warn"));
    check(&matching(vec![Matcher::new("detected_level", MatchOp::NotEqual, "warn").unwrap()]), &|(.., metadata)| !metadata.contains("warn"));
    check(&matching(vec![Matcher::new("nowhere", MatchOp::NotEqual, "x").unwrap()]), &|_| true);
    assert!(select(&engine, &matching(vec![Matcher::equal("nowhere", "x")])).is_empty());
    let (start, end) = (NOW * MS + 10_000 * MS, NOW * MS + 30_000 * MS);
    check(&LogSelection { start: Nanos(start), end: Nanos(end), ..whole(LogOrder::Any) }, &|(_, time, ..)| (start..end).contains(time));
    for text in ["number 22", "words 44", "\"n\":33,", "ümläute", "same", "no"] {
        let selection = LogSelection { contains: vec![text.to_owned()], ..whole(LogOrder::Any) };
        let mut found = select(&engine, &selection);
        found.retain(|(.., line, _)| line.contains(text));
        found.sort();
        assert_eq!(found, every.iter().filter(|(.., line, _)| line.contains(text)).cloned().collect::<Vec<_>>(), "{text}");
    }
    // Without lines everything else is the same.
    let mut counted = select(&engine, &LogSelection { lines: false, ..whole(LogOrder::Any) });
    let mut expected = every.clone();
    counted.iter_mut().chain(&mut expected).for_each(|(.., line, _)| line.clear());
    counted.sort();
    expected.sort();
    assert_eq!(counted, expected);
    // The same where only lines without a noted level are asked for, and one level.
    let warn = vec![Matcher::equal("detected_level", "warn")];
    let mut found = select(&engine, &LogSelection { lines: false, lines_without_level: true, levels: warn, ..whole(LogOrder::Any) });
    let mut expected: Vec<Line> = every.iter().filter(|(.., metadata)| !metadata.contains("\"info\"")).cloned().collect();
    assert!(
        found
            .iter()
            .all(|(labels, time, line, metadata)| metadata.contains("detected") || expected.contains(&(labels.clone(), *time, line.clone(), metadata.clone())))
    );
    found.iter_mut().chain(&mut expected).for_each(|(.., line, _)| line.clear());
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    let hinted = LogSelection { metadata: vec![("trace_id".into(), format!("{:032x}", 9))], ..whole(LogOrder::Any) };
    let found = select(&engine, &hinted);
    assert!(found.iter().any(|(.., metadata)| metadata.contains("00009\"")) && found.len() < every.len() / 2);
}

#[test]
fn levels_that_are_noted_stand_for_lines() {
    let disk = SimulatedDisk::default();
    let engine = open_small(&disk);
    let noted = |n: i64, level: &str| entry(NOW * MS + n * MS, &format!("line {n} {}", "x".repeat(60)), &[("detected_level", level)]);
    let level = |n: i64| if n < 30 { "info" } else { "error" };
    engine.write(&logs(vec![(labels!("app" => "a"), (0..60).map(|n| noted(n, level(n))).collect())])).unwrap();
    engine.flush_entries(Signal::Logs).unwrap();
    let ask = |selection: &LogSelection| select(&engine, selection);
    let counting = LogSelection { lines: false, lines_without_level: true, ..whole(LogOrder::Any) };
    let found = ask(&counting);
    assert_eq!((found.len(), found.iter().filter(|(.., line, _)| !line.is_empty()).count()), (60, 0));
    // Blocks that have none of a level are not opened.
    let errors = LogSelection { levels: vec![Matcher::equal("detected_level", "error")], ..whole(LogOrder::Any) };
    assert_eq!(ask(&errors).len(), 30);
    assert!(ask(&LogSelection { levels: vec![Matcher::equal("detected_level", "fatal")], ..whole(LogOrder::Any) }).is_empty());
    // What is held while places are read is given back.
    let pool = watchfire_model::read::MemoryPool::new(u64::MAX);
    let within = |most: u64| {
        let clock = ManualClock::new(Timestamp(NOW));
        Budget::within(Some(pool.clone()), clock, std::time::Duration::from_secs(60), u64::MAX, most)
    };
    let mut most = 0;
    let mut visit = |_: watchfire_model::logs::LogLine<'_>| {
        most = most.max(pool.used());
        Ok(ControlFlow::Continue(()))
    };
    let (rich, poor) = (within(u64::MAX), within(100));
    engine.select_entries(Signal::Logs, &errors, &rich, &mut visit).unwrap();
    assert!(engine.select_entries(Signal::Logs, &errors, &poor, &mut visit).is_err(), "places are memory, too");
    assert_eq!((most > 0, pool.used()), (true, 0));
}

#[test]
fn the_last_lines_do_not_cost_the_day() {
    let disk = SimulatedDisk::default();
    let engine = open_small(&disk);
    for n in 0..400 {
        engine.write(&logs(vec![(labels!("app" => "a"), vec![entry(NOW * MS + n * MS, &format!("line {n} of many"), &[])])])).unwrap();
    }
    engine.flush_entries(Signal::Logs).unwrap();
    let mut found = Vec::new();
    // Room for a few blocks only: reading everything would fail.
    let budget = Budget::new(ManualClock::new(Timestamp(NOW)), Duration::from_secs(10), u64::MAX, 6_000);
    let read = engine.select_entries(Signal::Logs, &whole(LogOrder::Backward), &budget, &mut |line| {
        found.push(line.line.to_owned());
        Ok(if found.len() == 10 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    });
    read.unwrap();
    assert_eq!(found, (390..400).rev().map(|n| format!("line {n} of many")).collect::<Vec<_>>());
    assert!(engine.stats().logs.segments > 0);
}

#[test]
fn volumes_names_and_values_are_told_without_lines() {
    let disk = SimulatedDisk::default();
    let engine = open_small(&disk);
    for n in 0..40 {
        let moved = labels!("app" => "c", "trace_id" => format!("{n:032x}").as_str());
        let mut batch = nth_logs(n);
        batch.logs.push(StreamEntries { labels: moved, entries: vec![entry(NOW * MS, "moved", &[])] });
        engine.write(&batch).unwrap();
        if n == 20 {
            engine.flush_entries(Signal::Logs).unwrap();
        }
    }
    let budget = Budget::unlimited(ManualClock::new(Timestamp(NOW)));
    let volume = |matchers| engine.entry_volume(Signal::Logs, &LogSelection { matchers, ..whole(LogOrder::Any) }, &budget).unwrap();
    let told: Vec<_> = volume(vec![]).iter().map(|v| (v.labels.to_string(), v.entries)).collect();
    let b = |n: u64| (format!("{{app=\"b\", n=\"{n}\"}}"), 10);
    assert_eq!(told, [("{app=\"a\"}".to_owned(), 120), b(0), b(1), b(2), b(3), ("{app=\"c\"}".to_owned(), 40)], "an id makes no stream");
    assert_eq!(volume(vec![Matcher::equal("trace_id", &format!("{:032x}", 30)), Matcher::equal("app", "c")])[0].entries, 1);
    let names = engine.entry_label_names(Signal::Logs, &whole(LogOrder::Any), &budget).unwrap();
    assert_eq!(names, ["app", "n", "trace_id"]);
    let values = |name: &str| engine.entry_label_values(Signal::Logs, name, &whole(LogOrder::Any), &budget).unwrap();
    assert_eq!(values("n"), ["0", "1", "2", "3"]);
    assert_eq!(values("trace_id").len(), 40);
    assert_eq!(values("detected_level"), Vec::<String>::new(), "it never was a label");
    assert_eq!(engine.stats().logs.streams, 6);
}

#[test]
fn what_is_too_large_is_refused_with_its_reason() {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(NOW));
    let limits =
        LogOptions { line_bytes_max: 10, labels_max: 2, metadata_bytes_max: 30, streams_max: 2, retention: Some(Duration::from_secs(3600)), ..small() };
    let engine = |limits: LogOptions| Engine::open(Arc::new(disk.clone()), Options { logs: limits, ..options(&clock) }).expect("an engine");
    let first = engine(limits.clone());
    let a = labels!("app" => "a");
    let entries = vec![
        entry(NOW * MS, "12345678901", &[]),
        entry(NOW * MS, "fits", &[("k", "a value that is longer than that")]),
        entry((NOW + HOUR) * MS, "future", &[]),
        entry((NOW - 2 * HOUR) * MS, "old", &[]),
        entry(NOW * MS, "fits", &[]),
    ];
    let written = first.write(&logs(vec![(a.clone(), entries), (labels!("a" => "1", "b" => "2", "c" => "3"), vec![entry(0, "", &[]); 3])])).unwrap();
    assert_eq!(written.logs.stored, 1);
    let reasons = [(Reason::LineLength, 1), (Reason::MetadataSize, 1), (Reason::TooFarFuture, 1), (Reason::TooOld, 1), (Reason::LabelCount, 3)];
    assert_eq!(written.logs.rejected, reasons);
    assert_eq!(written.example.as_deref(), Some("line_length: {app=\"a\"} at 2025-12-30T10:15:00.000Z"));
    for n in 0..3 {
        let written = first.write(&logs(vec![(labels!("n" => n.to_string().as_str()), vec![entry(NOW * MS, "x", &[])])])).unwrap().logs;
        assert_eq!(written.rejected_total(), u64::from(n > 0), "{n}");
    }
    let second = engine(LogOptions { truncate_lines: true, ..limits });
    let written = second.write(&logs(vec![(a, vec![entry(NOW * MS, "123456789ü", &[])])])).unwrap().logs;
    assert_eq!((written.stored, written.truncated), (1, 1));
    assert!(all(&second).iter().any(|(.., line, _)| line == "123456789"));
}

#[test]
fn a_million_streams_stay_within_the_memory() {
    // A thousandth of the figures.
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(NOW));
    let limits = LogOptions { memory_max: 200_000, streams_max: 400, label_values_max: usize::MAX, ..small() };
    let engine = Engine::open(Arc::new(disk.clone()), Options { logs: limits, ..options(&clock) }).unwrap();
    for n in 0..1000u64 {
        let stream = labels!("app" => "a", "pod" => format!("pod-{n}").as_str());
        assert_eq!(engine.write(&logs(vec![(stream, vec![entry(NOW * MS, "a line", &[])])])).unwrap().logs.stored, 1);
        clock.advance(Duration::from_millis(10));
        engine.tick();
        let stats = engine.stats().logs;
        assert!(stats.streams <= 400 && stats.head_bytes < 200_000, "{stats:?}");
    }
    assert_eq!(all(&engine).len(), 1000);
}

#[test]
fn disk_full_leaves_no_trace() {
    let disk = SimulatedDisk::default();
    let engine = open_small(&disk);
    engine.write(&nth_logs(0)).unwrap();
    disk.set_room(Some(10));
    assert!(matches!(engine.write(&nth_logs(1)), Err(WriteError::Full(_))));
    assert!(engine.flush_entries(Signal::Logs).is_err());
    assert_eq!(all(&engine), expected_logs(1));
    disk.heal();
    engine.look_for_room();
    let written = engine.write(&nth_logs(1)).unwrap().logs;
    assert_eq!((written.stored, written.duplicates), (4, 0), "the refused batch is not known");
    engine.flush_entries(Signal::Logs).unwrap();
    assert_eq!(all(&engine), expected_logs(2));
    assert_eq!(all(&open_small(&disk.copy())), expected_logs(2));
}

#[test]
fn r06_damage_in_segments_of_logs_is_reported_never_wrong() {
    let disk = SimulatedDisk::default();
    let engine = open_small(&disk);
    for n in 0..60 {
        engine.write(&nth_logs(n)).unwrap();
    }
    engine.flush().unwrap();
    engine.close();
    drop(engine);
    let every = expected_logs(60);
    let mut random = Random(6);
    let segments: Vec<_> = disk.files().into_iter().filter(|(path, _)| path.starts_with("/data/logs")).collect();
    assert!(segments.len() > 1);
    let mut seen = 0;
    for round in 0..rounds(400, 5_000) {
        let (path, bytes) = &segments[random.below(segments.len() as u64) as usize];
        let mut bytes = bytes.clone();
        let at = random.below(bytes.len() as u64) as usize;
        match round % 3 {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at..].iter_mut().take(512).for_each(|b| *b = 0),
            _ => bytes.truncate(at),
        }
        let damaged = disk.copy();
        damaged.put(path, bytes);
        let engine = open_small(&damaged);
        for selection in [whole(LogOrder::Any), LogSelection { contains: vec!["number".into()], ..whole(LogOrder::Any) }] {
            let mut found = select(&engine, &selection);
            if selection.contains.is_empty() {
                assert!(found.iter().all(|line| every.binary_search(line).is_ok()), "nothing is invented");
            } else {
                found.retain(|(.., line, _)| line.contains("number"));
            }
            let wanted = every.iter().filter(|(.., line, _)| selection.contains.iter().all(|text| line.contains(text))).count();
            engine.remove_damaged();
            let stats = engine.stats();
            assert!(found.len() == wanted || stats.quarantined > 0 || stats.damaged_blocks > 0, "round {round}: {} of {wanted}", found.len());
            seen += u64::from(found.len() < wanted);
        }
    }
    assert!(seen > 50, "{seen}");
}

#[test]
fn a_snapshot_has_the_logs() {
    let disk = SimulatedDisk::default();
    let engine = open_small(&disk);
    for n in 0..10 {
        engine.write(&nth_logs(n)).unwrap();
    }
    let report = engine.snapshot(Path::new("/copy"), false, &|_| Ok(())).unwrap();
    assert_eq!(report.log_entries, 40);
    engine.write(&nth_logs(10)).unwrap();
    let clock = ManualClock::new(Timestamp(NOW));
    let copy = Engine::open(Arc::new(disk.copy()), Options { dir: "/copy".into(), logs: small(), ..options(&clock) }).unwrap();
    assert_eq!(all(&copy), expected_logs(10));
    // What is written there is not taken for what the segments have.
    copy.write(&nth_logs(10)).unwrap();
    copy.close();
    drop(copy);
    let copy = Engine::open(Arc::new(disk.copy()), Options { dir: "/copy".into(), logs: small(), ..options(&clock) }).unwrap();
    assert_eq!(all(&copy).len(), 40);
}

#[test]
fn logs_go_by_age_and_by_size() {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(NOW - 6 * DAY));
    let keep = |age, size| Options { size_max: size, logs: LogOptions { retention: age, ..small() }, ..options(&clock) };
    let engine = Engine::open(Arc::new(disk.clone()), keep(None, None)).unwrap();
    for n in 0..6i64 {
        let time = (NOW - (6 - n) * DAY) * MS;
        let entries = (0..20).map(|i| entry(time + i, &format!("day {n} line {i}"), &[])).collect();
        engine.write(&logs(vec![(labels!("app" => "a"), entries)])).unwrap();
        clock.advance(Duration::from_secs(86_400));
        engine.flush_entries(Signal::Logs).unwrap();
    }
    drop(engine);
    let days = |engine: &Engine| {
        select(engine, &whole(LogOrder::Forward)).iter().map(|(.., line, _)| line.get(..5).unwrap().to_owned()).collect::<std::collections::BTreeSet<_>>()
    };
    let by_age = Engine::open(Arc::new(disk.copy()), keep(Some(Duration::from_secs(2 * 86_400 + 3600)), None)).unwrap();
    assert_eq!(by_age.cleanup_preview().files.len(), 4);
    for _ in 0..200 {
        clock.advance(Duration::from_secs(61));
        by_age.tick();
    }
    assert_eq!(days(&by_age).into_iter().collect::<Vec<_>>(), ["day 5"], "two days and some hours are over");
    let size: usize = disk.files().iter().filter(|(path, _)| path.starts_with("/data/logs")).map(|(_, bytes)| bytes.len()).sum();
    let by_size = Engine::open(
        Arc::new(disk.copy()),
        keep(None, Some(size as u64 / 2 + disk.files().iter().filter(|(path, _)| path.starts_with("/data/wal")).map(|(_, b)| b.len() as u64).sum::<u64>())),
    )
    .unwrap();
    for _ in 0..10 {
        by_size.tick();
    }
    assert_eq!(days(&by_size).into_iter().collect::<Vec<_>>(), ["day 3", "day 4", "day 5"]);
}

#[test]
fn readers_see_each_entry_once_while_it_moves() {
    const BATCHES: u64 = 300;
    let disk = SimulatedDisk::default();
    let engine = Arc::new(open_small(&disk));
    let lines = |n: u64| (labels!("app" => "a"), vec![entry(NOW * MS + n as i64, &format!("line {n}"), &[])]);
    let done = Arc::new(std::sync::atomic::AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..BATCHES {
                engine.write(&logs(vec![lines(n)])).unwrap();
                done.store(n + 1, std::sync::atomic::Ordering::SeqCst);
            }
        });
        scope.spawn(|| {
            while done.load(std::sync::atomic::Ordering::SeqCst) < BATCHES {
                engine.flush_entries(Signal::Logs).unwrap();
                engine.merge_entries(Signal::Logs).unwrap();
                engine.flush().unwrap();
            }
        });
        for order in [LogOrder::Forward, LogOrder::Any, LogOrder::Backward].into_iter().cycle() {
            let before = done.load(std::sync::atomic::Ordering::SeqCst);
            let mut found: Vec<u64> = select(&engine, &whole(order)).iter().map(|(.., line, _)| line.get(5..).unwrap().parse().unwrap()).collect();
            let after = done.load(std::sync::atomic::Ordering::SeqCst);
            found.sort_unstable();
            let len = found.len() as u64;
            assert_eq!(found, (0..len).collect::<Vec<_>>(), "each once, without gaps");
            assert!(len >= before && len <= after + 1, "{before} before, {after} after, {len} found");
            if before == BATCHES {
                break;
            }
        }
    });
}

/// What a segment tells of its names has a limit, whatever senders call them.
#[test]
fn long_names_of_metadata_do_not_make_a_footer_that_nobody_believes() {
    let disk = SimulatedDisk::default();
    let clock = ManualClock::new(Timestamp(NOW));
    let open = || Engine::open(Arc::new(disk.clone()), options(&clock)).expect("an engine");
    let engine = open();
    let names = |n: i64| (0..10).map(|i| (format!("{:a<1024}", format!("n{n}_{i}_")), "x".to_owned())).collect::<Vec<_>>();
    let entries = (0..409).map(|n| LogEntry { time: Nanos(NOW * MS + n), line: "x".into(), metadata: Labels::from_pairs(names(n)) }).collect();
    assert_eq!(engine.write(&logs(vec![(labels!("app" => "a"), entries)])).unwrap().logs.stored, 409);
    engine.flush().expect("room");
    drop(engine);
    let engine = open();
    assert_eq!((select(&engine, &whole(LogOrder::Any)).len(), engine.stats().quarantined), (409, 0));
    let one = LogSelection { matchers: vec![Matcher::equal(&names(7)[3].0, "x")], ..whole(LogOrder::Any) };
    assert_eq!(select(&engine, &one).len(), 1);
}
