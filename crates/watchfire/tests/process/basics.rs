//! Start, the seeds' commands, `kill -9`, bad configuration, open addresses, reload, clean stop.

use serde_json::Value;

use crate::server::{BINARY, Server, request, run, signal, until, wait_ms};

fn number(value: &Value) -> f64 {
    value[0]["value"][1].as_str().and_then(|t| t.parse().ok()).unwrap_or(f64::NAN)
}

#[test]
fn a_newcomer_sees_the_machine_within_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[], &[("WATCHFIRE_HOST_INTERVAL", "1s")]);
    for name in [
        "node_cpu_seconds_total",
        "node_memory_MemAvailable_bytes",
        "node_load1",
        "node_filesystem_avail_bytes",
        "disk_space_free_bytes",
        "network_bytes_received_total",
    ] {
        until(name, || server.query(&format!("count({name})"), None), |r| number(r) >= 1.0);
    }
    until("rate", || server.query("sum(rate(node_cpu_seconds_total[1m]))", None), |r| number(r) > 0.0);
    let page = server.get("/").unwrap();
    assert_eq!(page.status, 200);
    assert!(page.head.contains("content-security-policy: default-src 'self'"), "{}", page.head);
    assert!(page.text().to_lowercase().contains("<!doctype html"));
}

/// Within a container, say.
#[test]
fn cards_are_looked_for_where_the_files_of_the_host_are() {
    let dir = tempfile::tempdir().unwrap();
    let card = dir.path().join("host/sys/class/drm/card0/device");
    std::fs::create_dir_all(&card).unwrap();
    std::fs::write(card.join("vendor"), "0x1002\n").unwrap();
    std::fs::write(card.join("gpu_busy_percent"), "37\n").unwrap();
    let root = dir.path().join("host").display().to_string();
    let server = Server::start(&dir.path().join("data"), &[], &[("WATCHFIRE_HOST_ROOT", &root), ("GPU_POLL_INTERVAL_SECONDS", "1")]);
    until("the card", || server.query("watchfire_gpu_utilization_percent{gpu=\"card0\"}", None), |r| number(r) == 37.0);
}

#[test]
fn the_commands_of_the_documents_answer() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[], &[]);
    let gpu = until("gpu", || server.get("/api/system/gpu").unwrap(), |a| a.status == 200).json();
    for key in ["gpu_name", "gpu_utilization", "memory_used", "memory_total", "temperature", "power_usage"] {
        assert!(gpu.get(key).is_some(), "{key} is missing in {gpu}");
    }
    assert!(server.json("/api/system/gpu/history?since=2025-12-30T09:45:00Z&limit=300").is_array());
    assert!(server.json("/api/system/gpu/history?minutes=30").is_array());
    let health = server.json("/api/system/health");
    for service in ["database", "redis", "rtdetr", "nemotron"] {
        assert_eq!(health["services"][service], "not_configured", "{health}");
    }
    assert!(server.json("/api/system/stats").is_object());
}

#[test]
fn met_25_the_exposition_has_the_originals_addresses() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[], &[]);
    for path in ["/metrics", "/api/metrics", "/metrics/prometheus"] {
        let text = server.get(path).unwrap().text();
        assert!(text.contains("# TYPE hsi_llm_context_utilization histogram"), "{path}");
        assert!(text.contains("# TYPE watchfire_"), "{path}");
        assert!(!text.contains("gpu_temperature"), "{path}");
    }
}

#[test]
fn recorded_metrics_come_back_by_query() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[], &[]);
    let post = |body: &str| request(server.address, "POST", "/api/metrics/record", &[("Content-Type", "application/json")], body.as_bytes()).unwrap();
    let good = post(r#"[{"name":"hsi_events_created_total","value":1},{"name":"hsi_stage_duration_seconds","labels":{"stage":"detect"},"value":0.245}]"#);
    assert!(good.status < 300, "{}", good.text());
    let mixed = post(r#"[{"name":"no_such","value":1},{"name":"hsi_events_created_total","value":2}]"#);
    assert_eq!(mixed.status, 422, "{}", mixed.text());
    let text = server.get("/metrics").unwrap().text();
    assert!(text.contains("hsi_events_created_total 3"), "the good item of a bad list counts");
    until("stored", || server.query("hsi_events_created_total", None), |r| number(r) == 3.0);
    let garbage = post("{[");
    assert_eq!(garbage.status, 400, "{}", garbage.text());
}

#[test]
fn killed_and_started_again_there_is_no_gap_but_the_outage() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut server = Server::start(&data, &[], &[("WATCHFIRE_HOST_INTERVAL", "1s")]);
    let count = "count_over_time(node_memory_MemTotal_bytes[1h])";
    until("samples", || server.query(count, None), |r| number(r) >= 4.0);
    for _ in 0..3 {
        let before = number(&server.query(count, None));
        server.kill();
        server = Server::start(&data, &[], &[("WATCHFIRE_HOST_INTERVAL", "1s")]);
        let after = number(&server.query(count, None));
        assert!(after >= before, "{before} samples before, {after} after");
    }
    assert!(server.terminate().success());
}

#[test]
fn open_addresses_and_bad_settings_are_refused_with_code_2() {
    let dir = tempfile::tempdir().unwrap();
    let open = run(&["serve", "--data-dir", "d", "--listen", "0.0.0.0:0"], dir.path());
    assert_eq!(open.status.code(), Some(2), "{open:?}");
    assert!(!dir.path().join("d").exists(), "nothing may be written");
    let text = String::from_utf8_lossy(&open.stderr).into_owned();
    assert!(text.contains("auth") && text.contains("--insecure-no-auth"), "{text}");

    std::fs::write(dir.path().join("bad.yml"), "server:\n  listne: 127.0.0.1:1\n").unwrap();
    for command in [&["check", "--config", "bad.yml"][..], &["serve", "--config", "bad.yml"]] {
        let output = run(command, dir.path());
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("bad.yml:2:3:") && text.contains("\"listen\""), "{text}");
    }
    assert_eq!(run(&["--no-such-flag"], dir.path()).status.code(), Some(2));

    std::fs::write(dir.path().join("users.yml"), "auth: {enabled: true, users: [{name: eva, password_file: absent, level: read}]}\n").unwrap();
    let absent = run(&["serve", "--config", "users.yml", "--data-dir", "d2", "--listen", "127.0.0.1:0"], dir.path());
    assert_eq!(absent.status.code(), Some(2), "{absent:?}");
    assert!(String::from_utf8_lossy(&absent.stderr).contains("eva"), "{absent:?}");
}

#[test]
fn a_second_process_on_the_same_data_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[], &[]);
    let second = run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", server.data.to_str().unwrap()], dir.path());
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("another process"), "{second:?}");
}

#[test]
fn reload_takes_good_configuration_and_keeps_running_on_bad() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("watchfire.yml");
    let prometheus = dir.path().join("prometheus.yml");
    std::fs::write(&config, "prometheus: prometheus.yml\nserver:\n  enable_lifecycle: true\n").unwrap();
    std::fs::write(&prometheus, "scrape_configs:\n- job_name: first\n  static_configs: [{targets: ['127.0.0.1:1']}]\n").unwrap();
    let server = Server::start(&dir.path().join("data"), &["--config", config.to_str().unwrap()], &[]);
    let pools = || -> Vec<String> {
        let answer = server.json("/api/v1/targets");
        answer["data"]["activeTargets"].as_array().unwrap().iter().map(|t| t["scrapePool"].as_str().unwrap().to_owned()).collect()
    };
    until("first", pools, |p| p.contains(&"first".to_owned()));

    std::fs::write(&prometheus, "scrape_configs:\n- job_name: second\n  static_configs: [{targets: ['127.0.0.1:1']}]\n").unwrap();
    signal(server.pid(), "HUP");
    until("second", pools, |p| p.contains(&"second".to_owned()) && !p.contains(&"first".to_owned()));

    std::fs::write(&prometheus, "scrape_configs:\n- job_nmae: third\n").unwrap();
    let answer = request(server.address, "POST", "/-/reload", &[], b"").unwrap();
    assert!(answer.status >= 400, "{}", answer.text());
    assert!(answer.text().contains("prometheus.yml:2:3") && answer.text().contains("job_name"), "{}", answer.text());
    wait_ms(300);
    assert!(pools().contains(&"second".to_owned()), "the old configuration runs on");
    assert!(server.get("/metrics").unwrap().text().contains("watchfire_config_last_reload_successful 0"));
}

#[test]
fn r57_planted_secrets_appear_nowhere() {
    const PLANTED: [&str; 3] = ["canary-password-7f3a", "canary-bearer-91bc", "canary-dburl-55aa"];
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("watchfire.yml");
    let text = format!(
        "prometheus:\n  scrape_configs:\n  - job_name: a\n    basic_auth: {{username: u, password: {}}}\n    static_configs: [{{targets: ['127.0.0.1:1']}}]\n  - job_name: b\n    authorization: {{credentials: {}}}\n    static_configs: [{{targets: ['127.0.0.1:1']}}]\n",
        PLANTED[0], PLANTED[1]
    );
    std::fs::write(&config, text).unwrap();
    let database = format!("postgresql://u:{}@127.0.0.1:1/x", PLANTED[2]);
    let server =
        Server::start(&dir.path().join("data"), &["--config", config.to_str().unwrap()], &[("DATABASE_URL", &database), ("WATCHFIRE_LOG_LEVEL", "debug")]);
    wait_ms(1_500);
    let mut seen = server.log();
    for path in ["/api/v1/status/config", "/api/v1/status/flags", "/api/v1/targets", "/metrics", "/api/system/health", "/api/openapi.json", "/"] {
        seen.push_str(&server.get(path).unwrap().text());
    }
    for secret in PLANTED {
        assert!(!seen.contains(secret), "{secret} was printed");
    }
    assert!(seen.contains("<secret>"));
}

#[test]
fn the_version_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(&["version"], dir.path());
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("watchfire "), "{BINARY}: {output:?}");
}

#[test]
fn log_lines_are_json_with_the_ids_of_their_request_and_go_to_a_file_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data/logs/security.log");
    let environment = [("WATCHFIRE_LOG_FILE", file.to_str().unwrap()), ("WATCHFIRE_LOG_LEVEL", "debug")];
    let server = Server::start(&dir.path().join("data"), &[], &environment);
    let headers = [("X-Request-Id", "req-abc123"), ("traceparent", "00-1234abcd5678ef901234abcd5678ef90-abcdef1234567890-01")];
    request(server.address, "GET", "/api/system/gpu", &headers, b"").unwrap();
    let lines: Vec<Value> = std::fs::read_to_string(&file).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(lines.iter().all(|l| ["timestamp", "level", "message", "target"].iter().all(|k| l[*k].is_string())));
    let ours = lines.iter().find(|l| l["request_id"] == "req-abc123").expect("the request is told");
    assert_eq!((&ours["trace_id"], &ours["span_id"]), (&Value::from("1234abcd5678ef901234abcd5678ef90"), &Value::from("abcdef1234567890")));
    assert!(lines.iter().any(|l| l["message"].as_str().unwrap().contains("GPU")), "an operator looks for the word GPU");
}

#[test]
fn with_authentication_on_only_proofs_open_doors_and_we_still_read_ourselves() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("watchfire.yml");
    let text = "auth: {enabled: true}\nprometheus:\n  global: {scrape_interval: 1s}\n  scrape_configs: [{job_name: self, static_configs: [{targets: ['prometheus:9090']}]}]\n";
    std::fs::write(&config, text).unwrap();
    let server = Server::start(&dir.path().join("data"), &["--config", config.to_str().unwrap()], &[("GF_SECURITY_ADMIN_PASSWORD", "admin")]);
    assert_eq!(server.get("/api/system/gpu").unwrap().status, 401);
    assert_eq!(server.get("/").unwrap().status, 200, "the page can be loaded to log in");
    let refused = run(&["query", "up", "--url", &server.url()], dir.path());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("401") && said.contains("WATCHFIRE_TOKEN"), "{said}");
    let token = std::fs::read_to_string(server.data.join("admin.token")).unwrap();
    let bearer = format!("Bearer {}", token.trim());
    let ask = |path: &str| request(server.address, "GET", path, &[("Authorization", &bearer)], b"").unwrap();
    assert_eq!(ask("/api/system/gpu").status, 200);
    let basic = [("Authorization", "Basic YWRtaW46YWRtaW4=")];
    assert_eq!(request(server.address, "GET", "/api/v1/labels", &basic, b"").unwrap().status, 200, "Grafana's administrator");
    // The name of a replaced container means ourselves, and we let ourselves in.
    until("up", || ask("/api/v1/query?query=up%7Bjob%3D%22self%22%7D").json()["data"]["result"].clone(), |r| number(r) == 1.0);
}

#[test]
fn the_allocator_is_tamed_unless_the_operator_has_said_otherwise() {
    for (given, expected) in [(&[][..], "MALLOC_ARENA_MAX=2"), (&[("MALLOC_ARENA_MAX", "5")][..], "MALLOC_ARENA_MAX=5")] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(&dir.path().join("data"), &[], given);
        let environment = std::fs::read_to_string(format!("/proc/{}/environ", server.pid())).unwrap();
        assert!(environment.split('\0').any(|v| v == expected), "{environment}");
    }
}

/// Whoever reads a metric about ourselves finds in the catalog what it means, and the doctor knows its labels.
#[test]
fn every_family_about_ourselves_is_declared() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[], &[]);
    until("answers are counted", || server.get("/metrics").unwrap().text(), |text| text.contains("watchfire_http_requests_total{"));
    let (text, catalogs) = (server.get("/metrics").unwrap().text(), watchfire_pack::catalog::Catalogs::builtin());
    let mut seen = 0;
    for (name, kind) in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).filter(|(name, _)| name.starts_with("watchfire_")) {
        let family = catalogs.family(name).unwrap_or_else(|| panic!("no catalog declares {name}"));
        assert_eq!(family.kind.name(), kind, "{name}");
        for line in text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'))) {
            let labels = line.split_once('{').unwrap().1.rsplit_once('}').unwrap().0;
            for label in labels.split(',').filter_map(|pair| pair.split_once("=\"")).map(|(label, _)| label).filter(|label| *label != "quantile") {
                assert!(family.label(label).is_some(), "{name} has no label {label}: {line}");
            }
        }
        seen += 1;
    }
    assert!(seen > 150, "{seen} families");
}
