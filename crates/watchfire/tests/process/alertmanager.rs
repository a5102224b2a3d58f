//! The Alertmanager inside as others meet it: rules that reach a webhook, kills that lose nothing, amtool, and the routing and
//! inhibition of Debian's own Alertmanager beside ours.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::server::{Peer, Server, free_port, installed, request, until, wait_ms};

/// What a webhook got: the id of each message and what it said.
type Heard = Arc<Mutex<Vec<(String, Value)>>>;

/// Listens for webhooks and answers 200.
fn hook() -> (u16, Heard) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard: Heard = Heard::default();
    let told = heard.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let told = told.clone();
            std::thread::spawn(move || {
                while let Some(message) = one(&stream) {
                    told.lock().unwrap().push(message)
                }
            });
        }
    });
    (port, heard)
}

/// One request of a connection; nothing when it ends.
fn one(mut stream: &TcpStream) -> Option<(String, Value)> {
    let mut raw = Vec::new();
    let mut byte = [0];
    while !raw.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        raw.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&raw).to_ascii_lowercase();
    let header = |name: &str| head.lines().find_map(|l| l.strip_prefix(&format!("{name}: "))).unwrap_or("").to_owned();
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok()?;
    Some((header("idempotency-key"), serde_json::from_slice(&body).ok()?))
}

fn write(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).unwrap();
}

fn post(server: &Server, path: &str, body: &Value) -> u16 {
    request(server.address, "POST", path, &[("Content-Type", "application/json")], body.to_string().as_bytes()).unwrap().status
}

#[test]
fn pis_19_a_rule_reaches_the_webhook_and_a_silence_survives() {
    let dir = tempfile::tempdir().unwrap();
    let (port, heard) = hook();
    write(
        dir.path(),
        "alert_rules.yml",
        "groups:\n- name: t\n  interval: 1s\n  rules:\n  - alert: Fires\n    expr: vector(1) == 1\n    for: 1s\n    labels: {severity: critical}\n    annotations: {summary: 'value {{ $value | humanize }}'}\n",
    );
    write(dir.path(), "prometheus.yml", "global: {evaluation_interval: 1s}\nrule_files: [alert_rules.yml]\n");
    let config = format!(
        "route: {{receiver: w, group_by: [alertname], group_wait: 1s, group_interval: 2s}}\nreceivers:\n- name: w\n  webhook_configs: [{{url: 'http://127.0.0.1:{port}/'}}]\n"
    );
    write(dir.path(), "alertmanager.yml", &config);
    let monitoring = dir.path().to_str().unwrap().to_owned();
    let data = dir.path().join("data");
    let mut server = Server::start(&data, &["--monitoring-dir", &monitoring], &[]);
    let messages = until("a message", || heard.lock().unwrap().clone(), |m| !m.is_empty());
    let message = &messages[0].1;
    assert_eq!((&message["version"], &message["status"], &message["receiver"]), (&json!("4"), &json!("firing"), &json!("w")));
    assert_eq!(message["alerts"][0]["annotations"]["summary"], "value 1");
    assert_eq!(message["groupKey"], "{}:{alertname=\"Fires\"}");
    assert_eq!(server.json("/api/v2/alerts")[0]["labels"]["alertname"], "Fires");
    let silence = json!({"matchers": [{"name": "alertname", "value": "Fires", "isRegex": false, "isEqual": true}],
        "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z", "createdBy": "me", "comment": "c"});
    assert_eq!(post(&server, "/api/v2/silences", &silence), 200);
    server.kill();
    drop(server);
    let before = heard.lock().unwrap().len();
    let server = Server::start(&data, &["--monitoring-dir", &monitoring], &[]);
    assert_eq!(server.json("/api/v2/silences")[0]["matchers"][0]["value"], "Fires");
    until("the silenced alert", || server.json("/api/v2/alerts?active=false").as_array().unwrap().len(), |n| *n == 1);
    wait_ms(3_000);
    assert_eq!(heard.lock().unwrap().len(), before, "a restart alone says nothing new");
}

/// Kills at moments that differ from round to round; every alert and every end reaches the hook, and what comes twice has one id.
#[test]
fn r59_kills_lose_no_alert_and_no_end() {
    let rounds = if std::env::var_os("WATCHFIRE_CRASH_LONG").is_some() { 500 } else { 12 };
    let dir = tempfile::tempdir().unwrap();
    let (port, heard) = hook();
    let config = format!(
        "route: {{receiver: w, group_by: ['...'], group_wait: 0s, group_interval: 1s}}\nreceivers:\n- name: w\n  webhook_configs: [{{url: 'http://127.0.0.1:{port}/'}}]\n"
    );
    write(dir.path(), "alertmanager.yml", &config);
    let monitoring = dir.path().to_str().unwrap().to_owned();
    let data = dir.path().join("data");
    let mut taken = BTreeSet::new();
    for round in 0..rounds {
        let mut server = Server::start(&data, &["--monitoring-dir", &monitoring], &[]);
        for n in 0..5 {
            let name = format!("A{round}x{n}");
            if post(&server, "/api/v2/alerts", &json!([{"labels": {"alertname": name}, "endsAt": "2099-01-01T00:00:00Z"}])) == 200 {
                taken.insert(name);
            }
            wait_ms(round * 7 % 23);
        }
        wait_ms(round * 37 % 200);
        server.kill();
    }
    let _server = Server::start(&data, &["--monitoring-dir", &monitoring], &[]);
    let told = |status: &str| -> BTreeSet<String> {
        let heard = heard.lock().unwrap();
        let alerts = heard.iter().flat_map(|(_, m)| m["alerts"].as_array().unwrap().clone());
        alerts.filter(|a| a["status"] == status).map(|a| a["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
    };
    until("all that was acknowledged", || taken.difference(&told("firing")).cloned().collect::<Vec<_>>(), Vec::is_empty);
    for name in &taken {
        assert_eq!(
            post(&_server, "/api/v2/alerts", &json!([{"labels": {"alertname": name}, "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2026-01-02T00:00:00Z"}])),
            200
        );
    }
    until("all ends", || taken.difference(&told("resolved")).cloned().collect::<Vec<_>>(), Vec::is_empty);
    // What was told twice is told under one id, at most once per kill.
    let mut ids: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (id, message) in heard.lock().unwrap().iter() {
        assert!(!id.is_empty());
        let mut message = message.clone();
        // Every start of this test listens elsewhere, which is all that may differ.
        message["externalURL"] = Value::Null;
        ids.entry(id.clone()).or_default().push(message);
    }
    for (id, messages) in &ids {
        assert!(messages.iter().all(|m| m == &messages[0]), "{id} says two things");
    }
    let firing: usize = ids.values().filter(|m| m[0]["status"] == "firing").count();
    assert_eq!(firing, taken.len(), "one notification for each alert, under however many tries");
}

fn amtool(server: &Server, arguments: &[&str]) -> String {
    let output = Command::new("amtool").args(["--alertmanager.url", &server.url()]).args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A routing tree with everything that decides where an alert ends.
const TREE: &str = "
global: {smtp_smarthost: 'localhost:25', smtp_from: me@localhost, smtp_auth_password: canary}
route:
  receiver: root
  group_by: [alertname]
  routes:
  - {match: {team: x}, receiver: x, continue: true, routes: [{match_re: {severity: 'crit.*'}, receiver: pager}]}
  - {matchers: ['team=~\"x|y\"', 'env!=test'], receiver: y}
  - {matchers: ['service!~\"a.*\"', service=~.+], receiver: z, group_by: ['...']}
  - {matchers: ['{quoted=\"a, b\"}'], receiver: x}
inhibit_rules:
- {source_matchers: [alertname=Down], target_matchers: ['alertname=~\"Slow|Hot\"'], equal: [host]}
- {source_match: {severity: critical}, target_match: {severity: warning}, equal: [alertname, team]}
receivers:
- {name: root, webhook_configs: [{url: 'http://127.0.0.1:1/'}]}
- {name: x, webhook_configs: [{url: 'http://127.0.0.1:1/canary'}]}
- {name: y, email_configs: [{to: you@localhost}]}
- {name: z}
- {name: pager}
";

#[test]
fn amtool_works_against_us() {
    if !installed("amtool") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "alertmanager.yml", TREE);
    let server = Server::start(&dir.path().join("data"), &["--monitoring-dir", dir.path().to_str().unwrap()], &[]);
    amtool(&server, &["alert", "add", "alertname=Hot", "team=x", "host=h", "--annotation=summary=it is hot"]);
    amtool(&server, &["alert", "add", "Cold", "team=y"]);
    let shown = amtool(&server, &["alert", "query", "-o", "extended"]);
    assert!(shown.contains("it is hot") && shown.contains("Cold"), "{shown}");
    assert!(!amtool(&server, &["alert", "query", "team=y"]).contains("Hot"));
    let id = amtool(&server, &["silence", "add", "alertname=Hot", "--comment=quiet", "--author=me", "--duration=1h"]).trim().to_owned();
    assert!(amtool(&server, &["silence", "query"]).contains(&id));
    assert!(!amtool(&server, &["alert", "query"]).contains("Hot"));
    assert!(amtool(&server, &["alert", "query", "--silenced"]).contains("Hot"));
    assert_eq!(amtool(&server, &["silence", "query", "-q"]).trim(), id);
    amtool(&server, &["silence", "expire", &id]);
    assert!(amtool(&server, &["silence", "query", "--expired"]).contains(&id));
    assert!(amtool(&server, &["alert", "query"]).contains("Hot"));
    // What we show is a configuration that amtool reads, without secrets.
    let shown = amtool(&server, &["config", "show"]);
    assert!(shown.contains("team") && !shown.contains("canary"), "{shown}");
    assert!(amtool(&server, &["config", "routes", "show"]).contains("receiver: pager"));
    assert_eq!(amtool(&server, &["config", "routes", "test", "team=x", "severity=critical"]).trim(), "pager,y");
    let checked = Command::new("amtool").args(["check-config", dir.path().join("alertmanager.yml").to_str().unwrap()]).output().unwrap();
    assert!(checked.status.success());
}

/// Label sets over what the tree asks for: every combination of some values.
fn corpus() -> Vec<BTreeMap<&'static str, &'static str>> {
    let axes: [(&str, &[&str]); 6] = [
        ("alertname", &["Down", "Slow", "Hot"]),
        ("team", &["", "x", "y"]),
        ("severity", &["critical", "warning"]),
        ("env", &["", "test"]),
        ("service", &["", "api", "db"]),
        ("host", &["", "h"]),
    ];
    let mut all = vec![BTreeMap::new()];
    for (name, values) in axes {
        let with = |set: &BTreeMap<&'static str, &'static str>, value: &'static str| {
            let mut set = set.clone();
            if !value.is_empty() {
                set.insert(name, value);
            }
            set
        };
        all = all.iter().flat_map(|set| values.iter().map(move |value| with(set, value)).collect::<Vec<_>>()).collect();
    }
    all.push(BTreeMap::from([("alertname", "Q"), ("quoted", "a, b")]));
    all
}

/// What decides who is told, by fingerprint: receivers, state, who inhibits.
fn decided(alerts: &Value) -> BTreeMap<String, (Vec<String>, String, bool)> {
    let alerts = alerts.as_array().unwrap().iter();
    alerts
        .map(|a| {
            let mut receivers: Vec<String> = a["receivers"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap().to_owned()).collect();
            receivers.sort();
            let inhibited = !a["status"]["inhibitedBy"].as_array().unwrap().is_empty();
            (a["fingerprint"].as_str().unwrap().to_owned(), (receivers, a["status"]["state"].as_str().unwrap().to_owned(), inhibited))
        })
        .collect()
}

#[test]
fn routing_and_inhibition_are_those_of_the_original() {
    if !installed("prometheus-alertmanager") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "alertmanager.yml", TREE);
    let server = Server::start(&dir.path().join("data"), &["--monitoring-dir", dir.path().to_str().unwrap()], &[]);
    let address = format!("127.0.0.1:{}", free_port());
    let child = Command::new("prometheus-alertmanager")
        .arg(format!("--config.file={}", dir.path().join("alertmanager.yml").display()))
        .arg(format!("--storage.path={}", dir.path().join("original").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--cluster.listen-address=")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _peer = Peer(child);
    let address = address.parse().unwrap();
    until("the original", || request(address, "GET", "/-/ready", &[], b"").map_or(0, |a| a.status), |s| *s == 200);
    let body: Vec<Value> = corpus().iter().map(|labels| json!({"labels": labels, "endsAt": "2099-01-01T00:00:00Z"})).collect();
    let sent = Value::from(body);
    assert_eq!(post(&server, "/api/v2/alerts", &sent), 200);
    assert_eq!(request(address, "POST", "/api/v2/alerts", &[("Content-Type", "application/json")], sent.to_string().as_bytes()).unwrap().status, 200);
    let theirs = || decided(&request(address, "GET", "/api/v2/alerts", &[], b"").unwrap().json());
    let ours = decided(&server.json("/api/v2/alerts"));
    assert!(ours.len() > 200, "{}", ours.len());
    // The original's inhibitor learns of alerts in its own time.
    until(
        "the same decisions",
        || ours.iter().filter(|(f, d)| theirs().get(*f) != Some(*d)).map(|(f, d)| format!("{f}: {d:?}")).take(3).collect::<Vec<_>>(),
        Vec::is_empty,
    );
    assert!(ours.values().any(|(_, _, inhibited)| *inhibited) && ours.values().any(|(_, _, inhibited)| !*inhibited));
    let groups = |all: &Value| -> BTreeSet<String> {
        all.as_array().unwrap().iter().map(|g| format!("{} {} {}", g["receiver"]["name"], g["labels"], g["alerts"].as_array().unwrap().len())).collect()
    };
    assert_eq!(groups(&server.json("/api/v2/alerts/groups")), groups(&request(address, "GET", "/api/v2/alerts/groups", &[], b"").unwrap().json()));
}
