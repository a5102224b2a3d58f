//! `config.alloy` and `loki.yml` through the real binary, beside a container engine's socket.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::json;
use watchfire_model::time::{Clock, SystemClock};

use crate::server::{Server, escape, request, until};

const ALLOY: &str = include_str!("../../../../examples/alloy/config.alloy");

pub(crate) fn now_ms() -> i64 {
    SystemClock::new().now().millis()
}

/// An engine with one container whose log has these lines.
pub(crate) struct Engine {
    name: &'static str,
    log: Vec<u8>,
    /// The first lines of what it was asked.
    pub(crate) asked: Mutex<Vec<String>>,
}

/// Answers one request.
fn answer(mut peer: UnixStream, engine: &Engine) -> std::io::Result<()> {
    let mut head = [0; 4_096];
    let length = peer.read(&mut head)?;
    let head = String::from_utf8_lossy(&head[..length]).into_owned();
    engine.asked.lock().unwrap().push(head.lines().next().unwrap_or("").to_owned());
    let path = head.split(' ').nth(1).unwrap_or("");
    let json = |text: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()).into_bytes();
    if path.starts_with("/containers/json") {
        return peer.write_all(&json(&format!(r#"[{{"Id":"abc1","Names":["{0}"],"Image":"hsi/{0}:1","State":"running"}}]"#, engine.name)));
    }
    if path.ends_with("/json") {
        return peer.write_all(&json(r#"{"Config":{"Tty":false}}"#));
    }
    peer.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    for part in engine.log.chunks(60_000) {
        write!(peer, "{:x}\r\n", part.len())?;
        peer.write_all(part)?;
        peer.write_all(b"\r\n")?;
    }
    // A log that is followed does not end before its reader does.
    let mut rest = [0; 64];
    while peer.read(&mut rest)? > 0 {}
    Ok(())
}

/// Runs until the test's process ends.
pub(crate) fn engine(socket: &Path, name: &'static str, lines: impl Iterator<Item = String>) -> Arc<Engine> {
    let listener = UnixListener::bind(socket).unwrap();
    let mut log = Vec::new();
    for line in lines {
        log.extend([1, 0, 0, 0]);
        log.extend((line.len() as u32 + 1).to_be_bytes());
        log.extend(line.as_bytes());
        log.push(b'\n');
    }
    let engine = Arc::new(Engine { name, log, asked: Mutex::default() });
    let serving = engine.clone();
    std::thread::spawn(move || {
        for peer in listener.incoming().flatten() {
            let engine = serving.clone();
            // One that goes away in between is no matter.
            std::thread::spawn(move || drop(answer(peer, &engine)));
        }
    });
    engine
}

/// The example's `config.alloy` with another socket, in a monitoring directory.
pub(crate) fn alloy_with(socket: &Path, monitoring: &Path) {
    std::fs::create_dir_all(monitoring.join("alloy")).unwrap();
    std::fs::write(monitoring.join("alloy/config.alloy"), ALLOY.replace("/run/user/1000/podman/podman.sock", &socket.display().to_string())).unwrap();
}

pub(crate) fn count(server: &Server, query: &str) -> usize {
    let answer = server.json(&format!("/loki/api/v1/query_range?limit=5000&query={}", escape(query)));
    answer["data"]["result"].as_array().unwrap().iter().map(|s| s["values"].as_array().unwrap().len()).sum()
}

#[test]
fn log_20_labels_with_many_values_make_few_streams_and_still_answer() {
    let dir = tempfile::tempdir().unwrap();
    let monitoring = dir.path().join("monitoring");
    let socket = dir.path().join("podman.sock");
    // As many ids as in the incident that made people drop their labels, and fewer streams than that allowed.
    let time = |i: i64| watchfire_model::time::Timestamp(now_ms() - 60_000 + i * 10).rfc3339_millis();
    let _engine = engine(
        &socket,
        "backend",
        (0..4_000).map(move |i: i64| {
            let level = if i % 10 == 0 { "ERROR" } else { "INFO" };
            format!("{} {level} camera=front_door trace_id={i:032x} span_id={i:016x} duration={i}", time(i))
        }),
    );
    alloy_with(&socket, &monitoring);
    std::fs::write(monitoring.join("loki-config.yml"), "limits_config: {retention_period: 168h, max_global_streams_per_user: 50}\n").unwrap();
    let server = Server::start(&dir.path().join("data"), &["--monitoring-dir", monitoring.to_str().unwrap()], &[]);
    let all = r#"{container="backend", image="hsi/backend:1", job="podman-containers"}"#;
    until("all lines are there", || count(&server, all), |found| *found == 4_000);
    for (query, expected) in [
        (r#"{container="backend", level="ERROR"}"#.to_owned(), 400),
        (r#"{container="backend", camera="front_door"}"#.to_owned(), 4_000),
        // The label of the file is still one for whoever asks.
        (format!(r#"{{container="backend", trace_id="{:032x}"}}"#, 7), 1),
        (format!(r#"{{container="backend"}} | span_id="{:016x}""#, 4_000 - 1), 1),
        (r#"{container="backend"} | duration_ms >= 3990"#.to_owned(), 10),
    ] {
        assert_eq!(count(&server, &query), expected, "{query}");
    }
    let streams = server.json(&format!("/loki/api/v1/index/stats?query={}", escape(all)))["streams"].as_u64().unwrap();
    assert_eq!(streams, 2, "one for each level");
}

#[test]
fn log_11_the_socket_is_only_read() {
    let dir = tempfile::tempdir().unwrap();
    let (monitoring, socket) = (dir.path().join("monitoring"), dir.path().join("podman.sock"));
    let at = watchfire_model::time::Timestamp(now_ms()).rfc3339_millis();
    let engine = engine(&socket, "backend", (0..3).map(move |i| format!("{at} INFO line {i}")));
    alloy_with(&socket, &monitoring);
    let server = Server::start(&dir.path().join("data"), &["--monitoring-dir", monitoring.to_str().unwrap()], &[]);
    until("all lines are there", || count(&server, r#"{container="backend"}"#), |found| *found == 3);
    let looked = || engine.asked.lock().unwrap().iter().filter(|line| line.contains("/containers/json")).count();
    until("the list is asked for again", looked, |times| *times > 1);
    let asked = engine.asked.lock().unwrap().clone();
    let reads = |line: &String| {
        line.starts_with("GET /containers/json") || line.starts_with("GET /containers/abc1/json") || line.starts_with("GET /containers/abc1/logs")
    };
    assert!(asked.iter().all(reads), "{asked:?}");
}

#[test]
fn log_24_limits_of_loki_change_with_a_reload() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("loki.yml");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write("limits_config: {retention_period: 168h, ingestion_rate_mb: 0.001, ingestion_burst_size_mb: 0.001, max_entries_limit_per_query: 7}\n");
    std::fs::write(dir.path().join("watchfire.yml"), "server: {enable_lifecycle: true}\nloki: loki.yml\n").unwrap();
    let server = Server::start(&dir.path().join("data"), &[], &[]);
    let push = |age_ms: i64, text: &str| {
        let time = (now_ms() - age_ms) * 1_000_000;
        let body = json!({"streams": [{"stream": {"app": "a"}, "values": [[time.to_string(), text]]}]}).to_string();
        request(server.address, "POST", "/loki/api/v1/push", &[("content-type", "application/json")], body.as_bytes()).unwrap()
    };
    assert_eq!(push(0, &"x".repeat(3_000)).status, 204, "what was quiet may begin with a burst");
    let refused = push(0, &"y".repeat(3_000));
    assert_eq!(refused.status, 429);
    assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
    assert!(
        refused
            .text()
            .starts_with("Ingestion rate limit exceeded for user fake (limit: 1049 bytes/sec) while attempting to ingest '1' lines totaling '3000' bytes"),
        "{}",
        refused.text()
    );
    let day = 86_400_000;
    let limit = |n: usize| server.get(&format!("/loki/api/v1/query_range?query=%7Bapp%3D%22a%22%7D&limit={n}")).unwrap().status;
    assert_eq!((limit(7), limit(8)), (200, 400));
    write("limits_config: {retention_period: 48h, max_query_length: 1h}\n");
    assert_eq!(request(server.address, "POST", "/-/reload", &[], b"").unwrap().status, 200);
    assert_eq!(push(0, &"y".repeat(3_000)).status, 204);
    let old = push(3 * day, "old");
    assert_eq!(old.status, 400);
    assert!(old.text().contains("too_old"), "{}", old.text());
    assert_eq!(limit(8), 200);
    let long = server.get("/loki/api/v1/query_range?query=%7Bapp%3D%22a%22%7D&since=2h").unwrap();
    assert_eq!((long.status, long.text().contains("the query time range exceeds the limit (query length: 2h, limit: 1h)")), (400, true), "{}", long.text());
    // A file that is wrong changes nothing.
    write("limits_config: {retention_peroid: 1h}\n");
    assert_ne!(request(server.address, "POST", "/-/reload", &[], b"").unwrap().status, 200);
    assert_eq!(push(day, "a day old").status, 204);
}
