//! Remote read: what other places have comes beside what is here; what they cannot give is a warning.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use watchfire_collect::discovery::glob::Lookup;
use watchfire_collect::scrape::config::{Outside, parse};
use watchfire_forward::read::{Parts, RemoteSource};
use watchfire_ingest::remote_read::{self, QueryResult, STREAMED_TYPE, frame};
use watchfire_ingest::tsdb;
use watchfire_model::histogram::{Histogram, Span};
use watchfire_model::labels;
use watchfire_model::labels::Labels;
use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::meter::Meter;
use watchfire_model::read::{Budget, ReadError, Selection, Series, Source};
use watchfire_model::sample::HistogramSample;
use watchfire_model::time::{SystemClock, Timestamp};
use watchfire_net::client::Caller;
use watchfire_net::inflate::{Encoding, Limits, decode};
use watchfire_testkit::memory::Memory;

use crate::stub::{Asked, Receiver, WholeReply};

const HOUR: i64 = 3_600_000;

/// A source over a memory, with some places beside it.
struct House {
    source: RemoteSource,
    _runtime: tokio::runtime::Runtime,
}

fn house(local: Arc<Memory>, local_begin: Option<i64>, text: &str) -> House {
    let outside = Outside { environment: &|_| None, lookup: Lookup { directory: "/".into(), monitoring_dir: None } };
    let parsed = parse("p.yml", text, &outside);
    let config = parsed.config.unwrap_or_else(|| panic!("{:?}", parsed.findings));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let source = RemoteSource::new(Parts {
        local,
        local_begin: Arc::new(move || local_begin),
        caller: Arc::new(Caller::new(SystemClock::shared())),
        meter: Meter::new(),
        runtime: runtime.handle().clone(),
    });
    source.apply(&config.remote_read, &config.global.external_labels);
    House { source, _runtime: runtime }
}

type Found = BTreeMap<String, Vec<(i64, f64)>>;

/// Floats and, by their sums, histograms of a selection from 0 to 100.
fn select(house: &House, matchers: Vec<Matcher>, budget: &Budget) -> Result<Found, ReadError> {
    let selection = Selection { matchers, start: Timestamp(0), end: Timestamp(100) };
    let mut found = Found::new();
    house.source.select(&selection, budget, &mut |series| {
        let floats = series.times.iter().copied().zip(series.values.iter().copied());
        let mut samples: Vec<_> = floats.chain(series.histograms.iter().map(|h| (h.time.millis(), h.value.sum))).collect();
        samples.sort_by_key(|(time, _)| *time);
        assert!(found.insert(series.labels.to_string(), samples).is_none(), "every series once");
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

fn unlimited() -> Budget {
    Budget::unlimited(SystemClock::shared())
}

fn histogram(time: i64, sum: f64) -> HistogramSample {
    let histogram = Histogram {
        integer: true,
        count: 3.0,
        sum,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![1.0, 2.0],
        ..Histogram::default()
    };
    HistogramSample { time: Timestamp(time), value: Arc::new(histogram) }
}

fn series(labels: Labels, floats: &[(i64, f64)], histograms: &[(i64, f64)]) -> Series {
    Series {
        labels,
        times: floats.iter().map(|(time, _)| *time).collect(),
        values: floats.iter().map(|(_, value)| *value).collect(),
        histograms: histograms.iter().map(|(time, sum)| histogram(*time, *sum)).collect(),
    }
}

fn sampled(all: &[Series]) -> WholeReply {
    let mut result = QueryResult::default();
    all.iter().for_each(|series| result.push(&series.labels, series));
    let body = snap(&remote_read::response(&[result]));
    Some((200, "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n", body))
}

fn streamed(all: &[Series]) -> WholeReply {
    let mut body = Vec::new();
    for series in all {
        let mut chunks = tsdb::encode(&series.times, &series.values, &series.histograms).into_iter();
        while chunks.len() > 0 {
            body.extend(frame(0, &series.labels, &mut chunks));
        }
    }
    assert!(STREAMED_TYPE.starts_with("application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"));
    Some((200, "Content-Type: application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse\r\n", body))
}

/// One snappy block of a literal: compressing is not what is tested here.
fn snap(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut len = bytes.len();
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    for chunk in bytes.chunks(60) {
        out.push(((chunk.len() - 1) << 2) as u8);
        out.extend_from_slice(chunk);
    }
    out
}

fn anywhere(reply: impl Fn(usize, &Asked) -> WholeReply + Send + Sync + 'static) -> Receiver {
    Receiver::answering(([127, 0, 0, 1], 0).into(), reply)
}

fn asked_for(asked: &Asked) -> remote_read::ReadRequest {
    assert_eq!(asked.header("content-encoding"), "snappy");
    assert_eq!(asked.header("x-prometheus-remote-read-version"), "0.1.0");
    let message = decode(Encoding::Snappy, &asked.body, Limits::default()).expect("snappy");
    remote_read::decode(&message).expect("a read request")
}

#[test]
fn local_samples_win_and_external_labels_go_both_ways() {
    for answer in [sampled, streamed] {
        let place = anywhere(move |_, _| {
            let m = |n: &str| labels!("__name__" => "m", "n" => n, "site" => "here");
            answer(&[
                series(m("both"), &[(10, 1.0), (20, 9.0), (30, 9.0)], &[(50, 5.0)]),
                series(m("there"), &[(0, 1.0), (100, 2.0), (101, 3.0)], &[]),
                series(m("late"), &[(500, 1.0)], &[]),
            ])
        });
        let local = Arc::new(Memory::new());
        local.add_series(&labels!("__name__" => "m", "n" => "both"), [(20, 2.0), (30, 3.0), (40, 4.0)]);
        local.add_series(&labels!("__name__" => "m", "n" => "here"), [(20, 7.0)]);
        let text = format!("global: {{external_labels: {{site: here, other: x}}}}\nremote_read: [{{url: '{}', read_recent: true}}]", place.url());
        let house = house(local, Some(0), &text);
        let matchers = || vec![Matcher::equal("__name__", "m"), Matcher::new("other", MatchOp::NotEqual, "y").unwrap()];
        let budget = unlimited();
        let found = select(&house, matchers(), &budget).unwrap();
        let expected: [(&str, Vec<(i64, f64)>); 3] = [
            (r#"m{n="both"}"#, vec![(10, 1.0), (20, 2.0), (30, 3.0), (40, 4.0), (50, 5.0)]),
            (r#"m{n="here"}"#, vec![(20, 7.0)]),
            (r#"m{n="there"}"#, vec![(0, 1.0), (100, 2.0)]),
        ];
        assert_eq!(found, expected.into_iter().map(|(name, samples)| (name.to_owned(), samples)).collect());
        assert_eq!(budget.warnings(), [""; 0]);
        let query = &asked_for(&place.taken()[0]).queries[0];
        assert_eq!((query.start, query.end), (0, 100));
        let wanted: Vec<String> = query.matchers.iter().map(|m| format!("{}{}{}", m.name, m.op.symbol(), m.value)).collect();
        assert_eq!(wanted, ["__name__=m", "other!=y", "site=here"], "a label that the selector names itself is not added");
        // Names and series are local.
        let selection = Selection { matchers: matchers(), start: Timestamp(0), end: Timestamp(100) };
        assert_eq!(house.source.series(&selection, &budget).unwrap().len(), 2);
        assert_eq!(place.count(), 1);
    }
}

#[test]
fn only_who_can_know_is_asked() {
    let place = anywhere(|_, _| sampled(&[]));
    let asked = |local_begin: Option<i64>, range: (i64, i64), keys: &str| {
        let house = house(Arc::new(Memory::new()), local_begin, &format!("remote_read: [{{url: '{}', {keys}}}]", place.url()));
        let before = place.count();
        let selection = Selection { matchers: vec![Matcher::equal("job", "a")], start: Timestamp(range.0), end: Timestamp(range.1) };
        house.source.select(&selection, &unlimited(), &mut |_| Ok(ControlFlow::Continue(()))).unwrap();
        place.taken().get(before).map(|asked| {
            let query = &asked_for(asked).queries[0];
            (query.start, query.end)
        })
    };
    assert_eq!(asked(Some(10 * HOUR), (0, 20 * HOUR), "read_recent: true"), Some((0, 20 * HOUR)));
    assert_eq!(asked(Some(10 * HOUR), (0, 20 * HOUR), "read_recent: false"), Some((0, 14 * HOUR)), "up to four hours behind the begin of local data");
    assert_eq!(asked(Some(10 * HOUR), (15 * HOUR, 20 * HOUR), "read_recent: false"), None);
    assert_eq!(asked(None, (15 * HOUR, 20 * HOUR), "read_recent: false"), Some((15 * HOUR, 20 * HOUR)), "nothing is here");
    assert_eq!(asked(None, (0, 1), "required_matchers: {job: a}"), Some((0, 1)));
    assert_eq!(asked(None, (0, 1), "required_matchers: {job: b}"), None);
    assert_eq!(asked(None, (0, 1), "required_matchers: {job: a, x: y}"), None);
}

#[test]
fn what_a_place_cannot_give_is_a_warning() {
    let good = || series(labels!("__name__" => "m", "n" => "there"), &[(1, 1.0)], &[]);
    let check = |reply: &'static (dyn Fn() -> WholeReply + Sync), words: &str| {
        let place = anywhere(move |_, _| reply());
        let local = Arc::new(Memory::new());
        local.add_series(&labels!("__name__" => "m"), [(20, 2.0)]);
        let house =
            house(local, Some(0), &format!("remote_read: [{{url: 'http://user:canary@{}/r', read_recent: true, remote_timeout: 300ms}}]", place.address));
        let budget = unlimited();
        let found = select(&house, vec![Matcher::equal("__name__", "m")], &budget).unwrap();
        assert_eq!(found["m"], [(20, 2.0)]);
        let warnings = budget.warnings();
        assert!(warnings.len() == 1 && warnings[0].contains(words) && !warnings[0].contains("canary"), "{warnings:?} wants {words:?}");
    };
    check(&|| Some((500, "", b"out of order\nx".to_vec())), "server returned HTTP status 500 Internal Server Error: out of order");
    check(&|| None, "no complete answer within 300ms");
    check(&|| Some((200, "Content-Encoding: snappy\r\n", b"\x05hello".to_vec())), "cannot read the answer");
    check(&|| Some((200, "", b"\xff\xff\xff".to_vec())), "cannot read the answer");
    let damaged: &'static (dyn Fn() -> WholeReply + Sync) = Box::leak(Box::new(move || {
        let (status, head, mut body) = streamed(&[good(), good()])?;
        *body.last_mut()? ^= 1;
        Some((status, head, body))
    }));
    check(damaged, "checksum is wrong");
    let cut: &'static (dyn Fn() -> WholeReply + Sync) = Box::leak(Box::new(move || {
        let (status, head, mut body) = streamed(&[good(), good()])?;
        body.truncate(body.len() - 3);
        Some((status, head, body))
    }));
    check(cut, "ends within a frame");
}

#[test]
fn two_places_are_asked_and_one_may_fail() {
    let (well, ill) =
        (anywhere(|_, _| streamed(&[series(labels!("__name__" => "m", "n" => "there"), &[(1, 1.0)], &[])])), anywhere(|_, _| Some((503, "", Vec::new()))));
    let text = format!("remote_read: [{{url: '{}', read_recent: true}}, {{url: '{}', read_recent: true}}]", ill.url(), well.url());
    let house = house(Arc::new(Memory::new()), None, &text);
    let budget = unlimited();
    assert_eq!(select(&house, vec![Matcher::equal("__name__", "m")], &budget).unwrap().len(), 1);
    assert_eq!(budget.warnings().len(), 1);
}

#[test]
fn a_query_pays_for_what_others_give() {
    let many: Vec<(i64, f64)> = (0..90).map(|t| (t, 0.5)).collect();
    let place = anywhere(move |_, _| streamed(&[series(labels!("__name__" => "m"), &many, &[])]));
    let house = house(Arc::new(Memory::new()), None, &format!("remote_read: [{{url: '{}', read_recent: true}}]", place.url()));
    let matchers = || vec![Matcher::equal("__name__", "m")];
    let budget = |samples: u64| Budget::new(SystemClock::shared(), Duration::from_secs(60), samples, u64::MAX);
    assert!(matches!(select(&house, matchers(), &budget(89)), Err(ReadError::TooManySamples(89))));
    assert_eq!(select(&house, matchers(), &budget(90)).unwrap().len(), 1);
    let cancelled = budget(1000);
    cancelled.cancel();
    assert!(matches!(select(&house, matchers(), &cancelled), Err(ReadError::Cancelled)));
}
