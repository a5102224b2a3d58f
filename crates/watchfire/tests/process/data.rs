//! What is kept moves: backups are made while the server runs and come back, blocks and texts of a real Prometheus are taken
//! over, series are deleted, and a real Prometheus federates from us.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::prometheus::{alike, ask, normal};
use crate::remote_read::{chunks, histograms, now_ms, prometheus, samples, sorted, write};
use crate::server::{Peer, Server, escape, installed, request, run, until};

const ALONE: [(&str, &str); 1] = [("WATCHFIRE_HOST_ROOT", "/nonexistent")];

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs a command that must end with this code, and gives what it said.
fn told(output: &Output, code: i32) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

fn everything(server: &Server, now: i64) -> Vec<(String, Vec<String>)> {
    sorted(&chunks(server.address, now - 7_200_000, now))
}

#[test]
fn a_backup_of_a_running_server_comes_back_whole() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mut server = Server::start(&at("data"), &[], &ALONE);
    let now = now_ms();
    write(server.address, &samples(now));
    write(server.address, &histograms(now));
    std::fs::write(server.data.join("admin.token"), "secret").unwrap();
    let kept = everything(&server, now);
    assert_eq!(kept.len(), 22);
    let url = server.url();
    for (name, more) in [("plain", &[][..]), ("whole.tar", &["--include-secrets"])] {
        let arguments = [&["backup", name, "--url", &url], more].concat();
        let said = told(&run(&arguments, dir.path()), 0);
        assert!(said.contains("backed up"), "{said}");
        assert!(told(&run(&arguments, dir.path()), 1).contains("exists already"));
    }
    assert_eq!(std::fs::read_dir(server.data.join("snapshots")).unwrap().count(), 0, "what was fetched is removed");
    server.terminate();
    let offline = told(&run(&["backup", "offline", "--data-dir", "data"], dir.path()), 0);
    assert!(offline.contains("admin token is not in it"), "{offline}");
    for (source, has_token) in [("plain", false), ("whole.tar", true), ("offline", false)] {
        let to = format!("restored-{}", source.replace('.', "-"));
        told(&run(&["restore", source, "--data-dir", &to], dir.path()), 0);
        assert_eq!(at(&to).join("admin.token").exists(), has_token, "{source}");
        let restored = Server::start(&at(&to), &[], &ALONE);
        assert_eq!(everything(&restored, now), kept, "{source}");
        let again = told(&run(&["restore", source, "--data-dir", &to], dir.path()), 1);
        assert!(again.contains("is not empty"), "{again}");
    }
    refused_backups(dir.path());
}

/// Backups that must not be restored, and that leave nothing behind.
fn refused_backups(dir: &Path) {
    let manifest = dir.join("plain/manifest.json");
    let good = std::fs::read_to_string(&manifest).unwrap();
    let check = |code: i32, expected: &str| {
        let said = told(&run(&["restore", "plain", "--data-dir", "never"], dir), code);
        assert!(said.contains(expected), "{said}");
        assert!(!dir.join("never").exists() && !dir.join("never.partial").exists());
    };
    std::fs::write(&manifest, good.replace("\"watchfire_backup\": 1", "\"watchfire_backup\": 9")).unwrap();
    check(3, "version 9");
    std::fs::write(&manifest, &good).unwrap();
    let segment = files(&dir.join("plain/metrics")).pop().unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    check(1, "is damaged");
    std::fs::remove_file(&segment).unwrap();
    check(1, "is missing");
    std::fs::remove_file(&manifest).unwrap();
    check(1, "not a complete backup");
    let tar = std::fs::read(dir.join("whole.tar")).unwrap();
    std::fs::write(dir.join("cut.tar"), &tar[..tar.len() / 2]).unwrap();
    let said = told(&run(&["restore", "cut.tar", "--data-dir", "never"], dir), 1);
    assert!(said.contains("not a complete backup") && !dir.join("never").exists(), "{said}");
}

fn files(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect()
}

fn post(address: SocketAddr, path: &str) -> Value {
    let answer = request(address, "POST", path, &[], b"").unwrap();
    assert!(answer.status / 100 == 2, "{path}: {} {}", answer.status, answer.text());
    if answer.body.is_empty() { Value::Null } else { answer.json() }
}

#[test]
fn blocks_of_a_real_prometheus_are_taken_over() {
    if !installed("prometheus") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let admin = ["--web.enable-admin-api", "--web.enable-remote-write-receiver", "--enable-feature=native-histograms"];
    let (first, peer) = prometheus(dir.path(), "{}\n", &admin);
    let now = now_ms();
    write(first, &samples(now));
    write(first, &histograms(now));
    let name = post(first, "/api/v1/admin/tsdb/snapshot")["data"]["name"].as_str().unwrap().to_owned();
    drop(peer);
    // Another Prometheus works on the blocks and deletes from them, which leaves tombstones.
    let blocks = dir.path().join(format!("prom-{}", first.port())).join("snapshots").join(name);
    let over = format!("--storage.tsdb.path={}", text(&blocks));
    let (second, _peer) = prometheus(dir.path(), "{}\n", &[&admin[..], &[&over]].concat());
    let (from, to) = (now / 1000 - 1800, now / 1000 - 900);
    post(second, &format!("/api/v1/admin/tsdb/delete_series?match[]={}&start={from}&end={to}", escape("temperature{n=~\"3|5\"}")));
    let theirs = sorted(&chunks(second, now - 7_200_000, now));
    assert_eq!(theirs.len(), 22);

    let data = dir.path().join("data");
    let stored = |said: &str| said.split(' ').next().unwrap().parse::<u64>().unwrap();
    let said = told(&run(&["import", text(&blocks), "--data-dir", text(&data)], dir.path()), 0);
    let count: usize = theirs.iter().map(|(_, samples)| samples.len()).sum();
    assert_eq!(stored(&said), count as u64, "{said}");
    let server = Server::start(&data, &[], &ALONE);
    assert_eq!(everything(&server, now), theirs);
    let time = now as f64 / 1000.0 - 20.0;
    for query in crate::remote_read::QUERIES.iter().filter(|q| !q.contains("site")) {
        let path = format!("/api/v1/query_range?query={}&start={:.3}&end={time:.3}&step=47", escape(query), time - 1800.0);
        let (theirs, ours) = (ask(second, &path), ask(server.address, &path));
        assert!(alike(&normal(&theirs), &normal(&ours)), "{query}\n  theirs {theirs}\n  ours   {ours}");
    }
    // The second one has begun a log there, and what is in it is not taken over.
    assert!(said.contains("in no block yet"), "{said}");
    // Once more, the block alone, through the running server: everything is there already.
    let block = files(&blocks).into_iter().find(|path| path.join("meta.json").exists()).unwrap();
    let again = told(&run(&["import", text(&block), "--url", &server.url()], dir.path()), 0);
    assert!(again.contains(&format!("0 samples stored, {count} were there already")), "{again}");
    assert!(!again.contains("in no block yet"), "{again}");
}

/// Ten days of two series and a family of counters, ending `days` before now.
fn openmetrics(now: i64, days: i64) -> String {
    let mut out = "# HELP room_temperature Of the room.\n# TYPE room_temperature gauge\n".to_owned();
    let last = now / 1000 - days * 86_400;
    for room in ["kitchen", "hall"] {
        for i in 0..1_000 {
            out.push_str(&format!("room_temperature{{room=\"{room}\"}} {} {}\n", f64::from(i * 37 % 101) / 4.0, last - 864 * (999 - i64::from(i))));
        }
    }
    out.push_str("# TYPE visits counter\n");
    for i in 0..1_000 {
        out.push_str(&format!("visits_total {i} {}\n", last - 864 * (999 - i64::from(i))));
    }
    out + "# EOF\n"
}

#[test]
fn texts_are_taken_over_as_promtool_would() {
    let dir = tempfile::tempdir().unwrap();
    let now = now_ms();
    let file = dir.path().join("old.om");
    std::fs::write(&file, openmetrics(now, 3)).unwrap();
    let server = Server::start(&dir.path().join("data"), &[], &ALONE);
    // The series go on today, so that what comes is much older than their newest samples.
    let mut live = watchfire_ingest::remote_write::wire::v1::Request::new();
    let labels = watchfire_model::labels!("__name__" => "visits_total");
    let sample = watchfire_model::sample::Sample { time: watchfire_model::time::Timestamp(now), value: 5_000.0 };
    live.series(&watchfire_ingest::remote_write::wire::Series::floats(&labels, &[sample]));
    write(server.address, &live);
    let said = told(&run(&["import", text(&file), "--url", &server.url()], dir.path()), 0);
    assert!(said.contains("3000 samples stored, 0 were there already"), "{said}");
    let said = told(&run(&["import", text(&file), "--url", &server.url()], dir.path()), 0);
    assert!(said.contains("0 samples stored, 3000 were there already"), "{said}");
    let metadata = server.json("/api/v1/metadata?metric=room_temperature");
    assert_eq!(metadata["data"]["room_temperature"][0]["help"], "Of the room.");

    let bad = dir.path().join("bad.om");
    std::fs::write(&bad, "a 1\nb 2 1700000000\n# EOF\n").unwrap();
    let said = told(&run(&["import", text(&bad), "--url", &server.url()], dir.path()), 1);
    assert!(said.contains("refused: no timestamp: 1"), "{said}");
    std::fs::write(&bad, "# TYPE a gauge\na 1 5\nb{ 2 1\n# EOF\n").unwrap();
    assert!(told(&run(&["import", text(&bad), "--url", &server.url()], dir.path()), 2).contains("line 3, column"));
    // A text that is read in several pieces; the line of its error counts from the beginning of the file.
    let long: String = (0..120_000).map(|i| format!("long_series_of_samples{{label=\"value\"}} {i} {}\n", now / 1000 - 120_000 + i)).collect();
    std::fs::write(&bad, format!("# TYPE long_series_of_samples gauge\n{long}oops\n# EOF\n")).unwrap();
    let said = told(&run(&["import", text(&bad), "--url", &server.url()], dir.path()), 2);
    assert!(said.contains("line 120002, column"), "{said}");
    std::fs::write(&bad, "a 1 5\n").unwrap();
    assert!(told(&run(&["import", text(&bad), "--url", &server.url()], dir.path()), 2).contains("# EOF"));
    assert!(told(&run(&["import", text(dir.path())], dir.path()), 2).contains("neither a block"));

    if !installed("promtool") || !installed("prometheus") {
        return;
    }
    let made = dir.path().join("blocks");
    let output = Command::new("promtool").args(["tsdb", "create-blocks-from", "openmetrics", text(&file), text(&made)]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let (theirs, _peer): (SocketAddr, Peer) =
        prometheus(dir.path(), "{}\n", &[&format!("--storage.tsdb.path={}", text(&made)), "--storage.tsdb.retention.time=1y"]);
    let imported = dir.path().join("imported");
    told(&run(&["import", text(&made), "--data-dir", text(&imported)], dir.path()), 0);
    let ours = Server::start(&imported, &[], &ALONE);
    let end = now / 1000 - 3 * 86_400;
    for query in ["room_temperature", "rate(visits_total[2h])", "sum(avg_over_time(room_temperature[1d])) by (room)"] {
        let path = format!("/api/v1/query_range?query={}&start={}&end={end}&step=7001", escape(query), end - 9 * 86_400);
        let answers = [ask(theirs, &path), ask(ours.address, &path), ask(server.address, &path)].map(|a| normal(&a));
        assert!(!answers[0].is_empty() && alike(&answers[0], &answers[1]) && alike(&answers[0], &answers[2]), "{query}: {answers:?}");
    }
}

#[test]
fn series_are_deleted_when_that_is_enabled() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("w.yml");
    std::fs::write(&config, "server: {enable_admin_api: true}\n").unwrap();
    let server = Server::start(&dir.path().join("data"), &["--config", text(&config)], &ALONE);
    let now = now_ms();
    write(server.address, &samples(now));
    post(server.address, &format!("/api/v1/admin/tsdb/delete_series?match[]={}", escape("{n=~\"1|2\"}")));
    post(server.address, "/api/v1/admin/tsdb/clean_tombstones");
    assert_eq!(everything(&server, now).len(), 18);
    let name = post(server.address, "/api/v1/admin/tsdb/snapshot")["data"]["name"].as_str().unwrap().to_owned();
    let snapshot = Server::start(&server.data.join("snapshots").join(&name), &[], &ALONE);
    assert_eq!(everything(&snapshot, now).len(), 18);
    assert_eq!(server.json("/api/v1/status/flags")["data"]["web.enable-admin-api"], "true");
}

#[test]
fn a_real_prometheus_federates_from_us() {
    if !installed("prometheus") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[], &ALONE);
    write(server.address, &samples(now_ms()));
    let config = format!(
        "scrape_configs:\n- job_name: up\n  scrape_interval: 1s\n  honor_labels: true\n  metrics_path: /federate\n  params:\n    'match[]': ['temperature', '{{n=\"2\"}}']\n  \
         static_configs: [{{targets: ['{}']}}]\n",
        server.address
    );
    let (theirs, _peer) = prometheus(dir.path(), &config, &[]);
    until("eleven series", || ask(theirs, "/api/v1/query?query=count(%7Bjob%3D%22test%22%7D)")["data"]["result"][0]["value"][1].clone(), |v| v == "11");
    let (theirs, ours) = (ask(theirs, "/api/v1/query?query=temperature"), ask(server.address, "/api/v1/query?query=temperature"));
    let bare = |answer: &Value| -> Vec<(String, f64)> { normal(answer).into_iter().map(|(labels, values)| (labels, values[1])).collect() };
    assert_eq!(bare(&theirs), bare(&ours), "no instance and no job of the scrape");
}

/// What 2.42 and we write alike, short and over several lines.
const FORMATTED: [&str; 8] = [
    "sum(up)by(job)",
    "topk without(a,b)(3,-(up>bool up))",
    "histogram_quantile(0.9, sum by (le, instance, job) (rate(a_metric_with_a_long_name_for_a_query_duration_seconds_bucket{job=~\"a|b\"}[5m])))",
    "max_over_time(deriv(a_metric_with_a_long_name_for_a_query{a=\"b\"}[5m])[30m:1m] offset 5m) / on (instance, job, another_label) group_left (x) count(up)",
    "a_metric_with_a_long_name_for_a_query{a=\"b\"} @ end() + a_metric_with_a_long_name_for_a_query{a!~\"b\"} @ 1.5 unless ignoring (c) -up",
    "label_replace(a_metric_with_a_long_name_for_a_query_and_then_some_more_of_it, \"destination\", \"$1\", \"source\", \"(.*):.*\")",
    "(((a_metric_with_a_long_name_for_a_query_and_then_some_more_of_it)) * 100) ^ 2 % 7 == bool 3 and a_metric_with_a_long_name or vector(1e3)",
    "1e6 + 0x1f - .5",
];

#[test]
fn exemplars_and_formatted_queries_are_those_of_a_real_prometheus() {
    if !installed("prometheus") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (theirs, _peer) = prometheus(dir.path(), "{}\n", &["--web.enable-remote-write-receiver", "--enable-feature=exemplar-storage"]);
    let server = Server::start(&dir.path().join("data"), &[], &ALONE);
    let now = now_ms();
    let at = |seconds: i64| watchfire_model::time::Timestamp(now - seconds * 1_000);
    let mut message = watchfire_ingest::remote_write::wire::v1::Request::new();
    for (n, job) in [(1, "b"), (2, "a")] {
        let labels = watchfire_model::labels!("__name__" => "requests_total", "job" => job);
        let exemplar = |seconds: i64, id: &str, value: f64| watchfire_model::sample::Exemplar {
            labels: watchfire_model::labels!("trace_id" => id),
            time: at(seconds),
            value,
        };
        message.series(&watchfire_ingest::remote_write::wire::Series {
            labels: &labels,
            samples: &[watchfire_model::sample::Sample { time: at(5), value: f64::from(n) }],
            histograms: &[],
            exemplars: &[exemplar(40, "first", 0.25), exemplar(20, "second", 1e-7)],
        });
    }
    for address in [theirs, server.address] {
        write(address, &message);
    }
    for (query, series) in [("rate(requests_total[5m])", 2), ("requests_total{job=\"a\"} / requests_total{job=\"b\"}", 2), ("requests_total{job=\"c\"}", 0)] {
        for start in [now / 1000 - 60, now / 1000 - 30] {
            let path = format!("/api/v1/query_exemplars?query={}&start={start}&end={}", escape(query), now / 1000);
            let answers = [ask(theirs, &path), ask(server.address, &path)];
            assert_eq!(answers[0], answers[1], "{query}");
            assert_eq!(answers[0]["data"].as_array().map_or(0, Vec::len), series, "{query}: {}", answers[0]);
        }
    }
    for query in FORMATTED {
        let path = format!("/api/v1/format_query?query={}", escape(query));
        let answers = [ask(theirs, &path), ask(server.address, &path)];
        assert_eq!(answers[0], answers[1], "{query}");
        assert_eq!(answers[0]["status"], "success", "{query}");
    }
}
