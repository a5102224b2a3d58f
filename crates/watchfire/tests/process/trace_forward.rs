//! Spans of one trace that come by several protocols; and spans that one Watchfire sends on to two others, by gRPC and by HTTP, while
//! they are away, come, and are killed.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::{Value, json};
use watchfire_model::time::SystemClock;

use crate::server::{Server, free_port, request, until, wait_ms};

const TRACE: &str = "1234abcd5678ef901234abcd5678ef90";

fn now_us() -> u64 {
    SystemClock::shared().now().millis().unsigned_abs() * 1_000
}

/// A span as OTLP in JSON.
fn otlp(service: &str, id: u64, parent: u64, kind: u8, more: Value) -> Value {
    let start = now_us() * 1_000 - 2_000_000_000;
    let parent = if parent == 0 { String::new() } else { format!("{parent:016x}") };
    let attributes: Vec<Value> = more.as_object().into_iter().flatten().map(|(key, value)| json!({"key": key, "value": {"stringValue": value}})).collect();
    json!({"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}, "scopeSpans": [{"spans": [{
        "traceId": TRACE, "spanId": format!("{id:016x}"), "parentSpanId": parent, "name": format!("{service} {id}"), "kind": kind,
        "startTimeUnixNano": (start + id).to_string(), "endTimeUnixNano": (start + 50_000_000).to_string(), "attributes": attributes}]}]}]})
}

fn post(server: &Server, path: &str, body: &Value) {
    let answer = request(server.address, "POST", path, &[("Content-Type", "application/json")], body.to_string().as_bytes()).unwrap();
    assert!(answer.status / 100 == 2, "{path}: {} {}", answer.status, answer.text());
}

/// The ids of the spans of the trace.
fn spans(server: &Server) -> BTreeSet<String> {
    let Ok(answer) = server.get(&format!("/jaeger/api/traces/{TRACE}")) else { return BTreeSet::new() };
    if answer.status != 200 {
        return BTreeSet::new();
    }
    let answer = answer.json();
    let spans = answer["data"][0]["spans"].as_array().into_iter().flatten();
    spans.map(|span| span["spanID"].as_str().unwrap_or("").to_owned()).collect()
}

fn figure(server: &Server, name: &str) -> f64 {
    let text = server.get("/metrics").unwrap().text();
    text.lines().filter(|line| line.starts_with(name)).filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

#[test]
fn trc_23_a_request_through_all_services_is_one_trace_with_its_graph() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[], &[]);
    // The browser's page, the backend that it asks, the AI service behind, which speaks Zipkin, and the database.
    post(&server, "/v1/traces", &otlp("frontend", 1, 0, 2, json!({})));
    post(&server, "/v1/traces", &otlp("frontend", 2, 1, 3, json!({})));
    post(&server, "/v1/traces", &otlp("nemotron-backend", 3, 2, 2, json!({})));
    post(&server, "/v1/traces", &otlp("nemotron-backend", 4, 3, 3, json!({})));
    let zipkin = json!([{"traceId": TRACE, "id": "0000000000000005", "parentId": "0000000000000004", "kind": "SERVER", "name": "infer",
        "timestamp": now_us() - 1_900_000, "duration": 20_000, "localEndpoint": {"serviceName": "ai-detector"}}]);
    post(&server, "/api/v2/spans", &zipkin);
    post(&server, "/v1/traces", &otlp("nemotron-backend", 6, 3, 3, json!({"db.system": "postgresql", "db.name": "security"})));
    let found = server.json(&format!("/jaeger/api/traces/{TRACE}"));
    let services: BTreeSet<&str> = found["data"][0]["processes"].as_object().unwrap().values().map(|p| p["serviceName"].as_str().unwrap()).collect();
    assert_eq!((spans(&server).len(), services), (6, ["ai-detector", "frontend", "nemotron-backend"].into()));
    assert_eq!(server.json(&format!("/zipkin/api/v2/trace/{TRACE}")).as_array().unwrap().len(), 6);
    // What is derived is written every 15 seconds.
    let edge = |client: &str, called: &str| {
        let answer = server.query(&format!("sum(traces_service_graph_request_total{{client=\"{client}\",server=\"{called}\"}})"), None);
        answer[0]["value"][1].as_str().map(str::to_owned)
    };
    let one = Some("1".to_owned());
    until("the graph is written", || edge("frontend", "nemotron-backend"), |n| *n == one);
    assert_eq!((edge("nemotron-backend", "ai-detector"), edge("nemotron-backend", "security"), edge("user", "frontend")), (one.clone(), one.clone(), one));
    let calls = server.query("sum(traces_spanmetrics_calls_total{service=\"nemotron-backend\"})", None);
    assert_eq!(calls[0]["value"][1], "3");
    let exemplars = server.json(&format!(
        "/api/v1/query_exemplars?query=traces_spanmetrics_latency_bucket&start={}&end={}",
        now_us() / 1_000_000 - 60,
        now_us() / 1_000_000 + 1
    ));
    assert!(exemplars["data"].to_string().contains(TRACE), "{exemplars}");
}

#[test]
fn spans_that_are_sent_on_are_at_both_places_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let address = || -> SocketAddr { format!("127.0.0.1:{}", free_port()).parse().unwrap() };
    let (by_grpc, by_http, grpc) = (address(), address(), address());
    let settings = dir.path().join("here.yml");
    let common = "batch_wait: 100ms, min_backoff: 50ms, max_backoff: 300ms";
    let text = format!(
        "otlp: {{grpc_listen: off, http_listen: off}}\ntraces:\n  forward:\n  - {{name: a, endpoint: 'http://{grpc}', {common}}}\n  - {{name: b, endpoint: 'http://{by_http}/v1/traces', protocol: http, {common}}}\n"
    );
    std::fs::write(&settings, text).unwrap();
    let other = dir.path().join("there.yml");
    std::fs::write(&other, format!("otlp: {{grpc_listen: '{grpc}', http_listen: off}}\n")).unwrap();
    let silent = dir.path().join("silent.yml");
    std::fs::write(&silent, "otlp: {grpc_listen: off, http_listen: off}\n").unwrap();
    let here = || Server::start(&dir.path().join("here"), &["--config", settings.to_str().unwrap()], &[]);
    let start_grpc = || Server::start_at(by_grpc, &dir.path().join("grpc"), &["--config", other.to_str().unwrap()], &[]);
    let start_http = || Server::start_at(by_http, &dir.path().join("http"), &["--config", silent.to_str().unwrap()], &[]);
    let send = |server: &Server, ids: std::ops::Range<u64>| ids.for_each(|id| post(server, "/v1/traces", &otlp("api", id, 0, 2, json!({}))));

    let mut server = here();
    send(&server, 1..40);
    until("nobody is there", || figure(&server, "watchfire_forward_traces_failed_requests_total"), |n| *n > 1.0);
    server.kill();
    let mut server = here();
    let (mut first, second) = (start_grpc(), start_http());
    until("what waited is there", || (spans(&first).len(), spans(&second).len()), |n| *n == (39, 39));
    send(&server, 40..80);
    until("more is there", || (spans(&first).len(), spans(&second).len()), |n| *n == (79, 79));
    first.kill();
    send(&server, 80..100);
    server.kill();
    let server = here();
    wait_ms(500);
    let first = start_grpc();
    until("all of it is there", || (spans(&first).len(), spans(&second).len()), |n| *n == (99, 99));
    let query = format!("/jaeger/api/traces/{TRACE}");
    let each = |server: &Server| server.json(&query)["data"][0]["spans"].as_array().map(Vec::len);
    assert_eq!((each(&first), each(&second)), (Some(99), Some(99)), "what is sent twice is there once");
    assert_eq!(figure(&server, "watchfire_forward_traces_dropped_spans_total"), 0.0);
}

#[test]
fn trc_21_a_clean_stop_decides_about_what_waits_and_writes_what_was_counted() {
    let dir = tempfile::tempdir().unwrap();
    let settings = dir.path().join("w.yml");
    std::fs::write(&settings, "otlp: {grpc_listen: off, http_listen: off}\ntraces: {sampling: {decision_wait: 10m, drop_endpoints: /health}}\n").unwrap();
    let start = || Server::start(&dir.path().join("data"), &["--config", settings.to_str().unwrap()], &[]);
    let mut server = start();
    post(&server, "/v1/traces", &otlp("api", 1, 0, 2, json!({})));
    let health = otlp("api", 2, 0, 2, json!({"url.path": "/health"})).to_string().replace(TRACE, "1234abcd5678ef901234abcd5678ef91");
    post(&server, "/v1/traces", &health.parse().unwrap());
    assert_eq!((spans(&server).len(), figure(&server, "watchfire_sampling_waiting_spans")), (0, 2.0));
    assert!(server.terminate().success());
    let server = start();
    assert_eq!(spans(&server).len(), 1, "what waited is decided about, and kept");
    assert_eq!(server.get("/jaeger/api/traces/1234abcd5678ef901234abcd5678ef91").unwrap().status, 404);
    let calls = server.query("sum(traces_spanmetrics_calls_total)", None);
    assert_eq!(calls[0]["value"][1], "2", "both were counted");
    let told = crate::server::run(&["traces", TRACE, "--url", &server.url()], dir.path());
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.status.success() && text.contains("50.0ms  api: api 1"), "{text} {}", String::from_utf8_lossy(&told.stderr));
}
