//! Rules over logs in the real process: from a line to somebody who is told, through a kill, and as Loki's clients see them.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use watchfire_model::time::{Clock, SystemClock, Timestamp};

use crate::server::{Server, request, run, until, wait_ms};

/// The bodies that a webhook was sent.
fn webhook() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = heard.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut text = String::new();
            let mut piece = [0; 4096];
            while !is_whole(&text)
                && let Ok(read @ 1..) = stream.read(&mut piece)
            {
                text.push_str(&String::from_utf8_lossy(&piece[..read]));
            }
            noted.lock().unwrap().push(text.split_once("\r\n\r\n").unwrap_or_default().1.to_owned());
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"));
        }
    });
    (port, heard)
}

/// The body is JSON: it is there when it can be read.
fn is_whole(text: &str) -> bool {
    text.split_once("\r\n\r\n").is_some_and(|(_, body)| serde_json::from_str::<Value>(body).is_ok())
}

/// A monitoring directory as Loki's users have it: the ruler's rules lie below the name of the only tenant.
fn site(dir: &Path, rules: &str, port: u16) {
    let mon = dir.join("mon");
    std::fs::create_dir_all(mon.join("rules/fake")).unwrap();
    let loki = "ruler:\n  storage: {type: local, local: {directory: /loki/rules}}\n  evaluation_interval: 1s\n";
    std::fs::write(mon.join("loki.yml"), loki).unwrap();
    std::fs::write(mon.join("rules/fake/app.yml"), rules).unwrap();
    let manager = format!(
        "route: {{receiver: a, group_wait: 0s, group_interval: 1s}}\nreceivers: [{{name: a, webhook_configs: [{{url: 'http://127.0.0.1:{port}/hook'}}]}}]\n"
    );
    std::fs::write(mon.join("alertmanager.yml"), manager).unwrap();
}

fn start(dir: &Path) -> Server {
    Server::start(&dir.join("data"), &["--monitoring-dir", dir.join("mon").to_str().unwrap()], &[("WATCHFIRE_HOST_ROOT", "/nonexistent")])
}

fn push(server: &Server, text: &str) {
    let nanos = SystemClock::new().now().millis() * 1_000_000;
    let body = json!({"streams": [{"stream": {"app": "web"}, "values": [[nanos.to_string(), text]]}]}).to_string();
    let answer = request(server.address, "POST", "/loki/api/v1/push", &[("content-type", "application/json")], body.as_bytes()).unwrap();
    assert_eq!(answer.status, 204, "{}", answer.text());
}

fn state(server: &Server) -> String {
    let alerts = server.json("/prometheus/api/v1/alerts")["data"]["alerts"].clone();
    alerts[0]["state"].as_str().unwrap_or("none").to_owned()
}

const RULES: &str = "groups:
- name: app
  rules:
  - alert: Errors
    expr: 'sum by (app) (count_over_time({app=\"web\"} |= \"ERROR\" [6s])) > 0'
    annotations: {summary: '{{ $value }} errors of {{ $labels.app }}'}
  - record: app:lines:count1m
    expr: 'sum by (app) (count_over_time({app=\"web\"}[1m]))'
";

#[test]
fn an_alert_over_logs_fires_and_ends_and_loki_s_clients_see_it() {
    let dir = tempfile::tempdir().unwrap();
    let (port, heard) = webhook();
    site(dir.path(), RULES, port);
    let server = start(dir.path());
    assert_eq!(state(&server), "none");
    push(&server, "ERROR boom");
    let told = |status: &str| {
        until(
            status,
            || heard.lock().unwrap().clone(),
            |all| all.iter().any(|text| text.contains(&format!("\"status\":\"{status}\"")) && text.contains("1 errors of web")),
        )
    };
    told("firing");
    until("the series", || server.json("/api/v1/query?query=ALERTS")["data"]["result"].clone(), |r| r[0]["metric"]["alertstate"] == "firing");
    until("the record", || server.json("/api/v1/query?query=app:lines:count1m")["data"]["result"].clone(), |r| r[0]["value"][1] == "1");
    // The line leaves the window.
    told("resolved");
    until("the state", || state(&server), |state| state == "none");
    let yaml = server.get("/loki/api/v1/rules/app.yml/app").unwrap().text();
    assert!(yaml.starts_with("name: app\ninterval: 1s\nrules:\n    - alert: Errors\n      expr: \"sum by"), "{yaml}");
    assert!(server.get("/loki/api/v1/rules").unwrap().text().starts_with("app.yml:\n"));
    assert_eq!(server.json("/prometheus/api/v1/rules")["data"]["groups"][0]["file"], "app.yml");
    assert_eq!(server.json("/api/v1/rules")["data"]["groups"].as_array().unwrap().len(), 0, "they are no PromQL");
    let both = server.json("/api/v1/rules?logs=true")["data"]["groups"][0].clone();
    assert_eq!((&both["language"], &both["name"]), (&json!("logql"), &json!("app")));
}

#[test]
fn a_kill_while_an_alert_over_logs_is_pending_does_not_make_it_wait_again() {
    let dir = tempfile::tempdir().unwrap();
    let (port, _heard) = webhook();
    let rules = "groups: [{name: app, rules: [{alert: Errors, for: 1h, expr: 'sum by (app) (count_over_time({app=\"web\"} |= \"ERROR\" [1h])) > 0'}]}]\n";
    site(dir.path(), rules, port);
    let mut server = start(dir.path());
    push(&server, "ERROR boom");
    let active_at = |server: &Server| {
        let alert = server.json("/prometheus/api/v1/alerts")["data"]["alerts"][0].clone();
        Timestamp::parse(alert["activeAt"].as_str()?).map(Timestamp::secs_f64)
    };
    let before = until("pending", || active_at(&server), Option::is_some).unwrap();
    until("the series", || server.json("/api/v1/query?query=ALERTS_FOR_STATE")["data"]["result"].clone(), |r| r[0].is_object());
    wait_ms(4_000);
    server.kill();
    let server = start(dir.path());
    // At first it is new; once what was before is read back, only the outage is left out of its wait.
    let begun = until("pending again", || active_at(&server), Option::is_some).unwrap();
    let restored = until("restored", || active_at(&server), |t| t.is_some_and(|t| t < begun - 2.0)).unwrap();
    assert!(restored >= before - 1.0, "{before} {restored} {begun}");
}

#[test]
fn a_file_that_is_no_logql_keeps_the_server_from_starting_and_is_named_by_check() {
    let dir = tempfile::tempdir().unwrap();
    site(dir.path(), "groups:\n- name: app\n  rules:\n  - alert: Errors\n    expr: sum(rate({app=\"web\"} |= [5m])) > 0\n", 1);
    let output = run(&["check", "--monitoring-dir", dir.path().join("mon").to_str().unwrap()], dir.path());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("rules/fake/app.yml:5:") && said.contains("could not parse expression: parse error at line 1, col"), "{said}");
}
