//! Remote write against receivers that fail in every way there is: what was written arrives, in order, once, as the other side
//! wants it named; what does not arrive is counted.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use watchfire_collect::discovery::glob::Lookup;
use watchfire_collect::scrape::config::{Outside, PrometheusConfig, parse};
use watchfire_forward::write::{Forwarder, Parts};
use watchfire_ingest::remote_write::{self as wire, Decoded, Decoder, Version};
use watchfire_model::batch::{Batch, Metadata, MetricType, Origin, Samples, SeriesExemplars, SeriesHistograms, SeriesSamples};
use watchfire_model::histogram::{CUSTOM_SCHEMA, Histogram, Span};
use watchfire_model::labels::Labels;
use watchfire_model::meter::Meter;
use watchfire_model::sample::{Exemplar, HistogramSample, STALE_NAN_BITS, Sample, stale_nan};
use watchfire_model::time::{SystemClock, Timestamp};
use watchfire_model::write::Sink;
use watchfire_net::client::Caller;
use watchfire_net::inflate::{Encoding, Limits, decode};
use watchfire_store::{Options, Store};

use crate::stub::{Asked, Receiver, Reply, until, wait_ms};

const OK: Reply = Some((204, ""));

fn config(text: &str) -> PrometheusConfig {
    let outside = Outside { environment: &|_| None, lookup: Lookup { directory: "/".into(), monitoring_dir: None } };
    let parsed = parse("p.yml", text, &outside);
    parsed.config.unwrap_or_else(|| panic!("{:?}", parsed.findings))
}

/// A store and what forwards from it.
struct House {
    store: Arc<Store>,
    forwarder: Forwarder,
    meter: Meter,
    runtime: tokio::runtime::Runtime,
    time: i64,
}

impl House {
    fn open(dir: &Path) -> House {
        let clock = SystemClock::shared();
        let options = Options { min_free_bytes: 0, flush_on_close_samples: u64::MAX, ..Options::new(dir, clock.clone()) };
        let store = Arc::new(Store::open(options).expect("a store"));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let meter = Meter::new();
        let parts = Parts {
            store: store.clone(),
            caller: Arc::new(Caller::new(clock.clone())),
            clock: clock.clone(),
            meter: meter.clone(),
            runtime: runtime.handle().clone(),
        };
        House { store, forwarder: Forwarder::new(parts), meter, runtime, time: clock.now().millis() - 60_000 }
    }
    fn apply(&self, text: &str) {
        let config = config(text);
        self.forwarder.apply(&config.remote_write, &config.global.external_labels).expect("a start");
    }
    /// Writes one sample of each of some series.
    fn write(&mut self, series: std::ops::Range<u32>) {
        let mut batch = Batch::new(Origin::new("test"));
        self.time += 10;
        for n in series {
            let labels = Labels::from_pairs([("__name__", "m".to_owned()), ("n", n.to_string())]);
            batch.series.push(SeriesSamples { labels, samples: Samples::One(Sample { time: Timestamp(self.time), value: f64::from(n) }) });
        }
        let count = batch.sample_count() as u64;
        assert_eq!(self.store.write(batch).expect("a write").stored, count);
    }
    /// The sum of a metric's points whose labels hold some text; a bare number may be part of a port.
    fn figure(&self, name: &str, part: &str) -> f64 {
        let families = self.meter.gather();
        families.iter().flat_map(|f| &f.points).filter(|(l, _)| l.metric_name() == name && l.to_string().contains(part)).map(|(_, v)| v).sum()
    }
    fn close(self) {
        self.forwarder.stop();
        self.store.close();
        drop(self.runtime);
    }
}

fn decoded(message: &[u8]) -> Decoded {
    Decoder::new(wire::Options::default()).decode(Version::V1, message, Origin::new("x")).expect("a write request")
}

/// What came in: times by series, in the order of arrival.
fn arrived(requests: &[Asked]) -> BTreeMap<String, Vec<i64>> {
    let mut found: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for asked in requests {
        assert_eq!(asked.header("content-encoding"), "snappy");
        let message = decode(Encoding::Snappy, &asked.body, Limits::default()).expect("snappy");
        for series in decoded(&message).batch.series {
            found.entry(series.labels.to_string()).or_default().extend(series.samples.as_slice().iter().map(|s| s.time.millis()));
        }
    }
    found
}

fn count(receiver: &Receiver) -> usize {
    arrived(&receiver.taken()).values().map(Vec::len).sum()
}

/// What a receiver of version 2.0 says when it took everything.
const WRITTEN: &str =
    "X-Prometheus-Remote-Write-Samples-Written: 9\r\nX-Prometheus-Remote-Write-Histograms-Written: 9\r\nX-Prometheus-Remote-Write-Exemplars-Written: 9\r\n";
const QUICK: &str = "queue_config: {batch_send_deadline: 50ms, min_backoff: 10ms, max_backoff: 50ms}, metadata_config: {send: false}";

#[test]
fn everything_arrives_once_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|_, _| OK);
    let mut house = House::open(dir.path());
    house.write(0..5);
    house.apply(&format!(
        "remote_write: [{{url: '{}', {}}}]",
        receiver.url(),
        QUICK.replace("queue_config: {", "queue_config: {min_shards: 3, max_samples_per_send: 7, ")
    ));
    for _ in 0..20 {
        house.write(0..50);
    }
    until("all are there", || count(&receiver), |n| *n >= 1000);
    let arrived = arrived(&receiver.taken());
    assert_eq!(arrived.len(), 50);
    assert!(arrived.values().all(|times| times.len() == 20 && times.is_sorted_by(|a, b| a < b)), "{arrived:?}");
    assert!(receiver.taken().iter().all(|a| a.header("x-prometheus-remote-write-version") == "0.1.0" && a.header("content-type") == "application/x-protobuf"));
    until("the figures settle", || house.figure("prometheus_remote_storage_samples_pending", ""), |n| *n == 0.0);
    assert_eq!(house.figure("prometheus_remote_storage_samples_total", ""), 1000.0);
    assert_eq!(house.figure("prometheus_remote_storage_shards", ""), 3.0);
    house.close();
}

#[test]
fn series_are_named_as_the_other_side_wants_them() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|_, _| OK);
    let mut house = House::open(dir.path());
    house.apply(&format!(
        "global: {{external_labels: {{site: here, n: external}}}}\nremote_write:\n- url: 'http://user:canary@{}/w'\n  headers: {{X-Scope-OrgID: tenant}}\n  \
         write_relabel_configs: [{{source_labels: [n, site], regex: '[5-9];here', action: drop}}, {{target_label: added, replacement: yes}}]\n  {}\n",
        receiver.address,
        QUICK.replace("}, ", "}\n  ")
    ));
    house.write(0..10);
    let labels = Labels::from_pairs([("__name__", "gone")]);
    let time = Timestamp(house.time);
    let mut batch = Batch::new(Origin::new("test"));
    batch.series.push(SeriesSamples { labels, samples: Samples::One(Sample { time, value: stale_nan() }) });
    house.store.write(batch).unwrap();
    until("all are there", || count(&receiver), |n| *n >= 6);
    let taken = receiver.taken();
    let names: Vec<String> = arrived(&taken).into_keys().collect();
    assert_eq!(names[0], r#"gone{added="yes", n="external", site="here"}"#);
    assert_eq!(names[1..], (0..5).map(|n| format!(r#"m{{added="yes", n="{n}", site="here"}}"#)).collect::<Vec<_>>());
    assert!(taken.iter().all(|a| a.header("authorization") == "basic dxnlcjpjyw5hcnk=" && a.header("x-scope-orgid") == "tenant"), "{}", taken[0].head);
    assert_eq!(house.figure("prometheus_remote_storage_samples_dropped_total", "dropped_series"), 5.0);
    let message = taken.iter().map(|a| decode(Encoding::Snappy, &a.body, Limits::default()).unwrap()).find(|m| m.windows(4).any(|w| w == b"gone"));
    assert!(message.unwrap().windows(8).any(|w| w == STALE_NAN_BITS.to_le_bytes()), "staleness markers keep their bits");
    assert!(!house.meter.gather().iter().flat_map(|f| &f.points).any(|(l, _)| l.to_string().contains("canary")));
    house.close();
}

#[test]
fn a_receiver_in_trouble_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    // Broken in turn: an error, too many requests with a wait, another error, then well.
    let receiver = Receiver::start(|n, _| match n {
        0 | 2 => Some((500, "")),
        1 => Some((429, "Retry-After: 0\r\n")),
        3 => Some((503, "Retry-After: 1\r\n")),
        _ => OK,
    });
    let mut house = House::open(dir.path());
    let quick = QUICK.replace("queue_config: {", "queue_config: {retry_on_http_429: true, ");
    house.apply(&format!("remote_write: [{{url: '{}', {quick}}}]", receiver.url()));
    house.write(0..10);
    until("all are there", || count(&receiver), |n| *n >= 10);
    assert_eq!((count(&receiver), receiver.count()), (10, 5));
    assert_eq!(house.figure("prometheus_remote_storage_samples_retried_total", ""), 40.0);
    assert_eq!(receiver.taken()[0].header("retry-attempt"), "4");
    house.close();
}

#[test]
fn what_is_refused_is_counted_and_not_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|n, _| match n {
        0 => Some((400, "")),
        1 => Some((429, "")),
        _ => OK,
    });
    let mut house = House::open(dir.path());
    house.apply(&format!("remote_write: [{{url: '{}', {QUICK}}}]", receiver.url()));
    for expected in 1..=3 {
        house.write(0..10);
        until("the next request", || receiver.count(), |n| *n >= expected);
    }
    until("the last is there", || count(&receiver), |n| *n >= 10);
    assert_eq!(count(&receiver), 10);
    assert_eq!(house.figure("prometheus_remote_storage_samples_failed_total", ""), 20.0);
    assert_eq!(house.figure("watchfire_forward_refused_total", "=\"400\""), 10.0);
    assert_eq!(house.figure("watchfire_forward_refused_total", "=\"429\""), 10.0);
    house.close();
}

#[test]
fn a_hanging_receiver_delays_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let (hanging, well) = (Receiver::start(|_, _| None), Receiver::start(|_, _| OK));
    let mut house = House::open(dir.path());
    let small = QUICK.replace("queue_config: {", "queue_config: {capacity: 10, max_samples_per_send: 10, ");
    house.apply(&format!("remote_write: [{{url: '{}', {small}}}, {{url: '{}', {QUICK}}}]", hanging.url(), well.url()));
    for _ in 0..20 {
        house.write(0..50);
    }
    until("all are there", || count(&well), |n| *n >= 1000);
    assert_eq!(count(&hanging), 0);
    let pending = house.figure("prometheus_remote_storage_samples_pending", &hanging.address.to_string());
    assert!(pending <= 40.0, "memory is bounded: {pending}");
    house.close();
}

#[test]
fn a_restart_goes_on_where_the_other_side_is() {
    let dir = tempfile::tempdir().unwrap();
    let reserved = Receiver::start(|_, _| OK);
    let address = reserved.address;
    drop(reserved);
    wait_ms(50);
    let text = format!("remote_write: [{{url: 'http://{address}/w', {QUICK}}}]");
    // Nobody is there for two runs.
    for _ in 0..2 {
        let mut house = House::open(dir.path());
        house.time += 1000 * i64::from(u32::from(dir.path().join("second").exists()));
        std::fs::write(dir.path().join("second"), "").unwrap();
        house.apply(&text);
        house.write(0..30);
        house.store.flush().unwrap();
        house.write(20..40);
        wait_ms(100);
        house.close();
    }
    let receiver = Receiver::at(address, |_, _| OK);
    let house = House::open(dir.path());
    house.apply(&text);
    until("all are there", || count(&receiver), |n| *n >= 100);
    house.close();
    let house = House::open(dir.path());
    house.apply(&text);
    wait_ms(200);
    assert_eq!(count(&receiver), 100, "nothing comes twice after a stop in good order");
    house.close();
}

#[test]
fn of_a_damaged_log_all_that_can_be_read_arrives_and_the_rest_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let reserved = Receiver::start(|_, _| OK);
    let address = reserved.address;
    drop(reserved);
    wait_ms(50);
    let text = format!("remote_write: [{{url: 'http://{address}/w', {QUICK}}}]");
    let mut house = House::open(dir.path());
    house.apply(&text);
    for _ in 0..20 {
        house.write(0..30);
    }
    house.close();
    let log = dir.path().join("wal/00000001.log");
    let mut bytes = std::fs::read(&log).unwrap();
    // Well behind the frame that defines the series.
    let at = bytes.len() * 3 / 4;
    bytes[at] ^= 0x55;
    std::fs::write(&log, bytes).unwrap();
    let receiver = Receiver::at(address, |_, _| OK);
    let house = House::open(dir.path());
    house.apply(&text);
    until("all but one frame are there", || count(&receiver), |n| *n >= 19 * 30);
    assert_eq!(count(&receiver), 19 * 30);
    assert!(house.figure("watchfire_forward_damaged_bytes_total", "") > 0.0);
    house.close();
}

/// A receiver like Prometheus 2.42: one sample that is not newer than its series makes it refuse the whole request.
#[test]
fn what_was_sent_before_a_crash_does_not_take_new_samples_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let kept: Arc<Mutex<BTreeMap<String, i64>>> = Arc::default();
    let seen = kept.clone();
    let receiver = Receiver::start(move |_, asked| {
        let mut newest = seen.lock().unwrap();
        let mut after = newest.clone();
        for (series, times) in arrived(std::slice::from_ref(asked)) {
            for time in times {
                if after.insert(series.clone(), time).is_some_and(|before| before >= time) {
                    return Some((400, ""));
                }
            }
        }
        *newest = after;
        OK
    });
    let text = format!("remote_write: [{{url: '{}', {QUICK}}}]", receiver.url());
    let copy = tempfile::tempdir().unwrap();
    let mut house = House::open(dir.path());
    house.apply(&text);
    // The state of the disk before anything is acknowledged: what a crash would leave of our memory of it.
    std::fs::copy(dir.path().join("state.redb"), copy.path().join("state.redb")).unwrap();
    for _ in 0..3 {
        house.write(0..40);
    }
    until("all are there", || count(&receiver), |n| *n >= 120);
    house.apply("remote_write: []");
    for _ in 0..2 {
        house.write(0..40);
    }
    house.write(20..60);
    let last = house.time;
    house.close();
    std::fs::copy(copy.path().join("state.redb"), dir.path().join("state.redb")).unwrap();
    let house = House::open(dir.path());
    house.apply(&text);
    until("the new ones are there", || count(&receiver), |n| *n >= 240);
    assert_eq!(kept.lock().unwrap().values().filter(|t| **t == last).count(), 40);
    assert_eq!(house.figure("watchfire_forward_refused_total", "=\"400\""), 120.0, "what is there already");
    house.close();
}

#[test]
fn a_reload_changes_targets_without_loss() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (Receiver::start(|_, _| OK), Receiver::start(|_, _| OK));
    let mut house = House::open(dir.path());
    let target = |receiver: &Receiver, name: &str, more: &str| format!("{{url: '{}', name: {name}, {QUICK}{more}}}", receiver.url());
    house.apply(&format!("remote_write: [{}]", target(&one, "a", "")));
    house.write(0..10);
    until("the first ten", || count(&one), |n| *n >= 10);
    // The target moves: what the first address has is not sent to the second.
    house.apply(&format!("remote_write: [{}]", target(&two, "a", "")));
    house.write(0..10);
    until("ten at the new address", || count(&two), |n| *n >= 10);
    house.apply(&format!("remote_write: [{}, {}]", target(&two, "a", ", send_exemplars: true"), target(&one, "b", "")));
    house.write(0..10);
    until("ten more at both", || (count(&one), count(&two)), |(one, two)| *one >= 20 && *two >= 20);
    house.apply("remote_write: []");
    house.write(0..10);
    wait_ms(100);
    assert_eq!((count(&one), count(&two)), (20, 20));
    assert!(house.store.tail_stats().unwrap().is_empty(), "the log need not stay for anybody");
    house.close();
}

#[test]
fn who_does_not_understand_version_2_gets_version_1() {
    for confused in [Some((415, "")), Some((200, ""))] {
        let dir = tempfile::tempdir().unwrap();
        let receiver = Receiver::start(move |_, asked| if asked.header("content-type").contains("v2") { confused } else { OK });
        let mut house = House::open(dir.path());
        house.apply(&format!("remote_write: [{{url: '{}', protobuf_message: io.prometheus.write.v2.Request, {QUICK}}}]", receiver.url()));
        house.write(0..10);
        let version_1 = || receiver.taken().into_iter().filter(|a| a.header("x-prometheus-remote-write-version") == "0.1.0").collect::<Vec<_>>();
        until("all are there", || arrived(&version_1()).len(), |n| *n >= 10);
        house.write(0..10);
        until("all are there", || arrived(&version_1()).values().map(Vec::len).sum::<usize>(), |n| *n >= 20);
        assert_eq!(receiver.count(), 3, "version 2 is tried once");
        house.close();
    }
}

/// One series with a float, a native histogram, one with bounds of its own, and an exemplar.
fn of_every_kind(house: &House) -> Batch {
    let labels = Labels::from_pairs([("__name__", "kinds"), ("a", "b")]);
    let time = |ms: i64| Timestamp(house.time + ms);
    let histogram = Histogram {
        integer: true,
        schema: 3,
        count: 6.0,
        sum: 2.5,
        zero_threshold: 1e-128,
        zero_count: 1.0,
        positive_spans: vec![Span { offset: -2, length: 2 }, Span { offset: 3, length: 1 }],
        positive_buckets: vec![2.0, 1.0, 2.0],
        ..Histogram::default()
    };
    let custom = Histogram {
        schema: CUSTOM_SCHEMA,
        count: 1.5,
        sum: 3.0,
        positive_spans: vec![Span { offset: 0, length: 1 }],
        positive_buckets: vec![1.5],
        custom_bounds: [0.5, 1.0].into(),
        ..Histogram::default()
    };
    let mut batch = Batch::new(Origin::new("test"));
    batch.series.push(SeriesSamples { labels: labels.clone(), samples: Samples::One(Sample { time: time(1), value: -0.0 }) });
    let samples = [(2, histogram), (3, custom)].map(|(ms, h)| HistogramSample { time: time(ms), value: Arc::new(h) }).to_vec();
    batch.histograms.push(SeriesHistograms { labels: labels.clone(), samples });
    let exemplar = Exemplar { labels: Labels::from_pairs([("trace_id", "abc")]), time: time(1), value: 0.25 };
    batch.exemplars.push(SeriesExemplars { labels, exemplars: vec![exemplar] });
    batch
}

#[test]
fn histograms_and_exemplars_go_along_when_asked() {
    for (version, message) in [(Version::V1, "prometheus.WriteRequest"), (Version::V2, "io.prometheus.write.v2.Request")] {
        let dir = tempfile::tempdir().unwrap();
        let (all, floats) = (Receiver::start(|_, _| Some((200, WRITTEN))), Receiver::start(|_, _| Some((200, WRITTEN))));
        let house = House::open(dir.path());
        house.apply(&format!(
            "remote_write: [{{url: '{}', protobuf_message: {message}, send_exemplars: true, send_native_histograms: true, {QUICK}}}, {{url: '{}', protobuf_message: {message}, {QUICK}}}]",
            all.url(),
            floats.url()
        ));
        let sent = of_every_kind(&house);
        assert_eq!(house.store.write(sent.clone()).unwrap().stored, 3);
        let taken = |receiver: &Receiver| {
            let mut batch = Batch::new(Origin::new("all"));
            for asked in receiver.taken() {
                let message = decode(Encoding::Snappy, &asked.body, Limits::default()).unwrap();
                let more = Decoder::new(wire::Options::default()).decode(version, &message, Origin::new("x")).unwrap().batch;
                batch.series.extend(more.series);
                batch.histograms.extend(more.histograms);
                batch.exemplars.extend(more.exemplars);
            }
            batch
        };
        let histograms = if version == Version::V1 { 1 } else { 2 };
        let count = |batch: &Batch| (batch.series.len(), batch.histograms.iter().map(|h| h.samples.len()).sum::<usize>(), batch.exemplars.len());
        let found = until("all kinds are there", || taken(&all), |batch| count(batch) == (1, histograms, 1));
        assert_eq!((&found.series, &found.exemplars), (&sent.series, &sent.exemplars));
        let found: Vec<_> = found.histograms.into_iter().flat_map(|h| h.samples).collect();
        assert_eq!(found, sent.histograms[0].samples[..histograms]);
        until("floats are there", || count(&taken(&floats)), |count| *count == (1, 0, 0));
        let bounds_dropped = house.figure("prometheus_remote_storage_histograms_dropped_total", "nhcb_in_rw1");
        assert_eq!(bounds_dropped, if version == Version::V1 { 1.0 } else { 0.0 });
        assert_eq!(house.figure("prometheus_remote_storage_exemplars_total", &all.address.to_string()), 1.0);
        house.close();
    }
}

/// A receiver that fails in every way at random, more targets than one, other numbers of shards, restarts: everything arrives, and the
/// first arrivals of a series are in order.
#[test]
fn nothing_is_lost_in_a_storm() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|n, _| match n.wrapping_mul(0x9e37_79b9) >> 7 & 15 {
        0 | 1 => Some((500, "")),
        2 => Some((429, "Retry-After: 0\r\n")),
        3 => Some((503, "")),
        _ => OK,
    });
    let mut written = 0;
    for round in 1..=4 {
        let mut house = House::open(dir.path());
        // The clock of a fast machine must not give two rounds the same times.
        house.time += 500 * round;
        let queue = format!(
            "queue_config: {{min_shards: {round}, capacity: 50, max_samples_per_send: 17, batch_send_deadline: 20ms, min_backoff: 1ms, max_backoff: 5ms, retry_on_http_429: true}}"
        );
        house.apply(&format!("remote_write: [{{name: one, url: '{}', {queue}, metadata_config: {{send: false}}}}]", receiver.url()));
        for n in 0..20 {
            house.write(0..40);
            written += 40;
            if n % 7 == 3 {
                house.store.flush().unwrap();
            }
        }
        house.close();
    }
    let house = House::open(dir.path());
    let patient = QUICK.replace("queue_config: {", "queue_config: {retry_on_http_429: true, ");
    house.apply(&format!("remote_write: [{{name: one, url: '{}', {patient}}}]", receiver.url().replace("write", "other")));
    let distinct = || {
        let mut arrived = arrived(&receiver.taken());
        for times in arrived.values_mut() {
            let mut seen = std::collections::HashSet::new();
            times.retain(|time| seen.insert(*time));
            assert!(times.is_sorted(), "{times:?}");
        }
        arrived.values().map(Vec::len).sum::<usize>()
    };
    until("all are there", distinct, |n| *n >= written);
    assert_eq!(house.figure("prometheus_remote_storage_samples_failed_total", ""), 0.0);
    house.close();
}

#[test]
fn what_version_2_did_not_write_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|_, _| Some((204, "X-Prometheus-Remote-Write-Samples-Written: 7\r\n")));
    let mut house = House::open(dir.path());
    house.apply(&format!("remote_write: [{{url: '{}', protobuf_message: io.prometheus.write.v2.Request, {QUICK}}}]", receiver.url()));
    house.write(0..10);
    until("three are missing", || house.figure("prometheus_remote_storage_samples_failed_total", ""), |n| *n == 3.0);
    let asked = &receiver.taken()[0];
    assert_eq!(asked.header("content-type"), "application/x-protobuf;proto=io.prometheus.write.v2.request");
    assert_eq!(asked.header("x-prometheus-remote-write-version"), "2.0.0");
    house.close();
}

#[test]
fn old_samples_are_left_out_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|_, _| OK);
    let mut house = House::open(dir.path());
    let quick = QUICK.replace("queue_config: {", "queue_config: {sample_age_limit: 10m, ");
    house.apply(&format!("remote_write: [{{url: '{}', {quick}}}]", receiver.url()));
    house.time -= 3_600_000;
    house.write(0..3);
    house.time += 3_600_000;
    house.write(0..5);
    until("the new ones are there", || count(&receiver), |n| *n >= 5);
    assert_eq!(count(&receiver), 5);
    assert_eq!(house.figure("prometheus_remote_storage_samples_dropped_total", "too_old"), 3.0);
    house.close();
}

#[test]
fn metadata_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|_, _| OK);
    let house = House::open(dir.path());
    let mut batch = Batch::new(Origin::new("test"));
    batch.metadata.push(Metadata { family: "m".into(), kind: MetricType::Gauge, help: "Is it?".into(), unit: "".into() });
    house.store.write(batch).unwrap();
    house.apply(&format!("remote_write: [{{url: '{}'}}]", receiver.url()));
    let asked = until("a request", || receiver.taken(), |taken| !taken.is_empty());
    let message = decode(Encoding::Snappy, &asked[0].body, Limits::default()).unwrap();
    let decoded = decoded(&message);
    let [family] = &decoded.batch.metadata[..] else { panic!("{:?}", decoded.batch) };
    assert_eq!((&*family.family, family.kind, &*family.help), ("m", MetricType::Gauge, "Is it?"));
    assert_eq!(house.figure("prometheus_remote_storage_metadata_total", ""), 1.0);
    house.close();
}
