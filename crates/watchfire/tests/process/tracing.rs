//! Our own spans: off unless asked for, into our own store or to another place, across what we call.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::server::{Server, free_port, installed, request, until};
use crate::slow_queries::Database;

const TRACE: &str = "1234abcd5678ef901234abcd5678ef90";
const PARENT: &str = "abcdef1234567890";

fn traceparent() -> String {
    format!("00-{TRACE}-{PARENT}-01")
}

/// A server with its OTLP ports at hand, and further lines of configuration.
fn start(dir: &std::path::Path, name: &str, more: &str, environment: &[(&str, &str)]) -> (Server, String, String) {
    let (grpc, http) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
    let config = dir.join(format!("{name}.yml"));
    std::fs::write(&config, format!("otlp: {{grpc_listen: '{grpc}', http_listen: '{http}'}}\n{more}")).unwrap();
    let server = Server::start(&dir.join(name), &["--config", config.to_str().unwrap()], environment);
    (server, format!("http://{grpc}"), format!("http://{http}"))
}

/// The spans of a trace, once there are as many as expected.
fn spans(server: &Server, trace: &str, count: usize) -> Vec<Value> {
    let ask = || match server.get(&format!("/jaeger/api/traces/{trace}")) {
        Ok(answer) if answer.status == 200 => answer.json()["data"][0]["spans"].as_array().cloned().unwrap_or_default(),
        _ => Vec::new(),
    };
    until("the spans of a trace", ask, |found| found.len() >= count)
}

fn named<'a>(spans: &'a [Value], name: &str) -> &'a Value {
    spans.iter().find(|span| span["operationName"] == name).unwrap_or_else(|| panic!("no span {name} in {spans:?}"))
}

fn tag(span: &Value, key: &str) -> Value {
    span["tags"].as_array().unwrap().iter().find(|tag| tag["key"] == key).map(|tag| tag["value"].clone()).unwrap_or_default()
}

#[test]
fn stk_10_tracing_is_off_and_gpu_and_tokens_are_on() {
    let dir = tempfile::tempdir().unwrap();
    let (server, _, _) = start(dir.path(), "data", "", &[]);
    request(server.address, "GET", "/api/v1/labels", &[("traceparent", &traceparent())], b"").unwrap();
    assert!(server.log().contains("telemetry: tracing is off"), "{}", server.log());
    assert_eq!(server.get(&format!("/jaeger/api/traces/{TRACE}")).unwrap().status, 404);
    assert_eq!(server.json("/jaeger/api/services")["data"], json!([]));
    until("a look at the GPU", || server.get("/api/system/gpu").unwrap().status, |status| *status == 200);
    assert_eq!(server.json("/api/llm/budget")["truncation_enabled"], true);
}

#[test]
fn trc_02_requests_are_spans_of_watchfire_in_our_own_store_and_log_02_lines_have_their_ids() {
    let dir = tempfile::tempdir().unwrap();
    let (server, _, _) = start(dir.path(), "data", "", &[("OTEL_ENABLED", "true"), ("WATCHFIRE_LOG_LEVEL", "debug")]);
    let headers = [("traceparent", &*traceparent()), ("x-correlation-id", "req-abc123")];
    request(server.address, "GET", "/api/v1/labels", &headers, b"").unwrap();
    let found = spans(&server, TRACE, 1);
    let span = named(&found, "GET /api/v1/labels");
    assert_eq!((&span["references"][0]["spanID"], tag(span, "http.route")), (&json!(PARENT), json!("/api/v1/labels")));
    assert_eq!((tag(span, "span.kind"), tag(span, "http.response.status_code")), (json!("server"), json!(200)));
    assert_eq!(server.json("/jaeger/api/services")["data"], json!(["watchfire"]));
    // TRC-11: the start is said.
    assert!(server.log().contains("telemetry: tracing is on, spans of watchfire go to our own store"), "{}", server.log());
    let lines: Vec<Value> = server.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let line = lines.iter().find(|line| line["trace_id"] == TRACE && line["span_id"] == span["spanID"]).expect("a line of the span");
    assert!(line["correlation_id"] == "req-abc123" && line["request_id"].is_string(), "{line}");
}

/// Two servers that send their spans to each other would never come to rest, and health checks would be most of what there is.
#[test]
fn taking_telemetry_and_being_looked_at_makes_no_spans() {
    let dir = tempfile::tempdir().unwrap();
    let (server, _, http) = start(dir.path(), "data", "", &[("OTEL_ENABLED", "true")]);
    let other = "a".repeat(32);
    let parent = format!("00-{other}-{PARENT}-01");
    let headers = [("traceparent", &*parent), ("content-type", "application/json")];
    let otlp = http.trim_start_matches("http://").parse().unwrap();
    for (address, method, path) in
        [(server.address, "POST", "/v1/traces"), (otlp, "POST", "/v1/logs"), (server.address, "GET", "/health"), (server.address, "GET", "/metrics")]
    {
        let answer = request(address, method, path, &headers, if method == "POST" { b"{}" } else { b"" }).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    request(server.address, "GET", "/api/v1/labels", &[("traceparent", &traceparent())], b"").unwrap();
    spans(&server, TRACE, 1);
    assert_eq!(server.get(&format!("/jaeger/api/traces/{other}")).unwrap().status, 404, "the later request has its span, the earlier ones have none");
}

#[test]
fn trc_05_and_trc_06_own_spans_go_to_another_backend_by_grpc_and_by_http() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, grpc, http) = start(dir.path(), "backend", "", &[]);
    for (name, protocol, endpoint) in [("one", "grpc", &grpc), ("two", "http/protobuf", &http)] {
        let environment = [
            ("OTEL_ENABLED", "true"),
            ("OTEL_SERVICE_NAME", name),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_INSECURE", "true"),
        ];
        let (server, _, _) = start(dir.path(), name, "", &environment);
        request(server.address, "GET", "/api/v1/labels", &[], b"").unwrap();
        until("the service", || backend.json("/jaeger/api/services")["data"].clone(), |all| all.as_array().unwrap().contains(&json!(name)));
        let found = backend.json(&format!("/jaeger/api/traces?service={name}&operation=GET%20/api/v1/labels&limit=20"));
        assert_eq!(found["data"].as_array().unwrap().len(), 1, "{found}");
        assert_eq!(server.json("/jaeger/api/services")["data"], json!([]), "they are there and not here");
    }
}

#[test]
fn trc_07_a_rate_of_nothing_keeps_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (server, _, _) = start(dir.path(), "data", "", &[("OTEL_ENABLED", "true"), ("OTEL_TRACE_SAMPLE_RATE", "0.0")]);
    (0..20).for_each(|_| drop(server.get("/api/v1/labels").unwrap()));
    // What a caller has decided on is kept all the same, and shows that the others had their time.
    request(server.address, "GET", "/api/v1/labels", &[("traceparent", &traceparent())], b"").unwrap();
    spans(&server, TRACE, 1);
    let found = server.json("/jaeger/api/traces?service=watchfire&limit=100");
    assert_eq!(found["data"].as_array().unwrap().len(), 1, "{found}");
}

/// A service that answers everything alike and keeps the heads of what it was asked.
fn service(answer: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (url, heads) = (format!("http://{}", listener.local_addr().unwrap()), Arc::new(Mutex::new(Vec::new())));
    let theirs = heads.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = [0; 16_384];
            let read = stream.read(&mut bytes).unwrap_or(0);
            theirs.lock().unwrap().push(String::from_utf8_lossy(&bytes[..read]).to_ascii_lowercase());
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
            drop(stream.write_all((head + answer).as_bytes()));
        }
    });
    (url, heads)
}

#[test]
fn trc_03_calls_of_models_and_checks_of_services_carry_the_trace_on() {
    let dir = tempfile::tempdir().unwrap();
    let (model, asked) = service(r#"{"id":"1","object":"chat.completion","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#);
    let (checked, checks) = service(r#"{"status":"healthy"}"#);
    let more = format!("gateway: {{upstream: '{model}'}}\nservices: {{interval: 1s, watch: [{{name: detector, check: {{http: '{checked}/health'}}}}]}}\n");
    let (server, _, _) = start(dir.path(), "data", &more, &[("OTEL_ENABLED", "true")]);
    let headers = [("traceparent", &*traceparent()), ("tracestate", "vendor=value"), ("x-correlation-id", "req-abc123"), ("content-type", "application/json")];
    let body = br#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    let answer = request(server.address, "POST", "/llm/v1/chat/completions", &headers, body).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let found = spans(&server, TRACE, 3);
    let (inference, call) = (named(&found, "llm_inference"), named(&found, "POST"));
    assert_eq!(call["references"][0]["spanID"], inference["spanID"]);
    let heads = asked.lock().unwrap();
    let head = heads.iter().find(|head| head.starts_with("post ")).unwrap();
    let expected = format!("traceparent: 00-{TRACE}-{}-01\r\n", call["spanID"].as_str().unwrap());
    assert!(head.contains(&expected) && head.matches("traceparent").count() == 1 && head.contains("tracestate: vendor=value"), "{head}");
    let check =
        until("a check with a trace", || checks.lock().unwrap().iter().find(|head| head.contains("traceparent: 00-")).cloned(), Option::is_some).unwrap();
    let trace = check.split("traceparent: 00-").nth(1).unwrap().get(..32).unwrap();
    let found = spans(&server, trace, 2);
    let check = named(&found, "service.check");
    assert_eq!((tag(check, "service"), &named(&found, "GET")["references"][0]["spanID"]), (json!("detector"), &check["spanID"]));
}

#[test]
fn trc_02_questions_to_redis_are_spans_of_their_request() {
    if !installed("redis-server") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let redis = std::process::Command::new("redis-server").args(["--port", &port.to_string(), "--save", ""]).stdout(std::process::Stdio::null()).spawn();
    let _redis = crate::server::Peer(redis.unwrap());
    until("redis", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok(), |up| *up);
    let url = format!("redis://127.0.0.1:{port}");
    let (server, _, _) = start(dir.path(), "data", "queues: {names: [jobs]}\n", &[("OTEL_ENABLED", "true"), ("REDIS_URL", &url)]);
    let headers = [("traceparent", &*traceparent()), ("content-type", "application/octet-stream")];
    let answer = request(server.address, "POST", "/api/queues/jobs/jobs", &headers, b"{}").unwrap();
    assert!(answer.status < 300, "{} {}", answer.status, answer.text());
    let found = spans(&server, TRACE, 2);
    let (push, asked) = (named(&found, "POST /api/queues/{queue}/jobs"), named(&found, "EVAL"));
    assert_eq!((&asked["references"][0]["spanID"], tag(asked, "db.system.name")), (&push["spanID"], json!("redis")));
}

/// What the GPU says is written to a table, and read from it when history reaches back beyond memory: both are spans of their work, also when
/// the database refuses.
#[test]
fn trc_02_questions_to_postgresql_are_spans_of_their_work() {
    let Some(database) = Database::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let programs = dir.path().join("bin");
    std::fs::create_dir(&programs).unwrap();
    let program = programs.join("nvidia-smi");
    std::fs::write(&program, "#!/bin/sh\necho '50, 125.50, 45, 100, 10000, NVIDIA RTX A5500, 0, 230.00, 0x0, 30, 1695, 8001, P2'\n").unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the program has to find its other programs, too")]
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let url = database.url();
    let environment = [("OTEL_ENABLED", "true"), ("DATABASE_URL", &*url), ("GPU_POLL_INTERVAL_SECONDS", "1"), ("PATH", &*path)];
    let (server, _, _) = start(dir.path(), "data", "", &environment);
    let newest = |operation: &str| {
        let answer = server.json(&format!("/jaeger/api/traces?service=watchfire&operation={operation}&lookback=1h&limit=1"));
        answer["data"][0]["spans"].as_array().cloned().unwrap_or_default()
    };
    let found = until("a row is written", || newest("INSERT%20gpu_stats"), |spans| spans.len() > 1);
    let (stage, insert) = (named(&found, "gpu.store"), named(&found, "INSERT gpu_stats"));
    assert_eq!((&insert["references"][0]["spanID"], tag(insert, "db.system.name")), (&stage["spanID"], json!("postgresql")));
    assert_eq!((tag(insert, "span.kind"), tag(insert, "error")), (json!("client"), json!(null)));

    let headers = [("traceparent", &*traceparent())];
    let answer = request(server.address, "GET", "/api/system/gpu/history?minutes=100000", &headers, b"").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let found = spans(&server, TRACE, 2);
    let (asked, select) = (named(&found, "GET /api/system/gpu/history"), named(&found, "SELECT gpu_stats"));
    assert_eq!((&select["references"][0]["spanID"], tag(select, "db.system.name")), (&asked["spanID"], json!("postgresql")));

    // A database that refuses is an error of its span.
    database.ask("alter table gpu_stats rename to gone");
    let failed = || newest("INSERT%20gpu_stats").iter().any(|span| span["operationName"] == "INSERT gpu_stats" && tag(span, "error") == json!(true));
    until("a row is refused", failed, |failed| *failed);
}
