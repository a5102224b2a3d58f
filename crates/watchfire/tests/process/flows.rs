//! The documents' flows from one end to the other on the real binary: cards, services and jobs to REST and WebSocket, what a program records
//! to recording rules, and an application's metrics and lines to alerts and queries.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::server::{Server, request, until};

/// Answers every request with one body; `well` says whether it does so with 200.
fn service(body: &'static str, well: fn() -> bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut heard = [0; 4096];
            let _heard = stream.read(&mut heard);
            let status = if well() { "200 OK" } else { "503 Service Unavailable" };
            let said = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let _gone = stream.write_all(said.as_bytes());
        }
    });
    address
}

fn put(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Listens to `/ws/system` until a message satisfies.
fn heard(server: &Server, good: impl Fn(&Value) -> bool) -> Value {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let head = format!(
        "GET /ws/system HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n",
        server.address
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.extend(byte);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    for _ in 0..1_000 {
        let mut start = [0; 2];
        stream.read_exact(&mut start).unwrap();
        let length = match start[1] & 0x7f {
            126 => {
                let mut more = [0; 2];
                stream.read_exact(&mut more).unwrap();
                usize::from(u16::from_be_bytes(more))
            }
            127 => {
                let mut more = [0; 8];
                stream.read_exact(&mut more).unwrap();
                usize::try_from(u64::from_be_bytes(more)).unwrap()
            }
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).unwrap();
        if let Ok(message) = serde_json::from_slice::<Value>(&payload)
            && good(&message)
        {
            return message;
        }
    }
    panic!("a thousand messages and none of them");
}

/// What an AI service tells of its card.
const CARD: &str = r#"{"status": "healthy", "device": "Card", "vram_used_gb": 0.5, "gpu_utilization": 41, "temperature": 55, "power_watts": 90}"#;

fn record(server: &Server, items: &Value) {
    let answer = request(server.address, "POST", "/api/metrics/record", &[("Content-Type", "application/json")], items.to_string().as_bytes()).unwrap();
    assert!(answer.status < 300, "{}", answer.text());
}

/// A server that looks at a card, and at a service that is ill.
fn pipeline(dir: &Path) -> Server {
    let (card, ill) = (service(CARD, || true), service("no", || false));
    let gpu = format!("gpu: {{poll_interval_seconds: 1.0, ai_service_urls: ['http://{card}/health']}}");
    let services = format!("services: {{interval: 1s, watch: [{{name: rtdetr, health_url: 'http://{ill}/health'}}]}}");
    put(dir, "watchfire.yml", &format!("{gpu}\n{services}\n"));
    Server::start(&dir.join("data"), &["--config", "watchfire.yml"], &[])
}

#[test]
fn flw_02_cards_services_and_jobs_are_told_by_rest() {
    let dir = tempfile::tempdir().unwrap();
    let server = pipeline(dir.path());
    let looks = |h: &Value| h.as_array().is_some_and(|h| h.len() > 1 && h[0]["gpu_utilization"] == json!(41.0));
    until("history", || server.json("/api/system/gpu/history?minutes=5"), looks);
    until("health", || server.json("/api/system/health")["services"]["rtdetr"].clone(), |s| s == "unhealthy");
    // A job that fails for good: among the dead letters of its queue.
    let post = |path: &str, body: Value| request(server.address, "POST", path, &[("Content-Type", "application/json")], body.to_string().as_bytes()).unwrap();
    let taken = post("/api/queues/detection_queue/jobs", json!({"camera_id": "front_door"}));
    assert!(taken.status < 300, "{}", taken.text());
    let leased = post("/api/queues/detection_queue/lease?count=1&worker=w", json!({})).json();
    let lease = leased["jobs"][0]["lease"].as_str().unwrap_or_else(|| panic!("{leased}")).to_owned();
    let failed = post(&format!("/api/queues/detection_queue/leases/{lease}/fail"), json!({"error": "no such file", "retry": false}));
    assert!(failed.status < 300, "{}", failed.text());
    until("dead letters", || server.json("/api/dlq/stats")["total_count"].clone(), |n| *n == json!(1));
    assert_eq!(server.json("/api/dlq/stats")["detection_queue_count"], 1);
}

#[test]
fn flw_03_cards_and_services_are_pushed() {
    let dir = tempfile::tempdir().unwrap();
    let server = pipeline(dir.path());
    let stats = heard(&server, |m| m["type"] == "gpu_stats" && m["data"]["gpu_utilization"] == 41.0);
    assert_eq!(stats["data"]["temperature"], json!(55.0), "{stats}");
    let status = heard(&server, |m| m["type"] == "service_status" && m["data"]["service"] == "rtdetr");
    assert_eq!(status["data"]["status"], "unhealthy", "{status}");
}

#[test]
fn flw_04_what_a_program_records_is_scraped_and_becomes_recorded_series() {
    let dir = tempfile::tempdir().unwrap();
    put(
        dir.path(),
        "monitoring/prometheus.yml",
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules/*.yml]\nscrape_configs: [{job_name: hsi-backend-metrics, metrics_path: /api/metrics, static_configs: [{targets: ['prometheus:9090']}]}]\n",
    );
    put(
        dir.path(),
        "monitoring/rules/r.yml",
        "groups: [{name: g, rules: [{record: 'hsi:depth:max', expr: 'max(hsi_detection_queue_depth{job=\"hsi-backend-metrics\"})'}]}]\n",
    );
    let server = Server::start(&dir.path().join("data"), &["--monitoring-dir", "monitoring"], &[]);
    record(
        &server,
        &json!([{"name": "hsi_events_created_total", "value": 2}, {"name": "hsi_stage_duration_seconds", "labels": {"stage": "detect"}, "value": 0.2}, {"name": "hsi_detection_queue_depth", "value": 7}]),
    );
    let exposed = server.get("/api/metrics").unwrap().text();
    for line in ["hsi_events_created_total 2", "hsi_stage_duration_seconds_count{stage=\"detect\"} 1", "hsi_detection_queue_depth 7"] {
        assert!(exposed.lines().any(|l| l == line), "{line}");
    }
    until("recorded", || server.query("hsi:depth:max", None)[0]["value"][1].clone(), |v| v == "7");
}

#[test]
fn flw_05_an_applications_metrics_and_lines_reach_queries_and_alerts() {
    let dir = tempfile::tempdir().unwrap();
    let application =
        service("# TYPE http_requests_total counter\nhttp_requests_total{status=\"200\"} 4\n# TYPE inference_healthy gauge\ninference_healthy 0\n", || true);
    put(
        dir.path(),
        "monitoring/prometheus.yml",
        &format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [/etc/prometheus/rules/*.yml]\nalerting: {{alertmanagers: [{{static_configs: [{{targets: ['alertmanager:9093']}}]}}]}}\n\
             scrape_configs: [{{job_name: pisovereign, metrics_path: /metrics/prometheus, static_configs: [{{targets: ['{application}']}}]}}]\n"
        ),
    );
    put(
        dir.path(),
        "monitoring/rules/p.yml",
        "groups: [{name: pisovereign, rules: [{alert: InferenceUnhealthy, expr: inference_healthy == 0, labels: {severity: critical}}]}]\n",
    );
    put(dir.path(), "app.log", "{\"level\":\"ERROR\",\"message\":\"no engine\"}\n");
    put(
        dir.path(),
        "monitoring/promtail.yml",
        &format!(
            "clients: [{{url: 'http://loki:3100/loki/api/v1/push'}}]\nscrape_configs: [{{job_name: pisovereign, static_configs: [{{targets: [localhost], labels: {{job: pisovereign, __path__: '{}/app.log'}}}}]}}]\n",
            dir.path().display()
        ),
    );
    let server = Server::start(&dir.path().join("data"), &["--monitoring-dir", "monitoring"], &[]);
    until("metrics", || server.query("http_requests_total{job=\"pisovereign\"}", None)[0]["value"][1].clone(), |v| v == "4");
    until("the alert", || server.json("/api/v2/alerts"), |a| a[0]["labels"]["alertname"] == "InferenceUnhealthy");
    let lines = || server.json("/loki/api/v1/query_range?query=%7Bjob%3D%22pisovereign%22%7D")["data"]["result"][0]["values"].clone();
    let found = until("lines", lines, |l| l.as_array().is_some_and(|l| !l.is_empty()));
    assert!(found[0][1].as_str().unwrap().contains("no engine"), "{found}");
    // The collector tells what it reads, and how far.
    let collected = server.json("/collect/targets");
    let told = until("position", || server.json("/collect/targets")["sources"][0]["files"][0]["read_bytes"].clone(), |n| n.as_u64().is_some_and(|n| n > 0));
    assert_eq!(told, json!(40), "{collected}");
    assert!(server.get("/collect").unwrap().text().contains("/app.log"));
}
