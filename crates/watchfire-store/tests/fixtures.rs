//! Data directories of every version of the format, committed once and opened for ever. They were written by
//! `examples/make_fixtures.rs` as it was then; the state file is kept compressed because it is mostly zeros.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use watchfire_model::batch::MetricType;
use watchfire_model::histogram::{CounterReset, Span};
use watchfire_model::logs::{LogOrder, LogSelection, LogSource, Nanos};
use watchfire_model::matcher::Matcher;
use watchfire_model::profiles::ProfileRow;
use watchfire_model::read::{Budget, Selection, Series, Source};
use watchfire_model::sample::STALE_NAN_BITS;
use watchfire_model::spans::{SpanId, SpanKind, SpanRow, StatusCode, TraceId, Value, key};
use watchfire_model::state::TOKENS;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_store::{Options, Store};

const START: i64 = 1_767_052_800_000;
const SAMPLES: i64 = 28 * 60;

/// A copy of a fixture that may be written to.
fn copy_of(version: &str) -> tempfile::TempDir {
    let from = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(version);
    let to = tempfile::tempdir().expect("a directory");
    copy(&from, to.path());
    let packed = fs::read(to.path().join("state.redb.zst")).expect("the state file");
    fs::write(to.path().join("state.redb"), zstd::bulk::decompress(&packed, 64 << 20).expect("a state file")).expect("room");
    to
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("room");
    for entry in fs::read_dir(from).expect("a fixture") {
        let entry = entry.expect("a fixture");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("room");
        }
    }
}

#[test]
fn r63_version_1_is_read() {
    check("v1", false);
}

/// Version 2 has native histograms, exemplars, and a deletion.
#[test]
fn r63_version_2_is_read() {
    check("v2", true);
}

/// Version 3 has a week of windows.
#[test]
fn r63_version_3_is_read() {
    let dir = copy_of("v3");
    let clock = ManualClock::new(Timestamp(START + 15 * 86_400_000));
    let store = Store::open(Options { keeper: false, min_free_bytes: 0, ..Options::new(dir.path(), clock.clone()) }).unwrap();
    assert_eq!((store.stats().tiers, store.stats().quarantined), (1, 0));
    assert_eq!(store.kept_windows().iter().map(|kept| kept.resolution_ms).collect::<Vec<_>>(), [3_600_000]);
    let (mut kept, mut told) = (0, 0);
    let selection = Selection { matchers: vec![], start: Timestamp::MIN, end: Timestamp::MAX };
    let budget = Budget::unlimited(clock);
    let windows = store.windows(&selection, 3_600_000, &budget, &mut |series| {
        kept += series.windows.iter().map(|w| w.count).sum::<u32>();
        if series.labels.metric_name() == "fixture_counter" {
            assert_eq!((series.windows.len(), series.windows[0].count), (29, 1));
            let first = series.windows[2];
            assert_eq!((first.start, first.count, first.first, first.last, first.correction), (START + 3_600_001, 60, 1037.0, 2040.0, 0.0));
        }
        Ok(ControlFlow::Continue(()))
    });
    windows.unwrap();
    let samples = store.select(&selection, &budget, &mut |series| {
        told += series.values.iter().filter(|v| v.to_bits() != STALE_NAN_BITS).count() as u32;
        Ok(ControlFlow::Continue(()))
    });
    samples.unwrap();
    assert_eq!(kept, told);
}

/// Version 4 has logs, in segments and in the write-ahead log.
#[test]
fn r63_version_4_is_read() {
    let dir = copy_of("v4");
    let clock = ManualClock::new(Timestamp(START + 15 * 86_400_000));
    let store = Store::open(Options { keeper: false, min_free_bytes: 0, ..Options::new(dir.path(), clock.clone()) }).unwrap();
    let stats = store.stats();
    assert_eq!((stats.quarantined, stats.tiers), (0, 1));
    assert!(stats.logs.segments > 1 && stats.logs.segment_entries > 0, "{:?}", stats.logs);
    let mut found = Vec::new();
    let forward = LogSelection { order: LogOrder::Forward, ..LogSelection::new(vec![], Nanos::MIN, Nanos::MAX) };
    let read = store.select_logs(&forward, &Budget::unlimited(clock.clone()), &mut |line| {
        found.push((line.time.millis(), line.labels.to_string(), line.line.to_owned(), line.metadata.to_string()));
        Ok(ControlFlow::Continue(()))
    });
    read.unwrap();
    assert_eq!(found.len() as i64, (SAMPLES + 60) / 4 * 3);
    assert_eq!(stats.replay.log_entries, 60 / 4 * 3);
    for (minute, lines) in (0..SAMPLES + 60).step_by(4).zip(found.chunks(3)) {
        let time = START + minute * 60_000;
        let id = format!("{:032x}", u128::from(minute as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        let level = if minute % 5 == 0 { "warn" } else { "info" };
        let (hour, day) = (minute / 60 % 24, 30 + minute / 1440);
        let json = format!(
            r#"{{"ts":"2025-12-{day}T{hour:02}:{:02}:00.000Z","level":"{level}","n":{minute},"share":{}.{:02},"trace_id":"{id}"}}"#,
            minute % 60,
            minute / 100,
            minute % 100
        );
        let expected = [
            (time, r#"{app="json"}"#.to_owned(), json, format!(r#"{{detected_level="{level}"}}"#)),
            (time, r#"{app="words"}"#.to_owned(), format!("minute {minute} of the day is över"), format!(r#"{{trace_id="{id}"}}"#)),
            (time, r#"{app="words"}"#.to_owned(), format!("level={level} n={minute}"), format!(r#"{{n="x", trace_id="{id}"}}"#)),
        ];
        let mut lines = lines.to_vec();
        lines.sort_by(|a, b| a.1.cmp(&b.1));
        assert_eq!(lines, expected);
    }
    let names = store.log_label_names(&forward, &Budget::unlimited(clock)).unwrap();
    assert_eq!(names, ["app", "trace_id"]);
}

/// Version 6 has spans and profiles, too.
#[test]
fn r63_version_6_is_read() {
    check_entries("v6");
}

/// Since version 1.1 segments of spans have an index of ids.
#[test]
fn r63_version_6_with_an_index_of_ids_is_read() {
    check_entries("v6.1");
}

/// The id of the trace of a minute.
fn trace_of(minute: i64) -> TraceId {
    TraceId(u128::from(minute as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes())
}

fn check_entries(version: &str) {
    let dir = copy_of(version);
    let clock = ManualClock::new(Timestamp(START + 15 * 86_400_000));
    let store = Store::open(Options { keeper: false, min_free_bytes: 0, ..Options::new(dir.path(), clock.clone()) }).expect("a readable version");
    let stats = store.stats();
    let minutes: Vec<i64> = (0..SAMPLES + 60).step_by(4).collect();
    assert_eq!((stats.quarantined, stats.replay.spans, stats.replay.log_entries), (0, 60 / 4 * 2, 60 / 4 * 3));
    assert_eq!((stats.spans.segment_entries + stats.spans.head_entries) as usize, minutes.len() * 2);
    assert_eq!((stats.logs.segment_entries + stats.logs.head_entries) as usize, minutes.len() * 3);
    let budget = Budget::unlimited(clock);
    for minute in &minutes {
        let selection = LogSelection::new(vec![Matcher::equal(key::TRACE, &trace_of(*minute).to_string())], Nanos::MIN, Nanos::MAX);
        let mut seen = Vec::new();
        let read = store.spans().select_logs(&selection, &budget, &mut |line| {
            let row = SpanRow::new(line);
            let start = row.start().0 - (START + minute * 60_000) * 1_000_000;
            seen.push((row.name().to_owned(), row.service().to_owned(), row.kind(), start, row.duration(), row.status(), row.parent()));
            if row.name() == "detect" {
                let camera = row.attributes().into_iter().find(|(name, _)| *name == "camera_id").map(|(_, value)| value);
                assert_eq!(camera, Some(Value::text("front_door")));
                let events = row.events();
                assert_eq!((events.len(), events[0].name, row.links().len()), (1, "queued", 1));
                assert_eq!(events[0].attributes, [("depth".into(), Value::Int(*minute))]);
            }
            Ok(ControlFlow::Continue(()))
        });
        read.expect("a readable store");
        seen.sort_by(|a, b| a.0.cmp(&b.0));
        let root = SpanId((*minute as u64 * 2 + 1).to_be_bytes());
        let status = if minute % 7 == 0 { StatusCode::Error } else { StatusCode::Unset };
        let detect = ("detect".to_owned(), "backend".to_owned(), SpanKind::Server, 0, 1_000_000 * (*minute as u64 % 50 + 1), status, None);
        let query = ("query".to_owned(), "backend".to_owned(), SpanKind::Internal, 500, 700, StatusCode::Unset, Some(root));
        assert_eq!(seen, [detect, query], "minute {minute}");
    }
    let mut totals = Vec::new();
    let everything = LogSelection { order: LogOrder::Forward, ..LogSelection::new(vec![], Nanos::MIN, Nanos::MAX) };
    let read = store.profiles().select_logs(&everything, &budget, &mut |line| {
        let row = ProfileRow::new(line);
        assert_eq!(row.stacks().expect("readable stacks").nodes.iter().map(|node| node.own).sum::<u64>(), row.total());
        totals.push(row.total());
        Ok(ControlFlow::Continue(()))
    });
    read.expect("a readable store");
    assert_eq!(totals, minutes.iter().map(|n| 10_000_000 * (3 * *n as u64 + 6)).collect::<Vec<_>>());
}

fn check_histograms(series: &Series, integer: bool) {
    assert_eq!(series.histograms.len() as i64, SAMPLES);
    for (n, sample) in (0..SAMPLES).zip(&series.histograms) {
        assert_eq!(sample.time.0, START + n * 60_000);
        let found = &sample.value;
        if n % 100 == 99 {
            assert!(found.is_stale());
            continue;
        }
        let expected: Vec<f64> = (0..3 + n / 500).map(|b| (n % 400 * (b + 1)) as f64 * if integer { 1.0 } else { 0.5 }).collect();
        assert_eq!(found.positive_buckets, expected, "at {n}");
        assert_eq!((found.count, found.sum, found.integer), (expected.iter().sum(), n as f64 / 4.0, integer));
        assert_eq!(found.positive_spans, [Span { offset: if integer { -2 } else { 1 }, length: expected.len() as u32 }]);
        assert_eq!((found.schema, found.custom_bounds.len()), if integer { (3, 0) } else { (-53, 11) });
        let fell = n % 400 == 0 && n > 0 && n % 100 != 0;
        assert!(!fell || found.reset != CounterReset::NotReset);
    }
}

fn check(version: &str, second: bool) {
    let dir = copy_of(version);
    let clock = ManualClock::new(Timestamp(START + 32 * 3_600_000));
    let store = Store::open(Options { keeper: false, min_free_bytes: 0, ..Options::new(dir.path(), clock.clone()) }).expect("a readable version");
    let stats = store.stats();
    assert_eq!((stats.segments, stats.quarantined, stats.replay.samples, stats.replay.clean), (2, 0, if second { 420 } else { 300 }, true), "{stats:?}");
    let mut seen = 0;
    let selection = Selection { matchers: vec![], start: Timestamp::MIN, end: Timestamp::MAX };
    let read = store.select(&selection, &Budget::unlimited(clock.clone()), &mut |series| {
        seen += 1;
        if matches!(series.labels.metric_name(), "fixture_whole" | "fixture_half") {
            check_histograms(&series, series.labels.metric_name() == "fixture_whole");
            return Ok(ControlFlow::Continue(()));
        }
        let first = if second && series.labels.metric_name() == "fixture_constant" { 600 } else { 0 };
        assert_eq!(series.times, (first..SAMPLES).map(|n| START + n * 60_000 + n % 3).collect::<Vec<_>>());
        for (n, value) in (first..SAMPLES).zip(&series.values) {
            let expected = match series.labels.metric_name() {
                "fixture_constant" => 42.0f64.to_bits(),
                "fixture_counter" => (n as f64 * 17.0).to_bits(),
                "fixture_decimal" => (n as f64 * 0.125).to_bits(),
                // Sines may differ between machines in the last bit; the stored ones are near ours.
                "fixture_float" if (value - (n as f64 * 0.1).sin()).abs() < 1e-12 => value.to_bits(),
                "fixture_odd" if n % 50 == 49 => STALE_NAN_BITS,
                "fixture_odd" => (-0.0f64).to_bits(),
                other => panic!("{other} at {n}: {value}"),
            };
            assert_eq!(value.to_bits(), expected, "{} at {n}", series.labels);
        }
        Ok(ControlFlow::Continue(()))
    });
    read.expect("a readable store");
    assert_eq!(seen, if second { 7 } else { 5 });
    let exemplars = store.exemplars(&selection, &Budget::unlimited(clock)).expect("exemplars");
    let times: Vec<i64> = exemplars.iter().flat_map(|s| s.exemplars.iter().map(|e| (e.time.0 - START) / 60_000)).collect();
    let expected: Vec<i64> = (0..SAMPLES).step_by(200).collect();
    assert_eq!(times, if second { [expected.clone(), expected].concat() } else { Vec::new() });
    let metadata = store.metadata();
    assert_eq!((&*metadata[0].family, metadata[0].kind, &*metadata[0].help), ("fixture_counter", MetricType::Counter, "Counts."));
    assert_eq!(store.state().get(TOKENS, "fixture").expect("readable state"), Some(b"value".to_vec()));
}
