//! The three stacks that are replaced, as their operators meet them on the real binary: ports and names of the containers, the nine jobs of
//! the home system, the assistant's files, the three pillars of the video system.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use serde_json::{Value, json};
use watchfire_model::time::{Clock, SystemClock};

use crate::server::{Server, request, run, until};

/// A small HTTP server that answers every path with what it is given. It lives as long as the tests.
fn page(address: &str, answer: impl Fn(&str) -> String + Send + 'static) -> Option<SocketAddr> {
    let listener = TcpListener::bind(address).ok()?;
    let bound = listener.local_addr().ok();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut heard = [0; 4096];
            let length = stream.read(&mut heard).unwrap_or(0);
            let head = String::from_utf8_lossy(&heard[..length]).into_owned();
            let body = answer(head.split(' ').nth(1).unwrap_or("/"));
            let said = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            // Whoever has left takes nothing from anybody else.
            let _gone = stream.write_all(said.as_bytes());
        }
    });
    bound
}

fn put(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// The ports of the home system's stack, each with what is asked there.
const PORTS: [(&str, u16, &str); 7] = [
    ("prometheus", 9090, "/-/healthy"),
    ("grafana", 3002, "/api/health"),
    ("jaeger", 16686, "/api/services"),
    ("alertmanager", 9093, "/-/healthy"),
    ("blackbox-exporter", 9115, "/metrics"),
    ("json-exporter", 7979, "/metrics"),
    ("redis-exporter", 9121, "/metrics"),
];

#[test]
fn stk_01_every_port_of_the_stack_answers() {
    let dir = tempfile::tempdir().unwrap();
    // An address of this machine that nobody else uses, so that its ports are free.
    let _server = Server::start_at("127.77.1.1:8000".parse().unwrap(), &dir.path().join("data"), &["--drop-in"], &[]);
    for (name, port, path) in
        PORTS.iter().copied().chain([("alloy", 12345, "/-/ready"), ("alloy", 12345, "/"), ("loki", 3100, "/ready"), ("pyroscope", 4040, "/ready")])
    {
        let answer = request(SocketAddr::from(([127, 77, 1, 1], port)), "GET", path, &[], b"").unwrap();
        assert_eq!(answer.status, 200, "{name}: {port}{path}: {}", answer.text());
    }
}

#[test]
fn stk_02_one_container_bears_the_names_of_all_that_are_gone() {
    let images =
        ["prom/prometheus", "grafana/grafana", "jaegertracing/all-in-one", "prom/alertmanager", "prom/blackbox-exporter", "prometheuscommunity/json-exporter"];
    let images = images.into_iter().chain(["oliver006/redis_exporter"]);
    let services: Vec<String> = PORTS.iter().zip(images).map(|((name, ..), image)| format!("  {name}:\n    image: {image}:latest\n")).collect();
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "docker-compose.prod.yml", &format!("services:\n{}", services.concat()));
    let output = run(&["adopt", "docker-compose.prod.yml", "--write", "new.yml"], dir.path());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    let new = std::fs::read_to_string(dir.path().join("new.yml")).unwrap();
    let listed: Vec<&str> = new.lines().filter(|l| l.starts_with("  ") && !l.starts_with("   ") && l.ends_with(':')).map(str::trim).collect();
    assert_eq!(listed, ["watchfire:", "watchfire_data:"], "what `docker compose ps` lists: {new}");
    let names: Vec<&str> = PORTS.iter().map(|(name, ..)| *name).collect();
    assert!(new.contains(&format!("aliases: [{}]", names.join(", "))), "{new}");
    // Whoever asks by such a name is answered.
    let _server = Server::start_at("127.77.1.2:8000".parse().unwrap(), &dir.path().join("data"), &["--drop-in"], &[]);
    for (name, port, path) in PORTS {
        let host = format!("{name}:{port}");
        let answer = request(SocketAddr::from(([127, 77, 1, 2], port)), "GET", path, &[("Host", &host)], b"").unwrap();
        assert_eq!(answer.status, 200, "{host}: {}", answer.text());
    }
}

/// The nine jobs, with the addresses that containers have.
const JOBS: &str = r"
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
- {job_name: hsi-backend-metrics, metrics_path: /api/metrics, static_configs: [{targets: ['backend:8000']}]}
- {job_name: redis, static_configs: [{targets: ['redis-exporter:9121']}]}
- {job_name: json-exporter, static_configs: [{targets: ['json-exporter:7979']}]}
- {job_name: blackbox-exporter, static_configs: [{targets: ['blackbox-exporter:9115']}]}
- {job_name: blackbox-http-health, metrics_path: /probe, params: {module: [http_health]}, static_configs: [{targets: ['http://backend:8000/api/system/health']}], relabel_configs: &probe [{source_labels: [__address__], target_label: __param_target}, {source_labels: [__param_target], target_label: instance}, {target_label: __address__, replacement: 'blackbox-exporter:9115'}]}
- {job_name: blackbox-http-ready, metrics_path: /probe, params: {module: [http_ready]}, static_configs: [{targets: ['http://backend:8000/api/system/health/ready']}], relabel_configs: *probe}
- {job_name: blackbox-http-live, metrics_path: /probe, params: {module: [http_live]}, static_configs: [{targets: ['http://backend:8000/', 'http://frontend:8080/']}], relabel_configs: *probe}
- {job_name: blackbox-http-2xx, metrics_path: /probe, params: {module: [http_2xx]}, static_configs: [{targets: ['http://ai-yolo26:8095/health', 'http://ai-llm:8091/health']}], relabel_configs: *probe}
- {job_name: blackbox-tcp, metrics_path: /probe, params: {module: [tcp_connect]}, static_configs: [{targets: ['postgres:5432', 'redis:6379']}], relabel_configs: *probe}
";

/// A server that watches the containers of the home system, each at an address of its own on this machine: those of one test are
/// `127.77.<part>.…`, under names that only the server knows.
fn home_system(dir: &Path, part: u8) -> Option<Server> {
    put(dir, "monitoring/prometheus.yml", JOBS);
    let health = |path: &str| match path {
        "/api/metrics" => "# TYPE hsi_events_created_total counter\nhsi_events_created_total 3\n".to_owned(),
        "/api/system/health/ready" => r#"{"status": "ready"}"#.to_owned(),
        _ => r#"{"status": "healthy"}"#.to_owned(),
    };
    for address in ["1:8000", "2:8080", "3:8095", "3:8091", "4:5432", "5:6379"] {
        page(&format!("127.77.{part}.{address}"), health).unwrap();
    }
    let names = [(1, "backend"), (2, "frontend"), (3, "ai-yolo26 ai-llm"), (4, "postgres"), (5, "redis")];
    let lines: Vec<String> = names.iter().map(|(last, names)| format!("127.77.{part}.{last} {names}\n")).collect();
    put(dir, "hosts", &format!("127.0.0.1 localhost\n{}", lines.concat()));
    Server::start_with_hosts(&dir.join("hosts"), &dir.join("data"), &["--monitoring-dir", "monitoring"])
}

fn active_targets(server: &Server) -> Vec<Value> {
    server.json("/api/v1/targets")["data"]["activeTargets"].as_array().unwrap().clone()
}

#[test]
fn stk_03_nine_jobs_are_up() {
    let dir = tempfile::tempdir().unwrap();
    let Some(server) = home_system(dir.path(), 2) else { return };
    let up = |targets: &[Value]| targets.iter().filter(|t| t["health"] == "up").count();
    // Three of the nine jobs have two targets.
    let all = until("all up", || active_targets(&server), |t: &Vec<Value>| t.len() == 12 && up(t) == 12);
    let mut jobs: Vec<&str> = all.iter().map(|t| t["labels"]["job"].as_str().unwrap()).collect();
    jobs.dedup();
    jobs.sort_unstable();
    jobs.dedup();
    let expected = ["blackbox-exporter", "blackbox-http-2xx", "blackbox-http-health", "blackbox-http-live", "blackbox-http-ready", "blackbox-tcp"];
    assert_eq!(jobs, [&expected[..], &["hsi-backend-metrics", "json-exporter", "redis"]].concat());
    until("probes", || server.query("count(probe_success == 1)", None)[0]["value"][1].clone(), |n| n == "8");
    until("metrics", || server.query("hsi_events_created_total{job=\"hsi-backend-metrics\"}", None)[0]["value"][1].clone(), |n| n == "3");
}

#[test]
fn stk_04_the_filter_for_what_is_not_up_finds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Some(server) = home_system(dir.path(), 3) else { return };
    // `.data.activeTargets[] | select(.health != "up")`
    let not_up = || active_targets(&server).into_iter().filter(|t| t["health"] != "up").collect::<Vec<_>>();
    until("nothing", not_up, Vec::is_empty);
    assert!(active_targets(&server).iter().all(|t| t["lastError"] == ""));
}

#[test]
fn pis_01_metrics_stand_where_the_assistant_has_them() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[], &[]);
    let items = json!([
        {"name": "app_uptime_seconds", "value": 12},
        {"name": "http_requests_active", "value": 2},
        {"name": "http_response_time_ms", "value": 7},
        {"name": "inference_requests_total", "labels": {"model": "qwen"}, "value": 1},
        {"name": "inference_healthy", "value": 1},
        {"name": "cache_hits_total", "value": 5},
    ]);
    let taken = request(server.address, "POST", "/api/metrics/record", &[("Content-Type", "application/json")], items.to_string().as_bytes()).unwrap();
    assert!(taken.status < 300, "{}", taken.text());
    let answer = server.get("/metrics/prometheus").unwrap();
    assert!(answer.head.contains("content-type: text/plain"), "{}", answer.head);
    let text = answer.text();
    for line in [
        "app_uptime_seconds 12",
        "http_requests_active 2",
        "http_response_time_ms_bucket{le=\"10.0\"} 1",
        "inference_requests_total{model=\"qwen\"} 1",
        "inference_healthy 1",
        "cache_hits_total 5",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in {text}");
    }
}

/// A rule of a file that is named by its place in a container fires, and the alert is with the Alertmanager that the file names: ourselves.
fn alerts_arrive(alertmanager: &str) {
    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "global: {{evaluation_interval: 1s}}\nrule_files: ['/etc/prometheus/rules/*.yml']\nalerting: {{alertmanagers: [{{static_configs: [{{targets: ['{alertmanager}']}}]}}]}}\n"
    );
    put(dir.path(), "monitoring/prometheus.yml", &config);
    put(dir.path(), "monitoring/rules/a.yml", "groups: [{name: g, rules: [{alert: Fires, expr: 'vector(1) > 0', labels: {severity: critical}}]}]\n");
    // Whoever else listens at that port of this machine is not meant.
    put(dir.path(), "hosts", "127.77.4.1 localhost\n");
    let Some(server) = Server::start_with_hosts(&dir.path().join("hosts"), &dir.path().join("data"), &["--monitoring-dir", "monitoring"]) else { return };
    let groups = server.json("/api/v1/rules")["data"]["groups"].clone();
    assert_eq!((&groups[0]["name"], &groups[0]["rules"][0]["name"]), (&json!("g"), &json!("Fires")), "{groups}");
    until("the alert", || server.json("/api/v2/alerts"), |alerts| alerts[0]["labels"]["alertname"] == "Fires");
}

#[test]
fn pis_07_rules_load_from_their_place_and_alerts_go_to_alertmanager() {
    alerts_arrive("alertmanager:9093");
}

#[test]
fn vms_14_alerts_go_to_the_alertmanager_of_this_machine() {
    alerts_arrive("localhost:9093");
}

/// The assistant's stack, with its flags.
const ASSISTANT: &str = r#"services:
  prometheus:
    image: prom/prometheus:latest
    ports: ["127.0.0.1:9090:9090"]
    command: ['--storage.tsdb.retention.time=7d', '--storage.tsdb.retention.size=1GB', '--web.enable-lifecycle']
  grafana:
    image: grafana/grafana:latest
    ports: ["127.0.0.1:3001:3000"]
  loki:
    image: grafana/loki:latest
  promtail:
    image: grafana/promtail:latest
"#;

#[test]
fn pis_08_retention_size_and_reload_hold_as_the_flags_said() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "docker-compose.yml", ASSISTANT);
    let report: Value = serde_json::from_slice(&run(&["adopt", "--json", "docker-compose.yml"], dir.path()).stdout).unwrap();
    let becomes: Vec<&str> = report["containers"][0]["settings"].as_array().unwrap().iter().filter_map(|s| s["becomes"].as_str()).collect();
    assert_eq!(becomes, ["storage.retention.metrics: 7d", "storage.max_size: 1GB", "server.enable_lifecycle: true"]);
    assert!(report["diff"].as_str().unwrap().contains("+      - \"127.0.0.1:9090:9090\"\n"), "it stays on loopback only");
    let environment = [("WATCHFIRE_STORAGE_RETENTION_METRICS", "7d"), ("WATCHFIRE_STORAGE_MAX_SIZE", "1GB"), ("WATCHFIRE_SERVER_ENABLE_LIFECYCLE", "true")];
    let server = Server::start(&dir.path().join("data"), &[], &environment);
    assert_eq!(server.json("/api/v1/status/runtimeinfo")["data"]["storageRetention"], "1w", "as Prometheus writes seven days");
    let settings = server.json("/api/system/storage/stats");
    assert_eq!(settings["size_max"], json!(1_u64 << 30), "{settings}");
    assert_eq!(request(server.address, "POST", "/-/reload", &[], b"").unwrap().status, 200);
    let plain = Server::start(&dir.path().join("other"), &[], &[]);
    assert_eq!(request(plain.address, "POST", "/-/reload", &[], b"").unwrap().status, 403, "it is off unless it is asked for");
}

#[test]
fn pis_13_the_administrator_of_grafana_logs_in_and_the_data_source_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let environment = [("WATCHFIRE_AUTH_ENABLED", "true"), ("GF_SECURITY_ADMIN_USER", "admin"), ("GF_SECURITY_ADMIN_PASSWORD", "admin")];
    let server = Server::start(&dir.path().join("data"), &[], &environment);
    let log_in = |password: &str| {
        let body = json!({"username": "admin", "password": password}).to_string();
        request(server.address, "POST", "/api/auth/login", &[("Content-Type", "application/json")], body.as_bytes()).unwrap()
    };
    assert_eq!((log_in("admin").status, log_in("wrong").status), (200, 401));
    // What "Save & test" of a Prometheus data source asks.
    let asked = |path: &str| request(server.address, "GET", path, &[("Authorization", "Basic YWRtaW46YWRtaW4=")], b"").unwrap();
    assert_eq!(asked("/api/v1/query?query=1%2B1").json()["data"]["result"][1], "2");
    assert!(asked("/api/v1/status/buildinfo").json()["data"]["version"].is_string());
    assert_eq!(request(server.address, "GET", "/api/v1/query?query=1%2B1", &[], b"").unwrap().status, 401);
}

#[test]
fn pis_27_the_reduced_grafana_file_is_read_and_what_it_cannot_change_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let ini = "[database]\ntype = sqlite3\npath = /var/lib/grafana/grafana.db\n\n[session]\nprovider = memory\n\n[caching]\nenabled = false\n";
    put(dir.path(), "monitoring/grafana.ini", ini);
    let output = run(&["check", "--monitoring-dir", "monitoring"], dir.path());
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("grafana.ini:5:1: warning: [session]:"), "{told}");
    assert!(!told.contains("error:"), "{told}");
    let server = Server::start(&dir.path().join("data"), &["--monitoring-dir", "monitoring"], &[]);
    assert_eq!(server.get("/health").unwrap().status, 200);
}

#[test]
fn pis_29_the_quoted_figures_of_the_stack_are_said_and_more_than_ours() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "docker-compose.yml", ASSISTANT);
    let output = run(&["adopt", "docker-compose.yml"], dir.path());
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("4 of 4 containers can go") && told.contains("free by quoted figures, not measured here: 480 MB"), "{told}");
    let server = Server::start(&dir.path().join("data"), &[], &[]);
    until("the machine", || server.query("count(node_load1)", None)[0]["value"][1].clone(), |n| n == "1");
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let resident = status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()).unwrap();
    assert!(resident < 480 * 1024, "{resident} kB, without optimisation");
}

#[test]
fn vms_01_metrics_logs_and_traces_are_in_one_place() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[], &[]);
    let json = [("Content-Type", "application/json")];
    let now = SystemClock::new().now().millis();
    let metric = json!([{"name": "camera_fps", "labels": {"camera_id": "cam-1"}, "value": 25}]);
    let posted = request(server.address, "POST", "/api/metrics/record", &json, metric.to_string().as_bytes()).unwrap();
    assert!(posted.status < 300, "{}", posted.text());
    let document = json!({"@timestamp": now, "message": "segment written", "component": "recording"});
    let bulk = format!("{{\"index\":{{\"_index\":\"vms-logs\"}}}}\n{document}\n");
    let posted = request(server.address, "POST", "/elasticsearch/_bulk", &[("Content-Type", "application/x-ndjson")], bulk.as_bytes()).unwrap();
    assert_eq!((posted.status, &posted.json()["errors"]), (200, &json!(false)));
    let span = json!({"traceId": "0123456789abcdef0123456789abcdef", "spanId": "0123456789abcdef", "name": "record",
        "startTimeUnixNano": (now * 1_000_000).to_string(), "endTimeUnixNano": ((now + 5) * 1_000_000).to_string()});
    let service = json!({"attributes": [{"key": "service.name", "value": {"stringValue": "recording-node"}}]});
    let traces = json!({"resourceSpans": [{"resource": service, "scopeSpans": [{"spans": [span]}]}]});
    assert_eq!(request(server.address, "POST", "/v1/traces", &json, traces.to_string().as_bytes()).unwrap().status, 200);
    until("metrics", || server.query("camera_fps{camera_id=\"cam-1\"}", None)[0]["value"][1].clone(), |v| v == "25");
    let found = || server.get("/elasticsearch/vms-logs/_search?q=message:segment").unwrap().json()["hits"]["total"]["value"].clone();
    until("logs", found, |n| *n == json!(1));
    until("traces", || server.json("/jaeger/api/services")["data"].clone(), |s| s.as_array().is_some_and(|s| s.contains(&json!("recording-node"))));
}

/// The documents' own files, where they are at hand: block and name in the monitoring directory.
const SYSTEMS: [(&str, &[(&str, &str)]); 3] = [
    (
        "hsi",
        &[
            ("003_381_prometheus_scrape.yml", "prometheus.yml"),
            ("000_706_blackbox_custom_module.yml", "blackbox-exporter.yml"),
            ("000_794_json_exporter_custom_module.yml", "json-exporter-config.yml"),
        ],
    ),
    (
        "pisovereign",
        &[
            ("002_186_prometheus.yml", "prometheus.yml"),
            ("002_317_alert_rules.yml", "rules/pisovereign.yml"),
            ("002_407_alertmanager.yml", "alertmanager.yml"),
            ("002_466_loki.yml", "loki.yml"),
            ("002_500_promtail.yml", "promtail.yml"),
            ("002_570_grafana.ini", "grafana.ini"),
        ],
    ),
    (
        "vms",
        &[
            ("004_73_prometheus.yml", "prometheus.yml"),
            ("004_334_alert_rules.yml", "alert_rules.yml"),
            ("004_501_alertmanager.yml", "alertmanager.yml"),
            ("004_582_filebeat.yml", "filebeat.yml"),
        ],
    ),
];

#[test]
fn each_system_starts_from_its_own_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/catalogue");
    let seeds = std::env::var_os("WATCHFIRE_SEEDS").map_or(root, std::path::PathBuf::from).join("config_snippets");
    if !seeds.is_dir() {
        eprintln!("SKIPPED: the documents' blocks are not at hand (WATCHFIRE_SEEDS)");
        return;
    }
    let names = |list: &Value, key: &str| list.as_array().unwrap().iter().filter_map(|one| one[key].as_str().map(str::to_owned)).collect::<Vec<_>>();
    for (system, files) in SYSTEMS {
        let dir = tempfile::tempdir().unwrap();
        for (block, name) in files {
            put(dir.path(), &format!("monitoring/{name}"), &std::fs::read_to_string(seeds.join(block)).unwrap());
        }
        let server = Server::start(&dir.path().join("data"), &["--monitoring-dir", "monitoring"], &[]);
        let groups = names(&server.json("/api/v1/rules")["data"]["groups"], "name");
        let receivers = names(&server.json("/api/v2/receivers"), "name");
        let collected = names(&server.json("/collect/targets")["sources"], "kind");
        let jobs = server.json("/api/v1/scrape_pools")["data"]["scrapePools"].as_array().map_or(0, Vec::len);
        match system {
            "hsi" => {
                assert_eq!(jobs, 1);
                assert!(server.get("/blackbox/config").unwrap().text().contains("custom_api") && server.get("/json/config").unwrap().text().contains("custom"));
            }
            "pisovereign" => assert_eq!((jobs, groups.len(), receivers.len(), collected), (3, 1, 3, vec!["files".to_owned(), "journal".to_owned()])),
            _ => assert_eq!((jobs, groups.len(), receivers.len(), collected), (6, 5, 3, vec!["files".to_owned(); 3])),
        }
    }
}
