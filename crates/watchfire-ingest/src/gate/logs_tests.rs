//! Tests of the gate for log entries: each limit, the books, the taps.

use std::sync::{Arc, Mutex};

use watchfire_model::batch::{Batch, Origin};
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, Nanos, StreamEntries};
use watchfire_model::meter::Meter;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::{LogsWritten, Reason, Sink, WriteError, Written};

use super::{Gate, Limits, LogLimits};

const NOW: Timestamp = Timestamp(1_767_089_700_000);

/// Keeps lines, or turns everything away.
#[derive(Default)]
struct Memory {
    lines: Mutex<Vec<String>>,
    full: Mutex<bool>,
}
impl Sink for Memory {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        if *self.full.lock().unwrap() {
            return Err(WriteError::Full("test".to_owned()));
        }
        let mut lines = self.lines.lock().unwrap();
        let mut logs = LogsWritten::default();
        for entry in batch.logs.iter().flat_map(|s| &s.entries) {
            if lines.iter().any(|known| **known == *entry.line) {
                logs.duplicates += 1;
            } else {
                lines.push(entry.line.to_string());
                logs.stored += 1;
            }
        }
        Ok(Written { logs, ..Written::default() })
    }
}

struct Bench {
    gate: Gate,
    memory: Arc<Memory>,
    meter: Meter,
}
fn bench(logs: LogLimits) -> Bench {
    let (memory, meter) = (Arc::new(Memory::default()), Meter::new());
    let gate = Gate::new(memory.clone(), ManualClock::new(NOW), &meter, Limits { logs, ..Limits::default() });
    Bench { gate, memory, meter }
}

fn entry(ago_ms: i64, line: &str) -> LogEntry {
    LogEntry { time: Nanos::from_millis(NOW.millis() - ago_ms), line: line.into(), metadata: Labels::empty() }
}
fn batch(streams: Vec<(Labels, Vec<LogEntry>)>) -> Batch {
    let mut batch = Batch::new(Origin::new("loki/10.0.0.1"));
    batch.logs = streams.into_iter().map(|(labels, entries)| StreamEntries { labels, entries }).collect();
    batch
}
fn named(name: &str, value: &str) -> Labels {
    Labels::from_pairs([(name, value)])
}

impl Bench {
    fn sum(&self, word: &str, label: (&str, &str)) -> u64 {
        let families = self.meter.gather();
        let name = format!("watchfire_ingest_log_entries_{word}_total");
        let family = families.iter().find(|f| *f.name == name).unwrap();
        family.points.iter().filter(|(l, _)| label.0.is_empty() || l.get(label.0) == Some(label.1)).map(|(_, v)| *v as u64).sum()
    }
    fn assert_books_balance(&self) {
        let [received, stored, duplicate, rejected] = ["received", "stored", "duplicate", "rejected"].map(|word| self.sum(word, ("", "")));
        assert_eq!(received, stored + duplicate + rejected);
    }
}

#[test]
fn each_limit_refuses_what_is_beyond_it_and_nothing_else() {
    let limits = LogLimits {
        age_ms_max: Some(60_000),
        line_bytes_max: 10,
        labels_max: 2,
        name_bytes_max: 5,
        value_bytes_max: 5,
        metadata_max: 1,
        ..LogLimits::default()
    };
    let check = |labels: Labels, entry: LogEntry, reason: Option<Reason>| {
        let bench = bench(limits.clone());
        let good = (named("app", "x"), vec![self::entry(0, "good")]);
        let written = bench.gate.write(batch(vec![(labels, vec![entry]), good])).unwrap();
        assert_eq!(written.logs.rejected, reason.map(|reason| vec![(reason, 1)]).unwrap_or_default());
        assert_eq!(written.logs.stored, if reason.is_some() { 1 } else { 2 });
        assert_eq!(written.example.is_some(), reason.is_some());
        assert!(written.example.is_none_or(|e| !e.contains("secret")), "lines are never repeated");
        bench.assert_books_balance();
    };
    let app = || named("app", "a");
    check(app(), entry(0, "secret"), None);
    check(app(), entry(60_000, "secret"), None);
    check(app(), entry(60_001, "secret"), Some(Reason::TooOld));
    check(app(), entry(-600_000, "secret"), None);
    check(app(), entry(-600_001, "secret"), Some(Reason::TooFarFuture));
    check(app(), entry(0, "secret7890"), None);
    check(app(), entry(0, "secret78901"), Some(Reason::LineLength));
    check(Labels::empty(), entry(0, "secret"), Some(Reason::InvalidLabels));
    check(Labels::from_pairs([("a", "1"), ("b", "2"), ("c", "3")]), entry(0, "secret"), Some(Reason::LabelCount));
    check(named("abcdef", "x"), entry(0, "secret"), Some(Reason::LabelNameLength));
    check(named("app", "abcdef"), entry(0, "secret"), Some(Reason::LabelValueLength));
    let metadata = Labels::from_pairs([("a", "1"), ("b", "2")]);
    check(app(), LogEntry { metadata, ..entry(0, "secret") }, Some(Reason::MetadataSize));
}

#[test]
fn one_origin_fills_its_own_allowance_of_streams_only() {
    let bench = bench(LogLimits { streams_per_origin_max: 3, moved_labels: vec!["trace_id".to_owned(), "duration*".to_owned()], ..LogLimits::default() });
    let many = |name: &str, n: usize| (0..n).map(|i| (named("app", "x").with(name, &i.to_string()), vec![entry(0, &format!("{name}{i}"))])).collect::<Vec<_>>();
    let written = bench.gate.write(batch(many("pod", 5))).unwrap().logs;
    assert_eq!((written.stored, written.rejected), (3, vec![(Reason::StreamLimit, 2)]));
    // What makes no stream in the store takes no allowance.
    assert_eq!(bench.gate.write(Batch { origin: Origin::new("loki/b"), ..batch(many("trace_id", 9)) }).unwrap().logs.stored, 9);
    assert_eq!(bench.gate.write(Batch { origin: Origin::new("loki/b"), ..batch(many("duration_ms", 9)) }).unwrap().logs.stored, 9);
    bench.assert_books_balance();
}

#[test]
fn verdicts_do_not_depend_on_what_came_before() {
    let limits = || LogLimits { labels_max: 3, value_bytes_max: 5, moved_labels: vec!["trace_id".to_owned(), "x_*".to_owned()], ..LogLimits::default() };
    let good = [named("app", "x"), named("trace_id", "1")];
    let bad = [
        (named("app", "x").with("trace_id", "too long"), Reason::LabelValueLength),
        (Labels::from_pairs([("app", "x"), ("x_1", "1"), ("x_2", "1"), ("x_3", "1")]), Reason::LabelCount),
        (Labels::empty(), Reason::InvalidLabels),
    ];
    for (labels, reason) in bad {
        for before in [&[][..], &good] {
            let bench = bench(limits());
            for (at, labels) in before.iter().enumerate() {
                assert_eq!(bench.gate.write(batch(vec![(labels.clone(), vec![entry(0, &at.to_string())])])).unwrap().logs.stored, 1);
            }
            let written = bench.gate.write(batch(vec![(labels.clone(), vec![entry(0, "bad")])])).unwrap();
            assert_eq!(written.logs.rejected, [(reason, 1)], "{labels} after {before:?}");
        }
    }
}

#[test]
fn what_is_turned_away_or_comes_again_is_counted_as_such() {
    let bench = bench(LogLimits::default());
    let one = || batch(vec![(named("app", "x"), vec![entry(0, "a"), entry(0, "b")])]);
    *bench.memory.full.lock().unwrap() = true;
    assert!(bench.gate.write(one()).is_err());
    assert_eq!((bench.sum("received", ("", "")), bench.sum("turned_away", ("reason", "full"))), (0, 2));
    *bench.memory.full.lock().unwrap() = false;
    assert_eq!(bench.gate.write(one()).unwrap().logs.stored, 2);
    assert_eq!(bench.gate.write(one()).unwrap().logs.duplicates, 2);
    assert_eq!((bench.sum("stored", ("origin_kind", "loki")), bench.sum("duplicate", ("origin_kind", "loki"))), (2, 2));
    let mut refused = Written::default();
    refused.logs.reject(Reason::InvalidLabels, 3);
    bench.gate.book_refused(&Origin::new("loki/a"), &refused);
    assert_eq!(bench.sum("rejected", ("reason", "invalid_labels")), 3);
    bench.assert_books_balance();
}

#[test]
fn log_20_limits_can_be_raised_while_the_gate_runs() {
    let bench = bench(LogLimits { streams_per_origin_max: 2, ..LogLimits::default() });
    let many = |n: usize| (0..n).map(|i| (named("pod", &i.to_string()), vec![entry(0, &format!("line {i}"))])).collect::<Vec<_>>();
    let written = bench.gate.write(batch(many(4))).unwrap();
    assert_eq!(written.logs.rejected, [(Reason::StreamLimit, 2)]);
    assert!(written.example.unwrap().contains("Maximum active stream limit exceeded: more than 2 streams"));
    bench.gate.set_log_limits(LogLimits { streams_per_origin_max: 4, ..LogLimits::default() });
    let written = bench.gate.write(batch(many(4))).unwrap().logs;
    assert_eq!((written.stored, written.duplicates, written.rejected), (2, 2, vec![]));
    bench.assert_books_balance();
}

#[test]
fn what_comes_too_fast_is_turned_away_whole_and_may_come_again() {
    let rate = |per_second: f64, burst: f64| Some(super::Rate { per_second, burst });
    let line = |n: usize| (named("app", "x"), vec![entry(0, &"x".repeat(n))]);
    let check = |limits: LogLimits, words: &str| {
        let (memory, meter, clock) = (Arc::new(Memory::default()), Meter::new(), ManualClock::new(NOW));
        let bench = Bench { gate: Gate::new(memory.clone(), clock.clone(), &meter, Limits { logs: limits, ..Limits::default() }), memory, meter };
        // More than there ever is at once comes in when it was quiet, or it would wait for ever.
        assert_eq!(bench.gate.write(batch(vec![line(25)])).unwrap().logs.stored, 1);
        let refused = bench.gate.write(batch(vec![line(3), (named("app", "y"), vec![entry(0, "z")])]));
        assert!(matches!(&refused, Err(WriteError::TooFast(text)) if text.contains(words)), "{refused:?}");
        assert_eq!((bench.sum("received", ("", "")), bench.sum("turned_away", ("reason", "rate_limited"))), (1, 2));
        clock.advance(std::time::Duration::from_secs(8));
        assert!(bench.gate.write(batch(vec![line(3)])).is_err(), "fifteen too many take seven and a half seconds, three more another one and a half");
        clock.advance(std::time::Duration::from_secs(2));
        assert_eq!(bench.gate.write(batch(vec![line(3)])).unwrap().logs.stored, 1);
        bench.assert_books_balance();
        drop(bench.memory);
    };
    check(
        LogLimits { rate: rate(2.0, 10.0), ..LogLimits::default() },
        "Ingestion rate limit exceeded for user fake (limit: 2 bytes/sec) while attempting to ingest '2' lines totaling '4' bytes",
    );
    check(
        LogLimits { stream_rate: rate(2.0, 10.0), ..LogLimits::default() },
        "Per stream rate limit exceeded (limit: 2 bytes/sec) while attempting to ingest for stream '{app=\"x\"}' totaling 3 bytes",
    );
}

#[test]
fn long_lines_lose_their_end_and_metadata_are_refused_where_that_is_wanted() {
    let bench = bench(LogLimits { line_bytes_max: 4, truncate_lines: true, allow_metadata: false, ..LogLimits::default() });
    let written = bench.gate.write(batch(vec![(named("app", "x"), vec![entry(0, "abcdé"), entry(0, "ab")])])).unwrap().logs;
    assert_eq!((written.stored, written.truncated), (2, 1));
    assert_eq!(*bench.memory.lines.lock().unwrap(), ["abcd", "ab"]);
    let metadata = LogEntry { metadata: named("trace_id", "1"), ..entry(0, "x") };
    assert_eq!(bench.gate.write(batch(vec![(named("app", "x"), vec![metadata])])).unwrap().logs.rejected, [(Reason::MetadataSize, 1)]);
}

#[test]
fn taps_hear_what_came_in_until_they_are_dropped() {
    let bench = bench(LogLimits::default());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let tap = {
        let heard = heard.clone();
        bench.gate.log_taps().listen(move |streams| heard.lock().unwrap().extend(streams.iter().flat_map(|s| &s.entries).map(|e| e.line.to_string())))
    };
    let send = |line: &str, ago_ms: i64| bench.gate.write(batch(vec![(named("app", "x"), vec![entry(ago_ms, line)])])).unwrap();
    send("a", 0);
    send("a", 0);
    send("refused", -86_400_000);
    assert_eq!(bench.gate.log_taps().len(), 1);
    drop(tap);
    send("b", 0);
    assert_eq!((heard.lock().unwrap().as_slice(), bench.gate.log_taps().len()), (&["a".to_owned()][..], 0));
}

#[test]
fn levels_are_noted_where_nobody_has_done_so() {
    let heard = |limits: LogLimits, labels: Labels, entry: LogEntry| {
        let bench = bench(limits);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let tap = {
            let heard = heard.clone();
            bench.gate.log_taps().listen(move |streams| heard.lock().unwrap().extend(streams.iter().flat_map(|s| &s.entries).map(|e| e.metadata.to_string())))
        };
        assert_eq!(bench.gate.write(batch(vec![(labels, vec![entry])])).unwrap().logs.stored, 1);
        bench.assert_books_balance();
        drop(tap);
        heard.lock().unwrap().remove(0)
    };
    let check = |labels: Labels, entry: LogEntry, expected: &str| assert_eq!(heard(LogLimits::default(), labels, entry), expected);
    let with = |name: &str, value: &str, line: &str| LogEntry { metadata: named(name, value), ..entry(0, line) };
    check(named("app", "a"), entry(0, "level=warn msg=\"an error\""), r#"{detected_level="warn"}"#);
    check(named("app", "a"), entry(0, r#"{"msg":"x","level":"ERROR"}"#), r#"{detected_level="error"}"#);
    check(named("app", "a"), entry(0, "nothing"), r#"{detected_level="unknown"}"#);
    check(named("level", "DEBUG"), entry(0, "an error"), r#"{detected_level="debug"}"#);
    check(named("app", "a"), with("severity_text", "Fatal", "an error"), r#"{detected_level="fatal", severity_text="Fatal"}"#);
    check(named("app", "a"), with("trace_id", "t", "an error"), r#"{detected_level="error", trace_id="t"}"#);
    check(named("app", "a"), with("detected_level", "mine", "an error"), r#"{detected_level="mine"}"#);
    check(named("detected_level", "mine"), entry(0, "an error"), "{}");
    assert_eq!(heard(LogLimits { detect_levels: false, ..LogLimits::default() }, named("app", "a"), entry(0, "an error")), "{}");
}
