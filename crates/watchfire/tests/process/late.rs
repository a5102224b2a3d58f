//! Samples that come late, beside a real Prometheus that takes them too: the same requests in a wild order end in the same series
//! and the same verdicts.

use std::net::SocketAddr;

use watchfire_ingest::remote_write::wire::{Series, v1};
use watchfire_model::labels;
use watchfire_model::sample::Sample;
use watchfire_model::time::{Clock, SystemClock, Timestamp};

use crate::prometheus::{ask, normal};
use crate::remote_read::prometheus;
use crate::server::{Server, escape, installed, request};

/// Sends a remote-write request and returns the status.
fn send(address: SocketAddr, message: &v1::Request) -> u16 {
    let body = snap::raw::Encoder::new().compress_vec(message.bytes()).unwrap();
    let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "snappy"), ("x-prometheus-remote-write-version", "0.1.0")];
    request(address, "POST", "/api/v1/write", &headers, &body).unwrap().status
}

#[test]
fn late_samples_end_as_with_prometheus() {
    if !installed("prometheus") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let config = "storage: {tsdb: {out_of_order_time_window: 2h}}\n";
    let (theirs, _peer) = prometheus(dir.path(), config, &["--web.enable-remote-write-receiver"]);
    let ours = Server::start(&dir.path().join("data"), &[], &[("WATCHFIRE_HOST_ROOT", "/nonexistent")]);
    let now = SystemClock::new().now().millis();
    // 45 samples of four series within the last 45 minutes, a few to a request, in an order that jumps about.
    let mut requests = Vec::new();
    for step in 0..45i64 {
        let mut message = v1::Request::new();
        for series in 0..4i64 {
            let minute = step * (7 + 4 * series) % 45;
            let labels = labels!("__name__" => "late", "n" => &series.to_string());
            let sample = |minute: i64| Sample { time: Timestamp(now - minute * 60_000), value: (minute * minute) as f64 / 8.0 };
            // Every fifth request repeats what an earlier one has brought.
            let samples = if step % 5 == 4 { vec![sample(minute), sample((step - 1) * (7 + 4 * series) % 45)] } else { vec![sample(minute)] };
            message.series(&Series::floats(&labels, &samples));
        }
        requests.push(message);
    }
    let mut too_late = v1::Request::new();
    too_late.series(&Series::floats(&labels!("__name__" => "late", "n" => "0"), &[Sample { time: Timestamp(now - 3 * 3_600_000), value: 1.0 }]));
    requests.push(too_late);
    for (n, message) in requests.iter().enumerate() {
        let (ours, theirs) = (send(ours.address, message), send(theirs, message));
        // What is older than the window: 400 with us and with Prometheus 3, 500 with Prometheus 2.42.
        let (ours_expected, theirs_expected) = if n == 45 { (4, 4..=5) } else { (2, 2..=2) };
        assert!(ours / 100 == ours_expected && theirs_expected.contains(&(theirs / 100)), "request {n}: {ours}, theirs {theirs}");
    }
    let path = |query: &str| format!("/api/v1/query?query={}&time={:.3}", escape(query), now as f64 / 1000.0 + 1.0);
    for query in ["late[4h]", "rate(late[40m])", "sum_over_time(late[20m] offset 5m)", "count_over_time(late[4h])", "late offset 30m"] {
        assert_eq!(normal(&ask(ours.address, &path(query))), normal(&ask(theirs, &path(query))), "{query}");
    }
    assert_eq!(normal(&ask(ours.address, &path("late[4h]")))[0].1.len(), 2 * 45);
}
