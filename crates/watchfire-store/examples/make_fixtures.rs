//! Writes a small data directory in the present format: `cargo run -p watchfire-store --example make_fixtures -- <directory>`.
//! Run once for every version of the format; the result is committed and `tests/fixtures.rs` opens it for ever.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use watchfire_model::batch::{Batch, Metadata, MetricType, Origin, Samples, SeriesExemplars, SeriesHistograms, SeriesSamples};
use watchfire_model::histogram::{Histogram, Span};
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, Nanos, StreamEntries};
use watchfire_model::matcher::Matcher;
use watchfire_model::profiles::{Frame, Frames, NewProfile, ProfileType, StackTree, key};
use watchfire_model::sample::{Exemplar, HistogramSample, Sample, stale_nan};
use watchfire_model::spans::{Event, Link, NewSpan, SpanId, SpanKind, SpanStream, StatusCode, TraceId, Value};
use watchfire_model::state::{Change, TOKENS};
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::Sink;
use watchfire_store::{Options, Store, Tier};

const START: i64 = 1_767_052_800_000;
const HOUR: i64 = 3_600_000;

/// Sample `n` of each series; `tests/fixtures.rs` says the same in its own words.
fn value(series: &str, n: i64) -> f64 {
    match series {
        "constant" => 42.0,
        "counter" => (n * 17) as f64,
        "decimal" => n as f64 / 8.0,
        "float" => (n as f64 * 0.1).sin(),
        _ if n % 50 == 49 => stale_nan(),
        _ => -0.0,
    }
}

/// Histogram `n`, in whole and in half observations.
fn histogram(n: i64, integer: bool) -> Histogram {
    let unit = if integer { 1.0 } else { 0.5 };
    let buckets: Vec<f64> = (0..3 + n / 500).map(|b| (n % 400 * (b + 1)) as f64 * unit).collect();
    Histogram {
        schema: if integer { 3 } else { -53 },
        integer,
        count: buckets.iter().sum(),
        sum: n as f64 / 4.0,
        positive_spans: vec![Span { offset: if integer { -2 } else { 1 }, length: buckets.len() as u32 }],
        positive_buckets: buckets,
        custom_bounds: if integer { [].into() } else { (1..12).map(f64::from).collect() },
        ..Histogram::default()
    }
}

/// The log entries of minute `n`: JSON, logfmt and words, with and without metadata, an id that makes no stream.
fn logs(n: i64) -> Vec<StreamEntries> {
    let time = START + n * 60_000;
    let entry = |line: String, metadata: &[(&str, &str)]| LogEntry {
        time: Nanos::from_millis(time),
        line: line.into(),
        metadata: Labels::from_pairs(metadata.iter().copied()),
    };
    let at = Timestamp(time).rfc3339_millis();
    let id = format!("{:032x}", u128::from(n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
    let level = if n % 5 == 0 { "warn" } else { "info" };
    let json = format!(r#"{{"ts":"{at}","level":"{level}","n":{n},"share":{}.{:02},"trace_id":"{id}"}}"#, n / 100, n % 100);
    let words = format!("minute {n} of the day is över");
    vec![
        StreamEntries { labels: Labels::from_pairs([("app", "json")]), entries: vec![entry(json, &[("detected_level", level)])] },
        StreamEntries {
            labels: Labels::from_pairs([("app", "words"), ("trace_id", &id)]),
            entries: vec![entry(words, &[]), entry(format!("level={level} n={n}"), &[("n", "x")])],
        },
    ]
}

/// The two spans of the trace of minute `n`: a call with an event and a link, and what it does within.
fn spans(n: i64) -> Vec<StreamEntries> {
    let start = Nanos::from_millis(START + n * 60_000);
    let trace = TraceId(u128::from(n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes());
    let id = |number: u64| SpanId((n as u64 * 2 + number + 1).to_be_bytes());
    let resource = [("service.name".into(), Value::text("backend")), ("process.pid".into(), Value::Int(7))];
    let stream = |name: &str, kind: SpanKind| SpanStream { resource: &resource, name, kind, ..SpanStream::default() }.labels();
    let root = NewSpan {
        trace,
        span: id(0),
        start,
        duration: 1_000_000 * (n as u64 % 50 + 1),
        status: if n % 7 == 0 { StatusCode::Error } else { StatusCode::Unset },
        attributes: vec![("camera_id".into(), Value::text("front_door")), ("detections".into(), Value::Int(n % 3))],
        events: vec![Event { time: Nanos(start.0 + 1_000), name: "queued", attributes: vec![("depth".into(), Value::Int(n))] }],
        links: vec![Link { trace, span: id(1), state: "", attributes: Vec::new() }],
        ..NewSpan::default()
    };
    let inner = NewSpan { trace, span: id(1), parent: Some(id(0)), start: Nanos(start.0 + 500), duration: 700, ..NewSpan::default() };
    vec![
        StreamEntries { labels: stream("detect", SpanKind::Server), entries: vec![root.entry()] },
        StreamEntries { labels: stream("query", SpanKind::Internal), entries: vec![inner.entry()] },
    ]
}

/// The profile of minute `n`: three functions below one.
fn profiles(n: i64) -> Vec<StreamEntries> {
    let (mut frames, mut tree) = (Frames::default(), StackTree::default());
    let main = frames.number(Frame { name: "main", file: "main.py", line: 1 }).expect("few frames");
    let main = tree.callee(StackTree::ROOT, main).expect("few nodes");
    for (at, name) in ["detect", "resize", "store"].into_iter().enumerate() {
        let frame = frames.number(Frame { name, file: "work.py", line: 7 }).expect("few frames");
        let node = tree.callee(main, frame).expect("few nodes");
        tree.add(node, 10_000_000 * (n + at as i64 + 1), None);
    }
    let kind = ProfileType::parse("process_cpu:cpu:nanoseconds:cpu:nanoseconds").expect("a type");
    let new = NewProfile { time: Nanos::from_millis(START + n * 60_000), duration: 15_000_000_000, period: 10_000_000, id: "" };
    let entry = new.entry(&frames, &tree).expect("a small profile").expect("a profile with values");
    vec![StreamEntries { labels: kind.labels(&[(key::SERVICE, "backend")]), entries: vec![entry] }]
}

/// What other signals than metrics have in minute `n`.
fn entries(batch: &mut Batch, n: i64) {
    batch.logs = logs(n);
    batch.spans = spans(n);
    batch.profiles = profiles(n);
}

fn write(store: &Store, from: i64, to: i64) {
    for n in from..to {
        let mut batch = Batch::new(Origin::new("fixture"));
        for series in ["constant", "counter", "decimal", "float", "odd"] {
            let labels = Labels::from_pairs([("__name__", format!("fixture_{series}").as_str()), ("job", "fixture")]);
            let sample = Sample { time: Timestamp(START + n * 60_000 + n % 3), value: value(series, n) };
            batch.series.push(SeriesSamples { labels, samples: Samples::One(sample) });
        }
        for (name, integer) in [("whole", true), ("half", false)] {
            let labels = Labels::from_pairs([("__name__", format!("fixture_{name}").as_str()), ("job", "fixture")]);
            let time = Timestamp(START + n * 60_000);
            let value = if n % 100 == 99 { Histogram::stale() } else { histogram(n, integer) };
            if n % 200 == 0 {
                let exemplar = Exemplar { labels: Labels::from_pairs([("trace_id", format!("trace{n}"))]), time, value: n as f64 };
                batch.exemplars.push(SeriesExemplars { labels: labels.clone(), exemplars: vec![exemplar] });
            }
            batch.histograms.push(SeriesHistograms { labels, samples: vec![HistogramSample { time, value: Arc::new(value) }] });
        }
        if n % 4 == 0 {
            entries(&mut batch, n);
        }
        batch.metadata.push(Metadata { family: "fixture_counter".into(), kind: MetricType::Counter, help: "Counts.".into(), unit: "".into() });
        store.write(batch).expect("room");
    }
}

fn main() {
    let target = std::env::args().nth(1).expect("usage: make_fixtures <directory>");
    let dir = Path::new(&target);
    let clock = ManualClock::new(Timestamp(START + 30 * HOUR));
    let options = || Options { keeper: false, min_free_bytes: 0, ..Options::new(dir, clock.clone() as Arc<_>) };
    let store = Store::open(options()).expect("a new directory");
    // A merged day, a segment of the next day, a log.
    for hour in (0..24).step_by(8) {
        write(&store, hour * 60, (hour + 8) * 60);
        store.flush().expect("room");
    }
    write(&store, 24 * 60, 27 * 60);
    clock.advance(Duration::from_secs(3600));
    store.flush().expect("room");
    while store.merge().expect("room") {}
    let constant = vec![Matcher::equal("__name__", "fixture_constant")];
    store.delete_series(&[constant], Timestamp(START), Timestamp(START + 10 * HOUR - 1)).expect("room");
    write(&store, 27 * 60, 28 * 60);
    store.state().commit(&[Change::Put(TOKENS, "fixture".into(), b"value".to_vec())]).expect("room");
    drop(store);
    // Two weeks later the first week is written as windows.
    let tier = Tier { resolution: Duration::from_secs(3600), after: Duration::from_secs(3600), keep: None };
    clock.advance(Duration::from_secs(14 * 86_400));
    let store = Store::open(Options { tiers: vec![tier], ..options() }).expect("the directory");
    let mut batch = Batch::new(Origin::new("fixture"));
    let later = Sample { time: Timestamp(START + 14 * 24 * HOUR), value: 1.0 };
    batch.series.push(SeriesSamples { labels: Labels::from_pairs([("__name__", "fixture_later")]), samples: Samples::One(later) });
    store.write(batch).expect("room");
    store.flush().expect("room");
    while store.downsample().expect("room") {}
    // Entries that are in the write-ahead log only.
    for n in (28 * 60..29 * 60).step_by(4) {
        let mut batch = Batch::new(Origin::new("fixture"));
        entries(&mut batch, n);
        store.write(batch).expect("room");
    }
    drop(store);
    // The state file is mostly zeros, which compress to nothing.
    let state = std::fs::read(dir.join("state.redb")).expect("the state file");
    std::fs::write(dir.join("state.redb.zst"), zstd::bulk::compress(&state, 19).expect("memory")).expect("room");
    std::fs::remove_file(dir.join("state.redb")).expect("the state file");
    std::fs::remove_file(dir.join("lock")).expect("the lock file");
}
