//! Remote read with a real Prometheus on either side: one that has no data of its own asks us, and what another keeps is what
//! we would have written, chunk by chunk and bit by bit.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::Value;
use watchfire_ingest::protobuf::{Message, Value as Field, Writer};
use watchfire_ingest::remote_write::wire::{Series, v1};
use watchfire_ingest::tsdb::{self, ChunkSamples};
use watchfire_model::histogram::{Histogram, Span};
use watchfire_model::labels;
use watchfire_model::sample::{HistogramSample, Sample, stale_nan};
use watchfire_model::time::{Clock, SystemClock, Timestamp};

use crate::prometheus::{alike, ask, normal};
use crate::server::{Peer, Server, escape, free_port, installed, request, until};

/// A real Prometheus that scrapes nobody.
pub(crate) fn prometheus(dir: &std::path::Path, config: &str, arguments: &[&str]) -> (SocketAddr, Peer) {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let file = dir.join(format!("prometheus-{}.yml", address.port()));
    std::fs::write(&file, config).unwrap();
    // One that is to work on a directory of somebody else's says so.
    let own_storage = arguments
        .iter()
        .all(|a| !a.starts_with("--storage.tsdb.path"))
        .then(|| format!("--storage.tsdb.path={}", dir.join(format!("prom-{}", address.port())).display()));
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", file.display()))
        .args(own_storage)
        .arg(format!("--web.listen-address={address}"))
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let peer = Peer(child);
    until("a ready Prometheus", || request(address, "GET", "/-/ready", &[], b"").map_or(0, |a| a.status), |status| *status == 200);
    (address, peer)
}

/// Sends a remote-write request.
pub(crate) fn write(address: SocketAddr, message: &v1::Request) {
    let body = snap::raw::Encoder::new().compress_vec(message.bytes()).unwrap();
    let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "snappy"), ("x-prometheus-remote-write-version", "0.1.0")];
    let answer = request(address, "POST", "/api/v1/write", &headers, &body).unwrap();
    assert!(answer.status / 100 == 2, "{}: {}", answer.status, answer.text());
}

/// Some series of the last hour, as of a fixed second.
pub(crate) fn samples(now_ms: i64) -> v1::Request {
    let mut message = v1::Request::new();
    for series in 0..20 {
        let labels = labels!("__name__" => if series % 2 == 0 { "reads_total" } else { "temperature" }, "n" => &series.to_string(), "job" => "test");
        let samples: Vec<Sample> = (0..200)
            .map(|i| {
                let value = if series % 2 == 0 { f64::from(i * (series + 1)) } else { 20.0 + f64::from(i * 7919 % 83) / 13.0 };
                let value = if series == 4 && i == 199 { stale_nan() } else { value };
                Sample { time: Timestamp(now_ms - (200 - i64::from(i)) * 15_000), value }
            })
            .collect();
        message.series(&Series::floats(&labels, &samples));
    }
    message
}

pub(crate) const QUERIES: [&str; 14] = [
    "reads_total",
    "temperature{n=\"3\"}",
    "temperature{n!=\"3\"}",
    "temperature{n=~\"1.+\"}",
    "temperature{n!~\"1.*|3\"}",
    "sum by (job) (rate(reads_total[5m]))",
    "max_over_time(temperature[20m])",
    "avg(temperature) by (n)",
    "topk(3, increase(reads_total[30m]))",
    "temperature offset 10m",
    "count({job=\"test\"})",
    "{job=\"test\",site=\"home\"}",
    "absent(nothing_here)",
    "max_over_time(rate(reads_total[2m])[20m:1m])",
];

/// The last full second.
pub(crate) fn now_ms() -> i64 {
    SystemClock::new().now().millis() / 1_000 * 1_000
}

#[test]
fn a_real_prometheus_reads_from_us() {
    if !installed("prometheus") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let ours = dir.path().join("ours.yml");
    std::fs::write(&ours, "prometheus: {global: {external_labels: {site: home}}}\n").unwrap();
    let server = Server::start(&dir.path().join("data"), &["--config", ours.to_str().unwrap()], &[("WATCHFIRE_HOST_ROOT", "/nonexistent")]);
    let now = now_ms();
    write(server.address, &samples(now));
    let config = format!("remote_read: [{{url: '{}/api/v1/read', read_recent: true}}]\n", server.url());
    let (reader, _peer) = prometheus(dir.path(), &config, &[]);
    let time = now as f64 / 1000.0 - 20.0;
    for query in QUERIES {
        let instant = format!("/api/v1/query?query={}&time={time:.3}", escape(query));
        let range = format!("/api/v1/query_range?query={}&start={:.3}&end={time:.3}&step=47", escape(query), time - 1800.0);
        for path in [instant, range] {
            let (theirs, ours) = (ask(reader, &path), ask(server.address, &path));
            assert_eq!(theirs["status"], "success", "{query}: {theirs}");
            // They see our external label on every series; what we have stored has none.
            let theirs = without_site(&theirs);
            let ours = if query.contains("site") { ask(server.address, &path.replace("%2Csite%3D%22home%22", "")) } else { ours };
            assert!(alike(&normal(&theirs), &normal(&ours)), "{query}\n  theirs {theirs}\n  ours   {ours}");
            assert!(query.contains("absent") || !normal(&ours).is_empty(), "{query}: nothing to compare");
        }
    }
}

/// The other way round: what a Prometheus keeps is in our answers, ours first, and when it goes away the answers say so.
#[test]
fn we_read_from_a_real_prometheus() {
    if !installed("prometheus") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (other, peer) = prometheus(dir.path(), "{}\n", &["--web.enable-remote-write-receiver"]);
    let now = now_ms();
    let mut message = samples(now);
    let theirs = Sample { time: Timestamp(now - 60_000), value: 2.0 };
    let both = labels!("__name__" => "both", "job" => "test");
    message.series(&Series::floats(&both, &[theirs]));
    write(other, &message);
    let ours = dir.path().join("ours.yml");
    let config = format!("prometheus: {{remote_read: [{{url: 'http://{other}/api/v1/read', read_recent: true, remote_timeout: 5s}}]}}\n");
    std::fs::write(&ours, config).unwrap();
    let server = Server::start(&dir.path().join("data"), &["--config", ours.to_str().unwrap()], &[("WATCHFIRE_HOST_ROOT", "/nonexistent")]);
    let mut message = v1::Request::new();
    message.series(&Series::floats(&both, &[Sample { value: 1.0, ..theirs }, Sample { time: Timestamp(now - 30_000), value: 3.0 }]));
    write(server.address, &message);
    let time = now as f64 / 1000.0 - 20.0;
    for query in QUERIES.into_iter().filter(|q| !q.contains("site")) {
        let path = format!("/api/v1/query_range?query={}&start={:.3}&end={time:.3}&step=47", escape(query), time - 1800.0);
        let (theirs, ours) = (ask(other, &path), ask(server.address, &path));
        assert_eq!(ours["status"], "success", "{query}: {ours}");
        assert!(query.starts_with("count") || alike(&normal(&theirs), &normal(&ours)), "{query}\n  theirs {theirs}\n  ours   {ours}");
        assert!(ours.get("warnings").is_none(), "{ours}");
    }
    let raw = |server: &Server| server.query("both[10m]", Some(time))[0]["values"].as_array().map(Vec::len);
    assert_eq!(raw(&server), Some(2));
    assert_eq!(server.query("min_over_time(both[10m])", Some(time))[0]["value"][1], "1", "our sample counts");
    let metrics = server.get("/metrics").unwrap().text();
    assert!(metrics.contains("prometheus_remote_storage_read_queries_total{code=\"200\""), "{metrics}");
    drop(peer);
    let answer = server.json(&format!("/api/v1/query?query=both&time={time}"));
    assert_eq!(answer["data"]["result"][0]["value"][1], "3");
    assert!(answer["warnings"][0].as_str().unwrap().contains(&format!("remote_read http://{other}/api/v1/read")), "{answer}");
}

fn without_site(answer: &Value) -> Value {
    let mut answer = answer.clone();
    for row in answer["data"]["result"].as_array_mut().into_iter().flatten() {
        if let Some(metric) = row["metric"].as_object_mut() {
            metric.remove("site");
        }
    }
    answer
}

/// Asks for chunks of all series of a job and cuts the stream into `(labels, encoding, data)`.
pub(crate) fn chunks(address: SocketAddr, start: i64, end: i64) -> Vec<(String, u8, Vec<u8>)> {
    let mut message = Writer::new();
    message.message(1, |query| {
        query.int(1, start);
        query.int(2, end);
        query.message(3, |matcher| {
            matcher.text(2, "job");
            matcher.text(3, "test");
        });
    });
    message.always_uint(2, 1);
    let body = snap::raw::Encoder::new().compress_vec(message.bytes()).unwrap();
    let answer = request(address, "POST", "/api/v1/read", &[("content-encoding", "snappy")], &body).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.head.contains("application/x-streamed-protobuf; proto=prometheus.chunkedreadresponse"), "{}", answer.head);
    let mut found = Vec::new();
    // Without chunked transfer (HTTP/1.0) the body is the frames.
    let mut rest = &answer.body[..];
    while !rest.is_empty() {
        let (mut len, mut at) = (0usize, 0);
        while rest[at] >= 0x80 {
            len |= usize::from(rest[at] & 0x7f) << (7 * at);
            at += 1;
        }
        len |= usize::from(rest[at]) << (7 * at);
        let (sum, after) = rest[at + 1..].split_at(4);
        assert!(len <= after.len(), "not a frame: {}", String::from_utf8_lossy(rest));
        let (frame, after) = after.split_at(len);
        assert_eq!(tsdb::castagnoli(frame).to_be_bytes(), sum);
        for field in Message::new(frame) {
            if let (1, Field::Bytes(series)) = field.unwrap() {
                read_series(series, &mut found);
            }
        }
        rest = after;
    }
    found
}

fn read_series(message: &[u8], found: &mut Vec<(String, u8, Vec<u8>)>) {
    let mut labels = String::new();
    for field in Message::new(message) {
        match field.unwrap() {
            (1, Field::Bytes(pair)) => {
                for field in Message::new(pair) {
                    if let (_, Field::Bytes(text)) = field.unwrap() {
                        labels.push_str(std::str::from_utf8(text).unwrap());
                        labels.push(' ');
                    }
                }
            }
            (2, Field::Bytes(chunk)) => {
                let (mut encoding, mut data) = (0, Vec::new());
                for field in Message::new(chunk) {
                    match field.unwrap() {
                        (3, Field::Varint(number)) => encoding = number as u8,
                        (4, Field::Bytes(bytes)) => data = bytes.to_vec(),
                        _ => {}
                    }
                }
                found.push((labels.clone(), encoding, data));
            }
            _ => {}
        }
    }
}

pub(crate) fn histograms(now_ms: i64) -> v1::Request {
    let mut message = v1::Request::new();
    // 2.42 cannot give gauge histograms back in this way.
    for kind in ["integer", "float"] {
        let labels = labels!("__name__" => "latency", "kind" => kind, "job" => "test");
        let all: Vec<HistogramSample> = (0..100)
            .map(|i| {
                let f = f64::from(1 + i * 8 + i % 3) / if kind == "float" { 3.0 } else { 1.0 };
                let (positive, negative) = (vec![f, f, 2.0 * f, 0.0, f], vec![f, 5.0 * f]);
                let value = Histogram {
                    schema: 2,
                    integer: kind == "integer",
                    zero_threshold: if kind == "float" { 1e-6 } else { 2f64.powi(-128) },
                    zero_count: f,
                    count: f + positive.iter().chain(&negative).sum::<f64>(),
                    sum: f * 0.123,
                    positive_spans: vec![Span { offset: -3, length: 2 }, Span { offset: 1, length: 3 }],
                    negative_spans: vec![Span { offset: 40, length: 2 }],
                    positive_buckets: positive,
                    negative_buckets: negative,
                    ..Histogram::default()
                };
                HistogramSample { time: Timestamp(now_ms - (100 - i64::from(i)) * 15_000), value: Arc::new(value) }
            })
            .collect();
        message.series(&Series { labels: &labels, samples: &[], histograms: &all, exemplars: &[] });
    }
    message
}

#[test]
fn chunks_of_a_real_prometheus_are_those_that_we_write() {
    if !installed("prometheus") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (theirs, _peer) = prometheus(dir.path(), "{}\n", &["--web.enable-remote-write-receiver", "--enable-feature=native-histograms"]);
    let server = Server::start(&dir.path().join("data"), &[], &[("WATCHFIRE_HOST_ROOT", "/nonexistent")]);
    // Prometheus cuts chunks by the hour, so how many samples one has depends on the time of day: always the same one.
    let (block, phase) = (7_200_000, 95 * 60_000);
    let now = (now_ms() - phase) / block * block + phase;
    for message in [samples(now), histograms(now)] {
        write(theirs, &message);
        write(server.address, &message);
    }
    let (start, end) = (now - 3_600_000, now);
    let (theirs, ours) = (chunks(theirs, start, end), chunks(server.address, start, end));
    let mut kinds = std::collections::BTreeMap::<u8, usize>::new();
    for (labels, encoding, data) in &theirs {
        let mut samples = ChunkSamples::default();
        tsdb::decode(*encoding, data, &mut samples).unwrap();
        // A chunk that Prometheus kept open for longer than usual has more samples than one of ours.
        if samples.times.len() > tsdb::CHUNK_SAMPLES_MAX {
            continue;
        }
        let again = tsdb::encode(&samples.times, &samples.values, &samples.histograms);
        assert_eq!(again.iter().map(|c| c.encoding as u8).collect::<Vec<_>>(), [*encoding], "{labels}");
        // What the chunk before has to say about a reset is not in the samples.
        let mut data = data.clone();
        if *encoding != 1 && data[2] == 0b0100_0000 {
            data[2] = again[0].data[2];
        }
        // Go leaves an empty byte behind bits that end with a byte.
        if data.len() == again[0].data.len() + 1 && data.last() == Some(&0) {
            data.pop();
        }
        assert_eq!(again[0].data, data, "{labels}");
        *kinds.entry(*encoding).or_default() += 1;
    }
    assert!(kinds.get(&1) >= Some(&20) && kinds.get(&2) >= Some(&1) && kinds.get(&3) >= Some(&1), "{kinds:?}");
    assert_eq!(sorted(&theirs), sorted(&ours), "the same samples, whoever is asked");
}

/// All samples of each series, however they were cut.
pub(crate) fn sorted(chunks: &[(String, u8, Vec<u8>)]) -> Vec<(String, Vec<String>)> {
    let mut all = std::collections::BTreeMap::<String, ChunkSamples>::new();
    for (labels, encoding, data) in chunks {
        tsdb::decode(*encoding, data, all.entry(labels.clone()).or_default()).unwrap();
    }
    let text = |s: ChunkSamples| {
        let floats = s.times.iter().zip(&s.values).map(|(t, v)| format!("{t} {:x}", v.to_bits()));
        let counts = |h: &HistogramSample| {
            format!("{} {} {} {:?} {:?}", h.time.millis(), h.value.count, h.value.sum, h.value.positive_buckets, h.value.negative_buckets)
        };
        floats.chain(s.histograms.iter().map(counts)).collect::<Vec<_>>()
    };
    all.into_iter().map(|(labels, samples)| (labels, text(samples))).collect()
}
