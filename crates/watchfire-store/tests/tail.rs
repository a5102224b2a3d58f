//! The log read as a queue: nothing is left out, what was acknowledged does not come again, files stay as long as they are
//! needed and not longer, and a loss is counted.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use watchfire_model::batch::{Batch, Origin, Samples, SeriesSamples};
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, Nanos, StreamEntries};
use watchfire_model::sample::Sample;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::Sink;
use watchfire_store::{Options, Position, Store, Tail};

const NOW: i64 = 1_767_089_700_000;

fn open(dir: &Path, clock: &Arc<ManualClock>) -> Store {
    let options = Options { keeper: false, min_free_bytes: 0, wal_file_bytes: 2_000, flush_on_close_samples: u64::MAX, ..Options::new(dir, clock.clone()) };
    Store::open(options).expect("a store")
}

fn clock() -> Arc<ManualClock> {
    ManualClock::new(Timestamp(NOW))
}

/// Writes one sample for each of some series; the value is the time.
fn write(store: &Store, series: std::ops::Range<u32>, time: i64) {
    let mut batch = Batch::new(Origin::new("test"));
    for n in series {
        let labels = Labels::from_pairs([("__name__", "m".to_owned()), ("n", n.to_string())]);
        batch.series.push(SeriesSamples { labels, samples: Samples::One(Sample { time: Timestamp(NOW + time), value: time as f64 }) });
    }
    let expected = batch.sample_count() as u64;
    assert_eq!(store.write(batch).expect("a write").stored, expected);
}

/// What a reader has seen: series and time with how often.
#[derive(Default)]
struct Seen {
    names: BTreeMap<u32, String>,
    times: BTreeMap<(String, i64), usize>,
}

impl Seen {
    /// Takes at most so many portions; returns the position behind the last.
    fn drain(&mut self, tail: &mut Tail, portions: usize) -> Option<Position> {
        let mut last = None;
        for _ in 0..portions {
            let Some((portion, position)) = tail.next(Duration::ZERO).expect("a readable log") else { break };
            if portion.begins_anew {
                self.names.clear();
            }
            self.names.extend(portion.series.iter().map(|(n, labels)| (*n, labels.get("n").unwrap_or("").to_owned())));
            for (series, sample) in &portion.samples {
                assert_eq!(sample.value, (sample.time.millis() - NOW) as f64);
                *self.times.entry((self.names[series].clone(), sample.time.millis() - NOW)).or_default() += 1;
            }
            assert_eq!(portion.damaged_bytes, 0);
            last = Some(position);
        }
        last
    }
    fn count(&self) -> usize {
        self.times.len()
    }
    fn again(&self) -> usize {
        self.times.values().filter(|n| **n > 1).count()
    }
}

fn log_files(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("wal")).expect("a log").count()
}

#[test]
fn a_reader_sees_what_is_written_after_it_came() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &clock());
    write(&store, 0..5, 1);
    let mut tail = store.tail("a").unwrap();
    let mut seen = Seen::default();
    assert!(seen.drain(&mut tail, 9).is_none());
    write(&store, 0..5, 2);
    store.flush().unwrap();
    write(&store, 3..8, 3);
    assert!(seen.drain(&mut tail, 9).is_some());
    assert_eq!((seen.count(), seen.again()), (10, 0));
    // Nothing comes: the waiting can be ended from elsewhere.
    tail.stop_handle().stop();
    assert!(tail.next(Duration::from_secs(3600)).unwrap().is_none());
}

#[test]
fn what_was_acknowledged_does_not_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let mut seen = Seen::default();
    {
        let store = open(dir.path(), &clock);
        let mut tail = store.tail("a").unwrap();
        for time in 0..20 {
            write(&store, 0..50, time);
        }
        let position = seen.drain(&mut tail, 10).unwrap();
        tail.acknowledge(position).unwrap();
        seen.drain(&mut tail, 5);
    }
    let store = open(dir.path(), &clock);
    write(&store, 0..50, 20);
    let mut tail = store.tail("a").unwrap();
    seen.drain(&mut tail, 99);
    assert_eq!((seen.count(), seen.again()), (21 * 50, 5 * 50), "ten portions were acknowledged, five only read");
    assert_eq!(store.tail("b").unwrap().next(Duration::ZERO).unwrap().map(|_| ()), None, "another reader begins now");
}

/// A position from another log, as after restoring an older copy of the data: nothing of the new log is taken for known.
#[test]
fn a_position_in_another_log_hides_nothing() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clock = clock();
    {
        let store = open(old.path(), &clock);
        let mut tail = store.tail("a").unwrap();
        write(&store, 0..50, 0);
        store.flush().unwrap();
        write(&store, 0..50, 1);
        let position = Seen::default().drain(&mut tail, 9).unwrap();
        tail.acknowledge(position).unwrap();
    }
    drop(open(new.path(), &clock));
    std::fs::copy(old.path().join("state.redb"), new.path().join("state.redb")).unwrap();
    let store = open(new.path(), &clock);
    write(&store, 0..3, 2);
    store.flush().unwrap();
    write(&store, 0..3, 3);
    let mut seen = Seen::default();
    seen.drain(&mut store.tail("a").unwrap(), 9);
    assert!(seen.times.keys().any(|(_, time)| *time == 3), "{:?}", seen.times);
}

#[test]
fn files_stay_for_who_needs_them() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = open(dir.path(), &clock);
    let mut tail = store.tail("a").unwrap();
    for time in 0..30 {
        write(&store, 0..50, time);
    }
    store.flush().unwrap();
    assert!(log_files(dir.path()) > 3, "{}", log_files(dir.path()));
    assert!(store.tail_stats().unwrap()[0].behind_bytes > 5_000);
    drop((tail, store));

    let store = open(dir.path(), &clock);
    store.flush().unwrap();
    tail = store.tail("a").unwrap();
    let mut seen = Seen::default();
    write(&store, 0..50, 30);
    let position = seen.drain(&mut tail, 999).unwrap();
    assert_eq!((seen.count(), seen.again()), (31 * 50, 0));
    tail.acknowledge(position).unwrap();
    assert_eq!(log_files(dir.path()), 1, "only the one being written");
    assert_eq!(store.tail_stats().unwrap()[0].behind_bytes, 0);

    write(&store, 0..50, 31);
    store.flush().unwrap();
    write(&store, 0..50, 32);
    assert_eq!(log_files(dir.path()), 2);
    drop(tail);
    store.forget_other_tails(&[]).unwrap();
    assert_eq!(log_files(dir.path()), 1, "nobody needs it any more");
}

#[test]
fn what_takes_too_much_room_goes_and_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &clock());
    store.set_tail_bytes_max(5_000);
    let mut tail = store.tail("a").unwrap();
    let mut seen = Seen::default();
    write(&store, 0..50, 0);
    seen.drain(&mut tail, 1);
    for flush in 1..=4 {
        for time in 1..=10 {
            write(&store, 0..50, flush * 10 + time);
        }
        store.flush().unwrap();
    }
    write(&store, 0..50, 100);
    seen.drain(&mut tail, 999);
    let lost = store.tail_stats().unwrap()[0].lost;
    assert!(lost > 0 && lost.is_multiple_of(500), "whole epochs go: {lost}");
    assert_eq!(seen.count() as u64 + lost, 42 * 50);
    assert_eq!(seen.again(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    /// Whatever happens in between, everything written while the reader existed comes at least once.
    #[test]
    fn nothing_is_left_out(steps in proptest::collection::vec(0u8..10, 10..50)) {
        let dir = tempfile::tempdir().unwrap();
        let clock = clock();
        let mut store = open(dir.path(), &clock);
        let mut tail = store.tail("a").unwrap();
        let mut seen = Seen::default();
        let mut time = 0;
        let mut restarted = false;
        for step in steps {
            match step {
                0..=5 => {
                    time += 1;
                    write(&store, 0..u32::from(step) + 7, time);
                }
                6 => store.flush().unwrap(),
                7 => drop(seen.drain(&mut tail, 3)),
                8 => if let Some(position) = seen.drain(&mut tail, 2) {
                    tail.acknowledge(position).unwrap();
                },
                _ => {
                    restarted = true;
                    drop((tail, store));
                    store = open(dir.path(), &clock);
                    tail = store.tail("a").unwrap();
                }
            }
        }
        seen.drain(&mut tail, 999);
        let mut distinct: Vec<i64> = seen.times.keys().map(|(_, time)| *time).collect();
        distinct.sort_unstable();
        distinct.dedup();
        prop_assert_eq!(distinct, (1..=time).collect::<Vec<_>>());
        prop_assert!(restarted || seen.again() == 0);
    }
}

#[test]
fn the_readable_rest_of_a_damaged_file_is_passed_on() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    {
        let store = open(dir.path(), &clock);
        let tail = store.tail("a").unwrap();
        for time in 0..20 {
            write(&store, 0..50, time);
        }
        drop(tail);
    }
    let damaged = dir.path().join("wal/00000001.log");
    let mut bytes = std::fs::read(&damaged).unwrap();
    let at = bytes.len() - 3;
    bytes[at] ^= 0x55;
    std::fs::write(&damaged, bytes).unwrap();
    let store = open(dir.path(), &clock);
    assert_eq!(store.stats().quarantined, 1);
    assert!(dir.path().join("quarantine/00000001.log").is_file());
    let mut tail = store.tail("a").unwrap();
    let (mut samples, mut damaged_bytes, mut last) = (0, 0, None);
    while let Some((portion, position)) = tail.next(Duration::ZERO).unwrap() {
        samples += portion.samples.len();
        damaged_bytes += portion.damaged_bytes;
        last = Some(position);
    }
    assert_eq!((samples, damaged_bytes > 0), (19 * 50, true), "all but one frame");
    // It goes when nobody needs it any more.
    tail.acknowledge(last.unwrap()).unwrap();
    store.flush().unwrap();
    write(&store, 0..5, 30);
    let (_, position) = tail.next(Duration::ZERO).unwrap().unwrap();
    tail.acknowledge(position).unwrap();
    assert!(!damaged.exists() && dir.path().join("quarantine/00000001.log").is_file());
}

#[test]
fn a_file_without_a_readable_head_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = open(dir.path(), &clock);
    let mut tail = store.tail("a").unwrap();
    for time in 0..20 {
        write(&store, 0..50, time);
    }
    let damaged = dir.path().join("wal/00000002.log");
    let mut bytes = std::fs::read(&damaged).unwrap();
    bytes[9] ^= 0x55;
    let len = bytes.len() as u64;
    std::fs::write(&damaged, bytes).unwrap();
    let (mut samples, mut damaged_bytes) = (0, 0);
    while let Some((portion, _)) = tail.next(Duration::ZERO).unwrap() {
        samples += portion.samples.len();
        damaged_bytes += portion.damaged_bytes;
    }
    assert_eq!(damaged_bytes, len);
    assert!(samples > 0 && samples < 20 * 50, "{samples}");
}

/// Writes lines as if somebody had brought them.
fn write_lines(store: &Store, source: &str, lines: std::ops::Range<u32>) {
    let mut batch = Batch::new(Origin::new(source));
    let entry = |n: u32| LogEntry {
        time: Nanos((NOW + i64::from(n)) * 1_000_000),
        line: format!("line {n} {}", "x".repeat(100)).into(),
        metadata: Labels::from_pairs([("n", n.to_string())]),
    };
    batch.logs.push(StreamEntries { labels: Labels::from_pairs([("source", source)]), entries: lines.clone().map(entry).collect() });
    assert_eq!(store.write(batch).expect("a write").logs.stored, u64::from(lines.end - lines.start));
}

/// The numbers of the lines that come, and the position behind them.
fn drain_lines(tail: &mut Tail, into: &mut Vec<u32>) -> Option<Position> {
    let mut last = None;
    while let Some((portion, position)) = tail.next(Duration::ZERO).expect("a readable log") {
        for entries in &portion.entries {
            for (labels, entry) in entries.iter() {
                assert_eq!(labels.get("source"), Some(&*entries.source));
                assert!(entry.line.starts_with(&format!("line {} ", entry.metadata.get("n").expect("a number"))));
                into.push(entry.metadata.get("n").expect("a number").parse().expect("a number"));
            }
        }
        assert!(portion.samples.is_empty() && portion.damaged_bytes == 0);
        last = Some(position);
    }
    last
}

#[test]
fn log_entries_come_by_their_sources_and_once_when_they_are_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let sources = || ["files/a".to_owned(), "journal/b".to_owned()].into();
    let mut store = open(dir.path(), &clock);
    write_lines(&store, "files/a", 0..5);
    let mut seen = Vec::new();
    let mut tail = store.log_tail("out", sources()).unwrap();
    for round in 1..=3 {
        write_lines(&store, "files/a", round * 10..round * 10 + 3);
        write(&store, 0..5, i64::from(round));
        write_lines(&store, "files/other", round * 10..round * 10 + 3);
        write_lines(&store, "journal/b", round * 10 + 3..round * 10 + 5);
        store.flush_logs().unwrap();
        let position = drain_lines(&mut tail, &mut seen).unwrap();
        if round != 2 {
            tail.acknowledge(position).unwrap();
        }
        drop(tail);
        store.close();
        drop(store);
        store = open(dir.path(), &clock);
        tail = store.log_tail("out", sources()).unwrap();
    }
    let expected: Vec<u32> = [10, 20, 20, 30].into_iter().flat_map(|n| n..n + 5).collect();
    assert_eq!(seen, expected, "only the second round comes twice");
    // Readers of samples and of entries do not forget each other.
    let _samples = store.tail("samples").unwrap();
    store.forget_other_tails(&["samples".to_owned()]).unwrap();
    assert!(store.log_tail_stats("out").unwrap().is_some());
    store.forget_other_log_tails(&[]).unwrap();
    assert_eq!(store.tail_stats().unwrap().len(), 1);
}

#[test]
fn the_log_does_not_stay_for_who_reads_no_line_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &clock());
    let mut tail = store.log_tail("out", ["files/a".to_owned()].into()).unwrap();
    for time in 0..100 {
        write(&store, 0..50, time);
    }
    write_lines(&store, "files/other", 0..100);
    store.flush().unwrap();
    let before = log_files(dir.path());
    let mut seen = Vec::new();
    let position = drain_lines(&mut tail, &mut seen).expect("a position though there is no line");
    tail.acknowledge(position).unwrap();
    assert!(seen.is_empty() && before > 5 && log_files(dir.path()) <= 1, "{before} {}", log_files(dir.path()));
}

#[test]
fn log_entries_that_wait_too_long_or_take_too_much_room_are_counted() {
    for by_age in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let clock = clock();
        let store = open(dir.path(), &clock);
        if by_age {
            store.set_log_tail_age_max(Duration::from_secs(3_600));
        } else {
            store.set_tail_bytes_max(3_000);
        }
        let mut samples = store.tail("samples").unwrap();
        let mut tail = store.log_tail("out", ["files/a".to_owned()].into()).unwrap();
        for round in 0..6 {
            write_lines(&store, "files/a", round * 100..round * 100 + 50);
            write_lines(&store, "files/other", round * 100..round * 100 + 50);
            write(&store, 0..5, i64::from(round));
            clock.advance(Duration::from_secs(1_800));
            store.flush().unwrap();
        }
        let mut seen = Vec::new();
        drain_lines(&mut tail, &mut seen);
        let lost = store.log_tail_stats("out").unwrap().unwrap().lost;
        assert!(lost > 0 && lost.is_multiple_of(50), "{lost}");
        assert_eq!(seen.len() as u64 + lost, 300, "by age: {by_age}");
        if by_age {
            let mut all = Seen::default();
            all.drain(&mut samples, 999);
            assert_eq!(all.count(), 30, "age is about log entries");
        }
    }
}
