//! Native histograms by every way in: scraped by us, scraped by Prometheus and sent on to us, sent by remote write 2.0.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};

use serde_json::Value;
use watchfire_ingest::protobuf::Writer;
use watchfire_ingest::remote_write::wire::{self, v2};
use watchfire_model::batch::{Metadata, MetricType};
use watchfire_model::histogram::{Histogram, Span};
use watchfire_model::labels::Labels;
use watchfire_model::sample::{Exemplar, HistogramSample, Sample};
use watchfire_model::time::{Clock, SystemClock, Timestamp};

use crate::prometheus::ask;
use crate::server::{Peer, Server, escape, free_port, installed, request, until};

/// A target that shows one native histogram, with more observations each time it is asked.
fn target() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (visit, stream) in (1..).zip(listener.incoming()) {
            let Ok(mut stream) = stream else { return };
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                asked.extend(byte);
            }
            let body = exposition(visit);
            let head = format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            // A client that has left takes nothing from anybody else.
            let _gone = stream.write_all(&[head.into_bytes(), body].concat());
        }
    });
    address
}

fn exposition(visit: i64) -> Vec<u8> {
    let mut family = Writer::new();
    family.text(1, "latency_seconds");
    family.uint(3, 4);
    family.message(4, |metric| {
        metric.message(7, |h| {
            h.uint(1, (5 * visit).cast_unsigned());
            h.double(2, 1.5 * visit as f64);
            h.sint(5, 2);
            h.double(6, 1e-3);
            h.uint(7, visit.cast_unsigned());
            for (offset, length) in [(-3, 2), (2, 1)] {
                h.message(12, |span| {
                    span.sint(1, offset);
                    span.uint(2, length);
                });
            }
            h.packed_signed(13, [visit, visit, -visit].into_iter());
        });
    });
    let mut whole = Writer::new();
    whole.varint(family.len() as u64);
    whole.append(&family);
    whole.into_bytes()
}

fn result(answer: &Value) -> Value {
    answer["data"]["result"].clone()
}

#[test]
fn native_histograms_are_scraped_and_taken_from_prometheus() {
    if !installed("prometheus") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let target = target();
    let job = |name: &str| format!("scrape_configs:\n- job_name: {name}\n  static_configs: [{{targets: ['{target}']}}]\n");
    let ours = dir.path().join("ours.yml");
    std::fs::write(&ours, format!("global: {{scrape_interval: 1s, scrape_native_histograms: true}}\n{}", job("ours"))).unwrap();
    let watchfire = dir.path().join("watchfire.yml");
    std::fs::write(&watchfire, "prometheus: ours.yml\n").unwrap();
    let server = Server::start(&dir.path().join("data"), &["--config", watchfire.to_str().unwrap()], &[("WATCHFIRE_HOST_ROOT", "/nonexistent")]);
    let theirs = dir.path().join("theirs.yml");
    let write =
        format!("remote_write: [{{url: '{}/api/v1/write', send_native_histograms: true, queue_config: {{batch_send_deadline: 200ms}}}}]\n", server.url());
    std::fs::write(&theirs, format!("global: {{scrape_interval: 1s}}\n{write}{}", job("theirs"))).unwrap();
    let port = free_port();
    let prometheus = Command::new("prometheus")
        .arg(format!("--config.file={}", theirs.display()))
        .arg(format!("--storage.tsdb.path={}", dir.path().join("prom").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--enable-feature=native-histograms")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _prometheus = Peer(prometheus.unwrap());
    let prometheus: SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
    let count =
        |job: &str| server.query(&format!("count_over_time(latency_seconds{{job=\"{job}\"}}[1m])"), None)[0]["value"][1].as_str().and_then(|t| t.parse().ok());
    until("six histograms by each way", || (count("theirs"), count("ours")), |(a, b): &(Option<f64>, Option<f64>)| *a >= Some(6.0) && *b >= Some(6.0));
    // The moment before the newest one that has arrived.
    let newest = server.query("timestamp(latency_seconds{job=\"theirs\"})", None)[0]["value"][1].as_str().unwrap().parse::<f64>().unwrap();
    let time = newest - 1.0 + 0.0137;
    for query in [
        "latency_seconds{job=\"theirs\"}",
        "sum(latency_seconds{job=\"theirs\"})",
        "histogram_count(latency_seconds{job=\"theirs\"})",
        "histogram_sum(latency_seconds{job=\"theirs\"})",
        "histogram_count(rate(latency_seconds{job=\"theirs\"}[4s]))",
        "count_over_time(latency_seconds{job=\"theirs\"}[4s])",
    ] {
        let path = format!("/api/v1/query?query={}&time={time:.4}", escape(query));
        let (there, here) = (ask(prometheus, &path), ask(server.address, &path));
        assert_eq!(result(&here), result(&there), "{query}");
        assert_eq!(result(&here).as_array().map(Vec::len), Some(1), "{query}: {here}");
    }
    let own = server.query("histogram_count(latency_seconds{job=\"ours\"}) / histogram_sum(latency_seconds{job=\"ours\"})", None);
    assert_eq!(own[0]["value"][1].as_str().map(|t| t.parse::<f64>().unwrap() * 3.0), Some(10.0), "{own}");
}

#[test]
fn remote_write_2_is_stored_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(&dir.path().join("data"), &[], &[("WATCHFIRE_HOST_ROOT", "/nonexistent")]);
    let now = SystemClock::new().now().millis();
    let labels = |name: &str| Labels::from_pairs([("__name__", name), ("job", "sender")]);
    let (total, native, old) = (labels("sent_total"), labels("sent_seconds"), labels("sent_late"));
    let samples = [Sample { time: Timestamp(now - 1_000), value: 4.0 }, Sample { time: Timestamp(now), value: 5.0 }];
    let histogram = Histogram {
        integer: true,
        count: 3.0,
        sum: 4.5,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![1.0, 2.0],
        ..Histogram::default()
    };
    let histograms = [HistogramSample { time: Timestamp(now), value: histogram.into() }];
    let exemplars = [Exemplar { labels: Labels::from_pairs([("trace_id", "abc")]), time: Timestamp(now), value: 0.5 }];
    let metadata = Metadata { family: "sent_total".into(), kind: MetricType::Counter, help: "Sent.".into(), unit: "".into() };
    let mut message = v2::Request::new();
    message.series(&wire::Series { labels: &total, samples: &samples, histograms: &[], exemplars: &exemplars }, Some(&metadata));
    message.series(&wire::Series { labels: &native, samples: &[], histograms: &histograms, exemplars: &[] }, None);
    let headers = [("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"), ("X-Prometheus-Remote-Write-Version", "2.0.0")];
    let send = |server: &Server, message: &mut v2::Request| {
        let answer = request(server.address, "POST", "/api/v1/write", &headers, message.bytes()).unwrap();
        let head = answer.head.to_ascii_lowercase();
        let written = ["samples", "histograms", "exemplars"].map(|kind| {
            let line = head.lines().find_map(|l| l.strip_prefix(&format!("x-prometheus-remote-write-{kind}-written:")).map(str::trim)).map(str::to_owned);
            line.unwrap_or_else(|| "missing".to_owned())
        });
        (answer.status, written.join(" "))
    };
    assert_eq!(send(&server, &mut message), (204, "2 1 1".to_owned()));
    assert_eq!(send(&server, &mut message), (204, "2 1 1".to_owned()), "what is sent again is there already");
    message.clear();
    let late = [Sample { time: Timestamp(now + 3_600_000), value: 1.0 }];
    message.series(&wire::Series::floats(&old, &late), None);
    message.series(&wire::Series::floats(&total, &[Sample { time: Timestamp(now + 1), value: 6.0 }]), None);
    assert_eq!(send(&server, &mut message), (400, "1 0 0".to_owned()));
    let check = |server: &Server| {
        let at = Some(now as f64 / 1000.0 + 1.0);
        assert_eq!(server.query("sent_total", at)[0]["value"][1], "6");
        assert_eq!(server.query("histogram_count(sent_seconds)", at)[0]["value"][1], "3");
        assert_eq!(server.json("/api/v1/metadata?metric=sent_total")["data"]["sent_total"][0]["type"], "counter");
    };
    check(&server);
    server.kill();
    let server = Server::start(&dir.path().join("data"), &[], &[("WATCHFIRE_HOST_ROOT", "/nonexistent")]);
    check(&server);
}
